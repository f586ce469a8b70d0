/** A queue with a storage: what is accepted, told and kept, and what a crash leaves. */
import {
  type CommandContext,
  defineCommand,
  isLaneError,
  JsonCommand,
  LaneError,
  RetryPolicy,
  snooze,
} from '@a3s-lab/lane'
import { expect, test, vi } from 'vitest'
import { Durable, durable, steeredStorage } from '../support/durable.js'
import { errorOf, gate, thrownBy } from '../support/setup.js'

const turns = async (count = 20): Promise<void> => {
  for (let turn = 0; turn < count; turn++) await Promise.resolve()
}

test('a submit is accepted when it is written, and not before', async () => {
  const { storage, writes } = steeredStorage()
  await using t = await durable({ work: {} }, { storage })
  const body = vi.fn(() => 'done')
  t.queue.handle('x', body)
  const run = t.queue.submit('work', { type: 'x' })
  let isAccepted = false
  void run.accepted.then(() => {
    isAccepted = true
  })
  await turns()
  expect({ isAccepted, calls: body.mock.calls.length, writes: writes.length, keys: t.keys() }).toEqual({
    isAccepted: false,
    calls: 0,
    writes: 1,
    keys: [],
  })
  writes[0]?.done()
  await run.accepted
  await turns()
  expect(body).toHaveBeenCalledTimes(1)
  expect(t.keys(run.id)).toEqual(['submitted', 'started'])
  writes[1]?.done()
  expect(await run).toBe('done')
})

test('an outcome is told when it is written, and not before', async () => {
  const { storage, writes } = steeredStorage()
  await using t = await durable({ work: {} }, { storage })
  t.queue.handle('x', () => 7)
  const run = t.queue.submit('work', { type: 'x' })
  await turns()
  writes[0]?.done()
  await turns()
  let value: unknown
  void run.then((result) => {
    value = result
  })
  await turns()
  expect([value, t.keys(run.id), (await t.queue.get(run.id))?.state]).toEqual([
    undefined,
    ['submitted', 'started'],
    'active',
  ])
  writes[1]?.done()
  await run
  expect([value, t.keys(run.id), (await t.queue.get(run.id))?.state]).toEqual([
    7,
    ['submitted', 'started', 'completed'],
    'completed',
  ])
})

test('what was accepted runs after a crash, in its order and with its payload', async () => {
  const t = await durable({ high: {}, low: {} }, { maxConcurrency: 1 })
  t.queue.lane('high').pause()
  t.queue.lane('low').pause()
  const runs = [
    t.queue.submit('low', { type: 'note', payload: 'low 1' }),
    t.queue.submit('high', { type: 'note', payload: 'high 2' }, { priority: 2000 }),
    t.queue.submit('low', { type: 'note', payload: { deep: ['low', 2] } }),
    t.queue.submit('high', { type: 'note', payload: 'high 1' }),
  ]
  await Promise.all(runs.map(({ accepted }) => accepted))
  await using next = t.crash()
  const seen: unknown[] = []
  next.queue.handle('note', (payload) => {
    seen.push(payload)
  })
  expect(next.queue.stats()).toMatchObject({ totalPending: 4 })
  await next.queue.start()
  await next.queue.shutdown()
  await next.queue.drain(1000)
  expect(seen).toEqual(['high 1', 'high 2', 'low 1', { deep: ['low', 2] }])
})

test('a submit whose answer never came is not lost when it was written', async () => {
  const { storage, writes } = steeredStorage()
  const t = await durable({ work: {} }, { storage })
  t.queue.handle('x', () => 1)
  void t.queue.submit('work', { type: 'x', payload: 1 })
  await turns()
  writes[0]?.commit()
  const next = new Durable(t.lanes, {}, storage.crash({}), t.clock)
  expect(next.queue.stats().totalPending).toBe(1)
  await next.queue.close()
})

