/** The suite for storages, on all of ours; and storages that break one promise each, which it has to find. */
import { copyFile, mkdir, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Storage, StorageChange, StorageUse } from '@a3s-lab/lane'
import { LocalStorage } from '@a3s-lab/lane/storage'
import { describeStorage, MemoryStorage, type StorageUnderTest } from '@a3s-lab/lane/testing'
import { describe, expect, test } from 'vitest'

/** The random histories sync a disk a thousand times: seconds on a busy machine. */
const LIMIT_MS = 60_000

/** Vitest's runner, with an assertion in each test, as the house asks for. */
const runner = {
  describe,
  test: (name: string, body: () => Promise<void>) =>
    test(name, { timeout: LIMIT_MS }, () => expect(body()).resolves.toBeUndefined()),
}

/** A storage in memory for the suite, as `wrap` makes it look; the next write fails when it has been told so. */
function inMemory(write: (commit: () => void) => void | Promise<void>, wrap = same): StorageUnderTest {
  let isToFail = false
  let inner = new MemoryStorage({
    write(commit) {
      if (!isToFail) return write(commit)
      isToFail = false
      throw new Error('the disk is full')
    },
    writesAtOnce: 2,
  })
  let outer = wrap(inner)
  const next = (): Storage => {
    inner = inner.crash()
    outer = wrap(inner)
    return outer
  }
  return {
    storage: outer,
    failNextWrite() {
      isToFail = true
    },
    crash: async () => next(),
    async reopen() {
      await outer.close()
      return next()
    },
  }
}

const same = (storage: MemoryStorage): Storage => storage
const atOnce = (commit: () => void): void => commit()
/** After the microtasks of the caller, as a disk would. */
const later = (commit: () => void): Promise<void> => new Promise<void>((resolve) => setImmediate(resolve)).then(commit)

describeStorage('MemoryStorage', () => inMemory(atOnce), runner)
describeStorage('MemoryStorage with a slow disk', async () => inMemory(later), runner)

/** A file of its own; a crash is what a copy of its files holds, made while the storage has them open. */
async function onDisk(durability: 'full' | 'relaxed'): Promise<StorageUnderTest> {
  const place = await mkdtemp(join(tmpdir(), 'lane-storage-'))
  const opened: LocalStorage[] = []
  let folder = place
  let copies = 0
  const open = async (): Promise<LocalStorage> => {
    const storage = await LocalStorage.open({ path: join(folder, 'queue.db'), durability })
    opened.push(storage)
    return storage
  }
  return {
    storage: await open(),
    async reopen() {
      await opened.at(-1)?.close()
      return open()
    },
    async crash() {
      const copy = join(place, `after-crash-${++copies}`)
      await mkdir(copy)
      for (const name of await readdir(folder)) {
        if (isLeft(name)) await copyFile(join(folder, name), join(copy, name))
      }
      folder = copy
      return open()
    },
    async dispose() {
      for (const storage of opened) await storage.close()
      await rm(place, { recursive: true })
    },
  }
}

/** What a dead process leaves: not its lock. SQLite's shared memory is rebuilt. */
const isLeft = (name: string): boolean => ['queue.db', 'queue.db-wal', 'queue.db-starts'].includes(name)

describeStorage('LocalStorage, full', () => onDisk('full'), runner)
describeStorage('LocalStorage, relaxed', () => onDisk('relaxed'), runner)
describeStorage(
  'LocalStorage in memory',
  async () => ({ storage: await LocalStorage.open({ path: ':memory:' }) }),
  runner,
)

