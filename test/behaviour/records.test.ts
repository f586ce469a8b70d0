import { type CommandRecord, RetryPolicy } from '@a3s-lab/lane'
import { expect, test } from 'vitest'
import { errorOf, setup } from '../support/setup.js'

test('a command is found by its id in every state', async () => {
  await using t = await setup({ work: { maxConcurrency: 1, retry: RetryPolicy.fixed(1, 100) } })
  t.queue.handle('x', () => t.sleep(10))
  t.queue.handle('fails', () => Promise.reject(new Error('no')))
  const active = t.queue.submit('work', { type: 'x', payload: { a: 1 } })
  const pending = t.queue.submit('work', { type: 'x', payload: 2 }, { priority: 7 })
  const plain = t.queue.submit('work', { type: 'x', payload: 3 })
  const delayed = t.queue.submit('work', { type: 'x' }, { delayMs: 1000 })
  await t.clock.settle()
  expect(await t.queue.get(pending.id)).toEqual({
    id: pending.id,
    commandType: 'x',
    laneId: 'work',
    state: 'active',
    payload: 2,
    priority: 7,
    attempt: 1,
    createdAt: '2026-01-01T00:00:00.000Z',
    startedAt: '2026-01-01T00:00:00.000Z',
  })
  expect(await t.queue.get(active.id)).toEqual({
    id: active.id,
    commandType: 'x',
    laneId: 'work',
    state: 'pending',
    payload: { a: 1 },
    priority: 1000,
    attempt: 0,
    createdAt: '2026-01-01T00:00:00.000Z',
  })
  expect(await t.queue.get(plain.id)).toMatchObject({ state: 'pending', payload: 3 })
  expect(await t.queue.get(delayed.id)).toMatchObject({ state: 'delayed', dueAt: '2026-01-01T00:00:01.000Z' })
  await t.clock.advance(30)
  await plain
  expect(await t.queue.get(plain.id)).toEqual({
    id: plain.id,
    commandType: 'x',
    laneId: 'work',
    state: 'completed',
    payload: 3,
    priority: 1000,
    attempt: 1,
    createdAt: '2026-01-01T00:00:00.000Z',
    startedAt: '2026-01-01T00:00:00.020Z',
    endedAt: '2026-01-01T00:00:00.030Z',
  })
  const failing = t.queue.submit('work', { type: 'fails' })
  const error = errorOf(failing)
  await t.clock.advance(100)
  await error
  expect(await t.queue.get(failing.id)).toMatchObject({
    state: 'failed',
    attempt: 2,
    error: { name: 'Error', message: 'no' },
    history: [{ attempt: 1 }, { attempt: 2 }],
  })
})

test('a record keeps the result, the logs with their attempt, and the last progress', async () => {
  await using t = await setup({ work: { retry: RetryPolicy.fixed(1, 5) } })
  const run = t.queue.submit('work', ({ attempt, log, progress }) => {
    log(`attempt ${attempt}`)
    progress(attempt * 50)
    if (attempt === 1) throw new Error('once')
    return { rows: 3 }
  })
  await t.clock.advance(5)
  expect(await run).toEqual({ rows: 3 })
  expect(await t.queue.get(run.id)).toMatchObject({
    result: { rows: 3 },
    progress: 100,
    logs: [
      { attempt: 1, line: 'attempt 1', at: '2026-01-01T00:00:00.000Z' },
      { attempt: 2, line: 'attempt 2', at: '2026-01-01T00:00:00.005Z' },
    ],
  })
})

test('a record is a copy that does not change any more', async () => {
  await using t = await setup({ work: { retry: RetryPolicy.fixed(1, 5) } })
  const run = t.queue.submit('work', ({ attempt, log }) => {
    log('line')
    if (attempt === 1) throw new Error('once')
  })
  await t.clock.settle()
  const before = (await t.queue.get(run.id)) as CommandRecord
  await t.clock.advance(5)
  await run
  expect(before).toMatchObject({ state: 'delayed', logs: [{}], history: [{}] })
  expect(before.logs).toHaveLength(1)
})

test('an id that nobody has finds nothing', async () => {
  await using t = await setup({ work: { maxConcurrency: 1 } })
  const running = t.queue.submit('work', t.takes(10))
  const waiting = t.queue.submit('work', t.takes(10))
  await t.clock.settle()
  const prefix = running.id.slice(0, 11)
  const wrong = [
    '',
    'nobody',
    prefix,
    `${prefix}zz`,
    `${prefix}?`,
    `${running.id}!`,
    ` ${running.id}`,
    `${waiting.id}!`,
  ]
  for (const id of wrong) {
    expect(await t.queue.get(id), id).toBeUndefined()
    expect(t.queue.cancel(id), id).toBe(false)
  }
  await t.clock.advance(20)
  expect(await t.queue.get(`${running.id}!`)).toBeUndefined()
})

