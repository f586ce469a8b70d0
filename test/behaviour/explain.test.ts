import {
  type ExplainedReason,
  type LaneDefinition,
  RateLimitConfig,
  RetryAfterError,
  RetryPolicy,
  snooze,
} from '@a3s-lab/lane'
import { expect, test } from 'vitest'
import { slowToStop, stopping } from '../support/bodies.js'
import { errorOf, gate, type Setup, setup } from '../support/setup.js'

type Explained = Setup<string>['queue']

/** The reasons for a command's state. */
const reasons = (queue: Explained, id: string): readonly ExplainedReason[] => queue.explain(id)?.reasons ?? []
/** Their codes. */
const codes = (queue: Explained, id: string): string[] => reasons(queue, id).map(({ code }) => code)

/** An instant of the virtual clock as text. */
const at = (ms: number): string => new Date(Date.UTC(2026, 0) + ms).toISOString()

const low = { priority: 5, minConcurrency: 0, preemptible: true } satisfies LaneDefinition
const high = { priority: 0, minConcurrency: 0 } satisfies LaneDefinition

test('a command that nobody knows is not explained', async () => {
  await using t = await setup()
  expect(t.queue.explain('nobody')).toBeUndefined()
  const refused = t.queue.submit('nowhere' as 'work', () => 1)
  await errorOf(refused)
  expect(t.queue.explain(refused.id)).toBeUndefined()
})

test('a queue that was not started', async () => {
  await using t = await setup({ work: {} }, { start: false })
  const run = t.queue.submit('work', () => 1)
  expect(t.queue.explain(run.id)).toEqual({
    state: 'pending',
    reasons: [{ code: 'not_started', message: 'The queue was not started' }],
  })
})

test('a paused lane', async () => {
  await using t = await setup()
  t.queue.lane('work').pause()
  const run = t.queue.submit('work', () => 1)
  expect(reasons(t.queue, run.id)).toEqual([{ code: 'paused', message: "Lane 'work' is paused" }])
})

test('a full lane, and who goes before', async () => {
  await using t = await setup({ work: { maxConcurrency: 2 } })
  const [, , first, , last] = [1, 2, 3, 4, 5].map(() => t.queue.submit('work', t.takes(10)))
  await t.clock.settle()
  expect(reasons(t.queue, first?.id as string)).toEqual([
    { code: 'lane_full', message: "All 2 slots of lane 'work' are in use" },
  ])
  expect(reasons(t.queue, last?.id as string)).toEqual([
    { code: 'lane_full', message: "All 2 slots of lane 'work' are in use" },
    { code: 'behind', message: "2 commands of lane 'work' go before it" },
  ])
  await t.clock.advance(20)
})

test('a lane that is full of bodies that do not stop', async () => {
  await using t = await setup({ work: { maxConcurrency: 1 } })
  const zombie = t.queue.submit('work', t.takes(100))
  await t.clock.settle()
  zombie.cancel()
  await errorOf(zombie)
  const run = t.queue.submit('work', () => 1)
  expect(reasons(t.queue, run.id)).toEqual([
    {
      code: 'lane_full',
      message: "The only slot of lane 'work' is in use, 1 of them by bodies that do not stop",
    },
  ])
  await t.clock.advance(100)
})

test('a full queue', async () => {
  await using t = await setup({ high, low }, { maxConcurrency: 2 })
  for (let n = 0; n < 2; n++) void t.queue.submit('low', t.takes(10))
  await t.clock.settle()
  const run = t.queue.submit('high', () => 1)
  expect(reasons(t.queue, run.id)).toEqual([{ code: 'queue_full', message: 'All 2 slots of the queue are in use' }])
  await t.clock.advance(10)
})

test('a free slot that is reserved for another lane', async () => {
  await using t = await setup(
    { high: { ...high, protected: true, minConcurrency: 1 }, low: { priority: 5, minConcurrency: 0 } },
    { maxConcurrency: 2 },
  )
  void t.queue.submit('low', t.takes(10))
  await t.clock.settle()
  const run = t.queue.submit('low', () => 1)
  expect(reasons(t.queue, run.id)).toEqual([
    { code: 'queue_full', message: 'All 2 slots of the queue are in use or reserved for other lanes' },
  ])
  await t.clock.advance(10)
})

