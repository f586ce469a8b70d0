/** Those who listen to the queue: a predicate is called while the queue is at work, and may do anything. */
import { type EventKey, type LaneEvent, QueueManager, RetryPolicy, snooze } from '@a3s-lab/lane'
import { VirtualClock } from '@a3s-lab/lane/testing'
import { expect, test } from 'vitest'
import { errorOf, type Setup, setup } from '../support/setup.js'

/** Does something in the middle of each event of a key. */
function during(t: Setup, key: EventKey, act: (commandId: string) => void): void {
  t.queue.subscribeFiltered((event: LaneEvent) => {
    if (event.key === key) act((event.payload as { command_id: string }).command_id)
    return false
  })
}

test('a listener that throws is told to onFault and harms nobody', async () => {
  await using t = await setup()
  const others = t.queue.subscribe()
  t.queue.subscribeFiltered(() => {
    throw new Error('listener broke')
  })
  const run = t.queue.submit('work', () => 'unharmed')
  expect(await run).toBe('unharmed')
  expect(t.recorder.keys()).toEqual(['queue.command.submitted', 'queue.command.started', 'queue.command.completed'])
  expect((await others.recv())?.key).toBe('queue.command.submitted')
  expect(t.faults).toEqual(new Array(3).fill(new Error('listener broke')))
})

test('a listener and an onFault that both throw harm nobody', async () => {
  const clock = new VirtualClock()
  await using queue = new QueueManager({
    lanes: { work: { priority: 0 } },
    clock,
    onFault: () => {
      throw new Error('onFault broke')
    },
  })
  await queue.start()
  queue.subscribeFiltered(() => {
    throw new Error('listener broke')
  })
  const run = queue.submit('work', () => 'unharmed')
  expect(await clock.expectSettled(run)).toBe('unharmed')
})

test('an onFault that throws harms nobody', async () => {
  await using t = await setup(
    { work: { timeoutMs: 10, zombieGraceMs: 10 } },
    {
      onFault: () => {
        throw new Error('onFault broke')
      },
    },
  )
  const error = errorOf(t.queue.submit('work', () => new Promise(() => {})))
  await t.clock.advance(20)
  expect((await error).message).toBe('Command timed out after 10ms')
  expect(await t.queue.submit('work', () => 'unharmed')).toBe('unharmed')
})

test('an onFault that uses the queue is served', async () => {
  const seen: unknown[] = []
  await using t: Setup<'work'> = await setup(
    { work: { timeoutMs: 10, zombieGraceMs: 10, maxConcurrency: 1 } },
    { onFault: () => seen.push(t.queue.submit('work', () => 'from onFault')) },
  )
  const error = errorOf(t.queue.submit('work', () => new Promise(() => {})))
  await t.clock.advance(20)
  await error
  expect(await seen[0]).toBe('from onFault')
})

test('a listener that answers with anything but true wants nothing', async () => {
  await using t = await setup()
  const stream = t.queue.subscribeFiltered((() => 'yes') as never)
  await t.queue.submit('work', () => 1)
  stream.close()
  expect(await stream.recv()).toBeUndefined()
})

test('a listener that unsubscribes itself while it is called is called no more', async () => {
  await using t = await setup()
  let calls = 0
  const stream = t.queue.subscribeFiltered(() => {
    calls++
    stream.close()
    return true
  })
  await t.queue.submit('work', () => 1)
  expect(calls).toBe(1)
  expect(await stream.recv()).toBeUndefined()
})

test('a listener that subscribes another while it is called misses nothing of its own', async () => {
  await using t = await setup()
  const late: string[] = []
  during(t, 'queue.command.submitted', () => {
    t.queue.subscribeFiltered((event) => late.push(event.key) < 0)
  })
  await t.queue.submit('work', () => 1)
  expect(late).toEqual(['queue.command.started', 'queue.command.completed'])
  expect(t.recorder.keys()).toHaveLength(3)
})

test('a listener may submit while it is called', async () => {
  await using t = await setup()
  let left = 3
  during(t, 'queue.command.completed', () => {
    if (left-- > 0) void t.queue.submit('work', t.noting(`by the listener ${left}`))
  })
  await t.queue.submit('work', () => 1)
  await t.clock.settle()
  expect(t.notes).toEqual(['by the listener 2', 'by the listener 1', 'by the listener 0'])
})

test('a listener that submits while its lane is cleared does not keep clear from ending', async () => {
  await using t = await setup({ work: {} }, { start: false })
  let submitted = 0
  for (let n = 0; n < 3; n++) void t.queue.submit('work', t.noting('never'))
  during(t, 'queue.command.cancelled', () => {
    if (submitted++ < 100) void t.queue.submit('work', t.noting('new'))
  })
  expect(t.queue.lane('work').clear()).toBe(3)
  expect(t.queue.stats().totalPending).toBe(3)
})

