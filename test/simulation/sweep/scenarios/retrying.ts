/** Attempts that fail, and what follows. */
import { discard, RetryAfterError, RetryPolicy, snooze, UnrecoverableError } from '@a3s-lab/lane'
import type { Scenario } from '../scenario.js'

export const retrying: Scenario = {
  name: 'retries, timeouts and outcomes',
  options: () => ({
    lanes: {
      main: {
        ...{ priority: 0, maxConcurrency: 3, timeoutMs: 100, zombieGraceMs: 50, maxDeferrals: 2 },
        retry: RetryPolicy.exponential(2, { initialMs: 10, jitter: 'full' }),
      },
    },
    deadLetters: 2,
  }),
  shows: [
    'queue.command.retry',
    'queue.command.timeout',
    'queue.command.failed',
    'queue.command.delayed',
    'queue.command.cancelled',
    'queue.command.dead_lettered',
  ],
  async play(stage) {
    await stage.call(() => stage.queue.start())
    stage.submit('main', stage.fails(2))
    stage.submit('main', stage.fails(9))
    stage.submit('main', stage.takes(500), { retry: RetryPolicy.fixed(1, 0) })
    stage.submit(
      'main',
      stage.fails(9, () => new UnrecoverableError('no use')),
    )
    stage.submit(
      'main',
      stage.fails(9, () => new RetryAfterError(20)),
    )
    stage.submit(
      'main',
      stage.fails(1, () => Object.assign(new Error('late'), { name: 'TimeoutError' })),
    )
    let naps = 2
    stage.submit(
      'main',
      stage.body(() => (naps-- > 0 ? snooze(15) : 'rested')),
    )
    stage.submit(
      'main',
      stage.body(() => discard('not needed')),
    )
    stage.submit(
      'main',
      stage.body(() => Promise.reject(undefined)),
      { retry: RetryPolicy.exponential(1, { jitter: 'equal' }) },
    )
    await stage.pass(1000)
  },
}
