/** What is said along the way: progress, logs, events to slow readers, and a child queue that looks around. */
import type { Scenario } from '../scenario.js'

export const reporting: Scenario = {
  name: 'progress, logs and readers',
  options: () => ({
    lanes: { main: { priority: 0, maxConcurrency: 2, timeoutMs: 300, zombieGraceMs: 50 } },
  }),
  shows: ['queue.command.progress', 'queue.command.completed', 'queue.command.timeout'],
  async play(stage) {
    const { queue } = stage
    await stage.call(() => queue.start())
    const unread = queue.subscribe({ capacity: 2 })
    const reports = stage.body(async ({ progress, log, signal, queue: children }) => {
      for (let n = 0; n < 3; n++) {
        progress({ n })
        log(`step ${n}`)
        await stage.sleep(5, signal)
      }
      return children.stats().totalActive
    })
    const run = stage.submit('main', reports)
    await stage.call(async () => {
      for await (const value of run.progress({ capacity: 1 })) if (value !== undefined) stage.calls.now('reader')
    })
    queue.subscribeFiltered(['queue.command.completed'], { capacity: 1 })
    const asked = queue.subscribeFiltered((event) => {
      stage.calls.now('filter')
      return event.key === 'queue.command.started'
    })
    stage.submit('main', stage.takes(1000))
    await stage.pass(20)
    asked.close()
    await stage.call(() => unread.recv())
    await stage.call(() => queue.get(run.id))
    await stage.pass(500)
  },
}
