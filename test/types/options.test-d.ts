/** Options of queues and lanes, and the errors that say which of them are wrong. */
import {
  type CommandRecord,
  DeadLetterQueue,
  defaultLanes,
  EventEmitter,
  isLaneError,
  LaneConfig,
  type LaneDefinition,
  LaneError,
  type LaneErrorCode,
  type LaneOptions,
  type LaneStatus,
  type ListPage,
  QueueManager,
  QueueManagerBuilder,
  type QueueOptions,
  type QueueStats,
  RetryAfterError,
  RetryPolicy,
  type RetryPolicyFields,
  systemClock,
} from '@a3s-lab/lane'
import { seededRandom, VirtualClock } from '@a3s-lab/lane/testing'
import { expectTypeOf, test } from 'vitest'

/** Types only: what it makes is looked at by nobody. */
const manager = <L extends string>(options: QueueOptions<L>): QueueManager<L> => new QueueManager(options)

const maybeNumber = undefined as number | undefined

test('every option of a queue may be undefined', () => {
  expectTypeOf<QueueOptions>().toHaveProperty('maxConcurrency')
  manager({
    lanes: defaultLanes(),
    maxConcurrency: maybeNumber,
    deadLetters: undefined,
    events: undefined,
    retention: { count: undefined },
    onFault: undefined,
    clock: undefined,
    random: undefined,
  })
  manager({
    lanes: { one: { priority: 0 } },
    deadLetters: new DeadLetterQueue(5),
    events: new EventEmitter(5),
    clock: new VirtualClock(),
    random: seededRandom(1),
  })
  manager({
    lanes: { one: { priority: 0 } },
    deadLetters: true,
    events: { capacity: 5 },
    clock: systemClock,
  })
})

test('options of a queue that are wrong are refused', () => {
  expectTypeOf<QueueOptions>().not.toHaveProperty('concurrency')
  // @ts-expect-error lanes are required
  manager({})
  // @ts-expect-error a lane needs its priority
  manager({ lanes: { one: {} } })
  // @ts-expect-error no such option
  manager({ lanes: defaultLanes(), concurrency: 3 })
  // @ts-expect-error no such lane option
  manager({ lanes: { one: { priority: 0, concurrency: 3 } } })
  // @ts-expect-error an order is fifo or lifo
  manager({ lanes: { one: { priority: 0, order: 'random' } } })
})

test('every option of a lane may be undefined', () => {
  const options: LaneOptions = {
    minConcurrency: maybeNumber,
    lend: undefined,
    maxConcurrency: maybeNumber,
    timeoutMs: maybeNumber,
    retry: undefined,
    pressureThreshold: maybeNumber,
    capacity: maybeNumber,
    order: undefined,
    zombieGraceMs: maybeNumber,
    maxDeferrals: maybeNumber,
    protected: undefined,
  }
  expectTypeOf({ ...options, priority: 1 }).toExtend<LaneDefinition>()
  manager({ lanes: { one: { ...options, priority: 0 } } })
    .lane('one')
    .configure({ timeoutMs: maybeNumber })
})

test('a lane config is lane options, at every step', () => {
  expectTypeOf<LaneConfig>().toExtend<LaneOptions>()
  const config = new LaneConfig(1, 4)
    .withTimeout(5)
    .withRetryPolicy(RetryPolicy.exponential(3))
    .withPressureThreshold(5)
  expectTypeOf(config).toEqualTypeOf<LaneConfig>()
  new QueueManagerBuilder().withLane('one', config, 0).withLane('two', { maxConcurrency: 1 }, 1)
  expectTypeOf(Object.assign(defaultLanes().query, config)).toExtend<LaneDefinition>()
  // @ts-expect-error a config is not changed, it is made anew
  config.timeoutMs = 5
  // @ts-expect-error the priority is the lane's, not the config's
  new QueueManagerBuilder().withLane('one', config)
})

test('a policy is what its plain form says, and only its factories make one', () => {
  expectTypeOf(RetryPolicy.from(JSON.parse('{}') as RetryPolicyFields)).toEqualTypeOf<RetryPolicy>()
  RetryPolicy.exponential(3, { jitter: 'full', initialMs: 1, factor: 2, maxMs: 5 })
  // @ts-expect-error no such jitter
  RetryPolicy.exponential(3, { jitter: 'some' })
  // @ts-expect-error a delay is needed
  RetryPolicy.fixed(3)
  // @ts-expect-error private
  expectTypeOf(new RetryPolicy({ maxRetries: 1, initialMs: 1, maxMs: 1, factor: 1, jitter: 'none' })).toBeObject()
})

test('the options of an exponential policy may be undefined', () => {
  expectTypeOf(RetryPolicy.exponential(3)).toEqualTypeOf<RetryPolicy>()
  RetryPolicy.exponential(3, { initialMs: maybeNumber, factor: maybeNumber, maxMs: maybeNumber, jitter: undefined })
})

test('an error is told by its code', () => {
  const error: unknown = new LaneError('QUEUE_FULL', 'full')
  if (!isLaneError(error)) return
  expectTypeOf(error).toEqualTypeOf<LaneError>()
  expectTypeOf(error.code).toEqualTypeOf<LaneErrorCode>()
  expectTypeOf<'QUEUE_FULL' | 'COMMAND_TIMEOUT'>().toExtend<LaneErrorCode>()
  // @ts-expect-error no such code
  if (error.code === 'FULL') return
  // @ts-expect-error a code is not changed
  error.code = 'CONFLICT'
})

test('an error that says when to come back needs the time', () => {
  expectTypeOf<RetryAfterError>().toExtend<Error>()
  expectTypeOf(new RetryAfterError(5, { message: 'later', cause: new Error('busy') })).toExtend<Error>()
  // @ts-expect-error the delay is missing
  expectTypeOf(new RetryAfterError()).toExtend<Error>()
})

test('what is read is plain data', async () => {
  const queue = new QueueManager({ lanes: defaultLanes() })
  expectTypeOf(queue.stats()).toEqualTypeOf<QueueStats>()
  expectTypeOf(queue.lane('query').status()).toEqualTypeOf<LaneStatus>()
  expectTypeOf(await queue.get('id')).toEqualTypeOf<CommandRecord | undefined>()
  expectTypeOf(await queue.list({ laneId: undefined, state: 'delayed', limit: maybeNumber })).toEqualTypeOf<ListPage>()
  expectTypeOf(queue.stats().lanes['query']).toEqualTypeOf<LaneStatus | undefined>()
  // @ts-expect-error no such state
  await queue.list({ state: 'running' })
})

test('a queue is disposed of by await using', async () => {
  await using queue = new QueueManager({ lanes: defaultLanes() })
  expectTypeOf(queue).toExtend<AsyncDisposable>()
  await queue.drain(5, { signal: undefined })
  await queue.close({ timeoutMs: maybeNumber })
})
