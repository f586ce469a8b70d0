import { type DedupeOptions, defineCommand, RetryPolicy, type StandardSchema } from '@a3s-lab/lane'
import { describe, expect, test } from 'vitest'
import { stopping } from '../support/bodies.js'
import { errorOf, gate, type Setup, setup } from '../support/setup.js'

const drop = { dedupe: { id: 'x' } }
const replace = { dedupe: { id: 'x', mode: 'replace' } } as const
const keepLast = { dedupe: { id: 'x', mode: 'keep-last' } } as const

/** The commands that duplicates were told to be duplicates of. */
const owners = (t: Pick<Setup<string>, 'recorder'>): string[] =>
  t.recorder.of('queue.command.deduplicated').map(({ payload }) => payload.command_id)

describe('drop, the default:', () => {
  test('a duplicate gives the run of the owner, and is told with its ids', async () => {
    await using t = await setup({ work: { maxConcurrency: 1 } })
    const owner = t.queue.submit('work', t.noting('owner', 10), drop)
    const duplicate = t.queue.submit('work', t.noting('duplicate'), { dedupe: { id: 'x', mode: 'drop' } })
    expect(duplicate).toBe(owner)
    expect(t.queue.stats().totalPending).toBe(1)
    expect(t.recorder.of('queue.command.deduplicated').map(({ payload }) => payload)).toEqual([
      { lane_id: 'work', command_id: owner.id },
    ])
    await t.clock.advance(5)
    expect(t.queue.submit('work', () => 1, drop)).toBe(owner)
    await t.clock.advance(5)
    expect(await owner).toBe('owner')
    expect(t.recorder.of('queue.command.submitted')).toHaveLength(1)
  })

  test('when the owner has settled, the next one is a command of its own', async () => {
    await using t = await setup()
    const owner = t.queue.submit('work', t.noting('first'), drop)
    await owner
    expect(await t.queue.submit('work', t.noting('second'), drop)).toBe('second')
    expect(t.notes).toEqual(['first', 'second'])
  })

  test.each([
    ['failed', () => Promise.reject(new Error('no'))],
    ['timed out', () => new Promise(() => {})],
  ])('an owner that has %s holds its id no more', async (_how, body) => {
    await using t = await setup({ work: { timeoutMs: 10, zombieGraceMs: 0 } })
    const error = errorOf(t.queue.submit('work', body, drop))
    await t.clock.advance(10)
    await error
    expect(await t.queue.submit('work', () => 'next', drop)).toBe('next')
  })

  test('an owner that was cancelled holds its id no more', async () => {
    await using t = await setup({ work: {} }, { start: false })
    const owner = t.queue.submit('work', () => 1, drop)
    owner.cancel()
    await errorOf(owner)
    const next = t.queue.submit('work', () => 'next', drop)
    expect(next).not.toBe(owner)
    await t.queue.start()
    expect(await next).toBe('next')
  })

  test('an owner in back-off, delayed or preempted holds its id', async () => {
    await using t = await setup(
      {
        control: { preempts: true, minConcurrency: 0 },
        work: { preemptible: true, minConcurrency: 0, retry: RetryPolicy.fixed(1, 10) },
      },
      { maxConcurrency: 1 },
    )
    const delayed = t.queue.submit('work', () => 1, { dedupe: { id: 'delayed' }, delayMs: 50 })
    const failing = t.queue.submit(
      'work',
      ({ attempt }) => (attempt === 1 ? Promise.reject(new Error('once')) : 2),
      drop,
    )
    const preempted = t.queue.submit('work', stopping(t, 'p', 30), { dedupe: { id: 'preempted' } })
    await t.clock.settle()
    void t.queue.submit('control', t.takes(5))
    await t.clock.settle()
    expect([delayed.state, failing.state, preempted.state]).toEqual(['delayed', 'delayed', 'pending'])
    expect(t.queue.submit('work', () => 1, { dedupe: { id: 'delayed' } })).toBe(delayed)
    expect(t.queue.submit('work', () => 1, drop)).toBe(failing)
    expect(t.queue.submit('work', () => 1, { dedupe: { id: 'preempted' } })).toBe(preempted)
    await t.clock.advance(100)
    expect(await Promise.all([delayed, failing, preempted])).toEqual([1, 2, 'p'])
  })

  test('there is one table for all lanes of a queue', async () => {
    await using t = await setup({ one: {}, two: {} })
    const owner = t.queue.submit('one', t.takes(10), drop)
    expect(t.queue.submit('two', () => 1, drop)).toBe(owner)
    await t.clock.advance(10)
    await owner
  })

  test('other ids are other commands', async () => {
    await using t = await setup()
    const runs = ['x', 'y', 'x'].map((id) => t.queue.submit('work', () => id, { dedupe: { id } }))
    expect(await Promise.all(runs)).toEqual(['x', 'y', 'x'])
    expect(new Set(runs).size).toBe(2)
  })

  test('the items of a batch meet each other', async () => {
    await using t = await setup()
    const runs = t.queue.submitBatch('work', [() => 1, () => 2, [() => 3, { dedupe: { id: 'y' } }]], drop)
    expect(runs[0]).toBe(runs[1])
    expect(await Promise.all(runs)).toEqual([1, 1, 3])
  })

  test('a definition may say the id for all of its commands', async () => {
    await using t = await setup()
    const refresh = defineCommand({ type: 'refresh', defaults: drop })
    t.queue.handle(refresh, t.takes(10, 'refreshed') as () => Promise<string>)
    const first = t.queue.submit('work', refresh(1))
    expect(t.queue.submit('work', refresh(2))).toBe(first)
    await t.clock.advance(10)
    expect(await first).toBe('refreshed')
  })

  test('a duplicate that a handler submits is not its child', async () => {
    await using t = await setup()
    const owner = t.queue.submit('work', t.takes(50, 'owner'), drop)
    const parent = t.queue.submit('work', async (ctx) => {
      void ctx.queue.submit('work', () => 1, drop)
      await t.sleep(10)
    })
    const error = errorOf(parent)
    await t.clock.settle()
    parent.cancel()
    await error
    await t.clock.advance(50)
    expect(await owner).toBe('owner')
  })

  test('a duplicate’s own signal, delay and timeout are not the owner’s', async () => {
    await using t = await setup()
    const owner = t.queue.submit('work', t.takes(50, 'owner'), drop)
    const stop = new AbortController()
    const duplicate = t.queue.submit('work', () => 1, { ...drop, signal: stop.signal, delayMs: 500, timeoutMs: 1 })
    await t.clock.advance(10)
    stop.abort()
    await t.clock.advance(40)
    expect(duplicate).toBe(owner)
    expect(await owner).toBe('owner')
  })

  test('ctx.run of a duplicate waits for the owner, and deadlocks nobody', async () => {
    await using t = await setup({ work: { maxConcurrency: 1 } })
    const parent = t.queue.submit('work', (ctx) => ctx.run('work', () => 'never run', drop))
    const owner = t.queue.submit('work', t.noting('owner', 10), drop)
    await t.clock.advance(20)
    expect(await t.clock.expectSettled(parent)).toBe('owner')
    expect(await owner).toBe('owner')
  })
})

