import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { FairRing, type Turn } from '../../../src/policy/fairness.js'

/** A key with the costs of its waiting commands. */
class Key implements Turn {
  credit = 0
  before: this | undefined = undefined
  after: this | undefined = undefined
  inRing = false
  /** Cost served so far. */
  total = 0
  readonly name: string
  readonly costs: number[]
  weight: number

  constructor(name: string, costs: readonly number[] = [], weight = 1) {
    this.name = name
    this.costs = [...costs]
    this.weight = weight
  }
}

/** Keys in a ring, and the number of costs that were asked for. */
class Lane {
  readonly ring = new FairRing<Key>()
  steps = 0

  constructor(...keys: Key[]) {
    for (const key of keys) this.ring.add(key)
  }

  readonly #costOf = (key: Key): number => {
    this.steps++
    return key.costs[0] as number
  }

  next(): Key | undefined {
    return this.ring.next(this.#costOf)
  }

  /** Starts the next command; a key without commands leaves. */
  serve(): Key {
    const key = this.next() as Key
    const cost = key.costs.shift() as number
    key.total += cost
    this.ring.served(key, cost)
    if (key.costs.length === 0) this.ring.remove(key)
    return key
  }

  /** The names of the next keys that are served. */
  names(count: number): string {
    return Array.from({ length: count }, () => this.serve().name).join('')
  }
}

const many = (cost: number, count = 1000): number[] => new Array<number>(count).fill(cost)

describe('equal keys', () => {
  test.each([1, 0.1, 7, 1e6])('with equal costs of %d take turns', (cost) => {
    const lane = new Lane(new Key('a', many(cost)), new Key('b', many(cost)), new Key('c', many(cost)))
    expect(lane.names(9)).toBe('abcabcabc')
  })

  test('a key that joins has everybody else before it', () => {
    const [a, b, c] = [new Key('a', many(1)), new Key('b', many(1)), new Key('c', many(1))]
    const lane = new Lane(a, b)
    expect(lane.names(3)).toBe('aba')
    lane.ring.add(c)
    expect(lane.names(6)).toBe('bacbac')
    expect(lane.ring.size).toBe(3)
  })

  test('a key that joins while a turn is being taken stands behind the one that takes it', () => {
    const [a, b] = [new Key('a', many(1)), new Key('b', many(1))]
    const lane = new Lane(a)
    expect(lane.next()).toBe(a)
    lane.ring.add(b)
    expect(lane.names(4)).toBe('abab')
  })

  test('a key that leaves is passed over, wherever it stands in the round', () => {
    const keys = ['a', 'b', 'c', 'd'].map((name) => new Key(name, many(1)))
    for (const [index, left] of ['bcdbcd', 'acdacd', 'abdabd', 'abcabc'].entries()) {
      const lane = new Lane(...keys.map(({ name }) => new Key(name, many(1))))
      lane.next()
      for (let turn = lane.next() as Key; turn.name !== 'a'; turn = lane.next() as Key) lane.serve()
      const gone = find(lane, keys[index] as Key)
      lane.ring.remove(gone)
      expect(lane.names(6)).toBe(left)
    }
  })

  test('an empty ring has no turn, and starts anew when a key joins', () => {
    const a = new Key('a', [5])
    const lane = new Lane(a)
    expect(lane.names(1)).toBe('a')
    expect(lane.next()).toBeUndefined()
    expect(lane.ring.size).toBe(0)
    const b = new Key('b', many(1))
    a.costs.push(1, 1)
    lane.ring.add(b)
    lane.ring.add(a)
    expect(lane.names(5)).toBe('babab')
  })

  test('adding a key twice and removing it twice change nothing', () => {
    const [a, b] = [new Key('a', many(1)), new Key('b', many(1))]
    const lane = new Lane(a, b, a)
    expect(lane.ring.size).toBe(2)
    expect(lane.names(4)).toBe('abab')
    lane.ring.remove(a)
    lane.ring.remove(a)
    expect(lane.ring.size).toBe(1)
    expect(a).toMatchObject({ inRing: false, before: undefined, after: undefined, credit: 0 })
    expect(lane.names(2)).toBe('bb')
  })
})

/** The key of the lane with the name of another. */
function find(lane: Lane, { name }: Key): Key {
  let key = lane.next() as Key
  while (key.name !== name) key = key.after as Key
  return key
}

/** What may happen to a ring between two services; keys are meant by number. */
const happening = fc.oneof(
  { weight: 6, arbitrary: fc.constant({ kind: 'serve' as const, key: 0 }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('ask' as const), key: fc.constant(0) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('join' as const), key: fc.nat({ max: 6 }) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('leave' as const), key: fc.nat({ max: 6 }) }) },
)

