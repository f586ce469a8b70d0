/**
 * A monitor looks at a queue at an interval and judges its health: for probes, and for the log. What it finds is written to
 * the logger of the queue, or to one of its own; its timer keeps no process alive.
 */
import {
  checkInteger,
  checkLogger,
  checkMs,
  checkObject,
  configInvalid,
  formatDuration,
  instantText,
  type Logger,
  type Observation,
  type ObservedQueue,
  type QueueObserver,
  type QueueStats,
  refuseUnknown,
} from '../core/index.js'
import type { AlertManager } from './alerts.js'
import { BackgroundTimer } from './background-timer.js'
import type { QueueMetrics } from './metrics.js'

/** Options of a monitor. */
export type MonitorConfig = {
  /** Milliseconds from one check to the next. Default 10,000. */
  readonly intervalMs?: number | undefined
  /** More pending commands than this, over all lanes, are a warning. Default 100. */
  readonly pendingWarningThreshold?: number | undefined
  /** More active commands than this, over all lanes, are a warning. Default 50. */
  readonly activeWarningThreshold?: number | undefined
  /** Where checks are logged. Default the queue's logger; nowhere when it has none. */
  readonly logger?: Logger | undefined
}

/** What a probe should answer: all is well; it works, but somebody should look; it does not do its work. */
export type HealthStatus = 'healthy' | 'degraded' | 'unhealthy'

/** A monitor's options with the defaults filled in. */
export type CheckedMonitorConfig = {
  readonly intervalMs: number
  readonly pendingWarningThreshold: number
  readonly activeWarningThreshold: number
}

/** Why a queue is not healthy. */
export type HealthReason = {
  readonly status: Exclude<HealthStatus, 'healthy'>
  /** What it is, in one word for machines. */
  readonly code: 'not_started' | 'shutting_down' | 'pending' | 'active' | 'stuck' | 'alert' | 'fault'
  readonly message: string
  readonly laneId?: string
}

/** A verdict on a queue. */
export type Health = {
  readonly status: HealthStatus
  readonly reasons: readonly HealthReason[]
  /** When it was made: RFC 3339, UTC. */
  readonly checkedAt: string
}

/** A queue that can be monitored: a `QueueManager`. */
export type MonitoredQueue = {
  observe(observation: Observation): void
  stats(): QueueStats
  readonly alerts: AlertManager | undefined
  readonly metrics: QueueMetrics | undefined
}

/** Intervals for which a fault is a reason. */
const FAULT_INTERVALS = 2

const OPTIONS = ['intervalMs', 'pendingWarningThreshold', 'activeWarningThreshold', 'logger'] as const

export class QueueMonitor {
  readonly #queue: MonitoredQueue
  readonly #config: CheckedMonitorConfig
  readonly #ownLogger: Logger | undefined
  readonly #timer: BackgroundTimer
  #observed!: ObservedQueue
  #isRunning = false
  #hasEnded = false
  /** The newest fault, and when it was. */
  #fault: { readonly text: string; readonly at: number } | undefined

