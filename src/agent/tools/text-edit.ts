/** Replaces a piece of text that must be there exactly, and says what is wrong when it is not. Pure. */
import { headOf } from './clipped.js'
import type { FileText } from './text-file.js'
import { ToolError } from './tool-error.js'

export type Edit = { readonly old: string; readonly new: string; readonly isAll: boolean }
export type Edited = { readonly text: string; readonly count: number }

/** Lines that are compared with the one that was not found. */
const COMPARED_LINES = 20_000
const SHOWN_PLACES = 5
const SHOWN_CHARS = 120

/** The text after the edit. A piece written with bare line feeds fits a file with Windows line ends. */
export function edited(file: FileText, edit: Edit): Edited {
  const { old, new: replacement } = edit
  const direct = found(file.text, old)
  if (direct.length > 0) return replaced(file.text, { ...edit, new: likeOld(old, replacement) }, direct)
  const windowsOld = withWindowsEnds(old)
  const places = file.lineEnd === '\r\n' ? found(file.text, windowsOld) : []
  if (places.length === 0) throw new ToolError(notFound(file.text, old))
  return replaced(file.text, { ...edit, old: windowsOld, new: withWindowsEnds(replacement) }, places)

  /** Lines that are added within one line of such a file end as the others do. */
  function likeOld(piece: string, text: string): string {
    return file.lineEnd === '\r\n' && !piece.includes('\n') ? withWindowsEnds(text) : text
  }
}

const withWindowsEnds = (text: string): string => text.replace(/\r?\n/g, '\r\n')

/** Where the piece begins, each time; not within itself. */
function found(text: string, piece: string): number[] {
  const places: number[] = []
  for (let at = text.indexOf(piece); at >= 0; at = text.indexOf(piece, at + piece.length)) places.push(at)
  return places
}

function replaced(text: string, { old, new: replacement, isAll }: Edit, places: readonly number[]): Edited {
  if (places.length > 1 && !isAll) throw new ToolError(foundOften(text, places))
  return { text: text.split(old).join(replacement), count: places.length }
}

function foundOften(text: string, places: readonly number[]): string {
  const lines = places.slice(0, SHOWN_PLACES).map((at) => lineNumber(text, at))
  const more = places.length > SHOWN_PLACES ? ' …' : ''
  return `old_string is there ${places.length} times (lines ${lines.join(', ')}${more}): give more of the text around it, or set replace_all`
}

const lineNumber = (text: string, at: number): number => text.slice(0, at).split('\n').length

function notFound(text: string, old: string): string {
  const lines = text.split('\n', COMPARED_LINES)
  const wanted = old.split('\n').find((line) => line.trim() !== '') ?? old
  const squeezed = squeeze(wanted)
  const same = lines.findIndex((line) => squeeze(line) === squeezed)
  if (same >= 0) {
    const why = old.includes('\n') ? 'what follows it differs, or its whitespace' : 'its whitespace differs'
    return `old_string is not in the file. Line ${same + 1} is like its first line, but ${why}: ${shown(lines[same] as string)}`
  }
  const near = nearestLine(lines, squeezed)
  const hint = near === undefined ? '' : ` The nearest line is ${near + 1}: ${shown(lines[near] as string)}`
  return `old_string is not in the file.${hint}`
}

const squeeze = (line: string): string => line.trim().replace(/\s+/g, ' ')
const shown = (line: string): string => JSON.stringify(headOf(line, SHOWN_CHARS))

/** The line that shares most pairs of characters, if it shares half of them. */
function nearestLine(lines: readonly string[], wanted: string): number | undefined {
  const pairs = pairsOf(wanted)
  let best: number | undefined
  let bestShare = 0.5
  lines.forEach((line, index) => {
    const share = shareOf(pairs, pairsOf(squeeze(line)))
    if (share > bestShare) [best, bestShare] = [index, share]
  })
  return best
}

function pairsOf(line: string): Set<string> {
  const pairs = new Set<string>()
  const end = Math.min(line.length, SHOWN_CHARS) - 1
  for (let at = 0; at < end; at++) pairs.add(line.slice(at, at + 2))
  return pairs
}

function shareOf(one: ReadonlySet<string>, other: ReadonlySet<string>): number {
  if (one.size === 0 || other.size === 0) return 0
  let both = 0
  for (const pair of one) if (other.has(pair)) both++
  return (2 * both) / (one.size + other.size)
}
