/**
 * Where what stands in an HCL text. It is no parser and refuses nothing: whether the text is right is judged elsewhere, so
 * what it does not understand it steps over.
 */
import { addKey, type Outline, outlineAt } from './config-outline.js'

/** The outline of a text that is HCL. */
export function hclOutline(text: string): Outline {
  const root = outlineAt(0, true)
  new HclScanner(text).body(root)
  return root
}

/** A key that is there both as `key = …` and as a block: the parser would take the one and forget the other. */
export function findMixedKey(outline: Outline): { key: string; at: number } | undefined {
  for (const [key, places] of outline.keys) {
    const [first] = places
    const other = places.find(({ isBlock }) => isBlock !== first?.isBlock)
    if (other !== undefined) return { key, at: other.at }
    for (const place of [...places, ...places.flatMap(({ items }) => items)]) {
      const inside = findMixedKey(place)
      if (inside !== undefined) return inside
    }
  }
  return undefined
}

const NAME = /[\p{ID_Start}_][\p{ID_Continue}-]*/uy
const BLANKS = /(?:[ \t\r]|\/\*[\s\S]*?(?:\*\/|$)|(?:#|\/\/)[^\n]*)+/y
const BLANKS_AND_LINES = /(?:[\s,]|\/\*[\s\S]*?(?:\*\/|$)|(?:#|\/\/)[^\n]*)+/y
const HEREDOC = /<<-?([\p{ID_Start}_][\p{ID_Continue}-]*)[^\n]*\n/uy

const CLOSING: Readonly<Record<string, string>> = { '{': '}', '[': ']', '(': ')' }

class HclScanner {
  readonly #text: string
  #at = 0

  constructor(text: string) {
    this.#text = text
  }

  /** Settings and blocks, up to the brace that ends them. */
  body(into: Outline): void {
    while (!this.#isAtEnd()) {
      this.#take(BLANKS_AND_LINES)
      if (this.#takes('}')) return
      const at = this.#at
      const name = this.#take(NAME)
      if (name === undefined) this.#at++
      else this.#setting(into, name, at)
    }
  }

  #setting(into: Outline, name: string, at: number): void {
    this.#take(BLANKS)
    if (this.#takes('=')) return this.#value(addKey(into, name, outlineAt(at)))
    let block = addKey(into, name, outlineAt(at, true))
    for (let label = this.#label(); label !== undefined; label = this.#label()) {
      block = addKey(block, label, outlineAt(this.#at, true))
      this.#take(BLANKS)
    }
    if (this.#takes('{')) this.body(block)
  }

  #label(): string | undefined {
    return this.#peek() === '"' ? this.#quoted() : this.#take(NAME)
  }

  #value(into: Outline): void {
    this.#take(BLANKS)
    if (this.#takes('{')) this.#object(into)
    else if (this.#takes('[')) this.#list(into)
    this.#rest()
  }

  #object(into: Outline): void {
    while (!this.#isAtEnd()) {
      this.#take(BLANKS_AND_LINES)
      if (this.#takes('}')) return
      const at = this.#at
      const key = this.#label()
      this.#take(BLANKS)
      if (key !== undefined && (this.#takes('=') || this.#takes(':'))) this.#value(addKey(into, key, outlineAt(at)))
      else this.#at = Math.max(this.#at, at + 1)
    }
  }

  #list(into: Outline): void {
    while (!this.#isAtEnd()) {
      this.#take(BLANKS_AND_LINES)
      if (this.#takes(']')) return
      const item = outlineAt(this.#at)
      into.items.push(item)
      this.#value(item)
      if (this.#at === item.at) this.#at++
    }
  }

  /** What is left of an expression: up to the end of its line, or to what ends the list or object that it is in. */
  #rest(): void {
    while (!this.#isAtEnd()) {
      this.#take(BLANKS)
      const next = this.#peek()
      if (next === '\n' || next === ',' || next === '}' || next === ']' || next === ')') return
      this.#step(next)
    }
  }

  /** One text, one pair of brackets with what is in them, or one character. */
  #step(next: string): void {
    if (next === '"') return void this.#quoted()
    const heredoc = this.#match(HEREDOC)
    if (heredoc !== undefined) return this.#heredoc(heredoc[1] as string)
    this.#at++
    const closing = CLOSING[next]
    if (closing === undefined) return
    while (!this.#isAtEnd()) {
      this.#take(BLANKS_AND_LINES)
      if (this.#takes(closing)) return
      if (!this.#isAtEnd()) this.#step(this.#peek())
    }
  }

  #heredoc(word: string): void {
    const end = new RegExp(`^[ \\t]*${word}[ \\t\\r]*$`, 'm')
    const match = end.exec(this.#text.slice(this.#at))
    this.#at = match === null ? this.#text.length : this.#at + match.index + match[0].length
  }

  /** A quoted text with its templates; gives what is between the quotes. */
  #quoted(): string {
    const start = ++this.#at
    while (!this.#isAtEnd()) {
      const next = this.#peek()
      if (next === '\n') break
      if (this.#takes('"')) return this.#text.slice(start, this.#at - 1)
      if (next === '\\' || this.#isAhead('$${') || this.#isAhead('%%{')) this.#at += 2
      else if (this.#isAhead('${') || this.#isAhead('%{')) this.#template()
      else this.#at++
    }
    return this.#text.slice(start, this.#at)
  }

  #template(): void {
    this.#at++
    this.#step('{')
  }

  #isAtEnd(): boolean {
    return this.#at >= this.#text.length
  }

  #peek(): string {
    return this.#text.charAt(this.#at)
  }

  #isAhead(text: string): boolean {
    return this.#text.startsWith(text, this.#at)
  }

  #takes(char: string): boolean {
    if (this.#peek() !== char) return false
    this.#at++
    return true
  }

  #take(pattern: RegExp): string | undefined {
    return this.#match(pattern)?.[0]
  }

  #match(pattern: RegExp): RegExpExecArray | undefined {
    pattern.lastIndex = this.#at
    const match = pattern.exec(this.#text)
    if (match === null) return undefined
    this.#at = pattern.lastIndex
    return match
  }
}
