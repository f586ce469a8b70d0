/** A stretch of arrivals in one priority of a lane: two cells per waiting command, and what many of them share. */
import type { AttemptPolicy } from './lane-limits.js'
import type { Run } from './run.js'

/**
 * Commands per chunk. Small at first, so that a thousand quiet lanes stay in the processor's caches; doubled while a backlog
 * is deep, until a chunk's own bytes vanish in the commands' and it is still freed in steps.
 */
export const FIRST_CHUNK = 16
export const LARGEST_CHUNK = 256

/** A stretch of arrivals: those from place `base` on, submitted under one policy. */
export class Chunk {
  /** Two columns in one array: the run at 2i, its body at 2i + 1. */
  readonly cells: unknown[]
  readonly capacity: number
  /** Time of the first arrivals. */
  readonly firstTime: number
  lastTime: number
  /** Later times: pairs of (index from which on, time). A burst shares one pair. */
  laterTimes: (number | undefined)[] | undefined
  /** First index that may hold a command, and the one that is filled next. */
  head = 0
  tail = 0
  /** Commands still in it. */
  live = 0
  previous: Chunk | undefined
  next: Chunk | undefined
  readonly base: number
  readonly firstSeq: number
  readonly policy: AttemptPolicy

  constructor(capacity: number, base: number, firstSeq: number, policy: AttemptPolicy, now: number) {
    this.capacity = capacity
    this.cells = new Array(2 * capacity)
    this.base = base
    this.firstSeq = firstSeq
    this.policy = policy
    this.firstTime = now
    this.lastTime = now
    this.laterTimes = undefined
    this.previous = undefined
    this.next = undefined
  }

  runAt(index: number): Run | undefined {
    return this.cells[2 * index] as Run | undefined
  }

  addTime(index: number, now: number): void {
    // No number first: V8 then keeps the times as pointers, and the commands of a burst share one boxed number.
    this.laterTimes ??= [undefined, undefined]
    this.laterTimes.push(index, now)
    this.lastTime = now
  }

  timeAt(index: number): number {
    return this.laterTimes === undefined ? this.firstTime : this.#searchTime(this.laterTimes, index)
  }

  #searchTime(times: readonly (number | undefined)[], index: number): number {
    let low = 0
    let high = times.length / 2 - 1
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if ((times[middle * 2] as number) > index) high = middle - 1
      else low = middle
    }
    return low === 0 ? this.firstTime : (times[low * 2 + 1] as number)
  }
}

/** The first command of a chunk that holds one; what is passed over is not looked at again. */
export function firstIndex(chunk: Chunk): number {
  while (chunk.cells[2 * chunk.head] === undefined) chunk.head++
  return chunk.head
}

/** The last command of a chunk that holds one. */
export function lastIndex(chunk: Chunk): number {
  let index = chunk.tail - 1
  while (chunk.cells[2 * index] === undefined) index--
  return index
}
