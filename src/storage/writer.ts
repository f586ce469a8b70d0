/**
 * Where a batch is written: small ones on a quick disk at once, on the thread of the queue, since a round trip to another
 * thread takes as long as their commit; all others on a thread of their own, so that the queue waits for no disk. Never
 * two at a time: while the thread has something under way, everything goes there, and stays in order.
 *
 * Folding and checkpoints are due by what was written. They go to the thread where there is one.
 */
import { systemClock } from '../core/index.js'
import { changesIn } from './batch-packer.js'
import type { Committer } from './committer.js'
import { isEnd, storageFailure } from './failure.js'
import type { Retention } from './retention.js'
import type { Step, StepDone } from './thread-orders.js'
import { TransactionFailure } from './transaction.js'
import { ThreadDeath, type WriterThread } from './writer-thread.js'

/** A batch up to this size is written at once. */
const SMALL_CHANGES = 48
const SMALL_BYTES = 32 * 1024
/** Commits that take longer, on the average, are not waited for on the queue's thread. */
const QUICK_MS = 4
const WRITTEN_MEANWHILE = 8
/** How much of what was written stays in the journal before it is folded. */
const FOLD_CHANGES = { inThread: 32_768, here: 1024 }
const FOLD_BYTES = 4 * 1024 * 1024
const FOLD_BATCHES = 1000
/** What a commit adds to the write-ahead file beyond its bytes, about. */
const COMMIT_BYTES = 5 * 1024
/** The write-ahead file has grown so many times larger than it should: somebody reads for long. */
const ALARM_FACTOR = 16
const PAGE_BYTES = 4096
/** How much is given back in one step: some milliseconds. */
const COMPACT_PAGES = 256

/** What a writer needs of its storage. */
export type WriterHost = {
  readonly retention: Retention
  readonly now: () => number
  readonly onFault: (error: unknown) => void
}

export type WriterSettings = {
  readonly committer: Committer
  readonly checkpointBytes: number
  /** Makes the thread when it is wanted for the first time; undefined where there can be none. */
  readonly startThread: (() => WriterThread) | undefined
}

export type WriterStats = {
  readonly commits: number
  readonly meanMs: number
  readonly longestMs: number
  readonly hasThread: boolean
  readonly unfolded: number
}

export class Writer {
  readonly #settings: WriterSettings
  readonly #host: WriterHost
  #thread: WriterThread | undefined
  #last: number
  #endedBy: Error | undefined
  #meanMs = 0
  #longestMs = 0
  #commits = 0
  #unfolded = 0
  #unfoldedBytes = 0
  #unfoldedBatches = 0
  #walBytes = 0
  #walAlarm = false
  #isTendingWell = true
  #tending: Promise<void> | undefined
  #hereMeanwhile = 0

  constructor(settings: WriterSettings, host: WriterHost, last: number) {
    this.#settings = settings
    this.#host = host
    this.#last = last
  }

  get stats(): WriterStats {
    return {
      commits: this.#commits,
      meanMs: this.#meanMs,
      longestMs: this.#longestMs,
      hasThread: this.#thread !== undefined,
      unfolded: this.#unfolded,
    }
  }

  write(bytes: Uint8Array<ArrayBuffer>): void | Promise<void> {
    if (this.#endedBy !== undefined) throw this.#endedBy
    const changes = changesIn(bytes)
    const { byteLength } = bytes
    const number = ++this.#last
    const thread = this.#threadFor(changes, byteLength)
    if (thread === undefined) {
      const start = systemClock.now()
      try {
        this.#settings.committer.write(number, bytes)
      } catch (error) {
        throw this.#failed(error)
      }
      this.#written(changes, byteLength, systemClock.now() - start)
      return
    }
    return thread.send({ kind: 'write', number, bytes }).then(
      ({ ms }) => this.#written(changes, byteLength, ms),
      (error: unknown) => {
        throw this.#failed(error)
      },
    )
  }

  /** Waits for what is under way, folds all that there is and ends the thread. Whether the file is complete. */
  async close(): Promise<boolean> {
    await this.#tending
    await this.#thread?.close()
    if (this.#endedBy !== undefined) return false
    const { committer } = this.#settings
    committer.foldAll(this.#host.retention, this.#host.now())
    committer.checkpoint(true)
    return true
  }

  /** Folds what there is and gives free pages back, some at a time; writes go in between. */
  async compact(): Promise<void> {
    await this.#tending
    let hasMore = true
    while (hasMore) hasMore = await this.#foldSome()
    let left = Number.POSITIVE_INFINITY
    for (;;) {
      const { value, more } = await this.#step({ kind: 'compact', pages: COMPACT_PAGES })
      // readers may keep pages from moving
      if (!more || value >= left) break
      left = value
    }
    this.#moved((await this.#step({ kind: 'checkpoint' })).value)
  }

  /** Whether there is more to fold. */
  async #foldSome(): Promise<boolean> {
    const { retention } = this.#host
    const { value, batches, more } = await this.#step({ kind: 'fold', retention, now: this.#host.now() })
    this.#folded({ changes: value, batches })
    return more
  }

  /** One step of something long, in the thread or here in a turn of its own. */
  async #step(order: Step): Promise<StepDone> {
    if (this.#endedBy !== undefined) throw this.#endedBy
    try {
      const thread = this.#anyThread()
      if (thread !== undefined) return await thread.send(order)
      await turnOfTheLoop()
      return this.#settings.committer.obey(order)
    } catch (error) {
      throw this.#failed(error)
    }
  }

  #threadFor(changes: number, bytes: number): WriterThread | undefined {
    const running = this.#thread
    if (running !== undefined && running.underWay > 0) return running
    const isSmall = changes <= SMALL_CHANGES && bytes <= SMALL_BYTES
    if (isSmall && this.#meanMs < QUICK_MS) return undefined
    const thread = this.#anyThread()
    return thread?.isReady === false && bytes <= FOLD_BYTES && this.#isTurnLeft() ? undefined : thread
  }

  /**
   * While the thread starts, batches that are not too large are written here, some in each turn of the loop: it can only
   * be heard to be ready when the loop turns.
   */
  #isTurnLeft(): boolean {
    if (this.#hereMeanwhile === 0) {
      systemClock.nextTurn?.(() => {
        this.#hereMeanwhile = 0
      })
    }
    return this.#hereMeanwhile++ < WRITTEN_MEANWHILE
  }

  #anyThread(): WriterThread | undefined {
    this.#thread ??= this.#settings.startThread?.()
    return this.#thread
  }

