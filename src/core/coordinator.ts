/**
 * What a process submits to an engine, and awaits. Commands submitted in one turn go to the engine together; a run is
 * accepted when the engine has it, and settles when word of its outcome comes, from whichever worker.
 */
import { type Awaited, newAwaited, type Sent, Submits } from './awaited.js'
import { type CancelledError, cancelledError, reasonText } from './cancelled-error.js'
import type { ParsedCommand } from './command.js'
import type { QueueCore } from './core.js'
import type { AddAnswer, CancelAnswer, Engine, EngineCommand, EngineOutcome } from './engine.js'
import { sameData } from './equal.js'
import { type ErrorRecord, errorText, isLaneError, LaneError } from './errors.js'
import type { LaneState } from './lane.js'
import { ProgressReader } from './progress.js'
import { errorOf } from './restored.js'
import { createRun, type Run, type RunMethods, rejectRun } from './run.js'
import { engineCommand, readable } from './shared-command.js'
import { SignalWatch } from './signal-watch.js'
import { parsed, sizedText } from './stored.js'
import type { AdmissionSteps, Origin } from './stored-admission.js'
import type { CheckedOptions } from './submit-options.js'
import { tracedCommand } from './tracing.js'
import { transition } from './transitions.js'

/** Between two tries to tell a cancellation that the engine could not be told. */
const AGAIN_MS = 1000

export class Coordinator {
  readonly #core: QueueCore
  readonly #engine: Engine
  readonly #instanceId: string
  readonly #opened: () => Promise<void>
  readonly #steps: AdmissionSteps
  readonly #methods: RunMethods
  readonly #signals = new SignalWatch()
  /** By id: submitted here, without an outcome. */
  readonly #awaited = new Map<string, Awaited>()
  #gathering = new Submits()
  #underWay = 0
  readonly #waiters: (() => void)[] = []

