import { systemRandom } from '@a3s-lab/lane'
import { expect, test } from 'vitest'
import { randomText } from '../../../src/core/random.js'
import { seededRandom } from '../../../src/testing/index.js'

test('the random numbers of the machine are from 0 to 1', () => {
  const numbers = Array.from({ length: 100 }, () => systemRandom.next())
  expect(Math.min(...numbers)).toBeGreaterThanOrEqual(0)
  expect(Math.max(...numbers)).toBeLessThan(1)
  expect(new Set(numbers).size).toBeGreaterThan(50)
})

test('a random text has its length and follows its source', () => {
  expect(randomText(seededRandom(1), 10)).toMatch(/^[0-9a-z]{10}$/)
  expect(randomText(seededRandom(1), 10)).toBe(randomText(seededRandom(1), 10))
  expect(randomText(seededRandom(1), 10)).not.toBe(randomText(seededRandom(2), 10))
  expect(randomText(seededRandom(1), 0)).toBe('')
})
