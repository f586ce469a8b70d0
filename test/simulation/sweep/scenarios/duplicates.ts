/** Commands of which there may be one at a time. */
import { type DedupeOptions, defineCommand, RetryPolicy, type SubmitOptions } from '@a3s-lab/lane'
import type { Scenario } from '../scenario.js'

const once = (mode: 'drop' | 'replace' | 'keep-last', ttlMs?: number): SubmitOptions => {
  const dedupe: DedupeOptions = { id: mode, mode, ttlMs }
  return { dedupe }
}

export const duplicates: Scenario = {
  name: 'dedupe in its three modes',
  options: () => ({
    lanes: {
      main: { priority: 0, maxConcurrency: 1, timeoutMs: 300, zombieGraceMs: 50, retry: RetryPolicy.fixed(1, 10) },
    },
  }),
  shows: ['queue.command.deduplicated', 'queue.command.cancelled', 'queue.command.delayed'],
  async play(stage) {
    await stage.call(() => stage.queue.start())
    const checked = defineCommand({ type: 'checked', payload: stage.schema(true) })
    stage.queue.handle(checked, (_payload, context) => stage.perform(context, () => 'checked'))
    stage.submit('main', stage.takes(20), once('keep-last'))
    stage.submit('main', stage.takes(20), once('drop', 100))
    stage.submit('main', stage.takes(20), once('replace'))
    await stage.pass(5)
    stage.submit('main', stage.takes(5), once('keep-last'))
    stage.submit('main', stage.takes(5), { ...once('keep-last'), delayMs: 60 })
    stage.submit('main', stage.takes(5), once('drop'))
    stage.submit('main', stage.takes(5), once('replace', 50))
    await stage.pass(50)
    stage.submit('main', stage.takes(5), once('replace'))
    stage.submit('main', stage.takes(5), once('drop'))
    await stage.pass(200)
    stage.submit('main', stage.fails(1), once('drop'))
    stage.submit('main', checked('a'), once('replace'))
    stage.submit('main', checked('b'), once('replace'))
    await stage.pass(2)
    stage.submit('main', checked('c'), once('keep-last')).cancel()
    await stage.pass(500)
  },
}
