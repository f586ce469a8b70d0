/** A disk that is full, fails or may not be written to: what is refused, what goes on, and when it is over for good. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import type BetterSqlite from 'better-sqlite3'
import { describe, expect, test } from 'vitest'
import { BatchPacker } from '../../src/storage/batch-packer.js'
import { Writer, type WriterSettings } from '../../src/storage/writer.js'
import { everything, Files, NOW, numbers, seqsOf, settle, submit } from './storage-files.js'

const Sqlite = createRequire(import.meta.url)('better-sqlite3') as typeof BetterSqlite

/** A file system of 2 MiB in a folder; undefined with the reason where it may not be mounted. */
function smallDisk(folder: string): boolean {
  mkdirSync(folder)
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', folder], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

test('a full disk refuses writes before they are answered, keeps what it has, and is well again when there is space', async ({
  skip,
}) => {
  await using files = new Files()
  const folder = files.path('small')
  if (!smallDisk(folder)) skip('a file system of 2 MiB may not be mounted here')
  try {
    const { storage, first } = await files.inUse({ path: `${folder}/queue.db` })
    writeFileSync(`${folder}/ballast`, Buffer.alloc(1_300_000))
    const written: number[] = []
    let refusal: unknown
    for (const seq of numbers(first, 5000)) {
      try {
        await storage.write([submit(seq, { payload: `"${'x'.repeat(2000)}"` })])
        written.push(seq)
      } catch (error) {
        refusal = error
        break
      }
    }
    expect(refusal).toMatchObject({ code: 'STORAGE_FAILED', retryable: true })
    expect((refusal as Error).message).toContain('no space left')
    expect(written.length).toBeGreaterThan(10)
    expect(seqsOf(everything(storage))).toEqual(written)
    rmSync(`${folder}/ballast`)
    await storage.write([settle(first), submit(first + 9000)])
    expect(storage.find(first)).toMatchObject({ state: 'completed' })
    await storage.close()
    const again = await files.inUse({ path: `${folder}/queue.db` })
    expect(seqsOf(everything(again.storage))).toEqual([...written, first + 9000])
    await again.storage.close()
  } finally {
    execFileSync('umount', ['-l', folder])
  }
}, 30_000)

/** A writer on the thread of the queue whose commits end as they are told. */
function writerThat(...ends: (string | undefined)[]): { writer: Writer; faults: unknown[] } {
  const faults: unknown[] = []
  const committer = {
    write(): void {
      const code = ends.shift()
      if (code !== undefined) throw Object.assign(new Error(`disk I/O error (${code})`), { code })
    },
  }
  const settings = {
    committer: committer as unknown as WriterSettings['committer'],
    checkpointBytes: 1e9,
    startThread: undefined,
  }
  const host = {
    retention: { count: 1, ageMs: 1 },
    now: () => NOW,
    onFault: (error: unknown) => void faults.push(error),
  }
  return { writer: new Writer(settings, host, 0), faults }
}

const batch = () => new BatchPacker().pack([submit(1)])

describe('what ends a storage', () => {
  test.each(['SQLITE_FULL', 'SQLITE_READONLY', 'SQLITE_BUSY', 'SQLITE_IOERR_WRITE'])(
    '%s before the commit does not: the next write may succeed',
    (code) => {
      const { writer, faults } = writerThat(code)
      expect(() => writer.write(batch())).toThrow(expect.objectContaining({ code: 'STORAGE_FAILED', retryable: true }))
      expect(writer.write(batch())).toBeUndefined()
      expect(faults).toEqual([])
    },
  )

  test.each(['SQLITE_IOERR_FSYNC', 'SQLITE_IOERR_DIR_FSYNC', 'SQLITE_CORRUPT'])(
    '%s does: it is told once, and nothing is written any more',
    (code) => {
      const { writer, faults } = writerThat(code)
      expect(() => writer.write(batch())).toThrow(expect.objectContaining({ retryable: false }))
      for (let time = 0; time < 3; time++) {
        expect(() => writer.write(batch())).toThrow(expect.objectContaining({ retryable: false }))
      }
      expect(faults).toHaveLength(1)
    },
  )
})

test('another program that holds the file for a moment delays a write, and one that keeps it makes the write fail, not the storage', async () => {
  await using files = new Files()
  const { storage, first } = await files.inUse()
  await storage.write([submit(first)])
  const other = new Sqlite(files.path())
  other.exec('BEGIN IMMEDIATE')
  expect(() => storage.write([submit(first + 1)])).toThrow(
    expect.objectContaining({ code: 'STORAGE_FAILED', retryable: true }),
  )
  expect(seqsOf(everything(storage))).toEqual([first])
  other.exec('COMMIT')
  await storage.write([submit(first + 1)])
  other.close()
  expect(seqsOf(everything(storage))).toEqual([first, first + 1])
})

test('a reader that stays lets the write-ahead file grow: told once, and again only after it was well', async () => {
  await using files = new Files()
  const { storage, first } = await files.inUse({ checkpointBytes: 8192, durability: 'relaxed' })
  const other = new Sqlite(files.path(), { readonly: true })
  const write = async (from: number): Promise<void> => {
    for (const seq of numbers(from, 60)) await storage.write([submit(seq, { payload: `"${'x'.repeat(8000)}"` })])
  }
  await storage.write([submit(first)])
  other.exec('BEGIN')
  other.prepare('SELECT count(*) FROM journal').get()
  await write(first + 1)
  expect(files.faults).toHaveLength(1)
  expect(files.faults[0]).toMatchObject({ code: 'STORAGE_FAILED' })
  expect((files.faults[0] as Error).message).toContain('another program has been reading')
  other.exec('COMMIT')
  await write(first + 100)
  expect(files.faults).toHaveLength(1)
  other.exec('BEGIN')
  other.prepare('SELECT count(*) FROM journal').get()
  await write(first + 200)
  expect(files.faults).toHaveLength(2)
  other.exec('COMMIT')
  other.close()
})
