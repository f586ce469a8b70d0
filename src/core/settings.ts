/**
 * Objects of settings as they come from a configuration file or from code: each setting may be written in camelCase or in
 * snake_case, some under further names. Nothing is guessed: an unknown key, a value of another type and two spellings that
 * contradict each other are `CONFIG_INVALID`, and `option` on the error is the path of what is wrong, as it was written.
 */
import { sameData } from './equal.js'
import { configInvalid, LaneError } from './errors.js'
import { checkBoolean, checkInteger, checkObject, checkOneOf, checkText, nearest } from './options.js'

/**
 * 'plain' for what code gives; 'blocks' for a configuration file whose blocks may be repeated, so that one block arrives
 * as a list of one object.
 */
export type SettingsForm = 'plain' | 'blocks'

/** Checks a value and gives what is used of it. `option` is its path, for messages. */
export type ReadSetting<T> = (option: string, value: unknown, form: SettingsForm) => T

/** What is known of one setting, under its name in camelCase. */
type Setting<T> = {
  readonly read: ReadSetting<T>
  /** Names that are accepted beside its own and its own in snake_case. */
  readonly also?: readonly string[]
}

/** `queryMaxConcurrency` as `query_max_concurrency`. */
type SnakeCase<S extends string> = S extends `${infer First}${infer Rest}`
  ? `${First extends Lowercase<First> ? First : `_${Lowercase<First>}`}${SnakeCase<Rest>}`
  : S

/** Options as they may be written: in camelCase, in snake_case, or some of each. */
export type EitherCase<T> = T & { readonly [K in keyof T & string as SnakeCase<K>]?: T[K] }

/** Everything that may be set, by its name in camelCase. */
export type Settings = Readonly<Record<string, Setting<unknown>>>

/** What was set, by its name in camelCase, as its reader gave it. */
export type SettingValues<S extends Settings> = {
  readonly [K in keyof S]?: S[K] extends Setting<infer T> ? T : never
}

/** What of an object is set. `where` names the object in messages; a key whose value is undefined is not set. */
export function readSettings<S extends Settings>(
  where: string,
  value: unknown,
  settings: S,
  form: SettingsForm = 'plain',
): SettingValues<S> {
  const found = new Map<string, { key: string; value: unknown }>()
  for (const [key, given] of Object.entries(oneObject(where, value, form))) {
    const name = nameOf(settings, key)
    if (name === undefined) throw unknownKey(where, key, allSpellings(settings, key))
    if (given === undefined) continue
    const read = (settings[name] as Setting<unknown>).read(`${where}.${key}`, given, form)
    const before = found.get(name)
    if (before !== undefined && !sameData(before.value, read)) throw contradiction(where, before.key, key)
    found.set(name, { key, value: read })
  }
  return Object.fromEntries([...found].map(([name, { value: read }]) => [name, read])) as SettingValues<S>
}

/** The object itself, or that of a block which is there once. */
export function oneObject(option: string, value: unknown, form: SettingsForm): object {
  const isBlock = form === 'blocks' && Array.isArray(value) && value.length > 0
  if (isBlock && value.length > 1) throw configInvalid(option, 'one block', value.length)
  const object: unknown = isBlock ? value[0] : value
  checkObject(option, object)
  return object
}

/** The error of a key that nobody knows: with the nearest known one, or with all of them. */
export function unknownKey(where: string, key: string, known: readonly string[]): LaneError {
  const near = nearest(key, known)
  const hint = near === undefined ? `its options are '${known.join("', '")}'` : `did you mean '${near}'?`
  return new LaneError('CONFIG_INVALID', `Configuration error: ${where} has no option '${key}'; ${hint}`, {
    fields: { option: `${where}.${key}` },
  })
}

/** `queryMaxConcurrency` as `query_max_concurrency`. */
export const snakeCase = (name: string): string => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)

function nameOf(settings: Settings, key: string): string | undefined {
  if (Object.hasOwn(settings, key)) return key
  return Object.entries(settings).find(([name, { also = [] }]) => snakeCase(name) === key || also.includes(key))?.[0]
}

/** All that `key` may have been meant to be, in the case in which it is written. */
function allSpellings(settings: Settings, key: string): string[] {
  const isSnake = key.includes('_')
  return Object.entries(settings).flatMap(([name, { also = [] }]) => {
    const others = also.filter((one) => isSnake === one.includes('_'))
    return [isSnake ? snakeCase(name) : name, ...others]
  })
}

const contradiction = (where: string, first: string, second: string): LaneError =>
  new LaneError(
    'CONFIG_INVALID',
    `Configuration error: ${where} has '${first}' and '${second}' with two values: both are the same option, keep one`,
    { fields: { option: `${where}.${second}` } },
  )

/** An integer of at least `min`. */
export const integerSetting =
  (min: number): ReadSetting<number> =>
  (option, value) => {
    checkInteger(option, value, min)
    return value as number
  }

export const booleanSetting: ReadSetting<boolean> = (option, value) => {
  checkBoolean(option, value)
  return value as boolean
}

/** A text that is not empty. */
export const textSetting: ReadSetting<string> = (option, value) => {
  checkText(option, value)
  return value
}

/** One of some words. */
export const wordSetting =
  <T extends string>(words: readonly T[]): ReadSetting<T> =>
  (option, value) => {
    checkOneOf(option, value, words)
    return value as T
  }
