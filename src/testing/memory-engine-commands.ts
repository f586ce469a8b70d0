/**
 * All commands of a `MemoryBroker` by id: which of them a new one is a duplicate of, what is kept of those that have
 * settled, and the dead letters.
 */
import {
  type AddAnswer,
  type Clock,
  cancelledError,
  type EngineCommand,
  type EngineLetter,
  type EngineOutcome,
  LaneError,
  sameData,
} from '../core/index.js'
import { DedupeTable } from '../policy/index.js'
import { KeptCommand, type Settlement } from './memory-engine-command.js'

/** What follows from an outcome, for whoever keeps the lanes. */
export type CommandEvents = {
  /** A waiting command is cancelled: it waits no more. */
  readonly onCancelled: (kept: KeptCommand) => void
  readonly onSettled: (kept: KeptCommand, outcome: EngineOutcome, hasLetter: boolean) => void
  /** The owner of its dedupe id has settled: it may run. */
  readonly onUnfollowed: (kept: KeptCommand) => void
}

/** Where a new command stands among those with its dedupe id. */
export type Standing = { readonly replaces?: KeptCommand; readonly follows?: KeptCommand }

export class KeptCommands {
  readonly #clock: Clock
  readonly #retention: number
  readonly #events: CommandEvents
  readonly #byId = new Map<string, KeptCommand>()
  readonly #dedupe = new DedupeTable<KeptCommand>()
  /** In the order in which they have settled. */
  readonly #settled = new Set<KeptCommand>()
  readonly #letters = new Map<string, EngineLetter>()
  #nextSeq = 0

  constructor(clock: Clock, retention: number, events: CommandEvents) {
    this.#clock = clock
    this.#retention = retention
    this.#events = events
  }

  find(id: string): KeptCommand | undefined {
    return this.#byId.get(id)
  }

  /** In order of their arrival. */
  all(): Iterable<KeptCommand> {
    return this.#byId.values()
  }

  /** The answer to a command whose id is another's; undefined when it is nobody's. */
  answerById(command: EngineCommand): AddAnswer | undefined {
    const other = this.#byId.get(command.id)
    if (other === undefined) return undefined
    // An id that was made is one command's only: the answer to its submit was lost, and it is submitted again.
    if (!command.hasOwnId) return { kind: 'accepted' }
    if (saysSame(command, other.command)) return duplicateOf(other, command)
    const text = `The id '${command.id}' belongs to another command`
    return { kind: 'refused', error: new LaneError('CONFLICT', text, { fields: { commandId: command.id } }) }
  }

  /** The answer to a command that another one with its dedupe id keeps out, or where it stands. */
  stand(command: EngineCommand): AddAnswer | Standing {
    const { dedupe } = command
    const owner = dedupe === undefined ? undefined : this.#dedupe.ownerOf(dedupe.id, this.#clock.now())
    if (dedupe === undefined || owner === undefined) return {}
    const isReplaced = !owner.hasStarted && dedupe.mode !== 'drop'
    if (owner.outcome !== undefined || !(isReplaced || dedupe.mode === 'keep-last')) return duplicateOf(owner, command)
    return isReplaced ? { replaces: owner } : { follows: owner }
  }

  /** A command is accepted. What it replaces is cancelled. */
  add(command: EngineCommand, { replaces, follows }: Standing): KeptCommand {
    const kept = new KeptCommand(command, this.#nextSeq++)
    this.#byId.set(command.id, kept)
    const { dedupe } = command
    if (dedupe === undefined) return kept
    const expiresAt = dedupe.until === undefined ? undefined : this.instantOf(dedupe.until)
    let gone = replaces
    if (follows !== undefined) gone = this.#dedupe.remember(dedupe.id, kept, expiresAt)
    else if (replaces === undefined) this.#dedupe.claim(dedupe.id, kept, expiresAt)
    else this.#dedupe.replace(dedupe.id, kept)
    if (gone !== undefined) this.cancel(gone, `replaced by ${command.id}`)
    return kept
  }

  /** Of a command that waits. */
  cancel(kept: KeptCommand, reason: string): void {
    this.#events.onCancelled(kept)
    this.settle(kept, { state: 'cancelled', error: JSON.stringify(cancelledError(reason)) })
  }

  /** A command has its outcome: it is told, and whoever followed it may run. */
  settle(kept: KeptCommand, settlement: Settlement, letter?: string): void {
    const { id, laneId, dedupe } = kept.command
    const outcome = kept.settle(settlement, this.#clock.wallNow())
    if (letter !== undefined) this.#bury({ id, laneId, letter })
    this.#events.onSettled(kept, outcome, letter !== undefined)
    this.#settled.add(kept)
    if (this.#settled.size > this.#retention) this.#forgetOldest()
    const next = dedupe === undefined ? undefined : this.#dedupe.settled(dedupe.id, kept, this.#clock.now())
    if (next !== undefined) this.#events.onUnfollowed(next)
  }

  /** Dead letters, oldest first. */
  letters(): Iterable<EngineLetter> {
    return this.#letters.values()
  }

  removeLetters(ids: readonly string[]): string[] {
    return ids.filter((id) => this.#letters.delete(id))
  }

  /** An instant of the wall clock as one of the broker's clock, which nobody sets. */
  instantOf(wall: number): number {
    return this.#clock.now() + wall - this.#clock.wallNow()
  }

  /** A letter that is buried again is the newest. */
  #bury(letter: EngineLetter): void {
    this.#letters.delete(letter.id)
    this.#letters.set(letter.id, letter)
  }

  #forgetOldest(): void {
    for (const oldest of this.#settled) {
      this.#settled.delete(oldest)
      this.#byId.delete(oldest.command.id)
      return
    }
  }
}

/** The other's outcome is the answer; who waits for it is told when it has one. */
function duplicateOf(other: KeptCommand, { replyTo }: EngineCommand): AddAnswer {
  const { outcome, command } = other
  const answer = { kind: 'duplicate', id: command.id, laneId: command.laneId } as const
  if (outcome !== undefined) return { ...answer, outcome }
  if (replyTo !== undefined) other.awaitedBy.add(replyTo)
  return answer
}

function saysSame(a: EngineCommand, b: EngineCommand): boolean {
  if (a.commandType !== b.commandType) return false
  if (a.payload === b.payload) return true
  return a.payload !== undefined && b.payload !== undefined && sameData(JSON.parse(a.payload), JSON.parse(b.payload))
}
