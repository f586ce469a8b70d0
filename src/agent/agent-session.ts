/** One conversation of an agent in one workspace: the turns, and the session's lanes. */
import { type Clock, checkObject, checkText, instantText, refuseUnknown, systemClock } from '../core/index.js'
import {
  type CancelOptions,
  type CheckedCall,
  type ControlAction,
  type ExternalTask,
  type ExternalTaskHandler,
  type ExternalTaskResult,
  type HandlerMode,
  type InputPolicy,
  type LaneHandlerInput,
  type LaneInput,
  type SessionDeadLetter,
  type SessionEventStream,
  type SessionLane,
  SessionQueue,
  type SessionQueueStats,
  type SessionSubmitOptions,
  type SessionSubscribeOptions,
  type TaskHandle,
  type TaskRequest,
  type ToolContext,
  type ToolOutput,
} from '../session/index.js'
import { AgentEventStream } from './agent-stream.js'
import { AgentTurns, errorPayload, type Message } from './agent-turns.js'
import { type AgentMessage, checkHistory } from './messages.js'
import type { AgentModel } from './model.js'
import { type AgentSessionOptions, checkSessionOptions } from './session-options.js'
import { queueWithStorage } from './session-storage.js'
import { ToolSet } from './tool-set.js'
import { builtInTools, Workspace } from './tools/index.js'
import { TurnLoop, type TurnOutcome } from './turn-loop.js'
import { TurnModel } from './turn-model.js'

/** What a turn came to. */
export type AgentResult = {
  readonly text: string
  readonly toolCallsCount: number
  readonly promptTokens: number
  readonly completionTokens: number
  readonly totalTokens: number
}

/** Options of one message. */
export type SendOptions = {
  /** What the message does when a turn runs already. Default the session's, 'enqueue'. */
  readonly input?: InputPolicy | undefined
  /** Ends the turn, or takes the message back while it waits. */
  readonly signal?: AbortSignal | undefined
}

/** What a session takes over from its agent. */
export type SessionParts = {
  readonly model: AgentModel
  readonly queueBlock: unknown
  readonly maxToolRounds: number
}

const MAX_PARSE_RETRIES = 2
const FAILED_CALLS = 3

/** Made by `agent.session`. */
export class AgentSession {
  readonly #queue: SessionQueue
  readonly #turns: AgentTurns
  readonly #clock: Clock
  readonly #input: InputPolicy | undefined

