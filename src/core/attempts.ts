/**
 * Running bodies. A body starts in a slot and holds it until it has really ended: JavaScript cannot stop a function, so
 * a command that was timed out or cancelled leaves a *zombie* behind, which is counted and keeps its slot. After
 * `zombieGraceMs` it is abandoned: the slot is freed, the fact is reported, and what the body still returns is refused.
 *
 * The slot comes back on every path: value, error, synchronous throw, hostile thenable.
 */
import { sumOfCosts } from '../policy/index.js'
import { JsonCommand, payloadOf, Work } from './command.js'
import { Context, type ContextHost } from './context.js'
import type { QueueCore } from './core.js'
import type { Entry, Traits } from './entry.js'
import { formatDuration, LaneError } from './errors.js'
import type { AnyHandler } from './handlers.js'
import type { Interruption } from './interruption.js'
import type { Journal } from './journal.js'
import { freeKey, holdKey } from './keys.js'
import type { LaneState } from './lane.js'
import type { Lending, Loan } from './lending.js'
import { type Outcome, outcomeOf } from './outcome.js'
import type { Outcomes } from './outcomes.js'
import { type BodyStopper, Slot, type SlotOwner } from './slot.js'
import { adopt, isThenable } from './thenable.js'
import type { Tracing } from './tracing.js'
import { transition } from './transitions.js'

// eslint-disable-next-line @typescript-eslint/unbound-method -- taken once, called on genuine promises only
const nativeThen = Promise.prototype.then

/** Slots kept for reuse: more than run at once in most programs, few enough to forget. */
const POOL_SIZE = 1024

export class Attempts implements SlotOwner, BodyStopper {
  readonly #core: QueueCore
  readonly #outcomes: Outcomes
  readonly #lending: Lending
  readonly #interruption: Interruption
  readonly #host: ContextHost
  readonly #pool: Slot[] = []
  /** Attempts of this pass whose bodies run when their starts are marked. */
  #begun: Begun[] = []

  constructor(core: QueueCore, outcomes: Outcomes, lending: Lending, interruption: Interruption, host: ContextHost) {
    this.#core = core
    this.#outcomes = outcomes
    this.#lending = lending
    this.#interruption = interruption
    this.#host = host
  }

