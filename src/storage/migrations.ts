/**
 * What is in the file, and how an older file becomes a newer one. The list only grows: a step that was released is never
 * changed. Each step is one transaction together with the version that it leads to, so that a crash leaves a file of one
 * version or of the next.
 *
 * `journal` has the batches as they were written; `commands`, `cold` and `letters` what they came to, up to the batch that
 * `meta.folded` names. What is folded into them leaves the journal in the same transaction.
 */
import { sumOfText } from './checksum.js'
import type { Database } from './driver.js'
import { corrupt } from './failure.js'
import { inTransaction } from './transaction.js'

/** 'lane' in ASCII: whose file it is. */
export const APPLICATION_ID = 0x6c_61_6e_65

type Migration = { readonly name: string; readonly sql: string }

const COLUMNS = `
  seq INTEGER PRIMARY KEY,
  state INTEGER NOT NULL,
  attempt INTEGER NOT NULL,
  lane INTEGER NOT NULL,
  type INTEGER NOT NULL,
  priority REAL NOT NULL,
  created_at REAL NOT NULL,
  due_at REAL,
  id TEXT,
  key TEXT,
  payload TEXT,
  options TEXT,
  checkpoint TEXT,
  details TEXT,
  submit_sum INTEGER NOT NULL,
  progress_sum INTEGER NOT NULL`

export const MIGRATIONS: readonly Migration[] = [
  {
    name: 'first',
    sql: `
CREATE TABLE meta (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  identity TEXT NOT NULL,
  prefix TEXT,
  reserved INTEGER NOT NULL,
  highest INTEGER NOT NULL,
  folded INTEGER NOT NULL,
  settled INTEGER NOT NULL,
  hot_rows INTEGER NOT NULL,
  settled_rows INTEGER NOT NULL,
  sum INTEGER NOT NULL
) STRICT;
CREATE TABLE migrations (version INTEGER PRIMARY KEY, name TEXT NOT NULL, sum INTEGER NOT NULL) STRICT;
CREATE TABLE names (number INTEGER PRIMARY KEY, name TEXT NOT NULL, sum INTEGER NOT NULL) STRICT;
CREATE TABLE journal (number INTEGER PRIMARY KEY, after INTEGER NOT NULL, batch BLOB NOT NULL) STRICT;
CREATE TABLE commands (${COLUMNS},
  ended_at REAL,
  result TEXT,
  error TEXT,
  keep_until REAL,
  settled INTEGER
) STRICT;
CREATE INDEX commands_id ON commands (id) WHERE id IS NOT NULL;
CREATE INDEX commands_settled ON commands (settled) WHERE settled IS NOT NULL AND keep_until IS NULL;
CREATE INDEX commands_kept ON commands (keep_until) WHERE keep_until IS NOT NULL;
CREATE TABLE cold (${COLUMNS}
) STRICT;
CREATE INDEX cold_id ON cold (id) WHERE id IS NOT NULL;
CREATE INDEX cold_plain ON cold (lane, priority, seq) WHERE key IS NULL;
CREATE INDEX cold_keyed ON cold (lane, priority, seq) WHERE key IS NOT NULL;
CREATE INDEX cold_by_key ON cold (lane, key, priority, seq) WHERE key IS NOT NULL;
CREATE TABLE cold_counts (
  lane INTEGER NOT NULL,
  key TEXT NOT NULL,
  count INTEGER NOT NULL,
  twin INTEGER NOT NULL,
  sum INTEGER NOT NULL,
  PRIMARY KEY (lane, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE letters (number INTEGER PRIMARY KEY, seq INTEGER NOT NULL, failed_at REAL NOT NULL, letter TEXT NOT NULL, sum INTEGER NOT NULL) STRICT;
CREATE UNIQUE INDEX letters_seq ON letters (seq);`,
  },
]

/** Brings the file to the newest version, step by step. */
export function migrate(database: Database, steps: readonly Migration[] = MIGRATIONS): void {
  const from = versionOf(database)
  for (const [index, step] of steps.entries()) {
    if (index < from) continue
    inTransaction(database, () => {
      database.exec(step.sql)
      database
        .prepare('INSERT INTO migrations (version, name, sum) VALUES (?, ?, ?)')
        .run(index + 1, step.name, sumOfText(step.sql))
      database.exec(`PRAGMA user_version = ${index + 1}`)
      if (index === 0) database.exec(`PRAGMA application_id = ${APPLICATION_ID}`)
    })
  }
}

export const versionOf = (database: Database): number => Number(database.prepare('PRAGMA user_version').get()?.[0])

/** Whether the file was made by the steps that we know. `STORAGE_CORRUPT` when not. */
export function checkHistory(database: Database, steps: readonly Migration[] = MIGRATIONS): void {
  const version = versionOf(database)
  if (version > steps.length) {
    throw corrupt(`The file is of version ${version}, made by a later release; this one knows ${steps.length} at most`)
  }
  const rows = database.prepare('SELECT version, name, sum FROM migrations ORDER BY version').all()
  const isKnown = rows.every(([number, name, sum], index) => {
    const step = steps[index]
    return number === index + 1 && step !== undefined && name === step.name && sum === sumOfText(step.sql)
  })
  if (!isKnown || rows.length !== version) throw corrupt('The migrations of the file are not those of this package')
}

/** What SQLite keeps of the schema, as one text: a damaged definition would be obeyed. */
export const schemaOf = (database: Database): string =>
  database
    .prepare('SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name')
    .all()
    .map((row) => row.join('\u0000'))
    .join('\u0001')