test('commands of higher lanes that go before', async () => {
  await using t = await setup(
    { high, middle: { ...high, priority: 3 }, low, lower: { ...low, priority: 9 } },
    { maxConcurrency: 1 },
  )
  void t.queue.submit('low', t.takes(10))
  await t.clock.settle()
  void t.queue.submit('high', () => 1)
  for (let n = 0; n < 2; n++) void t.queue.submit('middle', () => 1)
  void t.queue.submit('lower', () => 1)
  const run = t.queue.submit('low', () => 1)
  expect(reasons(t.queue, run.id)).toEqual([
    { code: 'queue_full', message: 'The only slot of the queue is in use' },
    { code: 'higher_lanes', message: '3 commands of higher lanes go before it (high: 1, middle: 2)' },
  ])
  await t.clock.advance(10)
})

test('a protected lane of the same priority goes before too', async () => {
  await using t = await setup({ guard: { ...low, protected: true }, low }, { maxConcurrency: 1 })
  void t.queue.submit('low', t.takes(10))
  await t.clock.settle()
  void t.queue.submit('guard', () => 1)
  const run = t.queue.submit('low', () => 1)
  expect(reasons(t.queue, run.id).at(-1)).toEqual({
    code: 'higher_lanes',
    message: '1 command of higher lanes goes before it (guard: 1)',
  })
  await t.clock.advance(10)
})

test('a rate limit, and when the next token comes', async () => {
  await using t = await setup({ work: { rateLimit: RateLimitConfig.perMinute(60, { burst: 1 }) } })
  await t.queue.submit('work', () => 'takes the token')
  await t.clock.advance(400)
  const run = t.queue.submit('work', () => 1)
  expect(t.queue.explain(run.id)).toEqual({
    state: 'pending',
    reasons: [
      {
        code: 'rate_limited',
        message: 'The limit of 60 commands per 60s (burst 1) has 0.4 left, and the command needs 1',
        until: at(1000),
      },
    ],
  })
  await t.clock.advance(600)
})

test('a window in a unit of its own', async () => {
  const rateLimit = RateLimitConfig.perSecond(100, { unit: 'tokens', algorithm: 'sliding-window', group: 'api' })
  await using t = await setup({ work: { rateLimit } })
  await t.queue.submit('work', () => 1, { cost: 80 })
  const run = t.queue.submit('work', () => 1, { cost: 30 })
  expect(reasons(t.queue, run.id)).toEqual([
    {
      code: 'rate_limited',
      message: "The limit of 100 tokens per 1s in group 'api' has 20 left, and the command needs 30",
      until: at(1000),
    },
  ])
  await t.clock.advance(1000)
})

test('of several limits the one that lasts longest', async () => {
  await using t = await setup({ work: { rateLimit: [RateLimitConfig.perHour(1), RateLimitConfig.perSecond(1)] } })
  await t.queue.submit('work', () => 1)
  const run = t.queue.submit('work', () => 1)
  expect(reasons(t.queue, run.id)).toEqual([expect.objectContaining({ code: 'rate_limited', until: at(3_600_000) })])
})

test('a better lane of the group that goes first', async () => {
  const rateLimit = RateLimitConfig.perSecond(100, { unit: 'tokens', group: 'api' })
  await using t = await setup({ high: { rateLimit }, low: { rateLimit } })
  await t.queue.submit('high', () => 1, { cost: 100 })
  void t.queue.submit('high', () => 1, { cost: 100 })
  const run = t.queue.submit('low', () => 1, { cost: 1 })
  await t.clock.advance(500)
  expect(reasons(t.queue, run.id)).toEqual([
    {
      code: 'rate_limited',
      message: "A better lane of group 'api' goes first, or one as good that has waited longer",
      until: at(1000),
    },
  ])
  await t.clock.advance(1000)
})

test('a limit that never grants what the command costs', async () => {
  const limit = (n: number): RateLimitConfig => RateLimitConfig.perSecond(n, { unit: 'tokens' })
  await using t = await setup({ work: { rateLimit: limit(100) } })
  t.queue.lane('work').pause()
  const run = t.queue.submit('work', () => 1, { cost: 50 })
  const error = errorOf(run)
  t.queue.lane('work').configure({ rateLimit: limit(10) })
  expect(reasons(t.queue, run.id)).toEqual([
    { code: 'paused', message: "Lane 'work' is paused" },
    { code: 'rate_limited', message: 'The limit of 10 tokens per 1s never grants 50 at once' },
  ])
  t.queue.lane('work').resume()
  await error
})

