/** Metrics through the real SDK and exporter to a collector. */
import { METRIC_NAMES, type MetricsBackend, QueueMetrics, RateLimitConfig, RetryPolicy } from '@a3s-lab/lane'
import {
  ATTR_COMMAND_ID,
  ATTR_COMMAND_TYPE,
  ATTR_LANE_NAME,
  ATTR_RETRY_ATTEMPT,
  ATTR_SUCCESS,
  initLaneMetrics,
  laneMetrics,
  OtelMetricsBackend,
  recordComplete,
  recordFailure,
  recordSubmit,
  SPAN_LANE_EXECUTE,
  SPAN_LANE_HEALTH_CHECK,
  SPAN_LANE_RETRY,
  SPAN_LANE_SUBMIT,
} from '@a3s-lab/lane/otel'
import { metrics } from '@opentelemetry/api'
import { expect, test } from 'vitest'
import { EXPORTED_METRICS } from '../../src/observe/index.js'
import { stopping } from '../support/bodies.js'
import { otelApp } from '../support/otel-app.js'
import type { OtlpCollector } from '../support/otlp-collector.js'
import { errorOf, setup } from '../support/setup.js'

const throughOtel = (): QueueMetrics => new QueueMetrics(new OtelMetricsBackend())

/** Values of a counter or gauge by lane; of a histogram count and sum. */
const byLane = (collector: OtlpCollector, name: string): Record<string, unknown> =>
  Object.fromEntries(
    collector
      .pointsOf(name)
      .map(({ attributes, value, count, sum }) => [
        String(attributes['lane']),
        value ?? [count, Math.round((sum ?? 0) * 1e6) / 1e6],
      ]),
  )

test('the names of spans and attributes are those of the reference', () => {
  expect([SPAN_LANE_SUBMIT, SPAN_LANE_EXECUTE, SPAN_LANE_RETRY, SPAN_LANE_HEALTH_CHECK]).toEqual([
    'a3s.lane.submit',
    'a3s.lane.execute',
    'a3s.lane.retry',
    'a3s.lane.health_check',
  ])
  expect([ATTR_COMMAND_ID, ATTR_LANE_NAME, ATTR_COMMAND_TYPE, ATTR_RETRY_ATTEMPT, ATTR_SUCCESS]).toEqual([
    'a3s.lane.command_id',
    'a3s.lane.lane_name',
    'a3s.lane.command_type',
    'a3s.lane.retry_attempt',
    'a3s.lane.success',
  ])
})

test('what a queue counts and times arrives with its values and lanes, durations in seconds', async () => {
  await using app = await otelApp()
  const lanes = { query: {}, 'tool.calls': { retry: RetryPolicy.fixed(1, 100) }, slow: { timeoutMs: 50 } }
  await using t = await setup(lanes, { metrics: throughOtel(), deadLetters: true })
  const fine = [t.queue.submit('query', t.takes(40)), t.queue.submit('query', t.takes(2000))]
  const failing = t.queue.submit('tool.calls', () => Promise.reject(new Error('no')))
  const late = t.queue.submit('slow', stopping(t, 'late', 100))
  const [failed, timedOut] = [errorOf(failing), errorOf(late)]
  await t.clock.advance(2000)
  await Promise.all([...fine, failed, timedOut])
  const collector = await app.flush()
  expect(byLane(collector, 'a3s_lane_commands_submitted_total')).toEqual({ query: 2, 'tool.calls': 1, slow: 1 })
  expect(byLane(collector, 'a3s_lane_commands_started_total')).toEqual({ query: 2, 'tool.calls': 2, slow: 1 })
  expect(byLane(collector, 'a3s_lane_commands_completed_total')).toEqual({ query: 2 })
  expect(byLane(collector, 'a3s_lane_commands_failed_total')).toEqual({ 'tool.calls': 1 })
  expect(byLane(collector, 'a3s_lane_commands_retried_total')).toEqual({ 'tool.calls': 1 })
  expect(byLane(collector, 'a3s_lane_commands_timeout_total')).toEqual({ slow: 1 })
  expect(byLane(collector, 'a3s_lane_commands_dead_lettered_total')).toEqual({ 'tool.calls': 1, slow: 1 })
  expect(byLane(collector, 'a3s_lane_command_duration_seconds')).toEqual({ query: [2, 2.04] })
  expect(byLane(collector, 'a3s_lane_command_wait_seconds')).toMatchObject({ query: [2, 0] })
  const [duration] = collector.pointsOf('a3s_lane_command_duration_seconds')
  expect(duration).toMatchObject({
    ...{ meter: 'a3s-lane', unit: 's', description: 'Command execution duration in seconds' },
    attributes: { lane: 'query' },
  })
  const filled = duration?.bucketCounts?.flatMap((count, index) => (count > 0 ? [duration.bounds?.[index]] : []))
  expect(filled).toEqual([0.05, 2.5])
})

