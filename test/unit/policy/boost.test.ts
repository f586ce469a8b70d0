import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  boostAt,
  boostedPriority,
  isAtLastStep,
  lastStep,
  nextChange,
  PriorityBoostConfig,
  type PriorityBoostFields,
} from '../../../src/policy/boost.js'

/** Own fields, as a spread or JSON would see them. */
const fieldsOf = (config: PriorityBoostConfig): object => Object.fromEntries(Object.entries(config))

describe('the constructors fill the fields of the reference:', () => {
  test.each([
    ['a deadline alone', new PriorityBoostConfig(10_000), { enabled: true, deadlineMs: 10_000, boostIntervals: [] }],
    ['disabled', PriorityBoostConfig.disabled(), { enabled: false, deadlineMs: 0, boostIntervals: [] }],
    [
      'standard',
      PriorityBoostConfig.standard(300_000),
      {
        enabled: true,
        deadlineMs: 300_000,
        boostIntervals: [
          { remainingMs: 225_000, boost: 1 },
          { remainingMs: 150_000, boost: 2 },
          { remainingMs: 75_000, boost: 3 },
          { remainingMs: 30_000, boost: 4 },
        ],
      },
    ],
    [
      'aggressive',
      PriorityBoostConfig.aggressive(1000),
      {
        enabled: true,
        deadlineMs: 1000,
        boostIntervals: [
          { remainingMs: 800, boost: 2 },
          { remainingMs: 600, boost: 4 },
          { remainingMs: 400, boost: 6 },
          { remainingMs: 200, boost: 8 },
        ],
      },
    ],
  ])('%s', (_name, config, fields) => {
    expect(fieldsOf(config)).toEqual(fields)
    expect(config).toBeInstanceOf(PriorityBoostConfig)
  })

  test('steps that are added stand longest first, and the boost they are added to is left alone', () => {
    const none = new PriorityBoostConfig(100)
    const two = none.withBoost(25, 3).withBoost(75, 1)
    const three = two.withBoost(50, 2)
    expect(none.boostIntervals).toEqual([])
    expect(two.boostIntervals).toHaveLength(2)
    expect(three.boostIntervals.map(({ remainingMs }) => remainingMs)).toEqual([75, 50, 25])
    expect(three).toBeInstanceOf(PriorityBoostConfig)
  })
})

describe('a boost', () => {
  test('survives JSON', () => {
    for (const config of [
      PriorityBoostConfig.standard(1),
      PriorityBoostConfig.aggressive(77),
      PriorityBoostConfig.disabled(),
      new PriorityBoostConfig(5).withBoost(9, 2),
    ]) {
      const again = PriorityBoostConfig.from(JSON.parse(JSON.stringify(config)) as PriorityBoostFields)
      expect(again).toEqual(config)
      expect(again).toBeInstanceOf(PriorityBoostConfig)
    }
  })

  test('has steps of its own: those it was made from may change', () => {
    const steps = [{ remainingMs: 5, boost: 1 }]
    const config = PriorityBoostConfig.from({ deadlineMs: 10, boostIntervals: steps })
    steps.push({ remainingMs: 7, boost: 2 })
    Object.assign(steps[0] as object, { boost: 9 })
    expect(config.boostIntervals).toEqual([{ remainingMs: 5, boost: 1 }])
    expect(PriorityBoostConfig.from({ deadlineMs: 10 })).toEqual(new PriorityBoostConfig(10))
  })

  test('can be switched off and keeps its numbers', () => {
    const off = PriorityBoostConfig.from({ ...fieldsOf(PriorityBoostConfig.standard(100)), enabled: false } as never)
    expect(off).toMatchObject({ ...fieldsOf(PriorityBoostConfig.standard(100)), enabled: false })
    expect(boostAt(off, 1)).toBe(0)
    expect(PriorityBoostConfig.disabled().withBoost(5, 1)).toMatchObject({ enabled: false, deadlineMs: 0 })
  })
})

