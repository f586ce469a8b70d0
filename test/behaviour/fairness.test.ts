import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { type LaneDefinition, RateLimitConfig, RetryPolicy, type SubmitOptions } from '@a3s-lab/lane'
import { describe, expect, test } from 'vitest'
import { errorOf, type Setup, setup } from '../support/setup.js'

const fair = { maxConcurrency: 1, fairness: 'key' } satisfies Partial<LaneDefinition>

/** Submits commands whose names begin with their key: 'a1 a2 b1'. A key '-' is none. */
function submit(t: Setup<'work'>, names: string, options: SubmitOptions = {}): void {
  for (const name of names.split(' ')) {
    const key = name.startsWith('-') ? {} : { key: name.slice(0, 1) }
    void t.queue.submit('work', t.noting(name, 1), { ...key, ...options }).accepted
  }
}

/** The names in the order of their starts. */
async function started(t: Setup<'work'>): Promise<string> {
  await t.queue.start()
  await t.clock.advance(10_000)
  return t.notes.join(' ')
}

/** The first letters of the names in the order of their starts. */
const keysInTurn = async (t: Setup<'work'>): Promise<string> => (await started(t)).replaceAll(/\d| /g, '')

test('without fairness keys change nothing', async () => {
  await using t = await setup({ work: { maxConcurrency: 1 } }, { start: false })
  submit(t, 'a1 a2 a3 b1 c1')
  expect(await started(t)).toBe('a1 a2 a3 b1 c1')
})

test('keys take turns, each by arrival', async () => {
  await using t = await setup({ work: fair }, { start: false })
  submit(t, 'a1 a2 a3 a4 b1 b2 c1 b3')
  expect(await started(t)).toBe('a1 b1 c1 a2 b2 a3 b3 a4')
})

test('a key that comes later has its turn after those that wait', async () => {
  await using t = await setup({ work: fair })
  submit(t, 'a1 a2 a3 b1 b2')
  await t.clock.advance(2)
  submit(t, 'c1 c2')
  expect(await started(t)).toBe('a1 b1 a2 b2 a3 c1 c2')
})

test('one noisy key does not hold up the others, however much it submits', async () => {
  await using t = await setup({ work: fair }, { start: false })
  submit(t, Array.from({ length: 500 }, (_, n) => `a${n}`).join(' '))
  submit(t, 'b1 c1 d1')
  expect((await started(t)).split(' ').slice(0, 4)).toEqual(['a0', 'b1', 'c1', 'd1'])
})

test('commands without a key are one key of their own', async () => {
  await using t = await setup({ work: fair }, { start: false })
  submit(t, '-1 -2 a1 a2 -3 b1')
  expect(await started(t)).toBe('-1 a1 b1 -2 a2 -3')
})

test('a better command priority goes first, whatever its key; keys take turns inside each', async () => {
  await using t = await setup({ work: fair }, { start: false })
  submit(t, 'a1 a2 b1')
  submit(t, 'a3 a4 b2 b3', { priority: 5 })
  expect(await started(t)).toBe('a3 b2 a4 b3 a1 b1 a2')
})

test('a lifo lane serves the newest of each key first', async () => {
  await using t = await setup({ work: { ...fair, order: 'lifo' } }, { start: false })
  submit(t, 'a1 a2 b1 b2 b3')
  const order = await started(t)
  expect(order.replaceAll(/[^a ]/g, '').trim().split(/ +/)).toHaveLength(2)
  expect([...order.matchAll(/a\d/g)].join(' ')).toBe('a2 a1')
  expect([...order.matchAll(/b\d/g)].join(' ')).toBe('b3 b2 b1')
  expect(order.replaceAll(/\d| /g, '')).toBe('ababb')
})

test('several run at once, in the same order of starts', async () => {
  await using t = await setup({ work: { ...fair, maxConcurrency: 3 } }, { start: false })
  submit(t, 'a1 a2 a3 a4 b1 b2 c1')
  expect(await started(t)).toBe('a1 b1 c1 a2 b2 a3 a4')
})

describe('weights:', () => {
  test('a weight of 2 is served twice as often', async () => {
    await using t = await setup({ work: fair }, { start: false })
    for (let n = 0; n < 30; n++) submit(t, `a${n}`, { weight: 2 })
    for (let n = 0; n < 30; n++) submit(t, `b${n}`)
    const keys = (await keysInTurn(t)).slice(0, 30)
    expect(keys.replaceAll('b', '')).toHaveLength(20)
    for (let from = 0; from + 3 <= 30; from += 3) expect(keys.slice(from, from + 3).replace('b', '')).toBe('aa')
  })

  test('a weight of one half is served every second round', async () => {
    await using t = await setup({ work: fair }, { start: false })
    for (let n = 0; n < 20; n++) submit(t, `a${n}`, { weight: 0.5 })
    for (let n = 0; n < 20; n++) submit(t, `b${n}`)
    const keys = (await keysInTurn(t)).slice(0, 24)
    expect(keys.replaceAll('b', '')).toHaveLength(8)
  })

  test('the newest command of a key says what its key is worth', async () => {
    await using t = await setup({ work: fair }, { start: false })
    for (let n = 0; n < 30; n++) submit(t, `a${n} b${n}`)
    submit(t, 'a30', { weight: 3 })
    const keys = (await keysInTurn(t)).slice(0, 40)
    expect(keys.replaceAll('b', '').length).toBeGreaterThan(26)
  })

  test.each([0, -1, Number.NaN, Number.POSITIVE_INFINITY, '2'])(
    'a weight that makes no sense is refused: %s',
    async (bad) => {
      await using t = await setup({ work: fair })
      const error = await errorOf(t.queue.submit('work', () => 1, { weight: bad as number }))
      expect(error).toMatchObject({ code: 'CONFIG_INVALID', option: 'submit weight' })
    },
  )
})

