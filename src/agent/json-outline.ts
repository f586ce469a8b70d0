/**
 * Where what stands in a JSON text, and where it is no JSON. The engine's own message is not used: it quotes the text
 * around the error, and a secret may be there.
 */
import { addKey, type Outline, outlineAt } from './config-outline.js'

/** What is wrong with a text, and where. */
export type TextFault = { readonly at: number; readonly what: string }

/** The outline of a JSON text, or what is wrong with the text. A key that is there twice is wrong, too. */
export function jsonOutline(text: string): Outline | TextFault {
  try {
    return new JsonScanner(text).whole()
  } catch (error) {
    if (error instanceof Fault) return { at: error.at, what: error.message }
    throw error
  }
}

class Fault extends Error {
  readonly at: number

  constructor(at: number, what: string) {
    super(what)
    this.at = at
  }
}

const BLANKS = /[ \t\r\n]*/y
const TEXT = /"(?:[^"\\\p{Cc}]|\\(?:["\\/bfnrt]|u[\da-fA-F]{4}))*"/uy
const LITERAL = /true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y

class JsonScanner {
  readonly #text: string
  #at = 0

  constructor(text: string) {
    this.#text = text
  }

  whole(): Outline {
    this.#take(BLANKS)
    const root = outlineAt(this.#at)
    this.#value(root)
    if (this.#at < this.#text.length) throw this.#fault('nothing may follow the end of the object')
    return root
  }

  #value(into: Outline): void {
    if (this.#takes('{')) this.#object(into)
    else if (this.#takes('[')) this.#list(into)
    else if (this.#take(TEXT) === undefined && this.#take(LITERAL) === undefined) throw this.#fault(this.#valueFault())
    this.#take(BLANKS)
  }

  #valueFault(): string {
    if (this.#text.charAt(this.#at) === '"') return 'a text has no end, or a character that has to be escaped'
    return this.#at >= this.#text.length ? 'the text ends where a value should be' : 'a value should be here'
  }

  #object(into: Outline): void {
    this.#take(BLANKS)
    if (this.#takes('}')) return
    do {
      this.#take(BLANKS)
      const at = this.#at
      const key = this.#take(TEXT)
      if (key === undefined) throw this.#fault('a key in double quotes should be here')
      const name = JSON.parse(key) as string
      if (into.keys.has(name)) throw new Fault(at, `'${name}' is there twice`)
      this.#take(BLANKS)
      if (!this.#takes(':')) throw this.#fault("':' should be here")
      this.#take(BLANKS)
      this.#value(addKey(into, name, outlineAt(at)))
    } while (this.#takes(','))
    if (!this.#takes('}')) throw this.#fault("',' or '}' should be here")
  }

  #list(into: Outline): void {
    this.#take(BLANKS)
    if (this.#takes(']')) return
    do {
      this.#take(BLANKS)
      const item = outlineAt(this.#at)
      into.items.push(item)
      this.#value(item)
    } while (this.#takes(','))
    if (!this.#takes(']')) throw this.#fault("',' or ']' should be here")
  }

  #fault(what: string): Fault {
    return new Fault(this.#at, what)
  }

  #takes(char: string): boolean {
    if (this.#text.charAt(this.#at) !== char) return false
    this.#at++
    return true
  }

  #take(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at
    const match = pattern.exec(this.#text)
    if (match === null) return undefined
    this.#at = pattern.lastIndex
    return match[0]
  }
}
