import { defineCommand, RetryAfterError, RetryPolicy, snooze } from '@a3s-lab/lane'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { errorOf, gate, type Setup, setup } from '../support/setup.js'

type Step = 'start' | 'shutdown' | 'drain' | 'close'

/** Every order of up to four steps, each any number of times. */
const orders: Step[][] = (['start', 'shutdown', 'drain', 'close'] as const).flatMap((a) => [
  [a],
  ...(['start', 'shutdown', 'drain', 'close'] as const).flatMap((b) => [
    [a, b],
    ...(['start', 'shutdown', 'drain', 'close'] as const).map((c) => [a, b, c]),
  ]),
])

async function take(t: Setup, step: Step): Promise<unknown> {
  const done = {
    start: () => t.queue.start(),
    shutdown: () => t.queue.shutdown(),
    drain: () => t.queue.drain(50),
    close: () => t.queue.close({ timeoutMs: 50 }),
  }[step]()
  const outcome = done.then(
    () => 'done',
    (error: unknown) => (error as { code: string }).code,
  )
  await t.clock.advance(60)
  return outcome
}

test.each(orders.map((order) => [order.join(', '), order] as const))(
  'the steps %s agree and none hangs',
  async (_name, order) => {
    await using t = await setup({ work: { maxConcurrency: 1 } }, { start: false })
    const runs = [1, 2].map(() => t.queue.submit('work', t.takes(10)))
    const outcomes = Promise.all(
      runs.map((run) =>
        run.then(
          () => 'done',
          (error: unknown) => (error as { code: string }).code,
        ),
      ),
    )
    const seen: unknown[] = []
    for (const step of order) seen.push(await take(t as Setup, step))
    // What must come of each step follows from whether the queue was started, and ended, before it.
    let started = false
    let ended = false
    let shutDown = false
    const expected = order.map((step) => {
      if (step === 'start') {
        if (ended && !started) return 'SHUTTING_DOWN'
        started = true
        if (shutDown) ended = true
        return 'done'
      }
      if (step === 'drain') return started || ended ? 'done' : 'DRAIN_TIMEOUT'
      shutDown = true
      if (step === 'close' || started) ended = true
      return 'done'
    })
    expect(seen).toEqual(expected)
    await t.queue.close()
    expect(await outcomes).toEqual(new Array(2).fill(started ? 'done' : 'COMMAND_CANCELLED'))
    const shutdowns = t.recorder.keys().filter((key) => key.startsWith('queue.shutdown'))
    expect(shutdowns).toEqual(['queue.shutdown.started', 'queue.shutdown.complete'])
    expect(t.recorder.keys().at(-1)).toBe('queue.shutdown.complete')
  },
)

test('all steps at once agree', async () => {
  await using t = await setup({ work: {} }, { start: false })
  const run = t.queue.submit('work', t.takes(10, 'ran'))
  const steps = Promise.all([
    t.queue.start(),
    t.queue.start(),
    t.queue.drain(50),
    t.queue.shutdown(),
    t.queue.drain(50),
  ])
  await t.clock.advance(10)
  await steps
  expect(await run).toBe('ran')
})

test('a submit after shutdown is refused', async () => {
  await using t = await setup()
  expect(t.queue.isShuttingDown).toBe(false)
  await t.queue.shutdown()
  expect(t.queue.isShuttingDown).toBe(true)
  const run = t.queue.submit('work', () => 1)
  expect(await errorOf(run)).toMatchObject({
    code: 'SHUTTING_DOWN',
    message: 'Queue is shutting down, not accepting new commands',
    retryable: false,
  })
})

test('what was accepted before the shutdown goes on', async () => {
  await using t = await setup({ work: { maxConcurrency: 1, retry: RetryPolicy.fixed(1, 100) } })
  const runs = [
    t.queue.submit('work', t.takes(10, 'running')),
    t.queue.submit('work', () => 'waiting'),
    t.queue.submit('work', () => 'delayed', { delayMs: 50 }),
    t.queue.submit('work', ({ attempt }) => {
      if (attempt === 1) throw new Error('once')
      return 'retried'
    }),
  ]
  await t.queue.shutdown()
  await t.clock.advance(109)
  expect(t.recorder.of('queue.shutdown.complete')).toEqual([])
  await t.clock.advance(10)
  expect(await Promise.all(runs)).toEqual(['running', 'waiting', 'delayed', 'retried'])
  expect(t.events().at(-1)).toEqual(['queue.shutdown.complete', null])
  expect(t.clock.timers).toBe(0)
})

test('shutdown is complete only when no zombie holds a slot', async () => {
  await using t = await setup({ work: { timeoutMs: 10 } })
  const error = errorOf(t.queue.submit('work', t.takes(100)))
  await t.queue.shutdown()
  await t.clock.advance(99)
  expect((await error)['code']).toBe('COMMAND_TIMEOUT')
  expect(t.recorder.of('queue.shutdown.complete')).toEqual([])
  await t.clock.advance(1)
  expect(t.recorder.of('queue.shutdown.complete')).toHaveLength(1)
})

