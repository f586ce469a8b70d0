import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { RateLimitConfig } from '../../../src/policy/rate-limit.js'
import { SlidingWindow } from '../../../src/policy/sliding-window.js'

const limit = (max: number, windowMs: number, unit = 'tokens'): RateLimitConfig =>
  new RateLimitConfig(max, windowMs, { algorithm: 'sliding-window', unit })

const slidingWindow = (max: number, windowMs: number): SlidingWindow => new SlidingWindow(limit(max, windowMs))

/** Takes as much as there is, one by one. */
function drain(one: SlidingWindow, now: number): number {
  let count = 0
  for (; one.readyAt(1, now) <= now; count++) one.take(1, now)
  return count
}

test.each([
  ['5 per second', slidingWindow(5, 1000), 1500],
  ['5 per 100 ms', slidingWindow(5, 100), 150],
])('%s: 5 are granted, the 6th is refused; after the window it is granted again', (_name, one, later) => {
  expect(drain(one, 0)).toBe(5)
  expect([one.granted(0), one.available(0)]).toEqual([5, 0])
  expect(drain(one, later)).toBe(5)
})

test('a grant counts until it is exactly one window old', () => {
  const one = slidingWindow(2, 1000)
  one.take(1, 0)
  one.take(1, 400)
  expect([one.readyAt(1, 999), one.readyAt(2, 999), one.granted(999)]).toEqual([1000, 1400, 2])
  expect([one.readyAt(1, 1000), one.readyAt(2, 1000), one.granted(1000)]).toEqual([1000, 1400, 1])
  expect([one.readyAt(2, 1400), one.granted(1400)]).toEqual([1400, 0])
})

test('a large amount waits for as many grants as it needs to end, and for no more', () => {
  const one = slidingWindow(10, 1000)
  for (let now = 0; now < 10; now++) one.take(1, now)
  expect([1, 2, 5, 10].map((amount) => one.readyAt(amount, 10))).toEqual([1000, 1001, 1004, 1009])
  // and back again: the next question starts where the last one ended
  expect([9, 3, 1, 7].map((amount) => one.readyAt(amount, 10))).toEqual([1008, 1002, 1000, 1006])
  expect(one.readyAt(3, 1001.5)).toBe(1002)
  expect(one.readyAt(10, 1005.5)).toBe(1009)
})

test('asking takes nothing, and what exceeds the maximum is never granted', () => {
  const one = slidingWindow(10, 1000)
  for (let now = 0; now < 100; now++) one.readyAt(10, now)
  expect(one.granted(100)).toBe(0)
  expect([one.largest, one.readyAt(11, 0)]).toEqual([10, Number.POSITIVE_INFINITY])
})

test('amounts of which the sum is not exact fill the window to the brim', () => {
  const one = slidingWindow(0.3, 1000)
  one.take(0.1, 0)
  expect(one.readyAt(0.2, 0)).toBe(0)
  expect(one.readyAt(0.2001, 0)).toBe(1000)
})

test('grants of one instant, and of nothing, need no record of their own', () => {
  const one = slidingWindow(10, 1000)
  one.take(0, 5)
  expect(one.granted(5)).toBe(0)
  one.take(3, 10)
  one.take(3, 10)
  one.take(4, 20)
  expect([one.readyAt(1, 20), one.readyAt(6, 20), one.readyAt(7, 20)]).toEqual([1010, 1010, 1020])
})

test('a grant of the instant that was last asked for is waited for as well', () => {
  const one = slidingWindow(2, 1000)
  one.take(2, 0)
  expect(one.readyAt(1, 0)).toBe(1000)
  one.take(2, 0)
  expect([one.readyAt(1, 0), one.granted(0)]).toEqual([1000, 4])
  expect(one.readyAt(2, 1000)).toBe(1000)
})

test('what is added to a grant that is waited for is counted when less is needed', () => {
  const one = slidingWindow(2, 1000)
  one.take(1, 0)
  one.take(1, 100)
  expect(one.readyAt(2, 100)).toBe(1100)
  one.take(5, 100)
  one.configure(limit(10, 1000), 100)
  expect(one.readyAt(4, 100)).toBe(1000)
})

