/** Timeout, cancel and preemption of bodies on threads: those that listen, and those that do not. */
import { RetryPolicy } from '@a3s-lab/lane'
import { VirtualClock } from '@a3s-lab/lane/testing'
import { beforeAll, expect, test } from 'vitest'
import { BUILD_MS, build } from '../../examples/built.js'
import { errorOf } from '../../support/setup.js'
import { flag, LIMIT_MS, onThreads, until } from './on-threads.js'

const options = { timeout: LIMIT_MS }

// No thread loads TypeScript: threads run what is built.
beforeAll(build, BUILD_MS)

test('a body that listens hears of its timeout, with the reason', options, async () => {
  const clock = new VirtualClock()
  await using t = await onThreads({ clock, queue: { clock } })
  const { run } = await t.started('untilAborted', {}, { timeoutMs: 100 })
  await clock.advance(100)
  expect(await errorOf(run)).toMatchObject({ code: 'COMMAND_TIMEOUT' })
  await until('its slot to be free', () => t.queue.stats().totalSlots === 0)
  expect(t.pool.stats()).toMatchObject({ completed: 1, killed: 0 })
})

test('a body that listens hears of its cancellation, with the reason', options, async () => {
  await using t = await onThreads()
  const { run } = await t.started('untilAborted')
  expect(run.cancel('enough')).toBe(true)
  expect(await errorOf(run)).toMatchObject({ code: 'COMMAND_CANCELLED' })
  await until('its slot to be free', () => t.queue.stats().totalSlots === 0)
  expect(t.pool.stats()).toMatchObject({ completed: 1, killed: 0 })
})

test.each(['busyUntilAborted', 'busyUntilThrown'])(
  'a loop that never waits sees the abort of its signal: %s',
  options,
  async (does) => {
    await using t = await onThreads()
    const { run } = await t.started(does)
    run.cancel()
    expect(await errorOf(run)).toMatchObject({ code: 'COMMAND_CANCELLED' })
    await until('its slot to be free', () => t.queue.stats().totalSlots === 0)
    expect(t.pool.stats()).toMatchObject({ completed: 1, killed: 0 })
  },
)

test(
  'a deaf body that times out: the caller is answered at once, its thread is ended, its slot free, the next runs',
  options,
  async () => {
    const clock = new VirtualClock()
    await using t = await onThreads({
      threads: 1,
      killAfterMs: 300,
      clock,
      queue: { clock },
      lanes: { work: { maxConcurrency: 1 } },
    })
    const { run } = await t.started('deaf', {}, { timeoutMs: 50 })
    const next = t.do('thread')
    await clock.advance(50)
    expect(await errorOf(run)).toMatchObject({ code: 'COMMAND_TIMEOUT' })
    expect(t.queue.stats()).toMatchObject({ totalSlots: 1 })
    await clock.advance(299)
    expect(t.pool.stats()).toMatchObject({ running: 1, killed: 0 })
    await clock.advance(1)
    expect(await next).toBeGreaterThan(0)
    expect(t.pool.stats()).toMatchObject({ killed: 1, alive: 1 })
    expect(clock.timers).toBe(0)
  },
)

test(
  'a deaf body that is cancelled loses its thread after killAfterMs, long before it would be given up',
  options,
  async () => {
    const clock = new VirtualClock()
    await using t = await onThreads({
      threads: 1,
      clock,
      queue: { clock },
      lanes: { work: { maxConcurrency: 1, zombieGraceMs: 60_000 } },
    })
    const { run } = await t.started('deaf')
    run.cancel()
    expect(await errorOf(run)).toMatchObject({ code: 'COMMAND_CANCELLED' })
    await clock.advance(999)
    expect(t.queue.stats().totalSlots).toBe(1)
    await clock.advance(1)
    expect(t.queue.stats().totalSlots).toBe(0)
    expect(await t.do('echo', { value: 1 })).toBe(1)
  },
)

test('a deaf body whose attempt timed out is retried on another thread', options, async () => {
  await using t = await onThreads({ threads: 1, killAfterMs: 0 })
  const run = t.do('deaf', {}, { timeoutMs: 600, retry: RetryPolicy.fixed(1, 1) })
  expect(await errorOf(run)).toMatchObject({ code: 'COMMAND_TIMEOUT' })
  await until('both threads to be ended', () => t.pool.stats().killed === 2)
  expect((await t.queue.get(run.id))?.attempt).toBe(2)
})

test('others on the same pool go on while a thread is ended', options, async () => {
  await using t = await onThreads({ threads: 2, killAfterMs: 0 })
  const { go, raise } = flag()
  const { run: other } = await t.started<number>('untilTold', { go })
  const { run } = await t.started('deaf')
  run.cancel()
  await until('the deaf one to be ended', () => t.pool.stats().killed === 1)
  raise()
  expect(await other).toBeGreaterThan(0)
})

