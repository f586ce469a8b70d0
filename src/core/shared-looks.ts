/**
 * What a worker with no free slot has to know of the lanes that it shares: how many commands wait, and how urgent the most
 * urgent one is. It asks the engine for that, and only while some lane waits for a slot here: a lane that takes slots from
 * others must not do so for work that is gone, and a deadline lifts its lane.
 */
import { boostAt, PriorityBoostConfig } from '../policy/index.js'
import type { Alarm } from './alarms.js'
import type { QueueCore } from './core.js'
import type { Engine, EngineLaneCounts } from './engine.js'
import type { LaneState } from './lane.js'
import type { LaneWatch } from './lane-watch.js'
import type { SharedLane } from './shared-lane.js'

/** How often it looks; sooner for a lane that may take a slot from another. */
const LOOK_MS = 1000
const PREEMPT_LOOK_MS = 20

export class SharedLooks {
  readonly #core: QueueCore
  readonly #engine: Engine
  readonly #lanes: ReadonlyMap<LaneState, SharedLane>
  readonly #watch: LaneWatch
  #alarm: Alarm | undefined
  #isLooking = false
  #lookedAt = Number.NEGATIVE_INFINITY

  constructor(core: QueueCore, engine: Engine, lanes: ReadonlyMap<LaneState, SharedLane>, watch: LaneWatch) {
    this.#core = core
    this.#engine = engine
    this.#lanes = lanes
    this.#watch = watch
  }

  /** After a pass: whether a look is worth it, now or in a while. */
  consider(): void {
    const { scheduler, lanes, stopped, alarms, clock } = this.#core
    if (!scheduler.hasCap || stopped || this.#isLooking) return
    let waits: number | undefined
    for (const lane of lanes.values()) {
      if (!lane.beckons || scheduler.hasFreePlaceFor(lane)) continue
      waits = lane.limits.preempts && lane.elsewhere === 0 ? PREEMPT_LOOK_MS : (waits ?? LOOK_MS)
      if (waits === PREEMPT_LOOK_MS) break
    }
    if (waits === undefined) return this.stop()
    const at = Math.max(clock.now(), this.#lookedAt + waits)
    if (this.#alarm !== undefined && this.#alarm.at <= at) return
    alarms.clear(this.#alarm)
    this.#alarm = alarms.set(at, () => this.#look())
  }

  stop(): void {
    this.#core.alarms.clear(this.#alarm)
    this.#alarm = undefined
  }

  #look(): void {
    this.#alarm = undefined
    this.#isLooking = true
    for (const shared of this.#lanes.values()) shared.lookBegins()
    const over = (): void => {
      this.#isLooking = false
      this.#lookedAt = this.#core.clock.now()
      this.#core.askForPass()
    }
    this.#engine.counts().then((counts) => {
      for (const one of counts) this.#found(one)
      over()
    }, over)
  }

  #found(counts: EngineLaneCounts): void {
    const lane = this.#core.lanes.get(counts.laneId)
    if (lane === undefined) return
    lane.elsewhere = counts.paused ? 0 : counts.pending
    const lift = this.#liftOf(lane, counts)
    if (lift !== lane.lift) this.#core.scheduler.lift(lane, lift)
    if (!lane.limits.preempts || lane.elsewhere > 0) return
    // else it would be looked at again at once, for as long as no slot is free
    this.#lanes.get(lane)?.foundNothing()
    this.#watch.started()
  }

  #liftOf({ limits }: LaneState, { deadlineAt, deadlineMs }: EngineLaneCounts): number {
    if (deadlineAt === undefined) return 0
    const config = limits.boost ?? (deadlineMs === undefined ? undefined : PriorityBoostConfig.standard(deadlineMs))
    return config === undefined ? 0 : boostAt(config, deadlineAt - this.#core.clock.wallNow())
  }
}
