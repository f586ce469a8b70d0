/** `env("NAME")` in a configuration text: the one expression that is computed, when the text is read. */

import { locatedAt } from './config-fault.js'
import { placeOf } from './config-outline.js'
import type { ConfigText, ReadConfig } from './config-text.js'

/** The variables of the environment. */
export type Environment = Readonly<Record<string, string | undefined>>

/** The values of a text with every `env("NAME")` in place. `CONFIG_INVALID` names a variable that is not set; an object is left as it is. */
export function withEnvironment({ form, value, source }: ReadConfig, env: Environment): unknown {
  if (source === undefined) return value
  return new Evaluation(source, env, form === 'json').of(value, '')
}

const CALL = /\$\{~?\s*env\(\s*"([^"\\]+)"\s*\)\s*~?\}/y
/** JSON has no expressions: there a text that is nothing but the call is one. */
const BARE_CALL = /^env\(\s*["']([^"'\\]+)["']\s*\)$/

class Evaluation {
  readonly #source: ConfigText
  readonly #env: Environment
  readonly #isJson: boolean

  constructor(source: ConfigText, env: Environment, isJson: boolean) {
    this.#source = source
    this.#env = env
    this.#isJson = isJson
  }

  of(value: unknown, path: string): unknown {
    if (typeof value === 'string') return this.#text(value, path)
    if (Array.isArray(value)) return value.map((item: unknown, index) => this.of(item, `${path}[${index}]`))
    // what is null in HCL is not set
    if (value === null) return this.#isJson ? null : undefined
    if (typeof value !== 'object') return value
    const inside = path === '' ? '' : `${path}.`
    return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, this.of(one, `${inside}${key}`)]))
  }

  #text(text: string, path: string): string {
    const bare = this.#isJson ? BARE_CALL.exec(text) : null
    if (bare !== null) return this.#variable(bare[1] as string, path)
    let result = ''
    for (let at = 0; at < text.length; ) {
      const piece = this.#piece(text, at, path)
      result += piece.text
      at = piece.end
    }
    return result
  }

  #piece(text: string, at: number, path: string): { text: string; end: number } {
    if (text.startsWith('$${', at)) return { text: '${', end: at + 3 }
    if (text.startsWith('%%{', at)) return { text: '%{', end: at + 3 }
    if (!text.startsWith('${', at) && !text.startsWith('%{', at)) return { text: text.charAt(at), end: at + 1 }
    CALL.lastIndex = at
    const call = CALL.exec(text)
    if (call === null) throw this.#fault(path, 'is an expression, and of these only env("NAME") is computed')
    return { text: this.#variable(call[1] as string, path), end: CALL.lastIndex }
  }

  #variable(name: string, path: string): string {
    const value = this.#env[name]
    if (value === undefined) throw this.#fault(path, `needs the environment variable ${name}, which is not set`)
    return value
  }

  #fault(path: string, what: string): Error {
    const at = placeOf(this.#source.outline, path) ?? 0
    return locatedAt(this.#source, at, `${path} ${what}`, { option: path })
  }
}
