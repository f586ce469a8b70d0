import { defaultLanes, LANE_IDS, LaneConfig, PRIORITIES, RetryPolicy } from '@a3s-lab/lane'
import { expect, test } from 'vitest'
import { laneLimits } from '../../../src/core/lane-limits.js'

test('the built-in lanes have the ids, priorities and maxima of the reference', () => {
  expect(LANE_IDS).toEqual({
    SYSTEM: 'system',
    CONTROL: 'control',
    QUERY: 'query',
    SESSION: 'session',
    SKILL: 'skill',
    PROMPT: 'prompt',
  })
  expect(PRIORITIES).toEqual({ SYSTEM: 0, CONTROL: 1, QUERY: 2, SESSION: 3, SKILL: 4, PROMPT: 5 })
  expect(defaultLanes()).toEqual({
    system: { priority: 0, minConcurrency: 1, maxConcurrency: 5, protected: true },
    control: { priority: 1, minConcurrency: 1, maxConcurrency: 3, protected: true },
    query: { priority: 2, minConcurrency: 1, maxConcurrency: 10 },
    session: { priority: 3, minConcurrency: 1, maxConcurrency: 5 },
    skill: { priority: 4, minConcurrency: 1, maxConcurrency: 3 },
    prompt: { priority: 5, minConcurrency: 1, maxConcurrency: 2 },
  })
  expect(defaultLanes()).not.toBe(defaultLanes())
})

test('a config has its defaults', () => {
  expect(new LaneConfig()).toEqual({ minConcurrency: 1, maxConcurrency: 4 })
  expect(laneLimits('x', {})).toMatchObject({
    min: 1,
    softMin: true,
    lend: true,
    max: 4,
    pressureThreshold: Number.POSITIVE_INFINITY,
    capacity: Number.POSITIVE_INFINITY,
    lifo: false,
    protected: false,
    attempt: { timeoutMs: undefined, retry: RetryPolicy.none(), maxDeferrals: 10, zombieGraceMs: 30_000 },
  })
})

test('every with gives a new config, in any order', () => {
  const base = new LaneConfig(2, 8)
  const one = base.withTimeout(30_000).withRetryPolicy(RetryPolicy.exponential(3)).withPressureThreshold(50)
  const other = base.withPressureThreshold(50).withRetryPolicy(RetryPolicy.exponential(3)).withTimeout(30_000)
  expect(one).toEqual(other)
  expect(one).toBeInstanceOf(LaneConfig)
  expect(base).toEqual({ minConcurrency: 2, maxConcurrency: 8 })
  expect(Object.fromEntries(Object.entries(one))).toEqual({
    minConcurrency: 2,
    maxConcurrency: 8,
    timeoutMs: 30_000,
    retry: RetryPolicy.exponential(3),
    pressureThreshold: 50,
  })
})

test('a config survives JSON complete', () => {
  const config = new LaneConfig(2, 8).withTimeout(30_000).withRetryPolicy(RetryPolicy.fixed(3, 10))
  const plain = JSON.parse(JSON.stringify(config)) as LaneConfig
  expect(plain).toEqual({
    minConcurrency: 2,
    maxConcurrency: 8,
    timeoutMs: 30_000,
    retry: { maxRetries: 3, initialMs: 10, maxMs: 10, factor: 1, jitter: 'none' },
  })
  expect(laneLimits('x', plain)).toEqual({ ...laneLimits('x', config) })
})

test('a protected lane lends nothing unless it says so', () => {
  expect(laneLimits('x', { protected: true })).toMatchObject({ protected: true, lend: false })
  expect(laneLimits('x', { protected: true, lend: true })).toMatchObject({ lend: true })
})

test('a minimum that nobody asked for may be above the maximum, since it gives way', () => {
  expect(laneLimits('x', { maxConcurrency: 1 })).toMatchObject({ min: 1, softMin: true })
  expect(laneLimits('x', { minConcurrency: 1 })).toMatchObject({ min: 1, softMin: false })
  expect(laneLimits('x', new LaneConfig(1, 1))).toMatchObject({ softMin: true })
  expect(laneLimits('x', new LaneConfig(2, 2))).toMatchObject({ softMin: false })
})

test.each<[object, string]>([
  [{ minConcurrency: -1 }, 'minConcurrency must be an integer of at least 0, got -1'],
  [{ minConcurrency: 1.5 }, 'minConcurrency must be an integer of at least 0, got 1.5'],
  [{ maxConcurrency: 0 }, 'maxConcurrency must be an integer of at least 1, or Infinity, got 0'],
  [{ lend: 1 }, 'lend must be true or false, got 1'],
  [{ timeoutMs: 0 }, 'timeoutMs must be a number of milliseconds, above 0, got 0'],
  [{ timeoutMs: Number.POSITIVE_INFINITY }, 'timeoutMs must be a number of milliseconds, above 0, got Infinity'],
  [{ pressureThreshold: 0 }, 'pressureThreshold must be an integer of at least 1, got 0'],
  [{ capacity: 0 }, 'capacity must be an integer of at least 1, or Infinity, got 0'],
  [{ order: 'random' }, "order must be one of 'fifo', 'lifo', got \"random\""],
  [{ zombieGraceMs: -1 }, 'zombieGraceMs must be a number of milliseconds, 0 or more, got -1'],
  [{ maxDeferrals: -1 }, 'maxDeferrals must be an integer of at least 0, got -1'],
  [{ protected: 'yes' }, 'protected must be true or false, got "yes"'],
  [{ retry: null }, 'retry must be a RetryPolicy, got null'],
  [{ minConcurrency: 3, maxConcurrency: 2 }, 'minConcurrency must be at most maxConcurrency (2), got 3'],
])('a value that is not allowed is named: %j', (options, message) => {
  expect(() => laneLimits("lane 'x'", options)).toThrow(`Configuration error: lane 'x'.${message}`)
})

test.each(['ephemeral', 'group'])('an option that has not been built is refused as unknown: %s', (option) => {
  expect(() => laneLimits('x', { [option]: 1 })).toThrow(`Configuration error: x has no option '${option}'`)
})
