import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Member } from '../../../src/policy/claim-line.js'
import { amountOf, type Cost } from '../../../src/policy/gate.js'
import { RateGate } from '../../../src/policy/rate-gate.js'
import { RateLimitConfig, type RateLimitOptions } from '../../../src/policy/rate-limit.js'
import { RateLimitGroup } from '../../../src/policy/rate-limit-group.js'

const perSecond = (max: number, options?: RateLimitOptions): RateLimitConfig => RateLimitConfig.perSecond(max, options)
const sliding = (max: number, options?: RateLimitOptions): RateLimitConfig =>
  perSecond(max, { algorithm: 'sliding-window', ...options })

/** A lane as a gate sees it. */
class Lane implements Member {
  readonly gate: RateGate
  waiting = true
  woken = 0
  place: number

  constructor(limits: readonly RateLimitConfig[], place = 0, groups = new Map<string, RateLimitGroup>()) {
    this.place = place
    const group = (name: string): RateLimitGroup => {
      const found = groups.get(name) ?? new RateLimitGroup(name)
      groups.set(name, found)
      return found
    }
    this.gate = new RateGate({ limits, group, member: this })
  }

  order(): number {
    return this.place
  }

  isWaiting(): boolean {
    return this.waiting
  }

  wake(): void {
    this.woken++
  }

  readyAt(cost: Cost | undefined, now: number): number {
    return this.gate.readyAt({ cost }, now)
  }

  /** Starts a command if it may. */
  start(cost: Cost | undefined, now: number): boolean {
    if (this.readyAt(cost, now) > now) return false
    this.gate.started({ cost }, now)
    return true
  }

  /** Starts commands of 1 as long as they may; gives their number. */
  drain(now: number): number {
    let count = 0
    while (this.start(undefined, now)) count++
    return count
  }

  reason(cost: Cost | undefined, now: number): unknown {
    return this.gate.reason({ cost }, now)
  }
}

describe('a cost comes to', () => {
  test.each<[string, string | undefined, Cost | undefined, number]>([
    ['1 command, whatever it is', undefined, 500, 1],
    ['1 command, also by its name', 'commands', { commands: 7 }, 1],
    ['1 of any unit without a cost', 'tokens', undefined, 1],
    ['its number in every unit', 'usd', 0.5, 0.5],
    ['its own amount of a unit', 'tokens', { tokens: 300, usd: 0.5 }, 300],
    ['nothing of a unit that it does not name', 'usd', { tokens: 300 }, 0],
    ['nothing of a unit that every object has', 'toString', { tokens: 300 }, 0],
  ])('%s', (_what, unit, cost, amount) => {
    expect(amountOf(unit, cost)).toBe(amount)
  })
})