test('gauges are set and not added', async () => {
  await using app = await otelApp()
  const all = throughOtel()
  await using t = await setup({ work: {}, other: {} }, { metrics: all, maxConcurrency: 1 })
  const runs = Array.from({ length: 3 }, () => t.queue.submit('work', t.takes(100)))
  await t.clock.advance(60)
  all.refresh()
  const busy = await app.flush()
  expect(byLane(busy, 'a3s_lane_queue_depth')).toEqual({ work: 2, other: 0 })
  expect(byLane(busy, 'a3s_lane_queue_active')).toEqual({ work: 1, other: 0 })
  expect(byLane(busy, 'a3s_lane_queue_oldest_age_seconds')).toEqual({ work: 0.06, other: 0 })
  await t.clock.advance(300)
  await Promise.all(runs)
  const idle = await app.flush()
  expect(byLane(idle, 'a3s_lane_queue_depth')).toEqual({ work: 0, other: 0 })
  expect(idle.pointsOf('a3s_lane_queue_depth').map(({ kind }) => kind)).toEqual(['gauge', 'gauge'])
})

test('the messaging conventions get the same counts under their names', async () => {
  await using app = await otelApp()
  await using t = await setup({ work: {} }, { metrics: throughOtel() })
  const run = t.queue.submit('work', t.takes(250))
  await t.clock.advance(250)
  await run
  const collector = await app.flush()
  const about = (operation: string) => ({
    'messaging.system': 'a3s_lane',
    'messaging.operation.name': operation,
    'messaging.destination.name': 'work',
  })
  expect(collector.points.filter(({ name }) => name.startsWith('messaging.'))).toMatchObject([
    { name: 'messaging.client.sent.messages', unit: '{message}', value: 1, attributes: about('submit') },
    { name: 'messaging.client.consumed.messages', unit: '{message}', value: 1, attributes: about('execute') },
    { name: 'messaging.process.duration', unit: 's', count: 1, sum: 0.25, attributes: about('execute') },
  ])
})

test('time under a rate limit is counted in seconds', async () => {
  await using app = await otelApp()
  await using t = await setup({ work: { rateLimit: RateLimitConfig.perSecond(1) } }, { metrics: throughOtel() })
  const runs = [t.queue.submit('work', () => 1), t.queue.submit('work', () => 2)]
  await t.clock.advance(1000)
  await Promise.all(runs)
  expect(byLane(await app.flush(), 'a3s_lane_rate_limited_seconds_total')).toEqual({ work: 1 })
})

test('every metric has an instrument of its own, in the form that OpenTelemetry and Prometheus ask for', () => {
  const names = [...EXPORTED_METRICS.values()].map(({ name }) => name)
  expect(new Set(EXPORTED_METRICS.keys())).toEqual(new Set(Object.values(METRIC_NAMES)))
  expect(new Set(names).size).toBe(names.length)
  expect(names).toEqual(expect.arrayContaining(['commands_submitted_total', 'boost_inversions_total', 'queue_zombies']))
  for (const { name, kind, help } of EXPORTED_METRICS.values()) {
    expect([name, /^[a-z_]+$/.test(name), name.endsWith('_total')]).toEqual([name, true, kind === 'counter'])
    expect(help).not.toMatch(/millisecond/i)
  }
})

