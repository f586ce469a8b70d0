/** The configuration of an agent: from a file, a text or an object to checked values with every default filled in. */
import { env as processEnvironment } from 'node:process'
import { configInvalid, isLaneError, LaneError } from '../core/index.js'
import { resolveSessionConfig, SessionQueueConfig } from '../session/index.js'
import { type Environment, withEnvironment } from './config-env.js'
import { locatedAt } from './config-fault.js'
import type { AgentConfigInput } from './config-input.js'
import {
  type AgentSettings,
  agentSettings,
  type EngineSettings,
  type ModelSettings,
  type ProviderSettings,
} from './config-keys.js'
import { placeOf } from './config-outline.js'
import { withoutSecrets } from './config-secrets.js'
import { type ReadConfig, readConfig } from './config-text.js'
import { findModel } from './model-choice.js'

export type { AgentConfigInput } from './config-input.js'

/** A model of a provider. */
export type ModelConfig = {
  /** The name that the provider has for it. */
  readonly id: string
  readonly name: string
  readonly family: string | undefined
  readonly apiKey: string | undefined
  readonly baseUrl: string | undefined
  readonly attachment: boolean
  readonly reasoning: boolean
  readonly toolCall: boolean
  readonly temperature: boolean
  readonly releaseDate: string | undefined
  readonly modalities: { readonly input: readonly string[]; readonly output: readonly string[] }
  /** In dollars per million tokens. */
  readonly cost: {
    readonly input: number
    readonly output: number
    readonly cacheRead: number
    readonly cacheWrite: number
  }
  /** In tokens; 0 where it is not known. */
  readonly limit: { readonly context: number; readonly output: number }
}

/** Who runs models. */
export type ProviderConfig = {
  readonly name: string
  readonly apiKey: string | undefined
  readonly baseUrl: string | undefined
  readonly models: readonly ModelConfig[]
}

/** How the web is searched. Times in seconds. */
type SearchConfig = {
  readonly timeout: number
  readonly health: { readonly maxFailures: number; readonly suspendSeconds: number }
  readonly engine: Readonly<
    Record<string, { readonly enabled: boolean; readonly weight: number; readonly timeout: number }>
  >
}

/** The configuration of an agent, checked, with every default filled in. */
export type AgentConfig = {
  /** 'provider/model'; it is among the providers and has its key. */
  readonly defaultModel: string
  readonly providers: readonly ProviderConfig[]
  /** The block as it was written, already checked: the second argument of `resolveSessionConfig`. Undefined for none. */
  readonly queue: unknown
  readonly search: SearchConfig
  readonly storageBackend: 'memory' | 'file' | 'custom'
  readonly sessionsDir: string | undefined
  readonly storageUrl: string | undefined
  readonly skillDirs: readonly string[]
  readonly agentDirs: readonly string[]
  readonly maxToolRounds: number
  readonly thinkingBudget: number | undefined
  readonly memory: object | undefined
}

/**
 * The configuration that `source` holds: the path of a file (`.hcl`, or `.json` with the same keys), HCL or JSON as text, or
 * an object. `CONFIG_INVALID` says what is wrong, with file, line and column where there is a text; no secret is ever in
 * it. `env` has the variables for `env("NAME")`, by default those of the process.
 */
export async function loadAgentConfig(
  source: string | AgentConfigInput,
  { env = processEnvironment }: { readonly env?: Environment | undefined } = {},
): Promise<AgentConfig> {
  const read = await readConfig(source)
  try {
    return checkedConfig(withEnvironment(read, env), read.form === 'object' ? 'plain' : 'blocks')
  } catch (error) {
    throw isLaneError(error) ? located(error, read) : error
  }
}

/** What paths of options begin with where the file itself is meant. */
const ROOT = 'agent'

