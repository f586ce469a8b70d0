/** The contract with workers outside: an `ExternalTask` goes out, an `ExternalTaskResult` comes back. Plain JSON data. */
import { configInvalid } from '../core/index.js'
import type { SessionLane } from './lanes.js'

/** Work that waits for somebody outside. Instants are RFC 3339 text in UTC, durations whole milliseconds. */
export type ExternalTask = {
  /** Its own id: every attempt is a new task. */
  readonly task_id: string
  readonly session_id: string
  readonly lane: SessionLane
  /** The tool's name; `json` for a direct submission without a type. */
  readonly command_type: string
  /** The tool's arguments; `{}` when there are none. */
  readonly payload: unknown
  /** How long the queue waits for the result, from the task's creation. */
  readonly timeout_ms: number
  /** What was left of that when this object was made. */
  readonly remaining_ms: number
  /** Whether it was over when this object was made. */
  readonly is_timed_out: boolean
  readonly command_id: string
  readonly attempt: number
  readonly created_at: string
}

/** What a worker answers. */
export type ExternalTaskResult = {
  /** Did it succeed? Default true. */
  readonly success?: boolean | undefined
  /** The value: for tool calls `{ output, exit_code }`, also `metadata` and `images`. Default `{}`. */
  readonly result?: unknown
  /** What went wrong, when `success` is false. Default `External task failed`. */
  readonly error?: string | undefined
}

/** Does external work inside this process: `setExternalTaskHandler`. `signal` aborts when nobody waits any more. */
export type ExternalTaskHandler = (
  task: ExternalTask,
  context: { readonly signal: AbortSignal },
) => ExternalTaskResult | Promise<ExternalTaskResult>

type Held = { readonly timeout_ms: number; readonly created_at?: string | undefined }

const elapsedMs = ({ created_at }: Held, now: number): number | undefined => {
  const elapsed = created_at === undefined ? Number.NaN : now - Date.parse(created_at)
  return Number.isNaN(elapsed) ? undefined : Math.floor(elapsed)
}

/**
 * Milliseconds left of a task that somebody holds, at the instant `now` (Unix milliseconds): never below 0, the whole
 * time when it is not known when the task was made.
 */
export const remainingMs = (task: Held, now: number): number =>
  Math.max(0, task.timeout_ms - (elapsedMs(task, now) ?? 0))

/** Whether a task's time is over at the instant `now` (Unix milliseconds); false when it is not known when it was made. */
export const isTimedOut = (task: Held, now: number): boolean => (elapsedMs(task, now) ?? 0) > task.timeout_ms

/** A worker's answer with its defaults. `CONFIG_INVALID` for what is no answer. */
export function checkedAnswer(
  answer: unknown,
): Required<Pick<ExternalTaskResult, 'success' | 'result'>> & { error: string } {
  if (typeof answer !== 'object' || answer === null || Array.isArray(answer)) {
    throw configInvalid('external task result', 'an object { success, result, error }', answer)
  }
  const { success = true, result = {}, error } = answer as { success?: unknown; result?: unknown; error?: unknown }
  if (typeof success !== 'boolean') throw configInvalid('external task result success', 'true or false', success)
  if (error !== undefined && error !== null && typeof error !== 'string') {
    throw configInvalid('external task result error', 'a text', error)
  }
  return {
    success,
    result,
    error: error === undefined || error === null || error === '' ? 'External task failed' : error,
  }
}
