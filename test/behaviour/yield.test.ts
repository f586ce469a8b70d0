import type { CommandContext, LaneDefinition } from '@a3s-lab/lane'
import { RateLimitConfig, RetryPolicy } from '@a3s-lab/lane'
import { expect, test } from 'vitest'
import { napping, stopping } from '../support/bodies.js'
import { errorOf, type Setup, setup } from '../support/setup.js'

const high = { priority: 0, minConcurrency: 0 } satisfies LaneDefinition
const low = { priority: 5, minConcurrency: 0 } satisfies LaneDefinition

/** A body that works for a while, yields, and works again; writes down each beginning of a piece. */
const inPieces =
  (t: Pick<Setup, 'notes' | 'sleep'>, name: string, pieces: number, ms = 10) =>
  async (ctx: CommandContext): Promise<string> => {
    for (let piece = 1; piece <= pieces; piece++) {
      t.notes.push(`${name}${piece}`)
      await t.sleep(ms)
      await ctx.yield()
    }
    return name
  }

test('with nobody before it, it goes on at once and keeps its slot', async () => {
  await using t = await setup({ high, low }, { maxConcurrency: 1 })
  const run = t.queue.submit('low', async (ctx) => {
    const before = t.clock.now()
    await ctx.yield()
    return [ctx.attempt, t.clock.now() - before]
  })
  expect(await t.clock.expectSettled(run)).toEqual([1, 0])
  expect(t.recorder.keys()).toEqual(['queue.command.submitted', 'queue.command.started', 'queue.command.completed'])
})

test('a better command takes the slot; the body goes on in place, same attempt, and no event tells of it', async () => {
  await using t = await setup({ high, low }, { maxConcurrency: 1 })
  const run = t.queue.submit('low', inPieces(t, 'low', 2))
  await t.clock.advance(5)
  void t.queue.submit('high', t.noting('high', 20))
  await t.clock.advance(5)
  expect([run.state, t.queue.stats().totalSlots]).toEqual(['pending', 1])
  expect(t.queue.lane('low').status()).toMatchObject({ pending: 1, active: 0, slots: 0 })
  await t.clock.advance(20)
  expect(run.state).toBe('active')
  await t.clock.advance(10)
  expect(await run).toBe('low')
  expect(t.notes).toEqual(['low1', 'high', 'low2'])
  expect(t.recorder.keys(run.id)).toEqual([
    'queue.command.submitted',
    'queue.command.started',
    'queue.command.completed',
  ])
  expect((await t.queue.get(run.id))?.attempt).toBe(1)
})

test('a worse command gets nothing', async () => {
  await using t = await setup({ high, low }, { maxConcurrency: 1 })
  void t.queue.submit('high', inPieces(t, 'high', 2))
  void t.queue.submit('low', t.noting('low'))
  await t.clock.advance(50)
  expect(t.notes).toEqual(['high1', 'high2', 'low'])
})

test('a command of its own lane gets nothing, whatever its priority', async () => {
  await using t = await setup({ low: { maxConcurrency: 1 } })
  void t.queue.submit('low', inPieces(t, 'yields', 2))
  await t.clock.advance(5)
  void t.queue.submit('low', t.noting('urgent'), { priority: 0 })
  await t.clock.advance(50)
  expect(t.notes).toEqual(['yields1', 'yields2', 'urgent'])
})

test('lanes of one priority take turns', async () => {
  await using t = await setup(
    { a: { priority: 1, minConcurrency: 0 }, b: { priority: 1, minConcurrency: 0 } },
    { maxConcurrency: 1 },
  )
  void t.queue.submit('a', inPieces(t, 'a', 3))
  void t.queue.submit('b', inPieces(t, 'b', 3))
  await t.clock.advance(100)
  expect(t.notes).toEqual(['a1', 'b1', 'a2', 'b2', 'a3', 'b3'])
})

