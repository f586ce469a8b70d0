import type { DrivenQueue } from '../driven-queue.js'
import type { ReferenceQueue } from '../reference-queue.js'
import { type ModelCommand, pick } from './model-command.js'

/** Cancels one command: by its run, by its id, or by the signal it was submitted with. */
export class Cancel implements ModelCommand {
  readonly #command: number
  readonly #by: 'run' | 'id' | 'signal'

  constructor(command: number, by: 'run' | 'id' | 'signal') {
    this.#command = command
    this.#by = by
  }

  check(model: ReferenceQueue): boolean {
    return this.#candidates(model).length > 0
  }

  run(model: ReferenceQueue, real: DrivenQueue): void {
    const command = pick(this.#candidates(model), this.#command)
    const expected = model.cancel(command)
    const tracked = real.runs[command.n]
    if (this.#by === 'signal') return real.signals.get(command.n)?.abort('no more')
    const seen =
      this.#by === 'run' ? tracked?.run.cancel('no more') : real.queue.cancel(tracked?.run.id ?? '', 'no more')
    if (seen !== expected) real.faults.push(`cancel of command ${command.n} answered ${seen}`)
  }

  #candidates(model: ReferenceQueue): ReferenceQueue['commands'] {
    return this.#by === 'signal' ? model.commands.filter(({ hasSignal }) => hasSignal) : model.commands
  }

  toString(): string {
    return `cancel ${this.#command} by ${this.#by}`
  }
}
