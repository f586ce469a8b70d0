/**
 * The way in. A submit is accepted whole or refused whole; it never throws, and a refusal is never silent: its run (and
 * `run.accepted`) reject, and `queue.command.rejected` is announced.
 *
 * A command without options takes the short way: a run and a place in its lane's backlog, nothing else.
 */
import {
  type AnyCommand,
  commandOf,
  JsonCommand,
  type ParsedCommand,
  parseCommand,
  payloadOf,
  Work,
} from './command.js'
import { laneNotFound, type QueueCore } from './core.js'
import { Deduplication } from './deduplication.js'
import { DefinedCommand, type PayloadSchema, schemaFault, validate } from './definition.js'
import { Entry } from './entry.js'
import { sameData } from './equal.js'
import { isLaneError, LaneError, show } from './errors.js'
import type { LaneState } from './lane.js'
import { policyOf } from './lane-limits.js'
import type { Outcomes } from './outcomes.js'
import { PayloadChecks, shuttingDown, unreadable } from './payload-checks.js'
import { findRun } from './records.js'
import { createRun, quietRejection, type Run, type RunMethods, rejectRun, type Settle } from './run.js'
import { shareable } from './shared-command.js'
import { SignalWatch } from './signal-watch.js'
import { checkKept } from './stored.js'
import { type AdmissionSteps, givenOf, type Origin, StoredAdmission, storable } from './stored-admission.js'
import { type CheckedOptions, checkSubmitOptions, DEFAULT_PRIORITY, type SubmitOptions } from './submit-options.js'
import { tracedCommand } from './tracing.js'
import { refuseCost, setTraits } from './traits.js'
import { isFinal, transition } from './transitions.js'

export class Admission implements AdmissionSteps {
  readonly #core: QueueCore
  readonly #outcomes: Outcomes
  readonly shared: RunMethods
  /** Submits whose payload is still being checked. */
  readonly checks: PayloadChecks
  readonly #signals = new SignalWatch()
  readonly deduplication: Deduplication
  /** The way in where there is a storage. */
  readonly stored: StoredAdmission

  constructor(core: QueueCore, outcomes: Outcomes, shared: RunMethods) {
    this.#core = core
    this.#outcomes = outcomes
    this.shared = shared
    this.checks = new PayloadChecks(core, (run, settle, error) => this.refused(run, settle, error))
    this.stored = new StoredAdmission(core, outcomes, this)
    this.deduplication = new Deduplication(core, outcomes, (run, reason) => void run.cancel(reason))
  }

  submit(laneId: string, command: unknown, options?: SubmitOptions, origin?: Origin): Run {
    const core = this.#core
    const lane = core.findLane(laneId)
    const isPlain = options === undefined && origin === undefined && lane?.limits.takesPlain === true && core.takesPlain
    if (isPlain && readPlain(command)) {
      if (core.journal === undefined) return this.#accept(lane, plainType, plainPayload)
      return this.#storedPlain(lane, plainType, plainPayload)
    }
    return this.#submitWith(lane, laneId, command, options, origin)
  }

  /** Submits each item of a batch; an item may be `[command, options]`, whose options go before the common ones. */
  submitBatch(
    laneId: string,
    commands: readonly unknown[],
    options: SubmitOptions | undefined,
    origin?: Origin,
  ): Run[] {
    return commands.map((item) => {
      if (!Array.isArray(item)) return this.submit(laneId, item, options, origin)
      const [command, own] = item as readonly unknown[] as readonly [unknown, SubmitOptions?]
      try {
        return this.submit(laneId, command, options === undefined ? own : { ...options, ...own }, origin)
      } catch (error) {
        return this.refuse(laneId, 'unknown', error) // the options could not be spread: submit itself never throws
      }
    })
  }

