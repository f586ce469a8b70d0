import { type CommandContext, type Handler, RetryPolicy } from '@a3s-lab/lane'
import { expect, test, vi } from 'vitest'
import { cluster, type Member } from '../../support/cluster.js'
import { errorOf } from '../../support/setup.js'

const LEASE = { leaseMs: 1000 }

test('a command whose worker is gone runs on another as the next attempt, and keeps its place', async () => {
  await using c = cluster({ ...LEASE, lanes: { work: { maxConcurrency: 1 } } })
  const a = await c.join({ role: 'coordinator' })
  const seen: [string, number, string][] = []
  const x =
    (worker: string, ms: number): Handler =>
    async (name, { attempt }) => {
      seen.push([String(name), attempt, worker])
      if (ms > 0) await c.sleep(ms)
    }
  const lost = await c.join({ role: 'worker', handlers: { x: x('lost', 5000) } })
  const runs = a.queue.submitBatch('work', [
    { type: 'x', payload: 'first' },
    { type: 'x', payload: 'second' },
  ])
  await c.clock.advance(10)
  const other = await c.join({ role: 'worker', handlers: { x: x('other', 0) } })
  lost.engine.cut()
  await c.clock.advance(3000)
  expect(seen).toEqual([
    ['first', 1, 'lost'],
    ['first', 2, 'other'],
    ['second', 1, 'other'],
  ])
  await Promise.all(runs)
  expect(other.keys(runs[0])).toEqual(['recovered', 'started', 'completed'])
  expect((await a.queue.get(runs[0].id))?.attempt).toBe(2)
  await c.clock.advance(20_000)
  expect(lost.faults()).toEqual(['LEASE_LOST'])
})

test('a worker that was away hears that its lease is lost, and what its handler still gives is refused', async () => {
  await using c = cluster(LEASE)
  const reasons: unknown[] = []
  const handler =
    (worker: string): Handler =>
    async (_payload, { signal }) => {
      signal.addEventListener('abort', () => reasons.push([worker, (signal.reason as { code: string }).code]))
      await c.sleep(worker === 'first' ? 5000 : 100)
      return worker
    }
  const a = await c.join({ role: 'coordinator' })
  const first = await c.join({ role: 'worker', handlers: { x: handler('first') } })
  const run = a.queue.submit('work', { type: 'x' })
  await c.clock.advance(10)
  first.engine.cut()
  const second = await c.join({ role: 'worker', handlers: { x: handler('second') } })
  expect(await c.outcome(run)).toBe('second')
  first.engine.mend()
  await c.clock.advance(10_000)
  expect(reasons).toEqual([['first', 'LEASE_LOST']])
  expect((await a.queue.get(run.id))?.result).toBe('second')
  expect([first.keys(run), second.keys(run)]).toEqual([
    ['started', 'fault'],
    ['recovered', 'started', 'completed'],
  ])
  expect(first.faults()).toEqual(['LEASE_LOST'])
  expect(first.queue.stats()).toMatchObject({ totalActive: 0, totalSlots: 0 })
})

test('a lease is kept while the end of its command waits for the engine, however long that takes', async () => {
  await using c = cluster(LEASE)
  const ran: string[] = []
  const a = await c.join({ role: 'coordinator' })
  const first = await c.join({ role: 'worker', handlers: { x: () => void ran.push('first') } })
  // as behind many others, or over a slow network
  const end = first.engine.end.bind(first.engine)
  vi.spyOn(first.engine, 'end').mockImplementationOnce(async (...args) => {
    await c.sleep(5 * LEASE.leaseMs)
    return end(...args)
  })
  const run = a.queue.submit('work', { type: 'x' })
  await c.clock.advance(10)
  const second = await c.join({ role: 'worker', handlers: { x: () => void ran.push('second') } })
  await c.outcome(run)
  expect(ran).toEqual(['first'])
  expect((await a.queue.get(run.id))?.attempt).toBe(1)
  expect([first.faults(), second.faults()]).toEqual([[], []])
})

test('a claim whose answer is older than a lease is not begun: another worker may have run it', async () => {
  await using c = cluster(LEASE)
  const ran: string[] = []
  const a = await c.join({ role: 'coordinator' })
  const slow = await c.join({ role: 'worker', start: false, handlers: { x: () => void ran.push('slow') } })
  // as in a process that stands still after it has asked
  const claim = slow.engine.claim.bind(slow.engine)
  vi.spyOn(slow.engine, 'claim').mockImplementationOnce(async (laneId, token) => {
    const answer = await claim(laneId, token)
    await c.sleep(6000)
    return answer
  })
  const run = a.queue.submit('work', { type: 'x' })
  await run.accepted
  await slow.queue.start()
  await c.clock.advance(10)
  await c.join({ role: 'worker', handlers: { x: () => void ran.push('other') } })
  await c.outcome(run)
  await c.clock.advance(10_000)
  expect(ran).toEqual(['other'])
  expect(slow.faults()).toEqual(['LEASE_LOST'])
  expect(slow.queue.stats()).toMatchObject({ totalActive: 0, totalSlots: 0 })
  await c.outcome(a.queue.submit('work', { type: 'x' }))
})

