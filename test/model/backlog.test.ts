/** The backlog against an array that is searched for the best of all for each command taken. */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Backlog } from '../../src/core/backlog.js'
import { Entry } from '../../src/core/entry.js'
import { LaneState } from '../../src/core/lane.js'
import type { AttemptPolicy } from '../../src/core/lane-limits.js'
import { createRun, type Run, type RunMethods } from '../../src/core/run.js'

/** `seq` is the order of arrival over all priorities. */
type Item = {
  readonly seq: number
  readonly priority: number
  readonly run: Run
  readonly arrivedAt: number
  readonly policy: AttemptPolicy
}
/** A command that is not in the backlog and may come back. */
type Away = { readonly item: Item; readonly entry: Entry }

const priorities = [0, 7, 1000] as const

class Subject {
  readonly #lane: LaneState
  readonly #backlog: Backlog
  #lifo: boolean
  #policy: AttemptPolicy
  #now = 0
  #seq = 0
  #waiting: Item[] = []
  readonly #returned = new Map<Item, Entry>()
  readonly #away: Away[] = []

  constructor(lifo: boolean) {
    this.#lane = new LaneState('lane', { order: lifo ? 'lifo' : 'fifo' }, 0)
    this.#backlog = this.#lane.backlog
    this.#policy = this.#lane.limits.attempt
    this.#lifo = lifo
  }

  push(priority: number, count: number): void {
    for (let n = 0; n < count; n++) {
      const item = this.#arrive(priority)
      this.#backlog.push(item.run, `body of ${item.seq}`, priority, this.#policy, this.#now, item.seq)
      this.#waiting.push(item)
    }
  }

  reserve(priority: number, count: number): void {
    for (let n = 0; n < count; n++) {
      const item = this.#arrive(priority)
      const entry = new Entry(item.run, this.#lane, `body of ${item.seq}`, 0, priority, this.#policy, this.#now)
      entry.place = this.#backlog.reserve(priority, this.#policy, this.#now, item.seq)
      this.#away.push({ item, entry })
    }
  }

  take(count: number): void {
    for (let n = 0; n < count; n++) {
      const expected = this.#best()
      const entry = this.#backlog.take()
      assert.equal(entry?.run.id, expected?.run.id)
      if (entry === undefined || expected === undefined) return
      this.#left(expected, entry)
    }
  }

  putBack(at: number): void {
    if (this.#away.length === 0) return
    const [{ item, entry }] = this.#away.splice(at % this.#away.length, 1) as [Away]
    this.#backlog.putBack(entry)
    this.#returned.set(item, entry)
    this.#waiting.push(item)
  }

  /** Takes one out of the middle, as a cancel does. */
  extract(at: number): void {
    if (this.#waiting.length === 0) return
    const item = this.#waiting[at % this.#waiting.length] as Item
    const returned = this.#returned.get(item)
    if (returned !== undefined) {
      assert.equal(this.#backlog.extractReturned(returned), true)
      assert.equal(this.#backlog.extractReturned(returned), false)
      return this.#left(item, returned)
    }
    const entry = this.#backlog.find(item.seq, (run) => run === item.run)
    assert.equal(this.#backlog.extract(item.run, item.seq), true)
    assert.equal(this.#backlog.extract(item.run, item.seq), false)
    this.#left(item, entry as Entry)
  }

  turn(): void {
    this.#lifo = !this.#lifo
    this.#backlog.setLifo(this.#lifo)
  }

  /** Commands from now on are submitted under other lane options, and later. */
  reconfigure(): void {
    this.#policy = { ...this.#policy }
    this.#now++
  }

  pass(ms: number): void {
    this.#now += ms
  }

  takeAll(): void {
    this.take(this.#waiting.length + 1)
  }

  /** Gives the number of commands that wait. */
  judge(): number {
    assert.equal(this.#backlog.size, this.#waiting.length)
    const seen = [...this.#backlog.waiting()].map(
      ({ run, arrivedAt, priority }) => `${run.id} ${arrivedAt} ${priority}`,
    )
    const expected = this.#waiting.map(({ run, arrivedAt, priority }) => `${run.id} ${arrivedAt} ${priority}`)
    assert.deepEqual(new Set(seen), new Set(expected))
    return seen.length
  }

  #best(): Item | undefined {
    const before = (a: Item, b: Item): number => a.priority - b.priority || (this.#lifo ? b.seq - a.seq : a.seq - b.seq)
    return this.#waiting.reduce<Item | undefined>(
      (best, item) => (best === undefined || before(item, best) < 0 ? item : best),
      undefined,
    )
  }

  #arrive(priority: number): Item {
    const seq = this.#seq++
    const run = createRun(`run ${seq}`, 'lane', 'work', 'pending', {} as RunMethods)
    return { seq, priority, run, arrivedAt: this.#now, policy: this.#policy }
  }

  #left(item: Item, entry: Entry): void {
    assert.equal(entry.body, `body of ${item.seq}`)
    assert.equal(entry.arrivedAt, item.arrivedAt)
    assert.equal(entry.policy, item.policy)
    this.#waiting = this.#waiting.filter((one) => one !== item)
    this.#returned.delete(item)
    this.#away.push({ item, entry })
  }
}

type Operation = { readonly text: string; readonly run: (subject: Subject) => void }
const named = (text: string, run: Operation['run']): Operation => ({ text, run })

const somePriority = fc.constantFrom(...priorities, 1000, 1000)
/** Mostly a few; sometimes more than a chunk holds. */
const someCount = fc.oneof(
  { weight: 8, arbitrary: fc.integer({ min: 1, max: 5 }) },
  { weight: 1, arbitrary: fc.constantFrom(255, 256, 257, 300) },
)

const operation: fc.Arbitrary<Operation> = fc.oneof(
  fc.tuple(somePriority, someCount).map(([p, n]) => named(`push ${n} of ${p}`, (subject) => subject.push(p, n))),
  fc.tuple(somePriority, someCount).map(([p, n]) => named(`reserve ${n} of ${p}`, (subject) => subject.reserve(p, n))),
  someCount.map((n) => named(`take ${n}`, (subject) => subject.take(n))),
  fc.nat().map((at) => named(`put back ${at}`, (subject) => subject.putBack(at))),
  fc.nat().map((at) => named(`put back ${at}`, (subject) => subject.putBack(at))),
  fc.nat().map((at) => named(`extract ${at}`, (subject) => subject.extract(at))),
  fc.constantFrom(
    named('turn', (subject) => subject.turn()),
    named('reconfigure', (subject) => subject.reconfigure()),
    named('pass', (subject) => subject.pass(1)),
  ),
)

test('a backlog gives commands by priority, then by arrival or the reverse of it, wherever they come back', () => {
  fc.assert(
    fc.property(fc.boolean(), fc.array(operation, { maxLength: 40, size: 'max' }), (lifo, operations) => {
      const subject = new Subject(lifo)
      for (const { run } of operations) run(subject)
      subject.judge()
      subject.takeAll()
      expect(subject.judge()).toBe(0)
    }),
    { numRuns: 200 },
  )
}, 60_000)
