/** Every option of a lane, changed while commands wait and run; what holds for the policies alone is in their own files. */
import { type LaneDefinition, type LaneOptions, PriorityBoostConfig, RateLimitConfig, RetryPolicy } from '@a3s-lab/lane'
import { describe, expect, test } from 'vitest'
import { napping, slowToStop, stopping } from '../support/bodies.js'
import { errorOf, type Setup, setup, thrownBy } from '../support/setup.js'

const high = { priority: 0, minConcurrency: 0 } satisfies LaneDefinition
const low = { priority: 5, minConcurrency: 0 } satisfies LaneDefinition

/** A queue of two slots, both taken by `low`, and three commands of `high` that come then. */
async function busy(lanes: { high?: LaneOptions; low?: LaneOptions } = {}): Promise<Setup<'high' | 'low'>> {
  const t = await setup({ high: { ...high, ...lanes.high }, low: { ...low, ...lanes.low } }, { maxConcurrency: 2 })
  for (const name of ['low 1', 'low 2']) void t.queue.submit('low', stopping(t, name, 1000))
  await t.clock.advance(1)
  for (const name of ['high 1', 'high 2', 'high 3']) void t.queue.submit('high', t.noting(name, 10))
  await t.clock.advance(1)
  t.notes.splice(0)
  return t
}

describe('preemption:', () => {
  test('a lane that may preempt from now on does so at once', async () => {
    await using t = await busy({ low: { preemptible: true } })
    expect(t.notes).toEqual([])
    t.queue.lane('high').configure({ preempts: true })
    await t.clock.settle()
    expect(t.notes).toEqual(['high 1', 'high 2'])
  })

  test('running commands of a lane that becomes preemptible may be asked, the newest first', async () => {
    await using t = await busy({ high: { preempts: true, maxConcurrency: 1 } })
    t.queue.lane('low').configure({ preemptible: true })
    await t.clock.settle()
    expect(t.notes).toEqual(['high 1'])
    await t.clock.advance(30)
    expect(t.notes).toEqual(['high 1', 'high 2', 'high 3', 'low 2'])
  })

  test('a lane that is not preemptible any more keeps what it runs', async () => {
    await using t = await busy({ low: { preemptible: true } })
    t.queue.lane('low').configure({ preemptible: false })
    t.queue.lane('high').configure({ preempts: true })
    await t.clock.advance(500)
    expect(t.notes).toEqual([])
  })

  test('what was asked to stop gives its slot up, also when its lane is not preemptible any more', async () => {
    await using t = await setup(
      { high: { ...high, preempts: true }, low: { ...low, preemptible: true } },
      {
        maxConcurrency: 1,
      },
    )
    const run = t.queue.submit('low', slowToStop(t, 'low', 100, 20))
    await t.clock.settle()
    void t.queue.submit('high', t.noting('high', 10))
    await t.clock.advance(10)
    t.queue.lane('low').configure({ preemptible: false })
    t.queue.lane('high').configure({ preempts: false })
    await t.clock.advance(20)
    expect([t.notes, run.state]).toEqual([['low', 'high', 'low'], 'active'])
    await t.clock.advance(100)
    expect(await run).toBe('low')
  })

  test('a lane that becomes preemptible, then not, then again has each running command once', async () => {
    await using t = await busy({ high: { preempts: true } })
    t.queue.lane('high').pause()
    for (const preemptible of [true, false, true, true]) t.queue.lane('low').configure({ preemptible })
    t.queue.lane('high').resume()
    await t.clock.advance(100)
    expect(t.notes).toEqual(['high 1', 'high 2', 'high 3', 'low 1', 'low 2'])
    expect(t.recorder.of('queue.command.preempted')).toHaveLength(2)
  })

  test('a lower priority makes a lane a victim, a better one saves it', async () => {
    await using t = await busy({ high: { preempts: true }, low: { preemptible: true } })
    expect(t.recorder.of('queue.command.preempted')).toHaveLength(2)
    await using other = await setup(
      { a: { ...high, priority: 4, preempts: true }, b: { ...low, priority: 3, preemptible: true } },
      { maxConcurrency: 1 },
    )
    void other.queue.submit('b', stopping(other, 'b', 1000))
    await other.clock.settle()
    void other.queue.submit('a', other.noting('a', 10))
    await other.clock.advance(100)
    expect(other.notes).toEqual(['b'])
    other.queue.lane('b').configure({ priority: 5 })
    await other.clock.settle()
    expect(other.notes).toEqual(['b', 'a'])
    await t.clock.advance(100)
  })

  test('a new grace holds for commands that are submitted from then on', async () => {
    await using t = await setup(
      { high: { ...high, preempts: true }, low: { ...low, preemptible: true, preemptGraceMs: 50 } },
      { maxConcurrency: 1 },
    )
    const deaf = t.queue.submit('low', t.takes(300))
    await t.clock.settle()
    t.queue.lane('low').configure({ preemptGraceMs: 100_000 })
    void t.queue.submit('high', t.takes(10))
    await t.clock.advance(50)
    expect(t.faults).toHaveLength(1)
    await t.clock.advance(260)
    await deaf
    const other = t.queue.submit('low', t.takes(300))
    await t.clock.settle()
    void t.queue.submit('high', t.takes(10))
    await t.clock.advance(310)
    await other
    expect(t.faults).toHaveLength(1)
  })
})

