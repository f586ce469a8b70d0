import { RetryPolicy } from '@a3s-lab/lane'
import { seededRandom } from '@a3s-lab/lane/testing'
import { expect, test } from 'vitest'

/** Own fields, as a spread or JSON would see them. */
const fieldsOf = (policy: RetryPolicy): object => Object.fromEntries(Object.entries(policy))

test('the constructors fill the fields of the reference', () => {
  expect(fieldsOf(RetryPolicy.exponential(3))).toEqual({
    maxRetries: 3,
    initialMs: 100,
    maxMs: 30_000,
    factor: 2,
    jitter: 'none',
  })
  expect(fieldsOf(RetryPolicy.fixed(2, 10))).toEqual({
    maxRetries: 2,
    initialMs: 10,
    maxMs: 10,
    factor: 1,
    jitter: 'none',
  })
  expect(fieldsOf(RetryPolicy.none())).toEqual({ maxRetries: 0, initialMs: 0, maxMs: 0, factor: 1, jitter: 'none' })
  expect(RetryPolicy.none()).toBe(RetryPolicy.none())
})

test('an exponential policy takes its options, and its longest delay is never below the first', () => {
  expect(RetryPolicy.exponential(3, { initialMs: 60_000 }).maxMs).toBe(60_000)
  const policy = RetryPolicy.exponential(5, { initialMs: 10, factor: 3, maxMs: 50, jitter: 'full' })
  expect(fieldsOf(policy)).toEqual({ maxRetries: 5, initialMs: 10, maxMs: 50, factor: 3, jitter: 'full' })
})

test('a policy survives JSON', () => {
  const policy = RetryPolicy.exponential(3, { jitter: 'equal' })
  const again = RetryPolicy.from(JSON.parse(JSON.stringify(policy)) as RetryPolicy)
  expect(again).toEqual(policy)
  expect(again).toBeInstanceOf(RetryPolicy)
})

test.each([
  ['exponential(3)', RetryPolicy.exponential(3), [true, true, true, false, false]],
  ['none()', RetryPolicy.none(), [false, false, false, false, false]],
])('%s retries as often as it says', (_name, policy, expected) => {
  expect([0, 1, 2, 3, 4].map((retries) => policy.shouldRetry(retries))).toEqual(expected)
})

test.each([
  ['exponential', RetryPolicy.exponential(9), [0, 100, 200, 400, 800]],
  [
    'exponential with a limit',
    RetryPolicy.exponential(9, { initialMs: 1000, maxMs: 5000 }),
    [0, 1000, 2000, 4000, 5000],
  ],
  ['fixed', RetryPolicy.fixed(3, 2000), [0, 2000, 2000, 2000, 2000]],
  ['none', RetryPolicy.none(), [0, 0, 0, 0, 0]],
  ['truncated', RetryPolicy.exponential(9, { initialMs: 1, factor: 1.5 }), [0, 1, 1, 2, 3]],
])('delays of %s', (_name, policy, expected) => {
  expect([0, 1, 2, 3, 4].map((retry) => policy.delayForAttempt(retry))).toEqual(expected)
  expect(policy.delayForAttempt(-1)).toBe(0)
})

test('the longest delay is 30 seconds by default', () => {
  const policy = RetryPolicy.exponential(100)
  expect([9, 10, 60, 100].map((retry) => policy.delayForAttempt(retry))).toEqual([25_600, 30_000, 30_000, 30_000])
})

test('jitter stays in its range, and none draws nothing', () => {
  const random = seededRandom(5)
  const draw = (jitter: 'none' | 'full' | 'equal'): number[] =>
    Array.from({ length: 200 }, () => RetryPolicy.exponential(3, { jitter }).drawDelay(3, () => random.next()))
  expect(new Set(draw('none'))).toEqual(new Set([400]))
  const [full, equal] = [draw('full'), draw('equal')]
  expect(Math.min(...full)).toBeLessThan(40)
  expect(Math.max(...full)).toBeLessThan(400)
  expect(Math.min(...equal)).toBeGreaterThanOrEqual(200)
  expect(Math.max(...equal)).toBeLessThan(400)
})

test.each<[() => unknown, string]>([
  [() => RetryPolicy.exponential(-1), 'maxRetries must be an integer of at least 0, got -1'],
  [() => RetryPolicy.exponential(1.5), 'maxRetries must be an integer of at least 0, got 1.5'],
  [
    () => RetryPolicy.exponential(1, { initialMs: -1 }),
    'initialMs must be a number of milliseconds, 0 or more, got -1',
  ],
  [
    () => RetryPolicy.exponential(1, { maxMs: Number.NaN }),
    'maxMs must be a number of milliseconds, 0 or more, got NaN',
  ],
  [() => RetryPolicy.exponential(1, { maxMs: -1 }), 'maxMs must be a number of milliseconds, 0 or more, got -1'],
  [() => RetryPolicy.exponential(1, { factor: 0.5 }), 'factor must be a number of at least 1, got 0.5'],
  [
    () => RetryPolicy.exponential(1, { factor: Number.POSITIVE_INFINITY }),
    'factor must be a number of at least 1, got Infinity',
  ],
  [
    () => RetryPolicy.exponential(1, { jitter: 'some' as never }),
    "jitter must be one of 'none', 'full', 'equal', got \"some\"",
  ],
  [
    () => RetryPolicy.fixed(1, Number.POSITIVE_INFINITY),
    'initialMs must be a number of milliseconds, 0 or more, got Infinity',
  ],
])('a policy that makes no sense is refused: %#', (make, message) => {
  expect(make).toThrow(`Configuration error: RetryPolicy ${message}`)
})
