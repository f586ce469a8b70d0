/**
 * What all parts of one queue share: its lanes, its time, its events, what is known by id, and the pass that starts
 * commands. The parts around it (admission, attempts, outcomes, lifecycle) hold the rules; this holds the state.
 *
 * One pass per turn. Submits and ended attempts do not start anything by themselves: they ask for a pass, which runs one
 * microtask later. So commands submitted in one stretch of code are all seen before the first is started, attempts that
 * end together are followed up together, and the clock is read once for all of them.
 */
import { RateLimitGroup } from '../policy/index.js'
import { Alarms } from './alarms.js'
import { type Clock, instantText } from './clock.js'
import type { CoreParts } from './core-parts.js'
import type { DeadLetterQueue } from './dead-letters.js'
import type { PayloadSchema } from './definition.js'
import type { EngineLink } from './engine-link.js'
import type { Entry } from './entry.js'
import { errorText, LaneError, show } from './errors.js'
import { EventLog, type Logger } from './event-log.js'
import type { EventEmitter } from './event-stream.js'
import type { EventKey, EventPayloads } from './events.js'
import { Handlers } from './handlers.js'
import type { Journal } from './journal.js'
import type { LaneState } from './lane.js'
import { LanePolicies } from './lane-policies.js'
import type { Observers } from './observation.js'
import { type Random, randomText } from './random.js'
import type { Recovery } from './recovery.js'
import { Retention } from './retention.js'
import type { Run } from './run.js'
import { Scheduler } from './scheduler.js'
import type { Slot } from './slot.js'
import { steadyTracing, type Tracing } from './tracing.js'

const nothing = (): void => undefined

/** A body that keeps the process busy for longer than this is worth reading the clock for. */
const SLOW_MS = 1

const settledPromise = Promise.resolve()

/** Ids count in base 36; the last two digits come from a table, so most ids cost one joining of two strings. */
const LOW_DIGITS = Array.from({ length: 36 * 36 }, (_, n) => n.toString(36).padStart(2, '0'))

export class QueueCore {
  readonly clock: Clock
  readonly random: Random
  readonly events: EventEmitter
  readonly alarms: Alarms
  readonly scheduler: Scheduler
  readonly deadLetters: DeadLetterQueue | undefined
  readonly lanes = new Map<string, LaneState>()
  /** Every slot that exists, in use or waiting for its next use. */
  readonly slots: Slot[] = []
  readonly handlers = new Handlers((error) => this.fault(error))
  /** The handler asked for last: most queues ask for the same one many times in a row. */
  /** The lane submitted to last, for the same reason. */
  #recentLane: LaneState | undefined
  /** Schemas of payloads, by command type, of handlers that were registered with a definition. */
  readonly payloadSchemas = new Map<string, PayloadSchema>()
  /** Commands that stand somewhere else than in a backlog, by id; and those whose id the submitter chose. */
  readonly byId = new Map<string, Entry>()
  readonly #rateGroups = new Map<string, RateLimitGroup>()
  readonly settled: Retention
  /** Something was submitted in this turn to a lane that is measured. */
  hasSubmits = false
  /** Accepted commands without an outcome. */
  unsettled = 0
  started = false
  /** Nothing starts any more. */
  stopped = false
  isShuttingDown = false
  /** Everything has settled after the shutdown. */
  hasEnded = false
  /** What a pass does, and what is asked after it; set once by the manager. */
  onPass: () => void = nothing
  onQuiet: () => void = nothing
  /** Whoever waits until something of a lane has changed. */
  readonly onPassEnd = new Set<() => void>()
  /** Who measures; undefined until somebody does. */
  observers: Observers | undefined
  readonly tracing: Tracing | undefined
  readonly logger: Logger | undefined
  /** The way to the storage; undefined without one. Set once, before anything is submitted. */
  journal: Journal | undefined
  /** The way to the engine; undefined without one. Set once, before anything is submitted. */
  link: EngineLink | undefined
  /** What the storage holds that is not in memory; undefined without one. */
  recovery: Recovery | undefined
  readonly #log: EventLog | undefined
  readonly #onFault: ((error: unknown) => void) | undefined
  #idPrefix: string
  #idHigh = ''
  #lastSeq = -1
  #passAsked = false
  /** Undefined first: kept as a pointer, so that what is made in one turn shares one boxed number. */
  #now: number | undefined
  #timeIsFresh = false
  #timeHasPassed = false
  /** Bodies that have begun in this pass, and whether one took long before its first await. */
  #begun = 0
  #isSlow = false

