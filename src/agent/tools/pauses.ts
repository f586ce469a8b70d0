import { systemClock } from '../../core/index.js'

/** How long work may go on before everything else has its turn. */
const LONGEST_STRETCH_MS = 8

/** Lets the event loop have its turn, often enough, in work that would hold it. */
export class Pauses {
  readonly #signal: AbortSignal
  #since = systemClock.now()

  constructor(signal: AbortSignal) {
    this.#signal = signal
  }

  /** Whether it is time for `take`. */
  get isDue(): boolean {
    return systemClock.now() - this.#since > LONGEST_STRETCH_MS
  }

  /** Gives everything else a turn. Throws when the signal has aborted. */
  async take(): Promise<void> {
    await new Promise<void>((resolve) => systemClock.nextTurn?.(resolve))
    this.#signal.throwIfAborted()
    this.#since = systemClock.now()
  }
}
