/** Keeps work waiting in a lane: as many commands as the lane should have ahead of it, and never all there is. */
import type { BuiltInLaneId } from '@a3s-lab/lane'
import type { Queue } from './figures.js'

/** Submits one more command; false when there is none just now. */
export type Source = () => boolean

type Fed = { readonly laneId: BuiltInLaneId; readonly depth: number; readonly more: Source }

/**
 * Submitting everything at once would work too, since a lane holds any number; but then a huge folder fills the memory,
 * and what turns out to be unnecessary has to be cancelled again. So each lane is topped up when something of it starts.
 */
export class Feeder {
  readonly #queue: Queue
  readonly #fed = new Map<string, Fed>()
  readonly #end = new AbortController()

  constructor(queue: Queue) {
    this.#queue = queue
    void this.#run()
  }

  /** From now on `depth` commands of the lane wait, as long as there are more. */
  feed(laneId: BuiltInLaneId, depth: number, more: Source): void {
    const fed = { laneId, depth, more }
    this.#fed.set(laneId, fed)
    this.#topUp(fed)
  }

  /** Submits nothing more. */
  stop(): void {
    this.#end.abort()
    this.#fed.clear()
  }

  async #run(): Promise<void> {
    // A start makes room in a lane; an end may bring new work for any. Too slow a reader would lose some of these events:
    // it does not matter, each asks the same question.
    const events = this.#queue.subscribeFiltered(['queue.command.started', 'queue.command.completed'], {
      signal: this.#end.signal,
    })
    for await (const event of events) {
      if (event.key === 'queue.command.completed') for (const fed of this.#fed.values()) this.#topUp(fed)
      else if (event.key === 'queue.command.started') this.#topUp(this.#fed.get(event.payload.lane_id))
    }
  }

  #topUp(fed: Fed | undefined): void {
    if (fed === undefined) return
    const { laneId, depth, more } = fed
    const lane = this.#queue.lane(laneId)
    for (let missing = depth - lane.status().pending; missing > 0; missing--) if (!more()) return
  }
}
