import { VirtualClock } from '@a3s-lab/lane/testing'
import { expect, test, vi } from 'vitest'
import { errorOf } from '../../support/setup.js'

test('time stands still until it is moved', async () => {
  const clock = new VirtualClock()
  expect([clock.now(), clock.wallNow()]).toEqual([0, Date.UTC(2026, 0, 1)])
  await clock.settle()
  expect(clock.now()).toBe(0)
  await clock.advance(1500)
  expect([clock.now(), clock.wallNow()]).toEqual([1500, Date.UTC(2026, 0, 1) + 1500])
})

test('a clock may start at any time, and its wall clock may be moved alone', () => {
  const clock = new VirtualClock({ startAt: new Date(0) })
  expect(clock.wallNow()).toBe(0)
  clock.stepWall(-100)
  expect([clock.wallNow(), clock.now()]).toEqual([-100, 0])
})

test('timers fire in order of their instants, then of their setting, each at its own time', async () => {
  const clock = new VirtualClock()
  const fired: string[] = []
  const set = (ms: number, name: string): unknown => clock.setTimer(ms, () => fired.push(`${name} ${clock.now()}`))
  set(20, 'c')
  set(10, 'a')
  set(10, 'b')
  set(-5, 'now')
  clock.clearTimer(set(15, 'never') as object)
  expect(clock.timers).toBe(4)
  await clock.advance(20)
  expect(fired).toEqual(['now 0', 'a 10', 'b 10', 'c 20'])
  expect(clock.timers).toBe(0)
})

test('promises settle between timers', async () => {
  const clock = new VirtualClock()
  const seen: string[] = []
  clock.setTimer(10, () => void Promise.resolve().then(() => seen.push('after the first')))
  clock.setTimer(10, () => seen.push('second'))
  await clock.advance(10)
  expect(seen).toEqual(['after the first', 'second'])
})

test('a timer that sets another in time has it fired too', async () => {
  const clock = new VirtualClock()
  const fired: number[] = []
  const again = (): void => {
    fired.push(clock.now())
    clock.setTimer(10, again)
  }
  clock.setTimer(10, again)
  await clock.advance(35)
  expect(fired).toEqual([10, 20, 30])
})

test('time passes to the end of all timers, or to a limit', async () => {
  const clock = new VirtualClock()
  clock.setTimer(1000, () => clock.setTimer(500, () => {}))
  await clock.advanceToEnd()
  expect([clock.now(), clock.timers]).toEqual([1500, 0])
  clock.setTimer(5000, () => {})
  await clock.advanceToEnd(100)
  expect([clock.now(), clock.timers]).toEqual([1500, 1])
})

test.each([-1, Number.NaN, Number.POSITIVE_INFINITY])('time cannot be moved by %d', async (ms) => {
  expect((await errorOf(new VirtualClock().advance(ms))).message).toBe(
    `advance takes 0 or more milliseconds, got ${ms}`,
  )
})

test('a promise that waits for time that nobody advances is told apart from one that does not', async () => {
  const clock = new VirtualClock()
  expect(await clock.expectSettled(Promise.resolve(5))).toBe(5)
  const waiting = new Promise<void>((resolve) => void clock.setTimer(10, resolve))
  expect((await errorOf(clock.expectSettled(waiting))).message).toBe(
    'The promise waits on time that nobody advances; 1 timers are set',
  )
})

test('a host without setImmediate settles by its timers', async () => {
  vi.stubGlobal('setImmediate', undefined)
  try {
    const seen: string[] = []
    void Promise.resolve().then(() => seen.push('settled'))
    await new VirtualClock().settle()
    expect(seen).toEqual(['settled'])
  } finally {
    vi.unstubAllGlobals()
  }
})