describe('reservations:', () => {
  test('a higher minimum is served at the next free slot', async () => {
    await using t = await setup({ high, low }, { maxConcurrency: 2 })
    for (let n = 0; n < 6; n++) void t.queue.submit('high', t.noting('high', 10))
    await t.clock.settle()
    void t.queue.submit('low', t.noting('low', 10))
    t.queue.lane('low').configure({ minConcurrency: 1 })
    await t.clock.advance(10)
    expect(t.notes).toEqual(['high', 'high', 'low', 'high'])
    expect(t.queue.lane('low').status().min).toBe(1)
  })

  test('a lane that does not lend any more has its free slot kept', async () => {
    await using t = await setup({ high: { ...high, minConcurrency: 1 }, low }, { maxConcurrency: 2 })
    t.queue.lane('high').configure({ lend: false })
    for (let n = 0; n < 2; n++) void t.queue.submit('low', t.takes(10))
    await t.clock.settle()
    expect(t.queue.lane('low').status()).toMatchObject({ active: 1, pending: 1 })
    t.queue.lane('high').configure({ lend: true })
    await t.clock.settle()
    expect(t.queue.lane('low').status()).toMatchObject({ active: 2, pending: 0 })
    await t.clock.advance(10)
  })

  test('a lane that becomes protected goes first on a tie, and lends no more', async () => {
    await using t = await setup(
      { a: { ...high, minConcurrency: 1 }, b: { ...high, minConcurrency: 1 } },
      { maxConcurrency: 3 },
    )
    t.queue.lane('b').configure({ protected: true })
    for (let n = 0; n < 3; n++) void t.queue.submit('a', t.noting('a', 10))
    await t.clock.settle()
    expect(t.notes).toEqual(['a', 'a'])
    void t.queue.submit('b', t.noting('b', 10))
    await t.clock.settle()
    expect(t.notes).toEqual(['a', 'a', 'b'])
    expect(t.queue.lane('b').status().protected).toBe(true)
    await t.clock.advance(20)
  })

  test('minima that do not fit are refused and change nothing, policies included', async () => {
    await using t = await setup(
      { high: { ...high, minConcurrency: 1, rateLimit: RateLimitConfig.perHour(5) }, low },
      { maxConcurrency: 2 },
    )
    const change: LaneOptions = { minConcurrency: 3, rateLimit: RateLimitConfig.perHour(1), preempts: true }
    expect(thrownBy(() => t.queue.lane('high').configure(change))['code']).toBe('CONFIG_INVALID')
    expect(t.queue.lane('high').status().min).toBe(1)
    for (let n = 0; n < 5; n++) expect(await t.clock.expectSettled(t.queue.submit('high', () => n))).toBe(n)
    expect(t.recorder.of('queue.lane.configured')).toEqual([])
  })
})

test('a limit of a group that is refused changes nothing else', async () => {
  await using t = await setup({ work: { maxConcurrency: 1 } })
  const rateLimit = [RateLimitConfig.perSecond(1, { group: 'g' }), RateLimitConfig.perSecond(2, { group: 'g' })]
  expect(thrownBy(() => t.queue.lane('work').configure({ maxConcurrency: 9, priority: 7, rateLimit }))['code']).toBe(
    'CONFIG_INVALID',
  )
  expect(t.queue.lane('work').status()).toMatchObject({ max: 1, priority: 0 })
})

