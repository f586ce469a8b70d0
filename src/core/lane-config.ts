/**
 * The `LaneConfig` that builds a lane's options step by step, and the six built-in lanes. All of it is plain data; a lane
 * works on the checked form, `LaneLimits`.
 */
import type { PriorityBoostFields, RateLimitFields, RetryPolicy, RetryPolicyFields } from '../policy/index.js'
import { laneLimits } from './lane-limits.js'
import { type LaneDefinition, type LaneOptions, withSoftMinimum } from './lane-options.js'

/** Options of a lane, built step by step: `new LaneConfig(1, 4).withTimeout(30_000)`. Every `with…` gives a new one. */
export class LaneConfig implements LaneOptions {
  readonly minConcurrency: number
  readonly maxConcurrency: number
  declare readonly timeoutMs?: number
  declare readonly retry?: RetryPolicy
  declare readonly rateLimit?: RateLimitFields | readonly RateLimitFields[]
  declare readonly priorityBoost?: PriorityBoostFields
  declare readonly pressureThreshold?: number

  /** Reserved slots (default 1) and most commands at once (default 4). `CONFIG_INVALID` when a value is not allowed. */
  constructor(minConcurrency = 1, maxConcurrency = 4) {
    this.minConcurrency = minConcurrency
    this.maxConcurrency = maxConcurrency
    withSoftMinimum(this)
    laneLimits('LaneConfig', this)
  }

  /** Longest run of one attempt, in milliseconds. */
  withTimeout(timeoutMs: number): LaneConfig {
    return this.#with({ timeoutMs })
  }

  /** What happens after a failed attempt. */
  withRetryPolicy(retry: RetryPolicyFields): LaneConfig {
    return this.#with({ retry })
  }

  /** How much may start in a time: one limit, or several that all have to allow it. */
  withRateLimit(rateLimit: RateLimitFields | readonly RateLimitFields[]): LaneConfig {
    return this.#with({ rateLimit })
  }

  /** Lifts the lane while a command has waited long. */
  withPriorityBoost(priorityBoost: PriorityBoostFields): LaneConfig {
    return this.#with({ priorityBoost })
  }

  /** The backlog at which `queue.lane.pressure` is announced. */
  withPressureThreshold(pressureThreshold: number): LaneConfig {
    return this.#with({ pressureThreshold })
  }

  #with(change: LaneOptions): LaneConfig {
    const next = Object.assign(new LaneConfig(this.minConcurrency, this.maxConcurrency), this, change)
    laneLimits('LaneConfig', next)
    return next
  }
}

/** Ids of the built-in lanes. */
export const LANE_IDS = {
  SYSTEM: 'system',
  CONTROL: 'control',
  QUERY: 'query',
  SESSION: 'session',
  SKILL: 'skill',
  PROMPT: 'prompt',
} as const

/** Priorities of the built-in lanes, under the names of `LANE_IDS`. */
export const PRIORITIES = { SYSTEM: 0, CONTROL: 1, QUERY: 2, SESSION: 3, SKILL: 4, PROMPT: 5 } as const

/** Id of a built-in lane. */
export type BuiltInLaneId = (typeof LANE_IDS)[keyof typeof LANE_IDS]

/**
 * The six built-in lanes, a new object each time: spread it and add or replace lanes. Their minimum of 1 gives way under a
 * small global cap; that of a lane whose options are spread into a new object counts as asked for and does not.
 */
export function defaultLanes(): Record<BuiltInLaneId, LaneDefinition> {
  return {
    system: builtIn(PRIORITIES.SYSTEM, 5, { protected: true }),
    control: builtIn(PRIORITIES.CONTROL, 3, { protected: true }),
    query: builtIn(PRIORITIES.QUERY, 10),
    session: builtIn(PRIORITIES.SESSION, 5),
    skill: builtIn(PRIORITIES.SKILL, 3),
    prompt: builtIn(PRIORITIES.PROMPT, 2),
  }
}

function builtIn(priority: number, maxConcurrency: number, more: LaneOptions = {}): LaneDefinition {
  return withSoftMinimum({ priority, minConcurrency: 1, maxConcurrency, ...more })
}
