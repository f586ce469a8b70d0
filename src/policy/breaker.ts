/**
 * A circuit breaker for one lane: when too many attempts fail, it starts nothing for a while, then lets a few commands
 * through to see whether what they depend on is back (M. Nygard, "Release It!", 2007).
 *
 *              enough ended, enough of them failed             openMs later
 *     closed ──────────────────────────────────────► open ◄──────────────────► half open
 *        ▲                                                  a trial has failed     │
 *        └─────────────────────────────────────────────────────────────────────────┘
 *                          `halfOpen` trials in a row have succeeded
 *
 * What counts while it is closed: the attempts that ended in the last `windowMs`.
 *
 * While it is open or half open, attempts that had been started before still end. They say nothing about now and are
 * not counted. `ended` tells them from trials by the instant of their start, and there are no more of them than were under
 * way: an instant that is wrong cannot make it wait for ever for a trial that has ended.
 */
import { configInvalid } from '../core/errors.js'
import type { Ask, Gate, Reason } from './gate.js'
import { checkCount, checkDuration, checkFields } from './option-checks.js'
import { RecentTally } from './recent-tally.js'

/** Options of a breaker. */
export type BreakerOptions = {
  /** Opens when at least this share of the attempts failed or timed out. Above 0, at most 1. */
  readonly failureRatio: number
  /** Attempts that must have ended before it may open. Default 10. */
  readonly minimum?: number | undefined
  /** How long an ended attempt counts, in milliseconds. Default 10,000. */
  readonly windowMs?: number | undefined
  /** How long it starts nothing, in milliseconds. Default 30,000. */
  readonly openMs?: number | undefined
  /** Commands that are let through after that; when all of them succeed it closes. Default 1. */
  readonly halfOpen?: number | undefined
}

/** Checked options with every default filled in. */
export type BreakerLimits = {
  readonly failureRatio: number
  readonly minimum: number
  readonly windowMs: number
  readonly openMs: number
  readonly halfOpen: number
}

/** Whether commands are let through: all, none, or a few on trial. */
export type BreakerState = 'closed' | 'open' | 'half_open'

/** Checks a breaker's options and fills in the defaults. `where` names them in messages. */
export function breakerOptions(where: string, value: unknown): BreakerLimits {
  checkFields(where, value, ['failureRatio', 'minimum', 'windowMs', 'openMs', 'halfOpen'])
  const { failureRatio, minimum = 10, windowMs = 10_000, openMs = 30_000, halfOpen = 1 } = value as BreakerOptions
  if (typeof failureRatio !== 'number' || !(failureRatio > 0 && failureRatio <= 1)) {
    throw configInvalid(`${where}.failureRatio`, 'a number above 0, at most 1', failureRatio)
  }
  checkCount(`${where}.minimum`, minimum)
  checkDuration(`${where}.windowMs`, windowMs)
  checkDuration(`${where}.openMs`, openMs)
  checkCount(`${where}.halfOpen`, halfOpen)
  return { failureRatio, minimum, windowMs, openMs, halfOpen }
}

/** The breaker of one lane. Time is what its callers say; a step backwards counts as none. */
export class Breaker implements Gate {
  #limits: BreakerLimits
  readonly #onChange: (state: BreakerState) => void
  #record: RecentTally
  #state: BreakerState = 'closed'
  /** When it opened last. Every attempt started by then is older than any trial. */
  #openedAt = Number.NEGATIVE_INFINITY
  /** What it opened for, in words. */
  #cause = ''
  /** Attempts under way, and those of them that were when it opened last. */
  #underWay = 0
  #older = 0
  /** Trials under way, and those that have succeeded. */
  #trials = 0
  #succeeded = 0

  /** `onChange` hears of every change of state, when it happens; of 'half_open' when the first trial starts. */
  constructor(limits: BreakerLimits, onChange: (state: BreakerState) => void) {
    this.#limits = limits
    this.#onChange = onChange
    this.#record = new RecentTally(limits.windowMs)
  }

  /** The state at this instant: an open breaker is half open as soon as its time is over. */
  state(now: number): BreakerState {
    return this.#state === 'open' && now >= this.#openUntil ? 'half_open' : this.#state
  }

  readyAt(_ask: Ask, now: number): number {
    if (this.#state === 'open') return Math.max(now, this.#openUntil)
    return this.#state === 'closed' || this.#hasTrialLeft ? now : Number.POSITIVE_INFINITY
  }

  started(_ask: Ask, now: number): void {
    this.#underWay++
    if (this.#state === 'open' && now >= this.#openUntil) {
      this.#trials = 0
      this.#succeeded = 0
      this.#enter('half_open')
    }
    if (this.#state === 'half_open') this.#trials++
  }

  /**
   * An attempt has ended: to be called once for each `started`. `startedAt` is the instant of that start; without it every
   * end counts as a trial's while trials are under way.
   */
  ended(how: 'success' | 'failure' | 'neutral', now: number, startedAt = Number.POSITIVE_INFINITY): void {
    // An attempt may be older than the breaker, which then has not seen it start.
    if (this.#underWay > 0) this.#underWay--
    if (this.#state === 'closed') {
      if (how !== 'neutral') this.#count(how === 'failure', now)
    } else if (this.#older > 0 && startedAt <= this.#openedAt) this.#older--
    else if (this.#state === 'half_open' && this.#trials > 0) this.#trialEnded(how, now)
  }

  reason(ask: Ask, now: number): Reason | undefined {
    const until = this.readyAt(ask, now)
    if (until <= now) return undefined
    if (this.#state === 'open') {
      return { code: 'breaker_open', message: `The circuit breaker is open, because ${this.#cause}`, until }
    }
    const waitsFor = `what it has let through on trial: ${this.#trials} ${this.#trials === 1 ? 'command' : 'commands'}`
    return { code: 'breaker_open', message: `The circuit breaker is half open and waits for ${waitsFor}` }
  }

  /**
   * Changes the limits. The state stays, an open breaker stays open for the new `openMs` since it opened, and what has
   * been counted is kept unless `windowMs` changes.
   */
  configure(limits: BreakerLimits): void {
    if (limits.windowMs !== this.#limits.windowMs) this.#record = new RecentTally(limits.windowMs)
    this.#limits = limits
    if (this.#state === 'half_open' && this.#succeeded >= limits.halfOpen) this.#close()
  }

  get #openUntil(): number {
    return this.#openedAt + this.#limits.openMs
  }

  get #hasTrialLeft(): boolean {
    return this.#trials + this.#succeeded < this.#limits.halfOpen
  }

  #count(hasFailed: boolean, now: number): void {
    const record = this.#record
    record.add(hasFailed, now)
    const { minimum, failureRatio, windowMs } = this.#limits
    if (record.count < minimum || record.marked / record.count < failureRatio) return
    this.#open(now, `${record.marked} of ${record.count} attempts failed within ${windowMs} ms`)
  }

  #trialEnded(how: 'success' | 'failure' | 'neutral', now: number): void {
    this.#trials--
    if (how === 'failure') return this.#open(now, 'the command let through on trial failed')
    if (how === 'success') this.#succeeded++
    if (this.#succeeded >= this.#limits.halfOpen) this.#close()
  }

  #open(now: number, cause: string): void {
    this.#openedAt = now
    this.#cause = cause
    this.#older = this.#underWay
    this.#enter('open')
  }

  #close(): void {
    this.#record = new RecentTally(this.#limits.windowMs)
    this.#enter('closed')
  }

  #enter(state: BreakerState): void {
    this.#state = state
    this.#onChange(state)
  }
}
