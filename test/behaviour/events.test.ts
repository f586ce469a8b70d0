import { EVENTS, EventEmitter, type EventKey, type LaneEvent, RetryPolicy, snooze } from '@a3s-lab/lane'
import { expect, test } from 'vitest'
import { errorOf, setup } from '../support/setup.js'

test('the catalogue has the keys of the reference and ours', () => {
  expect(EVENTS).toEqual({
    QUEUE_COMMAND_SUBMITTED: 'queue.command.submitted',
    QUEUE_COMMAND_STARTED: 'queue.command.started',
    QUEUE_COMMAND_COMPLETED: 'queue.command.completed',
    QUEUE_COMMAND_RETRY: 'queue.command.retry',
    QUEUE_COMMAND_FAILED: 'queue.command.failed',
    QUEUE_COMMAND_TIMEOUT: 'queue.command.timeout',
    QUEUE_COMMAND_DEAD_LETTERED: 'queue.command.dead_lettered',
    QUEUE_COMMAND_CANCELLED: 'queue.command.cancelled',
    QUEUE_COMMAND_PROGRESS: 'queue.command.progress',
    QUEUE_COMMAND_DELAYED: 'queue.command.delayed',
    QUEUE_COMMAND_PREEMPTED: 'queue.command.preempted',
    QUEUE_COMMAND_RESUMED: 'queue.command.resumed',
    QUEUE_COMMAND_RECOVERED: 'queue.command.recovered',
    QUEUE_COMMAND_DEDUPLICATED: 'queue.command.deduplicated',
    QUEUE_COMMAND_REJECTED: 'queue.command.rejected',
    QUEUE_LANE_PRESSURE: 'queue.lane.pressure',
    QUEUE_LANE_IDLE: 'queue.lane.idle',
    QUEUE_LANE_STARVING: 'queue.lane.starving',
    QUEUE_LANE_RELIEVED: 'queue.lane.relieved',
    QUEUE_LANE_BREAKER: 'queue.lane.breaker',
    QUEUE_LANE_PAUSED: 'queue.lane.paused',
    QUEUE_LANE_RESUMED: 'queue.lane.resumed',
    QUEUE_LANE_CONFIGURED: 'queue.lane.configured',
    QUEUE_ALERT: 'queue.alert',
    QUEUE_DEAD_LETTER_REDRIVEN: 'queue.dead_letter.redriven',
    QUEUE_SHUTDOWN_STARTED: 'queue.shutdown.started',
    QUEUE_SHUTDOWN_COMPLETE: 'queue.shutdown.complete',
    QUEUE_FAULT: 'queue.fault',
    EVENTS_DROPPED: 'events.dropped',
  })
})

test('an event has a key, a payload and a timestamp in UTC, and survives JSON', async () => {
  await using t = await setup()
  await t.clock.advance(1234)
  const run = t.queue.submit('work', () => 1)
  await run
  const [event] = t.recorder.events
  expect(event).toEqual({
    key: 'queue.command.submitted',
    payload: { lane_id: 'work', command_id: run.id },
    timestamp: '2026-01-01T00:00:01.234Z',
  })
  expect(JSON.parse(JSON.stringify(event))).toEqual(event)
})

test('timestamps follow the wall clock, also when it is set back', async () => {
  await using t = await setup()
  t.clock.stepWall(-3_600_000)
  await t.queue.submit('work', () => 1)
  expect(t.recorder.events[0]?.timestamp).toBe('2025-12-31T23:00:00.000Z')
})

/** The grammar of one command's events (reliability.md, I19), prefix left out. */
const grammar =
  /^(rejected|submitted (delayed )?(started (progress )*(retry |delayed ))*(started (progress )*)?(completed|cancelled|(dead_lettered )?(failed|timeout)))$/

test('whatever becomes of a command, its events follow one grammar', async () => {
  await using t = await setup(
    { work: { maxConcurrency: 3, timeoutMs: 30, retry: RetryPolicy.fixed(2, 5), zombieGraceMs: 20 } },
    { deadLetters: true },
  )
  const bodies = [
    (): number => 1,
    (): Promise<never> => Promise.reject(new Error('no')),
    (ctx: { attempt: number }): unknown => (ctx.attempt < 3 ? snooze(2) : 'ok'),
    (ctx: { attempt: number; progress: (value: unknown) => void }): string => {
      ctx.progress(ctx.attempt)
      ctx.progress('twice')
      if (ctx.attempt < 2) throw new Error('once')
      return 'ok'
    },
    t.takes(100),
    t.takes(10),
    (): Promise<never> => new Promise(() => {}),
  ]
  const runs = bodies.flatMap((body) => [
    t.queue.submit('work', body as never),
    t.queue.submit('work', body as never, { delayMs: 7 }),
  ])
  runs.push(
    t.queue.submit('nowhere' as 'work', () => 1),
    t.queue.submit('work', { type: 'nobody' }),
  )
  runs[10]?.cancel()
  await t.clock.advance(12)
  runs[11]?.cancel()
  await t.clock.advance(2000)
  const sentences = runs.map(({ id }) =>
    t.recorder
      .keys(id)
      .filter((key) => key !== 'queue.fault')
      .map((key) => key.replace('queue.command.', ''))
      .join(' '),
  )
  for (const sentence of sentences) expect(sentence).toMatch(grammar)
  expect(new Set(sentences.map((sentence) => sentence.split(' ').at(-1)))).toEqual(
    new Set(['completed', 'failed', 'timeout', 'cancelled', 'rejected']),
  )
})

