import { RetryPolicy } from '@a3s-lab/lane'
import { expect, test } from 'vitest'
import { errorOf, gate, setup } from '../support/setup.js'

test('an attempt that takes longer than its limit is a timeout', async () => {
  await using t = await setup({ work: { timeoutMs: 50 } })
  const run = t.queue.submit('work', t.takes(200))
  const error = errorOf(run)
  await t.clock.advance(50)
  expect(await error).toMatchObject({
    code: 'COMMAND_TIMEOUT',
    message: 'Command timed out after 50ms',
    timeoutMs: 50,
    retryable: false,
  })
  expect(run.state).toBe('timed_out')
  expect(t.events(run.id)).toEqual([
    ['queue.command.submitted', { lane_id: 'work', command_id: run.id }],
    ['queue.command.started', { lane_id: 'work', command_id: run.id, command_type: 'function' }],
    ['queue.command.timeout', { lane_id: 'work', command_id: run.id, error: 'Command timed out after 50ms' }],
  ])
})

test('a command without a limit may take as long as it likes', async () => {
  await using t = await setup()
  const run = t.queue.submit('work', t.takes(10_000_000, 'done'))
  await t.clock.advance(10_000_000)
  expect(await run).toBe('done')
})

test('a command that ends in time is not timed out', async () => {
  await using t = await setup({ work: { timeoutMs: 5000 } })
  const run = t.queue.submit('work', t.takes(4999, 'done'))
  await t.clock.advance(4999)
  expect(await run).toBe('done')
  expect(t.clock.timers).toBe(0)
})

test('the limit holds for each attempt on its own', async () => {
  await using t = await setup({ work: { timeoutMs: 50, retry: RetryPolicy.fixed(1, 10) } })
  const run = t.queue.submit('work', async ({ attempt, signal }) => {
    if (attempt === 2) await t.sleep(45)
    else await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
    return `attempt ${attempt}`
  })
  await t.clock.advance(50)
  expect(run.state).toBe('delayed')
  await t.clock.advance(55)
  expect(await run).toBe('attempt 2')
})

test('a timeout is retried like an error', async () => {
  await using t = await setup({ work: { timeoutMs: 50, retry: RetryPolicy.fixed(1, 200) } })
  const run = t.queue.submit('work', async ({ attempt, signal }) => {
    if (attempt === 2) return 'second attempt'
    await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
    return 'never'
  })
  await t.clock.advance(50)
  expect(run.state).toBe('delayed')
  await t.clock.advance(200)
  expect(await run).toBe('second attempt')
  expect(t.recorder.keys(run.id)).toEqual([
    'queue.command.submitted',
    'queue.command.started',
    'queue.command.retry',
    'queue.command.started',
    'queue.command.completed',
  ])
})

test('the signal aborts with the timeout as its reason', async () => {
  await using t = await setup({ work: { timeoutMs: 50 } })
  let reason: unknown
  const run = t.queue.submit('work', ({ signal }) => {
    signal.addEventListener('abort', () => {
      reason = signal.reason
    })
    return new Promise(() => {})
  })
  const error = errorOf(run)
  await t.clock.advance(50)
  expect(reason).toBe(await error)
})

test('a signal that is read after the timeout has aborted already', async () => {
  await using t = await setup({ work: { timeoutMs: 50 } })
  const seen = gate<[boolean, unknown]>()
  const run = t.queue.submit('work', async (ctx) => {
    await t.sleep(100)
    seen.open([ctx.signal.aborted, ctx.signal.reason])
  })
  const error = errorOf(run)
  await t.clock.advance(100)
  expect(await seen.promise).toEqual([true, await error])
})

test.each([
  [
    'a TimeoutError of the platform',
    new DOMException('The operation timed out', 'TimeoutError'),
    'The operation timed out',
  ],
  ['a timeout of ours', Object.assign(new Error('mine'), { name: 'TimeoutError' }), 'mine'],
])('a command that fails with %s counts as timed out', async (_what, cause, text) => {
  await using t = await setup()
  const run = t.queue.submit('work', () => Promise.reject(cause))
  expect(await errorOf(run)).toMatchObject({ code: 'COMMAND_TIMEOUT', message: text, cause })
  expect(run.state).toBe('timed_out')
  expect(t.recorder.keys(run.id).at(-1)).toBe('queue.command.timeout')
})

