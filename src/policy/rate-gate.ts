/**
 * The gate of one lane's rate limits, its own and those that it shares in groups, and of the pause that a provider asks
 * for. A lane without limits can be paused all the same.
 *
 * What waits for a group's tokens claims them (see `RateLimitGroup`), in all groups of the lane at once: with claims in
 * one group only, worse lanes could empty the other one each time. While the lane's own limits or a pause keep it back for
 * longer than its groups do, it claims nothing: it could not use what it keeps from others.
 */
import type { Member, Seat } from './claim-line.js'
import { type CountedLimit, checkSame, limitKey, limitText } from './counted-limit.js'
import { type Ask, amountOf, COMMANDS, type Cost, type Gate, type Reason } from './gate.js'
import { slackOf } from './limiter.js'
import { isUnlimited, type RateLimitConfig } from './rate-limit.js'
import type { RateLimitGroup } from './rate-limit-group.js'
import { Succession } from './rate-succession.js'

/** What the gate of a lane is made from. */
export type RateGateParams = {
  readonly limits: readonly RateLimitConfig[]
  /** The group that has this name in the lane's queue. */
  readonly group: (name: string) => RateLimitGroup
  /** The lane, as its groups see it. */
  readonly member: Member
}

/** A limit that the lane is held to. */
type Line = {
  readonly counted: CountedLimit
  readonly group: RateLimitGroup | undefined
  /** Attempts that started earlier were not counted here. */
  readonly since: number
}

const NEVER = Number.NEGATIVE_INFINITY

export class RateGate implements Gate {
  readonly #group: (name: string) => RateLimitGroup
  readonly #member: Member
  #lines: readonly Line[] = []
  #seats: ReadonlyMap<RateLimitGroup, Seat> = new Map()
  /** Until when the lane's next command claims what its groups grant, and until when one does that waits aside. */
  #wanted = NEVER
  #wantedAside = NEVER
  /** The lane's own pause; a lane with groups closes those instead. */
  #closedUntil = NEVER

  /** `CONFIG_INVALID` when a limit has other numbers than the lanes of its group agree on; then no group is joined. */
  constructor({ limits, group, member }: RateGateParams) {
    this.#group = group
    this.#member = member
    this.#check(limits, { withOthers: true })
    this.#adopt(limits, NEVER)
  }

