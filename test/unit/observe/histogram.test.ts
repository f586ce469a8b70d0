/** The histogram against what it stands for: all its values, sorted. */
import { HISTOGRAM_ERROR, Histogram } from '@a3s-lab/lane'
import fc from 'fast-check'
import * as hdr from 'hdr-histogram-js'
import { describe, expect, test } from 'vitest'

const SHARES = [0, 0.01, 0.25, 0.5, 0.9, 0.95, 0.99, 0.999, 1]

function histogramOf(values: readonly number[]): Histogram {
  const histogram = new Histogram()
  for (const value of values) histogram.record(value)
  return histogram
}

/** The value with this share of the others before it. */
function exactly(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(Math.floor(sorted.length * share), sorted.length - 1)] as number
}

/** From a nanosecond to centuries, in milliseconds, each power of two as likely as any other. */
const duration = fc
  .tuple(fc.integer({ min: -20, max: 42 }), fc.double({ min: 1, max: 1.999, noNaN: true }))
  .map(([exponent, part]) => part * 2 ** exponent)
const durations = fc.array(duration, { minLength: 1, maxLength: 300 })
const wholeNumbers = fc.array(fc.integer({ min: 0, max: 256 }), { minLength: 1, maxLength: 300 })

describe('percentiles', () => {
  test('are never above the true ones and at most one part in 128 below them', () => {
    fc.assert(
      fc.property(durations, (values) => {
        const histogram = histogramOf(values)
        for (const share of SHARES) {
          const exact = exactly(values, share)
          const told = histogram.percentile(share)
          expect(told).toBeLessThanOrEqual(exact)
          expect(told).toBeGreaterThanOrEqual(exact * (1 - HISTOGRAM_ERROR))
          expect(told).toBeGreaterThanOrEqual(histogram.min)
        }
      }),
    )
  })

  test('of whole numbers up to 256 are exact', () => {
    fc.assert(
      fc.property(wholeNumbers, (values) => {
        const histogram = histogramOf(values)
        expect(SHARES.map((share) => histogram.percentile(share))).toEqual(
          SHARES.map((share) => exactly(values, share)),
        )
      }),
    )
    const all = Array.from({ length: 257 }, (_, n) => n)
    expect(all.map((n) => histogramOf([0, n, 1e6]).percentile(0.5))).toEqual(all)
  })

  test('rise with their share', () => {
    fc.assert(
      fc.property(durations, (values) => {
        const told = SHARES.map((share) => histogramOf(values).percentile(share))
        expect(told).toEqual([...told].sort((a, b) => a - b))
      }),
    )
  })

  test('agree with those of HdrHistogram within both errors', () => {
    const numbers = fc.array(fc.integer({ min: 1, max: 3_600_000 }), { minLength: 1, maxLength: 500 })
    fc.assert(
      fc.property(numbers, (values) => {
        const theirs = hdr.build({
          lowestDiscernibleValue: 1,
          highestTrackableValue: 4_000_000,
          numberOfSignificantValueDigits: 3,
        })
        for (const value of values) theirs.recordValue(value)
        const ours = histogramOf(values)
        for (const share of [0.5, 0.9, 0.95, 0.99]) {
          // They look for the first value with a share of all at or before it, which may be one place before ours.
          const rank = Math.min(Math.floor(values.length * share), values.length - 1)
          const reference = theirs.getValueAtPercentile((100 * (rank + 0.5)) / values.length)
          expect(ours.percentile(share)).toBeGreaterThanOrEqual(Math.floor(reference * (1 - HISTOGRAM_ERROR) * 0.999))
          expect(ours.percentile(share)).toBeLessThanOrEqual(Math.ceil(reference * 1.001))
        }
      }),
    )
  })

  test.each([
    ['below the first', -1, 1],
    ['of none', 0, 1],
    ['of all', 1, 100],
    ['beyond all', 7, 100],
  ])('%s are those of the ends', (_what, share, value) => {
    const values = Array.from({ length: 100 }, (_, n) => n + 1)
    expect(histogramOf(values).percentile(share)).toBe(value)
  })
})