test('a command that passes the timeout of its child on counts as timed out', async () => {
  await using t = await setup()
  const run = t.queue.submit('work', async (ctx) => ctx.queue.submit('work', t.takes(100), { timeoutMs: 10 }))
  const error = errorOf(run)
  await t.clock.advance(10)
  expect(await error).toMatchObject({ code: 'COMMAND_TIMEOUT', message: 'Command timed out after 10ms' })
  expect(run.state).toBe('timed_out')
})

test('a body that goes on after its timeout is a zombie, keeps its slot, and its value is refused', async () => {
  await using t = await setup({ work: { maxConcurrency: 1, timeoutMs: 50 } })
  const run = t.queue.submit('work', t.takes(200, 'too late'))
  const next = t.queue.submit('work', t.noting('next'))
  const error = errorOf(run)
  await t.clock.advance(50)
  expect((await error).message).toBe('Command timed out after 50ms')
  expect(t.queue.lane('work').status()).toMatchObject({ active: 0, zombies: 1, pending: 1, abandoned: 0 })
  await t.clock.advance(149)
  expect(t.notes).toEqual([])
  await t.clock.advance(1)
  expect(await next).toBe('next')
  expect(t.queue.lane('work').status()).toMatchObject({ active: 0, zombies: 0, pending: 0, abandoned: 0 })
  expect((await t.queue.get(run.id))?.result).toBeUndefined()
  expect(t.clock.timers).toBe(0)
})

test('a late error of a zombie is refused like a late value', async () => {
  await using t = await setup({ work: { maxConcurrency: 1, timeoutMs: 50 } })
  const run = t.queue.submit('work', async () => {
    await t.sleep(100)
    throw new Error('too late')
  })
  const error = errorOf(run)
  await t.clock.advance(200)
  expect((await error).message).toBe('Command timed out after 50ms')
  expect(t.queue.lane('work').status().zombies).toBe(0)
  expect(t.recorder.of('queue.command.failed')).toEqual([])
})

test('a retry waits for its own timed-out body to end', async () => {
  await using t = await setup({ work: { timeoutMs: 50, retry: RetryPolicy.fixed(1, 10) } })
  const running: number[] = []
  const run = t.queue.submit('work', async ({ attempt }) => {
    running.push(attempt)
    await t.sleep(attempt === 1 ? 200 : 1)
    running.push(-attempt)
    return attempt
  })
  await t.clock.advance(100)
  expect(run.state).toBe('delayed')
  expect(t.queue.stats()).toMatchObject({ totalDelayed: 1, totalActive: 0 })
  await t.clock.advance(101)
  expect(await run).toBe(2)
  expect(running).toEqual([1, -1, 2, -2])
})

test('a retry without a delay waits for its own timed-out body too', async () => {
  await using t = await setup({ work: { timeoutMs: 50, retry: RetryPolicy.fixed(1, 0) } })
  const run = t.queue.submit('work', async ({ attempt }) => {
    if (attempt === 1) await t.sleep(80)
    return attempt
  })
  await t.clock.advance(79)
  expect(run.state).toBe('delayed')
  await t.clock.advance(1)
  expect(await run).toBe(2)
})

test('a retry that is due after its body has ended waits for its due time', async () => {
  await using t = await setup({ work: { timeoutMs: 50, retry: RetryPolicy.fixed(1, 100) } })
  const starts: number[] = []
  const run = t.queue.submit('work', async ({ attempt }) => {
    starts.push(t.clock.now())
    if (attempt === 1) await t.sleep(60)
    return attempt
  })
  await t.clock.advance(150)
  expect(await run).toBe(2)
  expect(starts).toEqual([0, 150])
})

