/**
 * Who owns a deduplication id. One table per queue; it knows ids, owners and instants, and nothing of commands: what a
 * duplicate means (`drop`, `replace`, `keep-last`) its caller decides.
 *
 * An owner holds its id while it is unsettled, and until its window ends if that is later. Windows of settled owners
 * are looked through at each call and need no timer; a call costs O(log n) in their number, spread over all calls.
 */
import { configInvalid, invariant } from '../core/errors.js'
import { checkDuration, checkFields } from './option-checks.js'

/** What becomes of a duplicate: the owner's run is its answer, it replaces an owner that has not started, or the newest one follows the owner. */
export type DedupeMode = 'drop' | 'replace' | 'keep-last'

/** Deduplication of a submit. */
export type DedupeOptions = {
  /** Commands with the same one are duplicates of each other. Not empty. */
  readonly id: string
  /** Milliseconds from the submission in which the id is held, also when the command settles earlier. Default: only until it settles. */
  readonly ttlMs?: number | undefined
  /** Default 'drop'. */
  readonly mode?: DedupeMode | undefined
}

/** Checked options with the default filled in. */
export type CheckedDedupe = {
  readonly id: string
  readonly ttlMs: number | undefined
  readonly mode: DedupeMode
}

const MODES: readonly string[] = ['drop', 'replace', 'keep-last']

/** Checks the options; `CONFIG_INVALID` names the one that is wrong, `where` the object. */
export function dedupeOptions(where: string, value: unknown): CheckedDedupe {
  checkFields(where, value, ['id', 'ttlMs', 'mode'])
  const { id, ttlMs, mode = 'drop' } = value as DedupeOptions
  if (typeof id !== 'string' || id === '') throw configInvalid(`${where}.id`, 'a string that is not empty', id)
  if (ttlMs !== undefined) checkDuration(`${where}.ttlMs`, ttlMs)
  if (!MODES.includes(mode)) throw configInvalid(`${where}.mode`, "one of 'drop', 'replace', 'keep-last'", mode)
  return { id, ttlMs, mode }
}

/** One id that is held. */
type Hold<T> = {
  readonly id: string
  owner: T
  /** End of the window; -Infinity when the id is only held until its owner settles. */
  expiresAt: number
  isSettled: boolean
  /** The newest duplicate, which becomes the owner when the owner settles. */
  successor: { readonly owner: T; readonly expiresAt: number } | undefined
}

/** Owners by deduplication id. Owners are told apart by identity. */
export class DedupeTable<T> {
  readonly #holds = new Map<string, Hold<T>>()
  /** Holds of settled owners, the one whose window ends first on top: a binary heap. */
  readonly #windows: Hold<T>[] = []

  /** Ids that are held, among them those whose window has ended since the last call that said the time. */
  get size(): number {
    return this.#holds.size
  }

  /** The id belongs to a new owner, until it settles and at least until `expiresAt`. For an id that nobody holds. */
  claim(id: string, owner: T, expiresAt: number | undefined): void {
    invariant(
      this.#holds.get(id)?.successor === undefined,
      `dedupe id '${id}' has a duplicate that waits for its owner`,
    )
    this.#hold(id, owner, expiresAt ?? Number.NEGATIVE_INFINITY)
  }

  /**
   * Another takes an id over, with the rest of its window and with the remembered duplicate; gives the owner that it
   * replaces, if there was one. To be called before that one is cancelled, which settles it.
   */
  replace(id: string, owner: T): T | undefined {
    const hold = this.#holds.get(id)
    const earlier = hold?.owner
    if (hold === undefined || hold.isSettled) this.claim(id, owner, hold?.expiresAt)
    else hold.owner = owner
    return earlier
  }

  /** Who holds the id, settled or not. */
  ownerOf(id: string, now: number): T | undefined {
    this.purge(now)
    return this.#holds.get(id)?.owner
  }

  /** Keeps a duplicate as the one that follows the owner, with a window of its own; gives the one that it replaces. */
  remember(id: string, successor: T, expiresAt?: number): T | undefined {
    const hold = this.#holds.get(id)
    invariant(hold !== undefined && !hold.isSettled, `dedupe id '${id}' has no unsettled owner to follow`)
    const earlier = hold.successor?.owner
    hold.successor = { owner: successor, expiresAt: expiresAt ?? Number.NEGATIVE_INFINITY }
    return earlier
  }

  /**
   * A command with this id has settled. An owner leaves the id to the remembered duplicate, which is given back, else to
   * nobody once its window has ended. A remembered duplicate is forgotten; anybody else changes nothing.
   */
  settled(id: string, owner: T, now: number): T | undefined {
    this.purge(now)
    const hold = this.#holds.get(id)
    if (hold === undefined) return undefined
    if (hold.owner !== owner || hold.isSettled) {
      if (hold.successor?.owner === owner) hold.successor = undefined
      return undefined
    }
    if (hold.successor === undefined) {
      hold.isSettled = true
      if (hold.expiresAt > now) this.#pushWindow(hold)
      else this.#holds.delete(id)
      return undefined
    }
    const next = hold.successor
    this.#hold(id, next.owner, next.expiresAt)
    return next.owner
  }

  /** Forgets the ids of settled owners whose window has ended. */
  purge(now: number): void {
    for (let first = this.#windows[0]; first !== undefined && first.expiresAt <= now; first = this.#windows[0]) {
      this.#popWindow()
      // Its id may have been claimed again meanwhile.
      if (this.#holds.get(first.id) === first) this.#holds.delete(first.id)
    }
  }

  #hold(id: string, owner: T, expiresAt: number): void {
    this.#holds.set(id, { id, owner, expiresAt, isSettled: false, successor: undefined })
  }

  #pushWindow(hold: Hold<T>): void {
    const heap = this.#windows
    let index = heap.length
    while (index > 0) {
      const above = (index - 1) >> 1
      const parent = heap[above] as Hold<T>
      if (parent.expiresAt <= hold.expiresAt) break
      heap[index] = parent
      index = above
    }
    heap[index] = hold
  }

  #popWindow(): void {
    const heap = this.#windows
    const last = heap.pop() as Hold<T>
    if (heap.length === 0) return
    let index = 0
    for (;;) {
      let below = 2 * index + 1
      if (below >= heap.length) break
      if (below + 1 < heap.length && expires(heap, below + 1) < expires(heap, below)) below++
      if (expires(heap, below) >= last.expiresAt) break
      heap[index] = heap[below] as Hold<T>
      index = below
    }
    heap[index] = last
  }
}

const expires = <T>(heap: readonly Hold<T>[], index: number): number => (heap[index] as Hold<T>).expiresAt