  #written(changes: number, bytes: number, ms: number): void {
    this.#commits++
    this.#meanMs += (ms - this.#meanMs) / 8
    if (ms > this.#longestMs) this.#longestMs = ms
    this.#unfolded += changes
    this.#unfoldedBytes += bytes
    this.#unfoldedBatches++
    this.#walBytes += bytes + COMMIT_BYTES
    if (this.#tending === undefined && this.#isTendingDue()) this.#tend()
  }

  #isTendingDue(): boolean {
    return this.#isFoldDue() || this.#isCheckpointDue()
  }

  #isCheckpointDue(): boolean {
    return this.#walBytes >= this.#settings.checkpointBytes
  }

  /** `times`: how many times more than usual. */
  #isFoldDue(times = 1): boolean {
    const most = this.#settings.startThread === undefined ? FOLD_CHANGES.here : FOLD_CHANGES.inThread
    const isMuch = this.#unfolded >= times * most || this.#unfoldedBytes >= times * FOLD_BYTES
    return isMuch || this.#unfoldedBatches >= times * FOLD_BATCHES
  }

  #tend(): void {
    const thread = this.#anyThread()
    if (thread === undefined) return this.#tendHere()
    // writes would wait for its start: they go on here meanwhile, and what cannot be put off is done here too
    if (!thread.isReady) return this.#isFoldDue(2) ? this.#tendHere() : undefined
    this.#tending = this.#tendIn().finally(() => {
      this.#tending = undefined
    })
  }

  #tendHere(): void {
    try {
      const { committer } = this.#settings
      if (this.#isFoldDue()) this.#folded(committer.fold(this.#host.retention, this.#host.now()))
      if (this.#isCheckpointDue()) this.#moved(committer.checkpoint())
      this.#isTendingWell = true
    } catch (error) {
      this.#tendingFailed(this.#failed(error))
    }
  }

  async #tendIn(): Promise<void> {
    try {
      if (this.#isFoldDue()) await this.#foldSome()
      if (this.#isCheckpointDue()) this.#moved((await this.#step({ kind: 'checkpoint' })).value)
      this.#isTendingWell = true
    } catch (error) {
      this.#tendingFailed(error)
    }
  }

  /** Tried again after the next write, told the first time; the end of the storage has been told already. */
  #tendingFailed(error: unknown): void {
    if (this.#isTendingWell && error !== this.#endedBy) this.#host.onFault(error)
    this.#isTendingWell = false
  }

  #folded({ changes, batches }: { readonly changes: number; readonly batches: number }): void {
    const share = this.#unfolded === 0 ? 1 : Math.min(1, changes / this.#unfolded)
    this.#walBytes += this.#unfoldedBytes * share
    this.#unfolded = Math.max(0, this.#unfolded - changes)
    this.#unfoldedBytes *= 1 - share
    this.#unfoldedBatches = Math.max(0, this.#unfoldedBatches - batches)
  }

  #moved(pagesLeft: number): void {
    const left = pagesLeft * PAGE_BYTES
    this.#walBytes = 0
    if (left < ALARM_FACTOR * this.#settings.checkpointBytes) {
      if (pagesLeft === 0) this.#walAlarm = false
    } else if (!this.#walAlarm) {
      this.#walAlarm = true
      this.#host.onFault(
        storageFailure(
          'The write-ahead file of the storage cannot be emptied',
          new Error(`another program has been reading the database while ${left} bytes were written`),
          true,
        ),
      )
    }
  }

  /** The error that whoever waits gets; after some of them nothing is written any more. */
  #failed(error: unknown): Error {
    const phase = error instanceof TransactionFailure ? error.phase : 'before commit'
    const cause = error instanceof TransactionFailure ? error.cause : error
    if (this.#endedBy !== undefined) return this.#endedBy
    const what = 'The storage could not be written'
    if (!(error instanceof ThreadDeath) && !isEnd(cause, phase)) return storageFailure(what, cause, true)
    this.#endedBy = storageFailure(`${what}, and takes no writes any more`, cause, false)
    this.#host.onFault(this.#endedBy)
    return this.#endedBy
  }
}

const turnOfTheLoop = (): Promise<void> =>
  new Promise((resolve) => {
    systemClock.setTimer(0, resolve)
  })
