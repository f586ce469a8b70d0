/** Lane options checked, with every default filled in: what a lane at run time goes by. */
import {
  type BreakerLimits,
  breakerOptions,
  PriorityBoostConfig,
  RateLimitConfig,
  type RateLimitFields,
  RetryPolicy,
  type RetryPolicyFields,
} from '../policy/index.js'
import { configInvalid } from './errors.js'
import { hasSoftMinimum, LANE_OPTIONS, type LaneOptions } from './lane-options.js'
import { checkBoolean, checkInteger, checkLimit, checkMs, checkObject, checkOneOf, refuseUnknown } from './options.js'

/** What an attempt needs to know of its lane. A command keeps the policy that its lane had when it was submitted. */
export type AttemptPolicy = {
  readonly timeoutMs: number | undefined
  readonly retry: RetryPolicy
  readonly maxDeferrals: number
  readonly maxRecoveries: number
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
  /** Whether its running commands can be asked to give their slot back. */
  readonly givesBack: boolean
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
  return {
    min,
    softMin: hasSoftMinimum(options),
    lend: options.lend ?? !isProtected,
    max,
    pressureThreshold: options.pressureThreshold ?? Number.POSITIVE_INFINITY,
    capacity,
    lifo: options.order === 'lifo',
    protected: isProtected,
    preempts: options.preempts ?? false,
    givesBack: options.preemptible ?? false,
    keys,
    rateLimits: rateLimits(`${where}.rateLimit`, options.rateLimit),
    boost,
    breaker: options.breaker === undefined ? undefined : breakerOptions(`${where}.breaker`, options.breaker),
    takesPlain: capacity === Number.POSITIVE_INFINITY && keys === undefined && boost?.enabled !== true,
    attempt: {
      timeoutMs: options.timeoutMs,
      retry: retryPolicy(`${where}.retry`, options.retry),
      maxDeferrals: options.maxDeferrals ?? 10,
      maxRecoveries: options.maxRecoveries ?? 3,
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
  check('maxRecoveries', (option, value) => checkInteger(option, value, 0))
  check('protected', checkBoolean)
  check('fairness', (option, value) => checkOneOf(option, value, ['none', 'key']))
  check('keyConcurrency', (option, value) => checkLimit(option, value, 1))
  check('preempts', checkBoolean)
  check('preemptible', checkBoolean)
  check('preemptGraceMs', (option, value) => checkMs(option, value, 0))
  check('priorityBoost', checkObject)
}

/** What an attempt of a command goes by: the lane's policy, but for what its submitter says. */
export const policyOf = (
  { limits }: { readonly limits: LaneLimits },
  { timeoutMs, retry }: { readonly timeoutMs?: number | undefined; readonly retry?: RetryPolicyFields | undefined },
): AttemptPolicy =>
  timeoutMs === undefined && retry === undefined
    ? limits.attempt
    : {
        ...limits.attempt,
        timeoutMs: timeoutMs ?? limits.attempt.timeoutMs,
        retry: retry === undefined ? limits.attempt.retry : retryPolicy('retry', retry),
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
