/**
 * The way in of a queue with a storage. A command is made at once, and its run is given back; it is accepted, and stands in
 * its lane, when it is written. Until then it is nowhere but in the journal: it cannot start, and a cancellation waits.
 */
import { cancelledError } from './cancelled-error.js'
import { JsonCommand, type ParsedCommand, payloadOf, Work } from './command.js'
import type { QueueCore } from './core.js'
import type { Deduplication } from './deduplication.js'
import { Entry } from './entry.js'
import { LaneError } from './errors.js'
import type { Journal } from './journal.js'
import type { JournalHost } from './journal-host.js'
import type { LaneState } from './lane.js'
import { policyOf } from './lane-limits.js'
import type { Outcomes } from './outcomes.js'
import { createRun, type Run, type RunMethods, type Settle } from './run.js'
import type { StoredCommand } from './storage.js'
import { checkKept, keptOptions, parsed as parsedText, Stored, sizedText, storedOf } from './stored.js'
import { type CheckedOptions, DEFAULT_PRIORITY } from './submit-options.js'
import { tracedCommand } from './tracing.js'

/** Where a command comes from, when not from outside. */
export type Origin = {
  readonly parent?: Entry
  readonly redrivenFrom?: string
  /** A handler waits for it, and lends its slot: it runs in this process. */
  readonly isAwaitedHere?: boolean
  /** The number of the command whose letter goes when this is accepted. */
  readonly redrives?: number
}

/** Steps that the way in has in common with and without a storage. */
export interface AdmissionSteps {
  readonly shared: RunMethods
  readonly deduplication: Deduplication
  attach(entry: Entry, checked: CheckedOptions, origin: Origin | undefined): void
  watch(entry: Entry, signal: AbortSignal): void
  announce(run: Run, lane: LaneState): void
  announceDelay(run: Run, delayMs: number, follows: boolean): void
  deduplicated(run: Run): void
  refused(run: Run, settle: Settle, error: LaneError): void
}

export class StoredAdmission implements JournalHost {
  readonly #core: QueueCore
  readonly #outcomes: Outcomes
  readonly #steps: AdmissionSteps

  constructor(core: QueueCore, outcomes: Outcomes, steps: AdmissionSteps) {
    this.#core = core
    this.#outcomes = outcomes
    this.#steps = steps
  }

