/**
 * What is really written, command by command, as nobody in the queue's process can know it: noted at the moment of each
 * commit, whatever the write is answered with. Everything that is promised is judged against it.
 */
import type { CommandState, FinalState, StorageChange, StoredStart } from '@a3s-lab/lane'

export type TrueCommand = {
  readonly seq: number
  readonly id: string
  readonly laneId: string
  readonly plan: number
  readonly redrivenFrom: string | undefined
  state: CommandState
  attempt: number
  /** Number of the attempt that has begun last, as it was marked. */
  marked: number
  final: { readonly state: FinalState; readonly attempt: number; readonly value: unknown } | undefined
  isWithdrawn: boolean
  /** The storage could not mark the start of some attempt: a crash may count one less. */
  hasLostMark: boolean
}

/** Digits of an id that the queue makes: two of them below this. */
const LOW = 36 * 36

export class Truth {
  readonly commands = new Map<number, TrueCommand>()
  readonly byId = new Map<string, TrueCommand>()
  /** Ids of the commands whose letters are kept, in order; and of all that were ever buried. */
  readonly letters: number[] = []
  readonly buried: number[] = []
  idPrefix = ''
  readonly #report: (invariant: string, text: string) => void

  constructor(report: (invariant: string, text: string) => void) {
    this.#report = report
  }

  commit(batch: readonly StorageChange[]): void {
    for (const change of batch) this.#apply(change)
  }

  begin(starts: readonly StoredStart[]): void {
    for (const { seq, attempt } of starts) {
      const command = this.commands.get(seq)
      if (command?.final !== undefined) this.#report('I9', `'${command.id}' began after its outcome was written`)
      else if (command === undefined) this.#report('I8', `number ${seq} began, and was never written`)
      else command.marked = attempt
    }
  }

  /** Starts that could not be marked. */
  lose(starts: readonly StoredStart[]): void {
    for (const { seq } of starts) {
      const command = this.commands.get(seq)
      if (command !== undefined) command.hasLostMark = true
    }
  }

  /** What could not be written: a resumed attempt has no mark, and goes on all the same. */
  loseBatch(batch: readonly StorageChange[]): void {
    for (const change of batch) {
      const command = change.kind === 'update' && change.state === 'active' ? this.commands.get(change.seq) : undefined
      if (command !== undefined) command.hasLostMark = true
    }
  }

  /** Commands whose attempt was under way, as far as anything says so, when the process ended. */
  interrupted(): TrueCommand[] {
    return this.unsettled().filter(({ state, marked, attempt }) => state === 'active' || marked > attempt)
  }

  /** Another process has taken over: what was marked is what is written. */
  takeOver(): void {
    for (const command of this.interrupted()) {
      command.state = 'active'
      command.attempt = Math.max(command.attempt, command.marked)
    }
  }

  unsettled(): TrueCommand[] {
    return [...this.commands.values()].filter(({ final, isWithdrawn }) => final === undefined && !isWithdrawn)
  }

  #apply(change: StorageChange): void {
    if (change.kind === 'submit') return this.#submit(change)
    if (change.kind === 'bury') return this.#bury(change.letter.seq)
    if (change.kind === 'unbury') return this.#unbury(change.seq)
    const command = this.commands.get(change.seq)
    if (command === undefined || command.final !== undefined || command.isWithdrawn || change.kind === 'cool') return
    if (change.kind === 'withdraw') {
      command.isWithdrawn = true
      return
    }
    command.state = change.state
    command.attempt = change.attempt
    if (change.kind === 'update') return
    const value: unknown = change.result === undefined ? undefined : JSON.parse(change.result)
    command.final = { state: change.state, attempt: change.attempt, value }
  }

  #submit({ command }: Extract<StorageChange, { readonly kind: 'submit' }>): void {
    const { seq, laneId, state, attempt } = command
    const id = command.id ?? this.#idOf(seq)
    if (this.commands.has(seq)) this.#report('I21', `number ${seq} was given twice`)
    const before = this.byId.get(id)
    if (before !== undefined && !before.isWithdrawn) this.#report('I21', `'${id}' was written twice`)
    const { plan } = JSON.parse(command.payload ?? '{}') as { readonly plan: number }
    const { redrivenFrom } = JSON.parse(command.options ?? '{}') as { readonly redrivenFrom?: string }
    const known = {
      seq,
      id,
      laneId,
      plan,
      redrivenFrom,
      state,
      attempt,
      marked: 0,
      final: undefined,
      isWithdrawn: false,
      hasLostMark: false,
    }
    this.commands.set(seq, known)
    this.byId.set(id, known)
  }

  #idOf(seq: number): string {
    const high = Math.floor(seq / LOW)
    return `${this.idPrefix}${high === 0 ? '' : high.toString(36)}${(seq % LOW).toString(36).padStart(2, '0')}`
  }

  #bury(seq: number): void {
    this.#unbury(seq)
    this.letters.push(seq)
    // one that is buried again, since its redrive was refused, is newer than those in between
    this.buried.push(seq)
  }

  #unbury(seq: number): void {
    const index = this.letters.indexOf(seq)
    if (index >= 0) this.letters.splice(index, 1)
  }
}
