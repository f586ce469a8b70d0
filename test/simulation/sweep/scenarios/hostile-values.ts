/** Commands, options, states and errors whose accessors are somebody's code. */
import type { AnyCommand, CommandContext, SubmitOptions } from '@a3s-lab/lane'
import type { Scenario } from '../scenario.js'
import type { Stage } from '../stage.js'

/** A signal of somebody's own making. */
function foreignSignal(stage: Stage): { signal: AbortSignal; abort: () => void } {
  const listeners = new Set<() => void>()
  const signal = Object.assign(stage.accessor('aborted', false), {
    reason: 'a foreign reason',
    addEventListener: stage.method((_type: string, listener: () => void) => listeners.add(listener)),
    removeEventListener: stage.method((_type: string, listener: () => void) => listeners.delete(listener)),
  })
  const abort = (): void => {
    for (const listener of [...listeners]) listener()
  }
  return { signal: signal as unknown as AbortSignal, abort }
}

const saves =
  (stage: Stage) =>
  async ({ checkpoint, signal, queue }: CommandContext): Promise<unknown> => {
    await checkpoint({ toJSON: stage.method(() => ({ n: 1 })) })
    stage.ledger.note(queue.submit('main', stage.takes(5), { signal: foreignSignal(stage).signal }))
    return stage.sleep(20, signal)
  }

export const hostileValues: Scenario = {
  name: 'accessors of commands, options and errors',
  options: () => ({
    lanes: { main: { priority: 0, maxConcurrency: 2, timeoutMs: 300, zombieGraceMs: 50 } },
    deadLetters: 5,
  }),
  shows: ['queue.command.completed', 'queue.command.failed', 'queue.command.cancelled'],
  async play(stage) {
    const { queue } = stage
    await stage.call(() => queue.start())
    queue.handle('typed', (_payload, context) => stage.perform(context, () => 'typed'))
    const command = Object.defineProperties(
      {},
      { ...Object.getOwnPropertyDescriptors(stage.accessor('type', 'typed')), payload: { value: 1 } },
    ) as AnyCommand
    const foreign = foreignSignal(stage)
    stage.submit('main', command)
    stage.submit('main', stage.body(), stage.accessor('priority', 5) as SubmitOptions)
    stage.submit('main', stage.takes(5), { signal: foreignSignal(stage).signal })
    stage.submit('main', stage.takes(50), { signal: foreign.signal })
    stage.submit('main', stage.body(saves(stage)))
    stage.submit(
      'main',
      stage.fails(1, () =>
        Object.defineProperties(new Error('x'), Object.getOwnPropertyDescriptors(stage.accessor('message', 'read'))),
      ),
    )
    stage.submit(
      'main',
      stage.body(() => stage.thenable('then')),
    )
    stage.submit(
      'main',
      stage.body(() => stage.accessor('kind', 'snooze')),
    )
    await stage.pass(10)
    await stage.call(() => foreign.abort())
    const change = stage.accessor('maxConcurrency', 1)
    await stage.call(() => queue.lane('main').configure(change))
    await stage.call(() => queue.deadLetters.list((letter) => stage.method(() => letter.attempts > 0)()))
    await stage.pass(500)
  },
}
