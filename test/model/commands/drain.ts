import type { DrivenQueue } from '../driven-queue.js'
import type { ReferenceQueue } from '../reference-queue.js'
import type { ModelCommand } from './model-command.js'

/** Half a millisecond off every other instant, so that a limit never falls on the moment that would have met it. */
export class Drain implements ModelCommand {
  readonly #ms: number

  constructor(ms: number) {
    this.#ms = ms + 0.5
  }

  check(): boolean {
    return true
  }

  run(model: ReferenceQueue, real: DrivenQueue): void {
    model.drain(this.#ms)
    real.drain(this.#ms)
  }

  toString(): string {
    return `drain within ${this.#ms} ms`
  }
}
