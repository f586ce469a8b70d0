/**
 * The model calls of one turn: each is a command of the generate lane, here or on a worker outside. A call that fails is
 * made again, until too many have failed in a row.
 */
import { type Clock, isLaneError, LaneError } from '../core/index.js'
import type { SessionQueue, TokenUsage, ToolCall, ToolContext } from '../session/index.js'
import { type AgentMessage, assistantMessage } from './messages.js'
import type { AgentModel, ModelStep, ToolSchema } from './model.js'

/** What one model call is about. */
export type StepRequest = {
  readonly system: string
  readonly messages: readonly AgentMessage[]
  readonly tools: readonly ToolSchema[]
  readonly signal: AbortSignal
  /** Takes the text as it comes. */
  readonly onText: (text: string) => void
  /** What came so far does not count: the call starts again. */
  readonly onReset: () => void
  /** The command that the call is made from. */
  readonly parent?: ToolContext | undefined
}

export type TurnModelOptions = {
  readonly model: AgentModel
  readonly queue: SessionQueue
  readonly clock: Clock
  /** Failed calls in a row before the turn gives up. */
  readonly threshold: number
}

/** Before a call is made again; doubled each time. */
const RETRY_MS = 250

export class TurnModel {
  readonly #options: TurnModelOptions
  /** Failures in a row, over the whole session: a provider that is down is down for the next turn too. */
  #failures = 0
  /** What the calls made inside a command have cost it. */
  readonly #spent = new WeakMap<ToolContext, { requests: number; tokens: number }>()

  constructor(options: TurnModelOptions) {
    this.#options = options
  }

  /**
   * Rejects with the provider's error when it is final or `threshold` calls in a row have failed. What a worker outside could
   * not do is not asked for again.
   */
  async step(request: StepRequest): Promise<ModelStep> {
    const told = new ToldText(request)
    for (;;) {
      const isOutside = this.#options.queue.laneHandler('generate').mode === 'external'
      try {
        const step = await this.#call(request, told)
        this.#failures = 0
        return step
      } catch (error) {
        if (request.signal.aborted) throw request.signal.reason
        this.#failures++
        if (isOutside || !mayHelp(error) || this.#failures >= this.#options.threshold) {
          this.#failures = 0
          throw error
        }
        await this.#pause(RETRY_MS * 2 ** (this.#failures - 1), request.signal)
      }
    }
  }

  async #call(request: StepRequest, told: ToldText): Promise<ModelStep> {
    const { model, queue } = this.#options
    const { system, messages, tools, signal, parent } = request
    let own: ModelStep | undefined
    const local = async (_: unknown, context: ToolContext): Promise<ModelStep> => {
      told.begin()
      try {
        own = await model.step({ system, messages, tools, signal: context.signal, onText: (text) => told.text(text) })
        context.charge(this.#costOf(own, parent))
        return own
      } catch (error) {
        // A provider cannot go on in the middle: what was said is kept, and the call starts again. Inside a command the
        // checkpoint is that one's.
        if (parent === undefined && isPreempted(context.signal)) await context.checkpoint({ text: told.said })
        throw error
      }
    }
    const value = await queue.callModel({ model: model.id, system, messages, tools }, local, { signal, parent })
    if (own !== undefined && value === own) return own
    const step = workerStep(value)
    told.begin()
    if (step.text !== '') told.text(step.text)
    return step
  }

  #costOf({ usage }: ModelStep, parent: ToolContext | undefined): { requests: number; tokens: number } {
    const before = (parent && this.#spent.get(parent)) ?? { requests: 0, tokens: 0 }
    const cost = { requests: before.requests + 1, tokens: before.tokens + usage.total_tokens }
    if (parent !== undefined) this.#spent.set(parent, cost)
    return cost
  }

  #pause(delayMs: number, signal: AbortSignal): Promise<void> {
    const { clock } = this.#options
    return new Promise((resolve, reject) => {
      const onAbort = (): void => {
        clock.clearTimer(timer)
        reject(signal.reason)
      }
      const timer = clock.setTimer(delayMs, () => {
        signal.removeEventListener('abort', onAbort)
        resolve()
      })
      signal.addEventListener('abort', onAbort, { once: true })
    })
  }
}

/** The text of one answer, as its reader was told it. */
class ToldText {
  readonly #reader: Pick<StepRequest, 'onText' | 'onReset'>
  said = ''

  constructor(reader: Pick<StepRequest, 'onText' | 'onReset'>) {
    this.#reader = reader
  }

  /** A call begins: what another has said before does not count. */
  begin(): void {
    if (this.said !== '') this.#reader.onReset()
    this.said = ''
  }

  text(text: string): void {
    this.said += text
    this.#reader.onText(text)
  }
}

const isPreempted = ({ reason }: AbortSignal): boolean => isLaneError(reason) && reason.code === 'COMMAND_PREEMPTED'

/** Whether the same call may succeed when it is made again. */
function mayHelp(error: unknown): boolean {
  const cause: unknown = isLaneError(error) ? (error.cause ?? error) : error
  if (isLaneError(cause)) return cause.code === 'COMMAND_TIMEOUT'
  const { isRetryable } = new Object(cause) as { isRetryable?: unknown }
  return typeof isRetryable === 'boolean' ? isRetryable : true
}

/** What a worker outside has answered, as a step. */
function workerStep(value: unknown): ModelStep {
  const { text = '', tool_calls: calls = [], usage } = new Object(value) as Readonly<Record<string, unknown>>
  if (typeof text !== 'string' || !Array.isArray(calls) || !calls.every(isToolCall)) {
    throw new LaneError(
      'COMMAND_FAILED',
      'A worker for model calls has to answer { text, tool_calls: [{ id, name, args }], usage }',
    )
  }
  const toolCalls = calls.map(({ id, name, args }) => ({ id, name, args }))
  return { text, toolCalls, usage: workerUsage(usage), messages: [assistantMessage(text, toolCalls)] }
}

function isToolCall(call: unknown): call is ToolCall {
  const { id, name } = new Object(call) as { id?: unknown; name?: unknown }
  return typeof id === 'string' && id !== '' && typeof name === 'string' && name !== ''
}

function workerUsage(usage: unknown): TokenUsage {
  const told = new Object(usage) as Readonly<Record<string, unknown>>
  const count = (value: unknown): number => (typeof value === 'number' && value >= 0 ? value : 0)
  const [prompt, completion] = [count(told['prompt_tokens']), count(told['completion_tokens'])]
  const total = told['total_tokens'] === undefined ? prompt + completion : count(told['total_tokens'])
  return { prompt_tokens: prompt, completion_tokens: completion, total_tokens: total }
}
