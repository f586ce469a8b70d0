/**
 * What the engines of one `MemoryBroker` share: lanes, commands, leases. All of it happens at once and in one place, so
 * nothing is ever half done; what makes a call slow or fail is the engine's business.
 *
 * Its clock is the queue's or the machine's; instants in here are of the monotonic one, so that a step of the wall clock
 * moves no lease.
 */
import {
  type AddAnswer,
  type CancelAnswer,
  type Claim,
  type ClaimAnswer,
  type Clock,
  type EndAnswer,
  type EngineCharge,
  type EngineCommand,
  type EngineLane,
  type EngineOutcome,
  type EngineProgress,
  LaneError,
  type Lease,
  type LeaseEnd,
  type RenewAnswer,
} from '../core/index.js'
import { type Cost, RateLimitGroup } from '../policy/index.js'
import type { KeptCommand } from './memory-engine-command.js'
import { KeptCommands } from './memory-engine-commands.js'
import { MemoryEvents } from './memory-engine-events.js'
import { SharedLane } from './memory-engine-lane.js'
import { LeaseClock } from './memory-engine-leases.js'
import type { Mailbox } from './memory-engine-mail.js'

export class MemoryExchange {
  readonly commands: KeptCommands
  readonly events: MemoryEvents
  readonly #clock: Clock
  readonly #alarm: LeaseClock
  readonly #lanes = new Map<string, SharedLane>()
  readonly #groups = new Map<string, RateLimitGroup>()
  readonly #members = new Set<Mailbox>()

