/** The channel against a plain array and a list of readers. */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Channel } from '../../src/core/channel.js'

/** What a reader got, or how its waiting ended; undefined while it waits. */
type Answer = number | 'end' | 'aborted' | undefined

class Subject {
  readonly #capacity: number
  readonly #channel: Channel<number>
  readonly answers: Answer[] = []
  readonly expected: Answer[] = []
  readonly #stops: AbortController[] = []
  #line: number[] = []
  #count = 0
  #dropped = 0
  #closed = false

  constructor(capacity: number) {
    this.#capacity = capacity
    this.#channel = new Channel(capacity)
  }

  push(): void {
    const item = this.#count++
    this.#channel.push(item)
    if (this.#closed) return
    const first = this.expected.indexOf(undefined)
    if (first >= 0) this.expected[first] = item
    else this.#line.push(item)
    if (this.#line.length <= this.#capacity) return
    this.#line.shift()
    this.#dropped++
  }

  /** Waits, if there is nothing to take at once. */
  read(): void {
    if (this.#line.length > 0) return this.poll()
    const reader = this.answers.push(undefined) - 1
    const stop = new AbortController()
    this.#stops.push(stop)
    this.expected.push(this.#closed ? 'end' : undefined)
    this.#channel.wait(stop.signal).then(
      (item) => {
        this.answers[reader] = item ?? 'end'
      },
      () => {
        this.answers[reader] = 'aborted'
      },
    )
  }

  poll(): void {
    assert.equal(this.#channel.poll(), this.#line.shift())
  }

  dropped(): void {
    assert.equal(this.#channel.takeDropped(), this.#dropped)
    this.#dropped = 0
  }

  /** The reader that has waited longest waits no longer. */
  abort(): void {
    const first = this.expected.indexOf(undefined)
    if (first < 0) return
    this.#stops[first]?.abort()
    this.expected[first] = 'aborted'
  }

  close(): void {
    this.#channel.close()
    this.#end()
  }

  discard(): void {
    this.#channel.discard()
    this.#end()
    this.#line = []
    this.#dropped = 0
  }

  judge(): void {
    assert.equal(this.#channel.size, this.#line.length)
    assert.equal(this.#channel.closed, this.#closed)
  }

  #end(): void {
    this.#closed = true
    this.expected.splice(0, this.expected.length, ...this.expected.map((answer) => answer ?? 'end'))
  }
}

const operation = fc.oneof(
  { weight: 5, arbitrary: fc.constant('push' as const) },
  { weight: 3, arbitrary: fc.constant('read' as const) },
  { weight: 2, arbitrary: fc.constant('poll' as const) },
  { weight: 2, arbitrary: fc.constantFrom('dropped' as const, 'abort' as const) },
  { weight: 1, arbitrary: fc.constantFrom('close' as const, 'discard' as const) },
)

test('a channel gives every item once and in order, and counts what it drops', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 4 }),
      fc.array(operation, { maxLength: 60, size: 'max' }),
      async (capacity, operations) => {
        const subject = new Subject(capacity)
        for (const name of operations) {
          subject[name]()
          subject.judge()
        }
        await new Promise((resolve) => setImmediate(resolve))
        expect(subject.answers).toEqual(subject.expected)
      },
    ),
  )
})
