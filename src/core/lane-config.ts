/**
 * What a lane may do: its options, their defaults and their checks, the `LaneConfig` that builds them step by step, and
 * the six built-in lanes. All of it is plain data, complete after JSON; a lane works on the checked form, `LaneLimits`.
 */
import {
  type BreakerLimits,
  type BreakerOptions,
  breakerOptions,
  PriorityBoostConfig,
  type PriorityBoostFields,
  RateLimitConfig,
  type RateLimitFields,
  RetryPolicy,
  type RetryPolicyFields,
} from '../policy/index.js'
import { configInvalid } from './errors.js'
import { checkBoolean, checkInteger, checkLimit, checkMs, checkObject, checkOneOf, refuseUnknown } from './options.js'

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
const LANE_OPTIONS = [
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
  'preempts',
  'preemptible',
  'preemptGraceMs',
  'breaker',
  'protected',
  'priority',
] as const

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

/** Lane options whose minimum of 1 nobody asked for: it shrinks to fit a small global cap. */
const softMinima = new WeakSet<object>()

function builtIn(priority: number, maxConcurrency: number, more: LaneOptions = {}): LaneDefinition {
  return withSoftMinimum({ priority, minConcurrency: 1, maxConcurrency, ...more })
}

/** Marks options whose minimum of 1 comes from a default, not from the user. */
function withSoftMinimum<T extends object>(options: T): T {
  softMinima.add(options)
  return options
}

/** Options with some of them replaced; a minimum that was soft stays so unless it is among them. */
export function changedOptions(options: LaneOptions, change: LaneOptions): LaneOptions {
  const next = { ...options, ...change }
  const keepsSoft = (softMinima.has(options) || options instanceof LaneConfig) && change.minConcurrency === undefined
  return keepsSoft ? withSoftMinimum(next) : next
}

/** What an attempt needs to know of its lane. A command keeps the policy that its lane had when it was submitted. */
export type AttemptPolicy = {
  readonly timeoutMs: number | undefined
  readonly retry: RetryPolicy
  readonly maxDeferrals: number
  readonly zombieGraceMs: number
  readonly preemptGraceMs: number
}

/** How the keys of a lane matter: whether they take turns, and how many commands of one may run. */
export type KeyRules = { readonly fair: boolean; readonly limit: number }

/** Checked lane options with every default filled in. */
export type LaneLimits = {
  readonly min: number
  /** Whether `min` is a default that may shrink under a global cap. */
  readonly softMin: boolean
  readonly lend: boolean
  readonly max: number
  readonly pressureThreshold: number
  readonly capacity: number
  readonly lifo: boolean
  readonly protected: boolean
  readonly preempts: boolean
  readonly preemptible: boolean
  /** Undefined where keys do not matter. */
  readonly keys: KeyRules | undefined
  readonly rateLimits: readonly RateLimitConfig[]
  readonly boost: PriorityBoostConfig | undefined
  readonly breaker: BreakerLimits | undefined
  /** Whether a command without options needs nothing but a place in the backlog. */
  readonly takesPlain: boolean
  readonly attempt: AttemptPolicy
}