test.for([200, 10_000])(
  'a worker that cannot renew for as long as its lease lasts takes it for lost: calls wait %i ms',
  async (offlineTimeoutMs) => {
    await using c = cluster(LEASE)
    let abortedAt = 0
    const [a, b] = await c.pair({
      offlineTimeoutMs,
      handlers: {
        x: async (_payload, { signal, attempt }) => {
          if (attempt > 1) return attempt
          signal.addEventListener('abort', () => {
            abortedAt = c.clock.now()
          })
          return c.nap(60_000, signal)
        },
      },
    })
    const run = a.queue.submit('work', { type: 'x' })
    await c.clock.advance(100)
    b.engine.cut()
    await c.clock.advance(5000)
    expect(abortedAt).toBeGreaterThanOrEqual(1000)
    expect(abortedAt).toBeLessThanOrEqual(1100)
    b.engine.mend()
    expect(await c.outcome(run)).toBe(2)
    expect(b.faults()).toEqual(['LEASE_LOST'])
  },
)

test('the next worker goes on from the last checkpoint', async () => {
  await using c = cluster(LEASE)
  const seen: unknown[] = []
  const pages: Handler = async (_payload, { checkpoint, restored, attempt, signal }) => {
    seen.push([attempt, restored])
    for (let page = ((restored as { page: number } | undefined)?.page ?? 0) + 1; page <= 5; page++) {
      await c.nap(400, signal)
      await checkpoint({ page })
    }
    return 'read'
  }
  const [a, b] = await c.pair({ handlers: { pages } })
  const run = a.queue.submit('work', { type: 'pages' })
  await c.clock.advance(1000)
  b.engine.cut()
  await c.join({ role: 'worker', handlers: { pages } })
  expect(await c.outcome(run)).toBe('read')
  expect(seen).toEqual([
    [1, undefined],
    [2, { page: 2 }],
  ])
  await c.clock.advance(20_000)
  expect(b.faults()).toEqual(['LEASE_LOST'])
})

test('a checkpoint of who has lost the lease is refused with LEASE_LOST, and changes nothing', async () => {
  await using c = cluster(LEASE)
  const errors: unknown[] = []
  const stale: Handler = async (_payload, { checkpoint, attempt, restored }) => {
    if (attempt > 1) {
      await c.sleep(5000)
      return restored
    }
    await checkpoint('mine')
    await c.sleep(3000)
    errors.push(await errorOf(checkpoint('stale')))
    return 'stale'
  }
  const [a, b] = await c.pair({ handlers: { stale } })
  const run = a.queue.submit('work', { type: 'stale' })
  await c.clock.advance(10)
  b.engine.cut()
  await c.join({ role: 'worker', handlers: { stale } })
  await c.clock.advance(2500)
  b.engine.mend()
  expect(await c.outcome(run)).toBe('mine')
  expect(errors).toMatchObject([{ code: 'LEASE_LOST' }])
  expect(b.faults()).toEqual(['LEASE_LOST'])
})

test('a lost lease spends no retry', async () => {
  await using c = cluster(LEASE)
  const attempts: number[] = []
  const x: Handler = async (_payload, { attempt, signal }) => {
    attempts.push(attempt)
    if (attempt === 1) await c.nap(60_000, signal)
    if (attempt === 2) throw new Error('once')
    return attempt
  }
  const [a, b] = await c.pair({ handlers: { x } })
  const run = a.queue.submit('work', { type: 'x' }, { retry: RetryPolicy.fixed(1, 10) })
  await c.clock.advance(10)
  b.engine.cut()
  await c.join({ role: 'worker', handlers: { x } })
  expect(await c.outcome(run)).toBe(3)
  expect(attempts).toEqual([1, 2, 3])
  await c.clock.advance(60_000)
  expect(b.faults()).toEqual(['LEASE_LOST'])
})

test('a command that loses its worker more often than maxRecoveries fails and is a dead letter', async () => {
  await using c = cluster({ ...LEASE, lanes: { work: { maxRecoveries: 2 } } })
  const a = await c.join({ role: 'coordinator', deadLetters: 10 })
  const attempts: number[] = []
  const crash: Handler = async (_payload, { attempt, signal }) => {
    attempts.push(attempt)
    await c.nap(60_000, signal)
  }
  const run = a.queue.submit('work', { type: 'crash' })
  const workers: Member[] = []
  for (let crashes = 0; crashes < 3; crashes++) {
    const worker = await c.join({ role: 'worker', deadLetters: 10, handlers: { crash } })
    await c.clock.advance(100)
    worker.engine.cut()
    workers.push(worker)
    await c.clock.advance(1500)
  }
  const last = await c.join({ role: 'worker', deadLetters: 10, handlers: { crash } })
  expect(await errorOf(c.outcome(run))).toMatchObject({
    code: 'COMMAND_FAILED',
    message: expect.stringContaining('3 times') as string,
  })
  expect(attempts).toEqual([1, 2, 3])
  expect(last.keys(run)).toEqual(['dead_lettered', 'failed'])
  expect(await a.queue.deadLetters.get(run.id)).toMatchObject({ commandId: run.id })
  await c.clock.advance(20_000)
  for (const worker of workers) expect(worker.faults()).toEqual(['LEASE_LOST'])
})

