/**
 * What goes to the storage, and when. Changes gather while a write is under way, and go together in the next one: the busier
 * the queue, the larger the batches, and a quiet queue waits for nobody.
 *
 * A batch holds what its commands are at the moment of writing, not what happened to them: a command that has changed three
 * times since is written once. So a batch that failed needs no replay; what was in it is written anew, as it is then. Only
 * new commands are given back to their submitters instead: their submits are refused.
 *
 * Nobody is told of anything before it is written: a submit is accepted, an outcome is told, a checkpoint resolves with the
 * answer of its batch.
 *
 * Starts are not worth a write of their own. They are marked (`Storage.begin`) before the bodies run, which a crash of the
 * process leaves in place, and written a little later if the attempt still runs then.
 */
import type { Alarm } from './alarms.js'
import { Batch } from './batch.js'
import type { QueueCore } from './core.js'
import type { Entry } from './entry.js'
import type { LaneError } from './errors.js'
import { quietRejection, type Run } from './run.js'
import { StartMarks } from './start-marks.js'
import type { Storage, StorageChange, StorageHead } from './storage.js'
import { storageError } from './storage-errors.js'
import { type Stored, storedOf, storedOutcome, storedProgress, storedSubmit, type Times } from './stored.js'
import { type CommandState, isFinal } from './transitions.js'

/** How long a running attempt goes unwritten: its start is marked, so nothing depends on it. */
const START_WRITTEN_AFTER_MS = 50

/** Waiting commands of a lane in memory, where the storage does not say. */
const WINDOW = 4096

/** Changes of a batch: with more, storage and queue wait for each other; with fewer, commits are the work. */
const BATCH = 256

/** With so many changes that wait to be written nothing more starts. */
const MOST_WAITING = 4 * BATCH

/** The first and the longest pause before what could not be written is tried again. */
const RETRY_MS = 100
const LONGEST_RETRY_MS = 1000

/** Whoever takes in what was written, or hears that it was not. */
export interface JournalHost {
  /** The submit of this command is written: it is accepted. */
  accepted(entry: Entry): void
  /** The submit of this command could not be written. */
  refused(entry: Entry, error: LaneError): void
}

export class Journal {
  readonly #core: QueueCore
  readonly #storage: Storage
  readonly #writesAtOnce: number
  readonly idPrefix: string
  readonly nextSeq: number
  readonly maxPayloadBytes: number
  /** Waiting commands of a lane that are kept in memory; between that and twice as many. */
  readonly window: number
  /** Stored commands in memory that are unsettled, or whose outcome is not written yet, by number. */
  readonly bySeq = new Map<number, Entry>()
  /** Runs whose command waits in the storage only. */
  readonly coldRuns = new Map<number, Run>()
  host: JournalHost | undefined
  #batch = new Batch()
  /** Batches that are full and wait for their turn. */
  readonly #ready: Batch[] = []
  #underWay = 0
  /** Changes of commands that no write has taken yet. */
  #waiting = 0
  /** When the running commands are looked through for what is not written. */
  #lookAlarm: Alarm | undefined
  #retryAlarm: Alarm | undefined
  #retryMs = RETRY_MS
  readonly #marks: StartMarks
  /** A write was answered at once in this turn of the event loop. */
  #hasWrittenInTurn = false
  /** Why the storage takes no writes any more. */
  broken: LaneError | undefined
  #isClosed = false
  readonly #waiters: (() => void)[] = []
  /** Refused submits that may be in the storage all the same, until they are withdrawn. */
  readonly #withdrawn = new Set<number>()

  constructor(core: QueueCore, storage: Storage, head: StorageHead) {
    this.#core = core
    this.#storage = storage
    this.#marks = new StartMarks(core, storage)
    this.#writesAtOnce = storage.writesAtOnce ?? 1
    this.maxPayloadBytes = storage.maxPayloadBytes ?? Number.POSITIVE_INFINITY
    this.window = Math.max(1, storage.window ?? WINDOW)
    this.idPrefix = head.idPrefix
    this.nextSeq = head.nextSeq
  }

  get storage(): Storage {
    return this.#storage
  }

  /**
   * Whether so much waits to be written that nothing more is to start: otherwise a long backlog of short bodies would run
   * in one turn of the event loop, and a crash would find all of it unwritten.
   */
  get isBehind(): boolean {
    return this.#waiting >= MOST_WAITING
  }

  /** Whether a row that the storage gives is of a submit that was refused. */
  isWithdrawn(seq: number): boolean {
    return this.#withdrawn.size > 0 && this.#withdrawn.has(seq)
  }

  /** Whether anything is not written yet. */
  get isBusy(): boolean {
    return this.#underWay > 0 || this.#hasMore
  }