describe('ttlMs', () => {
  const forMs = (ttlMs: number, mode?: 'replace' | 'keep-last'): { dedupe: DedupeOptions } => ({
    dedupe: { id: 'x', ttlMs, mode },
  })

  test('keeps the id for that long from the submission, also when the owner has settled', async () => {
    await using t = await setup()
    const owner = t.queue.submit('work', () => 'owner', forMs(100))
    await owner
    await t.clock.advance(99)
    const duplicate = t.queue.submit('work', () => 'duplicate', drop)
    expect(duplicate).toBe(owner)
    expect(await duplicate).toBe('owner')
    await t.clock.advance(1)
    expect(await t.queue.submit('work', () => 'next', drop)).toBe('next')
    expect(t.clock.timers).toBe(0)
  })

  test('gives the error of an owner that failed, as its run does', async () => {
    await using t = await setup()
    const owner = t.queue.submit('work', () => Promise.reject(new Error('no')), forMs(100))
    await errorOf(owner)
    expect((await errorOf(t.queue.submit('work', () => 'duplicate', drop))).message).toBe('no')
  })

  test('that ends before the owner settles is no shorter than the owner', async () => {
    await using t = await setup()
    const owner = t.queue.submit('work', t.takes(100, 'owner'), forMs(10))
    await t.clock.advance(99)
    expect(t.queue.submit('work', () => 1, drop)).toBe(owner)
    await t.clock.advance(1)
    await owner
    expect(await t.queue.submit('work', () => 'next', drop)).toBe('next')
  })

  test('counts from the submission, not from the start', async () => {
    await using t = await setup()
    const owner = t.queue.submit('work', () => 'owner', { ...forMs(100), delayMs: 90 })
    await t.clock.advance(99)
    expect(t.queue.submit('work', () => 1, drop)).toBe(owner)
    await t.clock.advance(1)
    expect(await t.queue.submit('work', () => 'next', drop)).toBe('next')
  })

  test('is not lengthened by duplicates', async () => {
    await using t = await setup()
    await t.queue.submit('work', () => 'owner', forMs(100))
    await t.clock.advance(90)
    void t.queue.submit('work', () => 1, forMs(100))
    await t.clock.advance(10)
    expect(await t.queue.submit('work', () => 'next', drop)).toBe('next')
  })

  test.each(['replace', 'keep-last'] as const)('holds a settled owner also against %s', async (mode) => {
    await using t = await setup()
    const owner = t.queue.submit('work', () => 'owner', forMs(100))
    await owner
    expect(t.queue.submit('work', () => 1, forMs(100, mode))).toBe(owner)
    expect(owners(t)).toEqual([owner.id])
  })

  test('of an owner that was replaced goes on for its successor', async () => {
    await using t = await setup({ work: {} }, { start: false })
    const owner = errorOf(t.queue.submit('work', () => 'owner', forMs(100)))
    await t.clock.advance(50)
    const next = t.queue.submit('work', () => 'next', forMs(1000, 'replace'))
    await owner
    await t.queue.start()
    expect(await next).toBe('next')
    await t.clock.advance(49)
    expect(t.queue.submit('work', () => 1, drop)).toBe(next)
    await t.clock.advance(1)
    expect(await t.queue.submit('work', () => 'free', drop)).toBe('free')
  })
})

