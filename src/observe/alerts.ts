/**
 * Alerts: who is told when a lane is in trouble. Given to a queue, each lane is judged at every change; a level is told
 * once, when it is reached, with a margin before it is left, and 'info' tells that it is over. By hand, `checkQueueDepth`
 * and `checkLatency` judge what they are given.
 */
import { configInvalid, LaneError, type ObservedLane, type ObservedQueue, type QueueObserver } from '../core/index.js'
import { type Alert, type AlertLevel, levelOf, nextLevel, type Thresholds } from './alert.js'
import { type AlertOptions, checkAlertOptions, LatencyAlertConfig, QueueDepthAlertConfig } from './alert-config.js'
import { depthMessage, type Finding, latencyMessage, type Watch, watchesOf } from './alert-watches.js'

/** Hears of an alert. What it throws is a fault of the queue, and keeps nobody else from hearing. */
export type AlertCallback = (alert: Alert) => void

/** An alert of a queue's lane, or of one that was checked by hand. */
type Raised = { readonly queue: ObservedQueue | undefined; readonly laneId: string; alert: Alert }

export class AlertManager {
  #options: AlertOptions
  #depth: QueueDepthAlertConfig
  #latency: LatencyAlertConfig
  readonly #callbacks: AlertCallback[] = []
  /** What is not well, by queue, lane and kind. */
  readonly #raised = new Map<ObservedQueue | undefined, Map<string, Raised>>()
  /** Told one after the other: a callback may do what raises the next. */
  readonly #untold: Raised[] = []
  #isTelling = false

  /** Without options nothing is watched but breakers and deadlines. `CONFIG_INVALID` names an option that is wrong. */
  constructor(options: AlertOptions = {}) {
    checkAlertOptions(options)
    this.#options = options
    const { queueDepth, latency } = options
    this.#depth =
      queueDepth === undefined
        ? QueueDepthAlertConfig.disabled()
        : new QueueDepthAlertConfig(queueDepth.warning, queueDepth.critical)
    this.#latency =
      latency === undefined ? LatencyAlertConfig.disabled() : new LatencyAlertConfig(latency.warning, latency.critical)
  }

  /** Alerts for commands waiting in a lane. */
  static withQueueDepthAlerts(warning: number, critical: number): AlertManager {
    return new AlertManager().withQueueDepthAlerts(warning, critical)
  }

  /** Alerts for the time that attempts run, in milliseconds. */
  static withLatencyAlerts(warningMs: number, criticalMs: number): AlertManager {
    return new AlertManager().withLatencyAlerts(warningMs, criticalMs)
  }

  withQueueDepthAlerts(warning: number, critical: number): this {
    this.setQueueDepthConfig(new QueueDepthAlertConfig(warning, critical))
    return this
  }

  withLatencyAlerts(warningMs: number, criticalMs: number): this {
    this.setLatencyConfig(new LatencyAlertConfig(warningMs, criticalMs))
    return this
  }

  queueDepthConfig(): QueueDepthAlertConfig {
    return this.#depth
  }

  latencyConfig(): LatencyAlertConfig {
    return this.#latency
  }

  /** Takes effect at the next change of a lane; lanes with thresholds of their own keep those. */
  setQueueDepthConfig(config: QueueDepthAlertConfig): void {
    if (!(config instanceof QueueDepthAlertConfig)) {
      throw configInvalid('setQueueDepthConfig config', 'a QueueDepthAlertConfig', config)
    }
    this.#depth = config
    const { warningThreshold: warning, criticalThreshold: critical, enabled } = config
    this.#options = { ...this.#options, queueDepth: enabled ? { warning, critical } : undefined }
  }

  setLatencyConfig(config: LatencyAlertConfig): void {
    if (!(config instanceof LatencyAlertConfig)) {
      throw configInvalid('setLatencyConfig config', 'a LatencyAlertConfig', config)
    }
    this.#latency = config
    const { warningThresholdMs: warning, criticalThresholdMs: critical, enabled } = config
    this.#options = { ...this.#options, latency: enabled ? { warning, critical } : undefined }
  }

  /** Adds one who is told, synchronously and in the order of this call. Gives a function that ends it. */
  addCallback(callback: AlertCallback): () => void {
    if (typeof callback !== 'function') throw configInvalid('addCallback callback', 'a function', callback)
    this.#callbacks.push(callback)
    return () => {
      const at = this.#callbacks.indexOf(callback)
      if (at >= 0) this.#callbacks.splice(at, 1)
    }
  }

  /** The alerts that are up now: of all queues, or of one. */
  active(queue?: ObservedQueue): Alert[] {
    const raised =
      queue === undefined ? [...this.#raised.values()] : [this.#raised.get(queue) ?? new Map<string, Raised>()]
    return raised.flatMap((of) => [...of.values()].map(({ alert }) => alert))
  }

  /** Judges a depth; tells a change of level, and gives the alert that the value means by itself. */
  checkQueueDepth(laneId: string, depth: number): Alert | undefined {
    const message = depthMessage.bind(undefined, depth)
    return this.#check(
      laneId,
      { kind: 'queue_depth', value: depth, thresholds: NONE, message },
      this.#options.queueDepth,
    )
  }

