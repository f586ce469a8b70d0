/**
 * `LocalStorage`: the journal of one process in one SQLite file. This is the facade; what it promises is said in
 * `core/storage.ts`, how it is kept in the files around it.
 */
import {
  type ColdCount,
  type ColdPage,
  checkText,
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
import { endUse, takeUse } from './attachment.js'
import { copyTo } from './backup.js'
import { BatchPacker } from './batch-packer.js'
import { Committer } from './committer.js'
import { storageFailure } from './failure.js'
import { StorageInspection } from './inspection.js'
import { type OpenFile, openFile } from './open-file.js'
import { type LocalStorageOptions, storageSettings } from './options.js'
import { type StorageStats, statsOf } from './stats.js'
import { StoredView } from './stored-view.js'
import { TransactionFailure } from './transaction.js'
import { Writer } from './writer.js'

const UNREADABLE = 'The storage cannot be read'

/**
 * Durable queues in one SQLite file: `new QueueManager({ storage: await LocalStorage.open({ path }) })`. One process has the
 * file at a time. The queue closes it.
 */
export class LocalStorage implements Storage {
  readonly writesAtOnce = 2
  /** Longest payload, result or checkpoint, in bytes of UTF-8 JSON. */
  readonly maxPayloadBytes: number
  readonly #file: OpenFile
  readonly #view: StoredView
  readonly #committer: Committer
  readonly #packer = new BatchPacker()
  #writer: Writer | undefined
  #closing: Promise<void> | undefined

  private constructor(file: OpenFile) {
    this.#file = file
    this.maxPayloadBytes = file.settings.maxPayloadBytes
    this.#view = new StoredView(file.database)
    this.#committer = new Committer(file.database, file.marks)
  }

  /**
   * Opens the file, or makes it. `STORAGE_LOCKED` at once when a process has it already; `STORAGE_CORRUPT` when it is damaged
   * or none of ours: it is left as it is; `STORAGE_FAILED` when it cannot be opened there.
   */
  static async open(options: LocalStorageOptions): Promise<LocalStorage> {
    return LocalStorage.openSync(options)
  }

  /** The same, before the call returns, and throwing where `open` rejects. */
  static openSync(options: LocalStorageOptions): LocalStorage {
    return new LocalStorage(openFile(storageSettings(options)))
  }

  /** Looks into a file that no process has open: a backup, or what a queue has left. Nothing is changed. */
  static async inspect(path: string): Promise<StorageInspection> {
    checkText('path', path)
    return new StorageInspection(path)
  }

  attach(use: StorageUse): StorageHead {
    if (this.#writer !== undefined) throw new LaneError('CONFLICT', 'The storage is used by another queue already')
    const { database, marks, settings, startThread } = this.#file
    const { head, lastBatch } = this.#read(() => takeUse(database, this.#committer, marks, use))
    this.#view.use(use.retention, use.now)
    const { checkpointBytes } = settings
    this.#writer = new Writer({ committer: this.#committer, checkpointBytes, startThread }, use, lastBatch)
    return head
  }

  write(batch: readonly StorageChange[]): void | Promise<void> {
    this.#checkOpen()
    const writer = this.#attached()
    return batch.length === 0 ? undefined : writer.write(this.#packer.pack(batch))
  }

  begin(starts: readonly StoredStart[]): void {
    this.#checkOpen()
    try {
      this.#file.marks.begin(starts)
    } catch (error) {
      throw storageFailure('The start of an attempt could not be marked', error, true)
    }
  }

  load(): Iterable<StoredCommand> {
    this.#checkOpen()
    return this.#view.load()
  }

  coldCounts(): readonly ColdCount[] {
    return this.#read(() => this.#view.coldCounts())
  }

  page(which: ColdPage): readonly StoredCommand[] {
    return this.#read(() => this.#view.page(which))
  }

  find(which: number | string): StoredCommand | undefined {
    return this.#read(() => this.#view.find(which))
  }

  list(query: StoredQuery): readonly StoredCommand[] {
    return this.#read(() => this.#view.list(query))
  }

  letters(): Iterable<StoredLetter> {
    return this.#read(() => this.#view.letters())
  }

  /** What an operator asks of the file. */
  stats(): StorageStats {
    return this.#read(() => statsOf(this.#file, this.#view, this.#writer?.stats))
  }

  /**
   * Writes a copy of everything that is stored at this moment, while the queue goes on. The copy is there whole or not at
   * all; a file that is there already is refused (`CONFLICT`).
   */
  async backup(path: string): Promise<void> {
    checkText('path', path)
    this.#checkOpen()
    await copyTo(this.#file, path)
  }

  /** Gives space that is not needed any more back to the file system, a little at a time, while the queue goes on. */
  async compact(): Promise<void> {
    this.#checkOpen()
    await this.#attached().compact()
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    const { database, marks, lock } = this.#file
    let isClean = false
    try {
      isClean = (await this.#writer?.close()) ?? false
      if (isClean) endUse(database, marks)
    } catch {
      // what is committed is in the file, and the marks stay: whoever opens it next finds both
      isClean = false
    }
    database.close()
    marks.close(!isClean)
    lock?.release()
  }

  #attached(): Writer {
    if (this.#writer === undefined) throw new LaneError('CONFLICT', 'No queue uses the storage yet')
    return this.#writer
  }

  #read<T>(read: () => T): T {
    this.#checkOpen()
    try {
      return read()
    } catch (error) {
      throw storageFailure(UNREADABLE, error instanceof TransactionFailure ? error.cause : error, true)
    }
  }

  #checkOpen(): void {
    if (this.#closing === undefined) return
    throw new LaneError('STORAGE_FAILED', 'The storage is closed', { retryable: false })
  }
}
