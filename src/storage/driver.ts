/**
 * SQLite as this folder sees it: statements with positional values and rows as arrays, whoever brings the library. Which
 * library that is, and whether it may be used at all, is decided here, before any file is touched.
 */
import { createRequire } from 'node:module'
import { versions } from 'node:process'
import type BetterSqlite from 'better-sqlite3'
import { configInvalid, errorText, LaneError } from '../core/index.js'
import { requirePeer } from '../peer/index.js'

/** A value in a column. Numbers are doubles: every integer here is below 2^53. */
export type SqlValue = string | number | Uint8Array | null
export type Row = readonly SqlValue[]

export interface Statement {
  /** Runs it and says how many rows were changed. */
  run(...values: readonly SqlValue[]): number
  get(...values: readonly SqlValue[]): Row | undefined
  all(...values: readonly SqlValue[]): readonly Row[]
}

export interface Database {
  exec(sql: string): void
  prepare(sql: string): Statement
  /** Begins a transaction: one that will write, or one in which everything is read as of one commit. */
  begin(mode: 'read' | 'write'): void
  commit(): void
  /** Some errors have rolled back already: then it does nothing. */
  rollBack(): void
  close(): void
}

type DatabaseMode = {
  readonly readOnly?: boolean
  /** How long a statement waits for another connection, milliseconds. */
  readonly busyMs?: number
}

/** A library that opens SQLite files. */
export type Driver = {
  readonly name: 'better-sqlite3' | 'node:sqlite'
  open(path: string, mode?: DatabaseMode): Database
}

const SUBPATH = '@a3s-lab/lane/storage'
const require = createRequire(import.meta.url)

/** Finds the library and asks it for its version. `CONFIG_INVALID` when there is none, or none that is safe. */
export function findDriver(): Driver {
  const driver = betterSqlite() ?? nodeSqlite()
  if (driver !== undefined) {
    checkSqlite(driver)
    return driver
  }
  // throws the sentence that names the package
  requirePeer('better-sqlite3', SUBPATH)
  throw new LaneError('CONFIG_INVALID', `${SUBPATH} needs the package better-sqlite3: npm install better-sqlite3`)
}

type BetterSqliteModule = new (path: string, options?: BetterSqlite.Options) => BetterSqlite.Database

function betterSqlite(): Driver | undefined {
  const manifest = tryRequire('better-sqlite3/package.json') as { version?: unknown } | undefined
  if (manifest === undefined) return undefined
  checkPackage(String(manifest.version), versions.node)
  const Connection = requirePeer<BetterSqliteModule>('better-sqlite3', SUBPATH)
  return {
    name: 'better-sqlite3',
    open: (path, { readOnly = false, busyMs = 0 } = {}) =>
      new BetterSqliteDatabase(new Connection(path, { readonly: readOnly, timeout: busyMs })),
  }
}

function tryRequire(name: string): unknown {
  try {
    return require(name) as unknown
  } catch {
    return undefined
  }
}

/** Version 13 of better-sqlite3 ends the process when an older Node loads it: refused before that. */
export function checkPackage(version: string, nodeVersion: string): void {
  if (isBefore(version, '13.0.0') || !isBefore(nodeVersion, '22.14.0')) return
  throw new LaneError(
    'CONFIG_INVALID',
    `better-sqlite3 ${version} does not run on Node ${nodeVersion}: npm install better-sqlite3@12, or use Node 22.14 or later`,
    { fields: { package: 'better-sqlite3' } },
  )
}

function checkSqlite(driver: Driver): void {
  const database = driver.open(':memory:')
  const version = database.prepare('SELECT sqlite_version()').get()?.[0]
  database.close()
  checkSqliteVersion(driver.name, String(version))
}

/** SQLite before 3.51.3 can damage a file in WAL mode that has two connections; 3.52.0 was withdrawn. */
export function checkSqliteVersion(from: string, version: string): void {
  if (!isBefore(version, '3.51.3') && version !== '3.52.0') return
  throw configInvalid(`the SQLite of ${from}`, 'version 3.51.3 or later, and not 3.52.0', version)
}

