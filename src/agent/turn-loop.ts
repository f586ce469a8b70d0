/** The loop of one turn: ask the model, run the tools that it calls, tell it what came of them, until it calls none. */
import { LaneError } from '../core/index.js'
import type { SessionQueue, TokenUsage, ToolCall, ToolContext, ToolResult } from '../session/index.js'
import { type AgentMessage, toolMessage, userMessage } from './messages.js'
import type { ModelStep, ToolSchema } from './model.js'
import type { TurnModel } from './turn-model.js'

/** What a turn came to. */
export type TurnOutcome = { readonly text: string; readonly toolCalls: number; readonly usage: TokenUsage }

/** Whom a loop tells what it does; a loop on the side tells nobody. */
export type TurnReport = {
  turnStart(turn: number): void
  turnEnd(turn: number, usage: TokenUsage): void
  text(text: string): void
  reset(turn: number): void
}

export const SILENT: TurnReport = {
  turnStart: () => undefined,
  turnEnd: () => undefined,
  text: () => undefined,
  reset: () => undefined,
}

export type TurnLoopOptions = {
  readonly queue: SessionQueue
  readonly model: TurnModel
  readonly system: string
  readonly tools: readonly ToolSchema[]
  readonly maxToolRounds: number
  /** Rounds in a row with nothing but malformed tool calls before the turn gives up. */
  readonly maxParseRetries: number
}

/** One run of the loop. */
export type TurnInput = {
  /** The conversation so far; what is said in the turn is added to it. */
  readonly messages: AgentMessage[]
  readonly signal: AbortSignal
  readonly report: TurnReport
  /** Messages that have come in meanwhile. */
  readonly steered?: () => readonly string[]
  readonly parent?: ToolContext | undefined
  /** After each round of tool calls, when the conversation is whole again. */
  readonly onRound?: () => Promise<void>
}

export const NO_USAGE: TokenUsage = { prompt_tokens: 0, completion_tokens: 0, total_tokens: 0 }

export const addedUsage = (a: TokenUsage, b: TokenUsage): TokenUsage => ({
  prompt_tokens: a.prompt_tokens + b.prompt_tokens,
  completion_tokens: a.completion_tokens + b.completion_tokens,
  total_tokens: a.total_tokens + b.total_tokens,
})

export class TurnLoop {
  readonly #options: TurnLoopOptions

  constructor(options: TurnLoopOptions) {
    this.#options = options
  }

  /** Rejects when the model cannot be reached, does not come to an end, or the signal aborts. */
  async run(input: TurnInput): Promise<TurnOutcome> {
    const { messages, steered = () => [], onRound } = input
    const limits = new RoundLimits(this.#options)
    let usage = NO_USAGE
    let toolCalls = 0
    for (let turn = 1; ; turn++) {
      input.signal.throwIfAborted()
      messages.push(...steered().map(userMessage))
      const step = await this.#step(input, turn)
      usage = addedUsage(usage, step.usage)
      if (step.toolCalls.length === 0) {
        messages.push(...step.messages)
        const late = steered()
        if (late.length === 0) return { text: step.text, toolCalls, usage }
        messages.push(...late.map(userMessage))
        continue
      }
      limits.begin()
      const results = await this.#tools(input, step)
      // Together, and also when the turn was ended: a call without its result would make the conversation unusable.
      messages.push(...step.messages, toolMessage(results))
      toolCalls += results.length
      await onRound?.()
      limits.ended(step.toolCalls)
    }
  }

  async #step({ messages, signal, report, parent }: TurnInput, turn: number): Promise<ModelStep> {
    const { model, system, tools } = this.#options
    report.turnStart(turn)
    const onText = (text: string): void => report.text(text)
    const onReset = (): void => report.reset(turn)
    const step = await model.step({ system, messages: [...messages], tools, signal, onText, onReset, parent })
    report.turnEnd(turn, step.usage)
    return step
  }

  #tools({ signal, parent }: TurnInput, { toolCalls }: ModelStep): Promise<ToolResult[]> {
    return this.#options.queue.runToolCalls(toolCalls, { signal, parent })
  }
}

/** Keeps a model that does not come to an end from going on for ever. */
class RoundLimits {
  readonly #options: Pick<TurnLoopOptions, 'maxToolRounds' | 'maxParseRetries'>
  #rounds = 0
  #malformed = 0

  constructor(options: Pick<TurnLoopOptions, 'maxToolRounds' | 'maxParseRetries'>) {
    this.#options = options
  }

  begin(): void {
    const { maxToolRounds } = this.#options
    if (this.#rounds++ < maxToolRounds) return
    throw new LaneError('COMMAND_FAILED', `The model was not done after ${maxToolRounds} rounds of tool calls`)
  }

  ended(calls: readonly ToolCall[]): void {
    this.#malformed = calls.every(isMalformed) ? this.#malformed + 1 : 0
    if (this.#malformed <= this.#options.maxParseRetries) return
    throw new LaneError('COMMAND_FAILED', `The model made malformed tool calls ${this.#malformed} times in a row`)
  }
}

const isMalformed = ({ args = {} }: ToolCall): boolean =>
  typeof args !== 'object' || args === null || Array.isArray(args)
