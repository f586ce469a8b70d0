/** The options of a queue: what they are, their checks, and the core that they make. */
import type { AlertManager, QueueMetrics } from '../observe/index.js'
import { type Clock, systemClock } from './clock.js'
import { QueueCore } from './core.js'
import { DeadLetterQueue } from './dead-letters.js'
import type { Engine } from './engine.js'
import { shareLimits } from './engine-link.js'
import { configInvalid } from './errors.js'
import { checkedLog, type Logger } from './event-log.js'
import { EVENT_CAPACITY, EventEmitter } from './event-stream.js'
import { Journal } from './journal.js'
import { LaneState } from './lane.js'
import { lanePriority } from './lane-limits.js'
import type { LaneDefinition } from './lane-options.js'
import { LanePolicies } from './lane-policies.js'
import { checkObservation } from './observation.js'
import { checkInteger, checkLimit, checkMs, checkObject, checkText, refuseUnknown } from './options.js'
import { type Random, randomText, systemRandom } from './random.js'
import { payloadOfCommand } from './records.js'
import { steadyClock, steadyRandom } from './steady.js'
import type { Storage } from './storage.js'
import { checkedTracing, type Tracing } from './tracing.js'

/** Options of a queue. */
export type QueueOptions<L extends string = string> = {
  /** The lanes by id; at least one. `defaultLanes()` gives the six built-in ones. */
  readonly lanes: Readonly<Record<L, LaneDefinition>>
  /** Slots over all lanes together. Default Infinity, at least 1. */
  readonly maxConcurrency?: number | undefined
  /** Dead letters to keep: true for 1,000, a number, or a `DeadLetterQueue` of yours. Default 0: none are kept. */
  readonly deadLetters?: boolean | number | DeadLetterQueue | undefined
  /** How far a reader of events may lag behind (default 256), or an emitter of yours. */
  readonly events?: { readonly capacity?: number | undefined } | EventEmitter | undefined
  /**
   * Settled commands that `get` and `list` still find, and whose id still gives the same run: the newest `count`, default 100,
   * 0 for none. With a storage the default is 10,000, those that settled more than `ageMs` ago go (default 7 days), and
   * a restart loses none of them.
   */
  readonly retention?: { readonly count?: number | undefined; readonly ageMs?: number | undefined } | undefined
  /**
   * Where commands are kept, so that none that was accepted is lost: `await LocalStorage.open({ path })` of
   * `@a3s-lab/lane/storage`, or one of yours. The queue closes it. Default: memory only.
   */
  readonly storage?: Storage | undefined
  /**
   * Shares the lanes with other processes: `new BullMQEngine({ connection, namespace })` of `@a3s-lab/lane/bullmq`, or one of
   * yours. The queue closes it. Not together with `storage`. Default: this process only.
   */
  readonly engine?: Engine | undefined
  /** Called with faults outside any command's outcome, as `queue.fault` tells them. Default: nothing. */
  readonly onFault?: ((error: unknown) => void) | undefined
  /** What the queue counts and times, by itself: `QueueMetrics.local()`, or with a back end of yours. Default none. */
  readonly metrics?: QueueMetrics | undefined
  /** Told when a lane's depth, latency or failures go beyond a threshold, and when they are back. Default none. */
  readonly alerts?: AlertManager | undefined
  /** Spans for submits and attempts: `new OtelTracing()` of `@a3s-lab/lane/otel`. Default none. */
  readonly tracing?: Tracing | undefined
  /** Where every event is logged, in pino's shape. Default nowhere. */
  readonly logger?: Logger | undefined
  /** Whether the log holds payloads and progress values. Default false. */
  readonly logPayloads?: boolean | undefined
  readonly clock?: Clock | undefined
  readonly random?: Random | undefined
}

const QUEUE_OPTIONS = [
  'lanes',
  'maxConcurrency',
  'deadLetters',
  'events',
  'retention',
  'storage',
  'engine',
  'onFault',
  'metrics',
  'alerts',
  'tracing',
  'logger',
  'logPayloads',
  'clock',
  'random',
] as const

