/** A file on its way from one version to another; and whether it is wholly of one of them. */
import Database from 'better-sqlite3'
import { openConnection } from '../../src/storage/connection.js'
import { type Database as Connection, findDriver } from '../../src/storage/driver.js'
import { checkHistory, MIGRATIONS, migrate, versionOf } from '../../src/storage/migrations.js'
import { STEPS, type Steps } from './migration-steps.js'

/** Names in a file of the oldest version, which a later step moves. */
const NAMES = 500

export function openForMigration(path: string, steps: Steps): void {
  const connection: Connection = openConnection(findDriver(), { path, isFull: true, busyMs: 0 })
  if (versionOf(connection) > 0) checkHistory(connection, steps)
  const isNew = steps.length === MIGRATIONS.length
  migrate(connection, steps)
  if (isNew) fill(connection)
  connection.close()
}

function fill(connection: Connection): void {
  const insert = connection.prepare('INSERT INTO names (number, name, sum) VALUES (?, ?, 0)')
  connection.exec('BEGIN')
  for (let number = 1; number <= NAMES; number++) insert.run(number, `name ${number}`)
  connection.exec('COMMIT')
}

/** What is wrong with a file that a migration was interrupted in; afterwards it is of the newest version. */
export function judgeMigration(path: string): string | undefined {
  try {
    openForMigration(path, STEPS)
    const db = new Database(path, { readonly: true })
    const state = db.pragma('integrity_check', { simple: true })
    const count = db.prepare<[], { n: number }>('SELECT count(*) AS n FROM extras WHERE more = number * 2').get()?.n
    db.close()
    if (state !== 'ok') return String(state)
    return count === NAMES ? undefined : `${count} of ${NAMES} rows have come along`
  } catch (error) {
    return String(error)
  }
}
