// @ts-check
/** M1 and M2: what metrics cost each command. Only for the lane subject; with and without are measured in processes of their own. */
import { burstOf, paceOfBursts } from './bursts.mjs'
import { shapes } from './throughput.mjs'

/** @typedef {import('./workload.mjs').Workload} Workload */
/** @typedef {import('./workload.mjs').Settings} Settings */

const CONCURRENCY = 10
const SIDES = ['off', 'on']

/**
 * The commands per second of a burst, without metrics or with them, under the name of the side.
 *
 * @param {{ size: number, handler: (value: number) => Promise<unknown>, side: string }} burst
 * @param {Settings} settings
 * @returns {Promise<Record<string, number>>}
 */
async function rateOf({ size, handler, side }, settings) {
  const { defaultLanes, QueueMetrics } = await import('@a3s-lab/lane')
  const { startedQueue } = await import('../subjects/lane.mjs')
  const lanes = { ...defaultLanes(), bench: { priority: 3, maxConcurrency: CONCURRENCY } }
  const queue = await startedQueue(side === 'on' ? { lanes, metrics: QueueMetrics.local() } : { lanes }, handler)
  const burst = burstOf(size, (value) => queue.submit('bench', { type: 'bench', payload: value }))
  const { rate } = await paceOfBursts(burst, { size, ...settings })
  return { [side]: rate }
}

const echo = async (/** @type {number} */ value) => value

/** @param {number} value */
const echoNextTurn = async (value) => {
  await new Promise((resolve) => setImmediate(resolve))
  return value
}

/** @type {Workload[]} */
export const metrics = [
  {
    id: 'M1',
    title: 'metrics, off and on: bursts of 100, one lane',
    subjects: ['lane'],
    figures: [
      { key: 'off', label: 'commands per second without', better: 'more' },
      { key: 'on', label: 'commands per second with', better: 'more' },
      { key: 'cost', label: 'ns more per command', better: 'less' },
    ],
    sides: SIDES,
    joined: ({ on = 0, off = 0 }) => ({ off, on, cost: 1e9 / on - 1e9 / off }),
    measure: (_subject, settings, side) => rateOf({ size: shapes.W1.size, handler: echo, side }, settings),
  },
  {
    id: 'M2',
    title: 'metrics, off and on: the handler awaits setImmediate',
    subjects: ['lane'],
    figures: [
      { key: 'off', label: 'commands per second without', better: 'more' },
      { key: 'on', label: 'commands per second with', better: 'more' },
      { key: 'ratio', label: 'with to without', better: 'more' },
    ],
    sides: SIDES,
    joined: ({ on = 0, off = 1 }) => ({ off, on, ratio: on / off }),
    measure: (_subject, settings, side) => rateOf({ size: shapes.W6.size, handler: echoNextTurn, side }, settings),
  },
]
