/** What handlers do with their signal, their context and their own queue. */
import { type CommandContext, type CommandRecord, defineCommand, RetryPolicy } from '@a3s-lab/lane'
import { expect, test } from 'vitest'
import { errorOf, gate, setup } from '../support/setup.js'

test('a handler that ignores its signal ends when it ends', async () => {
  await using t = await setup({ work: { maxConcurrency: 1, timeoutMs: 10 } })
  const run = t.queue.submit('work', t.takes(100, 'ignored'))
  const next = t.queue.submit('work', t.noting('next'))
  const error = errorOf(run)
  await t.clock.advance(100)
  expect((await error).message).toBe('Command timed out after 10ms')
  expect(await next).toBe('next')
})

test('a handler that catches the abort and returns a value is refused', async () => {
  await using t = await setup({ work: { timeoutMs: 10 } })
  const run = t.queue.submit('work', async ({ signal }) => {
    await new Promise((resolve) => signal.addEventListener('abort', resolve))
    return 'in spite of it'
  })
  const error = errorOf(run)
  await t.clock.advance(10)
  expect((await error).message).toBe('Command timed out after 10ms')
  expect(t.recorder.keys(run.id)).not.toContain('queue.command.completed')
})

test('a handler that catches the abort and goes on is a zombie until its end', async () => {
  await using t = await setup({ work: { maxConcurrency: 1 } })
  const run = t.queue.submit('work', async ({ signal }) => {
    await new Promise((resolve) => signal.addEventListener('abort', resolve))
    await t.sleep(50)
  })
  await t.clock.settle()
  run.cancel()
  await errorOf(run)
  expect(t.queue.lane('work').status().zombies).toBe(1)
  await t.clock.advance(50)
  expect(t.queue.lane('work').status().zombies).toBe(0)
})

test('a handler whose own code runs in the abort gives its slot back once', async () => {
  await using t = await setup({ work: { maxConcurrency: 2, timeoutMs: 10 } })
  const run = t.queue.submit('work', (ctx) => {
    ctx.signal.addEventListener('abort', () => {
      t.queue.cancel(ctx.id)
      t.queue.lane('work').cancelAll()
      void t.queue.submit('work', t.noting('from the abort'))
    })
    return new Promise((_, reject) => ctx.signal.addEventListener('abort', () => reject(ctx.signal.reason)))
  })
  const error = errorOf(run)
  await t.clock.advance(10)
  expect((await error).message).toBe('Command timed out after 10ms')
  expect(t.notes).toEqual(['from the abort'])
  expect(t.queue.lane('work').status()).toMatchObject({ active: 0, zombies: 0, pending: 0 })
})

test('a handler that blocks the loop is timed out when the loop goes on, once', async () => {
  await using t = await setup({ work: { timeoutMs: 10 } })
  const run = t.queue.submit('work', () => {
    for (let n = 0, until = 1e6; n < until; n++) Math.sqrt(n)
    return 'done'
  })
  expect(await run).toBe('done')
  expect(t.clock.timers).toBe(0)
})

test('a handler may cancel itself', async () => {
  await using t = await setup({ work: { maxConcurrency: 1 } })
  const run = t.queue.submit('work', async (ctx) => {
    ctx.queue.cancel(ctx.id, 'suicide')
    return [ctx.signal.aborted]
  })
  expect((await errorOf(run)).message).toBe('Command cancelled: suicide')
  expect(await t.queue.submit('work', () => 'slot is back')).toBe('slot is back')
})

test('a handler may cancel itself and throw, synchronously', async () => {
  await using t = await setup({ work: { maxConcurrency: 1, retry: RetryPolicy.fixed(3, 0) } })
  const run = t.queue.submit('work', (ctx) => {
    ctx.queue.cancel(ctx.id)
    throw new Error('too late')
  })
  expect((await errorOf(run)).message).toBe('Command cancelled')
  expect(await t.queue.submit('work', () => 'slot is back')).toBe('slot is back')
})

test('a handler may cancel its whole lane, itself included', async () => {
  await using t = await setup({ work: { maxConcurrency: 2 } })
  const runs = [1, 2, 3, 4].map((n) =>
    t.queue.submit('work', () => {
      if (n === 2) t.queue.lane('work').cancelAll('by a handler')
      return t.sleep(10)
    }),
  )
  const errors = Promise.all(runs.map(errorOf))
  await t.clock.advance(10)
  expect((await errors).map(({ message }) => message)).toEqual(new Array(4).fill('Command cancelled: by a handler'))
  expect(t.queue.lane('work').status()).toMatchObject({ active: 0, pending: 0, zombies: 0 })
})

