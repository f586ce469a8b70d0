import type { CheckerKind } from '../checker.js'
import { isGated } from '../gates.js'
import { describe } from '../observer.js'
import type { BodyPicture, Picture } from '../picture.js'

/**
 * I30: a body in `ctx.yield` goes on before any new start of its lane, at the latest when everything has come to rest and
 * there is room for it; an abort ends its wait at once.
 */
export const yields: CheckerKind = {
  name: 'yields',
  invariants: ['I30'],
  make: () => ({
    beforeStart: (command, picture) => {
      const lane = picture.lane(command.laneId)
      if (command.isAwaitedChild || lane.spec.keyConcurrency !== undefined) return
      for (const { isYielding, isOver, command: other } of lane.bodies) {
        if (isYielding && !isOver && other.run?.state === 'pending' && other.body?.abortCode === undefined)
          picture.report('I30', `${describe(command)} started before ${describe(other)} went on`)
      }
    },
    atQuiescence: (picture) => {
      for (const lane of picture.lanes.values())
        for (const body of lane.bodies) if (body.isYielding) judge(body, picture)
    },
  }),
}

function judge({ command, abortCode }: BodyPicture, picture: Picture): void {
  const lane = picture.lane(command.laneId)
  if (abortCode !== undefined) picture.report('I30', `${describe(command)} was aborted, and still waits in its yield`)
  if (isGated(lane) || lane.paused || picture.hasCap || lane.spec.breaker !== undefined) return
  const { slots, max } = picture.claimsOf(lane.id)
  if (slots < max && lane.spec.keyConcurrency === undefined && !picture.isClosing)
    picture.report('I30', `${describe(command)} waits in its yield beside ${max - slots} free slots`)
}