describe('replace:', () => {
  test('an owner that waits is cancelled, and the newcomer takes over', async () => {
    await using t = await setup({ work: {} }, { start: false })
    const owner = t.queue.submit('work', t.noting('owner'), drop)
    const error = errorOf(owner)
    const next = t.queue.submit('work', t.noting('next'), replace)
    expect([owner.state, next.state]).toEqual(['cancelled', 'pending'])
    expect(await error).toMatchObject({
      code: 'COMMAND_CANCELLED',
      message: `Command cancelled: replaced by ${next.id}`,
      reason: `replaced by ${next.id}`,
    })
    expect(t.queue.submit('work', () => 1, drop)).toBe(next)
    await t.queue.start()
    expect(await next).toBe('next')
    expect(t.notes).toEqual(['next'])
    expect(owners(t)).toEqual([owner.id, next.id])
  })

  test('an owner that is delayed is cancelled too', async () => {
    await using t = await setup()
    const owner = errorOf(t.queue.submit('work', t.noting('owner'), { ...drop, delayMs: 100 }))
    const next = t.queue.submit('work', t.noting('next'), { ...replace, delayMs: 50 })
    await t.clock.advance(200)
    expect([(await owner)['code'], await next, t.notes]).toEqual(['COMMAND_CANCELLED', 'next', ['next']])
    expect(t.clock.timers).toBe(0)
  })

  test('each newcomer replaces the one before: the last one runs', async () => {
    await using t = await setup({ work: {} }, { start: false })
    const runs = [1, 2, 3, 4].map((n) => t.queue.submit('work', t.noting(String(n)), replace))
    const errors = runs.slice(0, 3).map(errorOf)
    await t.queue.start()
    expect(await runs[3]).toBe('4')
    expect((await Promise.all(errors)).map(({ reason }) => reason)).toEqual(
      runs.slice(1).map(({ id }) => `replaced by ${id}`),
    )
    expect(t.notes).toEqual(['4'])
  })

  test('an owner that runs, or waits for a retry, is the answer as with drop', async () => {
    await using t = await setup({ work: { retry: RetryPolicy.fixed(1, 50) } })
    const owner = t.queue.submit(
      'work',
      async ({ attempt }) => {
        await t.sleep(10)
        if (attempt === 1) throw new Error('again')
        return 'owner'
      },
      drop,
    )
    await t.clock.advance(5)
    expect(t.queue.submit('work', () => 1, replace)).toBe(owner)
    await t.clock.advance(10)
    expect(owner.state).toBe('delayed')
    expect(t.queue.submit('work', () => 1, replace)).toBe(owner)
    await t.clock.advance(60)
    expect(await owner).toBe('owner')
  })

  test('an owner that was preempted, or yielded, has started', async () => {
    await using t = await setup(
      {
        control: { preempts: true, minConcurrency: 0 },
        work: { preemptible: true, minConcurrency: 0 },
      },
      { maxConcurrency: 1 },
    )
    const owner = t.queue.submit('work', stopping(t, 'owner', 20), drop)
    await t.clock.settle()
    void t.queue.submit('control', t.takes(10))
    await t.clock.settle()
    expect(owner.state).toBe('pending')
    expect(t.queue.submit('work', () => 1, replace)).toBe(owner)
    await t.clock.advance(30)
    expect(await owner).toBe('owner')
  })

  test('a newcomer that is refused replaces nobody', async () => {
    await using t = await setup({ work: { capacity: 1, maxConcurrency: 1 } }, { start: false })
    const owner = t.queue.submit('work', () => 'owner', drop)
    const refused = t.queue.submit('work', () => 1, replace)
    expect((await errorOf(refused))['code']).toBe('QUEUE_FULL')
    expect((await errorOf(t.queue.submit('work', () => 1, { ...replace, weight: -1 })))['code']).toBe('CONFIG_INVALID')
    expect(owner.state).toBe('pending')
    await t.queue.start()
    expect(await owner).toBe('owner')
  })

  test('the owner of another lane is replaced too', async () => {
    await using t = await setup({ one: {}, two: {} }, { start: false })
    const owner = errorOf(t.queue.submit('one', t.noting('one'), drop))
    const next = t.queue.submit('two', t.noting('two'), replace)
    await t.queue.start()
    expect([(await owner)['code'], await next, t.notes]).toEqual(['COMMAND_CANCELLED', 'two', ['two']])
  })

  test('the events of a replacement are told in order', async () => {
    await using t = await setup({ work: {} }, { start: false })
    const owner = t.queue.submit('work', () => 1, drop)
    const error = errorOf(owner)
    const next = t.queue.submit('work', () => 2, replace)
    await error
    const brief = t.events().map(([key, payload]) => [key, (payload as { command_id: string }).command_id])
    expect(brief).toEqual([
      ['queue.command.submitted', owner.id],
      ['queue.command.submitted', next.id],
      ['queue.command.deduplicated', owner.id],
      ['queue.command.cancelled', owner.id],
    ])
  })
})

