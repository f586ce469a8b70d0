import type { DrivenQueue } from '../driven-queue.js'
import type { ReferenceQueue } from '../reference-queue.js'
import { type ModelCommand, pick } from './model-command.js'

/** Cancels what waits in a lane, or all of it. */
export class ClearLane implements ModelCommand {
  readonly #lane: number
  readonly #what: 'clear' | 'cancelAll'

  constructor(lane: number, what: 'clear' | 'cancelAll') {
    this.#lane = lane
    this.#what = what
  }

  check(): boolean {
    return true
  }

  run(model: ReferenceQueue, real: DrivenQueue): void {
    const lane = pick(model.lanes, this.#lane)
    const expected = model[this.#what](lane)
    const count = real.queue.lane(lane.id)[this.#what]()
    if (count !== expected) real.faults.push(`${this.#what} of lane ${lane.id} gave ${count}, expected ${expected}`)
  }

  toString(): string {
    return `${this.#what} lane ${this.#lane}`
  }
}
