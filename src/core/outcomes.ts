/**
 * What becomes of a command: the only code that moves one to another state after it started, and the only code that
 * settles a run. Counts, then the event, then the run: whoever sees an outcome sees stats and events that agree with it.
 */
import { endSpan, noteFailure, tellFact } from './attempt-notes.js'
import { bury, letterOf } from './burial.js'
import { type CancelledError, cancelledError, reasonText } from './cancelled-error.js'
import type { QueueCore } from './core.js'
import type { Entry, Traits } from './entry.js'
import { errorRecord, errorText, isLaneError, LaneError, type LaneErrorCode } from './errors.js'
import { classify, type Failure } from './failure.js'
import type { LaneState } from './lane.js'
import type { Outcome } from './outcome.js'
import { leaveParked } from './parked.js'
import { rejectRun } from './run.js'
import type { BodyStopper } from './slot.js'
import { type Stored, sizedText } from './stored.js'
import { isFinal, transition } from './transitions.js'

export class Outcomes {
  readonly #core: QueueCore
  /** Set once by the manager. */
  stopper: BodyStopper = { orphan: () => undefined }
  /** A command with a dedupe id has settled; set once by whoever keeps those. */
  onOwnerSettled: (dedupeId: string, entry: Entry) => void = () => undefined

  constructor(core: QueueCore) {
    this.#core = core
  }

