/** What is asked about commands and lanes: one command, pages of them, counts, dead letters. */
import {
  configInvalid,
  type EngineLaneCounts,
  type EngineLetter,
  type EnginePage,
  type EngineQuery,
  type EngineRecord,
} from '../../core/index.js'
import { jobIdOf, laneIdOf, queueNameOf } from '../ids.js'
import { recordOf } from '../job-form.js'
import type { Database, Transaction } from './database.js'
import { keyOf } from './pg-holds.js'
import { COLUMNS, fieldsOfRow, type JobRow } from './pg-jobs.js'

/** Read at once when a page is filled. */
const MOST_AT_ONCE = 200

/** What waits, then what is delayed, what runs, and what has settled, oldest first. */
const ORDER = `CASE j.state WHEN 'waiting' THEN 0 WHEN 'delayed' THEN 1 WHEN 'active' THEN 2 WHEN 'completed' THEN 3 ELSE 4 END,
  CASE WHEN j.state = 'waiting' THEN j.priority ELSE 0 END, COALESCE(j.finished_at_ms, j.process_at_ms, 0), j.seq, j.id`

export class PgLooks {
  readonly #database: Database

  constructor(database: Database) {
    this.#database = database
  }

  async find(id: string, laneIds: readonly string[]): Promise<EngineRecord | undefined> {
    const jobIds = new Set(laneIds.map((laneId) => jobIdOf(id, laneId)))
    const rows = await this.#database.run(({ query }) =>
      query<JobRow>(
        `SELECT ${COLUMNS} FROM job j WHERE j.id = ANY($1) AND j.queue IN (SELECT queue FROM lane_limits)
         AND j.state <> 'waiting-children'`,
        [[...jobIds, jobIdOf(id, '')]],
      ),
    )
    return rows.map(recordOfRow).find(({ command }) => command.id === id)
  }

  async list({ laneIds, state, limit, cursor }: EngineQuery): Promise<EnginePage> {
    const items: EngineRecord[] = []
    const at = readCursor(cursor)
    while (at.lane < laneIds.length) {
      const read = await this.#page(laneIds[at.lane] as string, at.place)
      for (const record of read) {
        if (items.length === limit) return { items, nextCursor: `${at.lane}.${at.place}` }
        at.place++
        if (state === undefined || record.state === state) items.push(record)
      }
      if (read.length === MOST_AT_ONCE) continue
      at.place = 0
      at.lane++
    }
    return { items, nextCursor: undefined }
  }

  counts(laneIds: readonly string[]): Promise<readonly EngineLaneCounts[]> {
    return this.#database.run(async ({ query }) => {
      const answers: EngineLaneCounts[] = []
      for (const laneId of laneIds) answers.push(await countsOf(query, laneId))
      return answers
    })
  }

  async letters(limit: number): Promise<readonly EngineLetter[]> {
    if (limit < 1) return []
    const rows = await this.#database.run(({ query }) =>
      query<{ id: string; lane_id: string; letter: string }>(
        'SELECT id, lane_id, letter FROM lane_letter ORDER BY place LIMIT $1',
        [Number.isFinite(limit) ? limit : null],
      ),
    )
    return rows.map((row) => ({ id: nameOf(row.id), laneId: nameOf(row.lane_id), letter: row.letter }))
  }

  async removeLetters(ids: readonly string[]): Promise<readonly string[]> {
    if (ids.length === 0) return []
    const rows = await this.#database.run(({ query }) =>
      query<{ id: string }>('DELETE FROM lane_letter WHERE id = ANY($1) RETURNING id', [ids.map(keyOf)]),
    )
    const removed = new Set(rows.map(({ id }) => nameOf(id)))
    return ids.filter((id) => removed.has(id))
  }

  async #page(laneId: string, first: number): Promise<readonly EngineRecord[]> {
    const rows = await this.#database.run(({ query }) =>
      query<JobRow>(
        `SELECT ${COLUMNS} FROM job j WHERE j.queue = $1 AND j.state <> 'waiting-children'
         ORDER BY ${ORDER} OFFSET $2 LIMIT ${MOST_AT_ONCE}`,
        [queueNameOf(laneId), first],
      ),
    )
    return rows.map(recordOfRow)
  }
}

const nameOf = (key: string): string => JSON.parse(key) as string

function recordOfRow(row: JobRow): EngineRecord {
  const state = row.state === 'active' || row.state === 'delayed' ? row.state : 'pending'
  const dueAt = row.process_at_ms === null ? undefined : Number(row.process_at_ms)
  return recordOf(row.id, laneIdOf(row.queue), fieldsOfRow(row), { state, dueAt })
}

type CountsRow = {
  readonly pending: string
  readonly active: string
  readonly delayed: string
  readonly paused: boolean
  readonly deadline: string | null
  readonly letters: string
}

async function countsOf(query: Transaction['query'], laneId: string): Promise<EngineLaneCounts> {
  const [row] = await query<CountsRow>(
    `SELECT count(*) FILTER (WHERE state = 'waiting') AS pending, count(*) FILTER (WHERE state = 'active') AS active,
       count(*) FILTER (WHERE state = 'delayed') AS delayed,
       EXISTS (SELECT 1 FROM meta WHERE queue = $1 AND field = 'paused' AND value = '1') AS paused,
       (SELECT min(c.deadline_ms) FROM lane_command c JOIN job w ON w.queue = c.queue AND w.id = c.id
        WHERE c.queue = $1 AND c.deadline_ms IS NOT NULL AND w.state IN ('waiting', 'delayed')) AS deadline,
       (SELECT count(*) FROM lane_letter WHERE lane_id = $2) AS letters
     FROM job WHERE queue = $1 AND state IN ('waiting', 'active', 'delayed')`,
    [queueNameOf(laneId), keyOf(laneId)],
  )
  return {
    laneId,
    pending: Number(row?.pending),
    active: Number(row?.active),
    delayed: Number(row?.delayed),
    letters: Number(row?.letters),
    paused: row?.paused === true,
    deadlineAt: row?.deadline ? Number(row.deadline) : undefined,
  }
}

function readCursor(text: string | undefined): { lane: number; place: number } {
  if (text === undefined) return { lane: 0, place: 0 }
  const parts = /^(\d+)\.(\d+)$/.exec(text)
  if (parts === null) throw configInvalid('cursor', 'the nextCursor of the page before', text)
  return { lane: Number(parts[1]), place: Number(parts[2]) }
}