function isBefore(version: string, least: string): boolean {
  const have = version.split('.')
  for (const [index, part] of least.split('.').entries()) {
    const mine = Number.parseInt(have[index] ?? '0', 10)
    if (mine !== Number(part)) return mine < Number(part)
  }
  return false
}

/** What both libraries share: a transaction is three statements, prepared when the first one begins. */
abstract class Transactions {
  #begin: Statement | undefined
  #beginWrite: Statement | undefined
  #commit: Statement | undefined

  abstract prepare(sql: string): Statement

  begin(mode: 'read' | 'write'): void {
    if (mode === 'read') {
      this.#begin ??= this.prepare('BEGIN')
      this.#begin.run()
    } else {
      this.#beginWrite ??= this.prepare('BEGIN IMMEDIATE')
      this.#beginWrite.run()
    }
  }

  commit(): void {
    this.#commit ??= this.prepare('COMMIT')
    this.#commit.run()
  }
}

class BetterSqliteDatabase extends Transactions implements Database {
  readonly #database: BetterSqlite.Database

  constructor(database: BetterSqlite.Database) {
    super()
    this.#database = database
  }

  rollBack(): void {
    if (this.#database.inTransaction) this.#database.exec('ROLLBACK')
  }

  exec(sql: string): void {
    this.#database.exec(sql)
  }

  prepare(sql: string): Statement {
    const statement = this.#database.prepare<SqlValue[], Row>(sql)
    if (statement.reader) statement.raw()
    return {
      run: (...values) => statement.run(...values).changes,
      get: (...values) => statement.get(...values),
      all: (...values) => statement.all(...values),
    }
  }

  close(): void {
    this.#database.close()
  }
}

/** The SQLite in Node itself, as its documentation describes it. */
type NodeStatement = {
  run(...values: readonly SqlValue[]): { changes: number | bigint }
  get(...values: readonly SqlValue[]): Record<string, SqlValue> | undefined
  all(...values: readonly SqlValue[]): Record<string, SqlValue>[]
}
type NodeDatabase = {
  exec(sql: string): void
  prepare(sql: string): NodeStatement
  close(): void
}
type NodeSqliteModule = {
  readonly DatabaseSync: new (path: string, options: { readOnly: boolean; timeout: number }) => NodeDatabase
}

function nodeSqlite(): Driver | undefined {
  const found = tryRequire('node:sqlite') as NodeSqliteModule | undefined
  return found === undefined ? undefined : nodeSqliteDriver(found)
}

/** A driver on the module `node:sqlite`. */
export function nodeSqliteDriver({ DatabaseSync }: NodeSqliteModule): Driver {
  return {
    name: 'node:sqlite',
    open: (path, { readOnly = false, busyMs = 0 } = {}) =>
      new NodeSqliteDatabase(new DatabaseSync(path, { readOnly, timeout: busyMs })),
  }
}

class NodeSqliteDatabase extends Transactions implements Database {
  readonly #database: NodeDatabase

  constructor(database: NodeDatabase) {
    super()
    this.#database = database
  }

  exec(sql: string): void {
    this.#database.exec(sql)
  }

  prepare(sql: string): Statement {
    const statement = this.#database.prepare(sql)
    // column names are different from each other in every statement here, so their order is the order of the values
    const rowOf = (row: Record<string, SqlValue>): Row => Object.values(row)
    return {
      run: (...values) => Number(statement.run(...values).changes),
      get: (...values) => {
        const row = statement.get(...values)
        return row === undefined ? undefined : rowOf(row)
      },
      all: (...values) => statement.all(...values).map(rowOf),
    }
  }

  rollBack(): void {
    // early versions do not tell whether there is a transaction; SQLite does
    try {
      this.#database.exec('ROLLBACK')
    } catch (error) {
      if (!errorText(error).includes('no transaction')) throw error
    }
  }

  close(): void {
    this.#database.close()
  }
}