describe('costs:', () => {
  /** What was served to each key among the first `n` starts, by cost. */
  async function served(t: Setup<'work'>, n: number, costs: Record<string, number>): Promise<Record<string, number>> {
    const sums: Record<string, number> = {}
    for (const key of (await keysInTurn(t)).slice(0, n)) sums[key] = (sums[key] ?? 0) + (costs[key] as number)
    return sums
  }

  test('a key with large commands gets the same share as one with small ones', async () => {
    await using t = await setup({ work: fair }, { start: false })
    for (let n = 0; n < 20; n++) submit(t, `a${n}`, { cost: 10 })
    for (let n = 0; n < 200; n++) submit(t, `b${n}`, { cost: 1 })
    const sums = await served(t, 110, { a: 10, b: 1 })
    expect(Math.abs((sums['a'] as number) - (sums['b'] as number))).toBeLessThanOrEqual(11)
  })

  test('shares follow the weights, whatever the costs', async () => {
    await using t = await setup({ work: fair }, { start: false })
    for (let n = 0; n < 60; n++) submit(t, `a${n}`, { cost: 7, weight: 3 })
    for (let n = 0; n < 200; n++) submit(t, `b${n}`, { cost: 2 })
    const sums = await served(t, 100, { a: 7, b: 2 })
    expect((sums['a'] as number) / 3 / (sums['b'] as number)).toBeGreaterThan(0.8)
    expect((sums['a'] as number) / 3 / (sums['b'] as number)).toBeLessThan(1.25)
  })

  test('commands that cost nothing take turns like the rest', async () => {
    await using t = await setup({ work: fair }, { start: false })
    for (let n = 0; n < 50; n++) submit(t, `a${n}`, { cost: 0 })
    for (let n = 0; n < 10; n++) submit(t, `b${n}`, { cost: 1 })
    const keys = (await keysInTurn(t)).slice(0, 20)
    expect(keys.replaceAll('a', '').length).toBeGreaterThanOrEqual(9)
  })

  test('of several units the lane’s own counts', async () => {
    const rateLimit = RateLimitConfig.perSecond(1e6, { unit: 'tokens' })
    await using t = await setup({ work: { ...fair, rateLimit } }, { start: false })
    for (let n = 0; n < 20; n++) submit(t, `a${n}`, { cost: { tokens: 10, usd: 1 } })
    for (let n = 0; n < 200; n++) submit(t, `b${n}`, { cost: { tokens: 1, usd: 1000 } })
    const sums = await served(t, 110, { a: 10, b: 1 })
    expect(Math.abs((sums['a'] as number) - (sums['b'] as number))).toBeLessThanOrEqual(11)
  })
})

test('a key that leaves and comes back gains nothing', async () => {
  await using t = await setup({ work: fair })
  submit(t, 'a1')
  for (let n = 0; n < 30; n++) submit(t, `b${n}`)
  for (let n = 2; n < 12; n++) {
    await t.clock.advance(2)
    submit(t, `a${n}`)
  }
  const keys = await keysInTurn(t)
  expect(keys.slice(0, 21)).not.toContain('aa')
  expect(keys).toHaveLength(41)
})

test('a retry keeps its place among the commands of its key', async () => {
  await using t = await setup({ work: { ...fair, retry: RetryPolicy.fixed(1, 1) } })
  void t.queue.submit(
    'work',
    ({ attempt }) => {
      t.notes.push(`a1.${attempt}`)
      if (attempt === 1) throw new Error('again')
    },
    { key: 'a' },
  )
  submit(t, 'a2 b1 b2')
  expect(await started(t)).toBe('a1.1 b1 a1.2 b2 a2')
})

test('a delayed command takes its turn when it is due, under its own place', async () => {
  await using t = await setup({ work: fair })
  submit(t, 'a1', { delayMs: 2 })
  submit(t, 'a2 a3 a4 b1 b2 b3')
  expect(await started(t)).toBe('a2 b1 a1 b2 a3 b3 a4')
})

test('a cancelled command leaves its key’s turn to the next one', async () => {
  await using t = await setup({ work: fair }, { start: false })
  const first = t.queue.submit('work', t.noting('a1', 1), { key: 'a' })
  submit(t, 'a2 b1')
  first.cancel()
  await errorOf(first)
  expect(await started(t)).toBe('a2 b1')
})

