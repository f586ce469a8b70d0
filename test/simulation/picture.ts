/**
 * What an observer from outside knows: what was submitted, which bodies are in, what was announced and answered. Nothing
 * in it comes from inside the queue; what the queue says of itself (`stats()`, `run.state`) is kept apart as a claim, and
 * a claim is only built upon where some checker judges it.
 */
import { type CommandRun, LocalMetrics, type QueueManager, type QueueStats } from '@a3s-lab/lane'
import type { Cost, LaneSpec, RetrySpec, SubmitSpec } from './lane-spec.js'
import { LaneLimits } from './limiters.js'
import type { SimOptions } from './options.js'
import type { SimClock } from './sim-clock.js'

export type Final = 'completed' | 'failed' | 'timeout' | 'cancelled'

/** A body that has begun. */
export type BodyPicture = {
  readonly command: CommandPicture
  readonly attempt: number
  /** Number of the start among all of the seed. */
  readonly serial: number
  readonly enteredAt: number
  hasYielded: boolean
  /** It was aborted inside `ctx.yield`: what it does from then on to come to its end, it does without a slot. */
  isSlotless: boolean
  /** Number of the checkpoint that it was given; 0 for none. */
  readonly restored: number
  /** It has waited for a child: its places may be lent still. */
  hasWaited: boolean
  /** `ctx.run` calls under way: it does nothing meanwhile, and its places may be lent. */
  waiting: number
  /** It waits in `ctx.yield`. */
  isYielding: boolean
  /** Time in `ctx.yield`, which no timeout counts. */
  yieldedMs: number
  yieldingSince: number
  /** Time that earlier bodies of a preempted attempt held a slot. */
  readonly earlierMs: number
  /** Its command has its outcome, or waits for another attempt. */
  isOver: boolean
  /** Given up after its grace period: it holds no slot any more. */
  isAbandoned: boolean
  hasLeft: boolean
  leftAt: number
  /** Code of the reason with which its signal aborted. */
  abortCode: string | undefined
  abortedAt: number
  /** It ended with an error that says when to come back. */
  asksLater: boolean
  /** It ended with a provider's request to close the lane for so long. */
  closesFor: number | undefined
  /** It was asked to stop for another, and has not been heard of since. */
  isVictim: boolean
  /** For which lane. */
  takerId: string | undefined
}

export type CommandPicture = {
  readonly id: string
  /** Order of acceptance. */
  readonly n: number
  readonly laneId: string
  readonly spec: SubmitSpec
  readonly depth: number
  readonly submittedAt: number
  /** What held for its attempts when it was submitted. */
  readonly timeoutMs: number | undefined
  readonly retry: RetrySpec
  readonly maxDeferrals: number
  readonly zombieGraceMs: number
  readonly parent: CommandPicture | undefined
  /** Somebody waits for it in `ctx.run`, so it may run in borrowed places. */
  readonly isAwaitedChild: boolean
  readonly redrivenFrom: string | undefined
  run: CommandRun | undefined
  phase: 'waiting' | 'active' | 'settled'
  /** It waits for an instant, as far as is known: the end of a delay is not announced. */
  wasDelayed: boolean
  /** It waits for the command that has its dedupe id. */
  isFollower: boolean
  /** Submitted in the middle of a step, which it cannot change any more: the moment of that; else -1. */
  readonly cameAt: number
  /** Earliest instant of its next start. */
  dueAt: number
  place: 'arrival' | 'preempted' | 'yielded'
  attempt: number
  failures: number
  deferrals: number
  startedAt: number
  body: BodyPicture | undefined
  final: Final | undefined
  /** What its run settled with: `value …` or the code of an error. */
  readonly answers: string[]
  readonly trail: string[]
  /** What the attempt said that it costs, and how often it took its estimate since. */
  charge: { readonly said: Cost | undefined; readonly starts: number }
  checkpointed: { resolved: number; begun: number }
}

export class LanePicture {
  readonly id: string
  spec: LaneSpec
  paused = false
  /** The moment of a pause in the middle of a start, which that cannot stop; else -1. */
  pausedMidStep = -1
  /** Commands that wait, for a slot or for an instant, in order of acceptance. */
  readonly waiting = new Set<CommandPicture>()
  readonly active = new Set<CommandPicture>()
  /** Bodies that are in, abandoned ones left out. */
  readonly bodies = new Set<BodyPicture>()
  /** Most bodies that may run: the limit, or what ran when it was lowered. */
  ceiling: number
  readonly limits: LaneLimits
  /** 1 while a start was announced and its body has not entered: a listener has its say in between. */
  starting = 0
  /** Since when, as far as every rest showed, its gates let its next command through. */
  openSince = Number.POSITIVE_INFINITY
  openHead: CommandPicture | undefined
  /** Slots that were given up for this lane, and that it has not taken; those of them that it certainly had a use for. */
  owed = 0
  surelyOwed = 0
  /** When the limit per key changed last. */
  keyLimitSince = 0
  /** Commands whose body has ended since the last rest: the queue may not have noticed. */
  leaving: CommandPicture[] = []

