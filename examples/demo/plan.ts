/** What the agent does next in each lane. Endless where the folder gives enough; nothing here does any work itself. */
import type { BuiltInLaneId, SubmitOptions } from '@a3s-lab/lane'
import { checkFiles, countLines, find, gitLog, indexWords, note, write } from './commands.js'
import type { Source } from './feeder.js'
import type { Known, Memory } from './memory.js'
import type { Directory } from './tree.js'

/** Whatever can be submitted: the agent only passes it on. */
export type Submit = (laneId: BuiltInLaneId, command: { type: string }, label: string, options?: SubmitOptions) => void

/** Files that one process is given. */
const SOME = 24

/** Shortest and longest generation, in tokens; between them it depends on how much there is to say. */
const TOKENS = { min: 40, max: 160, perLine: 0.1 }

/** Words that are looked for: those that stand in the folder most often. */
const WORDS = 400

export class Plan {
  readonly #memory: Memory
  readonly #root: string
  readonly #submit: Submit
  readonly #questions = new Map<string, Iterator<readonly string[]>>()
  readonly #drafts = new Map<string, number>()
  #turn = 0
  #step = 0

  constructor(memory: Memory, root: string, submit: Submit) {
    this.#memory = memory
    this.#root = root
    this.#submit = submit
  }

  /** Looks for the words of a directory in it, then for pairs of them. Directories take turns. */
  readonly query: Source = () => {
    const { known } = this.#memory
    const last = this.#turn + known.length
    while (this.#turn < last) {
      const one = known[this.#turn++ % known.length] as Known
      const words = this.#question(one)
      if (words === undefined) continue
      const { directory } = one
      this.#submit('query', find({ words, directory }), `find ${words.join(' ')} in ${directory.name}`)
      return true
    }
    return false
  }

  /** Notes what was found. */
  readonly session: Source = () => {
    const text = this.#memory.findings.shift()
    if (text === undefined) return false
    this.#submit('session', note({ text }), `note ${text}`)
    return true
  }

  /** Puts every directory through four commands, then starts again: files change while an agent works. */
  readonly skill: Source = () => {
    const directories = this.#memory.tree?.directories ?? []
    const step = this.#step++
    const directory = directories[Math.floor(step / 4) % Math.max(1, directories.length)]
    if (directory === undefined) return false
    const files = directory.files.slice(0, SOME)
    const { name } = directory
    if (step % 4 === 0) this.#submit('skill', indexWords({ files }), `index ${name}`)
    else if (step % 4 === 1) this.#submit('skill', countLines({ files }), `count lines of ${name}`)
    else if (step % 4 === 2) this.#submit('skill', checkFiles({ files }), `check ${name}`)
    else if (this.#memory.hasGit) this.#submit('skill', gitLog({ root: this.#root, path: name }), `git log ${name}`)
    return true
  }

  /** Writes about every directory that was read, and about each again. */
  readonly prompt: Source = () => {
    const one = this.#unwritten()
    if (one === undefined) return false
    const { name } = one.digest
    const lines = linesIn(one)
    const tokens = Math.round(Math.min(TOKENS.max, TOKENS.min + lines * TOKENS.perLine))
    this.#submit('prompt', write({ directory: name, tokens }), `write about ${name}`)
    return true
  }

  /** Of the directories written about least, the one with most to say; none twice while others are still to be read. */
  #unwritten(): Known | undefined {
    const draftsOf = ({ directory }: Known): number => this.#drafts.get(keyOf(directory)) ?? 0
    let best: Known | undefined
    for (const one of this.#memory.known) {
      const isBetter = best === undefined || draftsOf(one) < draftsOf(best)
      if (isBetter || (best !== undefined && draftsOf(one) === draftsOf(best) && linesIn(one) > linesIn(best)))
        best = one
    }
    if (best === undefined || (this.#memory.unread > 0 && draftsOf(best) > 0)) return undefined
    this.#drafts.set(keyOf(best.directory), draftsOf(best) + 1)
    return best
  }

  /** What to look for next in a directory; undefined when everything was looked for. */
  #question({ digest, directory }: Known): readonly string[] | undefined {
    const key = keyOf(directory)
    let questions = this.#questions.get(key)
    if (questions === undefined) {
      const words = [...digest.words].sort(([, a], [, b]) => b - a)
      questions = singlesAndPairs(words.slice(0, WORDS).map(([word]) => word))
      this.#questions.set(key, questions)
    }
    const next = questions.next()
    return next.done === true ? undefined : next.value
  }
}

/** A large directory counts as several of one name: the first file tells them apart. */
const keyOf = ({ name, files }: Directory): string => `${name} ${files[0]?.name}`

const linesIn = ({ digest }: Known): number => digest.files.reduce((sum, { lines }) => sum + lines, 0)

function* singlesAndPairs(words: readonly string[]): Generator<readonly string[]> {
  for (const word of words) yield [word]
  for (const [index, word] of words.entries()) for (const other of words.slice(index + 1)) yield [word, other]
}
