/**
 * Waits for work without asking for it: BullMQ tells its own channel which queue has something new. A look at every
 * watched lane each 5 s makes up for a word that was lost.
 */
import type { Clock, EngineUse, Timer } from '../../core/index.js'
import { laneIdOf } from '../ids.js'
import type { Database } from './database.js'

const LOOK_MS = 5000
const CHANNEL = 'bullmq_jobs'

export class PgWakeUps {
  readonly #database: Database
  readonly #use: EngineUse
  readonly #clock: Clock
  #watched: ReadonlySet<string> = new Set()
  /** Lanes that have something new since they are not watched. */
  readonly #news = new Set<string>()
  readonly #lanes: ReadonlySet<string>
  #look: Timer | undefined

  constructor(database: Database, use: EngineUse, clock: Clock) {
    this.#database = database
    this.#use = use
    this.#clock = clock
    this.#lanes = new Set(use.lanes.map(({ laneId }) => laneId))
  }

  start(): void {
    this.#lookLater()
    this.#database
      .subscribe([CHANNEL], (_, queue) => this.#heard(laneIdOf(queue)))
      .catch((error: unknown) => this.#use.onFault(error))
  }

  watch(laneIds: readonly string[]): void {
    this.#watched = new Set(laneIds)
    for (const laneId of laneIds) if (this.#news.delete(laneId)) this.#use.onWork(laneId)
  }

  /** Looks at every watched lane. */
  lookAtAll(): void {
    for (const laneId of this.#watched) this.#use.onWork(laneId)
  }

  close(): void {
    if (this.#look !== undefined) this.#clock.clearTimer(this.#look)
  }

  #heard(laneId: string): void {
    if (this.#watched.has(laneId)) this.#use.onWork(laneId)
    else if (this.#lanes.has(laneId)) this.#news.add(laneId)
  }

  #lookLater(): void {
    this.#look = this.#clock.setTimer(
      LOOK_MS,
      () => {
        this.lookAtAll()
        this.#lookLater()
      },
      true,
    )
  }
}