  constructor(id: string, spec: LaneSpec, limits: LaneLimits) {
    this.id = id
    this.spec = spec
    this.ceiling = spec.maxConcurrency
    this.limits = limits
  }

  /** Bodies of a key that have ended, and may still count. */
  leavingOf(key: string): number {
    return this.leaving.filter(({ spec }) => spec.key === key).length
  }
}

/** A drain that was called, and how it ended. */
export type DrainPicture = {
  readonly calledAt: number
  readonly limitMs: number
  outcome: 'waiting' | 'resolved' | 'rejected'
}

export type Violation = { readonly invariant: string; readonly text: string; readonly at: number }

/** More than these are not kept: one is enough to fail, a few are enough to see. */
const MOST_VIOLATIONS = 20

export class Picture {
  readonly options: SimOptions
  readonly clock: SimClock
  readonly lanes = new Map<string, LanePicture>()
  readonly commands = new Map<string, CommandPicture>()
  readonly violations: Violation[] = []
  readonly drains: DrainPicture[] = []
  /** Told at once: a bug may keep a seed from ever coming to its end. */
  onViolation: ((violation: Violation) => void) | undefined
  /** Accepted and settled so far. */
  accepted = 0
  settled = 0
  starts = 0
  /** Counts starts and rests: what was submitted in the middle of a step counts from the next moment on. */
  moment = 0
  /** Timers that are the queue's, but belong to calls under way: `drain`, `close`. */
  calls = 0
  /** The phase of faults is over: everything has to come to rest. */
  isQuiet = false
  /** A listener uses the queue while that is in the middle of a step. */
  isMidStep = false
  /** Calls of `submit` that have not returned. */
  submitting = 0
  isShuttingDown = false
  isClosing = false
  isComplete = false
  hasStarted = false
  #queue: QueueManager | undefined
  #claims: QueueStats | undefined

  constructor(options: SimOptions, clock: SimClock) {
    this.options = options
    this.clock = clock
    this.hasDeadlines = options.features.includes('deadlines')
    this.isPunctual = !options.features.includes('late')
    const shared = LaneLimits.shared()
    for (const [id, spec] of Object.entries(options.lanes)) {
      this.lanes.set(id, new LanePicture(id, spec, new LaneLimits(spec.rateLimit ?? [], shared)))
    }
  }

  get now(): number {
    return this.clock.now
  }

  /** Whether the queue's timers come when they should. */
  readonly isPunctual: boolean

  /** Whether commands may have a deadline of their own. */
  readonly hasDeadlines: boolean

  get hasCap(): boolean {
    return this.options.cap !== Number.POSITIVE_INFINITY
  }

  watch(queue: QueueManager): void {
    this.#queue = queue
  }

  lane(id: string): LanePicture {
    return this.lanes.get(id) as LanePicture
  }

  /** What the queue says of itself at this moment. */
  get claims(): QueueStats {
    this.#claims ??= (this.#queue as QueueManager).stats()
    return this.#claims
  }

  /** What the queue has counted and timed; undefined in a seed without metrics. */
  get measured(): LocalMetrics | undefined {
    const backend = this.#queue?.metrics?.backend()
    return backend instanceof LocalMetrics ? backend : undefined
  }

  /** What the queue says of a command, for the text of a report. */
  explain(id: string): string {
    return JSON.stringify(this.#queue?.explain(id)?.reasons ?? 'nothing is known of it')
  }

  /** Something may have changed: claims are asked for anew. */
  forget(): void {
    this.#claims = undefined
  }

  claimsOf(laneId: string): QueueStats['lanes'][string] {
    return this.claims.lanes[laneId] as QueueStats['lanes'][string]
  }

  /**
   * Whether a waiting command may start as soon as its turn comes. The end of a delay is not announced, so this asks its
   * run; a command without one (a child of `ctx.run`) that was delayed is never called ready, which only weakens checks.
   */
  isReady(command: CommandPicture): boolean {
    if (command.phase !== 'waiting' || command.cameAt === this.moment) return false
    if (!command.wasDelayed) return true
    return command.run?.state === 'pending'
  }

  report(invariant: string, text: string): void {
    if (this.violations.length >= MOST_VIOLATIONS) return
    const violation = { invariant, text, at: this.now }
    this.violations.push(violation)
    this.onViolation?.(violation)
    this.clock.hurry()
  }

  get waitsForNothing(): boolean {
    return this.calls === 0
  }

  get unsettled(): number {
    return this.accepted - this.settled
  }
}

/** Whether a body does something: it is in, holds its slot and does not wait for a child or for its turn. */
export const isBusy = (body: BodyPicture): boolean =>
  !body.hasLeft && !body.isAbandoned && body.waiting === 0 && !body.isYielding && !body.isSlotless
