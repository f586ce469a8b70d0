import type { DrivenQueue } from '../driven-queue.js'
import type { ReferenceQueue } from '../reference-queue.js'
import { adopt, type ModelCommand, pick } from './model-command.js'

/** Runs a dead letter's command again; without a letter the run is refused. */
export class Redrive implements ModelCommand {
  readonly #command: number

  constructor(command: number) {
    this.#command = command
  }

  check(model: ReferenceQueue): boolean {
    return this.#candidates(model).length > 0
  }

  run(model: ReferenceQueue, real: DrivenQueue): void {
    const command = pick(this.#candidates(model), this.#command)
    const expected = model.redrive(command)
    adopt(real, real.queue.deadLetters.redrive(real.runs[command.n]?.run.id ?? ''), expected)
  }

  /** Letters first: most commands have none. */
  #candidates({ letters, commands }: ReferenceQueue): ReferenceQueue['commands'] {
    return letters.length > 0 ? letters.map(({ command }) => command) : commands
  }

  toString(): string {
    return `redrive ${this.#command}`
  }
}