test('what was active when its process ended runs again as the next attempt, with its checkpoint', async () => {
  const t = await durable({ work: {} })
  const begun = gate()
  t.queue.handle('x', async (_payload, ctx: CommandContext) => {
    await ctx.checkpoint({ page: 3 })
    begun.open()
    await new Promise(() => undefined)
  })
  const run = t.queue.submit('work', { type: 'x', payload: 'p' })
  await begun.promise
  await using next = t.crash()
  const seen: unknown[] = []
  next.queue.handle('x', (payload, ctx) => {
    seen.push([payload, ctx.attempt, ctx.restored, ctx.id])
    return 'second'
  })
  await next.queue.start()
  await next.queue.shutdown()
  await next.queue.drain(1000)
  expect(seen).toEqual([['p', 2, { page: 3 }, run.id]])
  expect(next.keys(run.id)).toEqual(['recovered', 'started', 'completed'])
  expect(await next.queue.get(run.id)).toMatchObject({ state: 'completed', attempt: 2, result: 'second' })
})

test('a command that ends its process each time is a dead letter after its crash budget', async () => {
  let t = await durable({ work: { maxRecoveries: 3, retry: RetryPolicy.fixed(5, 1) } })
  const attempts: number[] = []
  const run = t.queue.submit('work', { type: 'poison' })
  await run.accepted
  for (let process = 0; process < 4; process++) {
    t.queue.handle('poison', (_payload, ctx) => {
      attempts.push(ctx.attempt)
      return new Promise(() => undefined)
    })
    await turns()
    t = t.crash()
    await t.queue.start()
  }
  await turns()
  await using last = t
  expect(attempts).toEqual([1, 2, 3, 4])
  expect(await last.queue.get(run.id)).toMatchObject({ state: 'failed', attempt: 4 })
  expect(await last.queue.deadLetters.list()).toMatchObject([
    { commandId: run.id, attempts: 4, error: 'The process ended 4 times while the command ran: it is not run again' },
  ])
})

test('delays, retries and snoozes keep their time over a crash', async () => {
  const t = await durable({ work: { retry: RetryPolicy.fixed(3, 5000) } })
  t.queue.handle('late', (_payload, ctx) => ctx.attempt)
  t.queue.handle('fails', () => {
    throw new Error('no')
  })
  t.queue.handle('snoozes', () => snooze(7000))
  const late = t.queue.submit('work', { type: 'late' }, { delayMs: 3000 })
  const fails = t.queue.submit('work', { type: 'fails' })
  const snoozes = t.queue.submit('work', { type: 'snoozes' })
  await Promise.all([late.accepted, fails.accepted, snoozes.accepted])
  await t.clock.advance(1000)
  await using next = t.crash()
  const seen: [string, number, number][] = []
  const start = next.clock.now()
  for (const type of ['late', 'fails', 'snoozes']) {
    next.queue.handle(type, (_payload, ctx) => {
      seen.push([type, ctx.attempt, next.clock.now() - start])
    })
  }
  await next.queue.start()
  expect(next.queue.stats().totalDelayed).toBe(3)
  await next.clock.advance(10_000)
  expect(seen).toEqual([
    ['late', 1, 2000],
    ['fails', 2, 4000],
    ['snoozes', 2, 6000],
  ])
  expect((await next.queue.get(fails.id))?.history).toMatchObject([{ attempt: 1, error: 'no' }])
})

test('what has settled is found after a crash, and its id gives the same answer again', async () => {
  const t = await durable({ work: {} })
  t.queue.handle('double', (n: number) => 2 * n)
  t.queue.handle('fails', () => {
    throw new RangeError('too far')
  })
  const [good, bad] = [
    t.queue.submit('work', { type: 'double', payload: 21 }, { id: 'good', metadata: { who: 'me' } }),
    t.queue.submit('work', { type: 'fails' }, { id: 'bad' }),
  ]
  await Promise.allSettled([good, bad])
  await using next = t.crash()
  const body = vi.fn()
  next.queue.handle('double', body)
  next.queue.handle('fails', body)
  await next.queue.start()
  expect(await next.queue.get('good')).toMatchObject({
    id: 'good',
    state: 'completed',
    result: 42,
    payload: 21,
    attempt: 1,
    metadata: { who: 'me' },
  })
  expect(await next.queue.get('bad')).toMatchObject({
    state: 'failed',
    error: { name: 'RangeError', message: 'too far' },
  })
  expect(await next.queue.submit('work', { type: 'double', payload: 21 }, { id: 'good' })).toBe(42)
  const error = await errorOf(next.queue.submit('work', { type: 'fails' }, { id: 'bad' }))
  expect(error).toMatchObject({ code: 'COMMAND_FAILED', message: 'too far', cause: { name: 'RangeError' } })
  expect(await errorOf(next.queue.submit('work', { type: 'double', payload: 1 }, { id: 'good' }))).toMatchObject({
    code: 'CONFLICT',
  })
  expect(body).not.toHaveBeenCalled()
})