describe('when the cost of a grant is known,', () => {
  test('more is a debt at once: nothing starts before it has left the window', () => {
    const one = slidingWindow(10, 1000)
    one.take(4, 0)
    one.settle(8, 0, 300)
    expect([one.granted(300), one.available(300)]).toEqual([12, -2])
    expect([one.readyAt(0, 300), one.readyAt(2, 300), one.readyAt(3, 300)]).toEqual([1000, 1000, 1300])
  })

  test('less lowers the record of that grant', () => {
    const one = slidingWindow(10, 1000)
    one.take(4, 0)
    one.take(3, 100)
    one.take(3, 200)
    one.settle(-2, 100, 300)
    expect(one.granted(300)).toBe(8)
    expect([one.readyAt(2, 300), one.readyAt(3, 300), one.readyAt(7, 300)]).toEqual([300, 1000, 1100])
    one.settle(-2, 100, 300)
    expect(one.granted(300)).toBe(7)
  })

  test('what the question before counted on is corrected', () => {
    const one = slidingWindow(10, 1000)
    one.take(5, 0)
    one.take(5, 100)
    expect(one.readyAt(4, 200)).toBe(1000)
    one.settle(-4, 0, 200)
    expect([one.readyAt(4, 200), one.readyAt(5, 200), one.readyAt(6, 200)]).toEqual([200, 1000, 1100])
  })

  test('a grant that does not count any more has nothing to give back', () => {
    const one = slidingWindow(10, 1000)
    one.take(4, 0)
    one.take(3, 900)
    one.settle(-4, 0, 1000)
    expect(one.granted(1000)).toBe(3)
  })

  test.each([
    [400, 500],
    [599.5, 600],
    [600.5, 600],
    [1190, 1200],
    [1200.5, 1200],
  ])(
    'the taker may have looked at the clock a little earlier or later: at %d it was the grant at %d',
    (takenAt, at) => {
      const one = slidingWindow(10, 1000)
      for (const now of [500, 600, 700, 1200]) one.take(1, now)
      one.settle(-1, takenAt, 1300)
      const left = [500, 600, 700, 1200].filter((now) => now !== at)
      const instants = [1300, 1500, 1600, 1700]
      expect(instants.map((now) => one.granted(now))).toEqual(
        instants.map((now) => left.filter((taken) => taken + 1000 > now).length),
      )
    },
  )

  test('a window without grants has nothing to give back', () => {
    const one = slidingWindow(10, 1000)
    one.settle(-1, 0, 500)
    expect(one.granted(500)).toBe(0)
  })

  test('a grant gives back no more than it took', () => {
    const one = slidingWindow(10, 1000)
    one.take(2, 0)
    one.settle(5, 0, 100)
    one.settle(-6, 0, 200)
    expect([one.granted(200), one.granted(1000), one.granted(1100)]).toEqual([5, 5, 0])
  })
})

test('other numbers keep the record: never a fresh burst', () => {
  const one = slidingWindow(10, 1000)
  one.take(8, 0)
  one.configure(limit(20, 1000), 500)
  expect([one.largest, one.available(500), one.readyAt(13, 500)]).toEqual([20, 12, 1000])
  one.configure(limit(5, 2000), 500)
  expect([one.available(500), one.readyAt(1, 500)]).toEqual([-3, 2000])
  one.configure(limit(5, 400), 500)
  expect(one.available(500)).toBe(5)
  one.configure(limit(5, 2000), 500)
  expect(one.available(500)).toBe(5)
})

test('an instant before the last one counts as the last one', () => {
  const one = slidingWindow(2, 1000)
  one.take(1, 500)
  one.take(1, 400)
  expect([one.granted(100), one.readyAt(1, 100)]).toEqual([2, 1500])
  expect([one.granted(1500), one.granted(1000)]).toEqual([0, 0])
})

test('memory is what a window holds: the rest is given back', () => {
  const one = slidingWindow(100, 1000)
  let now = 0
  for (let count = 0; count < 10_000; count++) {
    now = Math.max(now + 3, one.readyAt(0.7, now))
    one.take(0.7, now)
    expect(one.granted(now)).toBeLessThanOrEqual(100)
  }
  const inWindow = one.granted(now)
  expect(Math.round(inWindow / 0.7)).toBeCloseTo(inWindow / 0.7, 9)
})

const origin = fc.constantFrom(0, 0.1, 987.654, 1e9 + 0.7, 1e12 + 0.3)
const limits = fc
  .record({
    max: fc.oneof(fc.integer({ min: 1, max: 100 }), fc.double({ min: 1e-3, max: 1e6, noNaN: true })),
    windowMs: fc.oneof(fc.constantFrom(1000, 60_000), fc.double({ min: 1, max: 1e7, noNaN: true })),
  })
  .map(({ max, windowMs }) => limit(max, windowMs))
const share = fc.oneof(fc.constantFrom(0, 0.01, 0.3, 1), fc.double({ min: 0, max: 1, noNaN: true }))

