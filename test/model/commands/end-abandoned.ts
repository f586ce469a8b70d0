import type { DrivenQueue } from '../driven-queue.js'
import { type ModelCommand, pick } from './model-command.js'

/** A body that was given up ends after all: nothing may come of it, so the reference is not even told. */
export class EndAbandoned implements ModelCommand {
  readonly #body: number

  constructor(body: number) {
    this.#body = body
  }

  check(): boolean {
    return true
  }

  run(_model: unknown, real: DrivenQueue): void {
    const given = real.bodies.filter(({ n, attempt }) => real.abandoned.has(`${n}#${attempt}`))
    if (given.length > 0) pick(given, this.#body).end({ kind: 'return' })
  }

  toString(): string {
    return `end abandoned body ${this.#body}`
  }
}
