/**
 * How often a failed command is run again, and after what delay. Pure data: a policy spreads, serialises and compares.
 *
 * The delay before retry n (from 1) is initialMs × factor^(n-1), in whole milliseconds, at most maxMs. Jitter spreads
 * retries that would otherwise fall on one instant: `full` draws from 0 to the delay, `equal` from its upper half
 * (both after "Exponential Backoff And Jitter", AWS Architecture Blog, 2015).
 */
import { configInvalid } from '../core/errors.js'

/** How a delay is spread: not at all, over all of it, or over its upper half. */
export type Jitter = 'none' | 'full' | 'equal'

const JITTERS: readonly string[] = ['none', 'full', 'equal']

/** Options of `RetryPolicy.exponential`. */
export type ExponentialOptions = {
  /** Delay before the first retry, in milliseconds. Default 100. */
  readonly initialMs?: number | undefined
  /** What each further delay is multiplied by. Default 2, at least 1. */
  readonly factor?: number | undefined
  /** Longest delay, in milliseconds. Default 30,000, or `initialMs` when that is longer. */
  readonly maxMs?: number | undefined
  /** Default 'none'. */
  readonly jitter?: Jitter | undefined
}

/** The plain form of a policy, as JSON gives it back. */
export type RetryPolicyFields = {
  readonly maxRetries: number
  readonly initialMs: number
  readonly maxMs: number
  readonly factor: number
  readonly jitter: Jitter
}

/** When a failed attempt is followed by another. */
export class RetryPolicy implements RetryPolicyFields {
  /** Retries after the first attempt; executions in all are 1 + maxRetries. */
  readonly maxRetries: number
  readonly initialMs: number
  readonly maxMs: number
  readonly factor: number
  readonly jitter: Jitter

  private constructor(fields: RetryPolicyFields) {
    this.maxRetries = fields.maxRetries
    this.initialMs = fields.initialMs
    this.maxMs = fields.maxMs
    this.factor = fields.factor
    this.jitter = fields.jitter
  }

  /** `maxRetries` retries with growing delays: 100, 200, 400 … at most 30,000 ms. `CONFIG_INVALID` for values that make no sense. */
  static exponential(maxRetries: number, options: ExponentialOptions = {}): RetryPolicy {
    const initialMs = options.initialMs ?? 100
    return RetryPolicy.from({
      maxRetries,
      initialMs,
      maxMs: options.maxMs ?? Math.max(30_000, initialMs),
      factor: options.factor ?? 2,
      jitter: options.jitter ?? 'none',
    })
  }

  /** `maxRetries` retries, each after `delayMs`. */
  static fixed(maxRetries: number, delayMs: number): RetryPolicy {
    return RetryPolicy.from({ maxRetries, initialMs: delayMs, maxMs: delayMs, factor: 1, jitter: 'none' })
  }

  /** No retries: the first failure is final. The default. */
  static none(): RetryPolicy {
    return NONE
  }

  /** A policy from its plain form, for example after JSON. */
  static from(fields: RetryPolicyFields): RetryPolicy {
    checkFields(fields)
    return new RetryPolicy(fields)
  }

  /** The delay before retry `retry` (from 1), jitter left out; 0 for retry 0 and for a policy without retries. */
  delayForAttempt(retry: number): number {
    if (retry <= 0 || this.maxRetries === 0 || this.initialMs === 0) return 0
    return Math.min(Math.trunc(this.initialMs * this.factor ** (retry - 1)), this.maxMs)
  }

  /** Whether a command that has been retried `retries` times (from 0) may be retried again. */
  shouldRetry(retries: number): boolean {
    return retries < this.maxRetries
  }

  /** The delay before retry `retry` with its jitter; `random` gives numbers from 0 to 1. */
  drawDelay(retry: number, random: () => number): number {
    const delay = this.delayForAttempt(retry)
    if (this.jitter === 'none') return delay
    return this.jitter === 'full' ? delay * random() : delay / 2 + (delay / 2) * random()
  }
}

function checkFields({ maxRetries, initialMs, maxMs, factor, jitter }: RetryPolicyFields): void {
  if (!Number.isInteger(maxRetries) || maxRetries < 0)
    throw invalid('maxRetries', 'an integer of at least 0', maxRetries)
  if (!Number.isFinite(initialMs) || initialMs < 0) throw invalid('initialMs', MS, initialMs)
  if (!Number.isFinite(maxMs) || maxMs < 0) throw invalid('maxMs', MS, maxMs)
  if (!Number.isFinite(factor) || factor < 1) throw invalid('factor', 'a number of at least 1', factor)
  if (!JITTERS.includes(jitter)) throw invalid('jitter', "one of 'none', 'full', 'equal'", jitter)
}

const MS = 'a number of milliseconds, 0 or more'
const invalid = (field: string, expected: string, got: unknown): Error =>
  configInvalid(`RetryPolicy ${field}`, expected, got)

const NONE: RetryPolicy = RetryPolicy.from({ maxRetries: 0, initialMs: 0, maxMs: 0, factor: 1, jitter: 'none' })
