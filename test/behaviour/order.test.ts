import { defaultLanes, RetryPolicy } from '@a3s-lab/lane'
import { expect, test } from 'vitest'
import { gate, setup } from '../support/setup.js'

test('with the higher lanes empty, a lower lane starts at once', async () => {
  await using t = await setup(defaultLanes())
  const runs = [t.queue.submit('prompt', t.noting('prompt-1', 10)), t.queue.submit('prompt', t.noting('prompt-2', 10))]
  await t.clock.settle()
  expect(t.notes).toEqual(['prompt-1', 'prompt-2'])
  expect(runs.map(({ state }) => state)).toEqual(['active', 'active'])
})

test('a lower lane starts although a higher one has a backlog, when the higher one is full', async () => {
  await using t = await setup({
    system: { maxConcurrency: 1, minConcurrency: 1, priority: 0 },
    prompt: { maxConcurrency: 4, minConcurrency: 1, priority: 5 },
  })
  void t.queue.submit('system', t.noting('system-1', 10))
  void t.queue.submit('system', t.noting('system-2', 10))
  void t.queue.submit('prompt', t.noting('prompt-1', 10))
  await t.clock.advance(20)
  expect(t.notes).toEqual(['system-1', 'prompt-1', 'system-2'])
})

test('a lower lane waits until the work of a higher lane with room has been started', async () => {
  await using t = await setup({ system: {}, prompt: {} }, { start: false })
  void t.queue.submit('prompt', t.noting('prompt-1', 10))
  void t.queue.submit('system', t.noting('system-1', 10))
  void t.queue.submit('system', t.noting('system-2', 10))
  await t.queue.start()
  await t.clock.settle()
  expect(t.notes).toEqual(['system-1', 'system-2', 'prompt-1'])
})

test('commands submitted in one stretch of code are all seen before the first starts', async () => {
  await using t = await setup(defaultLanes())
  void t.queue.submit('prompt', t.noting('prompt'))
  void t.queue.submit('query', t.noting('query'))
  void t.queue.submit('control', t.noting('control'))
  expect(t.notes).toEqual([])
  await t.clock.settle()
  expect(t.notes).toEqual(['control', 'query', 'prompt'])
})

test('control is served before prompt whatever the order of arrival, under a cap of one', async () => {
  await using t = await setup(defaultLanes(), { maxConcurrency: 1 })
  for (const lane of ['prompt', 'skill', 'session', 'query', 'control', 'system'] as const) {
    void t.queue.submit(lane, t.noting(lane, 1))
  }
  await t.clock.advance(10)
  expect(t.notes).toEqual(['system', 'control', 'query', 'session', 'skill', 'prompt'])
})

test('a command submitted while another runs goes before everything of a lower lane', async () => {
  await using t = await setup({ high: {}, low: {} }, { maxConcurrency: 1 })
  void t.queue.submit('low', t.noting('low-1', 10))
  void t.queue.submit('low', t.noting('low-2', 10))
  await t.clock.advance(5)
  void t.queue.submit('high', t.noting('high-1', 10))
  await t.clock.advance(30)
  expect(t.notes).toEqual(['low-1', 'high-1', 'low-2'])
})

test('within a lane the first in is the first out', async () => {
  await using t = await setup({ work: { maxConcurrency: 1 } })
  for (let n = 0; n < 600; n++) void t.queue.submit('work', t.noting(String(n)))
  await t.clock.settle()
  expect(t.notes).toEqual(Array.from({ length: 600 }, (_, n) => String(n)))
})

test('within a lifo lane the newest goes first', async () => {
  await using t = await setup({ work: { maxConcurrency: 1, order: 'lifo' } }, { start: false })
  for (let n = 0; n < 600; n++) void t.queue.submit('work', t.noting(String(n)))
  await t.queue.start()
  await t.clock.settle()
  expect(t.notes).toEqual(Array.from({ length: 600 }, (_, n) => String(599 - n)))
})

test('within a lane the better command priority goes first, then arrival', async () => {
  await using t = await setup({ work: { maxConcurrency: 1 } }, { start: false })
  const submit = (name: string, priority?: number): unknown =>
    t.queue.submit('work', t.noting(name), priority === undefined ? undefined : { priority })
  submit('plain-1')
  submit('last', 2_097_150)
  submit('first', 0)
  submit('plain-2')
  submit('same as plain', 1000)
  submit('second-1', 5)
  submit('second-2', 5)
  await t.queue.start()
  await t.clock.settle()
  expect(t.notes).toEqual(['first', 'second-1', 'second-2', 'plain-1', 'plain-2', 'same as plain', 'last'])
})

test('lanes of equal priority take turns', async () => {
  await using t = await setup(
    { a: { priority: 1, maxConcurrency: 1 }, b: { priority: 1, maxConcurrency: 1 }, c: { priority: 1 } },
    { start: false, maxConcurrency: 1 },
  )
  for (const lane of ['a', 'b', 'c'] as const) {
    for (let n = 1; n <= 3; n++) void t.queue.submit(lane, t.noting(`${lane}${n}`, 1))
  }
  await t.queue.start()
  await t.clock.advance(20)
  expect(t.notes).toEqual(['a1', 'b1', 'c1', 'a2', 'b2', 'c2', 'a3', 'b3', 'c3'])
})

test('a protected lane goes before one of equal priority', async () => {
  await using t = await setup({ plain: { priority: 3 }, safe: { priority: 3, protected: true } }, { start: false })
  void t.queue.submit('plain', t.noting('plain'))
  void t.queue.submit('safe', t.noting('safe'))
  await t.queue.start()
  await t.clock.settle()
  expect(t.notes).toEqual(['safe', 'plain'])
})

