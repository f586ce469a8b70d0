/**
 * The commands of a session: submitted to the queue, and run by their lane's handler mode. Mode and handler timeout are
 * those of the submit; changing a lane's handler touches nothing in flight.
 */
import {
  type Clock,
  type CommandContext,
  type CommandRun,
  formatDuration,
  LaneError,
  type QueueManager,
  type SubmitOptions,
  sameData,
  UnrecoverableError,
} from '../core/index.js'
import { RetryPolicy } from '../policy/index.js'
import type { LaneHandlerConfig } from './config-handler.js'
import { type ContextSession, SessionContext } from './context.js'
import type { ExternalTasks } from './external-tasks.js'
import { isQueryTool, type SessionLane } from './lanes.js'
import type { KnownCommand } from './queue-events.js'
import { type CommandKind, type CommandRequest, type LocalWork, SessionCommand } from './session-command.js'

/** What a stored command says of itself, for the process after this one. */
type Stored = { readonly session: { readonly kind: CommandKind; readonly handler: LaneHandlerConfig } }

/** What commands need of their session. */
export type CommandsHost = ContextSession & {
  readonly clock: Clock
  readonly queue: QueueManager<SessionLane>
  readonly shared: QueueManager<SessionLane> | undefined
  readonly external: ExternalTasks
  readonly handlers: Record<SessionLane, LaneHandlerConfig>
  readonly timeoutMs: Readonly<Record<SessionLane, number | undefined>>
  /** What somebody has asked for: it holds for every lane and mode. */
  readonly retry: RetryPolicy | undefined
  readonly hasStorage: boolean
  readonly sessionId: string
  /** What a command type runs here. */
  localOf(type: string): LocalWork | undefined
  /** The same for a shared command, whoever has made it. */
  sharedOf(type: string): LocalWork | undefined
  /** A body has ended, or a command: somebody may wait for that. */
  ended(command: SessionCommand | undefined): void
}

/** Read-only tools are tried again; what may not be repeatable is not. */
const QUERY_RETRY = RetryPolicy.exponential(3)
const RETRIED: SubmitOptions = { retry: QUERY_RETRY }

export class Commands {
  readonly #host: CommandsHost
  /** By command id. */
  readonly #live = new Map<string, SessionCommand>()
  /** Bodies that belong to no command: calls made inside calls, in a session without a queue. */
  readonly #others = { bodies: 0 }
  /** Types that the queue has a handler for. */
  readonly #types = new Set<string>()
  readonly #handler = (payload: unknown, context: CommandContext): unknown => this.#attempt(payload, context)

  constructor(host: CommandsHost) {
    this.#host = host
  }

  /** All that have not settled or whose body has not ended. */
  get live(): Iterable<SessionCommand> {
    return this.#live.values()
  }

  get(id: string): SessionCommand | undefined {
    return this.#live.get(id)
  }

