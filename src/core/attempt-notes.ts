/** What is noted of an attempt that is over: its error, its span, and how long it ran. */
import type { QueueCore } from './core.js'
import type { Entry } from './entry.js'
import { errorText } from './errors.js'
import type { LaneFact } from './observation.js'
import type { AttemptEnd } from './tracing.js'

/** Tells who measures the lane how an attempt ended, and how long it ran; -1 when there was none. */
export function tellFact(core: QueueCore, { lane, attempt, startedAt, endedAt }: Entry, fact: LaneFact): void {
  if (lane.observer === undefined) return
  const now = endedAt ?? core.turnTime()
  lane.observer(fact, attempt === 0 ? -1 : Math.max(0, now - (startedAt as number)), 0)
}

/** The attempt is over: so is its span, if it has one. */
export function endSpan({ details }: Entry, how: AttemptEnd, error?: unknown, delayMs = 0): void {
  if (details?.span === undefined) return
  const { span } = details
  details.span = undefined
  span.end(how, error, delayMs)
}

/** Keeps the error of an attempt. */
export function noteFailure(core: QueueCore, entry: Entry, error: unknown): void {
  const at = core.instant(core.turnTime())
  entry.more.history ??= []
  entry.more.history.push({ attempt: entry.attempt, error: errorText(error), at })
}