describe('what is told of', () => {
  test('10, 20 and 30', () => {
    expect(histogramOf([10, 20, 30]).stats()).toEqual({
      ...{ count: 3, sum: 60, min: 10, max: 30, mean: 20 },
      percentiles: { p50: 20, p90: 30, p95: 30, p99: 30 },
    })
  })

  test('1 to 100', () => {
    const { percentiles, ...rest } = histogramOf(Array.from({ length: 100 }, (_, n) => n + 1)).stats()
    expect(rest).toEqual({ count: 100, sum: 5050, min: 1, max: 100, mean: 50.5 })
    expect(percentiles).toEqual({ p50: 51, p90: 91, p95: 96, p99: 100 })
  })

  test('nothing', () => {
    const empty = {
      ...{ count: 0, sum: 0, min: Number.MAX_VALUE, max: -Number.MAX_VALUE, mean: 0 },
      percentiles: { p50: 0, p90: 0, p95: 0, p99: 0 },
    }
    expect(new Histogram().stats()).toEqual(empty)
    expect(new Histogram().countsUpTo([0, 1])).toEqual([0, 0])
    const reset = histogramOf([0, 5, 1e9])
    reset.reset()
    expect(reset.stats()).toEqual(empty)
    reset.record(7)
    expect(reset.stats()).toMatchObject({ count: 1, min: 7, max: 7, percentiles: { p50: 7 } })
  })

  test('one value is that value, however large its bucket', () => {
    fc.assert(
      fc.property(duration, (value) => {
        const { percentiles, ...rest } = histogramOf([value]).stats()
        expect(rest).toEqual({ count: 1, sum: value, min: value, max: value, mean: value })
        expect(new Set(Object.values(percentiles))).toEqual(new Set([value]))
      }),
    )
  })

  test('count, sum, ends and mean are exact', () => {
    fc.assert(
      fc.property(durations, (values) => {
        const { count, sum, min, max, mean } = histogramOf(values).stats()
        const total = values.reduce((all, one) => all + one, 0)
        expect([count, sum, mean]).toEqual([values.length, total, total / values.length])
        expect([min, max]).toEqual([Math.min(...values), Math.max(...values)])
      }),
    )
  })
})

describe('odd values:', () => {
  test.each([[Number.NaN], [Number.POSITIVE_INFINITY], [Number.NEGATIVE_INFINITY]])('%d is not counted', (value) => {
    const histogram = histogramOf([1, value, 3])
    expect(histogram.stats()).toMatchObject({ count: 2, sum: 4, min: 1, max: 3, mean: 2 })
    expect(histogram.countsUpTo([1e9])).toEqual([2])
  })

  test('zero is a value like any other', () => {
    expect(histogramOf([0, 0, 0, 8]).stats()).toMatchObject({
      ...{ count: 4, min: 0, max: 8, mean: 2 },
      percentiles: { p50: 0, p90: 8 },
    })
  })

  test('a negative one is told as the smallest', () => {
    const histogram = histogramOf([-5, -1, 0, 10])
    expect(histogram.stats()).toMatchObject({ count: 4, sum: 4, min: -5, max: 10, percentiles: { p50: -5, p99: 10 } })
  })

  test('one below a nanosecond counts among the smallest', () => {
    const histogram = histogramOf([Number.MIN_VALUE, 2 ** -21, 2 ** -20, 1])
    expect(histogram.percentile(0)).toBe(Number.MIN_VALUE)
    expect(histogram.percentile(0.25)).toBe(Number.MIN_VALUE)
    expect(histogram.percentile(0.5)).toBe(2 ** -20)
  })

  test.each([[2 ** 44 - 1], [2 ** 44], [2 ** 60], [Number.MAX_VALUE]])('%d has a place', (value) => {
    const { count, min, max, percentiles } = histogramOf([1, value]).stats()
    expect({ count, min, max }).toEqual({ count: 2, min: 1, max: value })
    expect(percentiles.p50).toBeLessThanOrEqual(value)
    expect(percentiles.p50).toBeGreaterThanOrEqual(2 ** 44 * (1 - HISTOGRAM_ERROR))
  })

  test('the edges of the powers of two are told exactly', () => {
    for (let exponent = -20; exponent < 44; exponent++) {
      const edge = 2 ** exponent
      expect(histogramOf([0, edge, 2 ** 43 * 1.5]).percentile(0.5)).toBe(edge)
    }
  })
})

