/** One lane, as `queue.lane(id)` gives it to look at and to steer. */
import { Backlog } from './backlog.js'
import type { QueueCore } from './core.js'
import type { Entry } from './entry.js'
import { LaneError } from './errors.js'
import type { Interruption } from './interruption.js'
import { holdKeyAgain } from './keys.js'
import type { LaneState, LaneStatus } from './lane.js'
import { drainLane } from './lane-drain.js'
import { type LaneLimits, laneLimits, lanePriority } from './lane-limits.js'
import { changedOptions, type LaneDefinition } from './lane-options.js'
import { LanePolicies } from './lane-policies.js'
import { checkObject } from './options.js'
import type { Outcomes } from './outcomes.js'

/**
 * A lane of a queue. What its methods do is done before they return; with an engine it is done here then, and for the other
 * processes when `applied()` resolves.
 */
export class LaneHandle {
  readonly #core: QueueCore
  readonly #outcomes: Outcomes
  readonly #interruption: Interruption
  readonly #lane: LaneState

  /** @internal */
  constructor(core: QueueCore, outcomes: Outcomes, interruption: Interruption, lane: LaneState) {
    this.#core = core
    this.#outcomes = outcomes
    this.#interruption = interruption
    this.#lane = lane
  }

  get id(): string {
    return this.#lane.id
  }

  /** The lane's counts and limits now. */
  status(): LaneStatus {
    return this.#lane.status()
  }

  /** Starts nothing more; what runs goes on. Submits are accepted and wait. */
  pause(): void {
    this.#setPaused(true)
  }

  /** Starts work again, in the next turn. */
  resume(): void {
    this.#setPaused(false)
  }

  /**
   * Changes limits while the lane runs; an option given as `undefined` goes back to its default. A lower `maxConcurrency`
   * stops no running command. Timeout and retry hold for commands submitted from now on. `CONFIG_INVALID` changes nothing.
   */
  configure(change: Partial<LaneDefinition>): void {
    checkObject('configure', change)
    const lane = this.#lane
    const { priority = lane.priority, ...options } = change
    const before = {
      options: lane.options,
      limits: lane.limits,
      priority: lane.priority,
      sharedLimits: lane.sharedLimits,
    }
    lanePriority(`lane '${lane.id}'.priority`, priority)
    const next = changedOptions(lane.options, options)
    const own = laneLimits(`lane '${lane.id}'`, next)
    const limits = this.#core.link?.shareLimits(lane, own) ?? own
    refuseOtherOrder(lane, limits)
    lane.limits = limits
    lane.options = next
    lane.priority = priority
    try {
      this.#core.scheduler.reconfigured()
      this.#applyPolicies(before.limits)
    } catch (error) {
      Object.assign(lane, before)
      this.#core.scheduler.reconfigured()
      throw error
    }
    this.#applyOrder(before.limits)
    this.#core.link?.laneConfigured(lane)
    this.#interruption.reconfigured()
    const payload = { lane_id: lane.id, options: Object.keys(change) }
    if (this.#core.hasListeners) this.#core.emit('queue.lane.configured', payload)
    this.#core.backlogGrew(lane)
    this.#core.askForPass()
  }

  /** Limits, breaker and boost as the options now say. */
  #applyPolicies(before: LaneLimits): void {
    const { limits, policies } = this.#lane
    if (policies === undefined && !LanePolicies.areNeeded(limits)) return
    // Made for what was before, so that a lane that joins a group changes it like one that was in it.
    this.#core.policiesOf(this.#lane, before).configure(before, limits)
  }

  /** Who is next in the lane as the options now say. */
  #applyOrder(before: LaneLimits): void {
    const lane = this.#lane
    const { limits, backlog } = lane
    if (before.keys?.fair === limits.keys?.fair && before.keys?.limit === limits.keys?.limit) {
      return backlog.setLifo(limits.lifo)
    }
    lane.backlog = new Backlog(lane, limits.lifo, limits.keys, backlog.placesUsed)
    for (const { entry } of this.#core.slots) {
      if (entry?.lane === lane && entry.slot?.isYielded !== true) holdKeyAgain(entry)
    }
    backlog.moveTo(lane.backlog)
    // In a line by key nothing is found by its number.
    for (const entry of lane.backlog.entries()) this.#core.list(entry)
    this.#core.scheduler.update(lane)
  }

  /**
   * Resolves when what was last done to the lane here holds for every process that shares it; at once without an engine.
   * Rejects with `ENGINE_UNAVAILABLE` when the engine could not be told.
   */
  applied(): Promise<void> {
    return this.#core.link?.applied(this.#lane.id) ?? Promise.resolve()
  }

  /**
   * Waits until nothing of the lane waits, is delayed or runs: with an engine in no process, so that the lane is empty for
   * all who share it. Stops nothing: what is still submitted is waited for, too. `DRAIN_TIMEOUT` at the limit, with what is
   * `left`; `ENGINE_UNAVAILABLE` when the engine cannot be asked.
   */
  drain(timeoutMs: number, options: { readonly signal?: AbortSignal | undefined } = {}): Promise<void> {
    return drainLane(this.#core, this.#lane, timeoutMs, options.signal)
  }

  /**
   * Cancels every command of the lane, waiting and running; gives their number. With an engine those of other processes
   * too, soon; they are not counted.
   */
  cancelAll(reason?: unknown): number {
    const cancelled: Entry[] = []
    this.#core.link?.cancelLane(this.#lane.id, reason, ['pending', 'delayed', 'active'])
    for (const entry of this.#core.runningIn(this.#lane)) this.#outcomes.cancel(entry, reason, cancelled)
    return this.#outcomes.cancelWaiting(this.#lane, reason, cancelled) + this.#count(cancelled)
  }

  /** Cancels the commands that wait, delayed ones too; gives their number. With an engine as for `cancelAll`. */
  clear(reason: unknown = 'the lane was cleared'): number {
    const cancelled: Entry[] = []
    this.#core.link?.cancelLane(this.#lane.id, reason, ['pending', 'delayed'])
    return this.#outcomes.cancelWaiting(this.#lane, reason, cancelled) + this.#count(cancelled)
  }

  /** Children of other lanes fall with their parents, but are not this lane's. */
  #count(cancelled: readonly Entry[]): number {
    this.#core.askForPass()
    return cancelled.filter((entry) => entry.lane === this.#lane).length
  }

  #setPaused(paused: boolean): void {
    const lane = this.#lane
    // What other processes have done to it may not be known here.
    this.#core.link?.lanePaused(lane.id, paused)
    if (lane.paused === paused) return
    lane.paused = paused
    this.#core.scheduler.update(lane)
    if (lane.shut) lane.policies?.askAgain()
    const payload = { lane_id: lane.id }
    if (this.#core.hasListeners) this.#core.emit(paused ? 'queue.lane.paused' : 'queue.lane.resumed', payload)
    this.#core.askForPass()
  }
}

/** Commands that wait in the storage only stand there in the order that the lane had. */
function refuseOtherOrder({ id, cold, limits }: LaneState, next: LaneLimits): void {
  if (cold?.isFixed !== true) return
  if (limits.lifo === next.lifo && (limits.keys === undefined) === (next.keys === undefined)) return
  throw new LaneError(
    'CONFLICT',
    `The order and the keys of lane '${id}' cannot change while ${cold.size} of its commands wait in the storage only`,
    { fields: { laneId: id, cold: cold.size } },
  )
}
