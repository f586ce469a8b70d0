/** Whether a lane's gates let a command through, as far as can be told from outside. */
import { headOf } from './heads.js'
import type { CommandPicture, LanePicture, Picture } from './picture.js'

/**
 * 'yes' only when it is certain, and has been since an earlier instant: what opens at this very instant may have its timer
 * still to come. A limiter of a group grants to its best waiting member first, so for any other member the answer is
 * 'perhaps' at best; so it is for a lane with a breaker, and for gates behind a late timer.
 */
export function openFor(command: CommandPicture, picture: Picture): 'yes' | 'no' | 'perhaps' {
  const lane = picture.lane(command.laneId)
  const answer = openNow(command, lane, picture)
  if (answer !== 'yes' || !isGated(lane)) return answer
  return lane.openHead === command && lane.openSince < picture.now - HAND_OVER_MS ? 'yes' : 'perhaps'
}

/** A claim that has come due still keeps worse lanes of its group back for so long. */
const HAND_OVER_MS = 1

export const isGated = ({ limits }: LanePicture): boolean => limits.models.length > 0 || limits.closedUntil > 0

/** To be called at rest: since when has the lane been open? */
export function noteOpening(lane: LanePicture, picture: Picture): void {
  if (!isGated(lane)) return
  const head = headOf(lane, picture)
  const isOpen = head !== undefined && openNow(head, lane, picture) === 'yes'
  const since = head === lane.openHead ? Math.min(lane.openSince, picture.now) : picture.now
  lane.openSince = isOpen ? since : Number.POSITIVE_INFINITY
  lane.openHead = head
}

function openNow(command: CommandPicture, lane: LanePicture, picture: Picture): 'yes' | 'no' | 'perhaps' {
  const { limits, spec } = lane
  if (picture.now < limits.closedUntil) return 'no'
  const allowed = limits.allows(command.spec.cost, picture.now)
  if (allowed !== 'yes') return allowed
  if (spec.breaker !== undefined) return 'perhaps'
  if (!isGated(lane)) return 'yes'
  if (!picture.isPunctual || !allowsAll(lane, picture)) return 'perhaps'
  return isOutranked(lane, picture) ? 'perhaps' : 'yes'
}

/** With turns by key it is not known whose turn it is: then whatever waits has to be allowed. */
function allowsAll(lane: LanePicture, picture: Picture): boolean {
  if (lane.spec.fairness !== 'key') return true
  for (const command of lane.waiting) {
    if (picture.isReady(command) && lane.limits.allows(command.spec.cost, picture.now) !== 'yes') return false
  }
  return true
}

/** Whether another member of one of its groups waits, which may be better or hold a claim. */
function isOutranked(lane: LanePicture, picture: Picture): boolean {
  for (const other of picture.lanes.values()) {
    if (other === lane || other.waiting.size === 0) continue
    if (other.limits.groups.some((group) => lane.limits.groups.includes(group))) return true
  }
  return false
}
