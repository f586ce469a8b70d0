/**
 * The only place that touches the machine's clocks and timers. Everything else gets a `Clock`, so a test can drive time
 * by hand. Inside, time is monotonic: a step of the wall clock moves no timeout. Wall time is for people: timestamps.
 */

/** A timer that was set; give it back to `clearTimer`. */
export type Timer = { readonly __timer?: never } | number | object

/** Time as a service. `now` is monotonic milliseconds from an arbitrary origin, `wallNow` is Unix time in milliseconds. */
export interface Clock {
  now(): number
  wallNow(): number
  /**
   * Calls `fire` once, no earlier than `delayMs` from now. The delay may exceed 2^31-1 ms. A timer in the background keeps
   * no process alive, where the platform knows such timers.
   */
  setTimer(delayMs: number, fire: () => void, isBackground?: boolean): Timer
  clearTimer(timer: Timer): void
  /**
   * Calls `fire` in the next turn of the event loop, when timers and I/O had theirs. A clock without it has one endless
   * turn: what would wait for the next one is done at once.
   */
  nextTurn?(fire: () => void): void
}

/** Longest delay that a host timer takes; a longer one fires at once. */
const LONGEST_TIMER_MS = 2_147_483_647

class SystemTimer {
  handle: unknown
  readonly dueAt: number
  readonly fire: () => void
  readonly isBackground: boolean

  constructor(dueAt: number, fire: () => void, isBackground: boolean) {
    this.dueAt = dueAt
    this.fire = fire
    this.isBackground = isBackground
  }
}

/** The machine's clock. */
export const systemClock: Clock = {
  now: () => performance.now(),
  wallNow: () => Date.now(),
  setTimer(delayMs, fire, isBackground = false) {
    const timer = new SystemTimer(performance.now() + delayMs, fire, isBackground)
    arm(timer, delayMs)
    return timer
  },
  clearTimer(timer) {
    clearTimeout((timer as SystemTimer).handle as Parameters<typeof clearTimeout>[0])
  },
  nextTurn(fire) {
    const { setImmediate: immediately } = globalThis as { setImmediate?: (fire: () => void) => void }
    if (immediately === undefined) setTimeout(fire, 0)
    else immediately(fire)
  },
}

/** Sets the host timer for the rest of the delay, in pieces that it can take. It may fire a fraction of a millisecond early. */
function arm(timer: SystemTimer, delayMs: number): void {
  timer.handle = setTimeout(
    () => {
      const left = timer.dueAt - performance.now()
      if (left > 0) arm(timer, left)
      else timer.fire()
    },
    Math.min(Math.ceil(delayMs), LONGEST_TIMER_MS),
  )
  if (timer.isBackground) (timer.handle as { unref?: () => void }).unref?.()
}

let lastInstant = Number.NaN
let lastText = ''

/** An instant as RFC 3339 text in UTC. Events come many to a millisecond, and making the text costs more than an event. */
export function instantText(wallMs: number): string {
  const instant = Math.floor(wallMs)
  if (instant !== lastInstant) {
    lastText = new Date(instant).toISOString()
    lastInstant = instant
  }
  return lastText
}

/** Reads an instant given as a Date, Unix milliseconds or RFC 3339 text; NaN when it is none of them. */
export function instantMs(value: unknown): number {
  if (typeof value === 'number') return value
  return typeof value === 'string' || value instanceof Date ? new Date(value).getTime() : Number.NaN
}
