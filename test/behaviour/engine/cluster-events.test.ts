import {
  type Engine,
  type EngineEvent,
  EVENTS,
  type EventStream,
  type LaneEvent,
  QueueManager,
  RetryAfterError,
  RetryPolicy,
  snooze,
} from '@a3s-lab/lane'
import { MemoryBroker } from '@a3s-lab/lane/testing'
import { expect, test } from 'vitest'
import { type Cluster, cluster, type Member } from '../../support/cluster.js'

/** What a stream has given so far. */
class Heard {
  readonly events: LaneEvent[] = []
  hasEnded = false
  readonly stream: EventStream

  constructor(stream: EventStream) {
    this.stream = stream
    void this.#read()
  }

  async #read(): Promise<void> {
    for await (const event of this.stream) this.events.push(event)
    this.hasEnded = true
  }

  /** Keys without their first words, of one command or of all. */
  keys(of?: { readonly id: string }): string[] {
    const isAbout = ({ payload }: LaneEvent): boolean =>
      of === undefined || (payload as { command_id?: string }).command_id === of.id
    return this.events.filter(isAbout).map(({ key }) => key.replace(/^queue\.(command\.)?/, ''))
  }

  payloads(key: LaneEvent['key']): unknown[] {
    return this.events.filter((event) => event.key === key).map(({ payload }) => payload)
  }
}

async function listen(c: Cluster, member: Member, capacity = 1000): Promise<Heard> {
  const opened = member.queue.subscribeCluster({ capacity })
  await c.clock.settle()
  return new Heard(await opened)
}

test('whoever listens hears what one process submits and another runs', async () => {
  await using c = cluster({ lanes: { work: {}, other: {} } })
  const [a, b] = await c.pair({ handlers: { x: (_payload, { progress }) => progress({ page: 1 }) } })
  const third = await c.join({ role: 'coordinator', lanes: { work: {} } })
  const heard = await listen(c, third)
  const run = a.queue.submit('work', { type: 'x' })
  await c.outcome(run)
  await c.outcome(a.queue.submit('other', { type: 'x' }))
  const about = { lane_id: 'work', command_id: run.id }
  expect(heard.events.map(({ key, payload }) => [key, payload])).toEqual([
    [EVENTS.QUEUE_COMMAND_SUBMITTED, about],
    [EVENTS.QUEUE_COMMAND_STARTED, { ...about, command_type: 'x' }],
    [EVENTS.QUEUE_COMMAND_PROGRESS, { ...about, value: { page: 1 } }],
    [EVENTS.QUEUE_COMMAND_COMPLETED, about],
  ])
  expect(heard.events[0]?.timestamp).toBe(b.recorder.events[0]?.timestamp)
  expect(third.keys()).toEqual([])
})

test('every way to end is told with its reason, the dead letter before its failure', async () => {
  await using c = cluster()
  const [a, b] = await c.pair({
    deadLetters: true,
    handlers: {
      bad: () => {
        throw new TypeError('broken')
      },
      slow: (_payload, { signal }) => c.nap(60_000, signal),
    },
  })
  const heard = await listen(c, b)
  const bad = a.queue.submit('work', { type: 'bad' })
  const late = a.queue.submit('work', { type: 'slow' }, { timeoutMs: 100 })
  const running = a.queue.submit('work', { type: 'slow' })
  const waiting = a.queue.submit('work', { type: 'slow' }, { delayMs: 5000 })
  const unexplained = a.queue.submit('work', { type: 'slow' }, { delayMs: 5000 })
  await c.clock.advance(200)
  running.cancel('enough')
  waiting.cancel(new Error('not wanted'))
  unexplained.cancel()
  await Promise.allSettled([bad, late, running, waiting, unexplained])
  await c.clock.settle()
  expect(heard.keys(bad)).toEqual(['submitted', 'started', 'dead_lettered', 'failed'])
  expect(heard.keys(late)).toEqual(['submitted', 'started', 'dead_lettered', 'timeout'])
  expect(heard.keys(running)).toEqual(['submitted', 'started', 'cancelled'])
  expect(heard.keys(waiting)).toEqual(['submitted', 'delayed', 'cancelled'])
  expect(heard.payloads('queue.command.failed')).toMatchObject([{ error: 'broken' }])
  expect(heard.payloads('queue.command.timeout')).toEqual(
    b.recorder.events.filter(({ key }) => key === 'queue.command.timeout').map(({ payload }) => payload),
  )
  expect(heard.payloads('queue.command.cancelled').map((told) => (told as { reason: string }).reason)).toEqual(
    expect.arrayContaining(['enough', 'not wanted', '']),
  )
  expect(heard.payloads('queue.command.dead_lettered')[0]).toEqual({
    lane_id: 'work',
    command_id: bad.id,
    command_type: 'bad',
  })
})

