/**
 * A command's two forms: as the queue has it, and as a storage keeps it. What a storage need not look into is JSON text
 * here, and read again here only; both directions stand beside each other, so that nothing is written that is not read.
 */
import type { Cost, DedupeMode, RetryPolicyFields } from '../policy/index.js'
import type { Batch } from './batch.js'
import type { Charge } from './charges.js'
import type { QueueCore } from './core.js'
import type { Claim } from './engine.js'
import type { AttemptFailure, Entry, EntryDetails, LogLine, OwnOptions } from './entry.js'
import { type ErrorRecord, LaneError } from './errors.js'
import { jsonText } from './json.js'
import type { Settle } from './run.js'
import type { StorageChange, StoredCommand, StoredProgress, StoredSubmit } from './storage.js'
import type { CheckedDedupe, CheckedOptions } from './submit-options.js'
import type { TraceContext } from './tracing.js'
import type { CommandState, FinalState } from './transitions.js'

/** Log lines that are stored with a command: the newest. */
const STORED_LOG_LINES = 100

/** Where commands are kept: who is told of what has changed of one. */
export interface StoredHome {
  /** Longest payload, result or checkpoint, in bytes of UTF-8 JSON. */
  readonly maxPayloadBytes: number
  /** A command has changed: delayed, given back, settled. */
  touch(entry: Entry, stored: Stored): void
  /** The same; resolves when what the command is now is kept. */
  save(entry: Entry, stored: Stored): Promise<void>
  /** A running command has news, and it is enough when they are kept soon. */
  touchLater(stored: Stored): void
  /** Its handler has reported progress. */
  reported?(entry: Entry, stored: Stored): void
  /** Its attempt says what it has cost in all. */
  charged?(entry: Entry, stored: Stored, charge: Charge): void
  /** There is no handler for its type. */
  park(entry: Entry): void
}

/** What is known of one command that is kept elsewhere, too. */
export class Stored {
  readonly home: StoredHome
  /** The claim under which it runs here: it is shared, and another process may go on with it. */
  claim: Claim | undefined

  readonly seq: number
  /** Its submit is not written yet: it is nowhere but here. */
  isArriving = true
  /** Cancelled while it was arriving. */
  cancelled: { readonly reason: unknown } | undefined
  /** Its payload as JSON text, until that is written. */
  payload: string | undefined
  /** Its options, until it is accepted. */
  checked: CheckedOptions | undefined
  /** In the storage it stands among those that are not kept in memory. */
  isCold = false
  /** It stands before the boundary of its lane's cold commands. */
  isNear = false
  /** The batch that takes what has changed of it; undefined when nothing has. */
  batch: Batch | undefined
  /** It has said something since: progress, a line of its log. */
  hasNews = false
  recoveries = 0
  /** How long after its submission its dedupe id keeps others out. */
  windowMs: number | undefined
  /** Where its start is marked until that is written; -1 where it is not. */
  place = -1
  markedAttempt = 0
  /** Writes of it that are not answered. */
  underWay = 0
  writtenAttempt = 0
  /** Its state as it was written last: a delay that is over is not written. */
  writtenState: CommandState = 'pending'
  result: string | undefined
  /** Settles its run, when that has been taken from the entry: its outcome is being written. */
  settle: Settle | undefined
  /** Tells of its outcome, once that is written. */
  tell: (() => void) | undefined
  /** Its dead letter, to be written with its outcome. */
  letter: string | undefined
  /** The dead letter that goes when this is accepted: it is a redrive of it. */
  redrives: number | undefined

  constructor(seq: number, payload: string | undefined, checked: CheckedOptions | undefined, home: StoredHome) {
    this.home = home
    this.claim = undefined
    this.seq = seq
    this.payload = payload
    this.checked = checked
    this.cancelled = undefined
    this.batch = undefined
    this.result = undefined
    this.settle = undefined
    this.tell = undefined
    this.letter = undefined
    this.redrives = undefined
    this.windowMs = checked?.dedupe?.ttlMs
    if (checked?.dueAt !== undefined) this.writtenState = 'delayed'
  }

  /** Cancels a command whose submit is not written yet: it ends when it is. False when it was cancelled already. */
  cancelArriving(reason: unknown): boolean {
    if (this.cancelled !== undefined) return false
    this.cancelled = { reason }
    return true
  }
}

/** `until`: end of its window, Unix milliseconds. */
export type KeptDedupe = { readonly id: string; readonly mode: DedupeMode; readonly until?: number }