  /** The same for milliseconds that a command ran. */
  checkLatency(laneId: string, latencyMs: number): Alert | undefined {
    const message = latencyMessage.bind(undefined, latencyMs)
    return this.#check(laneId, { kind: 'latency', value: latencyMs, thresholds: NONE, message }, this.#options.latency)
  }

  /** Called by the queue that it is given to. */
  observe(queue: ObservedQueue): QueueObserver {
    const known = queue.lanes.map(({ id }) => id)
    const stranger = Object.keys(this.#options.lanes ?? {}).find((id) => !known.includes(id))
    if (stranger !== undefined) {
      throw new LaneError(
        'CONFIG_INVALID',
        `Configuration error: AlertManager lanes has '${stranger}', which is no lane of the queue`,
        {
          fields: { option: 'AlertManager lanes' },
        },
      )
    }
    const watches = new Map(queue.lanes.map((lane) => [lane, this.#watchesOf(queue, lane)]))
    return {
      observerOf: (lane) => {
        const told = watches.get(lane)?.filter((watch) => watch.told !== undefined) ?? []
        if (told.length === 0) return
        return (fact, value, limit) => {
          for (const watch of told) watch.told?.(fact, value, limit)
        }
      },
      onChangeOf: (lane) => {
        const changed = watches.get(lane)?.filter((watch) => watch.changed !== undefined) ?? []
        if (changed.length === 0) return
        return () => {
          for (const watch of changed) watch.changed?.()
        }
      },
      ended: () => {
        for (const watch of [...watches.values()].flat()) watch.end()
        this.#raised.delete(queue)
      },
    }
  }

  #watchesOf(queue: ObservedQueue, lane: ObservedLane): readonly Watch[] {
    const own = this.#options.lanes?.[lane.id]
    if (own === false) return []
    const judge = (finding: Finding): AlertLevel => this.#judge(queue, lane.id, finding)
    return watchesOf(
      { clock: queue.clock, lane, judge },
      { ...this.#options, ...own },
      {
        depth: () => own?.queueDepth ?? this.#options.queueDepth,
        latency: () => own?.latency ?? this.#options.latency,
      },
    )
  }

  #check(laneId: string, finding: Finding, thresholds: Thresholds | undefined): Alert | undefined {
    if (thresholds === undefined) return undefined
    const judged = { ...finding, thresholds }
    this.#judge(undefined, laneId, judged)
    const level = levelOf(finding.value, thresholds)
    return level === 'info' ? undefined : alertOf(laneId, judged, level)
  }

  /** The level that a finding gives its lane; a change of it is told. */
  #judge(queue: ObservedQueue | undefined, laneId: string, finding: Finding): AlertLevel {
    const key = `${finding.kind} ${laneId}`
    const before = this.#raised.get(queue)?.get(key)
    const levelBefore = before?.alert.level ?? 'info'
    const level = nextLevel(levelBefore, finding.value, finding.thresholds)
    if (level === levelBefore) return level
    const raised: Raised = { queue, laneId, alert: alertOf(laneId, finding, level, before?.alert.threshold) }
    const of = this.#raised.get(queue) ?? new Map<string, Raised>()
    if (level === 'info') of.delete(key)
    else of.set(key, raised)
    if (of.size === 0) this.#raised.delete(queue)
    else this.#raised.set(queue, of)
    this.#untold.push(raised)
    this.#tellAll()
    // Whoever was told may have done what changes it again.
    return this.#raised.get(queue)?.get(key)?.alert.level ?? 'info'
  }

  #tellAll(): void {
    if (this.#isTelling) return
    this.#isTelling = true
    for (let next = this.#untold.shift(); next !== undefined; next = this.#untold.shift()) this.#tell(next)
    this.#isTelling = false
  }

  #tell({ queue, alert }: Raised): void {
    const { level, kind, laneId, message, currentValue, threshold } = alert
    const payload = { lane_id: laneId, level, kind, message, current_value: currentValue, threshold }
    queue?.emit('queue.alert', payload)
    for (const callback of [...this.#callbacks]) {
      try {
        callback(alert)
      } catch (error) {
        queue?.fault(error, { lane_id: laneId })
      }
    }
  }
}

const NONE: Thresholds = { warning: Number.MAX_VALUE, critical: Number.MAX_VALUE }

function alertOf(laneId: string, finding: Finding, level: AlertLevel, thresholdBefore?: number): Alert {
  const { kind, value, thresholds, message } = finding
  const { warning, critical } = thresholds
  const threshold = finding.threshold ?? (level === 'critical' ? critical : warning)
  // What is not watched any more has no threshold: the one that was reached is told.
  const told = threshold === Number.MAX_VALUE ? (thresholdBefore ?? threshold) : threshold
  return { level, kind, laneId, message: message(level, told), currentValue: value, threshold: told }
}
