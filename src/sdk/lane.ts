/**
 * The reference's Node SDK, made to do what its documentation says: handlers by command type do the work, `submit` and
 * `drain` return promises, and everything else of the queue is within reach through `queue`.
 */
import {
  type QueueStats as CoreStats,
  defaultLanes,
  type EventKey,
  type EventStream,
  type Handler,
  JsonCommand,
  LaneConfig,
  type LaneDefinition,
  LaneError,
  type LaneEvent,
  QueueManager,
} from '../core/index.js'

/** A lane of `Lane.withLanes`. */
export type LaneSpec = {
  readonly laneId: string
  /** 0 (first) to 255. */
  readonly priority: number
  readonly minConcurrency: number
  readonly maxConcurrency: number
  /** Longest run of one attempt, in whole seconds. */
  readonly timeoutSecs?: number
  readonly pressureThreshold?: number
}

/** An event as callbacks get it: the payload is JSON text, 'null' when there is none. */
export type LaneSdkEvent = { readonly key: string; readonly payload: string; readonly timestamp: string }

/** Counts of one lane. */
export type LaneSdkStatus = {
  readonly laneId: string
  readonly pending: number
  readonly active: number
  readonly minConcurrency: number
  readonly maxConcurrency: number
}

/** Counts of all lanes; `lanes` is an array here. */
export type LaneSdkStats = {
  readonly totalPending: number
  readonly totalActive: number
  readonly deadLetterCount: number
  readonly lanes: readonly LaneSdkStatus[]
}

/** Gets each event, or the error that ended the subscription. */
export type LaneCallback = (error: Error | null, event: LaneSdkEvent) => void

/** Events that a callback may lag behind. */
const CALLBACK_CAPACITY = 100

/** The queue behind the reference's own names. */
export class Lane {
  /** The queue itself, for everything that this facade does not name. */
  readonly queue: QueueManager

  /** The six built-in lanes, or those that are given. */
  constructor(lanes: Readonly<Record<string, LaneDefinition>> = defaultLanes()) {
    this.queue = new QueueManager({ lanes, events: { capacity: CALLBACK_CAPACITY } })
  }

  /** Lanes of your own. `CONFIG_INVALID` for values that are not allowed; a later lane of the same id replaces an earlier. */
  static withLanes(specs: readonly LaneSpec[]): Lane {
    if (!Array.isArray(specs))
      throw new LaneError('CONFIG_INVALID', 'Configuration error: withLanes takes an array of lanes')
    return new Lane(Object.fromEntries(specs.map(definitionOf)))
  }

  /** Starts work. Idempotent; commands may be submitted before it. */
  start(): void {
    this.queue.start().catch(() => {
      // after the end of the queue: the reference's start() says nothing either
    })
  }

  /** Says how commands of a type are run. Without a handler a command gives its payload back. */
  handle<P = unknown, R = unknown>(type: string, handler: Handler<P, R>): void {
    this.queue.handle(type, handler)
  }

  /**
   * Submits a command. A string payload is JSON text and gives JSON text back; any other payload gives a value, and one
   * left out is null. Rejects with `PAYLOAD_INVALID` when the text is not JSON, and with the run's error.
   */
  async submit(laneId: string, commandType: string, payload: string): Promise<string>
  async submit<R = unknown>(laneId: string, commandType: string, payload?: unknown): Promise<R>
  async submit(laneId: string, commandType: string, payload: unknown = null): Promise<unknown> {
    if (typeof payload !== 'string') return this.queue.submit(laneId, new JsonCommand(commandType, payload))
    const value = await this.queue.submit(laneId, new JsonCommand(commandType, parseJson(payload)))
    return JSON.stringify(value) ?? 'null'
  }

  /** Calls back with every event from now on. A callback that throws harms nobody. Gives a function that ends it. */
  subscribe(callback: LaneCallback): () => void {
    return deliver(this.queue.subscribe(), callback)
  }

  /** Calls back with events that have one of the keys. */
  subscribeFiltered(keys: readonly string[], callback: LaneCallback): () => void {
    return deliver(this.queue.subscribeFiltered(keys as readonly EventKey[]), callback)
  }

  stats(): LaneSdkStats {
    const { totalPending, totalActive, deadLetterCount, lanes }: CoreStats = this.queue.stats()
    return {
      totalPending,
      totalActive,
      deadLetterCount,
      lanes: Object.entries(lanes).map(([laneId, { pending, active, min, max }]) => ({
        laneId,
        pending,
        active,
        minConcurrency: min,
        maxConcurrency: max,
      })),
    }
  }

  /** Refuses new work from now on. */
  shutdown(): void {
    void this.queue.shutdown() // it has no way to fail
  }

  /** Waits until everything accepted has settled; rejects with `DRAIN_TIMEOUT` at the limit. */
  async drain(timeoutMs: number): Promise<void> {
    await this.queue.drain(timeoutMs)
  }
}

function definitionOf(spec: LaneSpec): [string, LaneDefinition] {
  const { laneId, priority, minConcurrency, maxConcurrency, timeoutSecs, pressureThreshold, ...unknown } = spec
  let config = new LaneConfig(minConcurrency, maxConcurrency)
  if (timeoutSecs !== undefined) config = config.withTimeout(timeoutSecs * 1000)
  if (pressureThreshold !== undefined) config = config.withPressureThreshold(pressureThreshold)
  if (typeof laneId !== 'string') {
    throw new LaneError('CONFIG_INVALID', `Configuration error: laneId must be a string, got ${String(laneId)}`)
  }
  // What is unknown here is unknown to the queue too: it refuses it by name.
  return [laneId, Object.assign(config, { priority }, unknown)]
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    // biome-ignore lint/style/useErrorCause: it is there; the rule only knows the platform's own error classes
    throw new LaneError('PAYLOAD_INVALID', 'A string payload must be JSON text', { cause: error })
  }
}

/** Hands events to a callback until the stream ends. */
function deliver(stream: EventStream, callback: LaneCallback): () => void {
  const run = async (): Promise<void> => {
    for await (const event of stream) call(callback, event)
  }
  void run() // a stream of events does not fail
  return () => stream.close()
}

function call(callback: LaneCallback, { key, payload, timestamp }: LaneEvent): void {
  try {
    callback(null, { key, payload: JSON.stringify(payload), timestamp })
  } catch {
    // a callback that throws harms nobody else
  }
}
