/** Measured values of one quantity. All of them are kept, so the percentiles are exact; fine for some ten thousand. */

/** What a set of samples says, in the unit of its values. */
export type Summary = {
  readonly count: number
  readonly p50: number
  readonly p99: number
  readonly max: number
}

export class Samples {
  readonly #values: number[] = []

  add(value: number): void {
    this.#values.push(value)
  }

  get count(): number {
    return this.#values.length
  }

  /** Null when nothing was measured: a figure that is not there is better than a zero. */
  summary(): Summary | null {
    if (this.#values.length === 0) return null
    const sorted = Float64Array.from(this.#values).sort()
    return { count: sorted.length, p50: at(sorted, 0.5), p99: at(sorted, 0.99), max: at(sorted, 1) }
  }
}

/** The smallest value that a share of all values does not exceed (nearest rank). */
const at = (sorted: Float64Array, share: number): number =>
  round(sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] as number)

/** To the microsecond, when the unit is a millisecond: the clock is not better than that. */
const round = (value: number): number => Math.round(value * 1000) / 1000
