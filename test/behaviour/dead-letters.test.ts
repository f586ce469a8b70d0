import { DeadLetterQueue, defineCommand, JsonCommand, RetryPolicy, UnrecoverableError } from '@a3s-lab/lane'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { errorOf, type Setup, setup, thrownBy } from '../support/setup.js'

/** Fails commands and waits for it; gives their ids. */
async function fail(t: Setup, ...names: string[]): Promise<string[]> {
  t.queue.handle('fails', (payload: string) => Promise.reject(new Error(`${payload} failed`)))
  const runs = names.map((payload) => t.queue.submit('work', { type: 'fails', payload }))
  for (const run of runs) await errorOf(run)
  return runs.map(({ id }) => id)
}

test('a command that fails for good leaves one letter that tells everything', async () => {
  await using t = await setup({ work: { retry: RetryPolicy.fixed(2, 10) } }, { deadLetters: 100 })
  t.queue.handle('charge', () => Promise.reject(new TypeError('card declined')))
  const run = t.queue.submit('work', { type: 'charge', payload: { amount: 5 } }, { metadata: { trace: 'x' } })
  const error = errorOf(run)
  await t.clock.advance(20)
  await error
  const letters = await t.queue.deadLetters.list()
  expect(letters).toHaveLength(1)
  const [letter] = letters
  expect(letter).toMatchObject({
    commandId: run.id,
    commandType: 'charge',
    laneId: 'work',
    payload: { amount: 5 },
    error: 'card declined',
    errorDetails: { name: 'TypeError', message: 'card declined' },
    attempts: 3,
    failedAt: '2026-01-01T00:00:00.020Z',
    history: [
      { attempt: 1, error: 'card declined', at: '2026-01-01T00:00:00.000Z' },
      { attempt: 2, error: 'card declined', at: '2026-01-01T00:00:00.010Z' },
      { attempt: 3, error: 'card declined', at: '2026-01-01T00:00:00.020Z' },
    ],
    metadata: { trace: 'x' },
  })
  expect(JSON.parse(JSON.stringify(letter))).toEqual(letter)
})

test('dead_lettered is told before failed', async () => {
  await using t = await setup({ work: {} }, { deadLetters: true })
  const [id] = await fail(t, 'a')
  expect(t.events(id).slice(2)).toEqual([
    ['queue.command.dead_lettered', { lane_id: 'work', command_id: id, command_type: 'fails' }],
    ['queue.command.failed', { lane_id: 'work', command_id: id, error: 'a failed' }],
  ])
  expect(t.queue.stats().deadLetterCount).toBe(1)
})

test('a command that times out for good leaves a letter, told before timeout', async () => {
  await using t = await setup({ work: { timeoutMs: 10 } }, { deadLetters: true })
  const run = t.queue.submit('work', t.takes(100))
  const error = errorOf(run)
  await t.clock.advance(10)
  await error
  expect(t.recorder.keys(run.id).slice(2)).toEqual(['queue.command.dead_lettered', 'queue.command.timeout'])
  expect(await t.queue.deadLetters.get(run.id)).toMatchObject({ error: 'Command timed out after 10ms', attempts: 1 })
})

test('an unrecoverable failure and a missing handler leave letters too', async () => {
  await using t = await setup({ work: { retry: RetryPolicy.fixed(3, 10) } }, { deadLetters: true })
  const bad = t.queue.submit('work', () => Promise.reject(new UnrecoverableError('bad')))
  const nobody = t.queue.submit('work', { type: 'nobody' })
  await errorOf(bad)
  await errorOf(nobody)
  expect((await t.queue.deadLetters.list()).map(({ attempts, history }) => [attempts, history.length])).toEqual(
    expect.arrayContaining([
      [1, 1],
      [0, 0],
    ]),
  )
})

test('neither a success nor a cancellation leaves a letter', async () => {
  await using t = await setup({ work: {} }, { deadLetters: true })
  await t.queue.submit('work', () => 1)
  const run = t.queue.submit('work', () => 1)
  run.cancel()
  await errorOf(run)
  expect(await t.queue.deadLetters.list()).toEqual([])
})