test('a provider that asked for a pause of a group', async () => {
  const rateLimit = RateLimitConfig.perSecond(100, { group: 'api' })
  await using t = await setup({ work: { rateLimit } })
  void t.queue.submit('work', ({ attempt }) => {
    if (attempt === 1) throw new RetryAfterError(700, { scope: 'lane' })
  })
  await t.clock.settle()
  const run = t.queue.submit('work', () => 1)
  expect(reasons(t.queue, run.id)).toEqual([
    { code: 'closed_by_provider', message: "The provider asked for a pause of group 'api'", until: at(700) },
  ])
  await t.clock.advance(700)
})

test('an open breaker, and a half-open one', async () => {
  const breaker = { failureRatio: 0.5, minimum: 2, windowMs: 1000, openMs: 500, halfOpen: 1 }
  await using t = await setup({ work: { breaker } })
  for (let n = 0; n < 2; n++) await errorOf(t.queue.submit('work', () => Promise.reject(new Error('no'))))
  const trial = t.queue.submit('work', t.takes(10))
  const run = t.queue.submit('work', () => 1)
  expect(reasons(t.queue, trial.id)).toEqual([
    {
      code: 'breaker_open',
      message: 'The circuit breaker is open, because 2 of 2 attempts failed within 1000 ms',
      until: at(500),
    },
  ])
  await t.clock.advance(500)
  expect(reasons(t.queue, run.id)).toEqual([
    {
      code: 'breaker_open',
      message: 'The circuit breaker is half open and waits for what it has let through on trial: 1 command',
    },
  ])
  await t.clock.advance(10)
})

test('a key whose limit is reached', async () => {
  await using t = await setup({ work: { fairness: 'key', keyConcurrency: 1 } })
  void t.queue.submit('work', t.takes(10), { key: 'a' })
  await t.clock.settle()
  const first = t.queue.submit('work', () => 1, { key: 'a' })
  const second = t.queue.submit('work', () => 1, { key: 'a' })
  expect(reasons(t.queue, first.id)).toEqual([{ code: 'key_full', message: "1 command of key 'a' runs already" }])
  expect(reasons(t.queue, second.id)).toEqual([
    { code: 'key_full', message: "1 command of key 'a' runs already" },
    { code: 'behind', message: '1 command of its key goes before it' },
  ])
  await t.clock.advance(10)
})

test('a delay, and when it ends', async () => {
  await using t = await setup()
  const run = t.queue.submit('work', () => 1, { delayMs: 1500 })
  expect(t.queue.explain(run.id)).toEqual({
    state: 'delayed',
    reasons: [{ code: 'delayed', message: 'It was submitted with a delay', until: at(1500) }],
  })
  await t.clock.advance(1500)
})

test('a back-off, and a snooze', async () => {
  await using t = await setup({ work: { retry: RetryPolicy.fixed(1, 100) } })
  const failing = t.queue.submit('work', ({ attempt }) => (attempt === 1 ? Promise.reject(new Error('no')) : 1))
  const snoozed = t.queue.submit('work', ({ attempt }) => (attempt === 1 ? snooze(200) : 1))
  await t.clock.settle()
  expect(reasons(t.queue, failing.id)).toEqual([
    { code: 'delayed', message: 'Attempt 2 follows after a delay', until: at(100) },
  ])
  expect(reasons(t.queue, snoozed.id)).toEqual([
    { code: 'delayed', message: 'Attempt 2 follows after a delay', until: at(200) },
  ])
  await t.clock.advance(200)
})

test('a retry that waits for the body of its timed-out attempt', async () => {
  await using t = await setup({ work: { timeoutMs: 10, zombieGraceMs: 1000, retry: RetryPolicy.fixed(1, 20) } })
  const run = t.queue.submit('work', async ({ attempt }) => {
    if (attempt === 1) await t.sleep(100)
    return attempt
  })
  await t.clock.advance(10)
  const zombie = { code: 'zombie', message: 'Its handler has not stopped and holds its slot', until: at(1010) }
  expect(reasons(t.queue, run.id)).toEqual([
    { code: 'delayed', message: 'Attempt 2 follows after a delay', until: at(30) },
    zombie,
  ])
  await t.clock.advance(40)
  expect(t.queue.explain(run.id)).toEqual({ state: 'delayed', reasons: [zombie] })
  await t.clock.advance(50)
  expect(await run).toBe(2)
})

