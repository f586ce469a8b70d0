/**
 * Holds back the tool calls that a paused session would hand to its engine: those lanes are not the session's alone, so they
 * are not paused for it.
 */
import { cancelledError } from '../core/index.js'
import type { SessionLane } from './lanes.js'
import type { CommandRequest } from './session-command.js'

type Held = { readonly request: CommandRequest; readonly goOn: () => void; readonly refuse: (error: unknown) => void }

export class Gate {
  #isShut = false
  readonly #held = new Set<Held>()
  readonly #onLeave: () => void

  constructor(onLeave: () => void) {
    this.#onLeave = onLeave
  }

  get isShut(): boolean {
    return this.#isShut
  }

  /** How many are held. */
  get size(): number {
    return this.#held.size
  }

  shut(): void {
    this.#isShut = true
  }

  /** Submits what is held, there and then: whoever cancels next finds it among the commands. */
  open(): void {
    this.#isShut = false
    for (const { goOn } of [...this.#held]) goOn()
  }

  /** Submits when the gate is open again. Rejects when the request is refused before, or its signal aborts. */
  hold(request: CommandRequest, submit: (request: CommandRequest) => PromiseLike<unknown>): Promise<unknown> {
    const signal = request.options?.signal
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        this.#held.delete(held)
        signal?.removeEventListener('abort', onAbort)
      }
      const onAbort = (): void => held.refuse(cancelledError(signal?.reason))
      const held: Held = {
        request,
        goOn: () => {
          leave()
          resolve(submit(request))
          this.#onLeave()
        },
        refuse: (error) => {
          leave()
          reject(error)
          this.#onLeave()
        },
      }
      this.#held.add(held)
      if (signal?.aborted === true) onAbort()
      else signal?.addEventListener('abort', onAbort, { once: true })
    })
  }

  /** Refuses what is held and meant; gives their number. */
  refuse(error: unknown, isMeant: (request: CommandRequest) => boolean): number {
    const meant = [...this.#held].filter(({ request }) => isMeant(request))
    for (const { refuse } of meant) refuse(error)
    return meant.length
  }

  /** How many are held for a lane. */
  countOf(lane: SessionLane): number {
    return [...this.#held].filter(({ request }) => request.lane === lane).length
  }
}
