/**
 * `SessionQueue`: the tool calls, model calls and direct submissions of one agent session, through four lanes. The facade;
 * what it does is done by its parts.
 */
import { checkMs, checkObject, checkText, configInvalid, LaneError, quiet, type SubmitOptions } from '../core/index.js'
import type { MetricsSnapshot } from '../observe/index.js'
import type { LaneHandlerConfig } from './config-handler.js'
import { laneHandlerConfig } from './config-handler.js'
import type { LaneHandlerInput } from './config-input.js'
import { SessionContext, type ToolContext } from './context.js'
import type { CancelOptions, ControlAction } from './control.js'
import type { SessionEventStream, SessionSubscribeOptions } from './event-stream.js'
import type { SessionEventPayloads, SessionEventType } from './events.js'
import type { ExternalTask, ExternalTaskHandler, ExternalTaskResult } from './external-task.js'
import { shuttingDown } from './external-tasks.js'
import { laneForTool, type SessionLane, sessionLane } from './lanes.js'
import type { LocalWork } from './session-command.js'
import type { SessionQueueOptions } from './session-options.js'
import { SessionParts } from './session-parts.js'
import { type SessionDeadLetter, type SessionQueueStats, sessionStats } from './stats.js'
import type { SessionSubmitOptions, TaskHandle, TaskRequest } from './submissions.js'
import type { ToolCall, ToolResult } from './tool-call.js'
import type { RunToolCallsOptions } from './tool-runner.js'
import type { Turn, TurnOptions } from './turns.js'

/** Options of `callModel`. */
export type CallModelOptions = Pick<SubmitOptions, 'signal' | 'cost' | 'key' | 'timeoutMs'> & {
  /** The context of the command that makes the call: it runs in that one's slot. */
  readonly parent?: object | undefined
}

export class SessionQueue {
  readonly #parts: SessionParts
  #closing: Promise<void> | undefined

  /** `CONFIG_INVALID` names the option that is wrong. */
  constructor(options: SessionQueueOptions = {}) {
    this.#parts = new SessionParts(options)
  }

  /** The session's id: on its external tasks, and what a storage continues. */
  get sessionId(): string {
    return this.#parts.sessionId
  }

  /** Whether the session has lanes: false with `queueConfig: false`. */
  hasQueue(): boolean {
    return this.#parts.lanes !== undefined
  }

  /** Whether `shutdown` or `close` was called. */
  get isShuttingDown(): boolean {
    return this.#parts.turns.isClosed
  }

  /** Starts work; implied by the first use. With a storage it rejects when that cannot be read. */
  start(): Promise<void> {
    return this.#parts.start.begin()
  }

