import { type CommandContext, discard, RetryPolicy } from '@a3s-lab/lane'
import { expect, test } from 'vitest'
import { errorOf, gate, setup } from '../support/setup.js'

test('a waiting command that is cancelled never starts', async () => {
  await using t = await setup({ work: { maxConcurrency: 1 } })
  void t.queue.submit('work', t.takes(10))
  const run = t.queue.submit('work', t.noting('never'))
  await t.clock.settle()
  expect(run.cancel('changed my mind')).toBe(true)
  expect(run.state).toBe('cancelled')
  expect(await errorOf(run)).toMatchObject({
    code: 'COMMAND_CANCELLED',
    message: 'Command cancelled: changed my mind',
    reason: 'changed my mind',
    retryable: false,
  })
  await t.clock.advance(10)
  expect(t.notes).toEqual([])
  expect(t.events(run.id)).toEqual([
    ['queue.command.submitted', { lane_id: 'work', command_id: run.id }],
    ['queue.command.cancelled', { lane_id: 'work', command_id: run.id, reason: 'changed my mind' }],
  ])
})

test('a command can be cancelled in the turn in which it was submitted', async () => {
  await using t = await setup()
  const run = t.queue.submit('work', t.noting('never'))
  expect(run.cancel()).toBe(true)
  expect((await errorOf(run)).message).toBe('Command cancelled')
  expect(t.notes).toEqual([])
})

test('a running command is answered at once, its signal aborts, its late value is refused', async () => {
  await using t = await setup({ work: { maxConcurrency: 1 } })
  let reason: unknown
  const run = t.queue.submit('work', async ({ signal }) => {
    signal.addEventListener('abort', () => {
      reason = signal.reason
    })
    await t.sleep(100)
    return 'too late'
  })
  const next = t.queue.submit('work', t.noting('next'))
  await t.clock.advance(10)
  expect(run.cancel('stop')).toBe(true)
  const error = await errorOf(run)
  expect(error).toMatchObject({ code: 'COMMAND_CANCELLED', message: 'Command cancelled: stop' })
  expect(reason).toBe(error)
  expect(t.queue.lane('work').status()).toMatchObject({ active: 0, zombies: 1, pending: 1 })
  await t.clock.advance(89)
  expect(t.notes).toEqual([])
  await t.clock.advance(1)
  expect(await next).toBe('next')
  expect(await t.queue.get(run.id)).toMatchObject({ state: 'cancelled', error: { code: 'COMMAND_CANCELLED' } })
  expect((await t.queue.get(run.id))?.result).toBeUndefined()
})

test('a handler that ends with an error after its cancellation is not retried', async () => {
  await using t = await setup({ work: { retry: RetryPolicy.fixed(3, 1) } }, { deadLetters: true })
  const run = t.queue.submit(
    'work',
    ({ signal }) => new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason))),
  )
  await t.clock.settle()
  run.cancel()
  expect((await errorOf(run)).message).toBe('Command cancelled')
  await t.clock.advance(100)
  expect(t.recorder.keys(run.id)).toEqual([
    'queue.command.submitted',
    'queue.command.started',
    'queue.command.cancelled',
  ])
  expect(await t.queue.deadLetters.size()).toBe(0)
})

test('a cancelled body that never ends is abandoned after its grace period', async () => {
  await using t = await setup({ work: { maxConcurrency: 1, zombieGraceMs: 100 } })
  const run = t.queue.submit('work', function deaf() {
    return new Promise(() => {})
  })
  await t.clock.settle()
  run.cancel()
  expect((await errorOf(run)).message).toBe('Command cancelled')
  await t.clock.advance(100)
  expect(t.faults.map(String)).toEqual([
    'Error: The handler of deaf did not stop within 100ms of its cancellation; its slot was freed',
  ])
  expect(await t.queue.submit('work', () => 'slot is back')).toBe('slot is back')
})

test('a command in back-off is cancelled without a timer left behind', async () => {
  await using t = await setup({ work: { retry: RetryPolicy.fixed(1, 1000) } })
  const run = t.queue.submit('work', () => Promise.reject(new Error('no')))
  await t.clock.settle()
  expect(t.clock.timers).toBe(1)
  expect(run.cancel()).toBe(true)
  expect((await errorOf(run)).message).toBe('Command cancelled')
  expect(t.clock.timers).toBe(0)
  expect(t.queue.stats().totalDelayed).toBe(0)
})

