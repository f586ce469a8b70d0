/**
 * Patterns that a model writes. They become regular expressions of the kind that goes back and forth, so what could take
 * for ever is refused: a pattern is short, has few stars in one name, and stands for few others. Nor does one lead out of the
 * folder that it is looked for in.
 */
import { nameText } from './path-text.js'
import { ToolError } from './tool-error.js'

const LONGEST = 500
const MOST_STARS_IN_A_NAME = 4
const MOST_GLOBSTARS = 4
const MOST_ALTERNATIVES = 200

/** Refuses a pattern by its name in the arguments. */
export function checkPattern(argument: string, pattern: string): void {
  const objection = objectionTo(pattern)
  if (objection !== undefined) throw new ToolError(`${argument} ${objection}: ${nameText(pattern.slice(0, LONGEST))}`)
}

function objectionTo(pattern: string): string | undefined {
  if (pattern.trim() === '') return 'is empty'
  if (pattern.length > LONGEST) return `is longer than ${LONGEST} characters`
  if (pattern.includes('\0')) return 'holds a NUL character'
  if (pattern.includes('..')) return "holds '..', and patterns do not leave the folder that they are looked for in"
  if (pattern.startsWith('/') || /^[a-z]:/i.test(pattern)) return 'is absolute: write it from the folder on'
  if (pattern.startsWith('!')) return "begins with '!': say what is wanted"
  if (pattern.includes('\\')) return "holds a backslash: write paths with '/'"
  if (alternativesOf(pattern) > MOST_ALTERNATIVES) return `stands for more than ${MOST_ALTERNATIVES} patterns`
  return starsOf(pattern)
}

/** No braced alternative has more stars than all of the pattern between two slashes, so that is what is counted. */
function starsOf(pattern: string): string | undefined {
  const names = pattern.split('/')
  const globstars = names.filter((name) => name === '**').length
  if (globstars > MOST_GLOBSTARS) return `has more than ${MOST_GLOBSTARS} '**'`
  const isTooMany = names.some((name) => name !== '**' && (name.match(/\*/g)?.length ?? 0) > MOST_STARS_IN_A_NAME)
  return isTooMany ? `has more than ${MOST_STARS_IN_A_NAME} '*' in one name` : undefined
}

/** At most how many patterns its braces stand for: each pair multiplies. */
function alternativesOf(pattern: string): number {
  const open: number[] = []
  let product = 1
  for (const char of pattern) {
    if (char === '{') open.push(1)
    else if (char === ',' && open.length > 0) open.push((open.pop() as number) + 1)
    else if (char === '}') product *= open.pop() ?? 1
  }
  return open.reduce((all, one) => all * one, product)
}
