/**
 * Rate limits that several lanes share, of one queue or of many. Limits of a group with the same unit, algorithm and
 * window are one limiter. A provider that asks for a pause closes the group for all of its lanes.
 *
 * Whoever is told to wait for the group's tokens holds a *claim* until then: while it lasts, worse lanes get none, or they
 * would take every single token away from a large command of the best lane. Among equals the older claim goes first. A
 * claim counts only while its lane has something to start, and it ends by itself.
 */
import { configInvalid } from '../core/errors.js'
import { type CountedLimit, limitKey } from './counted-limit.js'
import type { RateLimitConfig } from './rate-limit.js'

/** What a group needs to know of a lane. */
export type Member = {
  /** The lane's place: the smaller goes first. */
  order(): number
  /** Whether the lane has a command that it would start now if its gates were open. */
  isWaiting(): boolean
  /** Something has changed: the lane's gates are to be asked again, soon but not from within this call. */
  wake(): void
}

/** How long a claim that has come due still holds: its lane may be of another queue, and is asked only after this call. */
const HAND_OVER_MS = 1

const NEVER = Number.NEGATIVE_INFINITY

/** A lane's seat in a group, with the claim that it holds there. */
export class Seat {
  readonly member: Member
  /** Until when the lane claims what the group grants. */
  claimedUntil = NEVER
  /** Claims are numbered as they are made. */
  claimNumber = Number.POSITIVE_INFINITY
  /** Whether another lane was told to wait because of the claim. */
  holdsOthers = false

  constructor(member: Member) {
    this.member = member
  }
}

/**
 * Lanes that share their rate limits and the pauses that a provider asks for. Give one object to the `group` of limits in
 * any number of queues of a process; their clocks must be the same. Inside one queue a name does.
 */
export class RateLimitGroup {
  /** For messages. */
  readonly name: string | undefined
  readonly #limits = new Map<string, CountedLimit>()
  readonly #seats = new Set<Seat>()
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
  leave(seat: Seat): void {
    this.withdraw(seat)
    this.#seats.delete(seat)
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

  /** @internal Until when claims of lanes that go first hold the lane back. */
  turnOf(seat: Seat, now: number): number {
    let at = NEVER
    for (const other of this.#seats) {
      if (other === seat || !this.#holdsBack(other, seat, now)) continue
      other.holdsOthers = true
      at = Math.max(at, other.claimedUntil > now ? other.claimedUntil : other.claimedUntil + HAND_OVER_MS)
    }
    return at
  }

  /** @internal The lane waits for what the group grants. Lanes whose claims have come due are asked first. */
  claim(seat: Seat, until: number, now: number): void {
    const before = seat.claimedUntil
    if (before === NEVER) seat.claimNumber = this.#claims++
    seat.claimedUntil = until
    if (until < before) this.#letOthersAsk(seat)
    for (const other of this.#seats)
      if (other !== seat && other.claimedUntil <= now && this.#holdsBack(other, seat, now)) other.member.wake()
  }

  /** @internal The lane does not wait for the group any more. */
  withdraw(seat: Seat): void {
    if (seat.claimedUntil === NEVER) return
    seat.claimedUntil = NEVER
    seat.claimNumber = Number.POSITIVE_INFINITY
    this.#letOthersAsk(seat)
  }

  /** @internal */
  wakeAll(): void {
    for (const { member } of this.#seats) member.wake()
  }

  #holdsBack(other: Seat, seat: Seat, now: number): boolean {
    if (now >= other.claimedUntil + HAND_OVER_MS) return false
    const ahead = seat.member.order() - other.member.order()
    return (ahead > 0 || (ahead === 0 && other.claimNumber < seat.claimNumber)) && other.member.isWaiting()
  }

  #letOthersAsk(seat: Seat): void {
    if (!seat.holdsOthers) return
    seat.holdsOthers = false
    for (const other of this.#seats) if (other !== seat) other.member.wake()
  }
}
