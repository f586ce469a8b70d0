/** The reference's three recorders, for counting by hand. A queue with an `OtelMetricsBackend` does all of it, and more. */
import { METRIC_NAMES } from '../index.js'
import { OtelMetricsBackend } from './metrics-backend.js'

let metrics: OtelMetricsBackend | undefined

/** Makes the recorders below record, to the global meter provider. Again, it does nothing. */
export function initLaneMetrics(): void {
  metrics ??= new OtelMetricsBackend()
}

/** Where the recorders write; undefined until `initLaneMetrics`. */
export function laneMetrics(): OtelMetricsBackend | undefined {
  return metrics
}

/** A command was submitted to the lane. Before `initLaneMetrics` this does nothing, as all of them. */
export function recordSubmit(lane: string): void {
  metrics?.incrementCounter(`${METRIC_NAMES.COMMANDS_SUBMITTED}.${lane}`, 1)
}

/** A command was completed; for how many seconds it ran. */
export function recordComplete(lane: string, seconds: number): void {
  metrics?.incrementCounter(`${METRIC_NAMES.COMMANDS_COMPLETED}.${lane}`, 1)
  metrics?.recordHistogram(`${METRIC_NAMES.COMMAND_LATENCY}.${lane}`, seconds * 1000)
}

/** A command failed for good. */
export function recordFailure(lane: string): void {
  metrics?.incrementCounter(`${METRIC_NAMES.COMMANDS_FAILED}.${lane}`, 1)
}
