/**
 * The one who writes, on the connection that it is given: batches into the journal, the journal into the tables, the
 * write-ahead file into the database. It works on whichever thread it is called; there is never more than one at work.
 */
import { seal } from './batch-packer.js'
import type { Database, Statement } from './driver.js'
import { Folder, type FoldResult } from './fold.js'
import { JournalWriter } from './journal.js'
import type { Retention } from './retention.js'
import type { StartMarks } from './start-marks.js'
import type { Step, StepDone } from './thread-orders.js'
import { inTransaction } from './transaction.js'

export class Committer {
  readonly #database: Database
  readonly #journal: JournalWriter
  readonly #folder: Folder
  readonly #marks: StartMarks
  readonly #checkpoint: Statement
  readonly #truncate: Statement

  constructor(database: Database, marks: StartMarks) {
    this.#database = database
    this.#journal = new JournalWriter(database)
    this.#folder = new Folder(database)
    this.#marks = marks
    this.#checkpoint = database.prepare('PRAGMA wal_checkpoint(PASSIVE)')
    this.#truncate = database.prepare('PRAGMA wal_checkpoint(TRUNCATE)')
  }

  write(number: number, bytes: Uint8Array): void {
    seal(bytes)
    inTransaction(this.#database, () => this.#journal.append(number, bytes))
    this.#marks.answered(number)
  }

  fold(retention: Retention, now: number): FoldResult {
    return this.#folder.fold(retention, now)
  }

  /** One step of what is done between writes. */
  obey(step: Step): StepDone {
    if (step.kind === 'compact') return this.compact(step.pages)
    if (step.kind === 'checkpoint') return { value: this.checkpoint(), batches: 0, more: false }
    const { changes, batches, isDone } = this.fold(step.retention, step.now)
    return { value: changes, batches, more: !isDone }
  }

  /** Until the journal is empty. */
  foldAll(retention: Retention, now: number): void {
    let isDone = false
    while (!isDone) isDone = this.fold(retention, now).isDone
  }

  /** Moves the write-ahead file into the database as far as readers allow. Says how many pages of it are left to move. */
  checkpoint(isLast = false): number {
    const [, pages = 0, moved = 0] = (isLast ? this.#truncate : this.#checkpoint).get() as readonly number[]
    return pages - moved
  }

  /** Gives some free pages back to the file system. Says how many are left. */
  compact(pages: number): StepDone {
    this.#database.exec(`PRAGMA incremental_vacuum(${pages})`)
    const left = Number(this.#database.prepare('PRAGMA freelist_count').get()?.[0])
    return { value: left, batches: 0, more: left > 0 }
  }
}
