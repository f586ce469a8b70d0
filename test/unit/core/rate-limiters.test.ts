import fc from 'fast-check'
import { describe, expect, test, vi } from 'vitest'
import { RateLimiter, SlidingWindowLimiter, TokenBucketLimiter } from '../../../src/core/rate-limiters.js'
import { RateLimitConfig, type RateLimitFields } from '../../../src/policy/rate-limit.js'
import { RateLimitGroup } from '../../../src/policy/rate-limit-group.js'
import { VirtualClock } from '../../../src/testing/index.js'

type Limiter = TokenBucketLimiter | SlidingWindowLimiter | RateLimiter

/** How many of `count` are granted. */
const grants = (limiter: Limiter, count: number): number =>
  Array.from({ length: count }, () => limiter.tryAcquire()).filter(Boolean).length

test.each([
  ['10 per second', RateLimitConfig.perSecond(10), 1000],
  ['10 per 100 ms', new RateLimitConfig(10, 100), 150],
])('a bucket of %s grants 10, refuses the 11th, and grants again later', async (_what, config, later) => {
  const clock = new VirtualClock()
  const limiter = new TokenBucketLimiter(config, { clock })
  expect([limiter.capacity, limiter.availableTokens, limiter.refillRate]).toEqual([10, 10, 10_000 / config.windowMs])
  expect([grants(limiter, 11), limiter.availableTokens]).toEqual([10, 0])
  await clock.advance(later)
  expect([limiter.availableTokens, limiter.tryAcquire(10), limiter.tryAcquire()]).toEqual([10, true, false])
})

test.each([
  ['5 per second', RateLimitConfig.perSecond(5), 1000],
  ['5 per 100 ms', new RateLimitConfig(5, 100), 150],
])('a window of %s grants 5, refuses the 6th, and grants again later', async (_what, config, later) => {
  const clock = new VirtualClock()
  const limiter = new SlidingWindowLimiter(config, { clock })
  expect([limiter.currentCount, limiter.remaining]).toEqual([0, 5])
  expect([grants(limiter, 6), limiter.currentCount, limiter.remaining]).toEqual([5, 5, 0])
  await clock.advance(later)
  expect([limiter.tryAcquire(), limiter.currentCount, limiter.remaining]).toEqual([true, 1, 4])
})

test('commands are counted whole, other units with their fraction', async () => {
  const clock = new VirtualClock()
  const commands = new TokenBucketLimiter(RateLimitConfig.perSecond(10), { clock })
  const dollars = new TokenBucketLimiter(RateLimitConfig.perSecond(10, { unit: 'usd', burst: 20 }), { clock })
  commands.tryAcquire(10)
  dollars.tryAcquire(20)
  await clock.advance(250)
  expect([commands.availableTokens, dollars.availableTokens, dollars.capacity]).toEqual([2, 2.5, 20])
})

test('a bucket that is a rounding short of its last token has it, and one that is a rounding over it is not in debt', () => {
  const clock = new VirtualClock()
  const limiter = new TokenBucketLimiter(RateLimitConfig.perSecond(1), { clock })
  expect([limiter.tryAcquire(1 + 1e-10), limiter.availableTokens]).toEqual([true, 0])
  const other = new TokenBucketLimiter(RateLimitConfig.perSecond(2), { clock })
  for (const amount of [0.05, 0.55, 0.4]) other.tryAcquire(amount)
  expect([other.availableTokens, other.tryAcquire(), other.availableTokens]).toEqual([1, true, 0])
})

test('unlimited grants everything at once', async () => {
  const limiter = RateLimiter.unlimited()
  expect([grants(limiter, 1000), limiter.tryAcquire(Number.MAX_SAFE_INTEGER), limiter.tryAcquire()]).toEqual([
    1000,
    true,
    true,
  ])
  expect(await limiter.acquire()).toBe(0)
  const atOnce = new TokenBucketLimiter(RateLimitConfig.unlimited(), { clock: new VirtualClock() })
  expect([1, 2].map(() => atOnce.tryAcquire(Number.MAX_SAFE_INTEGER))).toEqual([true, true])
})

