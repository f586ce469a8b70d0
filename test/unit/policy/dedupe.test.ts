import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { DedupeTable, dedupeOptions } from '../../../src/policy/dedupe.js'

describe('options', () => {
  test('the mode is drop and there is no window, unless asked for', () => {
    expect(dedupeOptions('submit dedupe', { id: 'a' })).toEqual({ id: 'a', ttlMs: undefined, mode: 'drop' })
    const all = { id: 'a', ttlMs: 0.5, mode: 'keep-last' }
    expect(dedupeOptions('submit dedupe', all)).toEqual(all)
    expect(dedupeOptions('submit dedupe', { id: 'a', mode: 'replace' }).mode).toBe('replace')
  })

  test.each<[unknown, string]>([
    ['a', ' must be an object, got "a"'],
    [{}, '.id must be a string that is not empty, got undefined'],
    [{ id: '' }, '.id must be a string that is not empty, got ""'],
    [{ id: 5 }, '.id must be a string that is not empty, got 5'],
    [{ id: 'a', ttlMs: 0 }, '.ttlMs must be a number of milliseconds, above 0, got 0'],
    [{ id: 'a', ttlMs: Number.POSITIVE_INFINITY }, '.ttlMs must be a number of milliseconds, above 0, got Infinity'],
    [{ id: 'a', mode: 'keep' }, ".mode must be one of 'drop', 'replace', 'keep-last', got \"keep\""],
    [{ id: 'a', ttl: 5 }, " has no option 'ttl'; its options are 'id', 'ttlMs', 'mode'"],
  ])('%j are refused', (options, message) => {
    expect(() => dedupeOptions('submit dedupe', options)).toThrow(`Configuration error: submit dedupe${message}`)
    expect(() => dedupeOptions('submit dedupe', options)).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }))
  })
})

describe('an owner', () => {
  test('holds its id until it settles', () => {
    const table = new DedupeTable<string>()
    expect(table.ownerOf('id', 0)).toBeUndefined()
    table.claim('id', 'a', undefined)
    expect(table.ownerOf('id', 1e9)).toBe('a')
    expect(table.ownerOf('other', 0)).toBeUndefined()
    expect(table.settled('id', 'a', 1e9)).toBeUndefined()
    expect(table.ownerOf('id', 1e9)).toBeUndefined()
    expect(table.size).toBe(0)
  })

  test('that settles before its window ends holds its id until then', () => {
    const table = new DedupeTable<string>()
    table.claim('id', 'a', 100)
    table.settled('id', 'a', 10)
    expect(table.ownerOf('id', 99.9)).toBe('a')
    expect(table.size).toBe(1)
    expect(table.ownerOf('id', 100)).toBeUndefined()
    expect(table.size).toBe(0)
  })

  test('that settles after its window has ended holds its id until it settles', () => {
    const table = new DedupeTable<string>()
    table.claim('id', 'a', 100)
    expect(table.ownerOf('id', 5000)).toBe('a')
    table.settled('id', 'a', 5000)
    expect(table.size).toBe(0)
    table.claim('id', 'b', 6000)
    table.settled('id', 'b', 6000)
    expect(table.size).toBe(0)
  })

  test('settles once: what comes later changes nothing', () => {
    const table = new DedupeTable<string>()
    expect(table.settled('id', 'a', 0)).toBeUndefined()
    table.claim('id', 'a', 100)
    table.settled('id', 'a', 10)
    table.settled('id', 'a', 20)
    expect(table.ownerOf('id', 50)).toBe('a')
    table.settled('id', 'a', 100)
    expect(table.size).toBe(0)
  })
})