test('a handler may configure, pause and resume its own lane', async () => {
  await using t = await setup({ work: { maxConcurrency: 1 } })
  const first = t.queue.submit('work', () => {
    t.queue.lane('work').configure({ maxConcurrency: 3 })
    t.queue.lane('work').pause()
    t.queue.lane('work').resume()
    return t.sleep(10)
  })
  for (let n = 0; n < 4; n++) void t.queue.submit('work', t.takes(10))
  await t.clock.settle()
  expect(t.queue.lane('work').status()).toMatchObject({ active: 3, pending: 2 })
  await t.clock.advance(10)
  await first
})

test('a handler that drains its own queue gets DRAIN_TIMEOUT instead of hanging', async () => {
  await using t = await setup()
  const run = t.queue.submit('work', async (ctx) => {
    const error = await errorOf(t.queue.drain(100))
    return [error['code'], error['unsettled'], ctx.id]
  })
  await t.clock.advance(100)
  expect(await run).toEqual(['DRAIN_TIMEOUT', [run.id], run.id])
})

test('a handler may shut its own queue down', async () => {
  await using t = await setup({ work: { maxConcurrency: 1 } })
  const run = t.queue.submit('work', async () => {
    await t.queue.shutdown()
    return (await errorOf(t.queue.submit('work', () => 1))).message
  })
  const accepted = t.queue.submit('work', () => 'accepted before')
  expect(await run).toBe('Queue is shutting down, not accepting new commands')
  expect(await accepted).toBe('accepted before')
  await t.clock.settle()
  expect(t.recorder.keys().at(-1)).toBe('queue.shutdown.complete')
})

test('a handler that closes its own queue and waits for it is cut off at the limit', async () => {
  await using t = await setup()
  const run = t.queue.submit('work', async () => {
    await t.queue.close({ timeoutMs: 100 })
    return 'closed'
  })
  const error = errorOf(run)
  const waiting = errorOf(t.queue.submit('work', t.takes(1), { delayMs: 1000 }))
  await t.clock.advance(100)
  expect((await error).message).toBe('Command cancelled: the queue was closed')
  expect((await waiting).message).toBe('Command cancelled: the queue was closed')
})

test('a context that is used after its attempt has ended reports nothing', async () => {
  await using t = await setup()
  const left = gate<CommandContext>()
  const run = t.queue.submit('work', (ctx) => {
    left.open(ctx)
    return 'done'
  })
  await run
  const { progress, log, signal, id } = await left.promise
  progress('late')
  log('late')
  expect(signal.aborted).toBe(false)
  expect(id).toBe(run.id)
  const record = await t.queue.get(run.id)
  expect([record?.progress, record?.logs]).toEqual([undefined, undefined])
  expect(t.recorder.of('queue.command.progress')).toEqual([])
})

test('a zombie reports no progress any more, but may still log', async () => {
  await using t = await setup({ work: { timeoutMs: 10 } })
  const run = t.queue.submit('work', async ({ progress, log }) => {
    progress('in time')
    await t.sleep(20)
    progress('late')
    log('late')
  })
  const error = errorOf(run)
  await t.clock.advance(20)
  await error
  expect(await t.queue.get(run.id)).toMatchObject({ progress: 'in time', logs: [{ line: 'late', attempt: 1 }] })
})

test('progress in a tight loop fills no memory: a reader keeps the newest', async () => {
  await using t = await setup()
  const run = t.queue.submit('work', ({ progress }) => {
    for (let n = 0; n < 10_000; n++) progress(n)
  })
  const seen: unknown[] = []
  for await (const value of run.progress({ capacity: 3 })) seen.push(value)
  // The reader was waiting, so it had the first one before the others came.
  expect(seen).toEqual([0, 9997, 9998, 9999])
  await run
})

test('a log keeps its newest thousand lines, and anything is a line', async () => {
  await using t = await setup()
  const run = t.queue.submit('work', ({ log }) => {
    for (let n = 0; n < 1005; n++) log(n as never)
  })
  await run
  const { logs } = (await t.queue.get(run.id)) as Required<CommandRecord>
  expect([logs.length, logs[0]?.line, logs.at(-1)?.line]).toEqual([1000, '5', '1004'])
})

