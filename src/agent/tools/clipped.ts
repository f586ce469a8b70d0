/** Text that is shortened, and never in the middle of a character that takes two places. */

const isHighSurrogate = (code: number): boolean => code >= 0xd8_00 && code <= 0xdb_ff

/** The first `chars` characters, one less where the last would be half of one. */
export function headOf(text: string, chars: number): string {
  if (text.length <= chars) return text
  return text.slice(0, chars > 0 && isHighSurrogate(text.charCodeAt(chars - 1)) ? chars - 1 : chars)
}

/** The last `chars` characters, one less where the first would be half of one. */
export function tailOf(text: string, chars: number): string {
  if (text.length <= chars) return text
  const from = text.length - chars
  return text.slice(from > 0 && isHighSurrogate(text.charCodeAt(from - 1)) ? from + 1 : from)
}

/** One line for the model, with a note where it was too long. */
export function shownLine(line: string, chars: number): string {
  return line.length <= chars ? line : `${headOf(line, chars)}… (the line goes on)`
}