test('a queue that was shut down may still be started for what it had accepted', async () => {
  await using t = await setup({ work: {} }, { start: false })
  const run = t.queue.submit('work', () => 'ran')
  await t.queue.shutdown()
  await t.queue.start()
  expect(await run).toBe('ran')
  await t.clock.settle()
  expect((await errorOf(t.queue.submit('work', () => 1)))['code']).toBe('SHUTTING_DOWN')
})

test('a queue that has ended cannot be started', async () => {
  await using t = await setup({ work: {} }, { start: false })
  await t.queue.close()
  expect(await errorOf(t.queue.start())).toMatchObject({
    code: 'SHUTTING_DOWN',
    message: 'Queue is shut down and cannot be started',
  })
})

test('drain waits for what runs, and its result is there', async () => {
  await using t = await setup()
  const run = t.queue.submit('work', t.takes(100, 'result'))
  const drained = t.queue.drain(2000)
  await t.clock.advance(100)
  await t.clock.expectSettled(drained)
  expect(run.state).toBe('completed')
  expect(t.clock.timers).toBe(0)
})

test('drain waits for back-off and delays', async () => {
  await using t = await setup({ work: { retry: RetryPolicy.fixed(1, 500) } })
  void t.queue.submit('work', () => 1, { delayMs: 300 })
  const run = t.queue.submit('work', () => Promise.reject(new Error('no')))
  const error = errorOf(run)
  let isDrained = false
  const drained = t.queue.drain(2000).then(() => {
    isDrained = true
  })
  await t.clock.advance(499)
  expect(isDrained).toBe(false)
  await t.clock.advance(1)
  await drained
  await error
})

test('drain with nothing to wait for comes back at once', async () => {
  await using t = await setup()
  await t.clock.expectSettled(t.queue.drain(0))
  expect(t.clock.timers).toBe(0)
})

test('a drain whose limit passes names what is unsettled, and stops nothing', async () => {
  await using t = await setup({ work: { maxConcurrency: 1 } })
  const running = t.queue.submit('work', t.takes(5000, 'goes on'), { id: 'running' })
  void t.queue.submit('work', () => 1, { id: 'waiting' })
  void t.queue.submit('work', () => 1, { id: 'delayed', delayMs: 1000 })
  const drained = errorOf(t.queue.drain(50))
  await t.clock.advance(50)
  expect(await drained).toMatchObject({
    code: 'DRAIN_TIMEOUT',
    message: 'Command timed out after 50ms while draining; unsettled: 3 (running, delayed, waiting)',
    retryable: true,
    timeoutMs: 50,
    unsettled: ['running', 'delayed', 'waiting'],
    zombies: [],
  })
  await t.clock.advance(4950)
  expect(await running).toBe('goes on')
})

test('a drain whose limit passes names zombies', async () => {
  await using t = await setup({ work: { timeoutMs: 10 } })
  const run = t.queue.submit('work', t.takes(1000))
  const error = errorOf(run)
  const drained = errorOf(t.queue.drain(50))
  await t.clock.advance(50)
  expect(await drained).toMatchObject({
    message: `Command timed out after 50ms while draining; still holding a slot: 1 (${run.id})`,
    unsettled: [],
    zombies: [run.id],
  })
  await error
})

test('a drain names at most five commands in its message and all of them in its fields', async () => {
  await using t = await setup({ work: { timeoutMs: 10 } })
  const zombie = errorOf(t.queue.submit('work', t.takes(100), { id: 'zombie' }))
  for (const id of ['a', 'b', 'c', 'd', 'e', 'f']) void t.queue.submit('work', () => 1, { id, delayMs: 100 })
  const drained = errorOf(t.queue.drain(20))
  await t.clock.advance(20)
  const error = await drained
  expect(error.message).toBe(
    'Command timed out after 20ms while draining; unsettled: 6 (a, b, c, d, e, …); still holding a slot: 1 (zombie)',
  )
  expect(error['unsettled']).toEqual(['a', 'b', 'c', 'd', 'e', 'f'])
  await zombie
})

test('a drain can be given up', async () => {
  await using t = await setup()
  void t.queue.submit('work', t.takes(100))
  const controller = new AbortController()
  const drained = errorOf(t.queue.drain(1000, { signal: controller.signal }))
  controller.abort(new Error('no patience'))
  expect((await drained).message).toBe('no patience')
  expect((await errorOf(t.queue.drain(1000, { signal: AbortSignal.abort(new Error('early')) }))).message).toBe('early')
  const patient = t.queue.drain(1000, { signal: new AbortController().signal })
  await t.clock.advance(100)
  await patient
  expect(t.clock.timers).toBe(0)
})

test.each([-1, Number.NaN, Number.POSITIVE_INFINITY, undefined])('a limit of %s is refused', async (limit) => {
  await using t = await setup()
  expect((await errorOf(t.queue.drain(limit as number))).message).toMatch(
    /^Configuration error: drain timeoutMs must be a number of milliseconds, 0 or more, got/,
  )
})

