/** Threads that run seeds side by side, each replaced when it does not answer in time: a bug may make a seed run for ever. */
import { availableParallelism } from 'node:os'
import { pathToFileURL } from 'node:url'
import { Worker } from 'node:worker_threads'

/** @typedef {import('./worker.mjs').Answer} Answer */

/** Longest that one seed may take, in real time. */
const LIMIT_MS = 60_000

export const crewSize = availableParallelism()

/** @param {string} bundle */
const newWorker = (bundle) =>
  new Worker(new URL('./worker.mjs', import.meta.url), { workerData: { bundle: pathToFileURL(bundle).href } })

/** A seed that has broken an invariant has shown what it can: it is not waited for much longer. */
const LIMIT_AFTER_VIOLATION_MS = 5000

/**
 * The answer for a seed that gave none.
 *
 * @param {number} seed
 * @param {Answer['violations']} violations
 * @returns {Answer}
 */
const noAnswer = (seed, violations) => {
  const nothing = { hash: '', commands: 0, events: 0, starts: 0, virtualMs: 0, features: [] }
  return { seed, violations, ...nothing }
}

/**
 * @param {Worker} worker
 * @param {import('./worker.mjs').Order} order
 * @param {number} limitMs
 * @returns {Promise<Answer>}
 */
function ask(worker, order, limitMs) {
  return new Promise((resolve) => {
    /** @type {Answer['violations']} */
    const violations = []
    const end = (/** @type {Answer} */ answer) => {
      clearTimeout(limit)
      worker.off('message', onMessage).off('error', onError)
      resolve(answer)
    }
    const fail = (/** @type {string} */ text) =>
      end(noAnswer(order.seed, [...violations, { invariant: 'I8', text, at: 0 }]))
    const wait = (/** @type {number} */ ms) => setTimeout(() => fail(`no answer within ${ms / 1000} s`), ms)
    const onError = (/** @type {Error} */ error) => fail(`the thread ended: ${String(error.stack ?? error)}`)
    const onMessage = (/** @type {Answer | { violation: Answer['violations'][number] }} */ message) => {
      if ('violation' in message) {
        if (violations.push(message.violation) > 1) return
        clearTimeout(limit)
        limit = wait(LIMIT_AFTER_VIOLATION_MS)
      } else end(message)
    }
    let limit = wait(limitMs)
    worker.on('message', onMessage).on('error', onError)
    worker.postMessage(order)
  })
}

/**
 * Runs seeds until none is left or `onAnswer` answers false. Seeds are taken one at a time, so a long one holds up no other.
 *
 * @param {string} bundle
 * @param {Iterable<number>} seeds
 * @param {(answer: Answer) => boolean | void} onAnswer
 * @param {{ commands?: number | undefined, storage?: 'only' | 'none' | undefined, size?: number, limitMs?: number }} [settings]
 */
export async function runSeeds(bundle, seeds, onAnswer, settings = {}) {
  const { commands, storage, size = crewSize, limitMs = LIMIT_MS } = settings
  const left = seeds[Symbol.iterator]()
  let goesOn = true
  async function work() {
    let worker = newWorker(bundle)
    for (let next = left.next(); goesOn && !next.done; next = left.next()) {
      const answer = await ask(worker, { seed: next.value, commands, storage }, limitMs)
      if (onAnswer(answer) === false) goesOn = false
      if (answer.hash === '') {
        await worker.terminate()
        worker = newWorker(bundle)
      }
    }
    await worker.terminate()
  }
  await Promise.all(Array.from({ length: size }, work))
}
