/**
 * When leases run out and delayed commands are due. One timer is set for the earliest of them, and only while there are
 * any: a process whose shared lanes are idle may end.
 */
import type { Clock, Timer } from '../core/index.js'
import type { KeptCommand } from './memory-engine-command.js'
import type { SharedLane } from './memory-engine-lane.js'

/** What the clock looks at, and whom it tells. */
export type LeaseEvents = {
  readonly lanes: () => Iterable<SharedLane>
  readonly onLost: (kept: KeptCommand) => void
  /** Commands of the lane are due. */
  readonly onDue: (lane: SharedLane) => void
}

/**
 * A look that comes later than this finds a process that stood still. Its workers stood still with it, so that time does not
 * count against their leases.
 */
const STOOD_STILL_MS = 100

const NEVER = Number.POSITIVE_INFINITY

export class LeaseClock {
  readonly #clock: Clock
  readonly #events: LeaseEvents
  #isRunning = false
  #timer: Timer | undefined
  /** When the timer fires: nothing happens before. */
  #at = NEVER

  constructor(clock: Clock, events: LeaseEvents) {
    this.#clock = clock
    this.#events = events
  }

  start(): void {
    if (this.#isRunning) return
    this.#isRunning = true
    this.#sweep(this.#clock.now())
  }

  stop(): void {
    this.#isRunning = false
    this.#setTimer(NEVER)
  }

  /** Something is going to happen at an instant. */
  add(at: number): void {
    if (at < this.#at) this.#setTimer(at)
  }

  /** Something is not going to happen: when nothing is, there is no timer. */
  rest(): void {
    for (const { active, nextDueAt } of this.#events.lanes()) if (active.size > 0 || nextDueAt < NEVER) return
    this.#setTimer(NEVER)
  }

  /** Does what is due by now, if anything is. */
  look(): void {
    const now = this.#clock.now()
    if (now < this.#at) return
    if (now - this.#at > STOOD_STILL_MS) this.#prolong(now)
    this.#sweep(now)
  }

  #sweep(now: number): void {
    let next = NEVER
    for (const lane of this.#events.lanes()) {
      for (const kept of [...lane.active]) {
        const { expiresAt = NEVER } = kept.held ?? {}
        if (expiresAt <= now) this.#events.onLost(kept)
        else next = Math.min(next, expiresAt)
      }
      if (lane.promote(now)) this.#events.onDue(lane)
      next = Math.min(next, lane.nextDueAt)
    }
    this.#setTimer(next)
  }

  /** Every lease lasts as if it had been renewed now: whoever can will renew it. */
  #prolong(now: number): void {
    for (const { active } of this.#events.lanes()) {
      for (const { held } of active) if (held !== undefined) held.expiresAt = now + held.leaseMs
    }
  }

  #setTimer(at: number): void {
    if (this.#timer !== undefined) this.#clock.clearTimer(this.#timer)
    this.#timer = undefined
    this.#at = at
    if (at === NEVER || !this.#isRunning) return
    this.#timer = this.#clock.setTimer(Math.max(0, at - this.#clock.now()), () => this.#fire())
  }

  #fire(): void {
    // A timer may be early by what was rounded.
    if (this.#clock.now() < this.#at) this.#setTimer(this.#at)
    else this.look()
  }
}
