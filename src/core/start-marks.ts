/**
 * Attempts that begin, until it is written that they have: each has a place in which its start is marked, and keeps it as
 * long as a crash could not be told from what is written.
 */
import type { QueueCore } from './core.js'
import type { Entry } from './entry.js'
import type { Storage, StoredStart } from './storage.js'
import { storageError } from './storage-errors.js'
import type { Stored } from './stored.js'

export class StartMarks {
  readonly #core: QueueCore
  readonly #storage: Storage
  #starts: StoredStart[] = []
  readonly #free: number[] = []
  #places = 0

  constructor(core: QueueCore, storage: Storage) {
    this.#core = core
    this.#storage = storage
  }

  /** An attempt begins. */
  add(entry: Entry, stored: Stored): void {
    if (stored.place < 0) stored.place = this.#free.pop() ?? this.#places++
    stored.markedAttempt = entry.attempt
    this.#starts.push({ place: stored.place, seq: stored.seq, attempt: entry.attempt })
  }

  /** Marks those that have begun since. */
  write(): void {
    if (this.#starts.length === 0) return
    const starts = this.#starts
    this.#starts = []
    try {
      this.#storage.begin(starts)
    } catch (error) {
      // The bodies run all the same: a crash would count one attempt less.
      this.#core.fault(storageError('Could not mark the start of an attempt', error))
    }
  }

  /** So many attempts of a command are written. */
  written(stored: Stored, attempt: number): void {
    if (stored.place < 0 || stored.markedAttempt > attempt) return
    this.#free.push(stored.place)
    stored.place = -1
  }
}
