/** Bodies that do not hear: zombies, and those that are given up. */
import { RetryPolicy } from '@a3s-lab/lane'
import type { Scenario } from '../scenario.js'

export const lingering: Scenario = {
  name: 'zombies and abandoned bodies',
  options: () => ({
    lanes: {
      main: { priority: 0, maxConcurrency: 1, timeoutMs: 50, zombieGraceMs: 100 },
      other: { priority: 1, maxConcurrency: 2, timeoutMs: 50, zombieGraceMs: 100, retry: RetryPolicy.fixed(1, 10) },
    },
    maxConcurrency: 2,
  }),
  shows: ['queue.fault', 'queue.command.timeout', 'queue.command.retry', 'queue.command.cancelled'],
  async play(stage) {
    await stage.call(() => stage.queue.start())
    stage.submit('main', stage.deaf(80))
    stage.submit('main', stage.deaf(1000))
    stage.submit('main', stage.body())
    stage.submit('other', stage.deaf(120))
    stage.submit('other', stage.deaf(400))
    const cancelled = stage.submit('other', stage.deaf(90))
    await stage.pass(200)
    cancelled.cancel()
    stage.submit(
      'other',
      stage.body(() => Promise.resolve().then(() => 'late')),
    )
    await stage.pass(1000)
  },
}
