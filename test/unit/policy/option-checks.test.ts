import { isLaneError } from '@a3s-lab/lane'
import { expect, test } from 'vitest'
import { checkCount, checkDuration, checkFields } from '../../../src/policy/option-checks.js'

test.each([undefined, null, 5, 'text', [1]])('%j is no object of options', (value) => {
  expect(() => checkFields('breaker', value, ['minimum'])).toThrow(
    /^Configuration error: breaker must be an object, got /u,
  )
})

test('an option that is not known is refused with those that are', () => {
  const check = (): void => checkFields('breaker', { minimum: 1, openMS: 5 }, ['minimum', 'openMs'])
  expect(check).toThrow("Configuration error: breaker has no option 'openMS'; its options are 'minimum', 'openMs'")
  expect(check).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID', option: 'openMS' }))
})

test('known options pass', () => {
  expect(() => checkFields('breaker', { minimum: 1 }, ['minimum', 'openMs'])).not.toThrow()
  expect(() => checkFields('breaker', {}, [])).not.toThrow()
})

test.each([0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53, '1', undefined, null])(
  '%j is no count',
  (value) => {
    expect(() => checkCount('minimum', value)).toThrow(
      'Configuration error: minimum must be an integer of at least 1, got ',
    )
  },
)

test.each([0, -1, Number.NaN, Number.POSITIVE_INFINITY, '1', undefined, null])('%j is no duration', (value) => {
  expect(() => checkDuration('openMs', value)).toThrow(
    'Configuration error: openMs must be a number of milliseconds, above 0, got ',
  )
})

test('what is refused is a LaneError', () => {
  let error: unknown
  try {
    checkDuration('openMs', 0)
  } catch (caught) {
    error = caught
  }
  expect(isLaneError(error)).toBe(true)
  expect(() => checkDuration('openMs', 0.5)).not.toThrow()
  expect(() => checkCount('minimum', 1)).not.toThrow()
})
