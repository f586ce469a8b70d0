/** Checks of what a simulation is given: as in a queue, `CONFIG_INVALID` names the option, what was expected and what came. */
import { LaneError } from '../core/index.js'

/** The error of one option. */
export function invalid(option: string, expected: string, got: unknown): LaneError {
  return new LaneError('CONFIG_INVALID', `Configuration error: ${option} must be ${expected}, got ${String(got)}`, {
    fields: { option, expected },
  })
}

/** A number of at least `min` and at most `max`; NaN is none. */
export function checkNumber(option: string, value: number, min: number, max: number): void {
  if (typeof value === 'number' && value >= min && value <= max) return
  throw invalid(option, max === Number.POSITIVE_INFINITY ? `${min} or more` : `a finite number, ${min} or more`, value)
}
