/**
 * The journal and the tables together say what a storage in memory says, at every moment: random histories that are long
 * enough to be folded many times, with crashes and orderly ends in between.
 */
import { copyFileSync, mkdirSync } from 'node:fs'
import type { ColdPage, Random, Storage, StorageChange } from '@a3s-lab/lane'
import { LocalStorage } from '@a3s-lab/lane/storage'
import { MemoryStorage, seededRandom } from '@a3s-lab/lane/testing'
import { expect, test } from 'vitest'
import { Files, NOW, settle, submit } from './storage-files.js'

const RETENTION = { count: 40, ageMs: 1e6 }

/** A history: what a queue might write, and some of what it should not. */
class History {
  readonly #random: Random
  #next: number
  #now = NOW
  readonly #known: number[] = []

  constructor(random: Random, first: number) {
    this.#random = random
    this.#next = first
  }

  readonly now = (): number => this.#now

  batch(): StorageChange[] {
    this.#now += Math.floor(this.#random.next() * 20_000)
    const changes: StorageChange[] = []
    const touched = new Set<number>()
    const size = 1 + Math.floor(this.#random.next() * 60)
    while (changes.length < size) {
      const change = this.#change(this.#random.next())
      const seq = seqOf(change)
      // at most one change of a command in a batch keeps the history plain
      if (touched.has(seq)) continue
      touched.add(seq)
      changes.push(change)
    }
    return changes
  }

  #change(draw: number): StorageChange {
    if (draw < 0.4 || this.#known.length < 10) return this.#submit()
    const seq = this.#some()
    const attempt = 1 + Math.floor(this.#random.next() * 3)
    if (draw < 0.75) {
      const keepUntil = this.#random.next() < 0.1 ? this.#now + 50_000 : undefined
      return settle(seq, { attempt, endedAt: this.#now, keepUntil, state: draw < 0.7 ? 'completed' : 'failed' })
    }
    if (draw < 0.85) {
      const state = draw < 0.8 ? 'active' : 'delayed'
      return {
        kind: 'update',
        seq,
        state,
        attempt,
        dueAt: draw < 0.8 ? undefined : this.#now,
        checkpoint: `${draw}`,
        details: undefined,
      }
    }
    if (draw < 0.9) return { kind: 'cool', seq }
    if (draw < 0.92) return { kind: 'withdraw', seq }
    if (draw < 0.97) return { kind: 'bury', letter: { seq, failedAt: this.#now, letter: `"${draw}"` } }
    return { kind: 'unbury', seq }
  }

  #submit(): StorageChange {
    const seq = this.#next++
    this.#known.push(seq)
    const draw = this.#random.next()
    const more = {
      priority: Math.floor(draw * 5),
      laneId: draw < 0.5 ? 'one' : 'two',
      id: draw < 0.3 ? `own ${seq}` : undefined,
    }
    return submit(
      seq,
      { ...more, key: this.#random.next() < 0.5 ? `key ${seq % 3}` : undefined },
      this.#random.next() < 0.4,
    )
  }

  /** Mostly one of the newest. */
  #some(): number {
    const back = this.#random.next() < 0.8 ? 300 : this.#known.length
    const at = this.#known.length - 1 - Math.floor(this.#random.next() * Math.min(back, this.#known.length))
    return this.#known[at] as number
  }
}

const seqOf = (change: StorageChange): number => {
  if (change.kind === 'submit') return change.command.seq
  return change.kind === 'bury' ? change.letter.seq : change.seq
}

/** Everything that can be asked, in one text. */
function answers(storage: Storage, random: Random): string {
  const fromSeq = Math.floor(random.next() * 2000)
  const lists = (['completed', 'pending', undefined] as const).map((state) =>
    storage.list({ laneId: random.next() < 0.5 ? 'one' : undefined, state, fromSeq, limit: 50 }),
  )
  const pages = [undefined, null, 'key 1'].map((key) => {
    const after = random.next() < 0.5 ? undefined : { priority: 2, seq: fromSeq }
    const which: ColdPage = { laneId: 'two', key, lifo: random.next() < 0.5, after, limit: 20 }
    return storage.page(which)
  })
  const counts = storage.coldCounts().map(({ laneId, key = '', count }) => `${laneId} ${key}: ${count}`)
  const found = [fromSeq, fromSeq + 500, `own ${fromSeq}`].map((which) => storage.find(which)?.seq)
  return JSON.stringify([lists, pages, counts.sort(), found, [...storage.letters()], [...storage.load()]])
}

async function crash(files: Files, from: string, to: string): Promise<void> {
  mkdirSync(files.path(to))
  for (const ending of ['', '-wal', '-starts']) copyFileSync(`${from}${ending}`, files.path(`${to}/queue.db${ending}`))
}

test.each([1, 2, 3, 4])(
  'history %i',
  async (seed) => {
    await using files = new Files()
    const random = seededRandom(seed)
    let memory = new MemoryStorage()
    let path = files.path()
    let disk = await LocalStorage.open({ path, durability: 'relaxed' })
    const history = new History(random, 1296)
    const attach = (): void => {
      const use = {
        idPrefix: 'q',
        retention: RETENTION,
        now: history.now,
        onFault: (error: unknown) => void files.faults.push(error),
      }
      memory.attach(use)
      disk.attach(use)
    }
    attach()
    const pairs: [disk: string, memory: string][] = []
    for (let round = 0; round < 250; round++) {
      const batch = history.batch()
      await memory.write(batch)
      await disk.write(batch)
      const looks = Math.floor(random.next() * 1e9)
      if (round % 5 === 0) pairs.push([answers(disk, seededRandom(looks)), answers(memory, seededRandom(looks))])
      if (round % 60 !== 59) continue
      if (round === 59) await disk.close()
      else {
        await crash(files, path, `crash ${round}`)
        await disk.close()
        path = files.path(`crash ${round}/queue.db`)
      }
      memory = memory.crash()
      disk = await LocalStorage.open({ path, durability: 'relaxed' })
      attach()
    }
    await disk.close()
    expect(files.faults).toEqual([])
  },
  60_000,
)
