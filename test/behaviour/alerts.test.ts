/** Alerts that a queue raises by itself: at each change, told at each change of level. */
import {
  type Alert,
  AlertManager,
  type AlertOptions,
  LatencyAlertConfig,
  PriorityBoostConfig,
  QueueDepthAlertConfig,
  QueueManager,
  QueueManagerBuilder,
  RateLimitConfig,
  RetryPolicy,
} from '@a3s-lab/lane'
import { VirtualClock } from '@a3s-lab/lane/testing'
import { describe, expect, test } from 'vitest'
import { stopping } from '../support/bodies.js'
import { errorOf, type Setup, type SetupLanes, type SetupOptions, setup, thrownBy } from '../support/setup.js'

type Heard = readonly [level: string, value: number, atMs: number]

/** A queue with alerts, and what was heard of them: level, value, instant. */
async function alarmed<L extends string = 'work'>(
  options: AlertOptions,
  lanes?: SetupLanes<L>,
  more: SetupOptions = {},
): Promise<{ t: Setup<L>; alerts: AlertManager; heard: Heard[]; told: Alert[] } & AsyncDisposable> {
  const alerts = new AlertManager(options)
  const t = await setup(lanes, { ...more, alerts })
  const heard: Heard[] = []
  const told: Alert[] = []
  alerts.addCallback((alert) => {
    told.push(alert)
    heard.push([alert.level, alert.currentValue, t.clock.now()])
  })
  return { t, alerts, heard, told, [Symbol.asyncDispose]: () => t[Symbol.asyncDispose]() }
}

const queueDepth = { warning: 3, critical: 5 }

describe('the depth of a lane', () => {
  test('is judged at each change, told at each change of level, and told when it is over', async () => {
    await using a = await alarmed({ queueDepth }, { work: { maxConcurrency: 1 } }, { start: false })
    for (let n = 0; n < 7; n++) void a.t.queue.submit('work', a.t.takes(10))
    expect(a.heard).toEqual([
      ['warning', 3, 0],
      ['critical', 5, 0],
    ])
    await a.t.queue.start()
    await a.t.clock.advance(100)
    expect(a.heard.slice(2)).toEqual([
      ['warning', 4, 20],
      ['info', 2, 40],
    ])
    expect(a.alerts.active()).toEqual([])
  })

  test('is heard by subscribers, too', async () => {
    await using a = await alarmed({ queueDepth }, { work: {} }, { start: false })
    for (let n = 0; n < 3; n++) void a.t.queue.submit('work', () => n)
    expect(a.t.recorder.of('queue.alert').map(({ payload }) => payload)).toEqual([
      {
        ...{ lane_id: 'work', level: 'warning', kind: 'queue_depth', current_value: 3, threshold: 3 },
        message: 'Queue depth warning: 3 (threshold: 3)',
      },
    ])
    expect(a.alerts.active()).toEqual(a.told)
  })

  test('is no storm: a thousand submits are two alerts', async () => {
    await using a = await alarmed({ queueDepth }, { work: {} }, { start: false })
    for (let n = 0; n < 1000; n++) void a.t.queue.submit('work', () => n)
    expect(a.heard).toHaveLength(2)
  })

  test.each<[string, (t: Setup<'work'>) => unknown]>([
    ['the lane is cleared', (t) => t.queue.lane('work').clear()],
    ['everything is cancelled', (t) => t.queue.lane('work').cancelAll()],
  ])('is over when %s', async (_what, act) => {
    await using a = await alarmed({ queueDepth }, { work: {} }, { start: false })
    for (let n = 0; n < 6; n++) a.t.queue.submit('work', () => n).accepted.catch(() => undefined)
    act(a.t)
    expect(a.heard.map(([level]) => level)).toEqual(['warning', 'critical', 'warning', 'info'])
  })

  test('has thresholds per lane, or none', async () => {
    const lanes = { quick: { queueDepth: { warning: 1, critical: 2 } }, silent: false } as const
    await using a = await alarmed({ queueDepth, lanes }, { quick: {}, silent: {}, other: {} }, { start: false })
    for (const lane of ['quick', 'silent', 'other'] as const) {
      for (let n = 0; n < 3; n++) void a.t.queue.submit(lane, () => n)
    }
    expect(a.told.map(({ laneId, level }) => `${laneId} ${level}`)).toEqual([
      ...['quick warning', 'quick critical', 'other warning'],
    ])
  })

  test('takes thresholds that are set later, at the next change', async () => {
    await using a = await alarmed({}, { work: {} }, { start: false })
    for (let n = 0; n < 4; n++) void a.t.queue.submit('work', () => n)
    a.alerts.withQueueDepthAlerts(2, 100)
    expect(a.heard).toEqual([])
    void a.t.queue.submit('work', () => 5)
    expect(a.heard).toEqual([['warning', 5, 0]])
  })
})

