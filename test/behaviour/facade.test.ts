import {
  type Clock,
  DeadLetterQueue,
  EventEmitter,
  Lane,
  LaneConfig,
  type LaneDefinition,
  QueueManagerBuilder,
} from '@a3s-lab/lane'
import { expect, test } from 'vitest'
import { errorOf, gate, thrownBy } from '../support/setup.js'

/** Waits for real microtasks and timers of the facade, which has no clock of its own to drive. */
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

test('the facade has the six lanes of the reference', async () => {
  const lane = new Lane()
  expect(lane.stats()).toEqual({
    totalPending: 0,
    totalActive: 0,
    deadLetterCount: 0,
    lanes: [
      { laneId: 'system', pending: 0, active: 0, minConcurrency: 1, maxConcurrency: 5 },
      { laneId: 'control', pending: 0, active: 0, minConcurrency: 1, maxConcurrency: 3 },
      { laneId: 'query', pending: 0, active: 0, minConcurrency: 1, maxConcurrency: 10 },
      { laneId: 'session', pending: 0, active: 0, minConcurrency: 1, maxConcurrency: 5 },
      { laneId: 'skill', pending: 0, active: 0, minConcurrency: 1, maxConcurrency: 3 },
      { laneId: 'prompt', pending: 0, active: 0, minConcurrency: 1, maxConcurrency: 2 },
    ],
  })
  await lane.queue.close()
})

test('a JSON text payload gives JSON text back, any other payload a value', async () => {
  const lane = new Lane()
  lane.start()
  lane.start()
  lane.handle('double', (payload: { n: number }) => ({ n: payload.n * 2 }))
  expect(JSON.parse(await lane.submit('query', 'double', '{"n": 21}'))).toEqual({ n: 42 })
  expect(await lane.submit('query', 'double', { n: 4 })).toEqual({ n: 8 })
  expect(await lane.submit('query', 'echo', '[1, 2]')).toBe('[1,2]')
  expect(await lane.submit('query', 'echo')).toBeNull()
  await lane.queue.close()
})

test('a text that is not JSON is refused', async () => {
  const lane = new Lane()
  expect(await errorOf(lane.submit('query', 'x', 'not json'))).toMatchObject({
    code: 'PAYLOAD_INVALID',
    message: 'A string payload must be JSON text',
  })
  expect((await errorOf(lane.submit('nowhere', 'x', '{}'))).message).toBe('Lane not found: nowhere')
  await lane.queue.close()
})

test('lanes of one’s own replace the six, and a later one its namesake', async () => {
  const lane = Lane.withLanes([
    { laneId: 'high', priority: 9, minConcurrency: 1, maxConcurrency: 1 },
    { laneId: 'low', priority: 1, minConcurrency: 1, maxConcurrency: 2, timeoutSecs: 1, pressureThreshold: 5 },
    { laneId: 'high', priority: 0, minConcurrency: 0, maxConcurrency: 4 },
  ])
  expect(lane.stats().lanes.map(({ laneId, maxConcurrency }) => [laneId, maxConcurrency])).toEqual([
    ['high', 4],
    ['low', 2],
  ])
  expect(lane).toBeInstanceOf(Lane)
  expect(lane.queue.lane('high').status()).toMatchObject({ priority: 0, min: 0 })
  await lane.queue.close()
})

test.each([
  ['no list', 7, 'withLanes takes an array of lanes'],
  ['no id', [{ priority: 0, minConcurrency: 1, maxConcurrency: 1 }], 'laneId must be a string, got undefined'],
  [
    'a priority above 255',
    [{ laneId: 'a', priority: 256, minConcurrency: 1, maxConcurrency: 1 }],
    "lane 'a'.priority must be an integer from 0 to 255, got 256",
  ],
  [
    'a maximum of 0',
    [{ laneId: 'a', priority: 0, minConcurrency: 1, maxConcurrency: 0 }],
    'LaneConfig.maxConcurrency must be an integer of at least 1, or Infinity, got 0',
  ],
  [
    'a timeout of 0',
    [{ laneId: 'a', priority: 0, minConcurrency: 1, maxConcurrency: 1, timeoutSecs: 0 }],
    'LaneConfig.timeoutMs must be a number of milliseconds, above 0, got 0',
  ],
])('lanes with %s are refused', (_what, specs, message) => {
  expect(thrownBy(() => Lane.withLanes(specs as never))).toMatchObject({
    code: 'CONFIG_INVALID',
    message: `Configuration error: ${message}`,
  })
})

