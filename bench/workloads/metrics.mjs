// @ts-check
/** M1 and M2: what metrics cost each command. Only for the lane subject; with and without take turns in one process. */
import { burstOf, paceOfBursts } from './bursts.mjs'
import { shapes } from './throughput.mjs'

/** @typedef {import('./workload.mjs').Workload} Workload */
/** @typedef {import('./workload.mjs').Settings} Settings */

const CONCURRENCY = 10
/** Turns of each side: what slows the machine down for a while slows both. */
const TURNS = 4

/**
 * The commands per second of a burst without metrics and with them, by the median turn of each.
 *
 * @param {number} size
 * @param {(value: number) => Promise<unknown>} handler
 * @param {Settings} settings
 */
async function offAndOn(size, handler, settings) {
  const { defaultLanes, QueueMetrics } = await import('@a3s-lab/lane')
  const { startedQueue } = await import('../subjects/lane.mjs')
  const lanes = { ...defaultLanes(), bench: { priority: 3, maxConcurrency: CONCURRENCY } }
  const sides = [{ lanes }, { lanes, metrics: QueueMetrics.local() }]
  /** @type {{ burst: () => Promise<unknown>, rates: number[] }[]} */
  const measured = []
  for (const options of sides) {
    const queue = await startedQueue(options, handler)
    measured.push({
      burst: burstOf(size, (value) => queue.submit('bench', { type: 'bench', payload: value })),
      rates: [],
    })
  }
  const each = { size, warmUpMs: settings.warmUpMs / TURNS, measureMs: settings.measureMs / TURNS }
  for (let turn = 0; turn < TURNS; turn++) {
    for (const side of measured) side.rates.push((await paceOfBursts(side.burst, each)).rate)
  }
  const [off, on] = measured.map(({ rates }) => median(rates))
  return { off: /** @type {number} */ (off), on: /** @type {number} */ (on) }
}

/** @param {number[]} values */
function median(values) {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length / 2
  const [low = 0, high = 0] = [sorted[Math.ceil(middle) - 1], sorted[Math.floor(middle)]]
  return (low + high) / 2
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
    async measure(_subject, settings) {
      const { off, on } = await offAndOn(shapes.W1.size, echo, settings)
      return { off, on, cost: 1e9 / on - 1e9 / off }
    },
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
    async measure(_subject, settings) {
      const { off, on } = await offAndOn(shapes.W6.size, echoNextTurn, settings)
      return { off, on, ratio: on / off }
    },
  },
]