describe('boosts:', () => {
  const effective = (t: Setup<'work'>): number => t.queue.lane('work').status().effectivePriority

  test('given to a lane, the commands that wait already count, from their submission', async () => {
    await using t = await setup({ work: { priority: 10 } }, { start: false })
    for (let n = 0; n < 5; n++) void t.queue.submit('work', () => n)
    await t.clock.advance(600)
    t.queue.lane('work').configure({ priorityBoost: PriorityBoostConfig.standard(1000) })
    expect(effective(t)).toBe(8)
    await t.clock.advance(150)
    expect(effective(t)).toBe(7)
    await t.queue.start()
    await t.clock.settle()
    expect([effective(t), t.clock.timers]).toEqual([10, 0])
  })

  test('changed, all that wait have the new steps', async () => {
    await using t = await setup(
      { work: { priority: 10, priorityBoost: PriorityBoostConfig.standard(1000) } },
      { start: false },
    )
    void t.queue.submit('work', () => 1)
    void t.queue.submit('work', () => 1, { deadlineMs: 5000 })
    await t.clock.advance(800)
    expect(effective(t)).toBe(7)
    t.queue.lane('work').configure({ priorityBoost: PriorityBoostConfig.aggressive(4000) })
    expect(effective(t)).toBe(8)
  })

  test('taken away, the lane is where it was, and deadlines of commands count by the standard steps', async () => {
    await using t = await setup(
      { work: { priority: 10, priorityBoost: PriorityBoostConfig.aggressive(1000) } },
      { start: false },
    )
    void t.queue.submit('work', () => 1)
    void t.queue.submit('work', () => 1, { deadlineMs: 2000 })
    await t.clock.advance(500)
    expect(effective(t)).toBe(6)
    t.queue.lane('work').configure({ priorityBoost: undefined })
    expect(effective(t)).toBe(9)
    t.queue.lane('work').configure({ priorityBoost: PriorityBoostConfig.disabled() })
    expect([effective(t), t.clock.timers]).toEqual([10, 0])
  })

  test('a new priority keeps the boost', async () => {
    await using t = await setup(
      { work: { priority: 10, priorityBoost: PriorityBoostConfig.standard(1000) } },
      { start: false },
    )
    void t.queue.submit('work', () => 1)
    await t.clock.advance(500)
    t.queue.lane('work').configure({ priority: 20 })
    expect(effective(t)).toBe(18)
    t.queue.lane('work').configure({ priority: 1 })
    expect(effective(t)).toBe(0)
  })
})

describe('keys:', () => {
  test('fairness and the limit of keys change together, with commands in front', async () => {
    await using t = await setup(
      {
        high: { ...high, preempts: true },
        low: { ...low, preemptible: true, fairness: 'key' },
      },
      { maxConcurrency: 2 },
    )
    for (const key of ['a', 'b', 'a', 'b']) void t.queue.submit('low', stopping(t, key, 20), { key })
    await t.clock.settle()
    for (let n = 0; n < 2; n++) void t.queue.submit('high', t.takes(10))
    await t.clock.settle()
    t.queue.lane('low').configure({ fairness: 'none', keyConcurrency: 1 })
    t.queue.lane('low').configure({ keyConcurrency: undefined })
    t.queue.lane('low').configure({ fairness: 'key', keyConcurrency: 2 })
    await t.clock.advance(100)
    expect(t.notes).toEqual(['a', 'b', 'a', 'b', 'a', 'b'])
    expect(t.recorder.of('queue.command.resumed')).toHaveLength(2)
    expect(t.queue.stats()).toMatchObject({ totalPending: 0, totalActive: 0, totalSlots: 0 })
  })

  test('a body inside ctx.yield goes on after the rules have changed', async () => {
    await using t = await setup({ high, low: { ...low, fairness: 'key', keyConcurrency: 1 } }, { maxConcurrency: 1 })
    const run = t.queue.submit(
      'low',
      async (ctx) => {
        await t.sleep(10)
        await ctx.yield()
        return 'went on'
      },
      { key: 'a' },
    )
    await t.clock.settle()
    void t.queue.submit('high', t.takes(30))
    void t.queue.submit('low', t.noting('next'), { key: 'a' })
    await t.clock.advance(20)
    t.queue.lane('low').configure({ fairness: 'none', keyConcurrency: undefined })
    await t.clock.advance(20)
    expect(await t.clock.expectSettled(run)).toBe('went on')
    expect(t.notes).toEqual(['next'])
  })
})

