/**
 * The engine of a `MemoryBroker`: shared lanes inside one process. It behaves as one over a network does where a test asks
 * for that: slow, cut off, its messages lost.
 */
import {
  type AddAnswer,
  type CancelAnswer,
  type Claim,
  type ClaimAnswer,
  type Clock,
  type EndAnswer,
  type Engine,
  type EngineCapabilities,
  type EngineCharge,
  type EngineCommand,
  type EngineEvent,
  type EngineLane,
  type EngineLaneCounts,
  type EngineLetter,
  type EngineListening,
  type EngineOutcome,
  type EnginePage,
  type EngineProgress,
  type EngineQuery,
  type EngineRecord,
  type EngineRole,
  type EngineUse,
  LaneError,
  type Lease,
  type LeaseEnd,
  type RenewAnswer,
  type Timer,
} from '../core/index.js'
import type { MemoryExchange } from './memory-engine-exchange.js'
import { MemoryLink } from './memory-engine-link.js'
import { Mailbox } from './memory-engine-mail.js'

/** Options of an engine in memory. */
export type MemoryEngineOptions = {
  /** Default 'both'. */
  readonly role?: EngineRole
  /** How long a lease lasts unless it is renewed. Default the broker's. */
  readonly leaseMs?: number
  /** Gives lanes that others know with other limits those of this engine's queue. Default false: that is `CONFLICT`. */
  readonly reconfigure?: boolean
  /** How long a call waits for the broker while the engine is cut off. Default 10,000 ms. */
  readonly offlineTimeoutMs?: number
}

/** What a broker gives its engines. */
export type MemoryEngineParams = Required<MemoryEngineOptions> & {
  readonly exchange: MemoryExchange
  readonly clock: Clock
  readonly latencyMs: number
}

/** An engine looks so often for outcomes and work of which no message came. */
const LOOKS_EVERY_MS = 5000

/** An `Engine` in memory, made by `MemoryBroker.engine`. Give it to the `engine` option of one queue. */
export class MemoryEngine implements Engine {
  readonly capabilities: EngineCapabilities = {
    keepsPlace: true,
    lifo: false,
    keys: false,
    rateLimits: true,
    durable: false,
  }
  readonly role: EngineRole
  readonly leaseMs: number
  /** Lets messages to this engine get lost: outcomes, progress, cancellations. It has to find out by itself. */
  dropMessages = false
  readonly #exchange: MemoryExchange
  readonly #clock: Clock
  readonly #reconfigure: boolean
  readonly #link: MemoryLink
  readonly #latencyMs: number
  #use: EngineUse | undefined
  #mail: Mailbox | undefined
  #looks: Timer | undefined

  /** @internal */
  constructor(params: MemoryEngineParams) {
    this.role = params.role
    this.leaseMs = params.leaseMs
    this.#exchange = params.exchange
    this.#clock = params.clock
    this.#reconfigure = params.reconfigure
    this.#latencyMs = params.latencyMs
    this.#link = new MemoryLink(params)
  }