describe('replacing', () => {
  test('the new owner has the rest of the window, and the end of the earlier one changes nothing', () => {
    const table = new DedupeTable<string>()
    table.claim('id', 'a', 100)
    expect(table.replace('id', 'b')).toBe('a')
    expect(table.settled('id', 'a', 10)).toBeUndefined()
    expect(table.ownerOf('id', 10)).toBe('b')
    table.settled('id', 'b', 20)
    expect(table.ownerOf('id', 99)).toBe('b')
    expect(table.ownerOf('id', 100)).toBeUndefined()
  })

  test('without a window there is no rest, and without an owner nobody is replaced', () => {
    const table = new DedupeTable<string>()
    expect(table.replace('id', 'a')).toBeUndefined()
    expect(table.replace('id', 'b')).toBe('a')
    table.settled('id', 'b', 0)
    expect(table.size).toBe(0)
  })

  test("the end of a window that is not its owner's any more does not take the id away", () => {
    const table = new DedupeTable<string>()
    table.claim('id', 'a', 100)
    table.settled('id', 'a', 10)
    table.claim('id', 'b', 200)
    expect(table.ownerOf('id', 150)).toBe('b')
    table.settled('id', 'b', 150)
    expect(table.ownerOf('id', 199)).toBe('b')
    expect(table.ownerOf('id', 200)).toBeUndefined()
  })
})

describe('a remembered duplicate', () => {
  test('becomes the owner when the owner settles, with its own window', () => {
    const table = new DedupeTable<string>()
    table.claim('id', 'a', 100)
    expect(table.remember('id', 'b', 150)).toBeUndefined()
    expect(table.ownerOf('id', 0)).toBe('a')
    expect(table.settled('id', 'a', 10)).toBe('b')
    expect(table.ownerOf('id', 120)).toBe('b')
    expect(table.settled('id', 'b', 120)).toBeUndefined()
    expect(table.ownerOf('id', 149)).toBe('b')
    expect(table.ownerOf('id', 150)).toBeUndefined()
  })

  test('gives way to a newer one', () => {
    const table = new DedupeTable<string>()
    table.claim('id', 'a', undefined)
    expect(table.remember('id', 'b')).toBeUndefined()
    expect(table.remember('id', 'c')).toBe('b')
    table.settled('id', 'b', 0)
    expect(table.settled('id', 'a', 0)).toBe('c')
    expect(table.settled('id', 'c', 0)).toBeUndefined()
    expect(table.size).toBe(0)
  })

  test('follows the owner that replaces the one it waited for', () => {
    const table = new DedupeTable<string>()
    table.claim('id', 'a', undefined)
    table.remember('id', 'b')
    expect(table.replace('id', 'c')).toBe('a')
    expect(table.settled('id', 'c', 0)).toBe('b')
  })

  test('is not lost when another claims the id', () => {
    const table = new DedupeTable<string>()
    table.claim('id', 'a', undefined)
    table.remember('id', 'b')
    expect(() => table.claim('id', 'c', undefined)).toThrow(
      "Lane invariant broken: dedupe id 'id' has a duplicate that waits for its owner",
    )
    expect(table.settled('id', 'a', 0)).toBe('b')
  })

  test('that is cancelled meanwhile is forgotten', () => {
    const table = new DedupeTable<string>()
    table.claim('id', 'a', undefined)
    table.remember('id', 'b')
    expect(table.settled('id', 'b', 0)).toBeUndefined()
    expect(table.settled('id', 'a', 0)).toBeUndefined()
    expect(table.size).toBe(0)
  })

  test('needs an owner that is not settled', () => {
    const table = new DedupeTable<string>()
    const message = "Lane invariant broken: dedupe id 'id' has no unsettled owner to follow"
    expect(() => table.remember('id', 'b')).toThrow(message)
    table.claim('id', 'a', 100)
    table.settled('id', 'a', 10)
    expect(() => table.remember('id', 'b')).toThrow(message)
  })
})

test('windows of settled owners are forgotten at any call that says the time, without a call for their id', () => {
  const table = new DedupeTable<number>()
  for (let id = 0; id < 1000; id++) {
    table.claim(`${id}`, id, 1 + ((id * 7919) % 1000))
    table.settled(`${id}`, id, 0)
  }
  expect(table.size).toBe(1000)
  for (const now of [0, 1, 2, 500, 999]) {
    table.ownerOf('other', now)
    expect(table.size).toBe(1000 - now)
  }
  table.settled('other', 0, 1000)
  expect(table.size).toBe(0)
})

