/**
 * The seam of durable queues: what a queue asks of the journal of its process. The queue decides, the storage keeps.
 *
 * Writes come in batches: all that has changed since the batch before. A storage writes a batch whole or not at all, and
 * answers when it would survive what the storage promises to survive. Nothing is told to anybody before that answer: a
 * submit is accepted, and an outcome is an outcome, when it is written.
 *
 * Unsettled commands are *hot* or *cold*. Hot ones are in the queue's memory, too, and are given back by `load`. Cold ones
 * wait behind more commands than a queue keeps in memory; it reads them by `page` when their turn comes near. An `update`
 * of a cold command makes it hot.
 *
 * Reads are synchronous, since a queue reads in the middle of choosing what to start; each reads a bounded number of rows.
 * Instants are Unix milliseconds. What a storage need not look into is JSON text.
 */
import type { CommandState, FinalState } from './transitions.js'

/** What a storage keeps of a command from its submit on. */
export type StoredSubmit = {
  /** Its number: unique in this storage for ever, in order of submission. */
  readonly seq: number
  /** The id that its submitter chose; undefined for an id made of the storage's prefix and `seq`. */
  readonly id: string | undefined
  readonly laneId: string
  readonly commandType: string
  /** JSON text; undefined when there is none. */
  readonly payload: string | undefined
  readonly priority: number
  /** Its group inside the lane. */
  readonly key: string | undefined
  readonly createdAt: number
  /** Everything else that was said at its submit: JSON text, or undefined. */
  readonly options: string | undefined
}

/** What changes of a command until it has settled. */
export type StoredProgress = {
  readonly state: CommandState
  /** Number of the attempt that runs or ran last; 0 before the first. */
  readonly attempt: number
  /** When a delayed command is due; undefined for one that waits for something else. */
  readonly dueAt: number | undefined
  /** What it saved with `ctx.checkpoint`: JSON text. */
  readonly checkpoint: string | undefined
  /** Retries, history, log lines, the last progress and the like: JSON text, or undefined. */
  readonly details: string | undefined
}

/** The outcome of a command. */
export type StoredOutcome = {
  readonly state: FinalState
  readonly attempt: number
  readonly endedAt: number
  /** The result: JSON text. */
  readonly result: string | undefined
  /** The error in full: JSON text. */
  readonly error: string | undefined
  readonly details: string | undefined
  /** Until when it must be kept, whatever the retention says: its dedupe id still keeps others out. */
  readonly keepUntil: number | undefined
}

/** A command as a storage gives it back; `endedAt`, `result` and `error` of settled ones. */
export type StoredCommand = StoredSubmit &
  StoredProgress & {
    readonly endedAt: number | undefined
    readonly result: string | undefined
    readonly error: string | undefined
  }

/** A dead letter as it is kept. */
export type StoredLetter = {
  /** Number of the command that died. */
  readonly seq: number
  readonly failedAt: number
  /** The letter and how to redrive it: JSON text. */
  readonly letter: string
}

/** One change. A batch has at most one of each kind for a command. */
export type StorageChange =
  /** A new command; it replaces one with its number, and the newest of an id is the one that `find` gives. `isCold`: it waits behind more commands than are kept in memory. */
  | { readonly kind: 'submit'; readonly command: StoredSubmit & StoredProgress; readonly isCold: boolean }
  /** All that changes of an unsettled command is now this. Of a command that has settled or is not there: ignored. */
  | ({ readonly kind: 'update'; readonly seq: number } & StoredProgress)
  /** It has settled: it is kept as the retention says. A second one for the same command, or one that is not there: ignored. */
  | ({ readonly kind: 'settle'; readonly seq: number } & StoredOutcome)
  /** A hot command whose state is pending becomes cold. Any other, or one that is not there: ignored. */
  | { readonly kind: 'cool'; readonly seq: number }
  /** Its submit was refused, since the write of it failed: should it be there all the same, it goes. Else ignored. */
  | { readonly kind: 'withdraw'; readonly seq: number }
  | { readonly kind: 'bury'; readonly letter: StoredLetter }
  /** The letter is gone: redriven, discarded, or pushed out by a newer one. */
  | { readonly kind: 'unbury'; readonly seq: number }

