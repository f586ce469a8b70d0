// @ts-check
/**
 * What the suite `engine` measures: lanes shared over BullMQ, and BullMQ itself, each with a server of its own on the same
 * machine. Subjects: `lane`, six lanes in strict order; `bullmq`, one plain queue.
 */
import { fork } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { QueueManager } from '@a3s-lab/lane'
import { BullMQEngine } from '@a3s-lab/lane/bullmq'
import { sides } from './sides.mjs'

/** @typedef {{ commands: number, samples: number }} EngineSettings */

/**
 * @typedef {object} EngineWorkload
 * @property {string} id
 * @property {string} title
 * @property {import('../workloads/workload.mjs').Figure[]} figures
 * @property {string[]} subjects
 * @property {(subject: string, url: string, settings: EngineSettings) => Promise<Record<string, number>>} measure
 */

const BURST = 1000
const IN_FLIGHT = 2000
const CONCURRENCY = 50

/** @type {import('../workloads/workload.mjs').Figure[]} */
const perSecond = [{ key: 'perSecond', label: 'commands/s', better: 'more' }]

/** @type {EngineWorkload[]} */
export const engineWorkloads = [
  {
    id: 'E1',
    title: `one worker, ${CONCURRENCY} at once, on a backlog`,
    figures: perSecond,
    subjects: ['lane', 'bullmq'],
    measure: (subject, url, settings) => drainWith(1, subject, url, settings),
  },
  {
    id: 'E2',
    title: `submit and await the result, ${IN_FLIGHT} in flight, worker in another process`,
    figures: perSecond,
    subjects: ['lane', 'bullmq'],
    measure: calls,
  },
  {
    id: 'E3',
    title: `submit ${BURST} at once, again and again`,
    figures: perSecond,
    subjects: ['lane', 'bullmq'],
    measure: submits,
  },
  {
    id: 'E4',
    title: 'idle: submit to start',
    figures: [
      { key: 'p50', label: 'p50 ms', better: 'less' },
      { key: 'p99', label: 'p99 ms', better: 'less' },
    ],
    subjects: ['lane', 'bullmq'],
    measure: starts,
  },
  {
    id: 'E5',
    title: 'a control command while every other slot is busy: submit to start',
    figures: [
      { key: 'p50', label: 'p50 ms', better: 'less' },
      { key: 'p99', label: 'p99 ms', better: 'less' },
    ],
    subjects: ['lane'],
    measure: controlStarts,
  },
  {
    id: 'E6',
    title: 'two workers on one backlog',
    figures: perSecond,
    subjects: ['lane', 'bullmq'],
    measure: (subject, url, settings) => drainWith(2, subject, url, settings),
  },
  {
    id: 'E7',
    title: 'four workers on one backlog',
    figures: perSecond,
    subjects: ['lane', 'bullmq'],
    measure: (subject, url, settings) => drainWith(4, subject, url, settings),
  },
]

/** @param {string} subject */
function sideOf(subject) {
  const side = sides[subject]
  if (side === undefined) throw new Error(`no subject ${subject}`)
  return side
}

/**
 * @param {string} subject
 * @param {string} url
 */
async function workerProcess(subject, url) {
  const script = fileURLToPath(new URL('worker-process.mjs', import.meta.url))
  const child = fork(script, [JSON.stringify({ subject, url, concurrency: CONCURRENCY })], { stdio: 'inherit' })
  /** @param {string} message  @returns {Promise<{ done: number, firstAt: number }>} */
  const ask = (message) =>
    new Promise((resolve) => {
      child.once('message', (answer) => resolve(/** @type {any} */ (answer)))
      child.send(message)
    })
  child.once('exit', (code) => {
    if (code !== 0) throw new Error(`a worker ended with ${code}`)
  })
  await new Promise((resolve) => child.once('message', resolve))
  return {
    count: () => ask('count'),
    close: () =>
      new Promise((resolve) => {
        child.once('exit', resolve)
        child.send('close')
      }),
  }
}

/**
 * The backlog is there before the workers are; counted from the first start.
 *
 * @param {number} workers
 * @param {string} subject
 * @param {string} url
 * @param {EngineSettings} settings
 */
