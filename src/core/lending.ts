/**
 * Places that a waiting parent lends to its children. A handler that waits in `ctx.run` does nothing meanwhile, so the
 * child runs in its places; without that, a lane of one would wait for itself for ever.
 *
 * A slot is a place in its lane and a place under the global cap, and each is lent by itself: a child uses the lane place
 * of the nearest waiting ancestor of its own lane, and the cap place of the nearest waiting ancestor; where there is none
 * to borrow it needs a free one. A place has one borrower at a time. Borrowers form a chain, and when any body of it ends
 * the others close up: the place is free when the last of them is gone.
 */
import type { QueueCore } from './core.js'
import type { Entry } from './entry.js'
import type { LaneError } from './errors.js'
import { keyOf } from './keys.js'
import type { LaneState } from './lane.js'
import type { LanePolicies } from './lane-policies.js'
import type { Slot } from './slot.js'
import { isFinal } from './transitions.js'

/** Whose places a child uses; undefined where it takes a free one. */
export type Loan = {
  readonly lanePlace: Slot | undefined
  readonly capPlace: Slot | undefined
  /** The lane place is that of a command with the same key: it takes no further place of the key. */
  readonly keepsKey: boolean
}

/** Starts a waiting command with borrowed places. An object, as below: a closure would be made anew in every pass. */
interface Starter {
  start(entry: Entry, loan: Loan): void
}

/** Fails a command that its lane's limits can never let start. */
interface Refuser {
  cannotRun(entry: Entry, error: LaneError): void
}

export class Lending {
  readonly #core: QueueCore
  /** Commands of `ctx.run` that have no outcome yet, and who waits for each. */
  readonly #waiters = new Map<Entry, Entry>()
  /** Lanes whose limits have told a child to wait. */
  readonly #asked = new Set<LanePolicies>()

  constructor(core: QueueCore) {
    this.#core = core
  }

  /** `waiter` waits for the command: it may run in the waiter's places. */
  add(entry: Entry, waiter: Entry): void {
    this.#waiters.set(entry, waiter)
  }

  /** Starts the children that wait and can use the places of waiting ancestors; whether there were any. */
  serve(starter: Starter, refuser: Refuser): boolean {
    let hasServed = false
    for (const entry of this.#waiters.keys()) {
      if (isFinal(entry.run.state)) this.#waiters.delete(entry)
      const loan = this.#canBeServed(entry) ? this.#loanFor(entry) : undefined
      const refusal = loan === undefined ? 'later' : this.#ask(entry, loan)
      if (loan === undefined || refusal === 'later') continue
      const { run, lane } = entry
      if (!lane.backlog.extractReturned(entry)) lane.backlog.extract(run, this.#core.seqOfEntry(entry))
      hasServed = true
      if (refusal === undefined) starter.start(entry, loan)
      else refuser.cannotRun(entry, refusal)
      this.#core.backlogShrank(lane)
    }
    if (this.#waiters.size === 0 && this.#asked.size > 0) {
      for (const policies of this.#asked) policies.forgetAside()
      this.#asked.clear()
    }
    return hasServed
  }

  /** Takes the places of a loan, free ones where it has none. */
  take(slot: Slot, lane: LaneState, { lanePlace, capPlace }: Loan): void {
    const { scheduler } = this.#core
    slot.isPlain = false
    slot.laneFrom = lanePlace
    slot.capFrom = capPlace
    if (lanePlace === undefined) scheduler.acquireInLane(lane)
    else lender(lanePlace).laneTo = slot
    if (capPlace === undefined) scheduler.acquireUnderCap()
    else lender(capPlace).capTo = slot
  }

  /** The body of a slot that may borrow or lend has ended. */
  giveBack(slot: Slot, { lane, details }: Entry): void {
    const { scheduler } = this.#core
    const { laneFrom, laneTo, capFrom, capTo } = slot
    const heir = laneTo?.entry
    if (heir !== undefined && details?.traits?.holdsKey === true && keyOf(heir) === details.traits.key) {
      heir.traits.holdsKey = true
      details.traits.holdsKey = false
    }
    if (laneFrom !== undefined) laneFrom.laneTo = laneTo
    if (laneTo !== undefined) laneTo.laneFrom = laneFrom
    if (laneFrom === undefined && laneTo === undefined) scheduler.releaseInLane(lane)
    if (capFrom !== undefined) capFrom.capTo = capTo
    if (capTo !== undefined) capTo.capFrom = capFrom
    if (capFrom === undefined && capTo === undefined) scheduler.releaseUnderCap()
    slot.laneFrom = undefined
    slot.laneTo = undefined
    slot.capFrom = undefined
    slot.capTo = undefined
    tellReturned(laneFrom)
    if (capFrom !== laneFrom) tellReturned(capFrom)
  }

  /** One that waits inside ctx.yield has a body: it goes on when it has a slot of its own again. */
  #canBeServed({ run, lane, slot }: Entry): boolean {
    return run.state === 'pending' && !lane.paused && slot === undefined
  }

  /** Whether the lane's limits let a child start: undefined when they do, an error when they never will. */
  #ask({ lane, details }: Entry, loan: Loan): LaneError | 'later' | undefined {
    const { policies } = lane
    const cost = details?.traits?.cost
    if (policies === undefined || policies.mayStartAside(cost, loan.lanePlace !== undefined)) return undefined
    this.#asked.add(policies)
    return policies.refusal(cost) ?? 'later'
  }

  /** Who waits for a command, or whose child it is. */
  #above(entry: Entry): Entry | undefined {
    return this.#waiters.get(entry) ?? entry.details?.parent
  }

  /** What a child can borrow; undefined when that is nothing, or not enough to start. */
  #loanFor(entry: Entry): Loan | undefined {
    const { scheduler } = this.#core
    const { lane } = entry
    let lanePlace: Slot | undefined
    let capPlace: Slot | undefined
    for (let parent = this.#waiters.get(entry); parent !== undefined; parent = this.#above(parent)) {
      const { slot } = parent
      if (slot === undefined || slot.zombie || slot.isYielded || slot.waiting === 0) continue
      if (parent.lane === lane && slot.laneTo === undefined) lanePlace ??= slot
      if (scheduler.hasCap && slot.capTo === undefined) capPlace ??= slot
    }
    if (lanePlace === undefined && (capPlace === undefined || !lane.hasRoom)) return undefined
    if (capPlace === undefined && !scheduler.hasFreePlaceFor(lane)) return undefined
    const { keys } = lane.backlog
    const keepsKey = lanePlace !== undefined && keyOf(lanePlace.entry as Entry) === keyOf(entry)
    return keys === undefined || keepsKey || keys.hasRoom(entry) ? { lanePlace, capPlace, keepsKey } : undefined
  }
}

function lender(slot: Slot): Slot {
  slot.isPlain = false
  return slot
}

/** Tells those who wait until a lender has its places back. */
function tellReturned(slot: Slot | undefined): void {
  if (slot === undefined || slot.isLent) return
  for (const tell of slot.onReturned.splice(0)) tell()
}