test('a zombie is abandoned after its grace period: the slot is freed, counted and reported', async () => {
  await using t = await setup({ work: { maxConcurrency: 1, timeoutMs: 50, zombieGraceMs: 1000 } })
  const body = gate<string>()
  const run = t.queue.submit('work', function stubborn() {
    return body.promise
  })
  const next = t.queue.submit('work', t.noting('next'))
  const error = errorOf(run)
  await t.clock.advance(1049)
  expect(t.queue.lane('work').status()).toMatchObject({ zombies: 1, abandoned: 0, pending: 1 })
  await t.clock.advance(1)
  expect((await error).message).toBe('Command timed out after 50ms')
  expect(await next).toBe('next')
  expect(t.queue.lane('work').status()).toMatchObject({ zombies: 0, abandoned: 1, pending: 0 })
  const text = 'The handler of stubborn did not stop within 1s of its timeout; its slot was freed'
  expect(t.recorder.of('queue.fault').map(({ payload }) => payload)).toEqual([
    { error: text, lane_id: 'work', command_id: run.id },
  ])
  expect(t.faults).toEqual([new Error(text)])
})

test('what an abandoned body still returns or throws finds nobody', async () => {
  await using t = await setup({ work: { maxConcurrency: 2, timeoutMs: 50, zombieGraceMs: 0 } })
  const [value, failure] = [gate<string>(), gate<string>()]
  const runs = [t.queue.submit('work', () => value.promise), t.queue.submit('work', () => failure.promise)]
  const errors = Promise.all(runs.map(errorOf))
  await t.clock.advance(50)
  expect((await errors).map(({ message }) => message)).toEqual(new Array(2).fill('Command timed out after 50ms'))
  const others = [1, 2].map(() => t.queue.submit('work', t.takes(20, 'other')))
  await t.clock.settle()
  value.open('late')
  failure.fail(new Error('late'))
  await t.clock.settle()
  expect(t.queue.lane('work').status()).toMatchObject({ active: 2, zombies: 0, abandoned: 2 })
  await t.clock.advance(20)
  expect(await Promise.all(others)).toEqual(['other', 'other'])
})

test('the grace period is 30 seconds by default', async () => {
  await using t = await setup({ work: { timeoutMs: 50 } })
  const error = errorOf(t.queue.submit('work', () => new Promise(() => {})))
  await t.clock.advance(30_049)
  expect(t.queue.lane('work').status().abandoned).toBe(0)
  await t.clock.advance(1)
  expect(t.queue.lane('work').status().abandoned).toBe(1)
  expect((await error).message).toBe('Command timed out after 50ms')
})

test('a retry starts when its abandoned body has been given up', async () => {
  await using t = await setup({ work: { timeoutMs: 50, zombieGraceMs: 500, retry: RetryPolicy.fixed(1, 10) } })
  const run = t.queue.submit('work', ({ attempt }) => (attempt === 1 ? new Promise<number>(() => {}) : attempt))
  await t.clock.advance(549)
  expect(run.state).toBe('delayed')
  await t.clock.advance(1)
  expect(await run).toBe(2)
})

test('active commands and zombies together never exceed the maximum of their lane', async () => {
  await using t = await setup({ work: { maxConcurrency: 3, timeoutMs: 10 } })
  let bodies = 0
  let most = 0
  const errors = Array.from({ length: 12 }, () =>
    errorOf(
      t.queue.submit('work', async () => {
        most = Math.max(most, ++bodies)
        await t.sleep(35)
        bodies--
      }),
    ),
  )
  for (let ms = 0; ms < 200; ms += 5) {
    const { active, zombies } = t.queue.lane('work').status()
    expect(active + zombies).toBeLessThanOrEqual(3)
    await t.clock.advance(5)
  }
  await Promise.all(errors)
  expect(most).toBe(3)
})

test('a timeout and its retry with the fraction of a millisecond and whole seconds say their limit', async () => {
  await using t = await setup({ work: {} })
  const limits = [0.5, 1500, 30_000]
  const errors = limits.map((timeoutMs) => errorOf(t.queue.submit('work', t.takes(1e6), { timeoutMs })))
  await t.clock.advance(30_000)
  expect((await Promise.all(errors)).map(({ message }) => message)).toEqual([
    'Command timed out after 500µs',
    'Command timed out after 1.5s',
    'Command timed out after 30s',
  ])
})
