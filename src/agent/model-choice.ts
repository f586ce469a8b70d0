/** Which model is meant by 'provider/model', and whether it can be called at all. */
import { configInvalid, LaneError } from '../core/index.js'
import type { ModelConfig, ProviderConfig } from './config.js'

/** A model with all that is needed to call it. */
export type ModelChoice = {
  readonly provider: string
  readonly model: ModelConfig
  readonly apiKey: string | undefined
  /** Undefined where the provider's own package knows it. */
  readonly baseUrl: string | undefined
}

/** Providers whose address is known. */
const KNOWN_PROVIDERS: readonly string[] = ['openai', 'anthropic', 'google']

/**
 * The model that `name` ('provider/model') means. `CONFIG_INVALID` for another form, a provider or a model that is not
 * configured, and one that lacks its API key or its address. `option` is where the name stands.
 */
export function findModel(providers: readonly ProviderConfig[], name: unknown, option: string): ModelChoice {
  const [, providerName, id] = (typeof name === 'string' ? /^([^/]+)\/(.+)$/.exec(name) : null) ?? []
  if (providerName === undefined || id === undefined) {
    throw configInvalid(option, "of the form 'provider/model'", name === '' ? undefined : name)
  }
  const provider = providers.find((one) => one.name === providerName)
  if (provider === undefined) {
    throw configInvalid(option, `a model of a provider that is configured (${listed(providers, 'name')})`, name)
  }
  const model = provider.models.find((one) => one.id === id)
  if (model === undefined) {
    throw configInvalid(
      option,
      `one of the models of provider '${providerName}' (${listed(provider.models, 'id')})`,
      name,
    )
  }
  return callable(provider, model, option)
}

function callable(provider: ProviderConfig, model: ModelConfig, option: string): ModelChoice {
  const { name } = provider
  const apiKey = (model.apiKey ?? provider.apiKey) || undefined
  const baseUrl = model.baseUrl ?? provider.baseUrl
  if (baseUrl === undefined && !KNOWN_PROVIDERS.includes(name)) {
    throw lacking(
      option,
      `provider '${name}' has no base_url, and only those of ${KNOWN_PROVIDERS.join(', ')} are known`,
    )
  }
  if (apiKey === undefined && (baseUrl === undefined || !isLoopback(baseUrl))) {
    throw lacking(
      option,
      `provider '${name}' has no api_key for model '${model.id}'; only a base_url on this machine (localhost, 127.0.0.1) needs none`,
    )
  }
  return { provider: name, model, apiKey, baseUrl }
}

const lacking = (option: string, what: string): LaneError =>
  new LaneError('CONFIG_INVALID', `Configuration error: ${option} cannot be called: ${what}`, { fields: { option } })

/** Whether the server is on this machine: nobody needs a key there. */
function isLoopback(url: string): boolean {
  const { hostname } = new URL(url)
  return /^(?:(?:.*\.)?localhost|127(?:\.\d+){3}|\[::1\])$/.test(hostname)
}

function listed<K extends string>(things: readonly Readonly<Record<K, string>>[], key: K): string {
  return things.length === 0 ? 'there is none' : things.map((one) => `'${one[key]}'`).join(', ')
}
