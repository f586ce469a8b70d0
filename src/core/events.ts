/**
 * The catalogue of events: every key with its payload, as one union. Payload fields are snake_case, as they travel.
 */

/** Payload of each event, by key. `null` where there is nothing to say. */
export type EventPayloads = {
  /** Accepted: it will have exactly one outcome. */
  'queue.command.submitted': CommandFields
  /** An attempt begins. */
  'queue.command.started': CommandFields & { readonly command_type: string }
  'queue.command.completed': CommandFields
  /** An attempt failed and is retried; `attempt` is the number of the coming retry, from 1. */
  'queue.command.retry': CommandFields & { readonly attempt: number }
  'queue.command.failed': CommandFields & { readonly error: string }
  /** Failed for good by its timeout. */
  'queue.command.timeout': CommandFields & { readonly error: string }
  'queue.command.dead_lettered': CommandFields & { readonly command_type: string }
  'queue.command.cancelled': CommandFields & { readonly reason: string }
  /** What the handler reported with `ctx.progress`. */
  'queue.command.progress': CommandFields & { readonly value: unknown }
  /** Put off: by its submitter, by `snooze`, by a `RetryAfterError`, or by a provider that asked for a pause. */
  'queue.command.delayed': CommandFields & {
    readonly delay_ms: number
    /** 'deduplicated': it follows the command that has its dedupe id, for as long as that takes. */
    readonly reason: 'submitted' | 'snoozed' | 'deferred' | 'deduplicated' | 'no_handler'
  }
  /** Its slot went to a better lane; it goes on later, under the same attempt number. */
  'queue.command.preempted': CommandFields & { readonly by_lane_id: string }
  /** A preempted command goes on: right after its `started`. */
  'queue.command.resumed': CommandFields
  /** It was running when its process ended without a word: it runs again, as the next attempt. */
  'queue.command.recovered': CommandFields
  /** A submit met a command that has its id, or its dedupe id: that command's ids. */
  'queue.command.deduplicated': CommandFields
  /** A submit was refused: nothing was accepted. */
  'queue.command.rejected': CommandFields & { readonly code: string; readonly error: string }
  /** The backlog reached `pressureThreshold`. */
  'queue.lane.pressure': LaneFields
  /** The backlog is empty again after pressure. */
  'queue.lane.idle': LaneFields
  /** A waiting command has reached the last step before its deadline: without more slots the lane will not keep it. */
  'queue.lane.starving': LaneFields & {
    readonly command_id: string
    readonly waited_ms: number
    readonly deadline_ms: number
  }
  /** No waiting command is so close to its deadline any more. */
  'queue.lane.relieved': LaneFields
  /** The lane's circuit breaker has changed. */
  'queue.lane.breaker': LaneFields & { readonly state: 'closed' | 'open' | 'half_open' }
  'queue.lane.paused': LaneFields
  'queue.lane.resumed': LaneFields
  'queue.lane.configured': LaneFields & { readonly options: readonly string[] }
  /** An alert has changed its level; 'info' says that it is over. */
  'queue.alert': LaneFields & {
    readonly level: 'info' | 'warning' | 'critical'
    readonly kind: string
    readonly message: string
    readonly current_value: number
    readonly threshold: number
  }
  /** A dead letter was submitted again, as the command `redriven_as`. */
  'queue.dead_letter.redriven': CommandFields & { readonly redriven_as: string }
  'queue.shutdown.started': null
  /** After shutdown, everything has settled and no slot is held. The last event. */
  'queue.shutdown.complete': null
  /** Something went wrong outside any command's outcome; nothing was lost by it. */
  'queue.fault': { readonly error: string; readonly lane_id?: string; readonly command_id?: string }
  /** This reader was too slow: `count` events before this one are lost to it. */
  'events.dropped': { readonly count: number }
}

type LaneFields = { readonly lane_id: string }
type CommandFields = LaneFields & { readonly command_id: string }

/** The key of an event. */
export type EventKey = keyof EventPayloads

/** An event: what happened, the facts, and when (RFC 3339, UTC). */
export type LaneEvent = {
  readonly [K in EventKey]: { readonly key: K; readonly payload: EventPayloads[K]; readonly timestamp: string }
}[EventKey]

/** The keys under the names of the reference. */
export const EVENTS = {
  QUEUE_COMMAND_SUBMITTED: 'queue.command.submitted',
  QUEUE_COMMAND_STARTED: 'queue.command.started',
  QUEUE_COMMAND_COMPLETED: 'queue.command.completed',
  QUEUE_COMMAND_RETRY: 'queue.command.retry',
  QUEUE_COMMAND_FAILED: 'queue.command.failed',
  QUEUE_COMMAND_TIMEOUT: 'queue.command.timeout',
  QUEUE_COMMAND_DEAD_LETTERED: 'queue.command.dead_lettered',
  QUEUE_COMMAND_CANCELLED: 'queue.command.cancelled',
  QUEUE_COMMAND_PROGRESS: 'queue.command.progress',
  QUEUE_COMMAND_DELAYED: 'queue.command.delayed',
  QUEUE_COMMAND_PREEMPTED: 'queue.command.preempted',
  QUEUE_COMMAND_RESUMED: 'queue.command.resumed',
  QUEUE_COMMAND_RECOVERED: 'queue.command.recovered',
  QUEUE_COMMAND_DEDUPLICATED: 'queue.command.deduplicated',
  QUEUE_COMMAND_REJECTED: 'queue.command.rejected',
  QUEUE_LANE_PRESSURE: 'queue.lane.pressure',
  QUEUE_LANE_IDLE: 'queue.lane.idle',
  QUEUE_LANE_STARVING: 'queue.lane.starving',
  QUEUE_LANE_RELIEVED: 'queue.lane.relieved',
  QUEUE_LANE_BREAKER: 'queue.lane.breaker',
  QUEUE_LANE_PAUSED: 'queue.lane.paused',
  QUEUE_LANE_RESUMED: 'queue.lane.resumed',
  QUEUE_LANE_CONFIGURED: 'queue.lane.configured',
  QUEUE_ALERT: 'queue.alert',
  QUEUE_DEAD_LETTER_REDRIVEN: 'queue.dead_letter.redriven',
  QUEUE_SHUTDOWN_STARTED: 'queue.shutdown.started',
  QUEUE_SHUTDOWN_COMPLETE: 'queue.shutdown.complete',
  QUEUE_FAULT: 'queue.fault',
  EVENTS_DROPPED: 'events.dropped',
} as const satisfies Record<string, EventKey>
