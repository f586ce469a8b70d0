/**
 * The code blocks of a Markdown file, as the documentation promises them:
 *
 *     ```ts                       runs as a module of its own, and its types are checked
 *     ```ts no-run <reason>       only its types are checked; without a reason it is an error
 *     ```text output              the console output of the block before it; … stands for any text within a line
 *
 * Other languages pass through. JavaScript does not: a block that nobody runs is a block that rots.
 */

export type Block = {
  readonly file: string
  /** Line of the opening fence, from 1: the block's name is file:line. */
  readonly line: number
  readonly code: string
  readonly run: boolean
  readonly output: string | undefined
}

export type Extraction = { readonly blocks: readonly Block[]; readonly problems: readonly string[] }

type Fence = { readonly line: number; readonly info: string; readonly text: string }

const opening = /^(\s*)(`{3,}|~{3,})\s*(.*?)\s*$/
const unrunLanguages = new Set(['typescript', 'mts', 'js', 'mjs', 'javascript'])

export function extractBlocks(file: string, markdown: string): Extraction {
  const blocks: Block[] = []
  const problems: string[] = []
  let previous: Block | undefined
  for (const fence of fences(markdown)) {
    const at = `${file}:${fence.line}`
    const [language = '', ...words] = fence.info.split(/\s+/)
    if (fence.info === 'text output') {
      if (previous?.run) blocks[blocks.length - 1] = { ...previous, output: fence.text }
      else problems.push(`${at} output of what? The block before it is no \`\`\`ts block that runs`)
    }
    previous = undefined
    if (unrunLanguages.has(language)) problems.push(`${at} \`\`\`${language} would not be run: write \`\`\`ts`)
    if (language !== 'ts') continue
    const objection = infoObjection(words)
    if (objection) problems.push(`${at} ${objection}`)
    previous = { file, line: fence.line, code: fence.text, run: words.length === 0, output: undefined }
    blocks.push(previous)
  }
  return { blocks, problems }
}

function infoObjection(words: readonly string[]): string | undefined {
  if (words.length === 0) return undefined
  if (words[0] !== 'no-run') return `\`\`\`ts ${words.join(' ')}: only 'no-run <reason>' may follow`
  return words.length === 1 ? '```ts no-run: say why it cannot run' : undefined
}

/** Fenced blocks in order. A fence inside a list is indented, and its text with it. */
function fences(markdown: string): Fence[] {
  const lines = markdown.split('\n')
  const found: Fence[] = []
  for (let index = 0; index < lines.length; index++) {
    const start = opening.exec(lines[index] ?? '')
    if (!start) continue
    const [, indent = '', marks = '', info = ''] = start
    const end = lines.findIndex((line, at) => at > index && closes(line, marks))
    const last = end < 0 ? lines.length : end
    const text = lines
      .slice(index + 1, last)
      .map((line) => (line.startsWith(indent) ? line.slice(indent.length) : line))
    found.push({ line: index + 1, info, text: text.join('\n') })
    index = last
  }
  return found
}

function closes(line: string, marks: string): boolean {
  const trimmed = line.trim()
  return (
    trimmed.length >= marks.length && trimmed === trimmed.charAt(0).repeat(trimmed.length) && trimmed.startsWith(marks)
  )
}

/** Whether the console output is what the documentation shows. */
export function matchesOutput(shown: string, printed: string): boolean {
  const pattern = shown
    .trimEnd()
    .split('…')
    .map((text) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
    .join('.*')
  return new RegExp(`^${pattern}$`).test(printed.trimEnd())
}
