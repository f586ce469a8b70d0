/** Which SQLite may be used, and from whom it comes. */
import { createRequire } from 'node:module'
import type BetterSqlite from 'better-sqlite3'
import { describe, expect, test } from 'vitest'
import { checkPackage, checkSqliteVersion, findDriver, nodeSqliteDriver } from '../../src/storage/driver.js'
import { codeOf, isEnd } from '../../src/storage/failure.js'
import { initialise } from '../../src/storage/initial-state.js'
import { Files } from './storage-files.js'

test.each(['3.40.1', '3.51.2', '3.52.0', '2.8.17'])('SQLite %s is refused', (version) => {
  expect(() => checkSqliteVersion('better-sqlite3', version)).toThrow(/3\.51\.3 or later, and not 3\.52\.0/)
})

test.each(['3.51.3', '3.51.10', '3.52.1', '3.53.2', '4.0.0'])('SQLite %s may be used', (version) => {
  expect(() => checkSqliteVersion('better-sqlite3', version)).not.toThrow()
})

test('better-sqlite3 13 is refused on a Node that it would crash, before it is loaded', () => {
  expect(() => checkPackage('13.2.0', '20.20.2')).toThrow(
    /does not run on Node 20\.20\.2: npm install better-sqlite3@12/,
  )
  expect(() => checkPackage('13.2.0', '22.13.9')).toThrow(/Node 22\.14/)
  for (const [version, node] of [
    ['13.2.0', '22.14.0'],
    ['13.2.0', '24.0.0'],
    ['12.11.1', '20.20.2'],
  ] as const) {
    expect(() => checkPackage(version, node)).not.toThrow()
  }
})

test('the SQLite that is installed here passes', () => {
  expect(findDriver().name).toBe('better-sqlite3')
})

/** `node:sqlite` as its documentation describes it, on the SQLite that is installed. */
function nodeSqlite(): Parameters<typeof nodeSqliteDriver>[0] {
  const Sqlite = createRequire(import.meta.url)('better-sqlite3') as typeof BetterSqlite
  class DatabaseSync {
    readonly #database: BetterSqlite.Database
    constructor(path: string, { readOnly, timeout }: { readOnly: boolean; timeout: number }) {
      this.#database = new Sqlite(path, { readonly: readOnly, timeout })
    }
    exec(sql: string): void {
      try {
        this.#database.exec(sql)
      } catch (error) {
        // its errors have a number where those of better-sqlite3 have a name
        throw Object.assign(new Error((error as Error).message), { code: 'ERR_SQLITE_ERROR', errcode: 1 })
      }
    }
    prepare(sql: string): ReturnType<InstanceType<Parameters<typeof nodeSqliteDriver>[0]['DatabaseSync']>['prepare']> {
      return this.#database.prepare(sql) as never
    }
    close(): void {
      this.#database.close()
    }
  }
  return { DatabaseSync } as unknown as Parameters<typeof nodeSqliteDriver>[0]
}

describe('on node:sqlite', () => {
  test('statements, transactions and their undoing are those of better-sqlite3', async () => {
    await using files = new Files()
    const database = nodeSqliteDriver(nodeSqlite()).open(files.path())
    const { identity } = initialise(database, { next: () => 0.5 })
    expect(identity).toHaveLength(20)
    database.begin('write')
    database.prepare('INSERT INTO names (number, name, sum) VALUES (?, ?, ?)').run(1, 'one', 0)
    database.rollBack()
    database.rollBack()
    expect(database.prepare('SELECT count(*) FROM names').get()).toEqual([0])
    database.begin('write')
    expect(database.prepare('INSERT INTO names (number, name, sum) VALUES (?, ?, ?)').run(1, 'one', 0)).toBe(1)
    database.commit()
    expect(database.prepare('SELECT number, name, sum FROM names').all()).toEqual([[1, 'one', 0]])
    database.close()
  })

  test('its errors have numbers, which mean the same', () => {
    const error = (errcode: number): Error =>
      Object.assign(new Error('it failed'), { code: 'ERR_SQLITE_ERROR', errcode })
    expect([13, 5, 1034, 267, 776, 1].map((number) => codeOf(error(number)))).toEqual([
      'SQLITE_FULL',
      'SQLITE_BUSY',
      'SQLITE_IOERR_FSYNC',
      'SQLITE_CORRUPT',
      'SQLITE_READONLY_ROLLBACK',
      'SQLITE_1',
    ])
    expect(isEnd(error(1034), 'before commit')).toBe(true)
    expect(isEnd(error(778), 'commit')).toBe(true)
    expect(isEnd(error(778), 'before commit')).toBe(false)
    expect(isEnd(error(13), 'commit')).toBe(false)
  })
})