test('an id that waits gives the run of the command that waits', async () => {
  const t = await durable({ work: {} })
  t.queue.lane('work').pause()
  await t.queue.submit('work', { type: 'x', payload: { n: 1 } }, { id: 'mine' }).accepted
  await using next = t.crash()
  next.queue.handle('x', () => 'once')
  const run = next.queue.submit('work', { type: 'x', payload: { n: 1 } }, { id: 'mine' })
  await next.queue.start()
  expect(await run).toBe('once')
  expect(next.recorder.events.filter(({ key }) => key === 'queue.command.started')).toHaveLength(1)
})

test('dead letters come back, with all that a redrive needs, and go when they are redriven', async () => {
  const t = await durable({ work: {} })
  t.queue.handle('x', () => {
    throw new Error('down')
  })
  const run = t.queue.submit('work', { type: 'x', payload: [1] }, { metadata: 'm', timeoutMs: 500, priority: 3 })
  await errorOf(run)
  const next = t.crash()
  await next.queue.start()
  expect(await next.queue.deadLetters.list()).toMatchObject([
    { commandId: run.id, payload: [1], error: 'down', attempts: 1, metadata: 'm', history: [{ attempt: 1 }] },
  ])
  next.queue.handle('x', () => 'up')
  const again = next.queue.deadLetters.redrive(run.id)
  expect(await again).toBe('up')
  expect(await next.queue.deadLetters.size()).toBe(0)
  expect(await next.queue.get(again.id)).toMatchObject({ redrivenFrom: run.id, priority: 3, metadata: 'm' })
  await using last = next.crash()
  expect(await last.queue.deadLetters.size()).toBe(0)
})

test('a letter that is discarded, popped or pushed out does not come back', async () => {
  const t = await durable({ work: {} }, { deadLetters: 3 })
  t.queue.handle('x', () => {
    throw new Error('down')
  })
  const runs = Array.from({ length: 5 }, () => t.queue.submit('work', { type: 'x' }))
  await Promise.allSettled(runs)
  expect(await t.queue.deadLetters.discard(runs[3]?.id as string)).toBe(1)
  expect((await t.queue.deadLetters.pop())?.commandId).toBe(runs[2]?.id)
  await using next = t.crash()
  expect((await next.queue.deadLetters.list()).map(({ commandId }) => commandId)).toEqual([runs[4]?.id])
})

test('a dedupe id keeps others out over a crash, while its owner lives and until its window ends', async () => {
  const t = await durable({ work: {} })
  t.queue.handle('x', () => 'first')
  await t.queue.submit('work', { type: 'x' }, { dedupe: { id: 'window', ttlMs: 10_000 } })
  t.queue.lane('work').pause()
  const waiting = t.queue.submit('work', { type: 'x', payload: 1 }, { dedupe: { id: 'alive' } })
  await waiting.accepted
  await t.clock.advance(4000)
  await using next = t.crash()
  const body = vi.fn(() => 'second')
  next.queue.handle('x', body)
  expect(await next.queue.submit('work', { type: 'x' }, { dedupe: { id: 'window' } })).toBe('first')
  const duplicate = next.queue.submit('work', { type: 'x', payload: 2 }, { dedupe: { id: 'alive' } })
  expect(duplicate.id).toBe(waiting.id)
  await next.queue.start()
  expect(await duplicate).toBe('second')
  await next.clock.advance(6001)
  expect(await next.queue.submit('work', { type: 'x' }, { dedupe: { id: 'window' } })).toBe('second')
  expect(body).toHaveBeenCalledTimes(2)
})

test('one that follows the owner of its dedupe id still follows it after a crash', async () => {
  const t = await durable({ work: {} })
  const begun = gate()
  t.queue.handle('x', async () => {
    begun.open()
    await new Promise(() => undefined)
  })
  const owner = t.queue.submit('work', { type: 'x', payload: 'owner' }, { dedupe: { id: 'd', mode: 'keep-last' } })
  await begun.promise
  const follower = t.queue.submit('work', { type: 'x', payload: 'next' }, { dedupe: { id: 'd', mode: 'keep-last' } })
  await follower.accepted
  await turns()
  await using next = t.crash()
  const seen: unknown[] = []
  next.queue.handle('x', (payload) => {
    seen.push(payload)
  })
  await next.queue.start()
  await next.queue.shutdown()
  await next.queue.drain(1000)
  expect(seen).toEqual(['owner', 'next'])
  expect([owner.id, follower.id].every((id) => next.keys(id).includes('completed'))).toBe(true)
})

