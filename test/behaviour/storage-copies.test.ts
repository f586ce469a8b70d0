/** Copies, space and looks from outside: `backup`, `compact`, `stats`, `inspect`. */
import { existsSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { LocalStorage } from '@a3s-lab/lane/storage'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { BuiltStorage, everything, Files, NOW, numbers, saying, seqsOf, settle, submit } from './storage-files.js'

const built = new BuiltStorage()
let InThread: typeof LocalStorage

beforeAll(async () => {
  InThread = await built.build()
}, 60_000)

afterAll(() => built[Symbol.asyncDispose]())

const LIMIT_MS = 30_000

describe.each(['here', 'in a thread'])('a backup that is written %s', (where) => {
  const storageOf = (): typeof LocalStorage => (where === 'here' ? LocalStorage : InThread)

  test(
    'has all that was answered before it, can be opened by itself, and may take the place of the original',
    async () => {
      await using files = new Files()
      const { storage, first } = await files.inUse({}, storageOf())
      for (const at of numbers(0, 50)) {
        await storage.write(numbers(first + 40 * at, 40).map((seq) => submit(seq)))
        await storage.write(numbers(first + 40 * at, 10).map((seq) => settle(seq)))
      }
      const before = everything(storage)
      const copying = storage.backup(files.path('copy.db'))
      const later = numbers(first + 5000, 300)
      for (const seq of later) await storage.write([submit(seq)])
      await copying
      expect(readdirSync(files.folder).filter((name) => name.startsWith('copy'))).toEqual(['copy.db'])
      const copy = await LocalStorage.inspect(files.path('copy.db'))
      const copied = copy.list({ limit: 1_000_000 })
      copy.close()
      expect(seqsOf(copied).slice(0, before.length)).toEqual(seqsOf(before))
      // commits made meanwhile are in it or not, in their order
      expect(later.slice(0, copied.length - before.length)).toEqual(seqsOf(copied).slice(before.length))
      // the process dies; its marks lie beside the database when the backup takes its place
      await storage.close()
      for (const ending of ['', '-wal', '-shm']) rmSync(files.path(`queue.db${ending}`), { force: true })
      renameSync(files.path('copy.db'), files.path())
      const restored = await files.inUse()
      expect(seqsOf(everything(restored.storage))).toEqual(seqsOf(copied))
    },
    LIMIT_MS,
  )

  test(
    'writes over no file, and leaves none when it fails',
    async () => {
      await using files = new Files()
      const { storage } = await files.inUse({}, storageOf())
      writeFileSync(files.path('taken'), 'mine')
      await expect(storage.backup(files.path('taken'))).rejects.toEqual(saying('CONFLICT', /there already/))
      await expect(storage.backup(files.path('none/copy.db'))).rejects.toMatchObject({ code: 'STORAGE_FAILED' })
      await expect(storage.backup('')).rejects.toMatchObject({ code: 'CONFIG_INVALID' })
      expect(readdirSync(files.folder).filter((name) => name.includes('partial'))).toEqual([])
      expect(statSync(files.path('taken')).size).toBe(4)
    },
    LIMIT_MS,
  )

  test(
    'a compaction gives space back while writes go on, and changes nothing else',
    async () => {
      await using files = new Files()
      const { storage, first } = await files.inUse(
        { durability: 'relaxed', retention: { count: 5, ageMs: 1e9 } },
        storageOf(),
      )
      const all = numbers(first, 3000)
      const large = { payload: `"${'x'.repeat(3000)}"` }
      for (let at = 0; at < 3000; at += 250)
        await storage.write(all.slice(at, at + 250).map((seq) => submit(seq, large)))
      for (let at = 0; at < 3000; at += 250) {
        await storage.write(
          all
            .slice(at, at + 250)
            .filter((seq) => seq % 500 !== 0)
            .map((seq) => settle(seq)),
        )
      }
      // enough is written for the rest of them to be folded
      for (const at of numbers(0, 20))
        await storage.write(numbers(first + 4000 + 100 * at, 100).map((seq) => submit(seq)))
      await storage.compact()
      const before = statSync(files.path()).size
      const compacting = storage.compact()
      await storage.write([submit(first + 9000)])
      await compacting
      expect(statSync(files.path()).size).toBeLessThanOrEqual(before)
      expect(before).toBeLessThan(9_000_000)
      expect(storage.find(first + 9000)).toBeDefined()
      const left = all.filter((seq) => seq % 500 === 0)
      expect(seqsOf(everything(storage)).filter((seq) => left.includes(seq))).toEqual(left)
    },
    LIMIT_MS,
  )
})

test('stats tell what is there and how it is written', async () => {
  await using files = new Files()
  const { storage, first } = await files.inUse({ retention: { count: 2, ageMs: 1e9 } })
  await storage.write([
    ...numbers(first, 10).map((seq) => submit(seq)),
    ...numbers(first + 10, 5).map((seq) => submit(seq, {}, true)),
  ])
  await storage.write([...numbers(first, 4).map((seq) => settle(seq)), { kind: 'withdraw', seq: first + 4 }])
  await storage.write([{ kind: 'bury', letter: { seq: first, failedAt: NOW, letter: '{}' } }])
  const counted = { commands: { hot: 5, cold: 5, settled: 2 }, deadLetters: 1 }
  expect(storage.stats()).toMatchObject({
    ...counted,
    path: files.path(),
    durability: 'full',
    commits: 3,
    thread: false,
  })
  expect(storage.stats().walBytes).toBeGreaterThan(0)
  expect(storage.stats().commitMs.max).toBeGreaterThan(0)
  await storage.close()
  const again = await files.open()
  expect(again.stats()).toMatchObject({ ...counted, commits: 0, walBytes: 0 })
})

describe('an inspection', () => {
  test('shows commands by the ids that their submitters know, letters and counts, and changes nothing', async () => {
    await using files = new Files()
    const { storage, first } = await files.inUse()
    await storage.write([
      submit(first, { id: 'mine' }),
      submit(first + 1),
      submit(first + 2, { laneId: 'other' }, true),
    ])
    await storage.write([settle(first), { kind: 'bury', letter: { seq: first, failedAt: NOW, letter: '{"a":1}' } }])
    await storage.backup(files.path('copy.db'))
    const before = readdirSync(files.folder).sort()
    const inspection = await LocalStorage.inspect(files.path('copy.db'))
    expect(inspection.stats).toMatchObject({ commands: { hot: 1, cold: 1, settled: 1 }, deadLetters: 1 })
    const made = `q${(first + 1).toString(36)}`
    expect(inspection.list().map(({ id }) => id)).toEqual(['mine', made, `q${(first + 2).toString(36)}`])
    expect(inspection.list({ laneId: 'other' })).toHaveLength(1)
    expect(inspection.get('mine')).toMatchObject({ state: 'completed', id: 'mine' })
    expect(inspection.get(made)).toMatchObject({ state: 'pending', id: made })
    expect([inspection.get('none'), inspection.get(`q${first.toString(36)}`), inspection.get('q!')]).toEqual([
      undefined,
      undefined,
      undefined,
    ])
    expect([...inspection.letters()]).toEqual([{ seq: first, failedAt: NOW, letter: '{"a":1}' }])
    inspection.close()
    inspection.close()
    expect(readdirSync(files.folder).sort()).toEqual(before)
  })

  test('is refused while a process has the file, with advice; of a file that is not there, with a sentence', async () => {
    await using files = new Files()
    const storage = await files.open()
    await expect(LocalStorage.inspect(files.path())).rejects.toEqual(
      saying('STORAGE_LOCKED', /in use by this process.*backup/),
    )
    await storage.close()
    await expect(LocalStorage.inspect(files.path('none'))).rejects.toEqual(
      saying('STORAGE_FAILED', /the file is not there/),
    )
    expect(existsSync(files.path('none-lock'))).toBe(false)
  })
})
