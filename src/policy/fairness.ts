/**
 * Whose turn it is among the keys of a lane: deficit round robin (M. Shreedhar and G. Varghese, "Efficient Fair Queueing
 * using Deficit Round Robin", SIGCOMM 1995).
 *
 * Keys that have something to start stand in a ring. In each round a key is granted a quantum times its weight, and is
 * served while its credit covers the cost of its next command; what is left counts in its next round. So keys are served
 * in proportion to their weights, whatever their commands cost, and a key is not forgotten because it is expensive.
 *
 * The paper fixes the quantum and needs it to be at least the largest cost, or a round may serve nobody. Costs are not
 * known here beforehand, so each round chooses its quantum from what the keys lacked in the round before:
 *
 *  * the least that any of them lacked: the smallest step that serves somebody, so nobody is served twice in a row when
 *    costs and weights are equal: then it is exact round robin, and weight 2 is served twice as often as weight 1;
 *  * when fewer than a quarter of the visits of a round served anybody, twice the mean of what they lacked, at most the
 *    largest: that serves at least a quarter of them. Hence a served command costs at most eight visits on average, and a
 *    key that joins or leaves one more, however many keys there are and whatever costs and weights.
 *
 * Promise: over any stretch of time in which two keys always wait, the costs served to them, each divided by the key's
 * weight, differ by less than the sum of their own largest costs, divided by their weights, and the largest such quotient
 * of any key (the paper's lemma 2, the quantum being at most what some key lacks).
 */

/** What the ring keeps of a key, in the key's own object: no allocation per command. Start: credit 0, in no ring. */
export interface Turn {
  /** What it may still spend; the ring's. */
  credit: number
  /** Its share compared with the others', finite and above 0. Default 1 by convention. */
  weight: number
  /** Neighbours in the ring; the ring's. */
  before: this | undefined
  after: this | undefined
  /** Whether it stands in the ring; the ring's. */
  inRing: boolean
}

/** Credits are sums of fractions: what is missing below this share of a cost is rounding. */
const ROUNDING = 1e-9

/** Costs served lately that the mean remembers. */
const REMEMBERED = 16

/** The round of those who wait. All costs are finite; what costs nothing counts as the mean of what cost something. */
export class FairRing<K extends Turn> {
  /** Turns in the ring. */
  size = 0
  /** Whose turn it is, and the one with which the round ends. */
  #current: K | undefined
  #last: K | undefined
  /** Whether the current one has been granted its share of this round. */
  #hasGrant = false
  /** What this round grants to weight 1; 0 in the first, which only finds out what is lacking. */
  #quantum = 0
  /** Of what cost something; 0 until something has. */
  #meanCost = 0
  readonly #round = new Round()

  /** Takes a turn in, at the end: everybody else in the ring has their turn before it. One that is in already stays where it is. */
  add(turn: K): void {
    if (turn.inRing) return
    turn.inRing = true
    this.size++
    const current = this.#current
    if (current === undefined) {
      turn.before = turn
      turn.after = turn
      this.#current = turn
      this.#last = turn
      return
    }
    const end = current.before as K
    turn.before = end
    turn.after = current
    end.after = turn
    current.before = turn
    // A round that has not begun takes it in, and so does one that grants nothing; else its first one is the next round.
    if (!this.#hasGrant && (this.#round.visits === 0 || this.#quantum === 0)) this.#last = turn
  }

  /**
   * Takes a turn out: it has nothing to start. Its credit is lost, so that nobody saves up while away; a debt stays. Coming
   * back means the end of the ring, so leaving gains nothing.
   */
  remove(turn: K): void {
    if (!turn.inRing) return
    if (turn === this.#current) this.#endVisit()
    const [before, after] = [turn.before as K, turn.after as K]
    before.after = after
    after.before = before
    if (turn === this.#last) this.#last = before
    turn.inRing = false
    turn.before = undefined
    turn.after = undefined
    turn.credit = Math.min(0, turn.credit)
    this.size--
    if (this.size === 0) this.#clear()
  }

  /**
   * The turn whose next command is to start, undefined when the ring is empty. `costOf` tells the cost of that command.
   * Asking again gives the same until something is served, added or removed, or that cost changes.
   */
  next(costOf: (turn: K) => number): K | undefined {
    for (let turn = this.#current; turn !== undefined; turn = this.#current) {
      if (!this.#hasGrant) {
        this.#hasGrant = true
        turn.credit += this.#quantum * turn.weight
      }
      const cost = this.#counted(costOf(turn))
      const lacking = cost - turn.credit
      if (lacking <= cost * ROUNDING) {
        this.#round.canServe = true
        return turn
      }
      this.#round.lacks(lacking / turn.weight)
      this.#endVisit()
    }
    return undefined
  }

  /** A command of this turn has started: takes its cost, and passes the turn on when nothing is left. */
  served(turn: K, cost: number): void {
    const counted = this.#counted(cost)
    turn.credit -= counted
    if (Math.abs(turn.credit) <= counted * ROUNDING) turn.credit = 0
    if (cost > 0) this.#meanCost += (cost - this.#meanCost) / REMEMBERED
    if (turn !== this.#current || turn.credit > 0) return
    // Its next command is taken to cost as much; if it does not, its next visit finds that out.
    this.#round.lacks((counted - turn.credit) / turn.weight)
    this.#endVisit()
  }

  /** What costs nothing takes a turn like the rest: it could be started for ever, and nobody else would be served. */
  #counted(cost: number): number {
    if (!(cost > 0)) return this.#meanCost === 0 ? 1 : this.#meanCost
    if (this.#meanCost === 0) this.#meanCost = cost
    return cost
  }

  #endVisit(): void {
    const turn = this.#current as K
    this.#hasGrant = false
    this.#round.visited()
    this.#current = turn.after
    if (turn === this.#last) this.#quantum = this.#round.end(this.#quantum)
  }

  #clear(): void {
    this.#current = undefined
    this.#last = undefined
    this.#quantum = 0
  }
}

/** What a round found out. Lacking is by weight: the quantum that would have been enough. */
class Round {
  /** Whether the visit under way could serve something. */
  canServe = false
  visits = 0
  #visitsThatServed = 0
  #lacking = 0
  #sum = 0
  #least = Number.POSITIVE_INFINITY
  #largest = 0

  lacks(amount: number): void {
    // Divided by a large weight it may have become nothing, and a round without a grant serves nobody, for ever.
    const quantum = Math.max(amount, Number.MIN_VALUE)
    this.#lacking++
    this.#sum += quantum
    if (quantum < this.#least) this.#least = quantum
    if (quantum > this.#largest) this.#largest = quantum
  }

  visited(): void {
    this.visits++
    if (this.canServe) this.#visitsThatServed++
    this.canServe = false
  }

  /** The round is over: gives the quantum of the next one, and forgets. */
  end(quantum: number): number {
    const isSlow = quantum > 0 && this.#visitsThatServed * 4 < this.visits
    const coarse = Math.min(this.#largest, (2 * this.#sum) / this.#lacking)
    const next = isSlow ? coarse : this.#least
    const isKnown = this.#lacking > 0
    this.visits = 0
    this.#visitsThatServed = 0
    this.#lacking = 0
    this.#sum = 0
    this.#least = Number.POSITIVE_INFINITY
    this.#largest = 0
    return isKnown ? next : quantum
  }
}
