/** The end of a queue: politely, in a hurry, and out of turn. */
import { defineCommand, RetryPolicy } from '@a3s-lab/lane'
import type { Scenario } from '../scenario.js'

const LANES = {
  main: { priority: 0, maxConcurrency: 2, timeoutMs: 500, zombieGraceMs: 50, retry: RetryPolicy.fixed(1, 20) },
}

export const politeEnd: Scenario = {
  name: 'drain and shutdown',
  options: () => ({ lanes: LANES, maxConcurrency: 2 }),
  shows: ['queue.shutdown.started', 'queue.shutdown.complete', 'queue.command.rejected'],
  async play(stage) {
    const { queue } = stage
    await stage.call(() => queue.start())
    for (let n = 0; n < 3; n++) stage.submit('main', stage.takes(30))
    stage.submit('main', stage.fails(1))
    stage.submit('main', stage.body(), { delayMs: 50 })
    await stage.call(() => queue.drain(10))
    await stage.call(() => queue.drain(5000))
    const impatient = new AbortController()
    await stage.call(() => queue.drain(5000, { signal: impatient.signal }).catch((reason: unknown) => reason))
    await stage.pass(20)
    impatient.abort('no patience')
    await stage.call(() => queue.shutdown())
    stage.submit('main', stage.body())
    await stage.pass(5000)
    await stage.call(() => queue.drain(0))
  },
}

export const hastyEnd: Scenario = {
  name: 'close with everything under way',
  options: () => ({ lanes: LANES, maxConcurrency: 2, deadLetters: 2 }),
  shows: ['queue.command.cancelled', 'queue.fault', 'queue.shutdown.complete'],
  async play(stage) {
    const { queue } = stage
    await stage.call(() => queue.start())
    const slow = defineCommand({ type: 'slow', payload: stage.schema(true) })
    queue.handle(slow, (_payload, context) => stage.perform(context, () => 'slow'))
    stage.submit('main', stage.deaf(800))
    stage.submit(
      'main',
      stage.body(async (context) => {
        await stage.gives(context)
        return stage.child(context, 'main', stage.takes(30))
      }),
    )
    stage.submit('main', stage.fails(2))
    stage.submit('main', stage.body(), { delayMs: 100 })
    await stage.pass(10)
    stage.submit('main', slow('a'))
    await stage.call(() => queue.close({ timeoutMs: 40 }))
    await stage.call(() => queue.close())
    stage.submit('main', stage.body())
    await stage.pass(2000)
    await stage.call(() => queue.start())
  },
}
