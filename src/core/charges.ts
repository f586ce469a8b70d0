/**
 * What attempts have really cost, on its way to an engine that keeps the rate limits over all workers. Each lease has one
 * call under way; what is said meanwhile waits, and of that the last: it says the whole. With the end of the lease it goes
 * out at once, ahead of that end.
 *
 * Nobody waits for an answer. What could not be told is lost and reported: the next charge makes up for it, and without one
 * the estimate stands.
 */
import { amountOf, type Cost, type RateLimitFields } from '../policy/index.js'
import type { QueueCore } from './core.js'
import type { Claim, Engine, EngineCharge } from './engine.js'

/** What is accounted for an attempt so far, and what it has cost in all. */
export type Charge = { readonly before: Cost | undefined; readonly total: Cost }

/** What is known of the charges under a lease. */
type Account = {
  /** What was accounted before the first of them. */
  readonly before: string | undefined
  number: number
  underWay: number
  waiting: Cost | undefined
}

export class Charges {
  readonly #core: QueueCore
  readonly #engine: Engine
  readonly #accounts = new WeakMap<Claim, Account>()
  #isStopped = false

  constructor(core: QueueCore, engine: Engine) {
    this.#core = core
    this.#engine = engine
  }

  /** The attempt under a lease that is held says what it has cost in all. */
  add(claim: Claim, limits: readonly RateLimitFields[], { before, total }: Charge): void {
    const isOther = limits.some(({ unit }) => amountOf(unit, before) !== amountOf(unit, total))
    if (!isOther || this.#engine.charge === undefined) return
    let account = this.#accounts.get(claim)
    if (account === undefined) {
      const text = before === undefined ? undefined : JSON.stringify(before)
      account = { before: text, number: 0, underWay: 0, waiting: undefined }
      this.#accounts.set(claim, account)
    }
    account.waiting = total
    if (account.underWay === 0) this.flush(claim)
  }

  /** The lease is about to end: what still waits has to be there before. */
  flush(claim: Claim): void {
    const account = this.#accounts.get(claim)
    if (account?.waiting === undefined) return
    const { before, waiting } = account
    account.waiting = undefined
    account.underWay++
    const charge = { number: ++account.number, before, after: JSON.stringify(waiting) }
    const answered = (): void => {
      account.underWay--
      if (account.underWay === 0) this.flush(claim)
    }
    this.#tell(claim, charge).then(answered, (error: unknown) => {
      // under a lost lease it would have changed nothing
      if (!this.#isStopped && this.#accounts.has(claim)) this.#fault(claim, error)
      answered()
    })
  }

  /** The lease is lost: nothing more is told. */
  forget(claim: Claim): void {
    this.#accounts.delete(claim)
  }

  stop(): void {
    this.#isStopped = true
  }

  /** An engine of somebody else's may throw, too. */
  async #tell(claim: Claim, charge: EngineCharge): Promise<void> {
    await (this.#engine as Required<Engine>).charge(claim.lease, charge)
  }

  #fault({ lease }: Claim, error: unknown): void {
    this.#core.fault(error, { lane_id: lease.laneId, command_id: lease.id })
  }
}
