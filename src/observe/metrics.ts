/**
 * What a queue counts and times, written to a back end under the names of `METRIC_NAMES`: over all lanes, and per lane with
 * the lane's id after the name. Given to a queue, it fills itself; by hand, each recorder writes what its name says.
 *
 * Counters and histograms are written as things happen. Gauges are written once per turn, for the lanes in which something
 * changed, and all of them when a snapshot is asked for.
 */
import {
  configInvalid,
  type LaneFact,
  type LaneObserver,
  type ObservedLane,
  type ObservedQueue,
  type QueueObserver,
} from '../core/index.js'
import type { Histogram } from './histogram.js'
import { type MetricName, METRIC_NAMES as NAMES } from './metric-names.js'
import { type Cell, LocalMetrics, type MetricsBackend, type MetricsSnapshot } from './metrics-backend.js'

/** What each fact of a lane counts, and what its number is a sample of. */
const COUNTED: Readonly<Partial<Record<LaneFact, MetricName>>> = {
  submitted: NAMES.COMMANDS_SUBMITTED,
  started: NAMES.COMMANDS_STARTED,
  completed: NAMES.COMMANDS_COMPLETED,
  failed: NAMES.COMMANDS_FAILED,
  timed_out: NAMES.COMMANDS_TIMEOUT,
  cancelled: NAMES.COMMANDS_CANCELLED,
  retried: NAMES.COMMANDS_RETRIED,
  deferred: NAMES.COMMANDS_DEFERRED,
  dead_lettered: NAMES.COMMANDS_DEAD_LETTERED,
  rejected: NAMES.COMMANDS_REJECTED,
  deduplicated: NAMES.COMMANDS_DEDUPLICATED,
  preempted: NAMES.COMMANDS_PREEMPTED,
  abandoned: NAMES.COMMANDS_ABANDONED,
  overtook: NAMES.BOOST_INVERSIONS,
}
const TIMED: Readonly<Partial<Record<LaneFact, MetricName>>> = {
  started: NAMES.COMMAND_WAIT_TIME,
  completed: NAMES.COMMAND_LATENCY,
  stopped: NAMES.COMMAND_STOP_TIME,
}

const BACKEND_METHODS = [
  'incrementCounter',
  'setGauge',
  'recordHistogram',
  'getCounter',
  'getGauge',
  'getHistogramStats',
  'reset',
  'snapshot',
] as const

/** The lanes with one id of all queues that share the metrics: usually one. */
type Gauged = { readonly id: string; readonly lanes: Set<ObservedLane>; isChanged: boolean }

/** Metrics of one queue, or of several together. Give it as the option `metrics`. */
export class QueueMetrics {
  readonly #backend: MetricsBackend
  readonly #gauged = new Map<string, Gauged>()
  /** Those in which something changed in this turn. */
  #changed: Gauged[] = []
  /** Where faults of the back end go, once a queue is watched; and whether its last write failed. */
  #report: ((error: unknown) => void) | undefined
  #isBroken = false

  /** `CONFIG_INVALID` for a back end that lacks a method of `MetricsBackend`. */
  constructor(backend: MetricsBackend) {
    const missing = BACKEND_METHODS.filter((name) => typeof backend?.[name] !== 'function')
    if (missing.length > 0) {
      throw configInvalid('QueueMetrics backend', `a MetricsBackend with ${missing.join(', ')}`, backend)
    }
    this.#backend = backend
  }

  /** Metrics in memory. */
  static local(): QueueMetrics {
    return new QueueMetrics(new LocalMetrics())
  }

  /** The back end that it was made with. */
  backend(): MetricsBackend {
    return this.#backend
  }

  recordSubmit(laneId: string): void {
    this.#count(NAMES.COMMANDS_SUBMITTED, laneId, 1)
  }

  /** `latencyMs`: how long the command ran. */
  recordComplete(laneId: string, latencyMs: number): void {
    this.#count(NAMES.COMMANDS_COMPLETED, laneId, 1)
    this.#record(NAMES.COMMAND_LATENCY, laneId, latencyMs)
  }

  recordFailure(laneId: string): void {
    this.#count(NAMES.COMMANDS_FAILED, laneId, 1)
  }

  recordTimeout(laneId: string): void {
    this.#count(NAMES.COMMANDS_TIMEOUT, laneId, 1)
  }

  recordRetry(laneId: string): void {
    this.#count(NAMES.COMMANDS_RETRIED, laneId, 1)
  }

  recordDeadLetter(laneId: string): void {
    this.#count(NAMES.COMMANDS_DEAD_LETTERED, laneId, 1)
  }

  recordWaitTime(laneId: string, ms: number): void {
    this.#record(NAMES.COMMAND_WAIT_TIME, laneId, ms)
  }

  setQueueDepth(laneId: string, depth: number): void {
    this.#set(NAMES.QUEUE_DEPTH, laneId, depth)
  }

  setActiveCommands(laneId: string, active: number): void {
    this.#set(NAMES.QUEUE_ACTIVE, laneId, active)
  }

  /** Everything, as it is now. Percentiles are never above the true ones and at most 0.79 % below them. */
  async snapshot(): Promise<MetricsSnapshot> {
    this.refresh()
    return this.#backend.snapshot()
  }

  /** Forgets everything that was counted and timed. Gauges of watched lanes are back with the next snapshot. */
  async reset(): Promise<void> {
    await this.#backend.reset()
  }

