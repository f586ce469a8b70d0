/** What a queue counts and times by itself, in virtual time. Gauges: metrics-gauges.test.ts. */
import {
  discard,
  isLaneError,
  PriorityBoostConfig,
  QueueManager,
  QueueManagerBuilder,
  QueueMetrics,
  RateLimitConfig,
  RetryAfterError,
  RetryPolicy,
  snooze,
} from '@a3s-lab/lane'
import { VirtualClock } from '@a3s-lab/lane/testing'
import { describe, expect, test } from 'vitest'
import { slowToStop, stopping } from '../support/bodies.js'
import { errorOf, type Setup, type SetupLanes, type SetupOptions, setup, thrownBy } from '../support/setup.js'

/** A queue with metrics in memory. */
const measured = <L extends string = 'work'>(lanes?: SetupLanes<L>, options: SetupOptions = {}): Promise<Setup<L>> =>
  setup(lanes, { ...options, metrics: QueueMetrics.local() })

/** Counters by name; of one lane when that is given. */
async function counted(t: Pick<Setup, 'queue'>, laneId?: string): Promise<Record<string, number>> {
  const { counters } = await (t.queue.metrics as QueueMetrics).snapshot()
  const end = laneId === undefined ? '' : `.${laneId}`
  const laneIds = Object.keys(t.queue.stats().lanes)
  const isMeant = (name: string): boolean =>
    laneId === undefined ? !laneIds.some((id) => name.endsWith(`.${id}`)) : name.endsWith(end)
  return Object.fromEntries(
    Object.entries(counters)
      .filter(([name]) => isMeant(name))
      .map(([name, value]) => [name.slice('lane.'.length, name.length - end.length), value]),
  )
}

/** How often something was timed, and for how long in all. */
async function timed(t: Pick<Setup, 'queue'>, what: string): Promise<readonly [count: number, sum: number]> {
  const { histograms } = await (t.queue.metrics as QueueMetrics).snapshot()
  const { count, sum } = histograms[`lane.command.${what}`] ?? { count: 0, sum: 0 }
  return [count, sum]
}

/** A body that fails its first attempts. */
const failing =
  (times: number, error: () => unknown = () => new Error('not yet')) =>
  ({ attempt }: { readonly attempt: number }): string => {
    if (attempt <= times) throw error()
    return 'at last'
  }

