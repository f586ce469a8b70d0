/** Alerts that are checked by hand, and their options. */
import {
  ALERT_LEVELS,
  type Alert,
  AlertManager,
  type AlertOptions,
  isLaneError,
  LatencyAlertConfig,
  QueueDepthAlertConfig,
} from '@a3s-lab/lane'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { levelOf, nextLevel } from '../../../src/observe/alert.js'
import { thrownBy } from '../../support/setup.js'

const hearing = (alerts: AlertManager): Alert[] => {
  const heard: Alert[] = []
  alerts.addCallback((alert) => heard.push(alert))
  return heard
}

describe('queue depth with thresholds 100 and 200', () => {
  test.each<[number, string | undefined, string | undefined]>([
    [0, undefined, undefined],
    [50, undefined, undefined],
    [99, undefined, undefined],
    [100, 'warning', 'Queue depth warning: 100 (threshold: 100)'],
    [150, 'warning', 'Queue depth warning: 150 (threshold: 100)'],
    [199, 'warning', 'Queue depth warning: 199 (threshold: 100)'],
    [200, 'critical', 'Queue depth critical: 200 (threshold: 200)'],
    [250, 'critical', 'Queue depth critical: 250 (threshold: 200)'],
  ])('%i is %s', (depth, level, message) => {
    const alert = AlertManager.withQueueDepthAlerts(100, 200).checkQueueDepth('query', depth)
    expect([alert?.level, alert?.message]).toEqual([level, message])
  })
})

describe('latency with thresholds 100 and 500', () => {
  test.each<[number, string | undefined, string | undefined]>([
    [50, undefined, undefined],
    [99.99, undefined, undefined],
    [100, 'warning', 'Latency warning: 100.00ms (threshold: 100.00ms)'],
    [250, 'warning', 'Latency warning: 250.00ms (threshold: 100.00ms)'],
    [250.678, 'warning', 'Latency warning: 250.68ms (threshold: 100.00ms)'],
    [600, 'critical', 'Latency critical: 600.00ms (threshold: 500.00ms)'],
  ])('%d ms is %s', (latencyMs, level, message) => {
    const alert = AlertManager.withLatencyAlerts(100, 500).checkLatency('query', latencyMs)
    expect([alert?.level, alert?.message]).toEqual([level, message])
  })
})

describe('alerts', () => {
  test('have all that there is to know in them', () => {
    expect(AlertManager.withQueueDepthAlerts(100, 200).checkQueueDepth('query', 150)).toEqual({
      ...{ level: 'warning', kind: 'queue_depth', laneId: 'query', currentValue: 150, threshold: 100 },
      message: 'Queue depth warning: 150 (threshold: 100)',
    })
    expect(AlertManager.withLatencyAlerts(100, 500).checkLatency('query', 600)).toMatchObject({
      ...{ level: 'critical', kind: 'latency', laneId: 'query', currentValue: 600, threshold: 500 },
    })
  })

  test('are disabled by default, and each kind for itself', () => {
    const none = new AlertManager()
    const heard = hearing(none)
    expect([none.checkQueueDepth('query', 1000), none.checkLatency('query', 10_000)]).toEqual([undefined, undefined])
    expect(AlertManager.withQueueDepthAlerts(1, 2).checkLatency('query', 10_000)).toBeUndefined()
    expect(AlertManager.withLatencyAlerts(1, 2).checkQueueDepth('query', 1000)).toBeUndefined()
    expect([heard, none.active()]).toEqual([[], []])
  })

  test('of both kinds can be had together', () => {
    const both = AlertManager.withQueueDepthAlerts(1, 2).withLatencyAlerts(10, 20)
    expect(both.checkQueueDepth('query', 1)?.kind).toBe('queue_depth')
    expect(both.checkLatency('query', 10)?.kind).toBe('latency')
    expect(both.active()).toHaveLength(2)
  })

  test('have levels that rise', () => {
    expect(ALERT_LEVELS).toEqual(['info', 'warning', 'critical'])
  })

  test('configs are read back as they were set', () => {
    const alerts = new AlertManager()
    expect(alerts.queueDepthConfig()).toMatchObject({ enabled: false })
    expect(alerts.latencyConfig()).toMatchObject({ enabled: false })
    const [depth, latency] = [new QueueDepthAlertConfig(5, 10), new LatencyAlertConfig(50, 100)]
    alerts.setQueueDepthConfig(depth)
    alerts.setLatencyConfig(latency)
    expect([alerts.queueDepthConfig(), alerts.latencyConfig()]).toEqual([depth, latency])
    expect(depth).toMatchObject({ warningThreshold: 5, criticalThreshold: 10, enabled: true })
    expect(latency).toMatchObject({ warningThresholdMs: 50, criticalThresholdMs: 100, enabled: true })
    expect(alerts.checkQueueDepth('query', 7)?.level).toBe('warning')
    alerts.setQueueDepthConfig(QueueDepthAlertConfig.disabled())
    expect(alerts.checkQueueDepth('query', 7)).toBeUndefined()
    const made = new AlertManager({ queueDepth: { warning: 5, critical: 10 }, latency: { warning: 50, critical: 100 } })
    expect([made.queueDepthConfig(), made.latencyConfig()]).toEqual([depth, latency])
  })

  test('are JSON, and so are their configs', () => {
    const alert = AlertManager.withQueueDepthAlerts(1, 2).checkQueueDepth('query', 1)
    expect(JSON.parse(JSON.stringify(alert))).toEqual(alert)
    const config = new LatencyAlertConfig(50, 100)
    expect(JSON.parse(JSON.stringify(config))).toMatchObject({
      warningThresholdMs: 50,
      criticalThresholdMs: 100,
      enabled: true,
    })
  })
})

