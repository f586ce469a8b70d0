/** What a session's queue goes by: the session's option over the file's block over `enableAllFeatures` over the defaults. */
import {
  PriorityBoostConfig,
  type PriorityBoostFields,
  RateLimitConfig,
  type RateLimitFields,
  RetryPolicy,
} from '../policy/index.js'
import type { SessionQueueConfig } from './config.js'
import { DEFAULT_HANDLER, type LaneHandlerConfig } from './config-handler.js'
import type { SessionQueueConfigInput } from './config-input.js'
import { mergedSettings, type QueueSettings, queueSettings } from './config-keys.js'
import type { BoostSettings, RateLimitSettings, RetrySettings } from './config-nested.js'
import { SESSION_LANES, type SessionLane } from './lanes.js'

/** The configuration of a session's queue, checked, with every default filled in. */
export type ResolvedSessionConfig = {
  readonly concurrency: Readonly<Record<SessionLane, number>>
  /** Slots over all lanes; undefined for no limit. */
  readonly maxConcurrency: number | undefined
  readonly handlers: Readonly<Record<SessionLane, LaneHandlerConfig>>
  /** How many dead letters are kept; 0 for none. */
  readonly deadLetters: number
  readonly metrics: boolean
  readonly alerts: boolean
  /** Longest run of one attempt, by lane; undefined for no limit. */
  readonly timeoutMs: Readonly<Record<SessionLane, number | undefined>>
  readonly storagePath: string | undefined
  /** For every lane and mode; undefined when nothing was said: then only what reads is retried. */
  readonly retry: RetryPolicy | undefined
  /** For every lane, each by itself; undefined for none. */
  readonly rateLimit: RateLimitFields | undefined
  /** What a lane has beside `rateLimit`. */
  readonly laneRateLimits: Readonly<Record<SessionLane, readonly RateLimitFields[]>>
  readonly boost: PriorityBoostFields | undefined
  readonly pressureThreshold: number | undefined
}

const CONCURRENCY: Readonly<Record<SessionLane, number>> = { control: 2, query: 4, execute: 2, generate: 1 }

/** What `enableAllFeatures` sets. They count as defaults: whatever is said itself wins. */
const ALL_FEATURES: QueueSettings = {
  enableDlq: true,
  dlqMaxSize: 1000,
  enableMetrics: true,
  enableAlerts: true,
  defaultTimeoutMs: 60_000,
}

/**
 * The session's option over the `queue` block of a configuration file, which may hold blocks as lists of one object.
 * `CONFIG_INVALID` names what is wrong, as `queueConfig.…` or `queue.…`.
 */
export function resolveSessionConfig(
  option?: SessionQueueConfigInput | SessionQueueConfig,
  block?: unknown,
): ResolvedSessionConfig {
  const weaker = block === undefined ? {} : queueSettings('queue', block, 'blocks')
  const stronger = option === undefined ? {} : queueSettings('queueConfig', plainForm(option), 'plain')
  const said = mergedSettings(weaker, stronger)
  const settings = said.enableAllFeatures === true ? mergedSettings(ALL_FEATURES, said) : said
  return {
    concurrency: everyLane((lane) => concurrencyOf(settings, lane)),
    maxConcurrency: settings.maxConcurrency,
    handlers: everyLane((lane) => settings.laneHandlers?.[lane] ?? DEFAULT_HANDLER),
    deadLetters: settings.enableDlq === true ? (settings.dlqMaxSize ?? 1000) : 0,
    metrics: settings.enableMetrics ?? false,
    alerts: settings.enableAlerts ?? false,
    timeoutMs: everyLane((lane) => settings.laneTimeouts?.[lane] ?? settings.defaultTimeoutMs),
    storagePath: settings.storagePath,
    retry: settings.retryPolicy && retryPolicy(settings.retryPolicy),
    rateLimit: settings.rateLimit && rateLimits([settings.rateLimit])[0],
    laneRateLimits: everyLane((lane) => rateLimits(settings.laneRateLimits?.[lane] ?? [])),
    boost: settings.priorityBoost && priorityBoost(settings.priorityBoost),
    pressureThreshold: settings.pressureThreshold,
  }
}

/** What a `SessionQueueConfig` holds; anything else as it is. */
const plainForm = (option: unknown): unknown =>
  typeof option === 'object' && option !== null && 'toJSON' in option && typeof option.toJSON === 'function'
    ? (option.toJSON as () => unknown)()
    : option

/** Most commands of a lane at once. */
export function concurrencyOf(settings: QueueSettings, lane: SessionLane): number {
  return settings[`${lane}MaxConcurrency`] ?? CONCURRENCY[lane]
}

function everyLane<T>(of: (lane: SessionLane) => T): Readonly<Record<SessionLane, T>> {
  return Object.fromEntries(SESSION_LANES.map((lane) => [lane, of(lane)])) as Record<SessionLane, T>
}

function retryPolicy({ strategy = 'exponential', maxRetries = 3, ...delays }: RetrySettings): RetryPolicy {
  if (strategy === 'none') return RetryPolicy.none()
  // the check of the settings has seen to it that 'fixed' has its delay
  if (strategy === 'fixed') return RetryPolicy.fixed(maxRetries, delays.fixedDelayMs as number)
  return RetryPolicy.exponential(maxRetries, { initialMs: delays.initialDelayMs })
}

const WINDOW_MS = { per_second: 1000, per_minute: 60_000, per_hour: 3_600_000 }

/** Limits in the form of policies; those that allow everything are none. */
function rateLimits(settings: readonly RateLimitSettings[]): readonly RateLimitFields[] {
  return settings.flatMap(({ limitType, maxOperations, unit, group }) =>
    limitType === 'unlimited'
      ? []
      : [new RateLimitConfig(maxOperations as number, WINDOW_MS[limitType], { unit, group })],
  )
}

function priorityBoost({ strategy, deadlineMs = 300_000 }: BoostSettings): PriorityBoostFields {
  return strategy === 'disabled' ? PriorityBoostConfig.disabled() : PriorityBoostConfig[strategy](deadlineMs)
}