test('without a global cap other lanes need no slot of it', async () => {
  await using t = await setup({ high, low })
  const run = t.queue.submit('low', inPieces(t, 'low', 2))
  void t.queue.submit('high', t.noting('high', 100))
  await t.clock.advance(20)
  expect(await t.clock.expectSettled(run)).toBe('low')
  await t.clock.advance(100)
})

test('a better lane that is full or paused gets nothing', async () => {
  await using t = await setup({ high: { ...high, maxConcurrency: 1 }, low }, { maxConcurrency: 2 })
  void t.queue.submit('high', t.takes(100))
  void t.queue.submit('high', t.noting('waits'))
  const one = t.queue.submit('low', inPieces(t, 'low', 1))
  await t.clock.advance(10)
  expect(await t.clock.expectSettled(one)).toBe('low')
  t.queue.lane('high').pause()
  await t.clock.advance(90)
  const two = t.queue.submit('low', inPieces(t, 'low', 1))
  await t.clock.advance(10)
  expect(await t.clock.expectSettled(two)).toBe('low')
  t.queue.lane('high').resume()
  await t.clock.advance(0)
  expect(t.notes).toContain('waits')
})

test('a better lane that is out of tokens gets nothing', async () => {
  await using t = await setup({ high: { ...high, rateLimit: RateLimitConfig.perHour(1) }, low }, { maxConcurrency: 1 })
  await t.queue.submit('high', () => 'takes the token')
  void t.queue.submit('high', t.noting('waits'))
  const run = t.queue.submit('low', inPieces(t, 'low', 2))
  await t.clock.advance(20)
  expect(await t.clock.expectSettled(run)).toBe('low')
  expect(t.notes).toEqual(['low1', 'low2'])
})

test('yielded bodies go on before preempted commands, and these before new ones', async () => {
  await using t = await setup(
    { high: { ...high, preempts: true }, better: { ...high, priority: 1 }, low: { ...low, preemptible: true } },
    { maxConcurrency: 2 },
  )
  void t.queue.submit('low', async (ctx) => {
    t.notes.push('yields 1')
    await napping(t, 10, ctx.signal)
    await ctx.yield()
    t.notes.push('yields 2')
    await t.sleep(10)
  })
  await t.clock.advance(1)
  void t.queue.submit('low', stopping(t, 'preempted', 10))
  await t.clock.advance(1)
  void t.queue.submit('low', t.noting('new', 10), { priority: 0 })
  void t.queue.submit('high', t.takes(50))
  void t.queue.submit('better', t.takes(100))
  await t.clock.advance(10)
  expect(t.notes).toEqual(['yields 1', 'preempted'])
  expect(t.queue.lane('low').status()).toMatchObject({ pending: 3, active: 0 })
  await t.clock.advance(100)
  expect(t.notes.slice(2)).toEqual(['yields 2', 'preempted', 'new'])
})

test('several yielded bodies go on in order of their arrival', async () => {
  await using t = await setup({ high, low }, { maxConcurrency: 3 })
  for (const name of ['a', 'b', 'c']) void t.queue.submit('low', inPieces(t, name, 2))
  await t.clock.advance(5)
  for (let n = 0; n < 3; n++) void t.queue.submit('high', t.takes(10 + n))
  await t.clock.advance(40)
  expect(t.notes).toEqual(['a1', 'b1', 'c1', 'a2', 'b2', 'c2'])
})

test('the time of waiting does not count towards the timeout', async () => {
  await using t = await setup({ high, low: { ...low, timeoutMs: 50 } }, { maxConcurrency: 1 })
  const run = t.queue.submit('low', inPieces(t, 'low', 2, 20))
  await t.clock.advance(5)
  void t.queue.submit('high', t.takes(1000))
  await t.clock.advance(1035)
  expect(await run).toBe('low')
})

