import {
  type CommandContext,
  type CommandRun,
  discard,
  type FunctionCommand,
  type LaneDefinition,
  type LaneOptions,
  PriorityBoostConfig,
  RateLimitConfig,
  RetryPolicy,
  type SubmitOptions,
  snooze,
} from '@a3s-lab/lane'
import { expect, test } from 'vitest'
import { aborted, napping, slowToStop, stopping } from '../support/bodies.js'
import { errorOf, gate, setup } from '../support/setup.js'

const control = { priority: 0, preempts: true, minConcurrency: 0 } satisfies LaneDefinition
const work = { priority: 5, preemptible: true, minConcurrency: 0 } satisfies LaneDefinition

test('a running command of a lower lane gives its slot to a preempting lane and goes on later', async () => {
  await using t = await setup({ control, work }, { maxConcurrency: 1 })
  const low = t.queue.submit('work', stopping(t, 'low', 100))
  await t.clock.advance(10)
  const high = t.queue.submit('control', t.noting('high', 20))
  await t.clock.settle()
  expect([low.state, high.state]).toEqual(['pending', 'active'])
  await t.clock.advance(20)
  expect([low.state, high.state]).toEqual(['active', 'completed'])
  await t.clock.advance(100)
  expect(await low).toBe('low')
  expect(t.notes).toEqual(['low', 'high', 'low'])
})

test('preempted and resumed are told, and nothing else', async () => {
  await using t = await setup({ control, work }, { maxConcurrency: 1, deadLetters: true })
  const low = t.queue.submit('work', stopping(t, 'low', 100))
  await t.clock.settle()
  await t.queue.submit('control', () => 'high')
  await t.clock.advance(100)
  await low
  const ids = { lane_id: 'work', command_id: low.id }
  expect(t.events(low.id)).toEqual([
    ['queue.command.submitted', ids],
    ['queue.command.started', { ...ids, command_type: 'function' }],
    ['queue.command.preempted', { ...ids, by_lane_id: 'control' }],
    ['queue.command.started', { ...ids, command_type: 'function' }],
    ['queue.command.resumed', ids],
    ['queue.command.completed', ids],
  ])
  expect(await t.queue.deadLetters.size()).toBe(0)
})

test('the signal aborts with COMMAND_PREEMPTED, which names the lane that needs the slot', async () => {
  await using t = await setup({ control, work }, { maxConcurrency: 1 })
  const reasons: unknown[] = []
  void t.queue.submit('work', async (ctx) => {
    if (reasons.length > 0) return
    reasons.push(await aborted(ctx))
    throw reasons[0]
  })
  await t.clock.settle()
  await t.queue.submit('control', () => 1)
  expect(reasons).toEqual([
    expect.objectContaining({
      code: 'COMMAND_PREEMPTED',
      message: "Command preempted by lane 'control'",
      laneId: 'control',
      retryable: false,
    }),
  ])
})

test('a signal that is read for the first time after the preemption is aborted', async () => {
  await using t = await setup({ control, work }, { maxConcurrency: 1 })
  const seen: string[] = []
  void t.queue.submit('work', async (ctx) => {
    if (seen.length > 0) return
    await t.sleep(10)
    seen.push((ctx.signal.reason as { code: string }).code)
    ctx.signal.throwIfAborted()
  })
  await t.clock.settle()
  const high = t.queue.submit('control', () => 'high')
  await t.clock.advance(10)
  expect(await high).toBe('high')
  expect(seen).toEqual(['COMMAND_PREEMPTED'])
})

test('a preempted command keeps its attempt number, also through several preemptions', async () => {
  await using t = await setup({ control, work }, { maxConcurrency: 1 })
  const attempts: number[] = []
  const low = t.queue.submit('work', async (ctx) => {
    attempts.push(ctx.attempt)
    await napping(t, 100, ctx.signal)
    return ctx.attempt
  })
  for (let n = 0; n < 3; n++) {
    await t.clock.advance(10)
    await t.queue.submit('control', () => n)
  }
  await t.clock.advance(100)
  expect(await low).toBe(1)
  expect(attempts).toEqual([1, 1, 1, 1])
  expect(await t.queue.get(low.id)).toMatchObject({ attempt: 1, state: 'completed' })
})

test('a preemption spends no retry and waits for no back-off', async () => {
  await using t = await setup(
    { control, work: { ...work, retry: RetryPolicy.fixed(1, 1000) } },
    { maxConcurrency: 1, deadLetters: true },
  )
  const attempts: number[] = []
  const low = t.queue.submit('work', async (ctx) => {
    attempts.push(ctx.attempt)
    await napping(t, 50, ctx.signal)
    if (ctx.attempt === 1) throw new Error('the first attempt fails')
    return 'done'
  })
  await t.clock.advance(10)
  await t.queue.submit('control', () => 1)
  await t.clock.settle()
  expect(attempts).toEqual([1, 1])
  await t.clock.advance(1050)
  await t.queue.submit('control', () => 2)
  await t.clock.advance(50)
  expect(await low).toBe('done')
  expect(attempts).toEqual([1, 1, 2, 2])
  expect(t.recorder.of('queue.command.retry')).toHaveLength(1)
})

test('the newest command of the lowest lane gives way', async () => {
  await using t = await setup({ control, mid: work, low: { ...work, priority: 9 } }, { maxConcurrency: 4 })
  const runs: CommandRun<string>[] = []
  for (const [lane, name] of [
    ['low', 'low-1'],
    ['low', 'low-2'],
    ['mid', 'mid-1'],
    ['mid', 'mid-2'],
  ] as const) {
    runs.push(t.queue.submit(lane, stopping(t, name, 1000)))
    await t.clock.advance(1)
  }
  const states = (): string[] => runs.map(({ state }) => state)
  for (const expected of [
    ['active', 'pending', 'active', 'active'],
    ['pending', 'pending', 'active', 'active'],
    ['pending', 'pending', 'active', 'pending'],
    ['pending', 'pending', 'pending', 'pending'],
  ]) {
    void t.queue.submit('control', stopping(t, 'high', 5000))
    await t.clock.settle()
    expect(states()).toEqual(expected)
  }
})

