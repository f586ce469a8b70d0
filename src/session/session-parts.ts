/** The parts of a session, put together: what `SessionQueue` is the facade of. */
import { type Clock, type DeadLetter, errorText, type QueueManager, type Random } from '../core/index.js'
import { ToolChecks } from './checks.js'
import { Commands } from './commands.js'
import type { LaneHandlerConfig } from './config-handler.js'
import { DEFAULT_HANDLER } from './config-handler.js'
import type { AttemptPlace, ContextSession, SessionContext } from './context.js'
import { Control } from './control.js'
import { DirectRuns } from './direct-runs.js'
import { SessionEvents } from './event-stream.js'
import { ExternalTasks } from './external-tasks.js'
import { Gate } from './gate.js'
import { SESSION_LANES, type SessionLane } from './lanes.js'
import { forwardQueueEvents } from './queue-events.js'
import type { CommandRequest, LocalWork, SessionCommand } from './session-command.js'
import { type SessionLanes, sessionLanes } from './session-lanes.js'
import { checkedSessionOptions, type SessionQueueOptions } from './session-options.js'
import { SessionStart } from './session-start.js'
import { isOfSession, LaneTally } from './stats.js'
import { Submissions } from './submissions.js'
import { type ToolCall, type ToolResult, toolOutput } from './tool-call.js'
import { ToolRunner } from './tool-runner.js'
import { Turns } from './turns.js'

/** How long the next turn waits for what the one before left running. */
const TURN_STOP_MS = 30_000

export class SessionParts {
  readonly sessionId: string
  readonly events: SessionEvents
  /** The present handler of each lane. */
  readonly handlers: Record<SessionLane, LaneHandlerConfig>
  /** Local code by command type. */
  readonly local = new Map<string, LocalWork>()
  /** Undefined for a session without a queue. */
  readonly lanes: SessionLanes | undefined
  readonly commands: Commands
  readonly external: ExternalTasks
  readonly checks: ToolChecks
  readonly runner: ToolRunner
  readonly submissions: Submissions
  readonly turns: Turns
  readonly control: Control
  readonly direct: DirectRuns
  readonly tally = new LaneTally()
  readonly gate = new Gate(() => this.control.looked())
  readonly start: SessionStart
  readonly #options: SessionQueueOptions
  readonly #clock: Clock

  /** `CONFIG_INVALID` names the option that is wrong. */
  constructor(options: SessionQueueOptions) {
    const { sessionId, config, clock, random } = checkedSessionOptions(options)
    this.#options = options
    this.#clock = clock
    this.sessionId = sessionId
    this.events = new SessionEvents(clock)
    this.checks = new ToolChecks(options, clock, this.events)
    this.handlers = { ...(config?.handlers ?? INTERNAL) }
    this.external = new ExternalTasks({ sessionId, clock, random, events: this.events })
    const onFault = (error: unknown): void => options.onFault?.(error)
    this.lanes =
      config && sessionLanes(config, { clock, random, storage: options.storage, engine: options.engine, onFault })
    this.lanes?.queue.observe(this.tally)
    const context: ContextSession = {
      output: (call, delta) => this.#output(call, delta),
      runNested: (calls, parent) => this.#runNested(calls, parent),
    }
    this.commands = new Commands({
      ...context,
      clock,
      // never used without one: every way to it asks first
      queue: this.lanes?.queue as QueueManager<SessionLane>,
      external: this.external,
      handlers: this.handlers,
      timeoutMs: config?.timeoutMs ?? NO_TIMEOUTS,
      retry: config?.retry,
      shared: this.lanes?.shared,
      hasStorage: options.storage !== undefined,
      sessionId,
      localOf: (type) => this.localOf(type),
      sharedOf: (type) => this.#directOf(type),
      ended: (command) => this.#ended(command),
    })
    this.direct = new DirectRuns(context, () => this.control.looked())
    this.runner = this.#newRunner()
    this.submissions = this.#newSubmissions()
    this.turns = new Turns(() => this.control.untilStopped(undefined, TURN_STOP_MS, (command) => !isForAll(command)))
    this.control = this.#newControl(clock, random)
    this.start = new SessionStart(this.lanes, this.commands, (type) => this.localOf(type) !== undefined)
    if (this.lanes === undefined) return
    this.commands.serveShared()
    const { emitter, letters } = this.lanes
    const isShared = options.engine !== undefined
    forwardQueueEvents({ emitter, letters, isShared, events: this.events, known: (id) => this.commands.known(id) })
  }

