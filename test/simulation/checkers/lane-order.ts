import type { CheckerKind } from '../checker.js'
import { openFor } from '../gates.js'
import { isHandover } from '../handover.js'
import { headOf } from '../heads.js'
import { describe } from '../observer.js'
import type { CommandPicture, LanePicture, Picture } from '../picture.js'
import { effectiveRange } from '../urgency.js'

/**
 * I3, I4, I31: when a command starts, no lane that could have taken its place stands better: a protected lane under a cap,
 * then one below its reserved slots, then by effective priority, a protected one first on a tie.
 *
 * Not judged: a child of `ctx.run`, which may run in its parent's places; the taker of a preempted slot; other lanes whose
 * gates are not certainly open. What a lane claims as its effective priority, its slots and its reserve is judged elsewhere.
 */
export const laneOrder: CheckerKind = {
  name: 'lane order',
  invariants: ['I3', 'I4', 'I31'],
  make: () => ({
    beforeStart: (command, picture) => {
      if (command.isAwaitedChild || command.place === 'yielded' || isHandover(command, picture)) return
      const lane = picture.lane(command.laneId)
      if (picture.hasCap && isKept(lane, picture))
        picture.report('I3', `${describe(command)} took a slot that is kept for others`)
      const own = ownStanding(command, lane, picture)
      for (const other of picture.lanes.values()) {
        if (other === lane || !(isBetter(standingOf(other, picture, 0), own) || guards(other, lane))) continue
        if (couldStart(other, lane, picture))
          picture.report(invariantOf(other, own, picture), textOf(command, other, picture))
      }
    },
  }),
}

export type Standing = readonly [standing: number, priority: number, isProtected: number]

/** Where a lane stands; `taken` of its slots were only just taken. */
export function standingOf(lane: LanePicture, picture: Picture, taken: number): Standing {
  const { slots, min, effectivePriority } = picture.claimsOf(lane.id)
  const isProtected = lane.spec.protected === true
  const belowReserve = slots - taken < min ? 1 : 2
  return [picture.hasCap && !isProtected ? belowReserve : 0, effectivePriority, isProtected ? 0 : 1]
}

/** The command that was taken may have been the one that lifted its lane: then the claim is already without it. */
export function ownStanding(command: CommandPicture, lane: LanePicture, picture: Picture): Standing {
  const [standing, claimed, isProtected] = standingOf(lane, picture, 1)
  return [standing, Math.min(claimed, effectiveRange(lane, picture, command)[0]), isProtected]
}

/** Whether a protected lane stands above the other by base priority: then no boost changes their order. */
const guards = ({ spec }: LanePicture, lane: LanePicture): boolean =>
  spec.protected === true &&
  (lane.spec.protected === true ? spec.priority < lane.spec.priority : spec.priority <= lane.spec.priority)

function isBetter(a: Standing, b: Standing): boolean {
  for (let index = 0; index < a.length; index++) {
    if (a[index] !== b[index]) return (a[index] as number) < (b[index] as number)
  }
  return false
}

/** Whether the other lane could certainly have started something in the place that `taker` has just taken. */
export function couldStart(other: LanePicture, taker: LanePicture, picture: Picture): boolean {
  const { pending, slots, max } = picture.claimsOf(other.id)
  const taken = other === taker ? 1 : 0
  if (other.paused || slots - taken >= max || (pending === 0 && taken === 0)) return false
  const head = headOf(other, picture)
  if (head === undefined || openFor(head, picture) !== 'yes') return false
  return !picture.hasCap || mayTake(other, taker, picture)
}

/** A free place is for a lane only while more are free than other lanes hold back for themselves. */
function mayTake(other: LanePicture, taker: LanePicture, picture: Picture): boolean {
  const free = picture.options.cap - (picture.claims.totalSlots - 1)
  let heldBack = 0
  for (const lane of picture.lanes.values()) {
    if (lane === other || lends(lane, other)) continue
    const { min, slots } = picture.claimsOf(lane.id)
    heldBack += Math.max(0, min - (slots - (lane === taker ? 1 : 0)))
  }
  return free > heldBack
}

/** Whether the slot that a lane has just taken belongs to those that lend none of theirs. */
function isKept(taker: LanePicture, picture: Picture): boolean {
  let kept = 0
  for (const lane of picture.lanes.values()) {
    if (lane === taker || (lane.spec.lend ?? lane.spec.protected !== true)) continue
    const { min, slots } = picture.claimsOf(lane.id)
    kept += Math.max(0, min - slots)
  }
  const own = picture.claimsOf(taker.id)
  const isOwn = !(taker.spec.lend ?? taker.spec.protected !== true) && own.slots <= own.min
  return !isOwn && picture.options.cap - (picture.claims.totalSlots - 1) <= kept
}

/** A protected lane that lends does so to work that can give the slot back at once. */
export function lends({ spec }: LanePicture, to: LanePicture): boolean {
  const isProtected = spec.protected === true
  if (!(spec.lend ?? !isProtected)) return false
  return !isProtected || spec.minConcurrency === 0 || to.spec.preemptible === true
}

function invariantOf(other: LanePicture, own: Standing, picture: Picture): string {
  if (other.spec.protected === true) return 'I31'
  return standingOf(other, picture, 0)[0] < own[0] ? 'I3' : 'I4'
}

const textOf = (command: CommandPicture, other: LanePicture, picture: Picture): string =>
  `${describe(command)} started before ${other.id}, which stands ${standingOf(other, picture, 0).join('/')} against ${standingOf(picture.lane(command.laneId), picture, 1).join('/')}`
