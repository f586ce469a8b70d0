/** Colours, and text that fits: how many cells of a terminal a text takes, and how it is cut to that many. */

const CODES = {
  bold: [1, 22],
  dim: [2, 22],
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
  blue: [94, 39],
  magenta: [35, 39],
  cyan: [36, 39],
  white: [37, 39],
} as const

export type Colour = keyof typeof CODES

/** Colours a text, or leaves it alone where colours are not wanted. */
export type Paint = (colour: Colour, text: string) => string

export const painter = (hasColours: boolean): Paint =>
  hasColours
    ? (colour, text) => `\u001b[${CODES[colour][0]}m${text}\u001b[${CODES[colour][1]}m`
    : (_colour, text) => text

export const LANE_COLOURS: Readonly<Record<string, Colour>> = {
  system: 'white',
  control: 'magenta',
  query: 'cyan',
  session: 'blue',
  skill: 'yellow',
  prompt: 'green',
}

/** Wide characters of East Asian scripts and pictures take two cells, marks on the letter before them none. */
const WIDE =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|[\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]/u
const NONE = /\p{M}|\p{Cf}/u

const cellsOf = (character: string): number => {
  if (character < '\u0300') return 1
  if (NONE.test(character)) return 0
  return WIDE.test(character) ? 2 : 1
}

export const width = (text: string): number => Array.from(text).reduce((sum, character) => sum + cellsOf(character), 0)

/** The beginning of a text, with an ellipsis when it was longer. */
export function head(text: string, cells: number): string {
  if (width(text) <= cells) return text
  let taken = ''
  let left = cells - 1
  for (const character of text) {
    left -= cellsOf(character)
    if (left < 0) break
    taken += character
  }
  return cells < 1 ? '' : `${taken}…`
}

/** The end of a text, as of somebody who is still speaking. */
export function tail(text: string, cells: number): string {
  const characters = Array.from(text)
  let left = cells
  let from = characters.length
  while (from > 0) {
    left -= cellsOf(characters[from - 1] as string)
    if (left < 0) break
    from--
  }
  return characters.slice(from).join('')
}

export const padEnd = (text: string, cells: number): string => text + ' '.repeat(Math.max(0, cells - width(text)))

export const padStart = (text: string, cells: number): string => ' '.repeat(Math.max(0, cells - width(text))) + text

/** A duration in milliseconds with the unit that reads best. */
export function duration(ms: number): string {
  if (ms < 0.0995) return `${Math.max(1, Math.round(ms * 1000))} µs`
  if (ms < 9.95) return `${ms.toFixed(ms < 0.995 ? 2 : 1)} ms`
  return ms < 999.5 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(ms < 9950 ? 2 : 1)} s`
}

export const number = (n: number): string => n.toLocaleString('en-US')
