/**
 * The worker of a queue with an engine: claims a command for each slot that the scheduler gives to a shared lane, runs it
 * like any other, and tells the engine how its lease ends.
 *
 * A claim is asked for when a lane's turn comes, and holds its place until it is answered: so the order of lanes is strict
 * but for one claim under way per slot. What ends and what is claimed in one pass goes out together, an end with the next
 * claim of its lane where there is one.
 *
 * A lease is renewed while its body runs, zombies included. A lost one ends the attempt here: its signal aborts with
 * `LEASE_LOST`, and whatever the body still gives is refused.
 */
import type { Attempts } from './attempts.js'
import { type Charge, Charges } from './charges.js'
import type { QueueCore } from './core.js'
import type { Claim, ClaimAnswer, Engine, LeaseEnd } from './engine.js'
import type { Entry } from './entry.js'
import type { LaneError } from './errors.js'
import type { LaneState } from './lane.js'
import { LaneWatch } from './lane-watch.js'
import { crashedTooOften, failedEnd, leaseEnd, leaseLost, noHandler, orLost, unreadable } from './lease-end.js'
import { LeaseRenewal } from './lease-renewal.js'
import type { Outcomes } from './outcomes.js'
import { randomText } from './random.js'
import { quiet, type RunMethods } from './run.js'
import { claimedEntry, progressOf } from './shared-command.js'
import { SharedLane } from './shared-lane.js'
import { SharedLooks } from './shared-looks.js'
import { type Stored, type StoredHome, storedOf } from './stored.js'
import { isFinal } from './transitions.js'

/** How long a command rests that this worker has no handler for, so that another may take it. */
const NO_HANDLER_MS = 1000
/** The first and the longest pause before an end that could not be told is told again. */
const RETRY_MS = 100
const LONGEST_RETRY_MS = 1000
/** With so many ends that the engine has not answered nothing more is claimed. */
const MOST_UNANSWERED = 1024

/** A command that runs or ran here, until the engine has taken its end. */
type Held = {
  readonly entry: Entry
  readonly claim: Claim
  /** Its end is on its way: what happens to it here counts no more. */
  isEnding: boolean
  /** Whoever waits until something of it is saved: told when the lease is lost before that. */
  saving?: Set<(error: LaneError) => void>
}

/** An end that goes out with the next flush. */
type Ending = { readonly held: Held; readonly end: LeaseEnd; readonly tell: (() => void) | undefined; retryMs: number }

export class EngineWorker implements StoredHome {
  readonly maxPayloadBytes: number
  readonly #core: QueueCore
  readonly #engine: Engine
  readonly #outcomes: Outcomes
  readonly #attempts: Attempts
  readonly #methods: RunMethods
  readonly #lanes = new Map<LaneState, SharedLane>()
  /** By token. */
  readonly #held = new Map<string, Held>()
  readonly #byId = new Map<string, Held>()
  readonly #endings: Ending[] = []
  /** Lanes to claim from with the next flush, and how often. */
  readonly #wanted = new Map<SharedLane, number>()
  readonly #watch: LaneWatch
  readonly #charges: Charges
  #unanswered = 0
  #claiming = 0
  #tokens = 0
  readonly #tokenPrefix: string
  readonly #looks: SharedLooks
  readonly #renewal: LeaseRenewal<Held>
  #isStopped = false
  /** Commands that went back because there is no handler here. */
  released = 0
  lost = 0