  /** Starts the next attempt of a command that was taken out of its backlog, in a slot of its own or in borrowed places. */
  start(entry: Entry, loan?: Loan): void {
    const core = this.#core
    const { run, lane, body } = entry
    const handler = Work.is(body) ? undefined : core.handlers.of(run.commandType)
    if (handler === undefined && !Work.is(body)) return this.#noHandler(entry)
    const slot = this.#pool.pop() ?? this.#newSlot()
    const traits = entry.details?.traits
    const isResumed = traits?.isPreempted === true
    if (!isResumed) entry.attempt++
    const context = new Context(entry, this.#host)
    transition(run, 'active')
    slot.entry = entry
    entry.slot = slot
    entry.context = context
    entry.startedAt = core.turnTime()
    lane.active++
    if (loan === undefined) core.scheduler.acquire(lane)
    else this.#lending.take(slot, lane, loan)
    if (traits !== undefined) beginWith(traits)
    if (lane.hasPolicies && !this.#tellPolicies(slot, entry, loan)) return
    if (entry.policy.timeoutMs !== undefined) this.#limit(slot, entry.policy.timeoutMs, traits?.usedMs)
    if (core.tracing !== undefined) startSpan(core.tracing, entry)
    if (core.hasListeners || lane.observer !== undefined) {
      this.#announce(entry, isResumed)
      if (!this.#isToRun(slot, entry)) return
    }
    if (traits?.urgent !== undefined) {
      lane.policies?.waitsNoMore(entry)
      if (!this.#isToRun(slot, entry)) return
    }
    if (core.journal === undefined) return this.#runBody(slot, entry, handler, context)
    this.#runSoon(core.journal, { slot, entry, handler, context }, isResumed)
  }

  #runSoon(journal: Journal, begun: Begun, isResumed: boolean): void {
    const { entry } = begun
    const stored = entry.details?.stored
    if (stored !== undefined && isResumed) {
      // A mark would say nothing new: it is the attempt that is known. So the body waits until it is written.
      const run = (): void => this.#runBodyOf(begun)
      return void journal.save(entry, stored).then(run, run)
    }
    if (stored !== undefined) journal.begins(entry, stored)
    this.#begun.push(begun)
  }

  /** Runs a body that had to wait, unless its command has ended meanwhile. */
  #runBodyOf({ slot, entry, handler, context }: Begun): void {
    if (slot.entry === entry && entry.slot === slot && this.#isToRun(slot, entry)) {
      this.#runBody(slot, entry, handler, context)
    }
  }

  /** Runs the bodies of the attempts that were started since; their starts are marked first, all in one. */
  runBegun(): void {
    if (this.#begun.length === 0) return
    const begun = this.#begun
    this.#begun = []
    this.#core.journal?.mark()
    for (const one of begun) this.#runBodyOf(one)
  }

  #runBody(slot: Slot, entry: Entry, handler: AnyHandler | undefined, context: Context): void {
    const isMeasured = entry.lane.observer !== undefined
    const span = entry.details?.span
    let value: unknown
    try {
      value =
        span === undefined ? this.#call(entry, handler, context) : span.run(() => this.#call(entry, handler, context))
      // Only a genuine promise may call the slot's functions: it calls exactly one of them, once.
      if (value instanceof Promise) {
        if (isMeasured) this.#core.bodyBegan()
        return void nativeThen.call(value, slot.onReturn, slot.onThrow)
      }
      if (isThenable(value)) return void nativeThen.call(adopt(value), slot.onReturn, slot.onThrow)
    } catch (error) {
      if (isMeasured) this.#core.timePassed()
      return this.bodyThrew(slot, error)
    }
    if (isMeasured) this.#core.timePassed()
    this.bodyReturned(slot, value)
  }

  #call(entry: Entry, handler: AnyHandler | undefined, context: Context): unknown {
    return handler === undefined ? this.#perform(entry, context) : handler(entry.body, context)
  }

  /** Takes what the lane's policies count. False when the body is not to run. */
  #tellPolicies(slot: Slot, entry: Entry, loan: Loan | undefined): boolean {
    const { lane } = entry
    if (loan?.keepsKey !== true) holdKey(entry)
    if (loan === undefined) this.#interruption.started(slot, lane)
    if (lane.policies === undefined) return true
    lane.policies.started(entry, loan?.lanePlace !== undefined)
    // They may have told of a change, and whoever heard of that may have cancelled this very command.
    return this.#isToRun(slot, entry)
  }

  /** The next command of a lane has a slot: it starts, or goes on where it waits inside `ctx.yield`. */
  startOrGoOn(entry: Entry): void {
    if (entry.slot === undefined) return this.start(entry)
    this.#takeSlotAgain(entry)
    entry.details?.traits?.goOn?.()
  }

  bodyReturned(slot: Slot, value: unknown): void {
    const entry = slot.entry as Entry
    const { zombie: isLate, stopAt } = slot
    if (slot.isYielded && !isLate) this.#comeBack(entry)
    this.#free(slot, entry)
    if (isLate) this.#outcomes.bodyGone(entry)
    else if (typeof value === 'object' && value !== null) this.#objectReturned(entry, value)
    else this.#outcomes.complete(entry, value)
    if (stopAt !== undefined) this.#tellStopped(entry, stopAt)
  }

  /** A body that was asked to stop has ended. */
  #tellStopped({ lane }: Entry, stopAt: number): void {
    lane.observer?.('stopped', this.#core.clock.now() - stopAt, 0)
  }

