import {
  type BreakerOptions,
  discard,
  type LaneDefinition,
  QueueManager,
  RateLimitConfig,
  RetryAfterError,
  RetryPolicy,
  snooze,
} from '@a3s-lab/lane'
import { describe, expect, test } from 'vitest'
import { stopping } from '../support/bodies.js'
import { errorOf, type Setup, setup, thrownBy } from '../support/setup.js'

const breaker = { failureRatio: 0.5, minimum: 4, windowMs: 1000, openMs: 500, halfOpen: 1 } satisfies BreakerOptions
const work = { breaker, maxConcurrency: 10 } satisfies Partial<LaneDefinition>

const fails = (): Promise<never> => Promise.reject(new Error('no'))

/** Runs commands to their end: 'f' fails, 's' succeeds. */
async function run(t: Setup<'work'>, ends: string): Promise<void> {
  for (const end of ends) {
    const one = t.queue.submit('work', end === 'f' ? fails : () => 1)
    const settled = one.then(
      () => undefined,
      () => undefined,
    )
    await t.clock.expectSettled(settled)
  }
}

/** The states that the breaker was told to enter. */
const states = (t: Pick<Setup<string>, 'recorder'>): string[] =>
  t.recorder.of('queue.lane.breaker').map(({ payload }) => payload.state)

/** Whether a command of the lane has to wait; it is cancelled then. */
async function isOpen(t: Setup<'work'>): Promise<boolean> {
  const one = t.queue.submit('work', () => 1)
  const end = one.then(
    () => true,
    () => false,
  )
  await t.clock.settle()
  one.cancel()
  return !(await end)
}

test('it opens when enough attempts have ended and enough of them have failed', async () => {
  await using t = await setup({ work })
  await run(t, 'sff')
  expect(states(t)).toEqual([])
  await run(t, 'f')
  expect(states(t)).toEqual(['open'])
  expect(t.recorder.of('queue.lane.breaker')[0]?.payload).toEqual({ lane_id: 'work', state: 'open' })
  expect(await isOpen(t)).toBe(true)
})

test('below its ratio it stays closed, whatever the number', async () => {
  await using t = await setup({ work })
  await run(t, 'ssf'.repeat(20))
  expect(states(t)).toEqual([])
})

test('exactly at its ratio it opens', async () => {
  await using t = await setup({ work })
  await run(t, 'ssff')
  expect(states(t)).toEqual(['open'])
})

test('a ratio of 1 needs every attempt to fail', async () => {
  await using t = await setup({ work: { ...work, breaker: { ...breaker, failureRatio: 1 } } })
  await run(t, 'sffffff')
  expect(states(t)).toEqual([])
  await t.clock.advance(1100)
  await run(t, 'ffff')
  expect(states(t)).toEqual(['open'])
})

test('while it is open nothing starts; then one command is let through, and closes it', async () => {
  await using t = await setup({ work })
  await run(t, 'ffff')
  const first = t.queue.submit('work', t.noting('first', 50))
  const second = t.queue.submit('work', t.noting('second', 50))
  await t.clock.advance(499)
  expect(t.notes).toEqual([])
  await t.clock.advance(1)
  expect(t.notes).toEqual(['first'])
  expect(states(t)).toEqual(['open', 'half_open'])
  await t.clock.advance(49)
  expect([first.state, second.state]).toEqual(['active', 'pending'])
  await t.clock.advance(1)
  expect(t.notes).toEqual(['first', 'second'])
  expect(states(t)).toEqual(['open', 'half_open', 'closed'])
  await t.clock.advance(50)
  expect(t.clock.timers).toBe(0)
})

test('a trial that fails opens it again, for as long', async () => {
  await using t = await setup({ work })
  await run(t, 'ffff')
  const trial = errorOf(t.queue.submit('work', fails))
  await t.clock.advance(500)
  await trial
  expect(states(t)).toEqual(['open', 'half_open', 'open'])
  void t.queue.submit('work', t.noting('next'))
  await t.clock.advance(499)
  expect(t.notes).toEqual([])
  await t.clock.advance(1)
  expect([t.notes, states(t).at(-1)]).toEqual([['next'], 'closed'])
})

