import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { instantAfter } from '../../../src/policy/limiter.js'
import { RateLimitConfig, type RateLimitOptions } from '../../../src/policy/rate-limit.js'
import { TokenBucket } from '../../../src/policy/token-bucket.js'

const limit = (max: number, windowMs: number, options?: RateLimitOptions): RateLimitConfig =>
  new RateLimitConfig(max, windowMs, options)

const bucket = (max: number, windowMs: number, options?: RateLimitOptions): TokenBucket =>
  new TokenBucket(limit(max, windowMs, options))

/** Takes as much as there is, one by one. */
function drain(one: TokenBucket, now: number): number {
  let count = 0
  for (; one.readyAt(1, now) <= now; count++) one.take(1, now)
  return count
}

test.each([
  ['10 per second', bucket(10, 1000), 1500],
  ['10 per 100 ms', bucket(10, 100), 150],
])('%s: 10 are granted, the 11th is refused; after the window it is granted again', (_name, one, later) => {
  expect(drain(one, 0)).toBe(10)
  expect(one.available(0)).toBe(0)
  expect(drain(one, later)).toBe(10)
})

test('tokens come back all the time, also in fractions', () => {
  const one = bucket(10, 1000)
  drain(one, 0)
  expect(one.readyAt(1, 0)).toBe(100)
  expect(one.readyAt(2.5, 40)).toBe(250)
  expect([one.readyAt(1, 99), one.readyAt(1, 100)]).toEqual([100, 100])
  expect(one.available(250)).toBe(2.5)
  one.take(1, 250)
  expect(one.available(250)).toBe(1.5)
})

test('a bucket is never fuller than its burst, however long it idles', () => {
  const one = bucket(10, 1000, { burst: 3 })
  expect([one.largest, drain(one, 0), drain(one, 1e9)]).toEqual([3, 3, 3])
})

test('asking takes nothing, and what exceeds the burst is never granted', () => {
  const one = bucket(10, 1000)
  for (let now = 0; now < 100; now++) one.readyAt(10, now)
  expect(one.available(100)).toBe(10)
  expect(one.readyAt(11, 0)).toBe(Number.POSITIVE_INFINITY)
})

test('amounts of which the sum is not exact fill the bucket to the brim', () => {
  const one = bucket(0.3, 1000, { unit: 'usd' })
  one.take(0.1, 0)
  expect(one.readyAt(0.2, 0)).toBe(0)
  expect(one.readyAt(0.2001, 0)).toBeGreaterThan(0.33)
})

test('taking more than there is leaves a debt that is repaid first', () => {
  const one = bucket(10, 1000)
  one.take(15, 0)
  expect(one.available(0)).toBe(-5)
  expect([one.readyAt(0, 0), one.readyAt(1, 0)]).toEqual([500, 600])
})

test('what an attempt costs beyond its estimate is a debt at once, what it does not need is given back up to the burst', () => {
  const one = bucket(10, 1000)
  one.take(4, 0)
  one.settle(8, 0, 0)
  expect(one.available(0)).toBe(-2)
  one.settle(-7, 0, 0)
  expect(one.available(0)).toBe(5)
  one.settle(-9, 0, 0)
  expect(one.available(0)).toBe(10)
  one.take(10, 0)
  expect(one.readyAt(1, 0)).toBe(100)
})

test('other numbers keep the level: never a fresh burst', () => {
  const one = bucket(10, 1000)
  one.take(8, 0)
  one.configure(limit(100, 1000), 500)
  expect([one.largest, one.available(500), one.readyAt(8, 500)]).toEqual([100, 7, 510])
  one.configure(limit(5, 1000), 500)
  expect([one.largest, one.available(500)]).toEqual([5, 5])
  one.take(10, 500)
  one.configure(limit(100, 1000), 500)
  expect(one.available(500)).toBe(-5)
})

test('a bucket that nobody has used yet takes other numbers and is not fuller for it', () => {
  const one = bucket(10, 1000)
  one.configure(limit(100, 1000), 0)
  expect(one.available(0)).toBe(10)
  const other = bucket(10, 1000)
  other.configure(limit(4, 1000), Number.NEGATIVE_INFINITY)
  expect(other.available(0)).toBe(4)
})

test('an instant before the last one counts as the last one', () => {
  const one = bucket(10, 1000)
  drain(one, 1000)
  expect([one.available(500), one.readyAt(1, 500)]).toEqual([0, 1100])
  one.take(1, 500)
  expect(one.available(1000)).toBe(-1)
  expect(one.readyAt(0, 2000)).toBe(2000)
  expect(one.readyAt(1, 1500)).toBe(1500)
})

describe('no drift:', () => {
  test.each([
    [3, 1000],
    [7, 1000],
    [100, 60_000],
    [7, 3_600_000],
    [0.001, 1000],
    [1e9, 1000],
  ])('%d per %d ms is what a saturated bucket grants in the long run', (max, windowMs) => {
    const one = bucket(max, windowMs, { unit: 'tokens', burst: max })
    let now = 0
    for (let count = 0; count < 100_000; count++) {
      now = one.readyAt(max / 7, now)
      one.take(max / 7, now)
    }
    const expected = ((100_000 - 7) / 7) * windowMs
    expect(Math.abs(now / expected - 1)).toBeLessThan(1e-12)
  })
})