function checkedConfig(value: unknown, form: 'plain' | 'blocks'): AgentConfig {
  const settings = agentSettings(ROOT, value, form)
  const queue = settings.queue instanceof SessionQueueConfig ? settings.queue.toJSON() : settings.queue
  if (queue !== undefined) resolveSessionConfig(undefined, queue)
  const config = filledIn(settings, queue)
  refuseTwins(config.providers)
  findModel(config.providers, config.defaultModel, modelOption(value))
  return config
}

/** The path of the default model as it is written. */
const modelOption = (value: unknown): string =>
  `${ROOT}.${Object.hasOwn(value as object, 'defaultModel') ? 'defaultModel' : 'default_model'}`

function filledIn(settings: AgentSettings, queue: unknown): AgentConfig {
  const { search = {} } = settings
  const timeout = search.timeout ?? 10
  return {
    defaultModel: settings.defaultModel ?? '',
    providers: (settings.providers ?? []).map(providerConfig),
    queue,
    search: {
      timeout,
      health: { maxFailures: 3, suspendSeconds: 60, ...search.health },
      engine: Object.fromEntries(
        Object.entries<EngineSettings>(search.engine ?? {}).map(([name, engine]) => [
          name,
          { enabled: true, weight: 1, timeout, ...engine },
        ]),
      ),
    },
    storageBackend: settings.storageBackend ?? 'file',
    sessionsDir: settings.sessionsDir,
    storageUrl: settings.storageUrl,
    skillDirs: settings.skillDirs ?? [],
    agentDirs: settings.agentDirs ?? [],
    maxToolRounds: settings.maxToolRounds ?? 50,
    thinkingBudget: settings.thinkingBudget,
    memory: settings.memory,
  }
}

const providerConfig = ({ name, apiKey, baseUrl, models = [] }: ProviderSettings): ProviderConfig => ({
  name,
  apiKey,
  baseUrl,
  models: models.map(modelConfig),
})

const modelConfig = (model: ModelSettings): ModelConfig => ({
  id: model.id,
  name: model.name ?? model.id,
  family: model.family,
  apiKey: model.apiKey,
  baseUrl: model.baseUrl,
  attachment: model.attachment ?? false,
  reasoning: model.reasoning ?? false,
  toolCall: model.toolCall ?? true,
  temperature: model.temperature ?? true,
  releaseDate: model.releaseDate,
  modalities: { input: [], output: [], ...model.modalities },
  cost: { input: 0, output: 0, cacheRead: 0, cacheWrite: 0, ...model.cost },
  limit: { context: 0, output: 0, ...model.limit },
})

/** Two providers of one name, or two models of one id, would hide each other. */
function refuseTwins(providers: readonly ProviderConfig[]): void {
  refuseTwin(
    `${ROOT}.providers`,
    'name',
    providers.map(({ name }) => name),
  )
  for (const [index, { models }] of providers.entries()) {
    refuseTwin(
      `${ROOT}.providers[${index}].models`,
      'id',
      models.map(({ id }) => id),
    )
  }
}

function refuseTwin(option: string, key: string, names: readonly string[]): void {
  const index = names.findIndex((name, at) => names.indexOf(name) < at)
  if (index >= 0) throw configInvalid(`${option}[${index}].${key}`, 'one that no other has', names[index])
}

/** The error with the place of its option in the text, and without secrets. */
function located(error: LaneError, { value, source }: ReadConfig): LaneError {
  const { option, expected, line } = error as { option?: unknown; expected?: unknown; line?: unknown }
  // the text itself could not be read: its place is there already
  if (typeof option !== 'string' || line !== undefined) return error
  const path = option === ROOT ? '' : option.replace(`${ROOT}.`, '')
  const fields = { option, ...(expected === undefined ? {} : { expected }) }
  const message = withoutSecrets(error.message, value, path)
  if (source === undefined) return new LaneError('CONFIG_INVALID', message, { fields })
  const what = message.replace('Configuration error: ', '')
  const at = placeOf(source.outline, path)
  if (at !== undefined) return locatedAt(source, at, what, fields)
  return new LaneError('CONFIG_INVALID', `Configuration error: ${source.name}: ${what}`, {
    fields: { ...fields, file: source.name },
  })
}
