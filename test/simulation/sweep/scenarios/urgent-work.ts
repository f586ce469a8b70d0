/** Boosts by age and by deadline, under a cap with a protected lane. */
import { PriorityBoostConfig } from '@a3s-lab/lane'
import type { Scenario } from '../scenario.js'

export const urgentWork: Scenario = {
  name: 'priority boost and deadlines',
  options: () => ({
    lanes: {
      control: {
        priority: 0,
        maxConcurrency: 1,
        minConcurrency: 0,
        protected: true,
        timeoutMs: 500,
        zombieGraceMs: 50,
      },
      middle: { priority: 5, maxConcurrency: 1, minConcurrency: 0, timeoutMs: 500, zombieGraceMs: 50 },
      aged: {
        ...{ priority: 9, maxConcurrency: 1, minConcurrency: 0, timeoutMs: 500, zombieGraceMs: 50 },
        priorityBoost: PriorityBoostConfig.standard(200),
      },
    },
    maxConcurrency: 1,
  }),
  shows: ['queue.lane.starving', 'queue.lane.relieved'],
  async play(stage) {
    const { queue } = stage
    await stage.call(() => queue.start())
    stage.submit('control', stage.takes(120))
    for (let n = 0; n < 3; n++) stage.submit('middle', stage.takes(60))
    stage.submit('middle', stage.takes(10), { deadlineMs: 100 })
    for (let n = 0; n < 2; n++) stage.submit('aged', stage.takes(30))
    stage.submit('aged', stage.takes(10), { deadlineMs: 50 })
    stage.submit('aged', stage.takes(10), { deadlineMs: 400 }).cancel()
    await stage.pass(150)
    await stage.call(() => queue.lane('aged').configure({ priorityBoost: PriorityBoostConfig.aggressive(100) }))
    stage.submit('control', stage.takes(10))
    await stage.pass(100)
    await stage.call(() => queue.lane('aged').configure({ priorityBoost: PriorityBoostConfig.disabled() }))
    await stage.pass(600)
  },
}