test('a command that waits for a thread and is cancelled never starts', options, async () => {
  await using t = await onThreads({ threads: 1 })
  const { go, raise } = flag()
  const { run } = await t.started('untilTold', { go })
  const waiting = t.do('counts')
  await until('it to wait', () => t.pool.stats().waiting === 1)
  waiting.cancel()
  expect(await errorOf(waiting)).toMatchObject({ code: 'COMMAND_CANCELLED' })
  expect(t.pool.stats().waiting).toBe(0)
  await until('its slot to be free', () => t.queue.stats().totalSlots === 1)
  raise()
  await run
  expect(await t.do('counts')).toMatchObject({ bodies: 2 })
})

test('a command that is cancelled while its thread starts never starts', options, async () => {
  await using t = await onThreads({ threads: 1 })
  const run = t.do('counts')
  await until('it to be handed over', () => t.pool.stats().running === 1)
  run.cancel()
  await errorOf(run)
  await until('its slot to be free', () => t.queue.stats().totalSlots === 0)
  expect(t.pool.stats()).toMatchObject({ running: 0, completed: 0, killed: 0 })
  expect(await t.do('counts')).toMatchObject({ bodies: 1 })
})

const preempting = {
  lanes: {
    control: { preempts: true, maxConcurrency: 1 },
    work: { preemptible: true, maxConcurrency: 1, minConcurrency: 0 },
  },
  queue: { maxConcurrency: 1 },
}

test('a busy loop that saves its work is preempted, and goes on from there on whatever thread', options, async () => {
  await using t = await onThreads({ ...preempting, threads: 2 })
  const { run } = await t.started<{ from: number; attempt: number }>('countsUp', { to: 50_000 })
  const ends: string[] = []
  const long = errorOf(run.then(() => Promise.reject(new Error('it went to its end'))))
  await t.do('echo', { value: 1 }, { lane: 'control' }).then(() => ends.push('control'))
  expect(ends).toEqual(['control'])
  expect(run.state).not.toBe('completed')
  run.cancel()
  expect(await long).toMatchObject({ code: 'COMMAND_CANCELLED' })
})

test('what a preempted body has saved is where it goes on, under the same attempt number', options, async () => {
  await using t = await onThreads({ ...preempting, threads: 1 })
  const { run } = await t.started<{ from: number; attempt: number }>('countsUp', { to: 300 })
  expect(await t.do('echo', { value: 1 }, { lane: 'control' })).toBe(1)
  const { from, attempt } = await run
  expect(from).toBeGreaterThanOrEqual(1)
  expect(attempt).toBe(1)
  expect(t.pool.stats()).toMatchObject({ killed: 0, crashed: 0 })
})

test('a deaf body that is preempted keeps its thread', options, async () => {
  const clock = new VirtualClock()
  await using t = await onThreads({
    ...preempting,
    threads: 2,
    clock,
    killAfterMs: 0,
    queue: { ...preempting.queue, clock },
  })
  const { go, raise } = flag()
  const { run } = await t.started('untilTold', { go })
  const control = t.do('echo', { value: 1 }, { lane: 'control' })
  await clock.advance(1000)
  expect(t.pool.stats()).toMatchObject({ running: 1, killed: 0 })
  raise()
  expect(await run).toBeGreaterThan(0)
  expect(await control).toBe(1)
})

test('a deaf body that is cancelled after it was preempted is ended all the same', options, async () => {
  await using t = await onThreads({ ...preempting, threads: 1, killAfterMs: 20 })
  const { run } = await t.started('deaf')
  const control = t.do('echo', { value: 1 }, { lane: 'control' })
  await until('the preemption', () => t.queue.explain(run.id)?.state === 'active' && t.queue.stats().totalPending === 1)
  await new Promise<void>((resolve) => setTimeout(resolve, 50))
  expect(t.pool.stats()).toMatchObject({ running: 1, killed: 0 })
  run.cancel('enough')
  expect(await errorOf(run)).toMatchObject({ code: 'COMMAND_CANCELLED' })
  expect(await control).toBe(1)
  expect(t.pool.stats()).toMatchObject({ killed: 1 })
})

test('the reason of an abort is an error of Lane in the thread too', options, async () => {
  await using t = await onThreads({ lanes: { work: { zombieGraceMs: 10_000 } } })
  const { run } = await t.started('untilAborted')
  run.cancel('enough')
  await errorOf(run)
  await until('its slot to be free', () => t.queue.stats().totalSlots === 0)
  const record = await t.queue.get(run.id)
  expect(record?.logs?.map(({ line }) => line)).toEqual(['LaneError COMMAND_CANCELLED Command cancelled: enough'])
})
