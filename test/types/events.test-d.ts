/** Events are one union: their key says what their payload is. */
import {
  defaultLanes,
  EVENTS,
  type EventKey,
  type EventPayloads,
  type EventStream,
  type LaneEvent,
  QueueManager,
} from '@a3s-lab/lane'
import { recordEvents } from '@a3s-lab/lane/testing'
import { expectTypeOf, test } from 'vitest'

const queue = new QueueManager({ lanes: defaultLanes() })

test('the key narrows the payload', async () => {
  for await (const event of queue.subscribe()) {
    expectTypeOf(event).toEqualTypeOf<LaneEvent>()
    expectTypeOf(event.timestamp).toEqualTypeOf<string>()
    if (event.key === 'queue.command.retry') expectTypeOf(event.payload.attempt).toEqualTypeOf<number>()
    if (event.key === EVENTS.QUEUE_COMMAND_FAILED) expectTypeOf(event.payload.error).toEqualTypeOf<string>()
    if (event.key === 'queue.shutdown.complete') expectTypeOf(event.payload).toEqualTypeOf<null>()
    if (event.key === 'events.dropped') expectTypeOf(event.payload.count).toEqualTypeOf<number>()
    // @ts-expect-error not every event has an attempt
    expectTypeOf(event.payload.attempt).toBeNumber()
  }
})

test('each key has its own payload', () => {
  type PayloadOf<K extends EventKey> = Extract<LaneEvent, { readonly key: K }>['payload']
  expectTypeOf<PayloadOf<'queue.command.started'>['command_type']>().toEqualTypeOf<string>()
  expectTypeOf<PayloadOf<'queue.command.delayed'>['reason']>().toEqualTypeOf<
    'submitted' | 'snoozed' | 'deferred' | 'deduplicated' | 'no_handler'
  >()
  expectTypeOf<PayloadOf<'queue.lane.configured'>>().not.toHaveProperty('command_id')
  expectTypeOf<PayloadOf<'queue.fault'>['command_id']>().toEqualTypeOf<string | undefined>()
  expectTypeOf<PayloadOf<'queue.command.retry'>>().toEqualTypeOf<EventPayloads['queue.command.retry']>()
})

test('a filter is a list of known keys or a predicate', () => {
  expectTypeOf<ReturnType<typeof queue.subscribeFiltered>>().toEqualTypeOf<EventStream>()
  queue.subscribeFiltered(['queue.command.failed', EVENTS.QUEUE_LANE_IDLE], { capacity: undefined, signal: undefined })
  queue.subscribeFiltered((event) => event.key === 'queue.fault')
  // @ts-expect-error no such key
  queue.subscribeFiltered(['queue.command.finished'])
  // @ts-expect-error one key is still a list
  queue.subscribeFiltered('queue.fault')
  // @ts-expect-error no such option
  queue.subscribe({ size: 1 })
})

test('the constants are exactly the keys', () => {
  expectTypeOf<(typeof EVENTS)[keyof typeof EVENTS]>().toEqualTypeOf<EventKey>()
  expectTypeOf<LaneEvent['key']>().toEqualTypeOf<keyof EventPayloads>()
})

test('a recorder gives the events of a key with their payload', () => {
  const recorder = recordEvents(queue)
  expectTypeOf(recorder.of('queue.command.retry')[0]?.payload.attempt).toEqualTypeOf<number | undefined>()
  expectTypeOf(recorder.keys()).toEqualTypeOf<EventKey[]>()
})

test('events cannot be changed by one of their readers', () => {
  expectTypeOf<LaneEvent>().toHaveProperty('key')
  queue.subscribeFiltered((event) => {
    // @ts-expect-error readonly
    event.key = 'queue.fault'
    // @ts-expect-error readonly
    if (event.key === 'queue.command.retry') event.payload.attempt = 2
    return true
  })
})
