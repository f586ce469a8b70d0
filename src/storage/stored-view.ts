/**
 * What is stored, as of the last commit: the tables, and on top of them what the journal says that is not folded yet. The
 * journal is read once; each look takes in what has come since, and all of one look sees the same commit.
 */
import type { ColdCount, ColdPage, StoredCommand, StoredLetter, StoredQuery } from '../core/index.js'
import { BURY, STATES, stateNumber } from './batch-format.js'
import { ColdCountReader } from './cold-counts.js'
import { ColdPages, type Overlay } from './cold-pages.js'
import { fromRow, type KnownCommand, OUTCOME_COLUMNS, SHARED_COLUMNS, toStored, withChanges } from './command-rows.js'
import type { Database, Statement } from './driver.js'
import { JournalReader } from './journal.js'
import { toLetter } from './letters.js'
import { readMeta } from './meta.js'
import { Names } from './names.js'
import { NetChanges } from './net-changes.js'
import { isKept, KEEPS_ALL, type Retention, type RetentionView } from './retention.js'
import { toColumn } from './text-column.js'
import { unsettledIn } from './unsettled.js'

/** Rows that are read at a time where a reader may want them all. */
const CHUNK = 1000

export class StoredView {
  readonly #database: Database
  readonly #journal: JournalReader
  readonly #names: Names
  readonly #counts: ColdCountReader
  readonly #pages: ColdPages
  readonly #head: Statement
  readonly #command: Statement
  readonly #cold: Statement
  readonly #byId: Statement
  readonly #letters: Statement
  readonly #lists = new Map<string, Statement>()
  #retention: Retention = KEEPS_ALL
  #now: () => number = () => 0
  readonly #isUnsettled: (seq: number) => boolean
  #net: NetChanges
  #folded = -1
  #seen = -1

  constructor(database: Database) {
    this.#database = database
    this.#journal = new JournalReader(database)
    this.#isUnsettled = unsettledIn(database)
    this.#net = new NetChanges(0, this.#isUnsettled)
    this.#names = new Names(database)
    this.#counts = new ColdCountReader(database, this.#names)
    this.#pages = new ColdPages(database, this.#names)
    this.#head = database.prepare('SELECT folded, settled FROM meta WHERE one = 1')
    this.#command = database.prepare(`SELECT ${SHARED_COLUMNS}, ${OUTCOME_COLUMNS} FROM commands WHERE seq = ?`)
    this.#cold = database.prepare(`SELECT ${SHARED_COLUMNS} FROM cold WHERE seq = ?`)
    this.#byId = database.prepare('SELECT seq FROM commands WHERE id = ? UNION ALL SELECT seq FROM cold WHERE id = ?')
    this.#letters = database.prepare('SELECT number, seq, failed_at, letter, sum FROM letters ORDER BY number')
  }

  /** From now on settled commands are shown as this says. */
  use(retention: Retention, now: () => number): void {
    this.#retention = retention
    this.#now = now
  }