describe('what a command keeps from its submission:', () => {
  test('timeout, retry, deferrals and graces', async () => {
    await using t = await setup({ work: { timeoutMs: 50, retry: RetryPolicy.fixed(1, 0), maxConcurrency: 1 } })
    const old = errorOf(t.queue.submit('work', ({ signal }) => napping(t, 1000, signal)))
    t.queue.lane('work').configure({ timeoutMs: 200, retry: RetryPolicy.none() })
    const fresh = errorOf(t.queue.submit('work', ({ signal }) => napping(t, 1000, signal)))
    await t.clock.advance(100)
    expect((await old).message).toBe('Command timed out after 50ms')
    await t.clock.advance(200)
    expect((await fresh).message).toBe('Command timed out after 200ms')
    expect(t.recorder.of('queue.command.retry')).toHaveLength(1)
  })
})

test('everything may change at once', async () => {
  await using t = await setup({ work: {} })
  for (let n = 0; n < 20; n++) void t.queue.submit('work', t.noting(String(n), 10), { key: `k${n % 3}`, cost: n })
  await t.clock.settle()
  const change: Required<Omit<LaneDefinition, never>> = {
    priority: 3,
    minConcurrency: 1,
    lend: false,
    maxConcurrency: 3,
    timeoutMs: 500,
    retry: RetryPolicy.fixed(1, 10),
    rateLimit: [RateLimitConfig.perSecond(50), RateLimitConfig.perSecond(1000, { unit: 'tokens', group: 'g' })],
    priorityBoost: PriorityBoostConfig.standard(1000),
    pressureThreshold: 5,
    capacity: 100,
    order: 'lifo',
    fairness: 'key',
    keyConcurrency: 2,
    zombieGraceMs: 100,
    maxRecoveries: 1,
    maxDeferrals: 3,
    preempts: true,
    preemptible: true,
    preemptGraceMs: 100,
    breaker: { failureRatio: 0.5 },
    protected: true,
  }
  t.queue.lane('work').configure(change)
  expect(t.recorder.of('queue.lane.configured').map(({ payload }) => payload)).toEqual([
    { lane_id: 'work', options: Object.keys(change) },
  ])
  expect(t.queue.lane('work').status()).toMatchObject({ max: 3, priority: 3, protected: true })
  const back = Object.fromEntries(Object.keys(change).map((key) => [key, undefined])) as Partial<LaneDefinition>
  await t.clock.advance(20)
  t.queue.lane('work').configure({ ...back, priority: 0 })
  await t.clock.advance(1000)
  expect(t.recorder.of('queue.command.completed')).toHaveLength(20)
  expect(t.queue.lane('work').status()).toMatchObject({ max: 4, min: 1, protected: false, effectivePriority: 0 })
  expect(t.clock.timers).toBe(0)
})

test.each<[string, unknown]>([
  ['fairness', 'keys'],
  ['fairness', true],
  ['preempts', 1],
  ['preemptible', 'yes'],
  ['preemptGraceMs', -1],
  ['preemptGraceMs', Number.NaN],
  ['priorityBoost', 5],
  ['priorityBoost', { deadlineMs: 0 }],
  ['priorityBoost', { deadlineMs: 10, boostIntervals: [{ remainingMs: 0, boost: 1 }] }],
  ['priorityBoost', { deadlineMs: 10, boostIntervals: [{ remainingMs: 1, boost: 0.5 }] }],
  ['priorityBoost', { deadlineMs: 10, steps: [] }],
  ['keyConcurrency', 0],
  ['rateLimit', [{ maxCommands: 1 }]],
  ['breaker', { failureRatio: 2 }],
  ['maxDeferrals', -1],
])('a bad %s is refused and changes nothing: %j', async (option, value) => {
  await using t = await setup()
  const before = t.queue.lane('work').status()
  const error = thrownBy(() => t.queue.lane('work').configure({ maxConcurrency: 9, [option]: value }))
  expect(error['code']).toBe('CONFIG_INVALID')
  expect(t.queue.lane('work').status()).toEqual(before)
  expect(await t.queue.submit('work', () => 'still there')).toBe('still there')
})
