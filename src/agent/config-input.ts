/** The configuration of an agent as an object, in camelCase or in snake_case: the keys of `agent.hcl`. */
import type { EitherCase } from '../core/index.js'
import type { SessionQueueConfig, SessionQueueConfigInput } from '../session/index.js'

/** A model of a provider. */
type ModelInput = EitherCase<{
  /** The name that the provider has for it. Required. */
  readonly id: string
  /** For people. Default: the id. */
  readonly name?: string | undefined
  readonly family?: string | undefined
  /** Instead of the provider's. */
  readonly apiKey?: string | undefined
  /** Instead of the provider's. */
  readonly baseUrl?: string | undefined
  /** Whether it takes files and images. Default false. */
  readonly attachment?: boolean | undefined
  /** Whether it reasons before it answers. Default false. */
  readonly reasoning?: boolean | undefined
  /** Whether it calls tools. Default true. */
  readonly toolCall?: boolean | undefined
  /** Whether it takes a temperature. Default true. */
  readonly temperature?: boolean | undefined
  readonly releaseDate?: string | undefined
  readonly modalities?: { readonly input?: readonly string[]; readonly output?: readonly string[] } | undefined
  /** In dollars per million tokens. Default 0 each. */
  readonly cost?:
    | EitherCase<{
        readonly input?: number | undefined
        readonly output?: number | undefined
        readonly cacheRead?: number | undefined
        readonly cacheWrite?: number | undefined
      }>
    | undefined
  /** In tokens; 0, the default, where it is not known. */
  readonly limit?: { readonly context?: number | undefined; readonly output?: number | undefined } | undefined
}>

/** Who runs models. */
type ProviderInput = EitherCase<{
  /** The first part of 'provider/model'. Required. */
  readonly name: string
  /** Required, here or at the model, unless the server is on this machine. */
  readonly apiKey?: string | undefined
  /** Of a server that speaks OpenAI's protocol. Required for providers other than openai, anthropic and google. */
  readonly baseUrl?: string | undefined
  readonly models?: readonly ModelInput[] | undefined
}>

/** How the web is searched. */
type SearchInput = {
  /** Longest wait for one engine, in seconds. Default 10. */
  readonly timeout?: number | undefined
  /** When an engine is left alone: after `maxFailures` (3) in a row, for `suspendSeconds` (60). */
  readonly health?:
    | EitherCase<{ readonly maxFailures?: number | undefined; readonly suspendSeconds?: number | undefined }>
    | undefined
  readonly engine?:
    | Readonly<
        Record<
          string,
          {
            /** Default true. */
            readonly enabled?: boolean | undefined
            /** Default 1. */
            readonly weight?: number | undefined
            /** In seconds. Default: that of the search. */
            readonly timeout?: number | undefined
          }
        >
      >
    | undefined
}

/** The configuration of an agent. */
export type AgentConfigInput = EitherCase<{
  /** 'provider/model'. Required. */
  readonly defaultModel: string
  readonly providers?: readonly ProviderInput[] | undefined
  /** The queue of every session; what a session says of its own wins. Default: sessions have none. */
  readonly queue?: SessionQueueConfigInput | SessionQueueConfig | undefined
  readonly search?: SearchInput | undefined
  /** Where sessions are kept. Default 'file'. */
  readonly storageBackend?: 'memory' | 'file' | 'custom' | undefined
  readonly sessionsDir?: string | undefined
  readonly storageUrl?: string | undefined
  readonly skillDirs?: readonly string[] | undefined
  readonly agentDirs?: readonly string[] | undefined
  /** Most model calls of one turn. Default 50, at least 1. */
  readonly maxToolRounds?: number | undefined
  /** Tokens that a model may reason with. Default: the provider's. */
  readonly thinkingBudget?: number | undefined
  readonly memory?: object | undefined
}>
