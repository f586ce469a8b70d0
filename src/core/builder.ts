/** The queue's options, collected step by step. */
import type { AlertManager, QueueMetrics } from '../observe/index.js'
import { DeadLetterQueue } from './dead-letters.js'
import type { Engine } from './engine.js'
import type { EventEmitter } from './event-stream.js'
import { type BuiltInLaneId, defaultLanes } from './lane-config.js'
import { changedOptions, type LaneDefinition, type LaneOptions } from './lane-options.js'
import { QueueManager } from './manager.js'
import type { Storage } from './storage.js'

/** Builds a queue fluently: `await new QueueManagerBuilder().withDefaultLanes().withDlq(100).build()`. */
export class QueueManagerBuilder<L extends string = never> {
  readonly #emitter: EventEmitter | undefined
  readonly #lanes = new Map<string, LaneDefinition>()
  #deadLetters: DeadLetterQueue | undefined
  #metrics: QueueMetrics | undefined
  #alerts: AlertManager | undefined
  #storage: Storage | undefined
  #engine: Engine | undefined

  /** Events go to `emitter` when one is given; the queue makes its own otherwise. */
  constructor(emitter?: EventEmitter) {
    this.#emitter = emitter
  }

  /** The six built-in lanes. */
  withDefaultLanes(): QueueManagerBuilder<L | BuiltInLaneId> {
    for (const [id, lane] of Object.entries(defaultLanes())) this.#lanes.set(id, lane)
    return this as unknown as QueueManagerBuilder<L | BuiltInLaneId>
  }

  /** A lane; one with an id that exists replaces it. */
  withLane<Id extends string>(id: Id, config: LaneOptions, priority: number): QueueManagerBuilder<L | Id> {
    this.#lanes.set(id, Object.assign(changedOptions(config, {}), { priority }))
    return this as unknown as QueueManagerBuilder<L | Id>
  }

  /** Keeps up to `size` dead letters, or uses a ring of yours. `CONFIG_INVALID` for a size below 1. */
  withDlq(size: number | DeadLetterQueue): this {
    this.#deadLetters = size instanceof DeadLetterQueue ? size : new DeadLetterQueue(size)
    return this
  }

  /** Where commands are kept: `await LocalStorage.open({ path })`, or one of yours. */
  withStorage(storage: Storage): this {
    this.#storage = storage
    return this
  }

  /** Shares the lanes with other processes: `new BullMQEngine({ … })`, or one of yours. */
  withEngine(engine: Engine): this {
    this.#engine = engine
    return this
  }

  /** What the queue counts and times by itself. */
  withMetrics(metrics: QueueMetrics): this {
    this.#metrics = metrics
    return this
  }

  /** Who is told when a lane is in trouble. */
  withAlerts(alerts: AlertManager): this {
    this.#alerts = alerts
    return this
  }

  /** The queue. Rejects with `CONFIG_INVALID` when an option is wrong. */
  async build(): Promise<QueueManager<L>> {
    return new QueueManager<L>({
      lanes: Object.fromEntries(this.#lanes) as Record<L, LaneDefinition>,
      deadLetters: this.#deadLetters,
      events: this.#emitter,
      metrics: this.#metrics,
      alerts: this.#alerts,
      storage: this.#storage,
      engine: this.#engine,
    })
  }
}
