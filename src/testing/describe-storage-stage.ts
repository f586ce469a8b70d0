/**
 * What one case of `describeStorage` works with: a storage that is opened, used and lost as a queue would, a wall clock
 * that only the case moves, commands to write, and its own assertions, so that the suite runs under any test runner.
 */
import {
  isLaneError,
  type Storage,
  type StorageChange,
  type StorageHead,
  type StorageUse,
  type StoredCommand,
  type StoredLetter,
  type StoredOutcome,
  type StoredProgress,
  type StoredSubmit,
} from '../core/index.js'

/** A storage that `describeStorage` tries: how it is opened again, lost, and tidied away. */
export type StorageUnderTest = {
  /** New and empty: no queue has used it. */
  readonly storage: Storage
  /**
   * Closes the storage that was opened last, and opens what it has written again. Left out by one that ends with its process:
   * a case is over where it would be opened again.
   */
  reopen?(): Promise<Storage>
  /**
   * Ends the storage that was opened last as the death of its process would, without a close, and opens what is left. Where
   * that cannot be done in a test, leave it out: `reopen` stands in for it, and the promises about crashes are not tried.
   */
  crash?(): Promise<Storage>
  /** Lets the next write fail, so that nothing of it is written. Left out: failed writes are not tried. */
  failNextWrite?(): void
  /** Removes whatever the case has left behind. Told once, at the end, also when the case has failed. */
  dispose?(): Promise<void>
}

/** One promise of a storage, in a sentence, and what tries it. */
export type StorageCase = readonly [promise: string, attempt: (stage: StorageStage) => Promise<void> | void]

/** A day: what nothing in a case outlives unless it says so. */
const DAY_MS = 24 * 3_600_000

/** Thrown where a case cannot go on, and what it has seen is right. */
export const over = new Error('the storage ends with its process')

export class StorageStage {
  /** The wall clock of the case. */
  now = Date.UTC(2026, 0, 1)
  retention: { count: number; ageMs: number } = { count: 1_000_000, ageMs: DAY_MS }
  head: StorageHead = { idPrefix: '', nextSeq: 0 }
  storage: Storage
  readonly faults: unknown[] = []
  readonly #subject: StorageUnderTest

  constructor(subject: StorageUnderTest) {
    this.#subject = subject
    this.storage = subject.storage
  }

  /** A queue begins to use the storage. */
  attach(idPrefix = 'first-'): StorageHead {
    this.head = this.storage.attach(this.use(idPrefix))
    return this.head
  }

  use(idPrefix = 'first-'): StorageUse {
    return {
      idPrefix,
      retention: { ...this.retention },
      now: () => this.now,
      onFault: (error) => void this.faults.push(error),
    }
  }

  /** The queue and its storage end as they should, and another queue goes on. */
  async reopen(idPrefix?: string): Promise<void> {
    const subject = this.#subject
    if (subject.reopen === undefined) throw over
    this.storage = await subject.reopen()
    this.attach(idPrefix)
  }

  /** The process dies, and another goes on. */
  async crash(idPrefix?: string): Promise<void> {
    const subject = this.#subject
    if (subject.crash === undefined) return this.reopen(idPrefix)
    this.storage = await subject.crash()
    this.attach(idPrefix)
  }

  /** Whether writes can be made to fail; the next one does. */
  failNextWrite(): boolean {
    this.#subject.failNextWrite?.()
    return this.#subject.failNextWrite !== undefined
  }

  async write(...batch: StorageChange[]): Promise<void> {
    await this.storage.write(batch)
  }

  /** Numbers of the commands that `load` gives, in its order. */
  loaded(): number[] {
    return [...this.storage.load()].map(({ seq }) => seq)
  }

  find(which: number | string): StoredCommand {
    return present(this.storage.find(which), `the command ${String(which)}`)
  }

  /** Numbers of all commands that `list` gives. */
  listed(): number[] {
    return this.storage.list({ laneId: undefined, state: undefined, fromSeq: 0, limit: 10_000 }).map(({ seq }) => seq)
  }

  letters(): StoredLetter[] {
    return [...this.storage.letters()]
  }

  /** Writes as much as a queue would while it settles some other commands: when old ones may be forgotten. */
  async settleOthers(count: number, seq: number): Promise<void> {
    for (let n = seq; n < seq + count; n++) await this.write(submit({ seq: n }), settle(n, { endedAt: this.now }))
  }
}

/** The submit of a command, with what is not said as most have it. */
export function submit(
  command: Partial<StoredSubmit & StoredProgress> & { readonly seq: number },
  isCold = false,
): Extract<StorageChange, { readonly kind: 'submit' }> {
  return {
    kind: 'submit',
    command: {
      id: undefined,
      laneId: 'lane',
      commandType: 'type',
      payload: '{"a":1}',
      priority: 1000,
      key: undefined,
      createdAt: Date.UTC(2026, 0, 1),
      options: undefined,
      state: 'pending',
      attempt: 0,
      dueAt: undefined,
      checkpoint: undefined,
      details: undefined,
      ...command,
    },
    isCold,
  }
}

export const cold = (command: Parameters<typeof submit>[0]): StorageChange => submit(command, true)

export const update = (seq: number, progress: Partial<StoredProgress> = {}): StorageChange => ({
  kind: 'update',
  seq,
  state: 'pending',
  attempt: 0,
  dueAt: undefined,
  checkpoint: undefined,
  details: undefined,
  ...progress,
})

export const cool = (seq: number): StorageChange => ({ kind: 'cool', seq })

export const withdraw = (seq: number): StorageChange => ({ kind: 'withdraw', seq })

export const settle = (seq: number, outcome: Partial<StoredOutcome> = {}): StorageChange => ({
  kind: 'settle',
  seq,
  state: 'completed',
  attempt: 1,
  endedAt: Date.UTC(2026, 0, 1),
  result: '1',
  error: undefined,
  details: undefined,
  keepUntil: undefined,
  ...outcome,
})

export const bury = (seq: number, letter = `{"of":${seq}}`, failedAt = Date.UTC(2026, 0, 1)): StorageChange => ({
  kind: 'bury',
  letter: { seq, failedAt, letter },
})

export const unbury = (seq: number): StorageChange => ({ kind: 'unbury', seq })

/** Fails unless both say the same; what is undefined may be left out. */
export function same(got: unknown, expected: unknown, what: string): void {
  const [a, b] = [shown(got), shown(expected)]
  if (a !== b) throw new Error(`${what}: got ${clip(a)}, expected ${clip(b)}`)
}

export function holds(condition: boolean, what: string): asserts condition {
  if (!condition) throw new Error(what)
}

export function present<T>(value: T | undefined, what: string): T {
  if (value === undefined) throw new Error(`${what} is not there`)
  return value
}

/** Fails unless the call throws, or its promise rejects, with a `LaneError` of this code. */
export async function refuses(call: () => unknown, code: string, what: string): Promise<void> {
  try {
    await call()
  } catch (error) {
    same(isLaneError(error) ? error.code : String(error), code, what)
    return
  }
  throw new Error(`${what}: it was done, expected ${code}`)
}

/** A value as text, its keys in order: equal values have equal texts. */
const shown = (value: unknown): string =>
  JSON.stringify(value, (_, inner: unknown) =>
    typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  ) ?? 'undefined'

const clip = (text: string): string => (text.length > 600 ? `${text.slice(0, 300)} … ${text.slice(-300)}` : text)