describe('keep-last:', () => {
  test('an owner that waits is replaced', async () => {
    await using t = await setup({ work: {} }, { start: false })
    const owner = t.queue.submit('work', t.noting('owner'), drop)
    const error = errorOf(owner)
    const next = t.queue.submit('work', t.noting('next'), keepLast)
    await t.queue.start()
    expect([(await error)['reason'], await next, t.notes]).toEqual([`replaced by ${next.id}`, 'next', ['next']])
  })

  test('while the owner runs, the newest duplicate is remembered and follows it', async () => {
    await using t = await setup()
    const owner = t.queue.submit('work', t.noting('owner', 100), drop)
    await t.clock.advance(10)
    const runs = [1, 2, 3].map((n) => t.queue.submit('work', t.noting(String(n), 10), keepLast))
    const errors = runs.slice(0, 2).map(errorOf)
    expect(runs.map(({ state }) => state)).toEqual(['cancelled', 'cancelled', 'delayed'])
    expect((await Promise.all(errors)).map(({ reason }) => reason)).toEqual(
      runs.slice(1).map(({ id }) => `replaced by ${id}`),
    )
    expect(owners(t)).toEqual([owner.id, owner.id, owner.id])
    await t.clock.advance(89)
    expect(runs[2]?.state).toBe('delayed')
    await t.clock.advance(1)
    expect(runs[2]?.state).toBe('active')
    await t.clock.advance(10)
    expect([await owner, await runs[2], t.notes]).toEqual(['owner', '3', ['owner', '3']])
  })

  test('the remembered one is told as delayed, and is counted so', async () => {
    await using t = await setup()
    void t.queue.submit('work', t.takes(100), drop)
    await t.clock.settle()
    const next = t.queue.submit('work', () => 1, keepLast)
    expect(t.queue.stats()).toMatchObject({ totalActive: 1, totalDelayed: 1, totalPending: 0 })
    expect(t.events(next.id)).toEqual([
      ['queue.command.submitted', { lane_id: 'work', command_id: next.id }],
      [
        'queue.command.delayed',
        { lane_id: 'work', command_id: next.id, delay_ms: expect.any(Number) as unknown, reason: 'deduplicated' },
      ],
    ])
    await t.clock.advance(100)
    expect(await next).toBe(1)
  })

  test.each<[string, (t: Setup<'work'>) => () => unknown]>([
    ['fails', () => () => Promise.reject(new Error('no'))],
    ['times out', () => () => new Promise(() => {})],
  ])('it follows also an owner that %s', async (_how, body) => {
    await using t = await setup({ work: { timeoutMs: 50, zombieGraceMs: 1000 } })
    const owner = errorOf(
      t.queue.submit(
        'work',
        async () => {
          await t.sleep(10)
          await body(t)()
        },
        drop,
      ),
    )
    await t.clock.settle()
    const next = t.queue.submit('work', () => 'next', keepLast)
    await t.clock.advance(50)
    await owner
    expect(await t.clock.expectSettled(next)).toBe('next')
  })

  test('it follows also an owner that is cancelled, and waits while that is retried', async () => {
    await using t = await setup({ work: { retry: RetryPolicy.fixed(5, 10) } })
    const owner = t.queue.submit('work', () => Promise.reject(new Error('again')), drop)
    const error = errorOf(owner)
    await t.clock.advance(15)
    const next = t.queue.submit('work', t.noting('next'), keepLast)
    await t.clock.advance(10)
    expect([owner.state, next.state]).toEqual(['delayed', 'delayed'])
    owner.cancel()
    await error
    expect(await t.clock.expectSettled(next)).toBe('next')
  })

  test('it is the owner then: a chain of followers runs one at a time', async () => {
    await using t = await setup()
    const first = t.queue.submit('work', t.noting('1', 10), keepLast)
    await t.clock.advance(5)
    const second = t.queue.submit('work', t.noting('2', 10), keepLast)
    await t.clock.advance(10)
    const third = t.queue.submit('work', t.noting('3', 10), keepLast)
    expect([first.state, second.state, third.state]).toEqual(['completed', 'active', 'delayed'])
    expect(t.queue.submit('work', () => 1, drop)).toBe(second)
    await t.clock.advance(20)
    expect([await third, t.notes]).toEqual(['3', ['1', '2', '3']])
    expect(await t.queue.submit('work', () => 'free', drop)).toBe('free')
  })

  test('a remembered one that is cancelled is forgotten', async () => {
    await using t = await setup()
    const owner = t.queue.submit('work', t.takes(10), drop)
    await t.clock.settle()
    const next = t.queue.submit('work', t.noting('next'), keepLast)
    const error = errorOf(next)
    next.cancel('not needed')
    expect((await error).message).toBe('Command cancelled: not needed')
    await t.clock.advance(10)
    await owner
    expect(t.notes).toEqual([])
    expect(await t.queue.submit('work', () => 'free', drop)).toBe('free')
  })

  test('a remembered one with a delay of its own waits for both', async () => {
    await using t = await setup()
    void t.queue.submit('work', t.takes(50), drop)
    await t.clock.settle()
    const late = t.queue.submit('work', t.noting('late'), { ...keepLast, delayMs: 80 })
    await t.clock.advance(79)
    expect(late.state).toBe('delayed')
    await t.clock.advance(1)
    expect(await t.clock.expectSettled(late)).toBe('late')
    void t.queue.submit('work', t.takes(50), drop)
    await t.clock.settle()
    const early = t.queue.submit('work', t.noting('early'), { ...keepLast, delayMs: 20 })
    await t.clock.advance(49)
    expect(early.state).toBe('delayed')
    await t.clock.advance(1)
    expect(await t.clock.expectSettled(early)).toBe('early')
    expect(t.clock.timers).toBe(0)
  })

  test('its window counts from its own submission', async () => {
    await using t = await setup()
    void t.queue.submit('work', t.takes(50), drop)
    await t.clock.advance(10)
    const next = t.queue.submit('work', () => 'next', { dedupe: { ...keepLast.dedupe, ttlMs: 100 } })
    await t.clock.advance(99)
    expect(await next).toBe('next')
    expect(t.queue.submit('work', () => 1, drop)).toBe(next)
    await t.clock.advance(1)
    expect(await t.queue.submit('work', () => 'free', drop)).toBe('free')
  })

  test('a body that goes on after its command was cancelled does not hold up its follower', async () => {
    await using t = await setup({ work: { maxConcurrency: 2 } })
    const owner = t.queue.submit('work', t.takes(1000), drop)
    const error = errorOf(owner)
    await t.clock.settle()
    const next = t.queue.submit('work', () => 'next', keepLast)
    owner.cancel()
    await error
    expect(await t.clock.expectSettled(next)).toBe('next')
    await t.clock.advance(1000)
  })

  test('a drop or replace meets the running owner, not the remembered one', async () => {
    await using t = await setup()
    const owner = t.queue.submit('work', t.takes(10), drop)
    await t.clock.settle()
    const next = t.queue.submit('work', t.noting('next'), keepLast)
    expect(t.queue.submit('work', () => 1, drop)).toBe(owner)
    expect(t.queue.submit('work', () => 1, replace)).toBe(owner)
    expect(next.state).toBe('delayed')
    await t.clock.advance(10)
    expect(await next).toBe('next')
  })

  test('a follower waits in its own lane, for an owner in another', async () => {
    await using t = await setup({ one: {}, two: {} })
    void t.queue.submit('one', t.takes(10), drop)
    await t.clock.settle()
    const next = t.queue.submit('two', () => 'two', keepLast)
    expect(t.queue.lane('two').status().delayed).toBe(1)
    await t.clock.advance(10)
    expect(await next).toBe('two')
  })

  test('a follower that cannot be taken in leaves the remembered one', async () => {
    await using t = await setup({ work: { maxConcurrency: 1, capacity: 1 } })
    const owner = t.queue.submit('work', t.takes(10), drop)
    await t.clock.settle()
    const kept = t.queue.submit('work', t.noting('kept'), keepLast)
    expect((await errorOf(t.queue.submit('work', t.noting('refused'), keepLast)))['code']).toBe('QUEUE_FULL')
    await t.clock.advance(10)
    await owner
    expect(await kept).toBe('kept')
  })
})

