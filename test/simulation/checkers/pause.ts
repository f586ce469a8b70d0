import type { CheckerKind } from '../checker.js'
import { describe } from '../observer.js'

/** I17: a paused lane starts nothing; nothing starts before the queue does, after its end, or inside a submit. Resuming is work's business. */
export const pause: CheckerKind = {
  name: 'pause',
  invariants: ['I4', 'I17'],
  make: () => ({
    beforeStart: (command, picture) => {
      const { paused, pausedMidStep } = picture.lane(command.laneId)
      if (paused && pausedMidStep !== picture.moment)
        picture.report('I17', `${describe(command)} started in a paused lane`)
      // commands submitted in one turn of the event loop are all seen before the first of them starts
      if (picture.submitting > 0) picture.report('I4', `${describe(command)} started inside a submit`)
      if (!picture.hasStarted) picture.report('I17', `${describe(command)} started before the queue`)
      if (picture.isComplete || picture.isClosing)
        picture.report('I16', `${describe(command)} started in a closed queue`)
    },
  }),
}