  /** @internal */
  constructor(folder: string, options: AgentSessionOptions, { model, queueBlock, maxToolRounds }: SessionParts) {
    checkSessionOptions(options)
    const { clock = systemClock } = options
    this.#clock = clock
    this.#input = options.input
    const workspace = new Workspace(folder)
    const tools = toolsOf(options, workspace, clock)
    // asked for at once: a package that they need may be missing
    const schemas = tools.schemas()
    const isOff = options.queueConfig === false || (options.queueConfig === undefined && queueBlock === undefined)
    const around = { isOff, queueBlock, workspace: workspace.folder }
    const queue = queueWithStorage(
      options,
      around,
      (parts) => new SessionQueue({ ...parts, ...callsTo(tools, options) }),
    )
    this.#queue = queue
    const system = options.system ?? systemPrompt(workspace.folder)
    const threshold = options.circuitBreakerThreshold ?? FAILED_CALLS
    const turnModel = new TurnModel({ model, queue, clock, threshold })
    const loop = new TurnLoop({
      queue,
      model: turnModel,
      system,
      tools: schemas,
      maxToolRounds: options.maxToolRounds ?? maxToolRounds,
      maxParseRetries: options.maxParseRetries ?? MAX_PARSE_RETRIES,
    })
    this.#turns = new AgentTurns({ queue, loop, model: turnModel, system, planning: options.planning === true })
    if (isOff) return
    queue.handle('prompt', (payload, context) => this.#prompted(payload, context, tools))
    // what the process before has left begins now; a storage that cannot be read is told by every later call
    queue.start().catch(() => undefined)
  }

  get sessionId(): string {
    return this.#queue.sessionId
  }

  /** The session's lanes, for `laneTools` and for whoever takes them further. */
  get queue(): SessionQueue {
    return this.#queue
  }

  /**
   * One turn: resolves with the model's answer. With `history` the turn continues that conversation instead of the session's
   * own. Rejects when the model cannot be reached, with `COMMAND_CANCELLED` when the turn was ended, with `SHUTTING_DOWN`
   * after `close`.
   */
  async send(prompt: string, history?: readonly AgentMessage[], options?: SendOptions): Promise<AgentResult> {
    return resultOf(await this.#turns.run(this.#message(prompt, history, options)))
  }

  /**
   * One turn as a stream of events, of the agent and of its lanes, until `end` or `error`. The turn begins whether or not
   * somebody reads.
   */
  stream(prompt: string, history?: readonly AgentMessage[], options?: SendOptions): AgentEventStream {
    const stream = new AgentEventStream(() => instantText(this.#clock.wallNow()))
    const run = async (): Promise<TurnOutcome> =>
      this.#turns.run({
        ...this.#message(prompt, history, options),
        onBegin: () => stream.begin(() => this.#queue.subscribe()),
        onEnd: () => stream.end(),
      })
    void run().then(
      ({ text, usage }) => stream.endWith('end', { text, usage }),
      (error: unknown) => stream.endWith('error', errorPayload(error)),
    )
    return stream
  }

  /** The conversation so far: what the turns that were not undone have said. */
  history(): AgentMessage[] {
    return this.#turns.history()
  }

  hasQueue(): boolean {
    return this.#queue.hasQueue()
  }

  setLaneHandler(lane: LaneInput, handler: LaneHandlerInput): Promise<void> {
    return this.#queue.setLaneHandler(lane, handler)
  }

  laneHandler(lane: LaneInput): { readonly mode: HandlerMode; readonly timeoutMs: number } {
    return this.#queue.laneHandler(lane)
  }

  pendingExternalTasks(): Promise<ExternalTask[]> {
    return this.#queue.pendingExternalTasks()
  }

  completeExternalTask(taskId: string, result: ExternalTaskResult): Promise<boolean> {
    return this.#queue.completeExternalTask(taskId, result)
  }

  setExternalTaskHandler(handler: ExternalTaskHandler | null): void {
    this.#queue.setExternalTaskHandler(handler)
  }

  confirmToolCall(toolId: string, approved: boolean, reason?: string): boolean {
    return this.#queue.confirmToolCall(toolId, approved, reason)
  }

  queueStats(): Promise<SessionQueueStats> {
    return this.#queue.queueStats()
  }

  queueMetrics(): ReturnType<SessionQueue['queueMetrics']> {
    return this.#queue.queueMetrics()
  }

  deadLetters(): Promise<SessionDeadLetter[]> {
    return this.#queue.deadLetters()
  }

  submit(lane: LaneInput, payload: unknown, options?: SessionSubmitOptions): Promise<unknown> {
    return this.#queue.submit(lane, payload, options)
  }

  submitBatch(lane: LaneInput, payloads: readonly unknown[], options?: SessionSubmitOptions): Promise<unknown[]> {
    return this.#queue.submitBatch(lane, payloads, options)
  }

  submitTask(task: TaskRequest, options?: SessionSubmitOptions): Promise<TaskHandle> {
    return this.#queue.submitTask(task, options)
  }

  subscribe(options?: SessionSubscribeOptions): SessionEventStream {
    return this.#queue.subscribe(options)
  }

  pause(): ControlAction {
    return this.#queue.pause()
  }

  resume(): ControlAction {
    return this.#queue.resume()
  }

  cancel(options?: CancelOptions): ControlAction {
    return this.#queue.cancel(options)
  }

  close(options?: { readonly timeoutMs?: number | undefined }): Promise<void> {
    return this.#queue.close(options)
  }

  /** `close`: for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  #message(prompt: string, history: readonly AgentMessage[] | undefined, options: SendOptions = {}): Message {
    checkObject('send options', options)
    refuseUnknown('send', options, ['input', 'signal'])
    checkHistory(history)
    const { input = this.#input, signal } = options
    return { prompt, history, options: { input, signal } }
  }

  /** A direct submission that asks the model. The model itself has no such tool. */
  #prompted(payload: unknown, context: ToolContext, tools: ToolSet): Promise<string | ToolOutput> {
    if (context.toolCallId !== undefined) return tools.run(context.commandType, payload, context)
    const { prompt } = new Object(payload) as { prompt?: unknown }
    checkText('prompt', prompt)
    return this.#turns.aside(prompt, context)
  }
}

/** The built-in tools, and those that the program brings, which may take their names. */
function toolsOf(
  { tools: own = [], builtIn, toolTimeoutMs }: AgentSessionOptions,
  workspace: Workspace,
  clock: Clock,
): ToolSet {
  const named = new Set(own.map((tool) => tool?.name))
  const others = builtInTools({ clock, ...builtIn }).filter(({ name }) => !named.has(name))
  return new ToolSet([...others, ...own], workspace, clock, toolTimeoutMs)
}

/** How the queue runs tools, and whom it asks before. */
const callsTo = (tools: ToolSet, { permissions, permissive, confirm, hooks }: AgentSessionOptions) => ({
  execute: (name: string, args: unknown, context: ToolContext) => tools.run(name, args, context),
  executes: (name: string) => tools.has(name),
  routeDirect,
  permissions: permissions ?? ((call: CheckedCall) => (tools.isReadOnly(call.name) ? 'allow' : 'ask')),
  permissive,
  confirm,
  hooks,
})

/** What a payload without a command type speaks of. */
function routeDirect(lane: SessionLane, payload: unknown): string | undefined {
  const { command, prompt, path } = new Object(payload) as Record<string, unknown>
  if (typeof command === 'string') return 'bash'
  if (typeof prompt === 'string') return 'prompt'
  return lane === 'query' && typeof path === 'string' ? 'read' : undefined
}

const resultOf = ({ text, toolCalls, usage }: TurnOutcome): AgentResult => ({
  text,
  toolCallsCount: toolCalls,
  promptTokens: usage.prompt_tokens,
  completionTokens: usage.completion_tokens,
  totalTokens: usage.total_tokens,
})

const systemPrompt = (folder: string): string =>
  `You are a software agent. Work in the folder ${folder} with the tools that you are given; paths are relative to it. ` +
  'Look before you change something, and say in the end what you did.'
