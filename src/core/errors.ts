/**
 * Every error that Lane raises by itself is a `LaneError` with a `code` from one list. Callers branch on the code (or on
 * `isLaneError`), never on a class: the guard reads a registered-symbol brand, because `instanceof` fails across realms,
 * worker threads and two copies of a package. A handler's own error is never renamed: it stays in `cause`.
 */

const BRAND = Symbol.for('@a3s-lab/lane.error')
/** Marks a handler's error that carries advice, in whichever copy of the package it was made. */
const ADVICE = Symbol.for('@a3s-lab/lane.advice')

/** All codes of `LaneError`, each with what happened. Retryable ones may succeed when the same call is made again. */
export const ERROR_CODES = {
  LANE_NOT_FOUND: { retryable: false, meaning: 'No lane has this id. Nothing was accepted.' },
  QUEUE_FULL: { retryable: true, meaning: 'The lane holds `capacity` waiting commands. Nothing was accepted.' },
  CONFIG_INVALID: { retryable: false, meaning: 'An option has a value that is not allowed. Nothing was changed.' },
  PAYLOAD_INVALID: { retryable: false, meaning: 'The command or its payload is not valid. Nothing was accepted.' },
  HANDLER_NOT_FOUND: {
    retryable: false,
    meaning: 'No handler is registered for the command type. The command did not run.',
  },
  COMMAND_FAILED: { retryable: false, meaning: "The handler failed for good; `cause` is the handler's error." },
  COMMAND_TIMEOUT: { retryable: false, meaning: 'The last attempt ran longer than its timeout.' },
  COMMAND_CANCELLED: { retryable: false, meaning: 'The command was cancelled or discarded.' },
  COMMAND_PREEMPTED: {
    retryable: false,
    meaning: 'Only ever the reason of an abort: the slot was taken for a better lane, and the command goes on later.',
  },
  SHUTTING_DOWN: { retryable: false, meaning: 'The queue no longer accepts commands. Nothing was accepted.' },
  DRAIN_TIMEOUT: { retryable: true, meaning: 'The drain limit passed; `unsettled` and `zombies` name what is left.' },
  STORAGE_FAILED: {
    retryable: true,
    meaning: 'The storage could not write or read. What was to be written is not: a refused submit was not accepted.',
  },
  STORAGE_LOCKED: { retryable: true, meaning: 'Another process, or another part of this one, has the storage open.' },
  STORAGE_CORRUPT: {
    retryable: false,
    meaning: 'What the storage holds is damaged, or is none of ours. Nothing was changed or deleted.',
  },
  ENGINE_UNAVAILABLE: {
    retryable: true,
    meaning:
      'The engine could not be reached in time. A refused submit was not accepted, or its id makes it safe to submit again.',
  },
  LEASE_LOST: {
    retryable: false,
    meaning:
      'This worker may not run the command any more: its lease ran out, and another may run it. What it still gives is refused.',
  },
  NOT_FOUND: { retryable: false, meaning: 'No dead letter has this id.' },
  CONFLICT: { retryable: false, meaning: 'The id already belongs to another command. Nothing was accepted.' },
} as const

/** One of the codes that a `LaneError` can carry. */
export type LaneErrorCode = keyof typeof ERROR_CODES

/** Further facts of an error, set as own properties on it. */
export type LaneErrorFields = { readonly [name: string]: unknown }

/** The one error class of Lane. `code` says what happened, `cause` keeps the error underneath, further fields are own properties. */
export class LaneError extends Error {
  override readonly name: string = 'LaneError'
  readonly code: LaneErrorCode
  /** Whether the same call may succeed when it is made again. */
  readonly retryable: boolean

  /** `retryable` where it is not as its code has it. */
  constructor(
    code: LaneErrorCode,
    message: string,
    options: { cause?: unknown; fields?: LaneErrorFields; retryable?: boolean } = {},
  ) {
    super(message, 'cause' in options ? { cause: options.cause } : undefined)
    this.code = code
    this.retryable = options.retryable ?? ERROR_CODES[code].retryable
    if (options.fields !== undefined) Object.assign(this, options.fields)
    Object.defineProperty(this, BRAND, { value: true })
  }

  /** The form in which an error travels and is stored: no prototype, no cycles. */
  toJSON(): ErrorRecord {
    return errorRecord(this)
  }
}

/** Whether `value` is an error of Lane, also one of another copy of the package or another realm. */
export function isLaneError(value: unknown): value is LaneError {
  try {
    return typeof value === 'object' && value !== null && (value as Record<symbol, unknown>)[BRAND] === true
  } catch {
    return false // a value whose traps throw is nobody's error of ours
  }
}

/** Whether a value is an error, also when it is something that must not be touched. */
export function isError(value: unknown): value is Error {
  try {
    return value instanceof Error
  } catch {
    return false
  }
}

/** Thrown by a handler: this failure is final, whatever the retry policy says. */
export class UnrecoverableError extends Error {
  override readonly name: string = 'UnrecoverableError'
  readonly [ADVICE]: Advice = 'unrecoverable'
}

type Advice = 'unrecoverable' | 'retry-after'

/** The advice of a handler's error. Throws what the error's traps throw. */
export function adviceOf(error: unknown): Advice | undefined {
  return typeof error === 'object' && error !== null ? (error as { [ADVICE]?: Advice })[ADVICE] : undefined
}