test('of two lowest lanes with one priority the newest command of both gives way', async () => {
  await using t = await setup({ control, a: work, b: work }, { maxConcurrency: 2 })
  const older = t.queue.submit('b', stopping(t, 'older', 1000))
  await t.clock.advance(1)
  const newer = t.queue.submit('a', stopping(t, 'newer', 1000))
  await t.clock.advance(1)
  void t.queue.submit('control', stopping(t, 'high', 50))
  await t.clock.settle()
  expect([older.state, newer.state]).toEqual(['active', 'pending'])
})

test('newest is who started last, not who was submitted last', async () => {
  await using t = await setup({ control, work }, { maxConcurrency: 2 })
  const delayed = t.queue.submit('work', stopping(t, 'submitted first, started last', 1000), { delayMs: 10 })
  const other = t.queue.submit('work', stopping(t, 'submitted last, started first', 1000))
  await t.clock.advance(20)
  void t.queue.submit('control', stopping(t, 'high', 50))
  await t.clock.settle()
  expect([delayed.state, other.state]).toEqual(['pending', 'active'])
})

test('a body that yielded and went on is as old as its start', async () => {
  await using t = await setup({ control, better: { priority: 1, minConcurrency: 0 }, work }, { maxConcurrency: 2 })
  const yields = t.queue.submit('work', async (ctx) => {
    await napping(t, 10, ctx.signal)
    await ctx.yield()
    await napping(t, 1000, ctx.signal)
  })
  await t.clock.advance(5)
  const newer = t.queue.submit('work', stopping(t, 'newer', 1000))
  await t.clock.advance(1)
  void t.queue.submit('better', t.takes(10))
  await t.clock.advance(30)
  expect([yields.state, newer.state]).toEqual(['active', 'active'])
  void t.queue.submit('control', stopping(t, 'high', 50))
  await t.clock.settle()
  expect([yields.state, newer.state]).toEqual(['active', 'pending'])
})

test('a lane that holds no more than its reserved slots keeps them: the next lane gives way', async () => {
  await using t = await setup(
    { control, mid: work, low: { ...work, priority: 9, minConcurrency: 1 } },
    { maxConcurrency: 2 },
  )
  const low = t.queue.submit('low', stopping(t, 'low', 1000))
  const mid = t.queue.submit('mid', stopping(t, 'mid', 1000))
  await t.clock.settle()
  const first = t.queue.submit('control', stopping(t, 'first', 1000))
  const second = t.queue.submit('control', stopping(t, 'second', 1000))
  await t.clock.settle()
  expect([low.state, mid.state, first.state, second.state]).toEqual(['active', 'pending', 'active', 'pending'])
})

test('what a lane holds above its reserved slots may be taken, its reserved slots not', async () => {
  await using t = await setup({ control, work: { ...work, minConcurrency: 2 } }, { maxConcurrency: 4 })
  for (let n = 0; n < 4; n++) void t.queue.submit('work', stopping(t, `low-${n}`, 1000))
  await t.clock.settle()
  for (let n = 0; n < 4; n++) void t.queue.submit('control', stopping(t, `high-${n}`, 1000))
  await t.clock.advance(10)
  expect(t.queue.stats().lanes).toMatchObject({
    control: { active: 2, pending: 2 },
    work: { active: 2, pending: 2 },
  })
})

test('one command is asked for each slot that is needed', async () => {
  await using t = await setup({ control, work }, { maxConcurrency: 4 })
  const low = [0, 1, 2, 3].map((n) => t.queue.submit('work', slowToStop(t, `low-${n}`, 1000, 30)))
  await t.clock.settle()
  for (let n = 0; n < 2; n++) void t.queue.submit('control', stopping(t, `high-${n}`, 1000))
  await t.clock.advance(20)
  void t.queue.lane('control').status()
  expect(t.recorder.of('queue.command.preempted')).toEqual([])
  await t.clock.advance(10)
  expect(low.map(({ state }) => state)).toEqual(['active', 'active', 'pending', 'pending'])
  await t.clock.advance(100)
  expect(t.recorder.of('queue.command.preempted')).toHaveLength(2)
})

test('no more are asked than the preempting lane has room for', async () => {
  await using t = await setup({ control: { ...control, maxConcurrency: 1 }, work }, { maxConcurrency: 3 })
  for (let n = 0; n < 3; n++) void t.queue.submit('work', stopping(t, 'low', 1000))
  await t.clock.settle()
  for (let n = 0; n < 3; n++) void t.queue.submit('control', stopping(t, 'high', 100))
  await t.clock.advance(50)
  expect(t.queue.stats().lanes).toMatchObject({ control: { active: 1, pending: 2 }, work: { active: 2, pending: 1 } })
})

test('two preempting lanes each get the slot that was given up for them', async () => {
  await using t = await setup({ control, urgent: { ...control, priority: 1 }, work }, { maxConcurrency: 2 })
  void t.queue.submit('work', slowToStop(t, 'slow', 1000, 50))
  void t.queue.submit('work', slowToStop(t, 'quick', 1000, 10))
  await t.clock.settle()
  void t.queue.submit('urgent', t.noting('urgent', 1000))
  await t.clock.advance(1)
  void t.queue.submit('control', t.noting('control', 1000))
  await t.clock.advance(20)
  expect(t.notes).toEqual(['slow', 'quick', 'urgent'])
  await t.clock.advance(50)
  expect(t.notes).toEqual(['slow', 'quick', 'urgent', 'control'])
  expect(t.recorder.of('queue.command.preempted').map(({ payload }) => payload.by_lane_id)).toEqual([
    'urgent',
    'control',
  ])
})

test('the slot goes to the lane that caused it, whatever else waits', async () => {
  await using t = await setup(
    {
      guard: { priority: 0, protected: true, minConcurrency: 0 },
      better: { priority: 1, minConcurrency: 0 },
      taker: { ...control, priority: 2 },
      work,
    },
    { maxConcurrency: 1 },
  )
  void t.queue.submit('work', slowToStop(t, 'low', 1000, 20))
  await t.clock.settle()
  void t.queue.submit('taker', t.noting('taker', 10))
  await t.clock.advance(10)
  void t.queue.submit('better', t.noting('better', 10))
  void t.queue.submit('guard', t.noting('guard', 10))
  await t.clock.advance(45)
  expect(t.notes).toEqual(['low', 'taker', 'guard', 'better', 'low'])
})