  /** A command without options. Throws when it is refused. */
  submitPlain(lane: LaneState, type: string, payload: unknown): Run {
    const core = this.#core
    refuseBroken(core)
    const text = payload === undefined ? undefined : sizedText(core, `The payload of ${type}`, payload)
    const body = bodyOf(payload, text)
    const seq = core.nextSeq()
    const run = createRun(core.newId(seq), lane.id, type, 'pending', this.#steps.shared)
    const entry = new Entry(run, lane, body, seq, DEFAULT_PRIORITY, lane.limits.attempt, core.turnTime())
    run.accepted = this.#arrive(entry, new Stored(seq, text, undefined, core.journal as Journal))
    return run
  }

  /** A command with options, or of a run that is there already. Throws when it is refused. */
  submit(
    lane: LaneState,
    { type, body }: ParsedCommand,
    checked: CheckedOptions,
    origin: Origin | undefined,
    early: Run | undefined,
  ): Run {
    const core = this.#core
    refuseBroken(core)
    const text = body === undefined ? undefined : sizedText(core, `The payload of ${type}`, body)
    const now = core.turnTime()
    const seq = core.nextSeq()
    const run = early ?? createRun(checked.id ?? core.newId(seq), lane.id, type, 'pending', this.#steps.shared)
    const entry = new Entry(run, lane, bodyOf(body, text), seq, checked.priority, policyOf(lane, checked), now)
    this.#steps.attach(entry, checked, origin)
    const stored = new Stored(seq, text, checked, core.journal as Journal)
    stored.redrives = origin?.redrives
    const written = this.#arrive(entry, stored)
    if (early === undefined) run.accepted = written
    if (checked.id !== undefined) core.list(entry)
    const { signal } = checked
    if (origin?.parent?.run.state === 'cancelled' && !checked.detached) {
      stored.cancelled = { reason: 'its parent was cancelled' }
    }
    if (signal?.aborted === true) stored.cancelled = { reason: signal.reason }
    else if (signal !== undefined) this.#steps.watch(entry, signal)
    if (core.tracing !== undefined) entry.more.trace = core.tracing.submitted(tracedCommand(run), checked.traceContext)
    else if (checked.traceContext !== undefined) entry.more.trace = checked.traceContext
    if (checked.dedupe !== undefined && early === undefined) this.#steps.deduplication.hold(checked.dedupe, run)
    return run
  }

  #arrive(entry: Entry, stored: Stored): Promise<void> {
    const core = this.#core
    const { lane } = entry
    const { journal } = core
    entry.more.seq = stored.seq
    entry.more.stored = stored
    stored.isCold = lane.cold?.takes(entry) ?? false
    const written = (journal as Journal).arrive(entry, stored)
    lane.arriving++
    core.unsettled++
    return written
  }

  /** The submit of a stored command is written: it is accepted. */
  accepted(entry: Entry): void {
    const core = this.#core
    const { run, lane } = entry
    const stored = storedOf(entry)
    const { checked } = stored
    stored.isArriving = false
    lane.arriving--
    const dedupe = checked?.dedupe
    const claim = dedupe === undefined ? undefined : this.#steps.deduplication.stand(dedupe, run)
    const dueAt = checked?.dueAt
    const follows = claim?.follows !== undefined
    if (dueAt !== undefined || follows) {
      run.state = 'delayed'
      this.#outcomes.delay(entry, dueAt, follows)
      if (follows) core.journal?.touch(entry, stored)
    } else if (!stored.isCold || lane.cold?.join(entry) !== true) lane.backlog.putBack(entry)
    this.#steps.announce(run, lane)
    if (run.inner !== entry) core.backlogGrew(lane)
    else if (run.state === 'pending') core.joins(entry)
    else this.#steps.announceDelay(run, Math.max(0, (dueAt ?? 0) - core.turnTime()), follows)
    if (claim !== undefined) this.#steps.deduplication.take(claim, run)
    core.askForPass()
    if (stored.cancelled !== undefined) this.#outcomes.cancel(entry, stored.cancelled.reason)
  }

  /** The submit of a stored command could not be written. */
  refused(entry: Entry, error: LaneError): void {
    const core = this.#core
    const { run, lane, details, settle } = entry
    const stored = storedOf(entry)
    lane.arriving--
    core.unsettled--
    details?.unwatch?.()
    details?.parent?.details?.children?.delete(entry)
    core.unlist(entry)
    const { cancelled } = stored
    this.#steps.refused(run, settle, cancelled === undefined ? error : cancelledError(cancelled.reason))
  }

  /** When the command of this run is accepted, if that is not now. */
  acceptance(run: Run): Promise<void> | undefined {
    const isArriving = (run.inner as Entry).details?.stored?.isArriving === true
    return isArriving ? this.#core.journal?.written() : undefined
  }
}

/** First of all, so that a submit that cannot be written leaves no trace. */
function refuseBroken({ journal }: QueueCore): void {
  if (journal?.broken !== undefined) throw journal.broken
}

/** What a handler is given: the payload as it is stored, so that it is the same in every process. */
function bodyOf(payload: unknown, text: string | undefined): unknown {
  return typeof payload === 'object' && payload !== null ? (JSON.parse(text as string) as unknown) : payload
}

/** A command as a storage can keep it. `PAYLOAD_INVALID` when it has no such form. */
export function storable(core: QueueCore, parsed: ParsedCommand, checked: CheckedOptions): ParsedCommand {
  const { type, body } = parsed
  if (Work.is(body) && !(body.command instanceof JsonCommand)) {
    const what =
      typeof body.command === 'function' ? 'A function' : `The command '${type}' with an execute() of its own`
    throw new LaneError(
      'PAYLOAD_INVALID',
      `${what} cannot be stored: submit { type, payload } with a handler for the type, or keep it in memory with { ephemeral: true }`,
    )
  }
  checkKept(checked)
  const payload = payloadOf(body)
  // Another submit of the same id is compared with what is stored.
  if (checked.id === undefined || payload === undefined) return { ...parsed, body: payload }
  return { ...parsed, body: bodyOf(payload, sizedText(core, `The payload of ${type}`, payload)) }
}

/** What the submitter of a stored command gave. */
export const givenOf = (row: StoredCommand): unknown => keptOptions(row).given ?? parsedText(row.payload)
