/** Options of one submit: their checks, and the instant that a delay means. */
import type { RetryPolicy, RetryPolicyFields } from '../policy/index.js'
import { type Clock, instantMs } from './clock.js'
import { configInvalid } from './errors.js'
import { retryPolicy } from './lane-config.js'
import { checkBoolean, checkInteger, checkMs, checkObject, checkText, refuseUnknown } from './options.js'

/** Options of one submit; all of them may be left out. */
export type SubmitOptions = {
  /**
   * The command's id. The same id with the same type and payload gives the same run, while it is live and for as long as
   * the settled command is kept; with another type or payload the submit is refused with `CONFLICT`. Default: a new one.
   */
  readonly id?: string | undefined
  /** Place among the commands of the lane: 0 first, default 1000, at most 2,097,150. */
  readonly priority?: number | undefined
  /** Longest run of one attempt, in milliseconds. Default the lane's. */
  readonly timeoutMs?: number | undefined
  /** What happens after a failed attempt. Default the lane's. */
  readonly retry?: RetryPolicyFields | undefined
  /** Not before this many milliseconds from now. */
  readonly delayMs?: number | undefined
  /** Not before this instant: a Date, Unix milliseconds, or RFC 3339 text. One of `delayMs` and `runAt`. */
  readonly runAt?: Date | number | string | undefined
  /** Submitted through `ctx.queue`, the command is not cancelled with its parent. Default false. */
  readonly detached?: boolean | undefined
  /** Cancels the command when it aborts; its reason becomes the reason of the cancellation. */
  readonly signal?: AbortSignal | undefined
  /** Anything of yours, kept with the command and its dead letter, and shown in its record. */
  readonly metadata?: unknown
}

const SUBMIT_OPTIONS = [
  'id',
  'priority',
  'timeoutMs',
  'retry',
  'delayMs',
  'runAt',
  'detached',
  'signal',
  'metadata',
] as const

/** Priority of a command that asks for none. */
export const DEFAULT_PRIORITY = 1000

/** Lowest command priority. BullMQ's limit of 2^21 less two: a queue that is moved to an engine keeps its priorities. */
const LOWEST_PRIORITY = 2_097_150

/** Submit options, checked. `dueAt` is on the monotonic clock; undefined means at once. */
export type CheckedOptions = {
  readonly id: string | undefined
  readonly priority: number
  readonly timeoutMs: number | undefined
  readonly retry: RetryPolicy | undefined
  readonly dueAt: number | undefined
  readonly detached: boolean
  readonly signal: AbortSignal | undefined
  readonly metadata: unknown
  /** Those that a redrive keeps, as they were given. */
  readonly own: Pick<SubmitOptions, 'priority' | 'timeoutMs' | 'retry'>
}

/** Checks submit options; `CONFIG_INVALID` names the first one that is wrong. */
export function checkSubmitOptions(options: SubmitOptions, clock: Clock): CheckedOptions {
  checkObject('submit options', options)
  refuseUnknown('submit', options, SUBMIT_OPTIONS)
  const { id, priority, timeoutMs, retry, detached, signal } = options
  if (id !== undefined) checkText('submit id', id)
  if (priority !== undefined) checkInteger('submit priority', priority, 0, LOWEST_PRIORITY)
  if (timeoutMs !== undefined) checkMs('submit timeoutMs', timeoutMs, 'above 0')
  if (detached !== undefined) checkBoolean('submit detached', detached)
  if (signal !== undefined && !isSignal(signal)) throw configInvalid('submit signal', 'an AbortSignal', signal)
  return {
    id,
    priority: priority ?? DEFAULT_PRIORITY,
    timeoutMs,
    retry: retry === undefined ? undefined : retryPolicy('submit retry', retry),
    dueAt: dueAt(options, clock),
    detached: detached ?? false,
    signal,
    metadata: options.metadata,
    own: { priority, timeoutMs, retry },
  }
}

function isSignal(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false
  const { aborted, addEventListener, removeEventListener } = value as Partial<AbortSignal>
  return (
    typeof aborted === 'boolean' && typeof addEventListener === 'function' && typeof removeEventListener === 'function'
  )
}

function dueAt({ delayMs, runAt }: SubmitOptions, clock: Clock): number | undefined {
  if (delayMs !== undefined && runAt !== undefined) {
    throw configInvalid('submit delayMs', 'left out when runAt is given', delayMs)
  }
  if (delayMs !== undefined) {
    checkMs('submit delayMs', delayMs, 0)
    return delayMs === 0 ? undefined : clock.now() + delayMs
  }
  if (runAt === undefined) return undefined
  const at = instantMs(runAt)
  if (!Number.isFinite(at)) throw configInvalid('submit runAt', 'a Date, Unix milliseconds or RFC 3339 text', runAt)
  const left = at - clock.wallNow()
  return left <= 0 ? undefined : clock.now() + left
}