test('a slot that becomes free otherwise meanwhile goes by the usual order, and the one given up is not lost', async () => {
  await using t = await setup({ control, work }, { maxConcurrency: 2 })
  void t.queue.submit('work', t.noting('ends by itself', 15))
  const victim = t.queue.submit('work', slowToStop(t, 'victim', 1000, 30))
  await t.clock.settle()
  void t.queue.submit('control', t.noting('high', 100))
  await t.clock.advance(16)
  expect(t.notes).toEqual(['ends by itself', 'victim', 'high'])
  await t.clock.advance(15)
  expect(victim.state).toBe('active')
  expect(t.notes).toEqual(['ends by itself', 'victim', 'high', 'victim'])
})

test('a preempted command is the next of its lane, before better priorities and older ones', async () => {
  await using t = await setup({ control, work }, { maxConcurrency: 1 })
  void t.queue.submit('work', stopping(t, 'preempted', 10))
  await t.clock.settle()
  void t.queue.submit('work', t.noting('urgent', 1), { priority: 0 })
  void t.queue.submit('work', t.noting('next', 1))
  void t.queue.submit('control', t.noting('high', 1))
  await t.clock.advance(20)
  expect(t.notes).toEqual(['preempted', 'high', 'preempted', 'urgent', 'next'])
})

test('several preempted commands go on in order of their arrival', async () => {
  await using t = await setup({ control, work }, { maxConcurrency: 3 })
  for (const name of ['a', 'b', 'c']) {
    void t.queue.submit('work', stopping(t, name, 1000))
    await t.clock.advance(1)
  }
  for (let n = 0; n < 3; n++) void t.queue.submit('control', t.takes(10 + n))
  void t.queue.submit('work', t.noting('d'))
  await t.clock.advance(30)
  expect(t.notes).toEqual(['a', 'b', 'c', 'a', 'b', 'c'])
})

test('a lifo lane too goes on with its preempted commands first, in order of arrival', async () => {
  await using t = await setup({ control, work: { ...work, order: 'lifo' } }, { maxConcurrency: 2 })
  void t.queue.submit('work', stopping(t, 'a', 1000))
  await t.clock.advance(1)
  void t.queue.submit('work', stopping(t, 'b', 1000))
  await t.clock.advance(1)
  for (let n = 0; n < 2; n++) void t.queue.submit('control', t.takes(10 + n))
  void t.queue.submit('work', t.noting('newest'))
  await t.clock.advance(30)
  expect(t.notes).toEqual(['a', 'b', 'a', 'b'])
})

test('a running timeout goes on where it was: the time without a slot does not count', async () => {
  await using t = await setup({ control, work: { ...work, timeoutMs: 100 } }, { maxConcurrency: 1 })
  const low = t.queue.submit('work', stopping(t, 'low', 1000))
  const error = errorOf(low)
  await t.clock.advance(60)
  void t.queue.submit('control', t.takes(500))
  await t.clock.advance(500)
  expect(low.state).toBe('active')
  await t.clock.advance(39)
  expect(low.state).toBe('active')
  await t.clock.advance(1)
  expect(await error).toMatchObject({ code: 'COMMAND_TIMEOUT', message: 'Command timed out after 100ms' })
})

test('the time that a preempted body takes to stop counts towards its timeout', async () => {
  await using t = await setup({ control, work: { ...work, timeoutMs: 100 } }, { maxConcurrency: 1 })
  const low = t.queue.submit('work', slowToStop(t, 'low', 1000, 30))
  const error = errorOf(low)
  await t.clock.advance(60)
  void t.queue.submit('control', t.takes(10))
  await t.clock.advance(40)
  expect(low.state).toBe('active')
  await t.clock.advance(9)
  expect(low.state).toBe('active')
  await t.clock.advance(1)
  expect((await error).message).toBe('Command timed out after 100ms')
})

test('the next attempt has its whole timeout again', async () => {
  await using t = await setup(
    { control, work: { ...work, timeoutMs: 100, retry: RetryPolicy.fixed(1, 0) } },
    { maxConcurrency: 1 },
  )
  const low = t.queue.submit('work', async (ctx) => {
    await napping(t, ctx.attempt === 1 ? 1000 : 99, ctx.signal)
    return 'in time'
  })
  await t.clock.advance(60)
  await t.queue.submit('control', () => 1)
  await t.clock.advance(40)
  expect(low.state).toBe('active')
  await t.clock.advance(99)
  expect(await low).toBe('in time')
})

test('a timeout that passes while the body is asked to stop ends it as timed out', async () => {
  await using t = await setup({ control, work: { ...work, timeoutMs: 50 } }, { maxConcurrency: 1 })
  const low = t.queue.submit('work', slowToStop(t, 'low', 1000, 100))
  const error = errorOf(low)
  await t.clock.advance(40)
  const high = t.queue.submit('control', t.noting('high', 10))
  await t.clock.advance(10)
  expect((await error).message).toBe('Command timed out after 50ms')
  expect(high.state).toBe('pending')
  await t.clock.advance(100)
  expect(await high).toBe('high')
  expect(t.recorder.of('queue.command.preempted')).toEqual([])
})

test('a value that comes after the abort counts', async () => {
  await using t = await setup({ control, work }, { maxConcurrency: 1 })
  const low = t.queue.submit('work', async (ctx) => {
    await aborted(ctx)
    await t.sleep(5)
    return 'done in spite of it'
  })
  await t.clock.settle()
  const high = t.queue.submit('control', () => 'high')
  await t.clock.advance(5)
  expect(await low).toBe('done in spite of it')
  expect(await high).toBe('high')
  expect(t.recorder.keys(low.id)).toEqual([
    'queue.command.submitted',
    'queue.command.started',
    'queue.command.completed',
  ])
})

test('an outcome that comes after the abort counts', async () => {
  await using t = await setup({ control, work }, { maxConcurrency: 2 })
  const putOff = t.queue.submit('work', async (ctx) => {
    if (ctx.attempt === 2) return 'later'
    await aborted(ctx)
    return snooze(50)
  })
  const given = t.queue.submit('work', async (ctx) => {
    await aborted(ctx)
    return discard('not needed')
  })
  const error = errorOf(given)
  await t.clock.settle()
  for (let n = 0; n < 2; n++) void t.queue.submit('control', () => n)
  await t.clock.advance(50)
  expect(await putOff).toBe('later')
  expect((await error).message).toBe('Command cancelled: not needed')
  expect(t.recorder.of('queue.command.preempted')).toEqual([])
})

