/** Metrics in memory, as a back end. */
import { LocalMetrics } from '@a3s-lab/lane'
import { describe, expect, test } from 'vitest'

describe('a counter', () => {
  test('adds up what it is incremented by', () => {
    const local = new LocalMetrics()
    local.incrementCounter('one', 1)
    local.incrementCounter('one', 41)
    local.incrementCounter('other', 0)
    expect([local.getCounter('one'), local.getCounter('other')]).toEqual([42, 0])
  })
})

describe('a gauge', () => {
  test('is set, not added to', () => {
    const local = new LocalMetrics()
    local.setGauge('depth', 5)
    local.setGauge('depth', 3)
    expect(local.getGauge('depth')).toBe(3)
  })

  test('with a source is what that says whenever it is asked for', () => {
    const local = new LocalMetrics()
    let depth = 1
    local.setGauge('depth', 99)
    local.setGaugeSource('depth', () => depth)
    expect([local.getGauge('depth'), local.snapshot().gauges]).toEqual([1, { depth: 1 }])
    depth = 7
    expect([local.getGauge('depth'), local.snapshot().gauges]).toEqual([7, { depth: 7 }])
    local.reset()
    expect(local.getGauge('depth')).toBe(7)
    local.setGauge('depth', 5)
    expect(local.getGauge('depth')).toBe(5)
    local.setGaugeSource('depth', undefined)
    expect([local.getGauge('depth'), local.snapshot().gauges]).toEqual([undefined, {}])
  })
})

describe('a histogram', () => {
  test('of 10, 20 and 30 has their count, sum, ends and mean', () => {
    const local = new LocalMetrics()
    for (const value of [10, 20, 30]) local.recordHistogram('latency', value)
    expect(local.getHistogramStats('latency')).toMatchObject({ count: 3, sum: 60, min: 10, max: 30, mean: 20 })
  })

  test('of 1 to 100 has its percentiles where they belong', () => {
    const local = new LocalMetrics()
    for (let n = 1; n <= 100; n++) local.recordHistogram('latency', n)
    const stats = local.getHistogramStats('latency')
    expect([stats?.min, stats?.max]).toEqual([1, 100])
    expect([49, 50, 51]).toContain(stats?.percentiles.p50)
    expect([89, 90, 91]).toContain(stats?.percentiles.p90)
    expect([94, 95, 96]).toContain(stats?.percentiles.p95)
    expect([98, 99, 100]).toContain(stats?.percentiles.p99)
  })

  test('into which nothing countable was recorded is unknown', () => {
    const local = new LocalMetrics()
    local.recordHistogram('latency', Number.NaN)
    expect(local.getHistogramStats('latency')).toBeUndefined()
    expect(local.snapshot().histograms).toEqual({})
  })
})

describe('what is unknown', () => {
  test('is undefined, and asking makes it no better known', () => {
    const local = new LocalMetrics()
    expect([local.getCounter('no'), local.getGauge('no'), local.getHistogramStats('no')]).toEqual(
      new Array(3).fill(undefined),
    )
    expect(local.snapshot()).toEqual({ counters: {}, gauges: {}, histograms: {} })
  })

  test('is a cell or histogram that was asked for and not yet written to', () => {
    const local = new LocalMetrics()
    expect([local.counter('c').value, local.histogram('h').count]).toEqual([undefined, 0])
    expect(local.snapshot()).toEqual({ counters: {}, gauges: {}, histograms: {} })
  })
})

describe('a cell', () => {
  test('is the same one each time, and the same as under its name', () => {
    const local = new LocalMetrics()
    const cell = local.counter('c')
    cell.value = 5
    expect(local.counter('c')).toBe(cell)
    local.incrementCounter('c', 2)
    expect([cell.value, local.getCounter('c')]).toEqual([7, 7])
  })

  test('that is held goes on counting after a reset', () => {
    const local = new LocalMetrics()
    const cell = local.counter('c')
    const histogram = local.histogram('h')
    local.incrementCounter('c', 9)
    histogram.record(4)
    local.reset()
    local.incrementCounter('c', 1)
    histogram.record(6)
    expect([cell.value, local.getCounter('c')]).toEqual([1, 1])
    expect(local.getHistogramStats('h')).toMatchObject({ count: 1, min: 6, max: 6 })
  })
})

describe('a snapshot', () => {
  const filled = (): LocalMetrics => {
    const local = new LocalMetrics()
    local.incrementCounter('lane.commands.submitted', 2)
    local.setGauge('lane.queue.depth.work', 3)
    local.recordHistogram('lane.command.latency_ms', 1.5)
    return local
  }

  test('has all kinds in it', () => {
    expect(filled().snapshot()).toEqual({
      counters: { 'lane.commands.submitted': 2 },
      gauges: { 'lane.queue.depth.work': 3 },
      histograms: {
        'lane.command.latency_ms': {
          ...{ count: 1, sum: 1.5, min: 1.5, max: 1.5, mean: 1.5 },
          percentiles: { p50: 1.5, p90: 1.5, p95: 1.5, p99: 1.5 },
        },
      },
    })
  })

  test('comes back from JSON as it was', () => {
    const snapshot = filled().snapshot()
    expect(JSON.parse(JSON.stringify(snapshot))).toEqual(snapshot)
  })

  test('stays as it was when counting goes on', () => {
    const local = filled()
    const before = local.snapshot()
    const text = JSON.stringify(before)
    local.incrementCounter('lane.commands.submitted', 1)
    local.recordHistogram('lane.command.latency_ms', 9)
    local.reset()
    expect(JSON.stringify(before)).toBe(text)
  })

  test('has a place for every name, __proto__ among them', () => {
    const local = new LocalMetrics()
    for (const name of ['__proto__', 'constructor', 'toString', '']) local.incrementCounter(name, 1)
    expect(Object.entries(local.snapshot().counters)).toEqual([
      ['__proto__', 1],
      ['constructor', 1],
      ['toString', 1],
      ['', 1],
    ])
  })

  test('after a reset is empty', () => {
    const local = filled()
    local.reset()
    expect(local.snapshot()).toEqual({ counters: {}, gauges: {}, histograms: {} })
    expect(local.getCounter('lane.commands.submitted')).toBeUndefined()
  })
})
