import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { LaneError } from '../../../src/core/errors.js'
import { retryAfterOf } from '../../../src/policy/provider-advice.js'
import { NOW, recorded } from './provider-headers.js'

type Record_ = Readonly<Record<string, string>>

const upper = (headers: Record_): Record_ =>
  Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toUpperCase(), value]))

/** Headers that can only be asked for by name. */
const askable = (headers: Record_): object => {
  const lower = new Headers(headers)
  return { get: (name: string): string | null => lower.get(name) }
}

/** The errors of client libraries, from an answer. */
const shapes: readonly (readonly [string, (status: number, headers: Record_) => unknown])[] = [
  ['a fetch Response that was thrown', (status, headers) => new Response('{}', { status, headers })],
  ["OpenAI's and Anthropic's APIError", (status, headers) => error({ status, headers: new Headers(headers) })],
  ['their older ones, with a plain record', (status, headers) => error({ status, headers })],
  ["the AI SDK's APICallError", (statusCode, responseHeaders) => error({ statusCode, responseHeaders })],
  [
    "the AI SDK's RetryError",
    (statusCode, responseHeaders) => {
      const lastError = error({ statusCode, responseHeaders })
      return error({ reason: 'maxRetriesExceeded', errors: [error({}), lastError], lastError })
    },
  ],
  ["Octokit's RequestError", (status, headers) => error({ status, response: { status, headers, url: '', data: {} } })],
  ["axios' error", (status, headers) => error({ response: { status, headers: new Headers(headers) } })],
  ["got's HTTPError", (statusCode, headers) => error({ response: { statusCode, headers } })],
  ['a cause', (status, headers) => new Error('failed', { cause: error({ status, headers }) })],
  [
    'a cause of a cause, with an error of another status around it',
    (status, headers) => error({ status: 500, cause: error({ cause: new Response('', { status, headers }) }) }),
  ],
  ['a Map', (status, headers) => ({ status, headers: new Map(Object.entries(headers)) })],
  ['a Map in any case', (status, headers) => ({ status, headers: new Map(Object.entries(upper(headers))) })],
  ['a record in any case', (status, headers) => ({ status, headers: upper(headers) })],
  ['pairs in an array', (status, headers) => ({ status, headers: Object.entries(headers) })],
  [
    'values in arrays',
    (status, headers) => ({ status, headers: Object.fromEntries(Object.entries(headers).map(([k, v]) => [k, [v]])) }),
  ],
]

function error(fields: object): Error {
  return Object.assign(new Error('429'), fields)
}

describe.each(recorded)('$from', ({ status, headers, waitMs }) => {
  test.each(shapes)('as %s', (_shape, make) => {
    expect(retryAfterOf(make(status, headers), NOW)).toBe(waitMs)
  })

  test('under any other status it is an ordinary failure', () => {
    for (const other of [200, 301, 400, 401, 403, 404, 408, 500, 502, 504, 529])
      expect(retryAfterOf({ status: other, headers }, NOW)).toBeUndefined()
  })
})

test('headers that cannot be listed are asked for by their usual names', () => {
  const asked = (headers: Record_): unknown => retryAfterOf({ status: 429, headers: askable(headers) }, NOW)
  expect(asked({ 'retry-after-ms': '5' })).toBe(5)
  expect(asked({ 'Retry-After': '5' })).toBe(5000)
  expect(asked({ 'x-ratelimit-reset-tokens': '1s', 'x-ratelimit-remaining-tokens': '0' })).toBe(1000)
  expect(asked({ 'anthropic-ratelimit-input-tokens-reset': '2026-03-29T18:00:01Z' })).toBe(1000)
  expect(asked({ 'content-type': 'text/plain' })).toBeUndefined()
})

describe('Retry-After', () => {
  const after = (value: unknown): number | undefined =>
    retryAfterOf({ status: 429, headers: { 'retry-after': value } }, NOW)

  test.each<[unknown, number | undefined]>([
    ['0', 0],
    ['1.5', 1500],
    [' 20 ', 20_000],
    [20, 20_000],
    [['3', '7'], 7000],
    ['Sun, 29 Mar 2026 18:00:37 GMT', 37_000],
    ['sun, 29 mar 2026 18:00:37 gmt', 37_000],
    ['Sunday, 29-Mar-26 18:00:37 GMT', 37_000],
    ['Sun Mar 29 18:00:37 2026', 37_000],
    ['Wed Apr  1 18:00:00 2026', 3 * 86_400_000],
    ['Sunday, 06-Nov-94 08:49:37 GMT', 0],
    ['Monday, 29-Mar-75 18:00:00 GMT', undefined],
    ['Thursday, 29-Mar-99 18:00:00 GMT', 0],
    ['2026-03-29T18:00:37Z', 37_000],
    ['2026-03-29T20:00:37.25+02:00', 37_250],
    ['2026-03-29t18:00:37z', 37_000],
    ['1m30.5s', 90_500],
    ['1h2m3s4ms', 3_723_004],
    ['500us', 0.5],
    ['500µs', 0.5],
    ['500000ns', 0.5],
    ['1d', 86_400_000],
    [String(NOW / 1000 + 5), 5000],
    [String(NOW + 5), 5],
    [String(NOW - 5), 0],
    ['31622400', 366 * 86_400_000],
    ['31622401', undefined],
    ['9'.repeat(20), undefined],
    ['9'.repeat(400), undefined],
    ['Sun, 29 Foo 2026 18:00:37 GMT', undefined],
    ['Sun, 29 Mar 2026 25:00:37 GMT', undefined],
    ['2026-13-29T18:00:37Z', undefined],
    ['2026-03-29', undefined],
    ['-5', undefined],
    ['1e3', undefined],
    ['Infinity', undefined],
    ['0x10', undefined],
    ['5 minutes', undefined],
    ['soon 5', undefined],
    ['1x', undefined],
    ['1.s', undefined],
    ['', undefined],
    [Number.NaN, undefined],
    [null, undefined],
    [{}, undefined],
    [[], undefined],
    [[null, 'soon'], undefined],
  ])('%j is %j ms', (value, waitMs) => {
    expect(after(value)).toBe(waitMs)
  })

  test('what cannot be read gives way to what can', () => {
    const headers = { 'retry-after-ms': 'soon', 'retry-after': '', 'x-ratelimit-reset': '3' }
    expect(retryAfterOf({ status: 429, headers }, NOW)).toBe(3000)
    expect(retryAfterOf({ status: 429, headers: {}, responseHeaders: { 'retry-after': '4' } }, NOW)).toBe(4000)
    const wrapped = { status: 429, headers, cause: { status: 503, headers: { 'retry-after': '9' } } }
    expect(retryAfterOf({ ...wrapped, headers: {} }, NOW)).toBe(9000)
  })

  test('a whole number of milliseconds is not taken for an instant', () => {
    expect(retryAfterOf({ status: 429, headers: { 'retry-after-ms': '2000000000' } }, NOW)).toBe(2_000_000_000)
  })
})