test('a command that follows the owner of its dedupe id', async () => {
  await using t = await setup()
  void t.queue.submit('work', t.takes(50), { dedupe: { id: 'x' } })
  await t.clock.settle()
  const run = t.queue.submit('work', () => 1, { dedupe: { id: 'x', mode: 'keep-last' } })
  expect(t.queue.explain(run.id)).toEqual({
    state: 'delayed',
    reasons: [
      {
        code: 'waits_for_owner',
        message: 'It follows the command that has its dedupe id, when that has settled',
      },
    ],
  })
  await t.clock.advance(50)
})

test('one that was preempted, one that is asked to stop, and the one that it is asked for', async () => {
  await using t = await setup({ high: { ...high, preempts: true }, low }, { maxConcurrency: 1 })
  const victim = t.queue.submit('low', slowToStop(t, 'victim', 1000, 20))
  await t.clock.settle()
  const taker = t.queue.submit('high', t.takes(50))
  await t.clock.settle()
  expect(reasons(t.queue, victim.id)).toEqual([
    { code: 'running', message: `Attempt 1 runs since ${at(0)}` },
    { code: 'preempting', message: "It was asked to stop for lane 'high'" },
  ])
  expect(reasons(t.queue, taker.id)).toEqual([
    {
      code: 'queue_full',
      message: 'The only slot of the queue is in use; 1 command of lower lanes was asked to stop for it',
    },
  ])
  await t.clock.advance(20)
  expect(t.queue.explain(victim.id)).toEqual({
    state: 'pending',
    reasons: [
      {
        code: 'preempted',
        message: 'Its slot went to a better lane; it goes on before any other command of its lane',
      },
      { code: 'queue_full', message: 'The only slot of the queue is in use' },
    ],
  })
  await t.clock.advance(50)
  expect(codes(t.queue, victim.id)).toEqual(['running'])
})

test('one that waits inside ctx.yield', async () => {
  await using t = await setup({ high, low }, { maxConcurrency: 1 })
  const run = t.queue.submit('low', async (ctx) => {
    await t.sleep(10)
    await ctx.yield()
  })
  await t.clock.settle()
  void t.queue.submit('high', t.takes(50))
  await t.clock.advance(10)
  expect(t.queue.explain(run.id)).toEqual({
    state: 'pending',
    reasons: [
      { code: 'yielded', message: 'It waits inside ctx.yield and goes on before any other command of its lane' },
      { code: 'queue_full', message: 'The only slot of the queue is in use' },
    ],
  })
  await t.clock.advance(50)
  await run
})

test('what neither a pause nor a closed lane holds up is not said to be held up by it', async () => {
  await using t = await setup({ high, low: { ...low, rateLimit: RateLimitConfig.perHour(1) } }, { maxConcurrency: 1 })
  const run = t.queue.submit('low', async (ctx) => {
    await t.sleep(10)
    await ctx.yield()
  })
  await t.clock.settle()
  void t.queue.submit('high', t.takes(50))
  await t.clock.advance(10)
  t.queue.lane('low').pause()
  expect(codes(t.queue, run.id)).toEqual(['yielded', 'queue_full'])
  await t.clock.advance(50)
  await run
})

test('a running one: since when, which attempt, until which timeout', async () => {
  await using t = await setup({ work: { timeoutMs: 1000, retry: RetryPolicy.fixed(1, 50) } })
  const run = t.queue.submit('work', ({ attempt }) => (attempt === 1 ? Promise.reject(new Error('no')) : t.sleep(500)))
  await t.clock.advance(60)
  expect(t.queue.explain(run.id)).toEqual({
    state: 'active',
    reasons: [
      {
        code: 'running',
        message: `Attempt 2 runs since ${at(50)}, with a timeout of 1s`,
        until: at(1050),
      },
    ],
  })
  await t.clock.advance(500)
})

