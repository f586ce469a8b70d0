/**
 * Time that stands still until a test moves it. `advance` fires what is due, in order, and lets promises settle before
 * and after each timer, so an hour of retries takes a millisecond and the same test always takes the same path.
 */
import type { Clock, Timer } from '../core/index.js'

class VirtualTimer {
  readonly at: number
  readonly order: number
  readonly fire: () => void
  readonly isBackground: boolean

  constructor(at: number, order: number, fire: () => void, isBackground: boolean) {
    this.at = at
    this.order = order
    this.fire = fire
    this.isBackground = isBackground
  }
}

/** Options of a virtual clock. */
export type VirtualClockOptions = {
  /** Wall time at the start. Default 2026-01-01T00:00:00Z. */
  readonly startAt?: Date | number
}

/** A `Clock` that a test drives. Give it to the queue's `clock` option. */
export class VirtualClock implements Clock {
  #now = 0
  #wallOffset: number
  #order = 0
  readonly #timers = new Set<VirtualTimer>()

  constructor(options: VirtualClockOptions = {}) {
    this.#wallOffset = new Date(options.startAt ?? '2026-01-01T00:00:00Z').getTime()
  }

  /** Milliseconds since the clock was made. */
  now(): number {
    return this.#now
  }

  /** Wall time in Unix milliseconds. */
  wallNow(): number {
    return this.#wallOffset + this.#now
  }

  /** Timers that are set and not due, without those in the background. An idle queue has none. */
  get timers(): number {
    let count = 0
    for (const { isBackground } of this.#timers) if (!isBackground) count++
    return count
  }

  setTimer(delayMs: number, fire: () => void, isBackground = false): Timer {
    const timer = new VirtualTimer(this.#now + Math.max(0, delayMs), this.#order++, fire, isBackground)
    this.#timers.add(timer)
    return timer
  }

  clearTimer(timer: Timer): void {
    this.#timers.delete(timer as VirtualTimer)
  }

  /** Lets `ms` milliseconds pass: fires the timers due meanwhile in order, and lets promises settle around each. */
  async advance(ms: number): Promise<void> {
    if (!(ms >= 0) || ms === Number.POSITIVE_INFINITY)
      throw new RangeError(`advance takes 0 or more milliseconds, got ${ms}`)
    const end = this.#now + ms
    await this.settle()
    for (let next = this.#next(); next !== undefined && next.at <= end; next = this.#next()) {
      this.#timers.delete(next)
      this.#now = Math.max(this.#now, next.at)
      next.fire()
      await this.settle()
    }
    this.#now = end
  }

  /** Lets time pass until no timer is left but those in the background, at most `limitMs` (default a year). */
  async advanceToEnd(limitMs = 365 * 24 * 3_600_000): Promise<void> {
    const end = this.#now + limitMs
    await this.settle()
    for (let next = this.#next(); this.timers > 0 && next !== undefined && next.at <= end; next = this.#next()) {
      await this.advance(next.at - this.#now)
    }
  }

  /** Lets everything that needs no time happen. */
  async settle(): Promise<void> {
    await macrotask()
  }

  /** Moves the wall clock alone, as an operator or a time server would. */
  stepWall(ms: number): void {
    this.#wallOffset += ms
  }

  /** Waits for a promise without letting time pass; rejects when the promise waits for time that nobody advances. */
  async expectSettled<T>(promise: PromiseLike<T>): Promise<T> {
    const waiting = Symbol('waiting')
    const first = await Promise.race([promise, this.settle().then(() => waiting)])
    if (first !== waiting) return first as T
    throw new Error(`The promise waits on time that nobody advances; ${this.timers} timers are set`)
  }

  #next(): VirtualTimer | undefined {
    let first: VirtualTimer | undefined
    for (const timer of this.#timers) {
      if (first === undefined || timer.at < first.at || (timer.at === first.at && timer.order < first.order))
        first = timer
    }
    return first
  }
}

/** One turn of the event loop: after it, every promise that could settle without time has. */
function macrotask(): Promise<void> {
  const { setImmediate } = globalThis as { setImmediate?: (callback: () => void) => unknown }
  return new Promise((resolve) => {
    if (setImmediate === undefined) setTimeout(resolve, 0)
    else setImmediate(resolve)
  })
}
