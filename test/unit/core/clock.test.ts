import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { instantMs, instantText, systemClock } from '../../../src/core/clock.js'

// The one file whose subject is the machine's timers: here they are the ones that are stood in for.
beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance', 'Date'] })
})
afterEach(() => {
  vi.useRealTimers()
  vi.restoreAllMocks()
})

test('the clock of the machine tells monotonic and wall time', () => {
  const [now, wall] = [systemClock.now(), systemClock.wallNow()]
  vi.advanceTimersByTime(250)
  expect(systemClock.now() - now).toBe(250)
  expect(systemClock.wallNow() - wall).toBe(250)
})

test('a timer fires once, after its delay', () => {
  const fire = vi.fn()
  systemClock.setTimer(100, fire)
  vi.advanceTimersByTime(99)
  expect(fire).not.toHaveBeenCalled()
  vi.advanceTimersByTime(1000)
  expect(fire).toHaveBeenCalledOnce()
})

test('a timer that is cleared does not fire', () => {
  const fire = vi.fn()
  systemClock.clearTimer(systemClock.setTimer(100, fire))
  vi.advanceTimersByTime(1000)
  expect(fire).not.toHaveBeenCalled()
})

test('a timer beyond the longest one of the host waits for all of its delay, and can still be cleared', () => {
  const days = 30 * 24 * 3_600_000
  const [fire, never] = [vi.fn(), vi.fn()]
  systemClock.setTimer(days, fire)
  const timer = systemClock.setTimer(days, never)
  vi.advanceTimersByTime(days - 1)
  expect(fire).not.toHaveBeenCalled()
  systemClock.clearTimer(timer)
  vi.advanceTimersByTime(1)
  expect(fire).toHaveBeenCalledOnce()
  expect(never).not.toHaveBeenCalled()
})

test('a host timer that fires a fraction too early is set again', () => {
  const fire = vi.fn()
  const start = performance.now()
  const now = vi.spyOn(performance, 'now').mockReturnValue(start)
  systemClock.setTimer(10, fire)
  now.mockReturnValue(start + 9.5)
  vi.advanceTimersByTime(10)
  expect(fire).not.toHaveBeenCalled()
  now.mockReturnValue(start + 10.5)
  vi.advanceTimersByTime(1)
  expect(fire).toHaveBeenCalledOnce()
})

test('an instant is read from a number, a Date or a text, and written in UTC', () => {
  const at = Date.UTC(2026, 0, 1)
  expect([instantMs(at), instantMs(new Date(at)), instantMs('2026-01-01T01:00:00+01:00')]).toEqual([at, at, at])
  expect(instantMs('soon')).toBeNaN()
  expect(instantText(at)).toBe('2026-01-01T00:00:00.000Z')
})
