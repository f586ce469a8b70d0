import type { CheckerKind } from '../checker.js'
import { describe } from '../observer.js'

/** I17: a paused lane starts nothing; nothing starts before the queue does, or after its end. Resuming is work's business. */
export const pause: CheckerKind = {
  name: 'pause',
  invariants: ['I17'],
  make: () => ({
    beforeStart: (command, picture) => {
      const { paused, pausedMidStep } = picture.lane(command.laneId)
      if (paused && pausedMidStep !== picture.moment)
        picture.report('I17', `${describe(command)} started in a paused lane`)
      if (!picture.hasStarted) picture.report('I17', `${describe(command)} started before the queue`)
      if (picture.isComplete || picture.isClosing)
        picture.report('I16', `${describe(command)} started in a closed queue`)
    },
  }),
}
