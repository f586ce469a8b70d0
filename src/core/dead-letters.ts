/**
 * Settled failures, kept for inspection and redrive. A bounded ring: at capacity the oldest letter is dropped before a
 * new one is stored.
 */
import { instantMs } from './clock.js'
import type { AnyCommand } from './command.js'
import type { AttemptFailure, OwnOptions } from './entry.js'
import { type ErrorRecord, LaneError, show } from './errors.js'
import { checkInteger, checkObject, refuseUnknown } from './options.js'
import type { CommandRun } from './run.js'
import type { StoredLetter } from './storage.js'
import { letterText } from './stored.js'

/** A command that failed for good. Plain data; instants are RFC 3339 text in UTC. */
export type DeadLetter = {
  readonly commandId: string
  readonly commandType: string
  readonly laneId: string
  readonly payload: unknown
  /** Text of the last error. */
  readonly error: string
  /** The last error in full: name, stack, cause. */
  readonly errorDetails?: ErrorRecord
  /** Attempts made, the first included. */
  readonly attempts: number
  readonly failedAt: string
  /** The failed attempts in order; attempts that were snoozed or deferred are not among them. */
  readonly history: readonly AttemptFailure[]
  readonly metadata?: unknown
  /** The command that this one was a redrive of. */
  readonly redrivenFrom?: string
}

/** What is needed to submit a letter's command again: not data, so not in the letter. */
export type Redrivable = {
  readonly command: AnyCommand
  readonly options: OwnOptions
  /** Where it is stored, and under which number. */
  readonly stored?: { readonly store: LetterStore; readonly seq: number } | undefined
}

/** Keeps the letters of one durable queue. */
export interface LetterStore {
  /** A letter has left the ring, or is back in it. */
  letterChanged(seq: number): void
}

/** A bounded ring of dead letters. Several queues may share one. */
export class DeadLetterQueue {
  readonly capacity: number
  readonly #letters = new Map<DeadLetter, Redrivable | undefined>()

  /** `CONFIG_INVALID` unless the capacity is an integer of at least 1. */
  constructor(capacity: number) {
    checkInteger('DeadLetterQueue capacity', capacity, 1)
    this.capacity = capacity
  }

  /** Letters in it. */
  get size(): number {
    return this.#letters.size
  }

  len(): number {
    return this.#letters.size
  }

  isEmpty(): boolean {
    return this.#letters.size === 0
  }

  /** Stores a letter; at capacity the oldest goes. */
  push(letter: DeadLetter): void {
    this.keep(letter, undefined)
  }

