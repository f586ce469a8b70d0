/**
 * A storage around another one that lets a test in at the moments that matter: before and after each call, and before each
 * answer. A plan may kill the process there. Nothing of this is in the queue or in its storage.
 *
 * It can also be wrong on purpose, as a control: what it does then has to be found.
 */
import type {
  ColdCount,
  ColdPage,
  Storage,
  StorageChange,
  StorageHead,
  StorageUse,
  StoredCommand,
  StoredLetter,
  StoredQuery,
  StoredStart,
} from '@a3s-lab/lane'

/** The moments at which a process may be killed; those of bodies and readers are the program's own. */
export const POINTS = [
  'attached',
  'loading',
  'before write',
  'after write',
  'before answer',
  'before begin',
  'after begin',
  'paging',
  'body',
  'checkpointing',
  'checkpointed',
  'event',
  'settled',
] as const

export type Point = (typeof POINTS)[number]

/** The process is killed when it passes this point for the n-th time. */
export type Arm = { readonly point: Point; readonly n: number }

/** What may be wrong on purpose. */
const FAULTS = ['answers before it writes', 'drops a change', 'forgets what begins', 'forgets checkpoints'] as const
export type Fault = (typeof FAULTS)[number]

/** Counts passings and kills its process at the one that is armed. */
export class Points {
  readonly #arm: Arm | undefined
  #passed = 0

  constructor(arm: Arm | undefined) {
    this.#arm = arm
  }

  pass(point: Point): void {
    if (point === this.#arm?.point && ++this.#passed === this.#arm.n) process.kill(process.pid, 'SIGKILL')
  }
}

const LATE_MS = 20

export class ArmedStorage implements Storage {
  readonly #inner: Storage
  readonly #points: Points
  readonly #fault: Fault | undefined
  #late: Promise<unknown> = Promise.resolve()

  constructor(inner: Storage, points: Points, fault?: Fault) {
    this.#inner = inner
    this.#points = points
    this.#fault = fault
  }

  get writesAtOnce(): number {
    return this.#inner.writesAtOnce ?? 1
  }

  get maxPayloadBytes(): number {
    return this.#inner.maxPayloadBytes ?? Number.POSITIVE_INFINITY
  }

  attach(use: StorageUse): StorageHead {
    const head = this.#inner.attach(use)
    this.#points.pass('attached')
    return head
  }

  write(batch: readonly StorageChange[]): void | Promise<void> {
    this.#points.pass('before write')
    if (this.#fault === 'answers before it writes') return this.#writeLate(batch)
    const whole = this.#fault === 'drops a change' && batch.length > 2 ? batch.slice(0, -1) : batch
    const answer = this.#inner.write(whole)
    this.#points.pass('after write')
    if (answer === undefined) return this.#points.pass('before answer')
    return answer.then(() => this.#points.pass('before answer'))
  }

  begin(starts: readonly StoredStart[]): void {
    this.#points.pass('before begin')
    if (this.#fault !== 'forgets what begins') this.#inner.begin(starts)
    this.#points.pass('after begin')
  }

  *load(): Iterable<StoredCommand> {
    for (const command of this.#inner.load()) {
      this.#points.pass('loading')
      yield this.#fault === 'forgets checkpoints' ? { ...command, checkpoint: undefined } : command
    }
  }

  coldCounts(): readonly ColdCount[] {
    return this.#inner.coldCounts()
  }

  page(which: ColdPage): readonly StoredCommand[] {
    this.#points.pass('paging')
    return this.#inner.page(which)
  }

  find(which: number | string): StoredCommand | undefined {
    return this.#inner.find(which)
  }

  list(query: StoredQuery): readonly StoredCommand[] {
    return this.#inner.list(query)
  }

  letters(): Iterable<StoredLetter> {
    return this.#inner.letters()
  }

  async close(): Promise<void> {
    await this.#late
    await this.#inner.close()
  }

  /** In order, and some time after it has said that it was done. */
  #writeLate(batch: readonly StorageChange[]): void {
    this.#late = this.#late
      .then(() => new Promise((resolve) => setTimeout(resolve, LATE_MS)))
      .then(() => this.#inner.write(batch))
  }
}
