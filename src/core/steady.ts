/**
 * A clock and a source of random numbers that the user injected, made safe to call in the middle of a step: one that
 * throws would leave a slot taken, a count off, or a run without its answer.
 *
 * A call that throws is made once more, and the fault is told, a microtask later so that no listener hears of it in the
 * middle of the step. When it throws again, time stands still and chance is even; a timer that cannot be set does not fire.
 */
import type { Clock, Timer } from './clock.js'
import type { Random } from './random.js'

type Report = (error: unknown) => void

export function steadyClock(clock: Clock, report: Report): Clock {
  let now = 0
  let wall = 0
  const tell = later(report)
  return {
    now: () => {
      now = again(() => clock.now(), now, tell)
      return now
    },
    wallNow: () => {
      wall = again(() => clock.wallNow(), wall, tell)
      return wall
    },
    setTimer: (delayMs, fire, isBackground) =>
      again<Timer | undefined>(() => clock.setTimer(delayMs, fire, isBackground), undefined, tell) ?? {},
    clearTimer: (timer) => again(() => clock.clearTimer(timer), undefined, tell),
    ...(clock.nextTurn === undefined
      ? {}
      : { nextTurn: (fire) => again(() => clock.nextTurn?.(fire), undefined, tell) }),
  }
}

export function steadyRandom(random: Random, report: Report): Random {
  const tell = later(report)
  return { next: () => again(() => random.next(), 0.5, tell) }
}

function again<T>(call: () => T, otherwise: T, tell: Report): T {
  try {
    return call()
  } catch (error) {
    tell(error)
  }
  try {
    return call()
  } catch {
    return otherwise
  }
}

/** Tells of one fault at a time: what tells of it asks the time too. */
function later(report: Report): Report {
  let isTelling = false
  return (error) => {
    if (isTelling) return
    isTelling = true
    void Promise.resolve().then(() => {
      report(error)
      isTelling = false
    })
  }
}
