/** Rate limits of both algorithms, groups, units, charges, and limits that change. */
import { type CommandContext, RateLimitGroup, RetryPolicy } from '@a3s-lab/lane'
import type { Scenario } from '../scenario.js'
import type { Stage } from '../stage.js'

const charging =
  (stage: Stage, amount: number) =>
  async ({ signal, charge }: CommandContext): Promise<unknown> => {
    await stage.sleep(5, signal)
    charge({ tokens: amount })
    return amount
  }

export const rationing: Scenario = {
  name: 'rate limits, groups and charges',
  options: () => {
    const group = new RateLimitGroup('provider')
    const tokens = { maxCommands: 100, windowMs: 1000, unit: 'tokens', group }
    return {
      lanes: {
        good: {
          ...{ priority: 0, maxConcurrency: 2, timeoutMs: 2000, zombieGraceMs: 50, retry: RetryPolicy.fixed(1, 10) },
          rateLimit: [{ maxCommands: 3, windowMs: 100, algorithm: 'sliding-window' as const }, tokens],
        },
        worse: { priority: 1, maxConcurrency: 2, timeoutMs: 2000, zombieGraceMs: 50, rateLimit: tokens },
        alone: {
          priority: 2,
          timeoutMs: 2000,
          zombieGraceMs: 50,
          rateLimit: { maxCommands: 2, windowMs: 50, burst: 2 },
        },
      },
    }
  },
  shows: ['queue.command.completed', 'queue.command.rejected', 'queue.lane.configured'],
  async play(stage) {
    const { queue } = stage
    await stage.call(() => queue.start())
    stage.submit('good', stage.body(charging(stage, 150)), { cost: { tokens: 40 } })
    stage.submit('good', stage.fails(1), { cost: 20 })
    stage.submit('worse', stage.body(charging(stage, 1)), { cost: 60 })
    stage.submit('worse', stage.takes(5), { cost: 30 })
    for (let n = 0; n < 4; n++) stage.submit('good', stage.takes(3), { cost: 5 })
    for (let n = 0; n < 4; n++)
      stage.submit(
        'alone',
        stage.body(async (context) => stage.child(context, 'alone', stage.body())),
      )
    stage.submit('good', stage.body(), { cost: 1000 })
    const waits = stage.submit('alone', stage.body(), { cost: 3 })
    await stage.pass(1)
    await stage.call(() => queue.explain(waits.id))
    await stage.pass(199)
    const limits = { maxCommands: 1, windowMs: 50 }
    await stage.call(() => queue.lane('alone').configure({ rateLimit: limits }))
    await stage.call(() => queue.lane('good').configure({ rateLimit: undefined }))
    stage.submit('good', stage.body())
    await stage.pass(5000)
  },
}
