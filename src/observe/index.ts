export { ALERT_LEVELS, type Alert, type AlertKind, type AlertLevel, type Thresholds } from './alert.js'
export {
  type AlertOptions,
  type LaneAlertOptions,
  LatencyAlertConfig,
  QueueDepthAlertConfig,
  type RatioThresholds,
  type WindowThresholds,
} from './alert-config.js'
export { type AlertCallback, AlertManager } from './alerts.js'
export { EXPORTED_METRICS, EXPORTED_PREFIX, type ExportedMetric, SECONDS_BUCKETS } from './exported-metrics.js'
export { HISTOGRAM_ERROR, Histogram, type HistogramPercentiles, type HistogramStats } from './histogram.js'
export { METRIC_NAMES, METRICS, type MetricKind, type MetricName } from './metric-names.js'
export { QueueMetrics } from './metrics.js'
export { inMemory, LocalMetrics, type MetricsBackend, type MetricsSnapshot } from './metrics-backend.js'
export {
  type CheckedMonitorConfig,
  type Health,
  type HealthReason,
  type HealthStatus,
  type MonitorConfig,
  type MonitoredQueue,
  QueueMonitor,
} from './monitor.js'
