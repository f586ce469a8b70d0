/**
 * Lanes that many processes share, kept as BullMQ queues on Redis, Valkey or Postgres: what `mapping.ts` says. The parts
 * do the work; here is who is asked what, and what happens when the server goes and comes back.
 */
import type {
  AddAnswer,
  CancelAnswer,
  Claim,
  ClaimAnswer,
  EndAnswer,
  Engine,
  EngineCapabilities,
  EngineCharge,
  EngineCommand,
  EngineEvent,
  EngineLane,
  EngineLaneCounts,
  EngineLetter,
  EngineListening,
  EnginePage,
  EngineProgress,
  EngineQuery,
  EngineRecord,
  EngineRole,
  EngineUse,
  Lease,
  LeaseEnd,
  RenewAnswer,
} from '../core/index.js'
import { LaneError } from '../core/index.js'
import { EngineParts } from './engine-parts.js'
import { type BullMQEngineOptions, type CheckedOptions, checkedOptions } from './options.js'
import { PostgresConnections } from './postgres/index.js'
import { RedisConnections } from './redis-side.js'
import { unavailable } from './server-check.js'
import type { ServerConnections } from './server-side.js'

/** An engine on BullMQ. Give one to one queue: `new QueueManager({ engine: new BullMQEngine({ connection, namespace }) })`. */
export class BullMQEngine implements Engine {
  readonly capabilities: EngineCapabilities

  readonly role: EngineRole
  readonly leaseMs: number
  readonly maxPayloadBytes: number
  readonly #options: CheckedOptions
  #connections: ServerConnections
  #parts: EngineParts | undefined
  #isUsed = false
  #closing: Promise<void> | undefined

  /** Connects when a queue begins to use it. `CONFIG_INVALID` names an option that is wrong. */
  constructor(options: BullMQEngineOptions) {
    this.#options = checkedOptions(options)
    this.#connections = connectionsOf(this.#options)
    const keepsPlace = this.#options.postgres !== undefined
    this.capabilities = { keepsPlace, lifo: false, keys: false, rateLimits: true, durable: true }
    this.role = this.#options.role
    this.leaseMs = this.#options.leaseMs
    this.maxPayloadBytes = this.#options.maxPayloadBytes
  }

  async open(use: EngineUse): Promise<void> {
    if (this.#isUsed) throw new LaneError('CONFLICT', 'A queue uses this engine already: make one for each queue')
    this.#isUsed = true
    const parts = new EngineParts(this.#connections.side(use), this.#options, use)
    try {
      await this.#connections.open(parts.events)
      await parts.start()
      if (this.#closing !== undefined) throw unavailable('The engine is closed')
      this.#parts = parts
    } catch (error) {
      parts.close()
      await this.#connections.close()
      // it may be tried again: the server was not there yet
      this.#connections = connectionsOf(this.#options)
      this.#isUsed = this.#closing !== undefined
      // what went wrong is that its connections were ended
      throw this.#closing === undefined ? error : unavailable('The engine is closed', error)
    }
  }

  add(commands: readonly EngineCommand[]): Promise<readonly AddAnswer[]> {
    return this.#with(({ submissions }) => submissions.add(commands))
  }

  claim(laneId: string, token: string): Promise<ClaimAnswer> {
    return this.#with(({ leases }) => leases.claim(laneId, token))
  }

  end(lease: Lease, end: LeaseEnd, nextToken: string | undefined): Promise<EndAnswer> {
    return this.#with(({ leases }) => leases.end(lease, end, nextToken))
  }

  renew(given: readonly Lease[]): Promise<readonly RenewAnswer[]> {
    return this.#with(async ({ leases, sweep }) => {
      const answers = await leases.renew(given)
      sweep.renewed()
      return answers
    })
  }

  save(lease: Lease, progress: EngineProgress): Promise<boolean> {
    return this.#with(({ leases }) => leases.save(lease, progress))
  }

  charge(lease: Lease, charge: EngineCharge): Promise<void> {
    return this.#with(({ leases }) => leases.charge(lease, charge))
  }

  report(claim: Claim, value: string): void {
    this.#parts?.reports.report(claim, value)
  }

  watch(laneIds: readonly string[]): void {
    this.#parts?.wakeUps.watch(laneIds)
  }

  cancel(id: string, laneId: string | undefined, reason: string): Promise<CancelAnswer> {
    return this.#with(({ lanes }) => lanes.cancel(id, laneId, reason))
  }

  pause(laneId: string): Promise<void> {
    return this.#with(({ lanes }) => lanes.pause(laneId, true))
  }

  resume(laneId: string): Promise<void> {
    return this.#with(({ lanes }) => lanes.pause(laneId, false))
  }

  configure(lane: EngineLane): Promise<void> {
    return this.#with(({ lanes }) => lanes.takeIn([lane], true))
  }

  hold(laneId: string, ms: number): Promise<void> {
    return this.#with(({ lanes }) => lanes.hold(laneId, ms))
  }

  find(id: string): Promise<EngineRecord | undefined> {
    return this.#with(({ looks, lanes }) => looks.find(id, lanes.ids))
  }

  list(query: EngineQuery): Promise<EnginePage> {
    return this.#with(({ looks }) => looks.list(query))
  }

  counts(): Promise<readonly EngineLaneCounts[]> {
    return this.#with(({ looks, lanes }) => looks.counts(lanes.ids))
  }

  letters(limit: number): Promise<readonly EngineLetter[]> {
    return this.#with(({ looks }) => looks.letters(limit))
  }

  removeLetters(ids: readonly string[]): Promise<readonly string[]> {
    return this.#with(({ looks }) => looks.removeLetters(ids))
  }

  events(onEvent: (event: EngineEvent) => void): Promise<EngineListening> {
    return this.#with(({ clusterEvents, lanes }) => clusterEvents.listen(lanes.ids, onEvent))
  }

  facts(): Readonly<Record<string, string | number | boolean>> {
    return this.#connections.facts
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    this.#isUsed = true
    this.#parts?.close()
    this.#parts = undefined
    await this.#connections.close()
  }

  #with<T>(call: (parts: EngineParts) => Promise<T>): Promise<T> {
    if (this.#parts !== undefined) return call(this.#parts)
    return Promise.reject(unavailable(this.#closing === undefined ? 'The engine is not open' : 'The engine is closed'))
  }
}

const connectionsOf = (options: CheckedOptions): ServerConnections =>
  options.postgres === undefined ? new RedisConnections(options) : new PostgresConnections(options, options.postgres)