test('a body that rejects with another error after the abort counts as preempted', async () => {
  await using t = await setup({ control, work }, { maxConcurrency: 1, deadLetters: true })
  const low = t.queue.submit('work', async (ctx) => {
    t.notes.push('begins')
    if (t.notes.length > 1) return 'second time'
    await aborted(ctx)
    throw new Error('connection lost while stopping')
  })
  await t.clock.settle()
  await t.queue.submit('control', () => 1)
  expect(await low).toBe('second time')
  expect(t.recorder.keys(low.id)).toContain('queue.command.preempted')
  expect(await t.queue.get(low.id)).not.toHaveProperty('history')
  expect(await t.queue.deadLetters.size()).toBe(0)
})

test('a preempted command can be cancelled while it waits', async () => {
  await using t = await setup({ control, work }, { maxConcurrency: 1 })
  const low = t.queue.submit('work', stopping(t, 'low', 1000))
  const error = errorOf(low)
  await t.clock.settle()
  const high = t.queue.submit('control', t.takes(10))
  await t.clock.settle()
  expect(low.cancel('not needed any more')).toBe(true)
  expect((await error).message).toBe('Command cancelled: not needed any more')
  await t.clock.advance(10)
  await high
  expect(t.notes).toEqual(['low'])
  expect(t.queue.lane('work').status()).toMatchObject({ pending: 0, active: 0, zombies: 0 })
})

test('a command that is asked to stop can be cancelled: it is answered at once, and its slot goes on as promised', async () => {
  await using t = await setup(
    { better: { priority: 0, minConcurrency: 0 }, control: { ...control, priority: 1 }, work },
    {
      maxConcurrency: 1,
    },
  )
  const low = t.queue.submit('work', slowToStop(t, 'low', 1000, 50))
  const error = errorOf(low)
  await t.clock.settle()
  void t.queue.submit('control', t.noting('control', 10))
  await t.clock.advance(10)
  void t.queue.submit('better', t.noting('better', 10))
  low.cancel()
  expect((await error)['code']).toBe('COMMAND_CANCELLED')
  expect(t.queue.lane('work').status().zombies).toBe(1)
  await t.clock.advance(55)
  expect(t.notes).toEqual(['low', 'control', 'better'])
  expect(t.recorder.of('queue.command.preempted')).toEqual([])
})

test('a deaf body is reported once, and another one is asked', async () => {
  await using t = await setup({ control, work: { ...work, preemptGraceMs: 100 } }, { maxConcurrency: 2 })
  const stops = t.queue.submit('work', stopping(t, 'stops', 10_000))
  const deaf = t.queue.submit('work', t.noting('deaf', 10_000))
  await t.clock.settle()
  const high = t.queue.submit('control', t.noting('high', 1000))
  await t.clock.advance(99)
  expect([t.faults, high.state]).toEqual([[], 'pending'])
  await t.clock.advance(1)
  const text = 'The handler of function did not stop within 100ms of its preemption; it keeps its slot'
  expect(t.faults).toEqual([expect.objectContaining({ message: text })])
  expect(t.recorder.of('queue.fault').map(({ payload }) => payload)).toEqual([
    { error: text, lane_id: 'work', command_id: deaf.id },
  ])
  expect([deaf.state, stops.state, high.state]).toEqual(['active', 'pending', 'active'])
  await t.clock.advance(20_000)
  expect(await deaf).toBe('deaf')
  expect(t.faults).toHaveLength(1)
  expect(t.recorder.of('queue.command.preempted')).toHaveLength(1)
})

test('a deaf body is counted once: its end gives one slot', async () => {
  await using t = await setup({ control, work: { ...work, preemptGraceMs: 10 } }, { maxConcurrency: 1 })
  const deaf = t.queue.submit('work', t.noting('deaf', 100))
  void t.queue.submit('work', t.noting('next', 100))
  await t.clock.settle()
  void t.queue.submit('control', t.noting('high', 50))
  await t.clock.advance(100)
  expect(await deaf).toBe('deaf')
  expect(t.notes).toEqual(['deaf', 'high'])
  expect(t.queue.stats().totalSlots).toBe(1)
  await t.clock.advance(50)
  expect(t.notes).toEqual(['deaf', 'high', 'next'])
  expect(t.faults).toHaveLength(1)
})

test('the grace is 5,000 ms by default', async () => {
  await using t = await setup({ control, work }, { maxConcurrency: 1 })
  void t.queue.submit('work', t.takes(6000))
  await t.clock.settle()
  void t.queue.submit('control', () => 1)
  await t.clock.advance(4999)
  expect(t.faults).toEqual([])
  await t.clock.advance(1)
  expect(t.faults).toHaveLength(1)
  await t.clock.advance(1000)
})

test('a body that stops within its grace is not reported', async () => {
  await using t = await setup({ control, work: { ...work, preemptGraceMs: 100 } }, { maxConcurrency: 1 })
  void t.queue.submit('work', slowToStop(t, 'low', 1000, 99))
  await t.clock.settle()
  void t.queue.submit('control', t.takes(200))
  await t.clock.advance(250)
  expect(t.faults).toEqual([])
})

test('a lane that does not preempt waits', async () => {
  await using t = await setup({ control: { ...control, preempts: false }, work }, { maxConcurrency: 1 })
  const low = t.queue.submit('work', stopping(t, 'low', 100))
  await t.clock.settle()
  void t.queue.submit('control', t.noting('high'))
  await t.clock.advance(100)
  expect(await low).toBe('low')
  expect(t.notes).toEqual(['low', 'high'])
})

test('a lane that is not preemptible keeps its slots', async () => {
  await using t = await setup({ control, work: { ...work, preemptible: false } }, { maxConcurrency: 1 })
  const low = t.queue.submit('work', stopping(t, 'low', 100))
  await t.clock.settle()
  void t.queue.submit('control', t.noting('high'))
  await t.clock.advance(100)
  expect(await low).toBe('low')
})

