import type { CheckerKind } from '../checker.js'
import { describe } from '../observer.js'
import type { CommandPicture } from '../picture.js'

const CODES: Readonly<Record<string, readonly string[]>> = {
  failed: ['COMMAND_FAILED', 'HANDLER_NOT_FOUND', 'CONFIG_INVALID'],
  timeout: ['COMMAND_TIMEOUT'],
  cancelled: ['COMMAND_CANCELLED'],
}

/** I8, I9: every accepted command settles; once; and its run answers once, with what its event said. */
export const settlement: CheckerKind = {
  name: 'settlement',
  invariants: ['I8', 'I9'],
  make: () => ({
    onAnswer: ({ command, text }, picture) => {
      if (command.answers.length > 1) picture.report('I9', `${command.id} answered ${command.answers.join(', then ')}`)
      if (!agrees(command, text)) picture.report('I9', `${command.id} ended as ${command.final}, its run as ${text}`)
    },
    atEnd: (picture) => {
      for (const command of picture.commands.values()) {
        if (command.phase !== 'settled')
          picture.report('I8', `${describe(command)} never settled: ${command.trail.join(' ')}${isWaited(command)}`)
        else if (command.run !== undefined && command.answers.length === 0)
          picture.report('I9', `${command.id} ended as ${command.final}, but its run never settled`)
      }
    },
  }),
}

/** A value has to be that of the body whose attempt was the command's own: the last one. */
function agrees({ final, id, attempt, body }: CommandPicture, text: string): boolean {
  if (final === undefined) return false
  if (final !== 'completed') return CODES[final]?.includes(text) ?? false
  return text === `value ${id}#${attempt}.${body?.serial ?? -1}`
}

const isWaited = ({ isAwaitedChild, parent }: CommandPicture): string =>
  isAwaitedChild && parent !== undefined ? `, and ${describe(parent)} waits for it` : ''