test('low lanes starve while a high lane always has work: strict priority', async () => {
  await using t = await setup({ high: { maxConcurrency: 1 }, low: {} }, { maxConcurrency: 1 })
  t.queue.handle('again', (left: number) => {
    if (left > 0) void t.queue.submit('high', { type: 'again', payload: left - 1 })
    return t.noting(`high-${left}`, 1)(undefined as never)
  })
  void t.queue.submit('high', { type: 'again', payload: 50 })
  void t.queue.submit('low', t.noting('low'))
  await t.clock.advance(50)
  expect(t.notes).not.toContain('low')
  await t.clock.advance(1)
  expect(t.notes.at(-1)).toBe('low')
})

test('as many commands start as there is room, at once', async () => {
  await using t = await setup({ work: { maxConcurrency: 3 }, more: { maxConcurrency: Number.POSITIVE_INFINITY } })
  for (let n = 0; n < 10; n++) void t.queue.submit('work', t.takes(10))
  for (let n = 0; n < 100; n++) void t.queue.submit('more', t.takes(10))
  await t.clock.settle()
  const { lanes } = t.queue.stats()
  expect([lanes['work']?.active, lanes['work']?.pending, lanes['more']?.active]).toEqual([3, 7, 100])
})

test('a retry that is due keeps its original arrival place', async () => {
  await using t = await setup({ work: { maxConcurrency: 1, retry: RetryPolicy.fixed(1, 15) } })
  const failsOnce =
    (): ((ctx: { attempt: number }) => Promise<void>) =>
    async ({ attempt }) => {
      t.notes.push(`old-${attempt}`)
      if (attempt === 1) throw new Error('once')
    }
  void t.queue.submit('work', failsOnce())
  for (let n = 1; n <= 4; n++) void t.queue.submit('work', t.noting(`new-${n}`, 10))
  await t.clock.advance(50)
  expect(t.notes).toEqual(['old-1', 'new-1', 'new-2', 'old-2', 'new-3', 'new-4'])
})

test('retries that are due at once come back in their order of arrival', async () => {
  await using t = await setup({ work: { maxConcurrency: 1 } })
  const attempt =
    (name: string) =>
    async (ctx: { attempt: number }): Promise<void> => {
      t.notes.push(`${name}${ctx.attempt}`)
      if (ctx.attempt === 1) throw new Error('once')
    }
  // The older one waits longer, so the younger one is due first.
  void t.queue.submit('work', attempt('a'), { retry: RetryPolicy.fixed(1, 9) })
  void t.queue.submit('work', attempt('b'), { retry: RetryPolicy.fixed(1, 5) })
  void t.queue.submit('work', t.noting('long', 10))
  void t.queue.submit('work', t.noting('young', 10))
  await t.clock.advance(30)
  expect(t.notes).toEqual(['a1', 'b1', 'long', 'a2', 'b2', 'young'])
})

test('in a lifo lane a retry keeps its place too', async () => {
  await using t = await setup({ work: { maxConcurrency: 1, order: 'lifo' } }, { start: false })
  for (const name of ['old', 'middle']) void t.queue.submit('work', t.noting(name, 10))
  void t.queue.submit(
    'work',
    async ({ attempt }) => {
      t.notes.push(`new-${attempt}`)
      if (attempt === 1) throw new Error('once')
    },
    { retry: RetryPolicy.fixed(1, 5) },
  )
  await t.queue.start()
  await t.clock.settle()
  void t.queue.submit('work', t.noting('newest', 10))
  await t.clock.advance(40)
  expect(t.notes).toEqual(['new-1', 'middle', 'newest', 'new-2', 'old'])
})

test('a command of better priority passes a retry of its lane', async () => {
  await using t = await setup({ work: { maxConcurrency: 1, retry: RetryPolicy.fixed(1, 1) } })
  void t.queue.submit('work', async ({ attempt }) => {
    t.notes.push(`retried-${attempt}`)
    if (attempt === 1) throw new Error('once')
  })
  void t.queue.submit('work', t.noting('long', 10))
  await t.clock.advance(5)
  void t.queue.submit('work', t.noting('urgent', 1), { priority: 0 })
  await t.clock.advance(10)
  expect(t.notes).toEqual(['retried-1', 'long', 'urgent', 'retried-2'])
})

test('a slot that becomes free goes to the next command in the same turn', async () => {
  await using t = await setup({ work: { maxConcurrency: 1 } })
  const first = gate<string>()
  void t.queue.submit('work', () => first.promise)
  const second = t.queue.submit('work', t.takes(10))
  await t.clock.settle()
  expect(second.state).toBe('pending')
  first.open('done')
  await t.clock.settle()
  expect(second.state).toBe('active')
  expect(t.clock.now()).toBe(0)
})

test('the order of lanes of equal priority does not depend on their names', async () => {
  const order = async (names: readonly string[]): Promise<string[]> => {
    await using t = await setup(Object.fromEntries(names.map((name) => [name, { priority: 1 }])), { start: false })
    for (const name of names) void t.queue.submit(name, t.noting(name))
    await t.queue.start()
    await t.clock.settle()
    return t.notes
  }
  expect(await order(['x', 'a', 'm'])).toEqual(['x', 'a', 'm'])
  expect(await order(['m', 'x', 'a'])).toEqual(['m', 'x', 'a'])
})
