/**
 * The last promise of a storage: through any history of batches, attempts, closes and crashes it says what plain lists
 * would say. The history is drawn from a seed, so it is the same each time.
 */
import type { StorageChange, StoredCommand, StoredLetter, StoredStart } from '../core/index.js'
import {
  bury,
  cool,
  holds,
  type StorageCase,
  type StorageStage,
  same,
  settle,
  submit,
  unbury,
  update,
  withdraw,
} from './describe-storage-stage.js'
import { seededRandom } from './seeded-random.js'

const BATCHES = 120
const LANES = ['one', 'two']
const KEYS = [undefined, 'a', 'b']
const PRIORITIES = [0, 7, 1000]
/** Submits come more often, so that there is something to change. */
const KINDS = ['submit', 'submit', 'cold', 'cold', 'update', 'settle', 'cool', 'withdraw', 'bury', 'unbury'] as const

/** What is known of a command; `isSettled` ones do not change. */
type Known = { command: StoredCommand; isCold: boolean; isSettled: boolean }

class History {
  readonly #stage: StorageStage
  readonly #random: { next(): number }
  readonly #known = new Map<number, Known>()
  readonly #letters: StoredLetter[] = []
  /** What was told last for each place. */
  readonly #places: { seq: number; attempt: number }[] = []
  #lastSeq: number

  constructor(stage: StorageStage, seed: number) {
    this.#stage = stage
    this.#random = seededRandom(seed)
    this.#lastSeq = stage.attach().nextSeq - 1
  }

