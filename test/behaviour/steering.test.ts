import { RetryPolicy } from '@a3s-lab/lane'
import { expect, test } from 'vitest'
import { errorOf, setup, thrownBy } from '../support/setup.js'

test('a paused lane starts nothing, accepts submits, and lets what runs go on', async () => {
  await using t = await setup({ work: { maxConcurrency: 1 }, other: {} })
  const running = t.queue.submit('work', t.takes(10, 'ran'))
  await t.clock.settle()
  const lane = t.queue.lane('work')
  lane.pause()
  expect(lane.status().paused).toBe(true)
  const waiting = t.queue.submit('work', t.noting('waited'))
  await t.clock.advance(1000)
  expect(await running).toBe('ran')
  expect(waiting.state).toBe('pending')
  expect(await t.queue.submit('other', () => 'other lanes go on')).toBe('other lanes go on')
  lane.resume()
  await t.clock.settle()
  expect(await waiting).toBe('waited')
  expect(lane.status().paused).toBe(false)
})

test('pause and resume are told once', async () => {
  await using t = await setup()
  const lane = t.queue.lane('work')
  for (let n = 0; n < 2; n++) lane.pause()
  for (let n = 0; n < 2; n++) lane.resume()
  expect(t.events()).toEqual([
    ['queue.lane.paused', { lane_id: 'work' }],
    ['queue.lane.resumed', { lane_id: 'work' }],
  ])
})

test('a lane can be paused before the start', async () => {
  await using t = await setup({ work: {} }, { start: false })
  t.queue.lane('work').pause()
  const run = t.queue.submit('work', t.noting('waited'))
  await t.queue.start()
  await t.clock.advance(10)
  expect(run.state).toBe('pending')
  t.queue.lane('work').resume()
  expect(await run).toBe('waited')
})

test('a handle knows its lane, and an unknown lane has none', async () => {
  await using t = await setup()
  expect(t.queue.lane('work').id).toBe('work')
  expect(thrownBy(() => t.queue.lane('nowhere' as 'work'))).toMatchObject({
    code: 'LANE_NOT_FOUND',
    message: 'Lane not found: nowhere',
  })
})

test('a higher maximum starts more at once', async () => {
  await using t = await setup({ work: { maxConcurrency: 1 } })
  for (let n = 0; n < 5; n++) void t.queue.submit('work', t.takes(10))
  await t.clock.settle()
  t.queue.lane('work').configure({ maxConcurrency: 3 })
  await t.clock.settle()
  expect(t.queue.lane('work').status()).toMatchObject({ active: 3, pending: 2, max: 3 })
  expect(t.recorder.of('queue.lane.configured').map(({ payload }) => payload)).toEqual([
    { lane_id: 'work', options: ['maxConcurrency'] },
  ])
})

test('a lower maximum stops nothing, and nothing starts until there is room under it', async () => {
  await using t = await setup({ work: { maxConcurrency: 4 } })
  for (const ms of [10, 20, 30, 40]) void t.queue.submit('work', t.takes(ms))
  void t.queue.submit('work', t.noting('next', 5))
  await t.clock.settle()
  t.queue.lane('work').configure({ maxConcurrency: 2 })
  await t.clock.advance(20)
  expect(t.queue.lane('work').status()).toMatchObject({ active: 2, pending: 1 })
  expect(t.notes).toEqual([])
  await t.clock.advance(10)
  expect(t.notes).toEqual(['next'])
})

test('a new priority reorders the lanes while they wait', async () => {
  await using t = await setup({ a: {}, b: {} }, { start: false })
  void t.queue.submit('a', t.noting('a'))
  void t.queue.submit('b', t.noting('b'))
  t.queue.lane('a').configure({ priority: 200 })
  await t.queue.start()
  await t.clock.settle()
  expect(t.notes).toEqual(['b', 'a'])
  expect(t.queue.lane('a').status()).toMatchObject({ priority: 200, effectivePriority: 200 })
})

test('a lane can be turned round while commands wait in it', async () => {
  await using t = await setup({ work: { maxConcurrency: 1, retry: RetryPolicy.fixed(1, 1) } })
  const failsOnce =
    (name: string) =>
    async ({ attempt }: { attempt: number }): Promise<void> => {
      t.notes.push(`${name}${attempt}`)
      if (attempt === 1) throw new Error('once')
    }
  void t.queue.submit('work', failsOnce('x'))
  void t.queue.submit('work', failsOnce('y'))
  void t.queue.submit('work', t.noting('long', 10))
  void t.queue.submit('work', t.noting('a', 1))
  void t.queue.submit('work', t.noting('b', 1))
  await t.clock.advance(5)
  t.queue.lane('work').configure({ order: 'lifo' })
  await t.clock.advance(20)
  expect(t.notes).toEqual(['x1', 'y1', 'long', 'b', 'a', 'y2', 'x2'])
  t.queue.lane('work').configure({ order: 'lifo' })
  t.queue.lane('work').configure({ order: 'fifo' })
  t.queue.lane('work').pause()
  for (const name of ['c', 'd']) void t.queue.submit('work', t.noting(name))
  t.queue.lane('work').resume()
  await t.clock.settle()
  expect(t.notes.slice(-2)).toEqual(['c', 'd'])
})

test('an option given as undefined goes back to its default', async () => {
  await using t = await setup({ work: { maxConcurrency: 9, capacity: 1 } }, { start: false })
  t.queue.lane('work').configure({ maxConcurrency: undefined, capacity: undefined })
  expect(t.queue.lane('work').status().max).toBe(4)
  const runs = [1, 2, 3].map(() => t.queue.submit('work', () => 1))
  await t.queue.start()
  expect(await Promise.all(runs)).toEqual([1, 1, 1])
})

test.each([
  ['no object', 7, 'configure must be an object, got 7'],
  [
    'an unknown option',
    { maxConcurency: 1 },
    "lane 'work' has no option 'maxConcurency'; did you mean 'maxConcurrency'?",
  ],
  [
    'a bad value',
    { maxConcurrency: 0 },
    "lane 'work'.maxConcurrency must be an integer of at least 1, or Infinity, got 0",
  ],
  ['a bad priority', { priority: 300 }, "lane 'work'.priority must be an integer from 0 to 255, got 300"],
  [
    'a minimum above the maximum',
    { minConcurrency: 5 },
    "lane 'work'.minConcurrency must be at most maxConcurrency (4), got 5",
  ],
])('a change with %s is refused and changes nothing', async (_what, change, message) => {
  await using t = await setup()
  const before = t.queue.lane('work').status()
  expect(thrownBy(() => t.queue.lane('work').configure(change as never)).message).toBe(
    `Configuration error: ${message}`,
  )
  expect(t.queue.lane('work').status()).toEqual(before)
  expect(t.events()).toEqual([])
})

test('a timeout set while a lane runs holds for commands submitted from now on', async () => {
  await using t = await setup()
  const before = t.queue.submit('work', t.takes(100, 'no limit'))
  t.queue.lane('work').configure({ timeoutMs: 10 })
  const after = errorOf(t.queue.submit('work', t.takes(100)))
  await t.clock.advance(100)
  expect(await before).toBe('no limit')
  expect((await after).message).toBe('Command timed out after 10ms')
})
