/** A command as a `MemoryBroker` keeps it, and the order in which such commands stand. */
import type {
  CommandState,
  EngineCommand,
  EngineOutcome,
  EngineProgress,
  EngineRecord,
  FinalState,
  Lease,
} from '../core/index.js'
import type { Cost } from '../policy/index.js'
import type { Mailbox } from './memory-engine-mail.js'

/** The lease on a command, and whose it is. */
export type HeldLease = {
  readonly lease: Lease
  readonly holder: Mailbox
  readonly leaseMs: number
  /** When the lane's limits took what it costs: an instant of the broker's clock. */
  readonly takenAt: number
  expiresAt: number
  /** The last charge that was taken, and what it says. */
  charged: { readonly number: number; readonly cost: Cost } | undefined
}

/** What is known of a command when it has its outcome. */
export type Settlement = {
  readonly state: FinalState
  readonly result?: string | undefined
  readonly error?: string | undefined
}

const NO_PROGRESS: EngineProgress = { attempt: 0, checkpoint: undefined, details: undefined }

export class KeptCommand {
  readonly command: EngineCommand
  readonly cost: Cost | undefined
  /** Its place among those of its priority. */
  readonly seq: number
  state: CommandState = 'pending'
  progress: EngineProgress = NO_PROGRESS
  /** It was given back by its worker: it goes before all others of its lane. */
  isReleased = false
  recoveries = 0
  isRecovered = false
  /** Not before this instant of the broker's clock. */
  dueAt: number | undefined
  held: HeldLease | undefined
  cancelled: { readonly reason: string } | undefined
  startedAt: number | undefined
  endedAt: number | undefined
  outcome: EngineOutcome | undefined
  lastProgress: string | undefined
  /** The `instanceId` of everybody who waits for its outcome: its submitter, and those of its duplicates. */
  readonly awaitedBy = new Set<string>()

  constructor(command: EngineCommand, seq: number) {
    this.command = { ...command }
    this.cost = command.cost === undefined ? undefined : (JSON.parse(command.cost) as Cost)
    this.seq = seq
    if (command.replyTo !== undefined) this.awaitedBy.add(command.replyTo)
  }

  /** Whether a worker has begun with it: then another with its dedupe id cannot take its place any more. */
  get hasStarted(): boolean {
    return this.state === 'active' || this.progress.attempt > 0 || this.recoveries > 0
  }

  settle({ state, result, error }: Settlement, endedAt: number): EngineOutcome {
    const { id, laneId } = this.command
    this.state = state
    this.endedAt = endedAt
    this.dueAt = undefined
    this.outcome = { id, laneId, state, result, error }
    return this.outcome
  }

  /** As others see it. `wallOf` turns an instant of the broker's clock into one of the wall clock. */
  record(wallOf: (at: number) => number): EngineRecord {
    const { state, dueAt } = this
    return {
      command: { ...this.command },
      state,
      progress: { ...this.progress },
      startedAt: this.startedAt,
      endedAt: this.endedAt,
      dueAt: state === 'delayed' && dueAt !== undefined ? wallOf(dueAt) : undefined,
      outcome: this.outcome,
      lastProgress: this.lastProgress,
    }
  }
}

/** What was given back goes first, then priority, then arrival. */
export function goesFirst(a: KeptCommand, b: KeptCommand): boolean {
  if (a.isReleased !== b.isReleased) return a.isReleased
  if (a.command.priority !== b.command.priority) return a.command.priority < b.command.priority
  return a.seq < b.seq
}

export function isDueFirst(a: KeptCommand, b: KeptCommand): boolean {
  const [dueA = 0, dueB = 0] = [a.dueAt, b.dueAt]
  return dueA === dueB ? a.seq < b.seq : dueA < dueB
}

/** Commands in an order that is not changed while they stand in it. */
export class SortedCommands {
  readonly #items: KeptCommand[] = []
  readonly #before: (a: KeptCommand, b: KeptCommand) => boolean

  constructor(before: (a: KeptCommand, b: KeptCommand) => boolean) {
    this.#before = before
  }

  get size(): number {
    return this.#items.length
  }

  get first(): KeptCommand | undefined {
    return this.#items[0]
  }

  items(): readonly KeptCommand[] {
    return this.#items
  }

  add(kept: KeptCommand): void {
    this.#items.splice(this.#placeOf(kept), 0, kept)
  }

  remove(kept: KeptCommand): boolean {
    const place = this.#placeOf(kept)
    if (this.#items[place] !== kept) return false
    if (place === 0) this.#items.shift()
    else this.#items.splice(place, 1)
    return true
  }

  /** How many go before it. */
  #placeOf(kept: KeptCommand): number {
    let [low, high] = [0, this.#items.length]
    // most come last
    const last = this.#items[high - 1]
    if (last !== undefined && this.#before(last, kept)) return high
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.#before(this.#items[middle] as KeptCommand, kept)) low = middle + 1
      else high = middle
    }
    return low
  }
}