test('a lane of one is free again when the lease of its lost worker has run out', async () => {
  await using c = cluster({ ...LEASE, lanes: { work: { maxConcurrency: 1 } } })
  const [a, b] = await c.pair({ handlers: { stuck: (_payload, { signal }) => c.nap(60_000, signal) } })
  void a.queue.submit('work', { type: 'stuck' })
  await c.clock.advance(10)
  b.engine.cut()
  await c.join({ role: 'worker', handlers: { stuck: () => 1, next: () => c.clock.now() } })
  const next = a.queue.submit('work', { type: 'next' })
  const startedAt = await c.outcome(next)
  expect(startedAt).toBeGreaterThanOrEqual(1000)
  expect(startedAt).toBeLessThanOrEqual(3000)
  await c.clock.advance(20_000)
  expect(b.faults()).toEqual(['LEASE_LOST'])
})

test('an outcome that could not be told while the engine was away is told when it is back, within the lease', async () => {
  await using c = cluster({ leaseMs: 10_000 })
  const [a, b] = await c.pair({ offlineTimeoutMs: 200, handlers: { x: () => c.sleep(500).then(() => 'done') } })
  const run = a.queue.submit('work', { type: 'x' })
  await c.clock.advance(100)
  b.engine.cut()
  await c.clock.advance(5000)
  expect(run.state).toBe('pending')
  b.engine.mend()
  expect(await c.outcome(run, 2000)).toBe('done')
  expect(b.keys(run)).toEqual(['started', 'completed'])
})

test('an outcome whose message is lost is found by the submitter', async () => {
  await using c = cluster()
  const [a] = await c.pair({ handlers: { x: () => 'done' } })
  a.engine.dropMessages = true
  const run = a.queue.submit('work', { type: 'x' })
  await c.clock.advance(4000)
  expect(run.state).toBe('pending')
  expect(await c.outcome(run, 6000)).toBe('done')
})

test('a submitter that was cut off hears of its outcomes when it is back', async () => {
  await using c = cluster()
  const [a] = await c.pair({ handlers: { x: () => c.sleep(100).then(() => 'done') } })
  const run = a.queue.submit('work', { type: 'x' })
  await run.accepted
  a.engine.cut()
  await c.clock.advance(60_000)
  expect(run.state).toBe('pending')
  a.engine.mend()
  expect(await c.outcome(run, 100)).toBe('done')
})

test('a submit waits for an engine that is away, and is refused with ENGINE_UNAVAILABLE after its limit', async () => {
  await using c = cluster()
  const a = await c.join({ offlineTimeoutMs: 1000, handlers: { x: () => 1 } })
  a.engine.cut()
  const [early, delayed] = [
    a.queue.submit('work', { type: 'x' }),
    a.queue.submit('work', { type: 'x' }, { delayMs: 10 }),
  ]
  await c.clock.advance(999)
  expect(early.state).toBe('pending')
  const late = a.queue.submit('work', { type: 'x' })
  await c.clock.advance(1)
  for (const run of [early, delayed]) {
    expect(await errorOf(c.clock.expectSettled(run))).toMatchObject({ code: 'ENGINE_UNAVAILABLE', retryable: true })
    expect(await errorOf(run.accepted)).toMatchObject({ code: 'ENGINE_UNAVAILABLE' })
    expect(a.keys(run)).toEqual(['rejected'])
  }
  a.engine.mend()
  expect(await c.outcome(late, 1000)).toBe(1)
})

test('a worker that was cut off while idle works again when it is back', async () => {
  await using c = cluster()
  const [a, b] = await c.pair({ offlineTimeoutMs: 200, handlers: { x: () => 1 } })
  await c.clock.advance(100)
  b.engine.cut()
  const run = a.queue.submit('work', { type: 'x' })
  await c.clock.advance(20_000)
  expect(run.state).toBe('pending')
  b.engine.mend()
  expect(await c.outcome(run, 1000)).toBe(1)
  expect(await c.outcome(a.queue.submit('work', { type: 'x' }), 1000)).toBe(1)
})

test('a step of the wall clock moves no lease and no delay that has begun', async () => {
  await using c = cluster(LEASE)
  const starts: number[] = []
  const [a] = await c.pair({
    handlers: {
      x: async (_payload: unknown, { attempt }: CommandContext) => {
        starts.push(attempt)
        await c.sleep(2000)
      },
    },
  })
  const run = a.queue.submit('work', { type: 'x' })
  await c.clock.advance(100)
  c.clock.stepWall(3_600_000)
  await c.clock.advance(500)
  c.clock.stepWall(-7_200_000)
  await c.outcome(run)
  expect(starts).toEqual([1])
})
