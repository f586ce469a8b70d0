/**
 * The figures of the demo. What happened in each lane, and how long it took, is in the queue's own metrics: nothing is
 * counted twice. What metrics do not have (whether anything started in a paused lane) is asked of the events: a filter sees
 * every event at the moment it happens; this one looks, and wants none of them.
 */
import { type BuiltInLaneId, type LaneEvent, LocalMetrics, METRIC_NAMES, type QueueManager } from '@a3s-lab/lane'
import type { Summary } from './samples.js'

/** The queue of the demo: the six built-in lanes. */
export type Queue = QueueManager<BuiltInLaneId>

/** What is counted of one lane. `submitted` is the sum of the four ends below it once nothing is left to do. */
export type LaneFigures = {
  readonly submitted: number
  readonly done: number
  readonly failed: number
  readonly timedOut: number
  readonly cancelled: number
  readonly retried: number
  /** Attempts started; a retried command has several. */
  readonly started: number
}

/** The same with the times: how long attempts waited for their slot, and how long those ran that gave a result. */
export type LaneSummary = LaneFigures & {
  readonly waitMs: Summary | null
  readonly runMs: Summary | null
}

export class Figures {
  /** Ids of the lanes. */
  readonly lanes: readonly string[]
  pressure = 0
  idle = 0
  redriven = 0
  faults = 0
  /** Commands that were running when an earlier process was killed. */
  recovered = 0
  /** Commands that started although their lane was paused: there should be none. */
  startedWhilePaused = 0
  readonly #metrics: LocalMetrics
  readonly #paused = new Set<string>()
  readonly #stop: () => void

  constructor(queue: Queue) {
    const backend = queue.metrics?.backend()
    if (!(backend instanceof LocalMetrics)) throw new Error('The queue of the demo keeps its metrics in memory')
    this.#metrics = backend
    this.lanes = Object.keys(queue.stats().lanes)
    const stream = queue.subscribeFiltered((event) => {
      this.#look(event)
      return false
    })
    this.#stop = () => stream.close()
  }

  get deadLettered(): number {
    return this.#count(METRIC_NAMES.COMMANDS_DEAD_LETTERED)
  }

  lane(id: string): LaneFigures {
    return {
      submitted: this.#count(METRIC_NAMES.COMMANDS_SUBMITTED, id),
      done: this.#count(METRIC_NAMES.COMMANDS_COMPLETED, id),
      failed: this.#count(METRIC_NAMES.COMMANDS_FAILED, id),
      timedOut: this.#count(METRIC_NAMES.COMMANDS_TIMEOUT, id),
      cancelled: this.#count(METRIC_NAMES.COMMANDS_CANCELLED, id),
      retried: this.#count(METRIC_NAMES.COMMANDS_RETRIED, id),
      started: this.#count(METRIC_NAMES.COMMANDS_STARTED, id),
    }
  }

  summary(): Record<string, LaneSummary> {
    const entries = this.lanes.map((id) => [
      id,
      {
        ...this.lane(id),
        waitMs: this.#times(METRIC_NAMES.COMMAND_WAIT_TIME, id),
        runMs: this.#times(METRIC_NAMES.COMMAND_LATENCY, id),
      },
    ])
    return Object.fromEntries(entries) as Record<string, LaneSummary>
  }

  /** Whether every command of every lane has had exactly one end: those submitted, and those that were left by another process. */
  addUp(left: ReadonlyMap<string, number>): boolean {
    return this.lanes.every((id) => {
      const { submitted, done, failed, timedOut, cancelled } = this.lane(id)
      return submitted + (left.get(id) ?? 0) === done + failed + timedOut + cancelled
    })
  }

  close(): void {
    this.#stop()
  }

  #count(name: string, laneId?: string): number {
    return this.#metrics.getCounter(laneId === undefined ? name : `${name}.${laneId}`) ?? 0
  }

  /** Null when nothing was measured: a figure that is not there is better than a zero. */
  #times(name: string, laneId: string): Summary | null {
    const stats = this.#metrics.getHistogramStats(`${name}.${laneId}`)
    if (stats === undefined) return null
    const { count, max, percentiles } = stats
    return { count, p50: round(percentiles.p50), p99: round(percentiles.p99), max: round(max) }
  }

  #look({ key, payload }: LaneEvent): void {
    if (key === 'queue.command.started') {
      if (this.#paused.has(payload.lane_id)) this.startedWhilePaused++
    } else if (key === 'queue.lane.paused') this.#paused.add(payload.lane_id)
    else if (key === 'queue.lane.resumed') this.#paused.delete(payload.lane_id)
    else if (key === 'queue.dead_letter.redriven') this.redriven++
    else if (key === 'queue.lane.pressure') this.pressure++
    else if (key === 'queue.lane.idle') this.idle++
    else if (key === 'queue.command.recovered') this.recovered++
    else if (key === 'queue.fault') this.faults++
  }
}

/** To the microsecond. */
const round = (ms: number): number => Math.round(ms * 1000) / 1000
