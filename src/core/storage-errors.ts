/** Errors around a storage. */
import { errorText, isLaneError, LaneError } from './errors.js'

/** The queue closes, and the command stays stored. */
export const keptError = (): LaneError =>
  new LaneError(
    'SHUTTING_DOWN',
    'The queue was closed; the command stays stored and runs when its storage is used again',
  )

/** The queue closes although something is not written. */
export const unwrittenError = (): LaneError =>
  new LaneError('STORAGE_FAILED', 'The queue was closed before the outcome was written; the command may run again')

/** Whatever a storage throws, as an error of ours. */
export function storageError(what: string, cause: unknown): LaneError {
  if (isLaneError(cause)) return cause
  return new LaneError('STORAGE_FAILED', `${what}: ${errorText(cause)}`, { cause })
}