test('names of your own become instruments of your own', async () => {
  await using app = await otelApp()
  const backend = new OtelMetricsBackend()
  backend.incrementCounter('orders.paid', 2)
  backend.incrementCounter('orders.paid', 1)
  backend.setGauge('9 lives left', 7)
  backend.recordHistogram('lane.commands.submitted.work', 3)
  backend.incrementCounter('lane.commands.submittedly', 1)
  const { points } = await app.flush()
  expect(points.map(({ name, kind, value, count, attributes }) => [name, kind, value ?? count, attributes])).toEqual([
    ['orders.paid', 'sum', 3, {}],
    ['metric_9_lives_left', 'gauge', 7, {}],
    ['lane.commands.submitted.work', 'histogram', 1, {}],
    ['lane.commands.submittedly', 'sum', 1, {}],
  ])
})

test('it only writes: reads give nothing, the snapshot is empty, reset changes nothing', async () => {
  await using app = await otelApp()
  const backend = new OtelMetricsBackend()
  backend.incrementCounter('lane.commands.failed.work', 1)
  backend.reset()
  backend.incrementCounter('lane.commands.failed.work', 1)
  const name = 'lane.commands.failed.work'
  const reads: MetricsBackend = backend
  expect(reads.getCounter(name)).toBeUndefined()
  expect(reads.getGauge(name)).toBeUndefined()
  expect(reads.getHistogramStats(name)).toBeUndefined()
  expect(await new QueueMetrics(backend).snapshot()).toEqual({ counters: {}, gauges: {}, histograms: {} })
  expect(byLane(await app.flush(), 'a3s_lane_commands_failed_total')).toEqual({ work: 2 })
})

test('an SDK that is registered later gets what is counted from then on', async () => {
  const backend = new OtelMetricsBackend()
  backend.incrementCounter('lane.commands.failed.work', 1)
  await using app = await otelApp()
  backend.incrementCounter('lane.commands.failed.work', 1)
  expect(byLane(await app.flush(), 'a3s_lane_commands_failed_total')).toEqual({ work: 1 })
})

test('a meter, or a provider, can be given', async () => {
  await using app = await otelApp()
  metrics.disable()
  const { meterProvider } = app
  new OtelMetricsBackend({ meterProvider }).incrementCounter('lane.commands.failed.work', 1)
  new OtelMetricsBackend({ meter: meterProvider.getMeter('mine') }).incrementCounter('lane.commands.failed.work', 1)
  const { points } = await app.flush()
  expect(points.map(({ meter, value }) => [meter, value])).toEqual([
    ['a3s-lane', 1],
    ['mine', 1],
  ])
})

test('the recorders do nothing until they are initialised, and record from then on', async () => {
  await using app = await otelApp()
  recordSubmit('work')
  recordComplete('work', 0.25)
  recordFailure('work')
  expect(laneMetrics()).toBeUndefined()
  initLaneMetrics()
  const first = laneMetrics()
  initLaneMetrics()
  expect(laneMetrics()).toBe(first)
  recordSubmit('work')
  recordComplete('work', 0.25)
  recordFailure('work')
  const collector = await app.flush()
  expect(byLane(collector, 'a3s_lane_commands_submitted_total')).toEqual({ work: 1 })
  expect(byLane(collector, 'a3s_lane_commands_completed_total')).toEqual({ work: 1 })
  expect(byLane(collector, 'a3s_lane_commands_failed_total')).toEqual({ work: 1 })
  expect(byLane(collector, 'a3s_lane_command_duration_seconds')).toEqual({ work: [1, 0.25] })
})

test.each([
  [{ meter: {} }, 'OtelMetricsBackend meter'],
  [{ meterProvider: {} }, 'OtelMetricsBackend meterProvider'],
  [{ metre: {} }, "did you mean 'meter'?"],
])('OtelMetricsBackend refuses %o', (options, text) => {
  expect(() => new OtelMetricsBackend(options as object)).toThrow(text)
})
