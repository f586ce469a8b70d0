import { QueueManager } from '@a3s-lab/lane'
import { expect, test } from 'vitest'
import { cluster } from '../../support/cluster.js'
import { errorOf } from '../../support/setup.js'

test('drain waits for what this process has submitted, wherever it runs', async () => {
  await using c = cluster()
  const [a] = await c.pair({ handlers: { x: () => c.sleep(100) } })
  const run = a.queue.submit('work', { type: 'x' })
  const delayed = a.queue.submit('work', { type: 'x' }, { delayMs: 500 })
  const drained = a.queue.drain(1000)
  await c.clock.advance(600)
  await c.clock.expectSettled(drained)
  expect([run.state, delayed.state]).toEqual(['completed', 'completed'])
})

test('a drain that takes too long names the commands that have no outcome', async () => {
  await using c = cluster()
  const a = await c.join({ role: 'coordinator' })
  const run = a.queue.submit('work', { type: 'nobody handles it' })
  const drained = a.queue.drain(1000)
  const failed = errorOf(drained)
  await c.clock.advance(1000)
  expect(await failed).toMatchObject({ code: 'DRAIN_TIMEOUT', unsettled: [run.id], zombies: [] })
})

test('after shutdown nothing is taken in, what was accepted goes on, and the end is told', async () => {
  await using c = cluster()
  const [a] = await c.pair({ handlers: { x: () => c.sleep(100).then(() => 'done') } })
  const run = a.queue.submit('work', { type: 'x' })
  await a.queue.shutdown()
  expect(await errorOf(a.queue.submit('work', { type: 'x' }))).toMatchObject({ code: 'SHUTTING_DOWN' })
  expect(await c.outcome(run)).toBe('done')
  await c.clock.settle()
  expect(a.keys().filter((key) => key.startsWith('shutdown'))).toEqual(['shutdown.started', 'shutdown.complete'])
})

test('a worker that closes lets what runs end, and leaves what waits to others', async () => {
  await using c = cluster({ lanes: { work: { maxConcurrency: 1 } } })
  const [a, b] = await c.pair({ handlers: { x: () => c.sleep(100).then(() => 'first worker') } })
  const [running, waiting] = a.queue.submitBatch('work', [{ type: 'x' }, { type: 'x' }])
  await c.clock.advance(50)
  await c.close(b, 1000)
  expect(await c.clock.expectSettled(running)).toBe('first worker')
  expect([waiting.state, (await c.counts())['work']]).toMatchObject(['pending', { pending: 1, active: 0 }])
  await c.join({ role: 'worker', handlers: { x: () => 'second worker' } })
  expect(await c.outcome(waiting)).toBe('second worker')
})

test('what a closing worker cannot finish goes back to the head of its lane at once, with its checkpoint', async () => {
  await using c = cluster({ lanes: { work: { maxConcurrency: 1 } } })
  const seen: unknown[] = []
  const [a, b] = await c.pair({
    handlers: {
      x: async (_payload, { checkpoint, signal }) => {
        await checkpoint({ page: 1 })
        await c.nap(60_000, signal)
      },
    },
  })
  const run = a.queue.submit('work', { type: 'x', payload: 'running' })
  await c.clock.advance(10)
  const later = a.queue.submit('work', { type: 'x', payload: 'later' }, { priority: 0 })
  await later.accepted
  await c.close(b, 100)
  expect((await c.counts())['work']).toMatchObject({ pending: 2, active: 0 })
  expect(b.faults()).toEqual([expect.stringContaining('did not stop within 100ms')])
  await c.join({
    role: 'worker',
    handlers: {
      x: (payload, { attempt, restored }) => {
        seen.push([payload, attempt, restored])
      },
    },
  })
  await c.outcome(run, 1000)
  await c.outcome(later, 1000)
  expect(seen).toEqual([
    ['running', 2, { page: 1 }],
    ['later', 1, undefined],
  ])
})