test.each<[() => unknown, string]>([
  [() => new PriorityBoostConfig(0), 'deadlineMs must be a number of milliseconds, above 0, got 0'],
  [() => new PriorityBoostConfig(-1), 'deadlineMs must be a number of milliseconds, above 0, got -1'],
  [() => PriorityBoostConfig.standard(Number.NaN), 'deadlineMs must be a number of milliseconds, above 0, got NaN'],
  [
    () => PriorityBoostConfig.aggressive(Number.POSITIVE_INFINITY),
    'deadlineMs must be a number of milliseconds, above 0, got Infinity',
  ],
  [
    () => PriorityBoostConfig.from({ enabled: false, deadlineMs: -1 }),
    'deadlineMs must be a number of milliseconds, above 0, got -1',
  ],
  [() => PriorityBoostConfig.from({} as never), 'deadlineMs must be a number of milliseconds, above 0, got undefined'],
  [() => PriorityBoostConfig.from({ enabled: 1, deadlineMs: 5 } as never), 'enabled must be true or false, got 1'],
  [
    () => PriorityBoostConfig.from({ deadlineMs: 5, boostIntervals: {} } as never),
    'boostIntervals must be an array, got {}',
  ],
  [
    () => PriorityBoostConfig.from({ deadlineMs: 5, boostIntervals: [3] } as never),
    'boostIntervals[0] must be an object, got 3',
  ],
  [
    () => new PriorityBoostConfig(9).withBoost(5, 1).withBoost(0, 1),
    'boostIntervals[1].remainingMs must be a number of milliseconds, above 0, got 0',
  ],
  [() => new PriorityBoostConfig(9).withBoost(5, 0), 'boostIntervals[0].boost must be an integer of at least 1, got 0'],
  [
    () => new PriorityBoostConfig(9).withBoost(5, 1.5),
    'boostIntervals[0].boost must be an integer of at least 1, got 1.5',
  ],
])('a boost that makes no sense is refused: %#', (make, message) => {
  expect(make).toThrow(`Configuration error: PriorityBoostConfig ${message}`)
  expect(make).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }))
})

test.each<[() => unknown, string]>([
  [() => PriorityBoostConfig.from(null as never), 'PriorityBoostConfig must be an object, got null'],
  [() => PriorityBoostConfig.from({ deadlineMs: 5, steps: [] } as never), "PriorityBoostConfig has no option 'steps'"],
  [
    () => PriorityBoostConfig.from({ deadlineMs: 5, boostIntervals: [{ remainingMs: 1, steps: 1 }] } as never),
    "PriorityBoostConfig boostIntervals[0] has no option 'steps'",
  ],
])('a form that is not known is refused: %#', (make, message) => {
  expect(make).toThrow(`Configuration error: ${message}`)
})

describe('the boost at a remaining time', () => {
  test('a command with all of its deadline left has none, also with a step close to it', () => {
    expect(boostAt(new PriorityBoostConfig(10_000).withBoost(9000, 2), 10_000)).toBe(0)
    expect(boostAt(new PriorityBoostConfig(10_000).withBoost(9000, 2), 8999)).toBe(2)
  })

  test.each([
    [300_000, 0],
    [225_001, 0],
    [225_000, 1],
    [150_000, 2],
    [75_000, 3],
    [30_001, 3],
    [30_000, 4],
    [1, 4],
    [0, Number.POSITIVE_INFINITY],
    [-1, Number.POSITIVE_INFINITY],
  ])('standard(300 s) with %d ms left', (remainingMs, boost) => {
    expect(boostAt(PriorityBoostConfig.standard(300_000), remainingMs)).toBe(boost)
  })

  test.each([
    [801, 0],
    [800, 2],
    [600, 4],
    [400, 6],
    [200, 8],
  ])('aggressive(1 s) with %d ms left', (remainingMs, boost) => {
    expect(boostAt(PriorityBoostConfig.aggressive(1000), remainingMs)).toBe(boost)
  })

  test.each([
    [80_000, 10],
    [60_000, 9],
    [40_000, 8],
    [20_000, 7],
    [0, 0],
  ])('steps 75 s → 1, 50 s → 2, 25 s → 3 of 100 s, base 10, %d ms left: priority %d', (remainingMs, priority) => {
    const config = new PriorityBoostConfig(100_000).withBoost(75_000, 1).withBoost(50_000, 2).withBoost(25_000, 3)
    expect(boostedPriority(10, boostAt(config, remainingMs))).toBe(priority)
  })

  test('a table that falls gives the largest boost that matches, not the last', () => {
    const config = new PriorityBoostConfig(100).withBoost(75, 3).withBoost(25, 1)
    expect([80, 50, 20].map((remainingMs) => boostAt(config, remainingMs))).toEqual([0, 3, 3])
    expect(nextChange(config, 50)).toBe(0)
    expect(lastStep(config)).toBe(75)
  })

  test('a step longer than the deadline holds from the start', () => {
    expect(boostAt(new PriorityBoostConfig(100).withBoost(1000, 2), 100)).toBe(2)
  })

  test('disabled: none, also past any deadline', () => {
    for (const remainingMs of [1, 0, -1]) expect(boostAt(PriorityBoostConfig.disabled(), remainingMs)).toBe(0)
  })

  test('a priority is never below 0', () => {
    expect(boostedPriority(5, 10)).toBe(0)
    expect(boostedPriority(5, 2)).toBe(3)
    expect(boostedPriority(5, Number.POSITIVE_INFINITY)).toBe(0)
  })
})

