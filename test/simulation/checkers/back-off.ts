import type { CheckerKind } from '../checker.js'
import type { RetrySpec } from '../lane-spec.js'
import { describe } from '../observer.js'
import type { CommandPicture, Picture } from '../picture.js'

/** Instants are sums of floating-point numbers. */
const SLACK_MS = 1e-6

/**
 * I11: nothing starts before it is due, and a delayed command is ready as soon as it is. A retry is due between the ends of
 * its jitter; it may have to wait for its own earlier body. With late timers only the first half can be judged.
 */
export const backOff: CheckerKind = {
  name: 'back-off',
  invariants: ['I11'],
  make: () => {
    const latest = new Map<CommandPicture, number>()
    return {
      onEvent: ({ name, command, fields }, picture) => {
        if (command === undefined) return
        if (name === 'submitted' && command.wasDelayed) latest.set(command, command.dueAt)
        if (name === 'delayed') latest.set(command, Math.max(command.dueAt, picture.now + Number(fields['delay_ms'])))
        if (name !== 'retry') return
        const [soonest, last] = delayRange(command.retry, Number(fields['attempt']))
        command.dueAt = picture.now + soonest
        latest.set(command, picture.now + last)
      },
      beforeStart: (command, picture) => {
        latest.delete(command)
        if (picture.now < command.dueAt - SLACK_MS)
          picture.report('I11', `${describe(command)} started at ${picture.now}, due at ${command.dueAt}`)
      },
      atQuiescence: (picture) => {
        if (!picture.isPunctual) return
        for (const [command, dueAt] of latest) {
          if (command.phase === 'settled') latest.delete(command)
          else judgeOverdue(command, dueAt, picture)
        }
      },
    }
  },
}

function judgeOverdue(command: CommandPicture, dueAt: number, picture: Picture): void {
  if (!command.wasDelayed || command.run === undefined) return
  if (picture.now <= dueAt + SLACK_MS || command.run.state !== 'delayed') return
  const { body } = command
  if (body !== undefined && !body.hasLeft && !body.isAbandoned) return
  if (isHeldBack(command, picture)) return
  picture.report('I11', `${describe(command)} was due at ${dueAt}, and is still delayed at ${picture.now}`)
}

/** A duplicate that is to follow its owner waits as a delayed one, for as long as that takes. */
const isHeldBack = ({ spec }: CommandPicture, _picture: Picture): boolean => spec.dedupe?.mode === 'keep-last'

/** The soonest and the latest delay before a retry. */
function delayRange(retry: RetrySpec, n: number): readonly [number, number] {
  const { initialMs, factor, maxMs, jitter } = retry
  const delay = initialMs === 0 ? 0 : Math.min(Math.trunc(initialMs * factor ** (n - 1)), maxMs)
  if (jitter === 'none') return [delay, delay]
  return [jitter === 'full' ? 0 : delay / 2, delay]
}
