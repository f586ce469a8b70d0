import type { DrivenQueue } from '../driven-queue.js'
import type { ReferenceQueue } from '../reference-queue.js'
import type { ModelCommand } from './model-command.js'

/** Several steps in one stretch of synchronous code: nothing starts between them. */
export class Burst implements ModelCommand {
  readonly #steps: readonly ModelCommand[]

  constructor(steps: readonly ModelCommand[]) {
    this.#steps = steps
  }

  check(): boolean {
    return true
  }

  run(model: ReferenceQueue, real: DrivenQueue): void {
    for (const step of this.#steps) if (step.check(model)) void step.run(model, real)
  }

  toString(): string {
    return `at once [${this.#steps.map(String).join('; ')}]`
  }
}
