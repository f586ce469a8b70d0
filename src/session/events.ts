/**
 * What a session tells: one catalogue for the queue's events and the agent's. Payload fields are snake_case, as they
 * travel; an event is flat, its `type` beside its fields.
 */
import type { EventPayloads } from '../core/index.js'
import type { ExternalTask } from './external-task.js'
import type { SessionLane } from './lanes.js'

/** Tokens of a model call, or of a whole turn. */
export type TokenUsage = {
  readonly prompt_tokens: number
  readonly completion_tokens: number
  readonly total_tokens: number
}

/** One step of a plan, as it stands. */
export type PlanTask = {
  readonly id: string
  readonly description: string
  readonly depends_on: readonly string[]
  readonly status: 'pending' | 'in_progress' | 'completed' | 'failed' | 'skipped'
}

type CommandFields = { readonly command_id: string; readonly command_type: string; readonly lane: SessionLane }
type ToolFields = { readonly id: string; readonly name: string }
type ControlFields = { readonly control_id: string; readonly action: 'pause' | 'resume' | 'cancel' }

/** Payload of each event of a session, by type. */
export type SessionEventPayloads = {
  /** An external or hybrid attempt has started. An external task is pending when the event is told. */
  external_task_pending: ExternalTask
  /** Exactly one for every pending event, also after a timeout, a cancellation, a shutdown (`success` false). */
  external_task_completed: CommandFields & {
    readonly task_id: string
    readonly session_id: string
    readonly success: boolean
    readonly error?: string
  }
  command_dead_lettered: CommandFields & { readonly error: string; readonly attempts: number }
  /** A failed attempt will be tried again: `attempt` is the number of the coming retry, from 1. */
  command_retry: CommandFields & { readonly attempt: number; readonly delay_ms: number }
  /** A lane's depth has changed its level; `info` says that it is over. */
  queue_alert: {
    readonly level: 'info' | 'warning' | 'critical'
    readonly alert_type: string
    readonly message: string
    readonly lane: SessionLane
    readonly current_value: number
    readonly threshold: number
  }
  'queue.lane.pressure': { readonly lane_id: SessionLane }
  'queue.lane.idle': { readonly lane_id: SessionLane }
  tool_start: ToolFields
  tool_output_delta: ToolFields & { readonly delta: string }
  tool_end: ToolFields & { readonly output: string; readonly exit_code: number }
  permission_denied: {
    readonly tool_id: string
    readonly tool_name: string
    readonly args: unknown
    readonly reason: string
  }
  confirmation_required: {
    readonly tool_id: string
    readonly tool_name: string
    readonly args: unknown
    readonly timeout_ms: number
  }
  confirmation_received: { readonly tool_id: string; readonly approved: boolean; readonly reason?: string }
  confirmation_timeout: { readonly tool_id: string; readonly action_taken: 'rejected' | 'auto_approved' }
  /** Somebody has asked to pause, resume or cancel. */
  control_requested: ControlFields & { readonly scope?: string }
  /** The control lane has done it: nothing more starts, everything in the scope was told to stop. */
  control_acknowledged: ControlFields & { readonly after_ms: number }
  /** Nothing of it runs any more; `unstopped` are the ids of commands whose body does not end. */
  control_stopped: ControlFields & { readonly after_ms: number; readonly unstopped: readonly string[] }
  start: { readonly prompt: string }
  turn_start: { readonly turn: number }
  turn_end: { readonly turn: number; readonly usage: TokenUsage }
  text_delta: { readonly text: string }
  /** A model call starts again: its text so far does not count. */
  text_reset: { readonly turn: number }
  end: { readonly text: string; readonly usage: TokenUsage }
  error: { readonly message: string; readonly code?: string }
  task_updated: { readonly session_id: string; readonly tasks: readonly PlanTask[] }
  planning_start: { readonly prompt: string }
  planning_end: { readonly plan: readonly PlanTask[]; readonly estimated_steps: number }
  step_start: {
    readonly step_id: string
    readonly description: string
    readonly step_number: number
    readonly total_steps: number
  }
  step_end: {
    readonly step_id: string
    readonly status: 'completed' | 'failed' | 'skipped'
    readonly step_number: number
    readonly total_steps: number
  }
  /** Something went wrong outside any command's outcome; nothing was lost by it. */
  'queue.fault': { readonly error: string }
  /** This reader was too slow: `count` events before this one are lost to it. */
  'events.dropped': { readonly count: number }
} & LaneEventPayloads

/** Told only to readers that name them in `types`: every command's life, as the queue below tells it. */
type LaneEventPayloads = {
  readonly [K in Extract<keyof EventPayloads, `queue.command.${string}`>]: EventPayloads[K]
}

/** The type of a session's event. */
export type SessionEventType = keyof SessionEventPayloads

/**
 * What an event says once more under the names of the reference's Node package, on the events that have such a value.
 */
export type EventConveniences = {
  readonly text?: string
  readonly toolName?: string
  readonly toolId?: string
  readonly toolOutput?: string
  readonly exitCode?: number
  readonly turn?: number
  readonly prompt?: string
  readonly error?: string
  readonly totalTokens?: number
}

/** An event of a session: its type, its fields, and when it was told (RFC 3339, UTC). */
export type SessionEvent = {
  [K in SessionEventType]: { readonly type: K; readonly timestamp: string } & SessionEventPayloads[K] &
    EventConveniences
}[SessionEventType]

/** The event of a type with its conveniences. */
export function sessionEvent<K extends SessionEventType>(
  type: K,
  payload: SessionEventPayloads[K],
  timestamp: string,
): SessionEvent {
  return { type, ...payload, ...conveniences(type, payload), timestamp } as unknown as SessionEvent
}

/** Lower-case payload fields and what they are called for convenience. */
const CONVENIENT: readonly (readonly [field: string, name: string])[] = [
  ['tool_id', 'toolId'],
  ['tool_name', 'toolName'],
  ['exit_code', 'exitCode'],
]

function conveniences(type: SessionEventType, payload: object): EventConveniences {
  const fields = payload as Readonly<Record<string, unknown>>
  const found: Record<string, unknown> = {}
  for (const [field, name] of CONVENIENT) if (field in fields) found[name] = fields[field]
  if (type.startsWith('tool_')) {
    found['toolId'] = fields['id']
    found['toolName'] = fields['name']
    if (type === 'tool_end') found['toolOutput'] = fields['output']
  }
  if (type === 'error') found['error'] = fields['message']
  const usage = fields['usage'] as TokenUsage | undefined
  if (usage !== undefined) found['totalTokens'] = usage.total_tokens
  return found as EventConveniences
}