/**
 * Thrown by a handler: run this command again after `delayMs`. It spends no retry; a command may be put off
 * `maxDeferrals` times (lane option, default 10), then it fails. With scope 'lane' nothing else of its lane, or of the lane's
 * rate limit groups, starts before that either; the default scope is 'command'. `CONFIG_INVALID` for a delay that is negative or not finite.
 */
export class RetryAfterError extends Error {
  override readonly name: string = 'RetryAfterError'
  readonly [ADVICE]: Advice = 'retry-after'
  /** Milliseconds until the command runs again. */
  readonly delayMs: number
  readonly scope: 'command' | 'lane'

  constructor(delayMs: number, options: { scope?: 'command' | 'lane'; message?: string; cause?: unknown } = {}) {
    super(
      options.message ?? `Retry after ${formatDuration(delayMs)}`,
      'cause' in options ? { cause: options.cause } : undefined,
    )
    if (typeof delayMs !== 'number' || !(delayMs >= 0) || delayMs === Number.POSITIVE_INFINITY) {
      throw configInvalid('RetryAfterError delayMs', 'a number of milliseconds, 0 or more', delayMs)
    }
    if (options.scope !== undefined && options.scope !== 'command' && options.scope !== 'lane') {
      throw configInvalid('RetryAfterError scope', `'command' or 'lane'`, options.scope)
    }
    this.delayMs = delayMs
    this.scope = options.scope ?? 'command'
  }
}

/** The error of one option: names it, says what was expected and what came. */
export function configInvalid(option: string, expected: string, got: unknown): LaneError {
  return new LaneError('CONFIG_INVALID', `Configuration error: ${option} must be ${expected}, got ${show(got)}`, {
    fields: { option, expected },
  })
}

/** A bug of ours, not of the caller's. Stays on in production: state that contradicts itself must not be run on. */
export function invariant(condition: boolean, message: string): asserts condition {
  if (!condition) throw new Error(`Lane invariant broken: ${message}`)
}

/** A value as it stands in a message: short, on one line, and safe for values whose accessors throw. */
export function show(value: unknown): string {
  try {
    if (typeof value === 'string') return clip(JSON.stringify(value))
    if (typeof value === 'function') return 'a function'
    if (typeof value === 'symbol' || value === null || typeof value !== 'object') return String(value)
    return clip(JSON.stringify(value) ?? Object.prototype.toString.call(value))
  } catch {
    return 'a value that cannot be shown'
  }
}

const clip = (text: string): string => (text.length > 80 ? `${text.slice(0, 77)}...` : text)

/** The message of whatever a handler threw; never throws itself. */
export function errorText(error: unknown): string {
  try {
    if (typeof error === 'string') return error
    if (typeof error === 'object' && error !== null && 'message' in error) {
      const message: unknown = error.message
      if (typeof message === 'string') return message
    }
    return String(error)
  } catch {
    return 'an error that cannot be shown'
  }
}

/** An error as plain data, as it stands in a dead letter and crosses a process border. */
export type ErrorRecord = {
  readonly name: string
  readonly message: string
  readonly code?: string
  readonly retryable?: boolean
  readonly fields?: { readonly [name: string]: unknown }
  readonly stack?: string
  readonly cause?: ErrorRecord
}

/** How deep chains of `cause` are followed: longer ones are loops or noise. */
const CAUSE_DEPTH = 8

/** Turns anything thrown into plain data. Never throws: what cannot be read is left out. */
export function errorRecord(error: unknown, depth = 0): ErrorRecord {
  const name = read(error, 'name')
  const code = read(error, 'code')
  const retryable = read(error, 'retryable')
  const stack = read(error, 'stack')
  const cause = read(error, 'cause')
  return {
    name: typeof name === 'string' ? name : 'Error',
    message: errorText(error),
    ...(typeof code === 'string' ? { code } : {}),
    ...(typeof retryable === 'boolean' ? { retryable } : {}),
    ...fieldsOf(error),
    ...(typeof stack === 'string' ? { stack } : {}),
    ...(cause !== undefined && depth < CAUSE_DEPTH ? { cause: errorRecord(cause, depth + 1) } : {}),
  }
}

const STANDARD_FIELDS = new Set(['name', 'message', 'code', 'retryable', 'stack', 'cause'])

/** Own fields of one of our errors; foreign errors may carry anything, so theirs stay behind. */
function fieldsOf(error: unknown): { fields?: LaneErrorFields } {
  if (!isLaneError(error)) return {}
  const own = Object.entries(error).filter(([key]) => !STANDARD_FIELDS.has(key))
  return own.length > 0 ? { fields: Object.fromEntries(own) } : {}
}

function read(value: unknown, key: string): unknown {
  try {
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[key] : undefined
  } catch {
    return undefined
  }
}

/** A duration as the reference writes it: `50ms`, `1.5s`, `30s`. */
export function formatDuration(ms: number): string {
  if (ms >= 1000) return `${trim(ms / 1000)}s`
  if (ms >= 1 || ms === 0) return `${trim(ms)}ms`
  return `${trim(ms * 1000)}µs`
}

const trim = (value: number): string => String(Math.round(value * 1e6) / 1e6)
