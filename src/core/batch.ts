/** What has changed since the last write, and who waits until it is written. */
import type { Entry } from './entry.js'
import type { LaneError } from './errors.js'
import { quiet } from './run.js'
import type { StorageChange } from './storage.js'

/** What goes into one batch. */
export class Batch {
  readonly arrivals: Entry[] = []
  readonly changed: Entry[] = []
  readonly others: StorageChange[] = []
  /** Refused submits that may have been written all the same. First, since their ids may be another's now. */
  readonly withdrawn: StorageChange[] = []
  /** Commands whose outcome it holds; known when it is written. */
  readonly settled: Entry[] = []
  #promise: Promise<void> | undefined
  #resolve: (() => void) | undefined
  #reject: ((error: unknown) => void) | undefined

  get isEmpty(): boolean {
    return (
      this.arrivals.length === 0 && this.changed.length === 0 && this.others.length === 0 && this.withdrawn.length === 0
    )
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