test('acquire on 1 per 50 ms: the first at once, the second waits exactly', async () => {
  const clock = new VirtualClock()
  for (const algorithm of ['token-bucket', 'sliding-window'] as const) {
    const limiter = new RateLimiter({ maxCommands: 1, windowMs: 50, algorithm }, { clock })
    expect(await limiter.acquire()).toBe(0)
    const second = limiter.acquire()
    await clock.advance(49)
    expect(clock.timers).toBe(1)
    await clock.advance(1)
    expect(await clock.expectSettled(second)).toBe(50)
    expect(clock.timers).toBe(0)
  }
})

test('a limiter without a clock takes the machine’s', async () => {
  const limiter = new RateLimiter(RateLimitConfig.perHour(1))
  expect([await limiter.acquire(), limiter.tryAcquire()]).toEqual([0, false])
})

test('RateLimiter goes by its config, or by the name it is made under', async () => {
  const clock = new VirtualClock()
  const bucket: RateLimitFields = { maxCommands: 2, windowMs: 1000 }
  const slides: RateLimitFields = { ...bucket, algorithm: 'sliding-window' }
  const half = [
    new RateLimiter(bucket, { clock }),
    RateLimiter.tokenBucket(slides, { clock }),
    new RateLimiter(slides, { clock }),
    RateLimiter.slidingWindow(bucket, { clock }),
  ]
  for (const limiter of half) grants(limiter, 2)
  await clock.advance(500)
  expect(half.map((limiter) => limiter.tryAcquire())).toEqual([true, true, false, false])
})

describe('the line', () => {
  test('is served in order, whatever is asked for, behind one timer', async () => {
    const clock = new VirtualClock()
    const limiter = new TokenBucketLimiter(RateLimitConfig.perSecond(10), { clock })
    limiter.tryAcquire(10)
    const served: string[] = []
    for (const [name, amount] of [
      ['large', 5],
      ['small', 1],
      ['next', 1],
    ] as const)
      void limiter.acquire(amount).then((waited) => served.push(`${name} after ${waited}`))
    await clock.advance(499)
    expect([clock.timers, served, limiter.tryAcquire()]).toEqual([1, [], false])
    await clock.advance(1000)
    expect(served).toEqual(['large after 500', 'small after 600', 'next after 700'])
    expect(clock.timers).toBe(0)
  })

  test('serves several at once when there is enough', async () => {
    const clock = new VirtualClock()
    const limiter = new SlidingWindowLimiter(RateLimitConfig.perSecond(3), { clock })
    limiter.tryAcquire(3)
    const all = Promise.all([limiter.acquire(), limiter.acquire(), limiter.acquire()])
    await clock.advance(1000)
    expect(await clock.expectSettled(all)).toEqual([1000, 1000, 1000])
    expect(limiter.remaining).toBe(0)
  })

  test('is left by a signal, with its reason: nothing is taken, and who came later moves up', async () => {
    const clock = new VirtualClock()
    const limiter = new TokenBucketLimiter(RateLimitConfig.perSecond(10), { clock })
    limiter.tryAcquire(10)
    const controller = new AbortController()
    const large = limiter.acquire(10, { signal: controller.signal })
    const small = limiter.acquire(1, { signal: new AbortController().signal })
    await clock.advance(50)
    controller.abort(new Error('never mind'))
    await expect(large).rejects.toThrow('never mind')
    await clock.advance(50)
    expect(await clock.expectSettled(small)).toBe(100)
    expect([clock.timers, limiter.availableTokens]).toEqual([0, 0])
  })

  test('keeps no listener on the signal of one who was served', async () => {
    const clock = new VirtualClock()
    const limiter = new TokenBucketLimiter(RateLimitConfig.perSecond(1), { clock })
    limiter.tryAcquire()
    const { signal } = new AbortController()
    const [added, removed] = [vi.spyOn(signal, 'addEventListener'), vi.spyOn(signal, 'removeEventListener')]
    const served = limiter.acquire(1, { signal })
    await clock.advance(1000)
    expect(await clock.expectSettled(served)).toBe(1000)
    expect([added.mock.calls.length, removed.mock.calls.length]).toEqual([1, 1])
  })

  test('is left by the last one with the timer', async () => {
    const clock = new VirtualClock()
    const limiter = new TokenBucketLimiter(RateLimitConfig.perSecond(1), { clock })
    limiter.tryAcquire()
    const controller = new AbortController()
    const alone = limiter.acquire(1, { signal: controller.signal })
    await clock.settle()
    expect(clock.timers).toBe(1)
    controller.abort('enough')
    await expect(alone).rejects.toBe('enough')
    expect(clock.timers).toBe(0)
  })

  test('is not entered with a signal that has aborted', async () => {
    const limiter = RateLimiter.unlimited()
    await expect(limiter.acquire(1, { signal: AbortSignal.abort('too late') })).rejects.toBe('too late')
  })

  test('goes on when a timer comes a little early', async () => {
    const clock = new VirtualClock()
    const limiter = new TokenBucketLimiter(RateLimitConfig.perSecond(3), { clock })
    await clock.advance(0.1)
    const waits = Promise.all(Array.from({ length: 33 }, () => limiter.acquire()))
    await clock.advance(10_001)
    const all = await clock.expectSettled(waits)
    for (const [index, waited] of all.entries()) expect(waited).toBeCloseTo(Math.max(0, index - 2) * (1000 / 3), 9)
  })
})

