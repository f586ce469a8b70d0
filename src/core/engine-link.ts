/** A queue's end of an engine: opens it, hands what comes from it to the coordinator and the worker, and closes both. */
import { RateLimitConfig } from '../policy/index.js'
import type { Admission } from './admission.js'
import type { Attempts } from './attempts.js'
import { cancelledError, reasonText } from './cancelled-error.js'
import type { Timer } from './clock.js'
import { ClusterEvents } from './cluster-events.js'
import { Coordinator } from './coordinator.js'
import type { QueueCore } from './core.js'
import type { Engine, EngineCapabilities, EngineLane, EngineLaneCounts, EngineUse } from './engine.js'
import { EngineWorker } from './engine-worker.js'
import { configInvalid } from './errors.js'
import type { LaneState } from './lane.js'
import type { LaneLimits } from './lane-limits.js'
import type { Outcomes } from './outcomes.js'
import { randomText } from './random.js'
import { quiet, type RunMethods } from './run.js'
import type { CommandState } from './transitions.js'

/** An engine has at least so long to take what there is when the queue closes. */
const CLOSE_GRACE_MS = 1000
/** So many commands of a lane are looked at, and cancelled, at once. */
const PAGE = 1000

/** The parts of a queue that an engine drives. */
export type LinkParts = {
  readonly outcomes: Outcomes
  readonly attempts: Attempts
  readonly admission: Admission
  readonly methods: RunMethods
}

export class EngineLink {
  readonly engine: Engine
  readonly coordinator: Coordinator
  /** Undefined in a process that only submits. */
  readonly worker: EngineWorker | undefined
  /** What happens in the shared lanes in any process. */
  readonly events: ClusterEvents
  readonly maxPayloadBytes: number
  readonly instanceId: string
  readonly #core: QueueCore
  #opening: Promise<void> | undefined
  #isClosed = false
  /** By lane: the last change that was made here. */
  readonly #applying = new Map<string, Promise<void>>()
  /** By lane: how many changes that were made here are on their way. */
  readonly #changing = new Map<string, number>()
  isUp = false

  constructor(core: QueueCore, engine: Engine, { outcomes, attempts, admission, methods }: LinkParts) {
    this.#core = core
    this.engine = engine
    this.instanceId = randomText(core.random, 16)
    this.maxPayloadBytes = engine.maxPayloadBytes ?? Number.POSITIVE_INFINITY
    this.events = new ClusterEvents(engine, () => this.open(), core.events.capacity)
    this.coordinator = new Coordinator(core, engine, this.instanceId, () => this.open(), admission)
    this.worker =
      engine.role === 'coordinator' ? undefined : new EngineWorker(core, engine, outcomes, attempts, methods)
  }

  get isBehind(): boolean {
    return this.worker?.isBehind === true
  }