test('a listener that clears the lane while it is cleared finds nothing twice', async () => {
  await using t = await setup({ work: {} }, { start: false })
  const runs = Array.from({ length: 5 }, () => t.queue.submit('work', t.noting('never')))
  during(t, 'queue.command.cancelled', () => void t.queue.lane('work').clear('by the listener'))
  t.queue.lane('work').clear('first')
  expect((await Promise.all(runs.map(errorOf))).map(({ message }) => message).sort()).toEqual([
    ...new Array<string>(4).fill('Command cancelled: by the listener'),
    'Command cancelled: first',
  ])
  expect(t.recorder.of('queue.command.cancelled')).toHaveLength(5)
})

test('a listener that submits for ever does not keep a queue from closing', async () => {
  await using t = await setup({ work: {} }, { start: false })
  void t.queue.submit('work', t.noting('never'))
  during(t, 'queue.command.cancelled', () => void t.queue.submit('work', t.noting('never')))
  await t.queue.close()
  expect(t.notes).toEqual([])
  expect(t.recorder.keys().at(-1)).toBe('queue.shutdown.complete')
})

test.each([
  ['submitted', undefined],
  ['submitted, of a delayed command', { delayMs: 50 }],
])('a command that is cancelled in the middle of its %s event never starts', async (_what, options) => {
  await using t = await setup()
  during(t, 'queue.command.submitted', (id) => t.queue.cancel(id, 'by a listener'))
  const run = t.queue.submit('work', t.noting('never'), options)
  expect((await errorOf(run)).message).toBe('Command cancelled: by a listener')
  expect(t.queue.stats()).toMatchObject({ totalPending: 0, totalDelayed: 0 })
  expect(t.clock.timers).toBe(0)
  await t.clock.advance(100)
  expect(run.state).toBe('cancelled')
  expect(t.notes).toEqual([])
})

test('a command that is cancelled in the middle of its started event gives its slot back once', async () => {
  await using t = await setup({ work: { maxConcurrency: 2, timeoutMs: 100 } })
  const other = t.queue.submit('work', t.takes(90, 'other'))
  await t.clock.settle()
  during(t, 'queue.command.started', (id) => t.queue.cancel(id, 'by a listener'))
  const run = t.queue.submit('work', t.takes(150))
  expect((await errorOf(run)).message).toBe('Command cancelled: by a listener')
  await t.clock.advance(150)
  expect(await other).toBe('other')
  expect(t.queue.lane('work').status()).toMatchObject({ active: 0, zombies: 0 })
})

test('a body whose command was cancelled in the middle of its started event has an aborted signal, if it runs', async () => {
  await using t = await setup()
  during(t, 'queue.command.started', (id) => t.queue.cancel(id, 'by a listener'))
  const signals: boolean[] = []
  const run = t.queue.submit('work', ({ signal }) => signals.push(signal.aborted))
  await errorOf(run)
  await t.clock.settle()
  expect(signals.filter((aborted) => !aborted)).toEqual([])
})

test.each<[EventKey, () => unknown]>([
  ['queue.command.retry', () => Promise.reject(new Error('no'))],
  ['queue.command.delayed', () => snooze(10)],
  ['queue.command.dead_lettered', () => Promise.reject(new TypeError('no'))],
  ['queue.command.failed', () => Promise.reject(new TypeError('no'))],
  ['queue.command.completed', () => 1],
])('a command that is cancelled in the middle of its %s event leaves the others alone', async (key, body) => {
  await using t = await setup({ work: { maxConcurrency: 3 } }, { deadLetters: true })
  const others = [t.queue.submit('work', t.takes(50, 'a')), t.queue.submit('work', t.takes(60, 'b'))]
  await t.clock.settle()
  const finals: string[] = []
  during(t, key, (id) => t.queue.cancel(id, 'by a listener'))
  const retry = key === 'queue.command.retry' ? RetryPolicy.fixed(1, 10) : RetryPolicy.none()
  const run = t.queue.submit('work', body, { retry })
  run.then(
    () => finals.push('value'),
    () => finals.push('error'),
  )
  await t.clock.settle()
  expect(t.queue.lane('work').status()).toMatchObject({ active: 2, zombies: 0 })
  await t.clock.advance(100)
  expect(await Promise.all(others)).toEqual(['a', 'b'])
  expect(finals).toHaveLength(1)
  expect(t.faults).toEqual([])
  const ends = t.recorder
    .keys(run.id)
    .filter((one) => ['completed', 'failed', 'timeout', 'cancelled'].includes(one.split('.')[2] ?? ''))
  expect(ends).toHaveLength(1)
})

test('a listener may pause, configure and shut down while it is called', async () => {
  await using t = await setup({ work: { maxConcurrency: 1 } })
  during(t, 'queue.command.started', () => {
    t.queue.lane('work').pause()
    t.queue.lane('work').configure({ maxConcurrency: 2 })
    t.queue.shutdown().catch(() => {})
  })
  const runs = [t.queue.submit('work', t.takes(5, 1)), t.queue.submit('work', t.takes(5, 2))]
  await t.clock.advance(10)
  expect(await runs[0]).toBe(1)
  expect(runs[1]?.state).toBe('pending')
  t.queue.lane('work').resume()
  await t.clock.advance(10)
  expect(await runs[1]).toBe(2)
  expect(t.recorder.keys().at(-1)).toBe('queue.shutdown.complete')
})
