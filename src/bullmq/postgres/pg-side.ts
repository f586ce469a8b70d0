/** Postgres as the server of an engine: experimental, as BullMQ's back end for it is. */
import type { EngineUse } from '../../core/index.js'
import { jobIdOf, queueNameOf } from '../ids.js'
import type { Commands } from '../lost-outcomes.js'
import type { Channels } from '../messages.js'
import type { CheckedOptions, PostgresSettings } from '../options.js'
import type { ConnectionEvents, ServerConnections, ServerSide } from '../server-side.js'
import { Database } from './database.js'
import { PgClusterEvents } from './pg-cluster-events.js'
import { COLUMNS, fieldsOfRow, type JobRow, jsonbText, keepFields } from './pg-jobs.js'
import { pgLanes } from './pg-lanes.js'
import { PgLeases } from './pg-leases.js'
import { PgLooks } from './pg-looks.js'
import { PgSubmissions } from './pg-submissions.js'
import { sweepIn } from './pg-sweep.js'
import { PgWakeUps } from './pg-wake-ups.js'

export class PostgresConnections implements ServerConnections {
  readonly #options: CheckedOptions
  readonly #database: Database
  readonly #schema: string

  constructor(options: CheckedOptions, settings: PostgresSettings) {
    this.#options = options
    this.#database = new Database(options, settings)
    this.#schema = settings.schema
  }

  get facts(): ServerConnections['facts'] {
    return this.#database.facts
  }

  open(events: ConnectionEvents): Promise<void> {
    return this.#database.open(events)
  }

  close(): Promise<void> {
    return this.#database.close()
  }

  side(use: EngineUse): ServerSide {
    const database = this.#database
    const options = this.#options
    const queues = use.lanes.map(({ laneId }) => queueNameOf(laneId))
    // channels are of the whole database
    const own = `lane:${this.#schema}`
    return {
      channels: channelsOf(database),
      names: { channel: database.channel, channelTo: (instanceId) => `${own}:${instanceId}` },
      lanes: pgLanes(database, use.now),
      commands: commandsOf(database),
      swept: {
        get isUp() {
          return database.isUp
        },
        sweep: () => database.run((tx) => sweepIn(tx, queues, options)),
      },
      keepReport: ({ command: { id, laneId } }, value) =>
        database.run(async ({ query }) => {
          const [queue, job] = [queueNameOf(laneId), jobIdOf(id, laneId)]
          await query('SELECT update_progress($1, $2, $3::jsonb)', [queue, job, jsonbText(value)])
          await keepFields(query, queue, job, { progress: value })
        }),
      looks: new PgLooks(database),
      wakeUps: new PgWakeUps(database, use, options.clock),
      clusterEvents: new PgClusterEvents(database, use, options.clock),
      submissions: (messages) => new PgSubmissions(database, messages, use),
      leases: (messages) => new PgLeases(database, messages, use, options),
    }
  }
}

const channelsOf = (database: Database): Channels => ({
  get isUp() {
    return database.isUp
  },
  subscribe: (channels, onMessage) => database.subscribe(channels, onMessage),
  publish: (channel, text) => database.publish(channel, text),
})

const commandsOf = (database: Database): Commands => ({
  get isUp() {
    return database.isUp
  },
  async lookUp(wanted) {
    const places = wanted.map(({ id, laneId }) => [queueNameOf(laneId), jobIdOf(id, laneId)] as const)
    const rows = await database.run(({ query }) =>
      query<JobRow>(
        `SELECT ${COLUMNS} FROM job j JOIN unnest($1::text[], $2::text[]) AS t(queue, id)
         ON t.queue = j.queue AND t.id = j.id`,
        [places.map(([queue]) => queue), places.map(([, id]) => id)],
      ),
    )
    const found = new Map(rows.map((row) => [JSON.stringify([row.queue, row.id]), fieldsOfRow(row)]))
    return places.map((place) => found.get(JSON.stringify(place)) ?? new Map())
  },
})