  constructor(clock: Clock, retention: number) {
    this.#clock = clock
    this.events = new MemoryEvents(clock)
    this.#alarm = new LeaseClock(clock, {
      lanes: () => this.#lanes.values(),
      onLost: (kept) => this.#recover(kept),
      onDue: (lane) => this.#tellWork(lane),
    })
    this.commands = new KeptCommands(clock, retention, {
      onCancelled: (kept) => this.#leaveLane(kept),
      onSettled: (kept, outcome, hasLetter) => {
        this.#tellOutcome(kept, outcome)
        this.events.settled(kept, outcome, hasLetter)
      },
      onUnfollowed: (kept) => this.#unfollow(kept),
    })
  }

  /** An engine begins to take part, with its lanes. `CONFLICT` where others know a lane with other limits. */
  join(member: Mailbox, lanes: readonly EngineLane[], reconfigure: boolean): void {
    if (!reconfigure) for (const settings of lanes) this.#lanes.get(settings.laneId)?.checkSame(settings)
    for (const settings of lanes) {
      if (this.#lanes.has(settings.laneId)) this.#reconfigure(settings)
      else this.#lanes.set(settings.laneId, this.#newLane(settings))
    }
    this.#members.add(member)
    this.#alarm.start()
  }

  /** An engine takes part no more. Its leases run out. */
  leave(member: Mailbox): void {
    this.#members.delete(member)
    this.events.leave(member)
    if (this.#members.size === 0) this.#alarm.stop()
  }

  add(commands: readonly EngineCommand[]): AddAnswer[] {
    this.#alarm.look()
    return commands.map((command) => this.#add(command))
  }

  claim(laneId: string, token: string, holder: Mailbox, leaseMs: number): ClaimAnswer {
    this.#alarm.look()
    const lane = this.lane(laneId)
    const now = this.#clock.now()
    const refusal = lane.refusal(now)
    if (refusal !== undefined) {
      const { why, until } = refusal
      return { claim: undefined, why, retryAt: until === undefined ? undefined : this.wallOf(until) }
    }
    const kept = lane.take(now)
    const lease = { id: kept.command.id, laneId, token }
    kept.held = { lease, holder, leaseMs, takenAt: now, expiresAt: now + leaseMs, charged: undefined }
    kept.startedAt = this.#clock.wallNow()
    this.#alarm.add(kept.held.expiresAt)
    const { command, progress, recoveries, isRecovered, cancelled } = kept
    kept.isRecovered = false
    this.events.claimed(kept)
    return { claim: { lease, command: { ...command }, progress, recoveries, isRecovered, cancelled } }
  }

  /** `claimNext` is the claim that goes with it, if there is one. */
  end(lease: Lease, end: LeaseEnd, claimNext: (() => ClaimAnswer) | undefined): EndAnswer {
    const kept = this.#held(lease)
    if (kept === undefined) return { isLost: true, next: undefined }
    const now = this.#clock.now()
    const lane = this.#giveUp(kept)
    kept.progress = { ...end.progress }
    if (end.kind === 'settle') this.commands.settle(kept, end, end.letter)
    else {
      kept.isReleased = end.kind === 'release'
      // what is to be cancelled is claimed to be ended as that: there is nothing to wait for
      if (end.kind === 'delay' && kept.cancelled === undefined) kept.dueAt = now + end.delayMs
      lane.enter(kept, now)
      this.#alarm.add(lane.nextDueAt)
      if (end.kind === 'delay') this.events.putOff(kept, end)
    }
    const next = claimNext?.()
    this.#alarm.rest()
    this.#tellWork(lane)
    return { isLost: false, next }
  }

  renew(leases: readonly Lease[]): RenewAnswer[] {
    return leases.map((lease) => {
      const kept = this.#held(lease)
      if (kept?.held === undefined) return { isLost: true, cancelled: undefined }
      kept.held.expiresAt = this.#clock.now() + kept.held.leaseMs
      return { isLost: false, cancelled: kept.cancelled }
    })
  }

  save(lease: Lease, progress: EngineProgress): boolean {
    const kept = this.#held(lease)
    if (kept !== undefined) kept.progress = { ...progress }
    return kept !== undefined
  }

  charge(lease: Lease, { number, before, after }: EngineCharge): void {
    const { held } = this.#held(lease) ?? {}
    if (held === undefined || number <= (held.charged?.number ?? 0)) return
    const cost = JSON.parse(after) as Cost
    const accounted = held.charged?.cost ?? (before === undefined ? undefined : (JSON.parse(before) as Cost))
    held.charged = { number, cost }
    this.lane(lease.laneId).settle(accounted, cost, held.takenAt, this.#clock.now())
  }

  report({ lease }: Claim, value: string): void {
    const kept = this.#held(lease)
    if (kept === undefined) return
    kept.lastProgress = value
    this.events.reported(kept, value)
    for (const member of this.#waitersFor(kept)) member.progress(lease.id, value)
  }

  cancel(id: string, reason: string): CancelAnswer {
    this.#alarm.look()
    const kept = this.commands.find(id)
    if (kept === undefined || kept.outcome !== undefined) return 'too_late'
    if (kept.held === undefined) {
      this.commands.cancel(kept, reason)
      return 'cancelled'
    }
    kept.cancelled ??= { reason }
    const { holder } = kept.held
    if (this.#members.has(holder)) holder.cancel(id, kept.cancelled.reason)
    return 'requested'
  }

  setPaused(laneId: string, paused: boolean): void {
    const lane = this.lane(laneId)
    if (lane.isPaused !== paused) this.events.paused(laneId, paused)
    lane.isPaused = paused
    for (const member of this.#members) member.lane(laneId, { paused })
    this.#tellWork(lane)
  }

  configure(settings: EngineLane): void {
    this.lane(settings.laneId)
    this.#reconfigure(settings)
  }

  hold(laneId: string, ms: number): void {
    this.lane(laneId).hold(this.#clock.now() + ms)
  }

  lanes(): Iterable<SharedLane> {
    this.#alarm.look()
    return this.#lanes.values()
  }

  lane(laneId: string): SharedLane {
    const lane = this.#lanes.get(laneId)
    if (lane === undefined) throw new LaneError('LANE_NOT_FOUND', `Lane '${laneId}' is not shared by this broker`)
    return lane
  }

  /** An instant of the broker's clock as one of the wall clock, never too early. */
  wallOf(at: number): number {
    return Math.ceil(this.#clock.wallNow() + at - this.#clock.now())
  }

  #newLane(settings: EngineLane): SharedLane {
    return new SharedLane(settings, {
      group: (name) => {
        const group = this.#groups.get(name) ?? new RateLimitGroup(name)
        this.#groups.set(name, group)
        return group
      },
      wake: (lane) => this.#tellRate(lane),
    })
  }

  #reconfigure(settings: EngineLane): void {
    const lane = this.lane(settings.laneId)
    lane.configure(settings, this.#clock.now())
    for (const member of this.#members) member.lane(lane.id, { lane: settings })
    this.#tellWork(lane)
  }

  #add(command: EngineCommand): AddAnswer {
    const lane = this.#lanes.get(command.laneId)
    if (lane === undefined) return refused('LANE_NOT_FOUND', `Lane '${command.laneId}' is not shared by this broker`)
    const standing = this.commands.answerById(command) ?? this.commands.stand(command)
    if ('kind' in standing) return standing
    if (lane.waiting >= lane.settings.capacity)
      return refused('QUEUE_FULL', `Lane '${lane.id}' is full (${lane.settings.capacity} commands waiting)`, lane)
    const kept = this.commands.add(command, standing)
    if (command.dueAt !== undefined) kept.dueAt = this.commands.instantOf(command.dueAt)
    this.events.added(kept)
    if (standing.follows === undefined) this.#enter(kept)
    else lane.follow(kept)
    return { kind: 'accepted' }
  }

  /** Who holds a lease; undefined when it is lost. */
  #held({ id, token }: Lease): KeptCommand | undefined {
    this.#alarm.look()
    const kept = this.commands.find(id)
    return kept?.held?.lease.token === token ? kept : undefined
  }

  /** A command runs no more. */
  #giveUp(kept: KeptCommand): SharedLane {
    const lane = this.lane(kept.command.laneId)
    lane.active.delete(kept)
    kept.held = undefined
    return lane
  }

  /** Its lease is lost: it takes its old place. */
  #recover(kept: KeptCommand): void {
    const lane = this.#giveUp(kept)
    kept.recoveries++
    kept.isRecovered = true
    this.events.recovered(kept)
    lane.enter(kept, this.#clock.now())
    this.#tellWork(lane)
  }

  #enter(kept: KeptCommand): void {
    const lane = this.lane(kept.command.laneId)
    lane.enter(kept, this.#clock.now())
    this.#alarm.add(lane.nextDueAt)
    this.#tellWork(lane)
  }

  #unfollow(kept: KeptCommand): void {
    const lane = this.lane(kept.command.laneId)
    lane.unfollow(kept, this.#clock.now())
    this.#alarm.add(lane.nextDueAt)
    this.#tellWork(lane)
  }

  #leaveLane(kept: KeptCommand): void {
    this.lane(kept.command.laneId).leave(kept)
    this.#alarm.rest()
  }

  /** Also while its rate is used up: whoever asks then is told when to ask again. */
  #tellWork(lane: SharedLane): void {
    if (!lane.mayStart) return
    for (const member of this.#members) member.work(lane.id)
  }

  /** Its rate may allow something sooner than was said: whoever waits for that watches for nothing. */
  #tellRate(lane: SharedLane): void {
    if (!lane.mayStart) return
    for (const member of this.#members) member.work(lane.id, true)
  }

  #tellOutcome(kept: KeptCommand, outcome: EngineOutcome): void {
    for (const member of this.#waitersFor(kept)) member.outcomes([outcome])
  }

  *#waitersFor({ awaitedBy }: KeptCommand): Iterable<Mailbox> {
    for (const member of this.#members) if (awaitedBy.has(member.instanceId)) yield member
  }
}

function refused(code: 'LANE_NOT_FOUND' | 'QUEUE_FULL', text: string, lane?: SharedLane): AddAnswer {
  const fields = lane === undefined ? {} : { laneId: lane.id, capacity: lane.settings.capacity }
  return { kind: 'refused', error: new LaneError(code, text, { fields }) }
}
