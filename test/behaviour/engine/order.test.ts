import { RateLimitConfig } from '@a3s-lab/lane'
import { expect, test } from 'vitest'
import { type Cluster, cluster, type Member, type MemberOptions } from '../../support/cluster.js'

/** A worker with a handler that writes its payload down and takes its time. */
const noting = (c: Cluster, ms: number, options: MemberOptions = {}): Promise<Member> =>
  c.join({
    role: 'worker',
    ...options,
    handlers: {
      note: async (name) => {
        c.notes.push(String(name))
        await c.sleep(ms)
      },
    },
  })

const note = (payload: string) => ({ type: 'note', payload })

test('a free slot of each worker goes to the highest lane with work', async () => {
  await using c = cluster({ lanes: { high: {}, middle: {}, low: {} } })
  const a = await c.join({ role: 'coordinator' })
  for (const lane of ['low', 'middle', 'high']) {
    void a.queue.submitBatch(
      lane,
      Array.from({ length: 4 }, () => note(lane)),
    )
  }
  await c.clock.settle()
  for (let worker = 0; worker < 2; worker++) await noting(c, 10, { maxConcurrency: 1 })
  await c.clock.advance(100)
  expect(c.notes).toEqual([
    ...Array.from({ length: 4 }, () => 'high'),
    ...Array.from({ length: 4 }, () => 'middle'),
    ...Array.from({ length: 4 }, () => 'low'),
  ])
})

test('what comes to a higher lane goes before what has waited in a lower one', async () => {
  await using c = cluster({ lanes: { high: {}, low: {} } })
  const a = await c.join({ role: 'coordinator' })
  await noting(c, 10, { maxConcurrency: 1 })
  void a.queue.submitBatch('low', [note('low 1'), note('low 2'), note('low 3')])
  await c.clock.advance(5)
  void a.queue.submit('high', note('high 1'))
  await c.clock.advance(10)
  void a.queue.submit('high', note('high 2'))
  await c.clock.advance(50)
  expect(c.notes).toEqual(['low 1', 'high 1', 'high 2', 'low 2', 'low 3'])
})

test('within a lane priority goes first, then arrival, whoever submits', async () => {
  await using c = cluster({ lanes: { work: { maxConcurrency: 1 } } })
  const a = await c.join({ role: 'coordinator' })
  const b = await c.join({ role: 'coordinator' })
  const submits: [Member, string, number | undefined][] = [
    [a, 'late', 2000],
    [b, 'first of all', 0],
    [a, 'plain 1', undefined],
    [b, 'plain 2', undefined],
    [b, 'early', 5],
    [a, 'plain 3', 1000],
    [a, 'last of all', 2_097_150],
  ]
  for (const [{ queue }, name, priority] of submits) await queue.submit('work', note(name), { priority }).accepted
  await noting(c, 1)
  await c.clock.advance(20)
  expect(c.notes).toEqual(['first of all', 'early', 'plain 1', 'plain 2', 'plain 3', 'late', 'last of all'])
})

test('the limit of a lane holds over all workers, and each slot is used', async () => {
  await using c = cluster({ lanes: { work: { maxConcurrency: 4 } } })
  const a = await c.join({ role: 'coordinator' })
  let running = 0
  let most = 0
  const x = async (): Promise<void> => {
    most = Math.max(most, ++running)
    await c.sleep(10)
    running--
  }
  for (let worker = 0; worker < 3; worker++) await c.join({ role: 'worker', handlers: { x } })
  const runs = a.queue.submitBatch(
    'work',
    Array.from({ length: 40 }, () => ({ type: 'x' })),
  )
  await c.clock.advance(95)
  expect(runs.filter(({ state }) => state === 'completed')).toHaveLength(36)
  await c.clock.advance(5)
  expect([most, runs.every(({ state }) => state === 'completed')]).toEqual([4, true])
})

test('the limit of a worker holds for it alone', async () => {
  await using c = cluster({ lanes: { high: { maxConcurrency: 10 }, low: { maxConcurrency: 10 } } })
  const a = await c.join({ role: 'coordinator' })
  const running = [0, 0]
  const most = [0, 0]
  for (const [worker, maxConcurrency] of [1, 3].entries()) {
    const { queue } = await c.join({ role: 'worker', maxConcurrency })
    queue.handle('x', async () => {
      running[worker] = (running[worker] ?? 0) + 1
      most[worker] = Math.max(most[worker] ?? 0, running[worker])
      await c.sleep(10)
      running[worker]--
    })
  }
  const commands = Array.from({ length: 10 }, () => ({ type: 'x' }))
  const runs = [...a.queue.submitBatch('high', commands), ...a.queue.submitBatch('low', commands)]
  await c.clock.advance(50)
  expect([most, runs.every(({ state }) => state === 'completed')]).toEqual([[1, 3], true])
})

