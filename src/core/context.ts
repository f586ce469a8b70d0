/** What a handler is given beside its payload: one per attempt, useless once the attempt has ended. */
import type { Cost } from '../policy/index.js'
import { type AnyCommand, type Command, type FunctionCommand, payloadOf } from './command.js'
import type { DefinedCommand } from './definition.js'
import type { Entry } from './entry.js'
import { LaneError } from './errors.js'
import type { CommandRecord, ListOptions, ListPage } from './records.js'
import { type CommandRun, quiet, quietRejection, type ResultOf } from './run.js'
import type { QueueStats } from './stats.js'
import type { SubmitOptions } from './submit-options.js'
import type { TraceContext } from './tracing.js'

/** The queue as a handler sees it: what is submitted here belongs to the running command and is cancelled with it. */
export interface ChildQueue {
  submit<R>(laneId: string, command: DefinedCommand<unknown, unknown, R>, options?: SubmitOptions): CommandRun<R>
  submit<R>(laneId: string, command: FunctionCommand<R> | Command<R>, options?: SubmitOptions): CommandRun<ResultOf<R>>
  submit<R = unknown>(laneId: string, command: AnyCommand<R>, options?: SubmitOptions): CommandRun<R>
  submitBatch(
    laneId: string,
    commands: readonly (AnyCommand | readonly [AnyCommand, SubmitOptions])[],
    options?: SubmitOptions,
  ): CommandRun[]
  cancel(commandId: string, reason?: unknown): boolean
  get(commandId: string): Promise<CommandRecord | undefined>
  list(options?: ListOptions): Promise<ListPage>
  stats(): QueueStats
}

/** What a handler is given beside its payload. */
export interface CommandContext<P = unknown> {
  readonly id: string
  readonly laneId: string
  readonly commandType: string
  readonly payload: P
  /** The `key` it was submitted with: its user, tenant or session. */
  readonly key: string | undefined
  /** The trace that the command's submit belongs to, when there is tracing or its submitter passed one. */
  readonly traceContext: TraceContext | undefined
  /** Number of this attempt, from 1. */
  readonly attempt: number
  /**
   * Aborts when this attempt is to stop; its reason is the `LaneError` that says why (`COMMAND_TIMEOUT`,
   * `COMMAND_CANCELLED`, `COMMAND_PREEMPTED`). Made when first read.
   */
  readonly signal: AbortSignal
  /** What this command saved last with `checkpoint`, in an earlier attempt or before it was preempted; a new copy each time. */
  readonly restored: unknown
  /**
   * Saves where the work stands, as JSON (`PAYLOAD_INVALID` for anything else): the next attempt finds it in `restored`, and
   * so does this one after a preemption. A safe point: once `signal` has aborted it saves and then rejects with
   * `signal.reason`. Kept until the command has its outcome: with a storage it resolves when the state is written, and rejects
   * with `STORAGE_FAILED` when that could not be done; a crash gives the next attempt the last state that was written.
   */
  readonly checkpoint: (state: unknown) => Promise<void>
  /**
   * A safe point to give the slot to commands that would start before this one; goes on in place when a slot is free
   * again, at once when there are none. The time does not count towards the timeout. Rejects with `signal.reason` when
   * the attempt is to stop.
   */
  readonly yield: () => Promise<void>
  /**
   * Says what this attempt has cost in all so far, where `cost` was an estimate: what it exceeds that by is a debt of the
   * lane's rate limits, the rest is given back. `CONFIG_INVALID` for what is no cost.
   */
  readonly charge: (cost: Cost) => void
  /** Tells whoever reads `run.progress()`, and the subscribers. Ignored once the attempt has ended. */
  readonly progress: (value: unknown) => void
  /** Adds a line to the command's record; the newest 1,000 are kept. Ignored once the attempt has ended. */
  readonly log: (line: string) => void
  /** Submits children: they are cancelled with this command, unless submitted with `detached`. */
  readonly queue: ChildQueue
  /**
   * Submits a child and waits for it, lending it this attempt's slot meanwhile, so a full lane cannot wait for itself.
   * The time counts towards this attempt's timeout.
   */
  readonly run: RunChild
}

/** `ctx.run`: gives the result of the child, of the type that its command tells. */
export interface RunChild {
  <R>(laneId: string, command: DefinedCommand<unknown, unknown, R>, options?: SubmitOptions): Promise<R>
  <R>(laneId: string, command: FunctionCommand<R> | Command<R>, options?: SubmitOptions): Promise<ResultOf<R>>
  <R = unknown>(laneId: string, command: AnyCommand<R>, options?: SubmitOptions): Promise<R>
}

