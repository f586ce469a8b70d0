/** Gauges say what `stats()` says, at every point at which a caller can look; and for how long the oldest command waits. */
import {
  type CommandContext,
  LocalMetrics,
  type MetricsBackend,
  QueueManager,
  QueueMetrics,
  RateLimitConfig,
  RetryPolicy,
  snooze,
} from '@a3s-lab/lane'
import { VirtualClock } from '@a3s-lab/lane/testing'
import { describe, expect, test } from 'vitest'
import { slowToStop, sorted, stopping } from '../support/bodies.js'
import { type Setup, type SetupLanes, type SetupOptions, setup } from '../support/setup.js'

/** Metrics in a back end of one's own: what is in memory is read from the queue, what is elsewhere has to be written there. */
function elsewhere(): QueueMetrics {
  const local = new LocalMetrics()
  const backend: MetricsBackend = {
    incrementCounter: (name, by) => local.incrementCounter(name, by),
    setGauge: (name, value) => local.setGauge(name, value),
    recordHistogram: (name, value) => local.recordHistogram(name, value),
    getCounter: (name) => local.getCounter(name),
    getGauge: (name) => local.getGauge(name),
    getHistogramStats: (name) => local.getHistogramStats(name),
    reset: () => local.reset(),
    snapshot: () => local.snapshot(),
  }
  return new QueueMetrics(backend)
}

const measured = <L extends string = 'work'>(
  lanes?: SetupLanes<L>,
  options: SetupOptions = {},
  metrics = QueueMetrics.local(),
): Promise<Setup<L>> => setup(lanes, { ...options, metrics })

const metricsOf = (t: Pick<Setup, 'queue'>): QueueMetrics => t.queue.metrics as QueueMetrics

/** What the back end holds right now, without asking for a snapshot. */
function written(t: Pick<Setup, 'queue'>): Record<string, number[]> {
  const backend = metricsOf(t).backend()
  const gauge = (name: string, id: string): number => backend.getGauge(`lane.queue.${name}.${id}`) as number
  return Object.fromEntries(
    Object.keys(t.queue.stats().lanes).map((id) => [
      id,
      ['depth', 'active', 'delayed', 'zombies'].map((name) => gauge(name, id)),
    ]),
  )
}

const claimed = (t: Pick<Setup, 'queue'>): Record<string, number[]> =>
  Object.fromEntries(
    Object.entries(t.queue.stats().lanes).map(([id, { pending, active, delayed, zombies }]) => [
      id,
      [pending, active, delayed, zombies],
    ]),
  )

async function oldest(t: Pick<Setup, 'queue'>, laneId = 'work'): Promise<number | undefined> {
  return (await metricsOf(t).snapshot()).gauges[`lane.queue.oldest_age_ms.${laneId}`]
}

