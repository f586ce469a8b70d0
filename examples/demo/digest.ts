/** What is in a text: lines, notes left in it, imports, the longest line, words. Pure. */

export type FileDigest = {
  readonly name: string
  readonly bytes: number
  readonly lines: number
  /** Lines with TODO, FIXME, XXX or HACK. */
  readonly todos: number
  /** Lines that bring in another module. */
  readonly imports: number
  readonly longest: LongestLine
  readonly words: ReadonlyMap<string, number>
  /** The beginning of the text, for the model to learn from. */
  readonly sample: string
}

export type LongestLine = { readonly place: string; readonly columns: number }

export type DirectoryDigest = {
  readonly name: string
  readonly files: readonly FileDigest[]
  readonly words: ReadonlyMap<string, number>
}

const SAMPLE = 8 * 1024
const TODO = /\b(?:TODO|FIXME|XXX|HACK)\b/
const IMPORT = /^\s*(?:import\b|from\s+\S+\s+import\b|#include\b|use\s+\w|export\b.*\bfrom\s|require\b)|\brequire\(/
const WORD = /[\p{L}_$][\p{L}\p{N}_$]{2,39}/gu

export function digest(name: string, text: string): FileDigest {
  let lines = 0
  let todos = 0
  let imports = 0
  let longest = { place: name, columns: 0 }
  for (const line of linesOf(text)) {
    lines++
    // patterns look at the start of a line only: a minified file has lines of any length
    const start = line.length > 400 ? line.slice(0, 400) : line
    if (TODO.test(start)) todos++
    if (IMPORT.test(start)) imports++
    if (line.length > longest.columns) longest = { place: `${name}:${lines}`, columns: line.length }
  }
  const words = new Map<string, number>()
  for (const [word] of text.matchAll(WORD)) words.set(word, (words.get(word) ?? 0) + 1)
  return { name, bytes: Buffer.byteLength(text), lines, todos, imports, longest, words, sample: text.slice(0, SAMPLE) }
}

/** The lines of a text; a line break at its end starts no further one. */
export function linesOf(text: string): string[] {
  const lines = text.split('\n')
  if (lines.at(-1) === '') lines.pop()
  return lines
}

/** The words of several digests together. */
export function sumWords(digests: readonly { readonly words: ReadonlyMap<string, number> }[]): Map<string, number> {
  const words = new Map<string, number>()
  for (const one of digests) {
    for (const [word, times] of one.words) words.set(word, (words.get(word) ?? 0) + times)
  }
  return words
}