test('the built-in lanes neither preempt nor are preempted', async () => {
  const { defaultLanes } = await import('@a3s-lab/lane')
  await using t = await setup(defaultLanes(), { maxConcurrency: 2 })
  for (let n = 0; n < 2; n++) void t.queue.submit('prompt', stopping(t, 'prompt', 100))
  await t.clock.settle()
  for (let n = 0; n < 2; n++) void t.queue.submit('system', t.noting('system', 100))
  await t.clock.advance(99)
  expect(t.recorder.of('queue.command.preempted')).toEqual([])
  expect(t.notes).toContain('prompt')
})

test.each([
  ['the same', 5],
  ['a better', 4],
])('a lane of %s priority is no victim', async (_which, priority) => {
  await using t = await setup(
    { taker: { ...control, priority: 5 }, work: { ...work, priority } },
    { maxConcurrency: 1 },
  )
  const other = t.queue.submit('work', stopping(t, 'other', 100))
  await t.clock.settle()
  void t.queue.submit('taker', t.noting('taker'))
  await t.clock.advance(50)
  expect(other.state).toBe('active')
  await t.clock.advance(50)
  expect(t.notes).toEqual(['other', 'taker'])
})

test('nothing is preempted while a slot is free', async () => {
  await using t = await setup({ control, work }, { maxConcurrency: 2 })
  const low = t.queue.submit('work', stopping(t, 'low', 100))
  await t.clock.settle()
  void t.queue.submit('control', t.noting('high', 50))
  await t.clock.advance(100)
  expect(await low).toBe('low')
  expect(t.notes).toEqual(['low', 'high'])
})

test('without a global cap there is nothing to preempt', async () => {
  await using t = await setup({ control: { ...control, maxConcurrency: 1 }, work: { ...work, maxConcurrency: 1 } })
  const low = t.queue.submit('work', stopping(t, 'low', 100))
  for (let n = 0; n < 3; n++) void t.queue.submit('control', t.takes(10))
  await t.clock.advance(100)
  expect(await low).toBe('low')
  expect(t.recorder.of('queue.command.preempted')).toEqual([])
})

test('a lane at its own maximum does not preempt', async () => {
  await using t = await setup({ control: { ...control, maxConcurrency: 1 }, work }, { maxConcurrency: 2 })
  void t.queue.submit('control', t.takes(100))
  const low = t.queue.submit('work', stopping(t, 'low', 100))
  await t.clock.settle()
  void t.queue.submit('control', t.takes(10))
  await t.clock.advance(99)
  expect(low.state).toBe('active')
})

test('a paused lane does not preempt until it is resumed', async () => {
  await using t = await setup({ control, work }, { maxConcurrency: 1 })
  const low = t.queue.submit('work', stopping(t, 'low', 1000))
  t.queue.lane('control').pause()
  void t.queue.submit('control', t.noting('high', 10))
  await t.clock.advance(100)
  expect(low.state).toBe('active')
  t.queue.lane('control').resume()
  await t.clock.settle()
  expect([t.notes, low.state]).toEqual([['low', 'high'], 'pending'])
})

test('a lane that is out of tokens does not preempt until it has one', async () => {
  await using t = await setup(
    { control: { ...control, rateLimit: RateLimitConfig.perSecond(1) }, work },
    { maxConcurrency: 1 },
  )
  await t.queue.submit('control', () => 'takes the token')
  const low = t.queue.submit('work', stopping(t, 'low', 10_000))
  await t.clock.advance(10)
  void t.queue.submit('control', t.noting('high', 10))
  await t.clock.advance(989)
  expect(low.state).toBe('active')
  await t.clock.advance(1)
  expect([t.notes, low.state]).toEqual([['low', 'high'], 'pending'])
})

test('several waiting commands of a rate-limited lane are all served by preemption', async () => {
  await using t = await setup(
    { control: { ...control, rateLimit: RateLimitConfig.perSecond(2) }, work },
    { maxConcurrency: 3 },
  )
  for (let n = 0; n < 3; n++) void t.queue.submit('work', stopping(t, 'low', 10_000))
  await t.clock.settle()
  for (let n = 0; n < 3; n++) void t.queue.submit('control', stopping(t, 'high', 10_000))
  await t.clock.advance(499)
  expect(t.queue.stats().lanes).toMatchObject({ control: { active: 2, pending: 1 }, work: { active: 1, pending: 2 } })
  await t.clock.advance(1)
  expect(t.queue.stats().lanes).toMatchObject({ control: { active: 3 }, work: { active: 0, pending: 3 } })
})

test('a boost makes no lane able to preempt a better one', async () => {
  await using t = await setup(
    {
      work: { ...work, priority: 3 },
      taker: { ...control, priority: 5, priorityBoost: PriorityBoostConfig.standard(100) },
    },
    { maxConcurrency: 1 },
  )
  const running = t.queue.submit('work', stopping(t, 'running', 1000))
  await t.clock.settle()
  void t.queue.submit('taker', t.noting('overdue'))
  await t.clock.advance(999)
  expect(t.queue.lane('taker').status().effectivePriority).toBe(0)
  expect(running.state).toBe('active')
  await t.clock.advance(1)
  expect(t.notes).toEqual(['running', 'overdue'])
})

test('a boost saves no lane from being preempted', async () => {
  await using t = await setup(
    { control: { ...control, priority: 3 }, work: { ...work, priorityBoost: PriorityBoostConfig.standard(100) } },
    { maxConcurrency: 1 },
  )
  const first = t.queue.submit('work', stopping(t, 'running', 1000))
  void t.queue.submit('work', t.noting('overdue', 10))
  await t.clock.advance(500)
  expect(t.queue.lane('work').status().effectivePriority).toBe(0)
  void t.queue.submit('control', t.noting('high', 10))
  await t.clock.settle()
  expect([t.notes, first.state]).toEqual([['running', 'high'], 'pending'])
})

test('a body that waits for its child is no victim, nor is the child in its place', async () => {
  await using t = await setup({ control, work }, { maxConcurrency: 1 })
  const parent = t.queue.submit('work', (ctx) => ctx.run('work', stopping(t, 'child', 100)))
  await t.clock.settle()
  void t.queue.submit('control', t.noting('high'))
  await t.clock.advance(100)
  expect(await parent).toBe('child')
  expect(t.notes).toEqual(['child', 'high'])
})

