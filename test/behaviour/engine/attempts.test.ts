import {
  type CommandContext,
  discard,
  LaneError,
  RetryAfterError,
  RetryPolicy,
  snooze,
  UnrecoverableError,
} from '@a3s-lab/lane'
import { expect, test } from 'vitest'
import { aborted } from '../../support/bodies.js'
import { cluster } from '../../support/cluster.js'
import { errorOf } from '../../support/setup.js'

test('a failed attempt is tried again after its back-off, on any worker, and counts over all of them', async () => {
  await using c = cluster()
  const a = await c.join({ role: 'coordinator' })
  const seen: [number, number][] = []
  const flaky = (_payload: unknown, { attempt }: CommandContext): number => {
    seen.push([attempt, c.clock.now()])
    if (attempt < 4) throw new Error(`not yet ${attempt}`)
    return attempt
  }
  const workers = [
    await c.join({ role: 'worker', handlers: { flaky } }),
    await c.join({ role: 'worker', handlers: { flaky } }),
  ]
  const run = a.queue.submit('work', { type: 'flaky' }, { retry: RetryPolicy.exponential(3, { initialMs: 100 }) })
  expect(await c.outcome(run)).toBe(4)
  expect(seen).toEqual([
    [1, 0],
    [2, 100],
    [3, 300],
    [4, 700],
  ])
  const keys = workers.flatMap((worker) => worker.keys(run)).filter((key) => key !== 'started')
  expect(keys).toEqual(['retry', 'retry', 'retry', 'completed'])
  const record = await a.queue.get(run.id)
  expect(record?.history?.map(({ attempt, error }) => [attempt, error])).toEqual([
    [1, 'not yet 1'],
    [2, 'not yet 2'],
    [3, 'not yet 3'],
  ])
})

test('a command that waits for its retry is delayed for everybody who asks', async () => {
  await using c = cluster()
  const [a, b] = await c.pair({
    handlers: {
      bad: () => {
        throw new Error('bad')
      },
    },
  })
  const run = a.queue.submit('work', { type: 'bad' }, { retry: RetryPolicy.fixed(1, 1000) })
  await c.clock.advance(10)
  const dueAt = new Date(c.clock.wallNow() + 990).toISOString()
  for (const { queue } of [a, b]) expect(await queue.get(run.id)).toMatchObject({ state: 'delayed', attempt: 1, dueAt })
  expect((await a.queue.clusterStats()).lanes['work']).toMatchObject({ pending: 0, active: 0, delayed: 1 })
  expect(b.queue.stats()).toMatchObject({ totalActive: 0, totalDelayed: 0, totalSlots: 0 })
  expect(await errorOf(c.outcome(run))).toMatchObject({ code: 'COMMAND_FAILED', message: 'bad' })
})

test("retries and timeout are the submitter's lane's, whoever runs the command", async () => {
  await using c = cluster()
  const a = await c.join({
    role: 'coordinator',
    lanes: { work: { timeoutMs: 50, retry: RetryPolicy.fixed(2, 10) } },
  })
  const attempts: number[] = []
  await c.join({
    role: 'worker',
    handlers: {
      slow: (_payload, { attempt, signal }) => {
        attempts.push(attempt)
        return c.nap(1000, signal)
      },
    },
  })
  expect(await errorOf(c.outcome(a.queue.submit('work', { type: 'slow' })))).toMatchObject({ code: 'COMMAND_TIMEOUT' })
  expect(attempts).toEqual([1, 2, 3])
})