test('a retry that is due again and waits is cancelled like any waiting command', async () => {
  await using t = await setup({ work: { maxConcurrency: 1, retry: RetryPolicy.fixed(1, 10) } })
  const run = t.queue.submit('work', () => Promise.reject(new Error('no')))
  void t.queue.submit('work', t.takes(100))
  await t.clock.advance(20)
  expect(run.state).toBe('pending')
  expect(run.cancel()).toBe(true)
  expect((await errorOf(run)).message).toBe('Command cancelled')
  expect(t.queue.stats().totalPending).toBe(0)
})

test('a command with a better priority than others is found where it waits', async () => {
  await using t = await setup({ work: {} }, { start: false })
  const runs = [5, 1000, 7, 1000, 5].map((priority) => t.queue.submit('work', () => 1, { priority }))
  for (const run of runs) expect(run.cancel()).toBe(true)
  expect(t.queue.stats().totalPending).toBe(0)
  for (const run of runs) expect((await errorOf(run)).message).toBe('Command cancelled')
})

test('a command that waits for its own zombie is cancelled', async () => {
  await using t = await setup({ work: { timeoutMs: 10, retry: RetryPolicy.fixed(1, 0) } })
  const run = t.queue.submit('work', t.takes(100))
  await t.clock.advance(20)
  expect(run.state).toBe('delayed')
  expect(run.cancel()).toBe(true)
  expect((await errorOf(run)).message).toBe('Command cancelled')
  await t.clock.advance(100)
  expect(run.state).toBe('cancelled')
})

test('a command with its outcome can no longer be cancelled', async () => {
  await using t = await setup()
  const done = t.queue.submit('work', () => 1)
  const failed = t.queue.submit('work', () => Promise.reject(new Error('no')))
  await errorOf(failed)
  await done
  expect([done.cancel(), failed.cancel(), t.queue.cancel(done.id)]).toEqual([false, false, false])
  expect(done.state).toBe('completed')
})

test('a command is cancelled once', async () => {
  await using t = await setup()
  const run = t.queue.submit('work', t.takes(10))
  await t.clock.settle()
  expect([run.cancel('first'), run.cancel('second')]).toEqual([true, false])
  expect((await errorOf(run)).message).toBe('Command cancelled: first')
})

test('a refused run cannot be cancelled', async () => {
  await using t = await setup()
  const run = t.queue.submit('nowhere' as 'work', () => 1)
  const named = t.queue.submit('nowhere' as 'work', () => 1, { id: 'mine' })
  const inLane = t.queue.submit('work', () => 1, { priority: -1 })
  expect(named.id).toBe('mine')
  expect([run.cancel(), named.cancel(), inLane.cancel()]).toEqual([false, false, false])
})

test.each([
  ['nothing', undefined, 'Command cancelled', ''],
  ['an empty text', '', 'Command cancelled', ''],
  ['an error', new Error('user left'), 'Command cancelled: user left', 'user left'],
  ['a value', { why: 'x' }, 'Command cancelled: {"why":"x"}', '{"why":"x"}'],
])('a reason that is %s is shown', async (_what, reason, message, text) => {
  await using t = await setup()
  const run = t.queue.submit('work', () => 1)
  run.cancel(reason)
  const error = await errorOf(run)
  expect(error.message).toBe(message)
  expect(error['reason']).toBe(reason)
  expect(error.cause).toBe(reason instanceof Error ? reason : undefined)
  expect(t.recorder.of('queue.command.cancelled')[0]?.payload.reason).toBe(text)
})

test('the queue cancels by id, wherever the command stands', async () => {
  await using t = await setup({ work: { maxConcurrency: 1 } })
  const running = t.queue.submit('work', t.takes(10))
  const waiting = t.queue.submit('work', t.takes(10))
  const delayed = t.queue.submit('work', t.takes(10), { delayMs: 100 })
  const named = t.queue.submit('work', t.takes(10), { id: 'mine' })
  await t.clock.settle()
  for (const run of [running, waiting, delayed, named]) {
    expect(t.queue.cancel(run.id, 'by id')).toBe(true)
    expect((await errorOf(run)).message).toBe('Command cancelled: by id')
  }
  expect(t.queue.cancel('nobody')).toBe(false)
})