test.each([-1, Number.NaN, Number.POSITIVE_INFINITY])('a limit of %s of close is refused', async (timeoutMs) => {
  await using t = await setup()
  expect((await errorOf(t.queue.close({ timeoutMs }))).message).toMatch(/^Configuration error: close timeoutMs/)
})

test('drain waits for a submit whose payload is still being checked, and names it', async () => {
  await using t = await setup()
  const checked = gate<boolean>()
  const slow = defineCommand({ type: 'slow', payload: z.number().refine(() => checked.promise) })
  t.queue.handle(slow, (payload) => payload)
  const run = t.queue.submit('work', slow(7), { id: 'checking' })
  const drained = errorOf(t.queue.drain(50))
  await t.clock.advance(50)
  expect((await drained)['unsettled']).toEqual(['checking'])
  checked.open(true)
  expect(await run).toBe(7)
})

test('close cancels what waits, lets what runs end, and starts nothing more', async () => {
  await using t = await setup({ work: { maxConcurrency: 1, retry: RetryPolicy.fixed(5, 1) } })
  const running = t.queue.submit('work', t.takes(100, 'ended by itself'))
  const waiting = errorOf(t.queue.submit('work', t.noting('never')))
  const delayed = errorOf(t.queue.submit('work', t.noting('never'), { delayMs: 10 }))
  await t.clock.settle()
  const closed = t.queue.close()
  expect((await waiting).message).toBe('Command cancelled: the queue was closed')
  expect((await delayed).message).toBe('Command cancelled: the queue was closed')
  await t.clock.advance(100)
  expect(await running).toBe('ended by itself')
  await closed
  expect(t.notes).toEqual([])
  expect(t.recorder.keys().at(-1)).toBe('queue.shutdown.complete')
  expect(t.clock.timers).toBe(0)
})

test('close cancels what does not end in time and gives its slots up', async () => {
  await using t = await setup()
  const run = t.queue.submit('work', function endless() {
    return new Promise(() => {})
  })
  const error = errorOf(run)
  await t.clock.settle()
  const closed = t.queue.close({ timeoutMs: 200 })
  await t.clock.advance(200)
  await closed
  expect((await error).message).toBe('Command cancelled: the queue was closed')
  expect(t.queue.lane('work').status()).toMatchObject({ active: 0, zombies: 0, abandoned: 1 })
  expect(t.clock.timers).toBe(0)
  expect(String(t.faults[0])).toMatch(/The handler of endless did not stop/)
})

test('the limit of close is 30 seconds by default', async () => {
  await using t = await setup()
  const error = errorOf(t.queue.submit('work', () => new Promise(() => {})))
  await t.clock.settle()
  let isClosed = false
  const closed = t.queue.close().then(() => {
    isClosed = true
  })
  await t.clock.advance(29_999)
  expect(isClosed).toBe(false)
  await t.clock.advance(1)
  await closed
  await error
})

test.each<[string, () => unknown, string]>([
  ['fails', () => Promise.reject(new Error('no')), 'no'],
  ['is deferred', () => Promise.reject(new RetryAfterError(10)), 'Retry after 10ms'],
  ['snoozes', () => snooze(10), 'Command cancelled: the queue was closed'],
])('a command that %s while its queue closes is not run again', async (_what, body, message) => {
  await using t = await setup({ work: { retry: RetryPolicy.fixed(3, 10) } })
  const error = errorOf(t.queue.submit('work', () => t.sleep(10).then(body)))
  await t.clock.settle()
  const closed = t.queue.close()
  await t.clock.advance(10)
  await closed
  expect((await error).message).toBe(message)
  expect(t.clock.timers).toBe(0)
})

test('a second close agrees with the first', async () => {
  await using t = await setup()
  const error = errorOf(t.queue.submit('work', () => new Promise(() => {})))
  await t.clock.settle()
  const closes = Promise.all([t.queue.close({ timeoutMs: 100 }), t.queue.close({ timeoutMs: 9999 }), t.queue.close()])
  await t.clock.advance(100)
  await closes
  await t.queue.close()
  await error
  expect(t.recorder.of('queue.shutdown.complete')).toHaveLength(1)
})

test('await using closes the queue', async () => {
  let kept: Setup
  {
    await using t = await setup()
    kept = t
    await t.queue.submit('work', () => 1)
  }
  expect(kept.queue.isShuttingDown).toBe(true)
  expect(kept.recorder.keys().at(-1)).toBe('queue.shutdown.complete')
})

test('a submit whose payload is accepted after the shutdown is refused', async () => {
  await using t = await setup()
  const checked = gate<boolean>()
  const slow = defineCommand({ type: 'slow', payload: z.number().refine(() => checked.promise) })
  const run = t.queue.submit('work', slow(1))
  await t.queue.shutdown()
  checked.open(true)
  expect(await errorOf(run)).toMatchObject({ code: 'SHUTTING_DOWN' })
  expect(run.state).toBe('failed')
})

test('an idle queue holds no timer', async () => {
  await using t = await setup({ work: { timeoutMs: 1000, retry: RetryPolicy.fixed(1, 10) } })
  expect(t.clock.timers).toBe(0)
  await t.queue.submit('work', () => 1)
  expect(t.clock.timers).toBe(0)
})