test('a preempted command is still the first of its lane after a crash, and its attempt is not spent', async () => {
  const lanes = { fast: { preempts: true, priority: 0 }, slow: { preemptible: true, priority: 5 } }
  const t = await durable(lanes, { maxConcurrency: 1 })
  t.queue.handle('slow', async (_payload, ctx) => {
    await ctx.checkpoint('half')
    await new Promise((_resolve, reject) =>
      ctx.signal.addEventListener('abort', () => reject(ctx.signal.reason as Error)),
    )
  })
  const begun = gate()
  t.queue.handle('fast', async () => {
    begun.open()
    await new Promise(() => undefined)
  })
  const victim = t.queue.submit('slow', { type: 'slow' })
  await turns()
  const later = t.queue.submit('slow', { type: 'other' })
  await later.accepted
  void t.queue.submit('fast', { type: 'fast' })
  await begun.promise
  await turns()
  expect(t.keys(victim.id)).toContain('preempted')
  await using next = t.crash()
  const seen: unknown[] = []
  const note = (_payload: unknown, ctx: CommandContext): void => {
    seen.push([ctx.commandType, ctx.attempt, ctx.restored])
  }
  for (const type of ['slow', 'fast', 'other']) next.queue.handle(type, note)
  await next.queue.start()
  await next.queue.shutdown()
  await next.queue.drain(1000)
  expect(seen).toEqual([
    ['fast', 2, undefined],
    ['slow', 1, 'half'],
    ['other', 1, undefined],
  ])
})

test('children are cancelled with their parent, also after a crash', async () => {
  const t = await durable({ parents: {}, children: {} })
  t.queue.lane('children').pause()
  const begun = gate<string>()
  t.queue.handle('parent', async (_payload, ctx) => {
    const child = ctx.queue.submit('children', { type: 'child' })
    await child.accepted
    begun.open(child.id)
    await new Promise(() => undefined)
  })
  const parent = t.queue.submit('parents', { type: 'parent' })
  const childId = await begun.promise
  await using next = t.crash()
  expect(await next.queue.get(childId)).toMatchObject({ state: 'pending', parentId: parent.id })
  expect(next.queue.cancel(parent.id)).toBe(true)
  await turns()
  expect((await next.queue.get(childId))?.state).toBe('cancelled')
})

test('a command whose type has no handler waits for one, and says so', async () => {
  await using t = await durable({ work: { maxConcurrency: 1 } })
  const run = t.queue.submit('work', { type: 'unknown' })
  t.queue.handle('known', () => 'known')
  expect(await t.queue.submit('work', { type: 'known' })).toBe('known')
  expect(t.queue.explain(run.id)).toMatchObject({ state: 'pending', reasons: [{ code: 'HANDLER_NOT_FOUND' }] })
  expect(t.queue.stats().lanes['work']).toMatchObject({ pending: 1, active: 0 })
  t.queue.handle('unknown', () => 'there')
  expect(await run).toBe('there')
})

test('one that waits for a handler can be cancelled', async () => {
  await using t = await durable({ work: {} })
  const run = t.queue.submit('work', { type: 'unknown' })
  await run.accepted
  await turns()
  expect(run.cancel('no longer')).toBe(true)
  expect(run.cancel('again')).toBe(false)
  expect(await errorOf(run)).toMatchObject({ code: 'COMMAND_CANCELLED' })
  expect(t.queue.stats().totalPending).toBe(0)
})

