/**
 * Keeps the leases of a worker. All are renewed together, three times in the time that one lasts. A worker that gets no
 * answer for that long takes all of them for lost: another worker may have them. Whether a lease was lost while the process
 * itself stood still is the engine's to say.
 */
import type { Alarm } from './alarms.js'
import type { QueueCore } from './core.js'
import type { Claim, Engine, RenewAnswer } from './engine.js'

/** So often in the time that a lease lasts. */
const TIMES = 3

/** Whose leases are kept. */
export type LeaseHolder<H> = {
  /** What is to be renewed. */
  readonly held: () => readonly H[]
  /** Whether there is or may soon be anything to renew. */
  readonly holdsAny: () => boolean
  /** Saves what has changed of it. */
  readonly keep: (held: H) => void
  readonly lose: (held: H) => void
  readonly cancel: (held: H, reason: string) => void
}

export class LeaseRenewal<H extends { readonly claim: Claim }> {
  readonly #core: QueueCore
  readonly #engine: Engine
  readonly #holder: LeaseHolder<H>
  #alarm: Alarm | undefined
  #renewedAt = 0
  /** Renewals that were asked for since the last answer. */
  #unanswered = 0

  constructor(core: QueueCore, engine: Engine, holder: LeaseHolder<H>) {
    this.#core = core
    this.#engine = engine
    this.#holder = holder
  }

  /** A lease was taken. */
  soon(): void {
    if (this.#alarm !== undefined) return
    this.#renewedAt = this.#core.clock.now()
    this.#unanswered = 0
    this.#later()
  }

  stop(): void {
    this.#core.alarms.clear(this.#alarm)
    this.#alarm = undefined
  }

  #later(): void {
    const { alarms, clock } = this.#core
    this.#alarm = alarms.set(clock.now() + this.#engine.leaseMs / TIMES, () => this.#renew())
  }

  #renew(): void {
    this.#alarm = undefined
    if (!this.#holder.holdsAny()) return
    this.#later()
    // with this one a lease has passed since the last answer; a process that stood still itself has asked less often
    if (this.#unanswered >= TIMES - 1) this.#loseIfLate(this.#holder.held())
    const held = this.#holder.held()
    for (const one of held) this.#holder.keep(one)
    const askedAt = this.#core.clock.now()
    this.#unanswered++
    this.#engine.renew(held.map(({ claim }) => claim.lease)).then(
      (answers) => {
        this.#renewedAt = askedAt
        this.#unanswered = 0
        for (const [at, one] of held.entries()) this.#answered(one, answers[at])
      },
      () => this.#loseIfLate(held),
    )
  }

  #answered(one: H, answer: RenewAnswer | undefined): void {
    if (answer?.isLost === true) this.#holder.lose(one)
    else if (answer?.cancelled !== undefined) this.#holder.cancel(one, answer.cancelled.reason)
  }

  #loseIfLate(held: readonly H[]): void {
    if (this.#core.clock.now() - this.#renewedAt < this.#engine.leaseMs) return
    for (const one of held) this.#holder.lose(one)
  }
}