test('without a dead-letter queue nothing is kept and nothing is told', async () => {
  await using t = await setup()
  const [id] = await fail(t, 'a')
  const { deadLetters } = t.queue
  expect(deadLetters.capacity).toBe(0)
  expect(await deadLetters.size()).toBe(0)
  expect(await deadLetters.list()).toEqual([])
  expect(await deadLetters.get(id as string)).toBeUndefined()
  expect(await deadLetters.pop()).toBeUndefined()
  expect(await deadLetters.clear()).toBe(0)
  expect(await deadLetters.discard(id as string)).toBe(0)
  expect(await deadLetters.redrive({})).toEqual([])
  expect((await errorOf(deadLetters.redrive(id as string)))['code']).toBe('NOT_FOUND')
  expect(t.recorder.of('queue.command.dead_lettered')).toEqual([])
  expect(t.queue.stats().deadLetterCount).toBe(0)
})

test.each<[string, boolean | number | DeadLetterQueue | undefined, number]>([
  ['true', true, 1000],
  ['false', false, 0],
  ['0', 0, 0],
  ['a number', 7, 7],
  ['a ring', new DeadLetterQueue(3), 3],
  ['nothing', undefined, 0],
])('the option deadLetters as %s gives a capacity', async (_what, deadLetters, capacity) => {
  await using t = await setup({ work: {} }, { deadLetters })
  expect(t.queue.deadLetters.capacity).toBe(capacity)
})

test('a full ring drops its oldest letter', async () => {
  await using t = await setup({ work: {} }, { deadLetters: 3 })
  await fail(t, 'a', 'b', 'c', 'd')
  expect((await t.queue.deadLetters.list()).map(({ payload }) => payload)).toEqual(['b', 'c', 'd'])
  expect(await t.queue.deadLetters.size()).toBe(3)
})

test('letters are popped oldest first and listed without being taken', async () => {
  await using t = await setup({ work: {} }, { deadLetters: true })
  await fail(t, 'a', 'b')
  expect((await t.queue.deadLetters.list()).length).toBe(2)
  expect((await t.queue.deadLetters.pop())?.payload).toBe('a')
  expect((await t.queue.deadLetters.pop())?.payload).toBe('b')
  expect(await t.queue.deadLetters.pop()).toBeUndefined()
})

test('letters are found by id, lane, type and question', async () => {
  await using t = await setup({ work: {}, other: {} }, { deadLetters: true })
  const [a, b] = await fail(t as Setup, 'a', 'b')
  await errorOf(t.queue.submit('other', { type: 'fails', payload: 'c' }))
  await errorOf(t.queue.submit('other', { type: 'nobody', payload: 'd' }))
  const payloads = async (filter: Parameters<typeof t.queue.deadLetters.list>[0]): Promise<unknown[]> =>
    (await t.queue.deadLetters.list(filter)).map(({ payload }) => payload)
  expect(await payloads({ laneId: 'work' })).toEqual(['a', 'b'])
  expect(await payloads({ commandType: 'fails' })).toEqual(['a', 'b', 'c'])
  expect(await payloads({ ids: [b as string] })).toEqual(['b'])
  expect(await payloads({ laneId: 'other', commandType: 'fails' })).toEqual(['c'])
  expect(await payloads((letter) => letter.payload === 'd')).toEqual(['d'])
  expect(await payloads({})).toEqual(['a', 'b', 'c', 'd'])
  expect(await t.queue.deadLetters.get(a as string)).toMatchObject({ payload: 'a' })
})

test('a filter that is none is refused', async () => {
  await using t = await setup({ work: {} }, { deadLetters: true })
  expect((await errorOf(t.queue.deadLetters.list({ lane: 'x' } as never))).message).toBe(
    "Configuration error: dead-letter filter has no option 'lane'; did you mean 'laneId'?",
  )
  expect((await errorOf(t.queue.deadLetters.discard(7 as never))).message).toBe(
    'Configuration error: dead-letter filter must be an object, got 7',
  )
})