/** What a child is submitted with. */
export type ChildArguments = [laneId: string, command: AnyCommand, options: SubmitOptions | undefined]

/** The queue, as a context needs it. */
export interface ContextHost {
  progress(entry: Entry, value: unknown): void
  log(entry: Entry, attempt: number, line: unknown): void
  /** Keeps the state as JSON text; gives the promise of its writing where it is written. */
  checkpoint(entry: Entry, state: unknown): Promise<void> | undefined
  yieldSlot(entry: Entry): Promise<void>
  charge(entry: Entry, cost: unknown): void
  childQueue(parent: Entry): ChildQueue
  /** `isLive`: the attempt that asks still runs, so it has a slot to lend. */
  runChild(parent: Entry, isLive: boolean, ...child: ChildArguments): Promise<unknown>
}

/**
 * The context of one attempt. Everything that costs something is made when it is first asked for; functions are bound,
 * so handlers may take them apart: `async ({ path }, { signal, progress }) => …`.
 */
export class Context implements CommandContext {
  readonly #entry: Entry
  readonly #host: ContextHost
  readonly attempt: number
  #abortReason: unknown
  #controller: AbortController | undefined

  constructor(entry: Entry, host: ContextHost) {
    this.#entry = entry
    this.#host = host
    this.attempt = entry.attempt
  }

  get id(): string {
    return this.#entry.run.id
  }

  get laneId(): string {
    return this.#entry.run.laneId
  }

  get commandType(): string {
    return this.#entry.run.commandType
  }

  get payload(): unknown {
    return payloadOf(this.#entry.body)
  }

  get key(): string | undefined {
    return this.#entry.details?.traits?.key
  }

  get traceContext(): TraceContext | undefined {
    return this.#entry.details?.trace
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController()
      if (this.#abortReason !== undefined) this.#controller.abort(this.#abortReason)
    }
    return this.#controller.signal
  }

  get progress(): (value: unknown) => void {
    return (value) => {
      if (isLive(this, this.#entry) && this.#abortReason === undefined) this.#host.progress(this.#entry, value)
    }
  }

  get log(): (line: string) => void {
    return (line) => {
      if (isLive(this, this.#entry)) this.#host.log(this.#entry, this.attempt, line)
    }
  }

  get restored(): unknown {
    const text = this.#entry.details?.traits?.checkpoint
    return text === undefined ? undefined : (JSON.parse(text) as unknown)
  }

  get checkpoint(): (state: unknown) => Promise<void> {
    return (state) => {
      if (!isLive(this, this.#entry)) return quietRejection(this.#abortReason ?? ended())
      let written: Promise<void> | undefined
      try {
        written = this.#host.checkpoint(this.#entry, state)
      } catch (error) {
        return quietRejection(error)
      }
      if (written !== undefined) return quiet(written.then(() => this.#throwIfAborted()))
      return this.#abortReason === undefined ? Promise.resolve() : quietRejection(this.#abortReason)
    }
  }

  get yield(): () => Promise<void> {
    return () => {
      if (this.#abortReason !== undefined) return quietRejection(this.#abortReason)
      if (!isLive(this, this.#entry)) return Promise.resolve()
      return this.#entry.details?.traits?.yielding ?? this.#host.yieldSlot(this.#entry)
    }
  }

  get charge(): (cost: Cost) => void {
    return (cost) => {
      if (isLive(this, this.#entry)) this.#host.charge(this.#entry, cost)
    }
  }

  get queue(): ChildQueue {
    return this.#host.childQueue(this.#entry)
  }

  get run(): RunChild {
    return (laneId: string, command: AnyCommand, options?: SubmitOptions) =>
      this.#host.runChild(this.#entry, isLive(this, this.#entry), laneId, command, options) as Promise<never>
  }

  #throwIfAborted(): void {
    if (this.#abortReason !== undefined) throw this.#abortReason as Error
  }

  /** The attempt is to stop. A signal aborts once, so the first reason stays. */
  abort(reason: LaneError): void {
    this.#abortReason ??= reason
    this.#controller?.abort(reason)
  }
}

const ended = (): LaneError => new LaneError('CONFLICT', 'The attempt has ended: nothing was saved')

/** Whether the body has not ended. No private accessor: that would be one more slot in every context. */
const isLive = (context: Context, entry: Entry): boolean => entry.context === context