  /** `CONFIG_INVALID` for an interval that is not above 0, or thresholds below 0. */
  constructor(queue: MonitoredQueue, config: MonitorConfig = {}) {
    if (typeof queue?.observe !== 'function') throw configInvalid('QueueMonitor queue', 'a QueueManager', queue)
    checkObject('QueueMonitor config', config)
    refuseUnknown('QueueMonitor', config, OPTIONS)
    const { intervalMs = 10_000, pendingWarningThreshold = 100, activeWarningThreshold = 50, logger } = config
    checkMs('QueueMonitor intervalMs', intervalMs, 'above 0')
    checkInteger('QueueMonitor pendingWarningThreshold', pendingWarningThreshold, 0)
    checkInteger('QueueMonitor activeWarningThreshold', activeWarningThreshold, 0)
    this.#queue = queue
    this.#config = { intervalMs, pendingWarningThreshold, activeWarningThreshold }
    if (logger !== undefined) checkLogger('QueueMonitor logger', logger)
    this.#ownLogger = logger
    queue.observe({ observe: (observed) => this.#observe(observed) })
    this.#timer = new BackgroundTimer(this.#observed.clock, () => this.#tick())
  }

  /** Checks now, and then at each interval. Idempotent; a queue that has ended is not watched any more. */
  start(): void {
    if (this.#isRunning || this.#hasEnded) return
    this.#isRunning = true
    this.#tick()
  }

  /** No more checks. Idempotent; `start` begins again. */
  stop(): void {
    this.#isRunning = false
    this.#timer.clear()
  }

  /** Whether it checks at its interval. */
  get isRunning(): boolean {
    return this.#isRunning
  }

  config(): CheckedMonitorConfig {
    return this.#config
  }

  /** The queue's counts, now. */
  stats(): QueueStats {
    return this.#queue.stats()
  }

  /** The verdict, now, with every reason; the worst one decides. For probes: cheap, and never throws. */
  health(): Health {
    const reasons = this.#reasons(this.stats())
    const isUnhealthy = reasons.some((reason) => reason.status === 'unhealthy')
    const ifReason: HealthStatus = isUnhealthy ? 'unhealthy' : 'degraded'
    const status = reasons.length === 0 ? 'healthy' : ifReason
    return { status, reasons, checkedAt: instantText(this.#observed.clock.wallNow()) }
  }

  #observe(observed: ObservedQueue): QueueObserver {
    this.#observed = observed
    return {
      faulted: (text) => {
        this.#fault = { text, at: observed.clock.now() }
      },
      ended: () => {
        this.#hasEnded = true
        this.stop()
      },
    }
  }

  #tick(): void {
    this.#check()
    if (this.#isRunning) this.#timer.set(this.#config.intervalMs)
  }

  /** One look: gauges for back ends that are written to, the span, and the log. */
  #check(): void {
    const { tracing, logger } = this.#observed
    this.#queue.metrics?.refresh()
    const { status, reasons } = this.health()
    tracing?.checked?.(
      status,
      reasons.map(({ code }) => code),
    )
    const own = this.#ownLogger ?? logger
    if (own === undefined) return
    try {
      this.#log(own, this.stats())
    } catch (error) {
      this.#observed.fault(error)
    }
  }

  #log(logger: Logger, { lanes, totalPending, totalActive }: QueueStats): void {
    const { pendingWarningThreshold, activeWarningThreshold } = this.#config
    for (const [id, { pending, active, max }] of Object.entries(lanes)) {
      const fields = { lane_id: id, pending, active, max }
      logger.debug(fields, `Lane ${id}: pending=${pending}, active=${active}, max=${max}`)
      if (active >= max) logger.warn(fields, `Lane ${id} is at maximum capacity`)
    }
    if (totalPending > pendingWarningThreshold) {
      logger.warn({ pending: totalPending }, tooMany('pending', totalPending, pendingWarningThreshold))
    }
    if (totalActive > activeWarningThreshold) {
      logger.warn({ active: totalActive }, tooMany('active', totalActive, activeWarningThreshold))
    }
  }

  #reasons({ lanes, totalPending, totalActive }: QueueStats): HealthReason[] {
    const { pendingWarningThreshold, activeWarningThreshold } = this.#config
    const { isStarted, isShuttingDown } = this.#observed
    const reasons: HealthReason[] = []
    const add = (
      status: HealthReason['status'],
      code: HealthReason['code'],
      message: string,
      laneId?: string,
    ): void => {
      reasons.push(laneId === undefined ? { status, code, message } : { status, code, message, laneId })
    }
    if (isShuttingDown) add('unhealthy', 'shutting_down', 'The queue is shutting down')
    else if (!isStarted) add('degraded', 'not_started', 'The queue has not been started')
    if (totalPending > pendingWarningThreshold) {
      add('degraded', 'pending', tooMany('pending', totalPending, pendingWarningThreshold))
    }
    if (totalActive > activeWarningThreshold) {
      add('degraded', 'active', tooMany('active', totalActive, activeWarningThreshold))
    }
    for (const [id, { zombies, max, pending }] of Object.entries(lanes)) {
      if (zombies < max || pending === 0) continue
      add('unhealthy', 'stuck', `Lane ${id} starts nothing: handlers that do not stop hold all its ${max} slots`, id)
    }
    for (const { level, message, laneId } of this.#queue.alerts?.active(this.#observed) ?? []) {
      add(level === 'critical' ? 'unhealthy' : 'degraded', 'alert', message, laneId)
    }
    const faultAgeMs = this.#observed.clock.now() - (this.#fault?.at ?? Number.NEGATIVE_INFINITY)
    if (this.#fault !== undefined && faultAgeMs < FAULT_INTERVALS * this.#config.intervalMs) {
      add('degraded', 'fault', `A fault, ${formatDuration(Math.round(faultAgeMs))} ago: ${this.#fault.text}`)
    }
    return reasons
  }
}

const tooMany = (what: string, count: number, threshold: number): string =>
  `High number of ${what} commands: ${count} (threshold: ${threshold})`
