/** A lane of a `MemoryBroker`: who waits in it, who runs, and whether another may start. */
import { type EngineCommand, type EngineLane, type EngineLaneCounts, LaneError } from '../core/index.js'
import { type Cost, RateGate, RateLimitConfig, type RateLimitFields, RateLimitGroup } from '../policy/index.js'
import { goesFirst, isDueFirst, type KeptCommand, SortedCommands } from './memory-engine-command.js'

/** Why nothing may start in a lane, and until when where that is known: an instant of the broker's clock. */
export type Refusal = { readonly why: 'empty' | 'full' | 'paused' | 'rate_limited'; readonly until: number | undefined }

/** What a lane asks of its broker. */
export type LaneSurroundings = {
  readonly group: (name: string) => RateLimitGroup
  /** The lane may start something again. */
  readonly wake: (lane: SharedLane) => void
}

export class SharedLane {
  settings: EngineLane
  isPaused = false
  readonly active = new Set<KeptCommand>()
  readonly #pending = new SortedCommands(goesFirst)
  readonly #delayed = new SortedCommands(isDueFirst)
  /** Those that wait for the owner of their dedupe id. */
  readonly #followers = new Set<KeptCommand>()
  readonly #gate: RateGate

  constructor(settings: EngineLane, { group, wake }: LaneSurroundings) {
    this.settings = settings
    this.#gate = new RateGate({
      limits: limitsOf(settings),
      group,
      member: {
        order: () => this.settings.priority,
        isWaiting: () => this.mayStart,
        wake: () => wake(this),
      },
    })
  }

  get id(): string {
    return this.settings.laneId
  }

  /** All that wait, whatever for. */
  get waiting(): number {
    return this.#pending.size + this.#delayed.size + this.#followers.size
  }

  /** Whether something could start if its rate allows it. */
  get mayStart(): boolean {
    return !this.isPaused && this.#pending.size > 0 && this.active.size < this.settings.maxConcurrency
  }

  /** When the next delayed command is due; Infinity when there is none. */
  get nextDueAt(): number {
    return this.#delayed.first?.dueAt ?? Number.POSITIVE_INFINITY
  }

  /** Other settings from now on. `CONFIG_INVALID` changes nothing. */
  configure(settings: EngineLane, now: number): void {
    this.#gate.configure(limitsOf(settings), now)
    this.settings = settings
  }

  /** `CONFLICT` when somebody opens the lane with other settings than it has. */
  checkSame(settings: EngineLane): void {
    const [here, there] = [settingTexts(this.settings), settingTexts(settings)]
    const different = Object.keys(here).filter((name) => here[name] !== there[name])
    if (different.length === 0) return
    const list = different.map((name) => `${name} ${here[name]}, not ${there[name]}`).join('; ')
    throw new LaneError('CONFLICT', `Lane '${this.id}' is shared with other limits: ${list}`, {
      fields: { laneId: this.id, different },
    })
  }

  hold(until: number): void {
    this.#gate.closeUntil(until)
  }

  /** A command begins to wait, for its time if that has not come. */
  enter(kept: KeptCommand, now: number): void {
    if (kept.dueAt !== undefined && kept.dueAt > now) {
      kept.state = 'delayed'
      this.#delayed.add(kept)
      return
    }
    kept.dueAt = undefined
    kept.state = 'pending'
    this.#pending.add(kept)
  }

  /** A command waits until the owner of its dedupe id has settled. */
  follow(kept: KeptCommand): void {
    kept.state = 'delayed'
    this.#followers.add(kept)
  }

  /** The owner of its dedupe id has settled. */
  unfollow(kept: KeptCommand, now: number): void {
    if (this.#followers.delete(kept)) this.enter(kept, now)
  }

  /** A waiting command waits no more. */
  leave(kept: KeptCommand): void {
    if (this.#followers.delete(kept)) return
    if (!this.#delayed.remove(kept)) this.#pending.remove(kept)
  }

  /** Those whose time has come wait to be started; gives whether there were any. */
  promote(now: number): boolean {
    let hasAny = false
    for (let kept = this.#delayed.first; kept !== undefined && this.nextDueAt <= now; kept = this.#delayed.first) {
      this.#delayed.remove(kept)
      this.enter(kept, now)
      hasAny = true
    }
    return hasAny
  }

  /** Why nothing may start now; undefined when something may. */
  refusal(now: number): Refusal | undefined {
    const { first } = this.#pending
    if (this.isPaused || first === undefined || !this.mayStart) {
      this.#gate.passOver(now)
      if (this.isPaused) return { why: 'paused', until: undefined }
      if (first !== undefined) return { why: 'full', until: undefined }
      this.#gate.withdraw(now)
      return { why: 'empty', until: finite(this.nextDueAt) }
    }
    const readyAt = this.#gate.readyAt({ cost: first.cost }, now)
    return readyAt <= now ? undefined : { why: 'rate_limited', until: finite(readyAt) }
  }

  /** Starts the next command. Only when there is no refusal. */
  take(now: number): KeptCommand {
    const kept = this.#pending.first as KeptCommand
    this.#pending.remove(kept)
    this.#gate.started({ cost: kept.cost }, now)
    this.active.add(kept)
    kept.state = 'active'
    kept.isReleased = false
    return kept
  }

  /** What was taken for an attempt at an instant turns out to be another cost. */
  settle(before: Cost | undefined, after: Cost, takenAt: number, now: number): void {
    this.#gate.settle(before, after, takenAt, now)
  }

  counts(letters: number): EngineLaneCounts {
    let first: EngineCommand | undefined
    for (const line of [this.#pending.items(), this.#delayed.items(), this.#followers]) {
      for (const { command } of line) if (deadlineOf(command) < deadlineOf(first)) first = command
    }
    return {
      laneId: this.id,
      pending: this.#pending.size,
      active: this.active.size,
      delayed: this.#delayed.size + this.#followers.size,
      letters,
      paused: this.isPaused,
      deadlineAt: first?.deadlineAt,
      deadlineMs: first === undefined ? undefined : deadlineOf(first) - first.createdAt,
    }
  }
}

const limitsOf = ({ rateLimits }: EngineLane): RateLimitConfig[] =>
  rateLimits.map((fields) => RateLimitConfig.from(fields))

const deadlineOf = (command: EngineCommand | undefined): number => command?.deadlineAt ?? Number.POSITIVE_INFINITY

const finite = (at: number): number | undefined => (at < Number.POSITIVE_INFINITY ? at : undefined)

/** What two openers of a lane have to agree on, in words. */
function settingTexts({ priority, maxConcurrency, capacity, rateLimits }: EngineLane): Record<string, string> {
  return {
    priority: String(priority),
    maxConcurrency: String(maxConcurrency),
    capacity: String(capacity),
    rateLimits: `[${rateLimits.map(limitText).join(', ')}]`,
  }
}

function limitText(fields: RateLimitFields): string {
  const { maxCommands, windowMs, algorithm, burst, unit = 'commands', group } = RateLimitConfig.from(fields)
  const shared = group instanceof RateLimitGroup ? group.name : group
  const bursts = burst === maxCommands ? '' : ` burst ${burst}`
  return `${algorithm} ${maxCommands} ${unit} per ${windowMs} ms${bursts}${shared === undefined ? '' : ` of ${shared}`}`
}
