/** Bodies that are asked for their slot, save where they stand, give way at safe points, or do not hear. */
import { type CommandContext, RetryPolicy } from '@a3s-lab/lane'
import type { Scenario } from '../scenario.js'
import type { Stage } from '../stage.js'

/** Does its work in steps and saves each of them. */
const inSteps =
  (stage: Stage, steps: number) =>
  async (context: CommandContext): Promise<unknown> => {
    const state = context.restored as { step: number } | undefined
    for (let step = state?.step ?? 0; step < steps; step++) {
      await context.checkpoint({ step })
      await stage.sleep(10, context.signal)
      await stage.gives(context)
    }
    return steps
  }

export const givingWay: Scenario = {
  name: 'preemption, checkpoints and yields',
  options: () => ({
    lanes: {
      control: {
        ...{ priority: 0, maxConcurrency: 2, minConcurrency: 0, preempts: true, timeoutMs: 400, zombieGraceMs: 50 },
        rateLimit: { maxCommands: 4, windowMs: 50 },
      },
      work: {
        ...{ priority: 5, maxConcurrency: 3, minConcurrency: 0, preemptible: true, preemptGraceMs: 30 },
        ...{ timeoutMs: 400, zombieGraceMs: 50, retry: RetryPolicy.fixed(1, 10) },
      },
    },
    maxConcurrency: 2,
  }),
  shows: ['queue.command.preempted', 'queue.command.resumed', 'queue.fault'],
  async play(stage) {
    const { queue } = stage
    await stage.call(() => queue.start())
    const works = [3, 4, 5].map((steps) => stage.submit('work', stage.body(inSteps(stage, steps))))
    await stage.pass(15)
    stage.submit('control', stage.takes(20))
    await stage.pass(5)
    stage.submit('control', stage.takes(20))
    works[0]?.cancel()
    await stage.pass(200)
    stage.submit('work', stage.deaf(90))
    stage.submit('work', stage.deaf(100))
    await stage.pass(5)
    stage.submit('control', stage.takes(10))
    stage.submit(
      'control',
      stage.body(async (context) => stage.child(context, 'work', stage.takes(5))),
    )
    await stage.pass(100)
    stage.submit('work', stage.body(inSteps(stage, 2)), { timeoutMs: 15 })
    await stage.call(() => queue.lane('work').configure({ preemptible: false }))
    await stage.pass(500)
  },
}
