import type { CommandSpec } from '../command-spec.js'
import type { DrivenQueue } from '../driven-queue.js'
import type { ReferenceQueue } from '../reference-queue.js'
import { adopt, type ModelCommand, pick } from './model-command.js'

/**
 * `ctx.run`, from any body that runs. It gives only the result, so the run is fetched by submitting the same id again;
 * children are typed, because a function would not count as the same command.
 */
export class RunChild implements ModelCommand {
  readonly #parent: number
  /** Undefined for the parent's own lane. */
  readonly #lane: number | undefined
  readonly #spec: CommandSpec

  constructor(parent: number, lane: number | undefined, spec: CommandSpec) {
    this.#parent = parent
    this.#lane = lane
    this.#spec = { ...spec, form: 'typed' }
  }

  check(model: ReferenceQueue): boolean {
    return model.bodies.some(({ isEnding }) => !isEnding)
  }

  run(model: ReferenceQueue, real: DrivenQueue): void {
    const bodies = model.bodies.filter(({ isEnding }) => !isEnding)
    const parent = pick(bodies, this.#parent)
    const { id: laneId } = this.#lane === undefined ? parent.command.lane : pick(model.lanes, this.#lane)
    const options = { id: `child ${model.commands.length}` }
    const expected = model.runChild(parent, laneId, this.#spec, options)
    real.runChild(real.body(parent.command.n, parent.attempt), laneId, this.#spec, options)
    model.submit(laneId, this.#spec, options)
    const run = real.submit(laneId, this.#spec, options)
    adopt(real, run, expected)
  }

  toString(): string {
    return `run child of ${this.#parent} in lane ${this.#lane ?? 'of its own'} ${JSON.stringify(this.#spec)}`
  }
}
