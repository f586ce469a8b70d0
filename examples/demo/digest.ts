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
  readonly isBinary: boolean
}

export type LongestLine = { readonly place: string; readonly columns: number }

/** What is known of a directory, as plain data: it is stored as the result of its survey. */
export type DirectoryDigest = {
  readonly name: string
  readonly files: readonly Pick<FileDigest, 'name' | 'bytes' | 'lines' | 'todos' | 'imports'>[]
  /** Files that turned out to be binary. */
  readonly binary: number
  readonly longest: LongestLine | null
  /** The words that stand in it most often, first the most frequent. */
  readonly words: readonly string[]
  readonly samples: readonly string[]
}

const SAMPLE = 4 * 1024
/** Words and samples of a directory that are kept. */
const WORDS = 400
const SAMPLES = 12
const TODO = /\b(?:TODO|FIXME|XXX|HACK)\b/
const IMPORT = /^\s*(?:import\b|from\s+\S+\s+import\b|#include\b|use\s+\w|export\b.*\bfrom\s|require\b)|\brequire\(/
const WORD = /[\p{L}_$][\p{L}\p{N}_$]{2,39}/gu

export function digest(name: string, text: string): Omit<FileDigest, 'isBinary'> {
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

/** The files of a directory together. Those without a line in them say nothing. */
export function together(name: string, all: readonly FileDigest[], binary: number): DirectoryDigest {
  const counts = new Map<string, number>()
  let longest: LongestLine | null = null
  for (const file of all) {
    for (const [word, times] of file.words) counts.set(word, (counts.get(word) ?? 0) + times)
    if (file.longest.columns > (longest?.columns ?? 0)) longest = file.longest
  }
  const words = [...counts].sort(([, a], [, b]) => b - a).slice(0, WORDS)
  return {
    name,
    files: all.map(({ name: file, bytes, lines, todos, imports }) => ({ name: file, bytes, lines, todos, imports })),
    binary,
    longest,
    words: words.map(([word]) => word),
    samples: all.slice(0, SAMPLES).map(({ sample }) => sample),
  }
}
