/** A limit together with the limiter that counts for it, and how limits are compared. */
import { configInvalid, formatDuration } from '../core/errors.js'
import { COMMANDS } from './gate.js'
import type { Limiter } from './limiter.js'
import type { RateLimitConfig } from './rate-limit.js'
import { SlidingWindow } from './sliding-window.js'
import { TokenBucket } from './token-bucket.js'

/** A limit with its limiter. The numbers of a shared one may change under those who use it. */
export class CountedLimit {
  limit: RateLimitConfig
  readonly limiter: Limiter
  /** Lanes that use it. */
  users = 0

  constructor(limit: RateLimitConfig) {
    this.limit = limit
    this.limiter = limit.algorithm === 'token-bucket' ? new TokenBucket(limit) : new SlidingWindow(limit)
  }

  configure(limit: RateLimitConfig, now: number): void {
    this.limit = limit
    this.limiter.configure(limit, now)
  }
}

/** Limits with the same key count the same thing in the same way. */
export const limitKey = ({ algorithm, windowMs, unit = COMMANDS }: RateLimitConfig): string =>
  `${algorithm} ${windowMs} ${unit}`

/** Refuses two limits that would have to be one limiter and have different numbers. */
export function checkSame(limit: RateLimitConfig, other: RateLimitConfig): void {
  if (limit.maxCommands === other.maxCommands && limit.burst === other.burst) return
  throw configInvalid('RateLimitConfig', `${limitText(other)} as elsewhere in its group`, limitText(limit))
}

/** A limit as it stands in a message: `10 commands per 1s`. */
export function limitText({ maxCommands, windowMs, burst, unit = COMMANDS }: RateLimitConfig): string {
  const bursts = burst === maxCommands ? '' : ` (burst ${burst})`
  const what = maxCommands === 1 && unit === COMMANDS ? 'command' : unit
  return `${maxCommands} ${what} per ${formatDuration(windowMs)}${bursts}`
}
