/** Commands as the model draws them: what is submitted, and how its handler ends. */
import type { RetryPolicy } from '@a3s-lab/lane'

/** How a handler ends. */
export type End =
  | { readonly kind: 'return' | 'throw' | 'throw-nothing' | 'unrecoverable' | 'time-error' | 'discard' }
  | { readonly kind: 'snooze' | 'retry-after'; readonly ms: number }

export type CommandSpec = {
  /** By type and payload, as a function, as an object with `execute`, or of a type without a handler. */
  readonly form: 'typed' | 'function' | 'object' | 'missing'
  /** Attempts that end before their handler returns, from the first on; the next one goes on until the test ends it. */
  readonly script: readonly End[]
  /** Whether a handler that goes on ends when its signal aborts. */
  readonly stopsOnAbort: boolean
}

export type SubmitSpec = {
  readonly id?: string
  readonly priority?: number
  readonly timeoutMs?: number
  readonly retry?: RetryPolicy
  readonly delayMs?: number
  readonly signal?: 'live' | 'aborted'
  readonly detached?: boolean
}

/** Whether a second submit of an id means the same command: functions and objects are made anew for each submit. */
export const isSameCommand = (a: CommandSpec, b: CommandSpec): boolean =>
  ['typed', 'missing'].includes(a.form) && JSON.stringify(a) === JSON.stringify(b)
