/** How the messages of a session's configuration are put. */
import { configInvalid } from '../core/index.js'

/** The value, which must be there. */
export function required<T>(option: string, value: T | undefined, expected: string): T {
  if (value === undefined) throw configInvalid(option, expected, value)
  return value
}

export const capitalised = (word: string): string => `${word.charAt(0).toUpperCase()}${word.slice(1)}`
export const quoted = (words: readonly string[]): string => words.map((word) => `'${word}'`).join(', ')