test('an alert that is up ends at the next change once its kind is disabled', async () => {
  await using a = await alarmed({ queueDepth, latency: { warning: 10, critical: 20 } }, { work: { maxConcurrency: 1 } })
  void a.t.queue.submit('work', a.t.takes(15))
  await a.t.clock.advance(15)
  a.t.queue.lane('work').pause()
  for (let n = 0; n < 3; n++) void a.t.queue.submit('work', a.t.takes(15))
  expect(a.told.map(({ kind, level }) => `${kind} ${level}`)).toEqual(['latency warning', 'queue_depth warning'])
  a.alerts.setQueueDepthConfig(QueueDepthAlertConfig.disabled())
  a.alerts.setLatencyConfig(LatencyAlertConfig.disabled())
  a.t.queue.lane('work').resume()
  await a.t.clock.advance(100)
  expect(a.told.slice(2).map(({ kind, level, threshold }) => `${kind} ${level} ${threshold}`)).toEqual([
    ...['queue_depth info 3', 'latency info 10'],
  ])
  expect(a.alerts.active()).toEqual([])
})

test('neither breakers nor deadlines are told of where that is not wanted', async () => {
  const breaker = { failureRatio: 0.5, minimum: 1, windowMs: 1000, openMs: 500, halfOpen: 1 }
  await using a = await alarmed(
    { breaker: false, starvation: false },
    { work: { breaker, priorityBoost: PriorityBoostConfig.standard(100) } },
  )
  await errorOf(a.t.queue.submit('work', () => Promise.reject(new Error('no'))))
  void a.t.queue.submit('work', () => 1)
  await a.t.clock.advance(1000)
  expect(a.t.recorder.keys()).toEqual(expect.arrayContaining(['queue.lane.breaker', 'queue.lane.starving']))
  expect(a.heard).toEqual([])
})

describe('the latency of a lane', () => {
  const latency = { warning: 100, critical: 500 }

  test('is told when one attempt is slow, and over when five in a row were quick', async () => {
    await using a = await alarmed({ latency })
    const runFor = async (ms: number): Promise<void> => {
      void a.t.queue.submit('work', a.t.takes(ms))
      await a.t.clock.advance(ms)
    }
    for (const ms of [50, 250, 600, 10, 10, 10, 10, 10]) await runFor(ms)
    expect(a.heard).toEqual([
      ['warning', 250, 300],
      ['critical', 600, 900],
      ['info', 10, 950],
    ])
  })

  test('is over when none has ended for a minute', async () => {
    await using a = await alarmed({ latency })
    void a.t.queue.submit('work', a.t.takes(200))
    await a.t.clock.advance(60_199)
    expect(a.heard).toEqual([['warning', 200, 200]])
    await a.t.clock.advance(1)
    expect(a.heard[1]).toEqual(['info', 0, 60_200])
    expect(a.t.clock.timers).toBe(0)
  })

  test('counts attempts that fail, time out and are retried', async () => {
    await using a = await alarmed({ latency }, { work: { timeoutMs: 150, retry: RetryPolicy.fixed(1, 10) } })
    void a.t.queue.submit('work', stopping(a.t, 'slow', 1000))
    await a.t.clock.advance(150)
    expect(a.heard).toEqual([['warning', 150, 150]])
  })
})

