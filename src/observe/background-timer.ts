/** One instant to be called at, which keeps no process alive: what watches must not be what a program waits for. */
import type { Clock, Timer } from '../core/index.js'

export class BackgroundTimer {
  readonly #clock: Clock
  readonly #fire: () => void
  #timer: Timer | undefined

  constructor(clock: Clock, fire: () => void) {
    this.#clock = clock
    this.#fire = fire
  }

  get isSet(): boolean {
    return this.#timer !== undefined
  }

  /** Calls in so many milliseconds, and no other time. */
  set(delayMs: number): void {
    this.clear()
    this.#timer = this.#clock.setTimer(
      delayMs,
      () => {
        this.#timer = undefined
        this.#fire()
      },
      true,
    )
  }

  clear(): void {
    if (this.#timer !== undefined) this.#clock.clearTimer(this.#timer)
    this.#timer = undefined
  }
}
