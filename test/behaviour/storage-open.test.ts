/** Opening a storage: what is refused and how, who has the file, and what is left behind. */
import { execFile } from 'node:child_process'
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { createRequire } from 'node:module'
import { getuid, pid } from 'node:process'
import { promisify } from 'node:util'
import { LocalStorage } from '@a3s-lab/lane/storage'
import type BetterSqlite from 'better-sqlite3'
import { describe, expect, test } from 'vitest'
import { BuiltStorage, everything, Files, NOW, numbers, saying, seqsOf, settle, submit } from './storage-files.js'

const Sqlite = createRequire(import.meta.url)('better-sqlite3') as typeof BetterSqlite

describe('options', () => {
  test.each([
    [undefined, /LocalStorage options/],
    [{ path: '' }, /path/],
    [{ path: 5 }, /path/],
    [{ path: 'x', durability: 'maybe' }, /durability/],
    [{ path: 'x', maxPayloadBytes: 0 }, /maxPayloadBytes/],
    [{ path: 'x', checkpointBytes: 1.5 }, /checkpointBytes/],
    [{ path: 'x', durabilty: 'full' }, /did you mean 'durability'/],
  ])('%j is refused by its name', async (options, message) => {
    await expect(LocalStorage.open(options as never)).rejects.toEqual(saying('CONFIG_INVALID', message))
  })
})

describe('where the file cannot be', () => {
  /** What an opener hears, and whether the folder is as it was. */
  const refusalOf = async (files: Files, path: string): Promise<unknown> => {
    const before = readdirSync(files.folder).join()
    const refusal: unknown = await LocalStorage.open({ path }).catch((error: unknown) => error)
    return readdirSync(files.folder).join() === before ? refusal : 'it has left something'
  }

  test('a folder that is not there is named', async () => {
    await using files = new Files()
    expect(await refusalOf(files, files.path('none/queue.db'))).toEqual(
      saying('STORAGE_FAILED', /the folder .*none is not there/),
    )
  })

  test('a folder in place of the file, and a file in place of the folder', async () => {
    await using files = new Files()
    mkdirSync(files.path('folder'))
    writeFileSync(files.path('file'), '')
    expect(await refusalOf(files, files.path('folder'))).toEqual(saying('STORAGE_FAILED', /it is a folder, not a file/))
    expect(await refusalOf(files, files.path('file/queue.db'))).toEqual(
      saying('STORAGE_FAILED', /is not a folder|ENOTDIR|not a directory/),
    )
  })

  test('a link to nothing', async () => {
    await using files = new Files()
    symlinkSync(files.path('none'), files.path('link'))
    expect(await refusalOf(files, files.path('link'))).toEqual(
      saying('STORAGE_FAILED', /it is a link to a file that is not there/),
    )
  })

  test('a name that leaves no room for the endings of the files beside it', async () => {
    await using files = new Files()
    expect(await refusalOf(files, files.path('n'.repeat(255)))).toEqual(
      saying('STORAGE_FAILED', /its name has 255 bytes.*at most 242/),
    )
    const storage = await files.open({ path: files.path('n'.repeat(242)) })
    expect(existsSync(files.path('n'.repeat(242)))).toBe(true)
    await storage.close()
  })

  test.skipIf(getuid?.() === 0)('a folder that may not be written to (skipped for root, who may)', async () => {
    await using files = new Files()
    mkdirSync(files.path('sealed'))
    chmodSync(files.path('sealed'), 0o500)
    // biome-ignore lint/suspicious/noMisplacedAssertion: it is in a test that may be skipped
    expect(await refusalOf(files, files.path('sealed/queue.db'))).toEqual(
      saying('STORAGE_FAILED', /may not be written to/),
    )
  })

  test('spaces, quotes and other alphabets are no trouble', async () => {
    await using files = new Files()
    const storage = await files.open({ path: files.path(`a 'b' "c" ü 队列.db`) })
    expect(storage.stats().path).toBe(files.path(`a 'b' "c" ü 队列.db`))
  })
})

describe('files that are not ours', () => {
  test('a file that is no database is refused and left as it is', async () => {
    await using files = new Files()
    const text = 'This is a letter to my aunt, and no database at all. '.repeat(100)
    writeFileSync(files.path(), text)
    await expect(files.open()).rejects.toEqual(saying('STORAGE_CORRUPT', /is not a SQLite file/))
    expect(readFileSync(files.path(), 'utf8')).toBe(text)
  })

  test('the database of another program is refused and left as it is', async () => {
    await using files = new Files()
    const other = new Sqlite(files.path())
    other.exec('CREATE TABLE mine (a); INSERT INTO mine VALUES (1)')
    other.close()
    const before = readFileSync(files.path())
    await expect(files.open()).rejects.toEqual(saying('STORAGE_CORRUPT', /of another program/))
    expect(readFileSync(files.path()).equals(before)).toBe(true)
  })

  test('a file of a later release is refused, one with other tables too', async () => {
    await using files = new Files()
    await (await files.open()).close()
    const change = (sql: string): void => {
      const database = new Sqlite(files.path())
      database.exec(sql)
      database.close()
    }
    change('PRAGMA user_version = 99')
    await expect(files.open()).rejects.toEqual(saying('STORAGE_CORRUPT', /version 99, made by a later release/))
    change("PRAGMA user_version = 1; UPDATE migrations SET name = 'second'")
    await expect(files.open()).rejects.toEqual(saying('STORAGE_CORRUPT', /migrations of the file/))
    change("UPDATE migrations SET name = 'first'; CREATE INDEX more ON commands (lane)")
    await expect(files.open()).rejects.toEqual(saying('STORAGE_CORRUPT', /tables of the file/))
    change('DROP INDEX more')
    await expect(files.open()).resolves.toBeInstanceOf(LocalStorage)
  })

  test('a database that is gone while its journal is there is not begun anew', async () => {
    await using files = new Files()
    writeFileSync(files.path('queue.db-wal'), 'what was committed')
    await expect(files.open()).rejects.toEqual(saying('STORAGE_CORRUPT', /empty or missing, and its journal/))
    expect(readFileSync(files.path('queue.db-wal'), 'utf8')).toBe('what was committed')
  })
})

