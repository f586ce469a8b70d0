// @ts-check
/**
 * Urgent commands that come from outside: another thread says when, so their moments have nothing to do with this
 * thread's timers. (Submitted from a timer of its own, an urgent command would always meet the 1 ms timers of the backlog
 * at the same phase.)
 */
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'

const LEAST_MS = 1
const SPREAD_MS = 3
/** Steps of the golden ratio: evenly spread, never periodic, and the same in every run. */
const STEP = 0.618_033_988_749_895

/** Runs in the other thread: waits as long as it is told, then answers. */
const script = `
  const { parentPort } = require('node:worker_threads')
  const never = new Int32Array(new SharedArrayBuffer(4))
  parentPort.on('message', (ms) => { Atomics.wait(never, 0, 0, ms); parentPort.postMessage(0) })
`

/** @returns {(index: number) => Promise<unknown>} waits for the arrival with that index */
export function arrivals() {
  const clock = new Worker(script, { eval: true })
  return (index) => {
    clock.postMessage(LEAST_MS + SPREAD_MS * ((index * STEP) % 1))
    return once(clock, 'message')
  }
}