describe('limits that are reset:', () => {
  const reset = (headers: Record_): number | undefined => retryAfterOf({ status: 429, headers }, NOW)

  test('all of them count when nothing is said about what remains', () => {
    expect(reset({ 'x-ratelimit-reset-requests': '1s', 'x-ratelimit-reset-tokens': '20ms' })).toBe(1000)
  })

  test('those of which nothing is said do not count beside those of which it is', () => {
    const headers = { 'x-ratelimit-reset-requests': '1s', 'x-ratelimit-reset-tokens': '6m0s' }
    expect(reset({ ...headers, 'x-ratelimit-remaining-requests': '0' })).toBe(1000)
    expect(reset({ ...headers, 'x-ratelimit-remaining-requests': '0.0' })).toBe(1000)
    expect(reset({ ...headers, 'x-ratelimit-remaining-requests': '1' })).toBeUndefined()
  })

  test('similar names are others', () => {
    expect(reset({ 'x-ratelimit-resets': '1s', 'my-ratelimit-reset': '1s', 'x-ratelimit-preset-reset-': '1s' })).toBe(
      undefined,
    )
  })
})

describe('errors that are no such answer:', () => {
  const thrower = (): never => {
    throw new Error('do not touch')
  }
  const hostile = new Proxy({}, { get: thrower, ownKeys: thrower, has: thrower, getPrototypeOf: thrower })
  const revoked = Proxy.revocable([], {})
  revoked.revoke()
  const endless = {
    *[Symbol.iterator]() {
      for (;;) yield ['x', 'y']
    },
  }
  const looped: { status: number; cause?: unknown; lastError?: unknown } = { status: 429 }
  looped.cause = looped
  looped.lastError = looped
  const headers = { 'retry-after': '1' }
  const deep = Array.from({ length: 6 }).reduce<unknown>((cause) => ({ cause }), { status: 429, headers })

  test.each<[string, unknown]>([
    ['nothing', undefined],
    ['null', null],
    ['a text', '429'],
    ['a number', 429],
    ['an error', new Error('429')],
    ['a status in words', { status: '429', headers }],
    ['a symbol', Symbol('429')],
    ['no headers', { status: 429 }],
    ['headers in a text', { status: 429, headers: 'retry-after: 1' }],
    ['a status of its own beside that of its response', { status: 400, response: { status: 429, headers } }],
    ['an object that must not be touched', hostile],
    ['one whose headers must not be touched', { status: 429, headers: hostile }],
    ['one whose headers are revoked', { status: 429, headers: revoked.proxy }],
    ['one whose value is revoked', { status: 429, headers: { 'retry-after': revoked.proxy } }],
    ['one whose headers never end', { status: 429, headers: endless }],
    ['one whose value never ends', { status: 429, headers: { 'retry-after': ['x', 'y'], more: endless } }],
    ['one that is its own cause', looped],
    ['one under more wrappers than anybody has', deep],
    ['an error of ours: its cause was judged where it happened', ours()],
  ])('%s', (_what, value) => {
    expect(retryAfterOf(value, NOW)).toBeUndefined()
  })

  function ours(): LaneError {
    return new LaneError('COMMAND_FAILED', '429', { cause: { status: 429, headers: { 'retry-after': '1' } } })
  }

  test('a hostile part does not hide the rest', () => {
    const mixed = {
      status: 429,
      headers,
      get responseHeaders(): never {
        return thrower()
      },
    }
    Object.defineProperty(mixed, 'response', { get: thrower })
    expect(retryAfterOf(mixed, NOW)).toBe(1000)
    const record = Object.defineProperty({ 'retry-after': '2' }, 'x-other', { get: thrower, enumerable: true })
    expect(retryAfterOf({ status: 429, headers: record }, NOW)).toBe(2000)
  })

  test('nothing that is thrown makes it throw, and an answer is never negative', () => {
    const value = fc.oneof(fc.string(), fc.double(), fc.date().map(String), fc.anything())
    const names = fc.constantFrom('retry-after', 'retry-after-ms', 'x-ratelimit-reset', 'x-ratelimit-remaining', 'x')
    fc.assert(
      fc.property(
        fc.oneof(fc.anything(), fc.record({ status: fc.constant(429), headers: fc.dictionary(names, value) })),
        (thrown) => {
          const wait = retryAfterOf(thrown, NOW) ?? 0
          expect(wait).toBeGreaterThanOrEqual(0)
          expect(Number.isFinite(wait)).toBe(true)
        },
      ),
    )
  })
})
