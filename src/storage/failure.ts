/**
 * What SQLite and the file system object to, as errors of Lane: whether the storage can go on is decided here and
 * nowhere else. After a failed sync nobody knows what is on the disk, so nothing is written any more.
 */
import { errorText, isLaneError, LaneError } from '../core/index.js'

/** Where a batch was when it failed: before its commit nothing can have reached the file. */
export type FailurePhase = 'before commit' | 'commit' | 'read'

/** SQLite's result code as text, in whichever form the library gives it. */
export function codeOf(error: unknown): string {
  if (typeof error !== 'object' || error === null) return ''
  const { code, errcode } = error as { code?: unknown; errcode?: unknown }
  if (typeof errcode === 'number') return CODES[errcode] ?? CODES[errcode & 0xff] ?? `SQLITE_${errcode}`
  return typeof code === 'string' ? code : ''
}

/** node:sqlite gives numbers; the ones that are told apart here. */
const CODES: Readonly<Record<number, string>> = {
  5: 'SQLITE_BUSY',
  6: 'SQLITE_LOCKED',
  8: 'SQLITE_READONLY',
  776: 'SQLITE_READONLY_ROLLBACK',
  10: 'SQLITE_IOERR',
  11: 'SQLITE_CORRUPT',
  13: 'SQLITE_FULL',
  14: 'SQLITE_CANTOPEN',
  26: 'SQLITE_NOTADB',
  1034: 'SQLITE_IOERR_FSYNC',
  1290: 'SQLITE_IOERR_DIR_FSYNC',
}

/** Whether the storage must take no writes any more after this. */
export function isEnd(error: unknown, phase: FailurePhase): boolean {
  const code = codeOf(error)
  if (isCorruption(error)) return phase !== 'read'
  if (!code.startsWith('SQLITE_IOERR')) return false
  return phase === 'commit' || code.includes('FSYNC')
}

export function isCorruption(error: unknown): boolean {
  if (isLaneError(error)) return error.code === 'STORAGE_CORRUPT'
  const code = codeOf(error)
  return code.startsWith('SQLITE_CORRUPT') || code === 'SQLITE_NOTADB'
}

/** The error of an open that failed: where there is no space, or somebody else is in the way, a later one may succeed. */
export const openFailure = (what: string, error: unknown): LaneError =>
  storageFailure(what, error, /^SQLITE_(FULL|BUSY)/.test(codeOf(error)))

/** The error that a caller gets. `isRetryable`: the same call may succeed later, on this very storage. */
export function storageFailure(what: string, error: unknown, isRetryable: boolean): LaneError {
  if (isLaneError(error)) return error
  if (isCorruption(error)) return corrupt(what, error)
  return new LaneError('STORAGE_FAILED', `${what}: ${reasonOf(error)}`, { cause: error, retryable: isRetryable })
}

export function corrupt(what: string, cause?: unknown): LaneError {
  const why = cause === undefined ? '' : `: ${errorText(cause)}`
  return new LaneError(
    'STORAGE_CORRUPT',
    `${what}${why}. The file was left as it is`,
    cause === undefined ? {} : { cause },
  )
}

const REASONS: readonly (readonly [string, string])[] = [
  ['SQLITE_FULL', 'there is no space left'],
  ['SQLITE_READONLY', 'the file or its folder may not be written to'],
  ['SQLITE_BUSY', 'another program keeps the file locked'],
  ['SQLITE_CANTOPEN', 'the file cannot be opened'],
]

function reasonOf(error: unknown): string {
  const code = codeOf(error)
  const known = REASONS.find(([start]) => code.startsWith(start))
  return known === undefined ? errorText(error) : `${known[1]} (${errorText(error)})`
}
