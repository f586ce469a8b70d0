/**
 * What a queue counts and times, written to a back end under the names of `METRIC_NAMES`: over all lanes, and per lane with
 * the lane's id after the name. Given to a queue, it fills itself; by hand, each recorder writes what its name says.
 *
 * Counters and histograms are written as things happen. Gauges in memory are read from the queue when they are asked for; to
 * another back end they are written once per turn, for the lanes in which something changed.
 */
import {
  configInvalid,
  type LaneFact,
  type LaneObserver,
  type ObservedLane,
  type ObservedQueue,
  type QueueObserver,
} from '../core/index.js'
import { type MetricName, METRIC_NAMES as NAMES } from './metric-names.js'
import { type Cell, inMemory, LocalMetrics, type MetricsBackend, type MetricsSnapshot } from './metrics-backend.js'

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

/** What every command writes: kept per lane, and added up for the name over all lanes when that is asked for. */
const HOT = [
  NAMES.COMMANDS_SUBMITTED,
  NAMES.COMMANDS_STARTED,
  NAMES.COMMANDS_COMPLETED,
  NAMES.COMMAND_WAIT_TIME,
  NAMES.COMMAND_LATENCY,
]

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

/** What a metric is called per lane. Written often, so each name is put together once. */
class LaneNames {
  readonly id: string
  readonly #names = new Map<MetricName, string>()

  constructor(id: string) {
    this.id = id
  }

  of(name: MetricName): string {
    let full = this.#names.get(name)
    if (full === undefined) {
      full = `${name}.${this.id}`
      this.#names.set(name, full)
    }
    return full
  }
}

/** The lanes with one id of all queues that share the metrics: usually one. */
type Gauged = { readonly names: LaneNames; readonly lanes: Set<ObservedLane>; isChanged: boolean }

/** What each gauge of a lane is. */
const GAUGES: readonly (readonly [MetricName, (lane: ObservedLane) => number])[] = [
  [NAMES.QUEUE_DEPTH, ({ pending }) => pending],
  [NAMES.QUEUE_ACTIVE, ({ active }) => active],
  [NAMES.QUEUE_DELAYED, ({ delayed }) => delayed],
  [NAMES.QUEUE_ZOMBIES, ({ zombies }) => zombies],
]

/** Metrics of one queue, or of several together. Give it as the option `metrics`. */
export class QueueMetrics {
  readonly #backend: MetricsBackend
  /** The back end, where it is ours and not one that was made of it. */
  readonly #local: LocalMetrics | undefined
  readonly #gauged = new Map<string, Gauged>()
  /** Those in which something changed in this turn. */
  #changed: Gauged[] = []
  /** Where faults of the back end go, once a queue is watched; and its methods whose last call failed. */
  #report: ((error: unknown) => void) | undefined
  readonly #broken = new Set<string>()

  /** `CONFIG_INVALID` for a back end that lacks a method of `MetricsBackend`. */
  constructor(backend: MetricsBackend) {
    const missing = BACKEND_METHODS.filter((name) => typeof backend?.[name] !== 'function')
    if (missing.length > 0) {
      throw configInvalid('QueueMetrics backend', `a MetricsBackend with ${missing.join(', ')}`, backend)
    }
    this.#backend = backend
    this.#local = inMemory(backend)
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
    this.#count(NAMES.COMMANDS_SUBMITTED, new LaneNames(laneId), 1)
  }

  /** `latencyMs`: how long the command ran. */
  recordComplete(laneId: string, latencyMs: number): void {
    this.#count(NAMES.COMMANDS_COMPLETED, new LaneNames(laneId), 1)
    this.#record(NAMES.COMMAND_LATENCY, new LaneNames(laneId), latencyMs)
  }

  recordFailure(laneId: string): void {
    this.#count(NAMES.COMMANDS_FAILED, new LaneNames(laneId), 1)
  }

  recordTimeout(laneId: string): void {
    this.#count(NAMES.COMMANDS_TIMEOUT, new LaneNames(laneId), 1)
  }

  recordRetry(laneId: string): void {
    this.#count(NAMES.COMMANDS_RETRIED, new LaneNames(laneId), 1)
  }

  recordDeadLetter(laneId: string): void {
    this.#count(NAMES.COMMANDS_DEAD_LETTERED, new LaneNames(laneId), 1)
  }

  recordWaitTime(laneId: string, ms: number): void {
    this.#record(NAMES.COMMAND_WAIT_TIME, new LaneNames(laneId), ms)
  }

  setQueueDepth(laneId: string, depth: number): void {
    this.#set(NAMES.QUEUE_DEPTH, new LaneNames(laneId), depth)
  }

