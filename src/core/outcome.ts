/** Outcomes that a handler returns instead of a value. Returned, not thrown: they are decisions, not failures. */
import { configInvalid } from './errors.js'

const OUTCOME = Symbol.for('@a3s-lab/lane.outcome')

/** What `snooze` and `discard` make. */
export type Outcome =
  | { readonly kind: 'snooze'; readonly delayMs: number }
  | { readonly kind: 'discard'; readonly reason: string }

/**
 * Puts the command off: it runs again in `delayMs`, as the next attempt, and spends no retry. There is no limit on how often.
 * `CONFIG_INVALID` for a delay that is negative or not finite.
 */
export function snooze(delayMs: number): Outcome {
  if (typeof delayMs !== 'number' || !(delayMs >= 0) || delayMs === Number.POSITIVE_INFINITY) {
    throw configInvalid('snooze delayMs', 'a number of milliseconds, 0 or more', delayMs)
  }
  return brand({ kind: 'snooze', delayMs })
}

/** Ends the command without a result: its run rejects with `COMMAND_CANCELLED` and leaves no dead letter. */
export function discard(reason = 'discarded by its handler'): Outcome {
  return brand({ kind: 'discard', reason })
}

const brand = (outcome: Outcome): Outcome => Object.defineProperty(outcome, OUTCOME, { value: true })

/** The outcome that a handler returned, or undefined when it returned a value. Throws what the value's traps throw. */
export function outcomeOf(value: unknown): Outcome | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  return (value as Record<symbol, unknown>)[OUTCOME] === true ? (value as Outcome) : undefined
}