describe('callbacks', () => {
  test('are told at each change of level, and not at each check', () => {
    const alerts = AlertManager.withQueueDepthAlerts(100, 200)
    const heard = hearing(alerts)
    for (const depth of [50, 150, 160, 250, 300, 205, 150, 120, 50, 40]) alerts.checkQueueDepth('query', depth)
    expect(heard.map(({ level, currentValue }) => [level, currentValue])).toEqual([
      ['warning', 150],
      ['critical', 250],
      ['warning', 150],
      ['info', 50],
    ])
    expect(heard.at(-1)?.message).toBe('Queue depth resolved: 50 (threshold: 100)')
  })

  test('are spared a value that swings about its threshold', () => {
    const alerts = AlertManager.withQueueDepthAlerts(100, 200)
    const heard = hearing(alerts)
    for (let n = 0; n < 100; n++) alerts.checkQueueDepth('query', n % 2 === 0 ? 100 : 95)
    for (let n = 0; n < 100; n++) alerts.checkQueueDepth('query', n % 2 === 0 ? 200 : 185)
    expect(heard.map(({ level }) => level)).toEqual(['warning', 'critical'])
  })

  test('are told of each lane and kind for itself', () => {
    const alerts = AlertManager.withQueueDepthAlerts(1, 10).withLatencyAlerts(1, 10)
    const heard = hearing(alerts)
    for (const lane of ['one', 'two', 'one']) {
      alerts.checkQueueDepth(lane, 5)
      alerts.checkLatency(lane, 5)
    }
    expect(heard.map(({ laneId, kind }) => `${laneId} ${kind}`)).toEqual([
      ...['one queue_depth', 'one latency', 'two queue_depth', 'two latency'],
    ])
  })

  test('are called at once, in the order in which they were added, until they are taken away', () => {
    const alerts = AlertManager.withQueueDepthAlerts(1, 10)
    const heard: string[] = []
    const remove = alerts.addCallback(() => heard.push('first'))
    alerts.addCallback(() => heard.push('second'))
    alerts.checkQueueDepth('query', 1)
    expect(heard).toEqual(['first', 'second'])
    remove()
    remove()
    alerts.checkQueueDepth('query', 10)
    expect(heard).toEqual(['first', 'second', 'second'])
  })

  test('that throw keep nobody from hearing', () => {
    const alerts = AlertManager.withQueueDepthAlerts(1, 10)
    alerts.addCallback(() => {
      throw new Error('the callback broke')
    })
    const heard = hearing(alerts)
    expect(alerts.checkQueueDepth('query', 1)?.level).toBe('warning')
    expect(heard).toHaveLength(1)
  })

  test('that check by themselves are told of one alert after the other', () => {
    const alerts = AlertManager.withQueueDepthAlerts(1, 10)
    const heard: string[] = []
    alerts.addCallback(({ level }) => {
      heard.push(`first ${level}`)
      if (level === 'warning') alerts.checkQueueDepth('query', 10)
    })
    alerts.addCallback(({ level }) => heard.push(`second ${level}`))
    alerts.checkQueueDepth('query', 1)
    expect(heard).toEqual(['first warning', 'second warning', 'first critical', 'second critical'])
  })
})

