import { defaultLanes, LaneConfig, QueueManager, QueueManagerBuilder } from '@a3s-lab/lane'
import { expect, test } from 'vitest'
import { type Setup, setup, thrownBy } from '../support/setup.js'

const mins = ({ queue }: { queue: QueueManager }): Record<string, number> =>
  Object.fromEntries(Object.entries(queue.stats().lanes).map(([id, { min }]) => [id, min]))

/** Fills every slot of the queue with commands of a lane. */
async function fill(t: Setup, lane: string, slots: number, ms: number): Promise<void> {
  for (let n = 0; n < slots; n++) void t.queue.submit(lane, t.takes(ms))
  await t.clock.settle()
}

test('never more bodies run than the global cap allows, zombies included', async () => {
  await using t = await setup({ a: { timeoutMs: 5 }, b: {}, c: {} }, { maxConcurrency: 3 })
  let bodies = 0
  let most = 0
  const body = async (): Promise<void> => {
    most = Math.max(most, ++bodies)
    await t.sleep(12)
    bodies--
  }
  for (let n = 0; n < 8; n++) for (const lane of ['a', 'b', 'c'] as const) t.queue.submit(lane, body).catch(() => {})
  await t.clock.advance(500)
  expect(most).toBe(3)
  expect(bodies).toBe(0)
})

test('without a cap minima are what the options say', async () => {
  await using t = await setup({ a: { minConcurrency: 3 }, b: {}, c: { minConcurrency: 0 } })
  expect(mins(t)).toEqual({ a: 3, b: 1, c: 0 })
})

test.each([
  [6, { system: 1, control: 1, query: 1, session: 1, skill: 1, prompt: 0 }],
  [7, { system: 1, control: 1, query: 1, session: 1, skill: 1, prompt: 1 }],
  [4, { system: 1, control: 1, query: 1, session: 0, skill: 0, prompt: 0 }],
  [2, { system: 1, control: 0, query: 0, session: 0, skill: 0, prompt: 0 }],
  [1, { system: 0, control: 0, query: 0, session: 0, skill: 0, prompt: 0 }],
])('under a cap of %d the built-in lanes keep what leaves a slot to everybody', (maxConcurrency, expected) => {
  expect(mins({ queue: new QueueManager({ lanes: defaultLanes(), maxConcurrency }) })).toEqual(expected)
})

test('a minimum of one of a LaneConfig is soft, one in plain options is not', () => {
  const withConfig = new QueueManager({
    lanes: { a: { ...{ priority: 0 }, minConcurrency: 1 }, b: Object.assign(new LaneConfig(1, 4), { priority: 1 }) },
    maxConcurrency: 2,
  })
  expect(mins({ queue: withConfig })).toEqual({ a: 1, b: 0 })
})

test('a builder keeps the minimum of a LaneConfig soft', async () => {
  const queue = await new QueueManagerBuilder().withLane('a', new LaneConfig(1, 2), 0).build()
  queue.lane('a').configure({ maxConcurrency: 5 })
  expect(queue.lane('a').status()).toMatchObject({ min: 1, max: 5 })
})

test('explicit minima above the cap are refused with the names of the lanes', () => {
  const error = thrownBy(
    () =>
      new QueueManager({
        lanes: { a: { priority: 0, minConcurrency: 3 }, b: { priority: 1, minConcurrency: 2 }, c: { priority: 2 } },
        maxConcurrency: 4,
      }),
  )
  expect(error).toMatchObject({
    code: 'CONFIG_INVALID',
    message:
      'Configuration error: minConcurrency must be at most the global maxConcurrency (4) over all lanes; lower one of a: 3, b: 2, or raise maxConcurrency, got 5',
  })
})

test('explicit minima that are not lent and leave another lane no slot ever are refused', () => {
  const lanes = { a: { priority: 0, minConcurrency: 2, lend: false }, b: { priority: 1 } }
  expect(thrownBy(() => new QueueManager({ lanes, maxConcurrency: 2 })).message).toBe(
    "Configuration error: minConcurrency must be below the global maxConcurrency (2) over the lanes that do not lend, or lane 'b' never gets a slot; lower one of a: 2, let it lend, or raise maxConcurrency, got 2",
  )
  expect(new QueueManager({ lanes, maxConcurrency: 3 }).stats().lanes['a']?.min).toBe(2)
  const lending = { a: { priority: 0, minConcurrency: 2 }, b: { priority: 1 } }
  expect(new QueueManager({ lanes: lending, maxConcurrency: 2 }).stats().lanes['a']?.min).toBe(2)
})

test('a reserved slot that is idle is lent, and goes back at the next free slot', async () => {
  await using t = await setup({ high: { minConcurrency: 0 }, low: { minConcurrency: 1 } }, { maxConcurrency: 2 })
  for (const ms of [10, 20]) void t.queue.submit('high', t.takes(ms))
  await t.clock.settle()
  expect(t.queue.lane('high').status().active).toBe(2)
  void t.queue.submit('high', t.noting('high', 10))
  void t.queue.submit('low', t.noting('low', 10))
  await t.clock.advance(10)
  expect(t.notes).toEqual(['low'])
  await t.clock.advance(10)
  expect(t.notes).toEqual(['low', 'high'])
})

