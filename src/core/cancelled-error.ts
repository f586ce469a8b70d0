/** The error of a cancelled command. */
import { errorText, isError, isLaneError, LaneError, show } from './errors.js'

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

/** A reason in words. Of what was cancelled because something else was, the reason is that one's. */
export function reasonText(reason: unknown): string {
  if (reason === undefined) return ''
  if (isLaneError(reason) && reason.code === 'COMMAND_CANCELLED') return reasonText((reason as CancelledError).reason)
  if (typeof reason === 'string') return reason
  return isError(reason) ? errorText(reason) : show(reason)
}