  constructor(core: QueueCore, engine: Engine, outcomes: Outcomes, attempts: Attempts, methods: RunMethods) {
    this.#core = core
    this.#engine = engine
    this.#outcomes = outcomes
    this.#attempts = attempts
    this.#methods = methods
    this.maxPayloadBytes = engine.maxPayloadBytes ?? Number.POSITIVE_INFINITY
    this.#tokenPrefix = `${randomText(core.random, 12)}:`
    this.#watch = new LaneWatch(core, engine)
    this.#charges = new Charges(core, engine)
    this.#looks = new SharedLooks(core, engine, this.#lanes, this.#watch)
    this.#renewal = new LeaseRenewal(core, engine, {
      // those whose end is on its way, too: that may take longer than a lease
      held: () => [...this.#held.values()],
      holdsAny: () => this.#held.size > 0,
      keep: (held) => this.#keepNews(held),
      lose: (held) => this.#lose(held),
      cancel: ({ claim }, reason) => void this.cancel(claim.lease.id, reason),
    })
    for (const lane of core.lanes.values()) this.#lanes.set(lane, new SharedLane(core, lane))
  }

  /** So much waits for the engine's answer that nothing more is to start. */
  get isBehind(): boolean {
    return this.#unanswered >= MOST_UNANSWERED
  }

  /** Whether nothing is claimed, held or on its way. */
  get isIdle(): boolean {
    return this.#held.size === 0 && this.#claiming === 0 && this.#unanswered === 0
  }

  /** Begins to look for work in every lane. */
  start(): void {
    for (const lane of this.#lanes.values()) lane.mayHaveWork()
    this.#core.askForPass()
  }

  /** A lane may have work or room now. */
  workIn(laneId: string): void {
    const lane = this.#core.lanes.get(laneId)
    if (lane === undefined) return
    this.#lanes.get(lane)?.mayHaveWork()
    this.#core.askForPass()
  }

  /** The lane's turn has come: a place is taken for what the next flush asks for. */
  claim(lane: LaneState): void {
    if (this.#watch.askUnheard()) return
    const shared = this.#lanes.get(lane) as SharedLane
    shared.begin()
    this.#wanted.set(shared, (this.#wanted.get(shared) ?? 0) + 1)
  }

  /** Before a command starts that this process has itself, or goes on: whether the scheduler has to choose again. */
  looksAbove(): boolean {
    if (this.#watch.askUnheard()) return true
    this.#watch.started()
    return false
  }

  /** Sends what has ended and what is to be claimed. */
  flush(): void {
    for (const ending of this.#endings.splice(0)) this.#send(ending)
    for (const [shared, count] of this.#wanted) for (let left = count; left > 0; left--) this.#ask(shared)
    this.#wanted.clear()
    this.#watch.tell(this.#lanes.values())
    this.#looks.consider()
  }

  #ask(shared: SharedLane): void {
    this.#claiming++
    const askedAt = this.#core.clock.now()
    this.#engine.claim(shared.lane.id, this.#newToken()).then(
      (answer) => this.#answered(shared, answer, askedAt),
      (error: unknown) => {
        this.#claiming--
        shared.failed(error)
        this.#core.askForPass()
        this.#tellWaiters()
      },
    )
  }

  #answered(shared: SharedLane, answer: ClaimAnswer, askedAt: number): void {
    this.#claiming--
    if (answer.claim === undefined) shared.refused(answer.why, answer.retryAt)
    else {
      this.#watch.started()
      shared.granted()
      this.#take(shared.lane, answer.claim, askedAt)
    }
    this.#core.askForPass()
    this.#tellWaiters()
  }

  /** A command was claimed: it starts in the place that was kept for it. */
  #take(lane: LaneState, claim: Claim, askedAt: number): void {
    const core = this.#core
    let entry: Entry
    try {
      entry = claimedEntry(core, lane, claim, { methods: this.#methods, home: this })
    } catch (error) {
      // What another program has written may be anything: it fails, and the lane goes on.
      return this.#unreadable(claim, error)
    }
    const held: Held = { entry, claim, isEnding: false }
    this.#held.set(claim.lease.token, held)
    this.#byId.set(claim.lease.id, held)
    core.unsettled++
    this.#renewal.soon()
    if (claim.cancelled !== undefined) return void this.#outcomes.cancel(entry, claim.cancelled.reason)
    // The process stood still: the lease may be over, and another worker may have run the command to its end.
    const isStale = core.clock.now() - askedAt >= this.#engine.leaseMs
    if (isStale || core.stopped) return this.#giveBack(held)
    const { recoveries } = claim
    if (recoveries > entry.policy.maxRecoveries) return this.#outcomes.cannotRun(entry, crashedTooOften(recoveries))
    if (claim.isRecovered && core.hasListeners) {
      core.emit('queue.command.recovered', { lane_id: lane.id, command_id: entry.run.id })
    }
    this.#attempts.start(entry)
  }

  #unreadable({ lease, progress }: Claim, cause: unknown): void {
    const error = unreadable(lease, cause)
    this.#core.fault(error, { lane_id: lease.laneId, command_id: lease.id })
    const end = failedEnd(error, progress)
    void quiet(this.#engine.end(lease, end, undefined))
  }

  touch(entry: Entry, stored: Stored): void {
    const held = this.#heldOf(stored)
    if (held === undefined || held.isEnding) return
    const { state } = entry.run
    // A retry waits for its own earlier body.
    if (state === 'active' || (state === 'delayed' && entry.slot !== undefined)) return
    held.isEnding = true
    this.#core.askForPass()
    this.#endings.push({ held, end: leaseEnd(this.#core, entry, stored), tell: stored.tell, retryMs: RETRY_MS })
    // Told when the engine has taken it; what only goes back is no outcome.
    if (!isFinal(state)) this.#core.unsettled--
  }

  async save(entry: Entry, stored: Stored): Promise<void> {
    const held = this.#heldOf(stored)
    if (held === undefined || held.isEnding) return
    stored.hasNews = false
    const saved = this.#engine.save(held.claim.lease, progressOf(this.#core, entry, stored))
    held.saving ??= new Set()
    if (await orLost(held.saving, saved)) return
    this.#lose(held)
    throw leaseLost(held.claim.lease)
  }

  touchLater(stored: Stored): void {
    stored.hasNews = true
  }

  reported(entry: Entry, stored: Stored): void {
    const value = entry.details?.lastProgress
    if (stored.claim === undefined || value === undefined) return
    let text: string | undefined
    try {
      text = JSON.stringify(value)
    } catch {
      return // what has no JSON form is seen in this process only
    }
    if (text !== undefined) this.#engine.report(stored.claim, text)
  }

  charged({ lane }: Entry, stored: Stored, charge: Charge): void {
    const held = this.#heldOf(stored)
    if (held?.isEnding === false) this.#charges.add(held.claim, lane.sharedLimits, charge)
  }

  /** There is no handler for it here: another worker may have one. */
  park(entry: Entry): void {
    const core = this.#core
    this.released++
    // It has not been active here, as others that are delayed have.
    entry.run.state = 'delayed'
    const shared = this.#lanes.get(entry.lane) as SharedLane
    entry.more.dueAt = shared.leavesToOthers(NO_HANDLER_MS)
    this.touch(entry, storedOf(entry))
    const { id, laneId, commandType } = entry.run
    if (core.hasListeners) {
      const delayMs = entry.more.dueAt - core.clock.now()
      const payload = { lane_id: laneId, command_id: id, delay_ms: delayMs, reason: 'no_handler' as const }
      core.emit('queue.command.delayed', payload)
    }
    if (this.released > 1) return
    core.fault(noHandler(commandType, laneId), { lane_id: laneId, command_id: id })
  }

  /** Somebody wants a command cancelled that runs here. */
  cancel(id: string, reason: unknown): boolean {
    const held = this.#byId.get(id)
    return held !== undefined && !held.isEnding && this.#outcomes.cancel(held.entry, reason)
  }

  /** Waits until every end is taken; whoever asks sets the limit. */
  async settled(): Promise<void> {
    while (!this.isIdle) await new Promise<void>((resolve) => this.#waiters.push(resolve))
  }

  readonly #waiters: (() => void)[] = []

  /** Nothing is renewed or told again. */
  stop(): void {
    this.#isStopped = true
    this.#renewal.stop()
    this.#charges.stop()
    this.#looks.stop()
    for (const shared of this.#lanes.values()) shared.stop()
    this.#tellWaiters()
  }

  #heldOf({ claim }: Stored): Held | undefined {
    return claim === undefined ? undefined : this.#held.get(claim.lease.token)
  }

  #send(ending: Ending): void {
    const { lease } = ending.held.claim
    const shared = this.#lanes.get(ending.held.entry.lane) as SharedLane
    const wanted = this.#wanted.get(shared) ?? 0
    const takesNext = wanted > 0
    if (takesNext) this.#wanted.set(shared, wanted - 1)
    if (takesNext) this.#claiming++
    const askedAt = this.#core.clock.now()
    this.#unanswered++
    this.#charges.flush(ending.held.claim)
    this.#engine.end(lease, ending.end, takesNext ? this.#newToken() : undefined).then(
      ({ isLost, next }) => {
        this.#ended(ending, isLost)
        if (takesNext) this.#answeredNext(shared, next, askedAt)
      },
      () => this.#notEnded(ending, takesNext ? shared : undefined),
    )
  }

  #ended({ held, tell }: Ending, isLost: boolean): void {
    this.#unanswered--
    this.#forget(held)
    const { entry, claim } = held
    storedOf(entry).tell = undefined
    if (isLost) {
      this.lost++
      if (tell !== undefined) this.#core.unsettled--
      this.#core.fault(leaseLost(claim.lease), { lane_id: claim.lease.laneId, command_id: claim.lease.id })
    } else tell?.()
    this.#core.askForPass()
    this.#tellWaiters()
  }

  #answeredNext(shared: SharedLane, next: ClaimAnswer | undefined, askedAt: number): void {
    if (next !== undefined) return this.#answered(shared, next, askedAt)
    this.#claiming--
    shared.refused('empty', this.#core.clock.wallNow())
    this.#core.askForPass()
    this.#tellWaiters()
  }

  /** The engine is away: an outcome is never lost for that while this process lives. */
  #notEnded(ending: Ending, shared: SharedLane | undefined): void {
    const { clock, alarms } = this.#core
    if (shared !== undefined) {
      this.#claiming--
      shared.refused('empty', this.#core.clock.wallNow() + RETRY_MS)
    }
    if (this.#isStopped) {
      this.#unanswered--
      return
    }
    alarms.set(clock.now() + ending.retryMs, () => {
      this.#unanswered--
      this.#endings.push(ending)
      this.#core.askForPass()
    })
    ending.retryMs = Math.min(2 * ending.retryMs, LONGEST_RETRY_MS)
  }

  #forget({ claim }: Held): void {
    this.#held.delete(claim.lease.token)
    if (this.#byId.get(claim.lease.id)?.claim === claim) this.#byId.delete(claim.lease.id)
  }

  #giveBack(held: Held): void {
    const { entry } = held
    this.touch(entry, storedOf(entry))
  }

  /** What has news is kept on the way of a renewal. */
  #keepNews({ entry }: Held): void {
    const stored = storedOf(entry)
    if (stored.hasNews) void quiet(this.save(entry, stored))
  }

  /** The lease on a command is lost: another worker may run it. Here it ends without an outcome. */
  #lose(held: Held): void {
    const { entry, claim } = held
    if (held.isEnding || !this.#held.has(claim.lease.token)) return
    const core = this.#core
    held.isEnding = true
    this.#forget(held)
    this.#charges.forget(claim)
    this.lost++
    core.unsettled--
    const error = leaseLost(claim.lease)
    core.fault(error, { lane_id: claim.lease.laneId, command_id: claim.lease.id })
    this.#outcomes.letGo(entry, error)
    for (const tell of held.saving ?? []) tell(error)
    this.#tellWaiters()
  }

  #newToken(): string {
    return this.#tokenPrefix + (++this.#tokens).toString(36)
  }

  #tellWaiters(): void {
    if (this.#waiters.length > 0) for (const tell of this.#waiters.splice(0)) tell()
  }
}
