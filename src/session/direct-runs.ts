/** What runs without a queue, in a session that has none. */

import { type ContextSession, directContext, SessionContext } from './context.js'
import type { CommandRequest } from './session-command.js'

export class DirectRuns {
  readonly #session: ContextSession
  readonly #onEnd: () => void
  readonly #running = new Set<AbortController>()
  #count = 0

  constructor(session: ContextSession, onEnd: () => void) {
    this.#session = session
    this.#onEnd = onEnd
  }

  get isRunning(): boolean {
    return this.#running.size > 0
  }

  /** Runs it here, now. */
  async run(
    { lane, type, payload, toolCallId, local }: CommandRequest,
    signal: AbortSignal | undefined,
  ): Promise<unknown> {
    const controller = new AbortController()
    const onAbort = (): void => controller.abort(signal?.reason)
    if (signal?.aborted === true) onAbort()
    else signal?.addEventListener('abort', onAbort, { once: true })
    const base = directContext(`direct-${++this.#count}`, controller.signal)
    const context = new SessionContext(base, { lane, type, payload, toolCallId }, this.#session)
    this.#running.add(controller)
    try {
      controller.signal.throwIfAborted()
      return await local?.(payload, context)
    } finally {
      context.isLive = false
      this.#running.delete(controller)
      signal?.removeEventListener('abort', onAbort)
      this.#onEnd()
    }
  }

  /** Tells all of them to stop; gives their number. */
  cancel(error: Error): number {
    for (const controller of this.#running) controller.abort(error)
    return this.#running.size
  }
}
