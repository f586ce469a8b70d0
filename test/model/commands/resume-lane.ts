import type { DrivenQueue } from '../driven-queue.js'
import type { ReferenceQueue } from '../reference-queue.js'
import { type ModelCommand, pick } from './model-command.js'

export class ResumeLane implements ModelCommand {
  readonly #lane: number

  constructor(lane: number) {
    this.#lane = lane
  }

  check(): boolean {
    return true
  }

  run(model: ReferenceQueue, real: DrivenQueue): void {
    const lane = pick(model.lanes, this.#lane)
    model.setPaused(lane, false)
    real.queue.lane(lane.id).resume()
  }

  toString(): string {
    return `resume lane ${this.#lane}`
  }
}
