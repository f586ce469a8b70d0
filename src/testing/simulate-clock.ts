/**
 * Virtual time for a simulation. It differs from `VirtualClock` in who moves it and how much it holds: the simulation asks
 * for the next instant instead of naming one, and timers stand in a heap, so that thousands of commands may run at once.
 */
import type { Clock, Timer } from '../core/index.js'
import { checkNumber } from './simulate-checks.js'
import { VirtualClock } from './virtual-clock.js'

class HeapTimer {
  readonly at: number
  readonly order: number
  /** Undefined once it was cleared: it stays in the heap until its turn comes, and is passed over. */
  fire: (() => void) | undefined

  constructor(at: number, order: number, fire: () => void) {
    this.at = at
    this.order = order
    this.fire = fire
  }

  isBefore(other: HeapTimer): boolean {
    return this.at === other.at ? this.order < other.order : this.at < other.at
  }
}

/** The clock of a simulation. Work that runs in it takes its time from here; `now` counts from 0. */
export class SimulatedClock implements Clock {
  #now = 0
  #order = 0
  readonly #heap: HeapTimer[] = []
  /** The one place with a real turn of the event loop; its wall time is that of all virtual clocks. */
  readonly #origin = new VirtualClock()

  /** Milliseconds since the simulation began. */
  now(): number {
    return this.#now
  }

  /** Wall time in Unix milliseconds; a simulation begins at 2026-01-01T00:00:00Z. */
  wallNow(): number {
    return this.#origin.wallNow() + this.#now
  }

  setTimer(delayMs: number, fire: () => void): Timer {
    // What is no number is 0, as for the timers of every platform.
    const timer = new HeapTimer(this.#now + (Math.max(0, delayMs) || 0), this.#order++, fire)
    this.#heap.push(timer)
    this.#rise(this.#heap.length - 1)
    return timer
  }

  clearTimer(timer: Timer): void {
    ;(timer as HeapTimer).fire = undefined
  }

  /**
   * Takes `ms` milliseconds of virtual time. Rejects with the signal's reason as soon as it aborts, and with
   * `CONFIG_INVALID` for what is no time.
   */
  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      checkNumber('sleep ms', ms, 0, Number.MAX_VALUE)
      if (signal === undefined) return void this.setTimer(ms, resolve)
      if (signal.aborted) return reject(signal.reason)
      const onAbort = (): void => {
        this.clearTimer(timer)
        reject(signal.reason)
      }
      const timer = this.setTimer(ms, () => {
        signal.removeEventListener('abort', onAbort)
        resolve()
      })
      signal.addEventListener('abort', onAbort, { once: true })
    })
  }

  /** @internal Until everything that needs no time has happened, however many promises that goes through. */
  settle(): Promise<void> {
    return this.#origin.settle()
  }

  /** @internal The instant of the next timer; Infinity when none is set. */
  get nextAt(): number {
    while (this.#heap[0] !== undefined && this.#heap[0].fire === undefined) this.#pop()
    return this.#heap[0]?.at ?? Number.POSITIVE_INFINITY
  }

  /** @internal Lets time pass to an instant that no timer stands before. */
  moveTo(at: number): void {
    this.#now = at
  }

  /** @internal Fires the next timer. */
  fireNext(): void {
    const timer = this.#heap[0]
    this.#pop()
    timer?.fire?.()
  }

  /** Takes the first timer away. */
  #pop(): void {
    const last = this.#heap.pop()
    if (last === undefined || this.#heap.length === 0) return
    this.#heap[0] = last
    this.#sink()
  }

  #rise(from: number): void {
    const heap = this.#heap
    const timer = heap[from] as HeapTimer
    let index = from
    while (index > 0) {
      const above = (index - 1) >> 1
      const parent = heap[above] as HeapTimer
      if (!timer.isBefore(parent)) break
      heap[index] = parent
      index = above
    }
    heap[index] = timer
  }

  #sink(): void {
    const heap = this.#heap
    const timer = heap[0] as HeapTimer
    let index = 0
    for (;;) {
      let below = 2 * index + 1
      let child = heap[below]
      const right = heap[below + 1]
      if (child !== undefined && right?.isBefore(child) === true) {
        child = right
        below++
      }
      if (child === undefined || !child.isBefore(timer)) break
      heap[index] = child
      index = below
    }
    heap[index] = timer
  }
}
