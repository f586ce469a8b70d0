/**
 * How much may be started in how much time. Pure data: a limit spreads, serialises and compares. What it promises depends
 * on its algorithm:
 *
 *     token-bucket     in any interval of length T at most burst + maxCommands × T / windowMs
 *     sliding-window   in any window of windowMs never more than maxCommands
 *
 * A limit counts commands, or whatever unit `SubmitOptions.cost` is given in (`tokens`, `usd`).
 */
import { configInvalid } from '../core/errors.js'
import { COMMANDS } from './gate.js'
import { checkFields } from './option-checks.js'
import { RateLimitGroup } from './rate-limit-group.js'

/** How starts are counted; see what each promises at `RateLimitConfig`. */
export type RateLimitAlgorithm = 'token-bucket' | 'sliding-window'

/** Options of a rate limit. */
export type RateLimitOptions = {
  /**
   * 'token-bucket' (the default) lets a burst through and then an even flow: at most `burst` + rate × T in any interval T.
   * 'sliding-window' never grants more than `maxCommands` in any window of `windowMs`; it remembers every grant of a window.
   */
  readonly algorithm?: RateLimitAlgorithm | undefined
  /** What a token bucket holds when it is full, as it is at the start. Default `maxCommands`; a sliding window takes no other. */
  readonly burst?: number | undefined
  /** What is counted: a unit of `SubmitOptions.cost`. Default 'commands': every start counts as one. */
  readonly unit?: string | undefined
  /** Shares the limit: a name with lanes of the same queue, a `RateLimitGroup` with lanes of any queue. Default none. */
  readonly group?: string | RateLimitGroup | undefined
}

/** The plain form of a limit, as it is written by hand or comes back from JSON. */
export type RateLimitFields = RateLimitOptions & {
  /** How much `windowMs` grants, in `unit`. Above 0; at least 1 for commands. */
  readonly maxCommands: number
  /** In milliseconds, above 0. */
  readonly windowMs: number
}

/** A rate limit of a lane. `CONFIG_INVALID` names the field that has a value which makes no sense. */
export class RateLimitConfig implements RateLimitFields {
  readonly maxCommands: number
  readonly windowMs: number
  readonly algorithm: RateLimitAlgorithm
  readonly burst: number
  declare readonly unit?: string
  declare readonly group?: string | RateLimitGroup

  /** `maxCommands` (or that much of `options.unit`) per `windowMs` milliseconds. */
  constructor(maxCommands: number, windowMs: number, options: RateLimitOptions = {}) {
    checkFields(NAME, options, OPTIONS)
    const { algorithm = 'token-bucket', burst = maxCommands, unit, group } = options
    this.maxCommands = maxCommands
    this.windowMs = windowMs
    this.algorithm = algorithm
    this.burst = burst
    if (unit !== undefined) this.unit = unit
    if (group !== undefined) this.group = group
    checkLimit(this)
  }

  /** `maxCommands` in a second. */
  static perSecond(maxCommands: number, options?: RateLimitOptions): RateLimitConfig {
    return new RateLimitConfig(maxCommands, 1000, options)
  }

  /** `maxCommands` in a minute. */
  static perMinute(maxCommands: number, options?: RateLimitOptions): RateLimitConfig {
    return new RateLimitConfig(maxCommands, 60_000, options)
  }

  /** `maxCommands` in an hour. */
  static perHour(maxCommands: number, options?: RateLimitOptions): RateLimitConfig {
    return new RateLimitConfig(maxCommands, 3_600_000, options)
  }

  /** No limit at all: nothing is counted. It is written as `Number.MAX_SAFE_INTEGER` per second, so that it survives JSON. */
  static unlimited(): RateLimitConfig {
    return RateLimitConfig.perSecond(Number.MAX_SAFE_INTEGER)
  }

  /** A limit from its plain form, for example after JSON. A `RateLimitGroup` does not survive JSON and is refused as a plain object. */
  static from(fields: RateLimitFields): RateLimitConfig {
    checkFields(NAME, fields, FIELDS)
    const { maxCommands, windowMs, ...options } = fields
    return new RateLimitConfig(maxCommands, windowMs, options)
  }
}

/** Whether the limit is none: `RateLimitConfig.unlimited()`, or as high in another window. */
export const isUnlimited = (limit: RateLimitConfig): boolean => limit.maxCommands >= Number.MAX_SAFE_INTEGER

const OPTIONS: readonly string[] = ['algorithm', 'burst', 'unit', 'group']
const FIELDS: readonly string[] = ['maxCommands', 'windowMs', ...OPTIONS]
const ALGORITHMS: readonly string[] = ['token-bucket', 'sliding-window']

function checkLimit({ maxCommands, windowMs, algorithm, burst, unit, group }: RateLimitConfig): void {
  if (unit !== undefined && (typeof unit !== 'string' || unit === '')) throw invalid('unit', TEXT, unit)
  const least = unit === undefined || unit === COMMANDS ? 1 : 0
  checkAmount('maxCommands', maxCommands, least)
  if (!isPositive(windowMs)) throw invalid('windowMs', 'a number of milliseconds, above 0', windowMs)
  // beyond what a number can hold, the bucket would never or always be full
  if (!isPositive(maxCommands / windowMs))
    throw invalid('windowMs', `a window for which ${maxCommands} is a rate`, windowMs)
  if (!ALGORITHMS.includes(algorithm)) throw invalid('algorithm', "one of 'token-bucket', 'sliding-window'", algorithm)
  checkAmount('burst', burst, least)
  if (algorithm === 'sliding-window' && burst !== maxCommands)
    throw invalid('burst', `left out, or maxCommands (${maxCommands}), with a sliding window`, burst)
  const isGroup = group === undefined || (typeof group === 'string' && group !== '') || group instanceof RateLimitGroup
  if (!isGroup) throw invalid('group', `${TEXT}, or a RateLimitGroup`, group)
}

function checkAmount(field: string, value: number, least: 0 | 1): void {
  if (isPositive(value) && value >= least) return
  throw invalid(field, least === 0 ? 'a finite number above 0' : 'a finite number of commands, at least 1', value)
}

const isPositive = (value: unknown): boolean =>
  typeof value === 'number' && value > 0 && value < Number.POSITIVE_INFINITY

const NAME = 'RateLimitConfig'
const TEXT = 'a string that is not empty'
const invalid = (field: string, expected: string, got: unknown): Error =>
  configInvalid(`${NAME} ${field}`, expected, got)