test('with equal costs and weights it is a line: who is served goes to its end, who joins too', () => {
  const anything = fc.array(happening, { maxLength: 200, size: 'max' })
  const some = fc.double({ min: 1e-6, max: 1e6, noNaN: true })
  fc.assert(
    fc.property(anything, some, some, (happenings, cost, weight) => {
      const keys = 'abcdefg'.split('').map((name) => new Key(name, many(cost), weight))
      const lane = new Lane()
      const line: Key[] = []
      const answers: (Key | undefined)[][] = []
      for (const { kind, key: number } of happenings) {
        const key = keys[number] as Key
        // not asked each time: a turn that is used up is over before anybody asks
        if (kind === 'ask') answers.push([lane.next(), line[0]])
        else if (kind === 'leave') lane.ring.remove(key)
        else if (kind === 'join') lane.ring.add(key)
        else if (kind === 'serve' && line.length > 0) answers.push([lane.serve(), line[0]])
        moveIn(line, kind, key)
      }
      expect(answers.filter(([answer, expected]) => answer !== expected)).toEqual([])
      expect(lane.ring.size).toBe(line.length)
    }),
  )
})

test('a key that joins after the first one has left, before anything was served, stands at the end', () => {
  const [first, second, third] = ['c', 'a', 'b'].map((name) => new Key(name, many(1))) as [Key, Key, Key]
  const lane = new Lane()
  lane.ring.add(first)
  lane.ring.add(second)
  lane.ring.remove(first)
  lane.ring.add(third)
  expect([lane.serve(), lane.serve(), lane.serve()]).toEqual([second, third, second])
})

/** What happens to a plain line of keys. */
function moveIn(line: Key[], kind: string, key: Key): void {
  const [first] = line
  if (kind === 'join' && !line.includes(key)) line.push(key)
  else if (kind === 'leave' && line.includes(key)) line.splice(line.indexOf(key), 1)
  else if (kind === 'serve' && first !== undefined) line.push(...line.splice(0, 1))
}

describe('weights', () => {
  test('2 is served twice in each round', () => {
    const lane = new Lane(new Key('a', many(1), 2), new Key('b', many(1)), new Key('c', many(1)))
    expect(lane.names(12)).toBe('aabcaabcaabc')
  })

  test('0.5 is served in every second round', () => {
    const lane = new Lane(new Key('a', many(1)), new Key('b', many(1), 0.5), new Key('c', many(1)))
    expect(lane.names(10)).toBe('acabcacabc')
  })

  test('a round serves who lacks least, wherever that one stands', () => {
    expect(new Lane(new Key('a', many(1)), new Key('b', many(1), 0.5)).names(6)).toBe('aabaab')
    expect(new Lane(new Key('b', many(1), 0.5), new Key('a', many(1)), new Key('c', many(1))).names(10)).toBe(
      'acbacacbac',
    )
    expect(new Lane(new Key('a', many(1)), new Key('c', many(1)), new Key('b', many(4))).names(18)).toBe(
      'acacacacbacacacacb',
    )
  })

  test.each([7, 10, 49])('%d is served so often in each round, though its fractions do not sum up to 1', (weight) => {
    const round = `${'a'.repeat(weight)}b`
    const lane = new Lane(new Key('a', many(1), weight), new Key('b', many(1)))
    expect(lane.names(10 * round.length)).toBe(round.repeat(10))
  })

  test.each([
    [[7, 1], 1.8],
    [[0.1, 0.2, 0.3], 2.1],
    [[0.1, 0.3, 0.7], 2.5],
  ])('%j cost no visits in which a rounding is paid', (weights, most) => {
    const lane = new Lane(...weights.map((weight, index) => new Key(`${index}`, many(1), weight)))
    lane.names(1000)
    expect(lane.steps).toBeLessThan(1000 * most)
  })

  test('0.1 is not exact in binary, and its sum is taken for what it is meant to be', () => {
    const lane = new Lane(new Key('a', many(1), 0.1), new Key('b', many(1), 0.3))
    const names = lane.names(400)
    expect([names.split('a').length - 1, names.split('b').length - 1]).toEqual([100, 300])
  })

  test('a weight that changes counts from the next round on', () => {
    const [a, b] = [new Key('a', many(1)), new Key('b', many(1))]
    const lane = new Lane(a, b)
    expect(lane.names(4)).toBe('abab')
    a.weight = 3
    lane.names(8)
    const before = { a: a.total, b: b.total }
    lane.names(400)
    expect([a.total - before.a, b.total - before.b]).toEqual([300, 100])
  })
})