test('an older body gives way when the newest waits for its child', async () => {
  await using t = await setup({ control, work }, { maxConcurrency: 2 })
  const older = t.queue.submit('work', stopping(t, 'older', 1000))
  await t.clock.advance(1)
  const parent = t.queue.submit('work', (ctx) => ctx.run('work', t.takes(1000)))
  await t.clock.advance(1)
  void t.queue.submit('control', t.noting('high', 10))
  await t.clock.settle()
  expect([older.state, parent.state]).toEqual(['pending', 'active'])
  await t.clock.advance(10)
})

test('a parent is a victim again when its child has ended', async () => {
  await using t = await setup({ control, work }, { maxConcurrency: 1 })
  const parent = t.queue.submit('work', async (ctx) => {
    await ctx.run('work', t.takes(10))
    await napping(t, 1000, ctx.signal)
  })
  await t.clock.advance(5)
  void t.queue.submit('control', t.noting('high', 10))
  await t.clock.advance(5)
  expect([parent.state, t.notes]).toEqual(['pending', ['high']])
})

test('a zombie is no victim: it has been asked to stop already', async () => {
  await using t = await setup({ control, work }, { maxConcurrency: 2 })
  const other = t.queue.submit('work', stopping(t, 'other', 1000))
  const zombie = t.queue.submit('work', t.takes(500))
  await t.clock.settle()
  zombie.cancel()
  await errorOf(zombie)
  void t.queue.submit('control', t.noting('high', 10))
  await t.clock.settle()
  expect([other.state, t.notes]).toEqual(['pending', ['other', 'high']])
  await t.clock.advance(500)
})

test('the children of a preempted command go on', async () => {
  await using t = await setup({ control, work, other: { priority: 9, minConcurrency: 0 } }, { maxConcurrency: 2 })
  const child = gate<string>()
  const parent = t.queue.submit('work', async (ctx) => {
    if (t.notes.push('parent') === 1) void ctx.queue.submit('other', () => child.promise, { id: 'child' })
    await napping(t, 1000, ctx.signal)
  })
  await t.clock.settle()
  void t.queue.submit('control', t.takes(10))
  await t.clock.settle()
  expect([parent.state, (await t.queue.get('child'))?.state]).toEqual(['pending', 'active'])
  child.open('ended by itself')
  await t.clock.settle()
  expect(await t.queue.get('child')).toMatchObject({ state: 'completed', result: 'ended by itself' })
})

test('a taker that is cancelled meanwhile leaves the slot to the others', async () => {
  await using t = await setup({ control, work }, { maxConcurrency: 1 })
  const low = t.queue.submit('work', slowToStop(t, 'low', 100, 20))
  await t.clock.settle()
  const high = t.queue.submit('control', t.noting('high'))
  await t.clock.advance(10)
  high.cancel()
  await errorOf(high)
  await t.clock.advance(10)
  expect([low.state, t.notes]).toEqual(['active', ['low', 'low']])
  await t.clock.advance(100)
  expect(await low).toBe('low')
})

test('a preempting lane may be preempted itself, lowest lane first', async () => {
  await using t = await setup(
    { top: control, middle: { ...control, priority: 3, preemptible: true }, work },
    { maxConcurrency: 1 },
  )
  void t.queue.submit('work', stopping(t, 'work', 100))
  await t.clock.settle()
  void t.queue.submit('middle', stopping(t, 'middle', 100))
  await t.clock.settle()
  void t.queue.submit('top', stopping(t, 'top', 100))
  await t.clock.advance(300)
  expect(t.notes).toEqual(['work', 'middle', 'top', 'middle', 'work'])
  expect(t.recorder.of('queue.command.preempted').map(({ payload }) => payload.by_lane_id)).toEqual(['middle', 'top'])
})

test('two lanes that preempt and are preemptible never take a slot from each other in turn', async () => {
  await using t = await setup(
    { a: { ...control, preemptible: true, priority: 1 }, b: { ...control, preemptible: true, priority: 2 } },
    { maxConcurrency: 1 },
  )
  for (let n = 0; n < 3; n++) {
    void t.queue.submit('b', stopping(t, `b${n}`, 10))
    await t.clock.advance(5)
    void t.queue.submit('a', stopping(t, `a${n}`, 10))
    await t.clock.advance(5)
  }
  await t.clock.advance(100)
  expect(t.recorder.of('queue.command.preempted').map(({ payload }) => payload.by_lane_id)).not.toContain('b')
  expect(t.recorder.of('queue.command.completed')).toHaveLength(6)
})

test('reserved slots that others were lent come back by preemption at once', async () => {
  await using t = await setup(
    { owner: { priority: 5, minConcurrency: 2, preempts: true }, work: { ...work, priority: 7 } },
    { maxConcurrency: 3 },
  )
  for (let n = 0; n < 3; n++) void t.queue.submit('work', stopping(t, 'low', 1000))
  await t.clock.settle()
  for (let n = 0; n < 2; n++) void t.queue.submit('owner', stopping(t, 'owner', 1000))
  await t.clock.settle()
  expect(t.queue.stats().lanes).toMatchObject({ owner: { active: 2 }, work: { active: 1, pending: 2 } })
})

test('a protected lane that lends does so only to work that can be told to give a slot back', async () => {
  await using t = await setup(
    {
      control: { ...control, protected: true, lend: true, minConcurrency: 1 },
      fixed: { priority: 3, minConcurrency: 0 },
      work,
    },
    { maxConcurrency: 2 },
  )
  for (let n = 0; n < 2; n++) void t.queue.submit('fixed', t.noting('fixed', 100))
  await t.clock.settle()
  expect(t.queue.stats().lanes).toMatchObject({ fixed: { active: 1, pending: 1 } })
  const low = t.queue.submit('work', stopping(t, 'low', 1000))
  await t.clock.settle()
  expect(low.state).toBe('active')
  const high = t.queue.submit('control', t.noting('high', 10))
  await t.clock.settle()
  expect([low.state, high.state]).toEqual(['pending', 'active'])
})

test('a protected lane that does not lend starts at once with every other slot busy', async () => {
  await using t = await setup(
    { control: { priority: 0, protected: true, minConcurrency: 1 }, work: { ...work, preemptible: false } },
    { maxConcurrency: 2 },
  )
  for (let n = 0; n < 3; n++) void t.queue.submit('work', t.takes(100))
  await t.clock.settle()
  expect(t.queue.lane('work').status().active).toBe(1)
  const high = t.queue.submit('control', () => 'at once')
  await t.clock.settle()
  expect(high.state).toBe('completed')
})

