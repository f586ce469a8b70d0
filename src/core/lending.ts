/**
 * Slots that a waiting parent lends to its children. A handler that waits in `ctx.run` does nothing meanwhile, so the
 * child runs in its slot; without that, a lane of one would wait for itself for ever.
 *
 * A child in the parent's own lane uses both of the parent's places, under the lane's limit and under the global cap. A
 * child in another lane needs room there and uses the parent's place under the global cap. The nearest waiting ancestor
 * whose slot is free lends. A slot has one borrower at a time. When a lender's body ends before the borrower's, the
 * borrower goes on in the slot as its own.
 */
import type { QueueCore } from './core.js'
import type { Entry } from './entry.js'
import type { LaneState } from './lane.js'
import type { Slot } from './slot.js'
import { isFinal } from './transitions.js'

/** Starts a waiting command in a lent slot. */
type StartIn = (entry: Entry, lender: Slot) => void

export class Lending {
  readonly #core: QueueCore
  /** Commands of `ctx.run` that have no outcome yet. */
  readonly #children = new Set<Entry>()

  constructor(core: QueueCore) {
    this.#core = core
  }

  /** A command whose parent waits for it. */
  add(entry: Entry): void {
    this.#children.add(entry)
  }

  /** Starts the children that wait and can have a waiting ancestor's slot. */
  serve(startIn: StartIn): void {
    for (const entry of this.#children) {
      const { run, lane } = entry
      if (isFinal(run.state)) this.#children.delete(entry)
      if (run.state !== 'pending' || lane.paused) continue
      const lender = this.#lenderFor(entry)
      if (lender === undefined) continue
      if (!lane.backlog.extractReturned(entry)) lane.backlog.extract(run, this.#core.seqOfEntry(entry))
      this.#core.backlogShrank(lane)
      startIn(entry, lender)
    }
  }

  borrow(slot: Slot, lender: Slot): void {
    slot.lender = lender
    lender.borrower = slot
    const lane = laneOf(slot)
    if (lane !== laneOf(lender)) this.#core.scheduler.acquireInLane(lane)
  }

  /** A body in a borrowed or lent slot has ended. */
  giveBack(slot: Slot, lane: LaneState): void {
    const { lender, borrower } = slot
    slot.lender = undefined
    slot.borrower = undefined
    if (lender !== undefined) lender.borrower = borrower
    if (borrower === undefined) {
      if (lane !== laneOf(lender as Slot)) this.#core.scheduler.releaseInLane(lane)
      return
    }
    borrower.lender = lender
    const ended = lane
    const above = lender === undefined ? undefined : laneOf(lender)
    // In its lender's lane a body shares the lender's place under the lane limit; in another lane it has its own.
    if (laneOf(borrower) === ended || above === ended) return
    this.#core.scheduler.releaseInLane(ended)
    if (laneOf(borrower) !== above) return
    this.#core.scheduler.releaseInLane(above)
    this.#core.scheduler.update(above)
  }

  #lenderFor(entry: Entry): Slot | undefined {
    const { lane } = entry
    const mayCross = this.#core.scheduler.hasCap && lane.hasRoom
    for (let parent = entry.details?.parent; parent !== undefined; parent = parent.details?.parent) {
      const { slot, details } = parent
      if (slot === undefined || slot.zombie || slot.borrower !== undefined) continue
      if ((details?.waiting ?? 0) > 0 && (parent.lane === lane || mayCross)) return slot
    }
    return undefined
  }
}

const laneOf = (slot: Slot): LaneState => (slot.entry as Entry).lane
