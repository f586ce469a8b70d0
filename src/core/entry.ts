/**
 * All that the queue knows of one command beyond its run. Made when the command starts, or at submit when it has options
 * that a place in the backlog cannot hold; a command that only waits has none.
 */
import type { Alarm } from './alarms.js'
import type { Context } from './context.js'
import type { ErrorRecord } from './errors.js'
import type { LaneState } from './lane.js'
import type { AttemptPolicy } from './lane-config.js'
import type { ProgressReader } from './progress.js'
import type { Run, Settle } from './run.js'
import type { Slot } from './slot.js'

/** One failed attempt, as dead letters and records show it. */
export type AttemptFailure = { readonly attempt: number; readonly error: string; readonly at: string }

/** What only some commands have. */
export class EntryDetails {
  parent: Entry | undefined
  children: Set<Entry> | undefined
  metadata: unknown
  redrivenFrom: string | undefined
  /** Ends the watch over the submitter's signal. */
  unwatch: (() => void) | undefined
  history: AttemptFailure[] | undefined
  logs: LogLine[] | undefined
  readers: Set<ProgressReader> | undefined
  lastProgress: unknown
  /** How many `ctx.run` calls of the running attempt are under way: its slot is lent while there are any. */
  waiting = 0
  /** Called once when the body of the running attempt has ended and its slot is free. */
  onFree: (() => void) | undefined
}

/** A line that a handler wrote with `ctx.log`. */
export type LogLine = { readonly at: string; readonly attempt: number; readonly line: string }

export class Entry {
  readonly run: Run
  readonly settle: Settle
  readonly lane: LaneState
  readonly body: unknown
  readonly seq: number
  readonly priority: number
  readonly policy: AttemptPolicy
  /** Place among the lane's commands of this priority; a retry comes back to it. */
  place: number
  readonly arrivedAt: number
  heapIndex = -1
  /** Index among the lane's running commands; -1 while it does not run. */
  runningIndex = -1
  /** Whether it is known by its id. */
  isListed = false
  /** Number of the attempt that runs or ran last; 0 before the first. */
  attempt = 0
  /** Failed attempts that were retried. */
  retries = 0
  /** Times put off by the handler with an error that says when. */
  deferrals = 0
  startedAt = -1
  endedAt = -1
  /** The body that runs, if one does: also that of a zombie. */
  slot: Slot | undefined
  context: Context | undefined
  /** When the running attempt times out, or when the delay of a waiting command is over. */
  alarm: Alarm | undefined
  /** Due instant of a delayed command. */
  dueAt = -1
  result: unknown
  error: ErrorRecord | undefined
  details: EntryDetails | undefined

  constructor(
    run: Run,
    lane: LaneState,
    body: unknown,
    seq: number,
    priority: number,
    place: number,
    arrivedAt: number,
    policy: AttemptPolicy,
  ) {
    this.run = run
    this.settle = run.inner as Settle
    this.lane = lane
    this.body = body
    this.seq = seq
    this.priority = priority
    this.place = place
    this.arrivedAt = arrivedAt
    this.policy = policy
    run.inner = this
  }

  /** The details, made when first needed. */
  get more(): EntryDetails {
    this.details ??= new EntryDetails()
    return this.details
  }
}
