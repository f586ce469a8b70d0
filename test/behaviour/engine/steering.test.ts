import type { CommandContext, Handler } from '@a3s-lab/lane'
import { expect, test } from 'vitest'
import { type Cluster, cluster } from '../../support/cluster.js'
import { errorOf } from '../../support/setup.js'

const lanes = {
  control: { priority: 0, preempts: true, minConcurrency: 0 },
  work: { priority: 5, preemptible: true, minConcurrency: 0 },
}

/** Works through pages and saves where it stands, before it stops too. */
const paged =
  (c: Cluster, pages: number): Handler =>
  async (name, { restored, checkpoint, signal, attempt }: CommandContext) => {
    let page = (restored as number | undefined) ?? 0
    c.notes.push(`${String(name)} from ${page} attempt ${attempt}`)
    while (page < pages) {
      await c.nap(100, signal)
      await checkpoint(++page)
    }
    return `${String(name)} ${page}`
  }

test('a preempting lane takes the slot of a preemptible one, which goes on from its checkpoint', async () => {
  await using c = cluster({ lanes })
  const [a, b] = await c.pair({ maxConcurrency: 1, handlers: { paged: paged(c, 5), quick: () => c.clock.now() } })
  const low = a.queue.submit('work', { type: 'paged', payload: 'low' })
  await c.clock.advance(250)
  const high = a.queue.submit('control', { type: 'quick' })
  const startedAt = await c.outcome(high)
  expect(startedAt).toBeLessThanOrEqual(300)
  expect(await c.outcome(low)).toBe('low 5')
  expect(c.notes).toEqual(['low from 0 attempt 1', 'low from 2 attempt 1'])
  expect(b.keys(low)).toEqual(['started', 'preempted', 'started', 'resumed', 'completed'])
})

test('a preempting lane without work costs a busy worker no polling, and preempts all the same', async () => {
  await using c = cluster({ lanes })
  const handlers = {
    long: (_: unknown, { signal }: CommandContext) => c.nap(60_000, signal),
    quick: () => c.clock.now(),
  }
  const [a, b] = await c.pair({ maxConcurrency: 1, handlers })
  let looks = 0
  const counts = b.engine.counts.bind(b.engine)
  b.engine.counts = () => {
    looks++
    return counts()
  }
  const low = a.queue.submit('work', { type: 'long' })
  // one that was taken, too: there may be more where it was
  await c.clock.advance(10)
  await c.outcome(a.queue.submit('control', { type: 'quick' }))
  await c.clock.advance(30_000)
  // a worker without a free slot looks once a second
  expect(looks).toBeLessThan(60)
  const before = c.clock.now()
  expect(await c.outcome(a.queue.submit('control', { type: 'quick' }))).toBeLessThan(before + 100)
  a.queue.lane('control').pause()
  const paused = a.queue.submit('control', { type: 'quick' })
  await c.clock.advance(10_000)
  expect([looks < 90, paused.state]).toEqual([true, 'pending'])
  const resumedAt = c.clock.now()
  a.queue.lane('control').resume()
  expect(await c.outcome(paused)).toBeLessThan(resumedAt + 100)
  low.cancel()
  await errorOf(c.outcome(low))
})

test('what was preempted may go on with another worker', async () => {
  await using c = cluster({ lanes })
  const a = await c.join({ role: 'coordinator' })
  const handlers = {
    paged: paged(c, 5),
    long: (_payload: unknown, { signal }: CommandContext) => c.nap(60_000, signal),
  }
  const first = await c.join({ role: 'worker', maxConcurrency: 1, handlers })
  const low = a.queue.submit('work', { type: 'paged', payload: 'low' })
  await c.clock.advance(250)
  const second = await c.join({ role: 'worker', maxConcurrency: 1, handlers })
  const longs = a.queue.submitBatch('control', [{ type: 'long' }, { type: 'long' }])
  await c.clock.advance(1000)
  expect(low.state).toBe('pending')
  for (const run of longs) run.cancel()
  await Promise.allSettled(longs)
  expect(await c.outcome(low)).toBe('low 5')
  expect([...first.keys(low), ...second.keys(low)].filter((key) => key === 'preempted')).toHaveLength(1)
  expect(c.notes).toHaveLength(2)
})

test('a lane that does not preempt waits for its slot', async () => {
  await using c = cluster({ lanes: { control: { priority: 0 }, work: { priority: 5, preemptible: true } } })
  const [a, b] = await c.pair({ maxConcurrency: 1, handlers: { paged: paged(c, 5), quick: () => c.clock.now() } })
  const low = a.queue.submit('work', { type: 'paged', payload: 'low' })
  await c.clock.advance(250)
  expect(await c.outcome(a.queue.submit('control', { type: 'quick' }))).toBe(500)
  expect([await low, b.keys(low)]).toEqual(['low 5', ['started', 'completed']])
})

