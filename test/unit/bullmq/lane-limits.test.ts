import { describe, expect, test } from 'vitest'
import { checkLimits, laneOfText, limitsConflict, limitsText, openArguments } from '../../../src/bullmq/lane-limits.js'
import { Namespace } from '../../../src/bullmq/server-calls.js'
import type { EngineLane } from '../../../src/core/index.js'
import { RateLimitConfig, RateLimitGroup } from '../../../src/policy/index.js'

const lane: EngineLane = {
  laneId: 'query',
  priority: 2,
  maxConcurrency: Number.POSITIVE_INFINITY,
  capacity: 5,
  rateLimits: [{ maxCommands: 10, windowMs: 1000 }, RateLimitConfig.unlimited()],
}

describe('limits of a lane', () => {
  test('what is written is what is read', () => {
    expect(laneOfText('query', limitsText(lane))).toMatchObject({
      laneId: 'query',
      priority: 2,
      maxConcurrency: Number.POSITIVE_INFINITY,
      capacity: 5,
      rateLimits: [{ maxCommands: 10, windowMs: 1000, algorithm: 'token-bucket', burst: 10, unit: 'commands' }],
    })
  })

  test('what is read of a limit makes a limit, with a group and without one', () => {
    const limits = [RateLimitConfig.from({ maxCommands: 1, windowMs: 2 }), new RateLimitConfig(3, 4, { group: 'g' })]
    const { rateLimits } = laneOfText('query', limitsText({ ...lane, rateLimits: limits }))
    expect(rateLimits.map((limit) => RateLimitConfig.from(limit))).toMatchObject(limits)
  })

  test('a default that is said is the same limit as one that is not', () => {
    const said = { ...lane, rateLimits: [{ maxCommands: 10, windowMs: 1000, burst: 10, unit: 'commands' }] }
    expect(limitsText(said)).toBe(limitsText(lane))
  })

  test('a conflict names the lane and what is different', () => {
    const error = limitsConflict(lane, limitsText({ ...lane, capacity: 7, maxConcurrency: 1 }))
    expect(error).toMatchObject({ code: 'CONFLICT', laneId: 'query', different: ['maxConcurrency', 'capacity'] })
    expect(error.message).toContain('capacity is 7 there and 5 here')
  })

  test('a limit is counted in microseconds, under a key of its lane or of its group', () => {
    const names = new Namespace('app')
    const grouped = { ...lane, rateLimits: [{ maxCommands: 3, windowMs: 10, group: 'g', algorithm: 'sliding-window' }] }
    const own = JSON.parse(openArguments(lane, 'query', names)[6] as string) as object[]
    expect(own).toEqual([
      {
        key: '{app}:query:~rate:token-bucket 1000 commands',
        ...{ unit: 'commands', isWindow: false, max: 10, burst: 10, window: 1_000_000, rate: 1e-5 },
      },
    ])
    const [shared] = JSON.parse(openArguments(grouped as EngineLane, 'query', names)[6] as string) as [{ key: string }]
    expect(shared).toMatchObject({ key: '{app}~rate:["g","sliding-window 10 commands"]', isWindow: true })
  })

  test('a group that is an object of this process is refused', () => {
    const grouped = { ...lane, rateLimits: [{ maxCommands: 1, windowMs: 1, group: new RateLimitGroup('g') }] }
    expect(() => checkLimits(grouped)).toThrow(/RateLimitGroup is of one process/)
    expect(() => checkLimits(lane)).not.toThrow()
  })
})
