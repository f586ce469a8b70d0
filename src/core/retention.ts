/** The newest settled commands, kept so that `get`, `list` and a second submit of an id still find them. */
import type { Entry } from './entry.js'

export class Retention {
  readonly #count: number
  readonly #ring: (Entry | undefined)[] = []
  #next = 0
  readonly #onEvict: (entry: Entry) => void

  constructor(count: number, onEvict: (entry: Entry) => void) {
    this.#count = count
    this.#onEvict = onEvict
  }

  keep(entry: Entry): void {
    if (this.#count === 0) return this.#onEvict(entry)
    const oldest = this.#ring[this.#next]
    this.#ring[this.#next] = entry
    this.#next = this.#next + 1 === this.#count ? 0 : this.#next + 1
    if (oldest !== undefined) this.#onEvict(oldest)
  }

  *[Symbol.iterator](): Generator<Entry> {
    for (const entry of this.#ring) if (entry !== undefined) yield entry
  }
}