async function drainWith(workers, subject, url, { commands }) {
  const submitter = await sideOf(subject).submitter({ url })
  for (let from = 0; from < commands; from += BURST) await submitter.submit(Math.min(BURST, commands - from), from)
  const processes = await Promise.all(Array.from({ length: workers }, () => workerProcess(subject, url)))
  let counts = await Promise.all(processes.map(({ count }) => count()))
  while (counts.reduce((sum, { done }) => sum + done, 0) < commands) {
    await sleep(20)
    counts = await Promise.all(processes.map(({ count }) => count()))
  }
  const endedAt = performance.timeOrigin + performance.now()
  const begunAt = Math.min(...counts.filter(({ done }) => done > 0).map(({ firstAt }) => firstAt))
  await Promise.all(processes.map(({ close }) => close()))
  await submitter.close()
  return { perSecond: (commands * 1000) / (endedAt - begunAt) }
}

/**
 * @param {string} subject
 * @param {string} url
 * @param {EngineSettings} settings
 */
async function calls(subject, url, { commands }) {
  const submitter = await sideOf(subject).submitter({ url })
  const worker = await workerProcess(subject, url)
  let next = 0
  const inFlight = async (/** @type {number} */ until) => {
    while (next < until) await submitter.call(next++)
  }
  const warmUp = Math.floor(commands / 5)
  await Promise.all(Array.from({ length: IN_FLIGHT }, () => inFlight(warmUp)))
  const since = performance.now()
  await Promise.all(Array.from({ length: IN_FLIGHT }, () => inFlight(warmUp + commands)))
  const seconds = (performance.now() - since) / 1000
  await worker.close()
  await submitter.close()
  return { perSecond: commands / seconds }
}

/**
 * @param {string} subject
 * @param {string} url
 * @param {EngineSettings} settings
 */
async function submits(subject, url, { commands }) {
  const submitter = await sideOf(subject).submitter({ url })
  await submitter.submit(BURST, 0)
  const since = performance.now()
  for (let from = 0; from < commands; from += BURST) await submitter.submit(BURST, from)
  const seconds = (performance.now() - since) / 1000
  await submitter.close()
  return { perSecond: commands / seconds }
}

/**
 * Submitter and worker are in one process, so that one clock times both.
 *
 * @param {string} subject
 * @param {string} url
 * @param {EngineSettings} settings
 */
async function starts(subject, url, { samples }) {
  let startedAt = 0
  const started = () => {
    startedAt = performance.now()
  }
  const worker = await sideOf(subject).worker({ url, onStart: started })
  const submitter = await sideOf(subject).submitter({ url })
  const times = []
  for (let n = 0; n < samples + 20; n++) {
    await sleep(3)
    const since = performance.now()
    await submitter.call(n)
    if (n >= 20) times.push(startedAt - since)
  }
  await submitter.close()
  await worker.close()
  return percentiles(times)
}

/**
 * @param {string} _
 * @param {string} url
 * @param {EngineSettings} settings
 */
async function controlStarts(_, url, { samples }) {
  const lanes = {
    control: { priority: 1, minConcurrency: 2, maxConcurrency: 2, protected: true },
    prompt: { priority: 5, minConcurrency: 0, maxConcurrency: Number.POSITIVE_INFINITY },
  }
  const options = { connection: url, namespace: 'bench' }
  const worker = new QueueManager({
    lanes,
    maxConcurrency: 20,
    engine: new BullMQEngine({ ...options, role: 'worker' }),
  })
  let startedAt = 0
  worker.handle('pause', () => {
    startedAt = performance.now()
  })
  worker.handle('generate', () => sleep(20))
  await worker.start()
  const submitter = new QueueManager({ lanes, engine: new BullMQEngine({ ...options, role: 'coordinator' }) })
  await submitter.start()
  const isOver = { now: false }
  const load = (async () => {
    while (!isOver.now) {
      const runs = Array.from({ length: 200 }, () => submitter.submit('prompt', { type: 'generate' }))
      await Promise.all(runs)
    }
  })()
  await sleep(200)
  const times = []
  for (let n = 0; n < samples; n++) {
    await sleep(5)
    const since = performance.now()
    await submitter.submit('control', { type: 'pause' })
    times.push(startedAt - since)
  }
  isOver.now = true
  await load
  await submitter.close()
  await worker.close()
  return percentiles(times)
}

/** @param {number[]} times */
function percentiles(times) {
  times.sort((left, right) => left - right)
  const at = (/** @type {number} */ share) =>
    times[Math.min(times.length - 1, Math.floor(times.length * share))] ?? Number.NaN
  return { p50: at(0.5), p99: at(0.99) }
}
