import type { DrivenQueue } from '../driven-queue.js'
import type { ReferenceQueue } from '../reference-queue.js'
import { type ModelCommand, pick } from './model-command.js'

export class PauseLane implements ModelCommand {
  readonly #lane: number

  constructor(lane: number) {
    this.#lane = lane
  }

  check(): boolean {
    return true
  }

  run(model: ReferenceQueue, real: DrivenQueue): void {
    const lane = pick(model.lanes, this.#lane)
    model.setPaused(lane, true)
    real.queue.lane(lane.id).pause()
  }

  toString(): string {
    return `pause lane ${this.#lane}`
  }
}
