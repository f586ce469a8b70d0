/**
 * All that the queue knows of one command beyond its run. Made when the command starts, or at submit when it has options
 * that a place in the backlog cannot hold; a command that only waits has none.
 */
import type { Cost } from '../policy/index.js'
import type { Alarm } from './alarms.js'
import type { Context } from './context.js'
import type { ErrorRecord } from './errors.js'
import type { LaneState } from './lane.js'
import type { AttemptPolicy } from './lane-limits.js'
import type { ProgressReader } from './progress.js'
import type { Run, Settle } from './run.js'
import type { Slot } from './slot.js'
import type { Stored } from './stored.js'
import type { SubmitOptions } from './submit-options.js'
import type { AttemptSpan, TraceContext } from './tracing.js'
import type { Urgent } from './urgency.js'

/** One failed attempt, as dead letters and records show it. */
export type AttemptFailure = { readonly attempt: number; readonly error: string; readonly at: string }

/** Submit options that a command keeps when it is submitted again. */
export type OwnOptions = Pick<
  SubmitOptions,
  'priority' | 'timeoutMs' | 'retry' | 'key' | 'weight' | 'cost' | 'deadlineMs'
>

/** What policies know of a command: only those have it that use one. */
export class Traits {
  /** Its group inside the lane. */
  key: string | undefined
  /** Its key's weight among the keys. */
  weight = 1
  /** What it costs, by its own estimate. */
  cost: Cost | undefined
  /** How much of its key's turn it uses up. */
  share = 1
  deadlineMs: number | undefined
  /** Its neighbours in the line of its key. */
  older: Entry | undefined
  newer: Entry | undefined
  isInLine = false
  /** It holds a place of its key. */
  holdsKey = false
  /** Its place among the waiting commands that have a deadline. */
  urgent: Urgent | undefined
  /** What it saved with `ctx.checkpoint`, as JSON text. */
  checkpoint: string | undefined
  /** Its attempt was interrupted and goes on under the same number. */
  isPreempted = false
  /** Time for which its attempt held a slot before it gave it up. */
  usedMs = 0
  /** What is accounted for its attempt, once that has said so. */
  charged: Cost | undefined
  /** What a body inside `ctx.yield` waits for, and what ends that; with an error when the body has to stop. */
  yielding: Promise<void> | undefined
  goOn: ((error?: unknown) => void) | undefined
  /** It runs in the place of the command that waits for it: a breaker counts that one only. */
  isLentTrial = false
  /** The id that keeps others like it out. */
  dedupeId: string | undefined
}

/** What only some commands have: those with options, a failure, a delay, children, or somebody who listens. */
export class EntryDetails {
  readonly entry: Entry
  /** Place in a heap of returned commands; -1 outside. */
  heapIndex = -1
  /** Number in the queue when its id does not tell it. */
  seq = -1
  /** Whether it is known by its id. */
  isListed = false
  /** Failed attempts that were retried. */
  retries = 0
  /** Times put off by the handler with an error that says when. */
  deferrals = 0
  /** When the running attempt times out, or when the delay of a waiting command is over. */
  alarm: Alarm | undefined
  /** Due instant of a delayed command. */
  dueAt = -1
  /** Since when it waits for a slot, where that is not since its arrival: it was delayed, or gave its slot up. */
  readyAt: number | undefined
  error: ErrorRecord | undefined
  parent: Entry | undefined
  children: Set<Entry> | undefined
  /** Runs of children that any process may run. */
  sharedChildren: Set<Run> | undefined
  metadata: unknown
  redrivenFrom: string | undefined
  /** Ends the watch over the submitter's signal. */
  unwatch: (() => void) | undefined
  history: AttemptFailure[] | undefined
  logs: LogLine[] | undefined
  readers: Set<ProgressReader> | undefined
  lastProgress: unknown
  /** What the submitter gave, where a schema made the payload from it: a second submit of the id is compared with it. */
  given: unknown
  /** Options of its own that a redrive has to keep. */
  own: OwnOptions | undefined
  traits: Traits | undefined
  /** The trace that its submit belongs to, and the span of the attempt that runs. */
  trace: TraceContext | undefined
  span: AttemptSpan | undefined
  /** What the journal knows of it, when it is stored. */
  stored: Stored | undefined

  constructor(entry: Entry) {
    this.entry = entry
  }
}

/** A line that a handler wrote with `ctx.log`. */
export type LogLine = { readonly at: string; readonly attempt: number; readonly line: string }

const nothing: Settle = () => undefined

/**
 * Kept small, because every command that runs has one. Instants start as undefined and not as a number, so that V8 keeps
 * them as pointers: the commands of one turn then share one boxed number instead of having three each.
 */
export class Entry {
  readonly run: Run
  settle: Settle
  readonly lane: LaneState
  readonly body: unknown
  /** Place among the lane's commands of this priority; a retry comes back to it. */
  place: number
  readonly priority: number
  readonly policy: AttemptPolicy
  readonly arrivedAt: number | undefined
  startedAt: number | undefined
  endedAt: number | undefined
  /** Number of the attempt that runs or ran last; 0 before the first. */
  attempt: number
  /** The body that runs, if one does: also that of a zombie. */
  slot: Slot | undefined
  /** What that body was given. */
  context: Context | undefined
  result: unknown
  details: EntryDetails | undefined

  // biome-ignore lint/complexity/useMaxParams: made for every command that runs; an options object would be a second one
  constructor(
    run: Run,
    lane: LaneState,
    body: unknown,
    place: number,
    priority: number,
    policy: AttemptPolicy,
    arrivedAt: number | undefined,
  ) {
    this.run = run
    this.settle = run.inner as Settle
    this.lane = lane
    this.body = body
    this.place = place
    this.priority = priority
    this.policy = policy
    this.arrivedAt = arrivedAt
    this.startedAt = undefined
    this.endedAt = undefined
    this.attempt = 0
    this.slot = undefined
    this.context = undefined
    this.result = undefined
    this.details = undefined
    run.inner = this
  }

  /** Since when it waits for a slot, or waited before it started. */
  get readySince(): number {
    return this.details?.readyAt ?? (this.arrivedAt as number)
  }

  /** The details, made when first needed. */
  get more(): EntryDetails {
    this.details ??= new EntryDetails(this)
    return this.details
  }

  /** What policies know of it, made when first needed. */
  get traits(): Traits {
    const { more } = this
    more.traits ??= new Traits()
    return more.traits
  }

  /**
   * The run has its outcome: what settled it is let go, settled commands are kept for a while. And the run lets a plain
   * entry go: it may live long, and would keep 144 bytes more alive for each collection to copy.
   */
  letGo(): void {
    this.settle = nothing
    if (this.details === undefined) this.run.inner = undefined
  }
}
