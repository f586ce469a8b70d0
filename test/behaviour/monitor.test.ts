/** The monitor: what each check writes to the log, the verdict that a probe asks for, and its timer. */
import {
  AlertManager,
  isLaneError,
  LocalMetrics,
  type Logger,
  type MetricsBackend,
  type MonitorConfig,
  QueueManager,
  QueueMetrics,
  QueueMonitor,
  type Tracing,
} from '@a3s-lab/lane'
import { VirtualClock } from '@a3s-lab/lane/testing'
import { describe, expect, test } from 'vitest'
import { errorOf, type Setup, type SetupLanes, type SetupOptions, setup, thrownBy } from '../support/setup.js'

type Entry = readonly [level: string, message: string, fields: object]

function keeping(): Logger & { entries: Entry[]; warnings: () => string[] } {
  const entries: Entry[] = []
  const at =
    (level: string) =>
    (fields: object, message: string): void =>
      void entries.push([level, message, fields])
  const warnings = (): string[] => entries.filter(([level]) => level === 'warn').map(([, message]) => message)
  return { entries, warnings, debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
}

/** A back end that is written to: gauges of the one in memory are never written. */
const copyOf = (local: LocalMetrics): MetricsBackend => ({
  incrementCounter: (name, by) => local.incrementCounter(name, by),
  setGauge: (name, value) => local.setGauge(name, value),
  recordHistogram: (name, value) => local.recordHistogram(name, value),
  getCounter: (name) => local.getCounter(name),
  getGauge: (name) => local.getGauge(name),
  getHistogramStats: (name) => local.getHistogramStats(name),
  reset: () => local.reset(),
  snapshot: () => local.snapshot(),
})

/** A queue that is watched by a monitor with a log of its own. */
async function monitored<L extends string = 'work'>(
  lanes?: SetupLanes<L>,
  { config = {}, ...options }: SetupOptions & { readonly config?: MonitorConfig } = {},
): Promise<{ t: Setup<L>; monitor: QueueMonitor; log: ReturnType<typeof keeping> } & AsyncDisposable> {
  const t = await setup(lanes, options)
  const log = keeping()
  const monitor = new QueueMonitor(t.queue, { logger: log, ...config })
  return { t, monitor, log, [Symbol.asyncDispose]: () => t[Symbol.asyncDispose]() }
}

const submitMany = (t: Setup<'work'>, count: number): void => {
  for (let n = 0; n < count; n++) t.queue.submit('work', t.takes(1000)).accepted.catch(() => undefined)
}

describe('the config', () => {
  test('has its defaults', async () => {
    await using t = await setup()
    const defaults = { intervalMs: 10_000, pendingWarningThreshold: 100, activeWarningThreshold: 50 }
    expect(new QueueMonitor(t.queue).config()).toEqual(defaults)
    expect(new QueueMonitor(t.queue, { intervalMs: undefined }).config()).toEqual(defaults)
  })

  test('is kept as it was given', async () => {
    await using t = await setup()
    const config = { intervalMs: 30, pendingWarningThreshold: 0, activeWarningThreshold: 7 }
    expect(new QueueMonitor(t.queue, config).config()).toEqual(config)
  })

  test.each<[unknown, string]>([
    [{ intervalMs: 0 }, 'intervalMs'],
    [{ intervalMs: -1 }, 'intervalMs'],
    [{ intervalMs: Number.NaN }, 'intervalMs'],
    [{ pendingWarningThreshold: -1 }, 'pendingWarningThreshold'],
    [{ activeWarningThreshold: 1.5 }, 'activeWarningThreshold'],
    [{ interval: 5 }, 'QueueMonitor'],
    [5, 'QueueMonitor config'],
    [{ logger: 5 }, 'logger'],
    [{ logger: {} }, 'logger'],
  ])('%j is refused', async (config, where) => {
    await using t = await setup()
    const error = thrownBy(() => new QueueMonitor(t.queue, config as MonitorConfig))
    expect(isLaneError(error)).toBe(true)
    expect(error['code']).toBe('CONFIG_INVALID')
    expect(error.message).toContain(where)
  })

  test.each([undefined, null, {}, 5])('%j is no queue', (queue) => {
    expect(thrownBy(() => new QueueMonitor(queue as never))).toMatchObject({ code: 'CONFIG_INVALID' })
  })
})

test('stats are those of the queue: zeros, then what waits', async () => {
  await using m = await monitored({ work: {} }, { start: false })
  expect(m.monitor.stats()).toMatchObject({ totalPending: 0, totalActive: 0, totalDelayed: 0, deadLetterCount: 0 })
  submitMany(m.t, 3)
  expect(m.monitor.stats()).toEqual(m.t.queue.stats())
  expect(m.monitor.stats()).toMatchObject({ totalPending: 3, lanes: { work: { pending: 3 } } })
})

describe('a check', () => {
  test('writes a line per lane for debugging', async () => {
    await using m = await monitored({ work: { maxConcurrency: 2 }, other: {} })
    submitMany(m.t as never, 1)
    await m.t.clock.settle()
    m.monitor.start()
    expect(m.log.entries).toEqual([
      ['debug', 'Lane work: pending=0, active=1, max=2', { lane_id: 'work', pending: 0, active: 1, max: 2 }],
      ['debug', 'Lane other: pending=0, active=0, max=4', { lane_id: 'other', pending: 0, active: 0, max: 4 }],
    ])
  })

  test('warns of a lane at its maximum', async () => {
    await using m = await monitored({ work: { maxConcurrency: 2 } })
    submitMany(m.t, 2)
    await m.t.clock.settle()
    m.monitor.start()
    expect(m.log.warnings()).toEqual(['Lane work is at maximum capacity'])
  })

  test.each<[number, readonly string[]]>([
    [4, []],
    [5, []],
    [6, ['High number of pending commands: 6 (threshold: 5)']],
  ])('with %i pending and a threshold of 5 warns so: %j', async (pending, warnings) => {
    await using m = await monitored({ work: {} }, { start: false, config: { pendingWarningThreshold: 5 } })
    submitMany(m.t, pending)
    m.monitor.start()
    expect(m.log.warnings()).toEqual(warnings)
  })

  test.each<[number, readonly string[]]>([
    [1, []],
    [2, []],
    [3, ['High number of active commands: 3 (threshold: 2)']],
  ])('with %i active and a threshold of 2 warns so: %j', async (active, warnings) => {
    await using m = await monitored({ work: { maxConcurrency: 9 } }, { config: { activeWarningThreshold: 2 } })
    submitMany(m.t, active)
    await m.t.clock.settle()
    m.monitor.start()
    expect(m.log.warnings()).toEqual(warnings)
  })

  test('goes to the logger of the queue when the monitor has none', async () => {
    const logger = keeping()
    await using t = await setup(undefined, { logger })
    new QueueMonitor(t.queue).start()
    expect(logger.entries.map(([, message]) => message)).toEqual(['Lane work: pending=0, active=0, max=4'])
  })

  test('is silent where there is no logger, and does its other work', async () => {
    const metrics = new QueueMetrics(copyOf(new LocalMetrics()))
    const checked: unknown[] = []
    const tracing: Tracing = {
      submitted: () => undefined,
      refused: () => undefined,
      started: () => undefined,
      checked: (status, reasons) => checked.push([status, ...reasons]),
    }
    await using t = await setup({ work: {} }, { metrics, tracing, start: false })
    void t.queue.submit('work', () => 1)
    await t.clock.advance(30)
    expect(metrics.backend().getGauge('lane.queue.oldest_age_ms.work')).toBeUndefined()
    new QueueMonitor(t.queue).start()
    expect(metrics.backend().getGauge('lane.queue.oldest_age_ms.work')).toBe(30)
    expect(checked).toEqual([['degraded', 'not_started']])
  })
})

describe('its timer', () => {
  const checks = (log: ReturnType<typeof keeping>): number => log.entries.length

  test('checks at once, and then at each interval', async () => {
    await using m = await monitored(undefined, { config: { intervalMs: 30 } })
    m.monitor.start()
    expect([m.monitor.isRunning, checks(m.log)]).toEqual([true, 1])
    await m.t.clock.advance(29)
    expect(checks(m.log)).toBe(1)
    await m.t.clock.advance(61)
    expect(checks(m.log)).toBe(4)
  })

  test('is in the background: nobody waits for it', async () => {
    await using m = await monitored()
    m.monitor.start()
    expect(m.t.clock.timers).toBe(0)
    await m.t.clock.advanceToEnd()
    expect(m.t.clock.now()).toBe(0)
  })

  test('stops, and starts again', async () => {
    await using m = await monitored(undefined, { config: { intervalMs: 30 } })
    m.monitor.start()
    m.monitor.stop()
    m.monitor.stop()
    await m.t.clock.advance(1000)
    expect([m.monitor.isRunning, checks(m.log)]).toEqual([false, 1])
    m.monitor.start()
    await m.t.clock.advance(30)
    expect(checks(m.log)).toBe(3)
  })

  test('is set once, however often it is started', async () => {
    await using m = await monitored(undefined, { config: { intervalMs: 30 } })
    for (let n = 0; n < 5; n++) m.monitor.start()
    await m.t.clock.advance(30)
    expect(checks(m.log)).toBe(2)
  })

  test('ends with its queue, and does not start after that', async () => {
    await using m = await monitored(undefined, { config: { intervalMs: 30 } })
    m.monitor.start()
    await m.t.queue.close()
    expect(m.monitor.isRunning).toBe(false)
    m.monitor.start()
    await m.t.clock.advance(1000)
    expect([m.monitor.isRunning, checks(m.log)]).toEqual([false, 1])
  })

  test('does not start for a queue that had ended before', async () => {
    await using t = await setup()
    await t.queue.close()
    const log = keeping()
    const monitor = new QueueMonitor(t.queue, { intervalMs: 30, logger: log })
    monitor.start()
    await t.clock.advance(1000)
    monitor.stop()
    expect(checks(log)).toBeLessThanOrEqual(1)
  })

  test('stops when the logger says so in the middle of a check', async () => {
    await using m = await monitored(undefined, { config: { intervalMs: 30 } })
    const debug = m.log.debug.bind(m.log)
    m.log.debug = (fields, message) => {
      debug(fields, message)
      m.monitor.stop()
    }
    m.monitor.start()
    await m.t.clock.advance(1000)
    expect([m.monitor.isRunning, checks(m.log)]).toEqual([false, 1])
  })

  test('goes on although the logger throws, which is a fault', async () => {
    const breaks = (): never => {
      throw new Error('the logger broke')
    }
    const logger: Logger = { debug: breaks, info: breaks, warn: breaks, error: breaks }
    await using m = await monitored(undefined, { config: { intervalMs: 30, logger } })
    m.monitor.start()
    await m.t.clock.advance(60)
    expect(m.t.faults).toEqual(new Array(3).fill(new Error('the logger broke')))
    expect(m.monitor.health()).toMatchObject({ status: 'degraded', reasons: [{ code: 'fault' }] })
    m.monitor.stop()
  })
})

describe('the verdict', () => {
  const verdict = (monitor: QueueMonitor): readonly unknown[] => {
    const { status, reasons } = monitor.health()
    return [status, ...reasons.map(({ code }) => code)]
  }

  test('is healthy when there is nothing to say, and says when it was made', async () => {
    await using m = await monitored()
    await m.t.clock.advance(1500)
    expect(m.monitor.health()).toEqual({ status: 'healthy', reasons: [], checkedAt: '2026-01-01T00:00:01.500Z' })
  })

  test('is degraded before the start, and unhealthy from the shutdown on', async () => {
    await using m = await monitored({ work: {} }, { start: false })
    expect(verdict(m.monitor)).toEqual(['degraded', 'not_started'])
    await m.t.queue.start()
    expect(verdict(m.monitor)).toEqual(['healthy'])
    await m.t.queue.shutdown()
    expect(verdict(m.monitor)).toEqual(['unhealthy', 'shutting_down'])
    await m.t.clock.settle()
    expect(verdict(m.monitor)).toEqual(['unhealthy', 'shutting_down'])
  })

  test('is degraded by too much that waits or runs', async () => {
    const config = { pendingWarningThreshold: 1, activeWarningThreshold: 1 }
    await using m = await monitored({ work: { maxConcurrency: 2 } }, { config })
    submitMany(m.t, 3)
    await m.t.clock.settle()
    expect(verdict(m.monitor)).toEqual(['degraded', 'active'])
    submitMany(m.t, 1)
    expect(verdict(m.monitor)).toEqual(['degraded', 'pending', 'active'])
    expect(m.monitor.health().reasons[0]?.message).toBe('High number of pending commands: 2 (threshold: 1)')
  })

  test('is unhealthy when handlers that do not stop hold all slots of a lane with work', async () => {
    await using m = await monitored({ work: { maxConcurrency: 1, timeoutMs: 10, zombieGraceMs: 100 } })
    void m.t.queue.submit('work', () => new Promise(() => {}))
    await m.t.clock.advance(10)
    expect(verdict(m.monitor)).toEqual(['healthy'])
    void m.t.queue.submit('work', () => 1)
    expect(m.monitor.health()).toMatchObject({ status: 'unhealthy', reasons: [{ code: 'stuck', laneId: 'work' }] })
    await m.t.clock.advance(100)
    expect(verdict(m.monitor)).toEqual(['degraded', 'fault'])
  })

  test('has the alerts that are up in it: the worst decides', async () => {
    const alerts = AlertManager.withQueueDepthAlerts(2, 3)
    await using m = await monitored({ work: {} }, { alerts })
    m.t.queue.lane('work').pause()
    submitMany(m.t, 2)
    expect(verdict(m.monitor)).toEqual(['degraded', 'alert'])
    submitMany(m.t, 1)
    expect(m.monitor.health()).toMatchObject({
      status: 'unhealthy',
      reasons: [{ code: 'alert', laneId: 'work', message: 'Queue depth critical: 3 (threshold: 3)' }],
    })
    m.t.queue.lane('work').clear()
    expect(verdict(m.monitor)).toEqual(['healthy'])
  })

  test('leaves the alerts of another queue alone', async () => {
    const alerts = AlertManager.withQueueDepthAlerts(1, 2)
    await using m = await monitored({ work: {} }, { alerts })
    await using other = await setup({ work: {} }, { alerts, start: false })
    submitMany(other, 2)
    expect(alerts.active()).toHaveLength(1)
    expect(verdict(m.monitor)).toEqual(['healthy'])
  })

  test('is degraded by a fault until two checks have passed', async () => {
    await using m = await monitored(undefined, { config: { intervalMs: 30 } })
    m.monitor.start()
    m.t.queue.observe({
      observe: () => ({
        refused: () => {
          throw new Error('an observer broke')
        },
      }),
    })
    await errorOf(m.t.queue.submit('nowhere' as 'work', () => 1))
    const { status, reasons } = m.monitor.health()
    expect([status, reasons[0]?.code]).toEqual(['degraded', 'fault'])
    expect(reasons[0]?.message).toContain('an observer broke')
    await m.t.clock.advance(30)
    expect(verdict(m.monitor)).toEqual(['degraded', 'fault'])
    await m.t.clock.advance(30)
    expect(verdict(m.monitor)).toEqual(['healthy'])
    m.monitor.stop()
  })

  test('is JSON', async () => {
    await using m = await monitored({ work: {} }, { start: false })
    const health = m.monitor.health()
    expect(JSON.parse(JSON.stringify(health))).toEqual(health)
  })
})

test('several monitors of a queue check for themselves', async () => {
  const clock = new VirtualClock()
  await using queue = new QueueManager({ lanes: { work: { priority: 0 } }, clock })
  const logs = [keeping(), keeping()]
  const monitors = logs.map((logger, n) => new QueueMonitor(queue, { logger, intervalMs: 10 * (n + 1) }))
  for (const monitor of monitors) monitor.start()
  await clock.advance(40)
  expect(logs.map(({ entries }) => entries.length)).toEqual([5, 3])
})