test('settled commands are kept up to the number of the retention', async () => {
  await using t = await setup({ work: {} }, { retention: { count: 2 } })
  const runs = ['a', 'b', 'c'].map((id) => t.queue.submit('work', () => id, { id }))
  const plain = t.queue.submit('work', () => 'plain')
  await Promise.all([...runs, plain])
  expect(await Promise.all(['a', 'b', 'c', plain.id].map(async (id) => (await t.queue.get(id))?.id))).toEqual([
    undefined,
    undefined,
    'c',
    plain.id,
  ])
})

test('with a retention of none nothing settled is kept', async () => {
  await using t = await setup({ work: {} }, { retention: { count: 0 } })
  const runs = [t.queue.submit('work', () => 1), t.queue.submit('work', () => 1, { id: 'mine' })]
  await Promise.all(runs)
  expect((await t.queue.list()).items).toEqual([])
  expect(await t.queue.get('mine')).toBeUndefined()
})

test('a hundred settled commands are kept by default', async () => {
  await using t = await setup({ work: { maxConcurrency: 2000 } }, { retention: {} })
  const runs = Array.from({ length: 101 }, () => t.queue.submit('work', () => 1))
  await Promise.all(runs)
  expect(await t.queue.get(runs[0]?.id ?? '')).toBeUndefined()
  expect(await t.queue.get(runs[1]?.id ?? '')).toBeDefined()
})

test('commands are listed in order of their submission, wherever they stand', async () => {
  await using t = await setup({ work: { maxConcurrency: 1 }, other: {} })
  const done = t.queue.submit('other', () => 1)
  await done
  const runs = [
    done,
    t.queue.submit('work', t.takes(10)),
    t.queue.submit('work', t.takes(10)),
    t.queue.submit('other', () => 1, { delayMs: 50 }),
    t.queue.submit('work', t.takes(10), { priority: 0 }),
    t.queue.submit('work', t.takes(10), { id: 'mine' }),
  ]
  await t.clock.settle()
  const { items, nextCursor } = await t.queue.list()
  expect(items.map(({ id }) => id)).toEqual(runs.map(({ id }) => id))
  expect(items.map(({ state }) => state)).toEqual(['completed', 'pending', 'pending', 'delayed', 'active', 'pending'])
  expect(nextCursor).toBeUndefined()
})

test('a list can be limited to a lane and a state', async () => {
  await using t = await setup({ work: { maxConcurrency: 1 }, other: {} })
  const [a, b] = [t.queue.submit('work', t.takes(10)), t.queue.submit('work', t.takes(10))]
  const c = t.queue.submit('other', t.takes(10))
  await t.clock.settle()
  const ids = async (options: object): Promise<string[]> => (await t.queue.list(options)).items.map(({ id }) => id)
  expect(await ids({ laneId: 'work' })).toEqual([a.id, b.id])
  expect(await ids({ state: 'active' })).toEqual([a.id, c.id])
  expect(await ids({ state: 'pending', laneId: 'work' })).toEqual([b.id])
  await t.clock.advance(20)
  expect(await ids({ laneId: 'other', state: 'completed' })).toEqual([c.id])
})

test.each([1, 7, 100, 300])('pages of %d give every command once, in order', async (limit) => {
  await using t = await setup({ a: { maxConcurrency: 5 }, b: { order: 'lifo' } }, { start: false })
  const runs = Array.from({ length: 700 }, (_, n) =>
    t.queue.submit(n % 3 === 0 ? 'b' : 'a', t.takes(10), n % 5 === 0 ? { priority: n % 4 } : undefined),
  )
  await t.queue.start()
  await t.clock.settle()
  for (const n of [10, 300, 555]) runs[n]?.cancel()
  const ids: string[] = []
  let cursor: string | undefined
  do {
    const page = await t.queue.list({ limit, cursor })
    expect(page.items.length).toBeLessThanOrEqual(limit)
    ids.push(...page.items.map(({ id }) => id))
    cursor = page.nextCursor
  } while (cursor !== undefined)
  expect(ids).toEqual(runs.map(({ id }) => id))
})

