import type { End } from '../command-spec.js'
import type { DrivenQueue } from '../driven-queue.js'
import type { ReferenceQueue } from '../reference-queue.js'
import { type ModelCommand, pick } from './model-command.js'

/** A handler ends: with a value, an error, an outcome; a zombie's end has to be refused. */
export class EndBody implements ModelCommand {
  readonly #body: number
  readonly #how: End

  constructor(body: number, how: End) {
    this.#body = body
    this.#how = how
  }

  check(model: ReferenceQueue): boolean {
    return model.bodies.some(({ isEnding }) => !isEnding)
  }

  run(model: ReferenceQueue, real: DrivenQueue): void {
    const body = pick(
      model.bodies.filter(({ isEnding }) => !isEnding),
      this.#body,
    )
    real.body(body.command.n, body.attempt).end(this.#how)
    model.end(body, this.#how)
  }

  toString(): string {
    return `end body ${this.#body} ${JSON.stringify(this.#how)}`
  }
}