test.each([
  ['a function', () => 1, /^A function cannot be stored: submit \{ type, payload \}/],
  [
    'a command with work of its own',
    { commandType: 'own', execute: () => 1 },
    /^The command 'own' with an execute\(\)/,
  ],
  ['a BigInt', { type: 'x', payload: { n: 1n } }, /^The payload of x must be JSON: its 'n' is a BigInt/],
  ['NaN', { type: 'x', payload: Number.NaN }, /^The payload of x must be JSON: it is NaN/],
  ['a Map', { type: 'x', payload: new Map() }, /must be JSON: it is a Map/],
  ['a function in it', { type: 'x', payload: [() => 1] }, /must be JSON: its '0' is a function/],
])('%s is refused, since it could not come back', async (_what, command, message) => {
  await using t = await durable({ work: {} })
  const run = t.queue.submit('work', command as never)
  expect(await errorOf(run)).toMatchObject({
    code: 'PAYLOAD_INVALID',
    message: expect.stringMatching(message) as string,
  })
  expect(await errorOf(run.accepted)).toMatchObject({ code: 'PAYLOAD_INVALID' })
  expect(t.keys()).toEqual(['rejected'])
})

test('a payload with a cycle is refused, and one within the limit of the storage only is taken', async () => {
  const cycle: Record<string, unknown> = {}
  cycle['self'] = cycle
  const { storage } = steeredStorage()
  const small = Object.assign(storage, { maxPayloadBytes: 10 })
  await using t = await durable({ work: {} }, { storage: small })
  expect(await errorOf(t.queue.submit('work', { type: 'x', payload: cycle }))).toMatchObject({
    code: 'PAYLOAD_INVALID',
  })
  expect(await errorOf(t.queue.submit('work', { type: 'x', payload: 'äöüäö' }))).toMatchObject({
    code: 'PAYLOAD_INVALID',
    bytes: 12,
    maxPayloadBytes: 10,
  })
})

test('a handler is given what is stored, in the first process as in the next', async () => {
  await using t = await durable({ work: {} })
  const payload = { at: new Date(0), list: [1] }
  t.queue.handle('x', (given) => given)
  const run = t.queue.submit('work', { type: 'x', payload })
  payload.list.push(2)
  expect(await run).toEqual({ at: '1970-01-01T00:00:00.000Z', list: [1] })
})

test('an ephemeral function runs, and is lost with its process', async () => {
  const t = await durable({ work: {} })
  expect(await t.queue.submit('work', () => 5, { ephemeral: true })).toBe(5)
  t.queue.lane('work').pause()
  const lost = t.queue.submit('work', () => 5, { ephemeral: true })
  await lost.accepted
  await using next = t.crash()
  expect(next.queue.stats().totalPending).toBe(0)
})

test('a JsonCommand is stored as its type and payload', async () => {
  await using t = await durable({ work: {} })
  t.queue.handle('x', (payload) => [payload])
  expect(await t.queue.submit('work', new JsonCommand('x', 3))).toEqual([3])
})

test('a result that has no stored form fails its command, once, without a retry', async () => {
  await using t = await durable({ work: { retry: RetryPolicy.fixed(3, 1) } })
  const body = vi.fn(() => ({ big: 1n }))
  t.queue.handle('x', body)
  const error = await errorOf(t.queue.submit('work', { type: 'x' }))
  expect(error).toMatchObject({
    code: 'COMMAND_FAILED',
    message: "The result of x must be JSON: its 'big' is a BigInt",
  })
  expect(body).toHaveBeenCalledTimes(1)
})

test('a submit whose write fails is refused, and does not come back', async () => {
  const { storage, writes } = steeredStorage()
  await using t = await durable({ work: {} }, { storage })
  const body = vi.fn()
  t.queue.handle('x', body)
  const run = t.queue.submit('work', { type: 'x' }, { id: 'mine' })
  await turns()
  writes[0]?.fail(new Error('no space'))
  const error = await errorOf(run)
  expect(error).toMatchObject({
    code: 'STORAGE_FAILED',
    message: 'Could not write to the storage: no space',
    retryable: true,
  })
  expect(await errorOf(run.accepted)).toBe(error)
  expect(t.keys('mine')).toEqual(['rejected'])
  expect(t.faults).toEqual([error])
  // The withdrawal is written after a while, in case that only the answer was lost.
  await t.clock.advance(100)
  writes[1]?.done()
  await turns()
  expect(t.queue.stats()).toMatchObject({ totalPending: 0, totalActive: 0 })
  expect(body).not.toHaveBeenCalled()
  const again = t.queue.submit('work', { type: 'x' }, { id: 'mine' })
  await turns()
  writes[2]?.done()
  await again.accepted
})

