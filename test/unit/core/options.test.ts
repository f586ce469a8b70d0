import { expect, test } from 'vitest'
import {
  checkBoolean,
  checkInteger,
  checkLimit,
  checkMs,
  checkObject,
  checkOneOf,
  checkText,
  nearest,
  refuseUnknown,
} from '../../../src/core/options.js'

test.each<[string, () => void]>([
  ['known keys', () => refuseUnknown('x', { a: 1 }, ['a', 'b'])],
  ['an object', () => checkObject('x', {})],
  ['an integer in its range', () => checkInteger('x', 5, 0, 5)],
  ['a limit', () => checkLimit('x', 1, 1)],
  ['no limit', () => checkLimit('x', Number.POSITIVE_INFINITY, 1)],
  ['no time', () => checkMs('x', 0, 0)],
  ['some time', () => checkMs('x', 0.5, 'above 0')],
  ['a boolean', () => checkBoolean('x', false)],
  ['a text', () => checkText('x', 'a')],
  ['one of several', () => checkOneOf('x', 'a', ['a', 'b'])],
])('%s passes', (_what, check) => {
  expect(check).not.toThrow()
})

test.each<[() => void, string]>([
  [
    () => refuseUnknown('lane', { prioriti: 1 }, ['priority']),
    "lane has no option 'prioriti'; did you mean 'priority'?",
  ],
  [() => refuseUnknown('lane', { zzzz: 1 }, ['priority']), "lane has no option 'zzzz'"],
  [() => checkObject('x', []), 'x must be an object, got []'],
  [() => checkInteger('x', 1.5, 1), 'x must be an integer of at least 1, got 1.5'],
  [() => checkInteger('x', 6, 0, 5), 'x must be an integer from 0 to 5, got 6'],
  [() => checkInteger('x', '1', 0), 'x must be an integer of at least 0, got "1"'],
  [
    () => checkLimit('x', Number.NEGATIVE_INFINITY, 1),
    'x must be an integer of at least 1, or Infinity, got -Infinity',
  ],
  [() => checkMs('x', Number.NaN, 0), 'x must be a number of milliseconds, 0 or more, got NaN'],
  [() => checkMs('x', 0, 'above 0'), 'x must be a number of milliseconds, above 0, got 0'],
  [() => checkBoolean('x', 0), 'x must be true or false, got 0'],
  [() => checkText('x', ''), 'x must be a string that is not empty, got ""'],
  [() => checkOneOf('x', 'c', ['a', 'b']), "x must be one of 'a', 'b', got \"c\""],
])('what does not pass is named: %#', (check, message) => {
  expect(check).toThrow(`Configuration error: ${message}`)
})

test.each([
  ['timeout', 'timeoutMs'],
  ['TIMEOUTMS', 'timeoutMs'],
  ['retries', 'retry'],
  ['maxConcurency', 'maxConcurrency'],
  ['x', undefined],
])('the nearest option to %s is %s', (key, expected) => {
  expect(nearest(key, ['timeoutMs', 'retry', 'maxConcurrency'])).toBe(expected)
})