describe.each<[string, () => QueueMetrics]>([
  ['in memory', () => QueueMetrics.local()],
  ['in a back end of your own', elsewhere],
])('gauges %s agree with stats', (_where, metrics) => {
  test('from the first moment on, in a snapshot', async () => {
    await using t = await measured({ one: {}, two: {} }, { start: false }, metrics())
    const { gauges } = await metricsOf(t).snapshot()
    const names = ['depth', 'active', 'delayed', 'zombies', 'oldest_age_ms'].flatMap((name) => [
      `lane.queue.${name}.one`,
      `lane.queue.${name}.two`,
    ])
    expect(gauges).toEqual(Object.fromEntries(names.map((name) => [name, 0])))
  })

  test('in the snapshot asked for right after a submit', async () => {
    await using t = await measured(undefined, {}, metrics())
    void t.queue.submit('work', t.takes(5))
    const { gauges } = await metricsOf(t).snapshot()
    expect(gauges).toMatchObject({ 'lane.queue.depth.work': 1, 'lane.queue.active.work': 0 })
  })

  test('one turn after a submit', async () => {
    await using t = await measured({ work: { maxConcurrency: 1 } }, {}, metrics())
    for (let n = 0; n < 3; n++) void t.queue.submit('work', t.takes(5))
    await Promise.resolve()
    expect(written(t)).toEqual({ work: [2, 1, 0, 0] })
    expect(written(t)).toEqual(claimed(t))
  })

  test('when a run is awaited', async () => {
    await using t = await measured({ work: { maxConcurrency: 10 } }, {}, metrics())
    t.queue.handle('echo', (payload) => payload)
    for (let n = 0; n < 5; n++) {
      void t.queue.submit('work', t.takes(3))
      void t.queue.submit('work', () => 1, { delayMs: 1000 })
      await t.queue.submit('work', { type: 'echo', payload: n }, { priority: 0 })
      expect(written(t)).toEqual(claimed(t))
      await t.clock.advance(1)
      expect(written(t)).toEqual(claimed(t))
    }
    expect(claimed(t)['work']?.[2]).toBe(5)
  })

  test('when failures, timeouts and cancels are awaited', async () => {
    await using t = await measured(
      { work: { timeoutMs: 10, zombieGraceMs: 20, retry: RetryPolicy.fixed(1, 7) } },
      {},
      metrics(),
    )
    const bodies = [
      () => Promise.reject(new Error('no')),
      () => new Promise(() => {}),
      stopping(t, 'stops', 100),
      slowToStop(t, 'slow', 100, 5),
      () => (t.clock.now() < 20 ? snooze(5) : 1),
    ]
    const runs = bodies.map((body) => t.queue.submit('work', body as () => number))
    const seen: unknown[] = []
    for (const run of runs) {
      const look = (): void => void seen.push([written(t), claimed(t)])
      run.then(look, look)
    }
    for (let ms = 0; ms < 80; ms++) {
      await t.clock.advance(1)
      expect(written(t)).toEqual(claimed(t))
      if (ms === 12) runs[3]?.cancel()
    }
    expect(seen).toHaveLength(5)
    for (const [gauges, stats] of seen as [unknown, unknown][]) expect(gauges).toEqual(stats)
  })

  test('after pause, resume, clear, cancelAll and configure', async () => {
    await using t = await measured({ work: { maxConcurrency: 2 } }, {}, metrics())
    const lane = t.queue.lane('work')
    const steps: (() => unknown)[] = [
      () => lane.pause(),
      () => t.queue.submit('work', t.takes(10)).accepted.catch(() => undefined),
      () => lane.resume(),
      () => lane.configure({ maxConcurrency: 4 }),
      () => lane.configure({ order: 'lifo' }),
      () => lane.clear(),
      () => lane.cancelAll(),
    ]
    for (const step of steps) {
      for (let n = 0; n < 4; n++) void t.queue.submit('work', stopping(t, 'one', 10)).accepted.catch(() => undefined)
      step()
      await t.clock.settle()
      expect(written(t)).toEqual(claimed(t))
      await t.clock.advance(4)
      expect(written(t)).toEqual(claimed(t))
    }
  })

  test('while bodies yield, run children and are preempted', async () => {
    await using t = await measured(
      {
        control: { preempts: true, minConcurrency: 0 },
        better: { minConcurrency: 0 },
        work: { preemptible: true, minConcurrency: 0, maxConcurrency: 1 },
      },
      { maxConcurrency: 1 },
      metrics(),
    )
    void t.queue.submit('work', async (context: CommandContext) => {
      await t.sleep(5)
      await context.yield()
      await context.run('work', () => t.sleep(5))
      await stopping(t, 'parent', 10)(context as never)
    })
    t.clock.setTimer(3, () => void t.queue.submit('better', t.takes(4)))
    t.clock.setTimer(12, () => void t.queue.submit('better', t.takes(4)))
    t.clock.setTimer(17, () => void t.queue.submit('control', t.takes(4)))
    const shapes = new Set<string>()
    for (let ms = 0; ms < 60; ms++) {
      await t.clock.advance(1)
      expect(written(t)).toEqual(claimed(t))
      shapes.add(JSON.stringify(written(t)))
    }
    expect(shapes.size).toBeGreaterThan(4)
    expect(t.recorder.keys()).toContain('queue.command.preempted')
  })

  test('when the queue has ended: all are zero', async () => {
    const t = await measured({ work: { maxConcurrency: 1 } }, {}, metrics())
    for (let n = 0; n < 3; n++) void t.queue.submit('work', () => new Promise(() => {})).accepted.catch(() => undefined)
    void t.queue.submit('work', () => 1, { delayMs: 50 }).accepted.catch(() => undefined)
    await t.clock.settle()
    expect(written(t)).toEqual({ work: [2, 1, 1, 0] })
    await t[Symbol.asyncDispose]()
    expect(written(t)).toEqual({ work: [0, 0, 0, 0] })
    expect(await oldest(t)).toBe(0)
  })

  test('again, in the next snapshot after a reset', async () => {
    await using t = await measured({ work: { maxConcurrency: 1 } }, {}, metrics())
    for (let n = 0; n < 3; n++) void t.queue.submit('work', t.takes(5))
    await t.clock.settle()
    await metricsOf(t).reset()
    const { counters, gauges } = await metricsOf(t).snapshot()
    expect([counters, gauges['lane.queue.depth.work'], gauges['lane.queue.active.work']]).toEqual([{}, 2, 1])
    await t.clock.advance(5)
    expect((await metricsOf(t).snapshot()).counters).toMatchObject({ 'lane.commands.completed.work': 1 })
  })
})