describe('the limits of one lane', () => {
  test('a lane without any starts everything', () => {
    const lane = new Lane([])
    expect([lane.readyAt(1e9, 5), lane.reason(1e9, 5), lane.gate.largestFor(1e9)]).toEqual([
      Number.NEGATIVE_INFINITY,
      undefined,
      undefined,
    ])
  })

  test('unlimited is no limiter at all', () => {
    const lane = new Lane([RateLimitConfig.unlimited()])
    expect(lane.gate.largestFor(Number.MAX_VALUE)).toBeUndefined()
    expect(lane.start(Number.MAX_VALUE, 0)).toBe(true)
  })

  test('one per second: the second start is refused although there is room, and nothing is taken by asking', () => {
    const lane = new Lane([perSecond(1)])
    lane.readyAt(undefined, 0)
    expect(lane.start(undefined, 0)).toBe(true)
    expect(lane.start(undefined, 0)).toBe(false)
    expect(lane.readyAt(undefined, 500)).toBe(1000)
    expect(lane.start(undefined, 1000)).toBe(true)
  })

  test('the slowest of several decides, each in its own unit', () => {
    const lane = new Lane([
      sliding(2),
      RateLimitConfig.perMinute(100, { unit: 'tokens' }),
      perSecond(9, { unit: 'usd' }),
    ])
    expect(lane.start({ tokens: 40 }, 0)).toBe(true)
    expect(lane.start({ tokens: 40 }, 0)).toBe(true)
    expect(lane.readyAt({ tokens: 20 }, 0)).toBe(1000)
    expect(lane.readyAt({ tokens: 50 }, 0)).toBe(18_000)
    expect(lane.start({ tokens: 20, usd: 9 }, 1000)).toBe(true)
    expect(lane.readyAt({ usd: 9 }, 1000)).toBe(2000)
  })

  test('a cost that can never be granted is named with its unit', () => {
    const lane = new Lane([perSecond(5), RateLimitConfig.perMinute(100, { unit: 'tokens', burst: 50 })])
    expect(lane.gate.largestFor(50)).toBeUndefined()
    expect(lane.gate.largestFor({ tokens: 51 })).toEqual({ unit: 'tokens', largest: 50 })
    expect(lane.gate.largestFor({ usd: 51 })).toBeUndefined()
    lane.gate.configure([perSecond(5, { burst: 1 }), sliding(0.5, { unit: 'usd' })], 0)
    expect(lane.gate.largestFor(undefined)).toEqual({ unit: 'usd', largest: 0.5 })
    expect(lane.gate.largestFor({ usd: 0.1 + 0.2 + 0.2 + 1e-12 })).toBeUndefined()
  })

  test('what an attempt really cost is a debt or comes back, and who waits is woken when it comes back', () => {
    const lane = new Lane([perSecond(10, { unit: 'tokens' }), sliding(10, { unit: 'tokens' }), perSecond(100)])
    lane.gate.started({ cost: { tokens: 4 } }, 0)
    lane.gate.settle({ tokens: 4 }, { tokens: 12 }, 0, 0)
    expect(lane.woken).toBe(0)
    expect(lane.readyAt({ tokens: 1 }, 0)).toBe(1000)
    lane.gate.settle({ tokens: 12 }, { tokens: 9 }, 0, 0)
    expect(lane.woken).toBe(1)
    expect([lane.readyAt({ tokens: 1 }, 0), lane.readyAt({ tokens: 2 }, 0)]).toEqual([0, 1000])
    lane.gate.settle({ tokens: 9 }, { tokens: 9 }, 0, 0)
    expect(lane.woken).toBe(1)
    lane.gate.settle({ tokens: 9 }, {}, 0, 0)
    expect([lane.woken, lane.readyAt({ tokens: 10 }, 0)]).toEqual([2, 0])
  })

  test('a command without an estimate was accounted for as one', () => {
    const lane = new Lane([perSecond(10, { unit: 'tokens' })])
    lane.gate.started({ cost: undefined }, 0)
    lane.gate.settle(undefined, 6, 0, 0)
    expect(lane.readyAt(5, 0)).toBe(100)
  })
})

describe('when a provider asks for a pause,', () => {
  test('a lane without limits starts nothing until then', () => {
    const lane = new Lane([])
    lane.gate.closeUntil(500)
    lane.gate.closeUntil(300)
    expect([lane.readyAt(undefined, 0), lane.start(undefined, 499), lane.start(undefined, 500)]).toEqual([
      500,
      false,
      true,
    ])
    expect(lane.reason(undefined, 499)).toEqual({
      code: 'closed_by_provider',
      message: 'The provider asked for a pause',
      until: 500,
    })
    expect(lane.reason(undefined, 500)).toBeUndefined()
  })

  test('all lanes of its groups are closed, and other lanes are not', () => {
    const groups = new Map<string, RateLimitGroup>()
    const openai = perSecond(Number.MAX_SAFE_INTEGER, { group: 'openai' })
    const [first, second, other] = [
      new Lane([openai, perSecond(5, { group: 'gpu' })], 0, groups),
      new Lane([openai], 1, groups),
      new Lane([perSecond(5)], 2, groups),
    ]
    first.gate.closeUntil(500)
    second.gate.closeUntil(300)
    expect([first, second, other].map((lane) => lane.readyAt(undefined, 0))).toEqual([500, 500, 0])
    expect(first.reason(undefined, 0)).toEqual({
      code: 'closed_by_provider',
      message: "The provider asked for a pause of group 'openai' and group 'gpu'",
      until: 500,
    })
    expect([groups.get('gpu')?.closedUntil(499), groups.get('gpu')?.closedUntil(500)]).toEqual([500, undefined])
  })

  test('a lane that leaves its last group takes the pause along; one that joins a group keeps its own', () => {
    const group = new RateLimitGroup()
    const lane = new Lane([perSecond(5, { group })])
    lane.gate.closeUntil(500)
    lane.gate.configure([perSecond(5)], 100)
    expect(lane.readyAt(undefined, 100)).toBe(500)
    lane.gate.configure([perSecond(5, { group: new RateLimitGroup() })], 200)
    expect(lane.readyAt(undefined, 200)).toBe(500)
    expect(lane.start(undefined, 500)).toBe(true)
  })
})

