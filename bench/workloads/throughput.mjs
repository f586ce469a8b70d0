// @ts-check
/**
 * W1, W2, W3, W4 and W6: how many commands per second go from submit to awaited result. The caller keeps every promise of
 * a burst in an array and awaits `Promise.all`, whatever the subject.
 */
import { burstOf, paceOfBursts, spreadBurstOf } from './bursts.mjs'

/** @typedef {import('../subjects/subject.mjs').Subject} Subject */
/** @typedef {import('./workload.mjs').Workload} Workload */
/** @typedef {import('./workload.mjs').Settings} Settings */

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

/**
 * A burst that can be repeated.
 *
 * @typedef {object} Shape
 * @property {number} size  commands in it
 * @property {(subject: Subject) => Promise<() => Promise<unknown>>} open  a queue, and the burst into it
 */

/** @type {Readonly<Record<'W1' | 'W2' | 'W3' | 'W4' | 'W6', Shape>>} */
export const shapes = {
  W1: {
    size: SMALL_BURST,
    open: async (subject) => burstOf(SMALL_BURST, await subject.single({ concurrency: CONCURRENCY, handler: echo })),
  },
  W2: {
    size: SMALL_BURST,
    open: async (subject) =>
      spreadBurstOf(SMALL_BURST, LANES, await subject.lanes({ count: LANES, concurrency: CONCURRENCY, handler: echo })),
  },
  W3: {
    size: LARGE_BURST,
    open: async (subject) => burstOf(LARGE_BURST, await subject.single({ concurrency: CONCURRENCY, handler: echo })),
  },
  W4: {
    size: LARGE_BURST,
    open: async (subject) => {
      if (subject.priorities === undefined) throw new Error(`${subject.name} has no priorities`)
      const submit = await subject.priorities({ levels: LEVELS, concurrency: CONCURRENCY, handler: echo })
      return spreadBurstOf(LARGE_BURST, LEVELS, submit)
    },
  },
  W6: {
    size: LARGE_BURST,
    open: async (subject) =>
      burstOf(LARGE_BURST, await subject.single({ concurrency: CONCURRENCY, handler: echoNextTurn })),
  },
}

/** @param {Shape} shape */
const paceOf = (shape) => async (/** @type {Subject} */ subject, /** @type {Settings} */ settings) =>
  paceOfBursts(await shape.open(subject), { size: shape.size, ...settings })

/** @type {Workload['figures']} */
const figures = [{ key: 'rate', label: 'commands per second', better: 'more' }]

/** @type {Workload[]} */
export const throughput = [
  {
    id: 'W1',
    title: 'bursts of 100, one lane',
    subjects: ['lane', 'fastq', 'async-queue', 'async-priority-queue', 'p-limit', 'p-queue', 'bottleneck'],
    ungraded: ['bottleneck'],
    figures,
    measure: paceOf(shapes.W1),
  },
  {
    id: 'W2',
    title: 'bursts of 100 over 10 lanes',
    subjects: ['lane', 'fastq', 'async-queue', 'async-priority-queue', 'p-limit', 'p-queue', 'bottleneck'],
    ungraded: ['bottleneck'],
    figures,
    measure: paceOf(shapes.W2),
  },
  {
    id: 'W3',
    title: 'one burst of 100,000',
    subjects: ['lane', 'fastq', 'async-queue', 'async-priority-queue', 'p-limit', 'p-queue'],
    figures,
    measure: paceOf(shapes.W3),
  },
  {
    id: 'W4',
    title: '100,000 over six priorities',
    subjects: ['lane', 'async-priority-queue', 'p-queue'],
    figures,
    measure: paceOf(shapes.W4),
  },
  {
    id: 'W6',
    title: '100,000, handler awaits setImmediate',
    subjects: ['lane', 'fastq', 'async-queue', 'async-priority-queue', 'p-limit', 'p-queue'],
    figures,
    measure: paceOf(shapes.W6),
  },
]
