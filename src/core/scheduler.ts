/**
 * Which lane starts a command next. Pure bookkeeping over the lanes' counts: no clock, no promise, no user code.
 *
 * A lane that could start something (work, room, not paused) is *ready* and stands in a ring with the ready lanes of its
 * rank; the best rank is found in a bit set, so a choice costs the same for six lanes and for a thousand. Ranks are
 * numbered densely, in the order of, from the most to the least significant part:
 *
 *     standing   under a global cap only: 0 a protected lane, 1 a lane below its reserved slots, 2 the rest
 *     priority   the lane's effective priority, 0 to 255
 *     protected  first among equals
 *
 * Lanes of one rank take turns: who has started a command goes to the end of its ring.
 *
 * A lane may be lifted above its own priority, but never above a protected lane that stands above it: the lane's `ceiling`.
 *
 * Under a global cap, reserved slots are what the cap leaves over for others at the latest: `heldBack` counts those that
 * are reserved, unused and not lent. A lane may take a free slot only while more are free than others hold back. Slots
 * that are lent go back by standing: a lane below its reserve is served before any that is not. A protected lane that lends
 * does so only to lanes whose work can be told to give a slot back.
 */
import { configInvalid } from './errors.js'
import type { LaneState } from './lane.js'

/** Standings are so far apart: each of 256 priorities, protected or not, is in between. */
const STANDING = 512

export class Scheduler {
  /** Slots in use over all lanes, zombies included. */
  held = 0
  readonly #cap: number
  readonly #lanes: LaneState[] = []
  /** Unused reserved slots of lanes that do not lend. */
  #heldBack = 0
  /** The same, and those of protected lanes that lend: what a lane that cannot give a slot back has to leave. */
  #heldBackFromFixed = 0
  /** Slots of lanes whose work can give them back. */
  #heldByGiving = 0
  /** Lanes for which a slot was given up: they go before all others, in this order. */
  readonly #owed: LaneState[] = []
  #rankOf = new Map<number, number>()
  /** The ring of each rank, entered at the lane whose turn it is. */
  #rings: (LaneState | undefined)[] = []
  /** One bit per rank that has a ring. */
  #bits: number[] = []

  constructor(cap: number) {
    this.#cap = cap
  }

  get hasCap(): boolean {
    return this.#cap !== Number.POSITIVE_INFINITY
  }

  /** Slots of the global cap that are free. */
  get free(): number {
    return this.#cap - this.held
  }

  /** Takes lanes in. `CONFIG_INVALID` when what they reserve does not fit under the cap; then none is taken in. */
  add(lanes: readonly LaneState[]): void {
    const reserved = this.#share([...this.#lanes, ...lanes])
    this.#lanes.push(...lanes)
    this.#reserve(reserved)
  }

  /** To be called when a lane's limits or priority have changed. `CONFIG_INVALID` as for `add`. */
  reconfigured(): void {
    this.#reserve(this.#share(this.#lanes))
  }

  /** The lane that starts a command next; undefined when none can. */
  next(): LaneState | undefined {
    if (this.held >= this.#cap) return undefined
    if (this.#owed.length > 0) {
      const lane = this.#nextOwed()
      if (lane !== undefined) return lane
    }
    for (let rank = this.#firstRank(0); rank >= 0; rank = this.#firstRank(rank + 1)) {
      const first = this.#rings[rank] as LaneState
      let lane = first
      do {
        if (this.#mayTake(lane)) {
          this.#toEnd(lane, rank)
          return lane
        }
        lane = lane.after as LaneState
      } while (lane !== first)
    }
    return undefined
  }

  /** Whether the lane goes next only because it is lifted: one of a better priority of its own has work and room. */
  overtakes(lane: LaneState): boolean {
    return lane.lift > 0 && this.#lanes.some((other) => other.rank >= 0 && other.priority < lane.priority)
  }

  /** A slot was given up for the lane: the next free one is its. */
  owe(lane: LaneState): void {
    this.#owed.push(lane)
  }

  /** Lifts a lane by so many priorities above its own, as far as its ceiling allows. */
  lift(lane: LaneState, by: number): void {
    lane.lift = by
    this.#setPriority(lane)
  }

  /** A slot of the lane is taken. */
  acquire(lane: LaneState): void {
    this.held++
    this.acquireInLane(lane)
  }

  /** A slot of the lane is free again. */
  release(lane: LaneState): void {
    this.held--
    this.releaseInLane(lane)
  }

  /** The two places of a slot one by one: `ctx.run` may borrow either. */
  acquireUnderCap(): void {
    this.held++
  }

  releaseUnderCap(): void {
    this.held--
  }

  acquireInLane(lane: LaneState): void {
    lane.held++
    if (!lane.isFixed) this.#heldByGiving++
    if (lane.held > lane.keptFromFixed) return
    this.#heldBackFromFixed--
    if (lane.held <= lane.keptBack) this.#heldBack--
  }

  releaseInLane(lane: LaneState): void {
    lane.held--
    if (!lane.isFixed) this.#heldByGiving--
    if (lane.held >= lane.keptFromFixed) return
    this.#heldBackFromFixed++
    if (lane.held < lane.keptBack) this.#heldBack++
  }

  /** Puts the lane where its counts now say it belongs. To be called after any change of them. */
  update(lane: LaneState): void {
    if (!(lane.backlog.hasNext || lane.beckons) || lane.held >= lane.limits.max || !lane.mayGoOn) {
      if (lane.rank >= 0) this.#leave(lane)
      return
    }
    const rank = lane.held < lane.reserved ? lane.rankBelowReserve : lane.rankServed
    if (rank === lane.rank) return
    if (lane.rank >= 0) this.#leave(lane)
    this.#enter(lane, rank)
  }

  /** Whether a place under the global cap is free for the lane: not in use, and not held back for another. */
  hasFreePlaceFor(lane: LaneState): boolean {
    return this.held < this.#cap && this.#mayTake(lane)
  }

  #mayTake(lane: LaneState): boolean {
    return this.#heldBackFromFixed === 0 || Math.min(this.free - this.#keptFrom(lane, false), this.couldTake(lane)) > 0
  }