test('callbacks get events as JSON text, until they are ended', async () => {
  const lane = new Lane()
  lane.start()
  const all: unknown[][] = []
  const some: string[] = []
  const end = lane.subscribe((error, event) => all.push([error, event.key, JSON.parse(event.payload)]))
  lane.subscribeFiltered(['queue.shutdown.started'], (_error, event) => some.push(`${event.key} ${event.payload}`))
  lane.subscribe(() => {
    throw new Error('a callback that throws harms nobody')
  })
  await lane.submit('query', 'echo', {})
  await turn()
  expect(all.map(([error, key]) => [error, key])).toEqual([
    [null, 'queue.command.submitted'],
    [null, 'queue.command.started'],
    [null, 'queue.command.completed'],
  ])
  expect(all[1]?.[2]).toMatchObject({ lane_id: 'query', command_type: 'echo' })
  end()
  lane.shutdown()
  await lane.drain(1000)
  await turn()
  expect(all).toHaveLength(3)
  expect(some).toEqual(['queue.shutdown.started null'])
})

test('drain of the facade rejects at its limit', async () => {
  const lane = new Lane()
  lane.start()
  const open = gate()
  lane.handle('waits', () => open.promise)
  const run = lane.submit('query', 'waits')
  expect(await errorOf(lane.drain(1))).toMatchObject({ code: 'DRAIN_TIMEOUT' })
  open.open()
  await run
  lane.shutdown()
  await lane.drain(1000)
  lane.start()
  expect((await errorOf(lane.submit('query', 'echo'))).message).toBe(
    'Queue is shutting down, not accepting new commands',
  )
})

test('a builder gives the six lanes, or only one’s own', async () => {
  const six = await new QueueManagerBuilder().withDefaultLanes().build()
  expect(Object.keys(six.stats().lanes)).toEqual(['system', 'control', 'query', 'session', 'skill', 'prompt'])
  const own = await new QueueManagerBuilder()
    .withLane('high', new LaneConfig(1, 4), 0)
    .withLane('low', { maxConcurrency: 2 }, 1)
    .build()
  expect(own.stats().lanes).toMatchObject({ high: { min: 1, max: 4, priority: 0 }, low: { max: 2, priority: 1 } })
  expect(Object.keys(own.stats().lanes)).toEqual(['high', 'low'])
})

test('a lane of a builder replaces its namesake', async () => {
  const queue = await new QueueManagerBuilder().withDefaultLanes().withLane('query', new LaneConfig(0, 1), 9).build()
  expect(queue.lane('query').status()).toMatchObject({ min: 0, max: 1, priority: 9 })
  expect(Object.keys(queue.stats().lanes)).toHaveLength(6)
})

test('a builder takes an emitter and dead letters', async () => {
  const emitter = new EventEmitter(100)
  const stream = emitter.subscribe()
  const queue = await new QueueManagerBuilder(emitter).withDefaultLanes().withDlq(100).build()
  const run = queue.submit('query', () => 1)
  expect((await stream.recv())?.payload).toEqual({ lane_id: 'query', command_id: run.id })
  stream.close()
  expect(queue.deadLetters.capacity).toBe(100)
  const ring = new DeadLetterQueue(5)
  expect((await new QueueManagerBuilder().withDefaultLanes().withDlq(ring).build()).deadLetters.capacity).toBe(5)
  await queue.close()
})

test('a builder refuses what the queue refuses', async () => {
  expect((await errorOf(new QueueManagerBuilder().build())).message).toBe(
    'Configuration error: lanes must be an object with at least one lane, got {}',
  )
  expect(thrownBy(() => new QueueManagerBuilder().withDlq(0)).message).toMatch(/DeadLetterQueue capacity/)
  const bad = new QueueManagerBuilder().withLane('a', { maxConcurrency: -1 } as LaneDefinition, 0)
  expect((await errorOf(bad.build())).message).toMatch(/lane 'a'.maxConcurrency/)
})

test('the clock of a queue may be anything that keeps time', async () => {
  const { QueueManager } = await import('@a3s-lab/lane')
  const clock: Clock = { now: () => 0, wallNow: () => 0, setTimer: () => 0, clearTimer() {} }
  const queue = new QueueManager({ lanes: { a: { priority: 0 } }, clock })
  await queue.start()
  const run = queue.submit('a', () => 1)
  expect(await run).toBe(1)
  expect(await queue.get(run.id)).toMatchObject({ createdAt: '1970-01-01T00:00:00.000Z' })
})