test('drain waits for what was preempted', async () => {
  await using t = await setup({ control, work }, { maxConcurrency: 1 })
  const low = t.queue.submit('work', stopping(t, 'low', 50))
  await t.clock.advance(10)
  void t.queue.submit('control', t.takes(100))
  await t.clock.settle()
  const early = errorOf(t.queue.drain(20))
  const drained = t.queue.drain(10_000)
  await t.clock.advance(20)
  expect(await early).toMatchObject({ code: 'DRAIN_TIMEOUT', unsettled: expect.arrayContaining([low.id]) as unknown })
  await t.clock.advance(130)
  await drained
  expect(low.state).toBe('completed')
})

test('a shut down queue still goes on with what was preempted', async () => {
  await using t = await setup({ control, work }, { maxConcurrency: 1 })
  const low = t.queue.submit('work', stopping(t, 'low', 50))
  await t.clock.settle()
  void t.queue.submit('control', t.takes(10))
  await t.clock.settle()
  await t.queue.shutdown()
  await t.clock.advance(60)
  expect(await low).toBe('low')
  expect(t.recorder.keys().at(-1)).toBe('queue.shutdown.complete')
})

test('no timer is left of a preemption', async () => {
  await using t = await setup({ control, work: { ...work, timeoutMs: 1000 } }, { maxConcurrency: 1 })
  const low = t.queue.submit('work', stopping(t, 'low', 50))
  await t.clock.settle()
  await t.queue.submit('control', () => 1)
  await t.clock.advance(50)
  await low
  expect(t.clock.timers).toBe(0)
})

test('a long generation keeps its partial text across three preemptions', async () => {
  await using t = await setup({ control, work }, { maxConcurrency: 1 })
  const words = ['never', 'start', 'what', 'cannot', 'be', 'stopped']
  const generated: string[] = []
  const generate: FunctionCommand<string> = async (ctx: CommandContext) => {
    let text = (ctx.restored as string[] | undefined) ?? []
    for (const word of words.slice(text.length)) {
      await napping(t, 100, ctx.signal)
      generated.push(word)
      text = [...text, word]
      await ctx.checkpoint(text)
    }
    return text.join(' ')
  }
  const run = t.queue.submit('work', generate)
  for (let n = 0; n < 3; n++) {
    await t.clock.advance(150)
    await t.queue.submit('control', () => 'pause')
  }
  await t.clock.advance(1000)
  expect(await run).toBe(words.join(' '))
  expect(generated).toEqual(words)
  expect(t.recorder.of('queue.command.resumed')).toHaveLength(3)
})

test('a preempted command counts for the pressure of its lane', async () => {
  await using t = await setup({ control, work: { ...work, pressureThreshold: 1 } }, { maxConcurrency: 1 })
  void t.queue.submit('work', stopping(t, 'low', 50))
  await t.clock.settle()
  t.recorder.clear()
  void t.queue.submit('control', t.takes(10))
  await t.clock.advance(100)
  const lane = t.recorder.keys().filter((key) => key === 'queue.lane.pressure' || key === 'queue.lane.idle')
  expect(lane).toEqual(['queue.lane.pressure', 'queue.lane.idle'])
})

test('a preempted command waits in a paused lane, and in one that is out of room', async () => {
  await using t = await setup({ control, work }, { maxConcurrency: 1 })
  const low = t.queue.submit('work', stopping(t, 'low', 50))
  await t.clock.settle()
  void t.queue.submit('control', t.takes(10))
  await t.clock.settle()
  t.queue.lane('work').pause()
  await t.clock.advance(100)
  expect([low.state, t.queue.stats().totalSlots]).toEqual(['pending', 0])
  t.queue.lane('work').resume()
  await t.clock.advance(50)
  expect(await low).toBe('low')
})

test('whoever reads the progress of a preempted command goes on reading', async () => {
  await using t = await setup({ control, work }, { maxConcurrency: 1 })
  const low = t.queue.submit('work', async (ctx) => {
    const from = (ctx.restored as number | undefined) ?? 0
    for (let n = from + 1; n <= 3; n++) {
      await napping(t, 10, ctx.signal)
      ctx.progress(n)
      await ctx.checkpoint(n)
    }
  })
  const seen: unknown[] = []
  const read = (async () => {
    for await (const value of low.progress()) seen.push(value)
  })()
  await t.clock.advance(15)
  await t.queue.submit('control', () => 1)
  await t.clock.advance(100)
  await read
  expect(seen).toEqual([1, 2, 3])
})

test('a preempted command has its logs and failures in one record', async () => {
  await using t = await setup({ control, work: { ...work, retry: RetryPolicy.fixed(1, 0) } }, { maxConcurrency: 1 })
  const low = t.queue.submit('work', async (ctx) => {
    ctx.log(`begins ${ctx.attempt}`)
    await napping(t, 20, ctx.signal)
    if (ctx.attempt === 1) throw new Error('first')
  })
  await t.clock.advance(5)
  await t.queue.submit('control', () => 1)
  await t.clock.advance(100)
  const record = await t.queue.get(low.id)
  expect(record?.logs?.map(({ attempt, line }) => `${attempt} ${line}`)).toEqual([
    '1 begins 1',
    '1 begins 1',
    '2 begins 2',
  ])
  expect(record?.history?.map(({ attempt, error }) => `${attempt} ${error}`)).toEqual(['1 first'])
})

test('a preempted child goes on in the place of its waiting parent', async () => {
  await using t = await setup(
    { control, work: { ...work, maxConcurrency: 1 }, children: { ...work, priority: 7 } },
    { maxConcurrency: 2 },
  )
  const starts: number[] = []
  const parent = t.queue.submit('work', (ctx) =>
    ctx.run('children', async (child) => {
      starts.push(child.attempt)
      const from = (child.restored as number | undefined) ?? 0
      await child.checkpoint(from + 1)
      await napping(t, 50, child.signal)
      return `child ${from + 1}`
    }),
  )
  await t.clock.advance(10)
  const high = t.queue.submit('control', t.takes(200, 'high'))
  await t.clock.settle()
  expect([high.state, starts]).toEqual(['active', [1, 1]])
  expect(t.queue.stats().totalSlots).toBe(2)
  await t.clock.advance(50)
  expect(await t.clock.expectSettled(parent)).toBe('child 2')
  await t.clock.advance(150)
  expect(await high).toBe('high')
})

