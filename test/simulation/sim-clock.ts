/**
 * The simulation's clock: a heap of timers, and between two of them all microtasks. `process.nextTick` runs once the
 * queue of microtasks is empty, and costs a fifth of a turn of the event loop (2.3 against 0.5 million per second and core).
 *
 * The queue gets a face of its own, whose timers may be late (up to ten times their delay, as on a busy machine) and may
 * come in any order within one instant. The bodies' own timers are exact.
 */
import type { Clock, Timer } from '@a3s-lab/lane'
import type { Draw } from './draw.js'

class SimTimer {
  heapIndex = -1
  readonly at: number
  readonly order: number
  readonly fire: () => void
  /** The queue set it: an idle queue has none. */
  readonly isQueues: boolean

  constructor(at: number, order: number, fire: () => void, isQueues: boolean) {
    this.at = at
    this.order = order
    this.fire = fire
    this.isQueues = isQueues
  }
}

export type ClockFaults = { readonly late: boolean; readonly shuffled: boolean }

/** Far more than any instant needs: then it never ends. */
const MOST_ASKED = 50_000

/** Thrown into the queue, which is the only way out of a loop of its microtasks. */
class EndlessInstant extends Error {}

/** Wall time at the start: 2026-01-01T00:00:00Z. */
const WALL_START = 1_767_225_600_000

export class SimClock {
  faults: ClockFaults
  /** Timers fired so far. */
  fired = 0
  /** Timers that the queue has set. */
  queueTimers = 0
  readonly #draw: Draw
  readonly #heap: SimTimer[] = []
  #now = 0
  #count = 0
  #asked = 0
  #mostAsked = MOST_ASKED

  constructor(faults: ClockFaults, draw: Draw) {
    this.faults = faults
    this.#draw = draw
  }

  get now(): number {
    return this.#now
  }

  /** Enough was seen: an instant that does not end by itself is ended soon. */
  hurry(): void {
    this.#mostAsked = Math.min(this.#mostAsked, this.#asked + 1000)
  }

  /** Calls `fire` at the instant, exactly. */
  at(instant: number, fire: () => void): Timer {
    return this.#set(Math.max(this.#now, instant), fire, false)
  }

  clear(timer: Timer): void {
    this.#clear(timer as SimTimer)
  }

  /** The clock that the queue is given. */
  readonly face: Clock = {
    now: () => {
      // a queue that goes on and on without letting time pass asks for it each time
      if (++this.#asked > this.#mostAsked)
        throw new EndlessInstant(`the time was asked for ${this.#asked} times in one instant`)
      return this.#now
    },
    wallNow: () => WALL_START + this.#now,
    setTimer: (delayMs, fire) => this.#set(this.#now + Math.max(0, delayMs) + this.#lateness(delayMs), fire, true),
    clearTimer: (timer) => this.#clear(timer as SimTimer),
  }

  /** Fires timers until none is left or `isOver` says so; `onRest` is called whenever everything but time has come to rest. */
  async run(isOver: () => boolean, onRest: () => void): Promise<void> {
    await rest()
    onRest()
    for (let next = this.#heap[0]; next !== undefined && !isOver(); next = this.#heap[0]) {
      this.#clear(next)
      this.#now = Math.max(this.#now, next.at)
      this.fired++
      this.#asked = 0
      next.fire()
      await rest()
      onRest()
    }
  }

  #lateness(delayMs: number): number {
    if (!this.faults.late || delayMs <= 0 || this.#draw.chance(0.6)) return 0
    return Math.min(delayMs, 60_000) * 9 * this.#draw.next() ** 3
  }

  #set(at: number, fire: () => void, isQueues: boolean): SimTimer {
    const order = this.faults.shuffled ? this.#draw.next() : this.#count++
    const timer = new SimTimer(at, order, fire, isQueues)
    timer.heapIndex = this.#heap.length
    this.#heap.push(timer)
    this.#rise(timer)
    if (isQueues) this.queueTimers++
    return timer
  }

  #clear(timer: SimTimer): void {
    const index = timer.heapIndex
    if (index < 0) return
    timer.heapIndex = -1
    if (timer.isQueues) this.queueTimers--
    const last = this.#heap.pop() as SimTimer
    if (last === timer) return
    this.#place(last, index)
    this.#rise(last)
    this.#sink(last)
  }

  #place(timer: SimTimer, index: number): void {
    this.#heap[index] = timer
    timer.heapIndex = index
  }

  #rise(timer: SimTimer): void {
    while (timer.heapIndex > 0) {
      const parent = this.#heap[(timer.heapIndex - 1) >> 1] as SimTimer
      if (!isBefore(timer, parent)) return
      this.#swap(timer, parent)
    }
  }

  #sink(timer: SimTimer): void {
    for (;;) {
      const left = this.#heap[2 * timer.heapIndex + 1]
      const right = this.#heap[2 * timer.heapIndex + 2]
      const child = right !== undefined && left !== undefined && isBefore(right, left) ? right : left
      if (child === undefined || !isBefore(child, timer)) return
      this.#swap(timer, child)
    }
  }

  #swap(a: SimTimer, b: SimTimer): void {
    const { heapIndex } = a
    this.#place(a, b.heapIndex)
    this.#place(b, heapIndex)
  }
}

const isBefore = (a: SimTimer, b: SimTimer): boolean => (a.at === b.at ? a.order < b.order : a.at < b.at)

/** Until every promise that could settle without time has. */
export const rest = (): Promise<void> => new Promise((resolve) => process.nextTick(resolve))