test('a running one that waits for its child', async () => {
  await using t = await setup({ work: { maxConcurrency: 1 } })
  const child = gate()
  const run = t.queue.submit('work', (ctx) => ctx.run('work', () => child.promise, { id: 'child' }))
  await t.clock.settle()
  expect(reasons(t.queue, run.id)).toEqual([
    { code: 'running', message: `Attempt 1 runs since ${at(0)}` },
    { code: 'waits_for_child', message: 'It waits for a command that it submitted' },
  ])
  expect(codes(t.queue, 'child')).toEqual(['running'])
  child.open()
  await run
})

test('a settled one, while it is kept', async () => {
  await using t = await setup({ work: {} }, { retention: { count: 1 } })
  const run = t.queue.submit('work', t.takes(20))
  await t.clock.advance(30)
  expect(t.queue.explain(run.id)).toEqual({
    state: 'completed',
    reasons: [{ code: 'settled', message: `It ended as completed at ${at(20)}` }],
  })
  await t.queue.submit('work', () => 1)
  expect(t.queue.explain(run.id)).toBeUndefined()
})

test('a settled one whose body goes on', async () => {
  await using t = await setup({ work: { zombieGraceMs: 500 } })
  const run = t.queue.submit('work', t.takes(100))
  await t.clock.advance(10)
  run.cancel()
  await errorOf(run)
  expect(t.queue.explain(run.id)).toEqual({
    state: 'cancelled',
    reasons: [
      { code: 'settled', message: `It ended as cancelled at ${at(10)}` },
      { code: 'zombie', message: 'Its handler has not stopped and holds its slot', until: at(510) },
    ],
  })
  await t.clock.advance(90)
})

test('a type without a handler', async () => {
  await using t = await setup({ work: {} }, { start: false })
  const run = t.queue.submit('work', { type: 'x' })
  const error = errorOf(run)
  expect(codes(t.queue, run.id)).toEqual(['not_started', 'no_handler'])
  await t.queue.start()
  await error
})

test('several reasons are told together', async () => {
  await using t = await setup(
    { high, low: { ...low, maxConcurrency: 1, keyConcurrency: 1, rateLimit: RateLimitConfig.perHour(2) } },
    { maxConcurrency: 1 },
  )
  void t.queue.submit('low', stopping(t, 'first', 50), { key: 'a' })
  await t.clock.settle()
  void t.queue.submit('high', () => 1)
  void t.queue.submit('low', () => 1, { key: 'a' })
  t.queue.lane('low').pause()
  const run = t.queue.submit('low', () => 1, { key: 'a' })
  expect(codes(t.queue, run.id)).toEqual(['paused', 'lane_full', 'key_full', 'behind', 'higher_lanes'])
  t.queue.lane('low').resume()
  await t.clock.advance(50)
  expect(codes(t.queue, run.id)).toEqual(['rate_limited'])
})

test('what starts in the next turn is ready', async () => {
  await using t = await setup()
  const run = t.queue.submit('work', () => 1)
  expect(codes(t.queue, run.id)).toEqual(['ready'])
  await run
})

test('asking changes nothing', async () => {
  const asked: string[][] = []
  for (const asks of [false, true]) {
    await using t = await setup(
      {
        high: { ...high, preempts: true, rateLimit: RateLimitConfig.perSecond(4, { group: 'api' }) },
        low: { ...low, fairness: 'key', rateLimit: RateLimitConfig.perSecond(4, { group: 'api' }) },
      },
      { maxConcurrency: 2 },
    )
    const runs = Array.from({ length: 12 }, (_, n) =>
      t.queue.submit(n % 3 === 0 ? 'high' : 'low', stopping(t, `${n}`, 35), { key: `k${n % 4}` }),
    )
    for (let n = 0; n < 100; n++) {
      if (asks) for (const { id } of runs) t.queue.explain(id)
      await t.clock.advance(50)
    }
    asked.push([...t.notes])
  }
  expect(asked[1]).toEqual(asked[0])
  expect(asked[0]?.length).toBeGreaterThanOrEqual(12)
})

test('it survives JSON and is found by an id of the submitter’s own', async () => {
  await using t = await setup({ work: { maxConcurrency: 1 } })
  void t.queue.submit('work', t.takes(10))
  await t.clock.settle()
  void t.queue.submit('work', () => 1, { id: 'mine' })
  const explanation = t.queue.explain('mine')
  expect(JSON.parse(JSON.stringify(explanation))).toEqual(explanation)
  expect(structuredClone(explanation)?.state).toBe('pending')
  await t.clock.advance(10)
})