  find(which: number | string): StoredCommand | undefined {
    return this.#look(() => {
      const known = typeof which === 'number' ? this.#known(which) : this.#newestOf(which)
      return known !== undefined && this.#isShown(known) ? toStored(known) : undefined
    })
  }

  list(query: StoredQuery): StoredCommand[] {
    return this.#look(() => {
      const found: StoredCommand[] = []
      let from = query.fromSeq
      while (found.length < query.limit) {
        const { commands, next } = this.#chunk(from, query, Math.min(CHUNK, query.limit))
        for (const known of commands) {
          if (found.length < query.limit && isWanted(known, query) && this.#isShown(known)) found.push(toStored(known))
        }
        if (next === undefined) break
        from = next
      }
      return found
    })
  }

  /** Hot commands, and settled ones that are kept for their dedupe id; read in portions. */
  *load(): Iterable<StoredCommand> {
    let from: number | undefined = 0
    while (from !== undefined) {
      const start: number = from
      const { commands, next } = this.#look(() => this.#chunk(start, HOT, CHUNK))
      const now = this.#now()
      for (const known of commands) {
        const { outcome } = known
        if (outcome === undefined || (outcome.keepUntil ?? 0) > now) yield toStored(known)
      }
      from = next
    }
  }

  coldCounts(): ColdCount[] {
    return this.#look(() => {
      const counts = this.#counts.read()
      return this.#net.commands.size === 0 ? counts : this.#pages.recount(counts, this.#overlay())
    })
  }

  page(which: ColdPage): StoredCommand[] {
    return this.#look(() => this.#pages.read(which, this.#overlay()).map(toStored))
  }

  letters(): StoredLetter[] {
    return this.#look(() => this.#allLetters())
  }

  /** How much there is, without counting it. */
  counts(): StoredCounts {
    return this.#look(() => {
      const { hotRows, settledRows } = readMeta(this.#database)
      const stored = this.#counts.read()
      const cold = sum(this.#net.commands.size === 0 ? stored : this.#pages.recount(stored, this.#overlay()))
      let unsettled = hotRows + sum(stored)
      let settled = settledRows
      for (const { submit, outcome, isWithdrawn } of this.#net.commands.values()) {
        if (outcome !== undefined) settled++
        if (submit !== undefined && outcome === undefined && !isWithdrawn) unsettled++
        else if (submit === undefined && (outcome !== undefined || isWithdrawn)) unsettled--
      }
      const kept = Math.min(settled, this.#retention.count)
      return { commands: { hot: unsettled - cold, cold, settled: kept }, deadLetters: this.#allLetters().length }
    })
  }

  /** One look: nothing that is written meanwhile is seen in a part of it. */
  #look<T>(read: () => T): T {
    this.#database.begin('read')
    try {
      this.#refresh()
      return read()
    } finally {
      this.#database.rollBack()
    }
  }

  #refresh(): void {
    const [folded, settled] = this.#head.get() as readonly [number, number]
    if (folded !== this.#folded) {
      this.#net = new NetChanges(settled, this.#isUnsettled)
      this.#folded = folded
      this.#seen = folded
    }
    for (const { number, view } of this.#journal.after(this.#seen)) {
      this.#net.add(view)
      this.#seen = number
    }
  }

  #allLetters(): StoredLetter[] {
    const letters = new Map(
      this.#letters
        .all()
        .map(toLetter)
        .map((letter) => [letter.seq, letter]),
    )
    for (const change of this.#net.letters) {
      letters.delete(change.seq)
      if (change.kind === BURY) letters.set(change.seq, { seq: change.seq, ...change.view.letter(change) })
    }
    return [...letters.values()]
  }

  #overlay(): Overlay {
    return { net: this.#net, known: (seq) => this.#known(seq) }
  }

  #known(seq: number): KnownCommand | undefined {
    const net = this.#net.commands.get(seq)
    if (net?.submit !== undefined) return withChanges(seq, undefined, net)
    const row = this.#command.get(seq) ?? this.#cold.get(seq)
    return withChanges(seq, row === undefined ? undefined : fromRow(this.#names, row), net)
  }

  /** The newest command with this id: in the file there may be older ones. */
  #newestOf(id: string): KnownCommand | undefined {
    const column = toColumn(id)
    const numbers = this.#byId.all(column, column).map(([seq]) => seq as number)
    const newestFirst = [...numbers, ...(this.#net.ids.get(id) ?? [])].sort((one, other) => other - one)
    for (const seq of newestFirst) {
      const known = this.#known(seq)
      if (known?.submit.id === id) return known
    }
    return undefined
  }

  #isShown({ outcome, order }: KnownCommand): boolean {
    if (outcome === undefined) return true
    const { endedAt, keepUntil } = outcome
    return isKept({ order, endedAt, keepUntil }, this.#retentionView())
  }

  #retentionView(): RetentionView {
    return { retention: this.#retention, now: this.#now(), settled: this.#net.settled }
  }

  /** Commands from a number on, in order: some that may be wanted, and where to go on. */
  #chunk(from: number, filter: Filter, limit: number): { commands: KnownCommand[]; next: number | undefined } {
    const rows = this.#rows(from, filter, limit)
    const last = rows.length < limit ? Number.POSITIVE_INFINITY : (rows[rows.length - 1] as KnownCommand).seq
    const commands = rows.filter(({ seq }) => !this.#net.commands.has(seq))
    for (const [seq, net] of this.#net.commands) {
      if (seq < from || seq > last || net.isWithdrawn) continue
      const known = this.#known(seq)
      if (known !== undefined && !(filter.isHotOnly === true && known.isCold)) commands.push(known)
    }
    commands.sort((one, other) => one.seq - other.seq)
    return { commands, next: last === Number.POSITIVE_INFINITY ? undefined : last + 1 }
  }

  /** From the tables alone, with the filter as far as it goes there. */
  #rows(from: number, filter: Filter, limit: number): KnownCommand[] {
    const lane = filter.laneId === undefined ? undefined : this.#names.find(filter.laneId)
    if (filter.laneId !== undefined && lane === undefined) return []
    const conditions = ['seq >= ?']
    const values: number[] = [from]
    if (lane !== undefined) {
      conditions.push('lane = ?')
      values.push(lane)
    }
    if (filter.state !== undefined) {
      conditions.push('state = ?')
      values.push(stateNumber(filter.state))
    }
    const where = conditions.join(' AND ')
    const hot = this.#select(
      `SELECT ${SHARED_COLUMNS}, ${OUTCOME_COLUMNS} FROM commands WHERE ${where}${filter.isHotOnly === true ? ' AND (settled IS NULL OR keep_until IS NOT NULL)' : ''} ORDER BY seq LIMIT ?`,
    )
    const rows = hot.all(...values, limit).map((row) => fromRow(this.#names, row))
    if (filter.isHotOnly === true) return rows
    const cold = this.#select(`SELECT ${SHARED_COLUMNS} FROM cold WHERE ${where} ORDER BY seq LIMIT ?`)
    rows.push(...cold.all(...values, limit).map((row) => fromRow(this.#names, row)))
    return rows.sort((one, other) => one.seq - other.seq).slice(0, limit)
  }

  #select(sql: string): Statement {
    let statement = this.#lists.get(sql)
    if (statement === undefined) {
      statement = this.#database.prepare(sql)
      this.#lists.set(sql, statement)
    }
    return statement
  }
}

export type StoredCounts = {
  readonly commands: { readonly hot: number; readonly cold: number; readonly settled: number }
  readonly deadLetters: number
}

const sum = (counts: readonly ColdCount[]): number => counts.reduce((total, { count }) => total + count, 0)

type Filter = Pick<StoredQuery, 'laneId' | 'state'> & { readonly isHotOnly?: boolean }

const HOT: Filter = { laneId: undefined, state: undefined, isHotOnly: true }

function isWanted({ submit, progress, outcome }: KnownCommand, { laneId, state }: Filter): boolean {
  if (laneId !== undefined && submit.laneId !== laneId) return false
  return state === undefined || STATES[(outcome ?? progress).state] === state
}