test('what is put off is told with its reason and its time', async () => {
  await using c = cluster()
  const [a] = await c.pair({
    handlers: {
      flaky: (_payload, { attempt }) => {
        if (attempt === 1) throw new Error('not yet')
      },
      deferred: (_payload, { attempt }) => {
        if (attempt === 1) throw new RetryAfterError(40)
      },
      snoozes: (_payload, { attempt }) => (attempt === 1 ? snooze(30) : undefined),
    },
  })
  const heard = await listen(c, a)
  const options = { retry: RetryPolicy.fixed(3, 20) }
  const flaky = a.queue.submit('work', { type: 'flaky' }, options)
  await c.outcome(flaky)
  await c.outcome(a.queue.submit('work', { type: 'deferred' }, options))
  await c.outcome(a.queue.submit('work', { type: 'snoozes' }, { ...options, delayMs: 10 }))
  expect(heard.keys(flaky)).toEqual(['submitted', 'started', 'retry', 'started', 'completed'])
  expect(heard.payloads('queue.command.retry')).toEqual([{ lane_id: 'work', command_id: flaky.id, attempt: 1 }])
  expect(heard.payloads('queue.command.delayed')).toMatchObject([
    { delay_ms: 40, reason: 'deferred' },
    { delay_ms: 10, reason: 'submitted' },
    { delay_ms: 30, reason: 'snoozed' },
  ])
})

test('a command whose worker was lost is recovered, and one without a handler goes back', async () => {
  await using c = cluster({ leaseMs: 1000 })
  const a = await c.join({ role: 'coordinator' })
  const heard = await listen(c, a)
  const lost = await c.join({ role: 'worker', handlers: { x: (_payload, { signal }) => c.nap(60_000, signal) } })
  const run = a.queue.submit('work', { type: 'x' })
  await c.clock.advance(10)
  lost.engine.cut()
  const other = await c.join({ role: 'worker' })
  await c.clock.advance(2000)
  other.queue.handle('x', () => 1)
  expect(await c.outcome(run)).toBe(1)
  const put = { lane_id: 'work', command_id: run.id, reason: 'no_handler' }
  expect(heard.keys(run).slice(0, 5)).toEqual(['submitted', 'started', 'recovered', 'started', 'delayed'])
  expect(heard.payloads('queue.command.delayed')[0]).toMatchObject(put)
  expect([lost.faults(), other.faults()]).toEqual([['LEASE_LOST'], ['HANDLER_NOT_FOUND']])
})

test('pausing and resuming a lane is told once', async () => {
  await using c = cluster()
  const [a, b] = await c.pair()
  const heard = await listen(c, a)
  b.queue.lane('work').pause()
  await c.clock.settle()
  b.queue.lane('work').pause()
  await c.clock.settle()
  b.queue.lane('work').resume()
  await c.clock.settle()
  expect(heard.keys()).toEqual(['lane.paused', 'lane.resumed'])
})

test('a slow reader loses its oldest events and is told how many', async () => {
  await using c = cluster()
  const [a] = await c.pair({ handlers: { x: () => 1 } })
  const stream = await a.queue.subscribeCluster({ capacity: 2 })
  for (let left = 3; left > 0; left--) await c.outcome(a.queue.submit('work', { type: 'x' }))
  expect([await stream.recv(), await stream.recv(), await stream.recv()].map((event) => event?.key)).toEqual([
    'events.dropped',
    'queue.command.started',
    'queue.command.completed',
  ])
  stream.close()
})

test('what happens while an engine is cut off is told when it is back', async () => {
  await using c = cluster({ latencyMs: 5 })
  const opening = c.pair({ handlers: { x: () => 1 } })
  await c.clock.advance(100)
  const [a, b] = await opening
  const subscribing = b.queue.subscribeCluster({ capacity: 50_000 })
  await c.clock.advance(100)
  const heard = new Heard(await subscribing)
  b.engine.cut()
  const run = a.queue.submit('work', { type: 'x' })
  await c.clock.advance(100)
  expect(heard.keys()).toEqual([])
  b.engine.mend()
  await c.outcome(run)
  expect(heard.keys()).toEqual(['submitted', 'started', 'completed'])
})

test('of what waits for an engine that is cut off for long the oldest is lost and counted', async () => {
  await using c = cluster()
  const a = await c.join({ role: 'coordinator' })
  const b = await c.join({ role: 'coordinator' })
  const heard = await listen(c, b, 50_000)
  b.engine.cut()
  const many = Array.from({ length: 10_003 }, () => ({ type: 'x' }))
  await Promise.all(a.queue.submitBatch('work', many).map(({ accepted }) => accepted))
  b.engine.mend()
  await c.clock.settle()
  expect(heard.payloads('events.dropped')).toEqual([{ count: 3 }])
  expect(heard.events).toHaveLength(10_001)
})