/** Now and then far from 0, where instants are coarse. */
const origin = fc.constantFrom(0, 0.1, 987.654, 1e9 + 0.7, 1e12 + 0.3)
const rate = fc.record({
  max: fc.oneof(fc.integer({ min: 1, max: 1000 }), fc.double({ min: 1e-3, max: 1e6, noNaN: true })),
  windowMs: fc.oneof(fc.constantFrom(1000, 60_000, 3_600_000), fc.double({ min: 1, max: 1e7, noNaN: true })),
  burstShare: fc.oneof(fc.constant(1), fc.double({ min: 0.01, max: 10, noNaN: true })),
})
const limits = rate.map(({ max, windowMs, burstShare }) =>
  limit(max, windowMs, { unit: 'tokens', burst: max * burstShare }),
)
const share = fc.oneof(fc.constantFrom(0.001, 0.1, 1), fc.double({ min: 0, max: 1, noNaN: true }))

test('whoever comes at the instant that he was told gets his amount, or one tick later: also far from 0 and at tiny rates', () => {
  const tiny = fc
    .tuple(fc.constantFrom(1e-9, 1e-6, 1e-3), fc.constantFrom(1e3, 1e9, 1e12))
    .map(([max, windowMs]) => limit(max, windowMs, { unit: 'usd' }))
  fc.assert(
    fc.property(fc.oneof(limits, tiny), origin, fc.array(share, { minLength: 1 }), (config, start, shares) => {
      const one = new TokenBucket(config)
      let now = start
      for (const part of shares) {
        const amount = part * config.burst
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

type Step =
  | { readonly kind: 'pass'; readonly of: number }
  | { readonly kind: 'take' | 'wait'; readonly share: number }
  | { readonly kind: 'settle'; readonly share: number }
  | { readonly kind: 'configure'; readonly to: RateLimitConfig }

const steps = fc.array(
  fc.oneof(
    fc.record({ kind: fc.constant('pass' as const), of: fc.oneof(share, fc.double({ min: 0, max: 20, noNaN: true })) }),
    fc.record({ kind: fc.constantFrom('take' as const, 'wait' as const), share }),
    fc.record({ kind: fc.constantFrom('take' as const, 'wait' as const), share }),
    fc.record({ kind: fc.constant('settle' as const), share: fc.double({ min: -1, max: 1, noNaN: true }) }),
    fc.record({ kind: fc.constant('configure' as const), to: limits }),
  ),
  { maxLength: 60 },
)

/** An entry of the books: what was taken (or given back), and what the bucket could grant in all from the start on. */
type Booking = {
  readonly amount: number
  readonly isGrant: boolean
  readonly burst: number
  readonly refilled: number
  readonly tolerance: number
}

/** Runs the steps and keeps the books. */
function bookingsOf(config: RateLimitConfig, start: number, script: readonly Step[]): Booking[] {
  const one = new TokenBucket(config)
  const books: Booking[] = []
  let [current, now, refilled] = [config, start, 0]
  const pass = (to: number): void => {
    refilled += ((to - now) * current.maxCommands) / current.windowMs
    now = to
  }
  const book = (amount: number, isGrant: boolean): void => {
    const tick = (Math.abs(now) * Number.EPSILON * current.maxCommands) / current.windowMs
    const tolerance = 1e-8 * (current.burst + refilled) + 4 * tick
    books.push({ amount, isGrant, burst: current.burst, refilled, tolerance })
  }
  for (const step of script) {
    if (step.kind === 'pass') pass(now + step.of * current.windowMs)
    else if (step.kind === 'configure') {
      current = step.to
      one.configure(current, now)
    } else if (step.kind === 'settle') {
      one.settle(step.share * current.burst, now, now)
      book(step.share * current.burst, false)
    } else {
      const amount = step.share * current.burst
      const at = one.readyAt(amount, now)
      if (step.kind === 'wait') pass(Math.max(now, at))
      if (at > now) continue
      one.take(amount, now)
      book(amount, true)
    }
  }
  return books
}

test('granted in any interval T is at most burst + rate × T, through debts, refunds and other numbers', () => {
  fc.assert(
    fc.property(limits, origin, steps, (config, start, script) => {
      const books = bookingsOf(config, start, script)
      for (const [from, first] of books.entries()) {
        let sum = 0
        for (const { amount, isGrant, refilled, tolerance } of books.slice(from)) {
          sum += amount
          if (!isGrant) continue
          expect(sum).toBeLessThanOrEqual(first.burst + refilled - first.refilled + tolerance)
        }
      }
    }),
    { numRuns: 500 },
  )
})

test('an instant is never rounded down', () => {
  fc.assert(
    fc.property(
      fc.double({ min: -1e15, max: 1e15, noNaN: true }),
      fc.double({ min: 0, max: 1e15, noNaN: true }),
      (at, wait) => {
        const instant = instantAfter(at, wait)
        expect(instant).toBeGreaterThanOrEqual(at + wait)
        expect(instant - at).toBeGreaterThanOrEqual(wait * (1 - Number.EPSILON))
        expect(instant).toBeLessThanOrEqual(at + wait + 2 * Number.EPSILON * Math.abs(at + wait))
      },
    ),
  )
})