  complete(entry: Entry, value: unknown): void {
    const { run, settle, details, lane } = entry
    const stored = details?.stored
    if (stored !== undefined && !this.#keepResult(entry, stored, value)) return
    transition(run, 'completed')
    entry.result = value
    this.#settled(entry)
    endSpan(entry, 'completed')
    if (stored === undefined) this.#tellCompleted(entry)
    else {
      this.#afterwards(entry, () => {
        this.#tellCompleted(entry)
        settle(value)
      })
    }
    // Last: it may tell of a change, and whoever hears of that finds counts and events that agree.
    if (lane.policies !== undefined) lane.policies.ended('success', entry)
    if (stored === undefined) settle(value)
  }

  /** Makes the text of a result that is to be written. What has no JSON form fails: it could not be given again. */
  #keepResult(entry: Entry, stored: Stored, value: unknown): boolean {
    const { run, lane } = entry
    try {
      stored.result = value === undefined ? undefined : sizedText(this.#core, `The result of ${run.commandType}`, value)
      return true
    } catch (error) {
      this.#failed(entry, error, 'COMMAND_FAILED')
      lane.policies?.ended('failure', entry)
      return false
    }
  }

  #tellCompleted(entry: Entry): void {
    const { laneId: lane_id, id: command_id } = entry.run
    tellFact(this.#core, entry, 'completed')
    if (this.#core.hasListeners) this.#core.emit('queue.command.completed', { lane_id, command_id })
  }

  /** What others learn of an outcome: at once, or when it is written. */
  #afterwards(entry: Entry, tell: () => void): void {
    const stored = entry.details?.stored
    if (stored === undefined) return tell()
    stored.tell = () => {
      this.#core.unsettled--
      tell()
    }
    stored.home.touch(entry, stored)
  }

  /** The handler gave an outcome of its own. */
  decide(entry: Entry, outcome: Outcome): void {
    if (outcome.kind === 'discard') this.#cancelled(entry, cancelledError(outcome.reason))
    else this.#putOff(entry, outcome.delayMs, 'snoozed')
    entry.lane.policies?.ended('neutral', entry)
  }

  /** An attempt's body threw. */
  threw(entry: Entry, error: unknown): void {
    const failure = classify(error, this.#core.clock.wallNow())
    if (failure.kind === 'deferred') this.#deferred(entry, error, failure)
    else if (failure.kind === 'final') this.#failed(entry, error, 'COMMAND_FAILED')
    else this.#attemptFailed(entry, error, failure.timedOut ? 'COMMAND_TIMEOUT' : 'COMMAND_FAILED')
    entry.lane.policies?.ended(failure.kind === 'deferred' ? 'neutral' : 'failure', entry)
  }

  /** An attempt ran out of time; its body may go on. */
  timedOut(entry: Entry, error: LaneError): void {
    this.#attemptFailed(entry, error, 'COMMAND_TIMEOUT')
    entry.lane.policies?.ended('failure', entry)
  }

  /** A body has stopped because its slot was asked for: its command goes on later, before all others of its lane. */
  preempted(entry: Entry, taker: LaneState): void {
    const core = this.#core
    const { lane, run } = entry
    if (this.#isOver(entry)) return this.#cancelled(entry, cancelledError('the queue was closed'))
    transition(run, 'pending')
    entry.traits.isPreempted = true
    entry.more.readyAt = core.turnTime()
    const goesBack = entry.details?.stored?.claim !== undefined
    if (!goesBack) {
      core.list(entry)
      lane.backlog.putFirst(entry, core.seqOfEntry(entry), false)
    }
    core.askForPass()
    endSpan(entry, 'preempted')
    lane.observer?.('preempted', 0, 0)
    if (core.hasListeners) {
      core.emit('queue.command.preempted', { lane_id: lane.id, command_id: run.id, by_lane_id: taker.id })
    }
    if (!goesBack) core.joins(entry)
    this.#changed(entry)
    lane.policies?.ended('neutral', entry)
  }

  /** Whether it cannot go on later: the queue has stopped, and nothing keeps it for the next one. */
  #isOver({ details }: Entry): boolean {
    return this.#core.stopped && details?.stored === undefined
  }

  /** The queue closes while a stored command runs: the next queue runs it again, and its crash budget is not spent. */
  handBack(entry: Entry, error: LaneError): void {
    this.letGo(entry, error, () => this.#changed(entry))
  }

  /** The command is another's business from now on: its body is told to stop, and nothing it still gives counts. */
  letGo(entry: Entry, error: LaneError, told: () => void = () => undefined): void {
    const { run, context, details } = entry
    if (run.state !== 'active') return
    this.stopper.orphan(entry)
    transition(run, 'pending')
    told()
    endSpan(entry, 'cancelled', error)
    context?.abort(error)
    details?.traits?.goOn?.(error)
  }

  /** Fails a command that cannot run at all. */
  cannotRun(entry: Entry, error: LaneError): void {
    this.#failed(entry, error, error.code)
  }

  /**
   * Cancels a command and all that belongs to it; false when it has its outcome already. `cancelled` collects every command
   * that was cancelled by it.
   */
  cancel(entry: Entry, reason: unknown, cancelled: Entry[] = []): boolean {
    const { run, lane, context } = entry
    const { state } = run
    if (isFinal(state)) return false
    if (entry.details?.stored?.isArriving === true) return entry.details.stored.cancelArriving(reason)
    const error = cancelledError(reason)
    if (state === 'pending') this.#takeOutOfBacklog(entry)
    else if (state === 'delayed') this.#takeOutOfDelayed(entry)
    else this.stopper.orphan(entry)
    cancelled.push(entry)
    this.#cancelled(entry, error, cancelled)
    if (state === 'active') lane.policies?.ended('neutral', entry)
    this.#core.backlogShrank(lane)
    this.#core.askForPass()
    context?.abort(error)
    entry.details?.traits?.goOn?.(error)
    return true
  }

  /** Cancels everything that waits in a lane now; gives how many of it wait in the storage only and are cancelled soon. */
  cancelWaiting(lane: LaneState, reason: unknown, cancelled: Entry[] = []): number {
    const cold = lane.cold?.clear((entry) => this.cancel(entry, reason)) ?? 0
    // A listener may submit while it is told: what comes later is not meant.
    const waiting = lane.backlog.size
    // First, so that none of them comes to wait because another one ended.
    for (const entry of [...lane.delayed]) this.cancel(entry, reason, cancelled)
    for (const parked of [...lane.parked.values()])
      for (const entry of [...parked]) this.cancel(entry, reason, cancelled)
    for (let left = waiting; left > 0; left--) {
      const entry = lane.backlog.takeAny()
      if (entry === undefined) break
      const error = cancelledError(reason)
      const { context } = entry
      cancelled.push(entry)
      this.#cancelled(entry, error, cancelled)
      this.#core.backlogShrank(lane)
      context?.abort(error)
      entry.details?.traits?.goOn?.(error)
    }
    return cold
  }

  /** The delay of a command is over. One whose earlier body still runs waits for that to end. */
  due(entry: Entry): void {
    entry.more.alarm = undefined
    if (entry.slot === undefined) this.#toPending(entry)
  }

  /** The slot of a command that waits for its next attempt is free; was it only waiting for that? */
  bodyGone(entry: Entry): void {
    const stored = entry.details?.stored
    // A retry of a claimed command goes back when no body of it runs any more.
    if (stored?.claim !== undefined) return this.#changed(entry)
    if (entry.run.state === 'delayed' && entry.details?.alarm === undefined) this.#toPending(entry)
  }

  /** Puts a command among the delayed ones until an instant of the monotonic clock, or until it is released. */
  delay(entry: Entry, at: number | undefined, untilReleased = false): void {
    entry.more.dueAt = at ?? -1
    entry.lane.delayed.add(entry)
    this.#core.list(entry)
    if (at !== undefined && !untilReleased) entry.more.alarm = this.#core.alarms.set(at, () => this.due(entry))
  }

  /** What a delayed command waited for has happened; its own delay may not be over. */
  release(entry: Entry): void {
    if (entry.run.state !== 'delayed') return
    const { dueAt } = entry.more
    if (dueAt > this.#core.clock.now()) entry.more.alarm = this.#core.alarms.set(dueAt, () => this.due(entry))
    else this.#toPending(entry)
  }

  #toPending(entry: Entry): void {
    const { lane, run } = entry
    transition(run, 'pending')
    lane.delayed.delete(entry)
    entry.more.dueAt = -1
    entry.more.readyAt = this.#core.turnTime()
    lane.backlog.putBack(entry)
    this.#core.joins(entry)
    this.#core.askForPass()
  }

  #attemptFailed(entry: Entry, error: unknown, code: 'COMMAND_FAILED' | 'COMMAND_TIMEOUT'): void {
    const core = this.#core
    const { run, policy } = entry
    if (this.#isOver(entry) || !policy.retry.shouldRetry(entry.details?.retries ?? 0)) {
      return this.#failed(entry, error, code)
    }
    noteFailure(this.#core, entry, error)
    const attempt = ++entry.more.retries
    const delayMs = policy.retry.drawDelay(attempt, () => core.random.next())
    this.#delay(entry, delayMs, () => {
      endSpan(entry, 'retried', error, delayMs)
      tellFact(this.#core, entry, 'retried')
      if (core.hasListeners) core.emit('queue.command.retry', { lane_id: run.laneId, command_id: run.id, attempt })
    })
  }

  /** Put off by its handler or by a provider, who may close the lane for others too. */
  #deferred(entry: Entry, error: unknown, { delayMs, closesLane }: Extract<Failure, { kind: 'deferred' }>): void {
    if (closesLane) {
      this.#core.policiesOf(entry.lane).closeFor(delayMs)
      this.#core.link?.hold(entry.lane.id, delayMs)
    }
    if (entry.more.deferrals >= entry.policy.maxDeferrals || this.#isOver(entry)) {
      return this.#failed(entry, error, 'COMMAND_FAILED')
    }
    entry.more.deferrals++
    this.#putOff(entry, delayMs, 'deferred')
  }

  #putOff(entry: Entry, delayMs: number, reason: 'snoozed' | 'deferred'): void {
    const core = this.#core
    const { run } = entry
    if (this.#isOver(entry)) return this.#cancelled(entry, cancelledError('the queue was closed'))
    this.#delay(entry, delayMs, () => {
      endSpan(entry, 'deferred', undefined, delayMs)
      entry.lane.observer?.('deferred', 0, 0)
      if (!core.hasListeners) return
      core.emit('queue.command.delayed', { lane_id: run.laneId, command_id: run.id, delay_ms: delayMs, reason })
    })
  }

  /** Delays a command, then tells of it: who listens may be user code, and may already act on what it is told. */
  #delay(entry: Entry, delayMs: number, tell: () => void): void {
    const core = this.#core
    transition(entry.run, 'delayed')
    const claim = entry.details?.stored?.claim
    if (claim === undefined) this.delay(entry, core.clock.now() + delayMs)
    else entry.more.dueAt = core.clock.now() + delayMs
    this.#changed(entry)
    tell()
    if (delayMs > 0 || entry.run.state !== 'delayed' || claim !== undefined) return
    core.alarms.clear(entry.more.alarm)
    this.due(entry)
  }

  #failed(entry: Entry, error: unknown, code: LaneErrorCode): void {
    const core = this.#core
    const { run, settle } = entry
    const text = errorText(error)
    const timedOut = code === 'COMMAND_TIMEOUT'
    if (entry.attempt > 0) noteFailure(this.#core, entry, error)
    entry.more.error = errorRecord(error)
    transition(run, timedOut ? 'timed_out' : 'failed')
    this.#settled(entry)
    endSpan(entry, timedOut ? 'timed_out' : 'failed', error)
    const letter = core.deadLetters === undefined ? undefined : letterOf(core, entry, text)
    this.#afterwards(entry, () => {
      if (letter !== undefined) bury(core, entry, letter)
      tellFact(this.#core, entry, timedOut ? 'timed_out' : 'failed')
      if (core.hasListeners) {
        const payload = { lane_id: run.laneId, command_id: run.id, error: text }
        core.emit(timedOut ? 'queue.command.timeout' : 'queue.command.failed', payload)
      }
      this.#waitsNoMore(entry)
      const isOurs = isLaneError(error) && error.code === code
      rejectRun(run, settle, isOurs ? error : new LaneError(code, text, { cause: error }))
    })
  }

  /** Ends a command as cancelled, and its children with it. */
  #cancelled(entry: Entry, error: CancelledError, cancelled?: Entry[]): void {
    const core = this.#core
    const { run, settle, details } = entry
    entry.more.error = errorRecord(error)
    transition(run, 'cancelled')
    this.#settled(entry)
    endSpan(entry, 'cancelled', error)
    this.#afterwards(entry, () => {
      entry.lane.observer?.('cancelled', 0, 0)
      if (core.hasListeners) {
        const payload = { lane_id: run.laneId, command_id: run.id, reason: reasonText(error.reason) }
        core.emit('queue.command.cancelled', payload)
      }
      this.#waitsNoMore(entry)
      rejectRun(run, settle, error)
    })
    for (const child of [...(details?.children ?? [])]) this.cancel(child, error.reason, cancelled)
    for (const child of [...(details?.sharedChildren ?? [])]) child.cancel(error.reason)
  }

  /** One that ended while it waited makes its lane no more urgent. After its own event: that may be told, too. */
  #waitsNoMore(entry: Entry): void {
    if (entry.details?.traits?.urgent !== undefined) entry.lane.policies?.waitsNoMore(entry)
  }

  /** What every final state has in common. */
  #settled(entry: Entry): void {
    const core = this.#core
    entry.endedAt = core.turnTime()
    const stored = entry.details?.stored
    if (stored === undefined) core.unsettled--
    else stored.settle = entry.settle
    // What is shared is asked for where it is kept.
    if (stored?.claim === undefined) core.settled.keep(entry)
    entry.letGo()
    const { details } = entry
    if (details === undefined) return
    if (details.traits !== undefined) this.#settledWith(details.traits, entry)
    try {
      details.unwatch?.()
    } catch (error) {
      core.fault(error)
    }
    details.parent?.details?.children?.delete(entry)
    for (const reader of details.readers ?? []) reader.close()
    details.readers = undefined
  }

  #settledWith(traits: Traits, entry: Entry): void {
    // Its body waits inside ctx.yield and is about to hear that it is over: from now on it holds nothing.
    if (entry.slot?.isYielded === true) {
      entry.slot.zombie = true
      entry.lane.policies?.ended('neutral', entry)
    }
    traits.checkpoint = undefined
    if (traits.dedupeId !== undefined) this.onOwnerSettled(traits.dedupeId, entry)
  }

  /** Something of an unsettled command has changed that a restart has to know. */
  #changed(entry: Entry): void {
    const stored = entry.details?.stored
    if (stored !== undefined) stored.home.touch(entry, stored)
  }

  #takeOutOfBacklog(entry: Entry): void {
    const { lane, run } = entry
    if (leaveParked(entry)) return
    if (!lane.backlog.extractReturned(entry)) lane.backlog.extract(run, this.#core.seqOfEntry(entry))
  }

  #takeOutOfDelayed(entry: Entry): void {
    entry.lane.delayed.delete(entry)
    this.#core.alarms.clear(entry.more.alarm)
    entry.more.alarm = undefined
  }
}
