/** Dead letters, and the way back. */
import { RetryPolicy } from '@a3s-lab/lane'
import type { Scenario } from '../scenario.js'

export const letters: Scenario = {
  name: 'dead letters and redrive',
  options: () => ({
    lanes: { main: { priority: 0, maxConcurrency: 2, timeoutMs: 1000, zombieGraceMs: 50 } },
    deadLetters: 3,
  }),
  shows: ['queue.command.dead_lettered', 'queue.dead_letter.redriven'],
  async play(stage) {
    const { queue } = stage
    const { deadLetters } = queue
    await stage.call(() => queue.start())
    let isWell = false
    queue.handle('moody', (_payload, context) =>
      stage.perform(context, () => {
        if (isWell) return 'well'
        throw new Error('unwell')
      }),
    )
    const runs = [1, 2, 3, 4].map((payload) =>
      stage.submit('main', { type: 'moody', payload }, { retry: RetryPolicy.fixed(1, 5), cost: 2, priority: payload }),
    )
    await stage.pass(50)
    isWell = true
    await stage.call(() => stage.ledger.note(deadLetters.redrive(runs[3]?.id ?? '')))
    await stage.call(() => stage.ledger.note(deadLetters.redrive('nobody')))
    await stage.call(async () => {
      const again = await deadLetters.redrive((letter) => letter.payload === 2)
      for (const run of again) stage.ledger.note(run)
    })
    await stage.pass(50)
    await stage.call(() => deadLetters.discard({ laneId: 'main' }))
    await stage.pass(10)
  },
}