test('a stream ends when it is closed, when its signal aborts, and when its queue closes', async () => {
  await using c = cluster()
  const [a, b] = await c.pair({ handlers: { x: () => 1 } })
  const first = await listen(c, a)
  const second = await listen(c, a)
  const stop = new AbortController()
  const third = new Heard(await b.queue.subscribeCluster({ signal: stop.signal }))
  first.stream.close()
  await c.outcome(a.queue.submit('work', { type: 'x' }))
  stop.abort()
  await c.clock.settle()
  expect([first.hasEnded, second.hasEnded, third.hasEnded]).toEqual([true, false, true])
  expect([first.keys().length, second.keys().length, third.keys().length]).toEqual([0, 3, 3])
  await c.close(a)
  expect(second.hasEnded).toBe(true)
  expect(await (await a.queue.subscribeCluster()).recv()).toBeUndefined()
  const aborted = await b.queue.subscribeCluster({ signal: AbortSignal.abort() })
  expect(await aborted.recv()).toBeUndefined()
})

test('who listens again after the last one has gone hears each event once', async () => {
  await using c = cluster()
  const [a] = await c.pair({ handlers: { x: () => 1 } })
  const stop = new AbortController()
  const opening = a.queue.subscribeCluster({ signal: stop.signal })
  stop.abort()
  const heard = await listen(c, a)
  expect(await (await opening).recv()).toBeUndefined()
  await c.outcome(a.queue.submit('work', { type: 'x' }))
  expect(heard.keys()).toEqual(['submitted', 'started', 'completed'])
})

test('without an engine the events are those of the queue', async () => {
  await using queue = new QueueManager({ lanes: { work: { priority: 0 } } })
  await queue.start()
  const stream = await queue.subscribeCluster()
  await queue.submit('work', () => 1)
  expect((await stream.recv())?.key).toBe('queue.command.submitted')
})

test('an engine that cannot be reached, cannot tell, or ends is told clearly', async () => {
  await using c = cluster()
  const away = await c.join({ offlineTimeoutMs: 100, start: false })
  away.engine.cut()
  const asked = [away.queue.subscribeCluster(), away.queue.subscribeCluster()]
  const answered = Promise.allSettled(asked)
  await c.clock.advance(200)
  for (const answer of await answered) {
    expect(answer).toMatchObject({ status: 'rejected', reason: { code: 'ENGINE_UNAVAILABLE' } })
  }
  away.engine.mend()
  const heard = await listen(c, away)
  expect(heard.keys()).toEqual([])
  await expect(away.queue.subscribeCluster({ capacity: 0 })).rejects.toMatchObject({ code: 'CONFIG_INVALID' })

  const silent: Engine = Object.assign(new MemoryBroker().engine(), { events: undefined }) as never
  await using queue = new QueueManager({ lanes: { work: { priority: 0 } }, engine: silent })
  await expect(queue.subscribeCluster()).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
    message: 'This engine does not tell what other processes do',
  })
})

test('events of another program may say little', async () => {
  const engine = new MemoryBroker().engine()
  let tell: (event: EngineEvent) => void = () => undefined
  engine.events = async (onEvent) => {
    tell = onEvent
    return { close: () => Promise.reject(new Error('away')) }
  }
  await using queue = new QueueManager({ lanes: { work: { priority: 0 } }, engine })
  const stream = await queue.subscribeCluster()
  const about = { laneId: 'work', id: 'one', at: 0 }
  const settled = { kind: 'settled', ...about, commandType: 'x', hasLetter: false } as const
  tell({ kind: 'missed', laneId: 'work', at: 0, count: 0 })
  tell({ kind: 'reported', ...about, value: 'no JSON' })
  tell({ ...settled, state: 'failed', error: undefined })
  tell({ ...settled, state: 'failed', error: '"text"' })
  tell({ ...settled, state: 'cancelled', error: '{"message":"stopped there"}' })
  tell({ ...settled, state: 'cancelled', error: '{"code":"COMMAND_CANCELLED"}' })
  for (const cause of [undefined, 'no JSON', '{"reason":"retry"}'])
    tell({ kind: 'delayed', ...about, delayMs: 1, cause })
  const told: unknown[] = []
  for (let left = 9; left > 0; left--) told.push((await stream.recv())?.payload)
  stream.close()
  const command = { lane_id: 'work', command_id: 'one' }
  expect(told).toEqual([
    { count: 0 },
    { ...command, value: 'no JSON' },
    { ...command, error: 'failed' },
    { ...command, error: 'failed' },
    { ...command, reason: 'stopped there' },
    { ...command, reason: '' },
    { ...command, delay_ms: 1, reason: 'submitted' },
    { ...command, delay_ms: 1, reason: 'submitted' },
    { ...command, attempt: 1 },
  ])
})
