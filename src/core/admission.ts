/**
 * The way in. A submit is accepted whole or refused whole; it never throws, and a refusal is never silent: its run (and
 * `run.accepted`) reject, and `queue.command.rejected` is announced.
 *
 * A command without options takes the short way: a run and a place in its lane's backlog, nothing else.
 */
import { type AnyCommand, commandOf, parseCommand, payloadOf, type ParsedCommand, Work } from './command.js'
import { laneNotFound, type QueueCore } from './core.js'
import { DefinedCommand, type PayloadSchema, schemaFault, validate } from './definition.js'
import { Entry } from './entry.js'
import { sameData } from './equal.js'
import { errorText, isLaneError, LaneError } from './errors.js'
import type { LaneState } from './lane.js'
import type { Outcomes } from './outcomes.js'
import { SignalWatch } from './signal-watch.js'
import { createRun, quietRejection, rejectRun, type Run, type RunMethods } from './run.js'
import { type CheckedOptions, checkSubmitOptions, DEFAULT_PRIORITY, type SubmitOptions } from './submit-options.js'
import { isFinal } from './transitions.js'

/** Where a command comes from, when not from outside. */
export type Origin = {
  readonly parent?: Entry
  readonly redrivenFrom?: string
}

/** A submit whose payload is being checked by a schema that takes its time. */
type Checking = { readonly parsed: ParsedCommand; cancelled: { readonly reason: unknown } | undefined }

export class Admission {
  readonly #core: QueueCore
  readonly #outcomes: Outcomes
  readonly #shared: RunMethods
  readonly #checking = new Map<Run, Checking>()
  readonly #signals = new SignalWatch()

  constructor(core: QueueCore, outcomes: Outcomes, shared: RunMethods) {
    this.#core = core
    this.#outcomes = outcomes
    this.#shared = shared
  }

  submit(laneId: string, command: unknown, options?: SubmitOptions, origin?: Origin): Run {
    const core = this.#core
    const lane = core.lanes.get(laneId)
    if (options === undefined && origin === undefined && lane !== undefined && core.takesPlain) {
      const isOpen = lane.limits.capacity === Number.POSITIVE_INFINITY
      if (isOpen && readPlain(command)) return this.#accept(lane, plainType, plainPayload)
    }
    let parsed: ParsedCommand | undefined
    try {
      parsed = parseCommand(command)
      if (core.isShuttingDown) throw shuttingDown()
      if (lane === undefined) throw laneNotFound(laneId)
      const schema =
        core.payloadSchemas.size === 0 ? parsed.schema : (core.payloadSchemas.get(parsed.type) ?? parsed.schema)
      const isPlain = options === undefined && origin === undefined && schema === undefined
      if (isPlain && !(command instanceof DefinedCommand)) {
        if (lane.limits.capacity !== Number.POSITIVE_INFINITY) this.#checkCapacity(lane)
        return this.#accept(lane, parsed.type, parsed.body)
      }
      return this.#submitWith(lane, command, parsed, schema, options ?? {}, origin)
    } catch (error) {
      return this.refuse(
        laneId,
        parsed?.type ?? 'unknown',
        error,
        typeof options?.id === 'string' ? options.id : undefined,
      )
    }
  }

