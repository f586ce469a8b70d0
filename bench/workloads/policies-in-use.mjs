// @ts-check
/**
 * P4: what a policy costs the commands that use it, on W1's bursts: each policy by itself, with limits that never hold
 * anything back. Every one is measured in a process of its own; the difference to the first row is the policy's price.
 */
import { burstOf, cpuOfBursts } from './bursts.mjs'

/** @typedef {import('./workload.mjs').Workload} Workload */
/** @typedef {import('@a3s-lab/lane').LaneDefinition} LaneDefinition */
/** @typedef {import('@a3s-lab/lane').SubmitOptions} SubmitOptions */

const CONCURRENCY = 10
const BURST = 100
const BURSTS = 1000
const KEYS = 10
/** More than any machine starts in a second, and less than what counts as no limit. */
const NEVER_REACHED = 1e12

const echo = async (/** @type {number} */ value) => value

/**
 * @typedef {object} Use
 * @property {string} label
 * @property {Partial<LaneDefinition>} [lane]
 * @property {(index: number) => SubmitOptions} [options]  of each command; left out: submitted without any
 */

const perSecond = { maxCommands: NEVER_REACHED, windowMs: 1000 }

/** @type {Readonly<Record<string, Use>>} */
const uses = {
  none: { label: 'no policy, no options' },
  option: { label: 'any submit option', options: () => ({ priority: 1000 }) },
  bucket: { label: 'rate limit, token bucket', lane: { rateLimit: perSecond } },
  window: { label: 'rate limit, sliding window', lane: { rateLimit: { ...perSecond, algorithm: 'sliding-window' } } },
  tokens: {
    label: 'rate limit in tokens, with cost',
    lane: { rateLimit: { ...perSecond, unit: 'tokens' } },
    options: (index) => ({ cost: index }),
  },
  breaker: {
    label: 'circuit breaker',
    lane: { breaker: { failureRatio: 0.5, minimum: 10, windowMs: 10_000, openMs: 1000, halfOpen: 1 } },
  },
  boost: {
    label: 'priorityBoost',
    lane: { priorityBoost: { deadlineMs: 60_000, boostIntervals: [{ remainingMs: 30_000, boost: 1 }] } },
  },
  deadline: { label: 'deadlineMs', options: () => ({ deadlineMs: 60_000 }) },
  fairness: { label: "fairness: 'key'", lane: { fairness: 'key' }, options: (index) => ({ key: keys[index % KEYS] }) },
  keyLimit: { label: 'keyConcurrency', lane: { keyConcurrency: 2 }, options: (index) => ({ key: keys[index % KEYS] }) },
  dedupe: { label: 'dedupe', options: () => ({ dedupe: { id: `order-${nextOrder++}` } }) },
  preemptible: { label: 'preemptible', lane: { preemptible: true } },
}

const keys = Array.from({ length: KEYS }, (_, index) => `tenant-${index}`)
let nextOrder = 0

/**
 * @param {Use} use
 * @returns {Promise<number>} nanoseconds of processor time per command
 */
async function costOf({ lane, options }) {
  const { defaultLanes } = await import('@a3s-lab/lane')
  const { startedQueue } = await import('../subjects/lane.mjs')
  const bench = { priority: 3, maxConcurrency: CONCURRENCY, ...lane }
  const queue = await startedQueue({ lanes: { ...defaultLanes(), bench } }, echo)
  const burst =
    options === undefined
      ? burstOf(BURST, (value) => queue.submit('bench', { type: 'bench', payload: value }))
      : burstOf(BURST, (value) => queue.submit('bench', { type: 'bench', payload: value }, options(value)))
  return cpuOfBursts(burst, { size: BURST, bursts: BURSTS })
}

/** @type {Workload[]} */
export const policiesInUse = [
  {
    id: 'P4',
    title: 'policies in use, bursts of 100: ns of processor time per command',
    subjects: ['lane'],
    ungraded: ['lane'],
    sides: Object.keys(uses),
    figures: Object.entries(uses).map(([key, { label }]) => ({ key, label, better: /** @type {const} */ ('less') })),
    async measure(_subject, _settings, side) {
      return { [side]: await costOf(/** @type {Use} */ (uses[side])) }
    },
  },
]
