// @ts-check
/**
 * W7 and W8: how long a command waits for its handler, in an idle queue and in one with a long backlog. From the line
 * before `submit` to the first line of the handler.
 */
import { arrivals } from './arrivals.mjs'
import { sleep, turn } from './bursts.mjs'

/** @typedef {import('../subjects/subject.mjs').Subject} Subject */
/** @typedef {import('./workload.mjs').Workload} Workload */
/** @typedef {import('./workload.mjs').Settings} Settings */

const CONCURRENCY = 10
const BODY_MS = 1
const BACKLOG = 100_000
const WARM_UP_SAMPLES = 50
/** Bottleneck admits about 400 commands per second, urgent ones in their turn: its wait is that of the whole backlog. */
const SLOW_SUBJECTS = ['bottleneck']
const SLOW_BACKLOG = 200
const SLOW_SAMPLES = 3
const SLOW_IDLE_SAMPLES = 100
const IDLE_SAMPLES_PER_SAMPLE = 20
const URGENT_LEVEL = 0
const BACKLOG_LEVEL = 5
/** The payload of an urgent command. */
const URGENT = -1

/**
 * @param {Subject} subject
 * @param {Settings} settings
 */
async function idle(subject, settings) {
  let startedAt = 0
  const handler = async (/** @type {number} */ value) => {
    startedAt = performance.now()
    return value
  }
  const submit = await subject.single({ concurrency: CONCURRENCY, handler })
  const sample = async () => {
    const submittedAt = performance.now()
    await submit(0)
    const waitedMs = startedAt - submittedAt
    await turn()
    return waitedMs
  }
  const count = SLOW_SUBJECTS.includes(subject.name) ? SLOW_IDLE_SAMPLES : settings.samples * IDLE_SAMPLES_PER_SAMPLE
  for (let i = 0; i < count; i++) await sample()
  const samples = new Float64Array(count)
  for (let i = 0; i < count; i++) samples[i] = await sample()
  return (percentile(samples, 0.5) - clockCostMs()) * 1000
}

/** What two readings of the clock in a row lie apart. */
function clockCostMs() {
  const samples = new Float64Array(100_000)
  for (let i = 0; i < samples.length; i++) {
    const first = performance.now()
    samples[i] = performance.now() - first
  }
  return percentile(samples, 0.5)
}

/**
 * Urgent commands one after the other, each at a moment that another thread chooses.
 *
 * @param {Subject} subject
 * @param {{ backlog: number, warmUp: number, count: number }} amounts
 */
async function urgentWaits(subject, { backlog, warmUp, count }) {
  if (subject.priorities === undefined) throw new Error(`${subject.name} has no priorities`)
  let startedAt = 0
  const handler = async (/** @type {number} */ value) => {
    if (value === URGENT) startedAt = performance.now()
    else await sleep(BODY_MS)
    return value
  }
  const submit = await subject.priorities({ levels: BACKLOG_LEVEL + 1, concurrency: CONCURRENCY, handler })
  for (let i = 0; i < backlog; i++) void submit(i, BACKLOG_LEVEL)
  const arrival = arrivals()
  const sample = async (/** @type {number} */ index) => {
    await arrival(index)
    const submittedAt = performance.now()
    await submit(URGENT, URGENT_LEVEL)
    return startedAt - submittedAt
  }
  for (let i = 0; i < warmUp; i++) await sample(i)
  /** @type {number[]} */
  const samples = []
  for (let i = 0; i < count; i++) samples.push(await sample(i))
  return samples
}

/**
 * @param {Subject} subject
 * @param {Settings} settings
 */
async function urgent(subject, settings) {
  /** @type {number[]} */
  const samples = []
  if (SLOW_SUBJECTS.includes(subject.name)) {
    for (let i = 0; i < SLOW_SAMPLES; i++) {
      samples.push(...(await urgentWaits(subject, { backlog: SLOW_BACKLOG, warmUp: 0, count: 1 })))
    }
  } else {
    samples.push(
      ...(await urgentWaits(subject, { backlog: BACKLOG, warmUp: WARM_UP_SAMPLES, count: settings.samples })),
    )
  }
  return { p50: percentile(samples, 0.5), p99: percentile(samples, 0.99) }
}

/**
 * @param {Iterable<number>} samples
 * @param {number} share
 */
export function percentile(samples, share) {
  const sorted = Float64Array.from(samples).sort()
  return /** @type {number} */ (sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))])
}

/** @type {Workload[]} */
export const latency = [
  {
    id: 'W7',
    title: 'idle queue, submit to start',
    subjects: ['lane', 'fastq', 'async-queue', 'async-priority-queue', 'p-limit', 'p-queue', 'bottleneck'],
    ungraded: ['fastq', 'async-queue', 'async-priority-queue', 'p-limit', 'p-queue', 'bottleneck'],
    figures: [{ key: 'p50', label: 'µs, median', better: 'less' }],
    async measure(subject, settings) {
      return { p50: await idle(subject, settings) }
    },
  },
  {
    id: 'W8',
    title: 'urgent command, 100,000 × 1 ms waiting',
    subjects: ['lane', 'async-priority-queue', 'p-queue', 'bottleneck'],
    ungraded: ['bottleneck'],
    figures: [
      { key: 'p50', label: 'ms, median', better: 'less' },
      { key: 'p99', label: 'ms, 99th percentile', better: 'less' },
    ],
    measure: urgent,
  },
]