describe('every situation moves its counters and no others:', () => {
  test('commands that complete', async () => {
    await using t = await measured()
    for (let n = 0; n < 3; n++) void t.queue.submit('work', () => n)
    await t.clock.settle()
    const expected = { 'commands.submitted': 3, 'commands.started': 3, 'commands.completed': 3 }
    expect(await counted(t)).toEqual(expected)
    expect(await counted(t, 'work')).toEqual(expected)
  })

  test('retries', async () => {
    await using t = await measured({ work: { retry: RetryPolicy.fixed(3, 10) } })
    void t.queue.submit('work', failing(2))
    await t.clock.advance(20)
    const expected = {
      ...{ 'commands.submitted': 1, 'commands.started': 3, 'commands.retried': 2, 'commands.completed': 1 },
    }
    expect(await counted(t)).toEqual(expected)
    expect(await counted(t, 'work')).toEqual(expected)
  })

  test('a final failure, without dead letters', async () => {
    await using t = await measured({ work: { retry: RetryPolicy.fixed(1, 10) } })
    void t.queue.submit('work', failing(9))
    await t.clock.advance(10)
    expect(await counted(t, 'work')).toEqual({
      ...{ 'commands.submitted': 1, 'commands.started': 2, 'commands.retried': 1, 'commands.failed': 1 },
    })
  })

  test('a final failure, with dead letters', async () => {
    await using t = await measured(undefined, { deadLetters: 1 })
    for (let n = 0; n < 2; n++) void t.queue.submit('work', failing(9))
    await t.clock.settle()
    const expected = {
      ...{ 'commands.submitted': 2, 'commands.started': 2, 'commands.failed': 2, 'commands.dead_lettered': 2 },
    }
    expect(await counted(t)).toEqual(expected)
    expect(await counted(t, 'work')).toEqual(expected)
  })

  test('timeouts, retried and final', async () => {
    await using t = await measured({ work: { timeoutMs: 10, retry: RetryPolicy.fixed(1, 5) } }, { deadLetters: true })
    void t.queue.submit('work', stopping(t, 'never', 1000))
    await t.clock.advance(100)
    expect(await counted(t, 'work')).toEqual({
      ...{ 'commands.submitted': 1, 'commands.started': 2, 'commands.retried': 1, 'commands.timeout': 1 },
      'commands.dead_lettered': 1,
    })
  })

  test('a command without a handler fails and never starts', async () => {
    await using t = await measured()
    void t.queue.submit('work', { type: 'unknown', payload: 1 })
    await t.clock.settle()
    expect(await counted(t, 'work')).toEqual({ 'commands.submitted': 1, 'commands.failed': 1 })
    expect([await timed(t, 'wait_time_ms'), await timed(t, 'latency_ms')]).toEqual([
      [0, 0],
      [0, 0],
    ])
  })

  test('commands that are cancelled while they wait, while they are delayed, while they run', async () => {
    await using t = await measured({ work: { maxConcurrency: 1 } })
    const active = t.queue.submit('work', stopping(t, 'active', 100))
    const pending = t.queue.submit('work', () => 1)
    const delayed = t.queue.submit('work', () => 1, { delayMs: 50 })
    await t.clock.settle()
    for (const run of [pending, delayed, active]) expect(run.cancel()).toBe(true)
    await t.clock.settle()
    expect(await counted(t, 'work')).toEqual({
      ...{ 'commands.submitted': 3, 'commands.started': 1, 'commands.cancelled': 3 },
    })
  })

  test('a command that is discarded counts as cancelled', async () => {
    await using t = await measured()
    await errorOf(t.queue.submit('work', () => discard('no use')))
    expect(await counted(t, 'work')).toEqual({
      ...{ 'commands.submitted': 1, 'commands.started': 1, 'commands.cancelled': 1 },
    })
  })

  test('submits that are refused, which are not counted as submitted', async () => {
    await using t = await measured({ work: { capacity: 1, maxConcurrency: 1 }, other: {} })
    await errorOf(t.queue.submit('work', () => 1, { priority: -1 }))
    for (let n = 0; n < 3; n++) void t.queue.submit('work', t.takes(10))
    await t.clock.settle()
    expect(await counted(t, 'work')).toMatchObject({ 'commands.submitted': 2, 'commands.rejected': 2 })
    await errorOf(t.queue.submit('nowhere', () => 1))
    await t.clock.advance(20)
    await t.queue.shutdown()
    await errorOf(t.queue.submit('other', () => 1))
    expect(await counted(t, 'other')).toEqual({ 'commands.rejected': 1 })
    expect(await counted(t)).toEqual({
      ...{ 'commands.submitted': 2, 'commands.started': 2, 'commands.completed': 2, 'commands.rejected': 4 },
    })
  })

  test('an unknown lane makes no metric of its own', async () => {
    await using t = await measured()
    await errorOf(t.queue.submit('nowhere', () => 1))
    const { counters } = await (t.queue.metrics as QueueMetrics).snapshot()
    expect(counters).toEqual({ 'lane.commands.rejected': 1 })
  })

  test('duplicates, by id and by dedupe id', async () => {
    await using t = await measured({ work: {} }, { start: false })
    const command = { type: 'echo', payload: 1 }
    const first = t.queue.submit('work', command, { id: 'one' })
    expect(t.queue.submit('work', command, { id: 'one' })).toBe(first)
    const owner = t.queue.submit('work', command, { dedupe: { id: 'two' } })
    expect(t.queue.submit('work', command, { dedupe: { id: 'two' } })).toBe(owner)
    expect(await counted(t, 'work')).toEqual({ 'commands.submitted': 2, 'commands.deduplicated': 2 })
    void t.queue.submit('work', command, { dedupe: { id: 'two', mode: 'replace' } })
    expect(await counted(t, 'work')).toEqual({
      ...{ 'commands.submitted': 3, 'commands.deduplicated': 3, 'commands.cancelled': 1 },
    })
  })

  test.each<[string, () => unknown]>([
    ['snooze', () => snooze(10)],
    [
      'a RetryAfterError',
      () => {
        throw new RetryAfterError(10)
      },
    ],
    [
      'a 429',
      () => {
        throw Object.assign(new Error('busy'), { status: 429, headers: { 'retry-after-ms': '10' } })
      },
    ],
  ])('commands that are put off by %s', async (_by, putOff) => {
    await using t = await measured()
    void t.queue.submit('work', () => (t.clock.now() < 20 ? putOff() : 'done'))
    await t.clock.advance(100)
    expect(await counted(t, 'work')).toMatchObject({
      ...{ 'commands.submitted': 1, 'commands.started': 3, 'commands.deferred': 2, 'commands.completed': 1 },
    })
    expect(await counted(t, 'work')).not.toHaveProperty('commands.retried')
  })

  test('a command that gives its slot up', async () => {
    const control = { preempts: true, minConcurrency: 0 }
    await using t = await measured({ control, work: { preemptible: true, minConcurrency: 0 } }, { maxConcurrency: 1 })
    const low = t.queue.submit('work', stopping(t, 'low', 100))
    await t.clock.advance(10)
    void t.queue.submit('control', t.takes(20))
    await t.clock.advance(120)
    expect(await low).toBe('low')
    expect(await counted(t, 'work')).toEqual({
      ...{ 'commands.submitted': 1, 'commands.started': 2, 'commands.preempted': 1, 'commands.completed': 1 },
    })
    expect(await counted(t, 'control')).not.toHaveProperty('commands.preempted')
  })

  test('a handler that does not stop and is given up', async () => {
    await using t = await measured({ work: { timeoutMs: 10, zombieGraceMs: 20 } })
    void t.queue.submit('work', () => new Promise(() => {}))
    await t.clock.advance(29)
    expect(await counted(t, 'work')).not.toHaveProperty('commands.abandoned')
    await t.clock.advance(1)
    expect(await counted(t, 'work')).toMatchObject({ 'commands.timeout': 1, 'commands.abandoned': 1 })
    expect(await timed(t, 'stop_time_ms')).toEqual([0, 0])
  })

  test('a start before a better lane, because of a deadline', async () => {
    await using t = await measured(
      { good: {}, late: { priority: 5, priorityBoost: PriorityBoostConfig.standard(100) } },
      { maxConcurrency: 1, start: false },
    )
    void t.queue.submit('late', t.noting('late', 1))
    await t.clock.advance(100)
    void t.queue.submit('good', t.noting('good', 1))
    void t.queue.submit('late', t.noting('later', 1))
    await t.queue.start()
    await t.clock.advance(10)
    expect(t.notes).toEqual(['late', 'good', 'later'])
    expect(await counted(t, 'late')).toMatchObject({ 'boost.inversions': 1, 'commands.completed': 2 })
    expect(await counted(t, 'good')).not.toHaveProperty('boost.inversions')
  })

  test('a breaker is no rate limit', async () => {
    const breaker = { failureRatio: 0.5, minimum: 1, windowMs: 1000, openMs: 500, halfOpen: 1 }
    await using t = await measured({ work: { breaker } })
    await errorOf(t.queue.submit('work', failing(9)))
    void t.queue.submit('work', () => 'after the breaker')
    await t.clock.advance(500)
    expect(await counted(t, 'work')).toEqual({
      ...{ 'commands.submitted': 2, 'commands.started': 2, 'commands.failed': 1, 'commands.completed': 1 },
    })
    expect(await timed(t, 'wait_time_ms')).toEqual([2, 500])
  })
})

