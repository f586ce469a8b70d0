/**
 * The journal in the file: one row per batch, in the order in which they were written. Each row names the one before it,
 * so that a row that is lost is noticed.
 */
import { BatchView } from './batch-view.js'
import type { Database, Row, Statement } from './driver.js'
import { corrupt } from './failure.js'

/** A batch of the journal. */
export type JournalRow = { readonly number: number; readonly view: BatchView }

/** Appends batches, in transactions of the caller's. */
export class JournalWriter {
  readonly #insert: Statement

  constructor(database: Database) {
    this.#insert = database.prepare(
      `INSERT INTO journal (number, after, batch)
       VALUES (?, coalesce((SELECT max(number) FROM journal), (SELECT folded FROM meta WHERE one = 1)), ?)`,
    )
  }

  append(number: number, bytes: Uint8Array): void {
    this.#insert.run(number, bytes)
  }
}

/** How many rows are read at a time: a reader may stop after any of them. */
const CHUNK = 16

export class JournalReader {
  readonly #select: Statement

  constructor(database: Database) {
    this.#select = database.prepare(
      `SELECT number, after, batch FROM journal WHERE number > ? ORDER BY number LIMIT ${CHUNK}`,
    )
  }

  /** The batches after one of them. `STORAGE_CORRUPT` when one is damaged or missing. */
  *after(number: number): Iterable<JournalRow> {
    let last = number
    for (;;) {
      const rows = this.#select.all(last)
      for (const row of rows) {
        const [next, after, bytes] = row as Row & [number, number, Uint8Array]
        if (after !== last) throw corrupt('A batch of the journal is missing')
        last = next
        yield { number: next, view: new BatchView(bytes) }
      }
      if (rows.length < CHUNK) return
    }
  }
}
