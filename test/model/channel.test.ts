import assert from 'node:assert/strict'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Channel } from '../../src/core/channel.js'

const operation = fc.oneof(
  { weight: 5, arbitrary: fc.constant('push' as const) },
  { weight: 3, arbitrary: fc.constant('read' as const) },
  { weight: 2, arbitrary: fc.constant('poll' as const) },
  { weight: 1, arbitrary: fc.constantFrom('dropped', 'abort', 'close', 'discard') },
)

/** A reader that waits: what it gets, or how its waiting ended. */
type Reader = { readonly stop: AbortController; answer: number | 'end' | 'aborted' | undefined }

test('a channel gives every item once and in order, and counts what it drops', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 4 }),
      fc.array(operation, { maxLength: 60, size: 'max' }),
      async (capacity, operations) => {
        const channel = new Channel<number>(capacity)
        const readers: Reader[] = []
        const read = (): void => {
          const reader: Reader = { stop: new AbortController(), answer: undefined }
          readers.push(reader)
          channel.wait(reader.stop.signal).then(
            (item) => {
              reader.answer = item ?? 'end'
            },
            () => {
              reader.answer = 'aborted'
            },
          )
        }
        let line: number[] = []
        let dropped = 0
        let closed = false
        const expected: Reader['answer'][] = []
        const firstWaiting = (): number => expected.indexOf(undefined)
        for (const [item, kind] of operations.entries()) {
          if (kind === 'push') {
            channel.push(item)
            if (closed) continue
            if (firstWaiting() >= 0) expected[firstWaiting()] = item
            else line.push(item)
            if (line.length > capacity) {
              line.shift()
              dropped++
            }
          } else if (kind === 'read' && line.length === 0) {
            read()
            expected.push(closed ? 'end' : undefined)
          } else if (kind === 'read' || kind === 'poll') assert.equal(channel.poll(), line.shift())
          else if (kind === 'dropped') {
            assert.equal(channel.takeDropped(), dropped)
            dropped = 0
          } else if (kind === 'abort') {
            const at = firstWaiting()
            readers[at]?.stop.abort()
            if (at >= 0) expected[at] = 'aborted'
          } else {
            channel[kind as 'close' | 'discard']()
            closed = true
            expected.forEach((answer, at) => {
              if (answer === undefined) expected[at] = 'end'
            })
            if (kind !== 'discard') continue
            line = []
            dropped = 0
          }
          assert.equal(channel.size, line.length)
          assert.equal(channel.closed, closed)
        }
        await new Promise((resolve) => setImmediate(resolve))
        expect(readers.map(({ answer }) => answer)).toEqual(expected)
      },
    ),
  )
})