  /** A run that was refused. What is not an error of ours came from the command's own accessors. */
  refuse(laneId: string, type: string, cause: unknown, id = this.#core.newId(this.#core.nextSeq())): Run {
    const error = isLaneError(cause)
      ? cause
      : new LaneError('PAYLOAD_INVALID', `The command could not be read: ${errorText(cause)}`, { cause })
    const run = createRun(id, String(laneId), type, 'failed', { ...this.#shared, accepted: quietRejection(error) })
    this.#announceRefusal(run, error)
    rejectRun(run, run.inner as (value: unknown) => void, error)
    return run
  }

  /** Cancels a submit whose payload is still being checked; false when it is none. */
  cancelChecking(run: Run, reason: unknown): boolean {
    const checking = this.#checking.get(run)
    if (checking === undefined || checking.cancelled !== undefined) return false
    checking.cancelled = { reason }
    return true
  }

  /** Ids of the submits whose payload is still being checked. */
  checkingIds(): string[] {
    return [...this.#checking.keys()].map((run) => run.id)
  }

  #submitWith(
    lane: LaneState,
    command: unknown,
    parsed: ParsedCommand,
    schema: PayloadSchema | undefined,
    options: SubmitOptions,
    origin: Origin | undefined,
  ): Run {
    const defaults = command instanceof DefinedCommand ? command.definition.defaults : undefined
    const checked = checkSubmitOptions(defaults === undefined ? options : { ...defaults, ...options }, this.#core.clock)
    const known = checked.id === undefined ? undefined : this.#knownRun(checked.id, parsed)
    if (known !== undefined) return known
    if (schema === undefined) return this.#admit(lane, parsed, checked, origin)
    const what = `The payload of ${parsed.type}`
    let valid: unknown
    try {
      valid = validate(schema, what, payloadOf(parsed.body))
    } catch (error) {
      throw isLaneError(error) ? error : schemaFault(what, error)
    }
    if (!(valid instanceof Promise)) return this.#admit(lane, { ...parsed, body: valid }, checked, origin)
    return this.#admitLater(lane, parsed, valid, what, checked, origin)
  }

  /** The run that has this id already. `CONFLICT` when it is another command's. */
  #knownRun(id: string, parsed: ParsedCommand): Run | undefined {
    const known = this.#core.byId.get(id)
    const checking = [...this.#checking].find(([run]) => run.id === id)
    const run = known?.run ?? checking?.[0]
    if (run === undefined) return undefined
    const body = known?.body ?? checking?.[1].parsed.body
    if (run.commandType !== parsed.type || !sameBody(parsed, body)) {
      throw new LaneError('CONFLICT', `The id '${id}' belongs to another command`, { fields: { id } })
    }
    if (this.#core.events.hasSubscribers) {
      this.#core.emit('queue.command.deduplicated', { lane_id: run.laneId, command_id: run.id })
    }
    return run
  }

  #admit(
    lane: LaneState,
    parsed: ParsedCommand,
    checked: CheckedOptions,
    origin: Origin | undefined,
    early?: Run,
  ): Run {
    this.#checkCapacity(lane)
    const core = this.#core
    const { type, body } = parsed
    const now = core.turnTime()
    const seq = core.nextSeq()
    const { dueAt, priority } = checked
    const isDelayed = dueAt !== undefined
    const run =
      early ?? createRun(checked.id ?? core.newId(seq), lane.id, type, isDelayed ? 'delayed' : 'pending', this.#shared)
    run.state = isDelayed ? 'delayed' : 'pending'
    const policy = policyOf(lane, checked)
    const entry = new Entry(run, lane, body, 0, priority, policy, now)
    this.#attach(entry, checked, origin)
    entry.more.seq = seq
    core.list(entry)
    core.unsettled++
    entry.place = isDelayed
      ? lane.backlog.reserve(priority, lane.limits.attempt, now, seq)
      : lane.backlog.push(run, body, priority, lane.limits.attempt, now, seq)
    if (isDelayed) this.#outcomes.delayUntil(entry, dueAt)
    this.#announce(run)
    if (isDelayed) this.#announceDelay(run, dueAt - now)
    else core.backlogGrew(lane)
    if (checked.signal !== undefined && !isFinal(run.state)) this.#watch(entry, checked.signal)
    const parentRun = origin?.parent?.run
    if (parentRun?.state === 'cancelled' && !checked.detached) this.#outcomes.cancel(entry, 'its parent was cancelled')
    return run
  }

  #accept(lane: LaneState, type: string, body: unknown): Run {
    const core = this.#core
    const seq = core.nextSeq()
    const run = createRun(core.newId(seq), lane.id, type, 'pending', this.#shared)
    lane.backlog.push(run, body, DEFAULT_PRIORITY, lane.limits.attempt, core.turnTime(), seq)
    core.unsettled++
    if (core.events.hasSubscribers) this.#announce(run)
    core.backlogGrew(lane)
    return run
  }

  /** The schema takes its time: the run is there at once, the command is accepted when its payload is. */
  #admitLater(
    lane: LaneState,
    parsed: ParsedCommand,
    valid: Promise<unknown>,
    what: string,
    checked: CheckedOptions,
    origin: Origin | undefined,
  ): Run {
    const core = this.#core
    const run = createRun(checked.id ?? core.newId(core.nextSeq()), lane.id, parsed.type, 'pending', this.#shared)
    const settle = run.inner as (value: unknown) => void
    const checking: Checking = { parsed, cancelled: undefined }
    this.#checking.set(run, checking)
    core.unsettled++
    const done = (): void => {
      this.#checking.delete(run)
      core.unsettled--
      core.askForPass()
    }
    const admit = (body: unknown): void => {
      done()
      if (core.isShuttingDown) throw shuttingDown()
      this.#admit(lane, { ...parsed, body }, checked, origin, run)
      if (checking.cancelled !== undefined) this.#outcomes.cancel(run.inner as Entry, checking.cancelled.reason)
    }
    run.accepted = valid
      .catch((error: unknown) => {
        done()
        throw isLaneError(error) ? error : schemaFault(what, error)
      })
      .then(admit)
    run.accepted.catch((error: LaneError) => {
      run.state = 'failed'
      this.#announceRefusal(run, error)
      rejectRun(run, settle, error)
    })
    return run
  }

  #attach(entry: Entry, checked: CheckedOptions, origin: Origin | undefined): void {
    if (checked.metadata !== undefined) entry.more.metadata = checked.metadata
    if (origin?.redrivenFrom !== undefined) entry.more.redrivenFrom = origin.redrivenFrom
    const parent = origin?.parent
    if (parent === undefined || checked.detached || isFinal(parent.run.state)) return
    entry.more.parent = parent
    parent.more.children ??= new Set()
    parent.more.children.add(entry)
  }

  #announceDelay(run: Run, delayMs: number): void {
    if (!this.#core.events.hasSubscribers || run.state !== 'delayed') return
    const payload = { lane_id: run.laneId, command_id: run.id, delay_ms: delayMs, reason: 'submitted' as const }
    this.#core.emit('queue.command.delayed', payload)
  }

  #watch(entry: Entry, signal: AbortSignal): void {
    if (signal.aborted) return void this.#outcomes.cancel(entry, signal.reason)
    const cancel = (): void => void this.#outcomes.cancel(entry, signal.reason)
    entry.more.unwatch = this.#signals.watch(signal, cancel)
  }

  /** What can start at once does not wait, so it does not count. */
  #checkCapacity(lane: LaneState): void {
    const { limits, backlog, delayed } = lane
    const canStart = this.#core.started && !lane.paused
    const room = canStart ? Math.max(0, Math.min(limits.max - lane.held, this.#core.scheduler.free)) : 0
    if (backlog.size + delayed.size < limits.capacity + room) return
    throw new LaneError('QUEUE_FULL', `Queue error: lane '${lane.id}' is full (${limits.capacity} commands waiting)`, {
      fields: { laneId: lane.id, capacity: limits.capacity },
    })
  }

  #announce(run: Run): void {
    if (!this.#core.events.hasSubscribers) return
    this.#core.emit('queue.command.submitted', { lane_id: run.laneId, command_id: run.id })
  }

  #announceRefusal(run: Run, error: LaneError): void {
    if (!this.#core.events.hasSubscribers) return
    const payload = { lane_id: run.laneId, command_id: run.id, code: error.code, error: error.message }
    this.#core.emit('queue.command.rejected', payload)
  }
}

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

const shuttingDown = (): LaneError =>
  new LaneError('SHUTTING_DOWN', 'Queue is shutting down, not accepting new commands')

const policyOf = ({ limits }: LaneState, { timeoutMs, retry }: CheckedOptions): LaneState['limits']['attempt'] =>
  timeoutMs === undefined && retry === undefined
    ? limits.attempt
    : { ...limits.attempt, timeoutMs: timeoutMs ?? limits.attempt.timeoutMs, retry: retry ?? limits.attempt.retry }

/** Whether a second submit of an id means the same command as the first. */
function sameBody({ type, body }: ParsedCommand, known: unknown): boolean {
  if (!Work.is(body) && !Work.is(known)) return sameData(body, known)
  const [a, b]: AnyCommand[] = [commandOf(type, body), commandOf(type, known)]
  return (
    a === b ||
    (Work.is(body) && Work.is(known) && sameData(payloadOf(body), payloadOf(known)) && payloadOf(body) !== undefined)
  )
}
