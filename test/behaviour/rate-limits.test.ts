import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import {
  type Clock,
  type CommandContext,
  type FunctionCommand,
  LaneConfig,
  type LaneDefinition,
  QueueManager,
  RateLimitConfig,
  type RateLimitFields,
  RateLimitGroup,
  RetryPolicy,
  type Timer,
} from '@a3s-lab/lane'
import { seededRandom, VirtualClock } from '@a3s-lab/lane/testing'
import { describe, expect, test } from 'vitest'
import { napping, sorted, stopping } from '../support/bodies.js'
import { errorOf, type Setup, setup, thrownBy } from '../support/setup.js'

const wide = { maxConcurrency: 1000 } satisfies Partial<LaneDefinition>

/** A body that writes down when it starts. */
const stamping =
  (t: Pick<Setup, 'clock'>, at: number[]): FunctionCommand<void> =>
  () =>
    void at.push(t.clock.now())

/** A body that says what it has cost. */
const charging =
  (t: Pick<Setup, 'clock'>, at: number[], ...costs: number[]): FunctionCommand<void> =>
  (ctx) => {
    at.push(t.clock.now())
    for (const cost of costs) ctx.charge(cost)
  }

test('a lane of one per second starts the second command a second later, although it has room', async () => {
  await using t = await setup({ work: { ...wide, rateLimit: RateLimitConfig.perSecond(1) } })
  const at: number[] = []
  const runs = [1, 2].map(() => t.queue.submit('work', stamping(t, at)))
  await t.clock.advance(999)
  expect([at, runs[1]?.state]).toEqual([[0], 'pending'])
  await t.clock.advance(1)
  expect(at).toEqual([0, 1000])
})

test('a token bucket grants its burst and then an even flow, fractions kept', async () => {
  await using t = await setup({ work: { ...wide, rateLimit: RateLimitConfig.perSecond(3) } })
  const at: number[] = []
  for (let n = 0; n < 303; n++) void t.queue.submit('work', stamping(t, at))
  await t.clock.advance(100_000)
  expect(at).toHaveLength(303)
  for (const [n, start] of at.entries()) {
    const exact = Math.max(0, ((n - 2) * 1000) / 3)
    expect(start).toBeGreaterThanOrEqual(exact - 1e-6)
    expect(start).toBeLessThan(exact + 1e-3)
  }
})

test('ten per 100 ms: ten are granted, the next one when a tenth of it has passed', async () => {
  await using t = await setup({ work: { ...wide, rateLimit: { maxCommands: 10, windowMs: 100 } } })
  const at: number[] = []
  for (let n = 0; n < 11; n++) void t.queue.submit('work', stamping(t, at))
  await t.clock.advance(150)
  expect(at).toEqual([...new Array<number>(10).fill(0), 10])
})

test('a burst of its own bounds what starts at once, and the rate what follows', async () => {
  await using t = await setup({ work: { ...wide, rateLimit: RateLimitConfig.perSecond(10, { burst: 2 }) } })
  const at: number[] = []
  for (let n = 0; n < 5; n++) void t.queue.submit('work', stamping(t, at))
  await t.clock.advance(1000)
  expect(at).toEqual([0, 0, 100, 200, 300])
})

test('a sliding window grants no more until the first grant is a whole window old', async () => {
  const rateLimit = { maxCommands: 5, windowMs: 100, algorithm: 'sliding-window' } as const
  await using t = await setup({ work: { ...wide, rateLimit } })
  const at: number[] = []
  for (let n = 0; n < 6; n++) void t.queue.submit('work', stamping(t, at))
  await t.clock.advance(99)
  expect(at).toEqual([0, 0, 0, 0, 0])
  await t.clock.advance(1)
  expect(at).toEqual([0, 0, 0, 0, 0, 100])
})

/** The most that starts in any stretch of this length, its end not included. */
const mostWithin = (at: readonly number[], ms: number): number =>
  Math.max(...at.map((from) => at.filter((start) => start >= from && start < from + ms).length))

/** Commands that come one by one and in heaps, at instants that a seed draws. */
async function traffic(t: Setup<'work'>, seed: number): Promise<number[]> {
  const random = seededRandom(seed)
  const at: number[] = []
  for (let n = 0; n < 100; n++) {
    const heap = random.next() < 0.2 ? 1 + Math.floor(random.next() * 12) : 1
    for (let one = 0; one < heap; one++) void t.queue.submit('work', stamping(t, at))
    await t.clock.advance(Math.floor(random.next() * 60))
  }
  await t.clock.advance(60_000)
  return at
}

test.each([1, 2])('a sliding window never grants more than its number in any window (traffic %i)', async (seed) => {
  const rateLimit = { maxCommands: 4, windowMs: 130, algorithm: 'sliding-window' } as const
  await using t = await setup({ work: { ...wide, rateLimit } })
  const at = await traffic(t, seed)
  expect(at.length).toBeGreaterThan(100)
  expect(mostWithin(at, 130)).toBe(4)
})

test.each([1, 2])('a bucket never grants more than burst and rate in any interval (traffic %i)', async (seed) => {
  const rateLimit = { maxCommands: 7, windowMs: 200, burst: 5 } as const
  await using t = await setup({ work: { ...wide, rateLimit } })
  const at = await traffic(t, seed)
  expect(at.length).toBeGreaterThan(100)
  for (const ms of [1, 50, 130, 200, 1000, 2500]) {
    expect(mostWithin(at, ms), `in ${ms} ms`).toBeLessThanOrEqual(5 + (7 * ms) / 200 + 1e-6)
  }
})

test('an idle lane burns no token: after ten minutes a minute’s burst is there', async () => {
  await using t = await setup({ work: { ...wide, rateLimit: RateLimitConfig.perMinute(60) } })
  await t.clock.advance(600_000)
  const at: number[] = []
  for (let n = 0; n < 61; n++) void t.queue.submit('work', stamping(t, at))
  await t.clock.advance(1000)
  expect(at).toEqual([...new Array<number>(60).fill(600_000), 601_000])
})

