/** A reserved slot that is lent to work which can give it back, and lanes that want more than is left. */
import type { Scenario } from '../scenario.js'

export const lentSlots: Scenario = {
  name: 'reserved and lent slots under a cap',
  options: () => ({
    lanes: {
      control: { priority: 0, maxConcurrency: 2, minConcurrency: 0, preempts: true, timeoutMs: 400, zombieGraceMs: 50 },
      guarded: {
        ...{ priority: 1, maxConcurrency: 1, minConcurrency: 1, lend: true, protected: true },
        ...{ timeoutMs: 400, zombieGraceMs: 50 },
      },
      kept: { priority: 3, maxConcurrency: 1, minConcurrency: 1, lend: false, timeoutMs: 400, zombieGraceMs: 50 },
      work: { priority: 5, maxConcurrency: 3, minConcurrency: 0, preemptible: true, timeoutMs: 400, zombieGraceMs: 50 },
    },
    maxConcurrency: 3,
  }),
  shows: ['queue.command.completed', 'queue.lane.configured'],
  async play(stage) {
    const { queue } = stage
    await stage.call(() => queue.start())
    for (let n = 0; n < 4; n++) stage.submit('work', stage.takes(20))
    await stage.pass(5)
    for (let n = 0; n < 2; n++) stage.submit('control', stage.takes(15))
    await stage.pass(5)
    stage.submit('guarded', stage.takes(10))
    stage.submit('kept', stage.takes(10))
    stage.submit('control', stage.takes(10))
    await stage.pass(60)
    await stage.call(() => queue.lane('kept').configure({ lend: true }))
    for (let n = 0; n < 3; n++) stage.submit('work', stage.takes(20))
    await stage.pass(5)
    stage.submit('kept', stage.takes(10))
    await stage.pass(300)
  },
}
