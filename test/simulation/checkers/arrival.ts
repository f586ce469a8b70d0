import type { CheckerKind } from '../checker.js'
import { comesBefore, hasKeyRoom } from '../heads.js'
import { describe } from '../observer.js'
import type { CommandPicture, LanePicture } from '../picture.js'

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
      for (const other of lane.waiting) {
        if (other === command || !comesBefore(other, command, lane) || !picture.isReady(other)) continue
        if (mayTurnDecide(command, other, lane) || !hasKeyRoom(other, lane)) continue
        const text = `${describe(command)} started before ${describe(other)} (${other.place})`
        picture.report(invariantOf(command, other), `${text}, of which it says ${picture.explain(other.id)}`)
      }
    },
  }),
}

const haveSamePriority = (a: CommandPicture, b: CommandPicture): boolean =>
  (a.spec.priority ?? 1000) === (b.spec.priority ?? 1000)

/** Whether turns by key, and not arrival, decide between two commands. */
const mayTurnDecide = (a: CommandPicture, b: CommandPicture, lane: LanePicture): boolean =>
  lane.spec.fairness === 'key' && a.spec.key !== b.spec.key && a.place === b.place && haveSamePriority(a, b)

function invariantOf(command: CommandPicture, other: CommandPicture): string {
  if (other.place === 'preempted' && command.place !== 'preempted') return 'I27'
  return haveSamePriority(command, other) ? 'I5' : 'I4'
}
