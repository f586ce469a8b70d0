import type { CheckerKind } from '../checker.js'
import { comesBefore, hasKeyRoom } from '../heads.js'
import { describe } from '../observer.js'

/**
 * I4 inside a lane, I5, I27: yielded commands, then preempted ones, then by command priority, then by arrival (the newest
 * first in a `lifo` lane). With fairness by key arrival decides within one key only.
 */
export const arrival: CheckerKind = {
  name: 'arrival',
  invariants: ['I4', 'I5', 'I27'],
  make: () => ({
    beforeStart: (command, picture) => {
      if (command.isAwaitedChild) return
      const lane = picture.lane(command.laneId)
      const isFair = lane.spec.fairness === 'key'
      for (const other of lane.waiting) {
        if (other === command || !comesBefore(other, command, lane) || !picture.isReady(other)) continue
        const isOfAnotherKey = other.spec.key !== command.spec.key
        const isSamePlace = other.place === command.place
        const isSamePriority = (other.spec.priority ?? 1000) === (command.spec.priority ?? 1000)
        if (isFair && isOfAnotherKey && isSamePlace && isSamePriority) continue
        if (!hasKeyRoom(other, lane)) continue
        const invariant = other.place === 'preempted' && !isSamePlace ? 'I27' : isSamePriority ? 'I5' : 'I4'
        picture.report(
          invariant,
          `${describe(command)} started before ${describe(other)} (${other.place}), of which it says ${picture.explain(other.id)}`,
        )
      }
    },
  }),
}
