import type { CheckerKind } from '../checker.js'
import { describe } from '../observer.js'

/** I28: no two bodies of one command at once, unless the earlier was given up; nothing runs that is not active. */
export const running: CheckerKind = {
  name: 'running',
  invariants: ['I28'],
  make: () => ({
    onBody: ({ what, body }, picture) => {
      if (what !== 'entered') return
      const { command } = body
      for (const other of picture.lane(command.laneId).bodies) {
        if (other !== body && other.command === command)
          picture.report('I28', `${describe(command)} runs beside itself`)
      }
      if (command.phase !== 'active') picture.report('I28', `${describe(command)} runs, and is ${command.phase}`)
    },
    onEvent: ({ name, command }, picture) => {
      if (name !== 'preempted' || command === undefined) return
      for (const other of picture.lane(command.laneId).bodies) {
        if (other.command === command) picture.report('I28', `${describe(command)} is pending while its body runs`)
      }
    },
  }),
}
