/**
 * The seam of distributed queues: lanes that several processes share. The queue decides what a command means (retries,
 * timeouts, outcomes); the engine keeps commands, hands each to one worker at a time, and carries what processes tell each
 * other. It speaks of commands, leases and tokens, never of keys or tables.
 *
 * A worker *claims* the next command of a lane and holds a *lease* on it: a right that ends at a time unless it is renewed.
 * Each claim has a token of its own. Whoever ends a lease names that token; an end with another token, or after the lease
 * was lost, changes nothing and is answered with `isLost`. So a command has one outcome, however many workers once ran it.
 *
 * Instants are Unix milliseconds. What an engine need not look into is JSON text.
 *
 * `BullMQEngine` of `@a3s-lab/lane/bullmq` shares lanes over Redis, `MemoryEngine` of `@a3s-lab/lane/testing` inside one
 * process; `describeEngine` there is the suite that any other has to pass.
 */
import type { RateLimitFields } from '../policy/index.js'
import type { CommandState, FinalState } from './transitions.js'

/** What a process does with shared lanes: submit (coordinator), run (worker), or both. */
export type EngineRole = 'both' | 'coordinator' | 'worker'

/** What an engine can do beyond what every one must. */
export type EngineCapabilities = {
  /** A command that comes back (retry, recovery, no handler) takes its old place among those of its priority. */
  readonly keepsPlace: boolean
  /** Lanes with `order: 'lifo'`. */
  readonly lifo: boolean
  /** Lanes with `fairness: 'key'` or `keyConcurrency`. */
  readonly keys: boolean
  /** Rate limits of lanes, kept over all workers. */
  readonly rateLimits: boolean
  /** Accepted commands survive the end of every process. */
  readonly durable: boolean
}

/** A lane as the engine knows it: what holds over all workers. */
export type EngineLane = {
  readonly laneId: string
  readonly priority: number
  /** Most commands that run at once, over all workers; Infinity for no limit. */
  readonly maxConcurrency: number
  /** Most commands that wait; a submit beyond it is refused. Infinity for no limit. */
  readonly capacity: number
  readonly rateLimits: readonly RateLimitFields[]
}

/** What is kept of a command from its submit on, and never changes. */
export type EngineCommand = {
  readonly id: string
  readonly laneId: string
  readonly commandType: string
  /** JSON text; undefined when there is none. */
  readonly payload: string | undefined
  /** 0 goes first; at most 2,097,150. */
  readonly priority: number
  readonly createdAt: number
  /** Not to be started before; undefined for at once. */
  readonly dueAt: number | undefined
  /** When it is late: a lane with such a command becomes more urgent. */
  readonly deadlineAt: number | undefined
  /** Everything else that was said at its submit: JSON text, or undefined. */
  readonly options: string | undefined
  /** Units it takes of the lane's rate limits: JSON text of a number or an object; undefined for 1. */
  readonly cost: string | undefined
  /** Whether the submitter chose the id: then there may be another command with it. */
  readonly hasOwnId: boolean
  readonly dedupe: EngineDedupe | undefined
  /** Who waits for its outcome: the `instanceId` of a process. Undefined for a command of a foreign producer. */
  readonly replyTo: string | undefined
}

/** Keeps others with the same id out. `until`: end of its window, undefined for as long as the owner has not settled. */
export type EngineDedupe = {
  readonly id: string
  readonly mode: 'drop' | 'replace' | 'keep-last'
  readonly until: number | undefined
}

/** What changes of a command until it has settled. */
export type EngineProgress = {
  /** Number of the attempt that runs or ran last; 0 before the first. */
  readonly attempt: number
  /** What it saved with `ctx.checkpoint`: JSON text. */
  readonly checkpoint: string | undefined
  /** Retries, history, log lines and the like: JSON text, or undefined. */
  readonly details: string | undefined
}

/** An outcome. */
export type EngineOutcome = {
  readonly id: string
  readonly laneId: string
  readonly state: FinalState
  /** The result: JSON text. */
  readonly result: string | undefined
  /** The error in full: JSON text of an error record. */
  readonly error: string | undefined
}

/** How a submit was answered; the answers stand in the order of the commands. */
export type AddAnswer =
  | { readonly kind: 'accepted' }
  /** There is a command with its id, of the same type and payload, or one that keeps it out: that one's outcome counts. */
  | { readonly kind: 'duplicate'; readonly id: string; readonly laneId: string; readonly outcome?: EngineOutcome }
  /** It was refused: `CONFLICT`, `QUEUE_FULL`, `PAYLOAD_INVALID` and the like. */
  | { readonly kind: 'refused'; readonly error: unknown }

/** The right of this worker to run a command. */
export type Lease = { readonly id: string; readonly laneId: string; readonly token: string }

/** A command that was claimed, as it is now. */
export type Claim = {
  readonly lease: Lease
  readonly command: EngineCommand
  readonly progress: EngineProgress
  /** How often a lease on it was lost so far. */
  readonly recoveries: number
  /** Whether this claim comes after a lost lease. */
  readonly isRecovered: boolean
  /** Somebody wants it cancelled: why. It is claimed to be ended as that. */
  readonly cancelled: { readonly reason: string } | undefined
}

