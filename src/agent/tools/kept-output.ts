/** Output of any length: its beginning and its end are kept, and how much was between. */
import { headOf, tailOf } from './clipped.js'

export class KeptOutput {
  readonly #headChars: number
  readonly #tailChars: number
  #head = ''
  readonly #tail: string[] = []
  #tailLength = 0
  /** Of all text. */
  length = 0

  constructor(chars: number) {
    this.#headChars = Math.ceil(chars / 2)
    this.#tailChars = Math.floor(chars / 2)
  }

  add(text: string): void {
    this.length += text.length
    const room = this.#headChars - this.#head.length
    // once a character was too large for the rest of the head, nothing more goes there
    const first = this.#tailLength === 0 ? headOf(text, room) : ''
    this.#head += first
    const rest = text.slice(first.length)
    if (rest === '') return
    this.#tail.push(rest)
    this.#tailLength += rest.length
    while (this.#tailLength - (this.#tail[0]?.length ?? 0) >= this.#tailChars && this.#tail.length > 1) {
      this.#tailLength -= (this.#tail.shift() as string).length
    }
  }

  /** How many characters are not in the text. */
  get leftOut(): number {
    return this.length - this.#head.length - this.#end().length
  }

  text(): string {
    const { leftOut } = this
    const between = leftOut === 0 ? '' : `\n(${leftOut} characters are left out here)\n`
    return `${this.#head}${between}${this.#end()}`
  }

  #end(): string {
    return tailOf(this.#tail.join(''), this.#tailChars)
  }
}
