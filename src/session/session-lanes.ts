/** The queues under a session: four lanes, made from the session's configuration, and the same lanes shared over an engine. */
import {
  type Clock,
  DeadLetterQueue,
  type Engine,
  EventEmitter,
  type LaneDefinition,
  QueueManager,
  type Random,
  type Storage,
} from '../core/index.js'
import { AlertManager, QueueMetrics } from '../observe/index.js'
import type { ResolvedSessionConfig } from './config-resolution.js'
import { SESSION_LANES, type SessionLane } from './lanes.js'

/** Depths at which `enableAlerts` tells. */
const WARNING_DEPTH = 50
const CRITICAL_DEPTH = 100

/** What the queue of a session is made with, beside its configuration. */
export type SessionLanesOptions = {
  readonly clock: Clock
  readonly random: Random
  readonly storage: Storage | undefined
  readonly engine: Engine | undefined
  readonly onFault: (error: unknown) => void
}

/** The queues under a session, with their parts that a session reads. */
export type SessionLanes = {
  /** The session's own. */
  readonly queue: QueueManager<SessionLane>
  /** What any process may run. */
  readonly shared: QueueManager<SessionLane> | undefined
  readonly emitter: EventEmitter
  readonly letters: DeadLetterQueue | undefined
}

export function sessionLanes(config: ResolvedSessionConfig, options: SessionLanesOptions): SessionLanes {
  const emitter = new EventEmitter()
  const letters = config.deadLetters === 0 ? undefined : new DeadLetterQueue(config.deadLetters)
  const { storage, engine, onFault, clock, random } = options
  const common = {
    lanes: Object.fromEntries(SESSION_LANES.map((lane) => [lane, laneOf(lane, config)])) as Record<
      SessionLane,
      LaneDefinition
    >,
    maxConcurrency: config.maxConcurrency,
    deadLetters: letters,
    events: emitter,
    onFault,
    metrics: config.metrics ? QueueMetrics.local() : undefined,
    clock,
    random,
  }
  const alerts = config.alerts ? AlertManager.withQueueDepthAlerts(WARNING_DEPTH, CRITICAL_DEPTH) : undefined
  const queue = new QueueManager<SessionLane>({ ...common, alerts, storage })
  const shared = engine && new QueueManager<SessionLane>({ ...common, engine })
  return { queue, shared, emitter, letters }
}

function laneOf(lane: SessionLane, config: ResolvedSessionConfig): LaneDefinition {
  // Only slots that all lanes share can be lacking to one of them.
  const isCapped = config.maxConcurrency !== undefined
  const limits = [...(config.rateLimit === undefined ? [] : [config.rateLimit]), ...config.laneRateLimits[lane]]
  return {
    priority: SESSION_LANES.indexOf(lane),
    maxConcurrency: config.concurrency[lane],
    timeoutMs: config.timeoutMs[lane],
    retry: config.retry,
    rateLimit: limits.length === 0 ? undefined : limits,
    priorityBoost: config.boost,
    pressureThreshold: config.pressureThreshold,
    protected: lane === 'control',
    preempts: isCapped && (lane === 'control' || lane === 'query'),
    preemptible: isCapped && lane === 'generate',
  }
}
