/**
 * Commands of a lane that gave up their slot and go on before every other: first those that wait inside `ctx.yield`,
 * whose body is alive, then the preempted ones, each among themselves in order of arrival.
 */
import type { Entry } from './entry.js'
import type { Keys } from './keys.js'

type Place = { readonly entry: Entry; readonly seq: number; readonly isYielded: boolean }

export class Front {
  readonly #places: Place[] = []

  get size(): number {
    return this.#places.length
  }

  add(entry: Entry, seq: number, isYielded: boolean): void {
    const place = { entry, seq, isYielded }
    const at = this.#places.findIndex((other) => isBefore(place, other))
    this.#places.splice(at < 0 ? this.#places.length : at, 0, place)
  }

  /** The command that goes on next: the first whose key has room. */
  next(keys: Keys | undefined): Entry | undefined {
    return this.#places[this.#indexOfNext(keys)]?.entry
  }

  take(keys: Keys | undefined): Entry | undefined {
    return this.#removeAt(this.#indexOfNext(keys))
  }

  takeAny(): Entry | undefined {
    return this.#places.shift()?.entry
  }

  /** Takes a command out; false when it is not here. */
  remove(entry: Entry): boolean {
    return this.#removeAt(this.#indexOf(entry)) !== undefined
  }

  /** How many go before this one; -1 when it is not here. */
  ahead(entry: Entry): number {
    return this.#indexOf(entry)
  }

  moveTo(other: { putFirst(entry: Entry, seq: number, isYielded: boolean): void }): void {
    for (const { entry, seq, isYielded } of this.#places) other.putFirst(entry, seq, isYielded)
  }

  entries(): readonly Entry[] {
    return this.#places.map(({ entry }) => entry)
  }

  #indexOf(entry: Entry): number {
    return this.#places.findIndex((place) => place.entry === entry)
  }

  #indexOfNext(keys: Keys | undefined): number {
    return this.#places.findIndex(({ entry }) => keys === undefined || keys.hasRoom(entry))
  }

  #removeAt(index: number): Entry | undefined {
    return index < 0 ? undefined : this.#places.splice(index, 1)[0]?.entry
  }
}

const isBefore = (a: Place, b: Place): boolean => (a.isYielded === b.isYielded ? a.seq < b.seq : a.isYielded)