  /** A run that was refused. What is not an error of ours came from the command's own accessors. */
  refuse(laneId: unknown, type: string, cause: unknown, id?: string): Run {
    const error = isLaneError(cause) ? cause : unreadable(cause)
    const shared = { ...this.shared, accepted: quietRejection(error) }
    const lane = typeof laneId === 'string' ? laneId : show(laneId)
    const run = createRun(id ?? this.#core.newId(this.#core.nextSeq()), lane, type, 'pending', shared)
    this.refused(run, run.inner as Settle, error)
    return run
  }

  #submitWith(
    lane: LaneState | undefined,
    laneId: string,
    command: unknown,
    options: SubmitOptions | undefined,
    origin: Origin | undefined,
  ): Run {
    let type = 'unknown'
    let id: string | undefined
    try {
      let parsed = parseCommand(command)
      type = parsed.type
      const defaults = command instanceof DefinedCommand ? command.definition.defaults : undefined
      const checked = checkSubmitOptions(withDefaults(options, defaults), this.#core.clock)
      id = checked.id
      if (this.#core.isShuttingDown) throw shuttingDown()
      if (lane === undefined) throw laneNotFound(laneId)
      const { journal, link } = this.#core
      const isShared = link !== undefined && !isLocal(checked, origin)
      if (isShared) {
        checkKept(checked)
        parsed = shareable(parsed)
      } else if (journal !== undefined && !checked.ephemeral) parsed = storable(this.#core, parsed, checked)
      const known = id === undefined ? undefined : (link?.coordinator.known(id, parsed) ?? this.#knownRun(id, parsed))
      if (known !== undefined) return known
      refuseCost(lane, checked)
      const owner = checked.dedupe === undefined || isShared ? undefined : this.deduplication.meet(checked.dedupe)
      return owner ?? this.#check(lane, parsed, checked, origin)
    } catch (error) {
      // Under an id that is another command's, a refusal would look like that command's.
      const isTaken = id !== undefined && findRun(this.#core, id) !== undefined
      return this.refuse(laneId, type, error, isTaken ? undefined : id)
    }
  }

  /** Checks the payload if there is a schema for it, and takes the command in. */
  #check(lane: LaneState, parsed: ParsedCommand, checked: CheckedOptions, origin: Origin | undefined): Run {
    const schema = origin?.redrivenFrom === undefined ? this.#schemaOf(parsed) : undefined
    if (schema === undefined) return this.#admit(lane, parsed, checked, origin)
    const what = `The payload of ${parsed.type}`
    const given = payloadOf(parsed.body)
    let valid: unknown
    try {
      valid = validate(schema, what, given)
    } catch (error) {
      throw schemaError(what, error)
    }
    const admit = (body: unknown, early?: Run): Run => {
      const run = this.#admit(lane, { ...parsed, body, given }, checked, origin, early)
      if (checked.id !== undefined && typeof run.inner === 'object') run.inner.more.given = given
      return run
    }
    if (!(valid instanceof Promise)) return admit(valid)
    const run = createRun(
      checked.id ?? this.#core.newId(this.#core.nextSeq()),
      lane.id,
      parsed.type,
      'pending',
      this.shared,
    )
    const checkedLater = valid.catch((error: unknown) => {
      throw schemaError(what, error)
    })
    this.checks.add(run, parsed, checkedLater, (body) => this.#acceptance(admit(body, run)))
    if (checked.dedupe !== undefined) this.deduplication.hold(checked.dedupe, run)
    return run
  }

  /** When the command of this run is accepted, if that is not now. */
  #acceptance(run: Run): Promise<void> | undefined {
    return this.#core.link?.coordinator.acceptance(run) ?? this.stored.acceptance(run)
  }

  /** The schema for a command's payload. Work that a command brings itself has no payload of its type. */
  #schemaOf({ type, body, schema }: ParsedCommand): PayloadSchema | undefined {
    const isTyped = !Work.is(body) || body.command instanceof JsonCommand
    return isTyped ? (this.#core.payloadSchemas.get(type) ?? schema) : undefined
  }

  /** The run that has this id already. `CONFLICT` when it is another command's. */
  #knownRun(id: string, parsed: ParsedCommand): Run | undefined {
    const run = findRun(this.#core, id) ?? this.checks.find(id)
    if (run === undefined) return this.#settledRun(id, parsed)
    const entry = this.#core.entryOf(run)
    const body = entry?.details?.given ?? entry?.body ?? this.checks.bodyOf(run)
    if (run.commandType !== parsed.type || !sameBody(parsed, body)) throw idTaken(id)
    return this.#duplicate(run)
  }

  /** The run of a command that has settled and is in the storage only. */
  #settledRun(id: string, parsed: ParsedCommand): Run | undefined {
    const { recovery } = this.#core
    const row = recovery?.recall(id)
    if (recovery === undefined || row === undefined) return undefined
    if (row.commandType !== parsed.type || !sameBody(parsed, givenOf(row))) throw idTaken(id)
    return this.#duplicate(recovery.settledRun(row))
  }

  #duplicate(run: Run): Run {
    this.deduplicated(run)
    return run
  }

  /** Tells that a submit was another command's. */
  deduplicated(run: Run): void {
    this.#core.lanes.get(run.laneId)?.observer?.('deduplicated', 0, 0)
    if (this.#core.hasListeners) {
      this.#core.emit('queue.command.deduplicated', { lane_id: run.laneId, command_id: run.id })
    }
  }

  #admit(
    lane: LaneState,
    parsed: ParsedCommand,
    checked: CheckedOptions,
    origin: Origin | undefined,
    early?: Run,
  ): Run {
    const core = this.#core
    if (core.link !== undefined && !isLocal(checked, origin)) {
      return core.link.coordinator.submit(lane, parsed, checked, origin, early)
    }
    this.#checkCapacity(lane)
    if (core.journal !== undefined && !checked.ephemeral) {
      return this.stored.submit(lane, parsed, checked, origin, early)
    }
    return this.#admitHere(lane, parsed, checked, origin, early)
  }

  /** Takes in a command that is kept in this process only. */
  #admitHere(
    lane: LaneState,
    { type, body }: ParsedCommand,
    checked: CheckedOptions,
    origin: Origin | undefined,
    early: Run | undefined,
  ): Run {
    const core = this.#core
    const now = core.turnTime()
    const seq = core.nextSeq()
    const { dueAt, priority, signal } = checked
    const claim = checked.dedupe === undefined ? undefined : this.deduplication.stand(checked.dedupe, early)
    const follows = claim?.follows !== undefined
    const isPending = dueAt === undefined && !follows
    const state = isPending ? 'pending' : 'delayed'
    const run = early ?? createRun(checked.id ?? core.newId(seq), lane.id, type, state, this.shared)
    run.state = state
    const entry = new Entry(run, lane, body, 0, priority, policyOf(lane, checked), now)
    entry.more.seq = seq
    this.attach(entry, checked, origin)
    if (signal !== undefined && !signal.aborted) this.watch(entry, signal)
    core.list(entry)
    core.unsettled++
    this.#place(entry, isPending)
    if (!isPending) this.#outcomes.delay(entry, dueAt, follows)
    if (core.tracing !== undefined) entry.more.trace = core.tracing.submitted(tracedCommand(run), checked.traceContext)
    else if (checked.traceContext !== undefined) entry.more.trace = checked.traceContext
    this.announce(run, lane)
    if (isPending) core.joins(entry)
    else this.announceDelay(run, (dueAt ?? now) - now, follows)
    if (claim !== undefined) this.deduplication.take(claim, run)
    if (signal?.aborted === true) this.#outcomes.cancel(entry, signal.reason)
    const isOrphan = origin?.parent?.run.state === 'cancelled' && !checked.detached
    if (isOrphan) this.#outcomes.cancel(entry, 'its parent was cancelled')
    return run
  }

