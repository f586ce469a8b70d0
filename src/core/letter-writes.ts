/**
 * What is written of dead letters. As with commands it is not what happened to a letter but what it is when the batch is
 * made: buried when it is in the ring, gone when it is not. So writes that fail are repeated in any order.
 */
import type { Batch } from './batch.js'
import type { DeadLetterQueue, LetterStore } from './dead-letters.js'
import type { StorageChange } from './storage.js'

export class LetterWrites {
  readonly #ring: DeadLetterQueue | undefined
  readonly #store: LetterStore
  /** Letters that go with redrives that are being written. */
  readonly #redriven = new Set<number>()

  constructor(ring: DeadLetterQueue | undefined, store: LetterStore) {
    this.#ring = ring
    this.#store = store
  }

  /** The letter goes in the write that brings the command that was made of it. */
  redrive(changes: StorageChange[], seq: number): void {
    changes.push({ kind: 'unbury', seq })
    this.#redriven.add(seq)
  }

  /** Whether that was written is known. */
  redriveEnded(seq: number): void {
    this.#redriven.delete(seq)
  }

  /** Adds what is to be written of the letters of a batch. */
  add(changes: StorageChange[], batch: Batch): void {
    for (const seq of batch.letters) {
      // What becomes of it is told when its redrive has ended.
      if (this.#redriven.has(seq)) continue
      const letter = this.#ring?.storedLetter(this.#store, seq)
      if (letter === undefined) changes.push({ kind: 'unbury', seq })
      else {
        changes.push({ kind: 'bury', letter })
        batch.buried.push(seq)
      }
    }
  }

  /** A batch is written: what it has buried anew is the newest. */
  written(batch: Batch): void {
    for (const seq of batch.buried) this.#ring?.storedAnew(this.#store, seq)
  }
}