test('a full lane burns no token while its commands wait for a slot', async () => {
  await using t = await setup({ work: { maxConcurrency: 1, rateLimit: RateLimitConfig.perMinute(5) } })
  const at: number[] = []
  void t.queue.submit('work', t.takes(10))
  for (let n = 0; n < 5; n++) void t.queue.submit('work', stamping(t, at))
  await t.clock.advance(9)
  t.queue.lane('work').configure({ maxConcurrency: 10 })
  await t.clock.settle()
  expect(at).toEqual([9, 9, 9, 9])
})

test('a paused lane burns no token while commands wait in it', async () => {
  await using t = await setup({ work: { ...wide, rateLimit: RateLimitConfig.perHour(3) } })
  const at: number[] = []
  t.queue.lane('work').pause()
  for (let n = 0; n < 4; n++) void t.queue.submit('work', stamping(t, at))
  await t.clock.advance(60_000)
  expect(t.clock.timers).toBe(0)
  t.queue.lane('work').resume()
  await t.clock.settle()
  expect(at).toEqual([60_000, 60_000, 60_000])
})

test('a lane without a free slot under the global cap burns no token', async () => {
  await using t = await setup(
    { busy: { minConcurrency: 0 }, work: { minConcurrency: 0, rateLimit: RateLimitConfig.perHour(2) } },
    { maxConcurrency: 2 },
  )
  const at: number[] = []
  for (let n = 0; n < 2; n++) void t.queue.submit('busy', t.takes(1000))
  for (let n = 0; n < 2; n++) void t.queue.submit('work', stamping(t, at))
  await t.clock.advance(1000)
  expect(at).toEqual([1000, 1000])
})

test('a queue that was not started burns no token', async () => {
  await using t = await setup({ work: { ...wide, rateLimit: RateLimitConfig.perHour(2) } }, { start: false })
  const at: number[] = []
  for (let n = 0; n < 3; n++) void t.queue.submit('work', stamping(t, at))
  await t.clock.advance(60_000)
  await t.queue.start()
  await t.clock.settle()
  expect(at).toEqual([60_000, 60_000])
})

test('a command that cannot run takes no token', async () => {
  await using t = await setup({ work: { ...wide, rateLimit: RateLimitConfig.perHour(1) } })
  const error = errorOf(t.queue.submit('work', { type: 'nobody handles this' }))
  const run = t.queue.submit('work', () => 'has the token')
  expect((await error)['code']).toBe('HANDLER_NOT_FOUND')
  expect(await t.clock.expectSettled(run)).toBe('has the token')
})

test('a command that is cancelled while it waits for its token takes none', async () => {
  await using t = await setup({ work: { ...wide, rateLimit: RateLimitConfig.perSecond(1) } })
  const at: number[] = []
  const [, second] = [0, 1, 2].map(() => t.queue.submit('work', stamping(t, at)))
  await t.clock.advance(500)
  second?.cancel()
  await t.clock.advance(500)
  expect(at).toEqual([0, 1000])
})

test('a retry takes a token of its own', async () => {
  await using t = await setup({
    work: { ...wide, retry: RetryPolicy.fixed(2, 10), rateLimit: RateLimitConfig.perSecond(1) },
  })
  const at: number[] = []
  const run = t.queue.submit('work', (ctx) => {
    at.push(t.clock.now())
    if (ctx.attempt < 3) throw new Error('again')
    return 'third'
  })
  await t.clock.advance(2000)
  expect(await run).toBe('third')
  expect(at).toEqual([0, 1000, 2000])
})

test('a resumption after a preemption takes a token of its own', async () => {
  await using t = await setup(
    {
      control: { preempts: true, minConcurrency: 0 },
      work: { preemptible: true, minConcurrency: 0, rateLimit: RateLimitConfig.perSecond(1) },
    },
    { maxConcurrency: 1 },
  )
  const at: number[] = []
  const run = t.queue.submit('work', async (ctx) => {
    at.push(t.clock.now())
    await napping(t, 50, ctx.signal)
  })
  await t.clock.advance(10)
  await t.queue.submit('control', () => 'high')
  await t.clock.advance(990)
  expect([at, run.state]).toEqual([[0, 1000], 'active'])
  await t.clock.advance(50)
  await run
})

test('a body that goes on after a yield takes no further token', async () => {
  await using t = await setup(
    { control: { minConcurrency: 0 }, work: { minConcurrency: 0, rateLimit: RateLimitConfig.perHour(1) } },
    { maxConcurrency: 1 },
  )
  const run = t.queue.submit('work', async (ctx) => {
    await t.sleep(10)
    await ctx.yield()
    return t.clock.now()
  })
  await t.clock.advance(5)
  void t.queue.submit('control', t.takes(20))
  await t.clock.advance(25)
  expect(await t.clock.expectSettled(run)).toBe(30)
})

test('a child of ctx.run takes a token of its lane like any other', async () => {
  await using t = await setup({ work: { maxConcurrency: 1, rateLimit: RateLimitConfig.perSecond(1) } })
  const at: number[] = []
  const run = t.queue.submit('work', (ctx) => ctx.run('work', stamping(t, at)))
  await t.clock.advance(1000)
  await run
  expect(at).toEqual([1000])
})

test('a child that waits for its tokens keeps nothing from the commands before it', async () => {
  const rateLimit = RateLimitConfig.perSecond(100, { unit: 'tokens' })
  await using t = await setup({ work: { maxConcurrency: 2, rateLimit } })
  const at: number[] = []
  void t.queue.submit('work', t.takes(10), { cost: 50 })
  const parent = t.queue.submit('work', (ctx) => ctx.run('work', stamping(t, at), { cost: 100 }), { cost: 0 })
  void t.queue.submit('work', stamping(t, at), { cost: 1 })
  await t.clock.advance(10)
  expect(at).toEqual([10])
  await t.clock.advance(1000)
  await parent
  expect(at).toEqual([10, 510])
})

test('a lane that waits for tokens keeps no slot from others', async () => {
  await using t = await setup(
    { limited: { minConcurrency: 0, rateLimit: RateLimitConfig.perSecond(1) }, other: { minConcurrency: 0 } },
    { maxConcurrency: 1 },
  )
  await t.queue.submit('limited', () => 'takes the token')
  const limited = t.queue.submit('limited', () => 'waits')
  expect(await t.clock.expectSettled(t.queue.submit('other', () => 'goes on'))).toBe('goes on')
  expect(limited.state).toBe('pending')
})

