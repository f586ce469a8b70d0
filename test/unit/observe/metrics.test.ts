/** Metrics that are recorded by hand, without a queue. */
import {
  isLaneError,
  LocalMetrics,
  METRIC_NAMES,
  METRICS,
  type MetricsBackend,
  type MetricsSnapshot,
  QueueMetrics,
} from '@a3s-lab/lane'
import { describe, expect, test } from 'vitest'
import { thrownBy } from '../../support/setup.js'

/** Has one recorder do its work for the lane 'work', and gives what was written. */
async function written(record: (metrics: QueueMetrics) => void): Promise<MetricsSnapshot> {
  const metrics = QueueMetrics.local()
  record(metrics)
  return metrics.snapshot()
}

const nothing = { counters: {}, gauges: {}, histograms: {} }

describe('a recorder writes its counter over all lanes and for its lane:', () => {
  test.each<[string, (metrics: QueueMetrics) => void, string]>([
    ['recordSubmit', (metrics) => metrics.recordSubmit('work'), 'lane.commands.submitted'],
    ['recordFailure', (metrics) => metrics.recordFailure('work'), 'lane.commands.failed'],
    ['recordTimeout', (metrics) => metrics.recordTimeout('work'), 'lane.commands.timeout'],
    ['recordRetry', (metrics) => metrics.recordRetry('work'), 'lane.commands.retried'],
    ['recordDeadLetter', (metrics) => metrics.recordDeadLetter('work'), 'lane.commands.dead_lettered'],
  ])('%s', async (_recorder, record, name) => {
    expect(await written(record)).toEqual({ ...nothing, counters: { [name]: 1, [`${name}.work`]: 1 } })
  })
})

test('recordComplete writes the counter and the latency', async () => {
  const { counters, gauges, histograms } = await written((metrics) => metrics.recordComplete('work', 12.5))
  expect([counters, gauges]).toEqual([{ 'lane.commands.completed': 1, 'lane.commands.completed.work': 1 }, {}])
  expect(Object.keys(histograms)).toEqual(['lane.command.latency_ms', 'lane.command.latency_ms.work'])
  expect(histograms['lane.command.latency_ms']).toMatchObject({ count: 1, sum: 12.5 })
})

test('recordWaitTime writes the wait', async () => {
  const { counters, gauges, histograms } = await written((metrics) => metrics.recordWaitTime('work', 3))
  expect([counters, gauges]).toEqual([{}, {}])
  expect(Object.keys(histograms)).toEqual(['lane.command.wait_time_ms', 'lane.command.wait_time_ms.work'])
  expect(histograms['lane.command.wait_time_ms.work']).toMatchObject({ count: 1, sum: 3 })
})

test('gauges are set, and only for their lane', async () => {
  const snapshot = await written((metrics) => {
    metrics.setQueueDepth('work', 7)
    metrics.setQueueDepth('work', 5)
    metrics.setActiveCommands('work', 2)
  })
  expect(snapshot).toEqual({ ...nothing, gauges: { 'lane.queue.depth.work': 5, 'lane.queue.active.work': 2 } })
})

test('lanes are counted apart and together', async () => {
  const { counters } = await written((metrics) => {
    metrics.recordSubmit('one')
    metrics.recordSubmit('two')
    metrics.recordSubmit('two')
  })
  expect(counters).toEqual({
    'lane.commands.submitted': 3,
    'lane.commands.submitted.one': 1,
    'lane.commands.submitted.two': 2,
  })
})

test('a latency that is no number leaves the count alone', async () => {
  const { counters, histograms } = await written((metrics) => metrics.recordComplete('work', Number.NaN))
  expect([counters['lane.commands.completed'], histograms]).toEqual([1, {}])
})

