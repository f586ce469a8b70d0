/**
 * A storage in memory that behaves as a disk does: what was written is there after the death of the process, and nothing
 * else. For tests of programs whose queue is durable: `crash()` is the death, and gives what a new queue begins with.
 *
 * It has no time of its own. A write is done at once unless the constructor says otherwise, so that a test decides when a
 * disk is slow, fails, or fails after it has written.
 */
import {
  type ColdCount,
  type ColdPage,
  LaneError,
  type Storage,
  type StorageChange,
  type StorageHead,
  type StorageUse,
  type StoredCommand,
  type StoredLetter,
  type StoredQuery,
  type StoredStart,
} from '../core/index.js'
import { type CommandChange, StoredCommands } from './stored-commands.js'

/** Options of a storage in memory. */
export type MemoryStorageOptions = {
  /**
   * Stands between the queue and the disk, once per batch: call `commit` when the batch is to be written, and return, or
   * resolve, when it is to be answered. Throw before `commit` for a write that fails, after it for one that is done and
   * answered with an error; what neither commits nor fails is a disk that lies. Default: `commit` at once.
   */
  readonly write?: (commit: () => void) => void | Promise<void>
  /** Batches that the queue may hand over before the first is answered. They are written in order. Default 1. */
  readonly writesAtOnce?: number
  /** About how many waiting commands of a lane the queue keeps in memory. Default the queue's own. */
  readonly window?: number
}

/** What a disk holds: everything that outlives a process. */
class Disk {
  readonly commands = new StoredCommands()
  readonly letters = new Map<number, StoredLetter>()
  /** The attempt that has begun last in each place. */
  readonly starts = new Map<number, StoredStart>()
  idPrefix: string | undefined
  /** Above every number that was written. */
  nextSeq = 0

  change(change: CommandChange): void {
    if (change.kind === 'submit') this.nextSeq = Math.max(this.nextSeq, change.command.seq + 1)
    this.commands.apply(change)
  }

  /** A letter that is buried again is the newest. */
  bury(letter: StoredLetter): void {
    this.letters.delete(letter.seq)
    this.letters.set(letter.seq, { ...letter })
  }

  copyFrom(other: Disk): void {
    this.commands.copyFrom(other.commands)
    for (const [seq, letter] of other.letters) this.letters.set(seq, letter)
    for (const [place, start] of other.starts) this.starts.set(place, start)
    this.idPrefix = other.idPrefix
    this.nextSeq = other.nextSeq
  }
}

/** Numbers are given out from a multiple of this: an id's last two digits begin at zero. */
const SEQ_STEP = 36 * 36

/** A `Storage` in memory. Give it to the queue's `storage` option. */
export class MemoryStorage implements Storage {
  readonly writesAtOnce: number
  readonly window?: number
  readonly #hook: ((commit: () => void) => void | Promise<void>) | undefined
  readonly #disk = new Disk()
  #use: StorageUse | undefined
  /** Why nothing can be done with it any more. */
  #end: string | undefined
  /** The writes that have not been answered, the newest last. */
  #underWay: Promise<void> | undefined

  constructor(options: MemoryStorageOptions = {}) {
    this.#hook = options.write
    this.writesAtOnce = options.writesAtOnce ?? 1
    if (options.window !== undefined) this.window = options.window
  }

  attach(use: StorageUse): StorageHead {
    this.#refuseAfterEnd()
    if (this.#use !== undefined) throw new LaneError('CONFLICT', 'A queue uses this storage already')
    this.#use = use
    const disk = this.#disk
    for (const { seq, attempt } of disk.starts.values()) disk.commands.begun(seq, attempt)
    disk.starts.clear()
    return {
      idPrefix: disk.idPrefix ?? use.idPrefix,
      nextSeq: Math.ceil(disk.nextSeq / SEQ_STEP) * SEQ_STEP,
    }
  }

  write(batch: readonly StorageChange[]): void | Promise<void> {
    this.#refuseAfterEnd()
    const earlier = this.#underWay
    if (this.#hook === undefined) return this.#commit(batch)
    const answer = earlier === undefined ? this.#handOver(batch) : earlier.then(() => this.#handOver(batch))
    if (answer === undefined) return undefined
    const settled = answer.then(nothing, nothing)
    this.#underWay = settled
    void settled.then(() => {
      if (this.#underWay === settled) this.#underWay = undefined
    })
    return answer
  }

  begin(starts: readonly StoredStart[]): void {
    this.#refuseAfterEnd()
    for (const start of starts) this.#disk.starts.set(start.place, { ...start })
  }

  load(): Iterable<StoredCommand> {
    return this.#commands().load(this.#now())
  }

  coldCounts(): readonly ColdCount[] {
    return this.#commands().coldCounts()
  }

  page(which: ColdPage): readonly StoredCommand[] {
    return this.#commands().page(which)
  }

  find(which: number | string): StoredCommand | undefined {
    return this.#commands().find(which)
  }

  list(query: StoredQuery): readonly StoredCommand[] {
    return this.#commands().list(query)
  }

  letters(): Iterable<StoredLetter> {
    this.#refuseAfterEnd()
    return [...this.#disk.letters.values()]
  }

  /** Waits for the writes under way and ends. A write that the constructor's `write` never answers keeps it waiting. */
  async close(): Promise<void> {
    // What is handed over meanwhile is waited for, too.
    while (this.#underWay !== undefined) await this.#underWay
    this.#end ??= 'is closed'
  }

  /**
   * Ends it as the death of its process would: what has been committed is in the storage that this gives, for the next
   * queue; a write that has not been is lost, and the old storage refuses everything. Of a closed storage: opens it again.
   * Without options the new one has those of the old.
   */
  crash(options?: MemoryStorageOptions): MemoryStorage {
    const write = options === undefined ? this.#hook : options.write
    const window = options?.window ?? this.window
    const survived = new MemoryStorage({
      ...(write === undefined ? {} : { write }),
      ...(window === undefined ? {} : { window }),
      writesAtOnce: options?.writesAtOnce ?? this.writesAtOnce,
    })
    survived.#disk.copyFrom(this.#disk)
    this.#end = 'has crashed'
    return survived
  }

  #handOver(batch: readonly StorageChange[]): void | Promise<void> {
    this.#refuseAfterEnd()
    let isCommitted = false
    return this.#hook?.(() => {
      // The hook of a storage that has crashed meanwhile may still be at work: it writes nothing any more.
      if (isCommitted || this.#end !== undefined) return
      isCommitted = true
      this.#commit(batch)
    })
  }

  /** The moment in which a batch is on the disk. Nothing in here fails, so it is there whole. */
  #commit(batch: readonly StorageChange[]): void {
    const disk = this.#disk
    disk.idPrefix ??= this.#use?.idPrefix
    for (const change of batch) {
      if (change.kind === 'bury') disk.bury(change.letter)
      else if (change.kind === 'unbury') disk.letters.delete(change.seq)
      else disk.change(change)
    }
    const { retention } = this.#use ?? {}
    if (retention !== undefined) disk.commands.forget(retention, this.#now())
  }

  #commands(): StoredCommands {
    this.#refuseAfterEnd()
    return this.#disk.commands
  }

  #now(): number {
    return this.#use?.now() ?? 0
  }

  #refuseAfterEnd(): void {
    if (this.#end === undefined) return
    throw new LaneError('STORAGE_FAILED', `The storage ${this.#end}`, { retryable: false })
  }
}

const nothing = (): void => undefined