  constructor(core: QueueCore, engine: Engine, instanceId: string, opened: () => Promise<void>, steps: AdmissionSteps) {
    this.#core = core
    this.#engine = engine
    this.#instanceId = instanceId
    this.#opened = opened
    this.#steps = steps
    const cancelRun = (run: Run, reason: unknown): boolean => this.cancel(run.id, reason)
    const progress = (run: Run, capacity: number | undefined): ProgressReader => this.#progressOf(run, capacity ?? 1024)
    this.#methods = {
      ...steps.shared,
      cancel(this: Run, reason) {
        return cancelRun(this, reason)
      },
      progress(this: Run, options) {
        return progress(this, options?.capacity)
      },
    }
  }

  /** What waits for an outcome: the engine looks for those whose message was lost. */
  *awaited(): Generator<{ readonly id: string; readonly laneId: string }> {
    for (const { run, isAccepted } of this.#awaited.values()) if (isAccepted) yield run
  }

  /** How many commands of a lane were submitted here and have no outcome. */
  countOf(laneId: string): number {
    let count = 0
    for (const { run } of this.#awaited.values()) if (run.laneId === laneId) count++
    return count
  }

  get ids(): Iterable<string> {
    return this.#awaited.keys()
  }

  /** Whether any submit is not answered. */
  get isBusy(): boolean {
    return this.#underWay > 0 || this.#gathering.commands.length > 0
  }

  /** The run of a command that was submitted here and has no outcome. */
  runOf(id: string): Run | undefined {
    return this.#awaited.get(id)?.run
  }

  /** The run with this id, if the same command was submitted here before. `CONFLICT` when another was. */
  known(id: string, { type, body }: ParsedCommand): Run | undefined {
    const known = this.#awaited.get(id)
    if (known === undefined) return undefined
    if (known.type === type && sameData(body, known.given ?? parsed(known.payload))) {
      this.#steps.deduplicated(known.run)
      return known.run
    }
    throw new LaneError('CONFLICT', `The id '${id}' belongs to another command`, { fields: { id } })
  }

  /** Takes a command in. Throws when it is refused here. */
  submit(
    lane: LaneState,
    { type, body, given }: ParsedCommand,
    checked: CheckedOptions,
    origin: Origin | undefined,
    early: Run | undefined,
  ): Run {
    const core = this.#core
    const payload = body === undefined ? undefined : sizedText(core, `The payload of ${type}`, body)
    const id = early?.id ?? checked.id ?? core.newId(core.nextSeq())
    const run = early ?? createRun(id, lane.id, type, 'pending', this.#methods)
    const traced = core.tracing?.submitted(tracedCommand(run), checked.traceContext)
    const trace = core.tracing === undefined ? checked.traceContext : traced
    const command = engineCommand(core, { id, lane, type, payload, checked, origin, trace, given }, this.#instanceId)
    const one = this.#await(run, { type, payload, given, checked, origin })
    if (early === undefined) run.accepted = one.accepted
    else void Object.assign(early, { cancel: this.#methods.cancel, progress: this.#methods.progress })
    this.#gathering.commands.push(command)
    this.#gathering.awaited.push(one)
    core.askForPass()
    return run
  }

  /** When the command of this run is accepted; undefined when it is none that was submitted here. */
  acceptance(run: Run): Promise<void> | undefined {
    return this.#awaited.get(run.id)?.accepted
  }

  #await(run: Run, { checked, origin, ...sent }: Sent): Awaited {
    const core = this.#core
    const one = newAwaited(run, { checked, origin, ...sent }, core.turnTime())
    const { signal } = checked
    if (signal !== undefined && !signal.aborted) this.#watchSignal(one, signal)
    if (one.parent !== undefined) {
      one.parent.more.sharedChildren ??= new Set()
      one.parent.more.sharedChildren.add(run)
    }
    core.unsettled++
    this.#awaited.set(run.id, one)
    return one
  }

  /** Sends what has gathered. */
  flush(): void {
    if (this.#gathering.commands.length === 0) return
    const submits = this.#gathering
    this.#gathering = new Submits()
    this.#underWay++
    void this.#send(submits)
  }

  async #send(submits: Submits): Promise<void> {
    try {
      await this.#opened()
      await this.#add(submits)
    } catch (error) {
      for (const one of submits.awaited) this.#refuse(one, error)
    }
    this.#answered()
  }

  async #add(submits: Submits): Promise<void> {
    const { commands, awaited } = submits.awaited.some(({ cancelled }) => cancelled !== undefined)
      ? this.#withoutCancelled(submits)
      : submits
    if (commands.length === 0) return
    const answers = await this.#engine.add(commands)
    for (const [at, one] of awaited.entries()) {
      const answer = answers[at]
      if (answer === undefined) this.#refuse(one, new Error('The engine gave no answer'))
      else if (answer.kind === 'refused') this.#refuse(one, answer.error)
      else this.#accept(one, answer)
    }
  }

  /** What was cancelled before the engine has it is nobody's business. */
  #withoutCancelled({ commands, awaited }: Submits): Submits {
    const others = new Submits()
    for (const [at, one] of awaited.entries()) {
      if (one.cancelled !== undefined) {
        this.#refuse(one, undefined)
        continue
      }
      others.commands.push(commands[at] as EngineCommand)
      others.awaited.push(one)
    }
    return others
  }

  #answered(): void {
    this.#underWay--
    this.#core.askForPass()
    if (!this.isBusy) for (const tell of this.#waiters.splice(0)) tell()
  }

  /** Waits until every submit is answered; whoever asks sets the limit. */
  async answered(): Promise<void> {
    while (this.isBusy) await new Promise<void>((resolve) => this.#waiters.push(resolve))
  }

  #accept(one: Awaited, answer: Exclude<AddAnswer, { kind: 'refused' }>): void {
    if (one.isOver) return
    if (answer.kind === 'accepted') this.#accepted(one)
    else {
      one.isAccepted = true
      this.#follow(one, answer)
      one.accept()
    }
    if (one.isOver) return
    if (answer.kind === 'duplicate' && answer.outcome !== undefined) this.#settle(one, answer.outcome)
    else if (one.cancelled !== undefined) this.#cancelThere(one, one.cancelled.reason)
  }

  #accepted(one: Awaited): void {
    const { run, dueMs } = one
    one.isAccepted = true
    if (dueMs >= 0) run.state = 'delayed'
    this.#steps.announce(run, this.#core.lanes.get(run.laneId) as LaneState)
    if (dueMs >= 0) this.#steps.announceDelay(run, dueMs, false)
    one.accept()
  }

  /** It is another's command, maybe of another lane: that one's outcome is its outcome. */
  #follow(one: Awaited, { id, laneId }: { readonly id: string; readonly laneId: string }): void {
    const { run } = one
    const isSameId = id === run.id
    if (!isSameId) this.#awaited.delete(run.id)
    // cancels and lost outcomes are looked for where the command is
    void Object.assign(run, { id, laneId })
    this.#steps.deduplicated(run)
    if (isSameId) return
    const owner = this.#awaited.get(id)
    if (owner === undefined) {
      this.#awaited.set(id, one)
      return
    }
    this.#release(one)
    one.settle(owner.run)
    const follow = (): void => {
      run.state = owner.run.state
    }
    owner.run.then(follow, follow)
  }

  #refuse(one: Awaited, cause: unknown): void {
    if (one.isOver) return
    const { run, settle, cancelled } = one
    const error = cancelled === undefined ? refusal(cause) : cancelledError(cancelled.reason)
    this.#forget(one)
    this.#steps.refused(run, settle, error)
    one.refuse(error)
  }

  /** Word of outcomes; of what is not awaited any more it is old news. */
  outcomes(outcomes: readonly EngineOutcome[]): void {
    for (const outcome of outcomes) {
      const one = this.#awaited.get(outcome.id)
      if (one !== undefined) this.#settle(one, outcome)
    }
    this.#core.askForPass()
  }

  #settle(one: Awaited, outcome: EngineOutcome): void {
    const { run, settle } = one
    // Word of the outcome may come before the answer to the submit.
    if (!one.isAccepted) this.#accepted(one)
    this.#forget(one)
    run.state = outcome.state
    run.inner = undefined
    if (outcome.state === 'completed') settle(readable(outcome.result))
    else rejectRun(run, settle, ownCancellation(one, outcome) ?? outcomeError(outcome))
  }

  #forget(one: Awaited): void {
    this.#awaited.delete(one.run.id)
    this.#release(one)
    for (const reader of one.readers ?? []) reader.close()
    one.readers = undefined
  }

  #release(one: Awaited): void {
    one.isOver = true
    this.#core.unsettled--
    one.unwatch?.()
    one.parent?.details?.sharedChildren?.delete(one.run)
  }

  /** Cancels a command that was submitted here; false when it has its outcome, or is being cancelled. */
  cancel(id: string, reason: unknown): boolean {
    const one = this.#awaited.get(id)
    if (one === undefined || one.cancelled !== undefined) return false
    one.cancelled = { reason }
    if (one.isAccepted) this.#cancelThere(one, reason)
    return true
  }

  /**
   * The caller is answered when the engine knows of it: until then it might still complete. The wish is told again until
   * the engine has heard it, or the command has its outcome.
   */
  #cancelThere(one: Awaited, reason: unknown, isAgain = false): void {
    const { run } = one
    const error = cancelledError(reason)
    this.#engine.cancel(run.id, run.laneId, reasonText(error.reason)).then(
      (answer) => this.#wasCancelled(one, answer, error),
      (cause: unknown) => {
        const { clock, alarms } = this.#core
        if (!isAgain) this.#core.fault(cause, { lane_id: run.laneId, command_id: run.id })
        alarms.set(clock.now() + AGAIN_MS, () => {
          if (!one.isOver) this.#cancelThere(one, reason, true)
        })
      },
    )
  }

  #wasCancelled(one: Awaited, answer: CancelAnswer, error: CancelledError): void {
    // One that runs has the outcome that its worker gives it: until that hears of the wish it may still complete.
    if (answer !== 'cancelled') return
    tellCancelled(this.#core, one.run, error)
    // Word of it may have come before the answer.
    if (one.isOver) return
    this.#forget(one)
    transition(one.run, 'cancelled')
    one.run.inner = undefined
    rejectRun(one.run, one.settle, error)
    this.#core.askForPass()
  }

  #watchSignal(one: Awaited, signal: AbortSignal): void {
    one.unwatch = this.#signals.watch(signal, () => void this.cancel(one.run.id, signal.reason))
  }

  /** A handler somewhere has reported progress. */
  progress(id: string, text: string): void {
    const readers = this.#awaited.get(id)?.readers
    if (readers === undefined) return
    const value = readable(text)
    for (const reader of readers) reader.push(value)
  }

  #progressOf(run: Run, capacity: number): ProgressReader {
    const one = this.#awaited.get(run.id)
    const reader = new ProgressReader(capacity, (ended) => void one?.readers?.delete(ended))
    if (one === undefined) {
      reader.close()
      return reader
    }
    one.readers ??= new Set()
    one.readers.add(reader)
    return reader
  }

  /** The queue closes: what is shared goes on, but nobody here will hear of it. */
  close(): void {
    for (const one of [...this.#awaited.values()]) {
      this.#forget(one)
      const text = 'The queue was closed; the command stays in the engine, and its outcome is kept there'
      const error = new LaneError('SHUTTING_DOWN', text)
      rejectRun(one.run, one.settle, error)
      if (!one.isAccepted) one.refuse(error)
    }
  }
}