test('several limits all have to allow a start', async () => {
  const rateLimit = [RateLimitConfig.perSecond(2), RateLimitConfig.perMinute(3)]
  await using t = await setup({ work: { ...wide, rateLimit } })
  const at: number[] = []
  for (let n = 0; n < 5; n++) void t.queue.submit('work', stamping(t, at))
  await t.clock.advance(60_000)
  expect(at).toEqual([0, 0, 500, 20_000, 40_000])
})

test('a start that one limit refuses takes nothing of the other', async () => {
  const rateLimit = [
    RateLimitConfig.perSecond(1),
    { maxCommands: 3, windowMs: 10_000, algorithm: 'sliding-window' } as const,
  ]
  await using t = await setup({ work: { ...wide, rateLimit } })
  const at: number[] = []
  for (let n = 0; n < 5; n++) void t.queue.submit('work', stamping(t, at))
  await t.clock.advance(20_000)
  expect(at).toEqual([0, 1000, 2000, 10_000, 11_000])
})

test('unlimited is no limiter at all, in any form', async () => {
  const forms: RateLimitFields[] = [
    RateLimitConfig.unlimited(),
    JSON.parse(JSON.stringify(RateLimitConfig.unlimited())) as RateLimitFields,
    { maxCommands: Number.MAX_SAFE_INTEGER, windowMs: 1000 },
  ]
  for (const rateLimit of forms) {
    await using t = await setup({ work: { maxConcurrency: 10_000, rateLimit } })
    const at: number[] = []
    for (let n = 0; n < 500; n++) void t.queue.submit('work', stamping(t, at), { cost: 1e300 })
    await t.clock.settle()
    expect([at.length, t.clock.timers]).toEqual([500, 0])
  }
})

test('one timer is set for the next token, and none when nothing waits', async () => {
  await using t = await setup({ work: { ...wide, rateLimit: RateLimitConfig.perSecond(10) } })
  const at: number[] = []
  for (let n = 0; n < 100; n++) void t.queue.submit('work', stamping(t, at))
  await t.clock.settle()
  expect(t.clock.timers).toBe(1)
  await t.clock.advance(9000)
  expect([at.length, t.clock.timers]).toEqual([100, 0])
})

test('a limit reads no wall clock', async () => {
  await using t = await setup({ work: { ...wide, rateLimit: RateLimitConfig.perSecond(1) } })
  const at: number[] = []
  for (let n = 0; n < 3; n++) void t.queue.submit('work', stamping(t, at))
  await t.clock.advance(500)
  t.clock.stepWall(24 * 3_600_000)
  await t.clock.advance(500)
  t.clock.stepWall(-48 * 3_600_000)
  await t.clock.advance(1000)
  expect(at).toEqual([0, 1000, 2000])
})

test('drain waits for what waits for a token', async () => {
  await using t = await setup({ work: { ...wide, rateLimit: RateLimitConfig.perSecond(1) } })
  const at: number[] = []
  for (let n = 0; n < 3; n++) void t.queue.submit('work', stamping(t, at))
  const drained = t.queue.drain(10_000)
  await t.clock.advance(2000)
  await drained
  expect(at).toEqual([0, 1000, 2000])
})

test('a lane config with limits survives JSON', async () => {
  const limits = [
    RateLimitConfig.perSecond(1),
    new RateLimitConfig(50, 10_000, { algorithm: 'sliding-window', unit: 'tokens', group: 'provider' }),
  ]
  const config = new LaneConfig(1, 100).withRateLimit(limits)
  const copy = JSON.parse(JSON.stringify(config)) as LaneConfig
  expect(copy).toMatchObject({
    minConcurrency: 1,
    maxConcurrency: 100,
    rateLimit: [
      { maxCommands: 1, windowMs: 1000, algorithm: 'token-bucket', burst: 1 },
      { maxCommands: 50, windowMs: 10_000, algorithm: 'sliding-window', unit: 'tokens', group: 'provider' },
    ],
  })
  await using t = await setup({ work: copy })
  const at: number[] = []
  for (let n = 0; n < 3; n++) void t.queue.submit('work', stamping(t, at), { cost: 25 })
  await t.clock.advance(20_000)
  expect(at).toEqual([0, 1000, 10_000])
})

describe('a limit that makes no sense is refused when the queue is made:', () => {
  test.each<[string, unknown, string]>([
    ['0 commands', { maxCommands: 0, windowMs: 1 }, 'RateLimitConfig maxCommands'],
    ['a negative number', { maxCommands: -1, windowMs: 1 }, 'RateLimitConfig maxCommands'],
    ['half a command', { maxCommands: 0.5, windowMs: 1 }, 'RateLimitConfig maxCommands'],
    ['NaN', { maxCommands: Number.NaN, windowMs: 1 }, 'RateLimitConfig maxCommands'],
    ['Infinity', { maxCommands: Number.POSITIVE_INFINITY, windowMs: 1 }, 'RateLimitConfig maxCommands'],
    ['a window of 0', { maxCommands: 1, windowMs: 0 }, 'RateLimitConfig windowMs'],
    ['a negative window', { maxCommands: 1, windowMs: -5 }, 'RateLimitConfig windowMs'],
    ['a window of NaN', { maxCommands: 1, windowMs: Number.NaN }, 'RateLimitConfig windowMs'],
    ['an endless window', { maxCommands: 1, windowMs: Number.POSITIVE_INFINITY }, 'RateLimitConfig windowMs'],
    ['an unknown algorithm', { maxCommands: 1, windowMs: 1, algorithm: 'leaky' }, 'RateLimitConfig algorithm'],
    ['a burst of 0', { maxCommands: 1, windowMs: 1, burst: 0 }, 'RateLimitConfig burst'],
    [
      'a burst of a window',
      { maxCommands: 1, windowMs: 1, burst: 2, algorithm: 'sliding-window' },
      'RateLimitConfig burst',
    ],
    ['an empty unit', { maxCommands: 1, windowMs: 1, unit: '' }, 'RateLimitConfig unit'],
    ['an empty group', { maxCommands: 1, windowMs: 1, group: '' }, 'RateLimitConfig group'],
    ['an unknown option', { maxCommands: 1, windowMs: 1, windowms: 1 }, "RateLimitConfig has no option 'windowms'"],
    ['a number', 7, "lane 'work'.rateLimit"],
    ['null in a list', [null], "lane 'work'.rateLimit"],
  ])('%s', (_what, rateLimit, named) => {
    const error = thrownBy(
      () => new QueueManager({ lanes: { work: { priority: 0, rateLimit: rateLimit as RateLimitFields } } }),
    )
    expect(error).toMatchObject({ code: 'CONFIG_INVALID', message: expect.stringContaining(named) as unknown })
  })
})