test.each([
  ['no object', 7, 'CONFIG_INVALID', 'Configuration error: list options must be an object, got 7'],
  [
    'an unknown option',
    { lane: 'x' },
    'CONFIG_INVALID',
    "Configuration error: list has no option 'lane'; did you mean 'laneId'?",
  ],
  [
    'a limit of 0',
    { limit: 0 },
    'CONFIG_INVALID',
    'Configuration error: list limit must be an integer from 1 to 1000, got 0',
  ],
  [
    'a limit too high',
    { limit: 1001 },
    'CONFIG_INVALID',
    'Configuration error: list limit must be an integer from 1 to 1000, got 1001',
  ],
  [
    'a state',
    { state: 'done' },
    'CONFIG_INVALID',
    "Configuration error: list state must be one of 'pending', 'delayed', 'active', 'completed', 'failed', 'timed_out', 'cancelled', got \"done\"",
  ],
  [
    'a cursor',
    { cursor: 'x' },
    'CONFIG_INVALID',
    'Configuration error: list cursor must be the nextCursor of a page, got "x"',
  ],
  [
    'a cursor that is no text',
    { cursor: 5 },
    'CONFIG_INVALID',
    'Configuration error: list cursor must be the nextCursor of a page, got 5',
  ],
  [
    'a negative cursor',
    { cursor: '-1' },
    'CONFIG_INVALID',
    'Configuration error: list cursor must be the nextCursor of a page, got "-1"',
  ],
  ['a lane', { laneId: 'nowhere' }, 'LANE_NOT_FOUND', 'Lane not found: nowhere'],
])('a list with %s is refused', async (_what, options, code, message) => {
  await using t = await setup()
  expect(await errorOf(t.queue.list(options as never))).toMatchObject({ code, message })
})

test('progress is read from the moment it is asked for until the command ends', async () => {
  await using t = await setup()
  const run = t.queue.submit('work', async ({ progress }) => {
    progress(1)
    await t.sleep(10)
    progress(2)
    progress(3)
  })
  const seen: unknown[] = []
  const reading = (async () => {
    for await (const value of run.progress()) seen.push(value)
    return 'ended'
  })()
  await t.clock.advance(10)
  expect(await reading).toBe('ended')
  expect(seen).toEqual([1, 2, 3])
  for await (const value of run.progress()) seen.push(value)
  expect(seen).toEqual([1, 2, 3])
})

test('a reader of progress may stop early, and others read on', async () => {
  await using t = await setup()
  const run = t.queue.submit('work', async ({ progress }) => {
    for (let n = 1; n <= 3; n++) {
      progress(n)
      await t.sleep(10)
    }
  })
  const read = async (stopAt: number): Promise<unknown[]> => {
    const seen: unknown[] = []
    for await (const value of run.progress()) {
      seen.push(value)
      if (value === stopAt) break
    }
    return seen
  }
  const reads = Promise.all([read(1), read(99)])
  await t.clock.advance(30)
  expect(await reads).toEqual([[1], [1, 2, 3]])
  await run
})

test('a refused or settled command has no progress', async () => {
  await using t = await setup()
  const refused = t.queue.submit('nowhere' as 'work', () => 1)
  const seen: unknown[] = []
  for await (const value of refused.progress()) seen.push(value)
  expect(seen).toEqual([])
  expect(() => refused.progress({ capacity: 0 })).toThrow(
    'Configuration error: progress capacity must be an integer of at least 1, got 0',
  )
})

test('attempts of one retried command may report to one reader', async () => {
  await using t = await setup({ work: { retry: RetryPolicy.fixed(1, 10) } })
  const run = t.queue.submit('work', ({ attempt, progress }) => {
    progress(`attempt ${attempt}`)
    if (attempt === 1) throw new Error('once')
  })
  const seen: unknown[] = []
  const reading = (async () => {
    for await (const value of run.progress()) seen.push(value)
  })()
  await t.clock.advance(10)
  await reading
  expect(seen).toEqual(['attempt 1', 'attempt 2'])
})

test('commands without options are found, listed and cancelled wherever they stand', async () => {
  await using t = await setup({ work: { maxConcurrency: 1 } })
  t.queue.handle('x', () => t.sleep(10))
  const runs = Array.from({ length: 3 }, (_, payload) => t.queue.submit('work', { type: 'x', payload }))
  await t.clock.settle()
  const { items } = await t.queue.list()
  expect(items.map(({ id, state, payload }) => [id, state, payload])).toEqual(
    runs.map(({ id }, n) => [id, n === 0 ? 'active' : 'pending', n]),
  )
  for (const { id, state } of runs) expect(await t.queue.get(id)).toMatchObject({ id, state })
  expect(runs.map(({ id }) => t.queue.cancel(id, 'by id'))).toEqual([true, true, true])
  for (const run of runs) expect((await errorOf(run)).message).toBe('Command cancelled: by id')
  for (const { id } of runs) expect(await t.queue.get(id)).toMatchObject({ id, state: 'cancelled' })
})
