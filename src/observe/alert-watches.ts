/**
 * What watches one lane for alerts: each kind judges its own value, when a fact of the lane changes it and, while an alert
 * is up, when time alone may end it.
 */
import { type Clock, formatDuration, type LaneFact, type ObservedLane } from '../core/index.js'
import { RecentTally } from '../policy/index.js'
import type { AlertKind, AlertLevel, Thresholds } from './alert.js'
import type { LaneAlertOptions, RatioThresholds, WindowThresholds } from './alert-config.js'
import { BackgroundTimer } from './background-timer.js'

/** What a watch has found. */
export type Finding = {
  readonly kind: AlertKind
  readonly value: number
  readonly thresholds: Thresholds
  /** The message for a level and the threshold that goes with it. */
  readonly message: (level: AlertLevel, threshold: number) => string
  /** The threshold to tell, where it is not the level's. */
  readonly threshold?: number
}

/** Who decides what a finding means: whether the level is another one, and who is told. Gives the level. */
type Judge = (finding: Finding) => AlertLevel

/** Watches one kind of one lane. */
export interface Watch {
  told?(fact: LaneFact, value: number, limit: number): void
  /** More or fewer commands wait. */
  changed?(): void
  /** No timer is left. */
  end(): void
}

/** What a watch is made with. */
export type WatchHost = { readonly clock: Clock; readonly lane: ObservedLane; readonly judge: Judge }

/** Ends of attempts that say how long they ran. */
const TIMED: readonly LaneFact[] = ['completed', 'failed', 'timed_out', 'retried']
const FAILED: readonly LaneFact[] = ['failed', 'timed_out', 'retried']

const noTimer = (): void => undefined

/** A minute: how long what nobody has seen again is remembered. */
const MINUTE_MS = 60_000

/** Thresholds that may be changed at any time. */
export type Changing = {
  readonly depth: () => Thresholds | undefined
  readonly latency: () => Thresholds | undefined
}

/** The watches of a lane. */
export function watchesOf(host: WatchHost, options: LaneAlertOptions, { depth, latency }: Changing): Watch[] {
  const { oldestAge, deadLetterRate, failureRatio, breaker = true, starvation = true } = options
  return [
    watchDepth(host, depth),
    watchLatency(host, latency),
    ...(oldestAge === undefined ? [] : [watchAge(host, oldestAge)]),
    ...(deadLetterRate === undefined ? [] : [watchDeadLetters(host, deadLetterRate)]),
    ...(failureRatio === undefined ? [] : [watchFailures(host, failureRatio)]),
    ...(breaker ? [watchBreaker(host)] : []),
    ...(starvation ? [watchStarvation(host)] : []),
  ]
}

export const depthMessage = (value: number, level: AlertLevel, threshold: number): string =>
  `Queue depth ${wordOf(level)}: ${value} (threshold: ${threshold})`

export const latencyMessage = (value: number, level: AlertLevel, threshold: number): string =>
  `Latency ${wordOf(level)}: ${value.toFixed(2)}ms (threshold: ${threshold.toFixed(2)}ms)`

const wordOf = (level: AlertLevel): string => (level === 'info' ? 'resolved' : level)

function watchDepth({ lane, judge }: WatchHost, thresholdsOf: () => Thresholds | undefined): Watch {
  let isUp = false
  return {
    changed: () => {
      const thresholds = thresholdsOf() ?? NEVER
      const value = lane.pending
      if (!isUp && value < thresholds.warning) return
      const message = depthMessage.bind(undefined, value)
      isUp = judge({ kind: 'queue_depth', value, thresholds, message }) !== 'info'
    },
    end: noTimer,
  }
}

/** Thresholds of what is not watched any more: an alert that is up ends. */
const NEVER: Thresholds = { warning: Number.MAX_VALUE, critical: Number.MAX_VALUE }

/** Attempts in a row that have to be quick before a slow one is forgotten. */
const RECOVERY = 5

/** One slow attempt raises it; it ends when the slowest of the last five is quick, or when none has ended for a minute. */
function watchLatency({ clock, judge }: WatchHost, thresholdsOf: () => Thresholds | undefined): Watch {
  const recent: number[] = []
  const look = (): void => {
    const thresholds = thresholdsOf() ?? NEVER
    const value = Math.max(0, ...recent)
    const message = latencyMessage.bind(undefined, value)
    if (judge({ kind: 'latency', value, thresholds, message }) === 'info') forget.clear()
    else forget.set(MINUTE_MS)
  }
  const forget = new BackgroundTimer(clock, () => {
    recent.length = 0
    look()
  })
  return {
    told: (fact, ranMs) => {
      if (ranMs < 0 || !TIMED.includes(fact)) return
      // The timer stands while the alert is up.
      if (!forget.isSet && ranMs < (thresholdsOf() ?? NEVER).warning) return
      recent.push(ranMs)
      if (recent.length > RECOVERY) recent.shift()
      look()
    },
    end: () => forget.clear(),
  }
}

