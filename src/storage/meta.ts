/** The one row of facts about the file. Read and written as a whole, with its checksum. */
import { sumOfValues } from './checksum.js'
import type { Database, Row } from './driver.js'
import { corrupt } from './failure.js'

export type Meta = {
  /** Random; another one for each copy. */
  readonly identity: string
  /** Prefix of the ids that are made of numbers; null until a queue has used it. */
  readonly prefix: string | null
  /** No number from here on was ever given out. */
  readonly reserved: number
  /** The highest number that was folded. */
  readonly highest: number
  /** Number of the last batch that is in the tables. */
  readonly folded: number
  /** How many outcomes are in the tables or were: the last one's number. */
  readonly settled: number
  /** Rows of hot unsettled commands, of settled ones. */
  readonly hotRows: number
  readonly settledRows: number
}

const COLUMNS = 'identity, prefix, reserved, highest, folded, settled, hot_rows, settled_rows'

const valuesOf = (meta: Meta) =>
  [
    meta.identity,
    meta.prefix,
    meta.reserved,
    meta.highest,
    meta.folded,
    meta.settled,
    meta.hotRows,
    meta.settledRows,
  ] as const

type Seven = [number, number, number, number, number, number, number]

export function readMeta(database: Database): Meta {
  const row = database.prepare(`SELECT ${COLUMNS}, sum FROM meta WHERE one = 1`).get()
  if (row === undefined) throw corrupt('The file has lost what it says of itself')
  const [identity, prefix, ...numbers] = row as Row & [string, string | null, ...number[]]
  const [reserved, highest, folded, settled, hotRows, settledRows, sum] = numbers as Seven
  const meta: Meta = { identity, prefix, reserved, highest, folded, settled, hotRows, settledRows }
  if (sumOfValues(valuesOf(meta)) !== sum) throw corrupt('What the file says of itself is damaged')
  return meta
}

export function writeMeta(database: Database, meta: Meta): void {
  const values = valuesOf(meta)
  database
    .prepare(`INSERT OR REPLACE INTO meta (one, ${COLUMNS}, sum) VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, ?)`)
    .run(...values, sumOfValues(values))
}
