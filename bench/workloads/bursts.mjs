// @ts-check
/**
 * The measuring loop that every throughput row shares: bursts back to back until the compiler has settled, then bursts back
 * to back for the measured time. Nothing is subtracted and nothing forced: collections count. (A forced one in between
 * shrinks the heap, and the first large burst after it is up to half as fast as the next.)
 */

/**
 * @typedef {object} Pace
 * @property {number} rate  commands per second
 * @property {number} cpu  nanoseconds of processor time per command, those of the collector's threads included
 */

/**
 * @param {() => Promise<unknown>} burst  submits `size` commands and waits for every result
 * @param {{ size: number, warmUpMs: number, measureMs: number }} settings
 * @returns {Promise<Pace>}
 */
export async function paceOfBursts(burst, { size, warmUpMs, measureMs }) {
  await repeat(burst, warmUpMs)
  const before = process.cpuUsage()
  const { bursts, elapsedMs } = await repeat(burst, measureMs)
  const { user, system } = process.cpuUsage(before)
  return { rate: (bursts * size * 1000) / elapsedMs, cpu: ((user + system) * 1000) / (bursts * size) }
}

/**
 * What a command costs the processor, by a fixed number of bursts: on a busy machine a fixed time may hold a few only.
 *
 * @param {() => Promise<unknown>} burst
 * @param {{ size: number, bursts: number }} amounts  as many again come first, unmeasured
 * @returns {Promise<number>} nanoseconds per command, those of the collector's threads included
 */
export async function cpuOfBursts(burst, { size, bursts }) {
  for (let i = 0; i < bursts; i++) await burst()
  const before = process.cpuUsage()
  for (let i = 0; i < bursts; i++) await burst()
  const { user, system } = process.cpuUsage(before)
  return ((user + system) * 1000) / (bursts * size)
}

/**
 * @param {Parameters<typeof paceOfBursts>} bursts
 * @returns {Promise<number>} commands per second
 */
export async function rateOfBursts(...bursts) {
  const { rate } = await paceOfBursts(...bursts)
  return rate
}

/**
 * @param {() => Promise<unknown>} burst
 * @param {number} leastMs
 */
async function repeat(burst, leastMs) {
  const startedAt = performance.now()
  let bursts = 0
  let elapsedMs = 0
  do {
    await burst()
    bursts++
    elapsedMs = performance.now() - startedAt
  } while (elapsedMs < leastMs)
  return { bursts, elapsedMs }
}

/**
 * A burst into one lane, every result awaited.
 *
 * @param {number} size
 * @param {(value: number) => PromiseLike<unknown>} submit
 */
export const burstOf = (size, submit) => async () => {
  const runs = new Array(size)
  for (let i = 0; i < size; i++) runs[i] = submit(i)
  await Promise.all(runs)
}

/**
 * @param {number} size
 * @param {number} spread  submissions go to 0, 1, … spread - 1, 0, 1, …
 * @param {(value: number, index: number) => PromiseLike<unknown>} submit
 */
export const spreadBurstOf = (size, spread, submit) => async () => {
  const runs = new Array(size)
  for (let i = 0; i < size; i++) runs[i] = submit(i, i % spread)
  await Promise.all(runs)
}

/** A full collection. Every measuring process runs with `--expose-gc`. */
export function collectGarbage() {
  if (globalThis.gc === undefined) throw new Error('a measuring process needs node --expose-gc')
  globalThis.gc()
}

/** A promise that stays pending until it is released, if ever. */
export function heldPromise() {
  /** @type {(() => void) | undefined} */
  let settle
  /** @type {Promise<void>} */
  const promise = new Promise((resolve) => {
    settle = resolve
  })
  return { promise, release: () => settle?.() }
}

/** One turn of the event loop. */
export function turn() {
  return new Promise((resolve) => setImmediate(resolve))
}

/** @param {number} ms */
export function sleep(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
