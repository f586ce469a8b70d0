/** One lane at run time: its limits, its backlog and its counts. Who starts next is the scheduler's business. */
import type { RateLimitConfig } from '../policy/index.js'
import { Backlog } from './backlog.js'
import type { ColdLane } from './cold-lane.js'
import type { Entry } from './entry.js'
import { type LaneLimits, laneLimits } from './lane-limits.js'
import type { LaneOptions } from './lane-options.js'
import type { LanePolicies } from './lane-policies.js'
import type { LaneObserver } from './observation.js'
import type { Slot } from './slot.js'

/** What `queue.lane(id).status()` and `queue.stats()` show of a lane. */
export type LaneStatus = {
  /** Commands that wait for a slot. */
  readonly pending: number
  /** Commands that run. */
  readonly active: number
  /** Commands that wait for their time: a delay, a retry in back-off, a snooze. */
  readonly delayed: number
  /** Slots of the lane in use: by what runs, and by zombies. A child of `ctx.run` may share its parent's. */
  readonly slots: number
  /** Bodies that go on after their command was timed out or cancelled; each holds a slot. */
  readonly zombies: number
  /** Bodies that were given up after `zombieGraceMs`, since the queue was made. */
  readonly abandoned: number
  /** Reserved slots: those really reserved when the queue has a global cap. */
  readonly min: number
  readonly max: number
  readonly priority: number
  readonly effectivePriority: number
  readonly paused: boolean
  readonly protected: boolean
}

export class LaneState {
  backlog: Backlog
  /** Commands that run. */
  active = 0
  readonly delayed = new Set<Entry>()
  limits: LaneLimits
  /** Slots reserved under the global cap: `limits.min`, or less when that was a default and had to shrink. */
  reserved: number
  /** Slots in use, zombies included, borrowed ones not. */
  held = 0
  /** Bodies that go on although their command has its outcome or waits for a retry. */
  readonly zombies = new Set<Slot>()
  abandoned = 0
  paused = false
  underPressure = false
  /** Submits under way: not written yet. */
  arriving = 0
  /** Commands whose type has no handler, by type: stored ones wait for it. */
  readonly parked = new Map<string, Set<Entry>>()
  parkedCount = 0
  /** So many wait for a handler that the lane waits with them. */
  isStuck = false
  /** Its commands that wait in the storage only. */
  cold: ColdLane | undefined

  /** Its rate limits where an engine keeps them for all workers. */
  sharedLimits: readonly RateLimitConfig[] = []
  /** There may be a command to claim: it is asked for when a slot is free. */
  beckons = false

  /** Commands that are known to wait with the engine. */
  elsewhere = 0

  /** Nothing starts for a while: what is asked before each start has said no. */
  shut = false

  /** Who measures it; undefined while nobody does. */
  observer: LaneObserver | undefined
  /** Who wants to know whenever more or fewer of its commands wait. */
  onChange: (() => void) | undefined

  /** What limits, a breaker or a boost ask of it; undefined while it has none of them. */
  policies: LanePolicies | undefined

  /** Slots that running commands of lower lanes were asked to give up for it, and its own that were asked for. */
  demanded = 0
  givingUp = 0
  /** The newest of its running commands that may be asked. */
  newest: Slot | undefined

  /** Kept by the scheduler: reserved slots that nobody else may use, and those that only work may that can give them back. */
  keptBack = 0
  keptFromFixed = 0
  /** Kept by the scheduler: whether its work cannot be asked to give a slot back. */
  isFixed = true
  /** Kept by the scheduler: how far the lane is lifted, how far it may be, and its priority now. */
  lift = 0
  ceiling = 0
  effectivePriority: number
  /** Kept by the scheduler: the lane's order, orders that it had before, and the ranks that it can have. */
  order = -1
  readonly orders = new Set<number>()
  rankBelowReserve = 0
  rankServed = 0
  /** Kept by the scheduler: the lane's place among those that can start something; -1 when it cannot. */
  rank = -1
  before: LaneState | undefined
  after: LaneState | undefined

  readonly id: string
  options: LaneOptions
  priority: number

  constructor(id: string, options: LaneOptions, priority: number) {
    this.id = id
    this.options = options
    this.priority = priority
    this.effectivePriority = priority
    this.limits = laneLimits(`lane '${id}'`, options)
    this.reserved = this.limits.min
    this.backlog = new Backlog(this, this.limits.lifo, this.limits.keys)
  }

  /** Whether its next command may have a slot: neither pause nor a closed lane stops a body that has begun. */
  get mayGoOn(): boolean {
    return (!this.paused && !this.shut && !this.isStuck) || this.backlog.nextGoesOn
  }

  /** Whether a start has to be counted by anything but the lane's own limit. */
  get hasPolicies(): boolean {
    return this.policies !== undefined || this.backlog.keys !== undefined || this.limits.givesBack
  }

  /** Commands that wait for a slot, or for a handler. */
  get pending(): number {
    return this.backlog.size + this.parkedCount
  }

  /** Whether a slot of the lane's own limit is free. */
  get hasRoom(): boolean {
    return this.held < this.limits.max
  }

  status(): LaneStatus {
    return {
      pending: this.pending,
      active: this.active,
      delayed: this.delayed.size,
      slots: this.held,
      zombies: this.zombies.size,
      abandoned: this.abandoned,
      min: this.reserved,
      max: this.limits.max,
      priority: this.priority,
      effectivePriority: this.effectivePriority,
      paused: this.paused,
      protected: this.limits.protected,
    }
  }
}