  constructor(parts: CoreParts) {
    this.clock = parts.clock
    this.random = parts.random
    this.events = parts.events
    this.deadLetters = parts.deadLetters
    this.alarms = new Alarms(parts.clock)
    this.scheduler = new Scheduler(parts.maxConcurrency)
    this.settled = new Retention(parts.retained, this.byId)
    this.#onFault = parts.onFault
    this.logger = parts.log?.logger
    this.#log =
      parts.log === undefined ? undefined : new EventLog({ ...parts.log, onFault: (error) => this.#tellOwner(error) })
    const report = (error: unknown): void => void settledPromise.then(() => this.fault(error))
    this.tracing = parts.tracing === undefined ? undefined : steadyTracing(parts.tracing, report)
    this.#idPrefix = `${randomText(parts.random, 10)}-`
    this.events.onFilterFault((error) => this.#tellOwner(error))
  }

  /** Goes on with the ids and numbers of a storage. `nextSeq` is a multiple of 1,296. */
  continueIds(prefix: string, nextSeq: number): void {
    this.#idPrefix = prefix
    this.#lastSeq = nextSeq - 1
  }

  /** The number that was given last. */
  get lastSeq(): number {
    return this.#lastSeq
  }

  /** The id of the command with this number. */
  idOf(seq: number): string {
    const high = Math.floor(seq / LOW_DIGITS.length)
    const low = LOW_DIGITS[seq % LOW_DIGITS.length] as string
    return (high === 0 ? this.#idPrefix : this.#idPrefix + high.toString(36)) + low
  }

  /** The number of the next command of this queue; they only ever grow. */
  nextSeq(): number {
    const seq = ++this.#lastSeq
    if (seq % LOW_DIGITS.length === 0) {
      const high = seq / LOW_DIGITS.length
      this.#idHigh = high === 0 ? this.#idPrefix : this.#idPrefix + high.toString(36)
    }
    return seq
  }

  /** The id of the command whose number `nextSeq` gave last. */
  newId(seq: number): string {
    return this.#idHigh + (LOW_DIGITS[seq % LOW_DIGITS.length] as string)
  }

  /** The number in an id that this queue made; -1 for any other. */
  seqOf(id: string): number {
    if (!id.startsWith(this.#idPrefix)) return -1
    const seq = Number.parseInt(id.slice(this.#idPrefix.length), 36)
    return Number.isNaN(seq) ? -1 : seq
  }

  /** The time of this turn; asks for the pass that ends the turn. */
  turnTime(): number {
    if (!this.#timeIsFresh) {
      this.#now = this.clock.now()
      this.#timeIsFresh = true
      this.#timeHasPassed = false
      this.askForPass()
    } else if (this.#timeHasPassed) this.#readAgain()
    return this.#now as number
  }

  /** A monotonic instant as text. */
  instant(at: number): string {
    return instantText(this.clock.wallNow() - this.clock.now() + at)
  }

  askForPass(): void {
    if (this.#passAsked) return
    this.#passAsked = true
    void settledPromise.then(this.#pass)
  }

  readonly #pass = (): void => {
    this.#passAsked = false
    this.#begun = 0
    this.#isSlow = false
    // What a submitter did until the end of its turn is waiting, where that is measured.
    if (this.hasSubmits) {
      this.hasSubmits = false
      this.#timeHasPassed = true
    }
    if (this.isAtWork) this.onPass()
    this.#timeIsFresh = false
    this.observers?.turnEnded()
    const { journal } = this
    journal?.flush()
    this.link?.flush()
    if (this.onPassEnd.size > 0) for (const tell of this.onPassEnd) tell()
    if (!this.isQuiet) return
    journal?.rest()
    this.onQuiet()
  }

  /** Whether anything may start. */
  get isAtWork(): boolean {
    const { journal } = this
    // A storage that takes no writes any more could not tell that anything was done.
    const canTell = journal === undefined || (journal.broken === undefined && !journal.isBehind)
    return this.started && !this.stopped && canTell && this.link?.isBehind !== true
  }

  /** Nothing holds a slot, and everything has settled; of a storage that is being closed what waits stays. */
  get isQuiet(): boolean {
    if (this.scheduler.held > 0) return false
    return this.unsettled === 0 || ((this.journal !== undefined || this.link !== undefined) && this.stopped)
  }

  /** Time may have passed within this turn: who asks for it next is told the new one. */
  timePassed(): void {
    this.#timeHasPassed = true
  }

  /**
   * A body has returned a promise: its synchronous part is over. Reading the clock costs as much as all else that is
   * measured, so it is read after the first of a pass, the second, the fourth, …, and after each once one took long.
   */
  bodyBegan(): void {
    const begun = ++this.#begun
    if (this.#isSlow || (begun & (begun - 1)) === 0) this.#timeHasPassed = true
  }

  #readAgain(): void {
    const now = this.clock.now()
    this.#timeHasPassed = false
    if (now - (this.#now as number) > SLOW_MS) this.#isSlow = true
    this.#now = now
  }

  /** Whether anybody hears of events: nothing is built for one otherwise. */
  get hasListeners(): boolean {
    return this.events.hasSubscribers || this.#log !== undefined
  }

  /** Tells the subscribers and the log; to be called only while there are any. */
  emit<K extends EventKey>(key: K, payload: EventPayloads[K]): void {
    if (this.events.hasSubscribers) this.events.publish(key, payload, this.clock.wallNow())
    this.#log?.write(key, payload)
  }

  /** Longest payload, result or checkpoint that is kept elsewhere, in bytes. */
  get maxPayloadBytes(): number {
    return (this.journal ?? this.link)?.maxPayloadBytes ?? Number.POSITIVE_INFINITY
  }

  /** Whether a plain command needs nothing but a place: the queue is open, no schema wants to see payloads, nothing is carried with it. */
  get takesPlain(): boolean {
    return (
      !this.isShuttingDown && this.payloadSchemas.size === 0 && this.tracing === undefined && this.link === undefined
    )
  }

  /** Something went wrong outside any command's outcome. Told, never thrown. */
  fault(error: unknown, where: { lane_id?: string; command_id?: string } = {}): void {
    this.observers?.faulted(errorText(error))
    if (this.hasListeners) this.emit('queue.fault', { error: errorText(error), ...where })
    this.#tellOwner(error)
  }

  #tellOwner(error: unknown): void {
    try {
      this.#onFault?.(error)
    } catch {
      // the fault of a fault's listener has nowhere left to go
    }
  }

  /** Makes a command known by its id, until it is no longer kept. */
  list(entry: Entry): void {
    if (entry.more.isListed) return
    entry.more.isListed = true
    this.byId.set(entry.run.id, entry)
  }

  /** Its submit was refused: its id is free. */
  unlist(entry: Entry): void {
    if (!entry.more.isListed) return
    entry.more.isListed = false
    this.byId.delete(entry.run.id)
  }

  /** The commands that run in a lane. */
  runningIn(lane: LaneState): Entry[] {
    return this.slots.flatMap(({ entry, zombie, isYielded }) =>
      entry?.lane === lane && !zombie && !isYielded ? [entry] : [],
    )
  }

  /** The lane with this id, if there is one. */
  findLane(id: string): LaneState | undefined {
    if (id === this.#recentLane?.id) return this.#recentLane
    const lane = this.lanes.get(id)
    if (lane !== undefined) this.#recentLane = lane
    return lane
  }

  lane(id: string): LaneState {
    const lane = this.lanes.get(id)
    if (lane === undefined) throw laneNotFound(id)
    return lane
  }

  /** The entry of a run of this queue; made when the command only waits. Undefined when the submit was refused, or when it is no longer kept. */
  entryOf(run: Run): Entry | undefined {
    if (run.inner === undefined) return this.settled.entryOf(run)
    if (typeof run.inner === 'object') return run.inner
    if (this.journal !== undefined) return this.recovery?.fetch(this.seqOfRun(run))
    return this.lanes.get(run.laneId)?.backlog.find(this.seqOf(run.id), (candidate) => candidate === run)
  }

  /** The number of a command that waits in the storage only. */
  seqOfRun(run: Run): number {
    const seq = this.seqOf(run.id)
    if (seq >= 0 || this.journal === undefined) return seq
    return this.journal.storage.find(run.id)?.seq ?? -1
  }

  /** The number of a command in this queue: read from its id, where that was made here. */
  seqOfEntry({ run, details }: Entry): number {
    return details === undefined || details.seq < 0 ? this.seqOf(run.id) : details.seq
  }

  /** The policies of a lane at work; made when they are first needed, for the lane's limits or those that it had. */
  policiesOf(lane: LaneState, limits = lane.limits): LanePolicies {
    lane.policies ??= new LanePolicies(this, lane, limits)
    return lane.policies
  }

  /** The rate limit group of this name among this queue's. */
  rateGroup(name: string): RateLimitGroup {
    let group = this.#rateGroups.get(name)
    if (group === undefined) {
      group = new RateLimitGroup(name)
      this.#rateGroups.set(name, group)
    }
    return group
  }

  /** A command has come to its lane's backlog, and that was told: a listener may have ended it there and then. */
  joins(entry: Entry): void {
    const { lane, run, details } = entry
    const concerns = lane.policies !== undefined || details?.traits?.deadlineMs !== undefined
    if (concerns && run.state === 'pending') this.policiesOf(lane).waits(entry)
    this.backlogGrew(lane)
  }

  /** The backlog of a lane has grown: may it start something, is it under pressure? */
  backlogGrew(lane: LaneState): void {
    if (lane.rank < 0) this.scheduler.update(lane)
    if (lane.shut) lane.policies?.askAgain()
    if (lane.onChange !== undefined) lane.onChange()
    if (!lane.underPressure && lane.backlog.size >= lane.limits.pressureThreshold) {
      lane.underPressure = true
      if (this.hasListeners) this.emit('queue.lane.pressure', { lane_id: lane.id })
    }
  }

  /** The backlog of a lane has shrunk. */
  backlogShrank(lane: LaneState): void {
    this.scheduler.update(lane)
    if (lane.shut) lane.policies?.askAgain()
    if (lane.onChange !== undefined) lane.onChange()
    if (lane.underPressure && lane.backlog.size === 0) {
      lane.underPressure = false
      if (this.hasListeners) this.emit('queue.lane.idle', { lane_id: lane.id })
    }
  }
}

export const laneNotFound = (id: unknown): LaneError =>
  new LaneError('LANE_NOT_FOUND', `Lane not found: ${typeof id === 'string' ? id : show(id)}`, {
    fields: { laneId: id },
  })
