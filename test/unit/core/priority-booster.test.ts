import { VirtualClock } from '@a3s-lab/lane/testing'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { PriorityBooster } from '../../../src/core/priority-booster.js'
import { PriorityBoostConfig, type PriorityBoostFields } from '../../../src/policy/index.js'

/** A booster, and the instant of creation of something that has so much time left now. */
function setup(config: PriorityBoostFields): { booster: PriorityBooster; createdFor: (remainingMs: number) => number } {
  const clock = new VirtualClock()
  const booster = new PriorityBooster(config, { clock })
  return { booster, createdFor: (remainingMs) => clock.wallNow() - (config.deadlineMs - remainingMs) }
}

test('something fresh has its base priority, and after a step a better one', () => {
  const { booster, createdFor } = setup(new PriorityBoostConfig(10_000).withBoost(9000, 2))
  expect(booster.calculatePriority(5, createdFor(10_000))).toBe(5)
  expect(booster.calculatePriority(5, createdFor(9001))).toBe(5)
  expect(booster.calculatePriority(5, createdFor(9000))).toBe(3)
})

test.each([
  [80_000, 10],
  [60_000, 9],
  [40_000, 8],
  [20_000, 7],
  [0, 0],
  [-1, 0],
])('steps 75 s → 1, 50 s → 2, 25 s → 3 of 100 s, base 10, %d ms left: priority %d', (remainingMs, priority) => {
  const config = new PriorityBoostConfig(100_000).withBoost(75_000, 1).withBoost(50_000, 2).withBoost(25_000, 3)
  const { booster, createdFor } = setup(config)
  expect(booster.calculatePriority(10, createdFor(remainingMs))).toBe(priority)
})

test('a boost of 10 takes base 5 to 0, never below', () => {
  const { booster, createdFor } = setup(new PriorityBoostConfig(1000).withBoost(500, 10))
  expect(booster.calculatePriority(5, createdFor(400))).toBe(0)
})

test('standard(1 ms) is past its deadline 10 ms later', async () => {
  const clock = new VirtualClock()
  const booster = new PriorityBooster(PriorityBoostConfig.standard(1), { clock })
  const createdAt = new Date(clock.wallNow())
  expect([booster.isPastDeadline(createdAt), booster.calculatePriority(5, createdAt)]).toEqual([false, 5])
  await clock.advance(10)
  expect([booster.isPastDeadline(createdAt), booster.calculatePriority(5, createdAt)]).toEqual([true, 0])
  expect(booster.timeRemaining(createdAt)).toBe(0)
})

describe('time remaining', () => {
  test('counts from creation, as a Date, Unix milliseconds or text', () => {
    const { booster, createdFor } = setup(PriorityBoostConfig.standard(300_000))
    const createdAt = createdFor(200_000)
    expect(booster.timeRemaining(createdAt)).toBe(200_000)
    expect(booster.timeRemaining(new Date(createdAt))).toBe(200_000)
    expect(booster.timeRemaining(new Date(createdAt).toISOString())).toBe(200_000)
    expect(booster.isPastDeadline(createdAt)).toBe(false)
  })

  test('is 0 at the deadline and past it', () => {
    const { booster, createdFor } = setup(PriorityBoostConfig.standard(1000))
    expect([1, 0, -1, -1e9].map((left) => booster.timeRemaining(createdFor(left)))).toEqual([1, 0, 0, 0])
    expect([1, 0, -1].map((left) => booster.isPastDeadline(createdFor(left)))).toEqual([false, true, true])
  })

  test('is all of the deadline for something that comes from the future', () => {
    const { booster, createdFor } = setup(PriorityBoostConfig.standard(1000))
    expect(booster.timeRemaining(createdFor(5000))).toBe(1000)
  })
})

test('disabled, nothing has a deadline and priorities stay what they are', () => {
  const { booster } = setup(PriorityBoostConfig.disabled())
  expect(booster.timeRemaining(0)).toBeUndefined()
  expect(booster.isPastDeadline(0)).toBe(false)
  expect(booster.calculatePriority(4, 0)).toBe(4)
})

test('a booster keeps its config, and takes the plain form', () => {
  const config = PriorityBoostConfig.aggressive(1000)
  expect(new PriorityBooster(config).config).toBe(config)
  const plain = JSON.parse(JSON.stringify(config)) as PriorityBoostFields
  expect(new PriorityBooster(plain).config).toEqual(config)
  expect(new PriorityBooster(plain).config).toBeInstanceOf(PriorityBoostConfig)
})

test("without a clock of its own it asks the machine's", () => {
  const booster = new PriorityBooster(new PriorityBoostConfig(1000))
  expect(booster.isPastDeadline(0)).toBe(true)
  expect(booster.isPastDeadline(8.64e15)).toBe(false)
})

const { booster: checked } = setup(PriorityBoostConfig.standard(1000))

test.each<[() => unknown, string]>([
  [() => checked.timeRemaining(Number.NaN), 'createdAt must be a Date, Unix milliseconds or RFC 3339 text, got NaN'],
  [() => checked.isPastDeadline('soon'), 'createdAt must be a Date, Unix milliseconds or RFC 3339 text, got "soon"'],
  [() => checked.calculatePriority(-1, 0), 'base must be an integer from 0 to 255, got -1'],
  [() => checked.calculatePriority(256, 0), 'base must be an integer from 0 to 255, got 256'],
])('what makes no sense is refused: %#', (ask, message) => {
  expect(ask).toThrow(`Configuration error: PriorityBooster ${message}`)
})

test('a config that makes no sense is refused', () => {
  expect(() => new PriorityBooster({ deadlineMs: 0 })).toThrow(
    'Configuration error: PriorityBoostConfig deadlineMs must be a number of milliseconds, above 0, got 0',
  )
})

test('priorities lie between 0 and the base, and never get worse as time passes', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 255 }),
      fc.constantFrom(PriorityBoostConfig.standard(1000), PriorityBoostConfig.aggressive(1000)),
      fc.integer({ min: -100, max: 1100 }),
      fc.nat({ max: 100 }),
      (base, config, left, passed) => {
        const { booster, createdFor } = setup(config)
        const priority = booster.calculatePriority(base, createdFor(left))
        expect(priority).toBeLessThanOrEqual(base)
        expect(priority).toBeGreaterThanOrEqual(0)
        expect(booster.calculatePriority(base, createdFor(left - passed))).toBeLessThanOrEqual(priority)
      },
    ),
  )
})
