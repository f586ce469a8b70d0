/** An alert, and the level that a measured value has: with hysteresis, so that a value at a threshold does not flap. */

/** The levels of alerts, least first. */
export const ALERT_LEVELS = ['info', 'warning', 'critical'] as const

/** How bad it is; 'info' says that an alert is over. */
export type AlertLevel = (typeof ALERT_LEVELS)[number]

/** What an alert is about. */
export type AlertKind =
  | 'queue_depth'
  | 'latency'
  | 'oldest_age'
  | 'dead_letter_rate'
  | 'failure_ratio'
  | 'breaker'
  | 'starvation'

/** Something that an operator should know of a lane: that it has got worse, better, or well. */
export type Alert = {
  readonly level: AlertLevel
  readonly kind: AlertKind
  readonly laneId: string
  readonly message: string
  readonly currentValue: number
  /** The threshold that was reached; of an alert that is over, the one for 'warning'. */
  readonly threshold: number
}

/** From which values on a level is reached. */
export type Thresholds = { readonly warning: number; readonly critical: number }

/** A level is left when the value is below this share of its threshold. */
const RELEASE = 0.9

/** The level of a value by itself; 'info' when it is below all thresholds. */
export function levelOf(value: number, { warning, critical }: Thresholds): AlertLevel {
  if (value >= critical) return 'critical'
  return value >= warning ? 'warning' : 'info'
}

/** The level of a value, where the level was another one before: it rises at once and falls with a margin. */
export function nextLevel(before: AlertLevel, value: number, thresholds: Thresholds): AlertLevel {
  const { warning, critical } = thresholds
  const now = levelOf(value, thresholds)
  if (before === 'critical' && value >= critical * RELEASE) return 'critical'
  if (before !== 'info' && now === 'info' && value >= warning * RELEASE) return 'warning'
  return now
}
