/**
 * Texts in columns are UTF-8, which has no form for half of a surrogate pair: a text with one is kept as JSON behind a
 * NUL. So is one that begins with a NUL itself. All others stand as they are.
 */

const MARK = '\u0000'

export function toColumn(text: string): string {
  if (!text.startsWith(MARK) && isWellFormed(text)) return text
  return MARK + JSON.stringify(text)
}

export const optionalToColumn = (text: string | null): string | null => (text === null ? null : toColumn(text))

export function fromColumn(stored: string): string {
  return stored.startsWith(MARK) ? (JSON.parse(stored.slice(1)) as string) : stored
}

export const optionalFromColumn = (stored: string | null): string | null =>
  stored === null ? null : fromColumn(stored)

export const isWellFormed = (text: string): boolean => (text as string & { isWellFormed(): boolean }).isWellFormed()
