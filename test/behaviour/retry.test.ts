import { LaneError, RetryAfterError, RetryPolicy, snooze, UnrecoverableError } from '@a3s-lab/lane'
import { expect, test } from 'vitest'
import { errorOf, setup, thrownBy } from '../support/setup.js'

/** A body that fails its first attempts. */
const failing =
  (times: number, error: () => unknown = () => new Error('not yet')) =>
  async ({ attempt }: { readonly attempt: number }): Promise<string> => {
    if (attempt <= times) throw error()
    return `attempt ${attempt}`
  }

test('a command that fails twice succeeds on its third attempt', async () => {
  await using t = await setup({ work: { retry: RetryPolicy.fixed(3, 10) } })
  const run = t.queue.submit('work', failing(2))
  await t.clock.advance(20)
  expect(await run).toBe('attempt 3')
  expect(t.events(run.id).map(([key, payload]) => [key, (payload as { attempt?: number }).attempt])).toEqual([
    ['queue.command.submitted', undefined],
    ['queue.command.started', undefined],
    ['queue.command.retry', 1],
    ['queue.command.started', undefined],
    ['queue.command.retry', 2],
    ['queue.command.started', undefined],
    ['queue.command.completed', undefined],
  ])
})

test('a command whose retries are spent fails with the text of its last error', async () => {
  await using t = await setup({ work: { retry: RetryPolicy.fixed(2, 10) } })
  const run = t.queue.submit('work', async ({ attempt }) => {
    throw new Error(`failure ${attempt}`)
  })
  const error = errorOf(run)
  await t.clock.advance(20)
  expect(await error).toMatchObject({ code: 'COMMAND_FAILED', message: 'failure 3' })
  expect(await t.queue.get(run.id)).toMatchObject({
    attempt: 3,
    history: [
      { attempt: 1, error: 'failure 1', at: '2026-01-01T00:00:00.000Z' },
      { attempt: 2, error: 'failure 2', at: '2026-01-01T00:00:00.010Z' },
      { attempt: 3, error: 'failure 3', at: '2026-01-01T00:00:00.020Z' },
    ],
  })
})

test('a success is not retried', async () => {
  await using t = await setup({ work: { retry: RetryPolicy.exponential(3) } })
  let executions = 0
  const run = t.queue.submit('work', () => ++executions)
  await t.clock.advance(100_000)
  expect(await run).toBe(1)
  expect(executions).toBe(1)
})

test('without a policy the first failure is final', async () => {
  await using t = await setup()
  const run = t.queue.submit('work', failing(1))
  expect(await errorOf(run)).toMatchObject({ message: 'not yet' })
  expect(t.clock.timers).toBe(0)
})

test('a retry starts when its back-off is over and not before', async () => {
  await using t = await setup({ work: { retry: RetryPolicy.exponential(5) } })
  const starts: number[] = []
  void t.queue.submit('work', () => {
    starts.push(t.clock.now())
    throw new Error('always')
  })
  await t.clock.advance(10_000)
  expect(starts).toEqual([0, 100, 300, 700, 1500, 3100])
})

test('a command in back-off is delayed, holds no slot, and is counted', async () => {
  await using t = await setup({ work: { maxConcurrency: 1, retry: RetryPolicy.fixed(1, 100) } })
  const run = t.queue.submit('work', failing(1))
  await t.clock.settle()
  expect(run.state).toBe('delayed')
  expect(t.queue.stats()).toMatchObject({ totalPending: 0, totalActive: 0, totalDelayed: 1 })
  expect(t.queue.lane('work').status()).toMatchObject({ pending: 0, active: 0, delayed: 1 })
  expect(await t.queue.submit('work', () => 'meanwhile')).toBe('meanwhile')
  expect(await t.queue.get(run.id)).toMatchObject({ state: 'delayed', dueAt: '2026-01-01T00:00:00.100Z' })
  await t.clock.advance(100)
  expect(await run).toBe('attempt 2')
})

