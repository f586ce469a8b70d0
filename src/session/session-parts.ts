/** The parts of a session, put together: what `SessionQueue` is the facade of. */
import { type Clock, type DeadLetter, errorText, type QueueManager, type Random } from '../core/index.js'
import { ToolChecks } from './checks.js'
import { type CommandRequest, Commands, type LocalWork, type SessionCommand } from './commands.js'
import type { LaneHandlerConfig } from './config-handler.js'
import { DEFAULT_HANDLER } from './config-handler.js'
import type { AttemptPlace, ContextSession, SessionContext } from './context.js'
import { Control } from './control.js'
import { DirectRuns } from './direct-runs.js'
import { SessionEvents } from './event-stream.js'
import { ExternalTasks } from './external-tasks.js'
import { Gate } from './gate.js'
import { SESSION_LANES, type SessionLane } from './lanes.js'
import { buriedEvent, forwardQueueEvents } from './queue-events.js'
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
  readonly gate = new Gate()
  readonly start: SessionStart
  readonly #options: SessionQueueOptions

  /** `CONFIG_INVALID` names the option that is wrong. */
  constructor(options: SessionQueueOptions) {
    const { sessionId, config, clock, random } = checkedSessionOptions(options)
    this.#options = options
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

  /** Submits; later, when the session is paused and its lanes are not its own. */
  send(request: CommandRequest): PromiseLike<unknown> {
    const passed = this.passed(request)
    if (passed === undefined) return this.commands.submit(request)
    const handler = this.commands.handlerOf(request)
    return passed.then(() => this.commands.submit({ ...request, handler }))
  }

  /** Undefined unless it has to wait: it is for lanes that are not the session's own, and the session is paused. */
  passed(request: CommandRequest): Promise<void> | undefined {
    const isHeld = this.gate.isShut && request.lane !== 'control' && this.commands.isShared(request)
    return isHeld ? this.gate.passed(request) : undefined
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
    const own = letters?.list() ?? []
    if (shared === undefined) return own
    const all = await shared.deadLetters.list()
    return [...own, ...all.filter(({ metadata }) => isOfSession(metadata, this.sessionId))]
  }

  #ended(command: SessionCommand | undefined): void {
    this.control.looked()
    if (command?.isShared !== true) return
    this.tally.settled(command)
    if (command.run.state !== 'completed') void this.#buried(command)
  }

  /** It has failed somewhere: whether it is a dead letter is known where the lanes are. */
  async #buried({ run: { id } }: SessionCommand): Promise<void> {
    if (this.lanes?.letters === undefined || !this.events.hasReaders) return
    try {
      const letter = await this.lanes.shared?.deadLetters.get(id)
      if (letter !== undefined) this.events.emit('command_dead_lettered', buriedEvent(letter))
    } catch (error) {
      this.#fault(error)
    }
  }

  /** What a command type runs here: its handler, else `execute`, which is never asked for `json`. */
  localOf(type: string): LocalWork | undefined {
    const own = this.local.get(type)
    const { execute } = this.#options
    if (own !== undefined || execute === undefined || type === 'json') return own
    return (args, context) => outputOf(execute(type, args as Record<string, unknown>, context))
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
      isDoneElsewhere: (lane) => this.handlers[lane].mode === 'external' || this.#hasWorkers,
      submit: (request) => this.send(request),
      nested: (request, parent) => this.commands.nested(request, parent),
      direct: (request, signal) => this.direct.run(request, signal),
      fault: (error) => this.#fault(error),
    })
  }

  #newSubmissions(): Submissions {
    return new Submissions({
      submit: (request) => this.commands.submit(request),
      passed: (request) => this.passed(request),
      isDoneElsewhere: this.#hasWorkers,
      live: (id) => this.commands.get(id),
      localOf: (type) =>
        this.local.has(type) || this.#options.executes?.(type) !== false ? this.localOf(type) : undefined,
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
