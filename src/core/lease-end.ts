/** How the lease on a command ends, from what has become of it here, and what is said when something is in the way. */
import type { QueueCore } from './core.js'
import type { EngineProgress, Lease, LeaseEnd } from './engine.js'
import type { Entry } from './entry.js'
import { LaneError } from './errors.js'
import type { EventPayloads } from './events.js'
import { progressOf } from './shared-command.js'
import { type KeptDetails, parsed, type Stored } from './stored.js'
import type { FinalState } from './transitions.js'

/** Why a command waits again, as events of all processes tell it. */
export type DelayCause =
  | { readonly reason: 'retry'; readonly attempt: number }
  | { readonly reason: Exclude<EventPayloads['queue.command.delayed']['reason'], 'submitted'> }

/** Of a command that is not active any more. */
export function leaseEnd(core: QueueCore, entry: Entry, stored: Stored): LeaseEnd {
  const { state } = entry.run
  const progress = progressOf(core, entry, stored)
  if (state === 'pending') return { kind: 'release', progress }
  if (state === 'delayed') {
    const delayMs = Math.max(0, entry.more.dueAt - core.clock.now())
    return { kind: 'delay', delayMs, progress, cause: JSON.stringify(delayCause(progress)) }
  }
  const error = entry.details?.error
  return {
    kind: 'settle',
    state: state as FinalState,
    result: stored.result,
    error: error === undefined ? undefined : JSON.stringify(error),
    progress,
    letter: stored.letter,
  }
}

/** Whether an attempt began; and an attempt that failed is the last of its history. */
function delayCause({ attempt, details }: EngineProgress): DelayCause {
  const { startedAt, retries = 0, deferrals = 0, history = [] } = parsed<KeptDetails>(details) ?? {}
  if (startedAt === undefined) return { reason: 'no_handler' }
  if (history.at(-1)?.attempt === attempt) return { reason: 'retry', attempt: retries }
  return { reason: deferrals > 0 ? 'deferred' : 'snoozed' }
}

/** Of a command that cannot be read, so nothing was made of it. */
export const failedEnd = (error: LaneError, progress: EngineProgress): LeaseEnd => ({
  kind: 'settle',
  state: 'failed',
  result: undefined,
  error: JSON.stringify(error),
  progress,
  letter: undefined,
})

/** What the signal of an attempt aborts with whose lease is lost. */
export const leaseLost = ({ id, laneId }: Lease): LaneError =>
  new LaneError('LEASE_LOST', `The lease on command '${id}' was lost: another worker may run it`, {
    fields: { id, laneId },
  })

/** Of a command whose workers were lost too often. */
export const crashedTooOften = (recoveries: number): LaneError =>
  new LaneError(
    'COMMAND_FAILED',
    `Its worker was lost ${recoveries} times while the command ran: it is not run again`,
    { fields: { recoveries } },
  )

/** Of a command that is none as it was claimed. */
export function unreadable({ id }: Lease, cause: unknown): LaneError {
  const text = `The command '${id}' cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`
  return new LaneError('PAYLOAD_INVALID', text, { cause })
}

/** Of a command that others are to have. */
export const noHandler = (commandType: string, laneId: string): LaneError =>
  new LaneError(
    'HANDLER_NOT_FOUND',
    `This worker has no handler for '${commandType}' of lane '${laneId}': such commands go back to the lane. A worker should handle every type of its lanes`,
  )

/** Waits for a call, but no longer than its lease is held: `losers` are told when that is lost. */
export function orLost<T>(losers: Set<(error: LaneError) => void>, call: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    losers.add(reject)
    call.then(resolve, reject).finally(() => losers.delete(reject))
  })
}
