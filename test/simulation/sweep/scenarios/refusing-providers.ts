/** A provider that says when to come back, and one that only fails. */
import { RetryAfterError, RetryPolicy } from '@a3s-lab/lane'
import type { Scenario } from '../scenario.js'

const GROUP = { maxCommands: 50, windowMs: 100, group: 'shared' }

export const refusingProviders: Scenario = {
  name: 'provider limits and circuit breaker',
  options: () => ({
    lanes: {
      first: { priority: 0, maxConcurrency: 2, timeoutMs: 500, zombieGraceMs: 50, maxDeferrals: 1, rateLimit: GROUP },
      second: { priority: 1, maxConcurrency: 2, timeoutMs: 500, zombieGraceMs: 50, rateLimit: GROUP },
      broken: {
        ...{ priority: 2, maxConcurrency: 2, timeoutMs: 500, zombieGraceMs: 50, retry: RetryPolicy.fixed(1, 10) },
        breaker: { failureRatio: 0.5, minimum: 3, windowMs: 1000, openMs: 100, halfOpen: 1 },
      },
    },
    maxConcurrency: 4,
  }),
  shows: ['queue.command.delayed', 'queue.lane.breaker', 'queue.command.failed'],
  async play(stage) {
    const { queue } = stage
    await stage.call(() => queue.start())
    const busy = (): Error =>
      Object.assign(new Error('too many requests'), {
        status: 429,
        headers: { get: stage.method((name: string) => (name === 'retry-after-ms' ? '40' : null)) },
      })
    stage.submit('first', stage.fails(1, busy))
    stage.submit('first', stage.fails(9, busy))
    stage.submit(
      'second',
      stage.fails(1, () => new RetryAfterError(30, { scope: 'lane' })),
    )
    for (let n = 0; n < 2; n++) stage.submit('second', stage.takes(5))
    for (let n = 0; n < 3; n++) stage.submit('broken', stage.fails(1))
    stage.submit('broken', stage.takes(10))
    const waits = stage.submit('broken', stage.body())
    await stage.pass(60)
    await stage.call(() => queue.explain(waits.id))
    await stage.pass(60)
    stage.submit('broken', stage.body())
    await stage.pass(1000)
    await stage.call(() => queue.lane('broken').configure({ breaker: { failureRatio: 1, minimum: 2 } }))
    await stage.pass(10)
  },
}
