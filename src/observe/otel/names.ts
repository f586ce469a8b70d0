/**
 * What spans and their attributes are called: the reference's names, and the semantic conventions of OpenTelemetry for
 * messaging (https://opentelemetry.io/docs/specs/semconv/messaging/), so that a tool that knows queues knows lanes.
 */

/** A submit: PRODUCER, as short as the submit itself. */
export const SPAN_LANE_SUBMIT = 'a3s.lane.submit'
/** An attempt: CONSUMER, from its start to its end. */
export const SPAN_LANE_EXECUTE = 'a3s.lane.execute'
/** The decision to try once more: INTERNAL, below the attempt that failed. */
export const SPAN_LANE_RETRY = 'a3s.lane.retry'
/** A check of a monitor: INTERNAL, a trace of its own. */
export const SPAN_LANE_HEALTH_CHECK = 'a3s.lane.health_check'

/** Id of the command. */
export const ATTR_COMMAND_ID = 'a3s.lane.command_id'
/** Id of the lane. */
export const ATTR_LANE_NAME = 'a3s.lane.lane_name'
export const ATTR_COMMAND_TYPE = 'a3s.lane.command_type'
/** Failed attempts before this one; on a retry span, the number of the retry, from 1. */
export const ATTR_RETRY_ATTEMPT = 'a3s.lane.retry_attempt'
/** Whether it went well; not there on attempts that neither succeeded nor failed. */
export const ATTR_SUCCESS = 'a3s.lane.success'

/** How it ended, one word. */
export const ATTR_OUTCOME = 'a3s.lane.outcome'
/** Milliseconds until the command is tried again. */
export const ATTR_DELAY = 'a3s.lane.delay_ms'
export const ATTR_HEALTH_STATUS = 'a3s.lane.health_status'
export const ATTR_HEALTH_REASONS = 'a3s.lane.health_reasons'

export const MESSAGING_SYSTEM = 'messaging.system'
export const MESSAGING_DESTINATION = 'messaging.destination.name'
export const MESSAGING_OPERATION_NAME = 'messaging.operation.name'
export const ERROR_TYPE = 'error.type'

/** The value of `messaging.system`. */
export const LANE_SYSTEM = 'a3s_lane'
/** The values of `messaging.operation.name`. */
export const OPERATION_SUBMIT = 'submit'
export const OPERATION_EXECUTE = 'execute'

/** The subpath, as it is named when its peer is missing; and the peer. */
export const OTEL_SUBPATH = '@a3s-lab/lane/otel'
export const OTEL_API = '@opentelemetry/api'
