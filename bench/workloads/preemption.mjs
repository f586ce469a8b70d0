// @ts-check
/**
 * P1: W8 with the global cap full of work that gives way. Every slot is held by a body that runs for a minute unless it is
 * told to stop, so an urgent command only starts because one of them is. Only for the lane subject: no peer can do it.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { arrivals } from './arrivals.mjs'
import { turn } from './bursts.mjs'
import { percentile } from './latency.mjs'

/** @typedef {import('./workload.mjs').Workload} Workload */
/** @typedef {import('./workload.mjs').Settings} Settings */

const SLOTS = 10
const BACKLOG = 100_000
const BODY_MS = 60_000
const WARM_UP_SAMPLES = 50
/** The lanes of W8. */
const LEVELS = 6
const URGENT_LANE = 'bench-0'
const BACKLOG_LANE = 'bench-5'
const URGENT = -1

/** What stops when it is asked to, as a call with a signal does. */
function stoppableWork() {
  const work = {
    running: 0,
    stops: 0,
    /** @param {AbortSignal} signal */
    async run(signal) {
      work.running++
      try {
        await sleep(BODY_MS, undefined, { signal })
      } catch (error) {
        work.stops++
        throw error
      } finally {
        work.running--
      }
    },
  }
  return work
}

/**
 * Urgent commands one after the other, each at a moment that another thread chooses.
 *
 * @param {number} count
 * @returns {Promise<number[]>} milliseconds from submit to the first line of the handler
 */
async function waits(count) {
  const { numberedLanes, startedQueue } = await import('../subjects/lane.mjs')
  const { lanes } = numberedLanes(LEVELS, (index) => ({
    priority: index,
    maxConcurrency: SLOTS,
    ...(index === 0 ? { preempts: true } : {}),
    ...(index === LEVELS - 1 ? { preemptible: true } : {}),
  }))
  const work = stoppableWork()
  let startedAt = 0
  const queue = await startedQueue({ lanes, maxConcurrency: SLOTS }, async (value, { signal }) => {
    if (value === URGENT) startedAt = performance.now()
    else await work.run(signal)
    return value
  })
  for (let i = 0; i < BACKLOG; i++) void queue.submit(BACKLOG_LANE, { type: 'bench', payload: i })
  await turn()
  const arrival = arrivals()
  /** @type {number[]} */
  const samples = []
  for (let i = 0; i < count; i++) {
    await arrival(i)
    if (work.running !== SLOTS) throw new Error(`${work.running} bodies run where ${SLOTS} should`)
    const submittedAt = performance.now()
    await queue.submit(URGENT_LANE, { type: 'bench', payload: URGENT })
    samples.push(startedAt - submittedAt)
  }
  if (work.stops !== count) throw new Error(`${work.stops} bodies were stopped for ${count} urgent commands`)
  return samples
}

/** @type {Workload[]} */
export const preemption = [
  {
    id: 'P1',
    title: 'urgent command, every slot held by preemptible work, 100,000 more waiting',
    subjects: ['lane'],
    figures: [
      { key: 'p50', label: 'ms, median', better: 'less' },
      { key: 'p99', label: 'ms, 99th percentile', better: 'less' },
    ],
    async measure(_subject, settings) {
      const samples = (await waits(WARM_UP_SAMPLES + settings.samples)).slice(WARM_UP_SAMPLES)
      return { p50: percentile(samples, 0.5), p99: percentile(samples, 0.99) }
    },
  },
]
