/** Submits whose payload is checked by a schema that takes its time: each has its run at once, and is accepted when its payload is. */

import { cancelledError } from './cancelled-error.js'
import type { ParsedCommand } from './command.js'
import type { QueueCore } from './core.js'
import { errorText, isLaneError, LaneError } from './errors.js'
import type { Run, Settle } from './run.js'

/** A submit under way. */
type Checking = { readonly parsed: ParsedCommand; readonly refuse: (error: LaneError) => void }

export class PayloadChecks {
  readonly #core: QueueCore
  readonly #refused: (run: Run, settle: Settle, error: LaneError) => void
  readonly #checking = new Map<Run, Checking>()

  /** `refused` ends the run of a submit that is not accepted. */
  constructor(core: QueueCore, refused: (run: Run, settle: Settle, error: LaneError) => void) {
    this.#core = core
    this.#refused = refused
  }

  /** The run of a submit under way. */
  find(id: string): Run | undefined {
    return [...this.#checking.keys()].find((run) => run.id === id)
  }

  /** What a submit under way was given. */
  bodyOf(run: Run): unknown {
    return this.#checking.get(run)?.parsed.body
  }

  /** Cancels a submit under way; false when it is none. */
  cancel(run: Run, reason: unknown): boolean {
    const checking = this.#checking.get(run)
    checking?.refuse(cancelledError(reason))
    return checking !== undefined
  }

  /** Refuses all of them: the queue closes. */
  refuseAll(): void {
    for (const { refuse } of [...this.#checking.values()]) refuse(cancelledError('the queue was closed'))
  }

  ids(): string[] {
    return [...this.#checking.keys()].map((run) => run.id)
  }

  /** Waits for the payload of a run, then admits it; `admit` may give a promise of the acceptance. */
  add(
    run: Run,
    parsed: ParsedCommand,
    valid: Promise<unknown>,
    admit: (body: unknown) => Promise<void> | undefined,
  ): void {
    const core = this.#core
    const settle = run.inner as Settle
    let isOpen = true
    const end = (): void => {
      isOpen = false
      this.#checking.delete(run)
      core.unsettled--
      core.askForPass()
    }
    core.unsettled++
    run.accepted = new Promise<void>((resolve, reject) => {
      const fail = (error: LaneError): void => {
        this.#refused(run, settle, error)
        reject(error)
      }
      const refuse = (error: LaneError): void => {
        if (!isOpen) return
        end()
        fail(error)
      }
      const accept = (body: unknown): void => {
        if (!isOpen) return
        end()
        try {
          if (core.isShuttingDown) throw shuttingDown()
          const later = admit(body)
          if (later === undefined) resolve()
          else later.then(resolve, reject)
        } catch (error) {
          fail(isLaneError(error) ? error : unreadable(error))
        }
      }
      this.#checking.set(run, { parsed, refuse })
      valid.then(accept, refuse)
    })
    run.accepted.catch(() => {
      // whoever waits for the run hears of it
    })
  }
}

/** What is not an error of ours came from the command's own accessors. */
export const unreadable = (cause: unknown): LaneError =>
  new LaneError('PAYLOAD_INVALID', `The command could not be read: ${errorText(cause)}`, { cause })

export const shuttingDown = (): LaneError =>
  new LaneError('SHUTTING_DOWN', 'Queue is shutting down, not accepting new commands')