test('a protected lane with a slot of its own starts at once, with every other slot of every worker busy', async () => {
  await using c = cluster({
    lanes: { control: { minConcurrency: 1, protected: true }, low: { maxConcurrency: 20 } },
  })
  const a = await c.join({ role: 'coordinator' })
  for (let worker = 0; worker < 3; worker++) {
    const { queue } = await c.join({ role: 'worker', maxConcurrency: 3 })
    queue.handle('busy', () => c.sleep(10_000))
    queue.handle('control', () => c.clock.now())
  }
  const busy = a.queue.submitBatch(
    'low',
    Array.from({ length: 20 }, () => ({ type: 'busy' })),
  )
  await c.clock.advance(1000)
  expect((await c.counts())['low']?.active).toBe(6)
  for (let time = 1000; time < 1010; time++) {
    expect(await c.clock.expectSettled(a.queue.submit('control', { type: 'control' }))).toBe(time)
    await c.clock.advance(1)
  }
  for (const run of busy) run.cancel()
  await Promise.allSettled(busy)
  await c.clock.advance(10_000)
})

test('a lane keeps its reserved slots on each worker for itself when it does not lend them', async () => {
  await using c = cluster({
    lanes: { low: { priority: 5, minConcurrency: 1, lend: false }, high: { priority: 1, maxConcurrency: 10 } },
  })
  const a = await c.join({ role: 'coordinator' })
  await noting(c, 10, { maxConcurrency: 2 })
  void a.queue.submitBatch('high', [note('high'), note('high'), note('high')])
  await c.clock.advance(5)
  void a.queue.submit('low', note('low'))
  await c.clock.advance(1)
  expect(c.notes).toEqual(['high', 'low'])
  await c.clock.advance(50)
})

test('a delayed command is due at its instant, and goes behind those of its priority that came before', async () => {
  await using c = cluster({ lanes: { work: { maxConcurrency: 1 } } })
  const [a, b] = await c.pair()
  const starts: [string, number][] = []
  b.queue.handle('x', (name: string) => {
    starts.push([name, c.clock.now()])
  })
  const { queue } = a
  const delayed = queue.submit('work', { type: 'x', payload: 'delayed' }, { delayMs: 500 })
  void queue.submit('work', { type: 'x', payload: 'at' }, { runAt: c.clock.wallNow() + 300 })
  const text = new Date(c.clock.wallNow() + 400).toISOString()
  void queue.submit('work', { type: 'x', payload: 'text' }, { runAt: text })
  void queue.submit('work', { type: 'x', payload: 'past' }, { runAt: c.clock.wallNow() - 300 })
  await c.clock.advance(1)
  expect([delayed.state, a.keys(delayed), (await queue.get(delayed.id))?.state]).toEqual([
    'delayed',
    ['submitted', 'delayed'],
    'delayed',
  ])
  await c.clock.advance(1000)
  expect(starts).toEqual([
    ['past', 0],
    ['at', 300],
    ['text', 400],
    ['delayed', 500],
  ])
})

test('the rate of a lane holds over all workers', async () => {
  await using c = cluster({
    lanes: { work: { maxConcurrency: 10, rateLimit: new RateLimitConfig(5, 1000) } },
  })
  const a = await c.join({ role: 'coordinator' })
  const starts: number[] = []
  for (let worker = 0; worker < 3; worker++) {
    const { queue } = await c.join({ role: 'worker' })
    queue.handle('x', () => {
      starts.push(c.clock.now())
    })
  }
  const runs = a.queue.submitBatch(
    'work',
    Array.from({ length: 15 }, () => ({ type: 'x' })),
  )
  await c.clock.advance(2000)
  await Promise.all(runs)
  const within = (from: number): number => starts.filter((at) => at >= from && at < from + 1000).length
  expect(starts).toHaveLength(15)
  // a bucket: five at once, and then one each 200 ms
  expect(Math.max(...starts.map(within))).toBeLessThanOrEqual(10)
  expect(starts.at(-1)).toBe(2000)
})

test('a process that comes later, or was away, knows which lanes are paused', async () => {
  await using c = cluster()
  const a = await c.join({ role: 'coordinator' })
  const b = await noting(c, 10)
  b.engine.cut()
  a.queue.lane('work').pause()
  await a.queue.lane('work').applied()
  const later = await noting(c, 10)
  b.engine.mend()
  await c.clock.settle()
  expect([b, later].map(({ queue }) => queue.lane('work').status().paused)).toEqual([true, true])
  b.engine.cut()
  a.queue.lane('work').resume()
  await a.queue.lane('work').applied()
  expect([b, later].map(({ queue }) => queue.lane('work').status().paused)).toEqual([true, false])
  const run = b.queue.submit('work', note('x'))
  await c.clock.advance(1)
  expect(run.state).toBe('pending')
  b.engine.mend()
  await c.outcome(run)
  expect(b.queue.lane('work').status().paused).toBe(false)
})

test('a paused lane starts nothing on any worker until any process resumes it', async () => {
  await using c = cluster()
  const a = await c.join({ role: 'coordinator' })
  const b = await noting(c, 10)
  const third = await noting(c, 10, { role: 'both' })
  third.queue.lane('work').pause()
  await c.clock.settle()
  const run = a.queue.submit('work', note('x'))
  await c.clock.advance(20_000)
  expect([run.state, c.notes, a.queue.lane('work').status().paused]).toEqual(['pending', [], true])
  a.queue.lane('work').resume()
  await c.outcome(run)
  expect([a, b, third].map((member) => member.keys().filter((key) => /paused|resumed/.test(key)))).toEqual([
    ['lane.paused', 'lane.resumed'],
    ['lane.paused', 'lane.resumed'],
    ['lane.paused', 'lane.resumed'],
  ])
})
