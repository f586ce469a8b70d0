import { expect, test } from 'vitest'
import { Heap } from '../../../src/core/heap.js'
import { seededRandom } from '../../../src/testing/index.js'

type Item = { heapIndex: number; readonly value: number }
const item = (value: number): Item => ({ heapIndex: -1, value })
const heapOf = (...values: number[]): Heap<Item> => {
  const heap = new Heap<Item>((a, b) => a.value < b.value)
  for (const value of values) heap.push(item(value))
  return heap
}

test('an empty heap gives nothing', () => {
  const heap = heapOf()
  expect([heap.size, heap.peek(), heap.pop()]).toEqual([0, undefined, undefined])
})

test('items come out in order, whatever order they went in', () => {
  const random = seededRandom(7)
  const values = Array.from({ length: 500 }, () => Math.floor(random.next() * 100))
  const heap = heapOf(...values)
  expect(heap.items()).toHaveLength(500)
  const out = values.map(() => heap.pop()?.value)
  expect(out).toEqual([...values].sort((a, b) => a - b))
})

test('any item can be taken out, and knows that it is', () => {
  const random = seededRandom(3)
  const heap = heapOf()
  const inside = new Set<Item>()
  const removed: Item[] = []
  for (let step = 0; step < 2000; step++) {
    if (inside.size === 0 || random.next() < 0.55) {
      const one = item(Math.floor(random.next() * 50))
      heap.push(one)
      inside.add(one)
    } else {
      const one = [...inside][Math.floor(random.next() * inside.size)] as Item
      heap.remove(one)
      inside.delete(one)
      removed.push(one)
    }
    expect(heap.size).toBe(inside.size)
    expect(removed.filter(({ heapIndex }) => heapIndex !== -1)).toEqual([])
    expect(heap.peek()?.value).toBe(inside.size === 0 ? undefined : Math.min(...[...inside].map(({ value }) => value)))
  }
})