/** A command was cancelled that waited with the engine: no worker tells of it. */
export function tellCancelled(
  core: QueueCore,
  { id, laneId }: { readonly id: string; readonly laneId: string },
  { reason }: CancelledError,
): void {
  core.lanes.get(laneId)?.observer?.('cancelled', 0, 0)
  if (!core.hasListeners) return
  core.emit('queue.command.cancelled', { lane_id: laneId, command_id: id, reason: reasonText(reason) })
}

/** The cancellation that was asked for here, with its reason as it was given, not as text. */
function ownCancellation({ cancelled }: Awaited, { state, error }: EngineOutcome): CancelledError | undefined {
  if (cancelled === undefined || state !== 'cancelled') return undefined
  const own = cancelledError(cancelled.reason)
  return reasonText(own.reason) === reasonIn(error) ? own : undefined
}

const refusal = (cause: unknown): LaneError =>
  isLaneError(cause)
    ? cause
    : new LaneError('ENGINE_UNAVAILABLE', `The engine did not take it: ${errorText(cause)}`, { cause })

function outcomeError({ state, error, id }: EngineOutcome): LaneError {
  if (state === 'cancelled') return cancelledError(reasonIn(error))
  try {
    return errorOf(state, parsed<ErrorRecord>(error))
  } catch {
    return new LaneError('COMMAND_FAILED', `The command '${id}' failed, and its error cannot be read`)
  }
}

function reasonIn(error: string | undefined): unknown {
  const record = parsed<ErrorRecord>(error)
  return record?.fields?.['reason'] ?? record?.message
}