describe('the suite finds a storage that', () => {
  test.each<[string, (inner: MemoryStorage) => Partial<Storage>]>([
    [
      'writes half of a batch',
      (inner) => ({ write: (batch) => inner.write(batch.slice(0, Math.ceil(batch.length / 2))) }),
    ],
    ['writes a batch backwards', (inner) => ({ write: (batch) => inner.write([...batch].reverse()) })],
    [
      'answers before it has written',
      (inner) => ({ write: (batch) => void setImmediate(() => void swallow(() => inner.write(batch))) }),
    ],
    [
      'serves two queues',
      (inner) => {
        const heads: unknown[] = []
        return { attach: (use) => (heads.push(use) === 1 ? inner.attach(use) : { idPrefix: 'x', nextSeq: 0 }) }
      },
    ],
    [
      'takes the prefix of each queue',
      (inner) => ({ attach: (use) => ({ ...inner.attach(use), idPrefix: use.idPrefix }) }),
    ],
    [
      'counts its numbers by what is left',
      (inner) => ({
        attach: (use) => {
          const head = inner.attach(use)
          const [last = -1] = inner
            .list({ ...ALL, limit: 1e6 })
            .map(({ seq }) => seq)
            .slice(-1)
          return { ...head, nextSeq: Math.ceil((last + 1) / 1296) * 1296 }
        },
      }),
    ],
    ['begins numbers anywhere', (inner) => ({ attach: (use) => ({ ...inner.attach(use), nextSeq: 1 }) })],
    ['forgets attempts that have begun', () => ({ begin: () => undefined })],
    [
      'loads cold commands',
      (inner) => ({ load: () => inner.list(ALL).filter(({ endedAt }) => endedAt === undefined) }),
    ],
    ['loads in another order', (inner) => ({ load: () => [...inner.load()].reverse() })],
    ['counts no cold commands', () => ({ coldCounts: () => [] })],
    [
      'begins each page at the first command',
      (inner) => ({ page: (which) => inner.page({ ...which, after: undefined }) }),
    ],
    [
      'gives one command too few in a page',
      (inner) => ({ page: (which) => inner.page({ ...which, limit: which.limit - 1 }) }),
    ],
    ['takes no key for any key', (inner) => ({ page: (which) => inner.page({ ...which, key: which.key ?? null }) })],
    ['gives every page oldest first', (inner) => ({ page: (which) => inner.page({ ...which, lifo: false }) })],
    ['finds unsettled commands only', (inner) => ({ find: (which) => unlessSettled(inner.find(which)) })],
    ['takes an id of digits for a number', (inner) => ({ find: (which) => inner.find(Number(which) || which) })],
    ['lists the newest first', (inner) => ({ list: (query) => [...inner.list(query)].reverse() })],
    [
      'lists from behind the number',
      (inner) => ({ list: (query) => inner.list({ ...query, fromSeq: query.fromSeq + 1 }) }),
    ],
    ['gives letters by number', (inner) => ({ letters: () => [...inner.letters()].sort((a, b) => a.seq - b.seq) })],
    [
      'forgets nothing',
      (inner) => ({ attach: (use) => inner.attach({ ...use, retention: { count: 1e9, ageMs: 1e15 } }) }),
    ],
    ['forgets all', (inner) => ({ attach: (use) => inner.attach({ ...use, retention: { count: 0, ageMs: 0 } }) })],
    ['forgets by count alone', (inner) => ({ attach: (use) => inner.attach({ ...use, now: () => 0 }) })],
    [
      'forgets whose dedupe id keeps others out',
      changed((change) => ({ ...change, keepUntil: undefined }) as StorageChange),
    ],
    [
      'rounds instants',
      changed((change) => rewritten(change, (_, value) => (typeof value === 'number' ? Math.floor(value) : value))),
    ],
    [
      'cannot keep half a character',
      changed((change) => rewritten(change, (_, value) => (typeof value === 'string' ? wellFormed(value) : value))),
    ],
    [
      'keeps a checkpoint that an update leaves out',
      (inner) => ({ write: (batch) => inner.write(batch.map((change) => keeping(inner, change))) }),
    ],
    ['does not wait at its end', (inner) => ({ close: async () => void inner.crash() })],
    ['takes writes after its end', (inner) => ({ write: (batch) => swallow(() => inner.write(batch)) })],
    ['tells of a fault', (inner) => ({ attach: (use) => inner.attach({ ...use, idPrefix: faulty(use) }) })],
  ])('%s', async (_what, breaking) => {
    await expect(eachCase(breaking)).rejects.toThrow(/./)
  })
})

const ALL = { laneId: undefined, state: undefined, fromSeq: 0, limit: 10_000 }

/** Runs one case of the suite after another on a storage in memory that is broken so; rejects at the first that fails. */
async function eachCase(breaking: (inner: MemoryStorage) => Partial<Storage>): Promise<void> {
  const bodies: (() => Promise<void>)[] = []
  const wrap = (inner: MemoryStorage): Storage => ({ ...whole(inner), ...breaking(inner) })
  const collect = {
    describe: (_: string, body: () => void) => body(),
    test: (_: string, body: () => Promise<void>) => bodies.push(body),
  }
  describeStorage('a broken one', () => inMemory(later, wrap), collect)
  for (const body of bodies) await body()
}

/** All of a storage, as an object whose members can be replaced. */
const whole = (inner: MemoryStorage): Storage => ({
  writesAtOnce: inner.writesAtOnce,
  attach: (use) => inner.attach(use),
  write: (batch) => inner.write(batch),
  begin: (starts) => inner.begin(starts),
  load: () => inner.load(),
  coldCounts: () => inner.coldCounts(),
  page: (which) => inner.page(which),
  find: (which) => inner.find(which),
  list: (query) => inner.list(query),
  letters: () => inner.letters(),
  close: () => inner.close(),
})

const changed =
  (change: (one: StorageChange) => StorageChange) =>
  (inner: MemoryStorage): Partial<Storage> => ({ write: (batch) => inner.write(batch.map(change)) })

/** A change with each value inside it replaced. */
function rewritten<T>(value: T, by: (key: string, value: unknown) => unknown): T {
  const inside = (one: unknown): unknown =>
    typeof one === 'object' && one !== null
      ? Object.fromEntries(Object.entries(one).map(([key, inner]) => [key, inside(by(key, inner))]))
      : one
  return inside(value) as T
}

const wellFormed = (text: string): string => Buffer.from(text).toString()

function faulty({ idPrefix, onFault }: StorageUse): string {
  onFault(new Error('broken'))
  return idPrefix
}

function keeping(inner: MemoryStorage, change: StorageChange): StorageChange {
  if (change.kind !== 'update') return change
  return { ...change, checkpoint: change.checkpoint ?? inner.find(change.seq)?.checkpoint }
}

function unlessSettled<T extends { readonly endedAt: number | undefined }>(command: T | undefined): T | undefined {
  return command?.endedAt === undefined ? command : undefined
}

async function swallow(write: () => void | Promise<void>): Promise<void> {
  try {
    await write()
  } catch {
    // as if it had been written
  }
}