test('a write that was done and answered with an error leaves nothing behind', async () => {
  const { storage, writes } = steeredStorage()
  const t = await durable({ work: {} }, { storage })
  const run = t.queue.submit('work', { type: 'x' })
  await turns()
  writes[0]?.commit()
  writes[0]?.fail(new Error('lost'))
  await errorOf(run)
  await t.clock.advance(100)
  writes[1]?.done()
  await turns()
  await using next = t.crash()
  expect(next.queue.stats().totalPending).toBe(0)
  for (const write of writes.slice(2)) write.done()
})

test('an outcome that could not be written is kept and written again until it is', async () => {
  const { storage, writes } = steeredStorage()
  await using t = await durable({ work: {} }, { storage })
  t.queue.handle('x', () => 'kept')
  const run = t.queue.submit('work', { type: 'x' })
  await turns()
  writes[0]?.done()
  await turns()
  for (let failure = 1; failure <= 5; failure++) {
    writes[failure]?.fail(new Error('no space'))
    await t.clock.advance(1000)
  }
  expect(t.faults).toHaveLength(5)
  expect(t.keys(run.id)).toEqual(['submitted', 'started'])
  writes[6]?.done()
  expect(await run).toBe('kept')
})

test('a storage that takes no writes any more stops the queue, and close still comes back', async () => {
  const { storage, writes } = steeredStorage()
  const t = await durable({ work: { maxConcurrency: 1 } }, { storage })
  const body = vi.fn((n: number) => (n === 0 ? 'done' : new Promise(() => undefined)))
  t.queue.handle('x', body)
  const runs = [0, 1, 2].map((payload) => t.queue.submit('work', { type: 'x', payload }))
  await turns()
  writes[0]?.done()
  await turns()
  writes[1]?.fail(new LaneError('STORAGE_FAILED', 'fsync failed', { retryable: false }))
  await turns()
  expect(await errorOf(t.queue.submit('work', { type: 'x' }))).toMatchObject({
    code: 'STORAGE_FAILED',
    retryable: false,
  })
  expect(body).toHaveBeenCalledTimes(2)
  const closed = t.queue.close({ timeoutMs: 10 })
  await t.clock.advance(2000)
  await closed
  expect(await errorOf(runs[0] as never)).toMatchObject({ code: 'STORAGE_FAILED' })
  for (const run of runs.slice(1)) expect(await errorOf(run)).toMatchObject({ code: 'SHUTTING_DOWN' })
})

test('close leaves what waits in the storage and tells its runs so', async () => {
  const t = await durable({ work: { maxConcurrency: 1 } })
  const done = gate()
  t.queue.handle('x', () => done.promise)
  const [active, waiting] = [t.queue.submit('work', { type: 'x' }), t.queue.submit('work', { type: 'x' })]
  const delayed = t.queue.submit('work', { type: 'x' }, { delayMs: 5 })
  await delayed.accepted
  await turns()
  const closed = t.queue.close({ timeoutMs: 1000 })
  done.open()
  await t.clock.advance(2000)
  await closed
  await active
  for (const run of [waiting, delayed]) {
    expect(await errorOf(run)).toMatchObject({
      code: 'SHUTTING_DOWN',
      message: 'The queue was closed; the command stays stored and runs when its storage is used again',
    })
  }
  expect(t.clock.timers).toBe(0)
  await using next = t.crash()
  expect(next.queue.stats()).toMatchObject({ totalPending: 1, totalDelayed: 1 })
})

test('what still runs when close gives up waiting is handed back: the next attempt, no crash counted', async () => {
  const t = await durable({ work: { maxRecoveries: 0 } })
  const reasons: unknown[] = []
  t.queue.handle('x', (_payload, ctx) => {
    ctx.signal.addEventListener('abort', () => reasons.push(ctx.signal.reason))
    return new Promise(() => undefined)
  })
  const run = t.queue.submit('work', { type: 'x' })
  await run.accepted
  await turns()
  const closed = t.queue.close({ timeoutMs: 10 })
  await t.clock.advance(2000)
  await closed
  expect(reasons).toMatchObject([{ code: 'SHUTTING_DOWN' }])
  expect(await errorOf(run)).toMatchObject({ code: 'SHUTTING_DOWN' })
  await using next = t.crash()
  next.queue.handle('x', (_payload, ctx) => ctx.attempt)
  await next.queue.start()
  await turns()
  expect(await next.queue.get(run.id)).toMatchObject({ state: 'completed', result: 2 })
})

