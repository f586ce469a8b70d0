/**
 * The end of cold commands that were cancelled all at once: `clear` and `cancelAll` of a lane whose backlog is larger than
 * memory. They start no more from the moment of the call; here each of them is cancelled like any other, a page at a time.
 */
import type { QueueCore } from './core.js'
import type { Entry } from './entry.js'
import type { Journal } from './journal.js'
import type { LaneState } from './lane.js'
import type { StoredCommand } from './storage.js'
import { storageError } from './storage-errors.js'

/** The pause before a page that could not be read is asked for again. */
export const READ_AGAIN_MS = 500

/** Commands of a page. */
const PAGE = 512

export class ColdClearing {
  readonly #core: QueueCore
  readonly #journal: Journal
  readonly #lane: LaneState
  readonly #adopt: (row: StoredCommand) => Entry | undefined

  constructor(core: QueueCore, journal: Journal, lane: LaneState, adopt: (row: StoredCommand) => Entry | undefined) {
    this.#core = core
    this.#journal = journal
    this.#lane = lane
    this.#adopt = adopt
  }

  /** Cancels the cold commands up to number `upTo`. */
  async run(upTo: number, cancel: (entry: Entry) => void): Promise<void> {
    let after: StoredCommand | undefined
    while (this.#journal.broken === undefined && !this.#core.stopped) {
      // Nothing happens between the reading of a page and its cancellation: what a page says is soon out of date.
      const rows = this.#read(after)
      for (const row of rows ?? []) {
        after = row
        const entry = row.seq > upTo ? undefined : (this.#adopt(row) ?? this.#fetched(row))
        if (entry !== undefined) cancel(entry)
      }
      if (rows === undefined) await this.#pause()
      else if (rows.length < PAGE) return
      // What could not be written is written later; nothing of it stands before this page any more.
      else await this.#journal.written().catch(() => undefined)
    }
  }

  /** One that somebody has asked for meanwhile. */
  #fetched({ seq }: StoredCommand): Entry | undefined {
    const entry = this.#journal.bySeq.get(seq)
    return entry?.run.state === 'pending' && !this.#lane.backlog.holds(entry) ? entry : undefined
  }

  /** A page; undefined when it could not be read. */
  #read(after: StoredCommand | undefined): readonly StoredCommand[] | undefined {
    const { id, limits } = this.#lane
    try {
      return this.#journal.storage.page({ laneId: id, key: null, lifo: limits.lifo, after, limit: PAGE })
    } catch (error) {
      this.#core.fault(storageError('Could not read commands to cancel', error), { lane_id: id })
      return undefined
    }
  }

  #pause(): Promise<void> {
    const { alarms, clock } = this.#core
    return new Promise((resolve) => void alarms.set(clock.now() + READ_AGAIN_MS, resolve))
  }
}
