/** The calls that queues make to their storage, counted by kind through all processes, and the one of them that fails. */

export const STORAGE_CALLS = [
  'attach',
  'load',
  'coldCounts',
  'letters',
  'write',
  'begin',
  'page',
  'find',
  'list',
  'close',
] as const

export type StorageCall = (typeof STORAGE_CALLS)[number]

/**
 * How a call fails: it throws, or rejects when it answers later; does what it should and then fails; fails, as do all later
 * calls of its kind while there are faults; is not answered while there are faults.
 */
export type StorageFaultMode = 'fails' | 'done-then-fails' | 'from-then-on' | 'hangs'

/** What only reads has nothing to be done; what answers at once cannot hang. */
export const STORAGE_MODES: Readonly<Record<StorageCall, readonly StorageFaultMode[]>> = {
  attach: ['fails', 'done-then-fails', 'from-then-on'],
  load: ['fails', 'from-then-on'],
  coldCounts: ['fails', 'from-then-on'],
  letters: ['fails', 'from-then-on'],
  write: ['fails', 'done-then-fails', 'from-then-on', 'hangs'],
  begin: ['fails', 'done-then-fails', 'from-then-on'],
  page: ['fails', 'from-then-on'],
  find: ['fails', 'from-then-on'],
  list: ['fails', 'from-then-on'],
  close: ['fails', 'done-then-fails', 'from-then-on', 'hangs'],
}

/** The `k`-th call (from 1) of a kind fails. */
export type StorageFault = { readonly call: StorageCall; readonly k: number; readonly mode: StorageFaultMode }

export class StorageCalls {
  readonly counts = Object.fromEntries(STORAGE_CALLS.map((call) => [call, 0])) as Record<StorageCall, number>
  /** How often a call failed. */
  hits = 0
  readonly #fault: StorageFault | undefined
  #isHealed = false

  constructor(fault?: StorageFault) {
    this.#fault = fault
  }

  /** Counts a call; how it fails, if it does. */
  next(call: StorageCall): StorageFaultMode | undefined {
    if (this.#isHealed) return undefined
    const n = ++this.counts[call]
    const fault = this.#fault
    if (fault?.call !== call || (fault.mode === 'from-then-on' ? n < fault.k : n !== fault.k)) return undefined
    this.hits++
    return fault.mode
  }

  /** From now on nothing fails. */
  heal(): void {
    this.#isHealed = true
  }

  error(): Error {
    return new Error(`the planted fault of ${this.#fault?.call ?? 'nothing'}`)
  }
}