  async run(): Promise<void> {
    for (let n = 0; n < BATCHES; n++) {
      const batch = this.#batch()
      await this.#stage.write(...batch)
      for (const change of batch) this.#apply(change)
      if (this.#chance(0.5)) this.#begin()
      if (this.#chance(0.1)) await this.#end()
      this.#compareCold(`after batch ${n + 1}`)
    }
    await this.#end()
  }

  #batch(): StorageChange[] {
    const batch: StorageChange[] = []
    const written = new Set<string>()
    for (let n = this.#below(8); n >= 0; n--) {
      const change = this.#change(n)
      const what = `${change.kind} ${seqOf(change)}`
      if (!written.has(what)) batch.push(change)
      written.add(what)
    }
    return batch
  }

  #change(n: number): StorageChange {
    const kind = this.#pick(KINDS)
    if (kind === 'submit' || kind === 'cold') return this.#submit(kind === 'cold')
    // Sometimes of a command that has settled, or that is not there.
    const seq = this.#lastSeq + 2 - this.#below(30)
    if (kind === 'bury') return this.#letters.some((letter) => letter.seq === seq) ? unbury(seq) : bury(seq, `[${n}]`)
    if (kind === 'unbury') return unbury(seq)
    if (kind === 'cool') return cool(seq)
    if (kind === 'withdraw') return withdraw(seq)
    if (kind === 'settle') return settle(seq, { endedAt: this.#stage.now, attempt: n, result: `${n}` })
    const state = this.#pick(['pending', 'delayed', 'active'] as const)
    return update(seq, {
      state,
      attempt: n,
      dueAt: n + 0.5,
      checkpoint: `${n}`,
      details: this.#pick([undefined, '{}']),
    })
  }

  #submit(isCold: boolean): StorageChange {
    const seq = ++this.#lastSeq
    const [laneId, key, priority] = [this.#pick(LANES), this.#pick(KEYS), this.#pick(PRIORITIES)]
    const id = this.#pick([undefined, `own ${seq}`])
    return submit({ seq, id, laneId, key, priority, payload: `${seq}` }, isCold)
  }

  #apply(change: StorageChange): void {
    if (change.kind === 'submit') {
      const command = { ...change.command, endedAt: undefined, result: undefined, error: undefined }
      this.#known.set(command.seq, { command, isCold: change.isCold, isSettled: false })
    } else if (change.kind === 'bury') this.#letters.push(change.letter)
    else if (change.kind === 'unbury') {
      const index = this.#letters.findIndex((letter) => letter.seq === change.seq)
      if (index >= 0) this.#letters.splice(index, 1)
    } else {
      const known = this.#known.get(change.seq)
      if (known === undefined || known.isSettled) return
      if (change.kind === 'withdraw') return void this.#known.delete(change.seq)
      if (change.kind === 'cool') {
        known.isCold = true
        return
      }
      const { kind, ...news } = change
      this.#known.set(change.seq, {
        command: { ...known.command, ...news },
        isCold: false,
        isSettled: kind === 'settle',
      })
    }
  }

  /** A few attempts begin, in places that are free: of whose last attempt something newer has been written. */
  #begin(): void {
    const starts: StoredStart[] = []
    for (const [seq, { command, isSettled }] of this.#known) {
      if (isSettled || !this.#chance(0.1) || this.#places.some((mark) => mark.seq === seq)) continue
      const free = this.#places.findIndex((mark) => this.#isOver(mark))
      const place = free < 0 ? this.#places.length : free
      this.#places[place] = { seq, attempt: command.attempt + 1 }
      starts.push({ place, seq, attempt: command.attempt + 1 })
    }
    if (starts.length > 0) this.#stage.storage.begin(starts)
  }

  #isOver({ seq, attempt }: { seq: number; attempt: number }): boolean {
    const known = this.#known.get(seq)
    return known === undefined || known.isSettled || known.command.attempt >= attempt
  }

  /** Another queue goes on: all that can be asked is as the lists have it. */
  async #end(): Promise<void> {
    await (this.#chance(0.5) ? this.#stage.crash() : this.#stage.reopen())
    for (const mark of this.#places.splice(0)) {
      const known = this.#known.get(mark.seq)
      if (known === undefined || this.#isOver(mark)) continue
      known.command = { ...known.command, state: 'active', attempt: mark.attempt }
      known.isCold = false
    }
    const { storage, head } = this.#stage
    holds(head.nextSeq > this.#lastSeq, `${head.nextSeq} is not above ${this.#lastSeq}`)
    this.#lastSeq = head.nextSeq - 1
    const known = [...this.#known.values()].sort((a, b) => a.command.seq - b.command.seq)
    const hot = known.filter(({ isCold, isSettled }) => !isCold && !isSettled)
    same(
      [...storage.load()].map(facts),
      hot.map(({ command }) => facts(command)),
      'load',
    )
    const listed = storage.list({ laneId: undefined, state: undefined, fromSeq: 0, limit: 10_000 })
    same(
      listed.map(facts),
      known.map(({ command }) => facts(command)),
      'list',
    )
    same(this.#stage.letters(), this.#letters, 'letters')
    for (const { command } of known) {
      if (command.id !== undefined) same(storage.find(command.id)?.seq, command.seq, `find ${command.id}`)
    }
    this.#compareCold('for another queue')
  }

  #compareCold(when: string): void {
    const { storage } = this.#stage
    const lifo = this.#chance(0.5)
    for (const laneId of LANES) {
      for (const key of [null, ...KEYS]) {
        const expected = [...this.#known.values()]
          .filter(({ isCold, command }) => isCold && command.laneId === laneId && (key === null || command.key === key))
          .map(({ command }) => command)
          .sort((a, b) => a.priority - b.priority || (lifo ? b.seq - a.seq : a.seq - b.seq))
        const page = storage.page({ laneId, key, lifo, after: undefined, limit: 10_000 })
        same(page.map(facts), expected.map(facts), `page ${when}`)
        const counts = storage.coldCounts().filter((one) => one.laneId === laneId && (key === null || one.key === key))
        same(
          counts.reduce((sum, { count }) => sum + count, 0),
          expected.length,
          `cold count ${when}`,
        )
      }
    }
  }

  #chance(share: number): boolean {
    return this.#random.next() < share
  }

  #below(limit: number): number {
    return Math.floor(this.#random.next() * limit)
  }

  #pick<T>(values: readonly T[]): T {
    return values[this.#below(values.length)] as T
  }
}

function seqOf(change: StorageChange): number {
  if (change.kind === 'submit') return change.command.seq
  return change.kind === 'bury' ? change.letter.seq : change.seq
}

/** What a storage has to know of a command: when it was due, and what it had saved, matters until it runs or settles. */
function facts({ dueAt, checkpoint, ...rest }: StoredCommand): Partial<StoredCommand> {
  if (rest.endedAt !== undefined) return rest
  return rest.state === 'active' ? { ...rest, checkpoint } : { ...rest, checkpoint, dueAt }
}

export const historyCases: readonly StorageCase[] = [1, 2, 3].map((seed) => [
  `says what plain lists would say, through the history of seed ${seed}`,
  (stage) => new History(stage, seed).run(),
])
