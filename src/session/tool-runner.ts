/**
 * The tool calls of one turn: checked before anything is queued, the looking ones together, all others one after another
 * in call order, and one result for each, in call order, whatever happens.
 */
import {
  cancelledError,
  checkObject,
  checkText,
  configInvalid,
  isLaneError,
  LaneError,
  type SubmitOptions,
} from '../core/index.js'
import type { ToolChecks, ToolHooks } from './checks.js'
import { noHandler } from './commands.js'
import type { SessionContext } from './context.js'
import type { SessionEvents } from './event-stream.js'
import { laneForTool } from './lanes.js'
import type { CheckedCall } from './permissions.js'
import type { CommandRequest, LocalWork } from './session-command.js'
import { failureOf, refusal, resultOf, type ToolCall, type ToolResult } from './tool-call.js'

/** Options of `runToolCalls`. */
export type RunToolCallsOptions = {
  /** Ends the turn: what waits or runs of it is cancelled, what has not begun does not begin. */
  readonly signal?: AbortSignal | undefined
  /** The context of the command that makes the calls: they run in its slot. */
  readonly parent?: object | undefined
  /** Options of every command that is submitted for a call. */
  readonly submit?: Pick<SubmitOptions, 'deadlineMs' | 'priority' | 'key' | 'metadata'> | undefined
}

/** What runs the calls of a turn. */
export type ToolRunnerHost = {
  readonly events: SessionEvents
  readonly checks: ToolChecks
  /** No queue: everything runs directly, one after another. */
  readonly isDirect: boolean
  localOf(type: string): LocalWork | undefined
  /** Whether it may be done although there is no code for it here. */
  mayLackCode(request: CommandRequest): boolean
  submit(request: CommandRequest): PromiseLike<unknown>
  nested(request: CommandRequest, parent: SessionContext): Promise<unknown>
  direct(request: CommandRequest, signal: AbortSignal | undefined): Promise<unknown>
  fault(error: unknown): void
}

type Given = { readonly options: RunToolCallsOptions; readonly parent: SessionContext | undefined }
type Turn = Given & {
  /** Why it is over although its calls are not. */
  ended: Error | undefined
  /** Told when that is said. */
  onEnd: Set<() => void> | undefined
}

const turnOf = ({ options, parent }: Given): Turn => ({ options, parent, ended: undefined, onEnd: undefined })

export class ToolRunner {
  readonly #host: ToolRunnerHost
  readonly #turns = new Set<Turn>()

  constructor(host: ToolRunnerHost) {
    this.#host = host
  }

  async run(calls: readonly ToolCall[], given: Given): Promise<ToolResult[]> {
    checkCalls(calls)
    const turn = turnOf(given)
    this.#turns.add(turn)
    try {
      return await this.#run(calls, turn)
    } finally {
      this.#turns.delete(turn)
    }
  }

  /**
   * One call of a tool that its caller brings: checked and told like any other, but with its own value, and rejecting
   * where a turn would get a result that tells of the failure.
   */
  async value(call: ToolCall, local: LocalWork, given: Given): Promise<unknown> {
    checkCalls([call])
    const turn = turnOf(given)
    this.#turns.add(turn)
    try {
      const checked = await this.#check(call, turn)
      if ('output' in checked) {
        await this.#finish(call, checked, turn)
        throw new LaneError('COMMAND_FAILED', checked.output)
      }
      return await this.#valueOf(call, checked, turn, local)
    } finally {
      this.#turns.delete(turn)
    }
  }