describe('rate limits are held against a lane', () => {
  test('for as long as they alone keep it from starting', async () => {
    await using t = await measured({ work: { rateLimit: RateLimitConfig.perSecond(1) } })
    for (let n = 0; n < 3; n++) void t.queue.submit('work', () => n)
    await t.clock.advance(5000)
    expect(await counted(t, 'work')).toMatchObject({ 'commands.completed': 3, rate_limited_ms: 2000 })
    expect(await counted(t)).toMatchObject({ rate_limited_ms: 2000 })
  })

  test('but not while it has no work', async () => {
    await using t = await measured({ work: { rateLimit: RateLimitConfig.perSecond(1) } })
    await t.queue.submit('work', () => 1)
    await t.clock.advance(600)
    void t.queue.submit('work', () => 2)
    await t.clock.advance(5000)
    expect(await counted(t, 'work')).toMatchObject({ rate_limited_ms: 400 })
  })

  test('nor while it has no room', async () => {
    await using t = await measured({ work: { maxConcurrency: 1, rateLimit: RateLimitConfig.perSecond(1) } })
    void t.queue.submit('work', t.takes(3000))
    void t.queue.submit('work', t.takes(1))
    await t.clock.advance(5000)
    expect(await counted(t, 'work')).not.toHaveProperty('rate_limited_ms')
  })

  test('nor while it is paused', async () => {
    await using t = await measured({ work: { rateLimit: RateLimitConfig.perSecond(1) } })
    for (let n = 0; n < 2; n++) void t.queue.submit('work', () => n)
    await t.clock.advance(300)
    t.queue.lane('work').pause()
    await t.clock.advance(300)
    t.queue.lane('work').resume()
    await t.clock.advance(1000)
    expect(await counted(t, 'work')).toMatchObject({ 'commands.completed': 2, rate_limited_ms: 700 })
  })

  test('up to the moment at which what waited is cancelled', async () => {
    await using t = await measured({ work: { rateLimit: RateLimitConfig.perSecond(1) } })
    const runs = [0, 1].map((n) => t.queue.submit('work', () => n))
    await t.clock.advance(250)
    runs[1]?.cancel()
    await t.clock.advance(5000)
    expect(await counted(t, 'work')).toMatchObject({ 'commands.cancelled': 1, rate_limited_ms: 250 })
  })
})

