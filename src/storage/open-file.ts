/** From options to an open file: locked, checked, brought to the newest version. What fails on the way is undone. */
import { rmSync } from 'node:fs'
import { systemRandom } from '../core/index.js'
import { syncFolder } from './backup.js'
import { openConnection } from './connection.js'
import { type Database, type Driver, findDriver } from './driver.js'
import { openFailure } from './failure.js'
import { checkFile } from './file-checks.js'
import { FileLock } from './file-lock.js'
import { type FilePlace, filePlace, sizeOf } from './file-place.js'
import { initialise } from './initial-state.js'
import { IN_MEMORY, type StorageSettings } from './options.js'
import { StartMarks } from './start-marks.js'
import { TransactionFailure } from './transaction.js'
import { threadEntry, WriterThread } from './writer-thread.js'

/** What a storage is made of. */
export type OpenFile = {
  readonly settings: StorageSettings
  readonly driver: Driver
  readonly database: Database
  readonly marks: StartMarks
  /** None of these in memory. */
  readonly place: FilePlace | undefined
  readonly lock: FileLock | undefined
  readonly startThread: (() => WriterThread) | undefined
}

export function openFile(settings: StorageSettings): OpenFile {
  const driver = findDriver()
  return settings.path === IN_MEMORY ? openMemory(settings, driver) : openOnDisk(settings, driver)
}

function openMemory(settings: StorageSettings, driver: Driver): OpenFile {
  const { path, isFull } = settings
  const database = openConnection(driver, { path, isFull, busyMs: 0 })
  const { identity } = initialise(database, systemRandom)
  const marks = new StartMarks(undefined, { identity, isFull })
  return { settings, driver, database, marks, place: undefined, lock: undefined, startThread: undefined }
}

function openOnDisk(settings: StorageSettings, driver: Driver): OpenFile {
  const { path, isFull } = settings
  const place = filePlace(path)
  const lock = new FileLock(driver, place)
  let database: Database | undefined
  try {
    checkFile(driver, place)
    const isNew = sizeOf(place.file) === 0
    // what is left of a file that was removed says nothing of the one that is made now
    if (isNew) rmSync(place.starts, { force: true })
    database = openConnection(driver, { path: place.file, isFull, busyMs: 1000 })
    const { identity } = initialise(database, systemRandom)
    const marks = new StartMarks(place.starts, { identity, isFull })
    if (isNew) syncFolder(place.folder)
    const entry = threadEntry()
    const thread = { path: place.file, starts: place.starts, identity, isFull }
    const startThread = entry === undefined ? undefined : () => new WriterThread(entry, thread)
    return { settings, driver, database, marks, place, lock, startThread }
  } catch (error) {
    database?.close()
    lock.release()
    const cause = error instanceof TransactionFailure ? error.cause : error
    throw openFailure(`The storage ${path} cannot be opened`, cause)
  }
}
