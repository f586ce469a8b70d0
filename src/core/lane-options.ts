/** What a user says of a lane. Plain data, complete after JSON. */
import type { BreakerOptions, PriorityBoostFields, RateLimitFields, RetryPolicyFields } from '../policy/index.js'

/** Options of a lane. */
export type LaneOptions = {
  /**
   * Slots that the lane has for itself when the queue has a global `maxConcurrency`. Default 1, which gives way when the
   * cap is too small for everybody's; a number given here is kept or refused (`CONFIG_INVALID`). 0 reserves nothing.
   */
  readonly minConcurrency?: number | undefined
  /** Whether others may use the lane's reserved slots while it does not. Default true, false for a protected lane. */
  readonly lend?: boolean | undefined
  /** Most commands of the lane that run at once. Default 4, at least 1; Infinity for no limit of the lane's own. */
  readonly maxConcurrency?: number | undefined
  /** Longest run of one attempt, in milliseconds. Default none. */
  readonly timeoutMs?: number | undefined
  /** What happens after a failed attempt. Default `RetryPolicy.none()`. */
  readonly retry?: RetryPolicyFields | undefined
  /**
   * How much may start in a time: one limit or several, all of which have to allow it. Asked last and taken only when a
   * command starts. Default none.
   */
  readonly rateLimit?: RateLimitFields | readonly RateLimitFields[] | undefined
  /**
   * Lifts the lane while a command has waited long, never above a protected lane. Default none; then a command with
   * `deadlineMs` is lifted by the steps of `standard(deadlineMs)`, which `PriorityBoostConfig.disabled()` turns off.
   */
  readonly priorityBoost?: PriorityBoostFields | undefined
  /** The backlog at which `queue.lane.pressure` is announced; `queue.lane.idle` follows at 0. Default none, at least 1. */
  readonly pressureThreshold?: number | undefined
  /** Most commands waiting beyond those that have a free slot; one more is refused with `QUEUE_FULL`. Default Infinity. */
  readonly capacity?: number | undefined
  /** Who is next among commands of equal priority: the oldest ('fifo', the default) or the newest ('lifo'). */
  readonly order?: 'fifo' | 'lifo' | undefined
  /** Whether the keys of the lane's commands take turns ('key'), weighted by `weight` and `cost`. Default 'none'. */
  readonly fairness?: 'none' | 'key' | undefined
  /** Most commands of one key that run at once; those without a key are not counted. Default Infinity, at least 1. */
  readonly keyConcurrency?: number | undefined
  /** How long a handler that was timed out or cancelled may go on holding its slot, in milliseconds. Default 30,000. */
  readonly zombieGraceMs?: number | undefined
  /** How often `RetryAfterError` or a provider's 429 or 503 may put a command off before it fails. Default 10. */
  readonly maxDeferrals?: number | undefined
  /**
   * How often a command may run again because its process ended while it ran. Beyond it, it fails: a command that ends its
   * process each time does not do so for ever. Counted apart from retries; needs `storage`. Default 3.
   */
  readonly maxRecoveries?: number | undefined
  /** Whether its commands take the slot of a running command of a lower, `preemptible` lane when no slot is free. Default false. */
  readonly preempts?: boolean | undefined
  /** Whether its running commands may lose their slot to a lane that `preempts`; they go on later. Default false. */
  readonly preemptible?: boolean | undefined
  /** How long a preempted handler may go on before that is reported, in milliseconds. Default 5,000. */
  readonly preemptGraceMs?: number | undefined
  /** Stops starting commands for a while when too many fail. Default none. */
  readonly breaker?: BreakerOptions | undefined
  /**
   * Goes first on equal priority and among reserved slots, and lends none; no boost lifts another lane above it. Default
   * false; true for `system` and `control` of `defaultLanes()`.
   */
  readonly protected?: boolean | undefined
}

/** Options of a lane together with its place among the others. */
export type LaneDefinition = LaneOptions & {
  /** 0 (served first) to 255. */
  readonly priority: number
}

/** `priority` belongs to a lane's definition, not to its options, but may stand beside them. */
export const LANE_OPTIONS = [
  'minConcurrency',
  'lend',
  'maxConcurrency',
  'timeoutMs',
  'retry',
  'rateLimit',
  'priorityBoost',
  'pressureThreshold',
  'capacity',
  'order',
  'fairness',
  'keyConcurrency',
  'zombieGraceMs',
  'maxDeferrals',
  'maxRecoveries',
  'preempts',
  'preemptible',
  'preemptGraceMs',
  'breaker',
  'protected',
  'priority',
] as const

/** Lane options whose minimum of 1 nobody asked for: it shrinks to fit a small global cap. */
const softMinima = new WeakSet<object>()

/** Marks options whose minimum of 1 comes from a default, not from the user. */
export function withSoftMinimum<T extends object>(options: T): T {
  softMinima.add(options)
  return options
}

/** Options with some of them replaced; a minimum that was soft stays so unless it is among them. */
export function changedOptions(options: LaneOptions, change: LaneOptions): LaneOptions {
  const next = { ...options, ...change }
  const keepsSoft = softMinima.has(options) && change.minConcurrency === undefined
  return keepsSoft ? withSoftMinimum(next) : next
}

/** Whether the minimum of these options is a default. */
export const hasSoftMinimum = (options: LaneOptions): boolean =>
  options.minConcurrency === undefined || (options.minConcurrency === 1 && softMinima.has(options))