test('gauges in a back end of your own are written at most once per lane in a turn, and only where something changed', async () => {
  const writes: string[] = []
  const backend: MetricsBackend = {
    ...{ incrementCounter: () => undefined, recordHistogram: () => undefined, reset: () => undefined },
    ...{ getCounter: () => undefined, getGauge: () => undefined, getHistogramStats: () => undefined },
    setGauge: (name) => void writes.push(name),
    snapshot: () => ({ counters: {}, gauges: {}, histograms: {} }),
  }
  await using t = await setup({ busy: {}, idle: {} }, { metrics: new QueueMetrics(backend) })
  await t.clock.settle()
  writes.length = 0
  for (let n = 0; n < 100; n++) void t.queue.submit('busy', () => n)
  await Promise.resolve()
  expect(sorted(writes)).toEqual([
    ...['lane.queue.active.busy', 'lane.queue.delayed.busy', 'lane.queue.depth.busy', 'lane.queue.zombies.busy'],
  ])
})

describe('the oldest age is for how long a command could have started', () => {
  test('and 0 when none waits', async () => {
    await using t = await measured({ work: { maxConcurrency: 1 } })
    void t.queue.submit('work', t.takes(1000))
    await t.clock.advance(100)
    expect(await oldest(t)).toBe(0)
    void t.queue.submit('work', t.takes(1))
    await t.clock.advance(30)
    void t.queue.submit('work', t.takes(1))
    await t.clock.advance(12)
    expect(await oldest(t)).toBe(42)
  })

  test.each<[string, SetupLanes<'work'>['work']]>([
    ['in a plain lane', {}],
    ['served from its newer end', { order: 'lifo' }],
    ['with keys in turn', { fairness: 'key' }],
    ['with a limit per key', { keyConcurrency: 1 }],
    ['with a rate limit', { rateLimit: RateLimitConfig.perSecond(1) }],
  ])('%s, whatever came later and goes first', async (_which, lane) => {
    await using t = await measured({ work: lane }, { start: false })
    void t.queue.submit('work', t.noting('old'), { key: 'a', priority: 500 })
    await t.clock.advance(10)
    for (let n = 0; n < 5; n++) void t.queue.submit('work', t.noting('new'), { key: 'b', priority: n })
    await t.clock.advance(10)
    expect(await oldest(t)).toBe(20)
    t.queue.lane('work').configure({ fairness: lane.fairness === 'key' ? 'none' : 'key' })
    expect(await oldest(t)).toBe(20)
  })

  test('one that was delayed counts from when it was due', async () => {
    await using t = await measured()
    t.queue.lane('work').pause()
    void t.queue.submit('work', () => 1, { delayMs: 50 })
    await t.clock.advance(30)
    expect(await oldest(t)).toBe(0)
    await t.clock.advance(30)
    expect(await oldest(t)).toBe(10)
  })

  test('a retry counts from the end of its back-off', async () => {
    await using t = await measured({ work: { retry: RetryPolicy.fixed(1, 50) } })
    void t.queue.submit('work', () => Promise.reject(new Error('no')))
    await t.clock.advance(1)
    t.queue.lane('work').pause()
    await t.clock.advance(40)
    expect(await oldest(t)).toBe(0)
    await t.clock.advance(20)
    expect(await oldest(t)).toBe(11)
  })

  test('a preempted one counts from its preemption', async () => {
    await using t = await measured(
      { control: { preempts: true, minConcurrency: 0 }, work: { preemptible: true, minConcurrency: 0 } },
      { maxConcurrency: 1 },
    )
    void t.queue.submit('work', stopping(t, 'low', 100))
    await t.clock.advance(40)
    void t.queue.submit('control', t.takes(25))
    await t.clock.advance(20)
    expect(await oldest(t)).toBe(20)
  })

  test('one that has yielded counts from then', async () => {
    await using t = await measured(
      { better: { minConcurrency: 0 }, work: { minConcurrency: 0 } },
      { maxConcurrency: 1 },
    )
    void t.queue.submit('work', async (context: CommandContext) => {
      await t.sleep(100)
      await context.yield()
    })
    await t.clock.advance(50)
    void t.queue.submit('better', t.takes(100))
    await t.clock.advance(60)
    expect(await oldest(t)).toBe(10)
  })
})

