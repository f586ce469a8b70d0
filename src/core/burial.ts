/** How a command that failed for good becomes a dead letter: what the letter says, and how it can be sent again. */
import { commandOf, payloadOf } from './command.js'
import type { QueueCore } from './core.js'
import type { DeadLetter } from './dead-letters.js'
import type { Entry } from './entry.js'
import type { ErrorRecord } from './errors.js'
import { letterText } from './stored.js'

/** The letter of a command that has failed for good. */
export function letterOf(core: QueueCore, entry: Entry, error: string): DeadLetter {
  const { run, body, more } = entry
  const letter: DeadLetter = {
    commandId: run.id,
    commandType: run.commandType,
    laneId: run.laneId,
    payload: payloadOf(body),
    error,
    errorDetails: more.error as ErrorRecord,
    attempts: entry.attempt,
    failedAt: core.instant(core.turnTime()),
    history: more.history ?? [],
    ...(more.metadata === undefined ? {} : { metadata: more.metadata }),
    ...(more.redrivenFrom === undefined ? {} : { redrivenFrom: more.redrivenFrom }),
  }
  if (more.stored !== undefined) more.stored.letter = letterText(letter, more.own)
  return letter
}

/** Keeps a letter, and tells of it. */
export function bury(core: QueueCore, entry: Entry, letter: DeadLetter): void {
  const { run, body, more } = entry
  const { journal } = core
  const stored =
    more.stored === undefined || journal === undefined ? undefined : { store: journal, seq: more.stored.seq }
  const command = commandOf(run.commandType, body)
  if (more.stored?.claim === undefined) core.deadLetters?.keep(letter, { command, options: more.own ?? {}, stored })
  entry.lane.observer?.('dead_lettered', 0, 0)
  if (!core.hasListeners) return
  const payload = { lane_id: run.laneId, command_id: run.id, command_type: run.commandType }
  core.emit('queue.command.dead_lettered', payload)
}