test('a retry without a delay follows at once, in its place', async () => {
  await using t = await setup({ work: { maxConcurrency: 1, retry: RetryPolicy.fixed(1, 0) } })
  const run = t.queue.submit('work', failing(1))
  const next = t.queue.submit('work', t.noting('next'))
  await t.clock.settle()
  expect(await run).toBe('attempt 2')
  expect(await next).toBe('next')
  const starts = t.recorder.of('queue.command.started').map(({ payload }) => payload.command_id)
  expect(starts).toEqual([run.id, run.id, next.id])
  expect(t.clock.now()).toBe(0)
})

test('jitter draws the delay from the random numbers of the queue', async () => {
  const due = async (jitter: 'full' | 'equal'): Promise<number> => {
    await using t = await setup({ work: { retry: RetryPolicy.exponential(1, { initialMs: 1000, jitter }) } })
    const run = t.queue.submit('work', failing(1))
    await t.clock.settle()
    const { dueAt } = (await t.queue.get(run.id)) as { dueAt: string }
    return Date.parse(dueAt) - Date.parse('2026-01-01')
  }
  const [full, equal] = [await due('full'), await due('equal')]
  expect(full).toBeGreaterThanOrEqual(0)
  expect(full).toBeLessThan(1000)
  expect(equal).toBeGreaterThanOrEqual(500)
  expect(equal).toBeLessThan(1000)
  expect(await due('full')).toBe(full)
})

test('an unrecoverable error is not retried', async () => {
  await using t = await setup({ work: { retry: RetryPolicy.fixed(3, 10) } })
  const cause = new UnrecoverableError('bad input')
  const run = t.queue.submit('work', () => Promise.reject(cause))
  const error = await errorOf(run)
  expect(error).toMatchObject({ code: 'COMMAND_FAILED', message: 'bad input' })
  expect(error.cause).toBe(cause)
  expect(t.recorder.keys(run.id)).toEqual(['queue.command.submitted', 'queue.command.started', 'queue.command.failed'])
})

test('an error of ours that says what happened is passed on as it is', async () => {
  await using t = await setup()
  const inner = new LaneError('COMMAND_FAILED', 'the child failed')
  expect(await errorOf(t.queue.submit('work', () => Promise.reject(inner)))).toBe(inner)
})

test('a RetryAfterError says when to come back and spends no retry', async () => {
  await using t = await setup({ work: { retry: RetryPolicy.fixed(1, 10) } })
  const run = t.queue.submit('work', async ({ attempt }) => {
    if (attempt <= 2) throw new RetryAfterError(500)
    if (attempt === 3) throw new Error('a real failure')
    return `attempt ${attempt}`
  })
  await t.clock.advance(1010)
  expect(await run).toBe('attempt 4')
  expect(t.events(run.id)).toEqual([
    ['queue.command.submitted', { lane_id: 'work', command_id: run.id }],
    ['queue.command.started', { lane_id: 'work', command_id: run.id, command_type: 'function' }],
    ['queue.command.delayed', { lane_id: 'work', command_id: run.id, delay_ms: 500, reason: 'deferred' }],
    ['queue.command.started', { lane_id: 'work', command_id: run.id, command_type: 'function' }],
    ['queue.command.delayed', { lane_id: 'work', command_id: run.id, delay_ms: 500, reason: 'deferred' }],
    ['queue.command.started', { lane_id: 'work', command_id: run.id, command_type: 'function' }],
    ['queue.command.retry', { lane_id: 'work', command_id: run.id, attempt: 1 }],
    ['queue.command.started', { lane_id: 'work', command_id: run.id, command_type: 'function' }],
    ['queue.command.completed', { lane_id: 'work', command_id: run.id }],
  ])
})

