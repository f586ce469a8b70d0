/**
 * What each metric is called outside: in OpenTelemetry and in Prometheus, where names have underscores, counters end in
 * `_total`, durations are in seconds and the lane is a label.
 */
import { METRICS, type MetricKind, type MetricName } from './metric-names.js'

/** A metric as it leaves the process. */
export type ExportedMetric = {
  readonly kind: MetricKind
  /** Without the prefix: `commands_submitted_total`. */
  readonly name: string
  readonly help: string
  readonly isSeconds: boolean
  /** What a value of ours is divided by: 1,000 where it is in milliseconds. */
  readonly divisor: number
}

/** Stands before every exported name, unless users say otherwise. */
export const EXPORTED_PREFIX = 'a3s_lane_'

/** Bounds of the buckets of a duration in seconds: from a quick handler to a slow model. */
export const SECONDS_BUCKETS: readonly number[] = [
  0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300,
]

/** Names that the rule does not give. */
const NAMED: Readonly<Partial<Record<MetricName, string>>> = {
  'lane.command.latency_ms': 'command_duration_seconds',
  'lane.command.wait_time_ms': 'command_wait_seconds',
  'lane.command.stop_time_ms': 'command_stop_seconds',
}
const HELP: Readonly<Partial<Record<MetricName, string>>> = {
  'lane.command.latency_ms': 'Command execution duration in seconds',
}

/** Every metric under its own name. */
export const EXPORTED_METRICS: ReadonlyMap<MetricName, ExportedMetric> = new Map(
  (Object.keys(METRICS) as MetricName[]).map((name) => [name, exported(name)]),
)

function exported(name: MetricName): ExportedMetric {
  const { kind, help } = METRICS[name]
  const isSeconds = name.endsWith('_ms')
  const words = name
    .replace(/^lane\./, '')
    .replace(/_ms$/, '_seconds')
    .replaceAll('.', '_')
  return {
    kind,
    name: NAMED[name] ?? (kind === 'counter' ? `${words}_total` : words),
    help: HELP[name] ?? help.replace('in milliseconds', 'in seconds').replace('Milliseconds', 'Seconds'),
    isSeconds,
    divisor: isSeconds ? 1000 : 1,
  }
}