  /** Cuts the engine off from its broker: calls wait and then fail, no message arrives, its leases run out. */
  cut(): void {
    if (this.#link.cut()) queueMicrotask(() => this.#use?.onConnection(false))
  }

  /** Ends a cut: calls that still wait are answered, and what was missed is made up for. */
  mend(): void {
    if (!this.#link.mend()) return
    queueMicrotask(() => {
      if (!this.#link.isUp) return
      this.#use?.onConnection(true)
      this.#exchange.events.deliver()
      this.#look()
    })
  }

  async open(use: EngineUse): Promise<void> {
    if (this.#use !== undefined) throw new LaneError('CONFLICT', 'A queue uses this engine already')
    this.#use = use
    try {
      await this.#link.passage()
      this.#join(use)
    } catch (error) {
      this.#use = undefined
      throw error
    }
  }

  add(commands: readonly EngineCommand[]): Promise<readonly AddAnswer[]> {
    return this.#call(() => this.#exchange.add(commands))
  }

  claim(laneId: string, token: string): Promise<ClaimAnswer> {
    return this.#call((mail) => this.#exchange.claim(laneId, token, mail, this.leaseMs))
  }

  end(lease: Lease, end: LeaseEnd, nextToken: string | undefined): Promise<EndAnswer> {
    return this.#call((mail) => {
      const claimNext = (token: string): ClaimAnswer => this.#exchange.claim(lease.laneId, token, mail, this.leaseMs)
      return this.#exchange.end(lease, end, nextToken === undefined ? undefined : () => claimNext(nextToken))
    })
  }

  renew(leases: readonly Lease[]): Promise<readonly RenewAnswer[]> {
    return this.#call(() => this.#exchange.renew(leases))
  }

  save(lease: Lease, progress: EngineProgress): Promise<boolean> {
    return this.#call(() => this.#exchange.save(lease, progress))
  }

  charge(lease: Lease, charge: EngineCharge): Promise<void> {
    return this.#call(() => this.#exchange.charge(lease, charge))
  }

  report(claim: Claim, value: string): void {
    if (this.#mail !== undefined && this.#link.isUp) this.#exchange.report(claim, value)
  }

  watch(laneIds: readonly string[]): void {
    const mail = this.#mail
    if (mail === undefined) return
    const before = mail.watched
    mail.watched = new Set(laneIds)
    // Of what happened while it was not watched nobody has told.
    for (const lane of this.#exchange.lanes()) if (lane.mayStart && !before.has(lane.id)) mail.work(lane.id)
  }

  cancel(id: string, _laneId: string | undefined, reason: string): Promise<CancelAnswer> {
    return this.#call(() => this.#exchange.cancel(id, reason))
  }

  pause(laneId: string): Promise<void> {
    return this.#call(() => this.#exchange.setPaused(laneId, true))
  }

  resume(laneId: string): Promise<void> {
    return this.#call(() => this.#exchange.setPaused(laneId, false))
  }

  configure(lane: EngineLane): Promise<void> {
    return this.#call(() => this.#exchange.configure(lane))
  }

  hold(laneId: string, ms: number): Promise<void> {
    return this.#call(() => this.#exchange.hold(laneId, ms))
  }

  find(id: string): Promise<EngineRecord | undefined> {
    return this.#call(() => this.#exchange.commands.find(id)?.record((at) => this.#exchange.wallOf(at)))
  }

  list({ laneIds, state, limit, cursor }: EngineQuery): Promise<EnginePage> {
    return this.#call(() => {
      const after = cursor === undefined ? -1 : Number(cursor)
      const items: EngineRecord[] = []
      let last = after
      for (const kept of this.#exchange.commands.all()) {
        const isWanted = state === undefined || kept.state === state
        if (kept.seq <= after || !isWanted || !laneIds.includes(kept.command.laneId)) continue
        if (items.length === limit) return { items, nextCursor: String(last) }
        items.push(kept.record((at) => this.#exchange.wallOf(at)))
        last = kept.seq
      }
      return { items, nextCursor: undefined }
    })
  }

  counts(): Promise<readonly EngineLaneCounts[]> {
    return this.#call(() => {
      const letters = [...this.#exchange.commands.letters()]
      return [...this.#exchange.lanes()].map((lane) =>
        lane.counts(letters.filter(({ laneId }) => laneId === lane.id).length),
      )
    })
  }

  letters(limit: number): Promise<readonly EngineLetter[]> {
    return this.#call(() => [...this.#exchange.commands.letters()].slice(0, limit))
  }

  removeLetters(ids: readonly string[]): Promise<readonly string[]> {
    return this.#call(() => this.#exchange.commands.removeLetters(ids))
  }

  events(onEvent: (event: EngineEvent) => void): Promise<EngineListening> {
    return this.#call((mail) =>
      this.#exchange.events.listen({
        owner: mail,
        laneIds: new Set(this.#use?.lanes.map(({ laneId }) => laneId)),
        latencyMs: this.#latencyMs,
        isUp: () => this.#mail === mail && this.#link.isUp,
        onEvent,
      }),
    )
  }

  facts(): Readonly<Record<string, string | number | boolean>> {
    return { isUp: this.#link.isUp, watchedLanes: this.#mail?.watched.size ?? 0 }
  }

  async close(): Promise<void> {
    if (this.#looks !== undefined) this.#clock.clearTimer(this.#looks)
    this.#looks = undefined
    if (this.#mail !== undefined) this.#exchange.leave(this.#mail)
    this.#mail = undefined
    this.#link.close()
  }

  #join(use: EngineUse): void {
    const mail: Mailbox = new Mailbox(use, {
      clock: this.#clock,
      latencyMs: this.#latencyMs,
      isUp: () => this.#mail === mail && this.#link.isUp,
      isLossy: () => this.dropMessages,
    })
    this.#exchange.join(mail, use.lanes, this.#reconfigure)
    this.#mail = mail
    this.#lookLater()
  }

  async #call<T>(ask: (mail: Mailbox) => T): Promise<T> {
    await this.#link.passage()
    const mail = this.#mail
    if (mail === undefined) throw new LaneError('ENGINE_UNAVAILABLE', 'The engine is not open')
    return ask(mail)
  }

  #lookLater(): void {
    this.#looks = this.#clock.setTimer(LOOKS_EVERY_MS, () => this.#lookAgain(), true)
  }

  #lookAgain(): void {
    if (this.#link.isUp) this.#look()
    this.#lookLater()
  }

  /** What no message has told: outcomes that this process waits for, and work. */
  #look(): void {
    const use = this.#use
    const mail = this.#mail
    if (use === undefined || mail === undefined) return
    const outcomes: EngineOutcome[] = []
    for (const { id } of use.awaited()) {
      const { outcome } = this.#exchange.commands.find(id) ?? {}
      if (outcome !== undefined) outcomes.push(outcome)
    }
    if (outcomes.length > 0) use.onOutcomes(outcomes)
    for (const laneId of mail.watched) use.onWork(laneId)
  }
}