test('with several trials all of them have to succeed', async () => {
  await using t = await setup({ work: { ...work, breaker: { ...breaker, halfOpen: 3 } } })
  await run(t, 'ffff')
  for (const [name, ms] of [
    ['a', 10],
    ['b', 20],
    ['c', 30],
    ['d', 10],
  ] as const) {
    void t.queue.submit('work', t.noting(name, ms))
  }
  await t.clock.advance(500)
  expect(t.notes).toEqual(['a', 'b', 'c'])
  await t.clock.advance(29)
  expect([t.notes.length, states(t).at(-1)]).toEqual([3, 'half_open'])
  await t.clock.advance(1)
  expect([t.notes, states(t).at(-1)]).toEqual([['a', 'b', 'c', 'd'], 'closed'])
  await t.clock.advance(10)
})

test('one failed trial of several opens it, and the others say nothing any more', async () => {
  await using t = await setup({ work: { ...work, breaker: { ...breaker, halfOpen: 2 } } })
  await run(t, 'ffff')
  void t.queue.submit('work', t.takes(100))
  const failing = errorOf(t.queue.submit('work', fails))
  await t.clock.advance(500)
  await failing
  expect(states(t)).toEqual(['open', 'half_open', 'open'])
  await t.clock.advance(400)
  expect(states(t)).toEqual(['open', 'half_open', 'open'])
  void t.queue.submit('work', t.noting('later'))
  await t.clock.advance(99)
  expect(t.notes).toEqual([])
  await t.clock.advance(1)
  expect(t.notes).toEqual(['later'])
})

test('when it closes its record is empty', async () => {
  await using t = await setup({ work })
  await run(t, 'ffff')
  await t.clock.advance(500)
  await run(t, 'sfff')
  expect(states(t)).toEqual(['open', 'half_open', 'closed'])
  await run(t, 'f')
  expect(states(t)).toEqual(['open', 'half_open', 'closed', 'open'])
})

test('attempts that ended longer ago than its window do not count', async () => {
  await using t = await setup({ work })
  await run(t, 'fff')
  await t.clock.advance(1000)
  await run(t, 'fff')
  expect(states(t)).toEqual([])
  await run(t, 'f')
  expect(states(t)).toEqual(['open'])
})

test('timeouts are failures', async () => {
  await using t = await setup({ work: { ...work, timeoutMs: 10 } })
  const runs = [1, 2, 3, 4].map(() => errorOf(t.queue.submit('work', ({ signal }) => stopped(signal))))
  await t.clock.advance(10)
  await Promise.all(runs)
  expect(states(t)).toEqual(['open'])
})

const stopped = (signal: AbortSignal): Promise<never> =>
  new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))

test('each attempt counts, also those that are retried', async () => {
  await using t = await setup({ work: { ...work, retry: RetryPolicy.fixed(10, 1) } })
  const one = t.queue.submit('work', ({ attempt }) => (attempt < 6 ? fails() : 'sixth'))
  await t.clock.advance(100)
  expect([states(t), one.state]).toEqual([['open'], 'pending'])
  expect((await t.queue.get(one.id))?.attempt).toBe(4)
  await t.clock.advance(1500)
  expect(await one).toBe('sixth')
})

describe('neither for nor against it:', () => {
  test.each<[string, (t: Setup<'work'>) => Promise<unknown>]>([
    [
      'a cancelled command',
      async (t) => {
        const one = t.queue.submit('work', ({ signal }) => stopped(signal))
        await t.clock.settle()
        one.cancel()
        await errorOf(one)
      },
    ],
    ['a discarded one', (t) => errorOf(t.queue.submit('work', () => discard()))],
    [
      'a snoozed one',
      async (t) => {
        const one = t.queue.submit('work', () => snooze(100_000))
        await t.clock.settle()
        one.cancel()
        await errorOf(one)
      },
    ],
    [
      'one that was put off',
      async (t) => {
        const one = t.queue.submit('work', () => Promise.reject(new RetryAfterError(100_000)))
        await t.clock.settle()
        one.cancel()
        await errorOf(one)
      },
    ],
  ])('%s', async (_which, neutral) => {
    await using t = await setup({ work })
    await run(t, 'fff')
    for (let n = 0; n < 5; n++) await neutral(t)
    expect(states(t)).toEqual([])
    await run(t, 'f')
    expect(states(t)).toEqual(['open'])
    // As a trial it gives its place back: the next one is let through.
    await t.clock.advance(500)
    await neutral(t)
    expect(states(t)).toEqual(['open', 'half_open'])
    await run(t, 's')
    expect(states(t)).toEqual(['open', 'half_open', 'closed'])
  })

  test('a preempted one, whose resumption is a trial again', async () => {
    await using t = await setup(
      {
        control: { preempts: true, minConcurrency: 0 },
        work: { ...work, preemptible: true, minConcurrency: 0 },
      },
      { maxConcurrency: 1 },
    )
    for (let n = 0; n < 4; n++) await errorOf(t.queue.submit('work', fails))
    const trial = t.queue.submit('work', stopping(t, 'trial', 50))
    await t.clock.advance(510)
    expect(trial.state).toBe('active')
    void t.queue.submit('control', t.takes(10))
    await t.clock.advance(60)
    expect(await trial).toBe('trial')
    expect(states(t)).toEqual(['open', 'half_open', 'closed'])
  })
})

