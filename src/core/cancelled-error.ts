/** The error of a cancelled command. */
import { errorText, isError, LaneError, show } from './errors.js'

/** The error of a cancelled command; `reason` is what the canceller gave. */
export type CancelledError = LaneError & { readonly reason?: unknown }

/** The error of a cancelled command. A reason that is an error becomes its cause. */
export function cancelledError(reason: unknown): CancelledError {
  const text = reasonText(reason)
  return new LaneError('COMMAND_CANCELLED', text === '' ? 'Command cancelled' : `Command cancelled: ${text}`, {
    ...(isError(reason) ? { cause: reason } : {}),
    fields: { reason },
  })
}

/** A reason in words. */
export function reasonText(reason: unknown): string {
  if (reason === undefined) return ''
  if (typeof reason === 'string') return reason
  return isError(reason) ? errorText(reason) : show(reason)
}