describe('a level', () => {
  const thresholds = fc
    .tuple(fc.integer({ min: 1, max: 100 }), fc.integer({ min: 0, max: 100 }))
    .map(([warning, more]) => ({ warning, critical: warning + more }))

  test('rises at once, falls only with a margin, and forgets all once the value is low', () => {
    fc.assert(
      fc.property(thresholds, fc.array(fc.integer({ min: 0, max: 250 })), (limits, values) => {
        let level = nextLevel('info', 0, limits)
        for (const value of values) {
          const next = nextLevel(level, value, limits)
          expect(ALERT_LEVELS.indexOf(next)).toBeGreaterThanOrEqual(ALERT_LEVELS.indexOf(levelOf(value, limits)))
          expect(next === 'critical' || value < limits.critical).toBe(true)
          expect(next === 'info' || value >= limits.warning * 0.9).toBe(true)
          expect(nextLevel(next, value, limits)).toBe(next)
          level = next
        }
      }),
    )
  })
})

describe('what is wrong is named:', () => {
  test.each<[AlertOptions | unknown, string]>([
    [5, 'AlertManager options'],
    [{ depth: { warning: 1, critical: 2 } }, 'AlertManager'],
    [{ queueDepth: 5 }, 'AlertManager queueDepth'],
    [{ queueDepth: { warning: 0, critical: 2 } }, 'AlertManager queueDepth.warning'],
    [{ queueDepth: { warning: 3, critical: 2 } }, 'AlertManager queueDepth.warning'],
    [{ queueDepth: { warning: 1 } }, 'AlertManager queueDepth.critical'],
    [{ latency: { warning: 1, critical: Number.POSITIVE_INFINITY } }, 'AlertManager latency.critical'],
    [{ latency: { warning: Number.NaN, critical: 1 } }, 'AlertManager latency.warning'],
    [{ latency: { warning: 1, critical: 2, windowMs: 5 } }, 'AlertManager latency'],
    [{ deadLetterRate: { warning: 1, critical: 2, windowMs: 0 } }, 'AlertManager deadLetterRate.windowMs'],
    [{ failureRatio: { warning: 0.5, critical: 1.5 } }, 'AlertManager failureRatio.critical'],
    [{ failureRatio: { warning: 0.5, critical: 1, minimum: 0 } }, 'AlertManager failureRatio.minimum'],
    [{ breaker: 1 }, 'AlertManager breaker'],
    [{ starvation: null }, 'AlertManager starvation'],
    [{ lanes: 5 }, 'AlertManager lanes'],
    [{ lanes: { one: true } }, "AlertManager lanes['one']"],
    [{ lanes: { one: { latency: { warning: 2, critical: 1 } } } }, "AlertManager lanes['one'] latency.warning"],
  ])('%j', (options, where) => {
    const error = thrownBy(() => new AlertManager(options as AlertOptions))
    expect(isLaneError(error)).toBe(true)
    expect(error['code']).toBe('CONFIG_INVALID')
    expect(error.message).toContain(where)
  })

  test('thresholds of a config, a config of the wrong kind, a callback that is none', () => {
    const alerts = new AlertManager()
    const wrong = [
      () => new QueueDepthAlertConfig(0, 1),
      () => new LatencyAlertConfig(2, 1),
      () => AlertManager.withQueueDepthAlerts(2, 1),
      () => AlertManager.withLatencyAlerts(-1, 1),
      () => alerts.setQueueDepthConfig(new LatencyAlertConfig(1, 2) as never),
      () => alerts.setLatencyConfig({ warningThresholdMs: 1 } as never),
      () => alerts.addCallback(5 as never),
    ]
    expect(wrong.map((call) => thrownBy(call)['code'])).toEqual(wrong.map(() => 'CONFIG_INVALID'))
  })
})