  async #valueOf(call: ToolCall, checked: CheckedCall, turn: Turn, local: LocalWork): Promise<unknown> {
    let result: ToolResult | undefined
    try {
      const value = await this.#submitted(checked, turn, local)
      result = resultOf(call, value)
      return value
    } catch (error) {
      result = failureOf(call, error)
      throw error
    } finally {
      await this.#afterwards(checked, result as ToolResult, turn)
      this.#tellEnd(result as ToolResult)
    }
  }

  /** Ends every turn under way: what has not begun of it does not begin. What was submitted is not ended by this. */
  end(error: Error): void {
    for (const turn of this.#turns) {
      // calls inside the command of another session are not this one's to end
      if (turn.parent?.isForeign === true) continue
      turn.ended = error
      for (const stop of [...(turn.onEnd ?? [])]) stop()
    }
    this.#host.checks.endAll(error)
  }

  async #run(calls: readonly ToolCall[], turn: Turn): Promise<ToolResult[]> {
    const results: ToolResult[] = new Array<ToolResult>(calls.length)
    const one = async (index: number): Promise<void> => {
      results[index] = await this.#one(calls[index] as ToolCall, turn)
    }
    const looking = (index: number): boolean =>
      !this.#host.isDirect && laneForTool((calls[index] as ToolCall).name) === 'query'
    const indexes = calls.map((_, index) => index)
    await this.#together(indexes.filter(looking), calls, turn, results)
    for (const index of indexes) if (!looking(index)) await one(index)
    return results
  }

  /** Looking tools: all of them are checked, then all that may run are submitted in one go. */
  async #together(
    indexes: readonly number[],
    calls: readonly ToolCall[],
    turn: Turn,
    results: ToolResult[],
  ): Promise<void> {
    if (indexes.length === 0) return
    const checked = await Promise.all(indexes.map(async (index) => this.#check(calls[index] as ToolCall, turn)))
    await Promise.all(
      checked.map(async (outcome, place) => {
        const index = indexes[place] as number
        results[index] = await this.#finish(calls[index] as ToolCall, outcome, turn)
      }),
    )
  }

  async #one(call: ToolCall, turn: Turn): Promise<ToolResult> {
    const checked = this.#check(call, turn)
    return this.#finish(call, checked instanceof Promise ? await checked : checked, turn)
  }

  /** The call that may run, or the result of one that may not. */
  #check(call: ToolCall, turn: Turn): CheckedCall | ToolResult | Promise<CheckedCall | ToolResult> {
    const { events, checks } = this.#host
    if (events.hasReaders) events.emit('tool_start', { id: call.id, name: call.name })
    // nothing is asked: nothing is waited for
    const free = turn.ended === undefined && turn.options.signal === undefined ? checks.free(call) : undefined
    return free ?? this.#ask(call, turn)
  }

  async #ask(call: ToolCall, turn: Turn): Promise<CheckedCall | ToolResult> {
    const { checks } = this.#host
    try {
      throwIfEnded(turn)
      const asked = checks.ask(call, turn.options.signal ?? turn.parent?.signal)
      const verdict = await (checks.areFree ? asked : untilEnded(asked, turn))
      throwIfEnded(turn)
      return 'call' in verdict ? verdict.call : refusal(call, verdict.refused)
    } catch (error) {
      return failureOf(call, stopped(error))
    }
  }

  async #finish(call: ToolCall, checked: CheckedCall | ToolResult, turn: Turn): Promise<ToolResult> {
    if ('output' in checked) return this.#tellEnd(checked)
    let result: ToolResult
    try {
      result = resultOf(call, await this.#submitted(checked, turn))
    } catch (error) {
      result = failureOf(call, error)
    }
    const told = this.#afterwards(checked, result, turn)
    if (told !== undefined) await told
    return this.#tellEnd(result)
  }

  #tellEnd(result: ToolResult): ToolResult {
    const { events } = this.#host
    const { id, name, output, exit_code } = result
    if (events.hasReaders) events.emit('tool_end', { id, name, output, exit_code })
    return result
  }

  #afterwards(checked: CheckedCall, result: ToolResult, turn: Turn): Promise<void> | undefined {
    const { postToolUse } = this.#host.checks
    if (postToolUse === undefined) return undefined
    const told = this.#told(postToolUse, checked, result)
    // a hook that never answers does not hold a turn that has ended
    return untilEnded(told, turn).catch(() => undefined)
  }

  async #told(hook: NonNullable<ToolHooks['postToolUse']>, checked: CheckedCall, result: ToolResult): Promise<void> {
    try {
      await hook(checked, result)
    } catch (error) {
      this.#host.fault(error)
    }
  }

  #submitted({ id, name, args, lane }: CheckedCall, turn: Turn, brought?: LocalWork): PromiseLike<unknown> {
    const { options, parent } = turn
    const { signal, submit } = options
    throwIfEnded(turn)
    const local = brought ?? this.#host.localOf(name)
    const own = signal === undefined && submit === undefined ? undefined : { ...submit, signal }
    const request: CommandRequest = {
      lane,
      type: name,
      payload: args,
      kind: 'tool',
      local,
      toolCallId: id,
      options: own,
      isBrought: brought !== undefined,
    }
    if (local === undefined && !this.#host.mayLackCode(request)) {
      throw new LaneError('HANDLER_NOT_FOUND', noHandler(name))
    }
    if (parent !== undefined) return this.#host.nested(request, parent)
    return this.#host.isDirect ? this.#host.direct(request, signal) : this.#host.submit(request)
  }
}

function throwIfEnded({ options: { signal }, parent, ended }: Turn): void {
  if (ended !== undefined) throw ended
  for (const one of [signal, parent?.signal]) if (one?.aborted === true) throw stopped(one.reason)
}

/** Settles with the promise, or with why the turn has ended when that comes first: a hook may never answer. */
function untilEnded<T>(promise: Promise<T>, turn: Turn): Promise<T> {
  const signals = [turn.options.signal, turn.parent?.signal]
  return new Promise((resolve, reject) => {
    const done = (): void => {
      turn.onEnd?.delete(stop)
      for (const signal of signals) signal?.removeEventListener('abort', stop)
    }
    const stop = (): void => {
      done()
      reject(turn.ended ?? signals.find((signal) => signal?.aborted === true)?.reason)
    }
    if (turn.ended !== undefined || signals.some((signal) => signal?.aborted === true)) return stop()
    turn.onEnd ??= new Set()
    turn.onEnd.add(stop)
    for (const signal of signals) signal?.addEventListener('abort', stop, { once: true })
    promise.then(resolve, reject).finally(done)
  })
}

/** The error of a call that did not begin because its turn has ended. */
const stopped = (reason: unknown): unknown => (isLaneError(reason) ? reason : cancelledError(reason))

function checkCalls(calls: readonly ToolCall[]): void {
  if (!Array.isArray(calls)) throw configInvalid('runToolCalls calls', 'a list of { id, name, args }', calls)
  calls.forEach((call: unknown, index) => {
    checkObject(`runToolCalls calls[${index}]`, call)
    const { id, name } = call as Partial<ToolCall>
    checkText(`runToolCalls calls[${index}].id`, id)
    checkText(`runToolCalls calls[${index}].name`, name)
  })
}