describe('a trial that is cancelled while it waits inside ctx.yield gives its place back:', () => {
  test.each<[string, (t: Setup<'high' | 'work'>, id: string) => unknown]>([
    ['by its id', (t, id) => t.queue.cancel(id)],
    ['with its lane', (t) => t.queue.lane('work').cancelAll()],
    ['by a clear', (t) => t.queue.lane('work').clear()],
  ])('%s', async (_how, cancel) => {
    await using t = await setup(
      { high: { priority: 0, minConcurrency: 0 }, work: { ...work, priority: 5, minConcurrency: 0 } },
      { maxConcurrency: 1 },
    )
    for (let n = 0; n < 4; n++) await errorOf(t.queue.submit('work', fails))
    const trial = t.queue.submit('work', async (ctx) => {
      await t.sleep(10)
      await ctx.yield()
    })
    const error = errorOf(trial)
    await t.clock.advance(505)
    void t.queue.submit('high', t.takes(50))
    await t.clock.advance(10)
    expect([trial.state, states(t).at(-1)]).toEqual(['pending', 'half_open'])
    cancel(t, trial.id)
    expect((await error)['code']).toBe('COMMAND_CANCELLED')
    const next = t.queue.submit('work', () => 'let through')
    await t.clock.advance(50)
    expect(await t.clock.expectSettled(next)).toBe('let through')
    expect(states(t).at(-1)).toBe('closed')
  })
})

test('what was started before it opened says nothing about now', async () => {
  await using t = await setup({ work })
  const slow = errorOf(
    t.queue.submit('work', async () => {
      await t.sleep(550)
      throw new Error('of before')
    }),
  )
  await run(t, 'ffff')
  void t.queue.submit('work', t.takes(100))
  await t.clock.advance(550)
  await slow
  expect(states(t)).toEqual(['open', 'half_open'])
  await t.clock.advance(50)
  expect(states(t)).toEqual(['open', 'half_open', 'closed'])
})

test('what runs when it opens goes on', async () => {
  await using t = await setup({ work })
  const running = t.queue.submit('work', t.takes(100, 'went on'))
  await run(t, 'ffff')
  await t.clock.advance(100)
  expect(await running).toBe('went on')
  expect(states(t)).toEqual(['open'])
})

test('other lanes know nothing of it', async () => {
  await using t = await setup({ work, other: work })
  for (let n = 0; n < 4; n++) await errorOf(t.queue.submit('work', fails))
  expect(states(t)).toEqual(['open'])
  expect(await t.clock.expectSettled(t.queue.submit('other', () => 'open'))).toBe('open')
})

test('an open one takes nothing of the rate limits', async () => {
  await using t = await setup({ work: { ...work, rateLimit: RateLimitConfig.perHour(6) } })
  await run(t, 'ffff')
  for (let n = 0; n < 3; n++) void t.queue.submit('work', t.noting(String(n)))
  await t.clock.advance(500)
  expect(t.notes).toEqual(['0', '1'])
  t.queue.lane('work').clear()
})

test('a lane that waits for tokens is not half open before its trial starts', async () => {
  await using t = await setup({ work: { ...work, rateLimit: RateLimitConfig.perSecond(4) } })
  for (let n = 0; n < 4; n++) void errorOf(t.queue.submit('work', fails))
  await t.clock.settle()
  t.queue.lane('work').configure({ rateLimit: RateLimitConfig.perMinute(4) })
  void t.queue.submit('work', t.noting('trial'))
  await t.clock.advance(1000)
  expect(states(t)).toEqual(['open'])
  await t.clock.advance(14_000)
  expect([t.notes, states(t)]).toEqual([['trial'], ['open', 'half_open', 'closed']])
})

test('a queue that is closed while it is open ends', async () => {
  await using t = await setup({ work })
  await run(t, 'ffff')
  const waits = errorOf(t.queue.submit('work', () => 1))
  await t.queue.close()
  expect((await waits).message).toBe('Command cancelled: the queue was closed')
  expect(t.clock.timers).toBe(0)
})

