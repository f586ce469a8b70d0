/**
 * The policies of one lane at work. Most lanes have none of this: it is made when a limit, a breaker or a boost is
 * configured, or when a provider closes the lane.
 *
 * Gates are asked last, when the lane's next command has a slot: one that says no shuts the lane, which is asked again at
 * the instant that the gate names, or when something about the lane has changed.
 */
import { type Ask, Breaker, type Cost, type Gate, RateGate, type Reason } from '../policy/index.js'
import type { Alarm } from './alarms.js'
import type { QueueCore } from './core.js'
import type { Entry } from './entry.js'
import { LaneError } from './errors.js'
import type { LaneState } from './lane.js'
import type { LaneLimits } from './lane-limits.js'
import { Urgency } from './urgency.js'

export class LanePolicies {
  readonly #core: QueueCore
  readonly #lane: LaneState
  readonly #rate: RateGate
  #breaker: Breaker | undefined
  #urgency: Urgency
  #gates: readonly Gate[]
  /** When the lane is asked again, and when commands that do not wait for its turn are. */
  #alarm: Alarm | undefined
  #asideAlarm: Alarm | undefined
  /** Whether commands were put off that do not wait for their lane's turn. */
  #waitsAside = false
  /** The gate that said no last, and since when the lane's limits hold it up. */
  #closedBy: Gate | undefined
  #limitedSince: number | undefined