describe('two histograms', () => {
  test('merged are the one in which everything was recorded', () => {
    const some = fc.array(fc.oneof(duration, fc.constant(0), fc.integer({ min: -3, max: 1000 })), { maxLength: 200 })
    fc.assert(
      fc.property(some, some, (first, second) => {
        const merged = histogramOf(first)
        const other = histogramOf(second)
        const before = other.stats()
        merged.merge(other)
        const whole = histogramOf([...first, ...second])
        expect(merged.stats().percentiles).toEqual(whole.stats().percentiles)
        expect([merged.count, merged.min, merged.max]).toEqual([whole.count, whole.min, whole.max])
        expect(Math.abs(merged.sum - whole.sum)).toBeLessThanOrEqual(1e-9 * Math.abs(whole.sum))
        expect(merged.countsUpTo([0, 1, 100, 1e6])).toEqual(whole.countsUpTo([0, 1, 100, 1e6]))
        expect(other.stats()).toEqual(before)
      }),
    )
  })

  test('share nothing after they were merged', () => {
    const [one, other] = [histogramOf([1]), histogramOf([1000])]
    one.merge(other)
    one.record(1000)
    expect(other.stats()).toEqual(histogramOf([1000]).stats())
  })
})

describe('counts up to bounds', () => {
  test('of whole numbers up to 256 are exact', () => {
    const bounds = fc.uniqueArray(fc.integer({ min: -1, max: 300 }), { maxLength: 12 })
    fc.assert(
      fc.property(wholeNumbers, bounds, (values, unsorted) => {
        const rising = unsorted.sort((a, b) => a - b)
        const exact = rising.map((bound) => values.filter((value) => value <= bound).length)
        expect(histogramOf(values).countsUpTo(rising)).toEqual(exact)
      }),
    )
  })

  test('of any values lie between those of the bound and of the next bucket', () => {
    fc.assert(
      fc.property(durations, fc.array(duration, { minLength: 1, maxLength: 8 }), (values, unsorted) => {
        const rising = unsorted.sort((a, b) => a - b)
        const counts = histogramOf(values).countsUpTo(rising)
        rising.forEach((bound, index) => {
          const least = values.filter((value) => value <= bound).length
          const most = values.filter((value) => value <= bound * (1 + HISTOGRAM_ERROR)).length
          expect(counts[index]).toBeGreaterThanOrEqual(least)
          expect(counts[index]).toBeLessThanOrEqual(most)
        })
      }),
    )
  })

  test('no bounds have no counts', () => {
    expect(histogramOf([1, 2]).countsUpTo([])).toEqual([])
  })
})

test('memory is bounded: two thousand powers of two take 64 arrays of 128 counts', () => {
  const made: number[] = []
  const Original = globalThis.Float64Array
  const counting = new Proxy(Original, {
    construct: (target, args: [number]) => {
      made.push(args[0])
      return new target(...args)
    },
  })
  globalThis.Float64Array = counting
  try {
    const histogram = new Histogram()
    for (let exponent = -1000; exponent < 1000; exponent++) histogram.record(1.5 * 2 ** exponent)
    for (let n = 0; n < 100_000; n++) histogram.record(n)
    expect(histogram.count).toBe(102_000)
  } finally {
    globalThis.Float64Array = Original
  }
  expect(made).toEqual(new Array(64).fill(128))
})