  /** Submits a tool call; later, when the session is paused and the lane is not its own. */
  #send(request: CommandRequest): PromiseLike<unknown> {
    const isHeld = this.gate.isShut && request.lane !== 'control' && this.commands.isShared(request)
    if (!isHeld) return this.commands.submit(request)
    const handler = this.commands.handlerOf(request)
    return this.gate.hold({ ...request, handler }, (held) => this.commands.submit(held))
  }

  now(): number {
    return this.#clock.now()
  }

  /** By lane: what waits and is not in this process's queue. */
  waiting(): Record<SessionLane, number> {
    const countOf = (lane: SessionLane): number => this.commands.countElsewhere(lane) + this.gate.countOf(lane)
    return { control: 0, query: countOf('query'), execute: countOf('execute'), generate: countOf('generate') }
  }

  /** The dead letters of this session. */
  async letters(): Promise<readonly DeadLetter[]> {
    if (this.lanes === undefined) return []
    const { shared, letters } = this.lanes
    if (letters === undefined) return []
    const own = letters.list()
    if (shared === undefined) return own
    const others = (await shared.deadLetters.list()).filter(({ metadata }) => isOfSession(metadata, this.sessionId))
    const all = [...own, ...others].sort((a, b) => a.failedAt.localeCompare(b.failedAt))
    return all.slice(-letters.capacity)
  }

  #ended(command: SessionCommand | undefined): void {
    this.control.looked()
    if (command?.isShared === true) void this.#sharedEnd(command)
  }

  /** What an engine had is counted and told by who has submitted it, whoever has run it. */
  async #sharedEnd({ run, request }: SessionCommand): Promise<void> {
    const isAccepted = await run.accepted.then(
      () => true,
      () => false,
    )
    // a submit that was refused is no command, and one that met another is counted with that
    if (!isAccepted || !this.tally.settled(run.id, request.lane, run.state)) return
    if (run.state !== 'failed' && run.state !== 'timed_out') return
    if (this.lanes?.letters === undefined || !this.events.hasReaders) return
    const record = await this.lanes.shared?.get(run.id).catch(() => undefined)
    const error: unknown = await run.result().catch((reason: unknown) => reason)
    this.events.emit('command_dead_lettered', {
      command_id: run.id,
      command_type: request.type,
      lane: request.lane,
      error: errorText(error),
      attempts: record?.attempt ?? 1,
    })
  }

  /** What a command type runs here: its handler, else `execute`, which is never asked for `json`. */
  localOf(type: string): LocalWork | undefined {
    const own = this.local.get(type)
    const { execute } = this.#options
    if (own !== undefined || execute === undefined || type === 'json') return own
    return (args, context) => outputOf(execute(type, args as Record<string, unknown>, context))
  }

  /** The same for what no model has called: only what `execute` is said to know. */
  #directOf(type: string): LocalWork | undefined {
    return this.local.has(type) || this.#options.executes?.(type) !== false ? this.localOf(type) : undefined
  }

  #runNested(calls: readonly ToolCall[], parent: SessionContext): Promise<ToolResult[]> {
    return this.runner.run(calls, { options: {}, parent })
  }

  #output({ toolCallId, type }: Pick<AttemptPlace, 'toolCallId' | 'type'>, delta: string): void {
    if (toolCallId !== undefined) this.events.emit('tool_output_delta', { id: toolCallId, name: type, delta })
  }

  #newRunner(): ToolRunner {
    return new ToolRunner({
      events: this.events,
      checks: this.checks,
      isDirect: this.lanes === undefined,
      localOf: (type) => this.localOf(type),
      mayLackCode: (request) => this.#mayLackCode(request),
      submit: (request) => this.#send(request),
      nested: (request, parent) => this.commands.nested(request, parent),
      direct: (request, signal) => this.direct.run(request, signal),
      fault: (error) => this.#fault(error),
    })
  }

  #newSubmissions(): Submissions {
    return new Submissions({
      submit: (request) => this.commands.submit(request),
      mayLackCode: (request) => this.#mayLackCode(request),
      hasWorkers: this.#hasWorkers,
      live: (id) => this.commands.get(id),
      localOf: (type) => this.#directOf(type),
      hasHandler: (type) => this.local.has(type),
      handlerOf: (lane) => this.handlers[lane],
      routeDirect: (lane, payload) => this.#options.routeDirect?.(lane, payload),
    })
  }

  #newControl(clock: Clock, random: Random): Control {
    return new Control({
      clock,
      random,
      events: this.events,
      commands: this.commands,
      turns: this.turns,
      gate: this.gate,
      queue: this.lanes?.queue,
      endToolCalls: (error) => this.runner.end(error),
      direct: this.direct,
    })
  }

  /** A process that only submits hands over what it has no code for. */
  get #hasWorkers(): boolean {
    return this.#options.engine?.role === 'coordinator'
  }

  /** Whether somebody else has the code, or may have it. */
  #mayLackCode(request: CommandRequest): boolean {
    if (this.commands.handlerOf(request).mode === 'external') return true
    return this.#hasWorkers && this.commands.isShared(request)
  }

  #fault(error: unknown): void {
    this.events.emit('queue.fault', { error: errorText(error) })
    try {
      this.#options.onFault?.(error)
    } catch {
      // whoever hears of faults has nobody to tell of theirs
    }
  }
}

/** Whether it was handed over for its own sake, and not for a turn's. */
const isForAll = ({ isElsewhere, request }: SessionCommand): boolean => isElsewhere && request.kind === 'direct'

const outputOf = (given: unknown): unknown => (given instanceof Promise ? given.then(toolOutput) : toolOutput(given))

const NO_TIMEOUTS = { control: undefined, query: undefined, execute: undefined, generate: undefined }

const INTERNAL = Object.fromEntries(SESSION_LANES.map((lane) => [lane, DEFAULT_HANDLER])) as Record<
  SessionLane,
  LaneHandlerConfig
>