test('the error of a failed command comes to its submitter with its name, its text and its cause', async () => {
  await using c = cluster()
  const [a] = await c.pair({
    handlers: {
      bad: () => {
        throw new TypeError('broken')
      },
      ours: () => {
        throw new LaneError('CONFLICT', 'taken', { fields: { which: 7 } })
      },
      text: () => {
        // biome-ignore lint/style/useThrowOnlyError: what a handler may do
        throw 'only text'
      },
    },
  })
  const error = await errorOf(c.outcome(a.queue.submit('work', { type: 'bad' })))
  expect(error).toMatchObject({
    code: 'COMMAND_FAILED',
    message: 'broken',
    cause: { name: 'TypeError', message: 'broken' },
  })
  expect(await errorOf(c.outcome(a.queue.submit('work', { type: 'ours' })))).toMatchObject({ message: 'taken' })
  expect(await errorOf(c.outcome(a.queue.submit('work', { type: 'text' })))).toMatchObject({
    code: 'COMMAND_FAILED',
    message: 'only text',
  })
})

test('an unrecoverable error ends a command that has retries left', async () => {
  await using c = cluster()
  const attempts: number[] = []
  const [a] = await c.pair({
    handlers: {
      fatal: (_payload, { attempt }) => {
        attempts.push(attempt)
        throw new UnrecoverableError('never')
      },
    },
  })
  const run = a.queue.submit('work', { type: 'fatal' }, { retry: RetryPolicy.fixed(5, 10) })
  expect(await errorOf(c.outcome(run))).toMatchObject({ code: 'COMMAND_FAILED', message: 'never' })
  expect(attempts).toEqual([1])
})

test('a snooze comes back when its time is over and spends no retry', async () => {
  await using c = cluster()
  const seen: [number, number][] = []
  const [a, b] = await c.pair({
    handlers: {
      nap: (_payload, { attempt }) => {
        seen.push([attempt, c.clock.now()])
        return attempt < 3 ? snooze(500) : 'awake'
      },
    },
  })
  const run = a.queue.submit('work', { type: 'nap' })
  expect(await c.outcome(run)).toBe('awake')
  expect(seen).toEqual([
    [1, 0],
    [2, 500],
    [3, 1000],
  ])
  expect(b.keys(run)).toEqual(['started', 'delayed', 'started', 'delayed', 'started', 'completed'])
})

test('a discarded command is cancelled with its reason', async () => {
  await using c = cluster()
  const [a] = await c.pair({ handlers: { x: () => discard('of no use') } })
  const run = a.queue.submit('work', { type: 'x' })
  expect(await errorOf(c.outcome(run))).toMatchObject({ code: 'COMMAND_CANCELLED', reason: 'of no use' })
  expect([run.state, (await a.queue.get(run.id))?.state]).toEqual(['cancelled', 'cancelled'])
})

test('a deferral waits as long as the provider says, and closes the lane on every worker', async () => {
  await using c = cluster()
  const a = await c.join({ role: 'coordinator' })
  const starts: [string, number][] = []
  const x = (name: unknown, { attempt }: CommandContext): void => {
    starts.push([String(name), c.clock.now()])
    if (name === 'first' && attempt === 1) throw new RetryAfterError(2000, { scope: 'lane' })
  }
  const workers = [await c.join({ role: 'worker', handlers: { x } }), await c.join({ role: 'worker', handlers: { x } })]
  const first = a.queue.submit('work', { type: 'x', payload: 'first' })
  await c.clock.advance(10)
  const second = a.queue.submit('work', { type: 'x', payload: 'second' })
  await c.clock.advance(3000)
  await Promise.all([first, second])
  expect(starts).toEqual([
    ['first', 0],
    ['first', 2000],
    ['second', 2000],
  ])
  expect(workers.flatMap((worker) => worker.keys(first)).filter((key) => key === 'retry')).toEqual([])
})

test('deferrals are bounded over all workers', async () => {
  await using c = cluster({ lanes: { work: { maxDeferrals: 2 } } })
  const attempts: number[] = []
  const [a] = await c.pair({
    handlers: {
      x: (_payload, { attempt }) => {
        attempts.push(attempt)
        throw new RetryAfterError(10)
      },
    },
  })
  const run = a.queue.submit('work', { type: 'x' })
  expect(await errorOf(c.outcome(run))).toMatchObject({ code: 'COMMAND_FAILED' })
  expect(attempts).toEqual([1, 2, 3])
})

