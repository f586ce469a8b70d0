/** What watches a queue: metrics, alerts, a monitor, tracing and the log, as options and by themselves. */
import {
  type Alert,
  AlertManager,
  type AlertOptions,
  defaultLanes,
  type Health,
  Histogram,
  type HistogramStats,
  type LaneFact,
  LocalMetrics,
  type Logger,
  METRIC_NAMES,
  METRICS,
  type MetricName,
  type MetricsBackend,
  type MetricsSnapshot,
  type MonitorConfig,
  type Observation,
  QueueManager,
  QueueManagerBuilder,
  QueueMetrics,
  QueueMonitor,
  type QueueOptions,
  type QueueStats,
  type Tracing,
} from '@a3s-lab/lane'
import pino from 'pino'
import { expectTypeOf, test } from 'vitest'

const options = (more: Omit<QueueOptions, 'lanes'>): QueueManager =>
  new QueueManager({ lanes: defaultLanes() as QueueOptions['lanes'], ...more })

test('every option that watches may be undefined', () => {
  options({ metrics: undefined, alerts: undefined, tracing: undefined, logger: undefined, logPayloads: undefined })
  options({ metrics: QueueMetrics.local(), alerts: new AlertManager(), logger: console, logPayloads: true })
  expectTypeOf<QueueOptions>().toHaveProperty('metrics')
})

test('options that are wrong are refused', () => {
  // @ts-expect-error a back end is wrapped in QueueMetrics first
  options({ metrics: new LocalMetrics() })
  // @ts-expect-error metrics are no alerts
  options({ alerts: QueueMetrics.local() })
  // @ts-expect-error a logger has four methods
  options({ logger: { debug: () => undefined } })
  // @ts-expect-error a tracing has three methods
  options({ tracing: { submitted: () => undefined } })
  expectTypeOf<QueueOptions['logPayloads']>().toEqualTypeOf<boolean | undefined>()
})

test('a pino instance and the console are loggers', () => {
  expectTypeOf(pino()).toExtend<Logger>()
  expectTypeOf(console).toExtend<Logger>()
})

test('the builder takes metrics and alerts, and gives the queue that has them', async () => {
  const queue = await new QueueManagerBuilder()
    .withDefaultLanes()
    .withMetrics(QueueMetrics.local())
    .withAlerts(AlertManager.withQueueDepthAlerts(100, 200))
    .build()
  expectTypeOf(queue.metrics).toEqualTypeOf<QueueMetrics | undefined>()
  expectTypeOf(queue.alerts).toEqualTypeOf<AlertManager | undefined>()
})

test('a snapshot is plain data', async () => {
  expectTypeOf(await QueueMetrics.local().snapshot()).toEqualTypeOf<MetricsSnapshot>()
  expectTypeOf<MetricsSnapshot['histograms'][string]>().toEqualTypeOf<HistogramStats>()
  expectTypeOf<HistogramStats['percentiles']>().toEqualTypeOf<{
    readonly p50: number
    readonly p90: number
    readonly p95: number
    readonly p99: number
  }>()
  expectTypeOf(new Histogram().countsUpTo([1])).toEqualTypeOf<number[]>()
})

test('a back end may be synchronous or asynchronous', () => {
  expectTypeOf<LocalMetrics>().toExtend<MetricsBackend>()
  const empty = { counters: {}, gauges: {}, histograms: {} }
  const later: MetricsBackend = {
    incrementCounter: async () => undefined,
    setGauge: async () => undefined,
    recordHistogram: async () => undefined,
    getCounter: async () => undefined,
    getGauge: async () => 1,
    getHistogramStats: () => undefined,
    reset: async () => undefined,
    snapshot: async () => empty,
  }
  expectTypeOf(new QueueMetrics(later).backend()).toEqualTypeOf<MetricsBackend>()
  // @ts-expect-error every method is needed
  const lacking: MetricsBackend = { incrementCounter: () => undefined }
  expectTypeOf(lacking).toExtend<MetricsBackend>()
})

test('metric names are literals', () => {
  expectTypeOf(METRIC_NAMES.COMMAND_LATENCY).toEqualTypeOf<'lane.command.latency_ms'>()
  expectTypeOf(METRICS[METRIC_NAMES.QUEUE_DEPTH].kind).toEqualTypeOf<'counter' | 'gauge' | 'histogram'>()
  // @ts-expect-error no such metric
  const name: MetricName = 'lane.commands.lost'
  expectTypeOf(name).toExtend<string>()
})

test('an alert is plain data, and its options are checked', () => {
  const alerts = new AlertManager({
    queueDepth: { warning: 1, critical: 2 },
    failureRatio: { warning: 0.1, critical: 0.5, minimum: 10, windowMs: 60_000 },
    lanes: { quiet: false, loud: { breaker: undefined } },
  })
  alerts.addCallback((alert) => {
    expectTypeOf(alert).toEqualTypeOf<Alert>()
    expectTypeOf(alert.level).toEqualTypeOf<'info' | 'warning' | 'critical'>()
  })
  expectTypeOf(alerts.checkLatency('work', 5)).toEqualTypeOf<Alert | undefined>()
  // @ts-expect-error a threshold is missing
  const half: AlertOptions = { queueDepth: { warning: 1 } }
  // @ts-expect-error no window for what is not counted
  const windowed: AlertOptions = { queueDepth: { warning: 1, critical: 2, windowMs: 5 } }
  expectTypeOf([half, windowed]).toEqualTypeOf<AlertOptions[]>()
})

test('a monitor takes a queue of any lanes', () => {
  const monitor = new QueueMonitor(new QueueManager({ lanes: defaultLanes() }), { intervalMs: undefined })
  expectTypeOf(monitor.stats()).toEqualTypeOf<QueueStats>()
  expectTypeOf(monitor.health()).toEqualTypeOf<Health>()
  expectTypeOf(monitor.health().status).toEqualTypeOf<'healthy' | 'degraded' | 'unhealthy'>()
  // @ts-expect-error no such option
  const config: MonitorConfig = { interval: 5 }
  expectTypeOf(config).toEqualTypeOf<MonitorConfig>()
})

test('whatever watches a queue can be written by its user', () => {
  const observation: Observation = {
    observe: (queue) => ({
      observerOf: (lane) => (fact, value) => {
        expectTypeOf(fact).toEqualTypeOf<LaneFact>()
        expectTypeOf(value).toEqualTypeOf<number>()
        expectTypeOf(lane.pending).toEqualTypeOf<number>()
      },
      ended: () => expectTypeOf(queue.isStarted).toEqualTypeOf<boolean>(),
    }),
  }
  new QueueManager({ lanes: defaultLanes() }).observe(observation)
  expectTypeOf<QueueMetrics>().toExtend<Observation>()
  expectTypeOf<AlertManager>().toExtend<Observation>()
  expectTypeOf<Tracing['checked']>().toExtend<((status: string, reasons: readonly string[]) => void) | undefined>()
})
