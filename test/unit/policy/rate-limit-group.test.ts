import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Member } from '../../../src/policy/claim-line.js'
import { RateGate } from '../../../src/policy/rate-gate.js'
import { RateLimitConfig } from '../../../src/policy/rate-limit.js'
import { RateLimitGroup } from '../../../src/policy/rate-limit-group.js'

/** An instant is rounded up. */
const ROUNDING_MS = 1e-6

/** A lane with commands that wait, asked and woken as a queue does it, each in a queue of its own. */
class Lane implements Member {
  readonly gate: RateGate
  readonly costs: number[] = []
  place = 0
  paused = false
  able = true
  alarm: number | undefined
  asks = 0
  woken = 0
  #shut = false
  readonly #world: World

  constructor(world: World, limits: readonly RateLimitConfig[]) {
    this.#world = world
    this.gate = new RateGate({ limits, group: () => world.groups[0] as RateLimitGroup, member: this })
  }

  order(): number {
    return this.place
  }

  isWaiting(): boolean {
    return this.costs.length > 0 && !this.paused
  }

  wake(): void {
    this.woken++
    this.askAgain()
    if (!this.able) this.gate.passOver(this.#world.now)
  }

  askAgain(): void {
    if (!this.#shut) return
    this.#shut = false
    this.alarm = undefined
    if (!this.isWaiting()) this.gate.withdraw(this.#world.now)
  }

  /** Starts what may start; whether that was anything. */
  pass(): boolean {
    const before = this.costs.length
    while (!this.#shut && this.able && this.isWaiting()) {
      const { now } = this.#world
      const cost = this.costs[0] as number
      this.asks++
      const at = this.gate.readyAt({ cost }, now)
      if (at > now) {
        this.#shut = true
        this.alarm = at
      } else {
        this.gate.started({ cost }, now)
        this.costs.shift()
        this.#world.starts.push({ lane: this, cost, at: now })
      }
    }
    return this.costs.length < before
  }

  /** Whether it waits although it might start, and nothing is about to happen. */
  get isForgotten(): boolean {
    const { now } = this.#world
    if (!this.isWaiting() || !this.able || (this.alarm ?? Number.POSITIVE_INFINITY) <= now + ROUNDING_MS) return false
    return this.gate.reason({ cost: this.costs[0] }, now) === undefined
  }
}

type Start = { readonly lane: Lane; readonly cost: number; readonly at: number }

class World {
  now = 0
  readonly starts: Start[] = []
  readonly groups = [new RateLimitGroup('a'), new RateLimitGroup('b')]
  readonly lanes: Lane[] = []

  add(...limits: RateLimitConfig[]): Lane {
    const lane = new Lane(this, limits)
    this.lanes.push(lane)
    return lane
  }

  /** Lets everything happen that needs no time. */
  settle(): void {
    for (let isBusy = true; isBusy; ) {
      const [woken, started] = [this.#woken, this.starts.length]
      for (const lane of this.lanes) lane.pass()
      isBusy = this.#woken > woken || this.starts.length > started
    }
  }

  advance(ms: number, watch: () => void = () => undefined): void {
    const end = this.now + ms
    this.settle()
    watch()
    for (let next = this.#next(end); next !== undefined; next = this.#next(end)) {
      this.now = next.alarm as number
      next.askAgain()
      if (!next.able) next.gate.passOver(this.now)
      this.settle()
      watch()
    }
    this.now = end
    watch()
  }

  get #woken(): number {
    return this.lanes.reduce((sum, { woken }) => sum + woken, 0)
  }

  #next(end: number): Lane | undefined {
    let next: Lane | undefined
    for (const lane of this.lanes)
      if (lane.alarm !== undefined && lane.alarm < (next?.alarm ?? Number.POSITIVE_INFINITY)) next = lane
    return next !== undefined && (next.alarm as number) <= end ? next : undefined
  }
}

const shared = (world: World, index: number, max = 12): RateLimitConfig =>
  RateLimitConfig.perSecond(max, { unit: 'tokens', group: world.groups[index] as RateLimitGroup })

test.each([
  ['a token bucket', 1000, 'token-bucket', 1000],
  ['a slow one', 1, 'token-bucket', 60_000],
  ['a window that opens at once', 1000, 'sliding-window', 1000],
] as const)(
  'a grant is the business of a few lanes, even if a thousand wait (%s)',
  (_what, maxCommands, algorithm, windowMs) => {
    const world = new World()
    const limit = new RateLimitConfig(maxCommands, windowMs, { algorithm, group: world.groups[0] as RateLimitGroup })
    for (let n = 0; n < 1000; n++) world.add(limit).costs.push(1, 1, 1)
    world.settle()
    const asked = (): number => world.lanes.reduce((sum, lane) => sum + lane.asks, 0)
    const woken = (): number => world.lanes.reduce((sum, lane) => sum + lane.woken, 0)
    const [asks, wakes, starts] = [asked(), woken(), world.starts.length]
    expect(asks).toBeLessThan(3000)
    world.advance(maxCommands === 1 ? 200 * windowMs : 2000)
    const grants = world.starts.length - starts
    expect(grants).toBe(maxCommands === 1 ? 200 : 2000)
    expect((asked() - asks) / grants).toBeLessThan(5)
    expect((woken() - wakes) / grants).toBeLessThan(5)
  },
)

/** Lanes with one command each that wait for one token per 100 ms; the first token comes at 100. */
function line(count: number): { readonly world: World; readonly lanes: Lane[] } {
  const world = new World()
  const limit = shared(world, 0, 10)
  world.add(limit).gate.started({ cost: 10 }, 0)
  const lanes = Array.from({ length: count }, () => world.add(limit))
  for (const lane of lanes) lane.costs.push(1)
  return { world, lanes }
}

const ask = ({ gate }: Lane, now: number): number => gate.readyAt({ cost: 1 }, now)

test('the first is told its instant, the second the same, and all others a late one that is not expected', () => {
  const { lanes } = line(4)
  const told = lanes.map((lane) => ask(lane, 0))
  expect(told.slice(0, 2)).toEqual([100, 100])
  expect(Math.min(...told.slice(2))).toBeGreaterThan(300)
})

test('when the first starts, the next one is woken, and the one after it to look after that', () => {
  const { lanes } = line(4)
  for (const lane of lanes) ask(lane, 0)
  expect(ask(lanes[0] as Lane, 100)).toBeLessThanOrEqual(100)
  lanes[0]?.gate.started({ cost: 1 }, 100)
  expect(lanes.map(({ woken }) => woken)).toEqual([0, 1, 1, 0])
})

test('a lane that was woken and does not ask keeps the others for one millisecond', () => {
  const { lanes } = line(5)
  const [a, b, c, d, e] = lanes as [Lane, Lane, Lane, Lane, Lane]
  for (const lane of [a, b, c, d]) ask(lane, 0)
  b.gate.withdraw(0)
  a.gate.withdraw(150)
  expect([c.woken > 0, ask(d, 150), ask(e, 150) > 300]).toEqual([true, 151, true])
  expect(ask(d, 151)).toBeLessThanOrEqual(151)
})

test('a lane that is passed over by a silent one is the second all the same', () => {
  const [a, b, c] = line(3).lanes as [Lane, Lane, Lane]
  for (const lane of [a, b]) ask(lane, 0)
  b.paused = true
  expect(ask(c, 0)).toBe(100)
})

test('a lane that moves to the front is woken, and one that moves back wakes who comes there', () => {
  const [a, b, c] = line(3).lanes as [Lane, Lane, Lane]
  for (const lane of [a, b, c]) ask(lane, 0)
  c.place = -1
  c.gate.moved(0)
  expect(c.woken).toBe(1)
  c.place = 1
  c.gate.moved(0)
  expect(a.woken).toBeGreaterThan(0)
  expect([ask(a, 0), ask(b, 0)]).toEqual([100, 100])
})

test('a lane that joins another group while it waits gives its claim up, so that no two wait for each other', () => {
  const world = new World()
  const [a, b] = [shared(world, 0, 10), shared(world, 1, 10)]
  const [joins, both] = [world.add(a), world.add(a, b)]
  for (const lane of [joins, both]) lane.costs.push(1)
  both.gate.started({ cost: 10 }, 0)
  for (const lane of [joins, both]) ask(lane, 0)
  joins.gate.configure([a, b], 0)
  expect([ask(both, 100) <= 100, ask(joins, 100)]).toEqual([true, 100])
})

test('thousands that cannot ask are passed over in one go', () => {
  const { world, lanes } = line(20_000)
  world.settle()
  for (const lane of lanes.slice(1, -1)) lane.able = false
  world.advance(200)
  expect(world.starts.map(({ lane, at }) => [lanes.indexOf(lane), at])).toEqual([
    [0, 100],
    [19_999, 200],
  ])
})

type Deed = { readonly kind: string; readonly lane: number; readonly amount: number }

const deed: fc.Arbitrary<Deed> = fc.record({
  kind: fc.constantFrom(
    ...['submit', 'submit', 'submit', 'submit', 'advance', 'advance', 'advance'],
    ...['pause', 'resume', 'slot', 'slot', 'move', 'refund', 'close', 'configure', 'cancel', 'leave'],
  ),
  lane: fc.nat({ max: 6 }),
  amount: fc.integer({ min: 1, max: 12 }),
})

/** Seven lanes: in one group, in the other, in both, with a limit of their own. */
function crowd(): World {
  const world = new World()
  const [a, b] = [shared(world, 0), shared(world, 1)]
  const own = RateLimitConfig.perSecond(5, { unit: 'tokens', burst: 12 })
  for (const limits of [[a], [a], [a, b], [b], [b, a], [a, own], [b]]) world.add(...limits)
  return world
}

function act(world: World, { kind, lane: index, amount }: Deed): void {
  const lane = world.lanes[index] as Lane
  const { gate } = lane
  if (kind === 'submit') lane.costs.push(amount)
  // of a lane that was opened and cannot ask it is not noticed before its claim ends
  if (kind === 'cancel' && lane.able) lane.costs.shift()
  if (kind === 'pause' && lane.able) lane.paused = true
  if (kind === 'resume') lane.paused = false
  if (['submit', 'cancel', 'pause', 'resume'].includes(kind)) lane.askAgain()
  if (kind === 'slot') lane.able = !lane.able
  if (kind === 'move') {
    lane.place = amount % 3
    gate.moved(world.now)
  }
  if (kind === 'refund') gate.settle(amount, amount / 2, world.now, world.now)
  if (kind === 'close') gate.closeUntil(world.now + 20 * amount)
  if (kind === 'configure') gate.configure([shared(world, index % 2, 12 + (amount % 2))], world.now)
  if (kind === 'leave') gate.configure([], world.now)
}

test('whatever happens, nobody waits who might start, and all of it starts in the end', () => {
  const script = fc.array(deed, { maxLength: 60, size: 'max' })
  fc.assert(
    fc.property(script, (deeds) => {
      const world = crowd()
      const watch = (): void => {
        expect(world.lanes.filter((lane) => lane.isForgotten)).toEqual([])
      }
      for (const one of deeds) {
        if (one.kind === 'advance') world.advance(one.amount * 13.7, watch)
        else act(world, one)
        world.settle()
        watch()
      }
      for (const lane of world.lanes) {
        lane.paused = false
        lane.able = true
        lane.askAgain()
      }
      world.advance(120_000, watch)
      expect(world.lanes.flatMap(({ costs }) => costs)).toEqual([])
    }),
    { numRuns: 500 },
  )
}, 60_000)
