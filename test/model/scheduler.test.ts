/**
 * The scheduler against its documented order, worked out anew for each choice: standing (protected lanes, lanes below
 * their reserve, the rest), priority, protected first, turns; and slots that are held back for others are not taken.
 */
import assert from 'node:assert/strict'
import type { LaneDefinition } from '@a3s-lab/lane'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { LaneState } from '../../src/core/lane.js'
import { laneLimits } from '../../src/core/lane-limits.js'
import { Scheduler } from '../../src/core/scheduler.js'
import { limits, priority } from './histories.js'
import { areReservationsValid, orderOf, reservations } from './reference-queue.js'

type Naive = {
  readonly lane: LaneState
  definition: LaneDefinition
  reserved: number
  rank: number
  turn: number
  order: number
}

class Subject {
  readonly #cap: number
  readonly #scheduler: Scheduler
  readonly #lanes: Naive[]
  #turns = 0
  readonly #borrowed: LaneState[] = []

  constructor(definitions: readonly LaneDefinition[], cap: number) {
    this.#cap = cap
    this.#scheduler = new Scheduler(cap)
    this.#lanes = definitions.map((definition, index) => {
      const lane = new LaneState(`lane${index}`, definition, definition.priority)
      Object.defineProperty(lane.backlog, 'hasNext', { get: () => lane.backlog.size > 0 })
      return { lane, definition, reserved: 0, rank: -1, turn: 0, order: -1 }
    })
    this.#scheduler.add(this.#lanes.map(({ lane }) => lane))
    this.#reserve()
  }

  /** Of a backlog only its size is read here. */
  arrive(at: number): void {
    const { lane } = this.#pick(at)
    lane.backlog.size++
    this.#scheduler.update(lane)
    this.#refresh()
  }

  leave(at: number): void {
    const { lane } = this.#pick(at)
    if (lane.backlog.size > 0) lane.backlog.size--
    this.#scheduler.update(lane)
    this.#refresh()
  }

  start(): void {
    const expected = this.#next()
    const lane = this.#scheduler.next()
    assert.equal(lane?.id, expected?.lane.id)
    if (lane === undefined) return
    this.#scheduler.acquire(lane)
    lane.backlog.size--
    this.#scheduler.update(lane)
    this.#refresh()
  }

  release(at: number): void {
    const held = this.#lanes.map((one) => one.lane).filter((one) => one.held > this.#borrowedIn(one))
    const lane = held[at % held.length]
    if (lane === undefined) return
    this.#scheduler.release(lane)
    this.#scheduler.update(lane)
    this.#refresh()
  }

  /** A child starts in a slot that its parent, in another lane, lends. */
  borrow(at: number): void {
    const { lane } = this.#pick(at)
    if (lane.held >= lane.limits.max) return
    this.#scheduler.acquireInLane(lane)
    this.#borrowed.push(lane)
    this.#scheduler.update(lane)
    this.#refresh()
  }

  giveBack(): void {
    const lane = this.#borrowed.pop()
    if (lane === undefined) return
    this.#scheduler.releaseInLane(lane)
    this.#scheduler.update(lane)
    this.#refresh()
  }

  pause(at: number): void {
    const { lane } = this.#pick(at)
    lane.paused = !lane.paused
    this.#scheduler.update(lane)
    this.#refresh()
  }

  configure(at: number, definition: LaneDefinition): void {
    const naive = this.#pick(at)
    const { lane, definition: before } = naive
    naive.definition = definition
    const definitions = this.#lanes.map((one) => one.definition)
    if (!areReservationsValid(definitions, this.#cap)) {
      naive.definition = before
      return
    }
    lane.limits = laneLimits('lane', definition)
    lane.priority = definition.priority
    this.#scheduler.reconfigured()
    this.#reserve()
  }

  reserved(): number[] {
    assert.equal(this.#scheduler.held, this.#held())
    return this.#lanes.map(({ lane }) => lane.reserved)
  }

  expectedReserved(): number[] {
    return this.#lanes.map(({ reserved }) => reserved)
  }

  #pick(at: number): Naive {
    return this.#lanes[at % this.#lanes.length] as Naive
  }

  #borrowedIn(lane: LaneState): number {
    return this.#borrowed.filter((one) => one === lane).length
  }

  #held(): number {
    return this.#lanes.reduce((sum, { lane }) => sum + lane.held, 0) - this.#borrowed.length
  }

  #next(): Naive | undefined {
    const free = this.#cap - this.#held()
    const keptForOthers = (lane: Naive): number =>
      this.#lanes.filter((other) => other !== lane).reduce((sum, other) => sum + heldBack(other), 0)
    const ready = this.#lanes.filter(({ rank }) => rank >= 0).sort((a, b) => a.rank - b.rank || a.turn - b.turn)
    const next = free > 0 ? ready.find((lane) => free > keptForOthers(lane)) : undefined
    if (next !== undefined) next.turn = ++this.#turns
    return next
  }

  /** Lanes keep their turns when limits change; one whose own priority has changed goes behind the others. */
  #reserve(): void {
    const ready = this.#lanes.filter(({ rank }) => rank >= 0).sort((a, b) => a.rank - b.rank || a.turn - b.turn)
    const shares = reservations(
      this.#lanes.map(({ definition }) => definition),
      this.#cap,
    )
    this.#lanes.forEach((one, index) => {
      one.reserved = shares[index] as number
    })
    const all = [...ready, ...this.#lanes.filter((one) => !ready.includes(one))]
    const moved = all.filter((one) => one.order !== orderOf(one.definition))
    for (const one of [...all.filter((lane) => !moved.includes(lane)), ...moved]) {
      one.order = orderOf(one.definition)
      one.rank = this.#rank(one)
      one.turn = ++this.#turns
    }
  }

  /** A lane that has become ready, or whose rank has changed, goes behind the others of its rank. */
  #refresh(): void {
    for (const one of this.#lanes) {
      const rank = this.#rank(one)
      if (rank === one.rank) continue
      one.rank = rank
      one.turn = ++this.#turns
    }
  }

  #rank({ lane, definition, reserved }: Naive): number {
    const { maxConcurrency = 4, protected: isProtected = false } = definition
    if (lane.backlog.size === 0 || lane.paused || lane.held >= maxConcurrency) return -1
    const order = orderOf(definition)
    if (isProtected || this.#cap === Number.POSITIVE_INFINITY) return order
    return (lane.held < reserved ? 1000 : 2000) + order
  }
}

