/**
 * A command's two forms under an engine: as a queue has it, and as the engine keeps it. Both directions stand beside each
 * other, so that nothing is written that is not read.
 */
import { RetryPolicy } from '../policy/index.js'
import { JsonCommand, type ParsedCommand, payloadOf, Work } from './command.js'
import type { QueueCore } from './core.js'
import type { Claim, EngineCommand, EngineDedupe, EngineProgress, EngineRecord } from './engine.js'
import { Entry } from './entry.js'
import { LaneError } from './errors.js'
import type { LaneState } from './lane.js'
import { type AttemptPolicy, policyOf } from './lane-limits.js'
import type { CommandRecord } from './records.js'
import { restoreDetails, restoreOptions, storedRecord } from './restored.js'
import { createRun, type RunMethods } from './run.js'
import type { StoredCommand } from './storage.js'
import {
  detailsText,
  type KeptDetails,
  type KeptOptions,
  parsed,
  Stored,
  type StoredHome,
  type Times,
} from './stored.js'
import type { Origin } from './stored-admission.js'
import type { CheckedOptions } from './submit-options.js'
import type { TraceContext } from './tracing.js'

/** What a submit is made of, checked. */
export type SharedSubmit = {
  readonly id: string
  readonly lane: LaneState
  readonly type: string
  /** JSON text. */
  readonly payload: string | undefined
  readonly checked: CheckedOptions
  readonly origin: Origin | undefined
  readonly trace: TraceContext | undefined
  /** What the submitter gave, where a schema made the payload from it. */
  readonly given: unknown
}

/** A command as it is handed to the engine. `replyTo`: the process that waits for it. */
export function engineCommand(core: QueueCore, submit: SharedSubmit, replyTo: string): EngineCommand {
  const { id, lane, type, payload, checked } = submit
  const { own } = checked
  const wall = core.clock.wallNow()
  const createdAt = Math.round(wall)
  const onWall = (at: number): number => Math.round(wall - core.clock.now() + at)
  return {
    id,
    laneId: lane.id,
    commandType: type,
    payload,
    priority: checked.priority,
    createdAt,
    dueAt: checked.dueAt === undefined ? undefined : onWall(checked.dueAt),
    deadlineAt: deadlineAt(submit, createdAt),
    options: optionsText(submit),
    cost: own.cost === undefined ? undefined : JSON.stringify(own.cost),
    hasOwnId: checked.id !== undefined,
    dedupe: dedupeOf(checked, createdAt),
    replyTo,
  }
}

/** By its own deadline, or by its lane's: a lane that is boosted by the age of its commands has one for all of them. */
function deadlineAt({ lane, checked }: SharedSubmit, createdAt: number): number | undefined {
  const { boost } = lane.limits
  if (boost?.enabled === false) return undefined
  const deadlineMs = checked.own.deadlineMs ?? boost?.deadlineMs
  return deadlineMs === undefined ? undefined : createdAt + deadlineMs
}

function dedupeOf({ dedupe }: CheckedOptions, createdAt: number): EngineDedupe | undefined {
  if (dedupe === undefined) return undefined
  const { id, mode, ttlMs } = dedupe
  return { id, mode, until: ttlMs === undefined ? undefined : createdAt + ttlMs }
}

/** Texts of commands that say nothing of their own, by the policy of their lane. */
const plainTexts = new WeakMap<AttemptPolicy, string>()

/** A command keeps the timeout and the retries that its submitter's lane had, whoever runs it. */
function optionsText({ lane, checked, origin, trace, given }: SharedSubmit): string | undefined {
  const { own } = checked
  const { attempt } = lane.limits
  const isPlain =
    !checked.hasTraits &&
    checked.timeoutMs === undefined &&
    checked.retry === undefined &&
    own.priority === undefined &&
    checked.metadata === undefined &&
    origin === undefined &&
    trace === undefined &&
    given === undefined
  if (isPlain) {
    let text = plainTexts.get(attempt)
    if (text === undefined) {
      text = JSON.stringify({ timeoutMs: attempt.timeoutMs, retry: retries(attempt.retry) })
      plainTexts.set(attempt, text)
    }
    return text
  }
  const kept: Record<keyof KeptOptions, unknown> = {
    timeoutMs: checked.timeoutMs ?? attempt.timeoutMs,
    retry: retries(checked.retry ?? attempt.retry),
    key: own.key,
    weight: own.weight,
    cost: own.cost,
    deadlineMs: own.deadlineMs,
    dedupe: undefined,
    hasPriority: own.priority === undefined ? undefined : true,
    parent: undefined,
    parentId: origin?.parent?.run.id,
    redrivenFrom: origin?.redrivenFrom,
    metadata: checked.metadata,
    trace,
    given,
  }
  return JSON.stringify(kept)
}

/** A policy without retries need not be said. */
const retries = (policy: RetryPolicy): RetryPolicy | undefined => (policy.maxRetries === 0 ? undefined : policy)