  /** How many more places the lane could take if all work that can give its place back did. */
  couldTake(lane: LaneState): number {
    return this.free + this.#heldByGiving - this.#keptFrom(lane, lane.isFixed)
  }

  /** Unused reserved places of other lanes: all of those that do not lend, and for who cannot give back, also of those that do. */
  #keptFrom(lane: LaneState, isFixed: boolean): number {
    const kept = isFixed ? this.#heldBackFromFixed : this.#heldBack
    const own = isFixed ? lane.keptFromFixed : lane.keptBack
    return kept - Math.max(0, own - lane.held)
  }

  #nextOwed(): LaneState | undefined {
    for (let lane = this.#owed.shift(); lane !== undefined; lane = this.#owed.shift()) {
      if (lane.rank >= 0 && this.#mayTake(lane)) return lane
    }
    return undefined
  }

  /** The lane's priority is another: it moves to another rank, where it goes to the end. */
  #setPriority(lane: LaneState): void {
    lane.effectivePriority = Math.max(lane.priority - lane.lift, lane.ceiling)
    const [below, served] = this.#orders(lane)
    if (lane.order === below) return
    const rankBelowReserve = this.#rankOf.get(below)
    const rankServed = this.#rankOf.get(served)
    if (rankBelowReserve === undefined || rankServed === undefined) {
      lane.orders.add(below).add(served)
      return this.reconfigured()
    }
    lane.order = below
    lane.rankBelowReserve = rankBelowReserve
    lane.rankServed = rankServed
    this.update(lane)
  }

  /** Its turn is over. Lanes that were passed over keep theirs. */
  #toEnd(lane: LaneState, rank: number): void {
    if (this.#rings[rank] === lane) {
      this.#rings[rank] = lane.after
      return
    }
    this.#leave(lane)
    this.#enter(lane, rank)
  }

  #enter(lane: LaneState, rank: number): void {
    lane.rank = rank
    const first = this.#rings[rank]
    if (first === undefined) {
      lane.before = lane
      lane.after = lane
      this.#rings[rank] = lane
      this.#bits[rank >> 5] = (this.#bits[rank >> 5] as number) | (1 << (rank & 31))
      return
    }
    const last = first.before as LaneState
    lane.before = last
    lane.after = first
    last.after = lane
    first.before = lane
  }

  #leave(lane: LaneState): void {
    const { rank, before, after } = lane
    lane.rank = -1
    if (after === lane) {
      this.#rings[rank] = undefined
      this.#bits[rank >> 5] = (this.#bits[rank >> 5] as number) & ~(1 << (rank & 31))
      return
    }
    ;(before as LaneState).after = after
    ;(after as LaneState).before = before
    if (this.#rings[rank] === lane) this.#rings[rank] = after
  }

  /** The best rank from `from` on that has a ring; -1 when there is none. */
  #firstRank(from: number): number {
    let at = from >> 5
    if (at >= this.#bits.length) return -1
    let bits = (this.#bits[at] as number) & (-1 << (from & 31))
    while (bits === 0) {
      if (++at === this.#bits.length) return -1
      bits = this.#bits[at] as number
    }
    return (at << 5) + 31 - Math.clz32(bits & -bits)
  }

  #reserve(reserved: ReadonlyMap<LaneState, number>): void {
    const inTurn = this.#takeAllOut()
    this.#heldBack = 0
    this.#heldBackFromFixed = 0
    this.#heldByGiving = 0
    const guards = this.#lanes.filter((lane) => lane.limits.protected)
    for (const lane of this.#lanes) {
      const { lend, protected: isProtected } = lane.limits
      lane.reserved = reserved.get(lane) as number
      lane.keptBack = this.hasCap && !lend ? lane.reserved : 0
      lane.keptFromFixed = this.hasCap && (!lend || isProtected) ? lane.reserved : 0
      lane.isFixed = !lane.limits.givesBack
      if (!lane.isFixed) this.#heldByGiving += lane.held
      this.#heldBack += Math.max(0, lane.keptBack - lane.held)
      this.#heldBackFromFixed += Math.max(0, lane.keptFromFixed - lane.held)
      lane.ceiling = ceilingOf(lane, guards)
      lane.effectivePriority = Math.max(lane.priority - lane.lift, lane.ceiling)
    }
    const orders = this.#lanes.flatMap((lane) => [...this.#orders(lane), ...lane.orders])
    const ranks = [...new Set(orders)].sort((a, b) => a - b)
    this.#rings = ranks.map(() => undefined)
    this.#bits = new Array<number>(Math.ceil(ranks.length / 32)).fill(0)
    const rankOf = new Map(ranks.map((order, rank) => [order, rank]))
    this.#rankOf = rankOf
    const moved: LaneState[] = []
    for (const lane of inTurn) {
      const [below, served] = this.#orders(lane)
      const hasMoved = lane.order !== below
      lane.order = below
      lane.rankBelowReserve = rankOf.get(below) as number
      lane.rankServed = rankOf.get(served) as number
      if (hasMoved) moved.push(lane)
      else this.update(lane)
    }
    // A lane that comes to new company goes to the end; the others keep their turn.
    for (const lane of moved) this.update(lane)
  }

  /** Empties the rings. Gives all lanes, those that stood in a ring first and in their turn. */
  #takeAllOut(): readonly LaneState[] {
    const inTurn: LaneState[] = []
    for (const ring of this.#rings) {
      for (let lane = ring; lane !== undefined && !inTurn.includes(lane); lane = lane.after) inTurn.push(lane)
    }
    const others = this.#lanes.filter((lane) => lane.rank < 0)
    for (const lane of inTurn) this.#leave(lane)
    return [...inTurn, ...others]
  }

  /** Where a lane stands while it is below its reserved slots, and where otherwise. */
  #orders({ effectivePriority, limits }: LaneState): readonly [number, number] {
    const order = effectivePriority * 2 + (limits.protected ? 0 : 1)
    // A protected lane stands first whatever it holds; without a cap there is nothing to reserve.
    return this.hasCap && !limits.protected ? [order + STANDING, order + 2 * STANDING] : [order, order]
  }

  /**
   * How many slots each lane has reserved. Without a cap that is what its options say. Under one, explicit minima stand or
   * are refused, and soft ones are dropped, lowest lane first and protected lanes last, until a slot is left to everybody.
   */
  #share(lanes: readonly LaneState[]): ReadonlyMap<LaneState, number> {
    const reserved = new Map(lanes.map((lane) => [lane, lane.limits.min]))
    if (!this.hasCap) return reserved
    checkExplicit(lanes, this.#cap)
    let total = sum(lanes.map((lane) => lane.limits.min))
    for (const lane of dropOrder(lanes)) {
      if (total < this.#cap) break
      total -= lane.limits.min
      reserved.set(lane, 0)
    }
    return reserved
  }
}

