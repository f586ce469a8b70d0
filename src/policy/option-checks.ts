/**
 * Checks of options that policies share. They say what core's own checks say (`CONFIG_INVALID`, the option, what was
 * expected, what came); a policy cannot import those, because core imports the policies.
 */
import { configInvalid, LaneError } from '../core/errors.js'

/** Refuses what is not an object, and keys that are not known. */
export function checkFields(option: string, value: unknown, known: readonly string[]): asserts value is object {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw configInvalid(option, 'an object', value)
  }
  const unknown = Object.keys(value).find((key) => !known.includes(key))
  if (unknown === undefined) return
  throw new LaneError(
    'CONFIG_INVALID',
    `Configuration error: ${option} has no option '${unknown}'; its options are '${known.join("', '")}'`,
    { fields: { option: unknown } },
  )
}

/** An integer of at least 1. */
export function checkCount(option: string, value: unknown): void {
  if (Number.isSafeInteger(value) && (value as number) >= 1) return
  throw configInvalid(option, 'an integer of at least 1', value)
}

/** A finite number of milliseconds above 0. */
export function checkDuration(option: string, value: unknown): void {
  if (typeof value === 'number' && Number.isFinite(value) && value > 0) return
  throw configInvalid(option, 'a number of milliseconds, above 0', value)
}
