import { defineCommand, JsonCommand, QueueManager } from '@a3s-lab/lane'
import { MemoryStorage } from '@a3s-lab/lane/testing'
import { expect, test } from 'vitest'
import { cluster } from '../../support/cluster.js'
import { errorOf, gate } from '../../support/setup.js'

test('a command that one process submits runs in another, and its result comes back', async () => {
  await using c = cluster()
  const [a, b] = await c.pair()
  b.queue.handle('double', ({ n }: { n: number }) => n * 2)
  const run = a.queue.submit('work', { type: 'double', payload: { n: 21 } })
  await run.accepted
  expect(await c.clock.expectSettled(run)).toBe(42)
  expect(run.state).toBe('completed')
  expect([a.keys(run), b.keys(run)]).toEqual([['submitted'], ['started', 'completed']])
})

test('a process that submits and works runs its own commands too', async () => {
  await using c = cluster()
  const a = await c.join()
  a.queue.handle('x', () => 'mine')
  const run = a.queue.submit('work', { type: 'x' })
  expect(await c.clock.expectSettled(run)).toBe('mine')
  expect(a.keys(run)).toEqual(['submitted', 'started', 'completed'])
})

test('a submit is accepted when the engine has it, before anybody runs it', async () => {
  await using c = cluster({ latencyMs: 10 })
  const joining = c.join({ role: 'coordinator' })
  await c.clock.advance(10)
  const a = await joining
  const run = a.queue.submit('work', { type: 'x' })
  let isAccepted = false
  void run.accepted.then(() => {
    isAccepted = true
  })
  await c.clock.advance(9)
  expect([isAccepted, a.keys(run)]).toEqual([false, []])
  await c.clock.advance(1)
  expect([isAccepted, a.keys(run), run.state]).toEqual([true, ['submitted'], 'pending'])
})

test('a submit before the start connects by itself', async () => {
  await using c = cluster()
  const b = await c.join({ role: 'worker' })
  b.queue.handle('x', () => 1)
  const a = await c.join({ role: 'coordinator', start: false })
  expect(await c.clock.expectSettled(a.queue.submit('work', { type: 'x' }))).toBe(1)
})

test('a process that is not started claims nothing', async () => {
  await using c = cluster()
  const a = await c.join({ start: false })
  a.queue.handle('x', () => 1)
  const run = a.queue.submit('work', { type: 'x' })
  await c.clock.advance(20_000)
  expect(a.keys()).toEqual(['submitted'])
  await a.queue.start()
  expect(await c.clock.expectSettled(run)).toBe(1)
})

test('a batch is shared by the workers, and each result comes to its run', async () => {
  await using c = cluster({ lanes: { work: { maxConcurrency: 6 } } })
  const a = await c.join({ role: 'coordinator' })
  for (let worker = 0; worker < 3; worker++) {
    const { queue } = await c.join({ role: 'worker', maxConcurrency: 2 })
    queue.handle('x', async (n: number) => {
      c.notes.push(String(worker))
      await c.sleep(10)
      return n * 10
    })
  }
  const commands = Array.from({ length: 30 }, (_, n) => ({ type: 'x', payload: n }))
  const runs = a.queue.submitBatch('work', commands)
  await c.clock.advance(50)
  expect(await Promise.all(runs)).toEqual(commands.map(({ payload }) => payload * 10))
  expect([...new Set(c.notes)]).toHaveLength(3)
})

test('a batch item may have options of its own, and one that is refused leaves the others', async () => {
  await using c = cluster()
  const [a, b] = await c.pair({ maxConcurrency: 1 })
  b.queue.handle('x', (name: string) => {
    c.notes.push(name)
  })
  const [first, second, third] = a.queue.submitBatch('work', [
    { type: 'x', payload: 'last' },
    [{ type: 'x', payload: 'first' }, { priority: 1 }],
    [{ type: 'x', payload: 'never' }, { priority: -1 }],
  ])
  expect(await errorOf(third)).toMatchObject({ code: 'CONFIG_INVALID' })
  await Promise.all([first, second])
  expect(c.notes).toEqual(['first', 'last'])
})

