/** The start of a session's queues: implied by its first use, and with a storage by way of what that holds. */
import type { QueueManager } from '../core/index.js'
import type { Commands } from './commands.js'
import type { SessionLane } from './lanes.js'
import type { SessionLanes } from './session-lanes.js'

export class SessionStart {
  readonly #lanes: SessionLanes | undefined
  readonly #commands: Commands
  readonly #hasLocal: (type: string) => boolean
  #started: Promise<void> | undefined

  constructor(lanes: SessionLanes | undefined, commands: Commands, hasLocal: (type: string) => boolean) {
    this.#lanes = lanes
    this.#commands = commands
    this.#hasLocal = hasLocal
  }

  begin(): Promise<void> {
    this.#started ??= this.#begin()
    return this.#started
  }

  /** Begins, if nobody has. A start that fails is told by every command: the queue refuses them. */
  implied(): void {
    if (this.#started === undefined) this.begin().catch(() => undefined)
  }

  async #begin(): Promise<void> {
    if (this.#lanes === undefined) return
    const { queue, shared } = this.#lanes
    if (queue.storage !== undefined) await this.#serveStored(queue)
    await queue.start()
    try {
      await shared?.start()
    } catch (error) {
      // what the engine needs may be there at the next use
      this.#started = undefined
      throw error
    }
  }

  /**
   * What the process before has left: its tool calls are to be settled, and its direct submissions to be run where this
   * process knows how. The others wait until a handler for their type is registered.
   */
  async #serveStored(queue: QueueManager<SessionLane>): Promise<void> {
    for (const state of ['pending', 'delayed', 'active'] as const) {
      let cursor: string | undefined
      do {
        const page = await queue.list({ state, limit: 1000, cursor })
        for (const { commandType, metadata } of page.items) {
          if (needsNoCode(metadata) || this.#hasLocal(commandType)) this.#commands.serve(commandType)
        }
        cursor = page.nextCursor
      } while (cursor !== undefined)
    }
  }
}

/** Whether nothing has to be known here of a stored command: its turn is over, or it is done outside. */
function needsNoCode(metadata: unknown): boolean {
  const { session } = new Object(metadata) as { session?: { kind?: string; handler?: { mode?: string } } }
  return session?.kind === 'tool' || session?.handler?.mode === 'external'
}
