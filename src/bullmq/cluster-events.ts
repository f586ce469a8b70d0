/**
 * What happens in the lanes in any process, as BullMQ's event streams tell it. They are read over one further connection,
 * which is there only while somebody listens; after a cut the reading goes on where it was.
 */
import type { Redis } from 'ioredis'
import type { Clock, EngineEvent, EngineListening, EngineUse } from '../core/index.js'
import type { Connections } from './connections.js'
import { EventJobs } from './event-jobs.js'
import { EventStreams } from './event-streams.js'
import type { Namespace } from './server-calls.js'
import { isAway, unavailable } from './server-check.js'

const BLOCK_MS = 5000
/** How much later than asked for a read may answer before its connection is taken for dead. */
const DEAD_MS = 5000
/** Between two looks whether the connection is there again. */
const AWAY_MS = 1000

type OnEvent = (event: EngineEvent) => void

export class ClusterEvents {
  readonly #connections: Connections
  readonly #names: Namespace
  readonly #use: EngineUse
  readonly #clock: Clock
  readonly #listenings = new Set<Listening>()
  #isClosed = false

  constructor(connections: Connections, names: Namespace, use: EngineUse, clock: Clock) {
    this.#connections = connections
    this.#names = names
    this.#use = use
    this.#clock = clock
  }

  async listen(laneIds: readonly string[], onEvent: OnEvent): Promise<EngineListening> {
    const client = await this.#connections.further()
    const parts = {
      client,
      connections: this.#connections,
      streams: new EventStreams(client, this.#names, laneIds),
      jobs: new EventJobs(client, this.#names),
    }
    const listening = new Listening(parts, this.#use, this.#clock, onEvent)
    try {
      await parts.streams.begin()
      if (this.#isClosed) throw unavailable('The engine is closed')
    } catch (error) {
      listening.close()
      throw error
    }
    this.#listenings.add(listening)
    listening.run().catch((error: unknown) => this.#use.onFault(error))
    return {
      close: async () => {
        this.#listenings.delete(listening)
        listening.close()
      },
    }
  }

  close(): void {
    this.#isClosed = true
    for (const listening of this.#listenings) listening.close()
    this.#listenings.clear()
  }
}

type ListeningParts = {
  readonly connections: Connections
  readonly client: Redis
  readonly streams: EventStreams
  readonly jobs: EventJobs
}

/** One who listens. */
class Listening {
  readonly #parts: ListeningParts
  readonly #use: EngineUse
  readonly #clock: Clock
  readonly #onEvent: OnEvent
  #isClosed = false

  constructor(parts: ListeningParts, use: EngineUse, clock: Clock, onEvent: OnEvent) {
    this.#parts = parts
    this.#use = use
    this.#clock = clock
    this.#onEvent = onEvent
  }

  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#parts.connections.drop(this.#parts.client)
  }

  async run(): Promise<void> {
    let mayLack = false
    while (!this.#isClosed) {
      try {
        mayLack = await this.#round(mayLack)
      } catch (error) {
        if (this.#isClosed) return
        mayLack = true
        if (!isAway(error)) this.#use.onFault(error)
        await this.#parts.connections.whenChanged(AWAY_MS)
      }
    }
  }

  /** Tells what comes next; what is lost before that, if something may be. Gives whether something may be then. */
  async #round(mayLack: boolean): Promise<boolean> {
    const { client, streams, jobs } = this.#parts
    const guard = this.#clock.setTimer(BLOCK_MS + DEAD_MS, () => client.disconnect(true), true)
    try {
      if (mayLack) {
        for (const [laneId, count] of await streams.skipLost()) {
          this.#onEvent({ kind: 'missed', laneId, count, at: this.#use.now() })
        }
      }
      const entries = await streams.read(BLOCK_MS)
      // all is looked up before the first is told: when that fails, all are read again
      for (const event of await jobs.eventsOf(entries)) if (!this.#isClosed) this.#onEvent(event)
      return streams.advance(entries)
    } finally {
      this.#clock.clearTimer(guard)
    }
  }
}
