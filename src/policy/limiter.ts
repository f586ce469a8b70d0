/**
 * The arithmetic under a rate limit: how much may be taken, and when. Pure state machines: no clock, no timer. Instants
 * are milliseconds of a monotonic clock; an instant before the last one seen counts as the last one seen.
 */
import type { RateLimitConfig } from './rate-limit.js'

export interface Limiter {
  /** Most that can ever be granted at once. */
  readonly largest: number
  /** Earliest instant at which `amount` may be taken: `now` when it may now, Infinity when it never may. Takes nothing. */
  readyAt(amount: number, now: number): number
  /** Takes `amount`, also when it is more than there is: the rest is a debt. */
  take(amount: number, now: number): void
  /**
   * What was taken at `takenAt` turned out to be `difference` more (a debt, taken at once) or less (given back).
   */
  settle(difference: number, takenAt: number, now: number): void
  /** Other numbers from now on. Keeps what has been taken: never a fresh burst. */
  configure(limit: RateLimitConfig, now: number): void
  /** What could be taken now; below 0 while there is a debt. */
  available(now: number): number
}

/**
 * How far a grant may exceed its limit: sums of fractions are not exact (0.1 + 0.2 is more than 0.3), and a limit of 0.3
 * should grant both. A billionth of the limit and at most a thousandth, so that whole numbers are never affected.
 */
export const slackOf = (limit: number): number => Math.min(limit, 1e6) * 1e-9

/** The instant `wait` after `at`, rounded up where it must be rounded: an instant never comes too early. */
export function instantAfter(at: number, wait: number): number {
  const sum = at + wait
  return sum - at < wait ? sum + Math.abs(sum) * Number.EPSILON : sum
}
