/**
 * Rate limiters for use by hand, outside lanes: the same arithmetic with a clock, and a line of those who wait. The first
 * in line is served first, whatever it asks for, and waits exactly as long as it has to; one timer is set, for it.
 */
import {
  COMMANDS,
  isUnlimited,
  RateLimitConfig,
  type RateLimitFields,
  SlidingWindow,
  TokenBucket,
} from '../policy/index.js'
import { type Clock, systemClock, type Timer } from './clock.js'
import { configInvalid } from './errors.js'
import { SignalWatch } from './signal-watch.js'

/** Options of a limiter that is used by hand. */
export type RateLimiterOptions = {
  /** Default the machine's clock. */
  readonly clock?: Clock | undefined
}

/** Options of `acquire`. */
export type AcquireOptions = {
  /** Leaves the line when it aborts: `acquire` rejects with the signal's reason, and nothing is taken. */
  readonly signal?: AbortSignal | undefined
}

/**
 * A bucket of `burst` tokens, full at the start and refilled all the time: granted in any interval T is at most
 * burst + T × maxCommands / windowMs. `CONFIG_INVALID` for a config that makes no sense, and for one with a `group`.
 */
export class TokenBucketLimiter {
  readonly #limit: RateLimitConfig
  readonly #bucket: TokenBucket
  readonly #line: Line

  constructor(config: RateLimitFields, options: RateLimiterOptions = {}) {
    this.#limit = limitOf(config, 'token-bucket')
    this.#bucket = new TokenBucket(this.#limit)
    this.#line = new Line(this.#limit, this.#bucket, options)
  }

  /** Takes `amount` when it is there and nobody waits for it. `CONFIG_INVALID` for more than `capacity`. */
  tryAcquire(amount = 1): boolean {
    return this.#line.tryAcquire(amount)
  }

  /** Waits for `amount`, after those who came before, and gives the milliseconds waited. Rejects with `CONFIG_INVALID` for more than `capacity`. */
  acquire(amount = 1, options: AcquireOptions = {}): Promise<number> {
    return this.#line.acquire(amount, options)
  }

