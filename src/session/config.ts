/** `SessionQueueConfig`: the options of a session's queue, built step by step. A plain object does the same. */
import { DEFAULT_HANDLER, type LaneHandlerConfig } from './config-handler.js'
import type { SessionQueueConfigInput } from './config-input.js'
import { mergedSettings, type QueueSettings, queueSettings } from './config-keys.js'
import { concurrencyOf } from './config-resolution.js'
import { type SessionLane, sessionLane } from './lanes.js'

/**
 * Options of a session's queue: `new SessionQueueConfig().withLaneFeatures().withTimeout(30_000)`. Every `with…` changes this
 * object and gives it back; a session goes by what it holds when the session is made. `CONFIG_INVALID` names the option that has a
 * value which is not allowed.
 */
export class SessionQueueConfig {
  #settings: QueueSettings

  /** Starts from options as they may be written anywhere else. */
  constructor(input: SessionQueueConfigInput | SessionQueueConfig = {}) {
    this.#settings =
      input instanceof SessionQueueConfig ? input.#settings : queueSettings('SessionQueueConfig', input, 'plain')
  }

  /** Dead letters (1,000), metrics, alerts and a timeout of 60,000 ms. What is set itself wins, before or after. */
  withLaneFeatures(): this {
    return this.#with({ enableAllFeatures: true })
  }

  /** Keeps dead letters: at most `maxSize`, by default 1,000. */
  withDlq(maxSize?: number): this {
    return this.#with({ enableDlq: true, ...(maxSize === undefined ? {} : { dlqMaxSize: maxSize }) })
  }

  /** Collects metrics. */
  withMetrics(): this {
    return this.#with({ enableMetrics: true })
  }

  /** Tells when 50 and when 100 commands wait in a lane. */
  withAlerts(): this {
    return this.#with({ enableAlerts: true })
  }

  /** Longest run of one attempt in every lane, in milliseconds. */
  withTimeout(timeoutMs: number): this {
    return this.#with({ defaultTimeoutMs: timeoutMs })
  }

  /** The folder of the durable queues. */
  withStorage(path: string): this {
    return this.#with({ storagePath: path })
  }

  /** Most commands of a lane at once. */
  maxConcurrency(lane: SessionLane | Capitalize<SessionLane>): number {
    return concurrencyOf(this.#settings, sessionLane('lane', lane))
  }

  /** The first handler of a lane: internal when none was set. */
  handlerConfig(lane: SessionLane | Capitalize<SessionLane>): LaneHandlerConfig {
    return this.#settings.laneHandlers?.[sessionLane('lane', lane)] ?? DEFAULT_HANDLER
  }

  /** The options as a plain object in camelCase, which says the same. */
  toJSON(): SessionQueueConfigInput {
    return { ...this.#settings }
  }

  #with(change: SessionQueueConfigInput): this {
    this.#settings = mergedSettings(this.#settings, queueSettings('SessionQueueConfig', change, 'plain'))
    return this
  }
}
