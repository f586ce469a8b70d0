import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  isUnlimited,
  RateLimitConfig,
  type RateLimitFields,
  type RateLimitOptions,
} from '../../../src/policy/rate-limit.js'
import { RateLimitGroup } from '../../../src/policy/rate-limit-group.js'

/** Own fields, as a spread or JSON would see them. */
const fieldsOf = (limit: RateLimitConfig): RateLimitFields =>
  Object.fromEntries(Object.entries(limit)) as RateLimitFields

test.each([
  ['perSecond', RateLimitConfig.perSecond(5), 1000],
  ['perMinute', RateLimitConfig.perMinute(5), 60_000],
  ['perHour', RateLimitConfig.perHour(5), 3_600_000],
  ['the constructor', new RateLimitConfig(5, 100), 100],
])('%s fills the window and the defaults', (_name, limit, windowMs) => {
  expect(fieldsOf(limit)).toEqual({ maxCommands: 5, windowMs, algorithm: 'token-bucket', burst: 5 })
})

test('options are kept, and a unit or group that was not given is not there', () => {
  const group = new RateLimitGroup('openai')
  const options = { burst: 500, unit: 'tokens', group }
  expect(fieldsOf(RateLimitConfig.perMinute(100, options))).toEqual({
    maxCommands: 100,
    windowMs: 60_000,
    algorithm: 'token-bucket',
    ...options,
  })
  const none = { algorithm: undefined, burst: undefined, unit: undefined, group: undefined }
  expect(Object.keys(RateLimitConfig.perSecond(5, none))).toEqual(['maxCommands', 'windowMs', 'algorithm', 'burst'])
})

test('a sliding window has a burst too: its maximum, and takes that one as an option', () => {
  const limit = RateLimitConfig.perSecond(5, { algorithm: 'sliding-window', burst: 5 })
  expect(fieldsOf(limit)).toEqual({ maxCommands: 5, windowMs: 1000, algorithm: 'sliding-window', burst: 5 })
})

test('fractions are fine for costs', () => {
  const limit = RateLimitConfig.perHour(0.5, { unit: 'usd', burst: 0.25 })
  expect([limit.maxCommands, limit.burst]).toEqual([0.5, 0.25])
})

test('unlimited is a limit that survives JSON and is recognised afterwards', () => {
  const again = RateLimitConfig.from(JSON.parse(JSON.stringify(RateLimitConfig.unlimited())) as RateLimitFields)
  expect(again.maxCommands).toBe(Number.MAX_SAFE_INTEGER)
  expect([isUnlimited(again), isUnlimited(RateLimitConfig.perHour(1e15))]).toEqual([true, false])
})

test('a plain form needs two fields, and a limit is its own plain form', () => {
  const limit = RateLimitConfig.from({ maxCommands: 3, windowMs: 50 })
  expect(limit).toBeInstanceOf(RateLimitConfig)
  expect(limit).toEqual(new RateLimitConfig(3, 50))
  expect(RateLimitConfig.from(limit)).toEqual(limit)
  expect(RateLimitConfig.from({ ...fieldsOf(limit), burst: 9 }).burst).toBe(9)
})

test('a limit is the same after JSON', () => {
  const options = fc.record({
    burst: fc.option(fc.double({ min: 1, max: 1e6, noNaN: true }), { nil: undefined }),
    unit: fc.option(fc.constantFrom('commands', 'tokens', 'usd'), { nil: undefined }),
    group: fc.option(fc.string({ minLength: 1 }), { nil: undefined }),
  })
  const limits = fc
    .tuple(fc.integer({ min: 1 }), fc.double({ min: 1e-3, max: 1e9, noNaN: true }), options, fc.boolean())
    .map(([max, windowMs, { burst, ...rest }, slides]) =>
      slides
        ? new RateLimitConfig(max, windowMs, { ...rest, algorithm: 'sliding-window' })
        : new RateLimitConfig(max, windowMs, { ...rest, burst }),
    )
  fc.assert(
    fc.property(limits, (limit) => {
      expect(RateLimitConfig.from(JSON.parse(JSON.stringify(limit)) as RateLimitFields)).toEqual(limit)
    }),
  )
})

