/**
 * The stand-in for a language model: it has read one directory, and goes on from any two tokens with one that followed
 * them there. No network, no key, and it sounds surprisingly like the code it has read.
 */
const TOKEN = /[^\s\p{C}]{1,40}/gu
/** The frame of a comment says nothing. */
const FRAME = /^(?:\/?\*+\/?|\/\/+|#+|-{3,}|`{3}\w*)$/

export class Markov {
  readonly #next = new Map<string, string[]>()
  readonly #starts: (readonly [string, string])[] = []

  constructor(texts: readonly string[]) {
    for (const text of texts) this.#read(tokensOf(text))
  }

  /** So many tokens, each with a space before it. */
  *speak(tokens: number): Generator<string> {
    let [before, last] = this.#start()
    for (let spoken = 0; spoken < tokens; spoken++) {
      const next = pick(this.#next.get(`${before} ${last}`) ?? [])
      if (next === undefined) [before, last] = this.#start()
      else [before, last] = [last, next]
      yield ` ${last}`
    }
  }

  #read(tokens: readonly string[]): void {
    for (let at = 2; at < tokens.length; at++) {
      const [before, last, next] = tokens.slice(at - 2, at + 1) as [string, string, string]
      const key = `${before} ${last}`
      const followers = this.#next.get(key)
      if (followers === undefined) this.#next.set(key, [next])
      else followers.push(next)
      if (before.endsWith('.') || at === 2) this.#starts.push([before, last])
    }
  }

  #start(): readonly [string, string] {
    return pick(this.#starts) ?? ['', '']
  }
}

const tokensOf = (text: string): string[] =>
  [...text.matchAll(TOKEN)].map(([token]) => token).filter((token) => !FRAME.test(token))

const pick = <T>(list: readonly T[]): T | undefined => list[Math.floor(Math.random() * list.length)]
