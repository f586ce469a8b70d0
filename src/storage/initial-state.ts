/** A new file gets its tables and its identity; an older one the tables of today. */
import type { Random } from '../core/index.js'
import type { Database } from './driver.js'
import { corrupt } from './failure.js'
import { type Meta, readMeta, writeMeta } from './meta.js'
import { migrate, versionOf } from './migrations.js'
import { inTransaction } from './transaction.js'

export function initialise(database: Database, random: Random): Meta {
  const before = versionOf(database)
  migrate(database)
  if (database.prepare('SELECT one FROM meta').get() === undefined) {
    // a process that died between the tables and their first row has written nothing else
    if (database.prepare('SELECT 1 FROM journal UNION ALL SELECT 1 FROM names LIMIT 1').get() !== undefined) {
      throw corrupt('The file has lost what it says of itself')
    }
    const identity = newIdentity(random)
    inTransaction(database, () =>
      writeMeta(database, {
        identity,
        prefix: null,
        reserved: 0,
        highest: 0,
        folded: 0,
        settled: 0,
        hotRows: 0,
        settledRows: 0,
      }),
    )
  }
  // in the database itself: whatever becomes of the write-ahead file, it is known whose commits are missing
  if (before < versionOf(database)) database.prepare('PRAGMA wal_checkpoint(TRUNCATE)').get()
  return readMeta(database)
}

/** Tells a file from its copies. */
export function newIdentity(random: Random): string {
  let text = ''
  while (text.length < 20) text += Math.floor(random.next() * 36).toString(36)
  return text
}
