export { initLaneMetrics, laneMetrics, recordComplete, recordFailure, recordSubmit } from './lane-metrics.js'
export { OtelMetricsBackend, type OtelMetricsBackendOptions } from './metrics-backend.js'
export {
  ATTR_COMMAND_ID,
  ATTR_COMMAND_TYPE,
  ATTR_LANE_NAME,
  ATTR_RETRY_ATTEMPT,
  ATTR_SUCCESS,
  SPAN_LANE_EXECUTE,
  SPAN_LANE_HEALTH_CHECK,
  SPAN_LANE_RETRY,
  SPAN_LANE_SUBMIT,
} from './names.js'
export { OtelTracing, type OtelTracingOptions } from './tracing.js'