  /** @internal */
  keep(letter: DeadLetter, redrivable: Redrivable | undefined): void {
    if (this.#letters.size === this.capacity) this.pop()
    this.#letters.set(letter, redrivable)
  }

  /** Takes the oldest letter out. */
  pop(): DeadLetter | undefined {
    const [oldest] = this.#letters.keys()
    if (oldest !== undefined) this.remove(oldest)
    return oldest
  }

  /** All letters, oldest first. */
  list(): DeadLetter[] {
    return [...this.#letters.keys()]
  }

  /** The newest letter of a command. */
  get(commandId: string): DeadLetter | undefined {
    return this.list()
      .reverse()
      .find((letter) => letter.commandId === commandId)
  }

  /** Takes a letter out; false when it is not in it. */
  remove(letter: DeadLetter): boolean {
    const redrivable = this.#letters.get(letter)
    const wasIn = this.#letters.delete(letter)
    tellStore(redrivable)
    return wasIn
  }

  /** @internal Puts letters back that were taken out, before all others; at capacity the oldest go. */
  putBack(taken: ReadonlyMap<DeadLetter, Redrivable | undefined>): void {
    const newer = [...this.#letters]
    this.#letters.clear()
    for (const [letter, redrivable] of [...taken, ...newer]) this.#letters.set(letter, redrivable)
    for (const redrivable of taken.values()) tellStore(redrivable)
    while (this.#letters.size > this.capacity) this.pop()
  }

  /** Empties it; gives the number of letters that were in it. */
  clear(): number {
    const { size } = this.#letters
    for (const letter of this.list()) this.remove(letter)
    return size
  }

  /** @internal The letter that is stored under this number, as it is stored. */
  storedLetter(store: LetterStore, seq: number): StoredLetter | undefined {
    const found = this.#findStored(store, seq)
    if (found === undefined) return undefined
    const [letter, { options }] = found
    return { seq, failedAt: instantMs(letter.failedAt), letter: letterText(letter, options) }
  }

  /** @internal The letter was stored anew: it is the newest from now on. */
  storedAnew(store: LetterStore, seq: number): void {
    const found = this.#findStored(store, seq)
    if (found === undefined) return
    this.#letters.delete(found[0])
    this.#letters.set(...found)
  }

  #findStored(store: LetterStore, seq: number): [DeadLetter, Redrivable] | undefined {
    for (const [letter, redrivable] of this.#letters) {
      if (redrivable?.stored?.seq === seq && redrivable.stored.store === store) return [letter, redrivable]
    }
    return undefined
  }

  /** @internal How to submit a letter's command again. */
  redrivable(letter: DeadLetter): Redrivable {
    const { commandType: type, payload } = letter
    return this.#letters.get(letter) ?? { command: { type, payload }, options: {} }
  }
}

function tellStore(redrivable: Redrivable | undefined): void {
  redrivable?.stored?.store.letterChanged(redrivable.stored.seq)
}

/** Which letters are meant: those that match every field given, or for which the predicate answers true. */
export type DeadLetterFilter =
  | { readonly laneId?: string; readonly commandType?: string; readonly ids?: readonly string[] }
  | ((letter: DeadLetter) => boolean)

/** The queue, as its letters need it. */
export interface DeadLetterHost {
  /** Submits a letter's command again. */
  resubmit(letter: DeadLetter, how: Redrivable): CommandRun
  /** A run that was refused. */
  refused(error: LaneError): CommandRun
  /** Whether the queue has a storage. */
  readonly isDurable: boolean
  /** Resolves when what has changed is stored. */
  written(): Promise<void> | undefined
}

/** Where letters are that several processes share. */
export interface LetterShelf {
  /** The letters as they are now, as a ring of their own. */
  letters(): Promise<DeadLetterQueue>
  /** Takes letters away; gives how many were there. */
  remove(letters: readonly DeadLetter[]): Promise<number>
  /** Submits a letter's command again, once the letter is found; rejects the run when it is not. */
  redrive(commandId: string, find: () => Promise<[DeadLetter, Redrivable]>): CommandRun
}

/** `queue.deadLetters`: the queue's letters, and the way back into it. */
export class DeadLetters {
  readonly #ring: DeadLetterQueue | undefined
  readonly #host: DeadLetterHost
  /** @internal Set once where letters are shared: then the ring only says how many are kept. */
  shelf: LetterShelf | undefined
  /** Letters that are being submitted again. */
  readonly #underWay = new Set<DeadLetter>()

  /** @internal */
  constructor(ring: DeadLetterQueue | undefined, host: DeadLetterHost) {
    this.#ring = ring
    this.#host = host
  }

  /** Most letters that are kept; 0 when the queue keeps none. */
  get capacity(): number {
    return this.#ring?.capacity ?? 0
  }

  async size(): Promise<number> {
    return (await this.#letters())?.size ?? 0
  }

  /** Letters, oldest first; those that match, when a filter is given. */
  async list(filter?: DeadLetterFilter): Promise<DeadLetter[]> {
    return matching(await this.#letters(), filter)
  }

  /** The newest letter of a command. */
  async get(commandId: string): Promise<DeadLetter | undefined> {
    return (await this.#letters())?.get(commandId)
  }

  /** Takes the oldest letter out. `STORAGE_FAILED` when that could not be written: it stays. */
  async pop(): Promise<DeadLetter | undefined> {
    for (;;) {
      const letter = (await this.#letters())?.list().find((one) => !this.#underWay.has(one))
      if (letter === undefined) return undefined
      // Where letters are shared another process may have been faster.
      if ((await this.#takeOut([letter])) > 0 || this.shelf === undefined) return letter
    }
  }

  /**
   * Submits a letter's command again: a new id, a fresh retry budget, `redrivenFrom` says where it comes from. The letter
   * is taken out when the submit was accepted. One id gives the new run, which rejects with `NOT_FOUND` when there is no
   * such letter; a filter gives the runs of all letters that match.
   */
  redrive(commandId: string): CommandRun
  redrive(filter: DeadLetterFilter): Promise<CommandRun[]>
  redrive(which: string | DeadLetterFilter): CommandRun | Promise<CommandRun[]> {
    if (typeof which !== 'string') return this.#redriveAll(which)
    if (this.shelf !== undefined) return this.shelf.redrive(which, () => this.#letterOf(which))
    const letter = this.#ring?.get(which)
    if (letter !== undefined) return this.#redrive(letter)
    return this.#noLetter(which)
  }

  /**
   * Takes letters out without running them again: by id or by filter. Gives how many there were. `STORAGE_FAILED` when that
   * could not be written: they stay.
   */
  async discard(which: string | DeadLetterFilter): Promise<number> {
    return this.#takeOut(matching(await this.#letters(), typeof which === 'string' ? { ids: [which] } : which))
  }

  /** Takes all letters out; gives how many there were. `STORAGE_FAILED` when that could not be written: they stay. */
  async clear(): Promise<number> {
    return this.#takeOut(matching(await this.#letters(), undefined))
  }

  /** Takes letters out, but for those that a redrive is taking; puts them back when that could not be written. */
  async #takeOut(letters: readonly DeadLetter[]): Promise<number> {
    if (this.shelf !== undefined) return this.shelf.remove(letters)
    const ring = this.#ring as DeadLetterQueue
    const taken = new Map<DeadLetter, Redrivable>()
    for (const letter of letters) {
      if (this.#underWay.has(letter)) continue
      taken.set(letter, ring.redrivable(letter))
      ring.remove(letter)
    }
    if (taken.size === 0) return 0
    try {
      await this.#host.written()
    } catch (error) {
      ring.putBack(taken)
      throw error
    }
    return taken.size
  }

  async #redriveAll(filter: DeadLetterFilter): Promise<CommandRun[]> {
    const letters = await this.#letters()
    const chosen = matching(letters, filter)
    const { shelf } = this
    if (shelf === undefined) return chosen.map((letter) => this.#redrive(letter))
    return chosen.map((letter) =>
      shelf.redrive(letter.commandId, () => Promise.resolve([letter, (letters as DeadLetterQueue).redrivable(letter)])),
    )
  }

  /** The ring, or the letters that are shared, as they are now. */
  #letters(): DeadLetterQueue | undefined | Promise<DeadLetterQueue | undefined> {
    if (this.shelf === undefined || this.#ring === undefined) return this.#ring
    return this.shelf.letters()
  }

  async #letterOf(commandId: string): Promise<[DeadLetter, Redrivable]> {
    const letters = await this.#letters()
    const letter = letters?.get(commandId)
    if (letters === undefined || letter === undefined) throw noLetter(commandId)
    return [letter, letters.redrivable(letter)]
  }

  /** A listener that is told of the submit may ask for the same letter: it is gone from then on. */
  #redrive(letter: DeadLetter): CommandRun {
    if (this.#underWay.has(letter)) return this.#noLetter(letter.commandId)
    this.#underWay.add(letter)
    const run = this.#host.resubmit(letter, (this.#ring as DeadLetterQueue).redrivable(letter))
    // With a storage it is under way until that is written: a second redrive would run the command twice.
    const over = (): void => void this.#underWay.delete(letter)
    if (this.#host.isDurable) run.accepted.then(over, over)
    else over()
    return run
  }

  #noLetter(id: string): CommandRun {
    return this.#host.refused(noLetter(id))
  }
}

const noLetter = (id: string): LaneError =>
  new LaneError('NOT_FOUND', `No dead letter of a command with id ${show(id)}`)

function matching(ring: DeadLetterQueue | undefined, filter: DeadLetterFilter | undefined): DeadLetter[] {
  const letters = ring?.list() ?? []
  if (filter === undefined) return letters
  if (typeof filter === 'function') return letters.filter(filter)
  checkObject('dead-letter filter', filter)
  refuseUnknown('dead-letter filter', filter, ['laneId', 'commandType', 'ids'])
  const { laneId, commandType, ids } = filter
  return letters.filter(
    (letter) =>
      (laneId === undefined || letter.laneId === laneId) &&
      (commandType === undefined || letter.commandType === commandType) &&
      (ids === undefined || ids.includes(letter.commandId)),
  )
}