describe('units:', () => {
  const tokens = (amount: number, more: object = {}): RateLimitConfig =>
    RateLimitConfig.perSecond(amount, { unit: 'tokens', ...more })

  test('a number counts for every unit, and not for commands', async () => {
    const rateLimit = [tokens(100), RateLimitConfig.perSecond(200, { unit: 'usd' }), RateLimitConfig.perSecond(3)]
    await using t = await setup({ work: { ...wide, rateLimit } })
    const at: number[] = []
    for (const cost of [50, 50, 10]) void t.queue.submit('work', stamping(t, at), { cost })
    await t.clock.advance(1000)
    expect(at).toEqual([0, 0, 100])
  })

  test('an object gives each unit its own amount, and 0 of the rest', async () => {
    const rateLimit = [tokens(100), RateLimitConfig.perSecond(1, { unit: 'usd' })]
    await using t = await setup({ work: { ...wide, rateLimit } })
    const at: number[] = []
    for (const cost of [{ tokens: 100 }, { usd: 1 }, {}, { tokens: 50 }, { usd: 0.25 }]) {
      void t.queue.submit('work', stamping(t, at), { cost })
    }
    await t.clock.advance(1000)
    expect(at).toEqual([0, 0, 0, 500, 500])
  })

  test('a command without a cost counts as one', async () => {
    await using t = await setup({ work: { ...wide, rateLimit: tokens(2) } })
    const at: number[] = []
    for (let n = 0; n < 3; n++) void t.queue.submit('work', stamping(t, at))
    await t.clock.advance(1000)
    expect(at).toEqual([0, 0, 500])
  })

  test('a cost of 0 waits for nothing but its turn', async () => {
    await using t = await setup({ work: { ...wide, rateLimit: tokens(10) } })
    const at: number[] = []
    for (const cost of [10, 0, 0, 1]) void t.queue.submit('work', stamping(t, at), { cost })
    await t.clock.advance(1000)
    expect(at).toEqual([0, 0, 0, 100])
  })

  test('a fraction of a unit is enough', async () => {
    await using t = await setup({ work: { ...wide, rateLimit: RateLimitConfig.perMinute(0.3, { unit: 'usd' }) } })
    const at: number[] = []
    for (let n = 0; n < 4; n++) void t.queue.submit('work', stamping(t, at), { cost: 0.1 })
    await t.clock.advance(60_000)
    expect(at.slice(0, 3)).toEqual([0, 0, 0])
    expect(at[3]).toBeCloseTo(20_000, 3)
  })

  test('a retry reserves the estimate again', async () => {
    await using t = await setup({ work: { ...wide, retry: RetryPolicy.fixed(1, 0), rateLimit: tokens(100) } })
    const at: number[] = []
    const run = t.queue.submit(
      'work',
      (ctx) => {
        at.push(t.clock.now())
        if (ctx.attempt === 1) throw new Error('again')
      },
      { cost: 100 },
    )
    await t.clock.advance(1000)
    await run
    expect(at).toEqual([0, 1000])
  })
})

