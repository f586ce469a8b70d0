/** Damaged files: what is read is right, or it is refused with STORAGE_CORRUPT; nothing is repaired, changed or deleted. */
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { env } from 'node:process'
import { isLaneError, type Random, type StorageUse } from '@a3s-lab/lane'
import { LocalStorage } from '@a3s-lab/lane/storage'
import { seededRandom } from '@a3s-lab/lane/testing'
import { describe, expect, test } from 'vitest'
import { everything, Files, NOW, numbers, saying, settle, submit } from './storage-files.js'

const RETENTION = { count: 50, ageMs: 1e9 }
const USE: StorageUse = { idPrefix: 'q', retention: RETENTION, now: () => NOW, onFault: () => undefined }

/** More than the suite has time for: `LANE_DAMAGES=5000`. */
const SEEDS = Number(env['LANE_DAMAGES'] ?? 60)

/** Writes a bit of everything; the last batches stay in the journal. */
async function fill(files: Files): Promise<LocalStorage> {
  const { storage, first } = await files.inUse({ retention: RETENTION })
  for (let round = 0; round < 30; round++) {
    const at = first + 100 * round
    await storage.write([
      ...numbers(at, 40).map((seq) =>
        submit(seq, { payload: `"${'payload '.repeat(seq % 20)}"`, id: seq % 3 === 0 ? `id ${seq}` : undefined }),
      ),
      ...numbers(at + 40, 20).map((seq) => submit(seq, { key: `key ${seq % 4}`, priority: seq % 7 }, true)),
    ])
    await storage.write(
      numbers(at, 20).map((seq) => settle(seq, { keepUntil: seq % 10 === 0 ? NOW + 1e6 : undefined })),
    )
    await storage.write([{ kind: 'bury', letter: { seq: at, failedAt: NOW, letter: `{"of":${at}}` } }])
  }
  return storage
}

/** All that can be read. */
const contentOf = (storage: LocalStorage): string => {
  const page = { laneId: 'lane', lifo: false, after: undefined, limit: 10_000 }
  return JSON.stringify([
    everything(storage),
    [...storage.load()],
    storage.page({ ...page, key: null }),
    numbers(0, 4).map((key) => storage.page({ ...page, key: `key ${key}` })),
    storage.coldCounts(),
    [...storage.letters()],
  ])
}

/** As a process that was killed leaves it: a copy of the open files. */
async function leftByCrash(files: Files): Promise<string> {
  const storage = await fill(files)
  const expected = contentOf(storage)
  mkdirSync(files.path('crashed'))
  for (const ending of ['', '-wal', '-starts']) {
    copyFileSync(files.path(`queue.db${ending}`), files.path(`crashed/queue.db${ending}`))
  }
  await storage.close()
  return expected
}

/** A copy of some files that one test may damage. */
function copyOf(files: Files, folder: string, seed: number): string {
  const copy = files.path(`damaged ${seed}`)
  mkdirSync(copy)
  for (const name of readdirSync(folder))
    if (name.startsWith('queue.db')) copyFileSync(`${folder}/${name}`, `${copy}/${name}`)
  return `${copy}/queue.db`
}

type Verdict = 'right' | 'refused' | `wrong: ${string}`

async function judge(path: string, expected: string): Promise<Verdict> {
  let storage: LocalStorage | undefined
  try {
    storage = await LocalStorage.open({ path })
    storage.attach(USE)
    return contentOf(storage) === expected ? 'right' : 'wrong: other data'
  } catch (error) {
    if (isLaneError(error) && error.code === 'STORAGE_CORRUPT') return 'refused'
    return `wrong: ${String((error as { code?: unknown }).code)} ${String(error)}`
  } finally {
    await storage?.close()
  }
}

function damage(path: string, random: Random): string {
  const bytes = readFileSync(path)
  const at = Math.floor(random.next() * bytes.length)
  const how = Math.floor(random.next() * 3)
  if (how === 0) bytes[at] = (bytes[at] as number) ^ (1 << Math.floor(random.next() * 8))
  else if (how === 1) bytes.fill(0, at - (at % 4096), at - (at % 4096) + 4096)
  else {
    truncateSync(path, at)
    return `cut at ${at}`
  }
  writeFileSync(path, bytes)
  return how === 0 ? `bit at ${at}` : `page at ${at - (at % 4096)}`
}

describe.each(['closed in good order', 'left by a crash'])('a file that was %s', (how) => {
  const endings = how === 'left by a crash' ? ['', '-wal'] : ['']
  test.each(endings)(
    'damaged in queue.db%s: right content, or refused',
    async (ending) => {
      await using files = new Files()
      const afterCrash = await leftByCrash(files)
      const isCrash = how === 'left by a crash'
      const folder = isCrash ? files.path('crashed') : files.folder
      const verdicts: Record<string, number> = { right: 0, refused: 0 }
      const wrong: string[] = []
      for (let seed = 1; seed <= SEEDS; seed++) {
        const path = copyOf(files, folder, seed)
        const what = damage(path + ending, seededRandom(seed))
        const verdict = await judge(path, afterCrash)
        verdicts[verdict] = (verdicts[verdict] ?? 0) + 1
        if (verdict.startsWith('wrong')) wrong.push(`seed ${seed}, ${what}: ${verdict}`)
      }
      expect(wrong).toEqual([])
      // a control: most damage is noticed, or this test damages nothing
      expect(verdicts['refused']).toBeGreaterThan(0)
    },
    600_000,
  )
})

test('a file that is refused is left byte for byte', async () => {
  await using files = new Files()
  await (await fill(files)).close()
  const path = copyOf(files, files.folder, 1)
  const bytes = readFileSync(path)
  bytes.fill(0, 4096 * 3, 4096 * 4)
  writeFileSync(path, bytes)
  for (let time = 0; time < 2; time++) {
    await expect(LocalStorage.open({ path })).rejects.toEqual(saying('STORAGE_CORRUPT', /damaged|malformed/))
    expect(readFileSync(path).equals(bytes)).toBe(true)
  }
  expect(existsSync(`${path}-pid`)).toBe(false)
})

test('commits that were answered and are gone are noticed: the write-ahead file of a crash is missing, or was cut', async () => {
  await using files = new Files()
  const expected = await leftByCrash(files)
  const whole = copyOf(files, files.path('crashed'), 1)
  expect(await judge(whole, expected)).toBe('right')
  const cut = copyOf(files, files.path('crashed'), 2)
  truncateSync(`${cut}-wal`, 32 + 5 * 4120)
  await expect(LocalStorage.open({ path: cut })).rejects.toEqual(
    saying('STORAGE_CORRUPT', /has lost commits|damaged|malformed/),
  )
})
