/** Sums over the last so many milliseconds, in ten steps: what is told is of the last nine to ten tenths of the window. */

const STEPS = 10

export class TimeWindow {
  readonly #stepMs: number
  readonly #sums: number[] = new Array<number>(STEPS).fill(0)
  #step = Number.NEGATIVE_INFINITY
  #total = 0

  constructor(windowMs: number) {
    this.#stepMs = windowMs / STEPS
  }

  /** Milliseconds until what is counted now has left the window at the latest. */
  get lifeMs(): number {
    return this.#stepMs * (STEPS + 1)
  }

  add(amount: number, now: number): void {
    this.#advance(now)
    const at = this.#index(this.#step)
    this.#sums[at] = (this.#sums[at] as number) + amount
    this.#total += amount
  }

  total(now: number): number {
    this.#advance(now)
    return this.#total
  }

  #advance(now: number): void {
    const step = Math.floor(now / this.#stepMs)
    if (step <= this.#step) return
    const passed = Math.min(step - this.#step, STEPS)
    for (let n = 1; n <= passed; n++) {
      const at = this.#index(step - passed + n)
      this.#total -= this.#sums[at] as number
      this.#sums[at] = 0
    }
    this.#step = step
  }

  #index(step: number): number {
    return ((step % STEPS) + STEPS) % STEPS
  }
}