/** The best priority that a lane may be lifted to: a protected lane above it still goes first. */
function ceilingOf(lane: LaneState, guards: readonly LaneState[]): number {
  let ceiling = 0
  for (const { priority } of guards) {
    // On a tie a protected lane goes before others, but takes turns with its like.
    if (!lane.limits.protected && priority <= lane.priority) ceiling = Math.max(ceiling, priority)
    if (lane.limits.protected && priority < lane.priority) ceiling = Math.max(ceiling, priority + 1)
  }
  return ceiling
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, one) => total + one, 0)

/** Lanes with a soft minimum in the order in which they give it up. */
function dropOrder(lanes: readonly LaneState[]): readonly LaneState[] {
  const soft = lanes.filter((lane) => lane.limits.softMin)
  return soft.sort((a, b) => Number(a.limits.protected) - Number(b.limits.protected) || b.priority - a.priority)
}

/** Refuses explicit minima that the cap cannot hold, or that would leave some lane without a slot for ever. */
function checkExplicit(lanes: readonly LaneState[], cap: number): void {
  const explicit = lanes.filter((lane) => !lane.limits.softMin && lane.limits.min > 0)
  const total = sum(explicit.map((lane) => lane.limits.min))
  const names = explicit.map((lane) => `${lane.id}: ${lane.limits.min}`).join(', ')
  if (total > cap) {
    throw configInvalid(
      'minConcurrency',
      `at most the global maxConcurrency (${cap}) over all lanes; lower one of ${names}, or raise maxConcurrency`,
      total,
    )
  }
  const keptFrom = ({ limits }: LaneState): LaneState[] =>
    explicit.filter((lane) => !lane.limits.lend || (lane.limits.protected && !limits.givesBack))
  const keptBackFrom = (lane: LaneState): number => sum(keptFrom(lane).map((other) => other.limits.min))
  const shut = lanes.find((lane) => !explicit.includes(lane) && keptBackFrom(lane) >= cap)
  if (shut === undefined) return
  const kept = keptBackFrom(shut)
  throw configInvalid(
    'minConcurrency',
    `below the global maxConcurrency (${cap}) over the lanes that do not lend, or lane '${shut.id}' never gets a slot; lower one of ${names}, let it lend, or raise maxConcurrency`,
    kept,
  )
}
