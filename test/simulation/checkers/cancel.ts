import type { CheckerKind } from '../checker.js'
import { describe } from '../observer.js'

/**
 * I18: a cancelled command never starts, and a running one hears of it. That it has its outcome when the call returns is judged
 * where it is made.
 */
export const cancel: CheckerKind = {
  name: 'cancel',
  invariants: ['I18'],
  make: () => ({
    beforeStart: (command, picture) => {
      if (command.phase === 'settled') picture.report('I18', `${describe(command)} started after its end`)
    },
    atQuiescence: (picture) => {
      for (const lane of picture.lanes.values()) {
        for (const { command, abortCode } of lane.bodies) {
          if (command.final === 'cancelled' && command.trail.at(-1) === 'cancelled' && abortCode === undefined)
            picture.report('I18', `${describe(command)} was cancelled, and its body does not know`)
        }
      }
    },
  }),
}