  /** Writes all gauges as they are now, ages included: for back ends that only write elsewhere. A monitor does it at each check. */
  refresh(): void {
    this.#flush()
    for (const gauged of this.#gauged.values()) {
      this.#writeCounts(gauged)
      this.#set(NAMES.QUEUE_OLDEST_AGE, gauged.id, Math.max(0, ...[...gauged.lanes].map((lane) => lane.oldestAgeMs())))
    }
  }

  /** Called by the queue that it is given to. */
  observe(queue: ObservedQueue): QueueObserver {
    this.#report = (error) => queue.fault(error)
    return {
      observerOf: (lane) => {
        const gauged = this.#gauged.get(lane.id) ?? { id: lane.id, lanes: new Set(), isChanged: false }
        this.#gauged.set(lane.id, gauged)
        gauged.lanes.add(lane)
        this.#touch(gauged)
        return this.#backend instanceof LocalMetrics ? this.#inMemory(this.#backend, gauged) : this.#elsewhere(gauged)
      },
      refused: () => this.#write(() => this.#backend.incrementCounter(NAMES.COMMANDS_REJECTED, 1)),
      turnEnded: () => this.#flush(),
      ended: () => {
        this.refresh()
        for (const lane of queue.lanes) this.#gauged.get(lane.id)?.lanes.delete(lane)
        for (const [id, { lanes }] of this.#gauged) if (lanes.size === 0) this.#gauged.delete(id)
      },
    }
  }

  /** What most commands tell goes to cells that are held; the rest is looked up. */
  #inMemory(local: LocalMetrics, gauged: Gauged): LaneObserver {
    const both = <T>(name: MetricName, find: (name: string) => T): readonly [T, T] => [
      find(name),
      find(`${name}.${gauged.id}`),
    ]
    const counter = (name: string): Cell => local.counter(name)
    const histogram = (name: string): Histogram => local.histogram(name)
    const [submitted, laneSubmitted] = both(NAMES.COMMANDS_SUBMITTED, counter)
    const [started, laneStarted] = both(NAMES.COMMANDS_STARTED, counter)
    const [completed, laneCompleted] = both(NAMES.COMMANDS_COMPLETED, counter)
    const [wait, laneWait] = both(NAMES.COMMAND_WAIT_TIME, histogram)
    const [latency, laneLatency] = both(NAMES.COMMAND_LATENCY, histogram)
    const rest = this.#elsewhere(gauged)
    return (fact, value, limit) => {
      if (!gauged.isChanged) this.#touch(gauged)
      if (fact === 'changed') return
      if (fact === 'submitted') {
        increment(submitted)
        increment(laneSubmitted)
      } else if (fact === 'started') {
        increment(started)
        increment(laneStarted)
        wait.record(value)
        laneWait.record(value)
      } else if (fact === 'completed') {
        increment(completed)
        increment(laneCompleted)
        latency.record(value)
        laneLatency.record(value)
      } else rest(fact, value, limit)
    }
  }

  #elsewhere(gauged: Gauged): LaneObserver {
    const { id } = gauged
    return (fact, value) => {
      if (!gauged.isChanged) this.#touch(gauged)
      const counted = COUNTED[fact]
      if (counted !== undefined) this.#count(counted, id, 1)
      const timed = TIMED[fact]
      if (timed !== undefined) this.#record(timed, id, value)
      if (fact === 'limited') this.#count(NAMES.RATE_LIMITED_MS, id, value)
    }
  }

  #touch(gauged: Gauged): void {
    gauged.isChanged = true
    this.#changed.push(gauged)
  }

  #flush(): void {
    if (this.#changed.length === 0) return
    const changed = this.#changed
    this.#changed = []
    for (const gauged of changed) {
      gauged.isChanged = false
      this.#writeCounts(gauged)
    }
  }

  #writeCounts({ id, lanes }: Gauged): void {
    let depth = 0
    let active = 0
    let delayed = 0
    let zombies = 0
    for (const lane of lanes) {
      depth += lane.pending
      active += lane.active
      delayed += lane.delayed
      zombies += lane.zombies
    }
    this.#set(NAMES.QUEUE_DEPTH, id, depth)
    this.#set(NAMES.QUEUE_ACTIVE, id, active)
    this.#set(NAMES.QUEUE_DELAYED, id, delayed)
    this.#set(NAMES.QUEUE_ZOMBIES, id, zombies)
  }

  #count(name: MetricName, laneId: string, by: number): void {
    this.#write(() => this.#backend.incrementCounter(name, by))
    this.#write(() => this.#backend.incrementCounter(`${name}.${laneId}`, by))
  }

  #record(name: MetricName, laneId: string, value: number): void {
    this.#write(() => this.#backend.recordHistogram(name, value))
    this.#write(() => this.#backend.recordHistogram(`${name}.${laneId}`, value))
  }

  #set(name: MetricName, laneId: string, value: number): void {
    this.#write(() => this.#backend.setGauge(`${name}.${laneId}`, value))
  }

  /** A back end that is away would be a fault per write: the first is told, and the next one after a write went well. */
  #write(call: () => void | Promise<void>): void {
    try {
      const written = call()
      if (written instanceof Promise) void written.then(this.#wentWell, this.#failed)
      else this.#isBroken = false
    } catch (error) {
      this.#failed(error)
    }
  }

  readonly #wentWell = (): void => {
    this.#isBroken = false
  }

  readonly #failed = (error: unknown): void => {
    if (!this.#isBroken) this.#report?.(error)
    this.#isBroken = true
  }
}

function increment(cell: Cell): void {
  cell.value = (cell.value ?? 0) + 1
}