function heldBack({ lane, definition, reserved }: Naive): number {
  // A protected lane that lends does so only to preemptible work: here there is none.
  const lends = definition.lend !== false && definition.protected !== true
  return lends ? 0 : Math.max(0, reserved - lane.held)
}

type Operation = { readonly text: string; readonly run: (subject: Subject) => void }
const named = (text: string, run: Operation['run']): Operation => ({ text, run })
const some = fc.nat({ max: 11 })

/** Priorities close together for turns, and far apart for the search over ranks. */
const anyDefinition: fc.Arbitrary<LaneDefinition> = fc.record(
  {
    minConcurrency: limits.minConcurrency,
    maxConcurrency: limits.maxConcurrency,
    lend: limits.lend,
    protected: limits.protected,
    priority: fc.oneof({ weight: 4, arbitrary: priority }, { weight: 1, arbitrary: fc.integer({ min: 0, max: 255 }) }),
  },
  { requiredKeys: ['priority'], noNullPrototype: true },
)

const operation: fc.Arbitrary<Operation> = fc.oneof(
  { weight: 18, arbitrary: some.map((at) => named(`arrive ${at}`, (subject) => subject.arrive(at))) },
  { weight: 18, arbitrary: fc.constant(0).map(() => named('start', (subject) => subject.start())) },
  { weight: 12, arbitrary: some.map((at) => named(`release ${at}`, (subject) => subject.release(at))) },
  { weight: 3, arbitrary: some.map((at) => named(`leave ${at}`, (subject) => subject.leave(at))) },
  { weight: 3, arbitrary: some.map((at) => named(`borrow ${at}`, (subject) => subject.borrow(at))) },
  { weight: 3, arbitrary: fc.constant(0).map(() => named('give back', (subject) => subject.giveBack())) },
  { weight: 3, arbitrary: some.map((at) => named(`pause ${at}`, (subject) => subject.pause(at))) },
  {
    weight: 1,
    arbitrary: fc
      .tuple(some, anyDefinition)
      .map(([at, to]) => named(`configure ${at} ${JSON.stringify(to)}`, (subject) => subject.configure(at, to))),
  },
)

/** Lanes of one rank of which only some lend: there a lane is passed over by another one of its own company. */
const company: fc.Arbitrary<LaneDefinition> = fc.record(
  {
    minConcurrency: limits.minConcurrency,
    maxConcurrency: fc.constant(4),
    lend: limits.lend,
    protected: fc.constant(true),
    priority: fc.constant(0),
  },
  { noNullPrototype: true },
)

const lanesUnderCap = fc
  .record({
    lanes: fc.oneof(
      fc.array(anyDefinition, { minLength: 1, maxLength: 8, size: 'max' }),
      fc.array(company, { minLength: 3, maxLength: 5, size: 'max' }),
    ),
    cap: fc.oneof(fc.integer({ min: 1, max: 10 }), fc.constant(Number.POSITIVE_INFINITY)),
  })
  .filter(({ lanes, cap }) => areReservationsValid(lanes, cap))

test('a scheduler chooses as documented, whatever its lanes hold and however they change', () => {
  fc.assert(
    fc.property(lanesUnderCap, fc.array(operation, { maxLength: 200, size: 'max' }), ({ lanes, cap }, operations) => {
      const subject = new Subject(lanes, cap)
      for (const { run } of operations) run(subject)
      expect(subject.reserved()).toEqual(subject.expectedReserved())
    }),
    { numRuns: 500 },
  )
}, 60_000)

test('a scheduler refuses exactly the reservations that do not fit or shut a lane out', () => {
  fc.assert(
    fc.property(
      fc.array(anyDefinition, { minLength: 1, maxLength: 6 }),
      fc.integer({ min: 1, max: 8 }),
      (definitions, cap) => {
        const fitting = definitions.filter(
          ({ minConcurrency = 0, maxConcurrency = 4 }) => minConcurrency <= maxConcurrency,
        )
        const lanes = fitting.map((one, index) => new LaneState(`lane${index}`, one, one.priority))
        const add = (): void => new Scheduler(cap).add(lanes)
        if (areReservationsValid(fitting, cap)) expect(add).not.toThrow()
        else expect(add).toThrow('minConcurrency')
      },
    ),
  )
})
