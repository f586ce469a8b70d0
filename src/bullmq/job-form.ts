/**
 * A command's two forms: as the engine's seam has it, and as the hash of a BullMQ job. Both directions stand beside each
 * other, so that nothing is written that is not read. A job without the field `lane` was added by another program: it is
 * a command with what its own options say.
 */
import type {
  Claim,
  CommandState,
  EngineCommand,
  EngineDedupe,
  EngineOutcome,
  EngineProgress,
  EngineRecord,
  FinalState,
} from '../core/index.js'
import { commandIdOf, foreignIdOf } from './ids.js'

/** The fields of a job. */
export type JobFields = ReadonlyMap<string, string>

/** What is asked about of a command that another submit met. */
export const OUTCOME_FIELDS = [
  'name',
  'data',
  'laneBare',
  'finishedOn',
  'returnvalue',
  'failedReason',
  'laneState',
  'laneError',
  'laneReply',
  'timestamp',
  'lane',
] as const

/** A flat answer of the server, name and value in turn: also as one text, with a NUL between two. */
export function fieldsOf(answer: readonly string[] | string): JobFields {
  const flat = typeof answer === 'string' ? answer.split('\0') : answer
  const fields = new Map<string, string>()
  for (let at = 0; at < flat.length; at += 2) fields.set(flat[at] as string, flat[at + 1] as string)
  return fields
}

/** The answer to a question for `names`. */
export function namedFields(names: readonly string[], values: readonly (string | null)[]): JobFields {
  const fields = new Map<string, string>()
  for (const [at, value] of values.entries()) if (value !== null) fields.set(names[at] as string, value)
  return fields
}

/** What BullMQ keeps as the data of a job, and the fields of ours. */
export function jobData(command: EngineCommand): string {
  return command.payload ?? 'null'
}

/** The fields of ours that never change, name and value in turn. */
export function ownFields(command: EngineCommand): string[] {
  const fields = ['lane', '1']
  const keep = (name: string, value: string | number | undefined): void => {
    if (value !== undefined) fields.push(name, String(value))
  }
  keep('laneReply', command.replyTo)
  keep('laneOptions', command.options)
  keep('laneCost', command.cost)
  keep('laneDue', command.dueAt)
  keep('laneDeadline', command.deadlineAt)
  if (command.hasOwnId) fields.push('laneOwnId', '1')
  if (command.payload === undefined) fields.push('laneBare', '1')
  const { dedupe } = command
  if (dedupe !== undefined) {
    fields.push('laneDedupe', dedupe.id, 'laneDedupeMode', dedupe.mode)
    keep('laneDedupeUntil', dedupe.until)
  }
  return fields
}

/** The command of a job. */
export function commandOf(jobId: string, laneId: string, fields: JobFields): EngineCommand {
  const isOurs = fields.has('lane')
  const priority = Number(fields.get('priority') ?? 0)
  return {
    id: isOurs ? commandIdOf(jobId) : foreignIdOf(jobId, laneId),
    laneId,
    commandType: fields.get('name') ?? '',
    payload: fields.has('laneBare') ? undefined : fields.get('data'),
    priority: priority > 0 ? priority - 1 : 0,
    createdAt: Number(fields.get('timestamp')),
    dueAt: numberIn(fields, 'laneDue'),
    deadlineAt: numberIn(fields, 'laneDeadline'),
    options: isOurs ? fields.get('laneOptions') : foreignOptions(fields.get('opts')),
    cost: fields.get('laneCost'),
    hasOwnId: fields.has('laneOwnId'),
    dedupe: dedupeOf(fields),
    replyTo: fields.get('laneReply'),
  }
}

function dedupeOf(fields: JobFields): EngineDedupe | undefined {
  const id = fields.get('laneDedupe')
  if (id === undefined) return undefined
  const mode = fields.get('laneDedupeMode') as EngineDedupe['mode']
  return { id, mode, until: numberIn(fields, 'laneDedupeUntil') }
}

type ForeignOptions = {
  readonly attempts?: number
  readonly backoff?: number | { readonly type?: string; readonly delay?: number; readonly jitter?: number }
}

/** Longest pause between two attempts of a foreign job: BullMQ knows no bound. */
const LONGEST_BACKOFF_MS = 7 * 86_400_000