describe('the reason says', () => {
  test('what is used up, and until when', () => {
    const lane = new Lane([perSecond(10)])
    lane.drain(0)
    expect(lane.reason(undefined, 50)).toEqual({
      code: 'rate_limited',
      message: 'The limit of 10 commands per 1s has 0.5 left, and the command needs 1',
      until: 100,
    })
    expect(lane.reason(undefined, 100)).toBeUndefined()
  })

  test('the amount, the unit and the group; of several limits it is the slowest', () => {
    const group = new RateLimitGroup()
    const lane = new Lane([perSecond(5), RateLimitConfig.perMinute(100, { unit: 'tokens', burst: 50, group })])
    lane.gate.started({ cost: 50 }, 0)
    expect(lane.reason({ tokens: 10 }, 0)).toEqual({
      code: 'rate_limited',
      message: 'The limit of 100 tokens per 60s (burst 50) in its group has 0 left, and the command needs 10',
      until: 6000,
    })
  })

  test('that a cost is never granted, without an end', () => {
    const lane = new Lane([sliding(100, { unit: 'tokens', group: 'openai' })])
    expect(lane.reason(101, 0)).toEqual({
      code: 'rate_limited',
      message: "The limit of 100 tokens per 1s in group 'openai' never grants 101 at once",
    })
  })

  test('that a better lane goes first, until its claim ends', () => {
    const group = new RateLimitGroup('openai')
    const [better, worse] = [0, 1].map((place) => new Lane([perSecond(10, { unit: 'tokens', group })], place)) as [
      Lane,
      Lane,
    ]
    better.start(5, 0)
    better.readyAt(9, 0)
    expect(worse.reason(1, 0)).toEqual({
      code: 'rate_limited',
      message: "A better lane of group 'openai' goes first, or one as good that has waited longer",
      until: 400,
    })
  })
})

test('a lane that has not asked yet is said to wait for better ones, and not for worse ones', () => {
  const group = new RateLimitGroup()
  const lanes = [1, 2, 3].map((place) => new Lane([perSecond(10, { unit: 'tokens', group })], place))
  const [better, lane, worse] = lanes as [Lane, Lane, Lane]
  lane.start(5, 0)
  lane.readyAt(9, 0)
  expect([better.reason(1, 0), worse.reason(1, 0)]).toEqual([undefined, expect.objectContaining({ until: 400 })])
})

test('claims that do not count are no reason', () => {
  const group = new RateLimitGroup()
  const lanes = [1, 2, 0, 4, 3].map((place) => new Lane([perSecond(10, { unit: 'tokens', group })], place))
  const [second, third, first, last, fourth] = lanes as [Lane, Lane, Lane, Lane, Lane]
  first.start(5, 0)
  for (const lane of [first, third, second, fourth]) lane.readyAt(9, 0)
  first.waiting = false
  expect(last.reason(1, 0)).toMatchObject({ until: 400 })
  for (const lane of [second, third, fourth]) lane.waiting = false
  expect(last.reason(1, 0)).toBeUndefined()
})

test('as many may start now as there is left of each limit, none while it is another’s turn or the provider pauses', () => {
  const group = new RateLimitGroup()
  const [better, worse] = [0, 1].map((place) => new Lane([perSecond(10, { group })], place)) as [Lane, Lane]
  const tokens = new Lane([perSecond(10), perSecond(10, { unit: 'tokens' })])
  expect([worse.gate.grants(20, 0), worse.gate.grants(3, 0), tokens.gate.grants(3, 0)]).toEqual([10, 3, 1])
  better.drain(0)
  expect([better.gate.grants(3, 100), worse.gate.grants(3, 100)]).toEqual([1, 0])
  better.gate.closeUntil(1000)
  expect([worse.gate.grants(3, 999), worse.gate.grants(3, 1000)]).toEqual([0, 3])
})

