/** What is kept of a command elsewhere, as part of a queue again, or as users see it. */
import { instantText } from './clock.js'
import type { QueueCore } from './core.js'
import type { Entry } from './entry.js'
import { ERROR_CODES, type ErrorRecord, LaneError, type LaneErrorCode } from './errors.js'
import type { CommandRecord } from './records.js'
import type { StoredCommand } from './storage.js'
import { type KeptOptions, keptDetails, keptError, keptOptions, parsed, type Stored } from './stored.js'
import { DEFAULT_PRIORITY } from './submit-options.js'
import { setTraits } from './traits.js'

/** Gives a command the options that were said at its submit. */
export function restoreOptions(entry: Entry, { priority, key }: StoredCommand, options: KeptOptions): void {
  const { timeoutMs, retry, weight, cost, deadlineMs, dedupe, metadata, redrivenFrom, trace, given } = options
  const { more } = entry
  const own = {
    priority: options.hasPriority === true || priority !== DEFAULT_PRIORITY ? priority : undefined,
    timeoutMs,
    retry,
    key,
    weight,
    cost,
    deadlineMs,
  }
  if (key !== undefined || weight !== undefined || cost !== undefined || deadlineMs !== undefined) setTraits(entry, own)
  else if (entry.lane.backlog.keys !== undefined) setTraits(entry, own)
  if (dedupe !== undefined) entry.traits.dedupeId = dedupe.id
  more.own = own
  more.metadata = metadata
  more.redrivenFrom = redrivenFrom
  more.trace = trace
  more.given = given
}

/** Gives a command what has changed of it since its submit. */
export function restoreDetails(entry: Entry, row: StoredCommand): void {
  const { retries = 0, deferrals = 0, recoveries = 0, history, logs, progress, isPreempted, charged } = keptDetails(row)
  const { more } = entry
  entry.attempt = row.attempt
  more.retries = retries
  more.deferrals = deferrals
  ;(more.stored as Stored).recoveries = recoveries
  if (history !== undefined) more.history = [...history]
  if (logs !== undefined) more.logs = [...logs]
  more.lastProgress = progress
  if (row.checkpoint !== undefined) entry.traits.checkpoint = row.checkpoint
  if (isPreempted === true) entry.traits.isPreempted = true
  if (isPreempted === true && charged !== undefined) entry.traits.charged = charged
}

/** What is known of a command beside its row. */
type KnownDetails = { readonly startedAt?: number | undefined; readonly progress?: unknown }

/** A stored command as users see it. */
export function storedRecord(core: QueueCore, row: StoredCommand, known: KnownDetails = {}): CommandRecord {
  const options = keptOptions(row)
  const details = keptDetails(row)
  const text = (at: number | undefined): string | undefined => (at === undefined ? undefined : instantText(at))
  const optional = {
    startedAt: text(known.startedAt ?? details.startedAt),
    endedAt: text(row.endedAt),
    dueAt: text(row.dueAt),
    result: parsed(row.result),
    error: keptError(row),
    history: details.history,
    logs: details.logs,
    progress: known.progress ?? details.progress,
    metadata: options.metadata,
    parentId: options.parentId ?? (options.parent === undefined ? undefined : core.idOf(options.parent)),
    redrivenFrom: options.redrivenFrom,
    traceContext: options.trace,
  }
  return {
    id: row.id ?? core.idOf(row.seq),
    commandType: row.commandType,
    laneId: row.laneId,
    state: row.state,
    payload: parsed(row.payload),
    priority: row.priority,
    attempt: row.attempt,
    createdAt: text(row.createdAt) as string,
    ...Object.fromEntries(Object.entries(optional).filter(([, value]) => value !== undefined)),
  }
}

/** The error with which the run of a settled command rejects. */
export function errorOf(state: string, record: ErrorRecord | undefined): LaneError {
  const code = codeOf(state, record)
  if (record === undefined) return new LaneError(code, 'The command did not complete')
  if (record.code !== code) return new LaneError(code, record.message, { cause: thrownOf(record) })
  const { fields = {}, cause } = record
  return new LaneError(code, record.message, cause === undefined ? { fields } : { fields, cause: thrownOf(cause) })
}

/** What was thrown, as far as it can be told in another process. */
function thrownOf({ name, message, code, stack, cause }: ErrorRecord): Error {
  const error = new Error(message, cause === undefined ? undefined : { cause: thrownOf(cause) })
  const own = { name, stack, ...(code === undefined ? {} : { code }) }
  for (const [key, value] of Object.entries(own)) {
    Object.defineProperty(error, key, { value, configurable: true, writable: true, enumerable: key === 'code' })
  }
  return error
}

function codeOf(state: string, record: ErrorRecord | undefined): LaneErrorCode {
  if (state === 'cancelled') return 'COMMAND_CANCELLED'
  if (state === 'timed_out') return 'COMMAND_TIMEOUT'
  const isOurs = record?.name === 'LaneError' && record.code !== undefined && record.code in ERROR_CODES
  return isOurs ? (record.code as LaneErrorCode) : 'COMMAND_FAILED'
}