  setActiveCommands(laneId: string, active: number): void {
    this.#set(NAMES.QUEUE_ACTIVE, new LaneNames(laneId), active)
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
    if (this.#local !== undefined) return
    this.#changed = []
    for (const gauged of this.#gauged.values()) {
      this.#writeGauges(gauged)
      this.#set(NAMES.QUEUE_OLDEST_AGE, gauged.names, oldestAge(gauged))
    }
  }

  /** Called by the queue that it is given to. */
  observe(queue: ObservedQueue): QueueObserver {
    this.#report = (error) => queue.fault(error)
    const local = this.#local
    return {
      observerOf: (lane) => {
        const gauged = this.#gauge(lane)
        return local === undefined ? this.#elsewhere(gauged) : this.#inMemory(local, gauged)
      },
      onChangeOf: (lane) => {
        if (local !== undefined) return
        const gauged = this.#gauge(lane)
        return () => this.#touch(gauged)
      },
      refused: () => this.#write('incrementCounter', () => this.#backend.incrementCounter(NAMES.COMMANDS_REJECTED, 1)),
      ...(local === undefined ? { turnEnded: () => this.#flush() } : {}),
      ended: () => this.#end(queue),
    }
  }

  /** Takes a lane's counts into its gauges. */
  #gauge(lane: ObservedLane): Gauged {
    const { id } = lane
    const known = this.#gauged.get(id)
    const gauged = known ?? { names: new LaneNames(id), lanes: new Set(), isChanged: false }
    gauged.lanes.add(lane)
    if (known !== undefined) return known
    this.#gauged.set(id, gauged)
    const local = this.#local
    if (local === undefined) this.#touch(gauged)
    else {
      for (const [name, of] of GAUGES) local.setGaugeSource(`${name}.${id}`, () => total(gauged, of))
      local.setGaugeSource(`${NAMES.QUEUE_OLDEST_AGE}.${id}`, () => oldestAge(gauged))
    }
    return gauged
  }

  /** A queue has ended: its lanes count no more. */
  #end(queue: ObservedQueue): void {
    this.refresh()
    for (const lane of queue.lanes) {
      const gauged = this.#gauged.get(lane.id)
      if (gauged?.lanes.delete(lane) !== true || gauged.lanes.size > 0) continue
      this.#gauged.delete(lane.id)
      if (this.#local === undefined) continue
      for (const [name] of GAUGES) this.#local.setGauge(`${name}.${lane.id}`, 0)
      this.#local.setGauge(`${NAMES.QUEUE_OLDEST_AGE}.${lane.id}`, 0)
    }
  }

  /** What most commands tell goes to cells that are held; the rest is looked up. */
  #inMemory(local: LocalMetrics, { names }: Gauged): LaneObserver {
    for (const name of HOT) local.addPart(name, names.of(name))
    const submitted = local.counter(names.of(NAMES.COMMANDS_SUBMITTED))
    const started = local.counter(names.of(NAMES.COMMANDS_STARTED))
    const completed = local.counter(names.of(NAMES.COMMANDS_COMPLETED))
    const wait = local.histogram(names.of(NAMES.COMMAND_WAIT_TIME))
    const latency = local.histogram(names.of(NAMES.COMMAND_LATENCY))
    return (fact, value) => {
      if (fact === 'submitted') increment(submitted)
      else if (fact === 'started') {
        increment(started)
        wait.record(value)
      } else if (fact === 'completed') {
        increment(completed)
        latency.record(value)
      } else this.#take(fact, value, names)
    }
  }

  #elsewhere(gauged: Gauged): LaneObserver {
    return (fact, value) => {
      this.#touch(gauged)
      this.#take(fact, value, gauged.names)
    }
  }

  #take(fact: LaneFact, value: number, names: LaneNames): void {
    const counted = COUNTED[fact]
    if (counted !== undefined) this.#count(counted, names, 1)
    const timed = TIMED[fact]
    if (timed !== undefined) this.#record(timed, names, value)
    if (fact === 'limited') this.#count(NAMES.RATE_LIMITED_MS, names, value)
  }

  #touch(gauged: Gauged): void {
    if (gauged.isChanged) return
    gauged.isChanged = true
    this.#changed.push(gauged)
  }

  #flush(): void {
    if (this.#changed.length === 0) return
    const changed = this.#changed
    this.#changed = []
    // The lanes of a queue that has ended may still be told of refused submits: they count no more.
    for (const gauged of changed) if (gauged.lanes.size > 0) this.#writeGauges(gauged)
  }

  #writeGauges(gauged: Gauged): void {
    gauged.isChanged = false
    for (const [name, of] of GAUGES) this.#set(name, gauged.names, total(gauged, of))
  }

  #count(name: MetricName, names: LaneNames, by: number): void {
    const ofLane = names.of(name)
    if (this.#local?.isPart(ofLane) !== true) {
      this.#write('incrementCounter', () => this.#backend.incrementCounter(name, by))
    }
    this.#write('incrementCounter', () => this.#backend.incrementCounter(ofLane, by))
  }

  #record(name: MetricName, names: LaneNames, value: number): void {
    const ofLane = names.of(name)
    if (this.#local?.isPart(ofLane) !== true) {
      this.#write('recordHistogram', () => this.#backend.recordHistogram(name, value))
    }
    this.#write('recordHistogram', () => this.#backend.recordHistogram(ofLane, value))
  }

  #set(name: MetricName, names: LaneNames, value: number): void {
    this.#write('setGauge', () => this.#backend.setGauge(names.of(name), value))
  }

  /** A back end that is away would be a fault per write: the first is told, and the next one after a write went well. */
  #write(method: string, call: () => void | Promise<void>): void {
    try {
      const written = call()
      if (written instanceof Promise) {
        void written.then(
          () => this.#broken.delete(method),
          (error: unknown) => this.#failed(method, error),
        )
      } else if (this.#broken.size > 0) this.#broken.delete(method)
    } catch (error) {
      this.#failed(method, error)
    }
  }

  #failed(method: string, error: unknown): void {
    if (this.#broken.size === 0) this.#report?.(error)
    this.#broken.add(method)
  }
}

function total({ lanes }: Gauged, of: (lane: ObservedLane) => number): number {
  let sum = 0
  for (const lane of lanes) sum += of(lane)
  return sum
}

const oldestAge = ({ lanes }: Gauged): number => Math.max(0, ...[...lanes].map((lane) => lane.oldestAgeMs()))

function increment(cell: Cell): void {
  cell.value = (cell.value ?? 0) + 1
}
