/**
 * What spans say of their command. The keys are the values of the constants in names.ts, written out: samplers see the
 * attributes of a span as it starts, so they are made for spans that nobody collects, too, and an object whose keys are
 * looked up takes ten times as long.
 */
import type { Attributes } from '@opentelemetry/api'
import type { TracedAttempt, TracedCommand } from '../../core/index.js'

export const submitAttributes = ({ commandId, laneId, commandType }: TracedCommand): Attributes => ({
  'a3s.lane.command_id': commandId,
  'a3s.lane.lane_name': laneId,
  'a3s.lane.command_type': commandType,
  'messaging.system': 'a3s_lane',
  'messaging.destination.name': laneId,
  'messaging.message.id': commandId,
  'messaging.operation.type': 'send',
  'messaging.operation.name': 'submit',
})

/** Preempted and resumed, a command has the same attempt in several spans. */
export const executeAttributes = ({ commandId, laneId, commandType, attempt, retries }: TracedAttempt): Attributes => ({
  'a3s.lane.command_id': commandId,
  'a3s.lane.lane_name': laneId,
  'a3s.lane.command_type': commandType,
  'a3s.lane.attempt': attempt,
  'a3s.lane.retry_attempt': retries,
  'messaging.system': 'a3s_lane',
  'messaging.destination.name': laneId,
  'messaging.message.id': commandId,
  'messaging.operation.type': 'process',
  'messaging.operation.name': 'execute',
})

export const retryAttributes = (attempt: TracedAttempt, delayMs: number): Attributes => ({
  'a3s.lane.command_id': attempt.commandId,
  'a3s.lane.lane_name': attempt.laneId,
  'a3s.lane.command_type': attempt.commandType,
  'a3s.lane.retry_attempt': attempt.retries + 1,
  'a3s.lane.delay_ms': delayMs,
})
