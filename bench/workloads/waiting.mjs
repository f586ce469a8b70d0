// @ts-check
/**
 * W5: a million commands wait behind ten that block every slot. Blocking is the one way to hold work back that every
 * subject has, so nobody is measured with a pause of its own. Rate and memory are measured on two queues one after the
 * other, because the collections that the memory needs would make the rate look better.
 */
import { collectGarbage, heldPromise, turn } from './bursts.mjs'

/** @typedef {import('../subjects/subject.mjs').Subject} Subject */
/** @typedef {import('./workload.mjs').Workload} Workload */

const CONCURRENCY = 10
const WARM_UP_WAITING = 50_000
/** The payload of the commands that block the slots. */
const BLOCKER = -1

/**
 * What the caller holds while it waits: the queue and its runs. Out here, where no optimisation can find it dead too early.
 *
 * @type {{ queue: unknown, runs: unknown[] }}
 */
const held = { queue: undefined, runs: [] }

/**
 * A fresh queue whose slots are all taken.
 *
 * @param {Subject} subject
 */
async function blockedQueue(subject) {
  const { promise: gate, release } = heldPromise()
  const handler = async (/** @type {number} */ value) => (value === BLOCKER ? gate : value)
  const submit = await subject.single({ concurrency: CONCURRENCY, handler })
  const blockers = Array.from({ length: CONCURRENCY }, () => submit(BLOCKER))
  await turn()
  return { submit, release, blockers }
}

/**
 * @param {Subject} subject
 * @param {number} count
 * @returns {Promise<import('./bursts.mjs').Pace>} from the first submit to the last result
 */
async function paceOf(subject, count) {
  const { submit, release, blockers } = await blockedQueue(subject)
  const runs = new Array(count)
  const cpuBefore = process.cpuUsage()
  const startedAt = performance.now()
  for (let i = 0; i < count; i++) runs[i] = submit(i)
  await turn()
  release()
  await Promise.all(runs)
  const elapsedMs = performance.now() - startedAt
  const { user, system } = process.cpuUsage(cpuBefore)
  await Promise.all(blockers)
  return { rate: (count * 1000) / elapsedMs, cpu: ((user + system) * 1000) / count }
}

/**
 * Everything a waiting command keeps alive, the caller's promise included; the caller's array is there before the count.
 *
 * @param {Subject} subject
 * @param {number} count
 * @returns {Promise<number>} bytes per waiting command
 */
async function bytesOf(subject, count) {
  const queue = await blockedQueue(subject)
  const runs = new Array(count).fill(undefined)
  held.queue = queue
  held.runs = runs
  const before = usedBytes()
  for (let i = 0; i < count; i++) runs[i] = queue.submit(i)
  await turn()
  return (usedBytes() - before) / count
}

/**
 * W5 as a burst that can be repeated, on a new queue each time. Small: what it allocates has to fit into the young generation.
 *
 * @type {import('./throughput.mjs').Shape}
 */
export const waitingShape = {
  size: WARM_UP_WAITING,
  open: async (subject) => () => paceOf(subject, WARM_UP_WAITING),
}

/** Heap and array buffers, after two full collections. */
function usedBytes() {
  collectGarbage()
  collectGarbage()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

/** @type {Workload[]} */
export const waiting = [
  {
    id: 'W5',
    title: 'a million waiting (quick: 200,000)',
    subjects: ['lane', 'fastq', 'async-queue', 'async-priority-queue', 'p-limit', 'p-queue'],
    figures: [
      { key: 'rate', label: 'commands per second', better: 'more' },
      { key: 'bytes', label: 'bytes per waiting command', better: 'less' },
    ],
    async measure(subject, settings) {
      const warmUntil = performance.now() + settings.warmUpMs
      do await paceOf(subject, WARM_UP_WAITING)
      while (performance.now() < warmUntil)
      collectGarbage()
      const pace = await paceOf(subject, settings.waiting)
      return { ...pace, bytes: await bytesOf(subject, settings.waiting) }
    },
  },
]