type Step =
  | { readonly kind: 'pass'; readonly windows: number }
  | { readonly kind: 'take' | 'wait' | 'ask'; readonly share: number }
  | { readonly kind: 'settle'; readonly share: number; readonly pick: number }
  | { readonly kind: 'configure'; readonly to: RateLimitConfig }

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ kind: fc.constant('pass' as const), windows: fc.double({ min: 0, max: 1.5, noNaN: true }) }),
  fc.record({ kind: fc.constantFrom('take' as const, 'wait' as const, 'ask' as const), share }),
  fc.record({ kind: fc.constantFrom('take' as const, 'wait' as const), share }),
  fc.record({
    kind: fc.constant('settle' as const),
    share: fc.double({ min: -1, max: 1, noNaN: true }),
    pick: fc.nat(),
  }),
  fc.record({ kind: fc.constant('configure' as const), to: limits }),
)

/** A window beside a list of all its grants, none of which is forgotten before it has to be. Notes where they differ. */
class Books {
  readonly violations: string[] = []
  readonly #window: SlidingWindow
  #config: RateLimitConfig
  #now: number
  #entries: { at: number; amount: number }[] = []

  constructor(config: RateLimitConfig, now: number) {
    this.#window = new SlidingWindow(config)
    this.#config = config
    this.#now = now
  }

  do(one: Step): void {
    if (one.kind === 'pass') this.#now += one.windows * this.#config.windowMs
    else if (one.kind === 'configure') this.#configure(one.to)
    else if (one.kind === 'settle') this.#settle(one.share, one.pick)
    else this.#ask(one.share * this.#config.maxCommands, one.kind)
    const [granted, sum] = [this.#window.granted(this.#now), this.#sumAt(this.#now)]
    this.#note(Math.abs(granted - sum) <= 1e-8 * (1 + sum), `${granted} granted, and it should be ${sum}`)
  }

  #ask(amount: number, kind: 'take' | 'wait' | 'ask'): void {
    const { maxCommands: max } = this.#config
    const tolerance = 1e-8 * (max + this.#sumAt(this.#now))
    const at = this.#window.readyAt(amount, this.#now)
    if (at > this.#now) {
      const moment = at - 4 * Number.EPSILON * at
      const isNeeded = moment < this.#now || this.#sumAt(moment) + amount > max - tolerance
      this.#note(isNeeded, `${amount} has to wait until ${at}, and could have started at ${moment}`)
      if (kind !== 'wait') return
      this.#now = at
    }
    if (kind === 'ask') return
    this.#entries.push({ at: this.#now, amount })
    this.#window.take(amount, this.#now)
    this.#note(this.#sumAt(this.#now) <= max + tolerance, `${amount} at ${this.#now} is more than ${max}`)
  }

  #configure(to: RateLimitConfig): void {
    this.#window.configure(to, this.#now)
    this.#entries = this.#entries.filter(({ at }) => this.#counts(at, this.#now))
    this.#config = to
  }

  /** A grant turns out to have cost more by a share of the maximum, or less by a share of its own. */
  #settle(change: number, pick: number): void {
    const entry = this.#entries[pick % Math.max(1, this.#entries.length)] ?? { at: this.#now, amount: 0 }
    const difference = change * (change > 0 ? this.#config.maxCommands : entry.amount)
    this.#window.settle(difference, entry.at, this.#now)
    if (difference > 0) this.#entries.push({ at: this.#now, amount: difference })
    else if (this.#counts(entry.at, this.#now)) entry.amount += difference
  }

  #sumAt(instant: number): number {
    return this.#entries.reduce((sum, { at, amount }) => (this.#counts(at, instant) ? sum + amount : sum), 0)
  }

  #counts(at: number, instant: number): boolean {
    return instant - at < this.#config.windowMs
  }

  #note(holds: boolean, violation: string): void {
    if (!holds) this.violations.push(violation)
  }
}

test('never more than N in any window, through debts, refunds and other numbers; and no wait is longer than it has to be', () => {
  fc.assert(
    fc.property(limits, origin, fc.array(step, { maxLength: 60 }), (config, start, script) => {
      const books = new Books(config, start)
      for (const one of script) books.do(one)
      expect(books.violations).toEqual([])
    }),
    { numRuns: 500 },
  )
})

test('whoever comes at the instant that he was told gets his amount, or one tick later', () => {
  fc.assert(
    fc.property(limits, origin, fc.array(share, { minLength: 1 }), (config, start, shares) => {
      const one = new SlidingWindow(config)
      let now = start
      for (const part of shares) {
        const amount = part * config.maxCommands
        const at = one.readyAt(amount, now)
        // as a timer does it, which is set for a delay
        if (at > now) now += at - now
        const again = one.readyAt(amount, now)
        expect(again - now).toBeLessThanOrEqual(1e-9 * Math.max(1, Math.abs(now)))
        if (again > now) now += again - now
        expect(one.readyAt(amount, now)).toBeLessThanOrEqual(now)
        one.take(amount, now)
      }
    }),
  )
})
