/** Errors of a configuration text with the file, the line and the column; and without anything that may be a secret. */
import { LaneError } from '../core/index.js'
import { lineAndColumn } from './config-outline.js'

/** `CONFIG_INVALID` at a place of a text: the message begins with the place and ends with the line. */
export function locatedAt(
  source: { readonly name: string; readonly text: string },
  at: number,
  message: string,
  fields: Readonly<Record<string, unknown>> = {},
): LaneError {
  const place = lineAndColumn(source.text, at)
  return faultAt(source, place, message, fields)
}

/** The same for a place that is known by line and column, both from 1. */
export function faultAt(
  { name, text }: { readonly name: string; readonly text: string },
  { line, column }: { readonly line: number; readonly column: number },
  message: string,
  fields: Readonly<Record<string, unknown>> = {},
): LaneError {
  const shown = shownLine(text.split('\n')[line - 1] ?? '')
  const quoted = shown === undefined ? '' : `\n  ${line} | ${shown}`
  return new LaneError('CONFIG_INVALID', `Configuration error: ${name}:${line}:${column}: ${message}${quoted}`, {
    fields: { ...fields, file: name, line, column },
  })
}

const SECRET_KEY = /key|token|secret|password|passwd|credential|auth|header|url|uri/i

/** Whether a value under this key may be a secret, or hold one: an address may have a password in it. */
export const mayBeSecret = (key: string): boolean => SECRET_KEY.test(key)

/** A line as it may stand in a message: keys and braces; texts, and whatever follows a key that may be a secret, are left out. */
function shownLine(line: string): string | undefined {
  const [, beginning, value] = /^(\s*"?[\w-]+"?\s*[=:])(.*)$/.exec(line.trimEnd()) ?? []
  if (beginning !== undefined) return `${beginning}${mayBeSecret(beginning) ? ' …' : withoutTexts(value as string)}`
  return /[{}]/.test(line) ? withoutTexts(line.trimEnd()) : undefined
}

/** A quoted text that has no end on its line is left out to the end of the line. */
const withoutTexts = (code: string): string => code.replace(/"(?:[^"\\]|\\.)*(?:"|$)/g, '"…"').slice(0, 120)
