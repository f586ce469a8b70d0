// @ts-check
/**
 * W1, W2, W3, W4 and W6: how many commands per second go from submit to awaited result. The caller keeps every promise of
 * a burst in an array and awaits `Promise.all`, whatever the subject.
 */
import { burstOf, rateOfBursts, spreadBurstOf } from './bursts.mjs'

/** @typedef {import('./workload.mjs').Workload} Workload */

const CONCURRENCY = 10
const SMALL_BURST = 100
const LARGE_BURST = 100_000
const LANES = 10
const LEVELS = 6

/** The trivial handler: an async function that returns its argument. */
const echo = async (/** @type {number} */ value) => value

/** @param {number} value */
const echoNextTurn = async (value) => {
  await new Promise((resolve) => setImmediate(resolve))
  return value
}

/** @type {Workload['figures']} */
const figures = [{ key: 'rate', label: 'commands per second', better: 'more' }]

/** @type {Workload[]} */
export const throughput = [
  {
    id: 'W1',
    title: 'bursts of 100, one lane',
    subjects: ['lane', 'fastq', 'async-queue', 'async-priority-queue', 'p-limit', 'p-queue', 'bottleneck'],
    figures,
    async measure(subject, settings) {
      const submit = await subject.single({ concurrency: CONCURRENCY, handler: echo })
      return { rate: await rateOfBursts(burstOf(SMALL_BURST, submit), { size: SMALL_BURST, ...settings }) }
    },
  },
  {
    id: 'W2',
    title: 'bursts of 100 over 10 lanes',
    subjects: ['lane', 'fastq', 'async-queue', 'async-priority-queue', 'p-limit', 'p-queue', 'bottleneck'],
    figures,
    async measure(subject, settings) {
      const submit = await subject.lanes({ count: LANES, concurrency: CONCURRENCY, handler: echo })
      return { rate: await rateOfBursts(spreadBurstOf(SMALL_BURST, LANES, submit), { size: SMALL_BURST, ...settings }) }
    },
  },
  {
    id: 'W3',
    title: 'one burst of 100,000',
    subjects: ['lane', 'fastq', 'async-queue', 'async-priority-queue', 'p-limit', 'p-queue'],
    figures,
    async measure(subject, settings) {
      const submit = await subject.single({ concurrency: CONCURRENCY, handler: echo })
      return { rate: await rateOfBursts(burstOf(LARGE_BURST, submit), { size: LARGE_BURST, ...settings }) }
    },
  },
  {
    id: 'W4',
    title: '100,000 over six priorities',
    subjects: ['lane', 'async-priority-queue', 'p-queue'],
    figures,
    async measure(subject, settings) {
      if (subject.priorities === undefined) throw new Error(`${subject.name} has no priorities`)
      const submit = await subject.priorities({ levels: LEVELS, concurrency: CONCURRENCY, handler: echo })
      return {
        rate: await rateOfBursts(spreadBurstOf(LARGE_BURST, LEVELS, submit), { size: LARGE_BURST, ...settings }),
      }
    },
  },
  {
    id: 'W6',
    title: '100,000, handler awaits setImmediate',
    subjects: ['lane', 'fastq', 'async-queue', 'async-priority-queue', 'p-limit', 'p-queue'],
    figures,
    async measure(subject, settings) {
      const submit = await subject.single({ concurrency: CONCURRENCY, handler: echoNextTurn })
      return { rate: await rateOfBursts(burstOf(LARGE_BURST, submit), { size: LARGE_BURST, ...settings }) }
    },
  },
]