/** The answer to a claim. Without one: why, and when it is worth asking again where that is known. */
export type ClaimAnswer =
  | { readonly claim: Claim }
  | {
      readonly claim: undefined
      /** `full`: its limit over all workers is reached. `empty` may have delayed ones: then `retryAt` says the next. */
      readonly why: 'empty' | 'full' | 'paused' | 'rate_limited'
      readonly retryAt: number | undefined
    }

/** How a lease ends. */
export type LeaseEnd =
  /** With the outcome of its command. `letter`: its dead letter, JSON text. */
  | {
      readonly kind: 'settle'
      readonly state: FinalState
      readonly result: string | undefined
      readonly error: string | undefined
      readonly progress: EngineProgress
      readonly letter: string | undefined
    }
  /** It waits: a retry in back-off, a snooze. `cause` is for those who listen to events: JSON text. */
  | { readonly kind: 'delay'; readonly delayMs: number; readonly progress: EngineProgress; readonly cause: string }
  /** It goes back to the head of its lane: preempted, or its worker closes. */
  | { readonly kind: 'release'; readonly progress: EngineProgress }

/** What the attempt under a lease has turned out to cost. Costs are JSON text, as that of a command. */
export type EngineCharge = {
  /** Counts the charges under a lease, from 1. One that is not newer than the last that was taken changes nothing. */
  readonly number: number
  /** What was accounted for the attempt before the first of them; undefined for 1. Where one was taken, that counts. */
  readonly before: string | undefined
  /** What it has cost in all by now. */
  readonly after: string
}

/** How the end of a lease was taken; `next` is the answer to the claim that went with it. */
export type EndAnswer = { readonly isLost: boolean; readonly next: ClaimAnswer | undefined }

/** What has become of a lease that was to be renewed. */
export type RenewAnswer = { readonly isLost: boolean; readonly cancelled: { readonly reason: string } | undefined }

/** A command as an engine shows it. */
export type EngineRecord = {
  readonly command: EngineCommand
  readonly state: CommandState
  readonly progress: EngineProgress
  readonly startedAt: number | undefined
  readonly endedAt: number | undefined
  /** When it is due, while it is delayed. */
  readonly dueAt: number | undefined
  readonly outcome: EngineOutcome | undefined
  /** What its handler reported last: JSON text. */
  readonly lastProgress: string | undefined
}

/** Which commands are wanted. */
export type EngineQuery = {
  readonly laneIds: readonly string[]
  readonly state: CommandState | undefined
  readonly limit: number
  /** `nextCursor` of the page before. */
  readonly cursor: string | undefined
}

export type EnginePage = { readonly items: readonly EngineRecord[]; readonly nextCursor: string | undefined }

/** Counts of a lane over all workers. */
export type EngineLaneCounts = {
  readonly laneId: string
  readonly pending: number
  readonly active: number
  readonly delayed: number
  readonly letters: number
  readonly paused: boolean
  /** The earliest deadline among its waiting commands. */
  readonly deadlineAt: number | undefined
  /** How long that command had from its submit to its deadline. */
  readonly deadlineMs?: number | undefined
}

/** A dead letter as it is kept: JSON text. */
export type EngineLetter = { readonly id: string; readonly laneId: string; readonly letter: string }

/** What has happened in a shared lane, in whatever process. `at`: Unix milliseconds. */
export type EngineEvent = { readonly laneId: string; readonly at: number } & (
  | { readonly kind: 'added' | 'recovered'; readonly id: string }
  | { readonly kind: 'started'; readonly id: string; readonly commandType: string }
  /** `cause` as the end of its lease gave it; undefined when its submitter has put it off. */
  | { readonly kind: 'delayed'; readonly id: string; readonly delayMs: number; readonly cause: string | undefined }
  /** Its handler reports progress: JSON text. */
  | { readonly kind: 'reported'; readonly id: string; readonly value: string }
  /** `error`: JSON text of an error record. */
  | {
      readonly kind: 'settled'
      readonly id: string
      readonly commandType: string
      readonly state: FinalState
      readonly error: string | undefined
      readonly hasLetter: boolean
    }
  | { readonly kind: 'paused' | 'resumed' }
  /** So many events are lost, or nobody knows how many: 0. */
  | { readonly kind: 'missed'; readonly count: number }
)

/** An engine tells of events until this is closed. */
export type EngineListening = { close(): Promise<void> }

/** How a wish to cancel a command was taken. */
export type CancelAnswer =
  /** It waited and has its outcome now. */
  | 'cancelled'
  /** It runs: its worker is told, now or when it renews its lease. */
  | 'requested'
  /** It had its outcome, or is not known. */
  | 'too_late'

