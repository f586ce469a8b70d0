/** One lane, as `queue.lane(id)` gives it to look at and to steer. */
import type { QueueCore } from './core.js'
import type { Entry } from './entry.js'
import type { LaneState, LaneStatus } from './lane.js'
import { changedOptions, type LaneDefinition, laneLimits, lanePriority } from './lane-config.js'
import { checkObject } from './options.js'
import type { Outcomes } from './outcomes.js'

/** A lane of a queue. What its methods do is done before they return. */
export class LaneHandle {
  readonly #core: QueueCore
  readonly #outcomes: Outcomes
  readonly #lane: LaneState

  /** @internal */
  constructor(core: QueueCore, outcomes: Outcomes, lane: LaneState) {
    this.#core = core
    this.#outcomes = outcomes
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
    const before = { options: lane.options, limits: lane.limits, priority: lane.priority }
    lanePriority(`lane '${lane.id}'.priority`, priority)
    const next = changedOptions(lane.options, options)
    lane.limits = laneLimits(`lane '${lane.id}'`, next)
    lane.options = next
    lane.priority = priority
    try {
      this.#core.scheduler.reconfigured()
    } catch (error) {
      Object.assign(lane, before)
      throw error
    }
    lane.backlog.setLifo(lane.limits.lifo)
    const payload = { lane_id: lane.id, options: Object.keys(change) }
    if (this.#core.events.hasSubscribers) this.#core.emit('queue.lane.configured', payload)
    this.#core.backlogGrew(lane)
    this.#core.askForPass()
  }

  /** Cancels every command of the lane, waiting and running; gives their number. */
  cancelAll(reason?: unknown): number {
    const cancelled: Entry[] = []
    for (const entry of this.#core.runningIn(this.#lane)) this.#outcomes.cancel(entry, reason, cancelled)
    this.#outcomes.cancelWaiting(this.#lane, reason, cancelled)
    return this.#count(cancelled)
  }

  /** Cancels the commands that wait, delayed ones too; gives their number. */
  clear(reason: unknown = 'the lane was cleared'): number {
    const cancelled: Entry[] = []
    this.#outcomes.cancelWaiting(this.#lane, reason, cancelled)
    return this.#count(cancelled)
  }

  /** Children of other lanes fall with their parents, but are not this lane's. */
  #count(cancelled: readonly Entry[]): number {
    this.#core.askForPass()
    return cancelled.filter((entry) => entry.lane === this.#lane).length
  }

  #setPaused(paused: boolean): void {
    const lane = this.#lane
    if (lane.paused === paused) return
    lane.paused = paused
    this.#core.scheduler.update(lane)
    const payload = { lane_id: lane.id }
    if (this.#core.events.hasSubscribers) this.#core.emit(paused ? 'queue.lane.paused' : 'queue.lane.resumed', payload)
    this.#core.askForPass()
  }
}
