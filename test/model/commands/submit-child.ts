import type { DrivenQueue } from '../driven-queue.js'
import type { ReferenceQueue } from '../reference-queue.js'
import { type ModelCommand, pick, type SubmitChoice, submitBoth } from './model-command.js'

/** `ctx.queue.submit`, from any body that runs, a zombie's too. */
export class SubmitChild implements ModelCommand {
  readonly #parent: number
  readonly #choice: SubmitChoice

  constructor(parent: number, choice: SubmitChoice) {
    this.#parent = parent
    this.#choice = choice
  }

  check(model: ReferenceQueue): boolean {
    return model.bodies.some(({ isEnding }) => !isEnding)
  }

  run(model: ReferenceQueue, real: DrivenQueue): void {
    const bodies = model.bodies.filter(({ isEnding }) => !isEnding)
    submitBoth(model, real, this.#choice, pick(bodies, this.#parent))
  }

  toString(): string {
    return `child of ${this.#parent} ${JSON.stringify(this.#choice)}`
  }
}