/** Everything that was said at a submit beside what a storage looks into. */
export type KeptOptions = {
  readonly timeoutMs?: number
  readonly retry?: RetryPolicyFields
  readonly weight?: number
  readonly cost?: Cost
  readonly deadlineMs?: number
  readonly dedupe?: KeptDedupe
  readonly hasPriority?: true
  readonly parent?: number
  /** The same under an engine, where commands have no numbers. */
  readonly parentId?: string | undefined
  readonly key?: string | undefined
  readonly redrivenFrom?: string
  readonly metadata?: unknown
  readonly trace?: TraceContext
  /** What the submitter gave, where a schema made the payload from it. */
  readonly given?: unknown
}

/** Everything that changes of a command beside what a storage looks into. */
export type KeptDetails = {
  readonly retries?: number
  readonly deferrals?: number
  readonly recoveries?: number
  readonly history?: readonly AttemptFailure[]
  readonly logs?: readonly LogLine[]
  readonly progress?: unknown
  readonly isPreempted?: true
  /** What is accounted for the attempt that was preempted, once that has said so. */
  readonly charged?: Cost
  /** It was written while the attempt ran. Only under an engine. */
  readonly isRunning?: true
  /** When its last attempt started: Unix milliseconds. */
  readonly startedAt?: number
}

/** A letter as it is kept. */
export type KeptLetter = { readonly letter: object; readonly own: OwnOptions }

/** What the text is made with: the wall clock and the monotonic one. */
export type Times = { readonly wall: number; readonly now: number }

/** What is written of a new command. */
export function storedSubmit(entry: Entry, stored: Stored, times: Times, hasOwnId: boolean): StorageChange {
  const { run, priority } = entry
  const { checked } = stored
  const command: StoredSubmit & StoredProgress = {
    seq: stored.seq,
    id: hasOwnId ? run.id : undefined,
    laneId: run.laneId,
    commandType: run.commandType,
    payload: stored.payload,
    priority,
    key: entry.details?.traits?.key,
    createdAt: wallOf(entry.arrivedAt as number, times),
    options: checked === undefined ? undefined : optionsText(entry, checked, times),
    state: checked?.dueAt === undefined ? 'pending' : 'delayed',
    attempt: 0,
    dueAt: checked?.dueAt === undefined ? undefined : wallOf(checked.dueAt, times),
    checkpoint: undefined,
    details: undefined,
  }
  return { kind: 'submit', command, isCold: stored.isCold }
}

/** What is written of an unsettled command that has changed. */
export function storedProgress(entry: Entry, stored: Stored, times: Times): StorageChange {
  const { run, details } = entry
  const dueAt = run.state === 'delayed' ? (details?.dueAt ?? -1) : -1
  return {
    kind: 'update',
    seq: stored.seq,
    state: run.state,
    attempt: entry.attempt,
    dueAt: dueAt < 0 ? undefined : wallOf(dueAt, times),
    checkpoint: details?.traits?.checkpoint,
    details: detailsText(entry, stored, times),
  }
}

/** What is written of an outcome. */
export function storedOutcome(entry: Entry, stored: Stored, times: Times): StorageChange {
  const { details } = entry
  const error = details?.error
  return {
    kind: 'settle',
    seq: stored.seq,
    state: entry.run.state as FinalState,
    attempt: entry.attempt,
    endedAt: wallOf(entry.endedAt as number, times),
    result: stored.result,
    error: error === undefined ? undefined : JSON.stringify(error),
    details: detailsText(entry, stored, times),
    keepUntil: windowEnd(entry, stored.windowMs, times),
  }
}

/** Metadata and the like must be JSON, and the error must say so before anything is accepted. */
export function checkKept(checked: CheckedOptions): void {
  if (checked.metadata !== undefined) jsonText('submit metadata', checked.metadata)
}

function optionsText(entry: Entry, checked: CheckedOptions, times: Times): string | undefined {
  const { details } = entry
  const { dedupe, own } = checked
  const kept: KeptOptions = {
    ...(own.timeoutMs === undefined ? {} : { timeoutMs: own.timeoutMs }),
    ...(own.retry === undefined ? {} : { retry: own.retry }),
    ...(own.weight === undefined ? {} : { weight: own.weight }),
    ...(own.cost === undefined ? {} : { cost: own.cost }),
    ...(own.deadlineMs === undefined ? {} : { deadlineMs: own.deadlineMs }),
    ...(own.priority === undefined ? {} : { hasPriority: true }),
    ...(dedupe === undefined ? {} : { dedupe: keptDedupe(entry, dedupe, times) }),
    ...(details?.parent?.details?.stored === undefined ? {} : { parent: details.parent.details.stored.seq }),
    ...(details?.redrivenFrom === undefined ? {} : { redrivenFrom: details.redrivenFrom }),
    ...(details?.metadata === undefined ? {} : { metadata: details.metadata }),
    ...(details?.trace === undefined ? {} : { trace: details.trace }),
    ...(details?.given === undefined ? {} : { given: details.given }),
  }
  const text = JSON.stringify(kept)
  return text === '{}' ? undefined : text
}

