/** Errors, as spans tell them. */
import type { Attributes, Exception } from '@opentelemetry/api'
import { ERROR_TYPE } from './names.js'

/** The value that the conventions name for an error without a class. */
const OTHER = '_OTHER'

/** A code says more than a class: it is the error's `code` when that is text, or else the name of its class. */
function errorType(error: unknown): string {
  if (typeof error !== 'object' || error === null) return OTHER
  const { code, name } = error as { code?: unknown; name?: unknown }
  if (typeof code === 'string' && code !== '') return code
  const className: unknown = (error as { constructor?: { name?: unknown } }).constructor?.name
  // A subclass may have set its name and not its class's, or the other way round: 'Error' says least.
  const named = [name, className].find((text) => typeof text === 'string' && text !== '' && text !== 'Error')
  if (typeof named === 'string' && named !== 'Object') return named
  return error instanceof Error ? 'Error' : OTHER
}

/** What a failed span says of the error: its type, a sentence, and the exception itself. */
export function describeFailure(error: unknown): {
  readonly attributes: Attributes
  readonly message: string
  readonly exception: Exception
} {
  const attributes = { [ERROR_TYPE]: errorType(error) }
  if (error instanceof Error) return { attributes, message: error.message, exception: error }
  const message = typeof error === 'string' ? error : 'The handler threw something that is no error'
  return { attributes, message, exception: { name: OTHER, message } }
}
