/** What may be written as the configuration of a session's queue: in camelCase, in snake_case, under the shorter names. */
import type { EitherCase } from '../core/index.js'
import type { RateLimitGroup } from '../policy/index.js'
import type { HandlerMode } from './config-handler.js'
import type { SessionLane } from './lanes.js'

/** A value for each of some lanes; `Execute` is the same lane as `execute`. */
type ByLane<T> = { readonly [L in SessionLane | Capitalize<SessionLane>]?: T | undefined }

/** How the commands of a lane are handled. */
export type LaneHandlerInput = EitherCase<{
  /** Required. */
  readonly mode: HandlerMode | Capitalize<HandlerMode>
  /** How long an external attempt waits for its completion, in milliseconds. Default 60,000, at least 1. */
  readonly timeoutMs?: number | undefined
}>

/** How often and when a failed command is run again. */
export type RetryPolicyInput = EitherCase<{
  /** Default 'exponential': the delay doubles each time, up to 30 s. */
  readonly strategy?: 'exponential' | 'fixed' | 'none' | undefined
  /** Retries after the first attempt. Default 3. */
  readonly maxRetries?: number | undefined
  /** The first delay of 'exponential', in milliseconds. Default 100, at least 1. */
  readonly initialDelayMs?: number | undefined
  /** Each delay of 'fixed', in milliseconds, at least 1; required there. */
  readonly fixedDelayMs?: number | undefined
}>

/** How many commands of a lane may start in a window of time. */
export type RateLimitInput = EitherCase<{
  /** The window. Required. */
  readonly limitType: 'per_second' | 'per_minute' | 'per_hour' | 'unlimited'
  /** At least 1; required unless 'unlimited'. */
  readonly maxOperations?: number | undefined
}>

/** A rate limit of one lane, which may count something else than commands and be shared. */
export type LaneRateLimitInput = RateLimitInput & {
  /** What is counted: a unit of `cost`, 'tokens' for example. Default: commands. */
  readonly unit?: string | undefined
  /** Shares the limit: a name within the session, a `RateLimitGroup` among any number of sessions. Default none. */
  readonly group?: string | RateLimitGroup | undefined
}

/** How lanes with old work are lifted. */
export type PriorityBoostInput = EitherCase<{
  /** Required. */
  readonly strategy: 'standard' | 'aggressive' | 'disabled'
  /** Milliseconds from a command's submission to its deadline. Default 300,000, at least 1. */
  readonly deadlineMs?: number | undefined
}>

type QueueSettingsInput = {
  /** Most commands of the lane at once. Default 2, at least 1. */
  readonly controlMaxConcurrency?: number | undefined
  /** Default 4, at least 1. */
  readonly queryMaxConcurrency?: number | undefined
  /** Default 2, at least 1. */
  readonly executeMaxConcurrency?: number | undefined
  /** Default 1, at least 1. */
  readonly generateMaxConcurrency?: number | undefined
  /** The first handler of lanes; the others are internal. */
  readonly laneHandlers?: ByLane<LaneHandlerInput> | undefined
  /** Whether dead letters are kept. Default false. */
  readonly enableDlq?: boolean | undefined
  /** How many. Default 1,000, at least 1. */
  readonly dlqMaxSize?: number | undefined
  /** Default false. */
  readonly enableMetrics?: boolean | undefined
  /** Whether 50 and 100 commands waiting in a lane are told as `queue_alert`. Default false. */
  readonly enableAlerts?: boolean | undefined
  /** Longest run of one attempt in every lane, in milliseconds. Default none, at least 1. */
  readonly defaultTimeoutMs?: number | undefined
  /** The folder of the durable queues: one SQLite file per session in it. Default none: memory only. */
  readonly storagePath?: string | undefined
  /** For every lane. Default: only commands of tools that read are retried, 3 times. */
  readonly retryPolicy?: RetryPolicyInput | undefined
  /** For every lane, each by itself. Default none. */
  readonly rateLimit?: RateLimitInput | undefined
  /** Limits of single lanes, beside `rateLimit`: one or several, all of which have to allow a start. */
  readonly laneRateLimits?: ByLane<LaneRateLimitInput | readonly LaneRateLimitInput[]> | undefined
  /** Default none. */
  readonly priorityBoost?: PriorityBoostInput | undefined
  /** The backlog at which `queue.lane.pressure` is told. Default none, at least 1. */
  readonly pressureThreshold?: number | undefined
  /** Longest run of one attempt in single lanes, in milliseconds, instead of `defaultTimeoutMs`. At least 1. */
  readonly laneTimeouts?: ByLane<number> | undefined
  /** Dead letters (1,000), metrics, alerts and a timeout of 60,000 ms; what is set itself wins over it. Default false. */
  readonly enableAllFeatures?: boolean | undefined
  /** Slots over all lanes together. Default unlimited, at least 1. */
  readonly maxConcurrency?: number | undefined
}

/** Other names of the same options. */
type QueueSettingsAliases = {
  /** The same as `controlMaxConcurrency`. */
  readonly controlConcurrency?: number | undefined
  /** The same as `queryMaxConcurrency`. */
  readonly queryConcurrency?: number | undefined
  /** The same as `executeMaxConcurrency`. */
  readonly executeConcurrency?: number | undefined
  /** The same as `generateMaxConcurrency`. */
  readonly generateConcurrency?: number | undefined
  /** The same as `defaultTimeoutMs`. */
  readonly timeoutMs?: number | undefined
}

/** The configuration of a session's queue as it is written. The same option may stand there in one spelling only. */
export type SessionQueueConfigInput = EitherCase<QueueSettingsInput> & QueueSettingsAliases
