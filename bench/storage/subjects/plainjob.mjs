// @ts-check
/**
 * plainjob sets `synchronous = 1` (NORMAL) itself when a queue is defined, and has no option for it: its commits survive a
 * crash of the process, not a power loss. It is used at its best: added in batches by `addMany`, half of what is under way at a
 * time, and never let run empty, because an idle worker sleeps.
 */
import Database from 'better-sqlite3'
import { better, defineQueue, defineWorker } from 'plainjob'
import { never, PAYLOAD } from './subject.mjs'

const nothing = () => undefined
const logger = { error: nothing, warn: nothing, info: nothing, debug: nothing }
const TYPE = 'bench'

/** @param {string} path */
const queueOn = (path) => defineQueue({ connection: better(new Database(path)), logger })

/** @type {import('./subject.mjs').StorageSubject} */
export default {
  name: 'plainjob',

  open({ path, isSynced, inFlight }) {
    if (isSynced) throw new Error('plainjob does not sync its commits')
    const queue = queueOn(path)
    const portion = Math.max(1, Math.floor(inFlight / 2))
    /** @param {number} count */
    const run = (count) =>
      new Promise((resolve) => {
        let added = 0
        let done = 0
        const add = (/** @type {number} */ wanted) => {
          const some = Math.min(wanted, count - added)
          added += some
          if (some > 0) queue.addMany(TYPE, new Array(some).fill(PAYLOAD))
        }
        const onCompleted = () => {
          done++
          if (done % portion === 0) add(portion)
          if (done === count) worker.stop().then(resolve)
        }
        const worker = defineWorker(TYPE, async () => undefined, { queue, logger, pollIntervall: 1, onCompleted })
        add(inFlight)
        worker.start()
      })
    return { run }
  },

  async fill(path, waiting) {
    const queue = queueOn(path)
    const portion = 10_000
    for (let added = 0; added < waiting; added += portion) queue.addMany(TYPE, new Array(portion).fill(PAYLOAD))
    queue.close()
  },

  firstStart(path) {
    const queue = queueOn(path)
    return new Promise((resolve) => {
      // the worker never lets go of the loop while work waits: what is measured is over when its first body begins
      const body = () => {
        resolve()
        return never()
      }
      defineWorker(TYPE, body, { queue, logger }).start()
    })
  },
}
