import { isLaneError, type LaneDefinition } from '@a3s-lab/lane'
import type { DrivenQueue } from '../driven-queue.js'
import type { ReferenceQueue } from '../reference-queue.js'
import { type ModelCommand, pick } from './model-command.js'

/** Changes a lane while it runs; a change that cannot be is refused and changes nothing. */
export class ConfigureLane implements ModelCommand {
  readonly #lane: number
  readonly #change: Partial<LaneDefinition>

  constructor(lane: number, change: Partial<LaneDefinition>) {
    this.#lane = lane
    this.#change = change
  }

  check(): boolean {
    return true
  }

  run(model: ReferenceQueue, real: DrivenQueue): void {
    const lane = pick(model.lanes, this.#lane)
    const expected = model.configure(lane, this.#change) ? 'done' : 'CONFIG_INVALID'
    let answer = 'done'
    try {
      real.queue.lane(lane.id).configure(this.#change)
    } catch (error) {
      answer = isLaneError(error) ? error.code : String(error)
    }
    if (answer !== expected) real.faults.push(`configure answered ${answer}, expected ${expected}`)
  }

  toString(): string {
    return `configure lane ${this.#lane} ${JSON.stringify(this.#change)}`
  }
}