test('the timeout goes on where it was', async () => {
  await using t = await setup({ high, low: { ...low, timeoutMs: 50 } }, { maxConcurrency: 1 })
  const run = t.queue.submit('low', inPieces(t, 'low', 2, 30))
  const error = errorOf(run)
  await t.clock.advance(5)
  void t.queue.submit('high', t.takes(1000))
  await t.clock.advance(1044)
  expect(run.state).toBe('active')
  await t.clock.advance(1)
  expect((await error).message).toBe('Command timed out after 50ms')
  await t.clock.advance(20)
})

test('a retry has its whole timeout again, whatever the attempt before has used', async () => {
  await using t = await setup(
    { high, low: { ...low, timeoutMs: 50, retry: RetryPolicy.fixed(1, 0) } },
    { maxConcurrency: 1 },
  )
  const run = t.queue.submit('low', async (ctx) => {
    await t.sleep(40)
    await ctx.yield()
    if (ctx.attempt === 1) throw new Error('again')
    return t.clock.now()
  })
  await t.clock.advance(5)
  void t.queue.submit('high', t.takes(10))
  await t.clock.advance(85)
  expect(await t.clock.expectSettled(run)).toBe(90)
})

test('a cancel reaches it while it waits, as its signal’s reason, at once', async () => {
  await using t = await setup({ high, low }, { maxConcurrency: 1 })
  const seen: unknown[] = []
  const run = t.queue.submit('low', async (ctx) => {
    await t.sleep(10)
    await ctx.yield().catch((why: unknown) => seen.push(why === ctx.signal.reason, t.clock.now()))
  })
  const error = errorOf(run)
  await t.clock.advance(5)
  void t.queue.submit('high', t.takes(100))
  await t.clock.advance(15)
  run.cancel('enough')
  await t.clock.settle()
  expect(await error).toMatchObject({ code: 'COMMAND_CANCELLED', message: 'Command cancelled: enough' })
  expect(seen).toEqual([true, 20])
  expect(t.queue.lane('low').status()).toMatchObject({ pending: 0, active: 0, slots: 0, zombies: 0 })
  expect(t.queue.stats().totalSlots).toBe(1)
})

test.each([
  ['clear', (t: Setup<'high' | 'low'>) => t.queue.lane('low').clear()],
  ['cancelAll', (t: Setup<'high' | 'low'>) => t.queue.lane('low').cancelAll()],
])('%s of its lane reaches it while it waits', async (_which, act) => {
  await using t = await setup({ high, low }, { maxConcurrency: 1 })
  let reason: unknown
  const run = t.queue.submit('low', async (ctx) => {
    await t.sleep(10)
    await ctx.yield().catch((why: unknown) => {
      reason = why
    })
  })
  const error = errorOf(run)
  await t.clock.advance(5)
  void t.queue.submit('high', t.takes(100))
  await t.clock.advance(15)
  expect(act(t)).toBe(1)
  await t.clock.settle()
  expect([(await error)['code'], reason]).toEqual([
    'COMMAND_CANCELLED',
    expect.objectContaining({ code: 'COMMAND_CANCELLED' }),
  ])
})

test('a body that was cancelled while it waited may take its time without a slot', async () => {
  await using t = await setup({ high, low }, { maxConcurrency: 1 })
  const run = t.queue.submit('low', async (ctx) => {
    await t.sleep(10)
    await ctx.yield().catch(() => t.sleep(500))
    return 'too late'
  })
  const error = errorOf(run)
  await t.clock.advance(5)
  void t.queue.submit('high', t.takes(10))
  await t.clock.advance(6)
  run.cancel()
  expect((await error)['code']).toBe('COMMAND_CANCELLED')
  await t.clock.advance(10)
  expect(t.queue.stats().totalSlots).toBe(0)
  expect(await t.clock.expectSettled(t.queue.submit('low', () => 'next'))).toBe('next')
  await t.clock.advance(500)
  expect(run.state).toBe('cancelled')
})

