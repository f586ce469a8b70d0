/**
 * Searches files line by line. The expression is RE2's: its time grows with the text and not with its cunning, so no
 * pattern can hold the process; and between pieces of work everything else has its turn.
 */
import type * as Re2 from 're2js'
import { requirePeer } from '../../peer/index.js'
import { shownLine } from './clipped.js'
import { openRegular } from './folder.js'
import { nameText } from './path-text.js'
import { Pauses } from './pauses.js'
import { isBinary, readWhole } from './text-file.js'
import { SUBPATH } from './tool.js'
import { codeOf, ToolError } from './tool-error.js'
import type { Workspace } from './workspace.js'

/** Files that are read at the same time. */
const READ_AT_ONCE = 16
/** Of a longer line only so much is searched. */
const SEARCHED_CHARS = 100_000

export type Expression = { test(text: string): boolean }

/** The expression, or a `ToolError` that says what is wrong with it. */
export function searchedFor(pattern: string, ignoresCase: boolean): Expression {
  const { RE2JS } = requirePeer<typeof Re2>('re2js', SUBPATH)
  try {
    return RE2JS.compile(pattern, ignoresCase ? RE2JS.CASE_INSENSITIVE : 0)
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    throw new ToolError(`The pattern is not an RE2 regular expression: ${why}`, { cause: error })
  }
}

export type GrepWanted = {
  readonly expression: Expression
  readonly context: number
  readonly matches: number
  readonly lineChars: number
  readonly fileBytes: number
}

type Read = { readonly path: string; readonly bytes: Buffer | 'too big' | 'gone' }

export class Grep {
  readonly #workspace: Workspace
  readonly #wanted: GrepWanted
  readonly #signal: AbortSignal
  readonly #pauses: Pauses
  readonly #lines: string[] = []
  #matches = 0
  #searched = 0
  #matchingFiles = 0
  #binary = 0
  #tooBig = 0
  /** Whether there were more matches than wanted. */
  isFull = false

  constructor(workspace: Workspace, wanted: GrepWanted, signal: AbortSignal) {
    this.#workspace = workspace
    this.#wanted = wanted
    this.#signal = signal
    this.#pauses = new Pauses(signal)
  }

  get counts(): Record<string, number> {
    return {
      matches: this.#matches,
      files: this.#matchingFiles,
      searched: this.#searched,
      skipped_binary: this.#binary,
      skipped_big: this.#tooBig,
    }
  }

  /** Searches files in order, until there are enough matches. */
  async search(paths: readonly string[]): Promise<void> {
    for (let from = 0; from < paths.length && !this.isFull; from += READ_AT_ONCE) {
      const some = await Promise.all(paths.slice(from, from + READ_AT_ONCE).map((path) => this.#read(path)))
      for (const { path, bytes } of some) {
        if (bytes === 'too big') this.#tooBig++
        else if (bytes !== 'gone') await this.#file(path, bytes)
      }
    }
  }

  /** The matches and what was left out. */
  report(): string[] {
    const notes = [
      ...(this.isFull ? [`(more matches are not shown: the first ${this.#wanted.matches} are)`] : []),
      ...(this.#binary > 0 ? [`(${this.#binary} binary files were skipped)`] : []),
      ...(this.#tooBig > 0 ? [`(${this.#tooBig} files were skipped: more than ${this.#wanted.fileBytes} bytes)`] : []),
    ]
    const found = this.#lines.length === 0 ? [`(no match in ${this.#searched} files)`] : this.#lines
    return [...found, ...notes]
  }

  async #read(path: string): Promise<Read> {
    this.#signal.throwIfAborted()
    try {
      const handle = await openRegular(this.#workspace.real(path.split('/')))
      try {
        return { path, bytes: await this.#bytesOf(handle) }
      } finally {
        await handle.close()
      }
    } catch (error) {
      // deleted, replaced or made unreadable since it was found
      if (error instanceof ToolError || codeOf(error) !== undefined) return { path, bytes: 'gone' }
      throw error
    }
  }

  async #bytesOf(handle: Awaited<ReturnType<typeof openRegular>>): Promise<Buffer | 'too big'> {
    const { size } = await handle.stat()
    return size > this.#wanted.fileBytes ? 'too big' : readWhole(handle, this.#wanted.fileBytes, this.#signal)
  }

  async #file(path: string, bytes: Buffer): Promise<void> {
    if (isBinary(bytes)) {
      this.#binary++
      return
    }
    this.#searched++
    const lines = bytes.toString().split(/\r?\n/)
    // what follows the last line feed is no line
    if (lines.at(-1) === '') lines.pop()
    const found = await this.#matchesOf(lines)
    if (found.length === 0) return
    this.#matches += found.length
    this.#matchingFiles++
    this.#show(nameText(path), lines, found)
  }

  async #matchesOf(lines: readonly string[]): Promise<number[]> {
    const { expression, matches } = this.#wanted
    const found: number[] = []
    for (const [index, line] of lines.entries()) {
      if (this.#pauses.isDue) await this.#pauses.take()
      if (!expression.test(line.length > SEARCHED_CHARS ? line.slice(0, SEARCHED_CHARS) : line)) continue
      this.isFull = this.#matches + found.length >= matches
      if (this.isFull) break
      found.push(index)
    }
    return found
  }

  #show(path: string, lines: readonly string[], found: readonly number[]): void {
    const { context, lineChars } = this.#wanted
    const matching = new Set(found)
    // before the first line, so that a file begins apart from the one before
    let shownTo = -2
    for (const index of found) {
      const from = Math.max(index - context, shownTo + 1, 0)
      const to = Math.min(index + context, lines.length - 1)
      if (context > 0 && this.#lines.length > 0 && from > shownTo + 1) this.#lines.push('--')
      for (let at = from; at <= to; at++) {
        const mark = matching.has(at) ? ':' : '-'
        this.#lines.push(`${path}${mark}${at + 1}${mark}${shownLine(lines[at] as string, lineChars)}`)
      }
      shownTo = Math.max(shownTo, to)
    }
  }
}
