/** What a change of a file looks like: a unified diff, within a time and a size. */
import type * as Diff from 'diff'
import { requirePeer } from '../../peer/index.js'
import { headOf } from './clipped.js'
import { SUBPATH } from './tool.js'

/** Two texts with little in common take long to compare, and nobody reads the result. */
const LONGEST_MS = 200
const CONTEXT_LINES = 3

export type FileDiff = {
  /** Unified; says so where it was cut or could not be made. */
  readonly text: string
  readonly added: number
  readonly removed: number
}

/** Undefined when nothing changed. */
export function fileDiff(path: string, before: string, after: string, chars: number): FileDiff | undefined {
  if (before === after) return undefined
  const { structuredPatch, formatPatch } = requirePeer<typeof Diff>('diff', SUBPATH)
  const patch = structuredPatch(`a/${path}`, `b/${path}`, before, after, undefined, undefined, {
    context: CONTEXT_LINES,
    timeout: LONGEST_MS,
  })
  if (patch === undefined) return { text: '(too much has changed to show it)', ...countsOf(before, after) }
  const lines = patch.hunks.flatMap((hunk) => hunk.lines)
  const text = formatPatch(patch).replace(/^=+\n/, '')
  return {
    text: text.length <= chars ? text : `${headOf(text, chars)}\n(the rest of the difference is left out)`,
    added: lines.filter((line) => line.startsWith('+')).length,
    removed: lines.filter((line) => line.startsWith('-')).length,
  }
}

const countsOf = (before: string, after: string): { added: number; removed: number } => ({
  added: after.split('\n').length,
  removed: before.split('\n').length,
})
