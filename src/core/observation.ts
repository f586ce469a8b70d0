/**
 * How a queue is watched: the one seam for metrics, alerts and whatever else measures. A lane that nobody watches pays
 * one comparison where something could be told; one that is watched has an observer of its own, so nothing is looked up.
 *
 * Facts are told where the queue's events are: counts are right by then, the run does not know yet. What an observer throws
 * is reported as a fault, a moment later, and harms nobody.
 */
import type { Clock } from './clock.js'
import { configInvalid } from './errors.js'
import type { Logger } from './event-log.js'
import type { EventKey, EventPayloads } from './events.js'
import type { LaneState, LaneStatus } from './lane.js'
import type { QueueStats } from './stats.js'
import type { Tracing } from './tracing.js'

/** What can be told of a lane, with the number that goes with it; durations are in milliseconds. */
export type LaneFact =
  /** A command was accepted. */
  | 'submitted'
  /** An attempt begins; how long its command has waited since it could have started. */
  | 'started'
  /** A command has its result; how long the attempt ran. */
  | 'completed'
  /** A command failed for good; how long its last attempt ran, -1 when it had none. */
  | 'failed'
  /** A command failed for good by its timeout; how long its last attempt ran. */
  | 'timed_out'
  | 'cancelled'
  /** An attempt failed and is retried; how long it ran. */
  | 'retried'
  /** A command was put off by its handler, or by a provider. */
  | 'deferred'
  | 'dead_lettered'
  /** A submit was refused. */
  | 'rejected'
  /** A submit was given the run of a command that has its id, or its dedupe id. */
  | 'deduplicated'
  /** A command has given up its slot to a better lane. */
  | 'preempted'
  /** A body that was asked to stop has ended; how long after that. */
  | 'stopped'
  /** A body that was asked to stop was given up. */
  | 'abandoned'
  /** Its rate limits kept the lane from starting although it had work, room and a slot; for how long. */
  | 'limited'
  /** Lifted by a deadline, the lane started a command before a better one that could have. */
  | 'overtook'
  | 'breaker_open'
  | 'breaker_half_open'
  | 'breaker_closed'
  /** A waiting command comes close to its deadline; how long it has waited, and its deadline. */
  | 'starving'
  /** No waiting command is close to its deadline any more. */
  | 'relieved'

/** Hears what happens in one lane. Must be quick. */
export type LaneObserver = (fact: LaneFact, value: number, limit: number) => void

/** A lane, as those who watch it see it. */
export interface ObservedLane {
  readonly id: string
  readonly pending: number
  readonly active: number
  readonly delayed: number
  readonly zombies: number
  /** How long its oldest waiting command has waited since it was submitted, in milliseconds; 0 when none waits. */
  oldestAgeMs(): number
  status(): LaneStatus
}

/** A queue, as those who watch it see it. */
export interface ObservedQueue {
  readonly clock: Clock
  readonly lanes: readonly ObservedLane[]
  readonly isStarted: boolean
  readonly isShuttingDown: boolean
  /** Everything has settled after its shutdown: nothing more is told. */
  readonly hasEnded: boolean
  /** Where the queue logs, if it does, and how it traces. */
  readonly logger: Logger | undefined
  readonly tracing: Tracing | undefined
  stats(): QueueStats
  /** Reports something that went wrong outside any command's outcome. */
  fault(error: unknown, where?: { lane_id?: string }): void
  /** Tells the subscribers, if there are any. */
  emit<K extends EventKey>(key: K, payload: EventPayloads[K]): void
}

/** One observation of one queue. */
export interface QueueObserver {
  /** Who hears what happens in this lane; undefined for nobody. */
  observerOf?(lane: ObservedLane): LaneObserver | undefined
  /** Who is called whenever more or fewer commands wait in this lane; undefined for nobody. */
  onChangeOf?(lane: ObservedLane): (() => void) | undefined
  /** A submit was refused that named no lane of the queue. */
  refused?(): void
  /** Something went wrong outside any command's outcome. */
  faulted?(text: string): void
  /** Everything of one turn has been told: what is gathered can be handed on. */
  turnEnded?(): void
  /** The queue has ended; nothing more is told. */
  ended?(): void
}

/** Something that can watch a queue: metrics, alerts, a monitor. */
export interface Observation {
  /** Begins to watch a queue. */
  observe(queue: ObservedQueue): QueueObserver
}

/** Refuses what cannot watch a queue. */
export function checkObservation(option: string, observation: Observation): void {
  if (typeof observation?.observe === 'function') return
  throw configInvalid(option, 'metrics, alerts, or an object with a method observe', observation)
}

/** The observers of one queue. Usually none. */
export class Observers {
  readonly #queue: ObservedQueue
  /** In the order of the queue's. */
  readonly #lanes: readonly LaneState[]
  readonly #observers: QueueObserver[] = []
  /** Those that ask for the end of each turn: it comes often. */
  readonly #turnEnders: QueueObserver[] = []

  constructor(queue: ObservedQueue, lanes: readonly LaneState[]) {
    this.#queue = queue
    this.#lanes = lanes
  }

  /** Adds one. What it throws here is the caller's to hear. */
  add(observation: Observation): void {
    const observer = observation.observe(this.#queue)
    const told = this.#lanes.map((lane, index) => {
      const observed = this.#queue.lanes[index] as ObservedLane
      return { lane, tell: observer.observerOf?.(observed), change: observer.onChangeOf?.(observed) }
    })
    this.#observers.push(observer)
    if (observer.turnEnded !== undefined) this.#turnEnders.push(observer)
    if (this.#queue.hasEnded) this.#guard(() => observer.ended?.())
    for (const { lane, tell, change } of told) {
      if (tell !== undefined) lane.observer = bothTold(lane.observer, this.#guardedTell(tell, lane))
      if (change !== undefined) lane.onChange = bothCalled(lane.onChange, this.#guardedCall(change, lane))
    }
  }

  refused(): void {
    for (const observer of this.#observers) this.#guard(() => observer.refused?.())
  }

  /** The fault of one who hears of faults has nowhere left to go. */
  faulted(text: string): void {
    for (const observer of this.#observers) {
      try {
        observer.faulted?.(text)
      } catch {
        // and nobody else is kept from hearing
      }
    }
  }

  turnEnded(): void {
    for (const observer of this.#turnEnders) this.#guard(() => observer.turnEnded?.())
  }

  ended(): void {
    for (const observer of this.#observers) this.#guard(() => observer.ended?.())
  }

  #guardedTell(tell: LaneObserver, { id }: LaneState): LaneObserver {
    return (fact, value, limit) => {
      try {
        tell(fact, value, limit)
      } catch (error) {
        this.#report(error, { lane_id: id })
      }
    }
  }

  #guardedCall(call: () => void, { id }: LaneState): () => void {
    return () => {
      try {
        call()
      } catch (error) {
        this.#report(error, { lane_id: id })
      }
    }
  }

  #guard(call: () => void): void {
    try {
      call()
    } catch (error) {
      this.#report(error)
    }
  }

  /** Later, when the queue is in no step: who hears of faults may use it. */
  #report(error: unknown, where: { lane_id?: string } = {}): void {
    void Promise.resolve().then(() => this.#queue.fault(error, where))
  }
}

function bothTold(first: LaneObserver | undefined, second: LaneObserver): LaneObserver {
  if (first === undefined) return second
  return (fact, value, limit) => {
    first(fact, value, limit)
    second(fact, value, limit)
  }
}

function bothCalled(first: (() => void) | undefined, second: () => void): () => void {
  if (first === undefined) return second
  return () => {
    first()
    second()
  }
}
