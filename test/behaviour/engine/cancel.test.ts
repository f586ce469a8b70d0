import type { CommandContext } from '@a3s-lab/lane'
import { expect, test } from 'vitest'
import { aborted } from '../../support/bodies.js'
import { cluster } from '../../support/cluster.js'
import { errorOf } from '../../support/setup.js'

test('a waiting command is cancelled by its submitter and never runs', async () => {
  await using c = cluster()
  const a = await c.join({ role: 'coordinator' })
  const run = a.queue.submit('work', { type: 'x' })
  await run.accepted
  expect([run.cancel('enough'), run.cancel('again')]).toEqual([true, false])
  expect(await errorOf(c.clock.expectSettled(run))).toMatchObject({ code: 'COMMAND_CANCELLED', reason: 'enough' })
  expect([run.state, (await a.queue.get(run.id))?.state, run.cancel()]).toEqual(['cancelled', 'cancelled', false])
  await c.join({ role: 'worker', handlers: { x: () => c.notes.push('ran') } })
  await c.clock.advance(10_000)
  expect(c.notes).toEqual([])
})

test('a submit that is cancelled before the engine has it never runs', async () => {
  await using c = cluster()
  const a = await c.join({ handlers: { x: () => c.notes.push('ran') } })
  const run = a.queue.submit('work', { type: 'x' })
  expect(run.cancel('at once')).toBe(true)
  expect(await errorOf(c.clock.expectSettled(run))).toMatchObject({ code: 'COMMAND_CANCELLED', reason: 'at once' })
  expect(await errorOf(run.accepted)).toMatchObject({ code: 'COMMAND_CANCELLED' })
  await c.clock.advance(10_000)
  expect([c.notes, await a.queue.get(run.id), a.keys(run)]).toEqual([[], undefined, ['rejected']])
})

test('a delayed command is cancelled and does not come back', async () => {
  await using c = cluster()
  const [a] = await c.pair({ handlers: { x: () => c.notes.push('ran') } })
  const run = a.queue.submit('work', { type: 'x' }, { delayMs: 1000 })
  await run.accepted
  run.cancel()
  expect(await errorOf(c.clock.expectSettled(run))).toMatchObject({ code: 'COMMAND_CANCELLED' })
  await c.clock.advance(10_000)
  expect(c.notes).toEqual([])
})

test('a command that runs on another worker hears of its cancellation, and its caller at once', async () => {
  await using c = cluster()
  let reason: unknown
  const [a, b] = await c.pair({
    handlers: {
      slow: async (_payload, context) => {
        reason = await aborted(context)
      },
    },
  })
  const run = a.queue.submit('work', { type: 'slow' })
  await c.clock.advance(10)
  expect(run.cancel('enough')).toBe(true)
  expect(await errorOf(c.clock.expectSettled(run))).toMatchObject({ code: 'COMMAND_CANCELLED', reason: 'enough' })
  expect(reason).toMatchObject({ code: 'COMMAND_CANCELLED', reason: 'enough' })
  expect([b.keys(run), (await a.queue.get(run.id))?.state]).toEqual([['started', 'cancelled'], 'cancelled'])
})

test('a third process cancels by id, and the submitter hears of it', async () => {
  await using c = cluster()
  const [a, b] = await c.pair({ handlers: { slow: (_payload, { signal }) => c.nap(60_000, signal) } })
  const third = await c.join({ role: 'coordinator' })
  const [waiting, running] = [
    a.queue.submit('work', { type: 'slow' }, { delayMs: 60_000 }),
    a.queue.submit('work', { type: 'slow' }),
  ]
  await c.clock.advance(10)
  expect([third.queue.cancel(waiting.id, 'w'), third.queue.cancel(running.id, 'r')]).toEqual([true, true])
  expect(await errorOf(c.clock.expectSettled(waiting))).toMatchObject({ code: 'COMMAND_CANCELLED', reason: 'w' })
  expect(await errorOf(c.clock.expectSettled(running))).toMatchObject({ code: 'COMMAND_CANCELLED', reason: 'r' })
  expect(b.keys(running)).toEqual(['started', 'cancelled'])
})

test('the worker itself cancels what runs there by its id', async () => {
  await using c = cluster()
  const [a, b] = await c.pair({ handlers: { slow: (_payload, { signal }) => c.nap(60_000, signal) } })
  const run = a.queue.submit('work', { type: 'slow' })
  await c.clock.advance(10)
  expect(b.queue.cancel(run.id, 'here')).toBe(true)
  expect(await errorOf(c.clock.expectSettled(run))).toMatchObject({ code: 'COMMAND_CANCELLED', reason: 'here' })
})

test('an abort signal of the submit cancels the command wherever it is', async () => {
  await using c = cluster()
  const [a] = await c.pair({ handlers: { slow: (_payload, ctx) => c.nap(60_000, ctx.signal) } })
  const controller = new AbortController()
  const { signal } = controller
  const run = a.queue.submit('work', { type: 'slow' }, { signal })
  const late = a.queue.submit('work', { type: 'slow' }, { signal: AbortSignal.abort('before') })
  expect(await errorOf(c.clock.expectSettled(late))).toMatchObject({ code: 'COMMAND_CANCELLED', reason: 'before' })
  await c.clock.advance(10)
  expect(run.state).toBe('pending')
  controller.abort('by signal')
  expect(await errorOf(c.clock.expectSettled(run))).toMatchObject({ code: 'COMMAND_CANCELLED', reason: 'by signal' })
})