  /** Connects; once, at the first submit or at the start. */
  open(): Promise<void> {
    if (this.#opening !== undefined) return this.#opening
    const opening = this.engine.open(this.#use()).then(() => {
      this.isUp = true
      this.#lookAtLanes()
    })
    this.#opening = opening
    // A server that is away now may be there at the next try.
    opening.catch(() => {
      if (this.#opening === opening) this.#opening = undefined
    })
    return opening
  }

  /** Begins to claim. */
  async start(): Promise<void> {
    await this.open()
    this.worker?.start()
  }

  claim(lane: LaneState): void {
    this.worker?.claim(lane)
  }

  /** Before a command starts that this process has itself: whether the scheduler has to choose again. */
  looksAbove(): boolean {
    return this.worker?.looksAbove() === true
  }

  flush(): void {
    this.coordinator.flush()
    this.worker?.flush()
  }

  /** A change of a lane that was made here, for every process. */
  lanePaused(laneId: string, paused: boolean): void {
    this.#apply(laneId, () => (paused ? this.engine.pause(laneId) : this.engine.resume(laneId)))
  }

  /** Limits of a lane as they hold here: what holds over all workers is the engine's to keep. */
  shareLimits(lane: LaneState, limits: LaneLimits): LaneLimits {
    return shareLimits(lane, limits, this.engine.capabilities)
  }

  laneConfigured(lane: LaneState): void {
    const changed = engineLane(lane)
    this.#apply(lane.id, () => this.engine.configure(changed))
  }

  /** Cancels all commands of a lane in these states, whoever submitted them. */
  cancelLane(laneId: string, reason: unknown, states: readonly CommandState[]): void {
    const text = reasonText(cancelledError(reason).reason)
    this.#apply(laneId, async () => {
      for (const state of states) await this.#cancelState(laneId, state, text)
    })
  }

  /** Again while there were any: what moves from one page to another is not found the first time. */
  async #cancelState(laneId: string, state: CommandState, reason: string): Promise<void> {
    const begunAt = this.#core.clock.wallNow()
    for (let before = Number.POSITIVE_INFINITY, isLeft = true; isLeft; before = begunAt) {
      const ids = await this.#idsOf(laneId, state, before)
      isLeft = false
      for (let at = 0; at < ids.length; at += PAGE) {
        const some = ids.slice(at, at + PAGE)
        const answers = await Promise.all(some.map((id) => this.engine.cancel(id, laneId, reason)))
        if (answers.includes('cancelled')) isLeft = true
      }
    }
  }

  /** All of them before anything is done to one: what leaves a page draws others over its edge. */
  async #idsOf(laneId: string, state: CommandState, before: number): Promise<string[]> {
    const ids: string[] = []
    let cursor: string | undefined
    do {
      const page = await this.engine.list({ laneIds: [laneId], state, limit: PAGE, cursor })
      for (const { command } of page.items) if (command.createdAt <= before) ids.push(command.id)
      cursor = page.nextCursor
    } while (cursor !== undefined)
    return ids
  }

  /** A provider has closed the lane for a time: on every worker. */
  hold(laneId: string, ms: number): void {
    this.#apply(laneId, () => this.engine.hold(laneId, ms))
  }

  /** Resolves when the last change of the lane is the engine's. */
  applied(laneId: string): Promise<void> {
    return this.#applying.get(laneId) ?? Promise.resolve()
  }

  /** Changes of a lane go to the engine one after another. */
  #apply(laneId: string, change: () => Promise<void>): void {
    const before = this.#applying.get(laneId) ?? Promise.resolve()
    const applied = before
      .catch(() => undefined)
      .then(() => this.open())
      .then(change)
    this.#applying.set(laneId, quiet(applied))
    this.#changing.set(laneId, (this.#changing.get(laneId) ?? 0) + 1)
    applied
      .catch((error: unknown) => this.#core.fault(error, { lane_id: laneId }))
      .finally(() => this.#changing.set(laneId, (this.#changing.get(laneId) as number) - 1))
  }

  /** Lanes may have been paused or resumed while nobody could tell. */
  #lookAtLanes(): void {
    this.engine.counts().then(
      (counts) => {
        for (const { laneId, paused } of counts) {
          // What is on its way from here is newer.
          if ((this.#changing.get(laneId) ?? 0) === 0) this.#laneChanged(laneId, { paused })
        }
      },
      () => undefined,
    )
  }

  async counts(): Promise<readonly EngineLaneCounts[]> {
    await this.open()
    return this.engine.counts()
  }

  /** Tells the engine what has ended, and lets go of it. Always comes back, at the latest a moment after the deadline. */
  async close(deadline: number): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    const { clock } = this.#core
    let timer: Timer | undefined
    const giveUp = new Promise<void>((resolve) => {
      timer = clock.setTimer(Math.max(CLOSE_GRACE_MS, deadline - clock.now()), resolve)
    })
    this.flush()
    await Promise.race([Promise.all([this.worker?.settled(), this.coordinator.answered()]), giveUp])
    this.worker?.stop()
    this.coordinator.close()
    this.events.end()
    await Promise.race([this.#closeEngine(), giveUp])
    clock.clearTimer(timer as Timer)
    this.#core.alarms.clearAll()
  }

  async #closeEngine(): Promise<void> {
    try {
      await this.engine.close()
    } catch (error) {
      this.#core.fault(error)
    }
  }

  #use(): EngineUse {
    const { coordinator, worker } = this
    const core = this.#core
    return {
      lanes: [...core.lanes.values()].map(engineLane),
      instanceId: this.instanceId,
      now: () => core.clock.wallNow(),
      awaited: () => coordinator.awaited(),
      onOutcomes: (outcomes) => coordinator.outcomes(outcomes),
      onProgress: (id, value) => coordinator.progress(id, value),
      onWork: (laneId) => {
        if (core.started && !core.stopped) worker?.workIn(laneId)
      },
      onCancel: (id, reason) => void worker?.cancel(id, reason),
      onLane: (laneId, change) => this.#laneChanged(laneId, change),
      onConnection: (isUp) => {
        this.isUp = isUp
        if (isUp) this.#lookAtLanes()
      },
      onFault: (error) => core.fault(error),
    }
  }

  /** Some process has paused, resumed or configured a lane. */
  #laneChanged(laneId: string, change: { readonly paused?: boolean; readonly lane?: EngineLane }): void {
    const { paused } = change
    const lane = this.#core.lanes.get(laneId)
    if (lane === undefined) return
    if (change.lane !== undefined) this.#configured(lane, change.lane)
    if (paused === undefined || lane.paused === paused) return
    lane.paused = paused
    this.#core.scheduler.update(lane)
    const payload = { lane_id: laneId }
    if (this.#core.hasListeners) this.#core.emit(paused ? 'queue.lane.paused' : 'queue.lane.resumed', payload)
    if (!paused) this.worker?.workIn(laneId)
    this.#core.askForPass()
  }

  /** Another process has other limits for a lane: they hold here too. */
  #configured(lane: LaneState, change: EngineLane): void {
    const { maxConcurrency, capacity, priority } = change
    const rateLimits = change.rateLimits.map((one) => RateLimitConfig.from(one))
    const now = engineLane(lane)
    // An engine may tell of a change that was made here, or of one that changes nothing.
    if (JSON.stringify(now) === JSON.stringify({ ...now, priority, maxConcurrency, capacity, rateLimits })) return
    lane.limits = { ...lane.limits, max: maxConcurrency, capacity }
    lane.options = { ...lane.options, maxConcurrency, capacity }
    lane.sharedLimits = rateLimits
    lane.priority = priority
    this.#core.scheduler.reconfigured()
    if (this.#core.hasListeners) {
      const options = ['maxConcurrency', 'capacity', 'rateLimit', 'priority']
      this.#core.emit('queue.lane.configured', { lane_id: lane.id, options })
    }
    this.worker?.workIn(lane.id)
  }
}