describe('costs', () => {
  test('a key whose commands cost ten times as much is served a tenth as often', () => {
    const lane = new Lane(new Key('a', many(10)), new Key('b', many(1)))
    const names = lane.names(110)
    expect([names.split('a').length - 1, names.split('b').length - 1]).toEqual([10, 100])
  })

  test('credit that is not enough yet is kept for the next round', () => {
    const [a, b] = [new Key('a', [2, 5, 3, 2]), new Key('b', many(2))]
    const lane = new Lane(a, b)
    // 2 for each, then 2, 2 and 1 until a has its 5, with which b keeps 1; then 1 and 2 until a has its 3.
    expect(lane.names(8)).toBe('abbbabab')
    expect([a.total, b.total]).toEqual([10, 10])
  })

  test('what costs nothing counts as the mean of what cost something, so it starves nobody', () => {
    const all = new Lane(new Key('a', many(0)), new Key('b', many(0)))
    expect(all.names(6)).toBe('ababab')
    const some = new Lane(new Key('a', many(0)), new Key('b', many(100)))
    const names = some.names(1000)
    expect(names.split('b').length - 1).toBe(500)
  })

  test('that mean is of what was served lately', () => {
    const lane = new Lane(new Key('a', many(0)), new Key('b', [...many(1, 100), ...many(100, 900)]))
    lane.names(500)
    const names = lane.names(1000)
    expect(names.split('b').length - 1).toBeGreaterThan(490)
  })

  test('a cheap key among dear ones is not served for longer than the dear ones cost', () => {
    const dear = Array.from({ length: 9 }, (_, index) => new Key(`${index}`, many(100)))
    const lane = new Lane(new Key('a', many(1, 5000)), ...dear)
    const runs = lane.names(3000).match(/a+/gu) as RegExpMatchArray
    expect(Math.max(...runs.map((run) => run.length))).toBe(100)
  })

  test('a cost that changes while its key is on turn is looked at again', () => {
    const [a, b] = [new Key('a', [1, 1]), new Key('b', many(1))]
    const lane = new Lane(a, b)
    expect(lane.next()).toBe(a)
    a.costs[0] = 3
    expect(lane.names(5)).toBe('bbaba')
  })

  test('a key that is served out of turn has a debt, and leaving does not pay it', () => {
    const [a, b] = [new Key('a', many(1)), new Key('b', many(1))]
    const lane = new Lane(a, b)
    expect(lane.next()).toBe(a)
    lane.ring.served(b, 3)
    lane.ring.remove(b)
    expect(b.credit).toBe(-3)
    lane.ring.add(b)
    expect(lane.names(6)).toBe('aaaaba')
  })
})

describe('leaving and coming back', () => {
  test('gains nothing: credit is not taken along', () => {
    const [a, b] = [new Key('a', many(5)), new Key('b', many(1))]
    const lane = new Lane(a, b)
    for (let round = 0; round < 50; round++) {
      lane.serve()
      if (a.credit === 0) continue
      lane.ring.remove(a)
      expect(a.credit).toBe(0)
      lane.ring.add(a)
    }
    expect(a.total).toBeLessThanOrEqual(b.total + 5)
  })

  test('a key that never has two commands waiting gets no more than one that always has', () => {
    const [a, b] = [new Key('a'), new Key('b', many(1, 20_000))]
    const lane = new Lane(b)
    for (let count = 0; count < 10_000; count++) {
      if (!a.inRing) {
        a.costs.push(1000)
        lane.ring.add(a)
      }
      lane.serve()
    }
    expect(a.total).toBeGreaterThan(4000)
    expect(a.total).toBeLessThanOrEqual(b.total + 1000)
  })
})

const someCost = fc.oneof(
  fc.constant(1),
  fc.integer({ min: 1, max: 20 }),
  fc.double({ min: 1e-3, max: 1e4, noNaN: true }),
  fc.constant(1000),
)
const someWeight = fc.oneof(
  fc.constant(1),
  fc.integer({ min: 1, max: 5 }),
  fc.double({ min: 0.05, max: 10, noNaN: true }),
)
const keyPlan = fc.record({ costs: fc.array(someCost, { minLength: 1, maxLength: 8 }), weight: someWeight })

