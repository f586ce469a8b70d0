// @ts-check
/**
 * The two sides of each comparison, behind one form: Lane with six lanes in strict order on BullMQ, and BullMQ itself with
 * one queue, as its own documentation uses it.
 */
import { QueueManager } from '@a3s-lab/lane'
import { BullMQEngine } from '@a3s-lab/lane/bullmq'
import { Queue, QueueEvents, Worker } from 'bullmq'

/** Lanes of the comparison, from the first to the last. */
const LANE_IDS = ['system', 'control', 'query', 'session', 'skill', 'prompt']

/**
 * @typedef {object} Side
 * @property {(count: number, from: number) => Promise<void>} submit  that many at once; comes back when all are accepted
 * @property {(n: number) => Promise<number>} call  submits one and waits for its result
 * @property {() => Promise<void>} close
 */

/** @typedef {{ url: string, concurrency?: number, onStart?: (n: number) => void, work?: (n: number) => unknown }} SideOptions */

/** @type {Record<string, { submitter: (options: SideOptions) => Promise<Side>, worker: (options: SideOptions) => Promise<{ close: () => Promise<void> }> }>} */
export const sides = {
  lane: { submitter: laneSubmitter, worker: laneWorker },
  bullmq: { submitter: bullmqSubmitter, worker: bullmqWorker },
}

const lanes = Object.fromEntries(
  LANE_IDS.map((id, priority) => [id, { priority, minConcurrency: 0, maxConcurrency: Number.POSITIVE_INFINITY }]),
)

/** @param {number} n */
const laneOf = (n) => /** @type {string} */ (LANE_IDS[n % LANE_IDS.length])

/** @param {SideOptions} options */
async function laneSubmitter({ url }) {
  const engine = new BullMQEngine({ connection: url, namespace: 'bench', role: 'coordinator' })
  const queue = new QueueManager({ lanes, engine })
  await queue.start()
  return {
    submit: async (/** @type {number} */ count, /** @type {number} */ from) => {
      const accepted = []
      for (let n = from; n < from + count; n++)
        accepted.push(queue.submit(laneOf(n), { type: 'job', payload: { n } }).accepted)
      await Promise.all(accepted)
    },
    call: async (/** @type {number} */ n) => {
      const value = await queue.submit(laneOf(n), { type: 'job', payload: { n } })
      return /** @type {number} */ (value)
    },
    close: () => queue.close(),
  }
}

/** @param {SideOptions} options */
async function laneWorker({ url, concurrency = 50, onStart, work = (n) => n }) {
  const engine = new BullMQEngine({ connection: url, namespace: 'bench', role: 'worker' })
  const queue = new QueueManager({ lanes, maxConcurrency: concurrency, engine })
  queue.handle('job', async (/** @type {{ n: number }} */ { n }) => {
    onStart?.(n)
    return work(n)
  })
  await queue.start()
  return { close: () => queue.close() }
}

/** @param {string} url */
const connectionOf = (url) => ({ url, maxRetriesPerRequest: null })

/** @param {SideOptions} options */
async function bullmqSubmitter({ url }) {
  const queue = new Queue('bench', { connection: connectionOf(url) })
  const events = new QueueEvents('bench', { connection: connectionOf(url) })
  await Promise.all([queue.waitUntilReady(), events.waitUntilReady()])
  // as ours: settled jobs are kept, up to a number
  const options = { removeOnComplete: { count: 10_000 } }
  return {
    submit: async (/** @type {number} */ count, /** @type {number} */ from) => {
      const added = []
      for (let n = from; n < from + count; n++) added.push(queue.add('job', { n }, options))
      await Promise.all(added)
    },
    call: async (/** @type {number} */ n) => (await queue.add('job', { n }, options)).waitUntilFinished(events),
    close: async () => {
      await events.close()
      await queue.close()
    },
  }
}

/** @param {SideOptions} options */
async function bullmqWorker({ url, concurrency = 50, onStart, work = (n) => n }) {
  const worker = new Worker(
    'bench',
    async (job) => {
      onStart?.(job.data.n)
      return work(job.data.n)
    },
    { connection: connectionOf(url), concurrency },
  )
  await worker.waitUntilReady()
  return { close: () => worker.close() }
}
