/** One of the simulation's threads: is told a bundle, then one seed after the other, and answers with what came of each. */
import { parentPort, workerData } from 'node:worker_threads'

/** @typedef {{ seed: number, violations: { invariant: string, text: string, at: number }[], hash: string, commands: number, events: number, starts: number, virtualMs: number, features: readonly string[] }} Answer */

const { bundle } = /** @type {{ bundle: string }} */ (workerData)
const port = /** @type {import('node:worker_threads').MessagePort} */ (parentPort)
/** @type {typeof import('./main.js')} */
const { runSeed, availableFeatures } = await import(bundle)
const available = await availableFeatures()

port.on('message', async (/** @type {{ seed: number, commands?: number }} */ { seed, commands }) => {
  const { options, ...result } = await runSeed(seed, { available, commands })
  port.postMessage({ ...result, features: options.features })
})
