/** Where the file and its companions are: checked before anything is opened, each objection in one sentence. */
import { accessSync, constants, lstatSync, realpathSync, type Stats, statSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { errorText, LaneError } from '../core/index.js'

/** The names of a storage's files. */
export type FilePlace = {
  readonly file: string
  readonly folder: string
  readonly wal: string
  readonly lock: string
  readonly pid: string
  readonly starts: string
}

/** Longest name of a file, in bytes, on the file systems that there are; the longest ending of a companion's. */
const LONGEST_NAME = 255
// SQLite looks for the journal of the lock file, too
const LONGEST_ENDING = '-lock-journal'.length

/** A file that will be written to, or made. */
export function filePlace(path: string): FilePlace {
  const place = placeOf(path)
  checkWritable(place.folder, path, `the folder ${place.folder} may not be written to`)
  if (statOf(place.file) !== undefined) checkWritable(place.file, path, 'the file may not be written to')
  return place
}

/** A file that is there and will only be read. */
export function readablePlace(path: string): FilePlace {
  const place = placeOf(path)
  if (statOf(place.file) === undefined) throw refusal(path, 'the file is not there')
  return place
}

/** Follows links, so that one file has one lock whatever it is called. */
function placeOf(path: string): FilePlace {
  if (path.includes('\u0000')) throw refusal(path, 'a path cannot have a NUL in it')
  const given = resolve(path)
  checkName(given)
  const folder = folderOf(given)
  const link = lstatSync(given, { throwIfNoEntry: false })
  if (link?.isSymbolicLink() === true && statOf(given) === undefined) {
    throw refusal(given, 'it is a link to a file that is not there')
  }
  const file = link === undefined ? join(folder, basename(given)) : realpathSync(given)
  checkName(file)
  const found = statOf(file)
  if (found !== undefined && !found.isFile()) {
    throw refusal(given, found.isDirectory() ? 'it is a folder, not a file' : 'it is not a regular file')
  }
  return {
    file,
    folder: dirname(file),
    wal: `${file}-wal`,
    lock: `${file}-lock`,
    pid: `${file}-pid`,
    starts: `${file}-starts`,
  }
}

export const sizeOf = (path: string): number => statOf(path)?.size ?? 0

const statOf = (path: string): Stats | undefined => statSync(path, { throwIfNoEntry: false })

function checkName(path: string): void {
  const bytes = Buffer.byteLength(basename(path))
  if (bytes + LONGEST_ENDING <= LONGEST_NAME) return
  throw refusal(
    path,
    `its name has ${bytes} bytes, and there must be room for endings like -wal: at most ${LONGEST_NAME - LONGEST_ENDING}`,
  )
}

function folderOf(path: string): string {
  const folder = dirname(path)
  let found: Stats | undefined
  try {
    found = statOf(folder)
  } catch (error) {
    throw refusal(path, errorText(error), error)
  }
  if (found === undefined) throw refusal(path, `the folder ${folder} is not there`)
  if (!found.isDirectory()) throw refusal(path, `${folder} is not a folder`)
  return realpathSync(folder)
}

function checkWritable(what: string, path: string, objection: string): void {
  try {
    accessSync(what, constants.R_OK | constants.W_OK)
  } catch (error) {
    throw refusal(path, objection, error)
  }
}

/** Not to be opened there, this time or another. */
function refusal(path: string, why: string, cause?: unknown): LaneError {
  return new LaneError('STORAGE_FAILED', `The storage ${path} cannot be opened: ${why}`, {
    ...(cause === undefined ? {} : { cause }),
    retryable: false,
    fields: { path },
  })
}
