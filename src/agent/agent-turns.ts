/** The conversation of a session: its turns, what they add to its history, and what is taken out of that again. */
import { errorText, isLaneError } from '../core/index.js'
import type { SessionQueue, ToolContext, Turn, TurnOptions } from '../session/index.js'
import { type AgentMessage, userMessage } from './messages.js'
import { PlannedTurn } from './planning.js'
import { SILENT, type TurnInput, type TurnLoop, type TurnOutcome, type TurnReport } from './turn-loop.js'
import type { TurnModel } from './turn-model.js'

export type AgentTurnsOptions = {
  readonly queue: SessionQueue
  readonly loop: TurnLoop
  readonly model: TurnModel
  readonly system: string
  readonly planning: boolean
}

/** One message to the agent. */
export type Message = {
  readonly prompt: string
  /** Instead of the session's own conversation. */
  readonly history: readonly AgentMessage[] | undefined
  readonly options: TurnOptions
  /** The message has become a turn, which begins; that turn is through. */
  readonly onBegin?: () => void
  readonly onEnd?: () => void
}

export class AgentTurns {
  readonly #options: AgentTurnsOptions
  readonly #history: AgentMessage[] = []
  /** The turn that has added last, and what was there before it. It may be told to leave no trace until the next begins. */
  #last: { readonly turn: Turn; readonly length: number } | undefined

  constructor(options: AgentTurnsOptions) {
    this.#options = options
  }

  /** What the turns that were not undone have said. */
  history(): AgentMessage[] {
    return structuredClone(this.#history.slice(0, this.#length()))
  }

  /** Runs a message as a turn, or in one: rejects with why it came to nothing. */
  run({ prompt, history, options, onBegin, onEnd }: Message): Promise<TurnOutcome> {
    const body = async (turn: Turn): Promise<TurnOutcome> => {
      onBegin?.()
      try {
        return await this.#turn(prompt, history === undefined ? this.#own(turn) : [...history], turn)
      } finally {
        onEnd?.()
      }
    }
    return this.#options.queue.runTurn(prompt, body, options)
  }

  /**
   * A turn beside the conversation, inside a command: its own history, its caller's slot, and nobody is told of its text. It is
   * noted after each round, and goes on from there when the command is preempted, or its process dies.
   */
  async aside(prompt: string, parent: ToolContext): Promise<string> {
    const messages = notedIn(parent.restored) ?? [userMessage(prompt)]
    const onRound = async (): Promise<void> => {
      try {
        await parent.checkpoint({ messages })
      } catch (error) {
        // a conversation that is too long to be noted goes on without
        if (parent.signal.aborted) throw error
      }
    }
    const { text } = await this.#options.loop.run({ messages, signal: parent.signal, report: SILENT, parent, onRound })
    return text
  }

  /** The session's conversation, for a turn to add to. */
  #own(turn: Turn): AgentMessage[] {
    this.#history.length = this.#length()
    this.#last = { turn, length: this.#history.length }
    return this.#history
  }

  #length(): number {
    return this.#last?.turn.isRolledBack === true ? this.#last.length : this.#history.length
  }

  async #turn(prompt: string, messages: AgentMessage[], turn: Turn): Promise<TurnOutcome> {
    const { queue } = this.#options
    queue.emit('start', { prompt })
    try {
      messages.push(userMessage(prompt))
      const outcome = await this.#work(prompt, messages, turn)
      turn.signal.throwIfAborted()
      queue.emit('end', { text: outcome.text, usage: outcome.usage })
      return outcome
    } catch (error) {
      queue.emit('error', errorPayload(error))
      throw error
    }
  }

  #work(prompt: string, messages: AgentMessage[], turn: Turn): Promise<TurnOutcome> {
    const { planning, ...parts } = this.#options
    const input: TurnInput = {
      messages,
      signal: turn.signal,
      report: this.#report(),
      steered: () => turn.takeSteered(),
    }
    return planning ? new PlannedTurn(parts).run(prompt, input) : parts.loop.run(input)
  }

  #report(): TurnReport {
    const { queue } = this.#options
    return {
      turnStart: (turn) => queue.emit('turn_start', { turn }),
      turnEnd: (turn, usage) => queue.emit('turn_end', { turn, usage }),
      text: (text) => queue.emit('text_delta', { text }),
      reset: (turn) => queue.emit('text_reset', { turn }),
    }
  }
}

function notedIn(restored: unknown): AgentMessage[] | undefined {
  const { messages } = new Object(restored) as { messages?: unknown }
  return Array.isArray(messages) ? (structuredClone(messages) as AgentMessage[]) : undefined
}

/** What the event `error` says of an error. */
export function errorPayload(error: unknown): { message: string; code?: string } {
  return { message: errorText(error), ...(isLaneError(error) ? { code: error.code } : {}) }
}
