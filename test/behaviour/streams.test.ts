import { EventEmitter, type LaneEvent } from '@a3s-lab/lane'
import { expect, test } from 'vitest'
import { errorOf, setup, thrownBy } from '../support/setup.js'

test('a stream is an async iterator, and recv works beside it', async () => {
  await using t = await setup()
  const stream = t.queue.subscribe()
  await t.queue.submit('work', () => 1)
  expect((await stream.recv())?.key).toBe('queue.command.submitted')
  const keys: string[] = []
  for await (const event of stream) {
    keys.push(event.key)
    if (event.key === 'queue.command.completed') break
  }
  expect(keys).toEqual(['queue.command.started', 'queue.command.completed'])
  expect(await stream.recv()).toBeUndefined()
})

test('a reader that waits gets the event at once', async () => {
  await using t = await setup()
  const stream = t.queue.subscribe()
  const first = stream.recv()
  const second = stream.recv()
  t.queue.submit('work', () => 1).catch(() => {})
  expect((await first)?.key).toBe('queue.command.submitted')
  expect((await second)?.key).toBe('queue.command.started')
  stream.close()
})

test('several subscribers each get everything, in order', async () => {
  await using t = await setup()
  const streams = [1, 2, 3].map(() => t.queue.subscribe())
  await t.queue.submit('work', () => 1)
  for (const stream of streams) {
    const keys = [await stream.recv(), await stream.recv(), await stream.recv()].map((event) => event?.key)
    expect(keys).toEqual(['queue.command.submitted', 'queue.command.started', 'queue.command.completed'])
    stream.close()
  }
})

test('a filter is a list of keys or a question', async () => {
  await using t = await setup()
  const byKey = t.queue.subscribeFiltered(['queue.command.completed'])
  const byQuestion = t.queue.subscribeFiltered((event) => event.key.endsWith('started'))
  await t.queue.submit('work', () => 1)
  await t.queue.close()
  const keysOf = async (stream: AsyncIterable<LaneEvent>): Promise<string[]> => {
    const keys: string[] = []
    for await (const { key } of stream) keys.push(key)
    return keys
  }
  expect(await keysOf(byKey)).toEqual(['queue.command.completed'])
  expect(await keysOf(byQuestion)).toEqual(['queue.command.started', 'queue.shutdown.started'])
})

test('a slow reader loses its oldest events and is told how many before the next it reads', async () => {
  await using t = await setup()
  const stream = t.queue.subscribe({ capacity: 2 })
  const runs = [1, 2].map(() => t.queue.submit('work', () => 1))
  await Promise.all(runs)
  expect((await stream.recv())?.payload).toEqual({ count: 4 })
  expect([(await stream.recv())?.key, (await stream.recv())?.key]).toEqual([
    'queue.command.started',
    'queue.command.completed',
  ])
  t.queue.submit('work', () => 1).catch(() => {})
  expect((await stream.recv())?.key).toBe('queue.command.submitted')
  stream.close()
})

test('the notice of lost events is itself an event, with a time of its queue', async () => {
  await using t = await setup()
  await t.clock.advance(5000)
  const stream = t.queue.subscribe({ capacity: 1 })
  await t.queue.submit('work', () => 1)
  expect(await stream.recv()).toEqual({
    key: 'events.dropped',
    payload: { count: 2 },
    timestamp: '2026-01-01T00:00:05.000Z',
  })
  stream.close()
})

test('a slow reader costs the others nothing', async () => {
  await using t = await setup()
  t.queue.subscribe({ capacity: 1 })
  const quick = t.queue.subscribe()
  await Promise.all([1, 2, 3].map(() => t.queue.submit('work', () => 1)))
  for (let n = 0; n < 9; n++) expect((await quick.recv())?.key).not.toBe('events.dropped')
  quick.close()
})

test('the capacity of a stream is 256 by default', async () => {
  await using t = await setup({ work: {} }, { start: false })
  const stream = t.queue.subscribe()
  for (let n = 0; n < 257; n++) t.queue.submit('work', () => 1).catch(() => {})
  expect((await stream.recv())?.payload).toEqual({ count: 1 })
  stream.close()
})

test('a queue may give its streams another capacity', async () => {
  await using t = await setup({ work: {} }, { start: false, events: { capacity: 2 } })
  const stream = t.queue.subscribe()
  for (let n = 0; n < 3; n++) t.queue.submit('work', () => 1).catch(() => {})
  expect((await stream.recv())?.payload).toEqual({ count: 1 })
  stream.close()
  await using other = await setup({ work: {} }, { events: {} })
  expect(other.queue.stats().totalPending).toBe(0)
})