  /** A new command: accepted, or refused, when it is written. Gives the promise of that. */
  arrive(entry: Entry, stored: Stored): Promise<void> {
    if (this.broken !== undefined) throw this.broken
    this.bySeq.set(stored.seq, entry)
    const batch = this.#room()
    batch.arrivals.push(entry)
    this.#core.askForPass()
    return batch.written
  }

  /** A command has changed. */
  touch(entry: Entry, stored: Stored): void {
    if (stored.isDirty) return
    stored.isDirty = true
    this.#waiting++
    this.#room().changed.push(entry)
    this.#core.askForPass()
  }

  /** A running command has news, and it is enough when they are written soon. */
  touchLater(stored: Stored): void {
    stored.hasNews = true
    this.#lookSoon()
  }

  /** A waiting command is to be cold. */
  cool(seq: number): void {
    this.#batch.early.push({ kind: 'cool', seq })
    this.#core.askForPass()
  }

  /** Something that belongs to no command in memory. */
  add(change: StorageChange): void {
    this.#batch.others.push(change)
    this.#core.askForPass()
  }

  /** Resolves when all that has changed until now is written; rejects when it could not be. */
  written(): Promise<void> {
    if (this.broken !== undefined) return quietRejection(this.broken)
    if (!this.#batch.isEmpty) return this.#batch.written
    return this.#ready.at(-1)?.written ?? this.answered()
  }

  /** An attempt begins; to be marked with `mark` before its body runs. */
  begins(entry: Entry, stored: Stored): void {
    this.#marks.add(entry, stored)
    this.#lookSoon()
  }

  /** Marks the attempts that begin. */
  mark(): void {
    this.#marks.write()
  }

  /** Writes what has gathered, as far as writes may be under way. Asked at the end of each pass. */
  flush(): void {
    while (this.#hasMore && this.#underWay < this.#writesAtOnce && this.broken === undefined) {
      if (this.#hasWrittenInTurn) return
      // What has failed waits for its time; a new command may try its luck at once.
      if (this.#retryAlarm !== undefined && this.#ready.length === 0 && this.#batch.arrivals.length === 0) return
      this.#write(this.#next())
    }
  }

  /** The batch that takes what comes next. */
  #room(): Batch {
    if (this.#batch.size >= BATCH) {
      this.#ready.push(this.#batch)
      this.#batch = new Batch()
    }
    return this.#batch
  }

  get #hasMore(): boolean {
    return this.#ready.length > 0 || !this.#batch.isEmpty
  }

  #next(): Batch {
    const ready = this.#ready.shift()
    if (ready !== undefined) return ready
    const batch = this.#batch
    this.#batch = new Batch()
    return batch
  }

