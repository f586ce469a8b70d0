/**
 * The line of those who wait for what a group grants. A better lane stands before a worse one, among equals the older
 * claim before the younger.
 *
 * A claim counts while its lane has something to start, and until shortly after the instant at which the lane was told to
 * ask again. One that does not count keeps its number and leaves the line as soon as it stands in front; its lane takes
 * the place again when it asks.
 *
 * Cost: O(log n) for each claim that comes, moves or goes; O(1) to see who stands in front.
 */
import { Heap } from '../core/heap.js'

/** What a group needs to know of a lane. */
export type Member = {
  /** The lane's place: the smaller goes first. */
  order(): number
  /** Whether the lane has a command that it would start now if its gates were open. */
  isWaiting(): boolean
  /**
   * Something has changed: the lane's gates are to be asked again, soon but not from within this call. A lane that cannot
   * ask now says so: it is passed over.
   */
  wake(): void
}

/** How long a claim that has come due still holds: its lane may be of another queue, and is asked only after this call. */
export const HAND_OVER_MS = 1

const NEVER = Number.NEGATIVE_INFINITY

/** A lane's seat in a group, with the claim that it holds there. */
export class Seat {
  heapIndex = -1
  readonly member: Member
  /** The lane's place when it asked last. */
  order = 0
  /** Claims are numbered as they are made. */
  claimNumber = Number.POSITIVE_INFINITY
  /** Until when the lane claims what the group grants: it asks again by then. */
  claimedUntil = NEVER

  constructor(member: Member) {
    this.member = member
  }
}

export const goesBefore = (a: Seat, b: Seat): boolean =>
  a.order === b.order ? a.claimNumber < b.claimNumber : a.order < b.order

const counts = ({ claimedUntil, member }: Seat, now: number): boolean =>
  now < claimedUntil + HAND_OVER_MS && member.isWaiting()

export class ClaimLine {
  readonly #seats = new Heap<Seat>(goesBefore)

  get size(): number {
    return this.#seats.size
  }

  /** Who stands first. */
  get first(): Seat | undefined {
    return this.#seats.peek()
  }

  /** Who stands next after the first. */
  get second(): Seat | undefined {
    const [, left, right] = this.#seats.items()
    return left === undefined || right === undefined || goesBefore(left, right) ? left : right
  }

  /** Takes those out who stand in front and do not count. */
  tidy(now: number): void {
    for (let seat = this.first; seat !== undefined && !counts(seat, now); seat = this.first) this.#seats.remove(seat)
    for (let seat = this.second; seat !== undefined && !counts(seat, now); seat = this.second) this.#seats.remove(seat)
  }

  /** The first that counts. Changes nothing. */
  firstOf(now: number): Seat | undefined {
    const { first } = this
    if (first === undefined || counts(first, now)) return first
    const rest = this.#seats.items().filter((seat) => counts(seat, now))
    return rest.length === 0 ? undefined : rest.reduce((best, seat) => (goesBefore(seat, best) ? seat : best))
  }

  enter(seat: Seat): void {
    if (seat.heapIndex < 0) this.#seats.push(seat)
  }

  /** Whether it stood there. */
  leave(seat: Seat): boolean {
    if (seat.heapIndex < 0) return false
    this.#seats.remove(seat)
    return true
  }

  /** The lane's place may be another. */
  reorder(seat: Seat): void {
    const order = seat.member.order()
    if (order === seat.order) return
    const wasInLine = this.leave(seat)
    seat.order = order
    if (wasInLine) this.enter(seat)
  }
}