test('two keys that always wait are served in proportion to their weights, over any stretch, whatever the others do', () => {
  fc.assert(
    fc.property(
      fc.array(keyPlan, { minLength: 2, maxLength: 7 }),
      fc.array(happening, { maxLength: 400, size: 'max' }),
      (plans, happenings) => {
        const keys = plans.map((plan, index) => new Key(`${index}`, repeat(plan.costs, 500), plan.weight))
        const [a, b] = keys as [Key, Key]
        const lane = new Lane(...keys)
        const largest = (index: number): number =>
          Math.max(...(plans[index]?.costs ?? [])) / (plans[index]?.weight ?? 1)
        const bound = largest(0) + largest(1) + Math.max(...plans.map((_plan, index) => largest(index)))
        let [least, most] = [0, 0]
        for (const { kind, key: number } of happenings) {
          const key = keys[2 + number]
          if (kind === 'serve') lane.serve()
          else if (kind === 'join' && key !== undefined) lane.ring.add(key)
          else if (kind === 'leave' && key !== undefined) lane.ring.remove(key)
          const ahead = a.total / a.weight - b.total / b.weight
          least = Math.min(least, ahead)
          most = Math.max(most, ahead)
        }
        expect(most - least).toBeLessThan(bound * (1 + 1e-6))
      },
    ),
    { numRuns: 500 },
  )
})

const repeat = (costs: readonly number[], length: number): number[] =>
  Array.from({ length }, (_, index) => costs[index % costs.length] as number)

test('everything that waits is served in the end, whatever it costs and whatever its weight', () => {
  fc.assert(
    fc.property(fc.array(keyPlan, { minLength: 2, maxLength: 7 }), (plans) => {
      const keys = plans.map((plan, index) => new Key(`${index}`, repeat(plan.costs, 3), plan.weight))
      const lane = new Lane(...keys)
      let served = 0
      while (lane.next() !== undefined) {
        lane.serve()
        served++
      }
      expect(served).toBe(3 * keys.length)
      expect(lane.ring.size).toBe(0)
    }),
  )
})

describe('the work per served command', () => {
  /** Costs that were asked for, per served command, once every key has been looked at. */
  function stepsPerCommand(keys: Key[], count: number): number {
    const lane = new Lane()
    for (const key of keys) lane.ring.add(key)
    lane.next()
    lane.steps = 0
    for (let served = 0; served < count; served++) {
      const key = lane.next() as Key
      const [first] = key.costs as [number]
      key.costs.push(first)
      lane.serve()
    }
    return lane.steps / count
  }

  test('has a bound, whatever the costs and weights', () => {
    const magnitude = fc.integer({ min: -3, max: 6 }).map((exponent) => 10 ** exponent)
    const costs = fc.array(fc.oneof(magnitude, someCost), { minLength: 1, maxLength: 6 })
    const plans = fc.array(fc.record({ costs, weight: magnitude }), { minLength: 1, maxLength: 40, size: 'max' })
    fc.assert(
      fc.property(plans, (all) => {
        const lane = new Lane(...all.map((plan) => new Key('', repeat(plan.costs, 330), plan.weight)))
        for (let count = 0; count < 300; count++) lane.serve()
        // every visit looks at one cost, and at one more for each command that it serves
        expect(lane.steps).toBeLessThanOrEqual(9 * 300 + all.length)
      }),
    )
  })

  const keysOf = (count: number, costOf: (index: number) => number, weightOf: (index: number) => number): Key[] =>
    Array.from({ length: count }, (_, index) => new Key('', [costOf(index), costOf(index + 1)], weightOf(index)))
  const one = (): number => 1
  // no randomness: neighbours differ as much as far ones
  const scattered = (index: number): number => (index * 7919) % 1009

  test.each<[string, (index: number) => number, (index: number) => number, number]>([
    ['equal costs', one, one, 3],
    ['scattered costs', (index) => 1 + scattered(index), one, 6],
    ['one dear key in a thousand', (index) => (index % 1000 === 0 ? 1e6 : 1), one, 4],
    ['one cheap key in a thousand', (index) => (index % 1000 === 0 ? 1 : 1e6), one, 6],
    ['costs of every magnitude', (index) => 10 ** (index % 9), one, 6],
    ['scattered weights', one, (index) => 0.01 + scattered(index) / 100, 6],
    ['one light key in a thousand', one, (index) => (index % 1000 === 0 ? 1e-3 : 1), 4],
    ['one heavy key in a thousand', one, (index) => (index % 1000 === 0 ? 1000 : 1), 6],
  ])('is the same for a hundred keys and for 100,000: %s', (_what, costOf, weightOf, bound) => {
    const few = stepsPerCommand(keysOf(100, costOf, weightOf), 20_000)
    const lots = stepsPerCommand(keysOf(100_000, costOf, weightOf), 200_000)
    expect(few).toBeLessThanOrEqual(bound)
    expect(lots).toBeLessThanOrEqual(bound)
  })
})