/** An attempt that is about to begin, and the place in which it does: at any time one attempt per place. */
export type StoredStart = { readonly place: number; readonly seq: number; readonly attempt: number }

/** What a queue tells a storage when it begins to use it. */
export type StorageUse = {
  /** Prefix of the ids of a storage that is new; a used one keeps its own. */
  readonly idPrefix: string
  /** How many settled commands are kept, and for how long; letters are the queue's own business. */
  readonly retention: { readonly count: number; readonly ageMs: number }
  /** The wall clock, Unix milliseconds. */
  readonly now: () => number
  /** Told when something is wrong that no write answers for: the queue reports it as `queue.fault`. */
  readonly onFault: (error: unknown) => void
}

/** What a queue has to know of a storage before its first submit. */
export type StorageHead = {
  readonly idPrefix: string
  /** Above every number that was ever given out, also by a process that crashed; a multiple of 1,296. */
  readonly nextSeq: number
}

/** How many cold commands wait in a lane, for each key. */
export type ColdCount = { readonly laneId: string; readonly key: string | undefined; readonly count: number }

/** Which cold commands are wanted: those after a place in their order, best first. */
export type ColdPage = {
  readonly laneId: string
  /** Commands of one key only; null for those of all keys. */
  readonly key: string | undefined | null
  /** Order: priority, then number; with `lifo` the highest number first. */
  readonly lifo: boolean
  readonly after: { readonly priority: number; readonly seq: number } | undefined
  readonly limit: number
}

/** Which commands are wanted, settled and unsettled ones, in order of their numbers. */
export type StoredQuery = {
  readonly laneId: string | undefined
  readonly state: CommandState | undefined
  readonly fromSeq: number
  readonly limit: number
}

/**
 * The journal of one process. `LocalStorage` of `@a3s-lab/lane/storage` is ours; `describeStorage` of
 * `@a3s-lab/lane/testing` is the suite that any other has to pass.
 */
export interface Storage {
  /** Longest payload, result or checkpoint, in bytes of UTF-8 JSON. Longer ones are refused. Default no limit. */
  readonly maxPayloadBytes?: number
  /** About how many waiting commands of a lane the queue keeps in memory; the others are cold. Default 4,096. */
  readonly window?: number
  /**
   * A queue begins to use it; once, before anything else. Throws `CONFLICT` when a queue uses it already. A crash after
   * it: as if it had not been called.
   */
  attach(use: StorageUse): StorageHead
  /**
   * Writes a batch, whole or not at all, in its order. Answers (returns, or resolves) when a crash would not undo it.
   * When it throws or rejects, nothing of it is written, and the queue writes again what it cannot do without; an error
   * whose `retryable` is false says that the storage takes no writes any more. The next batch may be handed over before
   * the answer to the one before, up to `writesAtOnce`; they are written in order. A crash before the answer: the batch is
   * there whole, or not at all.
   */
  write(batch: readonly StorageChange[]): void | Promise<void>
  /** Batches that may be under way at the same time. Default 1. */
  readonly writesAtOnce?: number
  /**
   * Attempts are about to begin. To be kept so that a crash of the process (a power loss need not) does not lose it: an
   * attempt that was begun counts, although no write has told of it. `load` gives such a command back as active.
   */
  begin(starts: readonly StoredStart[]): void
  /** Every hot unsettled command, and settled ones that are to be kept for their dedupe id. In order of their numbers. */
  load(): Iterable<StoredCommand>
  /** How many cold commands there are. */
  coldCounts(): readonly ColdCount[]
  /** Cold commands, in the order in which they are to start. */
  page(which: ColdPage): readonly StoredCommand[]
  /** The command with this number, or with this id of its submitter's. */
  find(which: number | string): StoredCommand | undefined
  list(query: StoredQuery): readonly StoredCommand[]
  /** All letters, in the order of their burial. */
  letters(): Iterable<StoredLetter>
  /**
   * Waits for what is under way and ends. Idempotent; always comes back. What was written is there when it is opened
   * again.
   */
  close(): Promise<void>
}