  /** Tokens in the bucket: whole ones where commands are counted, else with their fraction. */
  get availableTokens(): number {
    const available = Math.max(0, this.#bucket.available(this.#line.now()))
    const { unit = COMMANDS } = this.#limit
    // a token that is not there for a rounding alone counts as one
    return unit === COMMANDS ? Math.floor(available * (1 + 1e-9)) : available
  }

  /** Tokens in a full bucket: the config's `burst`. */
  get capacity(): number {
    return this.#limit.burst
  }

  /** Tokens per second. */
  get refillRate(): number {
    return (this.#limit.maxCommands * 1000) / this.#limit.windowMs
  }
}

/**
 * Never grants more than `maxCommands` in any window of `windowMs`; a grant exactly that old does not count any more.
 * `CONFIG_INVALID` for a config that makes no sense, for one with a `group`, and for one with a `burst` of its own.
 */
export class SlidingWindowLimiter {
  readonly #window: SlidingWindow
  readonly #line: Line

  constructor(config: RateLimitFields, options: RateLimiterOptions = {}) {
    const limit = limitOf(config, 'sliding-window')
    this.#window = new SlidingWindow(limit)
    this.#line = new Line(limit, this.#window, options)
  }

  /** Takes `amount` when the window has room for it and nobody waits for it. `CONFIG_INVALID` for more than `maxCommands`. */
  tryAcquire(amount = 1): boolean {
    return this.#line.tryAcquire(amount)
  }

  /** Waits for `amount`, after those who came before, and gives the milliseconds waited. Rejects with `CONFIG_INVALID` for more than `maxCommands`. */
  acquire(amount = 1, options: AcquireOptions = {}): Promise<number> {
    return this.#line.acquire(amount, options)
  }

  /** What was granted in the window that ends now. */
  get currentCount(): number {
    return this.#window.granted(this.#line.now())
  }

  /** What the window still grants now. */
  get remaining(): number {
    return Math.max(0, this.#window.available(this.#line.now()))
  }
}

/** A limiter by its config's `algorithm`, or none at all. `CONFIG_INVALID` as for the other two. */
export class RateLimiter {
  readonly #limiter: TokenBucketLimiter | SlidingWindowLimiter

  constructor(config: RateLimitFields, options?: RateLimiterOptions) {
    const { algorithm } = RateLimitConfig.from(config)
    const Algorithm = algorithm === 'token-bucket' ? TokenBucketLimiter : SlidingWindowLimiter
    this.#limiter = new Algorithm(config, options)
  }

  /** A token bucket, whatever the config's own algorithm. */
  static tokenBucket(config: RateLimitFields, options?: RateLimiterOptions): RateLimiter {
    return new RateLimiter({ ...config, algorithm: 'token-bucket' }, options)
  }

  /** A sliding window, whatever the config's own algorithm. */
  static slidingWindow(config: RateLimitFields, options?: RateLimiterOptions): RateLimiter {
    return new RateLimiter({ ...config, algorithm: 'sliding-window' }, options)
  }

  /** Grants everything at once. */
  static unlimited(): RateLimiter {
    return new RateLimiter(RateLimitConfig.unlimited())
  }

  /** Takes `amount` when it is there and nobody waits for it. `CONFIG_INVALID` for more than is ever granted at once. */
  tryAcquire(amount = 1): boolean {
    return this.#limiter.tryAcquire(amount)
  }

  /** Waits for `amount`, after those who came before, and gives the milliseconds waited. Rejects with `CONFIG_INVALID` for more than is ever granted at once. */
  acquire(amount = 1, options: AcquireOptions = {}): Promise<number> {
    return this.#limiter.acquire(amount, options)
  }
}

type Waiter = { readonly amount: number; readonly since: number; readonly serve: () => void }

/** Those who wait for one limiter. */
class Line {
  readonly #isUnlimited: boolean
  readonly #limiter: TokenBucket | SlidingWindow
  readonly #clock: Clock
  readonly #signals = new SignalWatch()
  readonly #waiters = new Set<Waiter>()
  #timer: Timer | undefined

  constructor(
    limit: RateLimitConfig,
    limiter: TokenBucket | SlidingWindow,
    { clock = systemClock }: RateLimiterOptions,
  ) {
    this.#isUnlimited = isUnlimited(limit)
    this.#limiter = limiter
    this.#clock = clock
  }

  now(): number {
    return this.#clock.now()
  }

  tryAcquire(amount: number): boolean {
    this.#check(amount)
    if (this.#isUnlimited) return true
    const now = this.now()
    if (this.#waiters.size > 0 || this.#limiter.readyAt(amount, now) > now) return false
    this.#limiter.take(amount, now)
    return true
  }

  async acquire(amount: number, { signal }: AcquireOptions): Promise<number> {
    signal?.throwIfAborted()
    if (this.tryAcquire(amount)) return 0
    return new Promise((resolve, reject) => {
      const since = this.now()
      const unwatch =
        signal &&
        this.#signals.watch(signal, () => {
          this.#waiters.delete(waiter)
          reject(signal.reason)
          this.#serve()
        })
      const serve = (): void => {
        unwatch?.()
        resolve(this.now() - since)
      }
      const waiter = { amount, since, serve }
      this.#waiters.add(waiter)
      if (this.#waiters.size === 1) this.#serve()
    })
  }

  /** Serves from the front of the line as far as it goes, and sets the timer for the next. */
  #serve(): void {
    if (this.#timer !== undefined) this.#clock.clearTimer(this.#timer)
    this.#timer = undefined
    for (const waiter of this.#waiters) {
      const now = this.now()
      const at = this.#limiter.readyAt(waiter.amount, now)
      if (at > now) {
        this.#timer = this.#clock.setTimer(at - now, () => this.#serve())
        return
      }
      this.#limiter.take(waiter.amount, now)
      this.#waiters.delete(waiter)
      waiter.serve()
    }
  }

  #check(amount: unknown): void {
    const isAmount = typeof amount === 'number' && amount > 0
    if (isAmount && this.#limiter.readyAt(amount, this.now()) < Number.POSITIVE_INFINITY) return
    throw configInvalid('RateLimiter amount', `a number above 0, at most ${this.#limiter.largest}`, amount)
  }
}

/** A config for one algorithm. It has no group: a limiter is shared by sharing the object. */
function limitOf(config: RateLimitFields, algorithm: 'token-bucket' | 'sliding-window'): RateLimitConfig {
  const limit = RateLimitConfig.from({ ...config, algorithm })
  if (limit.group === undefined) return limit
  throw configInvalid('RateLimiter group', 'left out: share the limiter itself', limit.group)
}
