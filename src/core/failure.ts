/** What a failed attempt means: whether it may be retried, and whether it counts as a timeout. */
import { adviceOf, isLaneError, type RetryAfterError } from './errors.js'

export type Failure =
  | { readonly kind: 'retryable'; readonly timedOut: boolean }
  | { readonly kind: 'final' }
  | { readonly kind: 'deferred'; readonly delayMs: number }

const ORDINARY: Failure = { kind: 'retryable', timedOut: false }
const TIMED_OUT: Failure = { kind: 'retryable', timedOut: true }
const FINAL: Failure = { kind: 'final' }

/**
 * Reads what a handler threw. A command that itself fails with a timeout counts as timed out: ours, or the platform's
 * `TimeoutError` of `AbortSignal.timeout`. Whatever cannot be read is an ordinary failure.
 */
export function classify(error: unknown): Failure {
  try {
    const advice = adviceOf(error)
    if (advice === 'unrecoverable') return FINAL
    if (advice === 'retry-after') return { kind: 'deferred', delayMs: (error as RetryAfterError).delayMs }
    if (isLaneError(error)) return error.code === 'COMMAND_TIMEOUT' ? TIMED_OUT : ORDINARY
    return error instanceof Error && error.name === 'TimeoutError' ? TIMED_OUT : ORDINARY
  } catch {
    return ORDINARY
  }
}
