/**
 * The storage of one process: a `MemoryStorage` behind writes that take their time on the simulated clock, fail, are done
 * and answered with an error, or are not answered. When the process is dead nothing is answered any more.
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
} from '@a3s-lab/lane'
import type { MemoryStorage } from '@a3s-lab/lane/testing'
import type { Draw } from '../draw.js'
import type { DurableSpec } from './options.js'
import type { StorageCall, StorageCalls, StorageFaultMode } from './storage-calls.js'
import type { Truth } from './truth.js'

export type DiskParts = {
  readonly memory: MemoryStorage
  readonly truth: Truth
  readonly spec: DurableSpec
  readonly draw: Draw
  readonly calls: StorageCalls
  readonly now: () => number
  /** Waits on the simulated clock. */
  readonly sleep: (ms: number) => Promise<void>
  /** The phase of faults is over. */
  readonly isQuiet: () => boolean
  /** The process dies here and now. */
  readonly die: () => void
}

/** Longer than anything of a seed takes. */
const HANG_MS = 1e9

const never = (): Promise<never> => new Promise(() => undefined)

export class SimDisk implements Storage {
  readonly writesAtOnce: number
  readonly window: number
  isDead = false
  /** Writes that have not been answered. */
  underWay = 0
  /** Instant of the last write that was answered with an error. */
  failedAt = Number.NEGATIVE_INFINITY
  isBroken = false
  readonly #parts: DiskParts
  #last: Promise<unknown> = Promise.resolve()
  /** Ends the waits of writes that hang. */
  readonly #hanging = new Set<() => void>()

  constructor(parts: DiskParts) {
    this.#parts = parts
    this.writesAtOnce = parts.spec.writesAtOnce
    this.window = parts.spec.window
  }

  attach(use: StorageUse): StorageHead {
    return this.#call('attach', () => {
      const head = this.#parts.memory.attach(use)
      this.#parts.truth.takeOver()
      this.#parts.truth.idPrefix = head.idPrefix
      return head
    })
  }

  write(batch: readonly StorageChange[]): void | Promise<void> {
    if (this.isDead) return never()
    const { spec } = this.#parts
    if (this.isBroken) throw broken()
    const mode = this.#planted('write')
    const isAtOnce = spec.writeMs === 0 && this.underWay === 0 && mode !== 'hangs'
    if (isAtOnce && !this.#isUnlucky(spec.hanging)) {
      this.#commit(batch, mode)
      return this.isDead ? never() : undefined
    }
    this.underWay++
    const answer = this.#last.then(() => this.#writeLater(batch, mode))
    this.#last = answer.catch(() => undefined)
    return answer.finally(() => {
      this.underWay--
    })
  }

  begin(starts: readonly StoredStart[]): void {
    const { spec, die } = this.#parts
    if (!this.isDead && this.#isUnlucky(spec.armed / 2)) die()
    if (this.isDead) return
    try {
      this.#call('begin', () => {
        this.#parts.memory.begin(starts)
        this.#parts.truth.begin(starts)
      })
    } catch (error) {
      this.#parts.truth.lose(starts)
      throw error
    }
    if (this.#isUnlucky(spec.armed / 2)) die()
  }

  load(): Iterable<StoredCommand> {
    return this.#call('load', () => this.#read([], ({ memory }) => memory.load()))
  }

  coldCounts(): readonly ColdCount[] {
    return this.#call('coldCounts', () => this.#read([], ({ memory }) => memory.coldCounts()))
  }

  page(which: ColdPage): readonly StoredCommand[] {
    return this.#call('page', () => this.#read([], ({ memory }) => memory.page(which)))
  }

  find(which: number | string): StoredCommand | undefined {
    return this.#call('find', () => this.#read(undefined, ({ memory }) => memory.find(which)))
  }

  list(query: StoredQuery): readonly StoredCommand[] {
    return this.#call('list', () => this.#read([], ({ memory }) => memory.list(query)))
  }

  letters(): Iterable<StoredLetter> {
    return this.#call('letters', () => this.#read([], ({ memory }) => memory.letters()))
  }

  async close(): Promise<void> {
    if (this.isDead) return never()
    const mode = this.#planted('close')
    if (mode === 'fails' || mode === 'from-then-on') throw this.#parts.calls.error()
    if (mode === 'hangs') await this.#hang()
    this.release()
    await this.#last
    await this.#parts.memory.close()
    if (mode === 'done-then-fails') throw this.#parts.calls.error()
  }

  /** The process has died: what is committed is what is left. */
  lose(): MemoryStorage {
    this.isDead = true
    return this.#parts.memory.crash()
  }

  /** What hangs goes on. */
  release(): void {
    for (const wake of this.#hanging) wake()
    this.#hanging.clear()
  }

  async #writeLater(batch: readonly StorageChange[], mode: StorageFaultMode | undefined): Promise<void> {
    const { spec, draw, sleep, isQuiet } = this.#parts
    if (mode === 'hangs' || this.#isUnlucky(spec.hanging)) await this.#hang()
    if (!isQuiet() && spec.writeMs > 0) await sleep(draw.exponential(spec.writeMs * 8) / 8)
    if (this.isDead) return never()
    if (this.isBroken) {
      this.#parts.truth.loseBatch(batch)
      throw broken()
    }
    this.#commit(batch, mode)
    if (this.isDead) return never()
  }

  #hang(): Promise<void> {
    const released = new Promise<void>((resolve) => this.#hanging.add(resolve))
    return Promise.race([this.#parts.sleep(HANG_MS), released])
  }

  #commit(batch: readonly StorageChange[], mode: StorageFaultMode | undefined): void {
    const { memory, truth, spec, die, now, calls } = this.#parts
    if (this.#isUnlucky(spec.armed)) die()
    if (this.isDead) return
    const { failedAt } = this
    this.failedAt = now()
    if (this.#isUnlucky(spec.breaking)) {
      this.isBroken = true
      truth.loseBatch(batch)
      throw broken()
    }
    if (mode === 'fails' || mode === 'from-then-on') {
      truth.loseBatch(batch)
      throw calls.error()
    }
    if (this.#isUnlucky(spec.failing)) {
      truth.loseBatch(batch)
      throw new Error('the disk is full')
    }
    void memory.write(batch)
    truth.commit(batch)
    if (this.#isUnlucky(spec.armed)) die()
    if (mode === 'done-then-fails') throw calls.error()
    if (!this.isDead && this.#isUnlucky(spec.unknown)) throw new Error('the answer was lost')
    this.failedAt = failedAt
  }

  /** A call that is answered at once. */
  #call<T>(call: StorageCall, perform: () => T): T {
    const mode = this.#planted(call)
    if (mode === 'fails' || mode === 'from-then-on') throw this.#parts.calls.error()
    const answer = perform()
    if (mode === 'done-then-fails') throw this.#parts.calls.error()
    return answer
  }

  #read<T>(nothing: T, read: (parts: DiskParts) => T): T {
    return this.isDead ? nothing : read(this.#parts)
  }

  /** What fails from now on does so until the quiet phase. */
  #planted(call: StorageCall): StorageFaultMode | undefined {
    if (this.isDead || this.#parts.isQuiet()) return undefined
    return this.#parts.calls.next(call)
  }

  #isUnlucky(share: number): boolean {
    return share > 0 && !this.#parts.isQuiet() && this.#parts.draw.chance(share)
  }
}

const broken = (): LaneError => new LaneError('STORAGE_FAILED', 'the disk is broken', { retryable: false })
