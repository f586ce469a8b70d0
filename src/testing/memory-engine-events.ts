/**
 * What happens in the lanes of a `MemoryBroker`, as its engines tell it. An event goes the way of every message: a microtask
 * or the broker's latency. An engine that is cut off gets what it has missed when it is mended, as one that reads a log.
 */
import type { Clock, EngineEvent, EngineListening, EngineOutcome, LeaseEnd } from '../core/index.js'
import type { KeptCommand } from './memory-engine-command.js'
import type { Mailbox } from './memory-engine-mail.js'

/** Events that wait for an engine that is cut off; the oldest are lost first, as those of a log are. */
const MOST_KEPT = 10_000

/** A way to one who listens. */
export type EventPath = {
  readonly owner: Mailbox
  /** Those of other lanes are not told. */
  readonly laneIds: ReadonlySet<string>
  readonly latencyMs: number
  readonly isUp: () => boolean
  readonly onEvent: (event: EngineEvent) => void
}

type Without<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never
/** What an event says beside where, when and of which command. */
type Said = Without<Extract<EngineEvent, { readonly id: string }>, 'laneId' | 'at' | 'id'>

/** Where a broker says what happens. */
export class MemoryEvents {
  readonly #clock: Clock
  readonly #listeners = new Set<Listener>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  listen(path: EventPath): EngineListening {
    const listener = new Listener(this.#clock, path)
    this.#listeners.add(listener)
    return { close: async () => this.#end(listener) }
  }

  /** An engine has ended. */
  leave(owner: Mailbox): void {
    for (const listener of this.#listeners) if (listener.path.owner === owner) this.#end(listener)
  }

  #end(listener: Listener): void {
    listener.isClosed = true
    this.#listeners.delete(listener)
  }

  /** An engine is mended: what waits for it is delivered. */
  deliver(): void {
    for (const listener of this.#listeners) listener.send()
  }

  added(kept: KeptCommand): void {
    this.#ofCommand(kept, { kind: 'added' })
    if (kept.dueAt === undefined) return
    const delayMs = Math.max(0, kept.dueAt - this.#clock.now())
    this.#ofCommand(kept, { kind: 'delayed', delayMs, cause: undefined })
  }

  /** What is claimed to be ended as cancelled does not start. */
  claimed(kept: KeptCommand): void {
    if (kept.cancelled !== undefined) return
    this.#ofCommand(kept, { kind: 'started', commandType: kept.command.commandType })
  }

  putOff(kept: KeptCommand, { delayMs, cause }: Extract<LeaseEnd, { kind: 'delay' }>): void {
    this.#ofCommand(kept, { kind: 'delayed', delayMs, cause })
  }

  recovered(kept: KeptCommand): void {
    this.#ofCommand(kept, { kind: 'recovered' })
  }

  reported(kept: KeptCommand, value: string): void {
    this.#ofCommand(kept, { kind: 'reported', value })
  }

  settled(kept: KeptCommand, { state, error }: EngineOutcome, hasLetter: boolean): void {
    this.#ofCommand(kept, { kind: 'settled', state, error, commandType: kept.command.commandType, hasLetter })
  }

  paused(laneId: string, isPaused: boolean): void {
    this.#tell({ kind: isPaused ? 'paused' : 'resumed', laneId, at: this.#clock.wallNow() })
  }

  #ofCommand({ command: { id, laneId } }: KeptCommand, said: Said): void {
    if (this.#listeners.size > 0) this.#tell({ ...said, id, laneId, at: this.#clock.wallNow() })
  }

  #tell(event: EngineEvent): void {
    for (const listener of this.#listeners) listener.take(event)
  }
}

class Listener {
  isClosed = false
  readonly path: EventPath
  readonly #clock: Clock
  #line: EngineEvent[] = []
  #missed = 0
  #isUnderWay = false

  constructor(clock: Clock, path: EventPath) {
    this.#clock = clock
    this.path = path
  }

  take(event: EngineEvent): void {
    if (!this.path.laneIds.has(event.laneId)) return
    if (this.#line.length === MOST_KEPT) {
      this.#line.shift()
      this.#missed++
    }
    this.#line.push(event)
    this.send()
  }

  send(): void {
    if (this.#isUnderWay || this.#line.length === 0) return
    this.#isUnderWay = true
    const { latencyMs } = this.path
    if (latencyMs > 0) this.#clock.setTimer(latencyMs, () => this.#deliver())
    else queueMicrotask(() => this.#deliver())
  }

  #deliver(): void {
    this.#isUnderWay = false
    const { isUp, onEvent } = this.path
    if (this.isClosed || !isUp()) return
    const [line, missed] = [this.#line, this.#missed]
    this.#line = []
    this.#missed = 0
    const [first] = line
    if (missed > 0 && first !== undefined)
      onEvent({ kind: 'missed', laneId: first.laneId, at: first.at, count: missed })
    for (const event of line) if (!this.isClosed) onEvent(event)
  }
}