test('a child is cancelled with its parent, whatever it does', async () => {
  await using t = await setup({ work: { maxConcurrency: 2 }, other: { retry: RetryPolicy.fixed(1, 1000) } })
  const children: Promise<Error>[] = []
  const parent = t.queue.submit('work', async (ctx) => {
    const running = ctx.queue.submit('work', t.takes(1000))
    const delayed = ctx.queue.submit('other', () => 1, { delayMs: 500 })
    const inBackOff = ctx.queue.submit('other', () => Promise.reject(new Error('no')))
    const waiting = ctx.queue.submit('work', t.noting('never'))
    children.push(...[running, delayed, inBackOff, waiting].map(errorOf))
    await t.sleep(1000)
  })
  await t.clock.advance(10)
  parent.cancel('the whole family')
  await errorOf(parent)
  expect((await Promise.all(children)).map(({ message }) => message)).toEqual(
    new Array(4).fill('Command cancelled: the whole family'),
  )
  await t.clock.advance(1000)
  expect(t.notes).toEqual([])
})

test('grandchildren are cancelled with their ancestors', async () => {
  await using t = await setup()
  const grandchild = gate<Error>()
  const parent = t.queue.submit('work', async (ctx) => {
    void ctx.queue.submit('work', async (inner) => {
      grandchild.open(await errorOf(inner.queue.submit('work', t.takes(1000))))
    })
    await t.sleep(1000)
  })
  await t.clock.advance(10)
  parent.cancel('all')
  expect((await grandchild.promise).message).toBe('Command cancelled: all')
  await errorOf(parent)
})

test('a detached child goes on without its parent', async () => {
  await using t = await setup()
  const child = gate<readonly [PromiseLike<string>]>()
  const parent = t.queue.submit('work', async (ctx) => {
    child.open([ctx.queue.submit('work', t.takes(50, 'free'), { detached: true })])
    await t.sleep(1000)
  })
  await t.clock.advance(10)
  parent.cancel()
  await errorOf(parent)
  await t.clock.advance(40)
  const [run] = await child.promise
  expect(await run).toBe('free')
})

test('a child of a parent that was cancelled meanwhile is cancelled at once', async () => {
  await using t = await setup()
  const late = gate<Error>()
  const parent = t.queue.submit('work', async (ctx) => {
    await t.sleep(100)
    late.open(await errorOf(ctx.queue.submit('work', t.noting('never'))))
  })
  await t.clock.advance(10)
  parent.cancel()
  await errorOf(parent)
  await t.clock.advance(90)
  expect((await late.promise).message).toBe('Command cancelled: its parent was cancelled')
  expect(t.notes).toEqual([])
})

test('a detached child of a cancelled parent runs', async () => {
  await using t = await setup()
  const late = gate<string>()
  const parent = t.queue.submit('work', async (ctx) => {
    await t.sleep(100)
    late.open(await ctx.queue.submit('work', () => 'ran', { detached: true }))
  })
  await t.clock.advance(10)
  parent.cancel()
  await errorOf(parent)
  await t.clock.advance(90)
  expect(await late.promise).toBe('ran')
})

test('children of a retried command that waits are cancelled with it', async () => {
  await using t = await setup({ work: { retry: RetryPolicy.fixed(1, 100) }, other: {} })
  const child = gate<Promise<Error>[]>()
  const parent = t.queue.submit('work', async (ctx) => {
    child.open([errorOf(ctx.queue.submit('other', t.takes(1000)))])
    throw new Error('retry me')
  })
  await t.clock.advance(10)
  expect(parent.state).toBe('delayed')
  t.queue.lane('work').clear('cleared')
  expect((await errorOf(parent)).message).toBe('Command cancelled: cleared')
  const [error] = await child.promise
  expect((await error)?.message).toBe('Command cancelled: cleared')
})

test('a child can be submitted in a batch and cancelled, found and listed through the queue of its context', async () => {
  await using t = await setup()
  const run = t.queue.submit('work', async ({ queue }: CommandContext) => {
    const [a, b] = queue.submitBatch('work', [t.takes(10), [t.takes(10), { id: 'b' }]])
    const cancelled = errorOf(a as PromiseLike<unknown>)
    return [
      queue.cancel(a?.id ?? ''),
      (await cancelled).message,
      (await queue.get('b'))?.parentId,
      (await queue.list({ state: 'active' })).items.length,
      queue.stats().totalActive,
      queue.cancel(b?.id ?? '', 'done'),
    ]
  })
  expect(await run).toEqual([true, 'Command cancelled', run.id, 2, 2, true])
})

test('an aborted signal of the submitter cancels the command with its reason', async () => {
  await using t = await setup()
  const controller = new AbortController()
  const run = t.queue.submit('work', t.takes(100), { signal: controller.signal })
  await t.clock.settle()
  const error = errorOf(run)
  const reason = new Error('page closed')
  controller.abort(reason)
  expect(await error).toMatchObject({ message: 'Command cancelled: page closed', cause: reason })
})

