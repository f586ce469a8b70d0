/**
 * What happens in the lanes in any process, as BullMQ's table of events tells it. It keeps the newest 10,000 of each queue:
 * who comes back in time goes on without a loss, others are told that something is lost.
 */
import type { Clock, EngineEvent, EngineListening, EngineUse, Timer } from '../../core/index.js'
import { eventOf, isTold } from '../event-jobs.js'
import { commandIdOf, laneIdOf, queueNameOf } from '../ids.js'
import type { JobFields } from '../job-form.js'
import type { Database } from './database.js'
import { keyOf } from './pg-holds.js'
import { fieldsOfRow, type JobRow } from './pg-jobs.js'

const CHANNEL = 'bullmq_events'
/** BullMQ does not tell of each event on its own. */
const LOOK_MS = 500
const MOST = 500

type EventRow = JobRow & {
  readonly event_id: string
  readonly event_queue: string
  readonly event: string
  readonly event_data: Readonly<Record<string, unknown>>
  readonly created_at_ms: string
  readonly has_letter: boolean
}

const EVENTS = `SELECT e.id AS event_id, e.queue AS event_queue, e.event, e.data AS event_data, e.created_at_ms,
    j.queue, j.id, j.name, j.state, NULL AS data, NULL AS opts, j.priority, j.attempts_started, NULL AS progress,
    NULL AS return_value, j.failed_reason, j.added_at_ms, j.process_at_ms, j.processed_at_ms, j.finished_at_ms,
    j.lock_token, j.locked_until_ms, j.stalled_count, c.fields
  FROM event e LEFT JOIN job j ON j.queue = e.queue AND j.id = e.data->>'jobId'
    LEFT JOIN lane_command c ON c.queue = j.queue AND c.id = j.id
  WHERE e.queue = ANY($1) AND e.id > $2 ORDER BY e.id LIMIT ${MOST}`

export class PgClusterEvents {
  readonly #database: Database
  readonly #use: EngineUse
  readonly #clock: Clock
  readonly #listenings = new Set<Listening>()

  constructor(database: Database, use: EngineUse, clock: Clock) {
    this.#database = database
    this.#use = use
    this.#clock = clock
  }

  async listen(laneIds: readonly string[], onEvent: (event: EngineEvent) => void): Promise<EngineListening> {
    const listening = new Listening(this.#database, laneIds, { use: this.#use, clock: this.#clock, onEvent })
    await listening.begin()
    this.#listenings.add(listening)
    if (this.#listenings.size === 1) {
      await this.#database.subscribe([CHANNEL], () => {
        for (const one of this.#listenings) one.look()
      })
    }
    return {
      close: async () => {
        listening.close()
        if (this.#listenings.delete(listening) && this.#listenings.size === 0) this.#database.unsubscribe(CHANNEL)
      },
    }
  }

  close(): void {
    for (const listening of this.#listenings) listening.close()
    this.#listenings.clear()
  }
}

type ListeningUse = { readonly use: EngineUse; readonly clock: Clock; readonly onEvent: (event: EngineEvent) => void }

/** One who listens. */
class Listening {
  readonly #database: Database
  readonly #queues: readonly string[]
  readonly #use: ListeningUse
  #cursor = '0'
  #timer: Timer | undefined
  #isReading = false
  #isDue = false
  #isClosed = false

  constructor(database: Database, laneIds: readonly string[], use: ListeningUse) {
    this.#database = database
    this.#queues = laneIds.map(queueNameOf)
    this.#use = use
  }

  /** From now on. */
  async begin(): Promise<void> {
    const [row] = await this.#database.run(({ query }) =>
      query<{ last: string }>('SELECT COALESCE(max(id), 0) AS last FROM event WHERE queue = ANY($1)', [this.#queues]),
    )
    this.#cursor = row?.last ?? '0'
    this.#lookLater()
  }

  close(): void {
    this.#isClosed = true
    if (this.#timer !== undefined) this.#use.clock.clearTimer(this.#timer)
  }

  look(): void {
    this.#isDue = true
    if (this.#isReading || this.#isClosed || !this.#database.isUp) return
    this.#isReading = true
    this.#read()
      .catch((error: unknown) => {
        if (!this.#isClosed && this.#database.isUp) this.#use.use.onFault(error)
      })
      .finally(() => {
        this.#isReading = false
      })
  }

  async #read(): Promise<void> {
    while (this.#isDue && !this.#isClosed) {
      this.#isDue = false
      const rows = await this.#database.run(({ query }) => query<EventRow>(EVENTS, [this.#queues, this.#cursor]))
      const letters = await this.#lettersOf(rows)
      for (const row of rows) {
        this.#cursor = row.event_id
        const event = toldOf(row, letters)
        if (event !== undefined && !this.#isClosed) this.#use.onEvent(event)
      }
      if (rows.length === MOST) this.#isDue = true
    }
  }

  async #lettersOf(rows: readonly EventRow[]): Promise<ReadonlySet<string>> {
    const failed = rows.filter(({ event }) => event === 'failed')
    if (failed.length === 0) return new Set()
    const keys = failed.map(({ event_data: data }) => keyOf(commandIdOf(String(data['jobId']))))
    const found = await this.#database.run(({ query }) =>
      query<{ id: string }>('SELECT id FROM lane_letter WHERE id = ANY($1)', [keys]),
    )
    return new Set(found.map(({ id }) => JSON.parse(id) as string))
  }

  #lookLater(): void {
    this.#timer = this.#use.clock.setTimer(
      LOOK_MS,
      () => {
        this.look()
        if (!this.#isClosed) this.#lookLater()
      },
      true,
    )
  }
}

function toldOf(row: EventRow, letters: ReadonlySet<string>): EngineEvent | undefined {
  const laneId = laneIdOf(row.event_queue)
  const fields = new Map(
    Object.entries(row.event_data).map(([name, value]) => [
      name,
      typeof value === 'string' ? value : JSON.stringify(value),
    ]),
  ).set('event', row.event)
  const job: JobFields = row.id === null ? new Map() : fieldsOfRow(row)
  const entry = { laneId, id: `${row.created_at_ms}-0`, fields }
  return eventOf(entry, { jobs: new Map(isTold(entry) ? [[entry, job]] : []), letters })
}
