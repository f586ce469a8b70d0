import { expect, test } from 'vitest'
import { LaneState } from '../../../src/core/lane.js'
import type { LaneOptions } from '../../../src/core/lane-options.js'
import { createRun } from '../../../src/core/run.js'
import { Scheduler } from '../../../src/core/scheduler.js'

type Definition = LaneOptions & { readonly priority: number; readonly waiting?: number }

/** Lanes with this many commands waiting in each, under a cap. */
function bench(cap: number, definitions: Record<string, Definition>) {
  const scheduler = new Scheduler(cap)
  const lanes = Object.entries(definitions).map(
    ([id, { priority, waiting: _waiting, ...options }]) => new LaneState(id, options, priority),
  )
  scheduler.add(lanes)
  let seq = 0
  const submit = (lane: LaneState): void => {
    const run = createRun(String(seq), lane.id, 'x', 'pending', {} as never)
    lane.backlog.push(run, undefined, 1000, lane.limits.attempt, 0, seq++)
    scheduler.update(lane)
  }
  for (const lane of lanes) for (let n = definitions[lane.id]?.waiting ?? 0; n > 0; n--) submit(lane)
  const start = (): string | undefined => {
    const lane = scheduler.next()
    if (lane === undefined) return undefined
    lane.backlog.take()
    scheduler.acquire(lane)
    scheduler.update(lane)
    return lane.id
  }
  const end = (lane: LaneState): void => {
    scheduler.release(lane)
    scheduler.update(lane)
  }
  return { scheduler, lanes, submit, start, end, byId: Object.fromEntries(lanes.map((lane) => [lane.id, lane])) }
}

const startAll = (start: () => string | undefined): string[] => {
  const ids: string[] = []
  for (let id = start(); id !== undefined; id = start()) ids.push(id)
  return ids
}

test('without work no lane is chosen', () => {
  expect(bench(10, { a: { priority: 0 } }).start()).toBeUndefined()
})

test('lanes are chosen by priority, over all priorities there are', () => {
  const definitions = Object.fromEntries(
    Array.from({ length: 256 }, (_, n) => [String(255 - n), { priority: 255 - n, waiting: 1 }]),
  )
  const { start } = bench(Number.POSITIVE_INFINITY, definitions)
  expect(startAll(start).map(Number)).toEqual(Array.from({ length: 256 }, (_, n) => n))
})

test('lanes of one rank take turns, also when one of them comes late or leaves', () => {
  const { start, submit, byId } = bench(Number.POSITIVE_INFINITY, {
    a: { priority: 1, maxConcurrency: 100, waiting: 3 },
    b: { priority: 1, maxConcurrency: 100, waiting: 1 },
    c: { priority: 1, maxConcurrency: 100 },
  })
  expect([start(), start()]).toEqual(['a', 'b'])
  for (let n = 0; n < 3; n++) submit(byId['c'] as LaneState)
  expect(startAll(start)).toEqual(['a', 'c', 'a', 'c', 'c'])
})

test('a lane that was passed over because slots are held back for another keeps its turn', () => {
  const { start, submit, end, byId } = bench(3, {
    x: { priority: 1, minConcurrency: 2, waiting: 1 },
    y: { priority: 1, minConcurrency: 1, lend: false, maxConcurrency: 2 },
    z: { priority: 9, minConcurrency: 0, waiting: 1 },
  })
  expect(startAll(start)).toEqual(['x', 'z'])
  const { x, y, z } = byId as Record<string, LaneState>
  submit(x as LaneState)
  expect(start()).toBeUndefined()
  submit(y as LaneState)
  submit(y as LaneState)
  expect(startAll(start)).toEqual(['y'])
  end(z as LaneState)
  expect(startAll(start)).toEqual(['x'])
})

test('two of three lanes of one rank are passed over', () => {
  const { start, submit, byId } = bench(4, {
    x: { priority: 1, minConcurrency: 2, waiting: 1 },
    w: { priority: 1, minConcurrency: 1, lend: true },
    y: { priority: 1, minConcurrency: 1, lend: false, maxConcurrency: 3 },
    z: { priority: 9, minConcurrency: 0, waiting: 2 },
  })
  expect(startAll(start)).toEqual(['x', 'z', 'z'])
  for (const id of ['x', 'w', 'y', 'y']) submit(byId[id] as LaneState)
  expect(startAll(start)).toEqual(['y'])
})

test('a place that is taken and given back in its lane alone counts for what is held back', () => {
  const { scheduler, start, byId } = bench(3, {
    own: { priority: 5, minConcurrency: 1, lend: false },
    shared: { priority: 1, minConcurrency: 0, waiting: 5 },
  })
  expect(startAll(start)).toEqual(['shared', 'shared'])
  const own = byId['own'] as LaneState
  scheduler.acquireInLane(own)
  expect(startAll(start)).toEqual(['shared'])
  scheduler.release(byId['shared'] as LaneState)
  scheduler.releaseInLane(own)
  expect(start()).toBeUndefined()
})

test('lanes that do not fit are not taken in', () => {
  const scheduler = new Scheduler(2)
  const lane = new LaneState('a', { minConcurrency: 3 }, 0)
  expect(() => scheduler.add([lane])).toThrow(/at most the global maxConcurrency/)
  expect(scheduler.next()).toBeUndefined()
})