describe('the age of the oldest waiting command', () => {
  const oldestAge = { warning: 100, critical: 300 }

  test('is told by time alone, at the instants of its thresholds', async () => {
    await using a = await alarmed({ oldestAge }, { work: {} }, { start: false })
    await a.t.clock.advance(70)
    void a.t.queue.submit('work', () => 1)
    await a.t.clock.advance(1000)
    expect(a.heard).toEqual([
      ['warning', 100, 170],
      ['critical', 300, 370],
    ])
    expect(a.told[0]?.message).toBe('Oldest waiting command warning: 100ms (threshold: 100ms)')
    await a.t.queue.start()
    await a.t.clock.settle()
    expect(a.heard[2]?.[0]).toBe('info')
  })

  test('is over although others wait, once those are young', async () => {
    await using a = await alarmed({ oldestAge }, { work: { maxConcurrency: 1 } })
    void a.t.queue.submit('work', a.t.takes(150))
    void a.t.queue.submit('work', a.t.takes(1000))
    await a.t.clock.advance(140)
    void a.t.queue.submit('work', a.t.takes(1))
    await a.t.clock.advance(30)
    expect(a.heard.map(([level]) => level)).toEqual(['warning', 'info'])
  })
})

test('dead letters are counted over a window', async () => {
  const deadLetterRate = { warning: 2, critical: 4, windowMs: 1000 }
  await using a = await alarmed({ deadLetterRate }, undefined, { deadLetters: true })
  for (let n = 0; n < 4; n++) {
    await errorOf(a.t.queue.submit('work', () => Promise.reject(new Error('no'))))
    await a.t.clock.advance(10)
  }
  expect(a.heard.map(([level, value]) => [level, value])).toEqual([
    ['warning', 2],
    ['critical', 4],
  ])
  await a.t.clock.advance(1100)
  expect(a.heard.at(-1)?.slice(0, 2)).toEqual(['info', 0])
})

test('the share of failures is told when enough attempts have ended', async () => {
  const failureRatio = { warning: 0.3, critical: 0.6, minimum: 5, windowMs: 1000 }
  await using a = await alarmed({ failureRatio })
  const run = async (ends: string): Promise<void> => {
    for (const end of ends) {
      const one = a.t.queue.submit('work', () => (end === 'f' ? Promise.reject(new Error('no')) : 1))
      await one.then(
        () => undefined,
        () => undefined,
      )
    }
  }
  await run('fsfs')
  expect(a.heard).toEqual([])
  await run('s')
  expect(a.heard).toEqual([['warning', 0.4, 0]])
  await run('fffff')
  expect(a.told.at(-1)?.message).toBe('Failure ratio critical: 62.50% (threshold: 60.00%)')
  await a.t.clock.advance(1100)
  expect(a.heard.at(-1)?.[0]).toBe('info')
})

test('a breaker is told while it is open, half open and closed again', async () => {
  const breaker = { failureRatio: 0.5, minimum: 1, windowMs: 1000, openMs: 500, halfOpen: 1 }
  await using a = await alarmed({}, { work: { breaker } })
  await errorOf(a.t.queue.submit('work', () => Promise.reject(new Error('no'))))
  void a.t.queue.submit('work', a.t.takes(100))
  await a.t.clock.advance(1000)
  expect(a.heard).toEqual([
    ['critical', 1, 0],
    ['warning', 0.5, 500],
    ['info', 0, 600],
  ])
  expect(a.told.map(({ kind }) => kind)).toEqual(['breaker', 'breaker', 'breaker'])
})

