import {
  ERROR_CODES,
  isLaneError,
  LaneError,
  type LaneErrorCode,
  RetryAfterError,
  UnrecoverableError,
} from '@a3s-lab/lane'
import { expect, test } from 'vitest'
import { configInvalid, errorRecord, errorText, formatDuration, invariant, show } from '../../../src/core/errors.js'

test.each(Object.keys(ERROR_CODES) as LaneErrorCode[])('an error of the code %s carries what it says', (code) => {
  const cause = new Error('underneath')
  const error = new LaneError(code, 'what happened', { cause, fields: { laneId: 'x', limit: 5 } })
  expect(error).toBeInstanceOf(Error)
  expect(error).toMatchObject({
    name: 'LaneError',
    message: 'what happened',
    code,
    retryable: ERROR_CODES[code].retryable,
    laneId: 'x',
    limit: 5,
  })
  expect(error.cause).toBe(cause)
  expect(ERROR_CODES[code].meaning).toMatch(/\.$/)
})

test('only what may succeed when it is made again is retryable', () => {
  const retryable = Object.entries(ERROR_CODES).filter(([, code]) => code.retryable)
  expect(retryable.map(([code]) => code)).toEqual([
    'QUEUE_FULL',
    'DRAIN_TIMEOUT',
    'STORAGE_FAILED',
    'STORAGE_LOCKED',
    'ENGINE_UNAVAILABLE',
  ])
})

test('an error without a cause has none', () => {
  expect('cause' in new LaneError('CONFLICT', 'x')).toBe(false)
  expect('cause' in new LaneError('CONFLICT', 'x', { cause: undefined })).toBe(true)
})

test('errors of ours are recognised across copies of the package, and nothing else is', () => {
  const foreign = Object.assign(new Error('x'), { [Symbol.for('@a3s-lab/lane.error')]: true })
  expect([isLaneError(new LaneError('CONFLICT', 'x')), isLaneError(foreign)]).toEqual([true, true])
  const throwing = new Proxy(
    {},
    {
      get() {
        throw new Error('trap')
      },
    },
  )
  for (const value of [new Error('x'), {}, null, undefined, 'x', () => {}, throwing]) {
    expect(isLaneError(value)).toBe(false)
  }
  expect(Object.keys(new LaneError('CONFLICT', 'x'))).not.toContain('Symbol(@a3s-lab/lane.error)')
})

test('errors for handlers have names of their own', () => {
  expect(new UnrecoverableError('x')).toMatchObject({ name: 'UnrecoverableError', message: 'x' })
  expect(new RetryAfterError(1500)).toMatchObject({
    name: 'RetryAfterError',
    message: 'Retry after 1.5s',
    delayMs: 1500,
    scope: 'command',
  })
  expect(new RetryAfterError(1, { message: 'busy', cause: 'c' })).toMatchObject({ message: 'busy', cause: 'c' })
})

test('an error becomes plain data with its fields, stack and causes', () => {
  const inner = new TypeError('inner')
  const error = new LaneError('QUEUE_FULL', 'outer', { cause: inner, fields: { laneId: 'a' } })
  const record = error.toJSON()
  expect(record).toEqual({
    name: 'LaneError',
    message: 'outer',
    code: 'QUEUE_FULL',
    retryable: true,
    fields: { laneId: 'a' },
    stack: error.stack,
    cause: { name: 'TypeError', message: 'inner', stack: inner.stack },
  })
  expect(JSON.parse(JSON.stringify(error))).toEqual(record)
  expect(errorRecord('text')).toEqual({ name: 'Error', message: 'text' })
  expect(errorRecord(Object.assign(new Error('sys'), { code: 'ENOENT' }))).toMatchObject({ code: 'ENOENT' })
  expect(new LaneError('CONFLICT', 'x').toJSON()).not.toHaveProperty('fields')
})

test('a chain of causes ends, also one that is a loop', () => {
  const loop = new Error('loop')
  loop.cause = loop
  let depth = 0
  for (let record = errorRecord(loop).cause; record !== undefined; record = record.cause) depth++
  expect(depth).toBe(8)
})

test.each([
  [0, '0ms'],
  [50, '50ms'],
  [999, '999ms'],
  [1000, '1s'],
  [1500, '1.5s'],
  [30_000, '30s'],
  [0.25, '250µs'],
  [12.5, '12.5ms'],
])('a duration of %d ms reads %s', (ms, text) => {
  expect(formatDuration(ms)).toBe(text)
})

test.each<[string, unknown, string]>([
  ['a text', 'x', '"x"'],
  ['a long text', 'x'.repeat(200), `"${'x'.repeat(76)}...`],
  ['a function', () => 1, 'a function'],
  ['a symbol', Symbol('s'), 'Symbol(s)'],
  ['null', null, 'null'],
  ['a BigInt', 5n, '5'],
  ['an object', { a: 1 }, '{"a":1}'],
  ['an object whose JSON is nothing', { toJSON: () => undefined }, '[object Object]'],
  ['an object with a BigInt', { a: 1n }, 'a value that cannot be shown'],
])('%s is shown short and safe', (_what, value, text) => {
  expect(show(value)).toBe(text)
})

test('the text of an error is its message, and anything has one', () => {
  expect([errorText(new Error('x')), errorText('y'), errorText(7), errorText({ message: 5 })]).toEqual([
    'x',
    'y',
    '7',
    '[object Object]',
  ])
})

test('a bad option is named with what was expected and what came', () => {
  expect(configInvalid('max', 'a number', 'x')).toMatchObject({
    code: 'CONFIG_INVALID',
    message: 'Configuration error: max must be a number, got "x"',
    option: 'max',
    expected: 'a number',
  })
})

test('an invariant that does not hold is thrown', () => {
  expect(() => invariant(true, 'x')).not.toThrow()
  expect(() => invariant(false, 'two finals')).toThrow('Lane invariant broken: two finals')
})
