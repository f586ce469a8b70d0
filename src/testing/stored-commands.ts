/**
 * The commands of a storage in memory: which of them are hot, cold and settled, and in which order they are read. What
 * is written is kept in objects that nobody else has, and what is given back is a copy. `list` and `coldCounts` look at
 * all of them: it is for tests.
 */
import type {
  ColdCount,
  ColdPage,
  StorageChange,
  StorageUse,
  StoredCommand,
  StoredProgress,
  StoredQuery,
} from '../core/index.js'
import { ColdCommands } from './cold-commands.js'

/** A change of a command. */
export type CommandChange = Exclude<StorageChange, { readonly kind: 'bury' | 'unbury' }>
type Settled = StoredCommand & { readonly keepUntil: number | undefined }

export class StoredCommands {
  readonly #hot = new Map<number, StoredCommand>()
  readonly #cold = new ColdCommands()
  /** In the order in which they have settled. */
  readonly #settled = new Map<number, Settled>()
  /** Number of the newest command of each id that a submitter chose. */
  readonly #byId = new Map<string, number>()

  copyFrom(other: StoredCommands): void {
    for (const [seq, command] of other.#hot) this.#hot.set(seq, command)
    for (const command of other.#cold.values()) this.#cold.add(command)
    for (const [seq, command] of other.#settled) this.#settled.set(seq, command)
    for (const [id, seq] of other.#byId) this.#byId.set(id, seq)
  }

  apply(change: CommandChange): void {
    if (change.kind === 'submit') this.#submit(change)
    else if (change.kind === 'update') this.#progress(change.seq, change)
    else if (change.kind === 'settle') this.#settle(change)
    else if (change.kind === 'cool') this.#cool(change.seq)
    else this.#withdraw(change.seq)
  }

  /** An attempt has begun: it counts unless more is known of its command already. */
  begun(seq: number, attempt: number): void {
    const command = this.#unsettled(seq)
    if (command === undefined || command.attempt >= attempt) return
    this.#progress(seq, { ...command, state: 'active', attempt })
  }

  /** Drops settled commands beyond those that are to be kept. */
  forget({ count, ageMs }: StorageUse['retention'], now: number): void {
    let surplus = this.#settled.size - count
    for (const [seq, { id, endedAt, keepUntil }] of this.#settled) {
      const isOld = now - (endedAt as number) > ageMs
      if (surplus <= 0 && !isOld) return
      surplus--
      if (keepUntil !== undefined && keepUntil > now) continue
      this.#settled.delete(seq)
      this.#freeId(id, seq)
    }
  }

  load(now: number): StoredCommand[] {
    const kept = [...this.#settled.values()].filter(({ keepUntil }) => keepUntil !== undefined && keepUntil > now)
    return [...this.#hot.values(), ...kept].map(plain).sort(bySeq)
  }

  coldCounts(): ColdCount[] {
    const lanes = new Map<string, Map<string | undefined, number>>()
    for (const { laneId, key } of this.#cold.values()) {
      const keys = lanes.get(laneId) ?? new Map<string | undefined, number>()
      lanes.set(laneId, keys.set(key, (keys.get(key) ?? 0) + 1))
    }
    return [...lanes].flatMap(([laneId, keys]) => [...keys].map(([key, count]) => ({ laneId, key, count })))
  }

  page(which: ColdPage): StoredCommand[] {
    return this.#cold.page(which).map(plain)
  }

  find(which: number | string): StoredCommand | undefined {
    const seq = typeof which === 'number' ? which : this.#byId.get(which)
    const command = seq === undefined ? undefined : (this.#unsettled(seq) ?? this.#settled.get(seq))
    return command === undefined ? undefined : plain(command)
  }

  list({ laneId, state, fromSeq, limit }: StoredQuery): StoredCommand[] {
    return [...this.#hot.values(), ...this.#cold.values(), ...this.#settled.values()]
      .filter((command) => command.seq >= fromSeq)
      .filter((command) => laneId === undefined || command.laneId === laneId)
      .filter((command) => state === undefined || command.state === state)
      .sort(bySeq)
      .slice(0, limit)
      .map(plain)
  }

  #submit({ command, isCold }: Extract<CommandChange, { readonly kind: 'submit' }>): void {
    const { seq, id } = command
    const stored = { ...command, endedAt: undefined, result: undefined, error: undefined }
    if (isCold) this.#cold.add(stored)
    else this.#hot.set(seq, stored)
    if (id !== undefined) this.#byId.set(id, seq)
  }

  #progress(seq: number, progress: StoredProgress): void {
    const command = this.#unsettled(seq)
    if (command === undefined) return
    const { state, attempt, dueAt, checkpoint, details } = progress
    this.#cold.delete(seq)
    this.#hot.set(seq, { ...command, state, attempt, dueAt, checkpoint, details })
  }

  #settle({ kind: _, ...outcome }: Extract<CommandChange, { readonly kind: 'settle' }>): void {
    const command = this.#unsettled(outcome.seq)
    if (command === undefined) return
    this.#hot.delete(outcome.seq)
    this.#cold.delete(outcome.seq)
    this.#settled.set(outcome.seq, { ...command, ...outcome, dueAt: undefined })
  }

  #cool(seq: number): void {
    const command = this.#hot.get(seq)
    if (command === undefined) return
    this.#hot.delete(seq)
    this.#cold.add(command)
  }

  #withdraw(seq: number): void {
    this.#freeId(this.#unsettled(seq)?.id, seq)
    this.#hot.delete(seq)
    this.#cold.delete(seq)
  }

  #freeId(id: string | undefined, seq: number): void {
    if (id !== undefined && this.#byId.get(id) === seq) this.#byId.delete(id)
  }

  #unsettled(seq: number): StoredCommand | undefined {
    return this.#hot.get(seq) ?? this.#cold.get(seq)
  }
}

const bySeq = (a: StoredCommand, b: StoredCommand): number => a.seq - b.seq

/** A copy, without what only the storage has to know. */
function plain(command: StoredCommand | Settled): StoredCommand {
  const { keepUntil: _, ...rest } = command as Settled
  return rest
}