test('a timeout without retries is answered at once, and its body keeps its slot until it ends', async () => {
  await using c = cluster()
  const [a, b] = await c.pair({ maxConcurrency: 1, handlers: { stubborn: () => c.sleep(1000), quick: () => 'quick' } })
  const run = a.queue.submit('work', { type: 'stubborn' }, { timeoutMs: 100 })
  const next = a.queue.submit('work', { type: 'quick' })
  await c.clock.advance(100)
  expect(await errorOf(c.clock.expectSettled(run))).toMatchObject({ code: 'COMMAND_TIMEOUT' })
  expect(b.queue.stats()).toMatchObject({ totalActive: 0, totalSlots: 1 })
  expect(next.state).toBe('pending')
  await c.clock.advance(900)
  expect(await c.clock.expectSettled(next)).toBe('quick')
})

test('a retry after a timeout waits for the body of the attempt before, so a command never runs beside itself', async () => {
  await using c = cluster()
  const a = await c.join({ role: 'coordinator' })
  const seen: [number, number][] = []
  const stubborn = async (_payload: unknown, { attempt }: CommandContext): Promise<number> => {
    seen.push([attempt, c.clock.now()])
    if (attempt === 1) await c.sleep(1000)
    return attempt
  }
  for (let worker = 0; worker < 2; worker++) await c.join({ role: 'worker', handlers: { stubborn } })
  const run = a.queue.submit('work', { type: 'stubborn' }, { timeoutMs: 100, retry: RetryPolicy.fixed(1, 50) })
  await c.clock.advance(500)
  expect(seen).toEqual([[1, 0]])
  expect(await c.outcome(run)).toBe(2)
  expect(seen).toEqual([
    [1, 0],
    [2, 1000],
  ])
})

test('a body that never ends is given up after its grace, and its retry goes on', async () => {
  await using c = cluster({ lanes: { work: { zombieGraceMs: 300 } } })
  const [a, b] = await c.pair({
    handlers: {
      stuck: (_payload, { attempt }) => (attempt === 1 ? new Promise(() => undefined) : 'second'),
    },
  })
  const run = a.queue.submit('work', { type: 'stuck' }, { timeoutMs: 100, retry: RetryPolicy.fixed(1, 50) })
  expect(await c.outcome(run)).toBe('second')
  expect(c.clock.now()).toBeLessThan(1000)
  expect(b.faults()).toEqual([expect.stringContaining('did not stop within')])
})

test('a zombie outlives the lease: nobody else runs its command', async () => {
  await using c = cluster({ leaseMs: 300, lanes: { work: { zombieGraceMs: 60_000 } } })
  const a = await c.join({ role: 'coordinator' })
  const seen: number[] = []
  const stubborn = async (_payload: unknown, context: CommandContext): Promise<void> => {
    seen.push(context.attempt)
    if (context.attempt === 1) await c.sleep(5000)
  }
  for (let worker = 0; worker < 2; worker++) await c.join({ role: 'worker', handlers: { stubborn } })
  const run = a.queue.submit('work', { type: 'stubborn' }, { timeoutMs: 100, retry: RetryPolicy.fixed(1, 50) })
  await c.clock.advance(4900)
  expect(seen).toEqual([1])
  await c.outcome(run)
  expect(seen).toEqual([1, 2])
})

test('a running timeout aborts the signal with its reason, and the value that comes late is refused', async () => {
  await using c = cluster()
  let reason: unknown
  const [a] = await c.pair({
    handlers: {
      late: async (_payload, context) => {
        reason = await aborted(context)
        return 'late'
      },
    },
  })
  const run = a.queue.submit('work', { type: 'late' }, { timeoutMs: 100 })
  expect(await errorOf(c.outcome(run))).toMatchObject({ code: 'COMMAND_TIMEOUT' })
  expect(reason).toMatchObject({ code: 'COMMAND_TIMEOUT' })
  expect((await a.queue.get(run.id))?.state).toBe('timed_out')
})