test('the runs of a submitter that closes reject with SHUTTING_DOWN, and their commands go on', async () => {
  await using c = cluster()
  const [a, b] = await c.pair({ handlers: { x: () => c.sleep(500).then(() => 'done') } })
  const run = a.queue.submit('work', { type: 'x' }, { id: 'mine' })
  await c.clock.advance(10)
  await c.close(a)
  expect(await errorOf(c.clock.expectSettled(run))).toMatchObject({ code: 'SHUTTING_DOWN' })
  await c.clock.advance(500)
  expect(await b.queue.get('mine')).toMatchObject({ state: 'completed', result: 'done' })
  const next = await c.join({ role: 'coordinator' })
  expect(await c.outcome(next.queue.submit('work', { type: 'x' }, { id: 'mine' }))).toBe('done')
})

test('a submit right before the close is accepted or refused, never forgotten', async () => {
  await using c = cluster({ latencyMs: 10 })
  const joining = c.join({ role: 'coordinator' })
  await c.clock.advance(10)
  const a = await joining
  const run = a.queue.submit('work', { type: 'x' }, { id: 'last' })
  await c.close(a)
  await run.accepted
  expect(await errorOf(run)).toMatchObject({ code: 'SHUTTING_DOWN' })
  expect((await c.counts())['work']).toMatchObject({ pending: 1 })
})

test('a claim under way when the worker closes is given back', async () => {
  await using c = cluster({ latencyMs: 10 })
  const joining = [
    c.join({ role: 'coordinator' }),
    c.join({ role: 'worker', handlers: { x: () => c.notes.push('x') } }),
  ]
  await c.clock.advance(10)
  const [a, b] = await Promise.all(joining)
  await c.clock.advance(50)
  const run = a?.queue.submit('work', { type: 'x' })
  // 10 ms until it is there, 10 ms until the worker hears of it, 10 ms for its claim
  await c.clock.advance(25)
  const closing = b === undefined ? undefined : c.close(b, 500)
  await closing
  expect([c.notes, run?.state, (await c.counts())['work']]).toMatchObject([[], 'pending', { pending: 1, active: 0 }])
})

test('a close while the engine is away always comes back', async () => {
  await using c = cluster()
  const [a, b] = await c.pair({ offlineTimeoutMs: 60_000, handlers: { x: () => c.sleep(100) } })
  const run = a.queue.submit('work', { type: 'x' })
  await c.clock.advance(10)
  a.engine.cut()
  b.engine.cut()
  const lost = a.queue.submit('work', { type: 'x' })
  const closed = [a.queue.close({ timeoutMs: 500 }), b.queue.close({ timeoutMs: 500 })]
  await c.clock.advance(5000)
  await c.clock.expectSettled(Promise.all(closed))
  expect(await errorOf(run)).toMatchObject({ code: 'SHUTTING_DOWN' })
  expect(await errorOf(lost)).toMatchObject({ code: 'SHUTTING_DOWN' })
  expect(await errorOf(lost.accepted)).toMatchObject({ code: 'SHUTTING_DOWN' })
})

test('closing twice is closing once, and nothing is taken in or started afterwards', async () => {
  await using c = cluster()
  const a = await c.join()
  await c.close(a)
  await a.queue.close()
  expect(await errorOf(a.queue.submit('work', { type: 'x' }))).toMatchObject({ code: 'SHUTTING_DOWN' })
  const b = await c.join({ start: false })
  await c.close(b)
  expect(await errorOf(b.queue.start())).toMatchObject({ code: 'SHUTTING_DOWN' })
})

test('a queue that was never started or used closes without having connected', async () => {
  await using c = cluster()
  const a = await c.join({ start: false })
  await c.close(a)
  expect(a.keys()).toEqual(['shutdown.started', 'shutdown.complete'])
})

test('a start that fails may be tried again', async () => {
  await using c = cluster()
  const a = await c.join({ start: false, offlineTimeoutMs: 100, handlers: { x: () => 1 } })
  a.engine.cut()
  const failed = errorOf(a.queue.start())
  await c.clock.advance(100)
  expect(await failed).toMatchObject({ code: 'ENGINE_UNAVAILABLE' })
  a.engine.mend()
  await a.queue.start()
  expect(await c.outcome(a.queue.submit('work', { type: 'x' }))).toBe(1)
})

