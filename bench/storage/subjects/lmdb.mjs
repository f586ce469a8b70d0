// @ts-check
/**
 * lmdb, a store and no queue: what a commit of a thousand puts costs in another engine. Each transaction puts new commands and
 * overwrites those of the one before with their results, as the pipelined limit does. Synced: every transaction is awaited until
 * `flushed`. Not synced: `noSync`, awaited until committed, which survives a crash of the process.
 */
import { open } from 'lmdb'
import { PAYLOAD } from './subject.mjs'

/** @type {import('./subject.mjs').StorageSubject} */
export default {
  name: 'lmdb',

  open({ path, isSynced, inFlight }) {
    const store = open({ path, noSync: !isSynced })
    const size = inFlight
    let next = 1
    const turn = async (isFirst = false) => {
      const first = next
      next += size
      let last
      for (let seq = first; seq < next; seq++) last = store.put(seq, { payload: PAYLOAD })
      if (!isFirst) {
        for (let seq = first - size; seq < first; seq++) last = store.put(seq, { payload: PAYLOAD, result: PAYLOAD })
      }
      await last
      if (isSynced) await store.flushed
    }
    const begun = turn(true)
    return {
      async run(count) {
        await begun
        for (let done = 0; done < count; done += size) await turn()
      },
    }
  },
}
