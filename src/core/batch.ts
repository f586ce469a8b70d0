/** What has changed since the last write, and who waits until it is written. */
import type { Entry } from './entry.js'
import type { LaneError } from './errors.js'
import { quiet } from './run.js'
import type { StorageChange } from './storage.js'
import type { CommandState } from './transitions.js'

/** What goes into one batch. */
export class Batch {
  readonly arrivals: Entry[] = []
  readonly changed: Entry[] = []
  /** What of them is being written: attempt and state of each. */
  readonly attempts: number[] = []
  readonly states: CommandState[] = []
  /** Numbers of dead letters that have left the ring, or are back in it. */
  readonly letters = new Set<number>()
  /** Which of them are buried anew; known when it is written. */
  readonly buried: number[] = []
  /** What goes before all else: refused submits, whose ids may be another's now, and commands that leave memory, which may start. */
  readonly early: StorageChange[] = []
  /** Commands whose outcome it holds; known when it is written. */
  readonly settled: Entry[] = []
  #promise: Promise<void> | undefined
  #resolve: (() => void) | undefined
  #reject: ((error: unknown) => void) | undefined

  get size(): number {
    return this.arrivals.length + this.changed.length
  }

  get isEmpty(): boolean {
    return this.arrivals.length === 0 && this.changed.length === 0 && this.letters.size === 0 && this.early.length === 0
  }

  /** Resolves when the batch is written; rejects when it could not be. */
  get written(): Promise<void> {
    this.#promise ??= quiet(
      new Promise<void>((resolve, reject) => {
        this.#resolve = resolve
        this.#reject = reject
      }),
    )
    return this.#promise
  }

  answer(error?: LaneError): void {
    if (error === undefined) this.#resolve?.()
    else this.#reject?.(error)
  }
}