test('a lane below its minimum goes before better lanes that have theirs', async () => {
  await using t = await setup(
    { a: { minConcurrency: 0 }, b: { minConcurrency: 1 }, c: { minConcurrency: 1 } },
    { maxConcurrency: 3, start: false },
  )
  for (const lane of ['c', 'b', 'a'] as const)
    for (const n of [1, 2]) void t.queue.submit(lane, t.noting(`${lane}${n}`, 10))
  await t.queue.start()
  await t.clock.settle()
  expect(t.notes).toEqual(['b1', 'c1', 'a1'])
})

test('a protected lane goes first even where it has its minimum', async () => {
  await using t = await setup(
    { low: { minConcurrency: 2, priority: 1 }, safe: { minConcurrency: 1, protected: true, priority: 5 } },
    { maxConcurrency: 4, start: false },
  )
  for (const n of [1, 2]) void t.queue.submit('low', t.noting(`low${n}`, 10))
  for (const n of [1, 2, 3]) void t.queue.submit('safe', t.noting(`safe${n}`, 10))
  await t.queue.start()
  await t.clock.settle()
  expect(t.notes).toEqual(['safe1', 'safe2', 'safe3', 'low1'])
})

test('control starts at once although every slot that is lent is busy', async () => {
  await using t = await setup<string>(defaultLanes(), { maxConcurrency: 8 })
  await fill(t, 'query', 20, 1000)
  expect(t.queue.stats().totalActive).toBe(6)
  void t.queue.submit('control', t.noting('control', 10))
  void t.queue.submit('system', t.noting('system', 10))
  await t.clock.settle()
  expect(t.notes).toEqual(['system', 'control'])
  expect(t.queue.stats().totalActive).toBe(8)
})

test('a lane that does not lend may use its own slots while others may not', async () => {
  await using t = await setup(
    { shared: { minConcurrency: 0 }, own: { minConcurrency: 2, lend: false, maxConcurrency: 3 } },
    { maxConcurrency: 4 },
  )
  await fill(t as Setup, 'shared', 4, 100)
  expect(t.queue.lane('shared').status()).toMatchObject({ active: 2, pending: 2 })
  for (let n = 0; n < 3; n++) void t.queue.submit('own', t.takes(100))
  await t.clock.settle()
  expect(t.queue.lane('own').status()).toMatchObject({ active: 2, pending: 1 })
  await t.clock.advance(100)
  expect(t.queue.stats().totalActive).toBe(3)
})

test('while slots are held back, a lane of equal rank that may take one is found', async () => {
  await using t = await setup(
    {
      plain: { minConcurrency: 0, priority: 1 },
      own: { minConcurrency: 1, lend: false, priority: 1, maxConcurrency: 2 },
      other: { minConcurrency: 1, lend: false, priority: 1, maxConcurrency: 2 },
    },
    { maxConcurrency: 3 },
  )
  void t.queue.submit('plain', t.takes(100))
  await t.clock.settle()
  void t.queue.submit('plain', t.noting('plain', 100))
  void t.queue.submit('own', t.noting('own-1', 100))
  void t.queue.submit('own', t.noting('own-2', 100))
  await t.clock.settle()
  expect(t.notes).toEqual(['own-1'])
  void t.queue.submit('other', t.noting('other', 100))
  await t.clock.settle()
  expect(t.notes).toEqual(['own-1', 'other'])
})

test('reserved slots are shared anew when a lane is configured', async () => {
  await using t = await setup<string>(defaultLanes(), { maxConcurrency: 7 })
  expect(mins(t)['prompt']).toBe(1)
  t.queue.lane('query').configure({ minConcurrency: 2 })
  expect(mins(t)).toMatchObject({ query: 2, prompt: 0 })
  const error = thrownBy(() => t.queue.lane('query').configure({ minConcurrency: 8 }))
  expect(error.message).toContain('minConcurrency must be at most the global maxConcurrency (7) over all lanes')
  expect(t.queue.lane('query').status()).toMatchObject({ min: 2, max: 10 })
  t.queue.lane('query').configure({ maxConcurrency: 9 })
  expect(mins(t)).toMatchObject({ query: 2, prompt: 0 })
})

test('a lane that lends again gives back what it held back', async () => {
  await using t = await setup({ shared: {}, own: { minConcurrency: 2, lend: false } }, { maxConcurrency: 3 })
  await fill(t as Setup, 'shared', 3, 100)
  expect(t.queue.lane('shared').status().active).toBe(1)
  t.queue.lane('own').configure({ lend: true })
  await t.clock.settle()
  expect(t.queue.lane('shared').status().active).toBe(3)
})