test('a body that yields lets a better command in, and goes on in place', async () => {
  await using c = cluster({ lanes: { high: {}, low: {} } })
  const [a, b] = await c.pair({
    maxConcurrency: 1,
    handlers: {
      pieces: async (_payload, ctx) => {
        for (let piece = 1; piece <= 3; piece++) {
          c.notes.push(`piece ${piece}`)
          await c.sleep(10)
          await ctx.yield()
        }
        return ctx.attempt
      },
      quick: () => c.notes.push('quick'),
    },
  })
  const low = a.queue.submit('low', { type: 'pieces' })
  await c.clock.advance(5)
  const high = a.queue.submit('high', { type: 'quick' })
  expect(await c.outcome(low)).toBe(1)
  await high
  expect(c.notes).toEqual(['piece 1', 'quick', 'piece 2', 'piece 3'])
  expect(b.keys(low)).toEqual(['started', 'completed'])
})

test('a child that its handler waits for runs in the same process, in its slot: a lane of one does not block itself', async () => {
  await using c = cluster({ lanes: { work: { maxConcurrency: 1 } } })
  const handlers = (name: string): Record<string, Handler> => ({
    parent: async (_payload, { run }) => [name, await run('work', { type: 'child', payload: 1 })],
    child: (payload) => [name, payload],
  })
  const a = await c.join({ role: 'coordinator' })
  await c.join({ role: 'worker', handlers: handlers('b') })
  await c.join({ role: 'worker', handlers: handlers('c') })
  const runs = a.queue.submitBatch('work', [{ type: 'parent' }, { type: 'parent' }, { type: 'parent' }])
  await c.clock.advance(1000)
  for (const [name, child] of (await Promise.all(runs)) as [string, [string, number]][])
    expect(child).toEqual([name, 1])
})

test('a child may be a function, and a failing one fails its parent', async () => {
  await using c = cluster()
  const [a] = await c.pair({
    handlers: {
      parent: async (which, { run }) =>
        which === 'good'
          ? run('work', () => 'from a function')
          : run('work', () => {
              throw new Error('child')
            }),
    },
  })
  expect(await c.outcome(a.queue.submit('work', { type: 'parent', payload: 'good' }))).toBe('from a function')
  expect(await errorOf(c.outcome(a.queue.submit('work', { type: 'parent', payload: 'bad' })))).toMatchObject({
    message: 'child',
  })
})

test("a child that is submitted and not waited for is anybody's, and knows its parent", async () => {
  await using c = cluster()
  const a = await c.join({ role: 'coordinator' })
  const names: string[] = []
  for (const name of ['b', 'c']) {
    await c.join({
      role: 'worker',
      maxConcurrency: 1,
      handlers: {
        parent: async (_payload, { queue }) => {
          const runs = queue.submitBatch('work', [{ type: 'child' }, { type: 'child' }])
          await Promise.race(runs)
          return runs.map(({ id }) => id)
        },
        child: async () => {
          names.push(name)
          await c.sleep(10)
        },
      },
    })
  }
  const run = a.queue.submit('work', { type: 'parent' })
  const ids = (await c.outcome(run)) as string[]
  await c.clock.advance(100)
  expect(names).toHaveLength(2)
  expect((await a.queue.get(ids[0] as string))?.parentId).toBe(run.id)
})

test('progress of a handler is read in the process that has submitted', async () => {
  await using c = cluster()
  const [a, b] = await c.pair({
    handlers: {
      x: async (_payload, { progress }) => {
        for (let done = 1; done <= 3; done++) {
          await c.sleep(10)
          progress({ done })
        }
      },
    },
  })
  const run = a.queue.submit('work', { type: 'x' })
  const values: unknown[] = []
  const reading = (async () => {
    for await (const value of run.progress()) values.push(value)
  })()
  await c.clock.advance(25)
  expect((await b.queue.get(run.id))?.progress).toEqual({ done: 2 })
  expect((await a.queue.get(run.id))?.progress).toEqual({ done: 2 })
  await c.outcome(run)
  await c.clock.expectSettled(reading)
  expect(values).toEqual([{ done: 1 }, { done: 2 }, { done: 3 }])
  expect(b.keys(run)).toEqual(['started', 'progress', 'progress', 'progress', 'completed'])
})

test('what a handler logs stands in the record that any process reads', async () => {
  await using c = cluster()
  const [a] = await c.pair({
    handlers: {
      x: (_payload, { log, attempt }) => {
        log(`attempt ${attempt}`)
      },
    },
  })
  const run = a.queue.submit('work', { type: 'x' })
  await c.outcome(run)
  expect((await a.queue.get(run.id))?.logs?.map(({ line }) => line)).toEqual(['attempt 1'])
})

test('a running command is shown as active with its attempt, and when it started', async () => {
  await using c = cluster()
  const [a, b] = await c.pair({ handlers: { x: (_payload, { signal }) => c.nap(100, signal) } })
  const run = a.queue.submit('work', { type: 'x' })
  await c.clock.advance(10)
  const startedAt = new Date(c.clock.wallNow() - 10).toISOString()
  for (const { queue } of [a, b]) {
    expect(await queue.get(run.id)).toMatchObject({ state: 'active', attempt: 1, startedAt })
  }
  await c.outcome(run)
})
