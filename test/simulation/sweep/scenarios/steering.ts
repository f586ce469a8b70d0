/** A hand on the levers: pause, configure, clear, look. */
import type { Scenario } from '../scenario.js'

export const steering: Scenario = {
  name: 'pause, configure, clear and look',
  options: () => ({
    lanes: {
      main: { priority: 0, maxConcurrency: 2, pressureThreshold: 2, capacity: 4, timeoutMs: 300, zombieGraceMs: 50 },
      other: { priority: 0, maxConcurrency: 1, timeoutMs: 300, zombieGraceMs: 50 },
    },
    maxConcurrency: 2,
  }),
  shows: [
    'queue.lane.paused',
    'queue.lane.resumed',
    'queue.lane.pressure',
    'queue.lane.idle',
    'queue.lane.configured',
    'queue.command.rejected',
  ],
  async play(stage) {
    const { queue } = stage
    const main = queue.lane('main')
    await stage.call(() => queue.start())
    await stage.call(() => main.pause())
    for (let n = 0; n < 6; n++) stage.submit('main', stage.takes(10), { priority: 6 - n })
    for (let n = 0; n < 2; n++) stage.submit('other', stage.takes(15))
    await stage.pass(5)
    stage.ledger.allow('main', 3)
    await stage.call(() => main.configure({ maxConcurrency: 3, order: 'lifo', priority: 3 }))
    await stage.call(() => main.configure({ capacity: 0 }))
    await stage.call(() => queue.list({ limit: 2 }))
    await stage.call(() => main.resume())
    const late = stage.submit('main', stage.takes(10), { delayMs: 20 })
    await stage.pass(12)
    await stage.call(() => queue.get(late.id))
    await stage.call(() => queue.explain(late.id))
    await stage.call(() => main.clear('not today'))
    await stage.call(() => main.configure({ maxConcurrency: 1 }))
    for (let n = 0; n < 2; n++) stage.submit('main', stage.takes(10))
    await stage.pass(300)
    await stage.call(() => queue.list({ state: 'completed' }))
  },
}
