import { seededRandom } from '@a3s-lab/lane/testing'
import { expect, test } from 'vitest'

const draw = (seed: number, count: number): number[] => {
  const random = seededRandom(seed)
  return Array.from({ length: count }, () => random.next())
}

test('the same seed gives the same numbers, another seed others', () => {
  expect(draw(42, 50)).toEqual(draw(42, 50))
  expect(draw(42, 50)).not.toEqual(draw(43, 50))
})

test('the numbers are spread from 0 to 1', () => {
  const numbers = draw(1, 10_000)
  expect(Math.min(...numbers)).toBeGreaterThanOrEqual(0)
  expect(Math.max(...numbers)).toBeLessThan(1)
  const mean = numbers.reduce((sum, one) => sum + one, 0) / numbers.length
  expect(Math.abs(mean - 0.5)).toBeLessThan(0.02)
})