test('a cleared lane forgets all keys', async () => {
  await using t = await setup({ work: fair }, { start: false })
  const runs = ['a', 'b', 'b'].map((key) => errorOf(t.queue.submit('work', () => 1, { key })))
  expect(t.queue.lane('work').clear()).toBe(3)
  await Promise.all(runs)
  submit(t, 'b1 b2 a1')
  expect(await started(t)).toBe('b1 a1 b2')
})

test('each lane has its own turns', async () => {
  await using t = await setup({ one: fair, two: fair }, { start: false })
  for (const lane of ['one', 'two'] as const) {
    for (const name of ['a1', 'a2', 'b1']) void t.queue.submit(lane, t.noting(name, 1), { key: name.slice(0, 1) })
  }
  await t.queue.start()
  await t.clock.advance(10)
  expect(t.notes).toEqual(['a1', 'a1', 'b1', 'b1', 'a2', 'a2'])
})

test('get, list and cancel find the commands of every key', async () => {
  await using t = await setup({ work: fair }, { start: false })
  const runs = ['a', 'b', undefined].map((key) => t.queue.submit('work', () => 1, { key }))
  expect((await t.queue.list()).items.map(({ id }) => id)).toEqual(runs.map(({ id }) => id))
  for (const { id } of runs) {
    expect((await t.queue.get(id))?.state).toBe('pending')
    expect(t.queue.cancel(id)).toBe(true)
  }
  await Promise.all(runs.map(errorOf))
  expect(t.queue.stats().totalPending).toBe(0)
})

describe('fairness that changes while commands wait:', () => {
  test('switched on, the keys take turns from then on', async () => {
    await using t = await setup({ work: { maxConcurrency: 1 } })
    submit(t, 'a1 a2 a3 a4 b1 b2 c1')
    await t.clock.settle()
    t.queue.lane('work').configure({ fairness: 'key' })
    submit(t, 'c2')
    expect(await started(t)).toBe('a1 a2 b1 c1 a3 b2 c2 a4')
  })

  test('switched off, arrival counts again', async () => {
    await using t = await setup({ work: fair })
    submit(t, 'a1 a2 a3 a4 b1 b2 c1')
    await t.clock.advance(2)
    t.queue.lane('work').configure({ fairness: 'none' })
    submit(t, 'c2')
    expect(await started(t)).toBe('a1 b1 c1 a2 a3 a4 b2 c2')
  })

  test('nothing is lost, and everything is still found by its id', async () => {
    await using t = await setup({ work: fair }, { start: false })
    const runs = Array.from({ length: 60 }, (_, n) =>
      t.queue.submit('work', () => n, { key: `k${n % 7}`, priority: n % 3 }),
    )
    const plain = Array.from({ length: 20 }, (_, n) => t.queue.submit('work', () => n))
    for (const fairness of ['none', 'key', 'none', 'key'] as const) t.queue.lane('work').configure({ fairness })
    expect(t.queue.lane('work').status().pending).toBe(80)
    const gone = runs[30]
    expect(gone?.cancel()).toBe(true)
    await errorOf(gone as never)
    for (const run of [...runs, ...plain]) expect(await t.queue.get(run.id)).toBeDefined()
    await t.queue.start()
    await t.clock.settle()
    const states = [...runs, ...plain].map(({ state }) => state)
    expect(states.filter((state) => state === 'completed')).toHaveLength(79)
  })

  test('priorities, order and delayed commands are kept', async () => {
    await using t = await setup({ work: { maxConcurrency: 1, order: 'lifo' } }, { start: false })
    submit(t, 'a1 a2 b1')
    submit(t, 'c1', { priority: 0 })
    submit(t, 'd1', { delayMs: 2 })
    t.queue.lane('work').configure({ fairness: 'key', order: 'fifo' })
    expect(await started(t)).toBe('c1 a1 b1 a2 d1')
  })
})

test('100,000 keys leave nothing behind when their commands have gone', { timeout: 60_000 }, async () => {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const heapUsed = async (): Promise<number> => {
    await new Promise((resolve) => setImmediate(resolve))
    collect()
    return process.memoryUsage().heapUsed
  }
  await using t = await setup({ work: { ...fair, maxConcurrency: 100, keyConcurrency: 1 } }, { start: false })
  t.recorder.stop()
  t.queue.handle('x', () => 1)
  const before = await heapUsed()
  for (let n = 0; n < 100_000; n++) void t.queue.submit('work', { type: 'x' }, { key: `key ${n}` })
  expect(t.queue.stats().totalPending).toBe(100_000)
  await t.queue.start()
  await t.clock.settle()
  expect(t.queue.stats()).toMatchObject({ totalPending: 0, totalActive: 0, totalSlots: 0 })
  const grown = (await heapUsed()) - before
  expect(grown / 100_000, 'bytes that are left per key').toBeLessThan(20)
})
