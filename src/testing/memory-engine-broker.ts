/**
 * A shared queue inside one process: several queues with its engines share their lanes as processes share them over a
 * server. For tests of programs that are to run distributed, and for several queues of one process.
 */
import { type Clock, systemClock } from '../core/index.js'
import { MemoryEngine, type MemoryEngineOptions } from './memory-engine.js'
import { MemoryExchange } from './memory-engine-exchange.js'

/** Options of a broker in memory. */
export type MemoryBrokerOptions = {
  /** Default the machine's clock; that of the queues, where they have another. */
  readonly clock?: Clock
  /** How long a lease lasts unless it is renewed. Default 10,000 ms. */
  readonly leaseMs?: number
  /** How long each call and each message takes. Default 0: they are there in a microtask. */
  readonly latencyMs?: number
  /** How many settled commands are kept: the newest. Default 10,000. */
  readonly retention?: number
}

/** What queues of one process share. Its commands live as long as it does. */
export class MemoryBroker {
  readonly #exchange: MemoryExchange
  readonly #clock: Clock
  readonly #leaseMs: number
  readonly #latencyMs: number

  constructor({ clock = systemClock, leaseMs = 10_000, latencyMs = 0, retention = 10_000 }: MemoryBrokerOptions = {}) {
    this.#clock = clock
    this.#leaseMs = leaseMs
    this.#latencyMs = latencyMs
    this.#exchange = new MemoryExchange(clock, retention)
  }

  /** A new engine, for one queue. */
  engine(options: MemoryEngineOptions = {}): MemoryEngine {
    return new MemoryEngine({
      exchange: this.#exchange,
      clock: this.#clock,
      latencyMs: this.#latencyMs,
      role: options.role ?? 'both',
      leaseMs: options.leaseMs ?? this.#leaseMs,
      reconfigure: options.reconfigure ?? false,
      offlineTimeoutMs: options.offlineTimeoutMs ?? 10_000,
    })
  }
}
