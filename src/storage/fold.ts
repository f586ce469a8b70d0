/**
 * Folds the oldest batches of the journal into the tables: what they come to, in one transaction with their removal. A
 * command that came and went within them leaves no row, so the busier a queue is, the less is done per command.
 */
import { BURY } from './batch-format.js'
import type { PackedChange } from './batch-view.js'
import { withChanges } from './command-rows.js'
import { CommandTable } from './command-table.js'
import type { Database, Statement } from './driver.js'
import { JournalReader } from './journal.js'
import { sumOfLetter } from './letters.js'
import { type Meta, readMeta, writeMeta } from './meta.js'
import { type NetChange, NetChanges } from './net-changes.js'
import { isKept, type Retention, type RetentionView, Sweeper } from './retention.js'
import { toColumn } from './text-column.js'
import { inTransaction } from './transaction.js'
import { unsettledIn } from './unsettled.js'

/** How much is folded in one transaction: other writes wait for it. */
const MOST_ROWS = 2000
const MOST_CHANGES = 65_536
const MOST_BYTES = 8 * 1024 * 1024
/** A batch of one change takes as long to read as a dozen changes of a large one. */
const MOST_BATCHES = 500

/** Numbers are reserved so many ahead: a crash loses at most these, and no number is given out twice. */
export const RESERVED_AHEAD = 36 ** 4

export type FoldResult = {
  /** Changes that have left the journal. */
  readonly changes: number
  readonly batches: number
  /** Whether the journal is empty now. */
  readonly isDone: boolean
}

export class Folder {
  readonly #database: Database
  readonly #journal: JournalReader
  readonly #table: CommandTable
  readonly #sweeper: Sweeper
  readonly #isUnsettled: (seq: number) => boolean
  readonly #bury: Statement
  readonly #unbury: Statement
  readonly #truncate: Statement

  constructor(database: Database) {
    this.#database = database
    this.#journal = new JournalReader(database)
    this.#table = new CommandTable(database)
    this.#sweeper = new Sweeper(database)
    this.#isUnsettled = unsettledIn(database)
    this.#bury = database.prepare(
      `INSERT INTO letters (number, seq, failed_at, letter, sum)
       VALUES ((SELECT coalesce(max(number), 0) + 1 FROM letters), ?, ?, ?, ?)`,
    )
    this.#unbury = database.prepare('DELETE FROM letters WHERE seq = ?')
    this.#truncate = database.prepare('DELETE FROM journal WHERE number <= ?')
  }

  /** Folds a portion: whole batches, the oldest first. */
  fold(retention: Retention, now: number): FoldResult {
    try {
      return inTransaction(this.#database, () => this.#fold(retention, now))
    } catch (error) {
      this.#table.forget()
      throw error
    }
  }

  #fold(retention: Retention, now: number): FoldResult {
    const meta = readMeta(this.#database)
    const net = new NetChanges(meta.settled, this.#isUnsettled)
    let folded = meta.folded
    let isDone = true
    let bytes = 0
    let batches = 0
    for (const { number, view } of this.#journal.after(meta.folded)) {
      const isEnough = net.rows > MOST_ROWS || net.changes > MOST_CHANGES || bytes > MOST_BYTES
      if (isEnough || batches >= MOST_BATCHES) {
        isDone = false
        break
      }
      net.add(view)
      bytes += view.byteLength
      batches++
      folded = number
    }
    const kept = { retention, now, settled: net.settled }
    for (const [seq, change] of net.commands) this.#apply(seq, change, meta, kept)
    for (const letter of net.letters) this.#applyLetter(letter)
    this.#table.settledRows -= this.#sweeper.sweep(kept, 2 * MOST_ROWS)
    if (folded > meta.folded) this.#truncate.run(folded)
    const after = this.#table.finish(advanced(meta, folded, net))
    writeMeta(this.#database, after)
    return { changes: net.changes, batches, isDone }
  }

  #apply(seq: number, change: NetChange, meta: Meta, kept: RetentionView): void {
    const { submit, outcome } = change
    const isDropped = outcome !== undefined && !isKept(settledOf(change, outcome), kept)
    if (isDropped && seq > meta.highest) return
    if (submit === undefined && (isDropped || change.isWithdrawn)) return this.#table.drop(seq)
    // a submit with a number that is there was written twice, since the first time was answered as if it had failed
    const before = submit === undefined || seq <= meta.highest ? this.#table.find(seq) : undefined
    const after = withChanges(seq, before, change)
    if (after === before) return
    if (before !== undefined) this.#table.remove(before)
    if (after !== undefined && !isDropped) this.#table.put(after)
  }

  #applyLetter(change: PackedChange): void {
    const { seq } = change
    this.#unbury.run(seq)
    if (change.kind !== BURY) return
    const { failedAt, letter } = change.view.letter(change)
    this.#bury.run(seq, failedAt, toColumn(letter), sumOfLetter(seq, failedAt, letter))
  }
}

const settledOf = ({ order }: NetChange, outcome: PackedChange) => ({
  order,
  endedAt: outcome.view.endedAt(outcome),
  keepUntil: outcome.view.keepUntil(outcome),
})

function advanced(meta: Meta, folded: number, net: NetChanges): Meta {
  const highest = Math.max(meta.highest, net.highest)
  const isNear = highest > meta.reserved - RESERVED_AHEAD / 2
  const reserved = isNear ? highest + RESERVED_AHEAD : meta.reserved
  return { ...meta, folded, highest, reserved, settled: net.settled }
}
