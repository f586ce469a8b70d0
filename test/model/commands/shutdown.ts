import type { DrivenQueue } from '../driven-queue.js'
import type { ReferenceQueue } from '../reference-queue.js'
import type { ModelCommand } from './model-command.js'

export class Shutdown implements ModelCommand {
  check(): boolean {
    return true
  }

  run(model: ReferenceQueue, real: DrivenQueue): void {
    model.shutdown()
    void real.queue.shutdown()
  }

  toString(): string {
    return 'shutdown'
  }
}
