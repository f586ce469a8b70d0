/** Cold commands in the order in which they are to start, from their table and from the journal on top of it. */
import type { ColdCount, ColdPage } from '../core/index.js'
import type { SubmitFields } from './batch-view.js'
import { fromRow, type KnownCommand, SHARED_COLUMNS } from './command-rows.js'
import type { Database, Row, SqlValue, Statement } from './driver.js'
import type { Names } from './names.js'
import type { NetChanges } from './net-changes.js'
import { toColumn } from './text-column.js'

/** Which of the two kinds of rows: each kind has an index of its own. */
type Kind = 'plain' | 'keyed' | 'one key'

const CONDITIONS: Readonly<Record<Kind, string>> = {
  plain: 'lane = ? AND key IS NULL',
  keyed: 'lane = ? AND key IS NOT NULL',
  'one key': 'lane = ? AND key = ?',
}

export class ColdPages {
  readonly #database: Database
  readonly #names: Names
  readonly #one: Statement
  readonly #statements = new Map<string, Statement>()

  constructor(database: Database, names: Names) {
    this.#database = database
    this.#names = names
    this.#one = database.prepare(`SELECT ${SHARED_COLUMNS} FROM cold WHERE seq = ?`)
  }

  read(which: ColdPage, overlay: Overlay): KnownCommand[] {
    const compare = orderOf(which.lifo)
    const found = [...this.#stored(which, overlay.net), ...this.#inJournal(which, overlay, compare)]
    return found.sort((one, other) => compare(placeOf(one), placeOf(other))).slice(0, which.limit)
  }

  /** The counts of the table, with what the journal changes of them. */
  recount(counts: readonly ColdCount[], { net, known }: Overlay): ColdCount[] {
    const byLane = new Map<string, Map<string | null, number>>()
    const change = ({ laneId, key }: SubmitFields, by: number): void => {
      const lane = byLane.get(laneId) ?? new Map<string | null, number>()
      byLane.set(laneId, lane.set(key, (lane.get(key) ?? 0) + by))
    }
    for (const { laneId, key, count } of counts) {
      byLane.set(laneId, (byLane.get(laneId) ?? new Map<string | null, number>()).set(key ?? null, count))
    }
    for (const seq of net.commands.keys()) {
      const row = this.#one.get(seq)
      if (row !== undefined) change(fromRow(this.#names, row).submit, -1)
      const now = net.cold.has(seq) ? known(seq) : undefined
      if (now?.isCold === true) change(now.submit, 1)
    }
    return [...byLane].flatMap(([laneId, keys]) =>
      [...keys].filter(([, count]) => count > 0).map(([key, count]) => ({ laneId, key: key ?? undefined, count })),
    )
  }

  #stored(which: ColdPage, net: NetChanges): KnownCommand[] {
    const lane = this.#names.find(which.laneId)
    if (lane === undefined) return []
    if (which.key === null) return [...this.#kind('plain', lane, which, net), ...this.#kind('keyed', lane, which, net)]
    return this.#kind(which.key === undefined ? 'plain' : 'one key', lane, which, net)
  }

  /** As many as are wanted of one kind, without those that are not cold any more. */
  #kind(kind: Kind, lane: number, which: ColdPage, net: NetChanges): KnownCommand[] {
    const found: KnownCommand[] = []
    let after = which.after ?? beginning(which.lifo)
    while (found.length < which.limit) {
      const rows = this.#rows(kind, lane, which, after)
      for (const row of rows) {
        const [seq] = row as Row & [number]
        if (found.length < which.limit && !net.commands.has(seq)) found.push(fromRow(this.#names, row))
      }
      const last = rows[rows.length - 1] as (Row & { readonly 0: number; readonly 5: number }) | undefined
      if (last === undefined || rows.length < which.limit) break
      after = { priority: last[5], seq: last[0] }
    }
    return found
  }

  #rows(kind: Kind, lane: number, which: ColdPage, after: Place): readonly Row[] {
    const values: SqlValue[] = kind === 'one key' ? [lane, toColumn(which.key as string)] : [lane]
    // two ranges of one index: the rest of a priority, then the priorities below it
    const rest = this.#statement(kind, which.lifo ? 'priority = ? AND seq < ?' : 'priority = ? AND seq > ?', which.lifo)
    const first = rest.all(...values, after.priority, after.seq, which.limit)
    if (first.length === which.limit) return first
    const below = this.#statement(kind, 'priority > ?', which.lifo)
    return [...first, ...below.all(...values, after.priority, which.limit - first.length)]
  }

  #statement(kind: Kind, range: string, isLifo: boolean): Statement {
    const sql = `SELECT ${SHARED_COLUMNS} FROM cold WHERE ${CONDITIONS[kind]} AND ${range}
      ORDER BY priority, seq ${isLifo ? 'DESC' : 'ASC'} LIMIT ?`
    let statement = this.#statements.get(sql)
    if (statement === undefined) {
      statement = this.#database.prepare(sql)
      this.#statements.set(sql, statement)
    }
    return statement
  }

  /** The best of those that are cold by the journal: most are passed over by their place alone. */
  #inJournal(which: ColdPage, { net, known }: Overlay, compare: Order): KnownCommand[] {
    const places: Place[] = []
    const found: KnownCommand[] = []
    const isAfter = (place: Place): boolean => which.after === undefined || compare(place, which.after) > 0
    for (const seq of net.cold) {
      const submit = net.commands.get(seq)?.submit
      if (submit === undefined) {
        const command = known(seq)
        if (command?.isCold === true && isWanted(command, which) && isAfter(placeOf(command))) found.push(command)
        continue
      }
      const { laneId, priority } = submit.view.place(submit)
      const place = { priority, seq }
      if (laneId === which.laneId && isAfter(place)) places.push(place)
    }
    const enough = found.length + which.limit
    for (const { seq } of places.sort(compare)) {
      if (found.length >= enough) break
      const command = known(seq)
      if (command !== undefined && isWanted(command, which)) found.push(command)
    }
    return found
  }
}

/** What the journal says, and each command with it. */
export type Overlay = { readonly net: NetChanges; readonly known: (seq: number) => KnownCommand | undefined }

const isWanted = ({ submit }: KnownCommand, { laneId, key }: ColdPage): boolean =>
  submit.laneId === laneId && (key === null || submit.key === (key ?? null))

/** Where a command stands in its lane. */
type Place = { readonly priority: number; readonly seq: number }
type Order = (one: Place, other: Place) => number

const placeOf = ({ seq, submit }: KnownCommand): Place => ({ priority: submit.priority, seq })

const orderOf =
  (isLifo: boolean): Order =>
  (one, other) =>
    one.priority - other.priority || (isLifo ? other.seq - one.seq : one.seq - other.seq)

/** Before the first one. */
const beginning = (isLifo: boolean): Place => ({
  priority: Number.NEGATIVE_INFINITY,
  seq: isLifo ? Number.MAX_SAFE_INTEGER : 0,
})
