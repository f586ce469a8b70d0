/**
 * What a file must be before it is used, tried on a connection that cannot write: a file that is refused is left as it is.
 *
 * A small file is checked as a whole. Of a large one those tables are that are read at open; what waits in the others is
 * checked row by row when it is read, and counted.
 */
import type { Database, Driver } from './driver.js'
import { codeOf, corrupt, storageFailure } from './failure.js'
import { type FilePlace, sizeOf } from './file-place.js'
import { readMeta } from './meta.js'
import { APPLICATION_ID, checkHistory, MIGRATIONS, migrate, schemaOf, versionOf } from './migrations.js'
import { IN_MEMORY } from './options.js'
import { readAnswered } from './start-marks.js'

/** Up to this size every page is looked at: some tens of milliseconds. */
const SMALL_BYTES = 32 * 1024 * 1024
const READ_AT_OPEN = ['meta', 'migrations', 'names', 'journal', 'commands', 'cold_counts', 'letters']

/** Whether the file is there and ours. `STORAGE_CORRUPT` when it is something else, or damaged. */
export function checkFile(driver: Driver, place: FilePlace): void {
  if (sizeOf(place.file) === 0) {
    // SQLite would remove the journal of an empty file, and with it what was committed
    if (sizeOf(place.wal) > 0)
      throw corrupt(`The file ${place.file} is empty or missing, and its journal ${place.wal} is not`)
    return
  }
  try {
    checkOn(driver, place, true)
  } catch (error) {
    // a process that died while it made the file: SQLite undoes that, but not when it may only read
    if (codeOf(error) !== 'SQLITE_READONLY_ROLLBACK') throw openFailure(place, error)
    try {
      checkOn(driver, place, false)
    } catch (second) {
      throw openFailure(place, second)
    }
  }
}

function checkOn(driver: Driver, place: FilePlace, readOnly: boolean): void {
  const database = driver.open(place.file, { readOnly, busyMs: 1000 })
  try {
    inspectFile(driver, database, place)
  } finally {
    database.close()
  }
}

function openFailure({ file }: FilePlace, error: unknown): Error {
  const isForeign = codeOf(error) === 'SQLITE_NOTADB'
  const what = `${file} is not a SQLite file, or its beginning is damaged`
  return storageFailure(isForeign ? what : `The storage ${file} cannot be opened`, error, false)
}

function inspectFile(driver: Driver, database: Database, place: FilePlace): void {
  const tables = Number(database.prepare('SELECT count(*) FROM sqlite_schema').get()?.[0])
  const application = database.prepare('PRAGMA application_id').get()?.[0]
  // a process that died while it made the file
  if (tables === 0 && application === 0) return
  if (application !== APPLICATION_ID) throw corrupt(`${place.file} is a SQLite file of another program`)
  checkHistory(database)
  checkSchema(driver, database)
  checkPages(database, sizeOf(place.file) + sizeOf(place.wal))
  checkCommits(database, place)
}

/** A damaged definition would be obeyed: the schema must be what its migrations make. */
function checkSchema(driver: Driver, database: Database): void {
  const model = driver.open(IN_MEMORY)
  try {
    migrate(model, MIGRATIONS.slice(0, versionOf(database)))
    if (schemaOf(model) !== schemaOf(database))
      throw corrupt('The tables of the file are not those that it should have')
  } finally {
    model.close()
  }
}

function checkPages(database: Database, bytes: number): void {
  database.exec('PRAGMA cell_size_check = ON')
  const isSmall = bytes <= SMALL_BYTES
  const checks = isSmall ? ['quick_check(1)'] : READ_AT_OPEN.map((table) => `quick_check('${table}')`)
  for (const check of checks) {
    const finding = database.prepare(`PRAGMA ${check}`).get()?.[0]
    if (finding !== 'ok') throw corrupt(`The file is damaged: ${String(finding)}`)
  }
}

/** A damaged write-ahead file is cut off where its damage begins: the marks know what was answered. */
function checkCommits(database: Database, place: FilePlace): void {
  const row = database.prepare('SELECT max(number) FROM journal').get()
  const meta = database.prepare('SELECT 1 FROM meta').get() === undefined ? undefined : readMeta(database)
  if (meta === undefined) return
  const last = Math.max(meta.folded, Number(row?.[0] ?? 0))
  const answered = readAnswered(place.starts, meta.identity)
  if (answered !== undefined && answered > last) {
    throw corrupt(`The file has lost commits: it has ${last}, and ${answered} was answered`)
  }
}
