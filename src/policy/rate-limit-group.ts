/**
 * Rate limits that several lanes share, of one queue or of many. Limits of a group with the same unit, algorithm and
 * window are one limiter. A provider that asks for a pause closes the group for all of its lanes.
 *
 * Whoever is told to wait for the group's tokens holds a *claim* until then: while it lasts, worse lanes get none, or they
 * would take every single token away from a large command of the best lane. Among equals the older claim goes first. A
 * claim counts only while its lane has something to start, and it ends by itself.
 *
 * Claims stand in line, and a grant is the business of two lanes, however many wait: the first knows the instant at which
 * its tokens are there; the second looks whether the first has gone by then; when the first goes, the next one is woken.
 * All others are told an instant that is not expected to come, only so that nothing that went unnoticed lasts: so late
 * that all of them together ask about once per grant.
 */
import { configInvalid } from '../core/errors.js'
import { ClaimLine, goesBefore, HAND_OVER_MS, type Member, Seat } from './claim-line.js'
import { type CountedLimit, limitKey } from './counted-limit.js'
import type { RateLimitConfig } from './rate-limit.js'

/** Lanes that stand behind the second ask by themselves at least so far apart. */
const SPREAD_MS = 50

const NEVER = Number.NEGATIVE_INFINITY

/**
 * Lanes that share their rate limits and the pauses that a provider asks for. Give one object to the `group` of limits in
 * any number of queues of a process; their clocks must be the same. Inside one queue a name does.
 */
export class RateLimitGroup {
  /** For messages. */
  readonly name: string | undefined
  readonly #limits = new Map<string, CountedLimit>()
  readonly #seats = new Set<Seat>()
  readonly #line = new ClaimLine()
  /** Who stood first and second when that was looked at last: whoever comes there is woken. */
  #first: Seat | undefined
  #second: Seat | undefined
  /** How long the first was told to wait, the last time. */
  #pace = 0
  #isLooking = false
  #closedUntil = NEVER
  #claims = 0

  /** `CONFIG_INVALID` for a name that is not a text or empty. */
  constructor(name?: string) {
    if (name !== undefined && (typeof name !== 'string' || name === ''))
      throw configInvalid('RateLimitGroup name', 'a string that is not empty', name)
    this.name = name
  }

  /** Until when nothing of the group starts because a provider asked for a pause; undefined when none did. Instants of the queue's clock. */
  closedUntil(now: number): number | undefined {
    return this.#closedUntil > now ? this.#closedUntil : undefined
  }

  /** @internal A pause that ends earlier than the present one changes nothing. */
  closeUntil(at: number): void {
    this.#closedUntil = Math.max(this.#closedUntil, at)
  }

  /** @internal */
  join(member: Member): Seat {
    const seat = new Seat(member)
    this.#seats.add(seat)
    return seat
  }

  /** @internal */
  leave(seat: Seat, now: number): void {
    this.#seats.delete(seat)
    this.withdraw(seat, now)
  }

  /** @internal The limiter that counts what `limit` counts, if there is one. It stays when nobody uses it: what was taken was taken. */
  find(limit: RateLimitConfig): CountedLimit | undefined {
    return this.#limits.get(limitKey(limit))
  }

  /** @internal */
  add(counted: CountedLimit): CountedLimit {
    this.#limits.set(limitKey(counted.limit), counted)
    return counted
  }

  /** @internal Until when the claim of a lane that goes first holds this one back. */
  turnOf(seat: Seat, now: number): number {
    this.#line.reorder(seat)
    const first = this.#line.firstOf(now)
    return first === undefined || first === seat || !goesBefore(first, seat) ? NEVER : endOf(first, now)
  }

  /** @internal The lane is about to ask: whoever holds it back and has come due is asked first. */
  prepare(seat: Seat, now: number): void {
    this.#line.reorder(seat)
    this.#look(now, seat)
    const { first } = this.#line
    // Its lane may be of a queue that is told of this instant later.
    if (first !== undefined && first !== seat && first.claimedUntil <= now) first.member.wake()
  }

  /** @internal When the lane is to ask again if it is not its turn; to be called after `prepare`. */
  waitOf(seat: Seat, now: number): number {
    const end = this.turnOf(seat, now)
    if (end === NEVER) return end
    const { second, size } = this.#line
    const isNext = second === undefined || second === seat || goesBefore(seat, second)
    return isNext ? end : end + size * (SPREAD_MS + this.#pace)
  }

  /** @internal The lane waits for what the group grants. */
  claim(seat: Seat, until: number, now: number): void {
    const before = seat.claimedUntil
    if (before === NEVER) seat.claimNumber = this.#claims++
    seat.claimedUntil = until
    this.#line.enter(seat)
    this.#look(now, seat)
    if (this.#first !== seat) return
    this.#pace = until - now
    if (until < before) this.#second?.member.wake()
  }

  /** @internal The lane does not wait for the group any more. */
  withdraw(seat: Seat, now: number): void {
    this.#line.leave(seat)
    seat.claimedUntil = NEVER
    seat.claimNumber = Number.POSITIVE_INFINITY
    this.#look(now)
  }

  /** @internal The lane's place may be another, without that it asks. */
  moved(seat: Seat, now: number): void {
    this.#line.reorder(seat)
    this.#look(now)
  }

  /** @internal The lane is to ask and cannot: the others go on, and it comes back to its place when it asks. */
  passOver(seat: Seat, now: number): void {
    if (!this.#line.leave(seat)) return
    this.#look(now)
  }

  /** @internal There is more to grant than there was. */
  gained(now: number): void {
    const before = this.#first
    this.#look(now)
    if (this.#first === before) before?.member.wake()
  }

  /** @internal */
  wakeAll(): void {
    for (const { member } of this.#seats) member.wake()
  }

  /** Wakes who stands in front now and did not before, but for a lane that is just asking. */
  #look(now: number, asking?: Seat): void {
    // Who is woken may leave the line at once: however many do, they are looked at here, one after the other.
    if (this.#isLooking) return
    this.#isLooking = true
    try {
      do this.#line.tidy(now)
      while (this.#wakeFront(now, asking))
    } finally {
      this.#isLooking = false
    }
  }

  /** Whether there was anybody new in front. */
  #wakeFront(now: number, asking: Seat | undefined): boolean {
    const { first, second } = this.#line
    if (first !== this.#first) {
      this.#first = first
      if (first === undefined || first === asking) return true
      // What it was told was for its place then; if it does not ask after all, it keeps the others for a moment only.
      first.claimedUntil = Math.min(first.claimedUntil, now)
      first.member.wake()
      return true
    }
    if (second === this.#second) return false
    this.#second = second
    if (second === undefined || second === asking) return true
    if (second.claimedUntil > endOf(first as Seat, now)) second.member.wake()
    return true
  }
}

/** When a claim that is not renewed has ended: a due one keeps others back for a moment longer. */
const endOf = ({ claimedUntil }: Seat, now: number): number =>
  claimedUntil > now ? claimedUntil : claimedUntil + HAND_OVER_MS