test('the reference names are letter for letter', () => {
  expect(METRIC_NAMES).toMatchObject({
    COMMANDS_SUBMITTED: 'lane.commands.submitted',
    COMMANDS_COMPLETED: 'lane.commands.completed',
    COMMANDS_FAILED: 'lane.commands.failed',
    COMMANDS_TIMEOUT: 'lane.commands.timeout',
    COMMANDS_RETRIED: 'lane.commands.retried',
    COMMANDS_DEAD_LETTERED: 'lane.commands.dead_lettered',
    QUEUE_DEPTH: 'lane.queue.depth',
    QUEUE_ACTIVE: 'lane.queue.active',
    COMMAND_LATENCY: 'lane.command.latency_ms',
    COMMAND_WAIT_TIME: 'lane.command.wait_time_ms',
  })
})

test('every name is unique and has its kind and its sentence', () => {
  const names = Object.values(METRIC_NAMES)
  expect(new Set(names).size).toBe(names.length)
  expect(new Set(Object.keys(METRICS))).toEqual(new Set(names))
  for (const { help } of Object.values(METRICS)) expect(help).toMatch(/^[A-Z].+[^.]$/)
})

test('metrics give back the back end that they were made with', () => {
  const backend = new LocalMetrics()
  expect(new QueueMetrics(backend).backend()).toBe(backend)
  expect(QueueMetrics.local().backend()).toBeInstanceOf(LocalMetrics)
})

test('two metrics over one back end share its values, two local ones share nothing', async () => {
  const backend = new LocalMetrics()
  new QueueMetrics(backend).recordSubmit('work')
  expect((await new QueueMetrics(backend).snapshot()).counters['lane.commands.submitted']).toBe(1)
  expect(await QueueMetrics.local().snapshot()).toEqual(nothing)
})

test('reset forgets everything', async () => {
  const metrics = QueueMetrics.local()
  metrics.recordComplete('work', 5)
  metrics.setQueueDepth('work', 5)
  await metrics.reset()
  expect(await metrics.snapshot()).toEqual(nothing)
})

test('a snapshot comes back from JSON as it was', async () => {
  const snapshot = await written((metrics) => {
    metrics.recordSubmit('work')
    metrics.recordComplete('work', 0.1)
    metrics.setQueueDepth('work', 0)
  })
  expect(JSON.parse(JSON.stringify(snapshot))).toEqual(snapshot)
})

describe('a back end is refused', () => {
  test.each<[string, unknown]>([
    ['that is missing', undefined],
    ['that is null', null],
    ['that is no object', 5],
    ['without methods', {}],
  ])('%s', (_what, backend) => {
    const error = thrownBy(() => new QueueMetrics(backend as MetricsBackend))
    expect(isLaneError(error)).toBe(true)
    expect(error).toMatchObject({ code: 'CONFIG_INVALID', option: 'QueueMetrics backend' })
  })

  test.each([
    'incrementCounter',
    'setGauge',
    'recordHistogram',
    'getCounter',
    'getGauge',
    'getHistogramStats',
    'reset',
    'snapshot',
  ] as const)('that lacks %s, which is named', (name) => {
    const backend = new LocalMetrics()
    Object.defineProperty(backend, name, { value: undefined })
    expect(thrownBy(() => new QueueMetrics(backend)).message).toContain(`a MetricsBackend with ${name}`)
  })
})

describe('by hand, a back end that fails', () => {
  const failing = (how: () => undefined | Promise<undefined>): MetricsBackend => ({
    ...{ incrementCounter: how, setGauge: how, recordHistogram: how },
    ...{ getCounter: how, getGauge: how, getHistogramStats: how, reset: how },
    snapshot: () => ({ counters: {}, gauges: {}, histograms: {} }),
  })

  test('by throwing harms nobody', () => {
    const metrics = new QueueMetrics(
      failing(() => {
        throw new Error('away')
      }),
    )
    expect(() => {
      metrics.recordComplete('work', 5)
      metrics.setQueueDepth('work', 5)
    }).not.toThrow()
  })

  test('by rejecting leaves no unhandled rejection', async () => {
    const metrics = new QueueMetrics(failing(() => Promise.reject(new Error('away'))))
    metrics.recordComplete('work', 5)
    expect(await metrics.snapshot()).toEqual(nothing)
  })

  test('to be reset says so to who asked', async () => {
    const metrics = new QueueMetrics(failing(() => Promise.reject(new Error('away'))))
    await expect(metrics.reset()).rejects.toThrow('away')
  })
})