test('a signal that has aborted before cancels the command at once', async () => {
  await using t = await setup()
  const run = t.queue.submit('work', t.noting('never'), { signal: AbortSignal.abort('early') })
  expect((await errorOf(run)).message).toBe('Command cancelled: early')
  expect(t.recorder.keys(run.id)).toEqual(['queue.command.submitted', 'queue.command.cancelled'])
  expect(t.notes).toEqual([])
})

test('the signal of a submitter is let go when the command has settled', async () => {
  await using t = await setup()
  const controller = new AbortController()
  let listeners = 0
  const { signal } = controller
  const add = signal.addEventListener.bind(signal)
  const remove = signal.removeEventListener.bind(signal)
  signal.addEventListener = (...args: Parameters<typeof add>): void => {
    listeners++
    add(...args)
  }
  signal.removeEventListener = (...args: Parameters<typeof remove>): void => {
    listeners--
    remove(...args)
  }
  const runs = [1, 2, 3].map(() => t.queue.submit('work', () => 1, { signal }))
  expect(listeners).toBeGreaterThan(0)
  await Promise.all(runs)
  expect(listeners).toBe(0)
})

test('any number of commands may share one signal', async () => {
  await using t = await setup()
  const controller = new AbortController()
  const runs = t.queue.submitBatch(
    'work',
    Array.from({ length: 50 }, () => t.takes(10)),
    { signal: controller.signal },
  )
  await t.clock.settle()
  const errors = Promise.all(runs.map(errorOf))
  controller.abort('all of them')
  expect(new Set((await errors).map(({ message }) => message))).toEqual(new Set(['Command cancelled: all of them']))
})

test('a discarded command ends as cancelled, without a dead letter', async () => {
  await using t = await setup({ work: { retry: RetryPolicy.fixed(3, 1) } }, { deadLetters: true })
  const run = t.queue.submit('work', () => discard('no longer needed'))
  expect(await errorOf(run)).toMatchObject({
    code: 'COMMAND_CANCELLED',
    message: 'Command cancelled: no longer needed',
  })
  expect(run.state).toBe('cancelled')
  expect(await t.queue.deadLetters.size()).toBe(0)
  expect(t.events(run.id).at(-1)).toEqual([
    'queue.command.cancelled',
    { lane_id: 'work', command_id: run.id, reason: 'no longer needed' },
  ])
  expect((await errorOf(t.queue.submit('work', async () => discard()))).message).toBe(
    'Command cancelled: discarded by its handler',
  )
})

test('clear cancels what waits, delayed commands too, and says how many', async () => {
  await using t = await setup({ work: { maxConcurrency: 1 } })
  const running = t.queue.submit('work', t.takes(10, 'ran'))
  const waiting = [1, 2, 3].map(() => t.queue.submit('work', t.noting('never')))
  const delayed = t.queue.submit('work', t.noting('never'), { delayMs: 5 })
  await t.clock.settle()
  expect(t.queue.lane('work').clear()).toBe(4)
  for (const run of [...waiting, delayed]) {
    expect((await errorOf(run)).message).toBe('Command cancelled: the lane was cleared')
  }
  await t.clock.advance(10)
  expect(await running).toBe('ran')
  expect(t.notes).toEqual([])
  expect(t.queue.lane('work').clear()).toBe(0)
})

test('cancelAll cancels what waits and what runs, and says how many', async () => {
  await using t = await setup({ work: { maxConcurrency: 2 } })
  const runs = [1, 2, 3, 4].map(() => t.queue.submit('work', t.takes(10)))
  const other = t.queue.submit('work', t.takes(10), { delayMs: 5 })
  await t.clock.settle()
  expect(t.queue.lane('work').cancelAll('maintenance')).toBe(5)
  for (const run of [...runs, other]) {
    expect((await errorOf(run)).message).toBe('Command cancelled: maintenance')
  }
  expect(t.queue.stats()).toMatchObject({ totalActive: 0, totalPending: 0, totalDelayed: 0 })
})

test('cancelAll counts a child that was cancelled with its parent', async () => {
  await using t = await setup({ work: { maxConcurrency: 3 } })
  const parent = t.queue.submit('work', async (ctx) => {
    void ctx.queue.submit('work', t.takes(10))
    void ctx.queue.submit('work', t.takes(10))
    await t.sleep(10)
  })
  await t.clock.settle()
  await t.clock.settle()
  expect(t.queue.stats().totalActive).toBe(3)
  expect(t.queue.lane('work').cancelAll()).toBe(3)
  await errorOf(parent)
})
