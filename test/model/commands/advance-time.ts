import type { DrivenQueue } from '../driven-queue.js'
import type { ReferenceQueue } from '../reference-queue.js'
import type { ModelCommand } from './model-command.js'

export class AdvanceTime implements ModelCommand {
  readonly #ms: number

  constructor(ms: number) {
    this.#ms = ms
  }

  check(): boolean {
    return true
  }

  async run(model: ReferenceQueue, real: DrivenQueue): Promise<void> {
    model.advance(this.#ms)
    await real.clock.advance(this.#ms)
  }

  toString(): string {
    return `advance ${this.#ms} ms`
  }
}
