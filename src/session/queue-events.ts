/** What the queue under a session tells, as events of the session. Heard only while somebody reads. */
import type { DeadLetterQueue, EventEmitter, EventKey, EventPayloads } from '../core/index.js'
import type { RetryPolicyFields } from '../policy/index.js'
import { RetryPolicy } from '../policy/index.js'
import type { SessionEvents } from './event-stream.js'
import type { SessionEventType } from './events.js'
import type { SessionLane } from './lanes.js'

/** What is known of a command when something is told of it. */
export type KnownCommand = { readonly type: string; readonly retry: RetryPolicyFields | undefined }

export type QueueEventsHost = {
  readonly emitter: EventEmitter
  readonly letters: DeadLetterQueue | undefined
  readonly events: SessionEvents
  /** The lanes are shared: what is told may be of other sessions, and letters are not kept here. */
  readonly isShared: boolean
  known(commandId: string): KnownCommand | undefined
}

/** Forwards the queue's events from now on, while the session has readers. */
export function forwardQueueEvents(host: QueueEventsHost): void {
  let stop: (() => void) | undefined
  host.events.onReaders = (hasReaders) => {
    if (hasReaders) stop ??= host.emitter.listen((key, payload) => forward(host, key, payload))
    else {
      stop?.()
      stop = undefined
    }
  }
}

function forward(host: QueueEventsHost, key: EventKey, payload: EventPayloads[EventKey]): void {
  const { events } = host
  if (key === 'queue.command.retry') retried(host, payload as EventPayloads['queue.command.retry'])
  else if (key === 'queue.command.dead_lettered') buried(host, payload as EventPayloads['queue.command.dead_lettered'])
  else if (key === 'queue.alert') alerted(events, payload as EventPayloads['queue.alert'])
  else if (key === 'queue.lane.pressure' || key === 'queue.lane.idle' || key === 'queue.fault') {
    events.emit(key, payload as never)
  }
  if (events.readsCommands && key.startsWith('queue.command.')) events.emit(key as SessionEventType, payload as never)
}

function retried(host: QueueEventsHost, payload: EventPayloads['queue.command.retry']): void {
  const { command_id, lane_id, attempt } = payload
  const command = host.known(command_id)
  if (command === undefined && host.isShared) return
  const delay_ms = command?.retry === undefined ? 0 : RetryPolicy.from(command.retry).delayForAttempt(attempt)
  const lane = lane_id as SessionLane
  host.events.emit('command_retry', { command_id, command_type: command?.type ?? 'unknown', lane, attempt, delay_ms })
}

function buried({ events, letters }: QueueEventsHost, payload: EventPayloads['queue.command.dead_lettered']): void {
  const { command_id, command_type, lane_id } = payload
  const letter = letters?.get(command_id)
  if (letter === undefined) return
  const { error, attempts } = letter
  events.emit('command_dead_lettered', { command_id, command_type, lane: lane_id as SessionLane, error, attempts })
}

function alerted(events: SessionEvents, payload: EventPayloads['queue.alert']): void {
  const { level, kind, message, lane_id, current_value, threshold } = payload
  const lane = lane_id as SessionLane
  events.emit('queue_alert', { level, alert_type: kind, message, lane, current_value, threshold })
}