test('a line that cannot be text is a line all the same', async () => {
  await using t = await setup({ work: { maxConcurrency: 1 } })
  const run = t.queue.submit('work', ({ log }) => log(Object.create(null) as string))
  await run
  const { logs } = (await t.queue.get(run.id)) as Required<CommandRecord>
  expect(logs.map(({ line }) => typeof line)).toEqual(['string'])
})

test('a sync handler that always submits its successor lets every one of them end', async () => {
  await using t = await setup({ work: { maxConcurrency: 1 } })
  let left = 20_000
  t.queue.handle('next', () => {
    if (--left > 0) void t.queue.submit('work', { type: 'next' })
  })
  void t.queue.submit('work', { type: 'next' })
  await t.clock.settle()
  expect(left).toBe(0)
  expect(t.queue.stats()).toMatchObject({ totalActive: 0, totalPending: 0 })
})

const schema = (validate: (value?: unknown) => unknown): never =>
  ({ '~standard': { version: 1, vendor: 'hostile', validate } }) as never

test('a submit whose schema never answers is cancelled at once', async () => {
  await using t = await setup()
  const never = defineCommand({ type: 'never', payload: schema(() => new Promise(() => {})) })
  const run = t.queue.submit('work', never(1))
  await t.clock.settle()
  expect(run.cancel('no patience')).toBe(true)
  expect((await t.clock.expectSettled(errorOf(run))).message).toBe('Command cancelled: no patience')
  expect(run.state).toBe('cancelled')
})

test('a schema that refuses a submit that was cancelled meanwhile changes nothing', async () => {
  await using t = await setup()
  const answer = gate<{ issues: { message: string }[] }>()
  const late = defineCommand({ type: 'late', payload: schema(() => answer.promise) })
  const run = t.queue.submit('work', late(1))
  run.cancel('first')
  expect((await errorOf(run)).message).toBe('Command cancelled: first')
  answer.open({ issues: [{ message: 'too late' }] })
  await t.clock.settle()
  expect(run.state).toBe('cancelled')
  await t.clock.expectSettled(t.queue.drain(10))
})

test('a command whose schema takes its time is refused with a signal that cannot be listened to', async () => {
  await using t = await setup()
  const slow = defineCommand({ type: 'slow', payload: schema(async (value?: unknown) => ({ value })) })
  const signal = {
    aborted: false,
    addEventListener() {
      throw new Error('no listeners')
    },
    removeEventListener() {},
  } as unknown as AbortSignal
  const run = t.queue.submit('work', slow(1), { signal })
  expect((await errorOf(run)).message).toBe('The command could not be read: no listeners')
  expect(t.queue.stats().totalPending).toBe(0)
})

test('a queue whose schema never answers can be closed, and the run is answered', async () => {
  await using t = await setup()
  const never = defineCommand({ type: 'never', payload: schema(() => new Promise(() => {})) })
  const run = t.queue.submit('work', never(1))
  const closed = t.queue.close({ timeoutMs: 100 })
  await t.clock.advance(100)
  await closed
  expect((await t.clock.expectSettled(errorOf(run)))['code']).toBe('COMMAND_CANCELLED')
})

test('a schema that throws or answers nonsense refuses its own command alone', async () => {
  await using t = await setup()
  const throws = defineCommand({
    type: 'throws',
    payload: schema(() => {
      throw new Error('schema broke')
    }),
  })
  const rejects = defineCommand({ type: 'rejects', payload: schema(() => Promise.reject(new Error('schema broke'))) })
  const nonsense = defineCommand({ type: 'nonsense', payload: schema(() => undefined) })
  expect(await errorOf(t.queue.submit('work', throws(1)))).toMatchObject({
    code: 'PAYLOAD_INVALID',
    message: 'The payload of throws could not be checked: "Error: schema broke"',
  })
  expect(await errorOf(t.queue.submit('work', rejects(1)))).toMatchObject({
    code: 'PAYLOAD_INVALID',
    message: 'The payload of rejects could not be checked: "Error: schema broke"',
  })
  expect(await errorOf(t.queue.submit('work', nonsense(1)))).toMatchObject({ code: 'PAYLOAD_INVALID' })
  expect(await t.queue.submit('work', () => 'unharmed')).toBe('unharmed')
})
