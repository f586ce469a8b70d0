/** What the code of a tool is given: the queue's context of its attempt, and what only a session has. */
import { type ChildQueue, type CommandContext, configInvalid, type RunChild, type TraceContext } from '../core/index.js'
import type { SessionLane } from './lanes.js'
import type { ToolCall, ToolResult } from './tool-call.js'

/** What the code of a tool or of a direct submission is given beside its arguments. */
export interface ToolContext<P = unknown> extends CommandContext<P> {
  readonly laneId: SessionLane
  /** The id that the model gave the call; undefined for what no model called. */
  readonly toolCallId: string | undefined
  /** Output while the tool runs: subscribers read it as `tool_output_delta`. Ignored once the tool has ended. */
  readonly output: (delta: string) => void
  /**
   * Calls tools from inside this one, by the rules of `session.runToolCalls`. They run in this command's slot, so a lane
   * of one cannot wait for itself; a call whose lane is external becomes an external task.
   */
  readonly runToolCalls: (calls: readonly ToolCall[]) => Promise<ToolResult[]>
}

/** Where an attempt of a session comes from. */
export type AttemptPlace = {
  readonly lane: SessionLane
  readonly type: string
  readonly payload: unknown
  readonly toolCallId?: string | undefined
}

/** What a context reaches its session by. */
export interface ContextSession {
  output(call: Pick<AttemptPlace, 'toolCallId' | 'type'>, delta: string): void
  runNested(calls: readonly ToolCall[], parent: SessionContext): Promise<ToolResult[]>
}

/** A thin cover over the queue's context. Functions are bound: handlers may take it apart. */
export class SessionContext implements ToolContext {
  readonly #base: CommandContext
  readonly #place: AttemptPlace
  readonly #session: ContextSession
  readonly #signal: AbortSignal | undefined
  /** Whether its body has not ended. */
  isLive = true
  /** Whether its command is of another session. */
  isForeign = false

  /** `signal` instead of the base's: a nested call can be ended by itself. */
  constructor(base: CommandContext, place: AttemptPlace, session: ContextSession, signal?: AbortSignal) {
    this.#base = base
    this.#place = place
    this.#session = session
    this.#signal = signal
  }

  get id(): string {
    return this.#base.id
  }
  get laneId(): SessionLane {
    return this.#place.lane
  }
  get commandType(): string {
    return this.#place.type
  }
  get payload(): unknown {
    return this.#place.payload
  }
  get toolCallId(): string | undefined {
    return this.#place.toolCallId
  }
  get key(): string | undefined {
    return this.#base.key
  }
  get traceContext(): TraceContext | undefined {
    return this.#base.traceContext
  }
  get attempt(): number {
    return this.#base.attempt
  }
  get signal(): AbortSignal {
    return this.#signal ?? this.#base.signal
  }
  get restored(): unknown {
    return this.#base.restored
  }
  get checkpoint(): CommandContext['checkpoint'] {
    return this.#base.checkpoint
  }
  get yield(): () => Promise<void> {
    return this.#base.yield
  }
  get charge(): CommandContext['charge'] {
    return this.#base.charge
  }
  get progress(): (value: unknown) => void {
    return this.#base.progress
  }
  get log(): (line: string) => void {
    return this.#base.log
  }
  get queue(): ChildQueue {
    return this.#base.queue
  }
  get run(): RunChild {
    return this.#base.run
  }
  get output(): (delta: string) => void {
    return (delta) => {
      if (this.isLive) this.#session.output(this.#place, delta)
    }
  }
  get runToolCalls(): (calls: readonly ToolCall[]) => Promise<ToolResult[]> {
    return (calls) => this.#session.runNested(calls, this)
  }
}

const nothing = (): void => undefined
const noQueue = (): never => {
  throw configInvalid('queueConfig', 'given to a session that submits commands', false)
}

/** The base of a context where there is no queue. */
export function directContext(id: string, signal: AbortSignal): CommandContext {
  return {
    id,
    laneId: '',
    commandType: '',
    payload: undefined,
    key: undefined,
    traceContext: undefined,
    attempt: 1,
    signal,
    restored: undefined,
    checkpoint: async () => signal.throwIfAborted(),
    yield: async () => signal.throwIfAborted(),
    charge: nothing,
    progress: nothing,
    log: nothing,
    get queue(): ChildQueue {
      return noQueue()
    },
    run: async () => noQueue(),
  }
}
