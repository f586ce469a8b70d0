import { expect, test } from 'vitest'
import type { Backlog } from '../../../src/core/backlog.js'
import type { Entry } from '../../../src/core/entry.js'
import { LaneState } from '../../../src/core/lane.js'
import { createRun, type Run } from '../../../src/core/run.js'
import { seededRandom } from '../../../src/testing/index.js'

class Bench {
  readonly lane: LaneState
  #seq = 0

  constructor(order: 'fifo' | 'lifo' = 'fifo') {
    this.lane = new LaneState('work', { order }, 0)
  }

  get backlog(): Backlog {
    return this.lane.backlog
  }

  push(priority = 1000, now = 0, policy = this.lane.limits.attempt): Run {
    const seq = this.#seq++
    const run = createRun(String(seq), 'work', 'x', 'pending', {} as never)
    this.backlog.push(run, `body ${seq}`, priority, policy, now, seq)
    return run
  }

  reserve(priority = 1000): void {
    this.backlog.reserve(priority, this.lane.limits.attempt, 0, this.#seq++)
  }

  takeAll(): string[] {
    const ids: string[] = []
    for (let entry = this.backlog.take(); entry !== undefined; entry = this.backlog.take()) ids.push(entry.run.id)
    return ids
  }
}

test('an empty backlog gives nothing', () => {
  const { backlog } = new Bench()
  expect([backlog.size, backlog.take(), [...backlog.waiting()]]).toEqual([0, undefined, []])
})

test.each(['fifo', 'lifo'] as const)('whatever happens, a %s backlog agrees with a sorted list', (order) => {
  for (let seed = 1; seed <= 3; seed++) {
    const random = seededRandom(seed)
    const draw = (below: number): number => Math.floor(random.next() * below)
    const bench = new Bench(order)
    let isLifo = order === 'lifo'
    type Model = { readonly run: Run; readonly priority: number; readonly n: number }
    let waiting: Model[] = []
    let away: { readonly model: Model; readonly entry: Entry }[] = []
    const isBefore = (a: Model, b: Model): boolean =>
      a.priority === b.priority ? (isLifo ? a.n > b.n : a.n < b.n) : a.priority < b.priority
    const next = (): Model | undefined =>
      waiting.reduce<Model | undefined>((best, one) => (best === undefined || isBefore(one, best) ? one : best), undefined)
    for (let step = 0; step < 2000; step++) {
      const what = draw(100)
      // Mostly growing, then mostly shrinking, so that whole chunks come and go.
      const grows = step % 1000 < 700 ? 55 : 25
      if (what < grows) {
        const priority = draw(3) === 0 ? draw(4) : 1000
        const run = bench.push(priority, Math.floor(step / 7), draw(50) === 0 ? { ...bench.lane.limits.attempt } : undefined)
        waiting.push({ run, priority, n: Number(run.id) })
      } else if (what < 90) {
        const expected = next()
        const entry = bench.backlog.take()
        expect(entry?.run).toBe(expected?.run)
        if (entry !== undefined && expected !== undefined) {
          waiting = waiting.filter((one) => one !== expected)
          if (draw(3) === 0) away.push({ model: expected, entry })
        }
      } else if (what < 94 && away.length > 0) {
        const [back] = away.splice(draw(away.length), 1)
        if (back !== undefined) {
          bench.backlog.putBack(back.entry)
          waiting.push(back.model)
        }
      } else if (what < 98 && waiting.length > 0) {
        const victim = waiting[draw(waiting.length)] as Model
        const returned = victim.run.inner
        const wasReturned = typeof returned !== 'function' && bench.backlog.extractReturned(returned)
        if (!wasReturned) expect(bench.backlog.extract(victim.run, victim.n)).toBe(true)
        expect(bench.backlog.extract(victim.run, victim.n)).toBe(false)
        waiting = waiting.filter((one) => one !== victim)
      } else if (what === 98) bench.reserve(draw(2) === 0 ? 1000 : draw(4))
      else if (step % 10 === 0) {
        isLifo = !isLifo
        bench.backlog.setLifo(isLifo)
      }
      expect(bench.backlog.size).toBe(waiting.length)
    }
    const listed = [...bench.backlog.waiting()].map(({ run }) => Number(run.id))
    expect(listed.toSorted((a, b) => a - b)).toEqual(waiting.map(({ n }) => n).toSorted((a, b) => a - b))
    away = []
    while (waiting.length > 0) {
      const expected = next()
      expect(bench.backlog.take()?.run).toBe(expected?.run)
      waiting = waiting.filter((one) => one !== expected)
    }
    expect(bench.backlog.take()).toBeUndefined()
  }
})

test('a command knows when it arrived, whatever arrived with it', () => {
  const bench = new Bench()
  const times = [0, 0, 5, 5, 5, 7, 9, 9, 12]
  for (const now of times) bench.push(1000, now)
  expect([...bench.backlog.waiting()].map(({ arrivedAt }) => arrivedAt)).toEqual(times)
  const entries = times.map(() => bench.backlog.take())
  expect(entries.map((entry) => entry?.arrivedAt)).toEqual(times)
})

test('a command is found where it waits, and stays there', () => {
  const bench = new Bench()
  const runs = Array.from({ length: 600 }, (_, n) => bench.push(n % 3))
  for (const n of [0, 1, 255, 256, 257, 599]) {
    const run = runs[n] as Run
    expect(bench.backlog.find(n, (candidate) => candidate === run)?.run).toBe(run)
  }
  expect(bench.backlog.find(5, () => false)).toBeUndefined()
  expect(bench.backlog.find(10_000, (candidate) => candidate.id === '10000')).toBeUndefined()
  expect(bench.backlog.size).toBe(600)
})

test('what waits is listed from a number on, and never fewer than the limit asks for', () => {
  const bench = new Bench()
  for (let n = 0; n < 1000; n++) bench.push()
  const from = (seq: number, limit: number): number[] =>
    [...bench.backlog.waiting(seq, limit)].map(({ run }) => Number(run.id)).filter((n) => n >= seq)
  for (const [seq, limit] of [
    [0, 5],
    [300, 10],
    [511, 300],
    [512, 300],
    [990, 100],
  ] as const) {
    const expected = Array.from({ length: Math.min(limit, 1000 - seq) }, (_, n) => seq + n)
    expect(from(seq, limit).slice(0, limit)).toEqual(expected)
  }
})

test('places that were only reserved are passed over', () => {
  const bench = new Bench()
  for (let n = 0; n < 300; n++) bench.reserve()
  const run = bench.push()
  bench.reserve()
  expect(bench.takeAll()).toEqual([run.id])
  const lifo = new Bench('lifo')
  const [first] = [lifo.push()]
  for (let n = 0; n < 300; n++) lifo.reserve()
  expect(lifo.takeAll()).toEqual([first?.id])
})

test('a command that comes back after its bucket was forgotten is still before younger ones', () => {
  const bench = new Bench()
  bench.push(5)
  bench.push(1000)
  const old = bench.backlog.take() as Entry
  expect(old.run.id).toBe('0')
  const young = bench.push(5)
  bench.backlog.putBack(old)
  expect(bench.takeAll()).toEqual(['0', young.id, '1'])
})

test('commands of any number of priorities leave nothing behind', () => {
  const bench = new Bench()
  for (let priority = 0; priority < 2000; priority++) bench.push(1999 - priority)
  expect(bench.takeAll().map(Number)).toEqual(Array.from({ length: 2000 }, (_, n) => 1999 - n))
  expect(bench.backlog.size).toBe(0)
})
