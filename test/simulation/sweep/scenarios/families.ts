/** Children: those that are waited for in borrowed places, those that fall with their parent, those that do not. */
import type { CommandContext } from '@a3s-lab/lane'
import type { Scenario } from '../scenario.js'
import type { Stage } from '../stage.js'

const parent =
  (stage: Stage, laneId: string) =>
  async (context: CommandContext): Promise<unknown> => {
    const first = stage.child(context, 'main', stage.takes(10))
    const second = stage.child(
      context,
      laneId,
      stage.body((inner) => stage.child(inner, 'main', stage.takes(5))),
    )
    const detached = context.queue.submit('side', stage.takes(30), { detached: true })
    stage.ledger.note(detached)
    stage.ledger.note(context.queue.submit('side', stage.takes(300)))
    for (const run of context.queue.submitBatch('main', [stage.takes(3), stage.takes(3)])) stage.ledger.note(run)
    const answers = await Promise.allSettled([first, second])
    return stage.sleep(50, context.signal).then(() => answers.length)
  }

export const families: Scenario = {
  name: 'children, borrowed places, cancelled trees',
  options: () => ({
    lanes: {
      main: { priority: 0, maxConcurrency: 1, timeoutMs: 1000, zombieGraceMs: 50 },
      side: { priority: 1, maxConcurrency: 2, timeoutMs: 1000, zombieGraceMs: 50 },
    },
    maxConcurrency: 2,
  }),
  shows: ['queue.command.completed', 'queue.command.cancelled'],
  async play(stage) {
    const { queue } = stage
    await stage.call(() => queue.start())
    stage.submit('main', stage.body(parent(stage, 'side')))
    const falls = stage.submit('main', stage.body(parent(stage, 'main')))
    const session = new AbortController()
    stage.submit('side', stage.takes(500), { signal: session.signal })
    stage.submit('side', stage.takes(500), { signal: session.signal, delayMs: 10 })
    await stage.pass(100)
    falls.cancel('the whole tree')
    session.abort('over')
    await stage.pass(200)
    stage.submit('main', stage.body(parent(stage, 'side')))
    await stage.pass(15)
    await stage.call(() => queue.lane('main').cancelAll('enough'))
    await stage.pass(500)
  },
}