test('payloads and results are what their JSON says, on whichever process they run', async () => {
  await using c = cluster()
  const a = await c.join()
  const seen: unknown[] = []
  a.queue.handle('echo', (payload) => {
    seen.push(payload)
    return payload
  })
  const given = [undefined, null, 0, '', 'ß😀\u2028', { at: new Date(0), none: undefined }, [1, [2]], false]
  const runs = given.map((payload) => a.queue.submit('work', { type: 'echo', payload }))
  const kept = [undefined, null, 0, '', 'ß😀\u2028', { at: '1970-01-01T00:00:00.000Z' }, [1, [2]], false]
  expect(await Promise.all(runs)).toEqual(kept)
  expect(seen).toEqual(kept)
})

test('what a submitter changes of its payload afterwards is its own business', async () => {
  await using c = cluster()
  const a = await c.join()
  a.queue.handle('echo', (seen) => seen)
  const payload = { n: 1 }
  const run = a.queue.submit('work', { type: 'echo', payload })
  payload.n = 2
  expect(await run).toEqual({ n: 1 })
})

test('a payload without a JSON form is refused, and a result without one fails its command', async () => {
  await using c = cluster()
  const a = await c.join()
  a.queue.handle('big', () => 10n)
  expect(await errorOf(a.queue.submit('work', { type: 'big', payload: 1n }))).toMatchObject({ code: 'PAYLOAD_INVALID' })
  expect(await errorOf(a.queue.submit('work', { type: 'big' }))).toMatchObject({ code: 'PAYLOAD_INVALID' })
})

test('a function cannot be shared, unless it says that it stays here', async () => {
  await using c = cluster()
  const a = await c.join()
  const b = await c.join()
  expect(await errorOf(a.queue.submit('work', () => 1))).toMatchObject({
    code: 'PAYLOAD_INVALID',
    message: expect.stringContaining('ephemeral') as string,
  })
  const own = { commandType: 'own', execute: () => 2 }
  expect(await errorOf(a.queue.submit('work', own))).toMatchObject({ code: 'PAYLOAD_INVALID' })
  const run = a.queue.submit('work', () => 3, { ephemeral: true })
  expect(await c.clock.expectSettled(run)).toBe(3)
  expect(await c.clock.expectSettled(a.queue.submit('work', own, { ephemeral: true }))).toBe(2)
  expect([a.keys(run), b.keys()]).toEqual([['submitted', 'started', 'completed'], []])
})

test('a JSON command with a handler elsewhere is shared by its type and payload', async () => {
  await using c = cluster()
  const [a, b] = await c.pair()
  b.queue.handle('x', (payload) => payload)
  const run = a.queue.submit('work', new JsonCommand('x', { n: 1 }))
  expect(await c.clock.expectSettled(run)).toEqual({ n: 1 })
})

const positive = {
  '~standard': {
    version: 1,
    vendor: 'test',
    validate: (value: unknown) =>
      typeof value === 'number' && value > 0 ? { value: value + 1 } : { issues: [{ message: 'not above 0' }] },
  },
} as const

test('a definition checks payloads at the submit and results where they are made', async () => {
  await using c = cluster()
  const [a, b] = await c.pair()
  const count = defineCommand({ type: 'count', payload: positive, result: positive })
  b.queue.handle(count, (n) => n - 10)
  expect(await errorOf(a.queue.submit('work', count(-1)))).toMatchObject({ code: 'PAYLOAD_INVALID' })
  expect(await c.clock.expectSettled(a.queue.submit('work', count(15)))).toBe(7)
  expect(await errorOf(a.queue.submit('work', count(3)))).toMatchObject({ code: 'PAYLOAD_INVALID' })
  expect(a.keys().filter((key) => key === 'rejected')).toHaveLength(1)
})