describe('the next change', () => {
  const never = Number.NEGATIVE_INFINITY

  test('is the next step, then the deadline, then never', () => {
    const config = PriorityBoostConfig.standard(1000)
    const changes = [2000, 1000, 750, 600, 500, 250, 101, 100, 50, 0, -5].map((left) => nextChange(config, left))
    expect(changes).toEqual([750, 750, 500, 500, 250, 100, 100, 0, 0, never, never])
  })

  test('without steps it is the deadline, and disabled there is none', () => {
    expect(nextChange(new PriorityBoostConfig(10), 5)).toBe(0)
    expect(nextChange(PriorityBoostConfig.disabled(), 5)).toBe(never)
  })

  test('the last step is the smallest remaining time at which the boost grows, or the deadline', () => {
    expect(lastStep(PriorityBoostConfig.standard(1000))).toBe(100)
    expect(lastStep(PriorityBoostConfig.aggressive(1000))).toBe(200)
    expect(lastStep(new PriorityBoostConfig(1000))).toBe(0)
    expect(lastStep(PriorityBoostConfig.disabled())).toBe(0)
  })

  test('a command is at its last step from then on', () => {
    const at = (config: PriorityBoostConfig): boolean[] =>
      [101, 100, 1, 0, -1].map((left) => isAtLastStep(config, left))
    expect(at(PriorityBoostConfig.standard(1000))).toEqual([false, true, true, true, true])
    expect(at(new PriorityBoostConfig(1000))).toEqual([false, false, false, true, true])
    expect(at(PriorityBoostConfig.disabled())).toEqual([false, false, false, false, false])
  })
})

const someBoost = fc
  .record({
    deadlineMs: fc.double({ min: 1, max: 1e9, noNaN: true }),
    boostIntervals: fc.array(
      fc.record({
        remainingMs: fc.double({ min: 0.1, max: 1e9, noNaN: true }),
        boost: fc.integer({ min: 1, max: 300 }),
      }),
      { maxLength: 8 },
    ),
  })
  .map((fields) => PriorityBoostConfig.from(fields))
const someTime = fc.double({ min: -1e9, max: 1e9, noNaN: true })

describe('for every boost', () => {
  test('it is the largest of all steps that are reached, and never falls as time passes', () => {
    fc.assert(
      fc.property(someBoost, someTime, fc.double({ min: 0, max: 1e9, noNaN: true }), (one, left, passed) => {
        const matching = one.boostIntervals.filter(({ remainingMs }) => left - 1e-3 <= remainingMs)
        const expected =
          left - 1e-3 <= 0 ? Number.POSITIVE_INFINITY : Math.max(0, ...matching.map(({ boost }) => boost))
        expect(boostAt(one, left)).toBe(expected)
        expect(boostAt(one, left - passed)).toBeGreaterThanOrEqual(expected)
      }),
    )
  })

  test('between now and the next change nothing changes, and at the change it grows', () => {
    fc.assert(
      fc.property(
        someBoost,
        someTime,
        fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        (one, left, share) => {
          const next = nextChange(one, left)
          const boost = boostAt(one, left)
          const isLast = next === Number.NEGATIVE_INFINITY
          const between = isLast ? left - share * 1e9 : left - (left - next - 2e-3) * share
          expect(boostAt(one, Math.min(left, between))).toBe(boost)
          expect(boostAt(one, next)).toBeGreaterThanOrEqual(isLast ? boost : boost + 1)
        },
      ),
    )
  })

  test('a timer for each change finds it reached, at any instant of a clock: the steps are walked in as many wake-ups', () => {
    fc.assert(
      fc.property(someBoost, fc.double({ min: 0, max: 1e12, noNaN: true }), (one, arrivedAt) => {
        const wakeUps: number[] = []
        let now = arrivedAt
        for (;;) {
          const left = arrivedAt + one.deadlineMs - now
          const change = nextChange(one, left)
          if (change === Number.NEGATIVE_INFINITY || wakeUps.length > 10) break
          now = now + left - change
          wakeUps.push(boostAt(one, left))
        }
        expect(new Set(wakeUps).size).toBe(wakeUps.length)
        expect(wakeUps.length).toBeLessThanOrEqual(one.boostIntervals.length + 1)
        expect(boostAt(one, arrivedAt + one.deadlineMs - now)).toBe(Number.POSITIVE_INFINITY)
      }),
    )
  })

  test('steps may be added in any order', () => {
    fc.assert(
      fc.property(someBoost, someTime, (one, left) => {
        const added = one.boostIntervals.reduceRight(
          (sum, { remainingMs, boost }) => sum.withBoost(remainingMs, boost),
          new PriorityBoostConfig(one.deadlineMs),
        )
        expect(boostAt(added, left)).toBe(boostAt(one, left))
        expect(PriorityBoostConfig.from(JSON.parse(JSON.stringify(added)) as PriorityBoostFields)).toEqual(added)
      }),
    )
  })
})
