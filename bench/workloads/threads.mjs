// @ts-check
/**
 * T1: what a second thread is worth to two CPU-bound lanes. T2: what handing over to a thread costs, against piscina's own
 * `run` of the same function, with as many under way. The variants of a row take turns in one process, slice by slice, so
 * that whatever else the machine does hits them all; a row tells the median of its slices.
 */
import { percentile } from './latency.mjs'

/** @typedef {import('./workload.mjs').Workload} Workload */
/** @typedef {import('./workload.mjs').Settings} Settings */
/** @typedef {(count: number) => Promise<unknown>} Variant  runs so many commands */

const BODY = new URL('thread-body.mjs', import.meta.url)
const SLICES = 10
const THREADS = 2
/** A few milliseconds of work. */
const HEAVY = { upTo: 30_000 }
const HEAVY_COMMANDS = 16
const LIGHT = { upTo: 0 }
const LIGHT_COMMANDS = 400

/**
 * @param {Record<string, Variant>} variants
 * @param {number} count  commands in a slice
 * @param {Settings} settings
 * @returns {Promise<Record<string, number>[]>} milliseconds of each slice, by variant
 */
async function slices(variants, count, { warmUpMs, measureMs }) {
  const end = performance.now() + warmUpMs
  do for (const run of Object.values(variants)) await run(count)
  while (performance.now() < end)
  /** @type {Record<string, number>[]} */
  const times = []
  const lastAt = performance.now() + measureMs * Object.keys(variants).length
  while (times.length < SLICES || performance.now() < lastAt) {
    /** @type {Record<string, number>} */
    const slice = {}
    for (const [name, run] of Object.entries(variants)) {
      const startedAt = performance.now()
      await run(count)
      slice[name] = performance.now() - startedAt
    }
    times.push(slice)
  }
  return times
}

/**
 * The median over the slices of one variant's time per another's.
 *
 * @param {Record<string, number>[]} times
 * @param {string} over
 * @param {string} under
 */
const ratio = (times, over, under) =>
  percentile(
    times.map((slice) => (slice[over] ?? 0) / (slice[under] ?? 1)),
    0.5,
  )

/**
 * Keeps a number of calls under way.
 *
 * @param {() => PromiseLike<unknown>} call
 * @returns {Variant}
 */
const keptUp = (call) => async (count) => {
  let left = count
  const one = async () => {
    while (left-- > 0) await call()
  }
  await Promise.all(Array.from({ length: THREADS }, one))
}

/**
 * @param {Settings} settings
 * @returns {Promise<Record<string, number>>}
 */
async function secondThread(settings) {
  const { startedQueue } = await import('../subjects/lane.mjs')
  const { ThreadPool } = await import('@a3s-lab/lane/workers')
  /** @param {number} count @returns {Promise<Variant>} */
  const onThreads = async (count) => {
    const pool = new ThreadPool({ threads: count })
    const lanes = { left: { priority: 0 }, right: { priority: 1 } }
    const queue = await startedQueue({ lanes }, pool.handler(BODY))
    return (commands) =>
      Promise.all(
        Array.from({ length: commands }, (_, n) =>
          queue.submit(n % 2 === 0 ? 'left' : 'right', { type: 'bench', payload: HEAVY }),
        ),
      )
  }
  const times = await slices({ one: await onThreads(1), two: await onThreads(THREADS) }, HEAVY_COMMANDS, settings)
  const oneMs = percentile(
    times.map(({ one }) => one ?? 0),
    0.5,
  )
  return { ratio: ratio(times, 'one', 'two'), rate: (HEAVY_COMMANDS * 1000) / oneMs }
}

/**
 * @param {Settings} settings
 * @returns {Promise<Record<string, number>>}
 */
async function handingOver(settings) {
  const { startedQueue } = await import('../subjects/lane.mjs')
  const { ThreadPool } = await import('@a3s-lab/lane/workers')
  const { Piscina } = await import('piscina')
  const newThreads = () =>
    new Piscina({
      filename: BODY.href,
      minThreads: THREADS,
      maxThreads: THREADS,
      idleTimeout: Number.POSITIVE_INFINITY,
    })
  const lanes = { work: { priority: 0, maxConcurrency: THREADS } }
  const bare = newThreads()
  const inLane = newThreads()
  const pool = new ThreadPool({ threads: THREADS })
  const queueOfRuns = await startedQueue({ lanes }, (payload) => inLane.run(payload))
  const queue = await startedQueue({ lanes }, pool.handler(BODY))
  const command = { type: 'bench', payload: LIGHT }
  const variants = {
    bare: keptUp(() => bare.run(LIGHT)),
    inLane: keptUp(() => queueOfRuns.submit('work', command)),
    ours: keptUp(() => queue.submit('work', command)),
  }
  const times = await slices(variants, LIGHT_COMMANDS, settings)
  const oursMs = percentile(
    times.map(({ ours }) => ours ?? 0),
    0.5,
  )
  return {
    cost: ratio(times, 'ours', 'bare'),
    handover: ratio(times, 'ours', 'inLane'),
    rate: (LIGHT_COMMANDS * 1000) / oursMs,
  }
}

/** @type {Workload[]} */
export const threads = [
  {
    id: 'T1',
    title: 'two CPU-bound lanes, two threads vs one',
    subjects: ['lane'],
    figures: [
      { key: 'ratio', label: 'rate, two threads vs one', better: 'more' },
      { key: 'rate', label: 'commands/s on one thread', better: 'more' },
    ],
    measure: (_subject, settings) => secondThread(settings),
  },
  {
    id: 'T2',
    title: 'handing a trivial command to a thread',
    subjects: ['lane'],
    figures: [
      { key: 'cost', label: 'time vs piscina.run alone', better: 'less' },
      { key: 'handover', label: 'time vs piscina.run in a lane', better: 'less' },
      { key: 'rate', label: 'commands/s', better: 'more' },
    ],
    measure: (_subject, settings) => handingOver(settings),
  },
]