test('once the signal has aborted it rejects with the reason', async () => {
  await using t = await setup(
    { high: { ...high, preempts: true }, low: { ...low, preemptible: true } },
    {
      maxConcurrency: 1,
    },
  )
  const seen: unknown[] = []
  void t.queue.submit('low', async (ctx) => {
    if (seen.length > 0) return
    await t.sleep(10)
    await ctx.yield().catch((error: unknown) => {
      seen.push(error)
      throw error
    })
  })
  await t.clock.advance(5)
  await t.clock.advance(1)
  void t.queue.submit('high', t.noting('high'))
  await t.clock.advance(10)
  expect(seen).toEqual([expect.objectContaining({ code: 'COMMAND_PREEMPTED' })])
  expect(t.notes).toEqual(['high'])
})

test('after the end of the attempt it is nobody’s concern', async () => {
  await using t = await setup({ low: { maxConcurrency: 1 } })
  let ended: CommandContext | undefined
  await t.queue.submit('low', (ctx) => {
    ended = ctx
  })
  expect(await ended?.yield()).toBeUndefined()
  expect(t.queue.stats().totalSlots).toBe(0)
})

test('a paused lane still lets a yielded body go on', async () => {
  await using t = await setup({ high, low }, { maxConcurrency: 1 })
  const run = t.queue.submit('low', inPieces(t, 'low', 2))
  await t.clock.advance(5)
  void t.queue.submit('high', t.takes(20))
  t.queue.lane('low').pause()
  void t.queue.submit('low', t.noting('new'))
  await t.clock.advance(40)
  expect(await t.clock.expectSettled(run)).toBe('low')
  expect(t.notes).toEqual(['low1', 'low2'])
  t.queue.lane('low').resume()
})

test('drain and shutdown wait for a yielded body, and it goes on', async () => {
  await using t = await setup({ high, low }, { maxConcurrency: 1 })
  const run = t.queue.submit('low', inPieces(t, 'low', 2))
  await t.clock.advance(5)
  void t.queue.submit('high', t.takes(50))
  await t.clock.advance(10)
  await t.queue.shutdown()
  const early = errorOf(t.queue.drain(10))
  const drained = t.queue.drain(1000)
  await t.clock.advance(10)
  expect(await early).toMatchObject({ code: 'DRAIN_TIMEOUT', unsettled: expect.arrayContaining([run.id]) as unknown })
  await t.clock.advance(50)
  await drained
  expect(await run).toBe('low')
})

test('close reaches a yielded body as an abort', async () => {
  await using t = await setup({ high, low }, { maxConcurrency: 1 })
  let reason: unknown
  const run = t.queue.submit('low', async (ctx) => {
    await t.sleep(10)
    await ctx.yield().catch((why: unknown) => {
      reason = why
    })
  })
  const error = errorOf(run)
  await t.clock.advance(5)
  void t.queue.submit('high', t.takes(50))
  await t.clock.advance(10)
  const closed = t.queue.close({ timeoutMs: 100 })
  await t.clock.advance(50)
  await closed
  expect((await error).message).toBe('Command cancelled: the queue was closed')
  expect(reason).toMatchObject({ code: 'COMMAND_CANCELLED' })
})

test('a body that waits for its child keeps its slot: the child uses it', async () => {
  await using t = await setup({ high, low }, { maxConcurrency: 1 })
  const run = t.queue.submit('low', async (ctx) => {
    const child = ctx.run('low', t.takes(20, 'child'))
    await t.sleep(10)
    await ctx.yield()
    t.notes.push('did not wait')
    return child
  })
  await t.clock.advance(5)
  void t.queue.submit('high', t.noting('high'))
  await t.clock.advance(5)
  expect(t.notes).toEqual(['did not wait'])
  await t.clock.advance(20)
  expect(await run).toBe('child')
})

