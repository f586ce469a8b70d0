/**
 * What was thrown, as data that crosses from a thread: name, message, stack, causes, and the own data of an error, such
 * as the `status` and `headers` by which a provider's answer is recognised. Errors of Lane and errors with advice become
 * what they were. Neither way throws, whatever the value is.
 */
import { ERROR_CODES, LaneError, type LaneErrorCode, RetryAfterError, UnrecoverableError } from '../core/index.js'

const ERROR = Symbol.for('@a3s-lab/lane.error')
const ADVICE = Symbol.for('@a3s-lab/lane.advice')

/** Chains of causes longer than this are loops or noise. */
const DEPTH = 8
/** Own properties and parts that are kept: no honest error has more. */
const MOST = 100

export type ThrownForm =
  | { readonly is: 'value'; readonly value: unknown }
  | {
      readonly is: 'error'
      readonly name: string
      readonly message: string
      readonly stack: string | undefined
      /** Of Lane's own errors, or with advice. */
      readonly brand: 'lane' | 'unrecoverable' | 'retry-after' | undefined
      /** Own data, cloned. */
      readonly fields: Readonly<Record<string, unknown>>
      /** Own properties that are errors themselves: `cause`, `lastError`. */
      readonly errors: Readonly<Record<string, ThrownForm>>
      /** Those of an AggregateError. */
      readonly parts: readonly ThrownForm[] | undefined
    }

/** Anything thrown as data that can surely be cloned. */
export function thrownForm(thrown: unknown, depth = 0): ThrownForm {
  if (typeof thrown !== 'object' || thrown === null) return primitiveForm(thrown)
  try {
    return isError(thrown) ? errorForm(thrown, depth) : { is: 'value', value: structuredClone(thrown) }
  } catch {
    // A plain object that cannot be cloned whole is told by what can be read of it.
    return errorForm(thrown, depth)
  }
}

function primitiveForm(thrown: unknown): ThrownForm {
  if (typeof thrown !== 'function' && typeof thrown !== 'symbol') return { is: 'value', value: thrown }
  return errorForm(new Error(`A ${typeof thrown} was thrown`), DEPTH)
}

const OWN = new Set(['name', 'message', 'stack', 'errors'])
const HEADERS = new Set(['headers', 'responseHeaders'])

function errorForm(error: object, depth: number): ThrownForm {
  const fields: Record<string, unknown> = {}
  const errors: Record<string, ThrownForm> = {}
  for (const key of ownKeys(error)) {
    if (OWN.has(key)) continue
    const value = read(error, key)
    if (key === 'cause' || isError(value)) {
      if (depth < DEPTH) errors[key] = thrownForm(value, depth + 1)
    } else keep(fields, key, value)
  }
  const parts = read(error, 'errors')
  return {
    is: 'error',
    name: text(read(error, 'name')) ?? 'Error',
    message: text(read(error, 'message')) ?? 'An error that cannot be shown',
    stack: text(read(error, 'stack')),
    brand: brandOf(error),
    fields,
    errors,
    parts: depth < DEPTH && Array.isArray(parts) ? partsForm(parts, depth) : undefined,
  }
}

const partsForm = (parts: unknown[], depth: number): ThrownForm[] =>
  parts.slice(0, MOST).map((part) => thrownForm(part, depth + 1))

/** Keeps what can be cloned; what cannot is left behind. */
function keep(fields: Record<string, unknown>, key: string, value: unknown): void {
  if (typeof value === 'function' || typeof value === 'symbol') return
  if (typeof value !== 'object' || value === null) {
    fields[key] = value
    return
  }
  const headers = HEADERS.has(key) ? pairsOf(value) : undefined
  const cloned = headers ?? clone(value) ?? (key === 'response' ? responseOf(value) : undefined)
  if (cloned !== undefined) fields[key] = cloned
}

/** What tells when to come back, of a `Response` that has no other form. */
function responseOf(value: object): object {
  const response: Record<string, unknown> = {}
  for (const key of ['status', 'statusCode', 'headers']) keep(response, key, read(value, key))
  return response
}

/** A `Headers` or a Map as pairs of text; undefined for anything else. */
function pairsOf(value: object): string[][] | undefined {
  try {
    const entries = [...(value as Iterable<unknown[]>)].slice(0, MOST)
    return entries.map((pair) => pair.map(String))
  } catch {
    return undefined
  }
}

function clone(value: object): object | undefined {
  try {
    return structuredClone(value)
  } catch {
    return undefined
  }
}

/** `cause` is an own property that is not enumerable. */
function ownKeys(error: object): string[] {
  try {
    return [...new Set([...Object.keys(error), ...(Object.hasOwn(error, 'cause') ? ['cause'] : [])])].slice(0, MOST)
  } catch {
    return []
  }
}

function brandOf(error: object): 'lane' | 'unrecoverable' | 'retry-after' | undefined {
  if (read(error, ERROR) === true) return 'lane'
  const advice = read(error, ADVICE)
  return advice === 'unrecoverable' || advice === 'retry-after' ? advice : undefined
}

/** What a form was made of, or its likeness. */
export function thrownValue(form: ThrownForm): unknown {
  if (form.is === 'value') return form.value
  const { name, message, stack, fields } = form
  const error = bareError(form)
  Object.assign(error, fields)
  for (const [key, cause] of Object.entries(form.errors)) define(error, key, thrownValue(cause))
  if (form.parts !== undefined) define(error, 'errors', form.parts.map(thrownValue))
  if (error.name !== name) define(error, 'name', name)
  define(error, 'message', message)
  define(error, 'stack', stack)
  return error
}

const BUILT_IN = { EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError }

function bareError({ brand, name, message, fields }: Extract<ThrownForm, { is: 'error' }>): Error {
  const { code, delayMs, scope } = fields as { code?: LaneErrorCode; delayMs?: number; scope?: 'command' | 'lane' }
  if (brand === 'lane' && code !== undefined && Object.hasOwn(ERROR_CODES, code)) return new LaneError(code, message)
  if (brand === 'unrecoverable') return new UnrecoverableError(message)
  if (brand === 'retry-after' && typeof delayMs === 'number' && delayMs >= 0 && delayMs < Number.POSITIVE_INFINITY) {
    return new RetryAfterError(delayMs, { scope: scope === 'lane' ? 'lane' : 'command', message })
  }
  if (name === 'AggregateError') return new AggregateError([], message)
  const Class = Object.hasOwn(BUILT_IN, name) ? BUILT_IN[name as keyof typeof BUILT_IN] : Error
  return new Class(message)
}

/** An own property as errors have theirs: not enumerable. */
function define(error: Error, key: string, value: unknown): void {
  Object.defineProperty(error, key, { value, configurable: true, writable: true, enumerable: false })
}

const text = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined)

/** Whether it is an error, of whatever realm; false for what cannot be looked at. */
function isError(value: unknown): value is Error {
  try {
    return value instanceof Error
  } catch {
    return false
  }
}

function read(value: object, key: PropertyKey): unknown {
  try {
    return (value as Record<PropertyKey, unknown>)[key]
  } catch {
    return undefined
  }
}