  /** The queue is to call the session for commands of this type. */
  serve(type: string): void {
    if (this.#types.has(type)) return
    this.#types.add(type)
    this.#host.queue.handle(type, this.#handler)
  }

  /** The shared queue is to call the session for all that has code here, and to leave the rest to other processes. */
  serveShared(): void {
    const run = (payload: unknown, context: CommandContext): unknown => this.#sharedAttempt(payload, context)
    this.#host.shared?.resolveHandler((type) => (this.#host.sharedOf(type) === undefined ? undefined : run))
  }

  /** What its events say of a command. */
  known(id: string): KnownCommand | undefined {
    const command = this.#live.get(id)
    if (command === undefined) return undefined
    const { handler, request } = command
    const { type, lane, options } = request
    const own = this.#retriesQuery(lane, type, handler) ? QUERY_RETRY : this.#host.retry
    return { type, retry: options?.retry ?? own }
  }

  submit(request: CommandRequest): CommandRun {
    const { lane, type, payload } = request
    const handler = this.handlerOf(request)
    const isShared = this.isShared(request)
    const queue = isShared ? (this.#host.shared as QueueManager<SessionLane>) : this.#host.queue
    if (!isShared) this.serve(type)
    const run = queue.submit(lane, { type, payload }, this.#optionsOf(request, handler, isShared))
    if (this.#live.has(run.id)) return run // the same id again: the same command
    this.#keep(new SessionCommand(request, handler, run, isShared))
    return run
  }

  /**
   * Whether other processes can do it as well: not the model's calls, nor what brings its code, nor what is done outside
   * of this session.
   */
  isShared(request: CommandRequest): boolean {
    const { kind, isBrought, options } = request
    return (
      this.#host.shared !== undefined &&
      this.handlerOf(request).mode === 'internal' &&
      (kind === 'tool' || kind === 'direct') &&
      isBrought !== true &&
      options?.ephemeral !== true
    )
  }

  /** How it is handled, when it is submitted now. */
  handlerOf({ handler, kind, lane }: CommandRequest): LaneHandlerConfig {
    return handler ?? (kind === 'control' ? INTERNAL : this.#host.handlers[lane])
  }

  #keep(command: SessionCommand): void {
    const { run, id } = command
    this.#live.set(id, command)
    const settled = (): void => {
      command.isOver = true
      this.#forget(command)
      this.#host.ended(command)
    }
    run.then(settled, settled)
  }

  /**
   * A command inside another: it runs in its caller's slot, in no lane, and is no command of the queue. Its lane's mode and
   * timeout hold all the same.
   */
  async nested(request: CommandRequest, parent: SessionContext): Promise<unknown> {
    if (!parent.isLive) throw new LaneError('CONFLICT', 'The command that calls this tool has ended')
    // what is told to stop begins nothing more
    parent.signal.throwIfAborted()
    const { lane } = request
    const handler = this.#host.handlers[lane]
    const timeoutMs = handler.mode === 'external' ? handler.timeoutMs : this.#host.timeoutMs[lane]
    const { clock } = this.#host
    const controller = new AbortController()
    const { signal } = controller
    const stop = (): void => controller.abort(parent.signal.reason)
    const timer =
      timeoutMs === undefined ? undefined : clock.setTimer(timeoutMs, () => controller.abort(timedOut(timeoutMs)))
    parent.signal.addEventListener('abort', stop, { once: true })
    const context = new SessionContext(parent, request, this.#host, signal)
    context.isForeign = parent.isForeign
    try {
      return await untilStopped(this.#perform(request, handler, context), signal)
    } finally {
      if (timer !== undefined) clock.clearTimer(timer)
      parent.signal.removeEventListener('abort', stop)
    }
  }

  /** Tool calls that an engine has, wherever they run. */
  sharedCalls(): readonly SessionCommand[] {
    return [...this.#live.values()].filter(
      ({ isShared, request, isOver }) => isShared && request.kind === 'tool' && !isOver,
    )
  }

  /** How many of a lane's wait elsewhere, or run there. */
  countElsewhere(lane: SessionLane): number {
    return [...this.#live.values()].filter(({ isElsewhere, request }) => isElsewhere && request.lane === lane).length
  }

  /** Whether a body runs that belongs to none of the live ones. */
  get runsOthers(): boolean {
    return this.#others.bodies > 0
  }

  #optionsOf(request: CommandRequest, handler: LaneHandlerConfig, isShared: boolean): SubmitOptions | undefined {
    const { lane, type, options } = request
    const { hasStorage } = this.#host
    const isExternal = handler.mode === 'external'
    const isRetried = this.#retriesQuery(lane, type, handler)
    if (!hasStorage && !isExternal && !isShared) {
      if (!isRetried) return options
      return options === undefined ? RETRIED : { retry: QUERY_RETRY, ...options }
    }
    return {
      ...(isRetried ? { retry: QUERY_RETRY } : {}),
      ...options,
      // the handler's timeout governs the wait, whatever the lane or the submit says
      ...(isExternal ? { timeoutMs: handler.timeoutMs } : {}),
      ...(hasStorage ? storedOptions(request, handler) : {}),
      ...(isShared ? this.#sharedOptions(request) : {}),
    }
  }

  /** What is seen of a shared command in every process. */
  #sharedOptions({ kind, toolCallId, options }: CommandRequest): SubmitOptions {
    const session = { id: this.#host.sessionId, kind, ...(toolCallId === undefined ? {} : { toolCallId }) }
    return { metadata: options?.metadata === undefined ? { session } : { session, metadata: options.metadata } }
  }

  #retriesQuery(lane: SessionLane, type: string, { mode }: LaneHandlerConfig): boolean {
    return this.#host.retry === undefined && mode !== 'external' && lane === 'query' && isQueryTool(type)
  }

  #attempt(payload: unknown, context: CommandContext): unknown {
    const command = this.#live.get(context.id)
    return command === undefined ? this.#recovered(payload, context) : this.#known(command, context)
  }

  #sharedAttempt(payload: unknown, context: CommandContext): unknown {
    const command = this.#live.get(context.id)
    // an id that this session wanted may be another's: its submit is about to be refused
    const isOwn =
      command?.isShared === true &&
      command.request.type === context.commandType &&
      command.request.lane === context.laneId &&
      sameData(command.request.payload, payload)
    return isOwn ? this.#known(command, context) : this.#foreign(payload, context)
  }

  #known({ request, handler }: SessionCommand, context: CommandContext): Promise<unknown> {
    return this.#perform(request, handler, new SessionContext(context, request, this.#host))
  }

  /** A command that no submit of this process has made: of the process before, or a child of `context.queue`. */
  async #recovered(payload: unknown, context: CommandContext): Promise<unknown> {
    const stored = (await this.#host.queue.get(context.id))?.metadata as Stored | undefined
    const { kind, handler } = stored?.session ?? { kind: 'direct', handler: INTERNAL }
    if (kind !== 'direct') throw new UnrecoverableError('The turn that has made this call ended with its process')
    const type = context.commandType
    const lane = context.laneId as SessionLane
    const request: CommandRequest = { lane, type, payload, kind, local: this.#host.localOf(type) }
    this.#adopt(request, handler, context.id)
    return this.#perform(request, handler, new SessionContext(context, request, this.#host))
  }

  /** A command of another session, or of another process: no turn of this one waits for it. */
  async #foreign(payload: unknown, base: CommandContext): Promise<unknown> {
    const { commandType: type, laneId } = base
    const local = this.#host.sharedOf(type)
    const request: CommandRequest = { lane: laneId as SessionLane, type, payload, kind: 'direct', local }
    const context = new SessionContext(base, request, this.#host)
    context.isForeign = true
    try {
      return await this.#byMode(request, INTERNAL, context)
    } finally {
      context.isLive = false
    }
  }

  /** From now on it can be cancelled and waited for like one that was submitted here. */
  #adopt(request: CommandRequest, handler: LaneHandlerConfig, id: string): void {
    const { lane, type, payload } = request
    if (this.#host.queue.isShuttingDown) return
    const run = this.#host.queue.submit(lane, { type, payload }, { id })
    this.#keep(new SessionCommand(request, handler, run, false))
  }

  async #perform(request: CommandRequest, handler: LaneHandlerConfig, context: SessionContext): Promise<unknown> {
    // a nested call is a body of the command that it is made in
    const own = context.isForeign ? undefined : this.#live.get(context.id)
    const counted = own ?? (context.isForeign ? { bodies: 0 } : this.#others)
    counted.bodies++
    try {
      return await this.#byMode(request, handler, context)
    } finally {
      context.isLive = false
      counted.bodies--
      if (own !== undefined) this.#forget(own)
      this.#host.ended(undefined)
    }
  }

  #byMode(
    { lane, type, local }: CommandRequest,
    { mode, timeoutMs }: LaneHandlerConfig,
    context: SessionContext,
  ): unknown {
    if (mode !== 'internal') {
      const { id: commandId, attempt, payload, signal } = context
      const outside = { commandId, commandType: type, lane, attempt, payload, timeoutMs }
      if (mode === 'external') return this.#host.external.run(outside, signal)
      return this.#inSight(this.#host.external.shadow(outside), context, local)
    }
    if (local === undefined) throw new UnrecoverableError(noHandler(type))
    return local(context.payload, context)
  }

  /** Runs here, while the outside looks on. */
  async #inSight(
    tell: (error?: unknown) => void,
    context: SessionContext,
    local: LocalWork | undefined,
  ): Promise<unknown> {
    const { signal } = context
    const onAbort = (): void => tell(signal.reason)
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      if (local === undefined) throw new UnrecoverableError(noHandler(context.commandType))
      const value = await local(context.payload, context)
      tell()
      return value
    } catch (error) {
      tell(error)
      throw error
    } finally {
      signal.removeEventListener('abort', onAbort)
    }
  }

  #forget({ id, bodies, isOver }: SessionCommand): void {
    if (bodies === 0 && isOver) this.#live.delete(id)
  }
}

const INTERNAL: LaneHandlerConfig = { mode: 'internal', timeoutMs: 60_000 }

/** Nobody here knows what to do with commands of this type. */
export const noHandler = (type: string): string => `No handler is registered for command type '${type}'`

const timedOut = (timeoutMs: number): LaneError =>
  new LaneError('COMMAND_TIMEOUT', `Command timed out after ${formatDuration(timeoutMs)}`)

/** What the process after this one needs to know of a command; what cannot outlive its turn is not written. */
function storedOptions({ kind, options }: CommandRequest, handler: LaneHandlerConfig): SubmitOptions {
  if (kind === 'model' || kind === 'control') return { ephemeral: true }
  const stored: Stored = { session: { kind, handler } }
  return { metadata: options?.metadata === undefined ? stored : { ...stored, metadata: options.metadata } }
}

/** Settles with the promise, or with the signal's reason when that comes first. */
function untilStopped(promise: Promise<unknown>, signal: AbortSignal): Promise<unknown> {
  promise.catch(() => undefined)
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason)
    if (signal.aborted) onAbort()
    else signal.addEventListener('abort', onAbort, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}