/** Told by time alone: asks at the instant at which the oldest command reaches the next threshold. */
function watchAge({ clock, lane, judge }: WatchHost, thresholds: Thresholds): Watch {
  let isUp = false
  const look = (): void => {
    const value = lane.oldestAgeMs()
    const level = judge({
      kind: 'oldest_age',
      value,
      thresholds,
      message: (to, threshold) =>
        `Oldest waiting command ${wordOf(to)}: ${formatDuration(Math.round(value))} (threshold: ${formatDuration(threshold)})`,
    })
    isUp = level !== 'info'
    if (lane.pending === 0) return timer.clear()
    const { warning, critical } = thresholds
    const next = { info: warning, warning: critical, critical: Number.POSITIVE_INFINITY }[level] - value
    // While it is up, its end is looked for now and then: the oldest command may have started.
    const recheck = Math.max(1, warning / 10)
    timer.set(isUp ? Math.min(Math.max(next, 1), recheck) : Math.max(next, 1))
  }
  const timer = new BackgroundTimer(clock, look)
  return {
    changed: () => {
      // A timer that nobody needs any more is left: backlogs come and go much faster.
      if (lane.pending === 0 ? isUp : !timer.isSet) look()
    },
    end: () => timer.clear(),
  }
}

function watchDeadLetters({ clock, judge }: WatchHost, options: WindowThresholds): Watch {
  const { windowMs = MINUTE_MS } = options
  const letters = new RecentTally(windowMs)
  const look = (): void => {
    letters.moveTo(clock.now())
    const { count: value } = letters
    const level = judge({
      kind: 'dead_letter_rate',
      value,
      thresholds: options,
      message: (to, threshold) =>
        `Dead letters ${wordOf(to)}: ${value} in ${formatDuration(windowMs)} (threshold: ${threshold})`,
    })
    if (level !== 'info') timer.set(windowMs / 10)
  }
  const timer = new BackgroundTimer(clock, look)
  return {
    told: (fact) => {
      if (fact !== 'dead_lettered') return
      letters.add(false, clock.now())
      look()
    },
    end: () => timer.clear(),
  }
}

function watchFailures({ clock, judge }: WatchHost, options: RatioThresholds): Watch {
  const { windowMs = MINUTE_MS, minimum = 10 } = options
  const ended = new RecentTally(windowMs)
  let last = 0
  const look = (mayRise: boolean): void => {
    ended.moveTo(clock.now())
    const { count, marked } = ended
    const share = count < minimum ? 0 : marked / count
    const value = mayRise ? share : Math.min(share, last)
    last = value
    const level = judge({
      kind: 'failure_ratio',
      value,
      thresholds: options,
      message: (to, threshold) => `Failure ratio ${wordOf(to)}: ${percent(value)} (threshold: ${percent(threshold)})`,
    })
    if (level !== 'info') timer.set(windowMs / 10)
  }
  // That successes leave the window makes nothing worse.
  const timer = new BackgroundTimer(clock, () => look(false))
  return {
    told: (fact, ranMs) => {
      if (ranMs < 0 || !TIMED.includes(fact)) return
      ended.add(FAILED.includes(fact), clock.now())
      look(true)
    },
    end: () => timer.clear(),
  }
}

const percent = (share: number): string => `${(share * 100).toFixed(2)}%`

/** 1 while the breaker is open, 0.5 while it is half open. */
function watchBreaker({ judge }: WatchHost): Watch {
  const states: Partial<Record<LaneFact, readonly [number, string]>> = {
    breaker_open: [1, 'open: the lane starts nothing'],
    breaker_half_open: [0.5, 'half open: the lane tries a command'],
    breaker_closed: [0, 'closed'],
  }
  return {
    told: (fact) => {
      const state = states[fact]
      if (state === undefined) return
      const [value, text] = state
      const message = (level: AlertLevel): string => `Circuit breaker ${wordOf(level)}: ${text}`
      judge({ kind: 'breaker', value, thresholds: { warning: 0.5, critical: 1 }, message })
    },
    end: noTimer,
  }
}

/** Told before the breach: at the last step before a command's deadline, and once more when that has passed. */
function watchStarvation({ clock, judge }: WatchHost): Watch {
  let deadlineMs = 0
  let dueAt = 0
  const look = (waitedMs: number): void => {
    const isOver = waitedMs < 0
    const message = (level: AlertLevel): string =>
      isOver
        ? `Starvation ${wordOf(level)}: no waiting command is close to its deadline`
        : `Starvation ${wordOf(level)}: a command has waited ${formatDuration(Math.round(waitedMs))} of ${formatDuration(deadlineMs)}`
    const value = Math.max(0, waitedMs)
    const thresholds = isOver ? NEVER : { warning: Math.min(value, deadlineMs), critical: deadlineMs }
    judge({ kind: 'starvation', value, thresholds, message, threshold: deadlineMs })
  }
  const timer = new BackgroundTimer(clock, () => look(deadlineMs + Math.max(0, clock.now() - dueAt)))
  return {
    told: (fact, waitedMs, limit) => {
      if (fact === 'relieved') {
        timer.clear()
        look(-1)
      } else if (fact === 'starving') {
        deadlineMs = limit
        dueAt = clock.now() + limit - waitedMs
        look(waitedMs)
        if (waitedMs < limit) timer.set(limit - waitedMs)
      }
    },
    end: () => timer.clear(),
  }
}
