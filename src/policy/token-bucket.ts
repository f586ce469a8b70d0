/**
 * A bucket of `burst` tokens that is full at the start and refills all the time at maxCommands / windowMs. Granted in any
 * interval of length T is at most burst + T × maxCommands / windowMs, and a bucket that is never full grants exactly that
 * rate: the level is counted from the last instant at which it was full, not from grant to grant, so roundings do not
 * add up. (The bucket as a meter: Turner, "New Directions in Communications", IEEE Communications Magazine, 1986.)
 */
import { instantAfter, type Limiter, slackOf } from './limiter.js'
import type { RateLimitConfig } from './rate-limit.js'

export class TokenBucket implements Limiter {
  #maxCommands: number
  #windowMs: number
  #burst: number
  /** The level at the instant `#at`, less all that was taken since; below 0 when that is more than there was. */
  #level: number
  /** What was rounded off `#level` so far, so that the next amount makes up for it (Kahan, CACM 8(1), 1965). */
  #roundedOff = 0
  #at = Number.NEGATIVE_INFINITY
  #now = Number.NEGATIVE_INFINITY

  constructor({ maxCommands, windowMs, burst }: RateLimitConfig) {
    this.#maxCommands = maxCommands
    this.#windowMs = windowMs
    this.#burst = burst
    this.#level = burst
  }

  get largest(): number {
    return this.#burst
  }

  readyAt(amount: number, now: number): number {
    const slack = slackOf(this.#burst)
    if (amount > this.#burst + slack) return Number.POSITIVE_INFINITY
    const seen = this.#see(now)
    if (this.#reaches(amount - slack) <= seen) return now
    return this.#reaches(Math.min(amount, this.#burst))
  }

  take(amount: number, now: number): void {
    this.#see(now)
    const due = amount + this.#roundedOff
    const level = this.#level - due
    this.#roundedOff = due - (this.#level - level)
    this.#level = level
  }

  /** More is taken at once; less is given back, at most until the bucket is full. */
  settle(difference: number, _takenAt: number, now: number): void {
    this.take(difference, now)
    this.#see(now)
  }

  configure({ maxCommands, windowMs, burst }: RateLimitConfig, now: number): void {
    this.#restart(Math.min(this.available(now), burst))
    this.#maxCommands = maxCommands
    this.#windowMs = windowMs
    this.#burst = burst
  }

  available(now: number): number {
    const seen = this.#see(now)
    if (this.#level === this.#burst) return this.#burst
    return Math.min(this.#level + ((seen - this.#at) * this.#maxCommands) / this.#windowMs, this.#burst)
  }

  /**
   * The instant at which the level is `level`. Everything is decided by comparing such instants, never levels: whoever
   * comes at the instant that he was told finds his tokens, whatever was rounded on the way to it.
   */
  #reaches(level: number): number {
    if (level <= this.#level) return this.#at
    return instantAfter(this.#at, ((level - this.#level) * this.#windowMs) / this.#maxCommands)
  }

  /** What would have been refilled beyond the brim by now is lost. */
  #see(now: number): number {
    this.#now = Math.max(this.#now, now)
    if (this.#reaches(this.#burst) <= this.#now) this.#restart(this.#burst)
    return this.#now
  }

  #restart(level: number): void {
    this.#at = this.#now
    this.#level = level
    this.#roundedOff = 0
  }
}