test('letters are discarded by id, by filter, and all at once', async () => {
  await using t = await setup({ work: {} }, { deadLetters: true })
  const [a] = await fail(t, 'a', 'b', 'c', 'd')
  expect(await t.queue.deadLetters.discard(a as string)).toBe(1)
  expect(await t.queue.deadLetters.discard('nobody')).toBe(0)
  expect(await t.queue.deadLetters.discard(({ payload }) => payload === 'c')).toBe(1)
  expect((await t.queue.deadLetters.list()).map(({ payload }) => payload)).toEqual(['b', 'd'])
  expect(await t.queue.deadLetters.clear()).toBe(2)
  expect(await t.queue.deadLetters.size()).toBe(0)
})

test('a redrive submits the command anew, under a new id, and takes the letter out', async () => {
  await using t = await setup({ work: {} }, { deadLetters: true })
  t.queue.handle('x', () => Promise.reject(new Error('down')))
  const first = t.queue.submit('work', { type: 'x', payload: 7 }, { metadata: 'm', priority: 3 })
  await errorOf(first)
  t.queue.handle('x', (payload: number) => `fixed ${payload}`)
  t.recorder.clear()
  const again = t.queue.deadLetters.redrive(first.id)
  expect(again.id).not.toBe(first.id)
  expect(await again).toBe('fixed 7')
  expect(await t.queue.deadLetters.size()).toBe(0)
  expect(await t.queue.get(again.id)).toMatchObject({
    redrivenFrom: first.id,
    metadata: 'm',
    priority: 3,
    payload: 7,
    attempt: 1,
  })
  expect(t.events().slice(0, 2)).toEqual([
    ['queue.command.submitted', { lane_id: 'work', command_id: again.id }],
    ['queue.dead_letter.redriven', { lane_id: 'work', command_id: first.id, redriven_as: again.id }],
  ])
})

test('a redriven command that fails again leaves a letter that says where it comes from', async () => {
  await using t = await setup({ work: {} }, { deadLetters: true })
  const [id] = await fail(t, 'a')
  const again = t.queue.deadLetters.redrive(id as string)
  await errorOf(again)
  expect(await t.queue.deadLetters.list()).toMatchObject([{ commandId: again.id, redrivenFrom: id, attempts: 1 }])
})

test('a redriven command has its retries afresh', async () => {
  await using t = await setup({ work: {} }, { deadLetters: true })
  const run = t.queue.submit('work', () => Promise.reject(new Error('no')), { retry: RetryPolicy.fixed(2, 10) })
  const error = errorOf(run)
  await t.clock.advance(20)
  await error
  const again = t.queue.deadLetters.redrive(run.id)
  const second = errorOf(again)
  await t.clock.advance(20)
  await second
  expect(await t.queue.deadLetters.get(again.id)).toMatchObject({ attempts: 3 })
})

test('a filter redrives all letters that match', async () => {
  await using t = await setup({ work: {} }, { deadLetters: true })
  await fail(t, 'a', 'b', 'c')
  t.queue.handle('fails', (payload) => payload)
  const runs = await t.queue.deadLetters.redrive(({ payload }) => payload !== 'b')
  expect(await Promise.all(runs)).toEqual(['a', 'c'])
  expect((await t.queue.deadLetters.list()).map(({ payload }) => payload)).toEqual(['b'])
})

test('a function and a command object can be redriven', async () => {
  await using t = await setup({ work: {} }, { deadLetters: true })
  let works = false
  const body = (): string => {
    if (!works) throw new Error('not yet')
    return 'done'
  }
  const runs = [
    t.queue.submit('work', body),
    t.queue.submit('work', { commandType: 'object', execute: body }),
    t.queue.submit('work', Object.assign(new JsonCommand('json', 1), { execute: body })),
  ]
  for (const run of runs) await errorOf(run)
  works = true
  for (const run of runs) expect(await t.queue.deadLetters.redrive(run.id)).toBe('done')
})

test('a redrive of nobody rejects with NOT_FOUND', async () => {
  await using t = await setup({ work: {} }, { deadLetters: true })
  const run = t.queue.deadLetters.redrive('nobody')
  expect(await errorOf(run)).toMatchObject({
    code: 'NOT_FOUND',
    message: 'No dead letter of a command with id "nobody"',
  })
})

test('a letter whose redrive is refused stays', async () => {
  await using t = await setup({ work: {} }, { deadLetters: true })
  const [id] = await fail(t, 'a')
  await t.queue.shutdown()
  expect((await errorOf(t.queue.deadLetters.redrive(id as string)))['code']).toBe('SHUTTING_DOWN')
  expect(await t.queue.deadLetters.size()).toBe(1)
})

