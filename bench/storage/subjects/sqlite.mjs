// @ts-check
/**
 * The limit: better-sqlite3 and nothing else. A table, a command is inserted in one commit and its result recorded in
 * another; nothing runs in between. No queue that records both can be faster on this thread.
 */
import Database from 'better-sqlite3'
import { PAYLOAD_TEXT } from './subject.mjs'

/**
 * @param {import('./subject.mjs').Place} place
 */
function prepared({ path, isSynced }) {
  const database = new Database(path)
  database.pragma('journal_mode = WAL')
  database.pragma(`synchronous = ${isSynced ? 'FULL' : 'NORMAL'}`)
  database.exec('CREATE TABLE commands (seq INTEGER PRIMARY KEY, payload TEXT, result TEXT) STRICT')
  const insert = database.prepare('INSERT INTO commands (seq, payload) VALUES (?, ?)')
  const record = database.prepare('UPDATE commands SET result = ? WHERE seq = ?')
  let next = 1
  /** @param {number} count */
  const submit = (count) => {
    for (let i = 0; i < count; i++) insert.run(next++, PAYLOAD_TEXT)
  }
  /** @param {number} count  of those before the last `behind` */
  const settle = (count, behind = 0) => {
    const first = next - count - behind
    for (let i = 0; i < count; i++) record.run(PAYLOAD_TEXT, first + i)
  }
  return { database, submit, settle }
}

/**
 * Two commits for every `size` commands.
 *
 * @param {string} name
 * @param {number} size
 * @returns {import('./subject.mjs').StorageSubject}
 */
export const inSteps = (name, size) => ({
  name,
  open(place) {
    const { database, submit, settle } = prepared(place)
    const insertAll = database.transaction(() => submit(size))
    const settleAll = database.transaction(() => settle(size))
    return {
      async run(count) {
        for (let done = 0; done < count; done += size) {
          insertAll()
          settleAll()
        }
      },
    }
  },
})

/**
 * One commit for every `size` commands: it inserts them and records those of the commit before.
 *
 * @param {string} name
 * @param {number} size
 * @returns {import('./subject.mjs').StorageSubject}
 */
export const pipelined = (name, size) => ({
  name,
  open(place) {
    const { database, submit, settle } = prepared(place)
    const both = database.transaction(() => {
      submit(size)
      settle(size, size)
    })
    database.transaction(() => submit(size))()
    return {
      async run(count) {
        for (let done = 0; done < count; done += size) both()
      },
    }
  },
})

export default inSteps('sqlite', 1)
