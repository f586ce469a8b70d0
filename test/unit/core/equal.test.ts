import { expect, test } from 'vitest'
import { sameData } from '../../../src/core/equal.js'

class Point {
  readonly x = 1
}
const nullProto = (value: object): object => Object.assign(Object.create(null) as object, value)

test.each<[unknown, unknown]>([
  [1, 1],
  [Number.NaN, Number.NaN],
  [{ a: [1, { b: 'x' }] }, { a: [1, { b: 'x' }] }],
  [
    { a: 1, b: 2 },
    { b: 2, a: 1 },
  ],
  [nullProto({ a: 1 }), nullProto({ a: 1 })],
  [{ a: 1 }, nullProto({ a: 1 })],
  [[], []],
])('%j says the same as %j', (a, b) => {
  expect(sameData(a, b)).toBe(true)
})

test.each<[unknown, unknown]>([
  [0, -0],
  [1, '1'],
  [null, {}],
  [{}, null],
  [{}, 'x'],
  [{}, []],
  [[1], [1, 2]],
  [{ a: 1 }, { a: 2 }],
  [{ a: undefined }, { b: undefined }],
  [new Point(), new Point()],
  [new Date(0), new Date(0)],
])('%j does not say the same as %j', (a, b) => {
  expect(sameData(a, b)).toBe(false)
})

test('a value says the same as itself, also one that is a cycle; two cycles count as different', () => {
  const cycle = (): object => {
    const self: { next?: object } = {}
    self.next = self
    return self
  }
  const one = cycle()
  expect(sameData(one, one)).toBe(true)
  expect(sameData(one, cycle())).toBe(false)
})
