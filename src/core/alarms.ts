/**
 * All the future instants of one queue (timeouts, retries, delays, grace periods) behind one timer of its clock: the
 * earliest alarm's. A queue without alarms holds no timer, so an idle process can end.
 */
import type { Clock, Timer } from './clock.js'
import { Heap } from './heap.js'

/** One instant to wake at. */
export class Alarm {
  heapIndex = -1
  /** Alarms of one instant go off in the order in which they were set. */
  order = 0

  readonly at: number
  readonly ring: () => void

  constructor(at: number, ring: () => void) {
    this.at = at
    this.ring = ring
  }
}

export class Alarms {
  readonly #clock: Clock
  readonly #heap = new Heap<Alarm>((a, b) => (a.at === b.at ? a.order < b.order : a.at < b.at))
  #timer: Timer | undefined
  #timerAt = Number.POSITIVE_INFINITY
  #count = 0
  #ringing = false

  constructor(clock: Clock) {
    this.#clock = clock
  }

  get size(): number {
    return this.#heap.size
  }

  /** Calls `ring` at the instant `at` of the monotonic clock. */
  set(at: number, ring: () => void): Alarm {
    const alarm = new Alarm(at, ring)
    alarm.order = this.#count++
    this.#heap.push(alarm)
    this.#arm()
    return alarm
  }

  /** Takes an alarm back; one that went off or was taken back already is left alone. */
  clear(alarm: Alarm | undefined): void {
    if (alarm === undefined || alarm.heapIndex < 0) return
    this.#heap.remove(alarm)
    this.#arm()
  }

  /** Takes all of them back: nothing happens any more. */
  clearAll(): void {
    while (this.#heap.size > 0) this.#heap.pop()
    this.#arm()
  }

  /**
   * Keeps the one timer at the earliest alarm. A timer that stands too early is left (it re-arms itself when it fires), so
   * that setting and clearing a timeout per attempt does not cost a timer each; with no alarm left it is cleared.
   */
  #arm(): void {
    if (this.#ringing) return
    const first = this.#heap.peek()
    if (first === undefined) {
      if (this.#timer !== undefined) this.#clock.clearTimer(this.#timer)
      this.#timer = undefined
      this.#timerAt = Number.POSITIVE_INFINITY
      return
    }
    if (this.#timerAt <= first.at) return
    if (this.#timer !== undefined) this.#clock.clearTimer(this.#timer)
    this.#timerAt = first.at
    this.#timer = this.#clock.setTimer(Math.max(0, first.at - this.#clock.now()), () => this.#fire())
  }

  #fire(): void {
    this.#timer = undefined
    this.#timerAt = Number.POSITIVE_INFINITY
    this.#ringing = true
    try {
      const now = this.#clock.now()
      for (let alarm = this.#heap.peek(); alarm !== undefined && alarm.at <= now; alarm = this.#heap.peek()) {
        this.#heap.remove(alarm)
        alarm.ring()
      }
    } finally {
      this.#ringing = false
      this.#arm()
    }
  }
}
