// @ts-check
/**
 * P2 and P3: fair turns among keys. W3's burst, each command with a key of its own submit options, into a lane with
 * `fairness: 'key'` and into the same lane without it. Nothing else differs: the same lanes, submits, options and order.
 *
 * The keys come scattered, not in turn: a lane that serves by turns then starts commands in another order than they were
 * made in, and pays for what that does to the processor's caches.
 */
import { burstOf, paceOfBursts } from './bursts.mjs'

/** @typedef {import('./workload.mjs').Workload} Workload */

const CONCURRENCY = 10
const BURST = 100_000
/** Odd, and so prime to powers of two: a permutation of 32-bit numbers that leaves no pattern (Knuth's multiplier). */
const SCATTER = 2_654_435_761

const echo = async (/** @type {number} */ value) => value

/** @typedef {{ keys: number, fair: boolean }} Side */

/** @type {Readonly<Record<string, Side>>} */
const againstArrival = { plain: { keys: 10_000, fair: false }, fair: { keys: 10_000, fair: true } }

/** @type {Readonly<Record<string, Side>>} */
const byKeys = {
  few: { keys: 10, fair: true },
  some: { keys: 10_000, fair: true },
  manyPlain: { keys: 100_000, fair: false },
  many: { keys: 100_000, fair: true },
}

/**
 * @param {Side} side
 * @param {import('./workload.mjs').Settings} settings
 * @returns {Promise<import('./bursts.mjs').Pace>}
 */
async function paceWith({ keys: count, fair }, settings) {
  const { defaultLanes } = await import('@a3s-lab/lane')
  const { startedQueue } = await import('../subjects/lane.mjs')
  const bench = {
    priority: 3,
    maxConcurrency: CONCURRENCY,
    ...(fair ? { fairness: /** @type {const} */ ('key') } : {}),
  }
  const queue = await startedQueue({ lanes: { ...defaultLanes(), bench } }, echo)
  const keys = Array.from({ length: count }, (_, index) => `tenant-${index}`)
  const keyOf = Array.from({ length: BURST }, (_, index) => keys[(Math.imul(index, SCATTER) >>> 0) % count])
  const burst = burstOf(BURST, (value) =>
    queue.submit('bench', { type: 'bench', payload: value }, { key: keyOf[value] }),
  )
  return paceOfBursts(burst, { size: BURST, ...settings })
}

/** @type {Workload[]} */
export const fairness = [
  {
    id: 'P2',
    title: '100,000 commands with 10,000 keys: fair turns, and arrival order',
    subjects: ['lane'],
    sides: Object.keys(againstArrival),
    figures: [
      { key: 'fair', label: 'commands per second, fair turns', better: 'more' },
      { key: 'plain', label: 'commands per second, arrival order', better: 'more' },
      { key: 'ratio', label: 'times, fair over arrival', better: 'more' },
      { key: 'cpuRatio', label: 'times, by processor time', better: 'more' },
    ],
    async measure(_subject, settings, side) {
      const { rate, cpu } = await paceWith(/** @type {Side} */ (againstArrival[side]), settings)
      return { [side]: rate, [`${side} cpu`]: cpu }
    },
    joined: ({ fair, plain, ...figures }) => ({
      fair: Number(fair),
      plain: Number(plain),
      ratio: Number(fair) / Number(plain),
      cpuRatio: Number(figures['plain cpu']) / Number(figures['fair cpu']),
    }),
  },
  {
    id: 'P3',
    title: 'the same by the number of keys: ns of processor time per command',
    subjects: ['lane'],
    ungraded: ['lane'],
    sides: Object.keys(byKeys),
    figures: [
      { key: 'few', label: '10 keys, fair turns', better: 'less' },
      { key: 'some', label: '10,000 keys, fair turns', better: 'less' },
      { key: 'many', label: '100,000 keys, fair turns', better: 'less' },
      { key: 'manyPlain', label: '100,000 keys, arrival order', better: 'less' },
    ],
    async measure(_subject, settings, side) {
      const { cpu } = await paceWith(/** @type {Side} */ (byKeys[side]), settings)
      return { [side]: cpu }
    },
  },
]
