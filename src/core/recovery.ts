/**
 * What a storage holds, as commands again: all that is hot when the queue is made, the rest when its turn comes near or
 * when somebody asks for it.
 *
 * A command that was active when its process ended runs again, as the next attempt, with its checkpoint. What was delayed
 * keeps its time on the wall clock. Nothing is told and nothing fails before the queue starts, so whoever wants to hear of
 * it has time to subscribe.
 */
import { ColdLane } from './cold-lane.js'
import type { QueueCore } from './core.js'
import type { DeadLetter } from './dead-letters.js'
import type { Deduplication } from './deduplication.js'
import { Entry } from './entry.js'
import { LaneError } from './errors.js'
import type { Journal } from './journal.js'
import type { LaneState } from './lane.js'
import { policyOf } from './lane-limits.js'
import type { Outcomes } from './outcomes.js'
import { errorOf, restoreDetails, restoreOptions } from './restored.js'
import { createRun, type Run, type RunMethods, rejectRun, type Settle } from './run.js'
import type { StoredCommand } from './storage.js'
import { storageError } from './storage-errors.js'
import { type KeptLetter, type KeptOptions, keptError, keptOptions, parsed, Stored, storedOf } from './stored.js'
import { isFinal, transition } from './transitions.js'

export class Recovery {
  readonly #core: QueueCore
  readonly #journal: Journal
  readonly #outcomes: Outcomes
  readonly #deduplication: Deduplication
  readonly #shared: RunMethods
  /** Commands that were active when their process ended; until the start. */
  #recovered: Entry[] = []
  /** How many stored commands are of lanes that the queue does not have. */
  readonly #strangers = new Map<string, number>()

  constructor(core: QueueCore, journal: Journal, outcomes: Outcomes, deduplication: Deduplication, shared: RunMethods) {
    this.#core = core
    this.#journal = journal
    this.#outcomes = outcomes
    this.#deduplication = deduplication
    this.#shared = shared
  }

  /** Takes everything over that is to be in memory. */
  load(): void {
    const core = this.#core
    const { storage } = this.#journal
    for (const lane of core.lanes.values())
      lane.cold = new ColdLane(core, this.#journal, lane, (row) => this.#adopt(row, lane))
    // First, so that what is loaded knows that others may stand before it.
    for (const { laneId, key, count } of storage.coldCounts()) {
      const lane = core.lanes.get(laneId)
      if (lane === undefined) this.#strange(laneId, count)
      else {
        lane.cold?.found(key, count)
        core.unsettled += count
      }
    }
    for (const row of storage.load()) {
      if (isFinal(row.state)) this.#holdDedupe(row)
      else this.#takeOver(row)
    }
    for (const lane of core.lanes.values()) lane.cold?.warmUp()
    this.#loadLetters()
  }

  /** Whether a crash has interrupted commands that are not started again. */
  get hasInterrupted(): boolean {
    return this.#recovered.length > 0
  }

  /** Writes how often each of them was interrupted. */
  async countInterrupted(): Promise<void> {
    await Promise.all(this.#recovered.map((entry) => this.#journal.save(entry, storedOf(entry))))
  }

  /** The queue starts: those that a crash interrupted go on, or have crashed too often. */
  start(): void {
    const core = this.#core
    const recovered = this.#recovered
    this.#recovered = []
    for (const entry of recovered) {
      const { run, policy } = entry
      const { recoveries } = storedOf(entry)
      if (isFinal(run.state)) continue
      if (recoveries > policy.maxRecoveries) this.#giveUp(entry, recoveries)
      else if (core.hasListeners) {
        core.emit('queue.command.recovered', { lane_id: run.laneId, command_id: run.id })
      }
    }
    for (const [laneId, count] of this.#strangers) {
      const text = `${count} stored commands are of lane '${laneId}', which this queue does not have; they stay stored`
      core.fault(new LaneError('LANE_NOT_FOUND', text, { fields: { laneId, count } }), { lane_id: laneId })
    }
    for (const lane of core.lanes.values()) if (lane.backlog.size > 0) core.backlogGrew(lane)
  }

  #giveUp(entry: Entry, recoveries: number): void {
    const { lane, run } = entry
    lane.backlog.extractReturned(entry)
    if (lane.delayed.delete(entry)) transition(run, 'pending')
    const text = `The process ended ${recoveries} times while the command ran: it is not run again`
    const error = new LaneError('COMMAND_FAILED', text, { fields: { recoveries } })
    this.#outcomes.cannotRun(entry, error)
    this.#core.backlogShrank(lane)
  }

  /** A command that is not in memory, for who asks for it by its id; undefined when it is not stored. */
  recall(id: string): StoredCommand | undefined {
    const seq = this.#core.seqOf(id)
    const row = this.#find(seq < 0 ? id : seq)
    return row === undefined || this.#journal.isWithdrawn(row.seq) ? undefined : row
  }

  #find(which: string | number): StoredCommand | undefined {
    try {
      return this.#journal.storage.find(which)
    } catch (error) {
      throw storageError('Could not read from the storage', error)
    }
  }

