/** Models that can be called: of the configuration, or a language model of the AI SDK that the program brings. */
import { configInvalid, isLaneError } from '../core/index.js'
import { checkPeer, importPeer } from '../peer/index.js'
import type { AgentConfig } from './config.js'
import { findModel, type ModelChoice } from './model-choice.js'
import { type LanguageModel, type ModelStep, type StepInput, type StepSettings, streamStep } from './model-step.js'

export type { ModelStep, ToolSchema } from './model-step.js'

/** A model as an agent calls it. */
export type AgentModel = {
  /** 'provider/model'. */
  readonly id: string
  /** One call: see `streamStep`. */
  step(input: StepInput): Promise<ModelStep>
}

/** Who asks for the packages. */
const SUBPATH = '@a3s-lab/lane/agent'

/** A language model of the AI SDK as an agent calls it. `CONFIG_INVALID` for anything else, and when the package `ai` is missing. */
export function languageModel(model: object): AgentModel {
  const { provider, modelId, doStream } = model as Partial<LanguageModel>
  if (typeof doStream !== 'function')
    throw configInvalid('model', "'provider/model', or a language model of the AI SDK", model)
  checkPeer('ai', SUBPATH)
  return {
    id: `${provider ?? 'custom'}/${modelId ?? 'custom'}`,
    step: (input) => streamStep(model as LanguageModel, input, { takesPictures: true }),
  }
}

/**
 * The model that `name` ('provider/model') means. `CONFIG_INVALID` when it is not configured or cannot be called, and when a
 * package is missing: `ai`, that of the provider, or `@ai-sdk/openai-compatible` wherever a base_url is given.
 */
export function resolveModel(config: Pick<AgentConfig, 'providers' | 'thinkingBudget'>, name: string): AgentModel {
  const choice = findModel(config.providers, name, 'model')
  checkPeer('ai', SUBPATH)
  const load = loaderOf(choice)
  const settings = settingsOf(choice, config.thinkingBudget)
  let loaded: Promise<LanguageModel> | undefined
  return {
    id: name,
    async step(input) {
      loaded ??= load()
      const model = await loaded
      return streamStep(model, choice.model.toolCall ? input : { ...input, tools: [] }, settings)
    },
  }
}

type ProviderSettings = { readonly apiKey?: string; readonly baseURL?: string }
type Provider = (modelId: string) => LanguageModel
type Factories = Readonly<Record<string, ((settings: object) => Provider) | undefined>>

/** The packages of providers that have one, with what makes a provider in it. */
const OWN_PACKAGES: Readonly<Record<string, { readonly name: string; readonly makers: readonly string[] }>> = {
  openai: { name: '@ai-sdk/openai', makers: ['createOpenAI'] },
  anthropic: { name: '@ai-sdk/anthropic', makers: ['createAnthropic'] },
  google: { name: '@ai-sdk/google', makers: ['createGoogleGenerativeAI', 'createGoogle'] },
}

const COMPATIBLE = { name: '@ai-sdk/openai-compatible', makers: ['createOpenAICompatible'] }

/** Where OpenAI is when its own package is not installed: any package that speaks its protocol will do. */
const OPENAI = 'https://api.openai.com/v1'

/** How the model is made, at its first call. What is missing is told now. */
function loaderOf({ provider, model, apiKey, baseUrl }: ModelChoice): () => Promise<LanguageModel> {
  const settings = apiKey === undefined ? {} : { apiKey }
  const own = baseUrl === undefined ? ownPackage(provider) : undefined
  if (own !== undefined) return async () => (await made(own, settings))(model.id)
  checkPeer(COMPATIBLE.name, SUBPATH)
  const compatible = { ...settings, name: provider, baseURL: baseUrl ?? OPENAI, includeUsage: true }
  return async () => (await made(COMPATIBLE, compatible))(model.id)
}

type Package = { readonly name: string; readonly makers: readonly string[] }

/** The package of a provider; undefined for OpenAI where it is not installed. */
function ownPackage(provider: string): Package | undefined {
  const own = OWN_PACKAGES[provider] as Package
  try {
    checkPeer(own.name, SUBPATH)
    return own
  } catch (error) {
    if (provider === 'openai' && isLaneError(error)) return undefined
    throw error
  }
}

async function made({ name, makers }: Package, settings: ProviderSettings): Promise<Provider> {
  const factories = await importPeer<Factories>(name, SUBPATH)
  const make = makers.map((maker) => factories[maker]).find((maker) => maker !== undefined)
  if (make === undefined) throw configInvalid(name, `a version that has ${makers.join(' or ')}`, Object.keys(factories))
  return make(settings)
}

function settingsOf({ provider, model, baseUrl }: ModelChoice, thinkingBudget: number | undefined): StepSettings {
  const takesPictures = model.attachment || model.modalities.input.includes('image')
  // what follows is in words of a provider's own package
  if (baseUrl !== undefined) return { takesPictures }
  const thinking = thinkingBudget === undefined ? undefined : thinkingOptions(provider, thinkingBudget)
  return {
    takesPictures,
    ...(thinking === undefined ? {} : { providerOptions: thinking }),
    // Anthropic has to be told how long an answer may be
    ...(provider === 'anthropic' && model.limit.output > 0 ? { maxOutputTokens: model.limit.output } : {}),
  }
}

function thinkingOptions(provider: string, budget: number): Readonly<Record<string, object>> | undefined {
  if (provider === 'anthropic' && budget > 0)
    return { anthropic: { thinking: { type: 'enabled', budgetTokens: budget } } }
  return provider === 'google' ? { google: { thinkingConfig: { thinkingBudget: budget } } } : undefined
}
