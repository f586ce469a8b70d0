/**
 * What a namespace keeps beside BullMQ's tables, in the same schema: for each job what BullMQ has no column for, and what
 * holds over the lanes.
 */
import type { runMigrations } from 'bullmq'
import type { Client } from 'pg'

/** Made once; a later version adds to it. `fields`: what is a field of the job's hash on Redis, by the same names. */
const TABLES = `
CREATE TABLE IF NOT EXISTS lane_command (
  queue text NOT NULL,
  id text NOT NULL,
  place bigint NOT NULL,
  is_parked boolean NOT NULL DEFAULT false,
  deadline_ms bigint,
  fields jsonb NOT NULL,
  PRIMARY KEY (queue, id),
  FOREIGN KEY (queue, id) REFERENCES job (queue, id) ON DELETE CASCADE
);
CREATE INDEX IF NOT EXISTS lane_command_deadline ON lane_command (queue, deadline_ms) WHERE deadline_ms IS NOT NULL;
CREATE TABLE IF NOT EXISTS lane_limits (
  queue text PRIMARY KEY,
  limits text NOT NULL,
  capacity bigint,
  rates jsonb,
  held_until_ms double precision
);
CREATE TABLE IF NOT EXISTS lane_rate (key text PRIMARY KEY, state jsonb NOT NULL);
CREATE TABLE IF NOT EXISTS lane_hold (
  id text PRIMARY KEY,
  queue text NOT NULL,
  job text NOT NULL,
  until_ms double precision NOT NULL,
  is_settled boolean NOT NULL DEFAULT false,
  next_queue text,
  next_job text,
  next_until_ms double precision
);
CREATE TABLE IF NOT EXISTS lane_letter (
  place bigserial PRIMARY KEY,
  id text UNIQUE NOT NULL,
  lane_id text NOT NULL,
  letter text NOT NULL
);
CREATE TABLE IF NOT EXISTS lane_message (id bigserial PRIMARY KEY, text text NOT NULL, at_ms bigint NOT NULL);
`

/** The lock under which a namespace is changed. */
export const lockOf = (schema: string): string => `hashtextextended('lane ${schema}', 0)`

/** Whether all of it is there. */
export async function isPrepared(client: Client): Promise<boolean> {
  const { rows } = await client.query<{ last: string | null }>("SELECT to_regclass('lane_message') AS last")
  return typeof rows[0]?.last === 'string'
}

/** Makes what is not there. Gives the version of the server. */
export async function prepareSchema(client: Client, schema: string, migrate: typeof runMigrations): Promise<string> {
  await migrate(client as unknown as Parameters<typeof runMigrations>[0], schema)
  await client.query(`BEGIN; SELECT pg_advisory_xact_lock(${lockOf(schema)}); ${TABLES} COMMIT`)
  const { rows } = await client.query<{ version: string }>("SELECT current_setting('server_version') AS version")
  return (rows[0]?.version ?? '').split(' ')[0] ?? ''
}
