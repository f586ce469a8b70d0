/**
 * Never more than `maxCommands` in any window [t, t + windowMs): every grant is remembered until it is windowMs old, and
 * from then on it does not count. Grants of one instant are one record, and records are forgotten in the order in which
 * they were made, so that a grant costs O(1), however many there are; memory is one record per instant of a window.
 */
import { instantAfter, type Limiter, slackOf } from './limiter.js'
import type { RateLimitConfig } from './rate-limit.js'

/** What was granted at one instant. */
type Grant = { readonly at: number; amount: number }

/** Records that were forgotten stay in the array until there are this many of them, and until they are half of it. */
const FORGOTTEN = 64

export class SlidingWindow implements Limiter {
  #maxCommands: number
  #windowMs: number
  #grants: Grant[] = []
  /** Grants before this index are forgotten. */
  #first = 0
  /** Of all grants that count. */
  #sum = 0
  /** The grants from `#first` to here were found to free what was last asked for; the next question starts from them. */
  #end = 0
  #sumToEnd = 0
  #now = Number.NEGATIVE_INFINITY

  constructor({ maxCommands, windowMs }: RateLimitConfig) {
    this.#maxCommands = maxCommands
    this.#windowMs = windowMs
  }

  get largest(): number {
    return this.#maxCommands
  }

  /** What was granted in the window that ends now. */
  granted(now: number): number {
    this.#see(now)
    return this.#sum
  }

  readyAt(amount: number, now: number): number {
    const slack = slackOf(this.#maxCommands)
    if (amount > this.#maxCommands + slack) return Number.POSITIVE_INFINITY
    this.#see(now)
    const excess = this.#sum + amount - this.#maxCommands
    if (excess <= slack) return now
    // half the slack: what is rounded when they are forgotten must not take away what was found here
    return this.#frees(excess - slack / 2)
  }

  take(amount: number, now: number): void {
    const at = this.#see(now)
    if (amount === 0) return
    const last = this.#grants[this.#grants.length - 1]
    if (last?.at === at) {
      last.amount += amount
      if (this.#end === this.#grants.length) this.#sumToEnd += amount
    } else this.#grants.push({ at, amount })
    this.#sum += amount
  }

  /**
   * More is taken at once, as a grant of this instant; less lowers the grant of that instant while it counts. The taker
   * may have looked at the clock a little earlier than `take` did: the nearest grant is its own, or one that ends sooner.
   */
  settle(difference: number, takenAt: number, now: number): void {
    if (difference >= 0) return this.take(difference, now)
    if (this.#expiry(takenAt) <= this.#see(now)) return
    const index = this.#nearest(takenAt)
    const grant = this.#grants[index]
    if (grant === undefined) return
    const less = Math.min(-difference, grant.amount)
    grant.amount -= less
    this.#sum -= less
    if (index < this.#end) this.#sumToEnd -= less
  }

  /** A longer window does not bring back what was forgotten. */
  configure({ maxCommands, windowMs }: RateLimitConfig, now: number): void {
    this.#see(now)
    this.#maxCommands = maxCommands
    this.#windowMs = windowMs
    this.#see(now)
  }

  available(now: number): number {
    return this.#maxCommands - this.granted(now)
  }

  /** A grant exactly `windowMs` old does not count any more. */
  #expiry(at: number): number {
    return instantAfter(at, this.#windowMs)
  }

  /** The instant at which the oldest grants that add up to `amount` do not count any more. */
  #frees(amount: number): number {
    const grants = this.#grants
    while (this.#sumToEnd < amount && this.#end < grants.length) this.#sumToEnd += (grants[this.#end++] as Grant).amount
    for (;;) {
      const last = grants[this.#end - 1] as Grant
      if (this.#end - 1 === this.#first || this.#sumToEnd - last.amount < amount) return this.#expiry(last.at)
      this.#end--
      this.#sumToEnd -= last.amount
    }
  }

  /** Index of the grant whose instant is nearest. */
  #nearest(at: number): number {
    let [low, high] = [this.#first, this.#grants.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if ((this.#grants[middle] as Grant).at < at) low = middle + 1
      else high = middle
    }
    if (low === this.#first) return low
    const [before, after] = [this.#grants[low - 1] as Grant, this.#grants[low]]
    return after === undefined || at - before.at < after.at - at ? low - 1 : low
  }

  /** Forgets the grants that do not count any more. */
  #see(now: number): number {
    this.#now = Math.max(this.#now, now)
    for (;;) {
      const grant = this.#grants[this.#first]
      if (grant === undefined || this.#expiry(grant.at) > this.#now) break
      this.#first++
      this.#sum -= grant.amount
      if (this.#end < this.#first) this.#end = this.#first
      else this.#sumToEnd -= grant.amount
    }
    const isIdle = this.#first > 0 && this.#first === this.#grants.length
    if (isIdle || (this.#first >= FORGOTTEN && 2 * this.#first >= this.#grants.length)) this.#tidyUp()
    return this.#now
  }

  /** Gives the memory of forgotten grants back, and adds up anew: the roundings of many sums do not add up. */
  #tidyUp(): void {
    this.#grants = this.#grants.slice(this.#first)
    this.#end -= this.#first
    this.#first = 0
    this.#sum = total(this.#grants, this.#grants.length)
    this.#sumToEnd = total(this.#grants, this.#end)
  }
}

function total(grants: readonly Grant[], end: number): number {
  let sum = 0
  for (let index = 0; index < end; index++) sum += (grants[index] as Grant).amount
  return sum
}