test('drain waits through it', async () => {
  await using t = await setup({ work })
  await run(t, 'ffff')
  const waits = t.queue.submit('work', () => 'in the end')
  const drained = t.queue.drain(1000)
  await t.clock.advance(500)
  await drained
  expect(await waits).toBe('in the end')
})

describe('changed while the queue runs:', () => {
  test('taken away while it is open, everything starts', async () => {
    await using t = await setup({ work })
    await run(t, 'ffff')
    const waits = t.queue.submit('work', () => 'free')
    await t.clock.settle()
    t.queue.lane('work').configure({ breaker: undefined })
    expect(await t.clock.expectSettled(waits)).toBe('free')
    expect(t.clock.timers).toBe(0)
    await run(t, 'ffffffff')
    expect(states(t)).toEqual(['open'])
  })

  test('given to a lane, it counts from then on', async () => {
    await using t = await setup({ work: { maxConcurrency: 10 } })
    await run(t, 'ffff')
    t.queue.lane('work').configure({ breaker })
    await run(t, 'fff')
    expect(states(t)).toEqual([])
    await run(t, 'f')
    expect(states(t)).toEqual(['open'])
  })

  test('an open one stays open for the new time since it opened', async () => {
    await using t = await setup({ work })
    await run(t, 'ffff')
    void t.queue.submit('work', t.noting('waits'))
    await t.clock.advance(100)
    t.queue.lane('work').configure({ breaker: { ...breaker, openMs: 200 } })
    await t.clock.advance(99)
    expect(t.notes).toEqual([])
    await t.clock.advance(1)
    expect(t.notes).toEqual(['waits'])
  })

  test('a lower number of trials that is reached already closes it', async () => {
    await using t = await setup({ work: { ...work, breaker: { ...breaker, halfOpen: 3 } } })
    await run(t, 'ffff')
    await t.clock.advance(500)
    await run(t, 's')
    expect(states(t).at(-1)).toBe('half_open')
    t.queue.lane('work').configure({ breaker })
    expect(states(t).at(-1)).toBe('closed')
  })

  test('the state is kept when something else of the lane changes', async () => {
    await using t = await setup({ work })
    await run(t, 'ffff')
    t.queue.lane('work').configure({ maxConcurrency: 3, rateLimit: RateLimitConfig.perSecond(100) })
    expect(await isOpen(t)).toBe(true)
    expect(states(t)).toEqual(['open'])
  })
})

test('only the ratio has to be given', async () => {
  await using t = await setup({ work: { maxConcurrency: 10, breaker: { failureRatio: 1 } } })
  await run(t, 'f'.repeat(9))
  expect(states(t)).toEqual([])
  await run(t, 'f')
  void t.queue.submit('work', t.noting('after 30 s'))
  await t.clock.advance(29_999)
  expect([t.notes, states(t)]).toEqual([[], ['open']])
  await t.clock.advance(1)
  expect([t.notes, states(t)]).toEqual([['after 30 s'], ['open', 'half_open', 'closed']])
})

test.each<[string, unknown, string]>([
  ['no ratio', {}, 'failureRatio'],
  ['a ratio of 0', { failureRatio: 0 }, 'failureRatio'],
  ['a ratio above 1', { failureRatio: 1.1 }, 'failureRatio'],
  ['a ratio of NaN', { failureRatio: Number.NaN }, 'failureRatio'],
  ['a minimum of 0', { failureRatio: 1, minimum: 0 }, 'minimum'],
  ['half an attempt', { failureRatio: 1, minimum: 1.5 }, 'minimum'],
  ['a window of 0', { failureRatio: 1, windowMs: 0 }, 'windowMs'],
  ['an endless window', { failureRatio: 1, windowMs: Number.POSITIVE_INFINITY }, 'windowMs'],
  ['a time of 0', { failureRatio: 1, openMs: 0 }, 'openMs'],
  ['no trial', { failureRatio: 1, halfOpen: 0 }, 'halfOpen'],
  ['an unknown option', { failureRatio: 1, open: 5 }, "no option 'open'"],
  ['a number', 0.5, "lane 'work'.breaker"],
])('options that make no sense are refused: %s', (_what, bad, named) => {
  const error = thrownBy(() => new QueueManager({ lanes: { work: { priority: 0, breaker: bad as BreakerOptions } } }))
  expect(error).toMatchObject({ code: 'CONFIG_INVALID', message: expect.stringContaining(named) as unknown })
})
