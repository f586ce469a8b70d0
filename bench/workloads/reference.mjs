// @ts-check
/**
 * R1, R2 and R3: the rows that the Rust reference publishes, from accepted to settled. Only for the lane subject.
 */
import { burstOf, rateOfBursts, spreadBurstOf } from './bursts.mjs'

/** @typedef {import('./workload.mjs').Workload} Workload */
/** @typedef {import('./workload.mjs').Settings} Settings */

const COMMANDS = 100
const LANES = 10
const CONCURRENCY = 10
const DRAIN_MS = 5000

const echo = async (/** @type {number} */ value) => value

/**
 * @param {number} count  of lanes
 * @param {Settings} settings
 */
async function overLanes(count, settings) {
  const { numberedLanes, startedQueue } = await import('../subjects/lane.mjs')
  const { ids, lanes } = numberedLanes(count, () => ({ priority: 0, maxConcurrency: CONCURRENCY }))
  const queue = await startedQueue({ lanes }, echo)
  const burst = spreadBurstOf(COMMANDS, count, (value, lane) =>
    queue.submit(/** @type {string} */ (ids[lane]), { type: 'bench', payload: value }),
  )
  return rateOfBursts(burst, { size: COMMANDS, ...settings })
}

/**
 * Create, start, run, shut down, drain; one unit per life.
 *
 * @param {number} commands
 * @param {Settings} settings
 */
async function lives(commands, settings) {
  const { numberedLanes, startedQueue } = await import('../subjects/lane.mjs')
  const life = async () => {
    const { lanes } = numberedLanes(1, () => ({ priority: 0, maxConcurrency: CONCURRENCY }))
    const queue = await startedQueue({ lanes }, echo)
    await burstOf(commands, (value) => queue.submit('bench-0', { type: 'bench', payload: value }))()
    await queue.shutdown()
    await queue.drain(DRAIN_MS)
  }
  return rateOfBursts(life, { size: 1, ...settings })
}

/** @type {Workload['figures']} */
const rate = [{ key: 'rate', label: 'commands per second', better: 'more' }]

/** @type {Workload[]} */
export const reference = [
  {
    id: 'R1',
    title: "the reference's row: 100 commands, 1 lane",
    subjects: ['lane'],
    ungraded: ['lane'],
    figures: rate,
    measure: async (_subject, settings) => ({ rate: await overLanes(1, settings) }),
  },
  {
    id: 'R2',
    title: "the reference's row: 100 commands, 10 lanes",
    subjects: ['lane'],
    ungraded: ['lane'],
    figures: rate,
    measure: async (_subject, settings) => ({ rate: await overLanes(LANES, settings) }),
  },
  {
    id: 'R3',
    title: "the reference's row: full life cycle",
    subjects: ['lane'],
    ungraded: ['lane'],
    figures: [
      { key: 'one', label: 'lives of one command per second', better: 'more' },
      { key: 'hundred', label: 'lives of 100 commands per second', better: 'more' },
    ],
    measure: async (_subject, settings) => ({
      one: await lives(1, settings),
      hundred: await lives(COMMANDS, settings),
    }),
  },
]