test('drain and shutdown wait for a remembered command', async () => {
  await using t = await setup()
  void t.queue.submit('work', t.takes(50), drop)
  await t.clock.settle()
  const next = t.queue.submit('work', t.takes(50, 'next'), keepLast)
  await t.queue.shutdown()
  const early = errorOf(t.queue.drain(60))
  const drained = t.queue.drain(1000)
  await t.clock.advance(60)
  expect(await early).toMatchObject({ code: 'DRAIN_TIMEOUT', unsettled: [next.id] })
  await t.clock.advance(40)
  await drained
  expect(await next).toBe('next')
})

test('clear cancels a remembered command, close too', async () => {
  await using t = await setup()
  void t.queue.submit('work', t.takes(50), drop)
  await t.clock.settle()
  const cleared = errorOf(t.queue.submit('work', () => 1, keepLast))
  expect(t.queue.lane('work').clear()).toBe(1)
  expect((await cleared).message).toBe('Command cancelled: the lane was cleared')
  const closed = errorOf(t.queue.submit('work', () => 1, keepLast))
  const closing = t.queue.close({ timeoutMs: 100 })
  expect((await closed).message).toBe('Command cancelled: the queue was closed')
  await t.clock.advance(50)
  await closing
})

test('a queue that shuts down refuses duplicates like all others', async () => {
  await using t = await setup()
  const owner = t.queue.submit('work', t.takes(10, 'owner'), drop)
  await t.clock.settle()
  await t.queue.shutdown()
  expect((await errorOf(t.queue.submit('work', () => 1, drop)))['code']).toBe('SHUTTING_DOWN')
  await t.clock.advance(10)
  expect(await owner).toBe('owner')
})

