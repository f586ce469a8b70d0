/** The way from a `MemoryEngine` to its broker: slow, cut and mended as a test has it. */
import { type Clock, LaneError, type Timer } from '../core/index.js'

export type LinkParams = {
  readonly clock: Clock
  /** How long each call takes. */
  readonly latencyMs: number
  /** How long a call waits while the way is cut. */
  readonly offlineTimeoutMs: number
}

/** A call that waits for the way to be mended. */
type Waiting = { readonly go: () => void; readonly fail: (error: unknown) => void; readonly timer: Timer }

export class MemoryLink {
  readonly #params: LinkParams
  readonly #waiting = new Set<Waiting>()
  #isCut = false
  #isClosed = false

  constructor(params: LinkParams) {
    this.#params = params
  }

  get isUp(): boolean {
    return !this.#isCut && !this.#isClosed
  }

  /** Gives whether it was up. */
  cut(): boolean {
    const { isUp } = this
    this.#isCut = true
    return isUp
  }

  /** Gives whether it was cut. */
  mend(): boolean {
    if (!this.#isCut || this.#isClosed) return false
    this.#isCut = false
    for (const { go } of this.#takeWaiting()) go()
    return true
  }

  /** Calls that wait fail, and so does every later one. */
  close(): void {
    this.#isClosed = true
    for (const { fail } of this.#takeWaiting()) fail(closed())
  }

  /** Comes back when a call has arrived. `ENGINE_UNAVAILABLE` when it cannot. */
  async passage(): Promise<void> {
    if (this.#isClosed) throw closed()
    const { clock, latencyMs } = this.#params
    if (latencyMs > 0) await new Promise<void>((resolve) => void clock.setTimer(latencyMs, resolve))
    if (this.#isCut) await this.#mended()
    if (this.#isClosed) throw closed()
  }

  #mended(): Promise<void> {
    const { clock, offlineTimeoutMs } = this.#params
    return new Promise((resolve, reject) => {
      const timer = clock.setTimer(offlineTimeoutMs, () => {
        this.#waiting.delete(waiting)
        const text = `The engine could not be reached for ${offlineTimeoutMs} ms`
        reject(new LaneError('ENGINE_UNAVAILABLE', text))
      })
      const waiting = { go: resolve, fail: reject, timer }
      this.#waiting.add(waiting)
    })
  }

  #takeWaiting(): Waiting[] {
    const waiting = [...this.#waiting]
    this.#waiting.clear()
    for (const { timer } of waiting) this.#params.clock.clearTimer(timer)
    return waiting
  }
}

const closed = (): LaneError => new LaneError('ENGINE_UNAVAILABLE', 'The engine is closed', { retryable: false })