describe('refused, naming the field:', () => {
  const commands = 'must be a finite number of commands, at least 1, got'
  const positive = 'must be a finite number above 0, got'
  const ms = 'must be a number of milliseconds, above 0, got'
  const withOptions = (options: unknown): RateLimitConfig => RateLimitConfig.perSecond(5, options as RateLimitOptions)

  test.each([
    [() => RateLimitConfig.perSecond(0), `maxCommands ${commands} 0`],
    [() => RateLimitConfig.perSecond(-1), `maxCommands ${commands} -1`],
    [() => RateLimitConfig.perSecond(Number.NaN), `maxCommands ${commands} NaN`],
    [() => RateLimitConfig.perMinute(Number.POSITIVE_INFINITY), `maxCommands ${commands} Infinity`],
    [() => RateLimitConfig.perHour(0.5), `maxCommands ${commands} 0.5`],
    [() => RateLimitConfig.perHour(0.5, { unit: 'commands' }), `maxCommands ${commands} 0.5`],
    [() => RateLimitConfig.perHour('5' as never), `maxCommands ${commands} "5"`],
    [() => RateLimitConfig.perHour(0, { unit: 'usd' }), `maxCommands ${positive} 0`],
    [() => new RateLimitConfig(1, 0), `windowMs ${ms} 0`],
    [() => new RateLimitConfig(1, -5), `windowMs ${ms} -5`],
    [() => new RateLimitConfig(1, Number.NaN), `windowMs ${ms} NaN`],
    [() => new RateLimitConfig(1, Number.POSITIVE_INFINITY), `windowMs ${ms} Infinity`],
    [() => new RateLimitConfig(1e300, 1e-300), 'windowMs must be a window for which 1e+300 is a rate, got 1e-300'],
    [
      () => new RateLimitConfig(1e-300, 1e300, { unit: 'usd' }),
      'windowMs must be a window for which 1e-300 is a rate, got 1e+300',
    ],
    [
      () => withOptions({ algorithm: 'leaky' }),
      "algorithm must be one of 'token-bucket', 'sliding-window', got \"leaky\"",
    ],
    [() => withOptions({ burst: 0 }), `burst ${commands} 0`],
    [() => withOptions({ burst: 0.5 }), `burst ${commands} 0.5`],
    [() => withOptions({ burst: Number.POSITIVE_INFINITY, unit: 'usd' }), `burst ${positive} Infinity`],
    [
      () => withOptions({ burst: 6, algorithm: 'sliding-window' }),
      'burst must be left out, or maxCommands (5), with a sliding window, got 6',
    ],
    [() => withOptions({ unit: '' }), 'unit must be a string that is not empty, got ""'],
    [() => withOptions({ unit: 7 }), 'unit must be a string that is not empty, got 7'],
    [() => withOptions({ group: '' }), 'group must be a string that is not empty, or a RateLimitGroup, got ""'],
    [
      () => withOptions(JSON.parse(JSON.stringify({ group: new RateLimitGroup('a') }))),
      'group must be a string that is not empty, or a RateLimitGroup, got {"name":"a"}',
    ],
    [() => withOptions(null), 'must be an object, got null'],
    [() => withOptions([]), 'must be an object, got []'],
    [() => withOptions({ brust: 5 }), "has no option 'brust'; its options are 'algorithm', 'burst', 'unit', 'group'"],
    [() => withOptions({ maxCommands: 5 }), "has no option 'maxCommands'"],
    [() => RateLimitConfig.from({ maxCommands: 5 } as never), `windowMs ${ms} undefined`],
    [() => RateLimitConfig.from({ maxCommands: 5, windowMs: 5, window: 5 } as never), "has no option 'window'"],
    [() => RateLimitConfig.from(undefined as never), 'must be an object, got undefined'],
  ])('%#', (make, message) => {
    expect(make).toThrow(
      expect.objectContaining({
        code: 'CONFIG_INVALID',
        message: expect.stringContaining(`Configuration error: RateLimitConfig ${message}`) as string,
      }),
    )
  })

  test('a group whose name says nothing', () => {
    expect(() => new RateLimitGroup('')).toThrow('RateLimitGroup name must be a string that is not empty, got ""')
    expect(() => new RateLimitGroup(7 as never)).toThrow('RateLimitGroup name')
    expect(new RateLimitGroup().name).toBeUndefined()
  })
})