/**
 * Keeps the rate limits of a lane aside for the engine, and refuses what the engine cannot keep over all workers. Gives the
 * limits that are left to each worker.
 */
export function shareLimits(lane: LaneState, limits: LaneLimits, capabilities: EngineCapabilities): LaneLimits {
  const where = `lane '${lane.id}'`
  if (limits.lifo && !capabilities.lifo) throw configInvalid(`${where}.order`, "'fifo' with this engine", 'lifo')
  if (limits.keys !== undefined && !capabilities.keys) {
    const [name, value] = limits.keys.fair ? ['fairness', 'key'] : ['keyConcurrency', limits.keys.limit]
    throw configInvalid(`${where}.${name}`, 'left out with this engine', value)
  }
  if (limits.rateLimits.length > 0 && !capabilities.rateLimits) {
    throw configInvalid(`${where}.rateLimit`, 'left out with this engine', limits.rateLimits)
  }
  lane.sharedLimits = limits.rateLimits
  return { ...limits, rateLimits: [] }
}

/** A lane as all workers are to know it. */
const engineLane = ({ id, priority, limits, sharedLimits }: LaneState): EngineLane => ({
  laneId: id,
  priority,
  maxConcurrency: limits.max,
  capacity: limits.capacity,
  rateLimits: sharedLimits,
})
