/** Options of one submit: their checks, and the instant that a delay means. */
import {
  type Cost,
  type DedupeOptions,
  dedupeOptions,
  type RetryPolicy,
  type RetryPolicyFields,
} from '../policy/index.js'
import { type Clock, instantMs } from './clock.js'
import type { OwnOptions } from './entry.js'
import { configInvalid } from './errors.js'
import { retryPolicy } from './lane-limits.js'
import { checkBoolean, checkInteger, checkMs, checkObject, checkText, refuseUnknown } from './options.js'
import { checkedTrace, type TraceContext } from './tracing.js'

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
  /**
   * How urgent the command is: milliseconds from its submission within which it should start. Lifts its lane as that time
   * runs out, as far as the lane's `priorityBoost` says; it never ends the command. Default the lane's.
   */
  readonly deadlineMs?: number | undefined
  /** Its group inside the lane, for `fairness: 'key'` and `keyConcurrency`: a user, a tenant, a session. Default none. */
  readonly key?: string | undefined
  /** What its key's turn is worth beside the others', above 0; the newest command of a key says it. Default 1. */
  readonly weight?: number | undefined
  /**
   * What it is expected to cost, for rate limits with a unit and for fair turns: a number for every unit, or an amount per
   * unit. `ctx.charge` says what it really cost. Default 1.
   */
  readonly cost?: Cost | undefined
  /** Keeps other commands of this dedupe id out while this one lives, and for `ttlMs` after its submission. Default none. */
  readonly dedupe?: DedupeOptions | undefined
  /**
   * Kept in memory only, although the queue has a storage: lost with the process. What has no stored form, a function or a
   * command with an `execute` of its own, needs it there. Without a storage it says nothing. Default false.
   */
  readonly ephemeral?: boolean | undefined
  /** Submitted through `ctx.queue`, the command is not cancelled with its parent. Default false. */
  readonly detached?: boolean | undefined
  /** Cancels the command when it aborts; its reason becomes the reason of the cancellation. */
  readonly signal?: AbortSignal | undefined
  /**
   * The trace that the command belongs to, where its submitter is not in it: what another process has passed. Needs no
   * tracing here; it is carried with the command. Default: the active one, with `tracing`.
   */
  readonly traceContext?: TraceContext | undefined
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
  'deadlineMs',
  'key',
  'weight',
  'cost',
  'dedupe',
  'ephemeral',
  'detached',
  'signal',
  'traceContext',
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
  readonly ephemeral: boolean
  readonly signal: AbortSignal | undefined
  readonly traceContext: TraceContext | undefined
  readonly metadata: unknown
  readonly dedupe: CheckedDedupe | undefined
  /** Whether it has one of the options that policies look at. */
  readonly hasTraits: boolean
  /** Those that a redrive keeps, as they were given. */
  readonly own: OwnOptions
}

/** Dedupe options with the defaults filled in. */
export type CheckedDedupe = ReturnType<typeof dedupeOptions>

/** Checks submit options; `CONFIG_INVALID` names the first one that is wrong. */
export function checkSubmitOptions(options: SubmitOptions, clock: Clock): CheckedOptions {
  checkObject('submit options', options)
  refuseUnknown('submit', options, SUBMIT_OPTIONS)
  const { id, priority, timeoutMs, retry, detached, signal, traceContext, key, weight, cost, deadlineMs } = options
  if (id !== undefined) checkText('submit id', id)
  if (priority !== undefined) checkInteger('submit priority', priority, 0, LOWEST_PRIORITY)
  if (timeoutMs !== undefined) checkMs('submit timeoutMs', timeoutMs, 'above 0')
  if (detached !== undefined) checkBoolean('submit detached', detached)
  if (options.ephemeral !== undefined) checkBoolean('submit ephemeral', options.ephemeral)
  if (signal !== undefined && !isSignal(signal)) throw configInvalid('submit signal', 'an AbortSignal', signal)
  const hasTraits = key !== undefined || weight !== undefined || cost !== undefined || deadlineMs !== undefined
  if (hasTraits) checkTraits(options)
  const ownCost = cost === undefined ? undefined : checkedCost('submit cost', cost)
  return {
    id,
    priority: priority ?? DEFAULT_PRIORITY,
    timeoutMs,
    retry: retry === undefined ? undefined : retryPolicy('submit retry', retry),
    dueAt: dueAt(options, clock),
    detached: detached ?? false,
    ephemeral: options.ephemeral ?? false,
    signal,
    traceContext: traceContext === undefined ? undefined : checkedTrace('submit traceContext', traceContext),
    metadata: options.metadata,
    dedupe: options.dedupe === undefined ? undefined : dedupeOptions('submit dedupe', options.dedupe),
    hasTraits,
    own: hasTraits
      ? { priority, timeoutMs, retry, key, weight, cost: ownCost, deadlineMs }
      : { priority, timeoutMs, retry },
  }
}

function checkTraits({ key, weight, deadlineMs }: SubmitOptions): void {
  if (key !== undefined) checkText('submit key', key)
  if (weight !== undefined && !(typeof weight === 'number' && weight > 0 && weight < Number.POSITIVE_INFINITY)) {
    throw configInvalid('submit weight', 'a number above 0', weight)
  }
  if (deadlineMs !== undefined) checkMs('submit deadlineMs', deadlineMs, 'above 0')
}

/** A cost of ours: an amount, or an amount per unit, each read once. What the giver changes later changes nothing. */
export function checkedCost(option: string, cost: unknown): Cost {
  const copy = typeof cost === 'object' && cost !== null && !Array.isArray(cost) ? { ...cost } : cost
  const isAmount = (value: unknown): boolean =>
    typeof value === 'number' && value >= 0 && value < Number.POSITIVE_INFINITY
  const isObject = typeof copy === 'object' && copy !== null && copy !== cost
  if (isObject ? Object.values(copy).every(isAmount) : isAmount(copy)) return copy as Cost
  throw configInvalid(option, 'a number of 0 or more, or an object of such numbers by unit', cost)
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
