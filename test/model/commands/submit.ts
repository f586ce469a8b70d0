import type { DrivenQueue } from '../driven-queue.js'
import type { ReferenceQueue } from '../reference-queue.js'
import { type ModelCommand, type SubmitChoice, submitBoth } from './model-command.js'

export class Submit implements ModelCommand {
  readonly #choice: SubmitChoice

  constructor(choice: SubmitChoice) {
    this.#choice = choice
  }

  check(): boolean {
    return true
  }

  run(model: ReferenceQueue, real: DrivenQueue): void {
    submitBoth(model, real, this.#choice)
  }

  toString(): string {
    return `submit ${JSON.stringify(this.#choice)}`
  }
}