test('a child of a preempting lane runs in the place of its parent and preempts nobody', async () => {
  await using t = await setup({ control, work }, { maxConcurrency: 2 })
  const other = t.queue.submit('work', stopping(t, 'other', 100))
  const parent = t.queue.submit('work', (ctx) => ctx.run('control', t.takes(10, 'child')))
  await t.clock.advance(10)
  expect(await t.clock.expectSettled(parent)).toBe('child')
  expect(other.state).toBe('active')
  expect(t.recorder.of('queue.command.preempted')).toEqual([])
  await t.clock.advance(100)
})

async function threeAskAtOnce(options: LaneOptions, submitted: SubmitOptions): Promise<number> {
  await using t = await setup({ control: { ...control, ...options }, work }, { maxConcurrency: 3 })
  for (let n = 0; n < 3; n++) void t.queue.submit('work', slowToStop(t, 'low', 1000, 20))
  await t.clock.settle()
  for (let n = 0; n < 3; n++) void t.queue.submit('control', stopping(t, 'high', 1000), submitted)
  await t.clock.advance(20)
  return t.queue.lane('control').status().active
}

test('every waiting command asks for its slot at once', async () => {
  expect(await threeAskAtOnce({}, {})).toBe(3)
})

test.each<[string, LaneOptions, SubmitOptions]>([
  ['a rate limit', { rateLimit: RateLimitConfig.perSecond(100) }, {}],
  ['keys', { fairness: 'key', keyConcurrency: 5 }, { key: 'a' }],
  ['a deadline', {}, { deadlineMs: 1000 }],
])('every waiting command asks for its slot at once in a lane with %s', async (_what, options, submitted) => {
  expect(await threeAskAtOnce(options, submitted)).toBe(3)
})

test('a lane asks for no more slots than its tokens or its keys allow', async () => {
  await using t = await setup(
    {
      control: { ...control, rateLimit: RateLimitConfig.perHour(1) },
      keyed: { ...control, keyConcurrency: 1 },
      work,
    },
    { maxConcurrency: 6 },
  )
  for (let n = 0; n < 6; n++) void t.queue.submit('work', slowToStop(t, 'low', 1000, 20))
  for (let n = 0; n < 2; n++) void t.queue.submit('work', slowToStop(t, 'low', 1000, 20))
  t.queue.lane('work').configure({ maxConcurrency: 6 })
  await t.clock.settle()
  expect(t.queue.lane('work').status().active).toBe(6)
  for (let n = 0; n < 3; n++) {
    void t.queue.submit('control', stopping(t, 'high', 1000))
    void t.queue.submit('keyed', stopping(t, 'keyed', 1000), { key: 'a' })
  }
  await t.clock.advance(100)
  expect(t.queue.stats().lanes).toMatchObject({ control: { active: 1 }, keyed: { active: 1 }, work: { active: 4 } })
  expect(t.recorder.of('queue.command.preempted')).toHaveLength(2)
})

test.each<[string, LaneOptions, readonly SubmitOptions[], number]>([
  [
    'tokens for the first two',
    { rateLimit: RateLimitConfig.perHour(100, { unit: 'tokens' }) },
    [{ cost: 60 }, { cost: 40 }, { cost: 10 }],
    2,
  ],
  [
    'tokens for the first, and for the third but not the second',
    { rateLimit: RateLimitConfig.perHour(100, { unit: 'tokens' }) },
    [{ cost: 60 }, { cost: 60 }, { cost: 10 }],
    1,
  ],
  ['places for two of its keys', { keyConcurrency: 1 }, [{ key: 'a' }, { key: 'a' }, { key: 'b' }], 2],
  ['places for all, one without a key', { keyConcurrency: 1 }, [{ key: 'a' }, {}, { key: 'b' }], 3],
  ['room for two', { maxConcurrency: 2, keyConcurrency: 1 }, [{ key: 'a' }, { key: 'b' }, { key: 'c' }], 2],
  [
    'one place of a key and two tokens',
    { keyConcurrency: 1, rateLimit: RateLimitConfig.perHour(2) },
    [{ key: 'a' }, { key: 'b' }, { key: 'c' }],
    2,
  ],
  ['a closed breaker', { breaker: { failureRatio: 1 } }, [{}, {}, {}], 3],
])('no body is stopped in vain by a lane that has %s', async (_what, options, submitted, expected) => {
  await using t = await setup({ control: { ...control, ...options }, work }, { maxConcurrency: 4 })
  for (let n = 0; n < 4; n++) void t.queue.submit('work', slowToStop(t, 'low', 1000, 20))
  await t.clock.settle()
  for (const one of submitted) void t.queue.submit('control', stopping(t, 'high', 1000), one)
  await t.clock.advance(500)
  expect(t.queue.lane('control').status().active).toBe(expected)
  expect(t.recorder.of('queue.command.preempted')).toHaveLength(expected)
  expect(t.queue.lane('work').status().active).toBe(4 - expected)
})

test('a timeout adds up over yields and preemptions', async () => {
  await using t = await setup(
    { control, better: { priority: 1, minConcurrency: 0 }, work: { ...work, timeoutMs: 100 } },
    { maxConcurrency: 1 },
  )
  const low = t.queue.submit('work', async (ctx) => {
    if (ctx.restored === undefined) {
      await napping(t, 30, ctx.signal)
      await ctx.yield()
      await ctx.checkpoint('yielded')
    }
    await napping(t, 1000, ctx.signal)
  })
  const error = errorOf(low)
  await t.clock.advance(10)
  void t.queue.submit('better', t.takes(500))
  await t.clock.advance(550)
  // 30 ms before the yield, 30 ms since 530
  void t.queue.submit('control', t.takes(300))
  await t.clock.advance(10)
  expect(low.state).toBe('pending')
  await t.clock.advance(290 + 39)
  expect(low.state).toBe('active')
  await t.clock.advance(1)
  expect((await error).message).toBe('Command timed out after 100ms')
})
