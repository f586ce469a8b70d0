/**
 * The simplest durable program: one row per commit, acknowledged after it. It knows nothing of lanes: with it the harness
 * itself is tried, since what each mode of SQLite survives is known.
 *
 *   bare <folder> <FULL | NORMAL | OFF> <rows>
 */
import { appendFileSync } from 'node:fs'
import { join } from 'node:path'
import Database from 'better-sqlite3'

const [folder = '', synchronous = 'FULL', rows = '300'] = process.argv.slice(2)
const db = new Database(join(folder, 'bare.db'))
db.pragma('journal_mode = WAL')
db.pragma(`synchronous = ${synchronous}`)
// checkpoints, and so writes to the main file, happen often
db.pragma('wal_autocheckpoint = 60')
db.exec('CREATE TABLE rows (id INTEGER PRIMARY KEY, content TEXT NOT NULL) STRICT')
const insert = db.prepare('INSERT INTO rows VALUES (?, ?)')
for (let id = 1; id <= Number(rows); id++) {
  insert.run(id, `${id}:`.padEnd(100 + ((id * 37) % 900), String(id)))
  appendFileSync(join(folder, 'acks'), `${id}\n`)
}
// nothing tidies up behind a power failure
process.kill(process.pid, 'SIGKILL')
