/**
 * Who gives up a slot when a better lane needs one: the newest running command of the lowest lane that holds more than is
 * reserved for it. The newest has the least to lose, the lowest lane is the one that would be served last, and what is
 * reserved is nobody else's to take.
 */

/** A lane whose running commands may be asked for their slot. */
export interface Donor<S> {
  /** Its own priority: a boost makes no lane a better taker, and none a safer donor. */
  readonly priority: number
  /** Slots that it holds beyond those reserved for it, without those that were asked for already. */
  readonly spare: number
  /** Its newest running command that can give up its slot. */
  newest(): S | undefined
}

/** The slot to ask for, on behalf of a lane of this priority; undefined when there is none. `startOf` orders slots by their start. */
export function victimFor<S>(
  takerPriority: number,
  donors: readonly Donor<S>[],
  startOf: (slot: S) => number,
): S | undefined {
  let victim: S | undefined
  let lowest = takerPriority
  for (const donor of donors) {
    if (donor.priority <= takerPriority || donor.priority < lowest || donor.spare <= 0) continue
    const newest = donor.newest()
    if (newest === undefined) continue
    if (donor.priority > lowest || victim === undefined || startOf(newest) > startOf(victim)) victim = newest
    lowest = donor.priority
  }
  return victim
}