test('every id in an event was given by a submit', async () => {
  await using t = await setup({ work: { retry: RetryPolicy.fixed(1, 1) } }, { deadLetters: true })
  const runs = [
    t.queue.submit('work', () => 1),
    t.queue.submit('work', () => Promise.reject(new Error('no'))),
    t.queue.submit('work', () => 1, { id: 'mine' }),
  ]
  await t.clock.advance(10)
  const ids = t.recorder.events.map(({ payload }) => (payload as { command_id: string }).command_id)
  expect(new Set(ids)).toEqual(new Set(runs.map(({ id }) => id)))
})

test('without a listener nothing is kept for later ones', async () => {
  await using t = await setup()
  await t.queue.submit('work', () => 1)
  const stream = t.queue.subscribe()
  const run = t.queue.submit('work', () => 2)
  expect((await stream.recv())?.payload).toEqual({ lane_id: 'work', command_id: run.id })
  stream.close()
})

test('a queue without listeners tells nobody and does its work', async () => {
  await using t = await setup(
    {
      work: {
        maxConcurrency: 1,
        timeoutMs: 50,
        retry: RetryPolicy.fixed(1, 1),
        pressureThreshold: 1,
        zombieGraceMs: 5,
      },
    },
    { deadLetters: true, start: false },
  )
  t.recorder.stop()
  t.queue.handle('plain', () => 'ok')
  const plain = t.queue.submit('work', { type: 'plain' })
  const waiting = t.queue.submit('work', () => 'ok')
  const failing = t.queue.submit('work', () => Promise.reject(new Error('no')))
  const snoozing = t.queue.submit('work', ({ attempt, progress }) => {
    progress(1)
    return attempt === 1 ? snooze(1) : 'ok'
  })
  const later = t.queue.submit('work', () => 'ok', { delayMs: 5 })
  const late = t.queue.submit('work', () => new Promise(() => {}), { retry: RetryPolicy.none() })
  const refused = t.queue.submit('nowhere' as 'work', () => 1)
  const same = t.queue.submit('work', { type: 'x' }, { id: 'same' })
  expect(t.queue.submit('work', { type: 'x' }, { id: 'same' })).toBe(same)
  same.cancel()
  t.queue.lane('work').configure({ maxConcurrency: 2 })
  t.queue.lane('work').pause()
  t.queue.lane('work').resume()
  await t.queue.start()
  const errors = Promise.all([failing, late, refused, same].map((run) => errorOf(run)))
  await t.clock.advance(200)
  expect(await Promise.all([plain, waiting, snoozing, later])).toEqual(['ok', 'ok', 'ok', 'ok'])
  expect((await errors).map((error) => error['code'])).toEqual([
    'COMMAND_FAILED',
    'COMMAND_TIMEOUT',
    'LANE_NOT_FOUND',
    'COMMAND_CANCELLED',
  ])
  const again = t.queue.deadLetters.redrive(failing.id)
  const second = errorOf(again)
  await t.clock.advance(10)
  await second
  expect(t.faults).toHaveLength(1)
})

test('an emitter of one’s own serves several queues and readers', async () => {
  const emitter = new EventEmitter(10)
  await using a = await setup({ work: {} }, { events: emitter })
  await using b = await setup({ work: {} }, { events: emitter })
  const stream = emitter.subscribe()
  const runs = [a.queue.submit('work', () => 1), b.queue.submit('work', () => 1)]
  expect([(await stream.recv())?.payload, (await stream.recv())?.payload]).toEqual(
    runs.map(({ id }) => ({ lane_id: 'work', command_id: id })),
  )
  stream.close()
  await Promise.all(runs)
})

test('an event may be emitted by hand', async () => {
  const emitter = new EventEmitter(10)
  const stream = emitter.subscribeStream()
  const event: LaneEvent = {
    key: 'queue.lane.idle',
    payload: { lane_id: 'mine' },
    timestamp: '2026-01-01T00:00:00.000Z',
  }
  emitter.emit(event)
  expect(await stream.recv()).toEqual(event)
  expect(emitter.hasSubscribers).toBe(true)
  stream.close()
  expect(emitter.hasSubscribers).toBe(false)
})

test('progress is told to subscribers with its value', async () => {
  await using t = await setup()
  const run = t.queue.submit('work', ({ progress }) => progress({ percent: 50 }))
  await run
  expect(t.recorder.of('queue.command.progress').map(({ payload }) => payload)).toEqual([
    { lane_id: 'work', command_id: run.id, value: { percent: 50 } },
  ])
})

test('a recorder forgets and stops when it is told to', async () => {
  await using t = await setup()
  await t.queue.submit('work', () => 1)
  t.recorder.clear()
  expect(t.recorder.events).toEqual([])
  const run = t.queue.submit('work', () => 1)
  await run
  expect(t.recorder.keys()).toHaveLength(3)
  t.recorder.stop()
  await t.queue.submit('work', () => 1)
  expect(t.recorder.keys(run.id)).toHaveLength(3)
  expect(t.recorder.keys()).toHaveLength(3)
})

test.each<EventKey>(['queue.command.completed', 'queue.command.failed'])(
  '%s is told before the caller is',
  async (key) => {
    await using t = await setup()
    const run = t.queue.submit('work', () => {
      if (key === 'queue.command.failed') throw new Error('no')
    })
    const seen = run.then(
      () => t.recorder.keys(run.id).at(-1),
      () => t.recorder.keys(run.id).at(-1),
    )
    expect(await seen).toBe(key)
  },
)