describe('refused with CONFIG_INVALID:', () => {
  test.each([
    ['a config that makes no sense', () => new TokenBucketLimiter({ maxCommands: 0, windowMs: 1 }), 'maxCommands'],
    ['a window of 0', () => new SlidingWindowLimiter({ maxCommands: 1, windowMs: 0 }), 'windowMs'],
    ['a burst in a window', () => new SlidingWindowLimiter({ maxCommands: 1, windowMs: 1, burst: 2 }), 'burst'],
    ['no config', () => new RateLimiter(undefined as never), 'RateLimitConfig must be an object'],
    [
      'a group',
      () => new RateLimiter(RateLimitConfig.perSecond(1, { group: new RateLimitGroup('g') })),
      'RateLimiter group must be left out: share the limiter itself, got {"name":"g"}',
    ],
    ['more than the capacity', () => RateLimiter.tokenBucket(RateLimitConfig.perSecond(5)).tryAcquire(6), 'at most 5'],
    ['nothing', () => RateLimiter.unlimited().tryAcquire(0), 'RateLimiter amount must be a number above 0'],
    ['what is no number', () => RateLimiter.unlimited().tryAcquire('1' as never), 'got "1"'],
    ['NaN', () => RateLimiter.unlimited().tryAcquire(Number.NaN), 'got NaN'],
  ])('%s', (_what, make, message) => {
    expect(make).toThrow(
      expect.objectContaining({ code: 'CONFIG_INVALID', message: expect.stringContaining(message) as string }),
    )
  })

  test('acquire rejects, and does not wait for ever', async () => {
    const limiter = new SlidingWindowLimiter(RateLimitConfig.perSecond(5))
    await expect(limiter.acquire(5.1)).rejects.toThrow(
      'RateLimiter amount must be a number above 0, at most 5, got 5.1',
    )
    await expect(limiter.acquire(-1)).rejects.toThrow('got -1')
  })
})

test('everybody is served in the order of arrival, never more than the limit grants, and nobody waits longer than needed', async () => {
  const arrivals = fc.array(fc.record({ after: fc.nat({ max: 300 }), amount: fc.integer({ min: 1, max: 10 }) }), {
    maxLength: 30,
  })
  await fc.assert(
    fc.asyncProperty(arrivals, fc.boolean(), async (script, slides) => {
      const clock = new VirtualClock()
      const algorithm = slides ? 'sliding-window' : 'token-bucket'
      const limiter = new RateLimiter(RateLimitConfig.perSecond(10, { algorithm }), { clock })
      const served: { index: number; at: number; amount: number }[] = []
      for (const [index, { after, amount }] of script.entries()) {
        await clock.advance(after)
        void limiter.acquire(amount).then(() => served.push({ index, at: clock.now(), amount }))
      }
      await clock.advanceToEnd()
      expect(served.map(({ index }) => index)).toEqual(script.map((_, index) => index))
      expect(clock.timers).toBe(0)
      for (const [from, first] of served.entries()) {
        let sum = 0
        for (const { at, amount } of served.slice(from)) {
          if (slides && at - first.at >= 1000) break
          sum += amount
          expect(sum).toBeLessThanOrEqual(slides ? 10 : 10 + (at - first.at) / 100 + 1e-6)
        }
      }
    }),
    { numRuns: 50 },
  )
})
