/** Checks of what users pass in, in the words of the whole package. */
import { LaneError } from '../core/index.js'

/** The error of one option: names it, says what was expected and what came. */
export function configInvalid(option: string, expected: string, got: unknown): LaneError {
  return new LaneError('CONFIG_INVALID', `Configuration error: ${option} must be ${expected}, got ${shown(got)}`, {
    fields: { option, expected },
  })
}

export function checkInteger(option: string, value: unknown, min: number): asserts value is number {
  if (!Number.isSafeInteger(value) || (value as number) < min) {
    throw configInvalid(option, `an integer of at least ${min}`, value)
  }
}

export function checkMs(option: string, value: unknown): asserts value is number {
  if (typeof value !== 'number' || !Number.isFinite(value) || value < 0) {
    throw configInvalid(option, 'a number of milliseconds, 0 or more', value)
  }
}

export function checkOptions(where: string, options: unknown, known: readonly string[]): asserts options is object {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw configInvalid(`${where} options`, 'an object', options)
  }
  for (const key of Object.keys(options)) {
    if (known.includes(key)) continue
    const text = `Configuration error: ${where} has no option '${key}'; its options are ${known.join(', ')}`
    throw new LaneError('CONFIG_INVALID', text, { fields: { option: key } })
  }
}

/** A value as it stands in a message: short, and safe for values whose accessors throw. */
function shown(value: unknown): string {
  try {
    if (typeof value === 'function') return 'a function'
    const text = typeof value === 'string' || isObject(value) ? JSON.stringify(value) : String(value)
    return text.length > 80 ? `${text.slice(0, 77)}...` : text
  } catch {
    return 'a value that cannot be shown'
  }
}

const isObject = (value: unknown): boolean => typeof value === 'object' && value !== null

/** The message of whatever was thrown; never throws itself. */
export function errorText(error: unknown): string {
  try {
    const message: unknown = (error as { message?: unknown } | null | undefined)?.message
    return typeof message === 'string' ? message : String(error)
  } catch {
    return 'an error that cannot be shown'
  }
}
