/**
 * A queue begins to use the file: the journal of the process before is folded, its marks of attempts that had begun are
 * taken over, numbers are reserved. Each step may be repeated after a crash without being counted twice.
 */
import type { StorageHead, StorageUse, StoredStart } from '../core/index.js'
import { STATES, stateNumber } from './batch-format.js'
import { CommandTable } from './command-table.js'
import type { Committer } from './committer.js'
import type { Database } from './driver.js'
import { RESERVED_AHEAD } from './fold.js'
import { type Meta, readMeta, writeMeta } from './meta.js'
import type { StartMarks } from './start-marks.js'
import { inTransaction } from './transaction.js'

/** Queues number their commands from a multiple of this: 36². */
const SEQ_STEP = 1296

export type Attachment = {
  readonly head: StorageHead
  /** Number of the last batch that was written. */
  readonly lastBatch: number
}

export function takeUse(database: Database, committer: Committer, marks: StartMarks, use: StorageUse): Attachment {
  committer.foldAll(use.retention, use.now())
  const { starts } = marks.read()
  // whatever the durability: a number that was reserved must not be given out again after a power loss
  const before = database.prepare('PRAGMA synchronous').get()?.[0]
  database.exec('PRAGMA synchronous = FULL')
  try {
    const attachment = inTransaction(database, () => {
      const meta = takeStarts(database, starts)
      const prefix = meta.prefix ?? use.idPrefix
      const nextSeq = Math.ceil(Math.max(meta.reserved, meta.highest + 1) / SEQ_STEP) * SEQ_STEP
      writeMeta(database, { ...meta, prefix, reserved: nextSeq + RESERVED_AHEAD })
      return { head: { idPrefix: prefix, nextSeq }, lastBatch: meta.folded }
    })
    // from here on its places belong to this process; without its head nothing in the file would count
    marks.clear()
    marks.answered(attachment.lastBatch)
    return attachment
  } finally {
    database.exec(`PRAGMA synchronous = ${String(before)}`)
  }
}

const ACTIVE = stateNumber('active')
const FIRST_FINAL = STATES.indexOf('completed')

/** A queue has ended in good order: what has begun and not ended stands in the tables, and no marks are needed. */
export function endUse(database: Database, marks: StartMarks): void {
  const { starts } = marks.read()
  if (starts.length > 0) inTransaction(database, () => writeMeta(database, takeStarts(database, starts)))
  marks.clear()
}

/** What had begun and is not settled was active, with the attempt that had begun. */
function takeStarts(database: Database, starts: readonly StoredStart[]): Meta {
  const table = new CommandTable(database)
  for (const { seq, attempt } of starts) {
    const known = table.find(seq)
    if (known === undefined || known.progress.state >= FIRST_FINAL || known.progress.attempt >= attempt) continue
    const progress = { ...known.progress, state: ACTIVE, attempt }
    table.remove(known)
    table.put({ ...known, progress, isCold: false })
  }
  return table.finish(readMeta(database))
}
