/** Every form of a command, every way to refuse one. */
import { defineCommand, JsonCommand } from '@a3s-lab/lane'
import type { Scenario } from '../scenario.js'

export const submitting: Scenario = {
  name: 'submit, batch and schemas',
  options: () => ({
    lanes: {
      main: { priority: 0, maxConcurrency: 2, timeoutMs: 1000, zombieGraceMs: 100 },
      small: { priority: 1, maxConcurrency: 1, capacity: 1, timeoutMs: 1000, zombieGraceMs: 100 },
    },
    maxConcurrency: 3,
    deadLetters: 5,
  }),
  shows: [
    'queue.command.submitted',
    'queue.command.completed',
    'queue.command.rejected',
    'queue.command.delayed',
    'queue.command.dead_lettered',
    'queue.command.deduplicated',
  ],
  async play(stage) {
    const { queue } = stage
    const checked = defineCommand({ type: 'checked', payload: stage.schema(), result: stage.schema() })
    const slow = defineCommand({ type: 'slow', payload: stage.schema(true), result: stage.schema(true) })
    const early = stage.submit('main', stage.body())
    await stage.call(() => queue.start())
    queue.handle('typed', (_payload, context) => stage.perform(context, () => 'typed'))
    queue.handle(checked, (_payload, context) => stage.perform(context, () => 'checked'))
    queue.handle(slow, (_payload, context) => stage.perform(context, () => stage.sleep(5)))
    stage.submit('main', { type: 'typed', payload: 1 })
    stage.submit('main', { commandType: 'object', execute: stage.takes(10) })
    stage.submit('main', new JsonCommand('typed', { n: 1 }))
    stage.submit('main', { type: 'nobody' })
    for (const command of [checked('a'), slow('b'), slow('c')]) stage.submit('main', command)
    const batch: Parameters<typeof queue.submitBatch>[1] = [stage.takes(5), [stage.takes(5), { priority: 1 }]]
    for (const run of queue.submitBatch('main', batch, { metadata: 'batch' })) stage.ledger.note(run)
    for (let n = 0; n < 3; n++) stage.submit('small', stage.takes(20))
    stage.submit('nowhere', stage.body())
    stage.submit('main', { type: 'typed' }, { id: 'one', delayMs: 30 })
    stage.submit('main', { type: 'typed' }, { id: 'one' })
    stage.submit('main', { type: 'other' }, { id: 'one' })
    stage.submit('main', stage.body(), { runAt: stage.clock.face.wallNow() + 40 })
    await stage.pass(3)
    stage.submit('main', slow('d')).cancel('not wanted')
    await stage.call(() => early.result())
    await stage.pass(100)
  },
}