test('a submit that is refused holds no id', async () => {
  await using t = await setup({ work: { maxConcurrency: 1, capacity: 1 } }, { start: false })
  void t.queue.submit('work', () => 1)
  expect((await errorOf(t.queue.submit('work', () => 1, drop)))['code']).toBe('QUEUE_FULL')
  await t.queue.start()
  await t.clock.settle()
  expect(await t.queue.submit('work', () => 'free', drop)).toBe('free')
})

test('a live id of its own comes before the dedupe id', async () => {
  await using t = await setup({ work: {} }, { start: false })
  const body = (): number => 1
  const owner = t.queue.submit('work', body, { id: 'mine', ...drop })
  const same = t.queue.submit('work', body, { id: 'mine', ...replace })
  expect(same).toBe(owner)
  expect(owner.state).toBe('pending')
  expect(owners(t)).toEqual(['mine'])
})

test('a redrive runs, whoever holds the dedupe id of the dead command', async () => {
  await using t = await setup(undefined, { deadLetters: true })
  let failing = true
  const dead = t.queue.submit('work', async () => (failing ? Promise.reject(new Error('no')) : 'redriven'), drop)
  await errorOf(dead)
  failing = false
  const owner = t.queue.submit('work', t.takes(10, 'owner'), drop)
  await t.clock.settle()
  expect(await t.queue.deadLetters.redrive(dead.id)).toBe('redriven')
  expect(t.queue.submit('work', () => 1, drop)).toBe(owner)
  await t.clock.advance(10)
  expect(await owner).toBe('owner')
})