/** BullMQ's own `attempts` and `backoff` as our retry options. */
export function foreignOptions(text: string | undefined): string | undefined {
  const { attempts = 1, backoff } = readForeign(text)
  if (!(attempts > 1)) return undefined
  const { type = 'fixed', delay = 0, jitter = 0 } = typeof backoff === 'number' ? { delay: backoff } : (backoff ?? {})
  const isGrowing = type === 'exponential'
  const retry = {
    maxRetries: attempts - 1,
    initialMs: delay,
    maxMs: isGrowing ? Math.max(delay, LONGEST_BACKOFF_MS) : delay,
    factor: isGrowing ? 2 : 1,
    jitter: jitter > 0 ? 'equal' : 'none',
  }
  return JSON.stringify({ retry })
}

function readForeign(text: string | undefined): ForeignOptions {
  try {
    return text === undefined ? {} : (JSON.parse(text) as ForeignOptions)
  } catch {
    return {}
  }
}

/** What changes of a command. */
export function progressOf(fields: JobFields): EngineProgress {
  return {
    attempt: Number(fields.get('laneAttempt') ?? 0),
    checkpoint: fields.get('laneCheckpoint') || undefined,
    details: fields.get('laneDetails') || undefined,
  }
}

/** The same as fields, name and value in turn. JSON text is never empty: an empty one stands for none. */
export function progressFields(
  { attempt, checkpoint, details }: EngineProgress,
  hadSome: boolean,
): (string | number)[] {
  const fields: (string | number)[] = ['laneAttempt', attempt]
  if (checkpoint !== undefined || hadSome) fields.push('laneCheckpoint', checkpoint ?? '')
  if (details !== undefined || hadSome) fields.push('laneDetails', details ?? '')
  return fields
}

/** A claimed job, as the server answers it. */
export const claimOf = (jobId: string, laneId: string, token: string, answer: readonly string[] | string): Claim =>
  claimOfFields(jobId, laneId, token, fieldsOf(answer))

/** A claimed job. */
export function claimOfFields(jobId: string, laneId: string, token: string, fields: JobFields): Claim {
  const command = commandOf(jobId, laneId, fields)
  const reason = fields.get('laneCancel')
  return {
    lease: { id: command.id, laneId, token },
    command,
    progress: progressOf(fields),
    recoveries: Number(fields.get('stc') ?? 0),
    isRecovered: fields.has('laneLost'),
    cancelled: reason === undefined ? undefined : { reason },
  }
}

/** The outcome of a job that has ended. */
export function outcomeOf(id: string, laneId: string, fields: JobFields): EngineOutcome | undefined {
  if (!fields.has('finishedOn')) return undefined
  const state = (fields.get('laneState') ?? (fields.has('failedReason') ? 'failed' : 'completed')) as FinalState
  if (state === 'completed') {
    const result = fields.get('laneBareResult') === '1' ? undefined : fields.get('returnvalue')
    return { id, laneId, state, result, error: undefined }
  }
  const error = fields.get('laneError') ?? JSON.stringify({ name: 'Error', message: fields.get('failedReason') ?? '' })
  return { id, laneId, state, result: undefined, error }
}

/** A job as the engine shows it; `dueAt` is what the delayed set says. */
export function recordOf(
  jobId: string,
  laneId: string,
  fields: JobFields,
  stands: { readonly state: 'pending' | 'active' | 'delayed'; readonly dueAt: number | undefined },
): EngineRecord {
  const command = commandOf(jobId, laneId, fields)
  const outcome = outcomeOf(command.id, laneId, fields)
  const state: CommandState = outcome?.state ?? stands.state
  return {
    command,
    state,
    progress: progressOf(fields),
    startedAt: numberIn(fields, 'processedOn'),
    endedAt: numberIn(fields, 'finishedOn'),
    dueAt: state === 'delayed' ? stands.dueAt : undefined,
    outcome,
    lastProgress: fields.get('progress'),
  }
}

/** The message of an error record, as BullMQ's tools show it. */
export function failedReasonOf(error: string | undefined, state: FinalState): string {
  if (error === undefined) return state
  try {
    const { message } = JSON.parse(error) as { message?: unknown }
    return typeof message === 'string' && message !== '' ? message : state
  } catch {
    return error
  }
}

function numberIn(fields: JobFields, name: string): number | undefined {
  const text = fields.get(name)
  return text === undefined ? undefined : Number(text)
}
