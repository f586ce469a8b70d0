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
import type { JournalHost } from './journal-host.js'
import { LetterWrites } from './letter-writes.js'
import { park } from './parked.js'
import { quietRejection, type Run } from './run.js'
import { StartMarks } from './start-marks.js'
import type { Storage, StorageChange } from './storage.js'
import { storageError } from './storage-errors.js'
import {
  type Stored,
  type StoredHome,
  storedOf,
  storedOutcome,
  storedProgress,
  storedSubmit,
  type Times,
} from './stored.js'
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

export class Journal implements StoredHome {
  readonly #core: QueueCore
  readonly storage: Storage
  readonly #writesAtOnce: number
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
  readonly #letters: LetterWrites
  /** A command whose type has no handler waits for one. */
  readonly park = (entry: Entry): void => park(this.#core, entry)

  constructor(core: QueueCore, storage: Storage) {
    this.#core = core
    this.storage = storage
    this.#marks = new StartMarks(core, storage)
    this.#letters = new LetterWrites(core.deadLetters, this)
    this.#writesAtOnce = storage.writesAtOnce ?? 1
    this.maxPayloadBytes = storage.maxPayloadBytes ?? Number.POSITIVE_INFINITY
    this.window = Math.max(1, storage.window ?? WINDOW)
  }

  /**
   * Whether so much waits to be written that nothing more is to start: otherwise a long backlog of short bodies would run
   * in one turn of the event loop, and a crash would find all of it unwritten.
   */
  get isBehind(): boolean {
    return this.#waiting >= MOST_WAITING
  }

  /** Whether a row that the storage gives is of a submit that was refused. */
  readonly isWithdrawn = (seq: number): boolean => this.#withdrawn.size > 0 && this.#withdrawn.has(seq)

  /** Whether anything is not written yet. */
  get isBusy(): boolean {
    return this.#underWay > 0 || this.#hasMore
  }

  /** A new command: accepted, or refused, when it is written. Gives the promise of that. */
  arrive(entry: Entry, stored: Stored): Promise<void> {
    this.bySeq.set(stored.seq, entry)
    const batch = this.#room()
    batch.arrivals.push(entry)
    this.#core.askForPass()
    return batch.written
  }

  /** A command has changed. */
  touch(entry: Entry, stored: Stored): Batch {
    if (stored.batch !== undefined) return stored.batch
    const batch = this.#room()
    this.#toWrite(entry, stored, batch)
    this.#core.askForPass()
    return batch
  }

  #toWrite(entry: Entry, stored: Stored, batch: Batch): void {
    stored.batch = batch
    this.#waiting++
    batch.changed.push(entry)
  }

  /** The same; resolves when what the command is now is written, rejects when it could not be at the first try. */
  save(entry: Entry, stored: Stored): Promise<void> {
    const batch = this.touch(entry, stored)
    return this.broken === undefined ? batch.written : quietRejection(this.broken)
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

  /** A dead letter has left the ring, or is back in it. What is written is where it is then. */
  letterChanged(seq: number): void {
    this.#batch.letters.add(seq)
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
      answer = this.storage.write(this.#changesOf(batch))
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
      await this.storage.close()
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
      const stored = storedOf(entry)
      changes.push(storedSubmit(entry, stored, times, byId.get(entry.run.id) === entry))
      if (stored.redrives !== undefined) this.#letters.redrive(changes, stored.redrives)
    }
    for (const entry of batch.changed) this.#addChange(changes, batch, entry, times)
    this.#letters.add(changes, batch)
    return changes
  }

  #addChange(changes: StorageChange[], batch: Batch, entry: Entry, times: Times): void {
    const stored = storedOf(entry)
    stored.batch = undefined
    this.#waiting--
    stored.hasNews = false
    stored.underWay++
    batch.attempts.push(entry.attempt)
    batch.states.push(entry.run.state)
    if (!isFinal(entry.run.state)) {
      stored.isCold = false
      changes.push(storedProgress(entry, stored, times))
      return
    }
    batch.settled.push(entry)
    changes.push(storedOutcome(entry, stored, times))
    const { seq, letter } = stored
    if (letter !== undefined) changes.push({ kind: 'bury', letter: { seq, failedAt: Math.round(times.wall), letter } })
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
    this.#letters.written(batch)
    for (const entry of batch.arrivals) {
      const stored = storedOf(entry)
      stored.payload = undefined
      if (stored.redrives !== undefined) this.#letters.redriveEnded(stored.redrives)
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
      if (stored.batch === undefined) this.#toWrite(entry, stored, this.#batch)
    }
    for (const seq of batch.letters) this.#batch.letters.add(seq)
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
    if (redrives !== undefined) this.#letters.redriveEnded(redrives)
    // The write may have been done all the same, and only its answer lost.
    if (this.broken === undefined) {
      this.#batch.early.push({ kind: 'withdraw', seq })
      this.#withdrawn.add(seq)
      if (redrives !== undefined) this.#batch.letters.add(redrives)
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
