// @ts-check
/**
 * What a command allocates, by counting. The young generation of this process is larger than all that is measured
 * (`ALLOCATION_FLAGS`), so nothing is collected meanwhile and the growth of the used heap is what was allocated: exact to
 * the byte, whatever else the machine does. A collection would spoil the count; it is noticed, and fails the measurement.
 */
import { GCProfiler } from 'node:v8'
import { collectGarbage, turn } from './bursts.mjs'
import { shapes } from './throughput.mjs'
import { waitingShape } from './waiting.mjs'

/** @typedef {import('../subjects/subject.mjs').Subject} Subject */

/** How a process that counts allocations has to be started. */
export const ALLOCATION_FLAGS = ['--min-semi-space-size=512', '--max-semi-space-size=512']

/** Commands in a count: some 150 MB at most. */
const COMMANDS = 100_000
/** Unmeasured first: code that is not yet compiled for good makes numbers and closures that it does not make later. */
const WARM_UP_COMMANDS = 400_000
const COUNTS = 3

/** @type {Readonly<Record<string, import('./throughput.mjs').Shape>>} */
const countedShapes = { ...shapes, W5: waitingShape }

/**
 * @param {string} workload  W1 to W6
 * @param {Subject} subject
 * @returns {Promise<{ allocated: number }>} bytes per command: the least of some counts
 */
export async function allocationsOf(workload, subject) {
  const shape = countedShapes[workload]
  if (shape === undefined) throw new Error(`${workload} has no burst to count`)
  const { size } = shape
  const burst = await shape.open(subject)
  for (let done = 0; done < WARM_UP_COMMANDS; done += size) await burst()
  let allocated = Number.POSITIVE_INFINITY
  for (let i = 0; i < COUNTS; i++) allocated = Math.min(allocated, await counted(burst, size))
  return { allocated }
}

/**
 * @param {() => Promise<unknown>} burst
 * @param {number} size
 * @returns {Promise<number>} bytes per command
 */
async function counted(burst, size) {
  const bursts = Math.ceil(COMMANDS / size)
  collectGarbage()
  await turn()
  const profiler = new GCProfiler()
  profiler.start()
  const before = process.memoryUsage().heapUsed
  for (let i = 0; i < bursts; i++) await burst()
  const bytes = process.memoryUsage().heapUsed - before
  const collections = profiler.stop().statistics.length
  if (collections > 0) throw new Error(`${collections} collections while allocations were counted`)
  return bytes / (bursts * size)
}
