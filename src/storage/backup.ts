/**
 * A copy of a file that is in use: as of one commit, while others are made. It is written under another name and takes its
 * own when it is complete and on the disk. A copy is a file of its own: marks that belong to the original say nothing of it.
 */
import { closeSync, existsSync, fsyncSync, linkSync, openSync, renameSync, rmSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { errorText, LaneError, systemRandom } from '../core/index.js'
import type { Database, Driver } from './driver.js'
import { storageFailure } from './failure.js'
import { newIdentity } from './initial-state.js'
import { readMeta, writeMeta } from './meta.js'
import type { OpenFile } from './open-file.js'
import { inTransaction, TransactionFailure } from './transaction.js'
import { inOwnThread } from './writer-thread.js'

export async function copyTo({ driver, database, place }: OpenFile, path: string): Promise<void> {
  const target = resolve(path)
  checkFree(target)
  const partial = `${target}-partial`
  try {
    rmSync(partial, { force: true })
    const isWritten = place !== undefined && (await inOwnThread({ copyOf: place.file, target: partial }))
    if (!isWritten) copy(database, partial)
    finish(driver, partial)
    publish(partial, target)
  } catch (error) {
    rmSync(partial, { force: true })
    const cause = error instanceof TransactionFailure ? error.cause : error
    throw storageFailure(`The backup ${target} could not be written`, cause, true)
  }
}

/** Writes what a connection sees into a new file. */
export function copy(database: Database, target: string): void {
  database.prepare('VACUUM INTO ?').run(target)
}

function checkFree(target: string): void {
  if (existsSync(target)) throw new LaneError('CONFLICT', `The backup ${target} is there already; nothing was written`)
}

function finish(driver: Driver, partial: string): void {
  const database = driver.open(partial)
  try {
    database.exec('PRAGMA synchronous = FULL')
    inTransaction(database, () => writeMeta(database, { ...readMeta(database), identity: newIdentity(systemRandom) }))
  } finally {
    database.close()
  }
  sync(partial)
}

/** Gives the copy its name, unless somebody else has taken it meanwhile. */
function publish(partial: string, target: string): void {
  try {
    linkSync(partial, target)
    rmSync(partial)
  } catch (error) {
    checkFree(target)
    // a file system without links
    if (!/EPERM|ENOTSUP|ENOSYS|EOPNOTSUPP/.test(errorText(error))) throw error
    renameSync(partial, target)
  }
  syncFolder(dirname(target))
}

function sync(path: string): void {
  const fd = openSync(path, 'r+')
  try {
    fsyncSync(fd)
  } finally {
    closeSync(fd)
  }
}

/** So that the name is there after a power loss. Some systems cannot. */
export function syncFolder(folder: string): void {
  let fd: number | undefined
  try {
    fd = openSync(folder, 'r')
    fsyncSync(fd)
  } catch {
    // a system that cannot open a folder keeps names by other means
  } finally {
    if (fd !== undefined) closeSync(fd)
  }
}