/** What a queue tells an engine when it begins to use it. */
export type EngineUse = {
  readonly lanes: readonly EngineLane[]
  /** Names this process among all: outcomes of its submits are sent to it. */
  readonly instanceId: string
  /** The wall clock, Unix milliseconds. */
  readonly now: () => number
  /** What was submitted here and has no outcome: the engine looks for outcomes whose message was lost. */
  readonly awaited: () => Iterable<{ readonly id: string; readonly laneId: string }>
  /** Outcomes of commands that this process waits for. One told twice does no harm. */
  readonly onOutcomes: (outcomes: readonly EngineOutcome[]) => void
  /** A handler has reported progress of a command that this process waits for. JSON text. */
  readonly onProgress: (id: string, value: string) => void
  /** A lane may have work or room now. */
  readonly onWork: (laneId: string) => void
  /** Somebody wants a command cancelled that runs here. */
  readonly onCancel: (id: string, reason: string) => void
  /** A lane was paused, resumed or configured by some process. */
  readonly onLane: (laneId: string, change: { readonly paused?: boolean; readonly lane?: EngineLane }) => void
  /** The engine cannot be reached, or can be again. */
  readonly onConnection: (isUp: boolean) => void
  /** Something is wrong that no call answers for: reported as `queue.fault`. */
  readonly onFault: (error: unknown) => void
}

/**
 * A shared queue. Calls reject with `ENGINE_UNAVAILABLE` when the engine cannot be reached within its own limit of time;
 * what was asked may have been done all the same, except where it says otherwise.
 */
export interface Engine {
  readonly capabilities: EngineCapabilities
  readonly role: EngineRole
  /** How long a lease lasts unless it is renewed, in milliseconds. */
  readonly leaseMs: number
  /** Longest payload, result or checkpoint, in bytes of UTF-8 JSON. Default no limit. */
  readonly maxPayloadBytes?: number
  /**
   * A queue begins to use it; once, before anything else. Connects, and takes the lanes in: a lane that others know with
   * other limits is `CONFLICT`. Rejects with a clear error when the server does not suit. A second queue: `CONFLICT`.
   */
  open(use: EngineUse): Promise<void>
  /** Adds commands, each wholly or not at all. Answers when they would survive what the engine promises to survive. */
  add(commands: readonly EngineCommand[]): Promise<readonly AddAnswer[]>
  /** Claims the next command of a lane under a new token. At most one. */
  claim(laneId: string, token: string): Promise<ClaimAnswer>
  /** Ends a lease; with `nextToken` it also claims the next command of the same lane, in one step where that is possible. */
  end(lease: Lease, end: LeaseEnd, nextToken: string | undefined): Promise<EndAnswer>
  /** Renews leases. The answers stand in their order. */
  renew(leases: readonly Lease[]): Promise<readonly RenewAnswer[]>
  /** Keeps the progress of a running command; false when the lease is lost. */
  save(lease: Lease, progress: EngineProgress): Promise<boolean>
  /** Tells whoever waits for it what its handler reports, and keeps the last of it. JSON text. May be lost. */
  report(claim: Claim, value: string): void
  /**
   * Corrects what the rate limits of the lane, and of its groups, count for the attempt under a lease. What it costs beyond
   * its account is a debt at once; what was too much is given back for as long as it counts, and `onWork` tells of the
   * lanes that wait for it, watched or not: they were told to ask later. Under a lost lease it changes nothing. Told twice
   * it counts once. Best effort: one that could not be told is lost, unless another follows, which says the whole again.
   * An engine without it counts what was estimated.
   */
  charge?(lease: Lease, charge: EngineCharge): Promise<void>
  /** The lanes in which work could be started at once: of those alone `onWork` has to tell. The last call counts. */
  watch(laneIds: readonly string[]): void
  /** `laneId` where the caller knows it. What it says of a running command outlives lost messages. */
  cancel(id: string, laneId: string | undefined, reason: string): Promise<CancelAnswer>
  pause(laneId: string): Promise<void>
  resume(laneId: string): Promise<void>
  configure(lane: EngineLane): Promise<void>
  /** Starts nothing in the lane, on any worker, for a time: a provider has said so. */
  hold(laneId: string, ms: number): Promise<void>
  find(id: string): Promise<EngineRecord | undefined>
  list(query: EngineQuery): Promise<EnginePage>
  counts(): Promise<readonly EngineLaneCounts[]>
  /** Dead letters, oldest first. */
  letters(limit: number): Promise<readonly EngineLetter[]>
  /** Takes dead letters away; gives those that were there. */
  removeLetters(ids: readonly string[]): Promise<readonly string[]>
  /**
   * Tells what happens in the lanes from now on, in any process: each lane's events in their order. What happens while the
   * engine cannot be reached is told afterwards, or counted as missed. An engine without it tells of no other process.
   */
  events?(onEvent: (event: EngineEvent) => void): Promise<EngineListening>
  /** Facts about the connection for `stats`. */
  facts(): Readonly<Record<string, string | number | boolean>>
  /** Ends. Idempotent; always comes back within about 5 s, also when the server is away. */
  close(): Promise<void>
}