describe('who has the file', () => {
  test('a second opener is refused at once, with the pid of the first, by whatever name it comes', async () => {
    await using files = new Files()
    const storage = await files.open()
    symlinkSync(files.path(), files.path('link.db'))
    for (const path of [files.path(), files.path('link.db')]) {
      await expect(LocalStorage.open({ path })).rejects.toMatchObject({ code: 'STORAGE_LOCKED', pid, retryable: true })
    }
    await storage.close()
    await expect(files.open()).resolves.toBeInstanceOf(LocalStorage)
  })

  test('of eight processes at once one has it, the others hear STORAGE_LOCKED and nothing else', async () => {
    await using files = new Files()
    await using built = new BuiltStorage()
    await built.build()
    const program = files.path('opener.mjs')
    writeFileSync(
      program,
      `import { LocalStorage } from ${JSON.stringify(built.entry)}
       const [, , path] = process.argv
       try {
         const storage = await LocalStorage.open({ path })
         process.stdout.write('open ' + process.pid)
         await new Promise((resolve) => process.stdin.on('end', resolve).resume())
         await storage.close()
       } catch (error) {
         process.stdout.write(error.code + ' ' + error.pid)
       }`,
    )
    const run = promisify(execFile)
    const processes = numbers(0, 8).map(() => run(process.execPath, [program, files.path()]))
    // seven end by themselves; the eighth holds the file until it is told to go
    let ended = 0
    const outputs = processes.map(async (child) => {
      const { stdout } = await child
      if (++ended === 7) for (const other of processes) other.child.stdin?.end()
      return stdout
    })
    const said = await Promise.all(outputs)
    const winner = said.filter((text) => text.startsWith('open'))
    expect(winner).toHaveLength(1)
    const others = said.filter((text) => !text.startsWith('open'))
    expect(others.every((text) => text.startsWith('STORAGE_LOCKED'))).toBe(true)
  }, 60_000)

  test('nothing is left beside the file but the lock, which is empty', async () => {
    await using files = new Files()
    const { storage, first } = await files.inUse()
    await storage.write([submit(first), submit(first + 1)])
    storage.begin([{ place: 0, seq: first, attempt: 1 }])
    expect(readFileSync(files.path('queue.db-pid'), 'utf8').trim()).toBe(String(pid))
    await storage.close()
    expect(readdirSync(files.folder).sort()).toEqual(['queue.db', 'queue.db-lock'])
    expect(statSync(files.path('queue.db-lock')).size).toBe(0)
    const again = await files.inUse()
    expect([...again.storage.load()].map(({ state, attempt }) => [state, attempt])).toEqual([
      ['active', 1],
      ['pending', 0],
    ])
  })

  test('attempts that a process begins before its first commit are known to the next one', async () => {
    await using files = new Files()
    const { storage, first } = await files.inUse()
    await storage.write([submit(first)])
    await storage.close()
    const second = await files.inUse()
    second.storage.begin([{ place: 0, seq: first, attempt: 1 }])
    mkdirSync(files.path('crashed'))
    for (const name of ['queue.db', 'queue.db-starts']) copyFileSync(files.path(name), files.path(`crashed/${name}`))
    if (existsSync(files.path('queue.db-wal')))
      copyFileSync(files.path('queue.db-wal'), files.path('crashed/queue.db-wal'))
    const third = await files.inUse({ path: files.path('crashed/queue.db') })
    expect(third.storage.find(first)).toMatchObject({ state: 'active', attempt: 1 })
  })

  test('in memory it has no file, no lock, and ends with its close', async () => {
    await using files = new Files()
    const { storage, first } = await files.inUse({ path: ':memory:' })
    await storage.write([submit(first), submit(first + 1), settle(first)])
    expect(seqsOf(everything(storage))).toEqual([first, first + 1])
    expect(storage.stats()).toMatchObject({ path: ':memory:', commands: { hot: 1, cold: 0, settled: 1 } })
    const other = await files.inUse({ path: ':memory:' })
    expect(everything(other.storage)).toEqual([])
    expect(readdirSync(files.folder)).toEqual([])
  })

  test('after its close it takes and gives nothing more, and a second close is the first', async () => {
    await using files = new Files()
    const { storage, first } = await files.inUse({ now: () => NOW })
    const closing = storage.close()
    expect(storage.close()).toBe(closing)
    await closing
    for (const call of [() => storage.write([submit(first)]), () => storage.find(first), () => storage.stats()]) {
      expect(call).toThrow(expect.objectContaining({ code: 'STORAGE_FAILED', retryable: false }))
    }
  })
})
