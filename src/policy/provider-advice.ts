/**
 * What a provider says about when to call again, read from whatever a client library throws. Shapes are recognised by
 * their structure alone, so no library is imported: a fetch `Response`, the errors of OpenAI and Anthropic (`status`,
 * `headers`), the AI SDK's APICallError (`statusCode`, `responseHeaders`) and RetryError (`lastError`), Octokit, axios and
 * got (`response`).
 *
 * A body may throw anything, so every read is guarded: a getter or proxy that throws is a value that is not there.
 */
import { isLaneError } from '../core/errors.js'
import { decimalOf, waitOf } from './provider-time.js'

/** Too Many Requests; Service Unavailable. Others may carry Retry-After too (a redirect does), but ask for no pause. */
const PAUSES: readonly unknown[] = [429, 503]

/** How many wrappers are looked into: longer chains are loops or noise. */
const DEPTH = 5

/** A year. Nobody means more, and a lane that one wrong header closes for ever is worse than one failed command. */
const LONGEST_MS = 366 * 24 * 3_600_000

/**
 * Milliseconds until the provider wants the next call; undefined when the error is no such answer or says nothing readable.
 * Causes are looked into, but not those of a `LaneError`: they were judged in the lane where they happened.
 */
export function retryAfterOf(error: unknown, wallNow: number): number | undefined {
  let layer: readonly unknown[] = [error]
  for (let depth = 0; depth <= DEPTH; depth++) {
    for (const value of layer) {
      const wait = adviceIn(value, wallNow)
      if (wait !== undefined) return wait
    }
    const wrappers = layer.filter((value) => !isLaneError(value))
    layer = wrappers.flatMap((value) => [read(value, 'cause'), read(value, 'lastError')]).filter(isObject)
  }
  return undefined
}

function adviceIn(value: unknown, wallNow: number): number | undefined {
  const response = read(value, 'response')
  const status = [value, response].flatMap((one) => [read(one, 'status'), read(one, 'statusCode')])
  if (!PAUSES.includes(status.find((one) => typeof one === 'number'))) return undefined
  for (const headers of [read(value, 'headers'), read(value, 'responseHeaders'), read(response, 'headers')]) {
    const wait = isObject(headers) ? waitIn(headersOf(headers), wallNow) : undefined
    if (wait !== undefined) return wait
  }
  return undefined
}

/** Header values by name in lower case. */
type Headers = ReadonlyMap<string, readonly string[]>

/** The clearest statement counts: milliseconds, then Retry-After (RFC 9110, 10.2.3), then when the limits are reset. */
function waitIn(headers: Headers, wallNow: number): number | undefined {
  for (const name of IN_MILLISECONDS) {
    const ms = longest(headers.get(name), decimalOf)
    if (ms !== undefined) return ms
  }
  return longest(headers.get('retry-after'), (text) => waitOf(text, wallNow)) ?? untilReset(headers, wallNow)
}

const IN_MILLISECONDS = ['retry-after-ms', 'x-ms-retry-after-ms']

/** `x-ratelimit-reset`, `x-ratelimit-reset-tokens`, `anthropic-ratelimit-requests-reset`, `ratelimit-reset`. */
const RESET = /^(?:x-|anthropic-)?ratelimit-(?:[a-z-]+-)?reset(?:-[a-z-]+)?$/

/** When the last of the exhausted limits is reset. Where nothing is said about what remains, all of them may be. */
function untilReset(headers: Headers, wallNow: number): number | undefined {
  const resets = [...headers.keys()].filter((name) => RESET.test(name))
  const remaining = (name: string): readonly string[] | undefined => headers.get(name.replace('reset', 'remaining'))
  const judged = resets.filter((name) => remaining(name) !== undefined)
  const exhausted = judged.filter((name) => remaining(name)?.some((text) => decimalOf(text) === 0))
  const texts = (judged.length === 0 ? resets : exhausted).flatMap((name) => headers.get(name) as string[])
  return longest(texts, (text) => waitOf(text, wallNow))
}

function longest(
  texts: readonly string[] | undefined,
  parse: (text: string) => number | undefined,
): number | undefined {
  const waits = (texts ?? []).map(parse).filter((wait) => wait !== undefined && wait <= LONGEST_MS)
  return waits.length === 0 ? undefined : Math.max(...(waits as number[]))
}

/** No answer has more headers; a hostile one may have no end of them. */
const MOST_HEADERS = 500

/** Asked for by name where headers can only be asked, not listed. */
const WELL_KNOWN = [
  ...IN_MILLISECONDS,
  'retry-after',
  ...['', '-requests', '-tokens'].flatMap((what) => [`x-ratelimit-reset${what}`, `x-ratelimit-remaining${what}`]),
  ...['requests', 'tokens', 'input-tokens', 'output-tokens'].flatMap((what) => [
    `anthropic-ratelimit-${what}-reset`,
    `anthropic-ratelimit-${what}-remaining`,
  ]),
]

/** `Headers`, a Map, pairs in an array, a plain record in any case; values are texts, numbers or arrays of them. */
function headersOf(headers: object): Headers {
  const found = new Map<string, readonly string[]>()
  const add = (name: unknown, value: unknown): void => {
    const texts = (isArray(value) ? items(value) : [value]).flatMap(textOf)
    if (typeof name === 'string' && texts.length > 0) found.set(name.toLowerCase(), texts)
  }
  for (const name of WELL_KNOWN)
    add(
      name,
      attempt(() => (headers as ReadonlyMap<string, unknown>).get(name)),
    )
  for (const pair of items(headers)) add(read(pair, '0'), read(pair, '1'))
  const names = isArray(headers) ? [] : (attempt(() => Object.keys(headers)) ?? [])
  for (const name of names.slice(0, MOST_HEADERS)) add(name, read(headers, name))
  return found
}

/** The first items of something that can be iterated; empty for anything else. */
function items(value: unknown): unknown[] {
  const found: unknown[] = []
  attempt(() => {
    for (const item of value as Iterable<unknown>) if (found.push(item) === MOST_HEADERS) break
  })
  return found
}

const textOf = (value: unknown): string[] =>
  typeof value === 'string' || typeof value === 'number' ? [String(value).trim()] : []

const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null
const isArray = (value: unknown): boolean => attempt(() => Array.isArray(value)) === true
const read = (value: unknown, key: string): unknown =>
  isObject(value) ? attempt(() => (value as Record<string, unknown>)[key]) : undefined

/** What a body threw may be made to throw again when it is looked at. */
function attempt<T>(look: () => T): T | undefined {
  try {
    return look()
  } catch {
    return undefined
  }
}
