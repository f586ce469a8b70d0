import type { DrivenQueue } from '../driven-queue.js'
import type { ReferenceQueue } from '../reference-queue.js'
import type { ModelCommand } from './model-command.js'

export class Start implements ModelCommand {
  check({ stopped, started }: ReferenceQueue): boolean {
    return started || !stopped
  }

  run(model: ReferenceQueue, real: DrivenQueue): void {
    model.start()
    void real.queue.start()
  }

  toString(): string {
    return 'start'
  }
}
