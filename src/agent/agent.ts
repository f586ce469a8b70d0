/** `Agent`: models and settings from a configuration, and sessions that work with them. */
import { configInvalid } from '../core/index.js'
import { AgentSession } from './agent-session.js'
import { type AgentConfig, loadAgentConfig } from './config.js'
import type { AgentConfigInput } from './config-input.js'
import { type AgentModel, languageModel, resolveModel } from './model.js'
import type { AgentSessionOptions } from './session-options.js'

/** An agent: make sessions of it, one for each conversation. */
export class Agent {
  readonly #config: AgentConfig

  private constructor(config: AgentConfig) {
    this.#config = config
  }

  /**
   * From the path of a file (`agent.hcl`, or `.json` with the same keys), from such text itself, or from an object.
   * `CONFIG_INVALID` says what is wrong, with file, line and column where it stands in a text.
   */
  static async create(source: string | AgentConfigInput): Promise<Agent> {
    return new Agent(await loadAgentConfig(source))
  }

  /** 'provider/model' of sessions that name none. */
  get defaultModel(): string {
    return this.#config.defaultModel
  }

  /**
   * A session in a workspace folder, which its tools cannot leave. `CONFIG_INVALID` names the option that is wrong; a queue
   * that cannot be made, with its storage, is such an error too, never a session without one.
   */
  session(workspace: string, options: AgentSessionOptions = {}): AgentSession {
    const model = this.#modelOf(options?.model)
    const { queue: queueBlock, maxToolRounds } = this.#config
    return new AgentSession(workspace, options, { model, queueBlock, maxToolRounds })
  }

  #modelOf(model: unknown): AgentModel {
    if (model === undefined) return resolveModel(this.#config, this.#config.defaultModel)
    if (typeof model === 'object' && model !== null) return languageModel(model)
    if (typeof model === 'string' && /^[^/\s]+\/\S+$/.test(model)) return resolveModel(this.#config, model)
    throw configInvalid('model', "'provider/model', or a language model of the AI SDK", model)
  }
}
