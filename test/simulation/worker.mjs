/** One of the simulation's threads: is told a bundle, then one seed after the other, and answers with what came of each. */
import { parentPort, workerData } from 'node:worker_threads'

/** @typedef {{ seed: number, violations: { invariant: string, text: string, at: number }[], hash: string, commands: number, events: number, starts: number, virtualMs: number, features: readonly string[] }} Answer */

const { bundle } = /** @type {{ bundle: string }} */ (workerData)
const port = /** @type {import('node:worker_threads').MessagePort} */ (parentPort)
/** @type {typeof import('./main.js')} */
const { runSeed, availableFeatures } = await import(bundle)
const available = await availableFeatures()

/** @typedef {{ seed: number, commands?: number | undefined, storage?: 'only' | 'none' | undefined }} Order */

/** @param {Order} order */
async function answer({ seed, commands, storage }) {
  // a bug may keep the seed from ever coming to its end: a message is sent even then
  const onViolation = (/** @type {object} */ violation) => port.postMessage({ seed, violation })
  const { options, ...result } = await runSeed(seed, { available, commands, storage, onViolation })
  port.postMessage({ ...result, features: options.features })
}

port.on('message', (/** @type {Order} */ order) => void answer(order))
