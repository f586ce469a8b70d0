/** What errors of Postgres mean: the server is away, it does not suit, or two transactions were in each other's way. */
import { errorText, LaneError } from '../../core/index.js'

/** SQLSTATE, or the code of the system. */
function codeOf(error: unknown): string {
  const code = (error as { code?: unknown } | undefined)?.code
  return typeof code === 'string' ? code : ''
}

/** Whether the connection was lost, or the server does not take any for now. */
export function isPgAway(error: unknown): boolean {
  const code = codeOf(error)
  // 08: connection; 57P: shutting down or starting; 25P03: a transaction was idle for too long; 53300: too many
  if (/^(08...|57P0[1-4]|25P03|53300|ECONN\w+|EPIPE|ETIMEDOUT|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH)$/.test(code))
    return true
  return /Connection terminated|connection error|timeout expired|Client was closed|not queryable/i.test(
    errorText(error),
  )
}

/** Whether the same transaction may go through when it is tried again. */
export const isPgInTheWay = (error: unknown): boolean => /^40(001|P01)$/.test(codeOf(error))

/** The error of an answer that will not change by waiting; undefined for one that may. */
export function pgRefusalOf(error: unknown): LaneError | undefined {
  const text = errorText(error)
  const code = codeOf(error)
  if (code === '28P01' || code === '28000' || /SASL|password/i.test(text)) {
    return pgInvalid(`the server does not take the password or the user: ${text}`, error)
  }
  if (code === '3D000' || code === '42501' || code === '3F000') return pgInvalid(text, error)
  const name = error instanceof Error ? error.name : ''
  if (/^(UnsupportedPostgresVersion|SchemaVersionMismatch)Error$/.test(name)) return pgInvalid(text, error)
  return undefined
}

export function pgInvalid(text: string, cause?: unknown): LaneError {
  return new LaneError('CONFIG_INVALID', `Configuration error: BullMQEngine connection: ${text}`, {
    fields: { option: 'BullMQEngine connection' },
    ...(cause === undefined ? {} : { cause }),
  })
}