test('a coordinator runs nothing, also when it has handlers', async () => {
  await using c = cluster()
  const a = await c.join({ role: 'coordinator', handlers: { x: () => 1 } })
  const run = a.queue.submit('work', { type: 'x' })
  await c.clock.advance(20_000)
  expect(run.state).toBe('pending')
})

test('a worker may submit, and awaits what others run', async () => {
  await using c = cluster()
  const b = await c.join({ role: 'worker', handlers: { x: () => 1 } })
  expect(await c.outcome(b.queue.submit('work', { type: 'x' }))).toBe(1)
})

test('a command goes back that its worker has no handler for, and runs where there is one', async () => {
  await using c = cluster()
  const a = await c.join({ role: 'coordinator' })
  const without = await c.join({ role: 'worker' })
  const run = a.queue.submit('work', { type: 'rare' })
  await c.clock.advance(10)
  expect(without.keys(run)).toEqual(['delayed', 'fault'])
  await c.join({ role: 'worker', handlers: { rare: () => 'found' } })
  expect(await c.outcome(run)).toBe('found')
  expect((await a.queue.get(run.id))?.attempt).toBe(1)
  expect(without.faults()).toEqual(['HANDLER_NOT_FOUND'])
})

test('a handler that comes after the start finds what went back', async () => {
  await using c = cluster()
  const [a, b] = await c.pair()
  const run = a.queue.submit('work', { type: 'late' })
  await c.clock.advance(10)
  b.queue.handle('late', () => 'handled')
  expect(await c.outcome(run, 2000)).toBe('handled')
  expect(b.faults()).toEqual(['HANDLER_NOT_FOUND'])
})

test('counts, pages and facts are those of all processes', async () => {
  await using c = cluster({ lanes: { high: {}, low: { maxConcurrency: 1 } } })
  const [a, b] = await c.pair({ handlers: { slow: (_payload, { signal }) => c.nap(1000, signal) } })
  const runs = a.queue.submitBatch('low', [
    { type: 'slow', payload: 1 },
    { type: 'slow', payload: 2 },
  ])
  runs.push(a.queue.submit('high', { type: 'slow', payload: 3 }, { delayMs: 60_000 }))
  await c.clock.advance(10)
  for (const { queue } of [a, b]) {
    expect(await queue.clusterStats()).toMatchObject({
      totalPending: 1,
      totalActive: 1,
      totalDelayed: 1,
      lanes: { low: { pending: 1, active: 1, delayed: 0, paused: false }, high: { delayed: 1 } },
      connection: { isUp: true },
    })
    const { items, nextCursor } = await queue.list({ limit: 2 })
    const rest = await queue.list({ limit: 2, cursor: nextCursor })
    expect([...items, ...rest.items].map(({ payload, state }) => [payload, state])).toEqual([
      [1, 'active'],
      [2, 'pending'],
      [3, 'delayed'],
    ])
    expect(rest.nextCursor).toBeUndefined()
    expect((await queue.list({ laneId: 'low', state: 'active' })).items.map(({ payload }) => payload)).toEqual([1])
  }
  expect(await a.queue.get('nobody')).toBeUndefined()
  expect(await errorOf(a.queue.list({ laneId: 'nowhere' }))).toMatchObject({ code: 'LANE_NOT_FOUND' })
  for (const run of runs) run.cancel()
  await Promise.allSettled(runs)
})

test('clusterStats of a queue without an engine are its own', async () => {
  const queue = new QueueManager({ lanes: { work: { priority: 0 } } })
  void queue.submit('work', { type: 'x' }).catch(() => undefined)
  expect(await queue.clusterStats()).toMatchObject({ totalPending: 1, lanes: { work: { pending: 1 } }, connection: {} })
  await queue.close()
})