describe('what a command cost really:', () => {
  const bucket = RateLimitConfig.perSecond(100, { unit: 'tokens' })
  const window = RateLimitConfig.perSecond(100, { unit: 'tokens', algorithm: 'sliding-window' })

  test('more than the estimate is a debt of the bucket: nothing starts before it is repaid', async () => {
    await using t = await setup({ work: { ...wide, rateLimit: bucket } })
    const at: number[] = []
    void t.queue.submit('work', charging(t, at, 150), { cost: 10 })
    await t.clock.settle()
    void t.queue.submit('work', charging(t, at), { cost: 10 })
    await t.clock.advance(2000)
    expect(at).toEqual([0, 600])
  })

  test('not even a command that costs nothing starts before a debt is repaid', async () => {
    await using t = await setup({ work: { ...wide, rateLimit: bucket } })
    const at: number[] = []
    void t.queue.submit('work', charging(t, at, 150), { cost: 10 })
    await t.clock.settle()
    void t.queue.submit('work', charging(t, at), { cost: 0 })
    await t.clock.advance(2000)
    expect(at).toEqual([0, 500])
  })

  test('less than the estimate is given back at once, to whoever waits for it', async () => {
    await using t = await setup({ work: { ...wide, rateLimit: bucket } })
    const at: number[] = []
    void t.queue.submit(
      'work',
      async (ctx) => {
        await t.sleep(50)
        ctx.charge(20)
      },
      { cost: 100 },
    )
    void t.queue.submit('work', charging(t, at), { cost: 80 })
    await t.clock.advance(50)
    expect(at).toEqual([50])
  })

  test('a bucket takes back no more than it holds', async () => {
    await using t = await setup({ work: { ...wide, rateLimit: bucket } })
    const at: number[] = []
    void t.queue.submit(
      'work',
      async (ctx) => {
        await t.sleep(2000)
        ctx.charge(0)
      },
      { cost: 100 },
    )
    await t.clock.advance(2000)
    for (let n = 0; n < 2; n++) void t.queue.submit('work', charging(t, at), { cost: 100 })
    await t.clock.advance(1000)
    expect(at).toEqual([2000, 3000])
  })

  test('the last total of an attempt counts, whatever it said before', async () => {
    await using t = await setup({ work: { ...wide, rateLimit: bucket } })
    const at: number[] = []
    void t.queue.submit('work', charging(t, at, 500, 80, 90), { cost: 10 })
    await t.clock.settle()
    void t.queue.submit('work', charging(t, at), { cost: 20 })
    await t.clock.advance(1000)
    expect(at).toEqual([0, 100])
  })

  test('in a window more than the estimate keeps others out until it is a window old', async () => {
    await using t = await setup({ work: { ...wide, rateLimit: window } })
    const at: number[] = []
    void t.queue.submit('work', charging(t, at), { cost: 50 })
    void t.queue.submit(
      'work',
      async (ctx) => {
        await t.sleep(300)
        ctx.charge(130)
      },
      { cost: 10 },
    )
    await t.clock.advance(400)
    void t.queue.submit('work', charging(t, at), { cost: 1 })
    await t.clock.advance(2000)
    expect(at).toEqual([0, 1300])
  })

  test('in a window less than the estimate lowers its record', async () => {
    await using t = await setup({ work: { ...wide, rateLimit: window } })
    const at: number[] = []
    void t.queue.submit(
      'work',
      async (ctx) => {
        await t.sleep(300)
        ctx.charge(40)
      },
      { cost: 100 },
    )
    void t.queue.submit('work', charging(t, at), { cost: 60 })
    void t.queue.submit('work', charging(t, at), { cost: 40 })
    await t.clock.advance(2000)
    expect(at).toEqual([300, 1000])
  })

  test('an object settles its own units, and 0 of the rest', async () => {
    const rateLimit = [bucket, RateLimitConfig.perSecond(1, { unit: 'usd' })]
    await using t = await setup({ work: { ...wide, rateLimit } })
    const at: number[] = []
    void t.queue.submit('work', (ctx) => ctx.charge({ tokens: 130 }), { cost: { tokens: 100, usd: 1 } })
    await t.clock.settle()
    void t.queue.submit('work', charging(t, at), { cost: { usd: 1, tokens: 0 } })
    await t.clock.advance(2000)
    expect(at).toEqual([300])
  })

  test('what it costs changes nothing for limits of commands', async () => {
    await using t = await setup({ work: { ...wide, rateLimit: RateLimitConfig.perSecond(2) } })
    const at: number[] = []
    void t.queue.submit('work', charging(t, at, 1000))
    await t.clock.settle()
    for (let n = 0; n < 2; n++) void t.queue.submit('work', charging(t, at, 0))
    await t.clock.advance(1000)
    expect(at).toEqual([0, 0, 500])
  })

  test('each attempt is charged for itself', async () => {
    await using t = await setup({ work: { ...wide, retry: RetryPolicy.fixed(1, 0), rateLimit: bucket } })
    const at: number[] = []
    const run = t.queue.submit(
      'work',
      (ctx) => {
        at.push(t.clock.now())
        ctx.charge(60)
        if (ctx.attempt === 1) throw new Error('again')
      },
      { cost: 50 },
    )
    await t.clock.advance(100)
    await run
    void t.queue.submit('work', charging(t, at), { cost: 100 })
    await t.clock.advance(5000)
    // 60 are gone at 0; 50 are there at 100, of which the second attempt takes 60; 100 are there at 1200
    expect(at).toEqual([0, 100, 1200])
  })

  test('in a lane without limits it is noted nowhere and harms nobody', async () => {
    await using t = await setup()
    const run = t.queue.submit(
      'work',
      (ctx) => {
        ctx.charge(5)
        ctx.charge({ tokens: 1 })
        return 'unharmed'
      },
      { cost: 1 },
    )
    expect(await run).toBe('unharmed')
  })

  test('after the end of the attempt it is ignored', async () => {
    await using t = await setup({ work: { ...wide, rateLimit: bucket } })
    let ended: CommandContext | undefined
    await t.queue.submit('work', (ctx) => {
      ended = ctx
    })
    ended?.charge(1e9)
    expect(await t.clock.expectSettled(t.queue.submit('work', () => 'no debt', { cost: 99 }))).toBe('no debt')
  })

  test('a body that was cancelled and goes on still pays what it costs', async () => {
    await using t = await setup({ work: { ...wide, rateLimit: bucket } })
    const at: number[] = []
    const run = t.queue.submit(
      'work',
      async (ctx) => {
        await t.sleep(100)
        ctx.charge(200)
      },
      { cost: 50 },
    )
    const error = errorOf(run)
    await t.clock.settle()
    run.cancel()
    await error
    await t.clock.advance(100)
    void t.queue.submit('work', charging(t, at), { cost: 10 })
    await t.clock.advance(5000)
    expect(at).toEqual([1100])
  })
})

/** A clock that code which keeps the event loop busy can move on. */
class BusyClock implements Clock {
  readonly virtual = new VirtualClock()
  busyMs = 0

  now(): number {
    return this.virtual.now() + this.busyMs
  }

  wallNow(): number {
    return this.virtual.wallNow() + this.busyMs
  }

  setTimer(delayMs: number, fire: () => void): Timer {
    return this.virtual.setTimer(delayMs, fire)
  }

  clearTimer(timer: Timer): void {
    this.virtual.clearTimer(timer)
  }
}

test.each(['token-bucket', 'sliding-window'] as const)(
  'what is given back is found also when the loop was busy while the command started (%s)',
  async (algorithm) => {
    const clock = new BusyClock()
    const rateLimit = RateLimitConfig.perSecond(100, { unit: 'tokens', algorithm })
    await using queue = new QueueManager({ lanes: { work: { priority: 0, ...wide, rateLimit } }, clock })
    const busy = (): void => {
      clock.busyMs += 5
    }
    void queue.submit('work', busy, { cost: 0 })
    const refunds = queue.submit(
      'work',
      async (ctx) => {
        await Promise.resolve()
        ctx.charge(10)
      },
      { cost: 100 },
    )
    await queue.start()
    await clock.virtual.expectSettled(refunds)
    const next = queue.submit('work', () => 'at once', { cost: 90 })
    expect(await clock.virtual.expectSettled(next)).toBe('at once')
  },
)