describe('lanes of a group', () => {
  /** Lanes of one group, best first, each with these limits. */
  const lanesOf = (count: number, limits: (group: RateLimitGroup) => RateLimitConfig[]): Lane[] => {
    const group = new RateLimitGroup('g')
    return Array.from({ length: count }, (_, place) => new Lane(limits(group), place))
  }
  const pair = (limits: (group: RateLimitGroup) => RateLimitConfig[]): [Lane, Lane] =>
    lanesOf(2, limits) as [Lane, Lane]

  test('share one limiter per unit, algorithm and window', () => {
    const [a, b] = pair((group) => [perSecond(10, { group }), sliding(20, { group }), perSecond(5)])
    expect([a.drain(0), b.drain(0), a.drain(0)]).toEqual([5, 5, 0])
    expect(a.readyAt(undefined, 0)).toBe(200)
  })

  test('may be in several queues, which share the group object; a name is one queue’s own', () => {
    const group = new RateLimitGroup()
    const [a, b] = [new Lane([perSecond(3, { group })]), new Lane([perSecond(3, { group })])]
    expect(a.drain(0) + b.drain(0)).toBe(3)
    const [c, d] = [new Lane([perSecond(3, { group: 'x' })]), new Lane([perSecond(3, { group: 'x' })])]
    expect(c.drain(0) + d.drain(0)).toBe(6)
  })

  test('the same limit twice counts once', () => {
    const group = new RateLimitGroup()
    expect(new Lane([perSecond(3, { group }), perSecond(3, { group })]).drain(0)).toBe(3)
    const limit = perSecond(3)
    const lane = new Lane([limit, limit])
    lane.gate.configure([limit, limit], 0)
    expect(lane.drain(0)).toBe(3)
  })

  test('that disagree are refused, and the refused one has joined nothing', () => {
    const [group, other] = [new RateLimitGroup(), new RateLimitGroup()]
    const lane = new Lane([perSecond(10, { group })])
    const expected = expect.objectContaining({
      code: 'CONFIG_INVALID',
      message:
        'Configuration error: RateLimitConfig must be 10 commands per 1s as elsewhere in its group, got "20 commands per 1s"',
    }) as Error
    expect(() => new Lane([perSecond(5, { group: other }), perSecond(20, { group })])).toThrow(expected)
    expect(new Lane([perSecond(7, { group: other })]).drain(0)).toBe(7)
    expect(() => new Lane([perSecond(10, { group, burst: 5 })])).toThrow('burst 5')
    expect(() => new Lane([perSecond(10, { group }), perSecond(20, { group })])).toThrow(expected)
    lane.drain(0)
    lane.gate.configure([perSecond(10, { group })], 0)
    expect(() => new Lane([perSecond(20, { group })])).toThrow(expected)
    lane.gate.dispose(0)
    expect(new Lane([perSecond(20, { group })]).drain(100)).toBe(2)
  })

  test('while a better one waits for tokens, worse ones get none, until it has started', () => {
    const [better, worse] = pair((group) => [perSecond(10, { unit: 'tokens', group })])
    expect(better.start(10, 0)).toBe(true)
    expect(better.readyAt(8, 0)).toBe(800)
    expect([worse.readyAt(1, 0), worse.readyAt(1, 500)]).toEqual([800, 800])
    expect(better.start(8, 800)).toBe(true)
    expect(worse.readyAt(1, 800)).toBe(900)
  })

  test('a worse one that waits holds up nobody better', () => {
    const [better, worse] = pair((group) => [perSecond(10, { unit: 'tokens', group })])
    worse.start(10, 0)
    expect(worse.readyAt(10, 0)).toBe(1000)
    expect(better.start(1, 100)).toBe(true)
    expect(worse.readyAt(10, 100)).toBe(1100)
  })

  test('the order is asked for each time: a lane that has become better goes first', () => {
    const [a, b] = pair((group) => [perSecond(10, { unit: 'tokens', group })])
    a.start(10, 0)
    expect([a.readyAt(8, 0), b.readyAt(1, 0)]).toEqual([800, 800])
    b.place = -1
    expect([b.start(1, 100), a.readyAt(8, 100)]).toEqual([true, 900])
  })

  test('among equals the older claim goes first', () => {
    const [first, second] = pair((group) => [perSecond(10, { unit: 'tokens', group })])
    second.place = first.place
    first.start(10, 0)
    expect(second.readyAt(8, 0)).toBe(800)
    expect(first.readyAt(1, 0)).toBe(800)
    expect([second.readyAt(8, 400), second.start(8, 800)]).toEqual([800, true])
    expect([first.readyAt(1, 800), first.start(1, 900)]).toEqual([900, true])
  })

  test('a lane that does not wait any more holds up nobody', () => {
    const [better, worse] = pair((group) => [perSecond(10, { unit: 'tokens', group })])
    better.start(9, 0)
    better.readyAt(8, 0)
    better.waiting = false
    expect(worse.start(1, 0)).toBe(true)
  })

  test('a claim that is withdrawn wakes those whom it held up, and only them', () => {
    const [better, worse] = pair((group) => [perSecond(10, { unit: 'tokens', group })])
    better.start(9, 0)
    better.readyAt(8, 0)
    better.gate.withdraw(0)
    expect([better.woken, worse.woken]).toEqual([0, 0])
    better.readyAt(8, 0)
    expect(worse.readyAt(1, 0)).toBe(700)
    better.gate.withdraw(0)
    better.gate.withdraw(0)
    expect([better.woken, worse.woken, worse.start(1, 0)]).toEqual([0, 1, true])
    better.readyAt(8, 0)
    better.gate.withdraw(0)
    expect(worse.woken).toBe(1)
  })

  test('a claim that moves to an earlier instant wakes those who were told a later one', () => {
    const [better, worse] = pair((group) => [perSecond(10, { unit: 'tokens', group })])
    better.start(10, 0)
    better.readyAt(8, 0)
    worse.readyAt(1, 0)
    better.readyAt(8, 100)
    expect(worse.woken).toBe(0)
    better.readyAt(4, 100)
    expect([worse.woken, worse.readyAt(1, 100)]).toEqual([1, 400])
    expect(better.readyAt(1, 100)).toBeLessThanOrEqual(100)
    expect([worse.woken, worse.start(1, 100)]).toEqual([2, true])
  })

  test('a lane that starts without having been asked again gives its claim up', () => {
    const [better, worse] = pair((group) => [perSecond(10, { unit: 'tokens', group })])
    better.start(9, 0)
    better.readyAt(8, 0)
    worse.readyAt(1, 0)
    better.gate.started({ cost: 0 }, 0)
    expect([worse.woken, worse.start(1, 0)]).toEqual([1, true])
  })

  test('a better one of another queue whose claim has come due is asked first, for one millisecond', () => {
    const [better, worse] = pair((group) => [perSecond(10, { unit: 'tokens', group })])
    better.start(10, 0)
    better.readyAt(8, 0)
    expect([worse.readyAt(1, 800), better.woken]).toEqual([801, 1])
    expect(better.start(8, 800)).toBe(true)
    expect([worse.woken, worse.readyAt(1, 801)]).toEqual([1, 900])

    better.readyAt(8, 801)
    expect([worse.readyAt(1, 1600), worse.start(1, 1601)]).toEqual([1601, true])
  })

  test('what comes back wakes the first that waits for it, which wakes the next one', () => {
    const [a, b, c] = lanesOf(3, (group) => [perSecond(10, { unit: 'tokens', group })]) as [Lane, Lane, Lane]
    a.gate.started({ cost: 10 }, 0)
    a.gate.settle(10, 20, 0, 0)
    b.readyAt(5, 0)
    c.readyAt(1, 0)
    expect([a.woken, b.woken, c.woken]).toEqual([0, 0, 0])
    a.gate.settle(20, 4, 0, 0)
    expect([a.woken, b.woken, c.woken]).toEqual([0, 1, 0])
    expect(b.start(5, 0)).toBe(true)
    expect([a.woken, b.woken, c.woken]).toEqual([0, 1, 1])
    expect(c.start(1, 0)).toBe(true)
  })

  test('what comes back is for the next one when the first has nothing to start', () => {
    const [a, b, c] = lanesOf(3, (group) => [perSecond(10, { unit: 'tokens', group })]) as [Lane, Lane, Lane]
    a.gate.started({ cost: 10 }, 0)
    b.readyAt(5, 0)
    c.readyAt(1, 0)
    b.waiting = false
    a.gate.settle(10, 4, 0, 0)
    expect([b.woken, c.woken, c.start(1, 0)]).toEqual([0, 1, true])
  })

  test('other numbers are for all of them', () => {
    const group = new RateLimitGroup()
    const [a, b] = [new Lane([perSecond(10, { group })]), new Lane([perSecond(10, { group })])]
    a.drain(0)
    a.gate.configure([perSecond(100, { group })], 0)
    expect([a.woken, b.woken]).toEqual([2, 1])
    expect([a.readyAt(undefined, 0), b.readyAt(undefined, 0)]).toEqual([10, 10])
    expect([b.drain(1000), a.drain(1000)]).toEqual([100, 0])
  })

  test('one that leaves withdraws its claim; the rest keep the limiter', () => {
    const [better, worse] = pair((group) => [perSecond(10, { unit: 'tokens', group })])
    better.start(9, 0)
    better.readyAt(8, 0)
    worse.readyAt(1, 0)
    better.gate.dispose(0)
    expect([worse.woken, worse.start(1, 0), worse.start(1, 0)]).toEqual([1, true, false])
    expect(better.readyAt(1e9, 0)).toBeLessThanOrEqual(0)
  })

  test('nobody claims what can never be granted', () => {
    const [better, worse] = pair((group) => [perSecond(10, { unit: 'tokens', group })])
    expect(better.readyAt(11, 0)).toBe(Number.POSITIVE_INFINITY)
    expect(worse.start(1, 0)).toBe(true)
  })

  test('a lane that its own limit keeps back for longer claims nothing: it could not use it', () => {
    const [better, worse] = pair((group) => [
      perSecond(10, { unit: 'tokens', group }),
      RateLimitConfig.perMinute(1, { unit: 'usd' }),
    ])
    better.start({ tokens: 10, usd: 1 }, 0)
    expect(better.readyAt({ tokens: 10, usd: 1 }, 0)).toBe(60_000)
    expect(worse.start({ tokens: 1 }, 100)).toBe(true)
    better.gate.closeUntil(90_000)
    expect(better.readyAt({ tokens: 10 }, 100)).toBe(90_000)
  })

  test('a claim holds in all groups of the lane: worse lanes cannot empty one while it waits for the other', () => {
    const [a, b] = [new RateLimitGroup('a'), new RateLimitGroup('b')]
    const limits = [a, b].map((group) => perSecond(10, { unit: group.name, group }))
    const better = new Lane(limits, 0)
    const worse = new Lane(limits, 1)
    const inA = new Lane([limits[0] as RateLimitConfig], 2)
    better.start({ a: 10 }, 0)
    expect(better.readyAt({ a: 10, b: 10 }, 0)).toBe(1000)
    expect([worse.readyAt({ b: 1 }, 500), inA.start({ a: 1 }, 500)]).toEqual([1000, false])
    expect(better.start({ a: 10, b: 10 }, 1000)).toBe(true)
  })
})

