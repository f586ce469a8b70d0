import { expect, test } from 'vitest'
import type { Backlog } from '../../../src/core/backlog.js'
import type { Entry } from '../../../src/core/entry.js'
import { LaneState } from '../../../src/core/lane.js'
import { createRun, type Run } from '../../../src/core/run.js'

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

test('commands are taken out wherever they stand, once, and the others keep their order', () => {
  for (const order of ['fifo', 'lifo'] as const) {
    const bench = new Bench(order)
    const runs = Array.from({ length: 600 }, () => bench.push())
    const outNumbers = new Set([0, 1, 2, 255, 256, 300, 511, 512, 598, 599])
    for (const n of outNumbers) {
      expect(bench.backlog.extract(runs[n] as Run, n)).toBe(true)
      expect(bench.backlog.extract(runs[n] as Run, n)).toBe(false)
    }
    const left = runs.map(({ id }) => id).filter((id) => !outNumbers.has(Number(id)))
    expect(bench.backlog.size).toBe(590)
    expect(bench.takeAll()).toEqual(order === 'fifo' ? left : left.reverse())
  }
})

test('commands that come back are taken by their places, and may be taken out again', () => {
  for (const order of ['fifo', 'lifo'] as const) {
    const bench = new Bench(order)
    for (let n = 0; n < 6; n++) void bench.push()
    const entries = Array.from({ length: 6 }, () => bench.backlog.take() as Entry)
    const byNumber = new Map(entries.map((entry) => [entry.run.id, entry]))
    const late = bench.push()
    for (const id of ['4', '0', '2']) bench.backlog.putBack(byNumber.get(id) as Entry)
    expect(bench.backlog.extractReturned(byNumber.get('2') as Entry)).toBe(true)
    expect(bench.backlog.extractReturned(byNumber.get('2') as Entry)).toBe(false)
    expect(bench.backlog.extractReturned(byNumber.get('1') as Entry)).toBe(false)
    expect(bench.takeAll()).toEqual(order === 'fifo' ? ['0', '4', late.id] : [late.id, '4', '0'])
  }
})

test('an order that is turned round holds for what waits and for what came back', () => {
  const bench = new Bench()
  for (let n = 0; n < 4; n++) void bench.push()
  const [zero, one] = [bench.backlog.take(), bench.backlog.take()] as [Entry, Entry]
  bench.backlog.putBack(one)
  bench.backlog.putBack(zero)
  bench.backlog.setLifo(false)
  bench.backlog.setLifo(true)
  expect(bench.takeAll()).toEqual(['3', '2', '1', '0'])
})

test('a command knows when it arrived, whatever arrived with it', () => {
  const bench = new Bench()
  const times = [0, 0, 5, 5, 5, 7, 9, 9, 12]
  for (const now of times) void bench.push(1000, now)
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
  for (let n = 0; n < 1000; n++) void bench.push()
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
  void bench.push(5)
  void bench.push(1000)
  const old = bench.backlog.take() as Entry
  expect(old.run.id).toBe('0')
  const young = bench.push(5)
  bench.backlog.putBack(old)
  expect(bench.takeAll()).toEqual(['0', young.id, '1'])
})

test('commands of any number of priorities leave nothing behind', () => {
  const bench = new Bench()
  for (let priority = 0; priority < 2000; priority++) void bench.push(1999 - priority)
  expect(bench.takeAll().map(Number)).toEqual(Array.from({ length: 2000 }, (_, n) => 1999 - n))
  expect(bench.backlog.size).toBe(0)
})

test('what came back is listed with what waits', () => {
  const bench = new Bench()
  void bench.push(1000, 7)
  void bench.push(1000, 9)
  bench.backlog.putBack(bench.backlog.take() as Entry)
  const listed = [...bench.backlog.waiting()].map(({ run, body, priority, arrivedAt }) => [
    run.id,
    body,
    priority,
    arrivedAt,
  ])
  expect(listed).toEqual([
    ['1', 'body 1', 1000, 9],
    ['0', 'body 0', 1000, 7],
  ])
})

test('an order is turned round over buckets with and without commands that came back', () => {
  const bench = new Bench()
  for (const priority of [5, 5, 1000, 1000]) void bench.push(priority)
  bench.backlog.putBack(bench.backlog.take() as Entry)
  bench.backlog.setLifo(true)
  expect(bench.takeAll()).toEqual(['1', '0', '3', '2'])
})

test('a bucket that holds nothing but what came back has nobody else', () => {
  const bench = new Bench()
  for (let n = 0; n < 256; n++) void bench.push()
  const entries = Array.from({ length: 256 }, () => bench.backlog.take() as Entry)
  const back = entries[200] as Entry
  bench.backlog.putBack(back)
  expect(bench.backlog.find(10, ({ id }) => id === '10')).toBeUndefined()
  expect(bench.backlog.extract(back.run, 200)).toBe(false)
  expect(bench.takeAll()).toEqual(['200'])
})