test('a schema that takes its time holds the submit back, and may be cancelled or refuse it', async () => {
  await using c = cluster()
  const [a, b] = await c.pair()
  const gates = [gate<boolean>(), gate<boolean>(), gate<boolean>()]
  let asked = 0
  const slow = defineCommand({
    type: 'slow',
    payload: {
      '~standard': {
        version: 1,
        vendor: 'test',
        validate: async (value: unknown) =>
          (await gates[asked++]?.promise) === true
            ? { value: `checked ${String(value)}` }
            : { issues: [{ message: 'no' }] },
      },
    },
  })
  b.queue.handle('slow', (payload) => payload)
  const runs = ['good', 'bad', 'cancelled'].map((payload) => a.queue.submit('work', slow(payload)))
  const [good, bad, cancelled] = runs as [(typeof runs)[0], (typeof runs)[0], (typeof runs)[0]]
  await c.clock.settle()
  expect(a.keys()).toEqual([])
  expect(cancelled.cancel('no more')).toBe(true)
  for (const [index, { open }] of gates.entries()) open(index !== 1)
  await good.accepted
  expect(await c.clock.expectSettled(good)).toBe('checked good')
  expect(await errorOf(bad)).toMatchObject({ code: 'PAYLOAD_INVALID' })
  expect(await errorOf(bad.accepted)).toMatchObject({ code: 'PAYLOAD_INVALID' })
  expect(await errorOf(cancelled)).toMatchObject({ code: 'COMMAND_CANCELLED' })
  await c.clock.settle()
  expect((await a.queue.get(good.id))?.payload).toBe('checked good')
  expect((await c.counts())['work']).toMatchObject({ pending: 0, delayed: 0 })
})

test('metadata and the trace context come along, and are seen where the command is asked for', async () => {
  await using c = cluster()
  const [a, b] = await c.pair()
  const traceContext = { traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01' }
  b.queue.handle('x', (_payload, { traceContext: seen }) => seen)
  const run = a.queue.submit('work', { type: 'x', payload: 'p' }, { metadata: { user: 7 }, traceContext })
  expect(await c.clock.expectSettled(run)).toEqual(traceContext)
  for (const { queue } of [a, b]) {
    expect(await queue.get(run.id)).toMatchObject({
      id: run.id,
      state: 'completed',
      payload: 'p',
      attempt: 1,
      metadata: { user: 7 },
      traceContext,
      result: traceContext,
    })
  }
})

test('a storage and an engine do not go together, and lanes that the engine cannot keep are refused', async () => {
  await using c = cluster()
  const lanes = { work: { priority: 0 } }
  const make = (options: object) => () => new QueueManager({ lanes, engine: c.broker.engine(), ...options })
  expect(make({ storage: new MemoryStorage() })).toThrow(/engine/)
  expect(make({ engine: {} })).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }))
  expect(make({ lanes: { work: { priority: 0, order: 'lifo' } } })).toThrow(/lane 'work'.order/)
  expect(make({ lanes: { work: { priority: 0, fairness: 'key' } } })).toThrow(/lane 'work'.fairness/)
  expect(make({ lanes: { work: { priority: 0, keyConcurrency: 1 } } })).toThrow(/lane 'work'.keyConcurrency/)
})

test('lanes that others share with other limits are a conflict, unless they are to be reconfigured', async () => {
  await using c = cluster({ lanes: { work: { maxConcurrency: 2 } } })
  await c.join()
  const other = { lanes: { work: { maxConcurrency: 3 } } }
  const refused = await c.join({ ...other, start: false })
  expect(await errorOf(refused.queue.start())).toMatchObject({ code: 'CONFLICT' })
  expect(await errorOf(refused.queue.submit('work', { type: 'x' }))).toMatchObject({ code: 'CONFLICT' })
  await c.join({ ...other, reconfigure: true })
})

test('an engine serves one queue', async () => {
  await using c = cluster()
  const a = await c.join()
  const second = new QueueManager({ lanes: { work: { priority: 0 } }, engine: a.engine, clock: c.clock })
  expect(await errorOf(second.start())).toMatchObject({ code: 'CONFLICT' })
})

test('an unknown lane is refused here', async () => {
  await using c = cluster()
  const a = await c.join()
  expect(await errorOf(a.queue.submit('nowhere', { type: 'x' }))).toMatchObject({ code: 'LANE_NOT_FOUND' })
})