type Held = { owner: number; until: number; isSettled: boolean; next: { owner: number; until: number } | undefined }

/** What the table promises, in the plainest form: it forgets nothing, and looks at the time when it is asked. */
class Model {
  readonly #held = new Map<string, Held>()

  held(id: string, now: number): Held | undefined {
    const held = this.#held.get(id)
    return held?.isSettled === true && held.until <= now ? undefined : held
  }

  claim(id: string, owner: number, until: number): void {
    this.#held.set(id, { owner, until, isSettled: false, next: undefined })
  }

  settle(id: string, owner: number): number | undefined {
    const held = this.#held.get(id)
    if (held?.next?.owner === owner) held.next = undefined
    if (held?.owner !== owner || held.isSettled) return undefined
    held.isSettled = true
    if (held.next !== undefined) this.claim(id, held.next.owner, held.next.until)
    return held.next?.owner
  }
}

type Step = { readonly id: string; readonly ms: number | undefined; readonly pick: number; readonly by: number }

/** A table and its model, and what each of them answered. */
class Both {
  readonly table = new DedupeTable<number>()
  readonly model = new Model()
  readonly answers: unknown[] = []
  readonly expected: unknown[] = []
  now = 0

  claim({ id, ms, by }: Step): void {
    if (this.model.held(id, this.now) !== undefined) return
    this.table.claim(id, by, ms === undefined ? undefined : this.now + ms)
    this.model.claim(id, by, this.#until(ms))
  }

  replace({ id, by }: Step): void {
    const held = this.model.held(id, this.now)
    if (held === undefined) return
    this.#compare(this.table.replace(id, by), held.owner)
    held.owner = by
    held.isSettled = false
  }

  remember({ id, ms, by }: Step): void {
    const held = this.model.held(id, this.now)
    if (held === undefined || held.isSettled) return
    this.#compare(this.table.remember(id, by, ms === undefined ? undefined : this.now + ms), held.next?.owner)
    held.next = { owner: by, until: this.#until(ms) }
  }

  settleOwner({ id }: Step): void {
    const held = this.model.held(id, this.now)
    if (held !== undefined) this.#settle(id, held.owner)
  }

  settleAny({ id, pick }: Step): void {
    this.#settle(id, pick)
  }

  wait({ ms = 0 }: Step): void {
    this.now += ms
  }

  ask(id: string): void {
    this.#compare(this.table.ownerOf(id, this.now), this.model.held(id, this.now)?.owner)
  }

  #compare(answer: unknown, expected: unknown): void {
    this.answers.push(answer)
    this.expected.push(expected)
  }

  #settle(id: string, owner: number): void {
    this.#compare(this.table.settled(id, owner, this.now), this.model.settle(id, owner))
  }

  #until(ms: number | undefined): number {
    return ms === undefined ? Number.NEGATIVE_INFINITY : this.now + ms
  }
}

const step = fc.record({
  kind: fc.constantFrom('claim', 'replace', 'remember', 'settleOwner', 'settleAny', 'wait'),
  id: fc.constantFrom('x', 'y', 'z'),
  ms: fc.oneof(fc.constant(undefined), fc.integer({ min: 1, max: 50 })),
  pick: fc.nat({ max: 100 }),
})

test('the table says who owns what, as a model that forgets nothing does', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 120, size: 'max' }), (steps) => {
      const both = new Both()
      for (const [by, { kind, ...one }] of steps.entries()) {
        both[kind]({ ...one, by })
        both.ask(one.id)
      }
      both.table.purge(both.now)
      const held = ['x', 'y', 'z'].filter((id) => both.model.held(id, both.now) !== undefined)
      expect(both.answers).toEqual(both.expected)
      expect(both.table.size).toBe(held.length)
    }),
    { numRuns: 500 },
  )
})
