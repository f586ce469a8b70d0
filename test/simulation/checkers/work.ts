import type { CheckerKind } from '../checker.js'
import { isGated, openFor } from '../gates.js'
import { headOf } from '../heads.js'
import { describe } from '../observer.js'
import type { LanePicture, Picture } from '../picture.js'
import { lends } from './lane-order.js'

/** I15: at rest there is never an eligible command and a usable slot together. */
export const work: CheckerKind = {
  name: 'work',
  invariants: ['I15'],
  make: () => ({
    atQuiescence: (picture) => {
      if (!picture.hasStarted || picture.isClosing || picture.isComplete) return
      for (const lane of picture.lanes.values()) judge(lane, picture)
    },
  }),
}

function judge(lane: LanePicture, picture: Picture): void {
  const { pending, slots, max } = picture.claimsOf(lane.id)
  if (pending === 0 || lane.paused || slots >= max || !hasPlace(lane, picture)) return
  const head = headOf(lane, picture)
  if (head === undefined || openFor(head, picture) !== 'yes') return
  const since = isGated(lane) ? `, its gates open since ${lane.openSince}` : ''
  picture.report(
    'I15',
    `${lane.id} has ${pending} pending, ${slots} of ${max} slots in use, and does not start ${describe(head)}${since}; it says ${picture.explain(head.id)}`,
  )
}

function hasPlace(lane: LanePicture, picture: Picture): boolean {
  if (!picture.hasCap) return true
  let heldBack = 0
  for (const other of picture.lanes.values()) {
    if (other === lane || lends(other, lane)) continue
    const { min, slots } = picture.claimsOf(other.id)
    heldBack += Math.max(0, min - slots)
  }
  return picture.options.cap - picture.claims.totalSlots > heldBack
}