test('cancel answers for stored commands: arriving, waiting, delayed and running', async () => {
  await using t = await durable({ work: { maxConcurrency: 1 } })
  t.queue.handle(
    'x',
    (_payload, ctx) => new Promise((_resolve, reject) => ctx.signal.addEventListener('abort', reject)),
  )
  const running = t.queue.submit('work', { type: 'x' })
  await running.accepted
  await turns()
  const waiting = t.queue.submit('work', { type: 'x' })
  const delayed = t.queue.submit('work', { type: 'x' }, { delayMs: 1000 })
  await delayed.accepted
  const arriving = t.queue.submit('work', { type: 'x' })
  for (const run of [running, waiting, delayed, arriving]) {
    expect([run.cancel('enough'), run.cancel('again')]).toEqual([true, false])
    expect(await errorOf(run)).toMatchObject({ code: 'COMMAND_CANCELLED', reason: 'enough' })
  }
  await t.queue.shutdown()
  await t.queue.drain(1000)
  const next = t.crash()
  expect(next.queue.stats()).toMatchObject({ totalPending: 0, totalDelayed: 0 })
  await next.queue.close()
})

test('stored commands of a lane that the queue does not have stay where they are, and are told of', async () => {
  const t = await durable({ work: {}, old: {} })
  t.queue.lane('old').pause()
  await t.queue.submit('old', { type: 'x' }).accepted
  const next = t.crash({ work: {} })
  await next.queue.start()
  expect(next.faults).toMatchObject([{ code: 'LANE_NOT_FOUND', laneId: 'old', count: 1 }])
  await using last = next.crash({ work: {}, old: {} })
  expect(last.queue.stats().lanes['old']?.pending).toBe(1)
})

test('list shows what is in memory and what is stored, page by page and once each', async () => {
  const t = await durable({ work: { maxConcurrency: 1 } }, { retention: { count: 1000 } })
  t.queue.handle('x', (n) => n)
  const runs = Array.from({ length: 250 }, (_, n) => t.queue.submit('work', { type: 'x', payload: n }))
  await Promise.all(runs)
  t.queue.lane('work').pause()
  const more = Array.from({ length: 30 }, (_, n) => t.queue.submit('work', { type: 'x', payload: n }))
  await more.at(-1)?.accepted
  await using next = t.crash()
  const ids: string[] = []
  let cursor: string | undefined
  do {
    const page = await next.queue.list({ limit: 100, cursor })
    ids.push(...page.items.map(({ id }) => id))
    cursor = page.nextCursor
  } while (cursor !== undefined)
  expect(ids).toEqual([...runs, ...more].map(({ id }) => id))
  expect((await next.queue.list({ state: 'pending' })).items).toHaveLength(30)
})

test('settled commands are kept by count and by age', async () => {
  await using t = await durable({ work: {} }, { retention: { count: 5, ageMs: 10_000 } })
  t.queue.handle('x', (n) => n)
  const runs = Array.from({ length: 8 }, (_, n) => t.queue.submit('work', { type: 'x', payload: n }))
  await Promise.all(runs)
  const next = t.crash()
  await next.queue.start()
  const found = async (): Promise<number> => (await next.queue.list({ state: 'completed' })).items.length
  expect(await found()).toBe(5)
  await next.clock.advance(10_001)
  next.queue.handle('x', (n) => n)
  await next.queue.submit('work', { type: 'x' })
  expect(await found()).toBe(1)
  await next.queue.close()
})

test('progress, log lines and history are there after a crash', async () => {
  const t = await durable({ work: { retry: RetryPolicy.fixed(2, 1000) } })
  t.queue.handle('x', async (_payload, ctx) => {
    if (ctx.attempt === 1) throw new Error('first')
    ctx.log('line')
    ctx.progress({ percent: 40 })
    await new Promise(() => undefined)
  })
  const run = t.queue.submit('work', { type: 'x' })
  await run.accepted
  await t.clock.advance(1100)
  await using next = t.crash()
  expect(await next.queue.get(run.id)).toMatchObject({
    attempt: 2,
    progress: { percent: 40 },
    logs: [{ attempt: 2, line: 'line' }],
    history: [{ attempt: 1, error: 'first' }],
  })
})