  #write(batch: Batch): void {
    let answer: unknown
    this.#underWay++
    try {
      answer = this.#storage.write(this.#changesOf(batch))
    } catch (error) {
      return this.#failed(batch, error)
    }
    if (!(answer instanceof Promise)) {
      this.#endTurn()
      return this.#written(batch)
    }
    answer.then(
      () => this.#written(batch),
      (error: unknown) => this.#failed(batch, error),
    )
  }

  /**
   * A storage that answers at once has one write in each turn of the event loop. What follows from it gathers for the next
   * turn; otherwise a busy queue would go from write to write, and timers, signals and I/O would wait for all of them.
   */
  #endTurn(): void {
    const { clock } = this.#core
    if (clock.nextTurn === undefined) return
    this.#hasWrittenInTurn = true
    clock.nextTurn(() => {
      this.#hasWrittenInTurn = false
      this.flush()
    })
  }

  /** Nothing more is written. */
  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#core.alarms.clear(this.#lookAlarm)
    this.#core.alarms.clear(this.#retryAlarm)
    try {
      await this.#storage.close()
    } catch (error) {
      this.#core.fault(storageError('Could not close the storage', error))
    }
  }

  /** Nothing is left to do: no alarm is needed for what has ended. */
  rest(): void {
    this.#core.alarms.clear(this.#lookAlarm)
    this.#lookAlarm = undefined
  }

  /** Has what runs looked through in a while: what of it is not written yet. */
  #lookSoon(): void {
    const { alarms, clock } = this.#core
    this.#lookAlarm ??= alarms.set(clock.now() + START_WRITTEN_AFTER_MS, () => {
      this.#lookAlarm = undefined
      for (const { entry } of this.#core.slots) {
        const stored = entry?.details?.stored
        if (entry === undefined || stored === undefined || isFinal(entry.run.state)) continue
        if (stored.hasNews || stored.writtenAttempt < entry.attempt) this.touch(entry, stored)
      }
    })
  }

  /** The next answer of the storage; at once when none is awaited. */
  answered(): Promise<void> {
    if (!this.isBusy) return Promise.resolve()
    return new Promise((resolve) => this.#waiters.push(resolve))
  }

  #changesOf(batch: Batch): StorageChange[] {
    const { clock, byId } = this.#core
    const times: Times = { wall: clock.wallNow(), now: clock.now() }
    const changes: StorageChange[] = [...batch.early]
    for (const entry of batch.arrivals) {
      const { run } = entry
      const stored = storedOf(entry)
      const command = storedSubmit(entry, stored, times, byId.get(run.id) === entry)
      changes.push({ kind: 'submit', command, isCold: stored.isCold })
      if (stored.redrives !== undefined) changes.push({ kind: 'unbury', seq: stored.redrives })
    }
    for (const entry of batch.changed) this.#addChange(changes, batch, entry, times)
    for (const change of batch.others) changes.push(change)
    return changes
  }

  #addChange(changes: StorageChange[], batch: Batch, entry: Entry, times: Times): void {
    const stored = storedOf(entry)
    const { seq } = stored
    stored.isDirty = false
    this.#waiting--
    stored.hasNews = false
    stored.underWay++
    batch.attempts.push(entry.attempt)
    batch.states.push(entry.run.state)
    if (!isFinal(entry.run.state)) {
      stored.isCold = false
      changes.push({ kind: 'update', seq, ...storedProgress(entry, stored, times) })
      return
    }
    batch.settled.push(entry)
    changes.push({ kind: 'settle', seq, ...storedOutcome(entry, stored, times) })
    if (stored.letter !== undefined) {
      changes.push({ kind: 'bury', letter: { seq, failedAt: Math.round(times.wall), letter: stored.letter } })
    }
  }

  #written(batch: Batch): void {
    this.#underWay--
    this.#retryMs = RETRY_MS
    this.#core.alarms.clear(this.#retryAlarm)
    this.#retryAlarm = undefined
    for (const change of batch.early) if (change.kind === 'withdraw') this.#withdrawn.delete(change.seq)
    for (const [at, entry] of batch.changed.entries()) {
      this.#changeWritten(storedOf(entry), batch.attempts[at] as number, batch.states[at] as CommandState)
    }
    for (const entry of batch.settled) this.#tell(entry)
    for (const change of batch.others) if (change.kind === 'bury') this.#core.deadLetters?.storedAnew(change.letter.seq)
    for (const entry of batch.arrivals) {
      const stored = storedOf(entry)
      stored.payload = undefined
      this.host?.accepted(entry)
    }
    batch.answer()
    this.#tellWaiters()
  }

  #changeWritten(stored: Stored, attempt: number, state: CommandState): void {
    stored.underWay--
    stored.writtenAttempt = attempt
    stored.writtenState = state
    this.#marks.written(stored, attempt)
  }

  #tell(entry: Entry): void {
    const stored = storedOf(entry)
    const { tell } = stored
    this.bySeq.delete(stored.seq)
    stored.tell = undefined
    tell?.()
  }

  #failed(batch: Batch, cause: unknown): void {
    const core = this.#core
    this.#underWay--
    const error = storageError('Could not write to the storage', cause)
    if (!error.retryable) this.broken = error
    for (const entry of batch.changed) {
      const stored = storedOf(entry)
      stored.underWay--
      if (stored.isDirty) continue
      stored.isDirty = true
      this.#waiting++
      this.#batch.changed.push(entry)
    }
    for (const change of batch.others) this.#batch.others.push(change)
    for (const change of batch.early) this.#batch.early.push(change)
    for (const one of this.broken === undefined ? [batch] : [batch, ...this.#ready, this.#batch]) {
      for (const entry of one.arrivals.splice(0)) this.#refuse(entry, error)
      one.answer(error)
    }
    core.fault(error)
    this.#tellWaiters()
    if (this.broken === undefined && this.#hasMore) this.#retryLater()
  }

  #refuse(entry: Entry, error: LaneError): void {
    const { seq, redrives } = storedOf(entry)
    this.bySeq.delete(seq)
    // The write may have been done all the same, and only its answer lost.
    if (this.broken === undefined) {
      this.#batch.early.push({ kind: 'withdraw', seq })
      this.#withdrawn.add(seq)
      const letter = redrives === undefined ? undefined : this.#core.deadLetters?.storedLetter(redrives)
      if (letter !== undefined) this.#batch.others.push({ kind: 'bury', letter })
    }
    this.host?.refused(entry, error)
  }

  /** What could not be written is tried again with the next submit, or after a while. */
  #retryLater(): void {
    const { alarms, clock } = this.#core
    alarms.clear(this.#retryAlarm)
    this.#retryAlarm = alarms.set(clock.now() + this.#retryMs, () => {
      this.#retryAlarm = undefined
      this.#core.askForPass()
    })
    this.#retryMs = Math.min(2 * this.#retryMs, LONGEST_RETRY_MS)
  }

  #tellWaiters(): void {
    for (const tell of this.#waiters.splice(0)) tell()
    this.#core.askForPass()
  }
}