/** Checks a lane's options and fills in the defaults. `where` names the lane in messages. */
export function laneLimits(where: string, options: LaneOptions): LaneLimits {
  checkObject(where, options)
  refuseUnknown(where, options, LANE_OPTIONS)
  checkOptions(where, options)
  const min = options.minConcurrency ?? 1
  const max = options.maxConcurrency ?? 4
  if (min > max && options.minConcurrency !== undefined) {
    throw configInvalid(`${where}.minConcurrency`, `at most maxConcurrency (${max})`, min)
  }
  const isProtected = options.protected ?? false
  const capacity = options.capacity ?? Number.POSITIVE_INFINITY
  const keys = keyRules(options)
  const boost = options.priorityBoost === undefined ? undefined : PriorityBoostConfig.from(options.priorityBoost)
  const isSoft = softMinima.has(options) || options instanceof LaneConfig
  return {
    min,
    softMin: options.minConcurrency === undefined || (min === 1 && isSoft),
    lend: options.lend ?? !isProtected,
    max,
    pressureThreshold: options.pressureThreshold ?? Number.POSITIVE_INFINITY,
    capacity,
    lifo: options.order === 'lifo',
    protected: isProtected,
    preempts: options.preempts ?? false,
    preemptible: options.preemptible ?? false,
    keys,
    rateLimits: rateLimits(`${where}.rateLimit`, options.rateLimit),
    boost,
    breaker: options.breaker === undefined ? undefined : breakerOptions(`${where}.breaker`, options.breaker),
    takesPlain: capacity === Number.POSITIVE_INFINITY && keys === undefined && boost?.enabled !== true,
    attempt: {
      timeoutMs: options.timeoutMs,
      retry: retryPolicy(`${where}.retry`, options.retry),
      maxDeferrals: options.maxDeferrals ?? 10,
      zombieGraceMs: options.zombieGraceMs ?? 30_000,
      preemptGraceMs: options.preemptGraceMs ?? 5000,
    },
  }
}

function keyRules({ fairness, keyConcurrency }: LaneOptions): KeyRules | undefined {
  if (fairness !== 'key' && (keyConcurrency ?? Number.POSITIVE_INFINITY) === Number.POSITIVE_INFINITY) return undefined
  return { fair: fairness === 'key', limit: keyConcurrency ?? Number.POSITIVE_INFINITY }
}

/** The limits of a lane; one that allows everything is none. */
function rateLimits(option: string, value: LaneOptions['rateLimit']): readonly RateLimitConfig[] {
  if (value === undefined) return []
  const several: readonly unknown[] = Array.isArray(value) ? (value as readonly unknown[]) : [value]
  return several
    .map((one) => {
      checkObject(option, one)
      return RateLimitConfig.from(one as RateLimitFields)
    })
    .filter(({ maxCommands }) => maxCommands < Number.MAX_SAFE_INTEGER)
}

function checkOptions(where: string, options: LaneOptions): void {
  const check = <T>(key: keyof LaneOptions, test: (option: string, value: T) => void): void => {
    if (options[key] !== undefined) test(`${where}.${key}`, options[key] as T)
  }
  check('minConcurrency', (option, value) => checkInteger(option, value, 0))
  check('maxConcurrency', (option, value) => checkLimit(option, value, 1))
  check('lend', checkBoolean)
  check('timeoutMs', (option, value) => checkMs(option, value, 'above 0'))
  check('pressureThreshold', (option, value) => checkInteger(option, value, 1))
  check('capacity', (option, value) => checkLimit(option, value, 1))
  check('order', (option, value) => checkOneOf(option, value, ['fifo', 'lifo']))
  check('zombieGraceMs', (option, value) => checkMs(option, value, 0))
  check('maxDeferrals', (option, value) => checkInteger(option, value, 0))
  check('protected', checkBoolean)
  check('fairness', (option, value) => checkOneOf(option, value, ['none', 'key']))
  check('keyConcurrency', (option, value) => checkLimit(option, value, 1))
  check('preempts', checkBoolean)
  check('preemptible', checkBoolean)
  check('preemptGraceMs', (option, value) => checkMs(option, value, 0))
  check('priorityBoost', checkObject)
}

/** A policy from an option: one of ours, or its plain form after JSON. */
export function retryPolicy(option: string, value: RetryPolicyFields | undefined): RetryPolicy {
  if (value === undefined) return RetryPolicy.none()
  if (value instanceof RetryPolicy) return value
  if (typeof value !== 'object' || value === null) throw configInvalid(option, 'a RetryPolicy', value)
  return RetryPolicy.from(value)
}

/** Checks a lane's priority and gives it back. */
export function lanePriority(option: string, value: unknown): number {
  checkInteger(option, value, 0, 255)
  return value as number
}
