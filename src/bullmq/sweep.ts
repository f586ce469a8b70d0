/**
 * Gives commands back whose worker is gone, and removes settled ones that are too many or too old: every lane is looked
 * through each second, by one worker at a time. A worker whose own event loop has stalled holds back until its leases are
 * renewed: they may have ended only because it was late.
 */
import type { Clock, EngineUse, Timer } from '../core/index.js'
import type { CheckedOptions } from './options.js'

const SWEEP_MS = 1000
/** A sweep of another worker counts for so long: a little less than the time between two of one worker. */
export const SWEPT_MS = 900

/** What is swept. */
export type Swept = { readonly isUp: boolean; readonly sweep: () => Promise<unknown> }

export class Sweep {
  readonly #swept: Swept
  readonly #leases: { readonly count: number }
  readonly #use: EngineUse
  readonly #clock: Clock
  readonly #options: SweepOptions
  #timer: Timer | undefined
  #sweptAt = 0
  /** Until then this worker's leases may have ended only because it was late itself. */
  #lateUntil = 0

  constructor(swept: Swept, leases: { readonly count: number }, use: EngineUse, options: SweepOptions) {
    this.#swept = swept
    this.#leases = leases
    this.#use = use
    this.#clock = options.clock
    this.#options = options
  }

  start(): void {
    this.#sweptAt = this.#clock.now()
    this.#timer = this.#clock.setTimer(SWEEP_MS, () => this.#due(), true)
  }

  /** The leases of this worker were renewed. */
  renewed(): void {
    this.#lateUntil = 0
  }

  close(): void {
    if (this.#timer !== undefined) this.#clock.clearTimer(this.#timer)
  }

  #due(): void {
    const { leaseMs } = this.#options
    const now = this.#clock.now()
    const wasLate = now - this.#sweptAt > SWEEP_MS + leaseMs / 4
    if (wasLate && this.#leases.count > 0) this.#lateUntil = now + leaseMs
    this.start()
    if (now < this.#lateUntil || !this.#swept.isUp) return
    this.#swept.sweep().catch((error: unknown) => {
      if (this.#swept.isUp) this.#use.onFault(error)
    })
  }
}

export type SweepOptions = Pick<CheckedOptions, 'clock' | 'leaseMs'>