  constructor(core: QueueCore, lane: LaneState, limits: LaneLimits) {
    this.#core = core
    this.#lane = lane
    this.#rate = new RateGate({
      limits: limits.rateLimits,
      group: (name) => core.rateGroup(name),
      member: {
        order: () => 2 * lane.effectivePriority + (lane.limits.protected ? 0 : 1),
        isWaiting: () => this.#isWaiting(),
        wake: () => {
          this.#askAsideAgain()
          this.#isDue()
        },
      },
    })
    this.#breaker = this.#newBreaker(limits)
    this.#gates = this.#allGates()
    this.#urgency = this.#newUrgency(limits)
  }

  /** Whether the lane's limits ask for any of it. */
  static areNeeded({ rateLimits, breaker, boost }: LaneLimits): boolean {
    return rateLimits.length > 0 || breaker !== undefined || boost !== undefined
  }

  /** The lane's limits are others. `CONFIG_INVALID` changes nothing. */
  configure(before: LaneLimits, limits: LaneLimits): void {
    if (before.rateLimits !== limits.rateLimits) this.#rate.configure(limits.rateLimits, this.#core.clock.now())
    if (limits.breaker === undefined || this.#breaker === undefined) this.#breaker = this.#newBreaker(limits)
    else this.#breaker.configure(limits.breaker)
    this.#gates = this.#allGates()
    if (JSON.stringify(before.boost) !== JSON.stringify(limits.boost)) {
      this.#urgency.dispose()
      this.#urgency = this.#newUrgency(limits)
      for (const entry of this.#lane.backlog.entries()) this.waits(entry)
    }
    this.askAgain()
  }

  /** Whether the lane's next command, of this cost, may start now. When not, the lane is shut until it may. */
  mayStart(cost: Cost | undefined): boolean {
    const core = this.#core
    const at = this.#readyAt({ cost })
    if (at === undefined) return true
    this.#lane.shut = true
    if (this.#lane.observer !== undefined && this.#closedBy === this.#rate) this.#limitedSince = core.clock.now()
    core.scheduler.update(this.#lane)
    if (at < Number.POSITIVE_INFINITY) this.#alarm = core.alarms.set(at, () => this.#isDue())
    return false
  }

  /** How many commands may start now, as far as that is known: at most `most`. */
  grants(most: number): number {
    const now = this.#core.clock.now()
    const isOnTrial = this.#breaker !== undefined && this.#breaker.state(now) !== 'closed'
    return this.#rate.grants(isOnTrial ? Math.min(1, most) : most, now)
  }

  /** `mayStart` for a command that does not wait for its lane's turn: nobody else is kept back by it. */
  mayStartAside(cost: Cost | undefined, isLent: boolean): boolean {
    const { alarms } = this.#core
    this.#waitsAside = true
    const at = this.#readyAt({ cost, isAside: true }, isLent ? [this.#rate] : this.#gates)
    if (at === undefined) return true
    if (at >= (this.#asideAlarm?.at ?? Number.POSITIVE_INFINITY)) return false
    alarms.clear(this.#asideAlarm)
    this.#asideAlarm = alarms.set(at, () => {
      this.#asideAlarm = undefined
      this.#core.askForPass()
    })
    return false
  }

  /** Something changed for who waits aside; a lane where nobody does needs no pass. */
  #askAsideAgain(): void {
    if (this.#asideAlarm === undefined) return
    this.#core.alarms.clear(this.#asideAlarm)
    this.#asideAlarm = undefined
    this.#core.askForPass()
  }

  /** Nobody waits aside any more. */
  forgetAside(): void {
    this.#core.alarms.clear(this.#asideAlarm)
    this.#asideAlarm = undefined
    this.#waitsAside = false
    this.#rate.withdraw(this.#core.clock.now(), true)
  }

  /** When a command may start; undefined when it may now. */
  #readyAt(ask: Ask, gates = this.#gates): number | undefined {
    const now = this.#core.clock.now()
    let closedUntil: number | undefined
    for (const gate of gates) {
      const at = closedUntil === undefined ? gate.readyAt(ask, now) : now
      // What another gate keeps back claims nothing: it could not use it.
      if (closedUntil !== undefined) gate.withdraw?.(now, ask.isAside)
      if (at <= now) continue
      closedUntil = at
      this.#closedBy = gate
    }
    return closedUntil
  }

  /** Something changed: whether the lane may start is asked again in the next pass. */
  askAgain(): void {
    const lane = this.#lane
    if (!lane.shut) return
    this.#core.alarms.clear(this.#alarm)
    this.#alarm = undefined
    lane.shut = false
    this.#core.scheduler.update(lane)
    if (lane.rank < 0) for (const gate of this.#gates) gate.withdraw?.(this.#core.clock.now())
    this.#core.askForPass()
    this.#tellLimited()
  }

  #tellLimited(): void {
    if (this.#limitedSince === undefined) return
    const forMs = this.#core.clock.now() - this.#limitedSince
    this.#limitedSince = undefined
    this.#lane.observer?.('limited', forMs, 0)
  }

  /** An attempt starts; `isLent` in the place of a command of this lane that waits for it, whose trial it belongs to. */
  started(entry: Entry, isLent: boolean): void {
    const now = this.#core.clock.now()
    // What it turns out to have cost is looked for under this instant.
    entry.startedAt = now
    this.#rate.started(askOf(entry), now)
    if (this.#breaker === undefined) return
    if (isLent) entry.traits.isLentTrial = true
    else this.#breaker.started(askOf(entry), now)
  }

  /** An attempt has ended, for better or worse, or without telling anything about the lane. */
  ended(how: 'success' | 'failure' | 'neutral', { startedAt, details }: Entry): void {
    if (this.#breaker === undefined || details?.traits?.isLentTrial === true) return
    this.#breaker.ended(how, this.#core.clock.now(), startedAt)
    this.askAgain()
  }

  /** What an attempt costs is known; `before` is what was accounted for it so far. */
  settle({ startedAt }: Entry, before: Cost | undefined, cost: Cost): void {
    this.#rate.settle(before, cost, startedAt as number, this.#core.clock.now())
  }

  /** Nothing starts for so long: neither here nor in the lanes of the same groups. */
  closeFor(delayMs: number): void {
    this.#rate.closeUntil(this.#core.clock.now() + delayMs)
  }

  /** The lane starts nothing any more: groups that outlive its queue forget it. */
  dispose(): void {
    this.#core.alarms.clear(this.#alarm)
    this.forgetAside()
    this.#rate.dispose(this.#core.clock.now())
  }

  #isDue(): void {
    this.askAgain()
    if (!this.#canAsk()) this.#rate.passOver(this.#core.clock.now())
  }

  /** Whether the next pass asks the gates. */
  #canAsk(): boolean {
    const { isAtWork, scheduler } = this.#core
    return isAtWork && scheduler.hasFreePlaceFor(this.#lane)
  }

  /** Whether it would start a command now if its gates were open: its next one, or one that waits aside. */
  #isWaiting(): boolean {
    const { backlog, hasRoom, paused } = this.#lane
    return !paused && (this.#waitsAside || (hasRoom && backlog.hasNext))
  }

  /** Why a cost can never be granted; undefined when it can. */
  refusal(cost: Cost | undefined): LaneError | undefined {
    const limit = this.#rate.largestFor(cost)
    if (limit === undefined) return undefined
    const { unit, largest } = limit
    return new LaneError(
      'CONFIG_INVALID',
      `Configuration error: submit cost must be at most ${largest} ${unit}, which is all that lane '${this.#lane.id}' ever grants at once`,
      { fields: { option: 'submit cost', unit, largest } },
    )
  }

  /** Why the command could not start now if it were next; empty when it could. */
  reasons(entry: Entry): Reason[] {
    const now = this.#core.clock.now()
    return this.#gates.flatMap((gate) => gate.reason(askOf(entry), now) ?? [])
  }

  /** A command waits: does it make its lane urgent? */
  waits(entry: Entry): void {
    if (this.#urgency.concerns(entry)) this.#urgency.add(entry, this.#core.seqOfEntry(entry))
  }

  /** A command does not wait any more. */
  waitsNoMore(entry: Entry): void {
    const urgent = entry.details?.traits?.urgent
    if (urgent !== undefined) this.#urgency.remove(urgent)
  }

  #allGates(): readonly Gate[] {
    return this.#breaker === undefined ? [this.#rate] : [this.#breaker, this.#rate]
  }

  #newBreaker({ breaker }: LaneLimits): Breaker | undefined {
    if (breaker === undefined) return undefined
    return new Breaker(breaker, (state) => {
      this.#lane.observer?.(`breaker_${state}`, 0, 0)
      if (this.#core.hasListeners) this.#core.emit('queue.lane.breaker', { lane_id: this.#lane.id, state })
    })
  }

  #newUrgency({ boost }: LaneLimits): Urgency {
    const core = this.#core
    const lane = this.#lane
    return new Urgency(boost, {
      alarms: core.alarms,
      now: () => core.clock.now(),
      lift: (by) => {
        core.scheduler.lift(lane, by)
        this.#rate.moved(core.clock.now())
        core.askForPass()
      },
      starving: ({ entry, deadlineMs }) => {
        const waited = core.clock.now() - (entry.arrivedAt as number)
        lane.observer?.('starving', waited, deadlineMs)
        if (!core.hasListeners) return
        const ids = { lane_id: lane.id, command_id: entry.run.id }
        core.emit('queue.lane.starving', { ...ids, waited_ms: waited, deadline_ms: deadlineMs })
      },
      relieved: () => {
        lane.observer?.('relieved', 0, 0)
        if (core.hasListeners) core.emit('queue.lane.relieved', { lane_id: lane.id })
      },
    })
  }
}

const askOf = (entry: Entry): Ask => ({ cost: entry.details?.traits?.cost })
