/** Versions of a file that were never released: an older one, and steps that do to it what real ones may do. */
import { MIGRATIONS, type migrate } from '../../src/storage/migrations.js'

export type Steps = NonNullable<Parameters<typeof migrate>[1]>

/** What a file of the oldest version has had. */
export const MIGRATIONS_ONLY: Steps = MIGRATIONS

export const STEPS: Steps = [
  ...MIGRATIONS,
  { name: 'a table', sql: 'CREATE TABLE extras (number INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT;' },
  {
    name: 'rows that are moved',
    sql: `
INSERT INTO extras SELECT number, name FROM names;
CREATE INDEX extras_text ON extras (text);
ALTER TABLE extras ADD COLUMN more INTEGER NOT NULL DEFAULT 7;
UPDATE extras SET more = number * 2;
DROP INDEX extras_text;`,
  },
]
