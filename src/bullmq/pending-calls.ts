/**
 * Limits of time for calls that nearly always answer at once: one timer looks after all of them, because a timer for each
 * would cost more than the call. An answer may come late by as long as that timer's step.
 */
import type { Clock, Timer } from '../core/index.js'
import { unavailable } from './server-check.js'

const STEP_MS = 250
/** Without any answer for so long, the connection is taken for dead, though nobody has said so. */
const DEAD_MS = 5000

type Pending = { readonly until: number; readonly reject: (error: unknown) => void }

export class PendingCalls {
  readonly #clock: Clock
  readonly #pending = new Set<Pending>()
  readonly #onDead: () => void
  #timer: Timer | undefined
  /** When the first call was sent after the last answer. */
  #askedAt: number | undefined
  /** That was found before, too: answers may have been there, and this process stood still. */
  #isSuspect = false

  constructor(clock: Clock, onDead: () => void) {
    this.#clock = clock
    this.#onDead = onDead
  }

  /** The answer, or `ENGINE_UNAVAILABLE` when there is none at that instant. */
  within<T>(answer: Promise<T>, until: number): Promise<T> {
    return new Promise((resolve, reject) => {
      const pending: Pending = { until, reject }
      this.#pending.add(pending)
      this.#askedAt ??= this.#clock.now()
      this.#timer ??= this.#clock.setTimer(STEP_MS, () => this.#look())
      answer.then(
        (value) => {
          this.#over(pending)
          resolve(value)
        },
        (error: unknown) => {
          this.#over(pending)
          reject(error as Error)
        },
      )
    })
  }

  #over(pending: Pending): void {
    this.#pending.delete(pending)
    this.#askedAt = undefined
    this.#isSuspect = false
  }

  /** Nothing is waited for any more. */
  close(error: unknown): void {
    for (const { reject } of this.#pending) reject(error)
    this.#pending.clear()
    if (this.#timer !== undefined) this.#clock.clearTimer(this.#timer)
    this.#timer = undefined
  }

  #look(): void {
    this.#timer = undefined
    const now = this.#clock.now()
    for (const pending of this.#pending) {
      if (pending.until > now) continue
      this.#pending.delete(pending)
      pending.reject(unavailable('The server does not answer'))
    }
    const isDead = this.#askedAt !== undefined && now - this.#askedAt >= DEAD_MS
    if (isDead && this.#isSuspect) {
      this.#askedAt = undefined
      this.#onDead()
    }
    this.#isSuspect = isDead
    if (this.#pending.size > 0) this.#timer = this.#clock.setTimer(STEP_MS, () => this.#look())
  }
}