test('a cancellation whose message is lost comes with the renewal of the lease', async () => {
  await using c = cluster({ leaseMs: 3000 })
  let reason: unknown
  const [a, b] = await c.pair({
    handlers: {
      slow: async (_payload, context) => {
        reason = await aborted(context)
      },
    },
  })
  const run = a.queue.submit('work', { type: 'slow' })
  await c.clock.advance(10)
  b.engine.dropMessages = true
  run.cancel('enough')
  await c.clock.settle()
  expect(reason).toBeUndefined()
  await c.clock.advance(1000)
  expect(reason).toMatchObject({ code: 'COMMAND_CANCELLED', reason: 'enough' })
  expect(await errorOf(run)).toMatchObject({ code: 'COMMAND_CANCELLED' })
})

test('a cancellation that comes while the worker is away holds for whoever runs the command next', async () => {
  await using c = cluster({ leaseMs: 1000 })
  const slow = (_payload: unknown, { signal }: CommandContext): Promise<void> => {
    c.notes.push('started')
    return c.nap(60_000, signal)
  }
  const [a, b] = await c.pair({ handlers: { slow } })
  const run = a.queue.submit('work', { type: 'slow' })
  await c.clock.advance(10)
  b.engine.cut()
  run.cancel('enough')
  const other = await c.join({ role: 'worker', handlers: { slow } })
  await c.clock.advance(20_000)
  expect(await errorOf(run)).toMatchObject({ code: 'COMMAND_CANCELLED', reason: 'enough' })
  expect([c.notes, other.keys(run), (await a.queue.get(run.id))?.state]).toEqual([
    ['started'],
    ['cancelled'],
    'cancelled',
  ])
  expect(b.faults()).toEqual(['LEASE_LOST'])
})

test('a cancellation that comes too late changes nothing', async () => {
  await using c = cluster()
  const [a] = await c.pair({ handlers: { x: () => 1 } })
  const run = a.queue.submit('work', { type: 'x' })
  expect(await c.clock.expectSettled(run)).toBe(1)
  expect([run.cancel(), a.queue.cancel(run.id), a.queue.cancel('nobody')]).toEqual([false, true, true])
  await c.clock.settle()
  expect([run.state, (await a.queue.get(run.id))?.state]).toEqual(['completed', 'completed'])
})

test('children fall with their parent, detached ones do not', async () => {
  await using c = cluster()
  const [a] = await c.pair({
    handlers: {
      parent: async (_payload, { queue, signal }) => {
        void queue.submit('work', { type: 'child', payload: 'own' }, { id: 'own' })
        void queue.submit('work', { type: 'child', payload: 'free' }, { id: 'free', detached: true })
        await c.nap(60_000, signal)
      },
      child: async (name, { signal }) => {
        await c.nap(1000, signal)
        c.notes.push(String(name))
      },
    },
  })
  const run = a.queue.submit('work', { type: 'parent' })
  await c.clock.advance(10)
  run.cancel('enough')
  await c.clock.advance(2000)
  expect(await errorOf(run)).toMatchObject({ code: 'COMMAND_CANCELLED' })
  expect([c.notes, (await a.queue.get('own'))?.state, (await a.queue.get('free'))?.state]).toEqual([
    ['free'],
    'cancelled',
    'completed',
  ])
})

test('clearing a lane cancels what waits there, whoever submitted it, and what runs goes on', async () => {
  await using c = cluster({ lanes: { work: { maxConcurrency: 1 } } })
  const [a, b] = await c.pair({ handlers: { slow: (_payload, { signal }) => c.nap(1000, signal) } })
  const running = a.queue.submit('work', { type: 'slow' })
  await c.clock.advance(10)
  const waiting = [
    a.queue.submit('work', { type: 'slow' }),
    a.queue.submit('work', { type: 'slow' }, { delayMs: 60_000 }),
  ]
  await Promise.all(waiting.map(({ accepted }) => accepted))
  b.queue.lane('work').clear('cleared')
  for (const run of waiting) {
    expect(await errorOf(c.clock.expectSettled(run))).toMatchObject({ code: 'COMMAND_CANCELLED', reason: 'cleared' })
  }
  await c.outcome(running)
  const last = a.queue.submit('work', { type: 'slow' })
  await c.clock.advance(10)
  a.queue.lane('work').cancelAll('all')
  expect(await errorOf(c.clock.expectSettled(last))).toMatchObject({ code: 'COMMAND_CANCELLED', reason: 'all' })
})

test('clearing a lane leaves what is submitted while it is cleared', async () => {
  await using c = cluster({ latencyMs: 10 })
  const joining = [c.join({ role: 'coordinator' }), c.join({ role: 'coordinator' })] as const
  await c.clock.advance(100)
  const [a, b] = await Promise.all(joining)
  const first = a.queue.submit('work', { type: 'x' })
  await c.clock.advance(100)
  b.queue.lane('work').clear('cleared')
  await c.clock.advance(15)
  const later = a.queue.submit('work', { type: 'x' })
  await c.clock.advance(1000)
  expect([first.state, later.state]).toEqual(['cancelled', 'pending'])
  const gone = errorOf(first)
  later.cancel()
  await c.clock.advance(100)
  expect(await Promise.all([gone, errorOf(later)])).toHaveLength(2)
})
