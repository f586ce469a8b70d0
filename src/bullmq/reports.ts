/** What handlers report: told to who waits for the command, and the last of it kept with the job. It may be lost. */
import type { Claim, Clock } from '../core/index.js'
import type { Messages } from './messages.js'

/** At most so often is it kept: whoever looks at a job sees what was last so long ago. */
const KEEP_MS = 100

/** Keeps what was last reported of a command with its job. */
export type KeepReport = (claim: Claim, value: string) => Promise<unknown>

export class Reports {
  readonly #keepReport: KeepReport
  readonly #messages: Messages
  readonly #clock: Clock
  /** By lease token. */
  readonly #kept = new Map<string, { readonly claim: Claim; readonly value: string }>()

  constructor(keepReport: KeepReport, messages: Messages, clock: Clock) {
    this.#keepReport = keepReport
    this.#messages = messages
    this.#clock = clock
  }

  report(claim: Claim, value: string): void {
    this.#messages.progress(claim.command.replyTo, claim.command.id, value)
    if (this.#kept.size === 0) this.#clock.setTimer(KEEP_MS, () => this.#keep(), true)
    this.#kept.set(claim.lease.token, { claim, value })
  }

  #keep(): void {
    for (const { claim, value } of this.#kept.values()) this.#keepReport(claim, value).catch(() => undefined)
    this.#kept.clear()
  }
}