describe('other limits at run time: never a fresh burst:', () => {
  const tokens = { unit: 'tokens' }

  test.each<[string, RateLimitConfig[], RateLimitConfig[], Cost, number]>([
    ['the same limit goes on', [perSecond(10, tokens)], [perSecond(10, tokens)], 1, 100],
    ['other numbers', [perSecond(10, tokens)], [perSecond(100, tokens)], 1, 10],
    ['another window keeps the level', [perSecond(10, tokens)], [RateLimitConfig.perMinute(60, tokens)], 1, 1000],
    ['another algorithm', [perSecond(10, tokens)], [sliding(10, tokens)], 1, 1000],
    ['and back', [sliding(10, tokens)], [perSecond(10, tokens)], 1, 100],
    [
      'a longer window than before',
      [sliding(10, tokens)],
      [new RateLimitConfig(10, 5000, { ...tokens, algorithm: 'sliding-window' })],
      1,
      5000,
    ],
    ['one more', [perSecond(10, tokens)], [perSecond(10, tokens), RateLimitConfig.perHour(10, tokens)], 1, 360_000],
    [
      'one more, larger',
      [perSecond(10, tokens)],
      [RateLimitConfig.perHour(3600, tokens), perSecond(10, tokens)],
      1,
      100,
    ],
    ['smaller than what was used', [perSecond(10, tokens)], [sliding(3, tokens)], 1, 1000],
    ['smaller than what was used, evenly', [sliding(10, tokens)], [perSecond(4, tokens)], 1, 250],
    [
      'one more in front',
      [perSecond(10, tokens)],
      [RateLimitConfig.perHour(10, tokens), perSecond(10, tokens)],
      1,
      360_000,
    ],
    ['into a group', [perSecond(10, tokens)], [perSecond(10, { ...tokens, group: 'g' })], 1, 100],
    ['out of a group', [perSecond(10, { ...tokens, group: 'g' })], [perSecond(10, tokens)], 1, 100],
    [
      'from group to group',
      [perSecond(10, { ...tokens, group: 'g' })],
      [perSecond(10, { ...tokens, group: 'h' })],
      1,
      100,
    ],
    ['another unit is another thing', [perSecond(10, tokens)], [perSecond(10, { unit: 'usd' })], { usd: 10 }, 0],
    ['no limit is no limit', [perSecond(10, tokens)], [], 1e9, Number.NEGATIVE_INFINITY],
    ['from no limit, a full one', [RateLimitConfig.unlimited()], [perSecond(10, tokens)], 10, 0],
  ])('%s', (_what, before, after, cost, ready) => {
    const lane = new Lane(before)
    for (let count = 0; count < 10; count++) lane.gate.started({ cost: 1 }, 0)
    lane.gate.configure(after, 0)
    expect(lane.readyAt(cost, 0)).toBe(ready)
  })

  test('a debt stays a debt, in a limit of another kind too', () => {
    const lane = new Lane([perSecond(10, tokens)])
    lane.gate.started({ cost: 10 }, 0)
    lane.gate.settle(10, 15, 0, 0)
    lane.gate.configure([sliding(100, tokens)], 0)
    lane.gate.configure([perSecond(10, tokens)], 0)
    expect(lane.readyAt(1, 0)).toBeGreaterThan(0)
    const other = new Lane([perSecond(10, tokens)])
    other.gate.started({ cost: 15 }, 0)
    other.gate.configure([sliding(10, tokens)], 0)
    expect([other.readyAt(0, 0), other.readyAt(0, 1000)]).toEqual([1000, 1000])
    const third = new Lane([perSecond(10, tokens)])
    third.gate.started({ cost: 15 }, 0)
    third.gate.configure([sliding(100, tokens)], 0)
    expect([third.readyAt(85, 0), third.readyAt(86, 0)]).toEqual([0, 1000])
  })

  test('two limits of one unit keep their own records, whatever their order', () => {
    const lane = new Lane([perSecond(10, tokens), RateLimitConfig.perMinute(100, tokens)])
    lane.gate.started({ cost: 10 }, 0)
    lane.gate.configure([RateLimitConfig.perMinute(100, tokens), perSecond(10, tokens)], 0)
    expect([lane.readyAt(10, 0), lane.reason(10, 0)]).toEqual([
      1000,
      expect.objectContaining({ message: expect.stringContaining('10 tokens per 1s has 0 left') as string }),
    ])
  })

  test('what was taken before a limit was there does not come back from it; a debt counts', () => {
    const lane = new Lane([])
    lane.gate.started({ cost: 5 }, 0)
    lane.gate.configure([perSecond(10, tokens)], 100)
    lane.gate.started({ cost: 10 }, 100)
    lane.gate.settle(5, 1, 0, 100)
    expect(lane.readyAt(1, 100)).toBe(200)
    lane.gate.settle(5, 10, 0, 100)
    expect(lane.readyAt(1, 100)).toBe(700)
    lane.gate.settle(10, 1, 100, 100)
    expect(lane.readyAt(1, 100)).toBe(100)
  })

  test('a limit that stays gives back what was taken before', () => {
    const lane = new Lane([perSecond(10, tokens)])
    lane.gate.started({ cost: 10 }, 0)
    lane.gate.configure([perSecond(20, tokens)], 50)
    lane.gate.settle(10, 1, 0, 50)
    expect(lane.start(9, 50)).toBe(true)
  })

  test('limits that are refused change nothing', () => {
    const group = new RateLimitGroup('g')
    const lane = new Lane([perSecond(10)])
    lane.drain(0)
    expect(() => lane.gate.configure([perSecond(20), perSecond(3, { group }), perSecond(4, { group })], 0)).toThrow(
      'RateLimitConfig must be 3 commands per 1s as elsewhere in its group, got "4 commands per 1s"',
    )
    expect(lane.readyAt(undefined, 0)).toBe(100)
    expect(new Lane([perSecond(4, { group })]).drain(0)).toBe(4)
  })

  test('a lane that stays in a group keeps its claim there', () => {
    const group = new RateLimitGroup('g')
    const better = new Lane([perSecond(10, { unit: 'tokens', group })], 0)
    const worse = new Lane([perSecond(10, { unit: 'tokens', group })], 1)
    better.start(10, 0)
    better.readyAt(8, 0)
    better.gate.configure([perSecond(10, { unit: 'tokens', group }), perSecond(5)], 0)
    expect(worse.readyAt(1, 0)).toBe(800)
    better.gate.configure([perSecond(5)], 0)
    expect(worse.readyAt(1, 0)).toBe(100)
  })
})

