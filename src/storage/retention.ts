/** Which settled commands are kept: the newest ones that are not too old, and those whose dedupe id still keeps others out. */
import type { StorageUse } from '../core/index.js'
import type { Database, Statement } from './driver.js'

export type Retention = StorageUse['retention']

/** What is settled, as of an instant. */
export type RetentionView = {
  readonly retention: Retention
  readonly now: number
  /** Outcomes that there were. */
  readonly settled: number
}

export const KEEPS_ALL: Retention = { count: Number.POSITIVE_INFINITY, ageMs: Number.POSITIVE_INFINITY }

type Settled = { readonly order: number; readonly endedAt: number; readonly keepUntil: number | null }

export function isKept({ order, endedAt, keepUntil }: Settled, { retention, now, settled }: RetentionView): boolean {
  if (keepUntil !== null && keepUntil > now) return true
  return order > settled - retention.count && endedAt >= now - retention.ageMs
}

/** Deletes rows of settled commands that are kept no longer. */
export class Sweeper {
  readonly #byCount: Statement
  readonly #byAge: Statement
  readonly #oldest: Statement
  readonly #kept: Statement

  constructor(database: Database) {
    const oldest = 'SELECT seq FROM commands WHERE settled IS NOT NULL AND keep_until IS NULL'
    this.#byCount = database.prepare(
      `DELETE FROM commands WHERE seq IN (${oldest} AND settled <= ? ORDER BY settled LIMIT ?)`,
    )
    this.#byAge = database.prepare(
      `DELETE FROM commands WHERE seq IN (SELECT seq FROM (SELECT seq, ended_at FROM commands
       WHERE settled IS NOT NULL AND keep_until IS NULL ORDER BY settled LIMIT ?) WHERE ended_at < ?)`,
    )
    this.#oldest = database.prepare(
      'SELECT ended_at FROM commands WHERE settled IS NOT NULL AND keep_until IS NULL ORDER BY settled LIMIT 1',
    )
    this.#kept = database.prepare(
      `DELETE FROM commands WHERE seq IN (SELECT seq FROM commands WHERE keep_until IS NOT NULL AND keep_until <= ?
       AND (settled <= ? OR ended_at < ?) LIMIT ?)`,
    )
  }

  /** Of each kind at most `limit` rows. Says how many it were. */
  sweep({ retention, now, settled }: RetentionView, limit: number): number {
    const last = lowest(settled - retention.count)
    const oldest = lowest(now - retention.ageMs)
    let swept = this.#kept.run(now, last, oldest, limit)
    if (last > 0) swept += this.#byCount.run(last, limit)
    // in the order of their outcomes: when the first is young enough, all are
    if (oldest > 0 && Number(this.#oldest.get()?.[0] ?? now) < oldest) swept += this.#byAge.run(limit, oldest)
    return swept
  }
}

/** SQLite has no infinity among its integers. */
const lowest = (value: number): number => Math.max(value, 0)
