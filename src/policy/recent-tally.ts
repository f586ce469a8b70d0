/**
 * How much happened lately, and how much of it was of one sort: failed, say. Kept in ten slices, so that the cost of a count
 * and the memory are constant. A slice is forgotten as a whole: what is counted stays for at least nine tenths of the window
 * and never longer than all of it.
 */

const SLICES = 10

export class RecentTally {
  /** What was counted within the window, and what of it was marked, as of the last `add` or `moveTo`. */
  count = 0
  marked = 0
  readonly #windowMs: number
  readonly #countIn = new Array<number>(SLICES).fill(0)
  readonly #markedIn = new Array<number>(SLICES).fill(0)
  /** Start of slice 0: the first that is counted after a time without any, so that a burst from there on is counted exactly. */
  #origin = 0
  #slice = 0

  constructor(windowMs: number) {
    this.#windowMs = windowMs
  }

  add(isMarked: boolean, now: number): void {
    this.moveTo(now)
    const index = this.#slice % SLICES
    this.count++
    this.#countIn[index] = (this.#countIn[index] as number) + 1
    if (!isMarked) return
    this.marked++
    this.#markedIn[index] = (this.#markedIn[index] as number) + 1
  }

  /** Forgets what is out of the window now. */
  moveTo(now: number): void {
    const slice = Math.floor(((now - this.#origin) * SLICES) / this.#windowMs)
    const last = Math.min(slice, this.#slice + SLICES)
    for (let old = this.#slice + 1; old <= last; old++) {
      const index = old % SLICES
      this.count -= this.#countIn[index] as number
      this.marked -= this.#markedIn[index] as number
      this.#countIn[index] = 0
      this.#markedIn[index] = 0
    }
    if (this.count > 0) this.#slice = Math.max(this.#slice, slice)
    else {
      this.#origin = now
      this.#slice = 0
    }
  }
}