/** A claimed command as this queue runs it: with a run of its own, which nobody awaits. */
export function claimedEntry(core: QueueCore, lane: LaneState, claim: Claim, shared: SharedParts): Entry {
  const { command, progress, recoveries } = claim
  const { clock } = core
  const options = parsed<KeptOptions>(command.options) ?? {}
  const row = { ...claimedRow(claim), key: options.key, attempt: attemptsBegun(claim) }
  const arrivedAt = clock.now() - Math.max(0, clock.wallNow() - command.createdAt)
  const run = createRun(command.id, lane.id, command.commandType, 'pending', shared.methods)
  const policy = command.replyTo === undefined ? policyOf(lane, options) : submittersPolicy(lane, options)
  const entry = new Entry(run, lane, parsed(command.payload), core.nextSeq(), command.priority, policy, arrivedAt)
  const stored = new Stored(entry.place, undefined, undefined, shared.home)
  stored.isArriving = false
  stored.claim = claim
  entry.more.stored = stored
  entry.more.seq = entry.place
  restoreOptions(entry, row, options)
  if (row.attempt > 0 || progress.details !== undefined || progress.checkpoint !== undefined) {
    restoreDetails(entry, row)
    // What was preempted goes on with its attempt, unless that was lost meanwhile.
    if (entry.details?.traits?.isPreempted === true) entry.traits.isPreempted = row.attempt === progress.attempt
  }
  stored.recoveries = recoveries
  return entry
}

/**
 * How many attempts have begun. Nothing is written when one begins, so each lease that was lost since the last writing
 * stands for one; but the first of them for the attempt that had begun already when that was written.
 */
function attemptsBegun({ progress, recoveries }: Claim): number {
  const details = parsed<KeptDetails>(progress.details)
  const lost = recoveries - (details?.recoveries ?? 0)
  const hadBegun = details?.isRunning === true || details?.isPreempted === true
  return progress.attempt + (lost > 0 && hadBegun ? lost - 1 : lost)
}

/** What a claimed entry is made with. */
export type SharedParts = { readonly methods: RunMethods; readonly home: StoredHome }

/** The policy of a lane here, with the timeout and the retries that the submitter's lane had. */
function submittersPolicy({ limits }: LaneState, { timeoutMs, retry }: KeptOptions): AttemptPolicy {
  const { attempt } = limits
  const hasSame = attempt.timeoutMs === timeoutMs && (retry === undefined || retry.maxRetries === 0)
  if (hasSame && attempt.retry.maxRetries === 0) return attempt
  const policy = retry === undefined ? RetryPolicy.none() : RetryPolicy.from(retry)
  return { ...attempt, timeoutMs, retry: policy }
}

function claimedRow({ command, progress }: Claim): StoredCommand {
  return {
    seq: -1,
    id: command.id,
    laneId: command.laneId,
    commandType: command.commandType,
    payload: command.payload,
    priority: command.priority,
    key: undefined,
    createdAt: command.createdAt,
    options: command.options,
    state: 'active',
    attempt: progress.attempt,
    dueAt: undefined,
    checkpoint: progress.checkpoint,
    details: progress.details,
    endedAt: undefined,
    result: undefined,
    error: undefined,
  }
}

/** What the engine keeps of a command that runs or ran here. */
export function progressOf(core: QueueCore, entry: Entry, stored: Stored): EngineProgress {
  const times: Times = { wall: core.clock.wallNow(), now: core.clock.now() }
  const details = detailsText(entry, stored, times)
  const isRunning = entry.run.state === 'active'
  return {
    attempt: entry.attempt,
    checkpoint: entry.details?.traits?.checkpoint,
    details: isRunning ? JSON.stringify({ ...parsed<KeptDetails>(details), isRunning }) : details,
  }
}

/** A command as users see it. */
export function engineRecord(core: QueueCore, record: EngineRecord): CommandRecord {
  const { command, progress, outcome } = record
  const kept = parsed<KeptDetails>(objectText(progress.details))
  // Nothing is written when an attempt begins.
  const hasBegun = record.state !== 'active' || kept?.isRunning === true || kept?.isPreempted === true
  const row: StoredCommand = {
    ...claimedRow({ command, progress } as Claim),
    payload: readableText(command.payload),
    options: objectText(command.options),
    details: objectText(progress.details),
    state: record.state,
    attempt: progress.attempt + (hasBegun ? 0 : 1),
    dueAt: record.dueAt,
    endedAt: record.endedAt,
    result: readableText(outcome?.result),
    error: objectText(outcome?.error),
  }
  const details = { startedAt: record.startedAt, progress: readable(record.lastProgress) }
  return storedRecord(core, row, details)
}

/** What another program has written may be no JSON: then it is told as it is, not thrown. */
export function readable(text: string | undefined): unknown {
  try {
    return parsed(text)
  } catch {
    return text
  }
}

/** The same for what has to be an object: whatever else it is says nothing. */
function objectText(text: string | undefined): string | undefined {
  const value = readable(text)
  return typeof value === 'object' && value !== null ? text : undefined
}

const readableText = (text: string | undefined): string | undefined =>
  text === undefined ? undefined : JSON.stringify(readable(text))

/** A command as an engine can keep it. `PAYLOAD_INVALID` when it has no such form. */
export function shareable(parsedCommand: ParsedCommand): ParsedCommand {
  const { type, body } = parsedCommand
  if (!Work.is(body)) return parsedCommand
  if (body.command instanceof JsonCommand) return { ...parsedCommand, body: payloadOf(body) }
  const what = typeof body.command === 'function' ? 'A function' : `The command '${type}' with an execute() of its own`
  throw new LaneError(
    'PAYLOAD_INVALID',
    `${what} cannot be shared: submit { type, payload } with a handler for the type, or keep it in this process with { ephemeral: true }`,
  )
}
