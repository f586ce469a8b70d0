/** Keys that take turns, and places per key. */
import type { Scenario } from '../scenario.js'

export const takingTurns: Scenario = {
  name: 'fairness by key and places per key',
  options: () => ({
    lanes: {
      fair: { priority: 0, maxConcurrency: 2, fairness: 'key', keyConcurrency: 1, timeoutMs: 300, zombieGraceMs: 50 },
      plain: { priority: 1, maxConcurrency: 2, keyConcurrency: 1, order: 'lifo', timeoutMs: 300, zombieGraceMs: 50 },
    },
    maxConcurrency: 3,
  }),
  shows: ['queue.command.completed', 'queue.command.cancelled', 'queue.command.timeout'],
  async play(stage) {
    const { queue } = stage
    await stage.call(() => queue.start())
    const keys = ['a', 'a', 'a', 'b', 'b', undefined, undefined]
    for (const [n, key] of keys.entries())
      stage.submit('fair', stage.takes(10), { key, weight: 1 + (n % 2), cost: 1 + n })
    for (const key of ['a', 'b', 'a']) stage.submit('plain', stage.takes(15), { key, priority: key === 'b' ? 1 : 2 })
    stage.submit(
      'fair',
      stage.body(async (context) => {
        await stage.gives(context)
        return stage.child(context, 'fair', stage.takes(5), { key: 'c' })
      }),
      { key: 'c' },
    )
    const deaf = stage.submit('fair', stage.deaf(400), { key: 'b' })
    await stage.pass(40)
    await stage.call(() => queue.explain(deaf.id))
    stage.submit('fair', stage.takes(5), { key: 'b' }).cancel()
    await stage.call(() => queue.lane('plain').configure({ fairness: 'key', order: 'fifo', keyConcurrency: undefined }))
    await stage.call(() => queue.lane('fair').configure({ fairness: 'none' }))
    stage.submit('plain', stage.takes(5), { key: 'a' })
    await stage.pass(1000)
  },
}
