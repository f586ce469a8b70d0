/** Backlogs beyond memory: the order is the same, wherever a command waits. */
import type { CommandRun } from '@a3s-lab/lane'
import { MemoryStorage, seededRandom } from '@a3s-lab/lane/testing'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ComparedLane, type Step, script } from '../support/compared-lane.js'
import { type Durable, durable } from '../support/durable.js'
import { errorOf, thrownBy } from '../support/setup.js'

const coldOf = (t: Durable): number => t.storage.coldCounts().reduce((sum, { count }) => sum + count, 0)

/** Runs everything, and gives the payloads in the order in which they were started. */
async function startOrder(t: Durable): Promise<unknown[]> {
  const seen: unknown[] = []
  t.queue.handle('x', (payload) => {
    seen.push(payload)
  })
  await t.queue.start()
  for (const id of Object.keys(t.lanes)) t.queue.lane(id).resume()
  await t.queue.shutdown()
  await t.queue.drain(60_000)
  return seen
}

/** A paused queue with a small window in memory. */
async function small(lanes: Durable['lanes'] = { work: { maxConcurrency: 1 } }, window = 16): Promise<Durable> {
  const t = await durable(lanes, { storage: new MemoryStorage({ window }), retention: { count: 0 } })
  for (const id of Object.keys(lanes)) t.queue.lane(id).pause()
  return t
}

async function fill(t: Durable, count: number, options?: (n: number) => object): Promise<void> {
  const runs: CommandRun[] = []
  for (let n = 0; n < count; n++) {
    runs.push(t.queue.submit('work', { type: 'x', payload: n }, options?.(n)))
    if (n % 10 === 9) await runs.at(-1)?.accepted
  }
  await runs.at(-1)?.accepted
  await Promise.resolve()
}

const numbers = (count: number): number[] => Array.from({ length: count }, (_, n) => n)

test('a long backlog stands in the storage, but for a window, and runs in its order', async () => {
  const t = await small()
  await fill(t, 500)
  expect(coldOf(t)).toBeGreaterThan(500 - 2 * 16 - 10)
  expect(t.queue.stats().lanes['work']?.pending).toBe(500)
  expect(await startOrder(t)).toEqual(numbers(500))
  expect(coldOf(t)).toBe(0)
})

test('after a crash it runs in its order, with only a window in memory', async () => {
  const t = await small()
  await fill(t, 500)
  await using next = t.crash()
  expect(next.queue.stats().lanes['work']?.pending).toBe(500)
  expect(await startOrder(next)).toEqual(numbers(500))
})

test('priorities are kept beyond memory', async () => {
  const random = seededRandom(5)
  const priorities = numbers(400).map(() => Math.floor(random.next() * 5))
  const t = await small()
  await fill(t, 400, (n) => ({ priority: priorities[n] }))
  expect(coldOf(t)).toBeGreaterThan(300)
  const expected = numbers(400).sort((a, b) => (priorities[a] as number) - (priorities[b] as number) || a - b)
  expect(await startOrder(t)).toEqual(expected)
})

test('the newest goes first in a lifo lane, also beyond memory', async () => {
  const t = await small({ work: { order: 'lifo', maxConcurrency: 1 } })
  await fill(t, 300)
  expect(coldOf(t)).toBeGreaterThan(200)
  expect(await startOrder(t)).toEqual(numbers(300).reverse())
})

test('keys take turns, also when one of them fills the memory', async () => {
  const t = await small({ work: { fairness: 'key', maxConcurrency: 1 } })
  await fill(t, 200, (n) => ({ key: n < 190 ? 'big' : `small ${n % 2}` }))
  expect(coldOf(t)).toBeGreaterThan(100)
  await using next = t.crash()
  const seen = await startOrder(next)
  const smalls = seen.map((n, at) => ((n as number) >= 190 ? at : -1)).filter((at) => at >= 0)
  expect(seen).toHaveLength(200)
  expect(Math.max(...smalls)).toBeLessThanOrEqual(15)
  expect(seen.filter((n) => (n as number) < 190)).toEqual(numbers(190))
})

