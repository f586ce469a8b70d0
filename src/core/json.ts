/** JSON as the form in which a user's value is kept: what JSON would drop or bend is refused. */
import { errorText, LaneError, show } from './errors.js'

/** The value as JSON text. `PAYLOAD_INVALID` for what has no such form: cycles, BigInt, functions, symbols, NaN, nothing at all. */
export function jsonText(what: string, value: unknown): string {
  let text: string | undefined
  try {
    // Without a function to ask it is several times as fast, and most values are what they seem.
    text = isPlainJson(value, DEPTH)
      ? JSON.stringify(value)
      : (JSON.stringify(value, refuseOthers) as string | undefined)
  } catch (error) {
    throw notJson(what, errorText(error), error)
  }
  if (text === undefined) throw notJson(what, `got ${show(value)}`)
  return text
}

/** How deep a value is looked into: deeper ones may be cycles. */
const DEPTH = 16

/** Whether a value is made of nothing but what JSON has a form for; false, too, when that is not sure. */
function isPlainJson(value: unknown, depth: number): boolean {
  if (typeof value === 'string' || typeof value === 'boolean' || value === null) return true
  if (typeof value === 'number') return Number.isFinite(value)
  if (typeof value !== 'object' || depth === 0 || 'toJSON' in value) return false
  if (Array.isArray(value)) return value.every((item) => isPlainJson(item, depth - 1))
  if (Object.getPrototypeOf(value) !== Object.prototype) return false
  return Object.values(value).every((item) => isPlainJson(item, depth - 1))
}

function refuseOthers(key: string, value: unknown): unknown {
  const what = otherThanJson(value)
  if (what === undefined) return value
  throw new TypeError(`${key === '' ? 'it' : `its '${key}'`} is ${what}`)
}

/** What a value is that JSON has no form for; undefined when it has one. */
function otherThanJson(value: unknown): string | undefined {
  if (typeof value === 'bigint') return 'a BigInt'
  if (typeof value === 'function' || typeof value === 'symbol') return show(value)
  if (typeof value === 'number') return Number.isFinite(value) ? undefined : String(value)
  if (typeof value !== 'object' || value === null) return undefined
  // A Map or a Set would come back empty, bytes as an object of numbers.
  const tag = Object.prototype.toString.call(value).slice('[object '.length, -1)
  return JSON_OBJECTS.has(tag) ? undefined : `a ${tag}`
}

const JSON_OBJECTS = new Set(['Object', 'Array', 'String', 'Number', 'Boolean'])

const notJson = (what: string, why: string, cause?: unknown): LaneError =>
  new LaneError('PAYLOAD_INVALID', `${what} must be JSON: ${why}`, cause === undefined ? {} : { cause })