test('what was put before it in the order of the queue goes first: reserved lanes below their minimum', async () => {
  await using t = await setup(
    { worker: { priority: 0, minConcurrency: 0 }, reserved: { priority: 9, minConcurrency: 1 } },
    { maxConcurrency: 2 },
  )
  for (const name of ['a', 'b']) void t.queue.submit('worker', inPieces(t, name, 2))
  await t.clock.advance(5)
  void t.queue.submit('reserved', t.noting('reserved', 5))
  await t.clock.advance(10)
  expect(t.notes).toEqual(['a1', 'b1', 'reserved', 'a2', 'b2'])
  await t.clock.advance(50)
  expect(t.queue.stats().totalSlots).toBe(0)
})

test('a cooperative body that yields often lets every better command through', async () => {
  await using t = await setup({ high, low }, { maxConcurrency: 1 })
  const waits: number[] = []
  const run = t.queue.submit('low', inPieces(t, 'low', 50, 2))
  for (let n = 0; n < 20; n++) {
    const at = t.clock.now()
    void t.queue.submit('high', () => void waits.push(t.clock.now() - at))
    await t.clock.advance(5)
  }
  await t.clock.advance(1000)
  expect(await run).toBe('low')
  expect(waits).toHaveLength(20)
  expect(Math.max(...waits)).toBeLessThanOrEqual(2)
})

test('get and list show it once, as pending, beside the preempted and the new ones', async () => {
  await using t = await setup(
    { high: { ...high, preempts: true }, better: { ...high, priority: 1 }, low: { ...low, preemptible: true } },
    { maxConcurrency: 2 },
  )
  const yields = t.queue.submit('low', async (ctx) => {
    await napping(t, 10, ctx.signal)
    await ctx.yield()
  })
  const preempted = t.queue.submit('low', stopping(t, 'preempted', 100))
  await t.clock.advance(1)
  const fresh = t.queue.submit('low', () => 1, { priority: 0 })
  void t.queue.submit('high', t.takes(50))
  void t.queue.submit('better', t.takes(50))
  await t.clock.advance(10)
  const { items } = await t.queue.list({ laneId: 'low' })
  expect(items.map(({ id, state, attempt }) => [id, state, attempt])).toEqual([
    [yields.id, 'pending', 1],
    [preempted.id, 'pending', 1],
    [fresh.id, 'pending', 0],
  ])
  expect((await t.queue.list({ state: 'pending', limit: 2 })).items).toHaveLength(2)
  expect((await t.queue.get(yields.id))?.state).toBe('pending')
  await t.clock.advance(200)
})

test('it counts for the pressure of its lane while it waits', async () => {
  await using t = await setup({ high, low: { ...low, pressureThreshold: 2 } }, { maxConcurrency: 1 })
  void t.queue.submit('low', inPieces(t, 'low', 2))
  await t.clock.advance(1)
  void t.queue.submit('low', () => 'waits')
  void t.queue.submit('high', t.takes(50))
  await t.clock.advance(9)
  expect(t.queue.lane('low').status().pending).toBe(2)
  expect(t.recorder.of('queue.lane.pressure')).toHaveLength(1)
  await t.clock.advance(100)
  expect(t.recorder.of('queue.lane.idle')).toHaveLength(1)
})

test('it waits for room when the lane is made smaller meanwhile', async () => {
  await using t = await setup({ high, low: { ...low, maxConcurrency: 2 } }, { maxConcurrency: 2 })
  const yields = t.queue.submit('low', inPieces(t, 'yields', 2))
  void t.queue.submit('low', t.noting('other', 60))
  await t.clock.advance(5)
  void t.queue.submit('high', t.takes(20))
  await t.clock.advance(10)
  t.queue.lane('low').configure({ maxConcurrency: 1 })
  await t.clock.advance(44)
  expect([yields.state, t.notes]).toEqual(['pending', ['yields1', 'other']])
  await t.clock.advance(1)
  expect(t.notes).toEqual(['yields1', 'other', 'yields2'])
  await t.clock.advance(10)
})
