import type { CheckerKind } from '../checker.js'
import { describe } from '../observer.js'

/** I10, I25: attempts count 1, 2, 3 without gaps; failed ones are at most 1 + retries; a preempted one keeps its number. */
export const attempts: CheckerKind = {
  name: 'attempts',
  invariants: ['I10', 'I25'],
  make: () => ({
    onEvent: ({ name, command, fields }, picture) => {
      if (command === undefined) return
      if (name === 'retry') {
        command.failures++
        if (fields['attempt'] !== command.failures)
          picture.report(
            'I10',
            `${describe(command)}: retry ${String(fields['attempt'])} after ${command.failures} failures`,
          )
        if (command.failures > command.retry.maxRetries)
          picture.report(
            'I10',
            `${describe(command)} failed ${command.failures} times of ${command.retry.maxRetries} retries`,
          )
      }
      if (name === 'delayed' && command.deferrals > command.maxDeferrals)
        picture.report(
          'I10',
          `${describe(command)} was put off ${command.deferrals} times, at most ${command.maxDeferrals}`,
        )
    },
    onBody: ({ what, body }, picture) => {
      const { command, attempt } = body
      if (what !== 'entered' || attempt === command.attempt) return
      const invariant = command.trail.at(-1) === 'resumed' || command.trail.at(-2) === 'preempted' ? 'I25' : 'I10'
      picture.report(invariant, `${describe(command)} runs as attempt ${attempt}, expected ${command.attempt}`)
    },
  }),
}
