/**
 * Checks of what users pass in. Each check names the option, what was expected and what came (`CONFIG_INVALID`), before
 * anything is changed; an unknown option is refused with the nearest known one, never ignored.
 */
import { configInvalid, LaneError } from './errors.js'

/** Refuses keys that are not known. `where` names the object in the message. */
export function refuseUnknown(where: string, options: object, known: readonly string[]): void {
  for (const key of Object.keys(options)) {
    if (known.includes(key)) continue
    const near = nearest(key, known)
    throw new LaneError(
      'CONFIG_INVALID',
      `Configuration error: ${where} has no option '${key}'${near === undefined ? '' : `; did you mean '${near}'?`}`,
      { fields: { option: key } },
    )
  }
}

export function checkObject(option: string, value: unknown): asserts value is object {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw configInvalid(option, 'an object', value)
  }
}

export function checkInteger(option: string, value: unknown, min: number, max = Number.MAX_SAFE_INTEGER): void {
  if (Number.isInteger(value) && (value as number) >= min && (value as number) <= max) return
  throw configInvalid(option, range('an integer', min, max), value)
}

/** A limit: an integer, or Infinity for none. */
export function checkLimit(option: string, value: unknown, min: number): void {
  if (value === Number.POSITIVE_INFINITY || (Number.isInteger(value) && (value as number) >= min)) return
  throw configInvalid(option, `an integer of at least ${min}, or Infinity`, value)
}

/** A finite number of milliseconds. */
export function checkMs(option: string, value: unknown, min: 0 | 'above 0'): void {
  const finite = typeof value === 'number' && Number.isFinite(value)
  if (finite && (min === 0 ? value >= 0 : value > 0)) return
  throw configInvalid(option, `a number of milliseconds, ${min === 0 ? '0 or more' : 'above 0'}`, value)
}

export function checkBoolean(option: string, value: unknown): void {
  if (typeof value !== 'boolean') throw configInvalid(option, 'true or false', value)
}

export function checkText(option: string, value: unknown): asserts value is string {
  if (typeof value !== 'string' || value === '') throw configInvalid(option, 'a string that is not empty', value)
}

export function checkOneOf(option: string, value: unknown, allowed: readonly string[]): void {
  if (!allowed.includes(value as string)) {
    throw configInvalid(option, `one of ${allowed.map((one) => `'${one}'`).join(', ')}`, value)
  }
}

const range = (what: string, min: number, max: number): string =>
  max === Number.MAX_SAFE_INTEGER ? `${what} of at least ${min}` : `${what} from ${min} to ${max}`

/** The known key that is closest to a mistyped one, if any is close. */
export function nearest(key: string, known: readonly string[]): string | undefined {
  let best: string | undefined
  let bestDistance = Math.max(2, Math.floor(key.length / 2)) + 1
  for (const candidate of known) {
    const distance = editDistance(key.toLowerCase(), candidate.toLowerCase())
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance]
  }
  return best
}

/** Levenshtein's distance, one row at a time. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const change = a[i - 1] === b[j - 1] ? 0 : 1
      next[j] = Math.min((row[j] as number) + 1, (next[j - 1] as number) + 1, (row[j - 1] as number) + change)
    }
    row = next
  }
  return row[b.length] as number
}
