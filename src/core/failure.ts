/** What a failed attempt means: whether it may be retried, and whether it counts as a timeout. */
import { retryAfterOf } from '../policy/index.js'
import { adviceOf, isLaneError, type RetryAfterError } from './errors.js'

export type Failure =
  | { readonly kind: 'retryable'; readonly timedOut: boolean }
  | { readonly kind: 'final' }
  /** Put off without spending a retry; whoever closes the lane holds up its other commands as long. */
  | { readonly kind: 'deferred'; readonly delayMs: number; readonly closesLane: boolean }

const ORDINARY: Failure = { kind: 'retryable', timedOut: false }
const TIMED_OUT: Failure = { kind: 'retryable', timedOut: true }
const FINAL: Failure = { kind: 'final' }

/**
 * Reads what a handler threw. A command that itself fails with a timeout counts as timed out: ours, or the platform's
 * `TimeoutError` of `AbortSignal.timeout`. A provider's 429 or 503 that says when to come back closes the lane until then.
 * Whatever cannot be read is an ordinary failure.
 */
export function classify(error: unknown, wallNow: number): Failure {
  try {
    const advice = adviceOf(error)
    if (advice === 'unrecoverable') return FINAL
    if (advice === 'retry-after') {
      const { delayMs, scope } = error as RetryAfterError
      // It may have been changed since it was made, or come from another copy of this package.
      if (!(Number.isFinite(delayMs) && delayMs >= 0)) return ORDINARY
      return { kind: 'deferred', delayMs, closesLane: scope === 'lane' }
    }
    if (isLaneError(error)) return error.code === 'COMMAND_TIMEOUT' ? TIMED_OUT : ORDINARY
    const delayMs = retryAfterOf(error, wallNow)
    if (delayMs !== undefined) return { kind: 'deferred', delayMs, closesLane: true }
    return error instanceof Error && error.name === 'TimeoutError' ? TIMED_OUT : ORDINARY
  } catch {
    return ORDINARY
  }
}
