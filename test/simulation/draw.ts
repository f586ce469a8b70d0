/** What a seed draws: numbers, choices and times from one stream of random numbers that the seed replays. */
import { seededRandom } from '@a3s-lab/lane/testing'

export class Draw {
  readonly #random: { next(): number }

  constructor(seed: number) {
    this.#random = seededRandom(seed)
  }

  /** From 0 to 1, 1 left out. */
  next(): number {
    return this.#random.next()
  }

  /** An integer, both ends included. */
  int(min: number, max: number): number {
    return min + Math.floor(this.#random.next() * (max - min + 1))
  }

  chance(share: number): boolean {
    return this.#random.next() < share
  }

  pick<T>(items: readonly T[]): T {
    return items[this.int(0, items.length - 1)] as T
  }

  /** Whole milliseconds, exponentially distributed: what arrivals and service times look like when nothing is known. */
  exponential(mean: number): number {
    return Math.round(-mean * Math.log(1 - this.#random.next()))
  }

  /** Whole milliseconds of a Pareto distribution (shape 1.3) cut at 1,000 times its scale: mostly short, now and then very long. */
  heavyTailed(scale: number): number {
    return Math.round(Math.min(1000, (1 - this.#random.next()) ** (-1 / 1.3) - 0.5) * scale)
  }
}

/** A second stream that depends on the seed and a number only, whatever was drawn from the first. */
export function derivedDraw(seed: number, n: number): Draw {
  return new Draw((Math.imul(seed ^ 0x9e_37_79_b9, 0x85_eb_ca_6b) ^ Math.imul(n + 1, 0xc2_b2_ae_35)) >>> 0)
}
