/**
 * How many cold commands there are for each lane and key: kept in the transactions that change it, so that nobody has to
 * count. Each count has a twin that goes the other way, so that damage shows.
 */
import type { ColdCount } from '../core/index.js'
import type { SubmitFields } from './batch-view.js'
import { sumOfValues } from './checksum.js'
import type { Database, Row, Statement } from './driver.js'
import { corrupt } from './failure.js'
import type { Names } from './names.js'
import { fromColumn, toColumn } from './text-column.js'

/** A key as part of a primary key, which knows no NULL. */
const keyColumn = (key: string | null): string => (key === null ? '' : `=${toColumn(key)}`)
const keyOf = (stored: string): string | null => (stored === '' ? null : fromColumn(stored.slice(1)))

type Change = { readonly laneId: string; readonly key: string | null; by: number }

export class ColdCounts {
  readonly #names: Names
  readonly #change: Statement
  readonly #clear: Statement
  readonly #changes = new Map<string, Map<string | null, Change>>()

  constructor(database: Database, names: Names) {
    this.#names = names
    this.#change = database.prepare(
      `INSERT INTO cold_counts (lane, key, count, twin, sum) VALUES (?, ?, ?, ?, ?)
       ON CONFLICT (lane, key) DO UPDATE SET count = count + excluded.count, twin = twin + excluded.twin`,
    )
    this.#clear = database.prepare('DELETE FROM cold_counts WHERE lane = ? AND key = ? AND count = 0 AND twin = 0')
  }

  add({ laneId, key }: SubmitFields, by: number): void {
    let keys = this.#changes.get(laneId)
    if (keys === undefined) {
      keys = new Map()
      this.#changes.set(laneId, keys)
    }
    const change = keys.get(key)
    if (change === undefined) keys.set(key, { laneId, key, by })
    else change.by += by
  }

  /** Writes what has changed, in the transaction that is open. */
  write(): void {
    for (const keys of this.#changes.values()) {
      for (const { laneId, key, by } of keys.values()) {
        if (by === 0) continue
        const lane = this.#names.numberOf(laneId)
        const column = keyColumn(key)
        this.#change.run(lane, column, by, -by, sumOfValues([laneId, key]))
        if (by < 0) this.#clear.run(lane, column)
      }
    }
    this.forget()
  }

  forget(): void {
    this.#changes.clear()
  }
}

/** All counts of the table. */
export class ColdCountReader {
  readonly #names: Names
  readonly #select: Statement

  constructor(database: Database, names: Names) {
    this.#names = names
    this.#select = database.prepare('SELECT lane, key, count, twin, sum FROM cold_counts ORDER BY lane, key')
  }

  read(): ColdCount[] {
    return this.#select.all().map((row) => {
      const [lane, column, count, twin, sum] = row as Row & [number, string, number, number, number]
      const laneId = this.#names.nameOf(lane)
      const key = keyOf(column)
      if (count <= 0 || twin !== -count || sumOfValues([laneId, key]) !== sum) {
        throw corrupt(`The count of waiting commands of lane ${laneId} is damaged`)
      }
      return { laneId, key: key ?? undefined, count }
    })
  }
}