describe('two queues that share their metrics', () => {
  const pair = async (
    metrics: QueueMetrics,
  ): Promise<{ clock: VirtualClock; one: QueueManager<'work'>; two: QueueManager<'work'> }> => {
    const clock = new VirtualClock()
    const made = (): QueueManager<'work'> =>
      new QueueManager({ lanes: { work: { priority: 0, maxConcurrency: 1 } }, clock, metrics })
    const [one, two] = [made(), made()]
    await Promise.all([one.start(), two.start()])
    return { clock, one, two }
  }
  const hangs = (): Promise<never> => new Promise(() => {})
  const depth = (metrics: QueueMetrics): unknown => metrics.backend().getGauge('lane.queue.depth.work')

  test('count together, and their gauges add up', async () => {
    const metrics = QueueMetrics.local()
    const { clock, one, two } = await pair(metrics)
    for (const queue of [one, two, two]) queue.submit('work', hangs).accepted.catch(() => undefined)
    await clock.settle()
    const { counters, gauges } = await metrics.snapshot()
    expect(counters).toMatchObject({ 'lane.commands.submitted.work': 3, 'lane.commands.started': 2 })
    expect(gauges).toMatchObject({ 'lane.queue.depth.work': 1, 'lane.queue.active.work': 2 })
    const first = one.close({ timeoutMs: 1 })
    await clock.advance(1)
    await first
    expect((await metrics.snapshot()).gauges).toMatchObject({ 'lane.queue.active.work': 1 })
    const closed = two.close({ timeoutMs: 1 })
    await clock.advance(1)
    await closed
    expect(depth(metrics)).toBe(0)
  })

  test('one after the other: what the first refuses leaves the gauges of the second alone', async () => {
    const metrics = QueueMetrics.local()
    const { clock, one, two } = await pair(metrics)
    await Promise.all([one.close(), two.close()])
    const next = new QueueManager({ lanes: { work: { priority: 0 } }, clock, metrics })
    next.submit('work', () => 1).accepted.catch(() => undefined)
    await clock.settle()
    expect(depth(metrics)).toBe(1)
    next.submit('work', () => 1).accepted.catch(() => undefined)
    one.submit('work', () => 'too late').accepted.catch(() => undefined)
    await clock.settle()
    expect(depth(metrics)).toBe(2)
    await next.close()
  })
})