test.each<[string, unknown, string]>([
  ['no object', 7, 'submit dedupe'],
  ['an empty id', { id: '' }, 'submit dedupe.id'],
  ['no id', {}, 'submit dedupe.id'],
  ['a ttl of 0', { id: 'x', ttlMs: 0 }, 'submit dedupe.ttlMs'],
  ['a ttl of NaN', { id: 'x', ttlMs: Number.NaN }, 'submit dedupe.ttlMs'],
  ['an endless ttl', { id: 'x', ttlMs: Number.POSITIVE_INFINITY }, 'submit dedupe.ttlMs'],
  ['an unknown mode', { id: 'x', mode: 'last' }, 'submit dedupe.mode'],
  ['an unknown option', { id: 'x', ttl: 5 }, 'ttl'],
])('dedupe options that make no sense are refused: %s', async (_what, dedupe, option) => {
  await using t = await setup()
  const error = await errorOf(t.queue.submit('work', () => 1, { dedupe: dedupe as DedupeOptions }))
  expect(error).toMatchObject({ code: 'CONFIG_INVALID', option })
})

/** The value of a run, or the code of its error. */
const outcomeOf = (run: PromiseLike<unknown>): Promise<unknown> =>
  Promise.resolve(
    run.then(
      (value) => value,
      (error: unknown) => (error as { code: string }).code,
    ),
  )

