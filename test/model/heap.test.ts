import assert from 'node:assert/strict'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Heap, type HeapItem } from '../../src/core/heap.js'

type Item = HeapItem & { readonly key: number; readonly order: number }

/** A number is pushed; `pop` takes the first out; `remove` takes out whichever item the number means. */
const operation = fc.oneof(
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('push' as const), at: fc.nat({ max: 20 }) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('pop' as const), at: fc.constant(0) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('remove' as const), at: fc.nat() }) },
)

test('a heap gives its items in order, whichever of them are taken out meanwhile', () => {
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 200, size: 'max' }), (operations) => {
      const before = (a: Item, b: Item): boolean => (a.key === b.key ? a.order < b.order : a.key < b.key)
      const heap = new Heap<Item>(before)
      const items: Item[] = []
      for (const [order, { kind, at }] of operations.entries()) {
        if (kind === 'push') {
          const item = { key: at, order, heapIndex: -1 }
          items.push(item)
          items.sort((a, b) => (before(a, b) ? -1 : 1))
          heap.push(item)
        } else if (kind === 'pop') assert.equal(heap.pop(), items.shift())
        else if (items.length > 0) {
          const [item] = items.splice(at % items.length, 1)
          heap.remove(item as Item)
          assert.equal(item?.heapIndex, -1)
        }
        assert.equal(heap.size, items.length)
        assert.equal(heap.peek(), items[0])
      }
      for (const item of items) assert.equal(heap.pop(), item)
      expect(heap.pop()).toBeUndefined()
    }),
  )
}, 60_000)