describe('a cost that can never be granted', () => {
  const rateLimit = new RateLimitConfig(100, 1000, { unit: 'tokens', burst: 50 })

  test('is refused at submit, with what the lane grants', async () => {
    await using t = await setup({ work: { ...wide, rateLimit } })
    const run = t.queue.submit('work', () => 1, { cost: 51 })
    expect(await errorOf(run)).toMatchObject({
      code: 'CONFIG_INVALID',
      message:
        "Configuration error: submit cost must be at most 50 tokens, which is all that lane 'work' ever grants at once",
    })
    await errorOf(run.accepted)
    expect(t.recorder.keys(run.id)).toEqual(['queue.command.rejected'])
    expect(await t.queue.submit('work', () => 'the most', { cost: 50 })).toBe('the most')
  })

  test('is refused in a window too', async () => {
    await using t = await setup({
      work: { ...wide, rateLimit: new RateLimitConfig(100, 1000, { unit: 'tokens', algorithm: 'sliding-window' }) },
    })
    const error = await errorOf(t.queue.submit('work', () => 1, { cost: { tokens: 100.5 } }))
    expect(error).toMatchObject({ code: 'CONFIG_INVALID', option: 'submit cost', unit: 'tokens', largest: 100 })
  })

  test('is refused also for the delayed and for one without a cost', async () => {
    await using t = await setup({ work: { ...wide, rateLimit: new RateLimitConfig(0.5, 1000, { unit: 'usd' }) } })
    for (const options of [{}, { delayMs: 10 }, { cost: 2, delayMs: 10 }]) {
      expect((await errorOf(t.queue.submit('work', () => 1, options)))['code']).toBe('CONFIG_INVALID')
    }
    expect(await t.queue.submit('work', () => 1, { cost: 0.5 })).toBe(1)
  })

  test('since the limits were lowered fails when its turn comes, and what follows goes on', async () => {
    await using t = await setup({ work: { ...wide, rateLimit } }, { deadLetters: true })
    t.queue.lane('work').pause()
    const big = t.queue.submit('work', t.noting('big'), { cost: 50 })
    const small = t.queue.submit('work', t.noting('small'), { cost: 5 })
    const error = errorOf(big)
    t.queue.lane('work').configure({ rateLimit: new RateLimitConfig(10, 1000, { unit: 'tokens' }) })
    await t.clock.settle()
    expect(big.state).toBe('pending')
    t.queue.lane('work').resume()
    await t.clock.settle()
    expect(await error).toMatchObject({ code: 'CONFIG_INVALID', option: 'submit cost', largest: 10 })
    expect([await small, t.notes, big.state]).toEqual(['small', ['small'], 'failed'])
    expect(t.recorder.keys(big.id)).toEqual([
      'queue.command.submitted',
      'queue.command.dead_lettered',
      'queue.command.failed',
    ])
  })

  test('fails in its turn also when it comes back for a retry', async () => {
    await using t = await setup({ work: { ...wide, retry: RetryPolicy.fixed(1, 100), rateLimit } })
    const run = t.queue.submit('work', () => Promise.reject(new Error('first')), { cost: 50 })
    const error = errorOf(run)
    await t.clock.advance(50)
    t.queue.lane('work').configure({ rateLimit: new RateLimitConfig(10, 1000, { unit: 'tokens' }) })
    await t.clock.advance(50)
    expect((await error)['code']).toBe('CONFIG_INVALID')
    expect((await t.queue.get(run.id))?.attempt).toBe(1)
  })

  test('fails in its turn also as a child of ctx.run', async () => {
    await using t = await setup({ work: { maxConcurrency: 1, rateLimit } })
    const run = t.queue.submit(
      'work',
      async (ctx) => {
        const child = errorOf(ctx.run('work', () => 'child', { cost: 50 }))
        t.queue.lane('work').configure({ rateLimit: new RateLimitConfig(10, 1000, { unit: 'tokens' }) })
        return (await child)['code']
      },
      { cost: 0 },
    )
    await t.clock.advance(10_000)
    expect(await t.clock.expectSettled(run)).toBe('CONFIG_INVALID')
  })
})

describe('limits that change while the queue runs:', () => {
  test('a higher limit gives no fresh burst', async () => {
    await using t = await setup({ work: { ...wide, rateLimit: RateLimitConfig.perSecond(10) } })
    const at: number[] = []
    for (let n = 0; n < 12; n++) void t.queue.submit('work', stamping(t, at))
    await t.clock.settle()
    t.queue.lane('work').configure({ rateLimit: RateLimitConfig.perSecond(20) })
    await t.clock.advance(1000)
    expect(at.slice(10)).toEqual([50, 100])
  })

  test('a lower limit keeps no more than its own burst', async () => {
    await using t = await setup({ work: { ...wide, rateLimit: RateLimitConfig.perSecond(20) } })
    const at: number[] = []
    t.queue.lane('work').configure({ rateLimit: RateLimitConfig.perSecond(10) })
    for (let n = 0; n < 12; n++) void t.queue.submit('work', stamping(t, at))
    await t.clock.advance(200)
    expect(at).toEqual([...new Array<number>(10).fill(0), 100, 200])
  })

  test('a window keeps its record', async () => {
    const limit = (n: number): RateLimitConfig => RateLimitConfig.perSecond(n, { algorithm: 'sliding-window' })
    await using t = await setup({ work: { ...wide, rateLimit: limit(3) } })
    const at: number[] = []
    for (let n = 0; n < 7; n++) void t.queue.submit('work', stamping(t, at))
    await t.clock.advance(400)
    t.queue.lane('work').configure({ rateLimit: limit(5) })
    await t.clock.advance(1600)
    expect(at).toEqual([0, 0, 0, 400, 400, 1000, 1000])
  })

  test('a waiting command is started at the instant of the new limit, later or earlier', async () => {
    await using t = await setup({ work: { ...wide, rateLimit: RateLimitConfig.perMinute(1) } })
    const at: number[] = []
    for (let n = 0; n < 2; n++) void t.queue.submit('work', stamping(t, at))
    await t.clock.advance(1000)
    t.queue.lane('work').configure({ rateLimit: RateLimitConfig.perMinute(6) })
    await t.clock.advance(20_000)
    expect(at[1]).toBeGreaterThan(9000)
    expect(at[1]).toBeLessThanOrEqual(11_000)
  })

  test('a limit that is taken away lets everything go', async () => {
    await using t = await setup({ work: { ...wide, rateLimit: RateLimitConfig.perHour(1) } })
    const at: number[] = []
    for (let n = 0; n < 5; n++) void t.queue.submit('work', stamping(t, at))
    await t.clock.settle()
    t.queue.lane('work').configure({ rateLimit: undefined })
    await t.clock.settle()
    expect([at.length, t.clock.timers]).toEqual([5, 0])
  })

  test('a limit that is new holds from then on', async () => {
    await using t = await setup({ work: wide })
    const at: number[] = []
    for (let n = 0; n < 5; n++) await t.queue.submit('work', () => 1)
    t.queue.lane('work').configure({ rateLimit: RateLimitConfig.perSecond(2) })
    for (let n = 0; n < 3; n++) void t.queue.submit('work', stamping(t, at))
    await t.clock.advance(500)
    expect(at).toEqual([0, 0, 500])
  })

  test('a bad limit changes nothing', async () => {
    await using t = await setup({ work: { ...wide, rateLimit: RateLimitConfig.perSecond(1) } })
    const at: number[] = []
    for (let n = 0; n < 2; n++) void t.queue.submit('work', stamping(t, at))
    const configure = (): void => t.queue.lane('work').configure({ rateLimit: { maxCommands: 0, windowMs: 1 } })
    expect(thrownBy(configure)['code']).toBe('CONFIG_INVALID')
    await t.clock.advance(1000)
    expect(at).toEqual([0, 1000])
  })
})