type Action = { readonly kind: string; readonly lane: number; readonly amount: number }

/** What a script does to the lanes of a group, one thing at a time. */
const action: fc.Arbitrary<Action> = fc.record({
  kind: fc.constantFrom('start', 'start', 'start', 'charge', 'configure', 'withdraw', 'pass', 'pass'),
  lane: fc.nat({ max: 2 }),
  amount: fc.integer({ min: 0, max: 12 }),
})

/** Three lanes that share 12 tokens per second, and what they were granted. */
class Sharing {
  readonly grants: { at: number; amount: number }[] = []
  /** Starts of a lane while a better one had been told to wait. */
  readonly passed: number[] = []
  readonly #limits: readonly RateLimitConfig[]
  readonly #lanes: readonly Lane[]
  readonly #claims = [0, 0, 0]
  /** What each lane was told to wait for, and how often it was woken when that was looked at. */
  readonly #wanted: (number | undefined)[] = [undefined, undefined, undefined]
  readonly #woken = [0, 0, 0]
  #now = 0

  constructor(make: typeof perSecond) {
    this.#limits = [make(12, { unit: 'tokens', group: new RateLimitGroup() })]
    this.#lanes = [0, 1, 2].map((place) => new Lane(this.#limits, place))
  }

  do({ kind, lane: index, amount }: Action): void {
    const { gate } = this.#lanes[index] as Lane
    if (kind === 'pass') this.#now += 37 * amount
    if (kind === 'configure') gate.configure(this.#limits, this.#now)
    if (kind === 'charge') gate.settle(0, amount, this.#now, this.#now)
    if (kind === 'start') this.#start(index, amount)
    if (kind === 'withdraw') {
      gate.withdraw(this.#now)
      this.#claims[index] = 0
      this.#wanted[index] = undefined
    }
    this.#answer()
  }

  /** Who is woken asks again. */
  #answer(): void {
    for (const [index, { woken }] of this.#lanes.entries()) {
      if (woken === this.#woken[index]) continue
      this.#woken[index] = woken
      const amount = this.#wanted[index]
      if (amount !== undefined) this.#start(index, amount)
      return this.#answer()
    }
  }

  #start(index: number, amount: number): void {
    const { gate } = this.#lanes[index] as Lane
    const at = gate.readyAt({ cost: amount }, this.#now)
    this.#claims[index] = at
    this.#wanted[index] = at > this.#now ? amount : undefined
    if (at > this.#now) return
    if (this.#claims.slice(0, index).some((until) => until > this.#now)) this.passed.push(this.#now)
    gate.started({ cost: amount }, this.#now)
    this.grants.push({ at: this.#now, amount })
  }
}

/** The most that was granted beyond the promise, over all stretches from one grant to another. */
function excess(grants: readonly { at: number; amount: number }[], promised: (ms: number) => number): number {
  const stretches = grants.flatMap((first, from) => {
    let sum = 0
    return grants.slice(from).map(({ at, amount }) => {
      sum += amount
      return sum - promised(at - first.at)
    })
  })
  return Math.max(0, ...stretches)
}

const actions = fc.array(action, { maxLength: 80 })

test('a shared bucket holds for its lanes together, and the best lane that waits is never passed', () => {
  fc.assert(
    fc.property(actions, (script) => {
      const sharing = new Sharing(perSecond)
      for (const one of script) sharing.do(one)
      expect(excess(sharing.grants, (ms) => 12 + (12 * ms) / 1000)).toBeLessThan(1e-6)
      expect(sharing.passed).toEqual([])
    }),
  )
})

test('a shared window holds for its lanes together, and the best lane that waits is never passed', () => {
  fc.assert(
    fc.property(actions, (script) => {
      const sharing = new Sharing(sliding)
      for (const one of script) sharing.do(one)
      expect(excess(sharing.grants, (ms) => (ms < 1000 ? 12 : Number.POSITIVE_INFINITY))).toBe(0)
      expect(sharing.passed).toEqual([])
    }),
  )
})

test('the best lane starts at the instant that it was told, whatever the others ask for meanwhile', () => {
  const asks = fc.array(
    fc.record({ lane: fc.integer({ min: 1, max: 2 }), after: fc.nat({ max: 200 }), amount: fc.nat({ max: 3 }) }),
  )
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 10 }), asks, (amount, script) => {
      const group = new RateLimitGroup()
      const lanes = [0, 1, 2].map((place) => new Lane([perSecond(10, { unit: 'tokens', group })], place))
      const best = lanes[0] as Lane
      best.start(10, 0)
      const at = best.readyAt(amount, 0)
      let now = 0
      for (const { lane, after, amount: other } of script) {
        now = Math.min(at, now + after)
        expect((lanes[lane] as Lane).start(other, now)).toBe(false)
      }
      expect(best.start(amount, at)).toBe(true)
    }),
  )
})