test('deferrals are bounded by maxDeferrals, after which the command fails for good', async () => {
  await using t = await setup({ work: { maxDeferrals: 2, retry: RetryPolicy.fixed(5, 1) } }, { deadLetters: true })
  const run = t.queue.submit('work', () => Promise.reject(new RetryAfterError(10)))
  const error = errorOf(run)
  await t.clock.advance(100)
  expect(await error).toMatchObject({ code: 'COMMAND_FAILED', message: 'Retry after 10ms' })
  const [letter] = await t.queue.deadLetters.list()
  expect(letter).toMatchObject({ attempts: 3, history: [{ attempt: 3, error: 'Retry after 10ms' }] })
})

test('ten deferrals are allowed by default', async () => {
  await using t = await setup()
  const run = t.queue.submit('work', () => Promise.reject(new RetryAfterError(1, { message: 'busy' })))
  const error = errorOf(run)
  await t.clock.advance(100)
  expect((await error).message).toBe('busy')
  expect(await t.queue.get(run.id)).toMatchObject({ attempt: 11 })
})

test('a snooze puts the command off without limit and spends no retry', async () => {
  await using t = await setup()
  const run = t.queue.submit('work', ({ attempt }) => (attempt <= 30 ? snooze(100) : `attempt ${attempt}`))
  await t.clock.advance(100)
  expect(t.events(run.id).slice(0, 3)).toEqual([
    ['queue.command.submitted', { lane_id: 'work', command_id: run.id }],
    ['queue.command.started', { lane_id: 'work', command_id: run.id, command_type: 'function' }],
    ['queue.command.delayed', { lane_id: 'work', command_id: run.id, delay_ms: 100, reason: 'snoozed' }],
  ])
  await t.clock.advance(2900)
  expect(await run).toBe('attempt 31')
})

test.each([-1, Number.NaN, Number.POSITIVE_INFINITY, '5'])('a delay of %s is no delay', (delay) => {
  const message = /delayMs must be a number of milliseconds, 0 or more/
  expect(thrownBy(() => snooze(delay as number))).toMatchObject({ code: 'CONFIG_INVALID' })
  expect(thrownBy(() => snooze(delay as number)).message).toMatch(message)
  expect(thrownBy(() => new RetryAfterError(delay as number)).message).toMatch(message)
})

test('a RetryAfterError of an unknown scope is refused', () => {
  expect(thrownBy(() => new RetryAfterError(1, { scope: 'queue' as never }))).toMatchObject({
    message: `Configuration error: RetryAfterError scope must be 'command' or 'lane', got "queue"`,
  })
  expect(new RetryAfterError(1, { scope: 'lane' })).toMatchObject({ scope: 'lane', delayMs: 1 })
  expect(new RetryAfterError(1, { scope: 'command', cause: 1 })).toMatchObject({ scope: 'command', cause: 1 })
})

test('a plain policy from JSON is as good as one of ours', async () => {
  const plain = JSON.parse(JSON.stringify(RetryPolicy.fixed(1, 10))) as RetryPolicy
  await using t = await setup({ work: { retry: plain } })
  const run = t.queue.submit('work', failing(1))
  await t.clock.advance(10)
  expect(await run).toBe('attempt 2')
})

test('the enqueue time of a retried command stays the original one', async () => {
  await using t = await setup({ work: { retry: RetryPolicy.fixed(1, 1000) } })
  const run = t.queue.submit('work', failing(1))
  await t.clock.advance(1000)
  expect(await t.queue.get(run.id)).toMatchObject({
    createdAt: '2026-01-01T00:00:00.000Z',
    startedAt: '2026-01-01T00:00:01.000Z',
  })
})

test('a command keeps the policy that its lane had when it was submitted', async () => {
  await using t = await setup({ work: { maxConcurrency: 1, retry: RetryPolicy.fixed(1, 10) } })
  t.queue.lane('work').pause()
  const before = t.queue.submit('work', failing(1))
  t.queue.lane('work').configure({ retry: RetryPolicy.none() })
  const after = t.queue.submit('work', failing(1))
  t.queue.lane('work').resume()
  const error = errorOf(after)
  await t.clock.advance(10)
  expect(await before).toBe('attempt 2')
  expect(await error).toMatchObject({ message: 'not yet' })
})