function keptDedupe(entry: Entry, dedupe: CheckedDedupe, times: Times): KeptDedupe {
  const until = windowEnd(entry, dedupe.ttlMs, times)
  return { id: dedupe.id, mode: dedupe.mode, ...(until === undefined ? {} : { until }) }
}

const windowEnd = ({ arrivedAt }: Entry, windowMs: number | undefined, times: Times): number | undefined =>
  windowMs === undefined ? undefined : wallOf((arrivedAt as number) + windowMs, times)

export function detailsText(entry: Entry, stored: Stored, times: Times): string | undefined {
  const { details, startedAt } = entry
  const { retries = 0, deferrals = 0, history, logs, lastProgress, traits } = details ?? {}
  const isPlain =
    retries === 0 &&
    deferrals === 0 &&
    stored.recoveries === 0 &&
    history === undefined &&
    logs === undefined &&
    lastProgress === undefined &&
    traits?.isPreempted !== true
  const started = startedAt === undefined ? undefined : wallOf(startedAt, times)
  if (isPlain) return started === undefined ? undefined : `{"startedAt":${started}}`
  const kept: KeptDetails = {
    ...(retries === 0 ? {} : { retries }),
    ...(deferrals === 0 ? {} : { deferrals }),
    ...(stored.recoveries === 0 ? {} : { recoveries: stored.recoveries }),
    ...(history === undefined ? {} : { history }),
    ...(logs === undefined ? {} : { logs: logs.slice(-STORED_LOG_LINES) }),
    ...(lastProgress === undefined ? {} : { progress: jsonOrNothing(lastProgress) }),
    ...(traits?.isPreempted === true ? { isPreempted: true } : {}),
    ...(traits?.isPreempted === true && traits.charged !== undefined ? { charged: traits.charged } : {}),
    ...(started === undefined ? {} : { startedAt: started }),
  }
  return JSON.stringify(kept)
}

/** What a handler reports may be anything: what has no JSON form is not stored. */
function jsonOrNothing(value: unknown): unknown {
  try {
    return JSON.parse(jsonText('progress', value)) as unknown
  } catch {
    return undefined
  }
}

const wallOf = (at: number, { wall, now }: Times): number => Math.round(wall - now + at)

export const parsed = <T>(text: string | undefined): T | undefined =>
  text === undefined ? undefined : (JSON.parse(text) as T)

export const keptOptions = ({ options }: StoredCommand): KeptOptions => parsed<KeptOptions>(options) ?? {}
export const keptDetails = ({ details }: StoredCommand): KeptDetails => parsed<KeptDetails>(details) ?? {}
export const keptError = ({ error }: StoredCommand): ErrorRecord | undefined => parsed<ErrorRecord>(error)

/** A value as JSON text, within what the storage takes. `PAYLOAD_INVALID` for anything else. */
export function sizedText(core: QueueCore, what: string, value: unknown): string {
  const text = jsonText(what, value)
  const limit = core.maxPayloadBytes
  // No text is longer in UTF-8 than three times its length.
  if (text.length * 3 <= limit) return text
  const bytes = utf8Length(text)
  if (bytes <= limit) return text
  throw new LaneError('PAYLOAD_INVALID', `${what} is too large to be stored: ${bytes} bytes of ${limit}`, {
    fields: { bytes, maxPayloadBytes: limit },
  })
}

function utf8Length(text: string): number {
  let bytes = text.length
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at)
    // A pair of surrogates is four bytes in all: two for each of its units.
    if (unit > 0x7_ff) bytes += unit >= 0xd8_00 && unit <= 0xdf_ff ? 1 : 2
    else if (unit > 0x7f) bytes++
  }
  return bytes
}

export const letterText = (letter: object, own: OwnOptions | undefined): string =>
  JSON.stringify({ letter, own: own ?? {} } satisfies KeptLetter)

/** What the journal knows of a command that is stored. */
export const storedOf = ({ details }: Entry): Stored => (details as EntryDetails).stored as Stored