  /** An object may be an outcome of ours, or have accessors that throw. */
  #objectReturned(entry: Entry, value: object): void {
    let outcome: Outcome | undefined
    try {
      outcome = outcomeOf(value)
    } catch (error) {
      return this.#outcomes.threw(entry, error)
    }
    if (outcome === undefined) this.#outcomes.complete(entry, value)
    else this.#outcomes.decide(entry, outcome)
  }

  bodyThrew(slot: Slot, error: unknown): void {
    const entry = slot.entry as Entry
    const { zombie: isLate, taker, stopAt } = slot
    if (slot.isYielded && !isLate) this.#comeBack(entry)
    if (taker !== undefined) this.#noteUsed(slot, entry)
    this.#free(slot, entry)
    if (isLate) this.#outcomes.bodyGone(entry)
    else if (taker === undefined) this.#outcomes.threw(entry, error)
    else this.#outcomes.preempted(entry, taker)
    if (stopAt !== undefined) this.#tellStopped(entry, stopAt)
  }

  /** The command has its outcome, or its retry waits; its body holds the slot until it ends. */
  orphan(entry: Entry): void {
    const core = this.#core
    const { lane, policy } = entry
    const slot = entry.slot as Slot
    this.#endAttempt(slot, lane)
    slot.isPlain = false
    slot.zombie = true
    this.#interruption.ended(slot, lane)
    lane.zombies.add(slot)
    const graceMs = policy.zombieGraceMs
    const now = core.clock.now()
    slot.stopAt = now
    slot.grace = core.alarms.set(now + graceMs, () => this.#abandon(slot, graceMs))
  }

  /** Gives up every zombie now: the queue closes, and has waited for `waitedMs`. */
  abandonAll(waitedMs: number): void {
    for (const lane of this.#core.lanes.values()) {
      for (const slot of lane.zombies) this.#abandon(slot, waitedMs)
    }
  }

  #noHandler(entry: Entry): void {
    const { commandType } = entry.run
    // What is stored may be meant for a program that is not there yet.
    const stored = entry.details?.stored
    if (stored !== undefined) return stored.home.park(entry)
    const error = new LaneError('HANDLER_NOT_FOUND', `No handler is registered for command type '${commandType}'`)
    this.#outcomes.cannotRun(entry, error)
  }

  /** A command that brings its own work. A `JsonCommand` prefers the handler of its type. */
  #perform({ body, run }: Entry, context: Context): unknown {
    const { command } = body as Work
    if (typeof command === 'function') return command(context)
    const handler = command instanceof JsonCommand ? this.#core.handlers.of(run.commandType) : undefined
    return handler === undefined ? command.execute(context) : handler(payloadOf(body), context)
  }

  /** Tells that the attempt begins. A listener may cancel it there and then. */
  #announce({ run, lane, startedAt, readySince }: Entry, isResumed: boolean): void {
    if (this.#core.hasListeners) {
      const payload = { lane_id: run.laneId, command_id: run.id, command_type: run.commandType }
      this.#core.emit('queue.command.started', payload)
      if (isResumed && run.state === 'active') {
        this.#core.emit('queue.command.resumed', { lane_id: run.laneId, command_id: run.id })
      }
    }
    if (lane.observer !== undefined) lane.observer('started', Math.max(0, (startedAt as number) - readySince), 0)
  }

  /** Whether a listener has let the command be; one that was cancelled has no body. */
  #isToRun(slot: Slot, entry: Entry): boolean {
    if (entry.run.state === 'active') return true
    this.#free(slot, entry)
    return false
  }

  /** A running timeout counts the time for which the attempt holds a slot. */
  #limit(slot: Slot, timeoutMs: number, usedMs = 0): void {
    slot.isPlain = false
    const left = Math.max(0, timeoutMs - usedMs)
    slot.timeout = this.#core.alarms.set(this.#core.clock.now() + left, () => this.#timeUp(slot, timeoutMs))
  }

  #noteUsed(slot: Slot, entry: Entry): void {
    entry.traits.usedMs += this.#core.clock.now() - (slot.since ?? (entry.startedAt as number))
  }

  /** A body ends although it waits inside `ctx.yield`, which nobody awaited. */
  #comeBack(entry: Entry): void {
    entry.lane.backlog.extractReturned(entry)
    this.#takeSlotAgain(entry)
    entry.details?.traits?.goOn?.()
  }

  #takeSlotAgain(entry: Entry): void {
    const { timeoutMs } = entry.policy
    this.#interruption.takeSlot(entry)
    if (timeoutMs !== undefined) this.#limit(entry.slot as Slot, timeoutMs, entry.details?.traits?.usedMs)
  }

  #timeUp(slot: Slot, timeoutMs: number): void {
    const entry = slot.entry as Entry
    const context = entry.context as Context
    const error = new LaneError('COMMAND_TIMEOUT', `Command timed out after ${formatDuration(timeoutMs)}`, {
      fields: { timeoutMs },
    })
    this.orphan(entry)
    this.#outcomes.timedOut(entry, error)
    context.abort(error)
  }

  #abandon(slot: Slot, graceMs: number): void {
    const core = this.#core
    const entry = slot.entry as Entry
    const { lane, run } = entry
    lane.abandoned++
    slot.stopAt = undefined
    const cause = run.state === 'cancelled' ? 'cancellation' : 'timeout'
    this.#free(slot, entry, false)
    const error = new Error(
      `The handler of ${run.commandType} did not stop within ${formatDuration(graceMs)} of its ${cause}; its slot was freed`,
    )
    core.fault(error, { lane_id: lane.id, command_id: run.id })
    this.#outcomes.bodyGone(entry)
    lane.observer?.('abandoned', 0, 0)
  }

  /** The attempt is over as far as the command is concerned. */
  #endAttempt(slot: Slot, lane: LaneState): void {
    if (slot.timeout !== undefined) this.#core.alarms.clear(slot.timeout)
    slot.timeout = undefined
    lane.active--
  }

  /** The body has ended, or is given up: its slot goes back. */
  #free(slot: Slot, entry: Entry, isReusable = true): void {
    const core = this.#core
    const { lane } = entry
    entry.context = undefined
    entry.slot = undefined
    slot.entry = undefined
    if (slot.isPlain) {
      lane.active--
      core.scheduler.release(lane)
    } else this.#freeSpecial(slot, entry)
    core.scheduler.update(lane)
    // Its key has room again: the next command may be another one.
    if (lane.shut) lane.policies?.askAgain()
    core.askForPass()
    if (isReusable && this.#pool.length < POOL_SIZE) this.#pool.push(slot)
    else this.#dropSlot(slot)
  }

  #newSlot(): Slot {
    const slot = new Slot(this)
    slot.index = this.#core.slots.length
    this.#core.slots.push(slot)
    return slot
  }

  /** Forgets a slot in O(1): the last one moves into its place. */
  #dropSlot(slot: Slot): void {
    const { slots } = this.#core
    const last = slots.pop() as Slot
    if (last === slot) return
    slots[slot.index] = last
    last.index = slot.index
  }

  /** Frees a slot with a timeout, of a zombie, one that may be preempted, or with places that are borrowed or lent. */
  #freeSpecial(slot: Slot, entry: Entry): void {
    const { lane } = entry
    if (slot.zombie) {
      lane.zombies.delete(slot)
      this.#core.alarms.clear(slot.grace)
      slot.zombie = false
      slot.grace = undefined
    } else this.#endAttempt(slot, lane)
    this.#interruption.ended(slot, lane)
    // Cancelled inside ctx.yield, a body goes on without a place.
    if (slot.isYielded) slot.isYielded = false
    else this.#lending.giveBack(slot, entry)
    freeKey(entry)
    if (slot.taker !== undefined) this.#interruption.gaveUp(slot, lane)
    slot.since = undefined
    slot.stopAt = undefined
    slot.startNumber = 0
    slot.waiting = 0
    slot.onReturned.length = 0
    slot.isPlain = true
  }
}

/** An attempt that has a slot, and whose body does not run yet. */
type Begun = {
  readonly slot: Slot
  readonly entry: Entry
  readonly handler: AnyHandler | undefined
  readonly context: Context
}

function startSpan(tracing: Tracing, entry: Entry): void {
  const { run, attempt, more } = entry
  const { id: commandId, laneId, commandType } = run
  more.span = tracing.started({ commandId, laneId, commandType, attempt, retries: more.retries, context: more.trace })
}

/** What policies keep of a command at the beginning of an attempt, or at its resumption. */
function beginWith(traits: Traits): void {
  if (traits.isPreempted) {
    // It takes its estimate once more: so much is accounted for the attempt now.
    traits.charged = sumOfCosts(traits.charged ?? traits.cost, traits.cost)
  } else {
    traits.usedMs = 0
    traits.charged = undefined
    traits.isLentTrial = false
  }
  traits.isPreempted = false
}
