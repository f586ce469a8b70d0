// @ts-check
/** M3: what a scrape by Prometheus costs, of a queue with many lanes in which everything has been counted. */
import { collectGarbage } from './bursts.mjs'
import { percentile } from './latency.mjs'

/** @typedef {import('./workload.mjs').Workload} Workload */
/** @typedef {import('./workload.mjs').Settings} Settings */

const LANES = 100
/** Spread over six decades, 0.1 ms to 100 s: a histogram that is walked to its end. */
const VALUES = 1000
const SMALLEST_MS = 0.1
const DECADES = 6
const WARM_UP_SCRAPES = 50
const TIMED = ['lane.command.latency_ms', 'lane.command.wait_time_ms', 'lane.command.stop_time_ms']

/** A registry over a queue whose lanes have values in each of their histograms. */
async function filledRegistry() {
  const { QueueMetrics } = await import('@a3s-lab/lane')
  const { createRegistry } = await import('@a3s-lab/lane/prometheus')
  const { numberedLanes, startedQueue } = await import('../subjects/lane.mjs')
  const { ids, lanes } = numberedLanes(LANES, () => ({ priority: 0 }))
  const metrics = QueueMetrics.local()
  const queue = await startedQueue({ lanes, metrics }, (value) => value)
  await Promise.all(ids.map((id) => queue.submit(id, { type: 'bench', payload: 1 })))
  for (const id of ids) {
    for (const name of TIMED) {
      for (let i = 0; i < VALUES; i++) {
        void metrics.backend().recordHistogram(`${name}.${id}`, SMALLEST_MS * 10 ** ((DECADES * i) / VALUES))
      }
    }
  }
  return createRegistry(queue)
}

/** @param {Settings} settings */
async function scrapeMs({ measureMs }) {
  const registry = await filledRegistry()
  for (let i = 0; i < WARM_UP_SCRAPES; i++) await registry.metrics()
  collectGarbage()
  /** @type {number[]} */
  const samples = []
  const end = performance.now() + measureMs
  while (performance.now() < end) {
    const startedAt = performance.now()
    await registry.metrics()
    samples.push(performance.now() - startedAt)
  }
  return { p50: percentile(samples, 0.5), p99: percentile(samples, 0.99) }
}

/** @type {Workload[]} */
export const scrape = [
  {
    id: 'M3',
    title: 'scrape of 100 lanes',
    subjects: ['lane'],
    figures: [
      { key: 'p50', label: 'ms, median', better: 'less' },
      { key: 'p99', label: 'ms, 99th percentile', better: 'less' },
    ],
    async measure(_subject, settings) {
      return scrapeMs(settings)
    },
  },
]
