/** The tables of commands, hot and cold: one command at a time, in transactions of the caller's. */
import { ColdCounts } from './cold-counts.js'
import {
  fromRow,
  type KnownCommand,
  OUTCOME_COLUMNS,
  OUTCOME_COUNT,
  SHARED_COLUMNS,
  SHARED_COUNT,
  toRow,
} from './command-rows.js'
import type { Database, Statement } from './driver.js'
import type { Meta } from './meta.js'
import { Names } from './names.js'

const places = (count: number): string => Array.from({ length: count }, () => '?').join(', ')

export class CommandTable {
  /** How many rows of hot commands and of settled ones there are more than at the beginning. */
  hotRows = 0
  settledRows = 0
  readonly #names: Names
  readonly #coldCounts: ColdCounts
  readonly #select: Statement
  readonly #insert: Statement
  readonly #remove: Statement
  readonly #dropHot: Statement
  readonly #selectCold: Statement
  readonly #insertCold: Statement
  readonly #removeCold: Statement

  constructor(database: Database) {
    this.#names = new Names(database)
    this.#coldCounts = new ColdCounts(database, this.#names)
    const all = `${SHARED_COLUMNS}, ${OUTCOME_COLUMNS}`
    this.#select = database.prepare(`SELECT ${all} FROM commands WHERE seq = ?`)
    this.#insert = database.prepare(
      `INSERT OR REPLACE INTO commands (${all}) VALUES (${places(SHARED_COUNT + OUTCOME_COUNT)})`,
    )
    this.#remove = database.prepare('DELETE FROM commands WHERE seq = ?')
    this.#dropHot = database.prepare('DELETE FROM commands WHERE seq = ? AND settled IS NULL')
    this.#selectCold = database.prepare(`SELECT ${SHARED_COLUMNS} FROM cold WHERE seq = ?`)
    this.#insertCold = database.prepare(
      `INSERT OR REPLACE INTO cold (${SHARED_COLUMNS}) VALUES (${places(SHARED_COUNT)})`,
    )
    this.#removeCold = database.prepare('DELETE FROM cold WHERE seq = ?')
  }

  /** Hot, cold or settled. */
  find(seq: number): KnownCommand | undefined {
    const row = this.#select.get(seq) ?? this.#selectCold.get(seq)
    return row === undefined ? undefined : fromRow(this.#names, row)
  }

  put(command: KnownCommand): void {
    const row = toRow(this.#names, command)
    if (!command.isCold) {
      this.#insert.run(...row)
      return this.#count(command, 1)
    }
    this.#insertCold.run(...row)
    this.#coldCounts.add(command.submit, 1)
  }

  /** An unsettled one; a settled one stays. */
  drop(seq: number): void {
    if (this.#dropHot.run(seq) > 0) this.hotRows--
    else this.#removeFromCold(seq)
  }

  /** One that was found. */
  remove(command: KnownCommand): void {
    if (command.isCold) return this.#removeFromCold(command.seq)
    this.#remove.run(command.seq)
    this.#count(command, -1)
  }

  /** To be called before the end of the transaction: the counts of cold commands, and what the facts of the file become. */
  finish(meta: Meta): Meta {
    this.#coldCounts.write()
    const counted = {
      ...meta,
      hotRows: meta.hotRows + this.hotRows,
      settledRows: meta.settledRows + this.settledRows,
    }
    this.hotRows = 0
    this.settledRows = 0
    return counted
  }

  /** After a transaction that was rolled back. */
  forget(): void {
    this.hotRows = 0
    this.settledRows = 0
    this.#names.forget()
    this.#coldCounts.forget()
  }

  #count({ outcome }: KnownCommand, by: number): void {
    if (outcome === undefined) this.hotRows += by
    else this.settledRows += by
  }

  #removeFromCold(seq: number): void {
    const cold = this.#selectCold.get(seq)
    if (cold === undefined) return
    this.#removeCold.run(seq)
    this.#coldCounts.add(fromRow(this.#names, cold).submit, -1)
  }
}