  /**
   * The local code of one command type: a tool's, or a direct submission's (`json`). It goes before `execute`; a later call
   * replaces it, for what starts from then on.
   */
  handle(commandType: string, fn: (payload: never, context: ToolContext) => unknown): void {
    checkText('handle commandType', commandType)
    if (typeof fn !== 'function') throw configInvalid(`handler of '${commandType}'`, 'a function', fn)
    this.#parts.local.set(commandType, fn as LocalWork)
    if (this.#parts.lanes !== undefined) this.#parts.commands.serve(commandType)
  }

  /** The lane of a tool. */
  laneForTool(name: string): SessionLane {
    return laneForTool(name)
  }

  /**
   * Runs the tool calls of one turn: checks first, then the looking ones together, then all others one after another. Gives
   * one result per call, in call order, and never rejects for a tool's failure: `CONFIG_INVALID` for what is no list of
   * calls, `SHUTTING_DOWN` after the end.
   */
  async runToolCalls(calls: readonly ToolCall[], options: RunToolCallsOptions = {}): Promise<ToolResult[]> {
    checkObject('runToolCalls options', options)
    const parent = this.#parentOf('runToolCalls', options)
    return this.#parts.runner.run(calls, { options, parent })
  }

  /**
   * One tool call whose code its caller brings: checked, queued and told like any other. Gives the code's own value, or a
   * worker's; rejects where a turn would get a result that tells of the failure, with `COMMAND_FAILED` for a refusal.
   */
  async callTool(call: ToolCall, local: LocalWork, options: RunToolCallsOptions = {}): Promise<unknown> {
    const parent = this.#parentOf('callTool', options)
    return this.#parts.runner.value(call, local, { options, parent })
  }

  /** A model call as a command `llm` of `generate`: `local` makes it, unless the lane is external. */
  async callModel<R>(
    payload: unknown,
    local: (payload: unknown, context: ToolContext) => R | PromiseLike<R>,
    options: CallModelOptions = {},
  ): Promise<R> {
    const parent = this.#parentOf('callModel', options)
    const { parent: _, ...own } = options
    const request = { lane: 'generate', type: 'llm', payload, kind: 'model', local, options: own } as const
    if (parent !== undefined) return (await this.#parts.commands.nested(request, parent)) as R
    if (this.#parts.lanes === undefined) return (await this.#parts.direct.run(request, own.signal)) as R
    return (await this.#parts.commands.submit(request)) as R
  }

  /** Puts work into a lane and gives its value. `HANDLER_NOT_FOUND` when nothing here runs it. */
  submit(lane: LaneInput, payload: unknown, options?: SessionSubmitOptions): Promise<unknown> {
    return this.#submitted(() => this.#parts.submissions.submit(lane, payload, options))
  }

  /** A tool by its name, in its lane: no check is asked, since the program calls it. */
  submitByTool(name: string, args: unknown, options?: SubmitOptions): Promise<unknown> {
    return this.#submitted(() => this.#parts.submissions.byTool(name, args, options))
  }

  /**
   * Several at once; values in input order. In `query` they run together; in every other lane one after another. The first
   * failure rejects: in `query` the others still run, elsewhere those that have not begun do not.
   */
  submitBatch(lane: LaneInput, payloads: readonly unknown[], options?: SessionSubmitOptions): Promise<unknown[]> {
    return this.#submitted(() => this.#parts.submissions.batch(lane, payloads, options))
  }

  /** Resolves when the task is accepted: with a storage, when it is written. `CONFLICT` when its id is another's. */
  submitTask(task: TaskRequest, options?: SessionSubmitOptions): Promise<TaskHandle> {
    return this.#submitted(() => this.#parts.submissions.task(task, options))
  }

  /** How commands of a lane run from now on; those that were submitted keep their mode. */
  async setLaneHandler(lane: LaneInput, handler: LaneHandlerInput): Promise<void> {
    const where = sessionLane('lane', lane)
    const checked = laneHandlerConfig('handler', handler, 'plain')
    if (this.#parts.lanes === undefined && checked.mode !== 'internal') throw noQueue()
    this.#parts.handlers[where] = checked
  }

  /** How commands of a lane run at present. */
  laneHandler(lane: LaneInput): LaneHandlerConfig {
    return this.#parts.handlers[sessionLane('lane', lane)]
  }

  /** External tasks that wait for their result, oldest first. */
  async pendingExternalTasks(): Promise<ExternalTask[]> {
    return this.#parts.external.list()
  }

  /** The result of an external task. True for the first; false when the task is not pending (any more). */
  async completeExternalTask(taskId: string, result: ExternalTaskResult): Promise<boolean> {
    return this.#parts.external.complete(taskId, result)
  }

  /** Does external work in this process: called once for every external task. Null ends that. */
  setExternalTaskHandler(handler: ExternalTaskHandler | null): void {
    if (handler !== null && typeof handler !== 'function') {
      throw configInvalid('setExternalTaskHandler handler', 'a function or null', handler)
    }
    if (this.#parts.lanes === undefined) throw noQueue()
    this.#parts.external.handledBy(handler ?? undefined)
  }

  /** Answers a `confirmation_required`; false when nobody waits for it any more. */
  confirmToolCall(toolId: string, approved: boolean, reason?: string): boolean {
    return this.#parts.checks.answer(toolId, { approved, ...(reason === undefined ? {} : { reason }) })
  }

  async queueStats(): Promise<SessionQueueStats> {
    const { lanes, handlers, external, tally } = this.#parts
    return sessionStats(lanes, handlers, external.size, tally, this.#parts.waiting())
  }

  /** Counters, gauges and histograms by metric name; null unless `enableMetrics`. */
  async queueMetrics(): Promise<MetricsSnapshot | null> {
    return (await this.#parts.lanes?.queue.metrics?.snapshot()) ?? null
  }

  /** Commands that failed for good, oldest first; none unless `enableDlq`. */
  async deadLetters(): Promise<SessionDeadLetter[]> {
    return (await this.#parts.letters()).map((letter) => ({
      command_id: letter.commandId,
      command_type: letter.commandType,
      lane_id: letter.laneId as SessionLane,
      error: letter.error,
      attempts: letter.attempts,
      failed_at: letter.failedAt,
    }))
  }

  /** The session's events from now on, in a bounded line of your own. */
  subscribe(options?: SessionSubscribeOptions): SessionEventStream {
    return this.#parts.events.subscribe(options)
  }

  /** Tells the session's readers something: how an agent puts its own events beside the queue's. */
  emit<K extends SessionEventType>(type: K, payload: SessionEventPayloads[K]): void {
    this.#parts.events.emit(type, payload)
  }

  /**
   * Runs one turn of a conversation, when it is its turn; `input` says what a message does that meets a running turn. The
   * body passes `turn.signal` on to whatever it calls.
   */
  async runTurn<T>(message: string, body: (turn: Turn) => Promise<T>, options?: TurnOptions): Promise<T> {
    return this.#parts.turns.run(message, body, options)
  }

  /** Starts nothing more in query, execute and generate. The proof's `stoppedAfterMs`: when nothing ran any more. */
  pause(): ControlAction {
    if (this.#parts.lanes === undefined) throw noQueue()
    this.#parts.start.implied()
    return this.#parts.control.pause()
  }

  /** Goes on after `pause`. */
  resume(): ControlAction {
    if (this.#parts.lanes === undefined) throw noQueue()
    this.#parts.start.implied()
    return this.#parts.control.resume()
  }

  /** Cancels the turn, its tools, what waits, a lane, a command or everything, and proves when it had stopped. */
  cancel(options?: CancelOptions): ControlAction {
    this.#parts.start.implied()
    return this.#parts.control.cancel(options)
  }

  /** Refuses new work and fails every pending external task; what else was accepted goes on. */
  async shutdown(): Promise<void> {
    this.#parts.turns.close()
    this.#parts.external.close()
    await Promise.all([this.#parts.lanes?.queue.shutdown(), this.#parts.lanes?.shared?.shutdown()])
  }

  /** Waits until everything accepted has settled. Rejects at the limit with `DRAIN_TIMEOUT`. */
  async drain(timeoutMs: number): Promise<void> {
    checkMs('drain timeoutMs', timeoutMs, 0)
    const { lanes, control } = this.#parts
    if (lanes !== undefined) {
      const held = control.untilNoneHeld(timeoutMs)
      await Promise.all([lanes.queue.drain(timeoutMs), lanes.shared?.drain(timeoutMs), held])
      return
    }
    if (await control.untilQuiet(timeoutMs)) {
      throw new LaneError('DRAIN_TIMEOUT', 'Drain timed out: tools that were called directly still run')
    }
  }

  /**
   * Ends the session: refuses new work, fails every pending external task, lets the rest finish for at most `timeoutMs`
   * (default 10,000), cancels what remains and closes the storage, in which waiting direct submissions stay. Idempotent.
   */
  close(options: { readonly timeoutMs?: number | undefined } = {}): Promise<void> {
    const { timeoutMs = CLOSE_MS } = options
    checkMs('close timeoutMs', timeoutMs, 0)
    this.#closing ??= this.#close(timeoutMs)
    return this.#closing
  }

  /** `close`: for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #close(timeoutMs: number): Promise<void> {
    await this.shutdown()
    const deadline = this.#parts.now() + timeoutMs
    const unfinished = await this.#parts.control.untilQuiet(timeoutMs)
    const error = shuttingDown()
    this.#parts.turns.cancelCurrent(error)
    this.#parts.runner.end(error)
    this.#parts.direct.cancel(error)
    this.#parts.gate.refuse(error, () => true)
    await this.#cancelElsewhere(error)
    const own = { timeoutMs: unfinished ? 0 : timeoutMs }
    const shared = { timeoutMs: Math.max(0, deadline - this.#parts.now()) }
    await Promise.all([this.#parts.lanes?.queue.close(own), this.#parts.lanes?.shared?.close(shared)])
    this.#parts.events.end()
  }

  /** Nobody waits for them any more: whoever runs them is told, if that can be done soon. */
  async #cancelElsewhere(reason: Error): Promise<void> {
    const calls = this.#parts.commands.sharedCalls()
    for (const { run } of calls) run.cancel(reason)
    await this.#parts.control.untilStopped(calls, CANCEL_MS)
  }

  /** The command that a call is made in. A call that is made in none is refused when the session closes. */
  #parentOf(where: string, { parent }: { readonly parent?: object | undefined }): SessionContext | undefined {
    if (parent !== undefined && !(parent instanceof SessionContext)) {
      throw configInvalid(`${where} parent`, "the context of one of this session's commands", parent)
    }
    if (this.isShuttingDown && parent === undefined) throw shuttingDown()
    this.#parts.start.implied()
    return parent
  }

  /** As with the queue's runs, one that nobody awaits is nobody's unhandled rejection. */
  #submitted<T>(submit: () => T): Promise<Awaited<T>> {
    return quiet(this.#afterStart(submit))
  }

  async #afterStart<T>(submit: () => T): Promise<Awaited<T>> {
    if (this.#parts.lanes === undefined) throw noQueue()
    if (this.isShuttingDown) throw shuttingDown()
    this.#parts.start.implied()
    return await submit()
  }
}

/** A lane's id, capitalised or not. */
export type LaneInput = SessionLane | Capitalize<SessionLane>

const CLOSE_MS = 10_000
/** How long `close` waits for the outcomes of the calls that it has cancelled in other processes. */
const CANCEL_MS = 1000

const noQueue = (): LaneError =>
  new LaneError(
    'CONFIG_INVALID',
    'This session has no queue: give it a queueConfig, or a queue block in its configuration',
  )