describe('a queue', () => {
  test('has the metrics that it was given, and none otherwise', async () => {
    const metrics = QueueMetrics.local()
    const built = await new QueueManagerBuilder().withLane('work', {}, 0).withMetrics(metrics).build()
    expect(built.metrics).toBe(metrics)
    expect(new QueueManager({ lanes: { work: { priority: 0 } } }).metrics).toBeUndefined()
    expect((await new QueueManagerBuilder().withDefaultLanes().build()).metrics).toBeUndefined()
  })

  test('that nobody listens to is measured all the same', async () => {
    const clock = new VirtualClock()
    const metrics = QueueMetrics.local()
    await using queue = new QueueManager({ lanes: { work: { priority: 0 } }, clock, metrics })
    queue.handle('echo', (payload) => payload)
    await queue.start()
    const runs = [1, 2, 3].map((payload) => queue.submit('work', { type: 'echo', payload }))
    expect(await Promise.all(runs)).toEqual([1, 2, 3])
    const { counters, histograms, gauges } = await metrics.snapshot()
    expect(counters).toMatchObject({ 'lane.commands.submitted': 3, 'lane.commands.completed.work': 3 })
    expect(histograms['lane.command.latency_ms']).toMatchObject({ count: 3, sum: 0 })
    expect(gauges).toMatchObject({ 'lane.queue.depth.work': 0, 'lane.queue.active.work': 0 })
  })

  test.each([5, 'local', {}, null])('refuses %j as metrics', (metrics) => {
    const error = thrownBy(() => new QueueManager({ lanes: { work: { priority: 0 } }, metrics: metrics as never }))
    expect(isLaneError(error)).toBe(true)
    expect(error).toMatchObject({ code: 'CONFIG_INVALID', option: 'metrics' })
  })
})

describe('a handler that is asked to stop is timed until it does:', () => {
  test('after a cancel', async () => {
    await using t = await measured()
    const run = t.queue.submit('work', slowToStop(t, 'slow', 1000, 30))
    await t.clock.advance(10)
    run.cancel()
    await t.clock.advance(29)
    expect(await timed(t, 'stop_time_ms')).toEqual([0, 0])
    await t.clock.advance(1)
    expect(await timed(t, 'stop_time_ms')).toEqual([1, 30])
    expect(await timed(t, 'stop_time_ms.work')).toEqual([1, 30])
  })

  test('after a timeout, also when the command is retried', async () => {
    await using t = await measured({ work: { timeoutMs: 10, retry: RetryPolicy.fixed(1, 5) } })
    void t.queue.submit('work', slowToStop(t, 'slow', 1000, 7))
    await t.clock.advance(100)
    expect(await timed(t, 'stop_time_ms')).toEqual([2, 14])
  })

  test('when its slot goes to a better lane', async () => {
    const control = { preempts: true, minConcurrency: 0 }
    await using t = await measured({ control, work: { preemptible: true, minConcurrency: 0 } }, { maxConcurrency: 1 })
    const low = t.queue.submit('work', slowToStop(t, 'low', 50, 15))
    await t.clock.advance(10)
    void t.queue.submit('control', t.takes(20))
    await t.clock.advance(100)
    expect(low.state).toBe('completed')
    expect(await timed(t, 'stop_time_ms')).toEqual([1, 15])
  })

  test('one that ends by itself is not', async () => {
    await using t = await measured()
    void t.queue.submit('work', t.takes(10))
    await t.clock.advance(10)
    expect([await timed(t, 'stop_time_ms'), await timed(t, 'latency_ms')]).toEqual([
      [0, 0],
      [1, 10],
    ])
  })
})
