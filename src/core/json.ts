/** JSON as the form in which a user's value is kept: what JSON would drop or bend is refused. */
import { errorText, LaneError, show } from './errors.js'

/** The value as JSON text. `PAYLOAD_INVALID` for what has no such form: cycles, BigInt, functions, symbols, NaN, nothing at all. */
export function jsonText(what: string, value: unknown): string {
  let text: string | undefined
  try {
    text = JSON.stringify(value, refuseOthers) as string | undefined
  } catch (error) {
    throw notJson(what, errorText(error), error)
  }
  if (text === undefined) throw notJson(what, `got ${show(value)}`)
  return text
}

function refuseOthers(key: string, value: unknown): unknown {
  const isBent = typeof value === 'number' && !Number.isFinite(value)
  if (!isBent && typeof value !== 'function' && typeof value !== 'symbol' && typeof value !== 'bigint') return value
  throw new TypeError(
    `${key === '' ? 'it' : `its '${key}'`} is ${typeof value === 'bigint' ? 'a BigInt' : show(value)}`,
  )
}

const notJson = (what: string, why: string, cause?: unknown): LaneError =>
  new LaneError('PAYLOAD_INVALID', `${what} must be JSON: ${why}`, cause === undefined ? {} : { cause })
