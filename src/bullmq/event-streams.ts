/**
 * The event streams of lanes, read from where they ended when somebody began to listen. A stream keeps its newest entries
 * (10,000 unless the queue says otherwise): who comes back in time goes on without a loss, others are told how much is lost.
 */
import type { Redis } from 'ioredis'
import { fieldsOf, type JobFields } from './job-form.js'
import type { Namespace } from './server-calls.js'

/** At most so many of each lane are read at once. */
const MOST = 1000
const START = '0-0'

/** An entry of a lane's stream. `id`: milliseconds of the server, and a number among those of the same one. */
export type StreamEntry = { readonly laneId: string; readonly id: string; readonly fields: JobFields }

/** How far a lane has been read. `index`: the number of the last entry that was read; undefined where nobody counts. */
type Position = { id: string; index: number | undefined }

/** What is known of a stream. `added`: how many entries it ever had, from Redis 7 on. */
type StreamFacts = {
  readonly lastId: string
  readonly firstId: string | undefined
  readonly length: number
  readonly added: number | undefined
}

type Loss = { readonly lost: number; readonly next: Position }
type Reply = readonly (readonly [key: string, items: readonly (readonly [id: string, flat: string[]])[]])[]

export class EventStreams {
  readonly #client: Redis
  /** By the key of its stream. */
  readonly #lanes: ReadonlyMap<string, string>
  readonly #positions = new Map<string, Position>()

  constructor(client: Redis, names: Namespace, laneIds: readonly string[]) {
    this.#client = client
    this.#lanes = new Map(laneIds.map((laneId) => [`${names.prefixOf(laneId)}events`, laneId]))
  }

  /** Begins where the streams end now. */
  async begin(): Promise<void> {
    for (const [laneId, facts] of await this.#facts()) {
      this.#positions.set(laneId, { id: facts?.lastId ?? START, index: facts === undefined ? 0 : facts.added })
    }
  }

  /** How many entries of each lane are gone that were not read; 0 where nobody knows. Goes on behind them. */
  async skipLost(): Promise<ReadonlyMap<string, number>> {
    const lost = new Map<string, number>()
    for (const [laneId, facts] of await this.#facts()) {
      const loss = lossOf(this.#positions.get(laneId) as Position, facts)
      if (loss === undefined) continue
      lost.set(laneId, loss.lost)
      this.#positions.set(laneId, loss.next)
    }
    return lost
  }

  /** What has come, oldest first; waits for it. Nothing is over before `advance` was told of it. */
  async read(blockMs: number): Promise<readonly StreamEntry[]> {
    const keys = [...this.#lanes.keys()]
    const ids = [...this.#lanes.values()].map((laneId) => this.#positions.get(laneId)?.id ?? START)
    const reply = await this.#client.xread('COUNT', MOST, 'BLOCK', blockMs, 'STREAMS', ...keys, ...ids)
    const entries = ((reply ?? []) as Reply).flatMap(([key, items]) =>
      items.map(([id, flat]) => ({ laneId: this.#lanes.get(key) as string, id, fields: fieldsOf(flat) })),
    )
    return entries.sort((a, b) => compared(a.id, b.id))
  }

  /** These are done. Gives whether there may be so many more that some are lost before they are read. */
  advance(entries: readonly StreamEntry[]): boolean {
    for (const { laneId, id } of entries) {
      const position = this.#positions.get(laneId) as Position
      position.id = id
      if (position.index !== undefined) position.index++
    }
    return entries.length >= MOST
  }

  async #facts(): Promise<[string, StreamFacts | undefined][]> {
    const pipeline = this.#client.pipeline()
    for (const key of this.#lanes.keys()) pipeline.xinfo('STREAM', key)
    const replies = (await pipeline.exec()) ?? []
    return [...this.#lanes.values()].map((laneId, at) => {
      const [error, reply] = replies[at] ?? []
      if (error instanceof Error && !/no such key/i.test(error.message)) throw error
      return [laneId, error instanceof Error ? undefined : factsOf(reply as readonly unknown[])]
    })
  }
}

function factsOf(reply: readonly unknown[]): StreamFacts {
  const named = (name: string): unknown => reply[reply.indexOf(name) + 1]
  const first = named('first-entry') as readonly [string] | null
  return {
    lastId: named('last-generated-id') as string,
    firstId: first?.[0],
    length: Number(named('length')),
    added: reply.includes('entries-added') ? Number(named('entries-added')) : undefined,
  }
}

/** What of a stream is gone that was not read: how much, or 0 where nobody knows; undefined when nothing is. */
function lossOf({ id, index }: Position, facts: StreamFacts | undefined): Loss | undefined {
  // it was removed, and may begin anew
  if (facts === undefined) return id === START ? undefined : { lost: 0, next: { id: START, index: 0 } }
  const { lastId, firstId, length, added } = facts
  // the server came back with less than it had
  if (compared(lastId, id) < 0) return { lost: 0, next: { id: lastId, index: added } }
  if (lastId === id || (firstId !== undefined && compared(firstId, id) <= 0)) return undefined
  if (added === undefined || index === undefined) return id === START ? undefined : { lost: 0, next: { id, index } }
  const lost = added - length - index
  return lost === 0 ? undefined : { lost: Math.max(0, lost), next: { id, index: added - length } }
}

function compared(a: string, b: string): number {
  const [msA = 0, numberA = 0] = a.split('-').map(Number)
  const [msB = 0, numberB = 0] = b.split('-').map(Number)
  return msA === msB ? numberA - numberB : msA - msB
}