/** The core of a queue with these options, before its parts. `CONFIG_INVALID` names the one that is wrong. */
export function newCore(options: QueueOptions): QueueCore {
  checkObject('QueueManager options', options)
  refuseUnknown('QueueManager', options, QUEUE_OPTIONS)
  const { maxConcurrency = Number.POSITIVE_INFINITY, onFault, events = {}, storage, engine } = options
  checkLimit('maxConcurrency', maxConcurrency, 1)
  if (onFault !== undefined && typeof onFault !== 'function') throw configInvalid('onFault', 'a function', onFault)
  checkObject('events', events)
  if (!(events instanceof EventEmitter)) refuseUnknown('events', events, ['capacity'])
  checkParts(options)
  const retention = checkedRetention(options)
  const log = checkedLog(options.logger, options.logPayloads)
  const report = (error: unknown): void => core.fault(error)
  const core: QueueCore = new QueueCore({
    clock: options.clock === undefined ? systemClock : steadyClock(options.clock, report),
    random: options.random === undefined ? systemRandom : steadyRandom(options.random, report),
    events: events instanceof EventEmitter ? events : new EventEmitter(events.capacity ?? EVENT_CAPACITY),
    maxConcurrency,
    deadLetters: deadLetterQueue(options.deadLetters),
    // What a storage keeps is read there.
    retained: storage === undefined ? retention.count : Math.min(retention.count, IN_MEMORY),
    onFault,
    log: log === undefined ? undefined : { ...log, payloadOf: (id) => payloadOfCommand(core, id) },
    tracing: checkedTracing(options.tracing),
  })
  checkObject('lanes', options.lanes)
  const lanes = Object.entries(options.lanes).map(([id, lane]) => newLane(id, lane))
  if (lanes.length === 0) throw configInvalid('lanes', 'an object with at least one lane', options.lanes)
  for (const lane of lanes) {
    if (engine !== undefined) lane.limits = shareLimits(lane, lane.limits, engine.capabilities)
    core.lanes.set(lane.id, lane)
  }
  core.scheduler.add(lanes)
  makePolicies(core, lanes)
  // Last: who is refused for another reason has not begun to use it.
  if (storage !== undefined) attach(core, storage, retention)
  return core
}

/** Settled commands that are kept in memory, and in a storage; and for how long there. */
const IN_MEMORY = 100
const STORED = 10_000
const WEEK_MS = 7 * 24 * 60 * 60 * 1000

/** What the queue is to work with: each has the form that it needs. */
function checkParts({ metrics, alerts, storage, engine }: QueueOptions): void {
  if (metrics !== undefined) checkObservation('metrics', metrics)
  if (alerts !== undefined) checkObservation('alerts', alerts)
  if (storage !== undefined) checkStorage(storage)
  if (engine !== undefined) checkEngine(engine, storage)
}

function checkedRetention({ retention = {}, storage, engine }: QueueOptions): { count: number; ageMs: number } {
  checkObject('retention', retention)
  refuseUnknown('retention', retention, ['count', 'ageMs'])
  const { count = storage === undefined ? IN_MEMORY : STORED, ageMs = WEEK_MS } = retention
  checkInteger('retention.count', count, 0)
  if (retention.ageMs !== undefined) checkAge(retention.ageMs, storage)
  if (engine !== undefined && retention.count !== undefined) {
    throw configInvalid('retention.count', 'left out with an engine, which has a retention of its own', count)
  }
  return { count, ageMs }
}

function attach(
  core: QueueCore,
  storage: Storage,
  retention: { readonly count: number; readonly ageMs: number },
): void {
  const head = storage.attach({
    idPrefix: `${randomText(core.random, 10)}-`,
    retention,
    now: () => core.clock.wallNow(),
    onFault: (error) => core.fault(error),
  })
  core.journal = new Journal(core, storage)
  core.continueIds(head.idPrefix, head.nextSeq)
}

function checkStorage(storage: unknown): void {
  const { attach: begin, write } = new Object(storage) as Partial<Storage>
  if (typeof begin !== 'function' || typeof write !== 'function') throw configInvalid('storage', 'a Storage', storage)
}

function checkEngine(engine: unknown, storage: Storage | undefined): void {
  const { open, claim } = new Object(engine) as Partial<Engine>
  if (typeof open !== 'function' || typeof claim !== 'function') throw configInvalid('engine', 'an Engine', engine)
  if (storage !== undefined) throw configInvalid('engine', 'left out when a storage is given', engine)
}

function checkAge(ageMs: number, storage: Storage | undefined): void {
  checkMs('retention.ageMs', ageMs, 'above 0')
  if (storage === undefined) throw configInvalid('retention.ageMs', 'left out without a storage', ageMs)
}

/** Policies of the lanes that need some. A limit that does not fit its group leaves no lane in any group. */
function makePolicies(core: QueueCore, lanes: readonly LaneState[]): void {
  try {
    for (const lane of lanes) if (LanePolicies.areNeeded(lane.limits)) core.policiesOf(lane)
  } catch (error) {
    for (const { policies } of lanes) policies?.dispose()
    throw error
  }
}

function newLane(id: string, definition: LaneDefinition): LaneState {
  checkText('lane id', id)
  checkObject(`lane '${id}'`, definition)
  return new LaneState(id, definition, lanePriority(`lane '${id}'.priority`, definition.priority))
}

function deadLetterQueue(option: QueueOptions['deadLetters']): DeadLetterQueue | undefined {
  if (option === undefined || option === false || option === 0) return undefined
  if (option instanceof DeadLetterQueue) return option
  if (option === true) return new DeadLetterQueue(1000)
  checkInteger('deadLetters', option, 0)
  return new DeadLetterQueue(option)
}