test('a command that waits in the storage only is found, explained and cancelled', async () => {
  const t = await small()
  const runs = numbers(200).map((n) =>
    t.queue.submit('work', { type: 'x', payload: n }, n === 150 ? { id: 'mine' } : {}),
  )
  await runs.at(-1)?.accepted
  await fill(t, 100)
  const cold = runs[120] as (typeof runs)[0]
  expect(await t.queue.get(cold.id)).toMatchObject({ id: cold.id, state: 'pending', payload: 120, attempt: 0 })
  expect(await t.queue.get('mine')).toMatchObject({ id: 'mine', payload: 150 })
  expect(t.queue.explain(cold.id)).toMatchObject({ state: 'pending' })
  expect(cold.cancel('not needed')).toBe(true)
  expect(await errorOf(cold)).toMatchObject({ code: 'COMMAND_CANCELLED' })
  expect(t.queue.cancel('mine')).toBe(true)
  expect(t.queue.submit('work', { type: 'x', payload: 121 }, { id: 'mine' }).state).toBe('failed')
  expect(t.queue.stats().lanes['work']?.pending).toBe(298)
  const seen = await startOrder(t)
  expect(seen).toHaveLength(298)
  expect(seen.slice(0, 198)).toEqual(numbers(200).filter((n) => n !== 120 && n !== 150))
})

test('runs of commands that wait in the storage only settle', async () => {
  await using t = await durable({ work: {} }, { storage: new MemoryStorage({ window: 16 }) })
  t.queue.handle('x', (n: number) => 2 * n)
  t.queue.lane('work').pause()
  const runs = numbers(300).map((n) => t.queue.submit('work', { type: 'x', payload: n }))
  await runs.at(-1)?.accepted
  t.queue.lane('work').resume()
  expect(await Promise.all(runs)).toEqual(numbers(300).map((n) => 2 * n))
})

test('clear cancels all of them, and nothing that comes after', async () => {
  const t = await small()
  await fill(t, 300)
  expect(t.queue.lane('work').clear('enough')).toBe(300)
  expect(t.queue.stats().lanes['work']?.pending).toBe(0)
  await fill(t, 100, (n) => ({ metadata: n }))
  await using next = await settledCrash(t)
  expect(next.queue.stats().lanes['work']?.pending).toBe(100)
  expect(await startOrder(next)).toEqual(numbers(100))
})

async function settledCrash(t: Durable): Promise<Durable> {
  for (let turn = 0; turn < 500; turn++) await Promise.resolve()
  return t.crash()
}

test('a lane that has filled the storage does not change its order', async () => {
  const t = await small()
  await fill(t, 100)
  expect(thrownBy(() => t.queue.lane('work').configure({ order: 'lifo' }))).toMatchObject({ code: 'CONFLICT' })
  expect(thrownBy(() => t.queue.lane('work').configure({ fairness: 'key' }))).toMatchObject({ code: 'CONFLICT' })
  t.queue.lane('work').configure({ maxConcurrency: 7 })
  expect(await startOrder(t)).toHaveLength(100)
})

test('what others depend on stays in memory', async () => {
  const t = await small()
  await fill(t, 100)
  const special = [
    t.queue.submit('work', { type: 'x', payload: 'dedupe' }, { dedupe: { id: 'd' } }),
    t.queue.submit('work', { type: 'x', payload: 'delayed' }, { delayMs: 5 }),
    t.queue.submit('work', { type: 'x', payload: 'deadline' }, { deadlineMs: 5000 }),
  ]
  await Promise.all(special.map(({ accepted }) => accepted))
  await t.clock.advance(5)
  expect(t.queue.submit('work', { type: 'x', payload: 'again' }, { dedupe: { id: 'd' } }).id).toBe(special[0]?.id)
  const seen = await startOrder(t)
  expect(seen.slice(0, 100)).toEqual(numbers(100))
  expect(seen.slice(100)).toEqual(['dedupe', 'delayed', 'deadline'])
})

test('commands without a handler do not fill the memory: the lane waits, and says so', async () => {
  const t = await small()
  const runs = numbers(200).map((n) => t.queue.submit('work', { type: 'unknown', payload: n }))
  await runs.at(-1)?.accepted
  t.queue.lane('work').resume()
  for (let turn = 0; turn < 50; turn++) await Promise.resolve()
  expect(t.faults).toMatchObject([{ code: 'HANDLER_NOT_FOUND' }])
  expect(t.queue.stats().lanes['work']?.pending).toBe(200)
  const seen: unknown[] = []
  t.queue.handle('unknown', (n) => {
    seen.push(n)
  })
  await t.queue.shutdown()
  await t.queue.drain(60_000)
  expect(seen).toEqual(numbers(200))
})

test.each(['fifo', 'lifo'] as const)(
  'any mixture of submits, starts, cancels and crashes keeps the order: %s',
  async (order) => {
    const holds = async (steps: readonly Step[]): Promise<void> => {
      const compared = await ComparedLane.of(order)
      for (const step of steps) await compared.step(step)
      await compared.close()
    }
    await expect(fc.assert(fc.asyncProperty(script, holds), { numRuns: 150 })).resolves.toBeUndefined()
  },
)
