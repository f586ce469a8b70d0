import { type Arrival, burst, every, merge, poisson, trace } from '@a3s-lab/lane/testing'
import { expect, test } from 'vitest'
import { thrownBy } from '../../support/setup.js'

test('an instant every so often, in a part of time', () => {
  expect([...every(100, { count: 3 })]).toEqual([0, 100, 200])
  expect([...every(100, { fromMs: 50, untilMs: 250 })]).toEqual([50, 150])
  expect([...every(0.1, { untilMs: 0.35 })]).toEqual([0, 0.1, 0.2, 0.1 * 3])
  expect([...every(100, { untilMs: 0 }), ...every(100, { count: 0 })]).toEqual([])
})

test('a burst is one instant', () => {
  expect([...burst(3), ...burst(2, 500)]).toEqual([0, 0, 0, 500, 500])
})

test('random arrivals have their rate on average, gaps that vary as they should, and a seed', () => {
  const instants = [...poisson(50, { fromMs: 1000, untilMs: 201_000, seed: 3 })]
  expect(Math.abs(instants.length - 10_000)).toBeLessThan(300) // three standard deviations, each the root of 10,000
  const gaps = instants.map((at, n) => at - (instants[n - 1] ?? 1000))
  expect(Math.min(...gaps)).toBeGreaterThanOrEqual(0)
  const mean = gaps.reduce((sum, gap) => sum + gap, 0) / gaps.length
  const variance = gaps.reduce((sum, gap) => sum + (gap - mean) ** 2, 0) / gaps.length
  expect(Math.sqrt(variance) / mean).toBeCloseTo(1, 1)
  expect([...poisson(50, { count: 5 })]).toEqual([...poisson(50, { count: 5, seed: 1 })])
  expect([...poisson(50, { count: 5 })]).not.toEqual([...poisson(50, { count: 5, seed: 2 })])
})

test('every source can be read again', () => {
  for (const source of [
    every(5, { count: 4 }),
    poisson(5, { count: 4 }),
    burst(4),
    merge(burst(4), every(1, { count: 2 })),
  ]) {
    expect([...source]).toEqual([...source])
  }
})

test('a trace makes commands of instants', () => {
  expect([...trace([1, 2], { laneId: 'a', runsFor: 5 })]).toEqual([
    { at: 1, laneId: 'a', runsFor: 5 },
    { at: 2, laneId: 'a', runsFor: 5 },
  ])
  const numbered = trace(every(10, { count: 2 }), (n, at) => ({ laneId: 'a', name: `${n} at ${at}` }))
  expect([...numbered].map(({ name }) => name)).toEqual(['0 at 0', '1 at 10'])
})

test('traces merge in order of time, the one named first before others of its instant', () => {
  expect([...merge([1, 4, 4], [], [2, 4], [0])]).toEqual([0, 1, 2, 4, 4, 4])
  const lanes = ['a', 'b'].map((laneId) => trace([0, 0, 5], { laneId }))
  expect([...merge<Arrival>(...lanes)].map(({ laneId, at }) => `${laneId}${at}`).join(' ')).toBe('a0 a0 b0 b0 a5 b5')
})

test('endless ones are read no further than they are needed', () => {
  const seen: number[] = []
  for (const at of merge(every(10), every(25, { fromMs: 5 }))) {
    if (at > 30) break
    seen.push(at)
  }
  expect(seen).toEqual([0, 5, 10, 20, 30, 30])
})

test.each([
  ['every ms must be above 0, got 0', () => every(0)],
  ['every ms must be above 0, got NaN', () => every(Number.NaN)],
  ['poisson ratePerSecond must be above 0, got -1', () => poisson(-1)],
  ['instants count must be 0 or more, got -1', () => burst(-1)],
  ['instants fromMs must be a finite number, 0 or more, got -5', () => every(1, { fromMs: -5 })],
  ['instants untilMs must be 0 or more, got NaN', () => poisson(1, { untilMs: Number.NaN })],
])('%s', (message, call) => {
  expect(thrownBy(call)).toMatchObject({ code: 'CONFIG_INVALID', message: `Configuration error: ${message}` })
})
