/**
 * Jobs in BullMQ's tables. `lane_command.fields` has beside each job of ours what is a field of its hash on Redis, by the
 * same names: so both are read by the same code. What BullMQ keeps as `jsonb` is for its tools: payload, result and
 * priority are read from the fields, letter for letter.
 */
import type { JobFields } from '../job-form.js'
import type { Transaction } from './database.js'

type Query = Transaction['query']

/** A row of `job`, with what of ours is beside it. Numbers of 64 bits come as text. */
export type JobRow = {
  readonly queue: string
  readonly id: string
  readonly name: string
  readonly state: string
  readonly data: string
  readonly opts: string
  readonly priority: number
  readonly attempts_started: number
  readonly progress: string | null
  readonly return_value: string | null
  readonly failed_reason: string | null
  readonly added_at_ms: string
  readonly process_at_ms: string | null
  readonly processed_at_ms: string | null
  readonly finished_at_ms: string | null
  readonly lock_token: string | null
  readonly locked_until_ms: string | null
  readonly stalled_count: number
  readonly fields: Readonly<Record<string, string>> | null
}

/** What is read of a job `j` and of our row beside it. `jsonb` as text: it goes on as it is. */
export const COLUMNS = `j.queue, j.id, j.name, j.state, j.data::text AS data, j.opts::text AS opts, j.priority,
  j.attempts_started, j.progress::text AS progress, j.return_value::text AS return_value, j.failed_reason,
  j.added_at_ms, j.process_at_ms, j.processed_at_ms, j.finished_at_ms, j.lock_token, j.locked_until_ms,
  j.stalled_count,
  (SELECT c.fields FROM lane_command c WHERE c.queue = j.queue AND c.id = j.id) AS fields`

/** The fields of a job as its hash on Redis has them. */
export function fieldsOfRow(row: JobRow): JobFields {
  const fields = new Map<string, string>()
  const keep = (name: string, value: string | number | null): void => {
    if (value !== null) fields.set(name, String(value))
  }
  keep('name', row.name)
  keep('data', row.data)
  keep('opts', row.opts)
  keep('priority', row.priority)
  keep('timestamp', row.added_at_ms)
  keep('ats', row.attempts_started === 0 ? null : row.attempts_started)
  keep('stc', row.stalled_count === 0 ? null : row.stalled_count)
  keep('progress', row.progress)
  keep('processedOn', row.processed_at_ms)
  keep('finishedOn', row.finished_at_ms)
  if (row.finished_at_ms !== null) {
    keep('failedReason', row.failed_reason)
    keep('returnvalue', row.return_value)
  }
  // an empty one stands for none
  for (const [name, value] of Object.entries(row.fields ?? {})) if (value !== '') fields.set(name, value)
  return fields
}

/** One job, kept as it is until the transaction ends. */
export async function jobOf(query: Query, queue: string, id: string): Promise<JobRow | undefined> {
  const rows = await query<JobRow>(`SELECT ${COLUMNS} FROM job j WHERE j.queue = $1 AND j.id = $2 FOR UPDATE OF j`, [
    queue,
    id,
  ])
  return rows[0]
}

/** Adds fields to a job; an empty one stands for none. A job of another program gets its row with the first. */
export async function keepFields(
  query: Query,
  queue: string,
  id: string,
  fields: Readonly<Record<string, string>>,
): Promise<void> {
  await query(
    `INSERT INTO lane_command AS c (queue, id, place, fields)
     SELECT queue, id, seq, $3::jsonb FROM job WHERE queue = $1 AND id = $2
     ON CONFLICT (queue, id) DO UPDATE SET fields = c.fields || EXCLUDED.fields`,
    [queue, id, fieldsText(fields)],
  )
}

/** Name and value in turn, as an object. */
export function objectOf(flat: readonly (string | number)[]): Record<string, string> {
  const fields: Record<string, string> = {}
  for (let at = 0; at < flat.length; at += 2) fields[String(flat[at])] = String(flat[at + 1])
  return fields
}

const ESCAPES = /\\(?:[^u]|u(?:0000|[dD][89a-fA-F][0-9a-fA-F]{2})?)/g

/** JSON text that `jsonb` takes: it knows no NUL and no half of a pair. */
export const jsonbText = (text: string): string =>
  text.includes('\\u')
    ? JSON.stringify(JSON.parse(text)).replace(ESCAPES, (found) => (found.length > 2 ? '\\ufffd' : found))
    : text

export const fieldsText = (fields: Readonly<Record<string, string>>): string => jsonbText(JSON.stringify(fields))

/** Text that a column takes. */
export const plainText = (text: string): string => text.replaceAll('\0', '\ufffd')

/** Wakes workers that wait for something to do in a lane. */
export const wake = (query: Query, queue: string): Promise<unknown> =>
  query("SELECT pg_notify('bullmq_jobs', $1)", [queue])

/** What BullMQ's clients hear. */
export const publish = (query: Query, queue: string, event: string, data: object): Promise<unknown> =>
  query('SELECT publish_event($1, $2, $3::jsonb)', [queue, event, jsonbText(JSON.stringify(data))])
