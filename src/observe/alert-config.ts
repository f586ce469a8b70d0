/** What alerts watch for, and from when on. Everything is checked when it is made. */
import { checkBoolean, checkInteger, checkMs, checkObject, configInvalid, refuseUnknown } from '../core/index.js'
import type { Thresholds } from './alert.js'

/** When a lane's backlog is worth an alert. Plain data. */
export class QueueDepthAlertConfig {
  readonly warningThreshold: number
  readonly criticalThreshold: number
  readonly enabled: boolean = true

  /** Commands waiting, from which on. `CONFIG_INVALID` for thresholds that are not above 0, or out of order. */
  constructor(warning: number, critical: number) {
    checkThresholds('QueueDepthAlertConfig', { warning, critical })
    this.warningThreshold = warning
    this.criticalThreshold = critical
  }

  /** No alerts: the default. */
  static disabled(): QueueDepthAlertConfig {
    return Object.assign(Object.create(QueueDepthAlertConfig.prototype) as QueueDepthAlertConfig, {
      warningThreshold: 0,
      criticalThreshold: 0,
      enabled: false,
    })
  }
}

/** When the time that attempts run is worth an alert. Plain data. */
export class LatencyAlertConfig {
  readonly warningThresholdMs: number
  readonly criticalThresholdMs: number
  readonly enabled: boolean = true

  /** Milliseconds, from which on. `CONFIG_INVALID` for thresholds that are not above 0, or out of order. */
  constructor(warningMs: number, criticalMs: number) {
    checkThresholds('LatencyAlertConfig', { warning: warningMs, critical: criticalMs })
    this.warningThresholdMs = warningMs
    this.criticalThresholdMs = criticalMs
  }

  /** No alerts: the default. */
  static disabled(): LatencyAlertConfig {
    return Object.assign(Object.create(LatencyAlertConfig.prototype) as LatencyAlertConfig, {
      warningThresholdMs: 0,
      criticalThresholdMs: 0,
      enabled: false,
    })
  }
}

/** Thresholds of what is counted over a time. */
export type WindowThresholds = Thresholds & {
  /** Over how long, in milliseconds. Default 60,000. */
  readonly windowMs?: number | undefined
}

/** Thresholds of a share, 0 to 1, over a time. */
export type RatioThresholds = WindowThresholds & {
  /** Fewest ended attempts in the window from which a share is told. Default 10. */
  readonly minimum?: number | undefined
}

/** What is watched of a lane. What is left out is not, but for `breaker` and `starvation`. */
export type LaneAlertOptions = {
  /** Commands waiting. */
  readonly queueDepth?: Thresholds | undefined
  /** How long attempts run, in milliseconds: at once when one is slow, until five in a row were not, or a minute had none. */
  readonly latency?: Thresholds | undefined
  /** For how long the oldest waiting command could have started, in milliseconds. */
  readonly oldestAge?: Thresholds | undefined
  /** Dead letters within the window. */
  readonly deadLetterRate?: WindowThresholds | undefined
  /** Share of failed attempts within the window, 0 to 1. */
  readonly failureRatio?: RatioThresholds | undefined
  /** Critical while the lane's circuit breaker is open, a warning while it is half open. Default true. */
  readonly breaker?: boolean | undefined
  /** A warning while a command comes close to its deadline without a slot, critical when that has passed. Default true. */
  readonly starvation?: boolean | undefined
}

/** What is watched of every lane, and of some lanes instead. */
export type AlertOptions = LaneAlertOptions & {
  /** By lane id: what is said here stands in place of the rest's; `false` for no alerts of the lane. */
  readonly lanes?: Readonly<Record<string, LaneAlertOptions | false>> | undefined
}

const LANE_OPTIONS = [
  'queueDepth',
  'latency',
  'oldestAge',
  'deadLetterRate',
  'failureRatio',
  'breaker',
  'starvation',
] as const

/** Checks alert options; `CONFIG_INVALID` names the one that is wrong. */
export function checkAlertOptions(options: AlertOptions): void {
  checkObject('AlertManager options', options)
  refuseUnknown('AlertManager', options, [...LANE_OPTIONS, 'lanes'])
  checkLaneOptions('AlertManager', options)
  if (options.lanes === undefined) return
  checkObject('AlertManager lanes', options.lanes)
  for (const [id, lane] of Object.entries(options.lanes)) {
    if (lane === false) continue
    const where = `AlertManager lanes['${id}']`
    checkObject(where, lane)
    refuseUnknown(where, lane, LANE_OPTIONS)
    checkLaneOptions(where, lane)
  }
}

function checkLaneOptions(where: string, options: LaneAlertOptions): void {
  const { queueDepth, latency, oldestAge, deadLetterRate, failureRatio, breaker, starvation } = options
  const plain = { queueDepth, latency, oldestAge }
  for (const [name, thresholds] of Object.entries(plain)) {
    if (thresholds !== undefined) checkThresholds(`${where} ${name}`, thresholds, [])
  }
  if (deadLetterRate !== undefined) checkThresholds(`${where} deadLetterRate`, deadLetterRate, ['windowMs'])
  if (failureRatio !== undefined) {
    checkThresholds(`${where} failureRatio`, failureRatio, ['windowMs', 'minimum'])
    if (failureRatio.critical > 1) {
      throw configInvalid(`${where} failureRatio.critical`, 'at most 1', failureRatio.critical)
    }
  }
  if (breaker !== undefined) checkBoolean(`${where} breaker`, breaker)
  if (starvation !== undefined) checkBoolean(`${where} starvation`, starvation)
}

function checkThresholds(where: string, thresholds: RatioThresholds, more: readonly string[] = []): void {
  checkObject(where, thresholds)
  refuseUnknown(where, thresholds, ['warning', 'critical', ...more])
  const { warning, critical, windowMs, minimum } = thresholds
  for (const [name, value] of Object.entries({ warning, critical })) {
    if (!(typeof value === 'number' && value > 0 && Number.isFinite(value))) {
      throw configInvalid(`${where}.${name}`, 'a number above 0', value)
    }
  }
  if (warning > critical) throw configInvalid(`${where}.warning`, `at most its critical, ${critical}`, warning)
  if (windowMs !== undefined) checkMs(`${where}.windowMs`, windowMs, 'above 0')
  if (minimum !== undefined) checkInteger(`${where}.minimum`, minimum, 1)
}