  readyAt(ask: Ask, now: number): number {
    let alone = this.#opensAt(now)
    let together = NEVER
    for (const { counted, group } of this.#lines) {
      const at = counted.limiter.readyAt(amountOf(counted.limit.unit, ask.cost), now)
      if (group === undefined) alone = Math.max(alone, at)
      else together = Math.max(together, at)
    }
    for (const [group, seat] of this.#seats) group.prepare(seat, now)
    for (const [group, seat] of this.#seats) together = Math.max(together, group.waitOf(seat, now))
    const claims = together > now && together >= alone && together < Number.POSITIVE_INFINITY
    this.#claim(claims ? together : NEVER, now, ask.isAside)
    return Math.max(alone, together)
  }

  /** How many commands may start now, one after the other, at most `most`; where a limit counts anything but commands, one. */
  grants(most: number, now: number): number {
    let grants = this.#opensAt(now) > now ? 0 : most
    for (const { counted } of this.#lines) {
      const { unit = COMMANDS } = counted.limit
      const { limiter } = counted
      const some = unit === COMMANDS ? Math.floor(limiter.available(now) + slackOf(limiter.largest)) : 1
      grants = Math.min(grants, some)
    }
    for (const [group, seat] of this.#seats) if (group.turnOf(seat, now) > now) grants = 0
    return Math.max(0, grants)
  }

  started(ask: Ask, now: number): void {
    for (const { counted } of this.#lines) counted.limiter.take(amountOf(counted.limit.unit, ask.cost), now)
    this.#giveUp(now)
  }

  withdraw(now: number, isAside = false): void {
    this.#claim(NEVER, now, isAside)
  }

  /** The lane is to ask and cannot: it keeps nothing from the others. */
  passOver(now: number): void {
    for (const [group, seat] of this.#seats) group.passOver(seat, now)
  }

  /** The lane's place may be another: whoever goes first in its groups now is asked. */
  moved(now: number): void {
    for (const [group, seat] of this.#seats) group.moved(seat, now)
  }

  /** What an attempt costs beyond its account is a debt at once; what it does not need is given back, and whoever waits for it is woken. */
  settle(before: Cost | undefined, after: Cost, takenAt: number, now: number): void {
    const richer = new Set<RateLimitGroup | undefined>()
    for (const { counted, group, since } of this.#lines) {
      const { unit } = counted.limit
      const difference = amountOf(unit, after) - amountOf(unit, before)
      if (difference === 0 || (difference < 0 && takenAt < since)) continue
      counted.limiter.settle(difference, takenAt, now)
      if (difference < 0) richer.add(group)
    }
    for (const group of richer) {
      if (group === undefined) this.#member.wake()
      else group.gained(now)
    }
  }

  /** Why the command may not start: of several reasons the one that lasts longest. */
  reason(ask: Ask, now: number): Reason | undefined {
    const reasons = [
      { at: this.#opensAt(now), code: 'closed_by_provider', message: () => pauseText([...this.#seats.keys()]) },
      ...this.#lines.map((line) => {
        const amount = amountOf(line.counted.limit.unit, ask.cost)
        const at = line.counted.limiter.readyAt(amount, now)
        return { at, code: 'rate_limited', message: () => lineText(line, amount, now) }
      }),
      ...[...this.#seats].map(([group, seat]) => ({
        at: group.turnOf(seat, now),
        code: 'rate_limited',
        message: () => turnText(group),
      })),
    ]
    const { at, code, message } = reasons.reduce((last, one) => (one.at > last.at ? one : last))
    if (at <= now) return undefined
    return { code, message: message(), ...(at === Number.POSITIVE_INFINITY ? {} : { until: at }) }
  }

  /** The limit that can never grant the cost, with the most that it grants at once; undefined when all of them can. */
  largestFor(cost: Cost | undefined): { readonly unit: string; readonly largest: number } | undefined {
    for (const { counted } of this.#lines) {
      const { unit = COMMANDS } = counted.limit
      const { largest } = counted.limiter
      if (amountOf(unit, cost) > largest + slackOf(largest)) return { unit, largest }
    }
    return undefined
  }

  /**
   * Other limits from now on, also for the lanes that share them. What was taken stays taken: a limit that was there keeps
   * its level or record, and one that is new for its unit begins with what the unit's others have granted.
   * `CONFIG_INVALID` changes nothing.
   */
  configure(limits: readonly RateLimitConfig[], now: number): void {
    this.#check(limits, { withOthers: false })
    const [linesBefore, seatsBefore, opensAt] = [this.#lines, this.#seats, this.#opensAt(now)]
    this.#adopt(limits, now)
    for (const { counted } of linesBefore) counted.users--
    for (const [group, seat] of seatsBefore) if (!this.#seats.has(group)) group.leave(seat, now)
    // Claims in several groups are of one age: otherwise two lanes could wait for each other, each in another group.
    if ([...this.#seats.keys()].some((group) => !seatsBefore.has(group))) this.#giveUp(now)
    // who leaves the last group takes its pause along: the provider that asked for it is still the same
    if (this.#seats.size === 0) this.#closedUntil = opensAt
    for (const group of new Set([...seatsBefore.keys(), ...this.#seats.keys()])) group.wakeAll()
    this.#member.wake()
  }

  /** Nothing starts before `at`: in all groups of the lane, or in the lane alone when it has none. */
  closeUntil(at: number): void {
    for (const group of this.#seats.keys()) group.closeUntil(at)
    if (this.#seats.size === 0) this.#closedUntil = Math.max(this.#closedUntil, at)
  }

  /** The lane is no more: it leaves its groups. */
  dispose(now: number): void {
    for (const { counted } of this.#lines) counted.users--
    for (const [group, seat] of this.#seats) group.leave(seat, now)
    this.#lines = []
    this.#seats = new Map()
  }

  #opensAt(now: number): number {
    let at = this.#closedUntil
    for (const group of this.#seats.keys()) at = Math.max(at, group.closedUntil(now) ?? NEVER)
    return at
  }

  /** Limits that would be one limiter have to agree: in this list, and with the other lanes of the group where asked. */
  #check(limits: readonly RateLimitConfig[], { withOthers }: { withOthers: boolean }): void {
    const seen = new Map<RateLimitGroup, Map<string, RateLimitConfig>>()
    for (const limit of limits) {
      const group = this.#groupOf(limit)
      if (group === undefined) continue
      const counted = group.find(limit)
      if (withOthers && counted !== undefined && counted.users > 0) checkSame(limit, counted.limit)
      const own = seen.get(group) ?? new Map<string, RateLimitConfig>()
      seen.set(group, own)
      const twin = own.get(limitKey(limit))
      if (twin !== undefined) checkSame(limit, twin)
      own.set(limitKey(limit), limit)
    }
  }

  /** Takes limits over and joins their groups. Lines and seats that stay are the same as before. */
  #adopt(limits: readonly RateLimitConfig[], now: number): void {
    const before = this.#lines
    const succession = new Succession(before, limits, now)
    const lines: Line[] = []
    const seats = new Map<RateLimitGroup, Seat>()
    for (const limit of limits) {
      const group = this.#groupOf(limit)
      if (group !== undefined && !seats.has(group)) seats.set(group, this.#seats.get(group) ?? group.join(this.#member))
      if (isUnlimited(limit)) continue
      const counted = group === undefined ? succession.of(limit) : shared(group, limit, succession, now)
      if (lines.some((line) => line.counted === counted)) continue
      counted.users++
      lines.push({ counted, group, since: before.find((line) => line.counted === counted)?.since ?? now })
    }
    this.#lines = lines
    this.#seats = seats
  }

  #groupOf({ group }: RateLimitConfig): RateLimitGroup | undefined {
    return typeof group === 'string' ? this.#group(group) : group
  }

  /** Claims until then what the groups grant, for the next command or one that waits aside: until the later of both. */
  #claim(until: number, now: number, isAside = false): void {
    if (isAside) this.#wantedAside = until
    else this.#wanted = until
    const both = Math.max(this.#wanted, this.#wantedAside)
    for (const [group, seat] of this.#seats) {
      if (both === NEVER) group.withdraw(seat, now)
      else group.claim(seat, both, now)
    }
  }

  #giveUp(now: number): void {
    this.#wantedAside = NEVER
    this.#claim(NEVER, now)
  }
}

/** The limiter of a group for a limit, with the limit's numbers. */
function shared(group: RateLimitGroup, limit: RateLimitConfig, succession: Succession, now: number): CountedLimit {
  const found = group.find(limit)
  if (found === undefined) return group.add(succession.fresh(limit))
  found.configure(limit, now)
  return found
}

const groupText = ({ name }: RateLimitGroup): string => (name === undefined ? 'its group' : `group '${name}'`)

const pauseText = (groups: readonly RateLimitGroup[]): string =>
  `The provider asked for a pause${groups.length === 0 ? '' : ` of ${groups.map(groupText).join(' and ')}`}`

const turnText = (group: RateLimitGroup): string =>
  `A better lane of ${groupText(group)} goes first, or one as good that has waited longer`

function lineText({ counted: { limit, limiter }, group }: Line, amount: number, now: number): string {
  const which = `The limit of ${limitText(limit)}${group === undefined ? '' : ` in ${groupText(group)}`}`
  if (limiter.readyAt(amount, now) === Number.POSITIVE_INFINITY) return `${which} never grants ${amount} at once`
  const left = Math.round(limiter.available(now) * 1000) / 1000
  return `${which} has ${left} left, and the command needs ${amount}`
}
