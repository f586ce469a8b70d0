import { expect, test } from 'vitest'
import { errorOf, setup } from '../support/setup.js'

test('a delayed command starts when it is due and not before', async () => {
  await using t = await setup()
  const run = t.queue.submit('work', t.noting('due'), { delayMs: 100 })
  expect(run.state).toBe('delayed')
  expect(t.queue.stats()).toMatchObject({ totalDelayed: 1, totalPending: 0 })
  await t.clock.advance(99)
  expect(t.notes).toEqual([])
  await t.clock.advance(1)
  expect(t.notes).toEqual(['due'])
  expect(t.events(run.id).slice(0, 3)).toEqual([
    ['queue.command.submitted', { lane_id: 'work', command_id: run.id }],
    ['queue.command.delayed', { lane_id: 'work', command_id: run.id, delay_ms: 100, reason: 'submitted' }],
    ['queue.command.started', { lane_id: 'work', command_id: run.id, command_type: 'function' }],
  ])
})

test.each([
  ['a Date', new Date('2026-01-01T00:01:00Z')],
  ['Unix milliseconds', Date.parse('2026-01-01T00:01:00Z')],
  ['a text', '2026-01-01T00:01:00Z'],
  ['a text with an offset', '2026-01-01T01:01:00+01:00'],
])('an instant may be given as %s', async (_what, runAt) => {
  await using t = await setup()
  const run = t.queue.submit('work', () => t.clock.now(), { runAt })
  expect(await t.queue.get(run.id)).toMatchObject({ state: 'delayed', dueAt: '2026-01-01T00:01:00.000Z' })
  await t.clock.advance(60_000)
  expect(await run).toBe(60_000)
})

test.each([
  ['a delay of 0', { delayMs: 0 }],
  ['an instant that is now', { runAt: '2026-01-01T00:00:00Z' }],
  ['an instant that has passed', { runAt: new Date(0) }],
])('%s starts at once', async (_what, options) => {
  await using t = await setup()
  const run = t.queue.submit('work', () => 'now', options)
  expect(run.state).toBe('pending')
  expect(await run).toBe('now')
  expect(t.recorder.of('queue.command.delayed')).toEqual([])
})

test.each([
  ['null', null],
  ['true', true],
  ['an invalid date', new Date(Number.NaN)],
  ['an object', {}],
])('an instant that is %s is refused', async (_what, runAt) => {
  await using t = await setup()
  expect((await errorOf(t.queue.submit('work', () => 1, { runAt: runAt as never })))['code']).toBe('CONFIG_INVALID')
})

test('a delay of months is kept to the millisecond', async () => {
  await using t = await setup()
  const months = 100 * 24 * 3_600_000
  const run = t.queue.submit('work', () => t.clock.now(), { delayMs: months })
  await t.clock.advance(months - 1)
  expect(run.state).toBe('delayed')
  await t.clock.advance(1)
  expect(await run).toBe(months)
})

test('a step of the wall clock moves no delay', async () => {
  await using t = await setup()
  const run = t.queue.submit('work', () => t.clock.now(), { runAt: '2026-01-01T00:00:10Z' })
  t.clock.stepWall(3_600_000)
  await t.clock.advance(9999)
  expect(run.state).toBe('delayed')
  await t.clock.advance(1)
  expect(await run).toBe(10_000)
})

test('a delayed command that is due comes in at its place of arrival', async () => {
  await using t = await setup({ work: { maxConcurrency: 1 } })
  void t.queue.submit('work', t.noting('first', 50))
  void t.queue.submit('work', t.noting('delayed', 1), { delayMs: 10 })
  void t.queue.submit('work', t.noting('last', 1))
  await t.clock.advance(60)
  expect(t.notes).toEqual(['first', 'delayed', 'last'])
})

test('delayed commands of one instant start in order of arrival, whatever their delays were', async () => {
  await using t = await setup({ work: { maxConcurrency: 1 } })
  void t.queue.submit('work', t.noting('a'), { delayMs: 100 })
  void t.queue.submit('work', t.noting('b'), { delayMs: 100, priority: 5 })
  await t.clock.advance(50)
  void t.queue.submit('work', t.noting('c'), { delayMs: 50 })
  await t.clock.advance(50)
  // Each is due by itself, in the order in which the alarms were set: all at one instant, one after the other.
  expect(t.notes).toEqual(['b', 'a', 'c'])
})

test('a delayed command waits in a paused lane when it is due', async () => {
  await using t = await setup()
  const run = t.queue.submit('work', t.noting('due'), { delayMs: 10 })
  t.queue.lane('work').pause()
  await t.clock.advance(20)
  expect(run.state).toBe('pending')
  t.queue.lane('work').resume()
  expect(await run).toBe('due')
})

test('a delayed command is due before the start of its queue too, and waits for it', async () => {
  await using t = await setup({ work: {} }, { start: false })
  const run = t.queue.submit('work', t.noting('due'), { delayMs: 10 })
  await t.clock.advance(20)
  expect(run.state).toBe('pending')
  await t.queue.start()
  expect(await run).toBe('due')
})

test('many delayed commands share one timer', async () => {
  await using t = await setup()
  for (let n = 100; n > 0; n--) void t.queue.submit('work', () => 1, { delayMs: n })
  expect(t.clock.timers).toBe(1)
  await t.clock.advance(100)
  expect(t.clock.timers).toBe(0)
})