test('schemas check what is submitted, and what they made of it is stored', async () => {
  const { z } = await import('zod')
  const add = defineCommand({ type: 'add', payload: z.object({ a: z.coerce.number() }), result: z.number() })
  const t = await durable({ work: {} })
  t.queue.lane('work').pause()
  const run = t.queue.submit('work', add({ a: '4' } as never), { id: 'sum' })
  await run.accepted
  expect(await errorOf(t.queue.submit('work', add({ a: 'x' } as never)))).toMatchObject({ code: 'PAYLOAD_INVALID' })
  await using next = t.crash()
  next.queue.handle(add, ({ a }) => a + 1)
  await next.queue.start()
  expect(await next.queue.submit('work', add({ a: '4' } as never), { id: 'sum' })).toBe(5)
})

test('two queues cannot use one storage', async () => {
  const { storage } = steeredStorage()
  await using t = await durable({ work: {} }, { storage })
  const error = thrownBy(() => new Durable({ work: {} }, {}, storage))
  expect(isLaneError(error) && error.code).toBe('CONFLICT')
  expect(t.queue.storage).toBe(storage)
})

test('what is submitted before the start is stored before it', async () => {
  const t = new Durable({ work: {} }, {})
  const runs = t.queue.submitBatch('work', [{ type: 'x' }, [{ type: 'y' }, { priority: 1 }]])
  await Promise.all(runs.map(({ accepted }) => accepted))
  expect(t.storage.list({ laneId: undefined, state: undefined, fromSeq: 0, limit: 10 })).toMatchObject([
    { commandType: 'x', state: 'pending' },
    { commandType: 'y', state: 'pending', priority: 1 },
  ])
  await t.queue.close()
})

test('a letter whose redrive was written and answered with an error is still there, also after a crash', async () => {
  const { storage, writes } = steeredStorage()
  const t = await durable({ work: {} }, { storage })
  t.queue.handle('x', () => {
    throw new Error('down')
  })
  const run = t.queue.submit('work', { type: 'x' })
  await turns()
  writes[0]?.done()
  await turns()
  writes[1]?.done()
  await errorOf(run)
  const again = t.queue.deadLetters.redrive(run.id)
  expect(await errorOf(t.queue.deadLetters.redrive(run.id))).toMatchObject({ code: 'NOT_FOUND' })
  await turns()
  writes[2]?.commit()
  writes[2]?.fail(new Error('lost'))
  expect(await errorOf(again)).toMatchObject({ code: 'STORAGE_FAILED' })
  await t.clock.advance(100)
  writes[3]?.done()
  await turns()
  expect(await t.queue.deadLetters.size()).toBe(1)
  await using next = t.crash()
  expect((await next.queue.deadLetters.list()).map(({ commandId }) => commandId)).toEqual([run.id])
  for (const write of writes.slice(4)) write.done()
})

test('a long backlog of short bodies does not run ahead of what is written', async () => {
  const { storage, writes } = steeredStorage()
  await using t = await durable({ work: { maxConcurrency: 10 } }, { storage })
  let calls = 0
  t.queue.handle('x', () => {
    calls++
  })
  t.queue.lane('work').pause()
  const runs = Array.from({ length: 3000 }, () => t.queue.submit('work', { type: 'x' }))
  let open = 0
  const letThrough = async (isOver: () => boolean): Promise<void> => {
    for (let round = 0; round < 200 && !isOver(); round++) {
      writes[open]?.done()
      if (writes[open] !== undefined) open++
      await turns()
    }
  }
  await letThrough(() => t.queue.stats().totalPending === 3000)
  t.queue.lane('work').resume()
  await turns(20_000)
  // each body has ended at once, and none of their outcomes is written
  expect(calls).toBeGreaterThan(500)
  expect(calls).toBeLessThan(1500)
  await letThrough(() => t.queue.stats().totalPending === 0 && writes.length === open)
  await Promise.all(runs)
  expect(calls).toBe(3000)
})

test('what a stored command has really cost is a debt of its lane', async () => {
  const rateLimit = { maxCommands: 100, windowMs: 1000, unit: 'tokens' }
  await using t = await durable({ work: { rateLimit } })
  const at: number[] = []
  t.queue.handle('ask', (cost, { charge }) => {
    at.push(t.clock.now())
    charge(cost as number)
  })
  for (const cost of [150, 10]) {
    void t.queue.submit('work', { type: 'ask', payload: cost }, { cost: 10 })
    await t.clock.advance(1)
  }
  await t.clock.advance(2000)
  expect(at).toEqual([0, 600])
})