describe('starvation', () => {
  const priorityBoost = PriorityBoostConfig.standard(1000)

  test('is told at the last step before a deadline, at the deadline, and when it is over', async () => {
    await using a = await alarmed({}, { work: { priorityBoost } }, { start: false })
    void a.t.queue.submit('work', () => 1)
    await a.t.clock.advance(2000)
    expect(a.heard).toEqual([
      ['warning', 900, 900],
      ['critical', 1000, 1000],
    ])
    await a.t.queue.start()
    await a.t.clock.settle()
    expect(a.heard[2]).toEqual(['info', 0, 2000])
    expect(a.t.clock.timers).toBe(0)
  })

  test('does not get better because another command comes close to its deadline, too', async () => {
    await using a = await alarmed({}, { work: { priorityBoost } }, { start: false })
    void a.t.queue.submit('work', () => 1)
    await a.t.clock.advance(500)
    void a.t.queue.submit('work', () => 2)
    void a.t.queue.submit('work', () => 3, { deadlineMs: 5000 })
    await a.t.clock.advance(10_000)
    expect(a.heard.map(([level]) => level)).toEqual(['warning', 'critical'])
  })
})

describe('a queue with alerts', () => {
  test('has them, and none otherwise', async () => {
    const alerts = new AlertManager()
    const built = await new QueueManagerBuilder().withLane('work', {}, 0).withAlerts(alerts).build()
    expect(built.alerts).toBe(alerts)
    expect((await new QueueManagerBuilder().withDefaultLanes().build()).alerts).toBeUndefined()
  })

  test('must have the lanes that they name', () => {
    const alerts = new AlertManager({ lanes: { other: { queueDepth } } })
    const error = thrownBy(() => new QueueManager({ lanes: { work: { priority: 0 } }, alerts }))
    expect(error).toMatchObject({ code: 'CONFIG_INVALID' })
    expect(error.message).toContain("'other'")
  })

  test('leaves no timer and no alert behind when it ends', async () => {
    const clock = new VirtualClock()
    const alerts = new AlertManager({ queueDepth, oldestAge: queueDepth, latency: queueDepth })
    const queue = new QueueManager({ lanes: { work: { priority: 0, maxConcurrency: 1 } }, clock, alerts })
    await queue.start()
    for (let n = 0; n < 9; n++) {
      queue.submit('work', () => clock.advance(1) as Promise<unknown>).accepted.catch(() => undefined)
    }
    queue.lane('work').pause()
    await clock.advance(50)
    expect(alerts.active().length).toBeGreaterThan(1)
    await queue.close()
    expect(alerts.active()).toEqual([])
    const fired: unknown[] = []
    alerts.addCallback((alert) => fired.push(alert))
    await clock.advance(100_000)
    expect(fired).toEqual([])
  })

  test('holds no timer in the foreground while nothing is wrong', async () => {
    const windowed = { warning: 1, critical: 1, windowMs: 100 }
    const all = {
      queueDepth,
      latency: queueDepth,
      oldestAge: queueDepth,
      deadLetterRate: windowed,
      failureRatio: windowed,
    }
    await using a = await alarmed(all, { work: { rateLimit: RateLimitConfig.perSecond(1000) } })
    for (let n = 0; n < 3; n++) await a.t.queue.submit('work', () => n)
    expect([a.t.clock.timers, a.heard]).toEqual([0, []])
  })

  test('shares them with another, whose alerts are its own', async () => {
    const alerts = new AlertManager({ queueDepth: { warning: 1, critical: 9 } })
    const heard: string[] = []
    alerts.addCallback(({ level }) => heard.push(level))
    await using one = await setup({ work: {} }, { alerts, start: false })
    await using two = await setup({ work: {} }, { alerts, start: false })
    void one.queue.submit('work', () => 1)
    void two.queue.submit('work', () => 1)
    expect(heard).toEqual(['warning', 'warning'])
    one.queue.lane('work').clear()
    expect([heard.at(-1), alerts.active().length]).toEqual(['info', 1])
  })
})