  /** Gives a command its place in its lane, and lets it wait there if it may start. */
  #place(entry: Entry, isPending: boolean): void {
    const { run, lane, body, priority, arrivedAt, more } = entry
    const { backlog, limits } = lane
    if (this.#core.journal !== undefined) {
      // Stored commands come and go by their numbers, so all of the queue do.
      entry.place = more.seq
      if (isPending) backlog.putBack(entry)
    } else if (isPending) {
      entry.place = backlog.push(run, body, priority, limits.attempt, arrivedAt as number, more.seq)
    } else entry.place = backlog.reserve(priority, limits.attempt, arrivedAt as number, more.seq)
  }

  #accept(lane: LaneState, type: string, body: unknown): Run {
    const core = this.#core
    const seq = core.nextSeq()
    const run = createRun(core.newId(seq), lane.id, type, 'pending', this.shared)
    lane.backlog.push(run, body, DEFAULT_PRIORITY, lane.limits.attempt, core.turnTime(), seq)
    core.unsettled++
    this.announce(run, lane)
    core.backlogGrew(lane)
    return run
  }

  #storedPlain(lane: LaneState, type: string, payload: unknown): Run {
    try {
      return this.stored.submitPlain(lane, type, payload)
    } catch (error) {
      return this.refuse(lane.id, type, error)
    }
  }

  /** Ends the run of a submit that was not accepted. */
  refused(run: Run, settle: Settle, error: LaneError): void {
    const core = this.#core
    transition(run, error.code === 'COMMAND_CANCELLED' ? 'cancelled' : 'failed')
    const lane = core.lanes.get(run.laneId)
    if (lane === undefined) core.observers?.refused()
    else lane.observer?.('rejected', 0, 0)
    core.tracing?.refused(tracedCommand(run), error)
    if (core.hasListeners) {
      const payload = { lane_id: run.laneId, command_id: run.id, code: error.code, error: error.message }
      core.emit('queue.command.rejected', payload)
    }
    rejectRun(run, settle, error)
  }

  attach(entry: Entry, checked: CheckedOptions, origin: Origin | undefined): void {
    const { more } = entry
    if (checked.hasTraits) setTraits(entry, checked.own)
    if (checked.dedupe !== undefined) entry.traits.dedupeId = checked.dedupe.id
    more.own = checked.own
    more.metadata = checked.metadata
    more.redrivenFrom = origin?.redrivenFrom
    const parent = origin?.parent
    if (parent === undefined || checked.detached || isFinal(parent.run.state)) return
    more.parent = parent
    parent.more.children ??= new Set()
    parent.more.children.add(entry)
  }

  announceDelay(run: Run, delayMs: number, follows: boolean): void {
    if (!this.#core.hasListeners || run.state !== 'delayed') return
    const reason = follows ? 'deduplicated' : 'submitted'
    this.#core.emit('queue.command.delayed', { lane_id: run.laneId, command_id: run.id, delay_ms: delayMs, reason })
  }

  watch(entry: Entry, signal: AbortSignal): void {
    const cancel = (): void => void this.#outcomes.cancel(entry, signal.reason)
    entry.more.unwatch = this.#signals.watch(signal, cancel)
  }

  /** What can start at once does not wait, so it does not count. */
  #checkCapacity(lane: LaneState): void {
    const { limits, delayed } = lane
    const canStart = this.#core.started && !lane.paused
    const room = canStart ? Math.max(0, Math.min(limits.max - lane.held, this.#core.scheduler.free)) : 0
    if (lane.pending + delayed.size + lane.arriving < limits.capacity + room) return
    throw new LaneError('QUEUE_FULL', `Queue error: lane '${lane.id}' is full (${limits.capacity} commands waiting)`, {
      fields: { laneId: lane.id, capacity: limits.capacity },
    })
  }

  /** Tells who listens and who measures that a command was accepted. */
  announce(run: Run, lane: LaneState): void {
    const core = this.#core
    if (core.hasListeners) core.emit('queue.command.submitted', { lane_id: run.laneId, command_id: run.id })
    if (lane.observer === undefined) return
    core.hasSubmits = true
    lane.observer('submitted', 0, 0)
  }
}

/** What stays in this process although the queue has an engine: it says so, or a handler here waits for it. */
const isLocal = (checked: CheckedOptions, origin: Origin | undefined): boolean =>
  checked.ephemeral || origin?.isAwaitedHere === true

let plainType: string
let plainPayload: unknown

/**
 * Reads a plain `{ type, payload }` into the two variables above: the commonest command, told apart without making an
 * object. False for any other, and for one whose accessors throw; those go the long way.
 */
function readPlain(command: unknown): boolean {
  try {
    if (typeof command !== 'object' || command === null || command.constructor !== Object) return false
    const { type, payload, execute } = command as { type: unknown; payload: unknown; execute: unknown }
    if (execute !== undefined || typeof type !== 'string' || type === '') return false
    plainType = type
    plainPayload = payload
    return true
  } catch {
    return false
  }
}

/** Only a definition has defaults; other options are checked as they came. */
const withDefaults = (options: SubmitOptions | undefined, defaults: SubmitOptions | undefined): SubmitOptions =>
  defaults === undefined ? (options ?? {}) : { ...defaults, ...options }

const idTaken = (id: string): LaneError =>
  new LaneError('CONFLICT', `The id '${id}' belongs to another command`, { fields: { id } })

const schemaError = (what: string, error: unknown): LaneError => (isLaneError(error) ? error : schemaFault(what, error))

/** Whether a second submit of an id means the same command as the first. */
function sameBody({ type, body }: ParsedCommand, known: unknown): boolean {
  if (!Work.is(body) && !Work.is(known)) return sameData(body, known)
  const [a, b]: AnyCommand[] = [commandOf(type, body), commandOf(type, known)]
  return (
    a === b ||
    (Work.is(body) && Work.is(known) && sameData(payloadOf(body), payloadOf(known)) && payloadOf(body) !== undefined)
  )
}
