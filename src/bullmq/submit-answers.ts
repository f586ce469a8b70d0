/** How submits are answered, whatever the commands are kept in; and which of them go together. */
import {
  type AddAnswer,
  cancelledError,
  type EngineCommand,
  type EngineOutcome,
  LaneError,
  sameData,
} from '../core/index.js'
import { isForeignId } from './ids.js'
import type { JobFields } from './job-form.js'

/** The outcome of a command that was cancelled before it ran. */
export const cancelledOutcome = (id: string, laneId: string, reason: string): EngineOutcome => ({
  id,
  laneId,
  state: 'cancelled',
  result: undefined,
  error: cancelledText(reason),
})

/** The error of such a command, as it is kept. */
export const cancelledText = (reason: string): string => JSON.stringify(cancelledError(reason))

export const replacedBy = (id: string): string => `replaced by ${id}`

export const ACCEPTED: AddAnswer = { kind: 'accepted' }

export const refused = (error: LaneError): AddAnswer => ({ kind: 'refused', error })

export const foreign = ({ id }: EngineCommand): LaneError => new LaneError('CONFLICT', `Id '${id}' names a foreign job`)

/** Most commands of one call: the server does nothing else while it works on it. */
const MOST = 250

/**
 * What goes in one call each: commands of a lane about which nothing has to be looked up stand together, in their order;
 * any other stands alone.
 */
export function partsOf(commands: readonly EngineCommand[]): EngineCommand[][] {
  const parts: EngineCommand[][] = []
  const open = new Map<string, EngineCommand[]>()
  for (const command of commands) {
    if (isForeignId(command.id)) continue
    const part = open.get(command.laneId)
    if (!isPlain(command)) {
      parts.push([command])
      open.delete(command.laneId)
    } else if (part !== undefined && part.length < MOST && part[0]?.replyTo === command.replyTo) part.push(command)
    else {
      const opened = [command]
      parts.push(opened)
      open.set(command.laneId, opened)
    }
  }
  return parts
}

export const isPlain = ({ dueAt, dedupe, hasOwnId, replyTo }: EngineCommand): boolean =>
  dueAt === undefined && dedupe === undefined && !hasOwnId && replyTo !== undefined

/** Whether a command says the same as one that is there. */
export function isSame(command: EngineCommand, fields: JobFields): boolean {
  if (!fields.has('lane') || fields.get('name') !== command.commandType) return false
  if ((command.payload === undefined) !== fields.has('laneBare')) return false
  const payload = fields.get('data')
  if (command.payload === undefined || payload === command.payload) return true
  return sameData(JSON.parse(command.payload), JSON.parse(payload as string))
}

export const idTaken = (id: string, laneId: string): LaneError =>
  new LaneError('CONFLICT', `Id '${id}' belongs to another command of lane '${laneId}', of another type or payload`, {
    fields: { id, laneId },
  })

export const queueFull = (laneId: string, capacity: number): LaneError =>
  new LaneError('QUEUE_FULL', `Queue error: lane '${laneId}' is full (${capacity} commands waiting)`, {
    fields: { laneId, capacity },
  })