describe('payloads that are checked asynchronously:', () => {
  type Verdict = { readonly value: number } | { readonly issues: readonly { readonly message: string }[] }

  /** A schema that answers when the test says so, in order of the submits. */
  function slowSchema() {
    const verdicts: ReturnType<typeof gate<Verdict>>[] = []
    const payload = {
      '~standard': {
        version: 1,
        vendor: 'test',
        validate: () => {
          const verdict = gate<Verdict>()
          verdicts.push(verdict)
          return verdict.promise
        },
      },
    } as unknown as StandardSchema<number, number>
    return { definition: defineCommand({ type: 'checked', payload }), verdicts }
  }

  test('a duplicate meets an owner that is still being checked', async () => {
    await using t = await setup()
    const { definition, verdicts } = slowSchema()
    t.queue.handle(definition, (n) => n)
    const owner = t.queue.submit('work', definition(1), drop)
    const duplicate = t.queue.submit('work', definition(2), drop)
    expect(duplicate).toBe(owner)
    verdicts[0]?.open({ value: 1 })
    expect(await t.clock.expectSettled(owner)).toBe(1)
    expect(verdicts).toHaveLength(1)
  })

  test('an owner that is refused after all leaves its id free', async () => {
    await using t = await setup()
    const { definition, verdicts } = slowSchema()
    t.queue.handle(definition, (n) => n)
    const owner = t.queue.submit('work', definition(1), drop)
    verdicts[0]?.open({ issues: [{ message: 'too small' }] })
    expect((await errorOf(owner))['code']).toBe('PAYLOAD_INVALID')
    expect(await t.queue.submit('work', () => 'free', drop)).toBe('free')
  })

  test('an owner that is cancelled while it is checked leaves its id free', async () => {
    await using t = await setup()
    const { definition } = slowSchema()
    t.queue.handle(definition, (n) => n)
    const owner = t.queue.submit('work', definition(1), drop)
    owner.cancel()
    expect((await errorOf(owner))['code']).toBe('COMMAND_CANCELLED')
    await t.clock.settle()
    expect(await t.queue.submit('work', () => 'free', drop)).toBe('free')
  })

  test.each([replace, keepLast])(
    'an owner that is still being checked has not started: $dedupe.mode replaces it',
    async (how) => {
      await using t = await setup()
      const { definition, verdicts } = slowSchema()
      t.queue.handle(definition, (n) => n)
      const owner = t.queue.submit('work', definition(1), drop)
      const error = errorOf(owner)
      const next = t.queue.submit('work', () => 'next', how)
      expect(await error).toMatchObject({ code: 'COMMAND_CANCELLED', reason: `replaced by ${next.id}` })
      verdicts[0]?.open({ value: 1 })
      expect(await t.clock.expectSettled(next)).toBe('next')
      expect(await t.queue.submit('work', () => 'free', drop)).toBe('free')
    },
  )

  test('a newcomer that is refused after its check replaces nobody', async () => {
    await using t = await setup({ work: {} }, { start: false })
    const { definition, verdicts } = slowSchema()
    t.queue.handle(definition, (n) => n)
    const owner = t.queue.submit('work', () => 'owner', drop)
    const quiet = errorOf(t.queue.submit('work', definition(1), replace))
    verdicts[0]?.open({ issues: [{ message: 'too small' }] })
    await quiet
    expect(owner.state).toBe('pending')
    await t.queue.start()
    expect(await owner).toBe('owner')
  })

  test('a newcomer whose owner starts while it is checked follows it', async () => {
    await using t = await setup({ work: { maxConcurrency: 1 } }, { start: false })
    const { definition, verdicts } = slowSchema()
    t.queue.handle(definition, (n) => n)
    const owner = t.queue.submit('work', t.takes(10, 'owner'), drop)
    const next = t.queue.submit('work', definition(7), replace)
    await t.queue.start()
    await t.clock.advance(5)
    verdicts[0]?.open({ value: 7 })
    await t.clock.settle()
    expect([owner.state, next.state]).toEqual(['active', 'delayed'])
    await t.clock.advance(5)
    expect(await owner).toBe('owner')
    expect(await t.clock.expectSettled(next)).toBe(7)
    expect(await t.queue.submit('work', () => 'free', drop)).toBe('free')
  })

  test('several newcomers that are checked together replace each other as they are accepted', async () => {
    await using t = await setup({ work: {} }, { start: false })
    const { definition, verdicts } = slowSchema()
    t.queue.handle(definition, (n) => n)
    const owner = outcomeOf(t.queue.submit('work', () => 'owner', drop))
    const runs = [1, 2, 3].map((n) => outcomeOf(t.queue.submit('work', definition(n), replace)))
    for (const index of [2, 0, 1]) {
      verdicts[index]?.open({ value: index + 1 })
      await t.clock.settle()
    }
    await t.queue.start()
    const gone = 'COMMAND_CANCELLED'
    expect(await t.clock.expectSettled(Promise.all([owner, ...runs]))).toEqual([gone, gone, 2, gone])
    expect(await t.queue.submit('work', () => 'free', drop)).toBe('free')
  })

  test('two submits of an id that nobody holds, checked together, are one command', async () => {
    await using t = await setup()
    const { definition, verdicts } = slowSchema()
    t.queue.handle(definition, (n) => n)
    const first = t.queue.submit('work', definition(1), replace)
    const second = t.queue.submit('work', definition(2), drop)
    expect(second).toBe(first)
    verdicts[0]?.open({ value: 1 })
    expect(await t.clock.expectSettled(first)).toBe(1)
  })

  test('a follower is remembered when its payload is accepted, also when the owner has settled meanwhile', async () => {
    await using t = await setup()
    const { definition, verdicts } = slowSchema()
    t.queue.handle(definition, (n) => n)
    const owner = t.queue.submit('work', t.takes(10, 'owner'), drop)
    await t.clock.settle()
    const next = t.queue.submit('work', definition(7), keepLast)
    await t.clock.advance(10)
    await owner
    verdicts[0]?.open({ value: 7 })
    expect(await t.clock.expectSettled(next)).toBe(7)
    expect(await t.queue.submit('work', () => 'free', drop)).toBe('free')
  })

  test('a follower that is refused after its check is forgotten', async () => {
    await using t = await setup()
    const { definition, verdicts } = slowSchema()
    t.queue.handle(definition, (n) => n)
    const owner = t.queue.submit('work', t.takes(10, 'owner'), drop)
    await t.clock.settle()
    const next = errorOf(t.queue.submit('work', definition(7), keepLast))
    verdicts[0]?.open({ issues: [{ message: 'too small' }] })
    await next
    await t.clock.advance(10)
    expect(await owner).toBe('owner')
    expect(await t.queue.submit('work', () => 'free', drop)).toBe('free')
  })
})
