/** What the agent does next in each lane. Endless where the folder gives enough; nothing here does any work itself. */
import type { BuiltInLaneId, SubmitOptions } from '@a3s-lab/lane'
import { checkFiles, countLines, find, gitLog, indexWords, note, noteId, write } from './commands.js'
import type { Source } from './feeder.js'
import type { Known, Memory } from './memory.js'
import type { Directory } from './tree.js'

/** Something to do: the id says what it is, so that it is done once, whichever process it was submitted by. */
type Work = { readonly id: string; readonly label: string } & Omit<SubmitOptions, 'id'>

/** Whatever can be submitted: the agent only passes it on. */
export type Submit = (laneId: BuiltInLaneId, command: { type: string }, work: Work) => void

/** Files that one process is given. */
const SOME = 24

/** Shortest and longest generation, in tokens; between them it depends on how much there is to say. */
const TOKENS = { min: 40, max: 160, perLine: 0.1 }

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
      const label = `find ${words.join(' ')} in ${directory.name}`
      this.#submit('query', find({ words, directory }), { id: questionId(directory, words), label })
      return true
    }
    return false
  }

  /** Notes what was found. */
  readonly session: Source = () => {
    for (let text = this.#next(); text !== undefined; text = this.#next()) {
      const id = noteId(text)
      if (this.#isOld(id)) continue
      this.#submit('session', note({ text }), { id, label: `note ${text}` })
      return true
    }
    return false
  }

  /** Puts every directory through four commands, then starts again: files change while an agent works. */
  readonly skill: Source = () => {
    const directories = this.#memory.tree?.directories ?? []
    while (directories.length > 0) {
      const step = this.#step++
      const at = Math.floor(step / 4) % directories.length
      const round = Math.floor(step / 4 / directories.length)
      const directory = directories[at] as Directory
      const [word, command] = this.#skillOf(step % 4, directory)
      const id = `${word}/${round}/${keyOf(directory)}`
      if (command === undefined || this.#isOld(id)) continue
      this.#submit('skill', command, { id, label: `${word} ${directory.name}` })
      return true
    }
    return false
  }

  /** Writes about every directory that was read, and about each again. */
  readonly prompt: Source = () => {
    for (let one = this.#unwritten(); one !== undefined; one = this.#unwritten()) {
      const { name } = one.digest
      const round = this.#drafts.get(keyOf(one.directory))
      const id = `write/${round}/${keyOf(one.directory)}`
      if (this.#isOld(id)) continue
      const tokens = Math.round(Math.min(TOKENS.max, TOKENS.min + linesIn(one) * TOKENS.perLine))
      this.#submit('prompt', write({ directory: name, tokens }), { id, label: `write about ${name}` })
      return true
    }
    return false
  }

  /** Whether an earlier process has submitted it: then it is done, or waits already. */
  #isOld(id: string): boolean {
    return this.#memory.earlier.has(id)
  }

  #next(): string | undefined {
    return this.#memory.findings.shift()
  }

  #skillOf(step: number, { name, files }: Directory): readonly [string, { readonly type: string } | undefined] {
    const some = { files: files.slice(0, SOME) }
    if (step === 0) return ['index', indexWords(some)]
    if (step === 1) return ['count lines of', countLines(some)]
    if (step === 2) return ['check', checkFiles(some)]
    return ['git log', this.#memory.hasGit ? gitLog({ root: this.#root, path: name }) : undefined]
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
    const questions = this.#questions.get(key) ?? singlesAndPairs(digest.words)
    this.#questions.set(key, questions)
    let next = questions.next()
    while (next.done !== true && this.#isOld(questionId(directory, next.value))) next = questions.next()
    return next.done === true ? undefined : next.value
  }
}

/** A large directory counts as several of one name: the first file tells them apart. */
export const keyOf = ({ name, files }: Directory): string => `${name} ${files[0]?.name}`

const questionId = (directory: Directory, words: readonly string[]): string =>
  `find/${words.join('+')}/${keyOf(directory)}`

const linesIn = ({ digest }: Known): number => digest.files.reduce((sum, { lines }) => sum + lines, 0)

function* singlesAndPairs(words: readonly string[]): Generator<readonly string[]> {
  for (const word of words) yield [word]
  for (const [index, word] of words.entries()) for (const other of words.slice(index + 1)) yield [word, other]
}
