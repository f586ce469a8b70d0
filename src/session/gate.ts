/**
 * Holds back what a paused session would hand to its engine: those lanes are not the session's alone, so they are not paused
 * for it.
 */
import { cancelledError } from '../core/index.js'
import type { CommandRequest } from './commands.js'
import type { SessionLane } from './lanes.js'

type Waiting = {
  readonly request: CommandRequest
  readonly goOn: () => void
  readonly refuse: (error: unknown) => void
}

export class Gate {
  #isShut = false
  readonly #waiting = new Set<Waiting>()

  get isShut(): boolean {
    return this.#isShut
  }

  shut(): void {
    this.#isShut = true
  }

  open(): void {
    this.#isShut = false
    for (const { goOn } of [...this.#waiting]) goOn()
  }

  /** Resolves when it is open again. Rejects when the request is refused or its signal aborts. */
  passed(request: CommandRequest): Promise<void> {
    const signal = request.options?.signal
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        this.#waiting.delete(waiting)
        signal?.removeEventListener('abort', onAbort)
      }
      const onAbort = (): void => waiting.refuse(cancelledError(signal?.reason))
      const waiting: Waiting = {
        request,
        goOn: () => {
          leave()
          resolve()
        },
        refuse: (error) => {
          leave()
          reject(error)
        },
      }
      this.#waiting.add(waiting)
      if (signal?.aborted === true) onAbort()
      else signal?.addEventListener('abort', onAbort, { once: true })
    })
  }

  /** Refuses what waits and is meant; gives their number. */
  refuse(error: unknown, isMeant: (request: CommandRequest) => boolean): number {
    const meant = [...this.#waiting].filter(({ request }) => isMeant(request))
    for (const { refuse } of meant) refuse(error)
    return meant.length
  }

  /** How many wait for a lane. */
  countOf(lane: SessionLane): number {
    return [...this.#waiting].filter(({ request }) => request.lane === lane).length
  }
}
