/** The newest settled commands, kept so that `get`, `list` and a second submit of an id still find them. */
import type { Entry } from './entry.js'
import type { Run } from './run.js'

export class Retention {
  readonly #count: number
  readonly #byId: Map<string, Entry>
  readonly #ring: Entry[] = []
  #next = 0

  /** `byId` loses what is no longer kept. */
  constructor(count: number, byId: Map<string, Entry>) {
    this.#count = count
    this.#byId = byId
  }

  keep(entry: Entry): void {
    const ring = this.#ring
    if (ring.length < this.#count) return void ring.push(entry)
    if (this.#count === 0) return this.#forget(entry)
    this.#forget(ring[this.#next] as Entry)
    ring[this.#next] = entry
    this.#next = this.#next + 1 === this.#count ? 0 : this.#next + 1
  }

  [Symbol.iterator](): Iterator<Entry> {
    return this.#ring.values()
  }

  /** The entry of a settled run, while it is kept. */
  entryOf(run: Run): Entry | undefined {
    return this.#ring.find((entry) => entry.run === run)
  }

  #forget(entry: Entry): void {
    // Asked first, because the entry is long out of the processor's caches.
    if (this.#byId.size > 0 && entry.details?.isListed === true) this.#byId.delete(entry.run.id)
  }
}