  /** Brings a command into memory that waits in the storage only. */
  fetch(seq: number): Entry | undefined {
    const known = this.#journal.bySeq.get(seq)
    if (known !== undefined || seq < 0) return known
    const row = this.#find(seq)
    if (row === undefined || isFinal(row.state) || this.#journal.isWithdrawn(seq)) return undefined
    return this.#core.lanes.get(row.laneId)?.cold?.fetch(row)
  }

  #takeOver(row: StoredCommand): void {
    const core = this.#core
    const lane = core.lanes.get(row.laneId)
    if (lane === undefined) return this.#strange(row.laneId, 1)
    const entry = this.#adopt(row, lane)
    if (entry === undefined) return
    core.unsettled++
    const stored = storedOf(entry)
    if (row.state === 'active') {
      stored.recoveries++
      this.#recovered.push(entry)
    } else if (stored.recoveries > entry.policy.maxRecoveries) this.#recovered.push(entry)
    if (row.state === 'delayed') this.#takeOverDelayed(entry, row)
    else this.#takeOverWaiting(entry, keptOptions(row))
  }

  #takeOverWaiting(entry: Entry, options: KeptOptions): void {
    const core = this.#core
    const { lane, details } = entry
    const claim = options.dedupe === undefined ? undefined : this.#deduplication.restore(options.dedupe, entry.run)
    if (claim === 'follows') {
      entry.run.state = 'delayed'
      return this.#outcomes.delay(entry, undefined, true)
    }
    if (details?.traits?.isPreempted === true) lane.backlog.putFirst(entry, core.seqOfEntry(entry), false)
    else lane.backlog.putBack(entry)
    if (lane.policies !== undefined || details?.traits?.deadlineMs !== undefined) core.policiesOf(lane).waits(entry)
    core.scheduler.update(lane)
  }

  #takeOverDelayed(entry: Entry, row: StoredCommand): void {
    const core = this.#core
    const { dedupe } = keptOptions(row)
    entry.run.state = 'delayed'
    const claim = dedupe === undefined ? undefined : this.#deduplication.restore(dedupe, entry.run)
    if (claim === 'follows') return this.#outcomes.delay(entry, this.#instant(row.dueAt), true)
    const left = row.dueAt === undefined ? 0 : row.dueAt - core.clock.wallNow()
    this.#outcomes.delay(entry, core.clock.now() + Math.max(0, left))
  }

  #instant(dueAt: number | undefined): number | undefined {
    if (dueAt === undefined) return undefined
    const { clock } = this.#core
    return clock.now() + Math.max(0, dueAt - clock.wallNow())
  }

  /** A row as a command in memory; undefined when it is there. It stands nowhere yet. */
  #adopt(row: StoredCommand, lane: LaneState): Entry | undefined {
    const core = this.#core
    const { bySeq, coldRuns } = this.#journal
    if (bySeq.has(row.seq) || this.#journal.isWithdrawn(row.seq)) return undefined
    const options = keptOptions(row)
    const id = row.id ?? core.idOf(row.seq)
    const run = coldRuns.get(row.seq) ?? createRun(id, lane.id, row.commandType, 'pending', this.#shared)
    coldRuns.delete(row.seq)
    const { clock } = core
    const arrivedAt = clock.now() - Math.max(0, clock.wallNow() - row.createdAt)
    const entry = new Entry(run, lane, parsed(row.payload), row.seq, row.priority, policyOf(lane, options), arrivedAt)
    const stored = new Stored(row.seq, undefined, undefined, this.#journal)
    stored.isArriving = false
    stored.windowMs = options.dedupe?.until === undefined ? undefined : options.dedupe.until - row.createdAt
    stored.writtenAttempt = row.attempt
    stored.writtenState = row.state
    entry.more.stored = stored
    entry.more.seq = row.seq
    restoreOptions(entry, row, options)
    this.#adoptParent(entry, options)
    restoreDetails(entry, row)
    bySeq.set(row.seq, entry)
    if (row.id !== undefined) core.list(entry)
    return entry
  }

  #adoptParent(entry: Entry, options: KeptOptions): void {
    const parent = options.parent === undefined ? undefined : this.#journal.bySeq.get(options.parent)
    if (parent === undefined) return
    entry.more.parent = parent
    parent.more.children ??= new Set()
    parent.more.children.add(entry)
  }

  /** A settled command that still keeps others of its dedupe id out. */
  #holdDedupe(row: StoredCommand): void {
    const { dedupe } = keptOptions(row)
    if (dedupe !== undefined) this.#deduplication.restore(dedupe, this.settledRun(row))
  }

  /** The run of a command that has settled, as it was told when it did. */
  settledRun(row: StoredCommand): Run {
    const id = row.id ?? this.#core.idOf(row.seq)
    const run = createRun(id, row.laneId, row.commandType, row.state, this.#shared)
    const settle = run.inner as Settle
    run.inner = undefined
    const record = keptError(row)
    if (row.state === 'completed') settle(parsed(row.result))
    else rejectRun(run, settle, errorOf(row.state, record))
    return run
  }

  #loadLetters(): void {
    const ring = this.#core.deadLetters
    if (ring === undefined) return
    for (const { seq, letter } of this.#journal.storage.letters()) {
      const kept = parsed<KeptLetter>(letter) as KeptLetter
      const restored = kept.letter as DeadLetter
      const { commandType: type, payload } = restored
      ring.keep(restored, { command: { type, payload }, options: kept.own, stored: { store: this.#journal, seq } })
    }
  }

  #strange(laneId: string, count: number): void {
    this.#strangers.set(laneId, (this.#strangers.get(laneId) ?? 0) + count)
  }
}
