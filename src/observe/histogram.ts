/**
 * A histogram of fixed error and bounded size: log-linear buckets, as in Gil Tene's HdrHistogram
 * (https://hdrhistogram.github.io/HdrHistogram/). Each power of two is cut into 128 equal buckets, so a bucket is at most
 * 1/128 of its values wide, and a percentile, which is told as its bucket's lower edge, is never above the true value and at
 * most 0.79 % below it. Whole numbers up to 256 are exact.
 *
 * Recording is reading the exponent and the first seven bits of the mantissa, and adding one. Percentiles are counted out
 * when they are asked for. Memory: 1 kB per power of two that was met, 64 kB at most.
 */

/** Buckets per power of two, as bits. */
const SUB_BITS = 7
const SUB_COUNT = 1 << SUB_BITS
/** Powers of two that are told apart: from 2^-20 (a nanosecond, in milliseconds) to 2^44 (500 years). */
const LOWEST_EXPONENT = -20
const OCTAVES = 64
const SMALLEST = 2 ** LOWEST_EXPONENT
const LARGEST = 2 ** (LOWEST_EXPONENT + OCTAVES)
/** The exponent of a double is stored with 1023 added. */
const FIRST_KEY = (LOWEST_EXPONENT + 1023) << SUB_BITS

/** Largest relative error of a percentile. */
export const HISTOGRAM_ERROR = 1 / SUB_COUNT

/** The same eight bytes as a number and as two words. */
const asNumber = new Float64Array(1)
const asWords = new Uint32Array(asNumber.buffer)
/** The word with sign, exponent and the top of the mantissa. */
const HIGH = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1 ? 1 : 0

/** Which bucket a value is in, counted from that of the smallest one. */
function keyOf(value: number): number {
  asNumber[0] = value < LARGEST ? value : LARGEST - 1
  return ((asWords[HIGH] as number) >>> (20 - SUB_BITS)) - FIRST_KEY
}

/** What a histogram tells. Empty: zeros, and `min` and `max` are the largest and the smallest finite number. */
export type HistogramStats = {
  readonly count: number
  readonly sum: number
  readonly min: number
  readonly max: number
  readonly mean: number
  readonly percentiles: HistogramPercentiles
}

export type HistogramPercentiles = {
  readonly p50: number
  readonly p90: number
  readonly p95: number
  readonly p99: number
}

export class Histogram {
  count = 0
  sum = 0
  min = Number.MAX_VALUE
  max = -Number.MAX_VALUE
  /** Values below 2^-20, zero and what is negative among them: they are told as the smallest value. */
  #tiny = 0
  /** Counts of one power of two each; none for those that were never met. */
  readonly #octaves: (Float64Array | undefined)[] = new Array<Float64Array | undefined>(OCTAVES).fill(undefined)

  /** Counts a value. What is not a finite number is ignored. */
  record(value: number): void {
    if (!(value - value === 0)) return
    this.count++
    this.sum += value
    if (value < this.min) this.min = value
    if (value > this.max) this.max = value
    if (value < SMALLEST) {
      this.#tiny++
      return
    }
    const key = keyOf(value)
    const octave = key >>> SUB_BITS
    const counts = this.#octaves[octave] ?? this.#addOctave(octave)
    const index = key & (SUB_COUNT - 1)
    counts[index] = (counts[index] as number) + 1
  }

  /** Adds what another histogram has counted: the result is that of recording everything here. */
  merge(other: Histogram): void {
    this.count += other.count
    this.sum += other.sum
    this.min = Math.min(this.min, other.min)
    this.max = Math.max(this.max, other.max)
    this.#tiny += other.#tiny
    other.#octaves.forEach((theirs, octave) => {
      if (theirs === undefined) return
      const counts = this.#octaves[octave] ?? this.#addOctave(octave)
      for (let index = 0; index < SUB_COUNT; index++) {
        counts[index] = (counts[index] as number) + (theirs[index] as number)
      }
    })
  }

  /** Forgets everything. */
  reset(): void {
    this.count = 0
    this.sum = 0
    this.min = Number.MAX_VALUE
    this.max = -Number.MAX_VALUE
    this.#tiny = 0
    this.#octaves.fill(undefined)
  }

  /**
   * The value with `share` of all values before it: of the sorted values the one with index floor(count x share), at most
   * the last. 0 when there is none.
   */
  percentile(share: number): number {
    return this.#valuesAt([share])[0] as number
  }

  stats(): HistogramStats {
    const [p50, p90, p95, p99] = this.#valuesAt([0.5, 0.9, 0.95, 0.99]) as [number, number, number, number]
    const { count, sum, min, max } = this
    return { count, sum, min, max, mean: count === 0 ? 0 : sum / count, percentiles: { p50, p90, p95, p99 } }
  }

  /**
   * How many values are at most each of the bounds, which rise. A value counts as its bucket's lower edge, as it does in
   * percentiles. A scrape asks this of hundreds of histograms, so buckets are added up without a look at their edges.
   */
  countsUpTo(bounds: readonly number[]): number[] {
    let seen = this.#tiny
    let from = 0
    return bounds.map((bound) => {
      if (bound < SMALLEST) return this.min <= bound ? this.#tiny : 0
      const to = keyOf(bound) + 1
      seen += this.#countBetween(from, to)
      from = to
      return seen
    })
  }

  /** The values in the buckets from the one key up to, and without, the other. */
  #countBetween(from: number, to: number): number {
    let sum = 0
    for (let octave = from >>> SUB_BITS; octave << SUB_BITS < to; octave++) {
      const counts = this.#octaves[octave]
      if (counts === undefined) continue
      const first = octave << SUB_BITS
      const end = Math.min(to - first, SUB_COUNT)
      for (let index = Math.max(from - first, 0); index < end; index++) sum += counts[index] as number
    }
    return sum
  }

  /** The values at rising shares, in one walk. */
  #valuesAt(shares: readonly number[]): number[] {
    if (this.count === 0) return shares.map(() => 0)
    const values: number[] = []
    let seen = 0
    this.#walk((lower, count) => {
      seen += count
      while (values.length < shares.length && seen > this.#rank(shares[values.length] as number)) {
        values.push(Math.min(Math.max(lower, this.min), this.max))
      }
      return values.length < shares.length
    })
    return values
  }

  #rank(share: number): number {
    return Math.min(Math.floor(this.count * share), this.count - 1)
  }

  /** The buckets that hold something, smallest first, with their lower edge, for as long as `visit` wants more. */
  #walk(visit: (lower: number, count: number) => boolean): void {
    if (this.#tiny > 0 && !visit(this.min, this.#tiny)) return
    for (let octave = 0; octave < OCTAVES; octave++) {
      const counts = this.#octaves[octave]
      if (counts === undefined) continue
      const base = 2 ** (LOWEST_EXPONENT + octave)
      for (let index = 0; index < SUB_COUNT; index++) {
        const count = counts[index] as number
        if (count > 0 && !visit(base + (index * base) / SUB_COUNT, count)) return
      }
    }
  }

  #addOctave(octave: number): Float64Array {
    const counts = new Float64Array(SUB_COUNT)
    this.#octaves[octave] = counts
    return counts
  }
}
