/** A look into a file that no process has open: nothing in it is changed, and nothing beside it but what SQLite needs to read. */
import type { StoredCommand, StoredLetter, StoredQuery } from '../core/index.js'
import { type Database, findDriver } from './driver.js'
import { storageFailure } from './failure.js'
import { checkFile } from './file-checks.js'
import { checkUnlocked } from './file-lock.js'
import { type FilePlace, readablePlace, sizeOf } from './file-place.js'
import { readMeta } from './meta.js'
import type { StorageStats } from './stats.js'
import { StoredView } from './stored-view.js'

/** A command as an inspection shows it: with the id under which it was submitted. */
export type InspectedCommand = StoredCommand & { readonly id: string }

export type InspectionStats = Pick<StorageStats, 'path' | 'fileBytes' | 'walBytes' | 'commands' | 'deadLetters'>

const BEGINNING: StoredQuery = { laneId: undefined, state: undefined, fromSeq: 0, limit: 100 }

export class StorageInspection {
  readonly #place: FilePlace
  readonly #database: Database
  readonly #view: StoredView
  readonly #prefix: string
  #isClosed = false

  /** `STORAGE_LOCKED` while a process has the file open: a backup of it may be inspected. */
  constructor(path: string) {
    const driver = findDriver()
    this.#place = readablePlace(path)
    checkUnlocked(driver, this.#place)
    checkFile(driver, this.#place)
    this.#database = driver.open(this.#place.file, { readOnly: true, busyMs: 1000 })
    try {
      this.#view = new StoredView(this.#database)
      this.#prefix = readMeta(this.#database).prefix ?? ''
    } catch (error) {
      this.#database.close()
      throw storageFailure(`The storage ${path} cannot be read`, error, false)
    }
  }

  get stats(): InspectionStats {
    const { file, wal } = this.#place
    return { path: file, fileBytes: sizeOf(file), walBytes: sizeOf(wal), ...this.#read(() => this.#view.counts()) }
  }

  /** Commands in order of their numbers; the first hundred where nothing else is asked. */
  list(query: Partial<StoredQuery> = {}): readonly InspectedCommand[] {
    return this.#read(() => this.#view.list({ ...BEGINNING, ...query }).map((command) => this.#named(command)))
  }

  /** The command with this id, a submitter's own or one that the queue made. */
  get(id: string): InspectedCommand | undefined {
    return this.#read(() => {
      const command = this.#view.find(id) ?? this.#made(id)
      return command === undefined ? undefined : this.#named(command)
    })
  }

  letters(): readonly StoredLetter[] {
    return this.#read(() => this.#view.letters())
  }

  close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#database.close()
  }

  #named(command: StoredCommand): InspectedCommand {
    return { ...command, id: command.id ?? this.#idOf(command.seq) }
  }

  #made(id: string): StoredCommand | undefined {
    if (!id.startsWith(this.#prefix)) return undefined
    const seq = Number.parseInt(id.slice(this.#prefix.length), 36)
    if (!Number.isSafeInteger(seq) || this.#idOf(seq) !== id) return undefined
    const command = this.#view.find(seq)
    return command?.id === undefined ? command : undefined
  }

  #idOf(seq: number): string {
    return this.#prefix + seq.toString(36)
  }

  #read<T>(read: () => T): T {
    try {
      return read()
    } catch (error) {
      throw storageFailure('The storage cannot be read', error, false)
    }
  }
}
