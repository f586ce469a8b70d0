// @ts-check
/** The queue itself on `LocalStorage`, from `dist`: `full` where commits are synced, `relaxed` where they are not. */
import { defaultLanes, QueueManager } from '@a3s-lab/lane'
import { LocalStorage } from '@a3s-lab/lane/storage'
import { never, PAYLOAD } from './subject.mjs'

const COMMAND = { type: 'bench', payload: PAYLOAD }

/**
 * @param {Pick<import('./subject.mjs').Place, 'path' | 'isSynced'>} place
 * @param {{ concurrency: number, isPaused?: boolean, handler: () => Promise<unknown> }} how
 */
async function startedQueue({ path, isSynced }, { concurrency, isPaused = false, handler }) {
  const storage = await LocalStorage.open({ path, durability: isSynced ? 'full' : 'relaxed' })
  const lanes = { ...defaultLanes(), bench: { priority: 3, maxConcurrency: concurrency } }
  const queue = new QueueManager({ lanes, storage })
  if (isPaused) queue.lane('bench').pause()
  queue.handle('bench', handler)
  await queue.start()
  return queue
}

const echo = async () => PAYLOAD

/** @type {import('./subject.mjs').StorageSubject} */
export default {
  name: 'lane',

  async open({ path, isSynced, inFlight }) {
    const queue = await startedQueue({ path, isSynced }, { concurrency: inFlight, handler: echo })
    return {
      async run(count) {
        let left = count
        const one = async () => {
          while (left-- > 0) await queue.submit('bench', COMMAND)
        }
        await Promise.all(Array.from({ length: inFlight }, one))
      },
    }
  },

  async fill(path, waiting) {
    const queue = await startedQueue({ path, isSynced: false }, { concurrency: 1, isPaused: true, handler: echo })
    const portion = 10_000
    for (let submitted = 0; submitted < waiting; submitted += portion) {
      const runs = queue.submitBatch('bench', new Array(portion).fill(COMMAND))
      await Promise.all(runs.map(({ accepted }) => accepted))
    }
    await queue.close()
  },

  firstStart(path) {
    return new Promise((resolve, reject) => {
      const handler = () => {
        resolve()
        return never()
      }
      startedQueue({ path, isSynced: true }, { concurrency: 1, handler }).catch(reject)
    })
  },

  async accept(place, count) {
    const queue = await startedQueue(place, { concurrency: 1, isPaused: true, handler: echo })
    /** @type {Promise<unknown>[]} */
    const accepted = []
    for (let i = 0; i < count; i++) accepted.push(queue.submit('bench', COMMAND).accepted)
    await Promise.all(accepted)
  },
}