test('a payload that its schema has changed is not checked a second time when it is redriven', async () => {
  await using t = await setup({ work: {} }, { deadLetters: true })
  const parse = defineCommand({ type: 'parse', payload: z.string().transform(Number) })
  let works = false
  t.queue.handle(parse, (payload) => {
    if (!works) throw new Error('not yet')
    return payload + 1
  })
  const run = t.queue.submit('work', parse('41'))
  await errorOf(run)
  works = true
  expect(await t.queue.deadLetters.redrive(run.id)).toBe(42)
})

test('a command whose schema takes its time is redriven like any other', async () => {
  await using t = await setup({ work: {} }, { deadLetters: true })
  const slow = defineCommand({ type: 'slow', payload: z.number().refine(async (n) => n > 0) })
  let works = false
  t.queue.handle(slow, (payload) => {
    if (!works) throw new Error('not yet')
    return payload
  })
  const run = t.queue.submit('work', slow(7))
  await errorOf(run)
  works = true
  expect(await t.queue.deadLetters.redrive(run.id)).toBe(7)
  expect(await t.queue.deadLetters.size()).toBe(0)
  expect(t.recorder.of('queue.dead_letter.redriven')).toHaveLength(1)
})

test('queues may share a ring', async () => {
  const ring = new DeadLetterQueue(10)
  await using a = await setup({ work: {} }, { deadLetters: ring })
  await using b = await setup({ work: {}, more: {} }, { deadLetters: ring })
  const [id] = await fail(a, 'from a')
  b.queue.handle('fails', (payload: string) => `run by b: ${payload}`)
  expect(await b.queue.deadLetters.redrive(id as string)).toBe('run by b: from a')
  expect(ring.size).toBe(0)
  const other = b.queue.submit('more', () => Promise.reject(new Error('no')))
  await errorOf(other)
  expect((await errorOf(a.queue.deadLetters.redrive(other.id))).message).toBe('Lane not found: more')
  expect(ring.size).toBe(1)
})

test('a ring of one’s own: push, pop, list, get, remove, clear', () => {
  const letter = (commandId: string) => ({
    commandId,
    commandType: 'x',
    laneId: 'work',
    payload: null,
    error: 'no',
    attempts: 1,
    failedAt: '2026-01-01T00:00:00.000Z',
    history: [],
  })
  const ring = new DeadLetterQueue(3)
  expect([ring.isEmpty(), ring.len(), ring.size, ring.pop()]).toEqual([true, 0, 0, undefined])
  const letters = ['1', '2', '3', '4'].map(letter)
  for (const one of letters) ring.push(one)
  expect(ring.list().map(({ commandId }) => commandId)).toEqual(['2', '3', '4'])
  expect([ring.isEmpty(), ring.len(), ring.size]).toEqual([false, 3, 3])
  expect(ring.get('3')).toBe(letters[2])
  expect(ring.get('1')).toBeUndefined()
  expect(ring.pop()).toBe(letters[1])
  expect([ring.remove(letters[2] as never), ring.remove(letters[2] as never)]).toEqual([true, false])
  expect(ring.clear()).toBe(1)
})

test('a letter that was pushed by hand can be redriven by its type', async () => {
  const ring = new DeadLetterQueue(3)
  await using t = await setup({ work: {} }, { deadLetters: ring })
  t.queue.handle('x', (payload) => payload)
  ring.push({
    commandId: 'old',
    commandType: 'x',
    laneId: 'work',
    payload: 5,
    error: 'no',
    attempts: 1,
    failedAt: '2026-01-01T00:00:00.000Z',
    history: [],
  })
  const run = t.queue.deadLetters.redrive('old')
  expect(await run).toBe(5)
  expect(await t.queue.get(run.id)).toMatchObject({ priority: 1000, redrivenFrom: 'old' })
})

test.each([0, -1, 1.5, '3'])('a ring of %s letters is refused', (capacity) => {
  expect(thrownBy(() => new DeadLetterQueue(capacity as number)).message).toMatch(
    /^Configuration error: DeadLetterQueue capacity must be an integer of at least 1, got/,
  )
})
