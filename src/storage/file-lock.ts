/**
 * One process has the file, and in it one storage. The lock is an exclusive transaction on an empty file beside the
 * database: the system drops it with the process, however that ends, so it cannot be left behind. The file itself stays:
 * two who remove and make it at the same moment would each hold a lock.
 *
 * The database must not be opened and closed by other means than SQLite's while it is in use: closing any handle of a file
 * drops all locks of the process on it. So a second opener of this process is refused before it touches anything.
 */
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { pid } from 'node:process'
import { LaneError } from '../core/index.js'
import type { Database, Driver } from './driver.js'
import { codeOf, corrupt, storageFailure } from './failure.js'
import type { FilePlace } from './file-place.js'

/** Shared by all copies of this package in the process. */
const OPEN = Symbol.for('@a3s-lab/lane.storage.open')

function openHere(): Set<string> {
  const holder = globalThis as { [OPEN]?: Set<string> }
  holder[OPEN] ??= new Set()
  return holder[OPEN]
}

export class FileLock {
  readonly #place: FilePlace
  readonly #database: Database

  /** `STORAGE_LOCKED` at once when somebody has it. */
  constructor(driver: Driver, place: FilePlace) {
    this.#place = place
    if (openHere().has(place.file)) throw locked(place, pid)
    this.#database = lockFile(driver, place)
    openHere().add(place.file)
    writeFileSync(place.pid, `${pid}\n`)
  }

  release(): void {
    rmSync(this.#place.pid, { force: true })
    openHere().delete(this.#place.file)
    this.#database.close()
  }
}

function lockFile(driver: Driver, place: FilePlace): Database {
  let database: Database | undefined
  try {
    database = driver.open(place.lock)
    database.exec('BEGIN EXCLUSIVE')
    return database
  } catch (error) {
    database?.close()
    const code = codeOf(error)
    if (code.startsWith('SQLITE_BUSY')) throw locked(place, readPid(place.pid), error)
    if (code === 'SQLITE_NOTADB' || code.startsWith('SQLITE_CORRUPT')) {
      throw corrupt(
        `The lock file ${place.lock} should be empty and is not; remove it when no process has the storage open`,
        error,
      )
    }
    throw storageFailure(`The storage ${place.file} cannot be locked`, error, false)
  }
}

function readPid(path: string): number | undefined {
  try {
    const found = Number.parseInt(readFileSync(path, 'utf8'), 10)
    return Number.isInteger(found) && found > 0 ? found : undefined
  } catch {
    return undefined
  }
}

function locked({ file }: FilePlace, holder: number | undefined, cause?: unknown, advice = ''): LaneError {
  const other = holder === undefined ? 'another process' : `process ${holder}`
  const who = holder === pid ? 'this process' : other
  return new LaneError('STORAGE_LOCKED', `The storage ${file} is in use by ${who}${advice}`, {
    ...(cause === undefined ? {} : { cause }),
    fields: { path: file, ...(holder === undefined ? {} : { pid: holder }) },
  })
}

/** Whether somebody has the file open as a storage; takes no lock and makes no file. */
export function checkUnlocked(driver: Driver, place: FilePlace): void {
  const advice = '; inspect a copy instead: storage.backup(path) writes one'
  if (openHere().has(place.file)) throw locked(place, pid, undefined, advice)
  if (!existsSync(place.lock)) return
  const database = driver.open(place.lock, { readOnly: true })
  try {
    database.prepare('SELECT count(*) FROM sqlite_schema').get()
  } catch (error) {
    if (codeOf(error).startsWith('SQLITE_BUSY')) throw locked(place, readPid(place.pid), error, advice)
  } finally {
    database.close()
  }
}
