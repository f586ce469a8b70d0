/** Every key of an agent's configuration: its name, its check. Defaults are filled in by `config.ts`. */
import {
  booleanSetting,
  configInvalid,
  integerSetting,
  oneObject,
  type ReadSetting,
  readSettings,
  type SettingValues,
  textSetting,
  wordSetting,
} from '../core/index.js'

const text = { read: textSetting }
const flag = { read: booleanSetting }

/** A finite number of at least `min`, or above 0. */
const numberSetting =
  (min: 0 | 'above 0'): ReadSetting<number> =>
  (option, value) => {
    const isNumber = typeof value === 'number' && Number.isFinite(value)
    if (isNumber && (min === 0 ? value >= 0 : value > 0)) return value
    throw configInvalid(option, min === 0 ? 'a number, 0 or more' : 'a number above 0', value)
  }

/** A list; where blocks may be repeated, a single object is a list of one. */
const listSetting =
  <T>(read: ReadSetting<T>): ReadSetting<readonly T[]> =>
  (option, value, form) => {
    const isSingle = form === 'blocks' && typeof value === 'object' && value !== null && !Array.isArray(value)
    const list: unknown = isSingle ? [value] : value
    if (!Array.isArray(list)) throw configInvalid(option, 'a list', value)
    return list.map((item: unknown, index) => read(`${option}[${index}]`, item, form))
  }

/** The address of a server. */
const urlSetting: ReadSetting<string> = (option, value) => {
  if (typeof value === 'string' && /^https?:\/\/[^\s/]/i.test(value) && URL.canParse(value)) return value
  throw configInvalid(option, 'an address that starts with http:// or https://', value)
}

/** A key for a provider; empty counts as none. */
const keySetting: ReadSetting<string> = (option, value) => {
  if (typeof value === 'string') return value
  throw configInvalid(option, 'a string', typeof value)
}

const names: ReadSetting<readonly string[]> = listSetting(textSetting)

const MODEL = {
  id: text,
  name: text,
  family: text,
  apiKey: { read: keySetting },
  baseUrl: { read: urlSetting, also: ['baseURL'] },
  attachment: flag,
  reasoning: flag,
  toolCall: flag,
  temperature: flag,
  releaseDate: text,
  modalities: nested({ input: { read: names }, output: { read: names } }),
  cost: nested({
    input: { read: numberSetting(0) },
    output: { read: numberSetting(0) },
    cacheRead: { read: numberSetting(0) },
    cacheWrite: { read: numberSetting(0) },
  }),
  limit: nested({ context: { read: integerSetting(0) }, output: { read: integerSetting(0) } }),
}

/** What was said of a model; `id` is there. */
export type ModelSettings = SettingValues<typeof MODEL> & { readonly id: string }

const modelSettings: ReadSetting<ModelSettings> = (option, value, form) => {
  const model = readSettings(option, value, MODEL, form)
  if (model.id === undefined)
    throw configInvalid(`${option}.id`, 'the name that the provider has for the model', undefined)
  return { ...model, id: model.id }
}

const PROVIDER = {
  name: text,
  apiKey: { read: keySetting },
  baseUrl: { read: urlSetting, also: ['baseURL'] },
  models: { read: listSetting(modelSettings) },
}

/** What was said of a provider; `name` is there. */
export type ProviderSettings = SettingValues<typeof PROVIDER> & { readonly name: string }

const providerSettings: ReadSetting<ProviderSettings> = (option, value, form) => {
  const provider = readSettings(option, value, PROVIDER, form)
  const { name } = provider
  if (name === undefined || name.includes('/')) {
    throw configInvalid(`${option}.name`, "the provider's part of 'provider/model', without a slash", name)
  }
  return { ...provider, name }
}

const ENGINE = { enabled: flag, weight: { read: numberSetting(0) }, timeout: { read: numberSetting('above 0') } }

/** What was said of one search engine. */
export type EngineSettings = SettingValues<typeof ENGINE>

const engines: ReadSetting<Readonly<Record<string, EngineSettings>>> = (option, value, form) =>
  Object.fromEntries(
    Object.entries(oneObject(option, value, form)).map(([name, engine]: [string, unknown]) => [
      name,
      readSettings(`${option}.${name}`, engine, ENGINE, form),
    ]),
  )

const SEARCH = {
  timeout: { read: numberSetting('above 0') },
  health: nested({ maxFailures: { read: integerSetting(1) }, suspendSeconds: { read: numberSetting('above 0') } }),
  engine: { read: engines },
}

/** Anything that is an object: the part of it that nothing here reads. */
const objectSetting: ReadSetting<object> = oneObject

/** Kept as it is: it is read by the queue's own rules. */
const raw: ReadSetting<unknown> = (_option, value) => value

const AGENT = {
  defaultModel: text,
  providers: { read: listSetting(providerSettings) },
  queue: { read: raw },
  search: nested(SEARCH),
  storageBackend: { read: wordSetting(['memory', 'file', 'custom']) },
  sessionsDir: text,
  storageUrl: text,
  skillDirs: { read: names },
  agentDirs: { read: names },
  maxToolRounds: { read: integerSetting(1) },
  thinkingBudget: { read: integerSetting(0) },
  memory: { read: objectSetting },
}

/** What was said, in camelCase, checked. */
export type AgentSettings = SettingValues<typeof AGENT>

/** What of a configuration is set. `where` names it in messages. */
export const agentSettings: ReadSetting<AgentSettings> = (where, value, form) => readSettings(where, value, AGENT, form)

function nested<S extends Parameters<typeof readSettings>[2]>(settings: S): { read: ReadSetting<SettingValues<S>> } {
  return { read: (option, value, form) => readSettings(option, value, settings, form) }
}