test('subscriptions end when the queue has finished shutting down, after its last event', async () => {
  await using t = await setup()
  const stream = t.queue.subscribe()
  const waiting = t.queue.subscribeFiltered([]).recv()
  await t.queue.shutdown()
  await t.clock.settle()
  const keys: string[] = []
  for await (const { key } of stream) keys.push(key)
  expect(keys).toEqual(['queue.shutdown.started', 'queue.shutdown.complete'])
  expect(await waiting).toBeUndefined()
})

test('a subscription to a queue that has ended has ended', async () => {
  await using t = await setup()
  await t.queue.close()
  expect(await t.clock.expectSettled(t.queue.subscribe().recv())).toBeUndefined()
})

test('a stream of an emitter of one’s own outlives its queues', async () => {
  const emitter = new EventEmitter()
  const stream = emitter.subscribeFiltered(['queue.shutdown.complete'])
  {
    await using t = await setup({ work: {} }, { events: emitter })
    await t.queue.shutdown()
  }
  {
    await using t = await setup({ work: {} }, { events: emitter })
    await t.queue.shutdown()
  }
  expect([(await stream.recv())?.key, (await stream.recv())?.key]).toEqual([
    'queue.shutdown.complete',
    'queue.shutdown.complete',
  ])
  stream.close()
})

test('a subscription ends with its signal', async () => {
  await using t = await setup()
  const controller = new AbortController()
  const stream = t.queue.subscribe({ signal: controller.signal })
  const waiting = stream.recv()
  controller.abort()
  expect(await waiting).toBeUndefined()
  const ended = t.queue.subscribe({ signal: AbortSignal.abort() })
  expect(await ended.recv()).toBeUndefined()
})

test('one event can be waited for with a signal', async () => {
  await using t = await setup()
  const stream = t.queue.subscribe()
  const controller = new AbortController()
  const waiting = errorOf(stream.recv({ signal: controller.signal }))
  controller.abort(new Error('no patience'))
  expect((await waiting).message).toBe('no patience')
  expect((await errorOf(stream.recv({ signal: AbortSignal.abort(new Error('early')) }))).message).toBe('early')
  const patient = stream.recv({ signal: new AbortController().signal })
  t.queue.submit('work', () => 1).catch(() => {})
  expect((await patient)?.key).toBe('queue.command.submitted')
  stream.close()
})

test('a closed stream gives nothing more, and forgets what was not read', async () => {
  await using t = await setup()
  const stream = t.queue.subscribe()
  await t.queue.submit('work', () => 1)
  stream.close()
  expect(await stream.recv()).toBeUndefined()
  expect(await stream.next()).toEqual({ done: true, value: undefined })
  stream.close()
})

test('a closed stream does not tell of what it lost either', async () => {
  await using t = await setup()
  const stream = t.queue.subscribe({ capacity: 1 })
  await t.queue.submit('work', () => 1)
  stream.close()
  expect(await stream.recv()).toBeUndefined()
})

test('a stream is closed by await using', async () => {
  await using t = await setup()
  let outside: AsyncIterableIterator<LaneEvent>
  {
    await using stream = t.queue.subscribe()
    outside = stream
  }
  t.queue.submit('work', () => 1).catch(() => {})
  expect(await outside.next()).toEqual({ done: true, value: undefined })
})

test.each([
  ['options that are none', 7, 'subscribe options must be an object, got 7'],
  ['an unknown option', { cap: 1 }, "subscribe has no option 'cap'"],
  ['a capacity of 0', { capacity: 0 }, 'subscribe capacity must be an integer of at least 1, got 0'],
])('a subscription with %s is refused', async (_what, options, message) => {
  await using t = await setup()
  expect(thrownBy(() => t.queue.subscribe(options as never)).message).toBe(`Configuration error: ${message}`)
})

test('a filter that is neither a list nor a question is refused', async () => {
  await using t = await setup()
  const message =
    'Configuration error: subscribeFiltered filter must be a list of event keys or a predicate, got "queue.fault"'
  expect(thrownBy(() => t.queue.subscribeFiltered('queue.fault' as never)).message).toBe(message)
  expect(thrownBy(() => new EventEmitter().subscribeFiltered('queue.fault' as never)).message).toBe(message)
})
