/**
 * How urgent the waiting commands of one lane are, and so how far the lane is lifted. Nothing is polled: each change of
 * the answer is an alarm, set when it is known.
 *
 * Commands without a deadline of their own have the lane's, so the oldest of them is the most urgent and only its next step
 * needs an alarm. A command with its own deadline has an alarm of its own.
 */
import { boostAt, isAtLastStep, nextChange, PriorityBoostConfig } from '../policy/index.js'
import type { Alarm, Alarms } from './alarms.js'
import type { Entry } from './entry.js'
import { Heap } from './heap.js'

/** A waiting command with a deadline. */
export class Urgent {
  heapIndex = -1
  boost = 0
  isLate = false
  alarm: Alarm | undefined
  readonly entry: Entry
  /** Its number in the queue. */
  readonly seq: number
  readonly config: PriorityBoostConfig
  readonly deadlineMs: number

  constructor(entry: Entry, seq: number, config: PriorityBoostConfig, deadlineMs: number) {
    this.entry = entry
    this.seq = seq
    this.config = config
    this.deadlineMs = deadlineMs
  }

  /** Time left until its deadline. */
  remaining(now: number): number {
    return (this.entry.arrivedAt as number) + this.deadlineMs - now
  }
}

/** Who hears of changes. */
export type UrgencyHost = {
  readonly alarms: Alarms
  now(): number
  /** The lane is to be lifted by so much. */
  lift(by: number): void
  /** A command comes close to its deadline. */
  starving(urgent: Urgent): void
  /** No command is close to its deadline any more. */
  relieved(): void
}

export class Urgency {
  readonly #config: PriorityBoostConfig | undefined
  readonly #host: UrgencyHost
  /** Commands with the lane's deadline, oldest first. */
  readonly #common = new Heap<Urgent>((a, b) => a.seq < b.seq)
  /** Commands with a deadline of their own. */
  readonly #own = new Set<Urgent>()
  /** How many of those are boosted by how much. */
  readonly #boosts = new Map<number, number>()
  #lateOnes = 0
  /** The steps of the deadline that was asked for last: most commands of a lane have the same. */
  #ownSteps: PriorityBoostConfig | undefined
  /** The boost and the lateness of the lane as it was told last. */
  #boost = 0
  #isLate = false

  constructor(config: PriorityBoostConfig | undefined, host: UrgencyHost) {
    this.#config = config
    this.#host = host
  }

  /** Whether a command that waits from now on has to be told. */
  concerns(entry: Entry): boolean {
    if (this.#config !== undefined) return this.#config.enabled
    return entry.details?.traits?.deadlineMs !== undefined
  }

  /** A command waits. */
  add(entry: Entry, seq: number): void {
    const own = entry.details?.traits?.deadlineMs
    if (own === undefined) {
      const config = this.#config as PriorityBoostConfig
      const urgent = new Urgent(entry, seq, config, config.deadlineMs)
      entry.traits.urgent = urgent
      this.#common.push(urgent)
      if (this.#common.peek() === urgent) this.#lookAt(urgent)
      return
    }
    const urgent = new Urgent(entry, seq, this.#config ?? this.#standard(own), own)
    entry.traits.urgent = urgent
    this.#own.add(urgent)
    this.#count(urgent, 1)
    this.#lookAt(urgent)
  }

  /** A command does not wait any more. */
  remove(urgent: Urgent): void {
    urgent.entry.traits.urgent = undefined
    if (this.#own.delete(urgent)) {
      this.#host.alarms.clear(urgent.alarm)
      this.#count(urgent, -1)
      return this.#tell(urgent)
    }
    const wasOldest = this.#common.peek() === urgent
    this.#common.remove(urgent)
    const oldest = this.#common.peek()
    if (wasOldest && oldest !== undefined) this.#follow(oldest, urgent)
    else {
      this.#host.alarms.clear(urgent.alarm)
      if (wasOldest) this.#tell(urgent)
    }
  }

  /** Forgets all: another takes over, or the lane is not boosted any more. */
  dispose(): void {
    for (const urgent of [...this.#own, ...this.#common.items()]) {
      this.#host.alarms.clear(urgent.alarm)
      urgent.entry.traits.urgent = undefined
    }
    if (this.#boost !== 0) this.#host.lift(0)
    if (this.#isLate) this.#host.relieved()
  }

  /** Another command is the oldest. One that arrived at the same time is exactly as urgent as the one before: it inherits. */
  #follow(oldest: Urgent, before: Urgent): void {
    // It may have been the oldest before, until an older one came back.
    this.#host.alarms.clear(oldest.alarm)
    if (oldest.entry.arrivedAt !== before.entry.arrivedAt) return this.#lookAt(oldest, before.alarm)
    oldest.boost = before.boost
    oldest.isLate = before.isLate
    oldest.alarm = before.alarm
  }

  /** Works out a command's boost, and when that is to be done again. `replaced`: an alarm that is not needed any more. */
  #lookAt(urgent: Urgent, replaced = urgent.alarm): void {
    const { alarms } = this.#host
    const now = this.#host.now()
    const remaining = urgent.remaining(now)
    const isOwn = this.#own.has(urgent)
    if (isOwn) this.#count(urgent, -1)
    urgent.boost = boostAt(urgent.config, remaining)
    urgent.isLate = isAtLastStep(urgent.config, remaining)
    if (isOwn) this.#count(urgent, 1)
    const change = nextChange(urgent.config, remaining)
    const ring = isOwn ? (): void => this.#lookAt(urgent) : this.#lookAtOldest
    // The new one first: a lane's only alarm would else stop the clock's timer, and start it again.
    urgent.alarm = change === Number.NEGATIVE_INFINITY ? undefined : alarms.set(now + remaining - change, ring)
    alarms.clear(replaced)
    this.#tell(urgent)
  }

  readonly #lookAtOldest = (): void => {
    const oldest = this.#common.peek()
    if (oldest !== undefined) this.#lookAt(oldest)
  }

  #standard(deadlineMs: number): PriorityBoostConfig {
    if (this.#ownSteps?.deadlineMs !== deadlineMs) this.#ownSteps = PriorityBoostConfig.standard(deadlineMs)
    return this.#ownSteps as PriorityBoostConfig
  }

  #count({ boost, isLate }: Urgent, by: 1 | -1): void {
    if (isLate) this.#lateOnes += by
    if (boost === 0) return
    const count = (this.#boosts.get(boost) ?? 0) + by
    if (count === 0) this.#boosts.delete(boost)
    else this.#boosts.set(boost, count)
  }

  #tell(urgent: Urgent): void {
    const oldest = this.#common.peek()
    let boost = oldest?.boost ?? 0
    for (const other of this.#boosts.keys()) if (other > boost) boost = other
    if (boost !== this.#boost) {
      this.#boost = boost
      this.#host.lift(boost)
    }
    const isLate = this.#lateOnes > 0 || oldest?.isLate === true
    if (isLate === this.#isLate) return
    this.#isLate = isLate
    if (isLate) this.#host.starving(urgent)
    else this.#host.relieved()
  }
}