describe('groups:', () => {
  const shared = (maxCommands: number, more: object = {}): RateLimitConfig =>
    RateLimitConfig.perSecond(maxCommands, { group: 'provider', ...more })

  test('lanes of a queue share a limit by the name of its group', async () => {
    await using t = await setup({ a: { ...wide, rateLimit: shared(2) }, b: { ...wide, rateLimit: shared(2) } })
    const [a, b]: [number[], number[]] = [[], []]
    for (let n = 0; n < 2; n++) void t.queue.submit('a', stamping(t, a))
    for (let n = 0; n < 2; n++) void t.queue.submit('b', stamping(t, b))
    await t.clock.advance(1000)
    expect([a, b]).toEqual([
      [0, 0],
      [500, 1000],
    ])
  })

  test('queues share a limit by a RateLimitGroup', async () => {
    const group = new RateLimitGroup('provider')
    const rateLimit = RateLimitConfig.perSecond(2, { group })
    await using t = await setup({ work: { ...wide, rateLimit } })
    await using other = new QueueManager({
      lanes: { work: { priority: 0, ...wide, rateLimit } },
      clock: t.clock,
    })
    await other.start()
    const at: number[] = []
    for (let n = 0; n < 2; n++) {
      void t.queue.submit('work', stamping(t, at))
      void other.submit('work', stamping(t, at))
    }
    await t.clock.advance(499)
    expect(at).toEqual([0, 0])
    await t.clock.advance(501)
    expect(at).toEqual([0, 0, 500, 1000])
    expect(t.clock.timers).toBe(0)
  })

  test('groups of one name in two queues are two groups', async () => {
    await using t = await setup({ work: { ...wide, rateLimit: shared(1) } })
    await using other = new QueueManager({
      lanes: { work: { priority: 0, rateLimit: shared(5) } },
      clock: t.clock,
    })
    await other.start()
    const at: number[] = []
    void t.queue.submit('work', stamping(t, at))
    void other.submit('work', stamping(t, at))
    await t.clock.settle()
    expect(at).toEqual([0, 0])
  })

  test('limits of a group that count different things are different limiters', async () => {
    await using t = await setup({
      a: { ...wide, rateLimit: [shared(2), shared(100, { unit: 'tokens' })] },
      b: { ...wide, rateLimit: [shared(2), new RateLimitConfig(3, 60_000, { group: 'provider' })] },
    })
    const [a, b]: [number[], number[]] = [[], []]
    void t.queue.submit('a', stamping(t, a), { cost: 100 })
    for (let n = 0; n < 4; n++) void t.queue.submit('b', stamping(t, b))
    await t.clock.advance(1100)
    expect([a, b]).toEqual([[0], [0, 500, 1000]])
    await t.clock.advance(20_000)
    expect(b).toHaveLength(4)
  })

  test('members that disagree in numbers are refused when the queue is made', () => {
    const lanes = (one: RateLimitConfig, two: RateLimitConfig): Record<string, LaneDefinition> => ({
      a: { priority: 0, rateLimit: one },
      b: { priority: 1, rateLimit: two },
    })
    const made = (one: RateLimitConfig, two: RateLimitConfig): unknown => new QueueManager({ lanes: lanes(one, two) })
    expect(thrownBy(() => made(shared(2), shared(3)))).toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining('2 commands per 1s') as unknown,
    })
    expect(thrownBy(() => made(shared(2), shared(2, { burst: 1 })))['code']).toBe('CONFIG_INVALID')
    expect(made(shared(2), shared(2))).toBeInstanceOf(QueueManager)
  })

  test('members of two queues that disagree are refused when the second queue is made', () => {
    const group = new RateLimitGroup()
    const made = (n: number): unknown =>
      new QueueManager({ lanes: { work: { priority: 0, rateLimit: RateLimitConfig.perSecond(n, { group }) } } })
    expect(made(2)).toBeInstanceOf(QueueManager)
    expect(thrownBy(() => made(3))['code']).toBe('CONFIG_INVALID')
  })

  test('a queue that was closed has no say in the numbers of its group any more, and is forgotten', async () => {
    setFlagsFromString('--expose-gc')
    const collect = runInNewContext('gc') as () => void
    const group = new RateLimitGroup()
    const made = (n: number): QueueManager =>
      new QueueManager({
        lanes: { work: { priority: 0, rateLimit: RateLimitConfig.perSecond(n, { group }) } },
        clock: new VirtualClock(),
      })
    const closed: WeakRef<QueueManager>[] = []
    for (let n = 0; n < 20; n++) {
      const queue = made(1000)
      await queue.start()
      await queue.submit('work', () => 1)
      await queue.close()
      closed.push(new WeakRef(queue))
    }
    await new Promise((resolve) => setImmediate(resolve))
    collect()
    // The last one may still stand on the stack.
    expect(closed.filter((queue) => queue.deref() !== undefined).length).toBeLessThan(3)
    expect(made(7)).toBeInstanceOf(QueueManager)
  })

  test('a member that is configured changes the limit for all', async () => {
    await using t = await setup({ a: { ...wide, rateLimit: shared(10) }, b: { ...wide, rateLimit: shared(10) } })
    const at: number[] = []
    for (let n = 0; n < 10; n++) void t.queue.submit('a', () => 1)
    await t.clock.settle()
    for (let n = 0; n < 3; n++) void t.queue.submit('b', stamping(t, at))
    t.queue.lane('a').configure({ rateLimit: shared(2) })
    await t.clock.advance(2000)
    expect(at).toEqual([500, 1000, 1500])
  })

  test('a lane that joins a group while the queue runs changes the limit for all', async () => {
    await using t = await setup({ a: { ...wide, rateLimit: shared(1) }, b: wide })
    const at: number[] = []
    t.queue.lane('b').configure({ rateLimit: shared(2) })
    await t.queue.submit('a', () => 1)
    for (let n = 0; n < 2; n++) void t.queue.submit('a', stamping(t, at))
    await t.clock.advance(1000)
    expect(at).toEqual([500, 1000])
  })

  test('a large command of the best lane is not starved by small ones of a worse lane', async () => {
    const rateLimit = shared(100, { unit: 'tokens' })
    await using t = await setup({ best: { ...wide, rateLimit }, worse: { ...wide, rateLimit } })
    const small: number[] = []
    const large: number[] = []
    void t.queue.submit('worse', () => 1, { cost: 100 })
    await t.clock.settle()
    for (let n = 0; n < 200; n++) void t.queue.submit('worse', stamping(t, small), { cost: 1 })
    await t.clock.advance(100)
    expect(small).toHaveLength(10)
    void t.queue.submit('best', stamping(t, large), { cost: 80 })
    await t.clock.advance(800)
    expect([small.length, large]).toEqual([10, [900]])
    await t.clock.advance(100)
    expect(small).toHaveLength(20)
  })

  test('a large command is not starved by small ones of another queue either', async () => {
    const rateLimit = RateLimitConfig.perSecond(100, { unit: 'tokens', group: new RateLimitGroup() })
    await using t = await setup({ work: { ...wide, rateLimit } })
    await using other = new QueueManager({ lanes: { low: { priority: 9, ...wide, rateLimit } }, clock: t.clock })
    await other.start()
    const large: number[] = []
    void other.submit('low', () => 1, { cost: 100 })
    await t.clock.settle()
    for (let n = 0; n < 200; n++) void other.submit('low', () => 1, { cost: 1 })
    await t.clock.advance(50)
    void t.queue.submit('work', stamping(t, large), { cost: 90 })
    await t.clock.advance(3000)
    expect(large).toEqual([950])
    await t.clock.advance(3000)
  })

  test('a better lane that has nothing to start keeps nothing from worse ones', async () => {
    const rateLimit = shared(100, { unit: 'tokens' })
    await using t = await setup({ best: { maxConcurrency: 1, rateLimit }, worse: { ...wide, rateLimit } })
    const small: number[] = []
    void t.queue.submit('worse', () => 1, { cost: 100 })
    await t.clock.settle()
    const large = t.queue.submit('best', () => 1, { cost: 100 })
    for (let n = 0; n < 10; n++) void t.queue.submit('worse', stamping(t, small), { cost: 1 })
    await t.clock.advance(20)
    expect(small).toEqual([])
    t.queue.lane('best').pause()
    await t.clock.advance(10)
    expect(small).toHaveLength(3)
    t.queue.lane('best').resume()
    await t.clock.advance(10)
    expect(small).toHaveLength(3)
    large.cancel()
    await t.clock.advance(10)
    expect(small).toHaveLength(5)
  })

  test('lanes of one priority take the tokens of their group in turn', async () => {
    await using t = await setup({
      a: { ...wide, priority: 1, rateLimit: shared(1) },
      b: { ...wide, priority: 1, rateLimit: shared(1) },
    })
    for (let n = 0; n < 3; n++) {
      void t.queue.submit('a', t.noting('a'))
      void t.queue.submit('b', t.noting('b'))
    }
    await t.clock.advance(5000)
    expect(sorted(t.notes)).toEqual(['a', 'a', 'a', 'b', 'b', 'b'])
    for (const end of [2, 4, 6]) expect(sorted(t.notes.slice(end - 2, end))).toEqual(['a', 'b'])
  })

  test('a refund wakes the other lanes of the group', async () => {
    const rateLimit = shared(100, { unit: 'tokens' })
    await using t = await setup({ a: { ...wide, rateLimit }, b: { ...wide, rateLimit } })
    const at: number[] = []
    void t.queue.submit(
      'a',
      async (ctx) => {
        await t.sleep(10)
        ctx.charge(20)
      },
      { cost: 100 },
    )
    await t.clock.settle()
    void t.queue.submit('b', stamping(t, at), { cost: 80 })
    await t.clock.advance(10)
    expect(at).toEqual([10])
  })

  test('a debt of one lane keeps the others of the group waiting', async () => {
    const rateLimit = shared(100, { unit: 'tokens' })
    await using t = await setup({ a: { ...wide, rateLimit }, b: { ...wide, rateLimit } })
    const at: number[] = []
    void t.queue.submit('b', (ctx) => ctx.charge(200), { cost: 10 })
    await t.clock.settle()
    void t.queue.submit('a', stamping(t, at), { cost: 1 })
    await t.clock.advance(5000)
    expect(at).toEqual([1010])
  })

  test('a lane that leaves its group takes no share of it any more', async () => {
    await using t = await setup({ a: { ...wide, rateLimit: shared(1) }, b: { ...wide, rateLimit: shared(1) } })
    const [a, b]: [number[], number[]] = [[], []]
    t.queue.lane('a').configure({ rateLimit: undefined })
    for (let n = 0; n < 3; n++) void t.queue.submit('a', stamping(t, a))
    for (let n = 0; n < 2; n++) void t.queue.submit('b', stamping(t, b))
    await t.clock.advance(1000)
    expect([a, b]).toEqual([
      [0, 0, 0],
      [0, 1000],
    ])
  })

  test('a lane that waits for the group and is cleared lets the others go on', async () => {
    const rateLimit = shared(100, { unit: 'tokens' })
    await using t = await setup({ best: { ...wide, rateLimit }, worse: { ...wide, rateLimit } })
    const small: number[] = []
    void t.queue.submit('worse', () => 1, { cost: 100 })
    await t.clock.settle()
    const large = errorOf(t.queue.submit('best', stopping(t, 'large', 1), { cost: 100 }))
    void t.queue.submit('worse', stamping(t, small), { cost: 50 })
    await t.clock.advance(600)
    t.queue.lane('best').clear()
    await t.clock.settle()
    expect([(await large)['code'], small]).toEqual(['COMMAND_CANCELLED', [600]])
  })
})
