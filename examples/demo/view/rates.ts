/** How much each lane has done lately, as a little curve. */
import type { Figures } from '../figures.js'

const STEPS = '▁▂▃▄▅▆▇█'

/** Moments that are kept; one is a quarter of a second. */
const KEPT = 40
export const MOMENT_MS = 250

export class Rates {
  readonly #figures: Figures
  readonly #last = new Map<string, number>()
  readonly #moments = new Map<string, number[]>()

  constructor(figures: Figures) {
    this.#figures = figures
  }

  /** To be called once per moment. */
  sample(): void {
    for (const id of this.#figures.lanes) {
      const { done } = this.#figures.lane(id)
      const moments = this.#moments.get(id) ?? []
      moments.push(done - (this.#last.get(id) ?? 0))
      if (moments.length > KEPT) moments.shift()
      this.#moments.set(id, moments)
      this.#last.set(id, done)
    }
  }

  /** The last moments; each lane's own highest is the top. */
  sparkline(id: string, cells: number): string {
    const moments = this.#moments.get(id)?.slice(-cells) ?? []
    const top = Math.max(1, ...moments)
    return moments.map((n) => (n === 0 ? ' ' : STEPS[Math.round((n / top) * (STEPS.length - 1))])).join('')
  }
}
