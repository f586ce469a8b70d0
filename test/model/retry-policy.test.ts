import { RetryPolicy } from '@a3s-lab/lane'
import { seededRandom } from '@a3s-lab/lane/testing'
import fc from 'fast-check'
import { expect, test } from 'vitest'

const fields = fc.record({
  maxRetries: fc.integer({ min: 0, max: 100 }),
  initialMs: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 100_000 })),
  factor: fc.double({ min: 1, max: 10, noNaN: true }),
  maxMs: fc.integer({ min: 0, max: 1_000_000 }),
  jitter: fc.constantFrom('none' as const, 'full' as const, 'equal' as const),
})

const policy = fields.map(({ maxRetries, ...options }) => RetryPolicy.exponential(maxRetries, options))
const retryNumber = fc.integer({ min: 1, max: 2000 })

test('a delay is a whole number of milliseconds, grows with each retry and never passes its limit', () => {
  fc.assert(
    fc.property(policy, retryNumber, (one, retry) => {
      const delay = one.delayForAttempt(retry)
      expect(Number.isInteger(delay)).toBe(true)
      expect(delay).toBeGreaterThanOrEqual(0)
      expect(delay).toBeLessThanOrEqual(one.maxMs)
      expect(one.delayForAttempt(retry + 1)).toBeGreaterThanOrEqual(delay)
    }),
  )
})

test('a delay is the one before times the factor, cut to whole milliseconds', () => {
  fc.assert(
    fc.property(fields, fc.integer({ min: 1, max: 30 }), ({ initialMs, factor }, retry) => {
      let exact = initialMs
      for (let step = 1; step < retry; step++) exact *= factor
      const one = RetryPolicy.exponential(30, { initialMs, factor, maxMs: Number.MAX_SAFE_INTEGER })
      const error = Math.abs(one.delayForAttempt(retry) - Math.min(Math.trunc(exact), Number.MAX_SAFE_INTEGER))
      // one rounding per step
      expect(error).toBeLessThanOrEqual(1 + exact * retry * Number.EPSILON)
    }),
  )
})

test('a drawn delay stays within its jitter', () => {
  fc.assert(
    fc.property(policy, retryNumber, fc.integer(), (one, retry, seed) => {
      const random = seededRandom(seed)
      const delay = one.delayForAttempt(retry)
      const drawn = one.drawDelay(retry, () => random.next())
      const least = { none: delay, equal: delay / 2, full: 0 }[one.jitter]
      expect(drawn).toBeGreaterThanOrEqual(least)
      expect(drawn).toBeLessThanOrEqual(delay)
    }),
  )
})

test('a policy allows exactly its number of retries, and without any it never delays', () => {
  fc.assert(
    fc.property(policy, fc.nat({ max: 200 }), (one, retries) => {
      expect(one.shouldRetry(retries)).toBe(retries < one.maxRetries)
      expect(one.delayForAttempt(one.maxRetries === 0 ? retries : 0)).toBe(0)
    }),
  )
})

test('a policy is the same after JSON', () => {
  fc.assert(
    fc.property(policy, (one) => {
      expect(RetryPolicy.from(JSON.parse(JSON.stringify(one)) as typeof one)).toEqual(one)
    }),
  )
})
