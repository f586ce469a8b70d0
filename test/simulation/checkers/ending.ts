import type { CheckerKind } from '../checker.js'
import type { Picture } from '../picture.js'

/**
 * I16: after `shutdown` nothing is accepted, its end is announced once, and a drain comes back by its limit. What a drain
 * says when it comes back is judged where it is called.
 */
export const ending: CheckerKind = {
  name: 'ending',
  invariants: ['I16'],
  make: () => {
    let ends = 0
    return {
      onEvent: ({ name, command }, picture) => {
        if (name === 'shutdown.complete') {
          ends++
          judgeComplete(picture)
        }
        if (name === 'submitted' && picture.isShuttingDown)
          picture.report('I16', `'${command?.id ?? ''}' was accepted after shutdown`)
      },
      atQuiescence: judgeDrains,
      atEnd: (picture) => {
        if (ends !== 1) picture.report('I16', `the end of the shutdown was announced ${ends} times`)
        for (const { outcome } of picture.drains)
          if (outcome === 'waiting') picture.report('I16', 'a drain never came back')
      },
    }
  },
}

/** The end is told when everything accepted has settled and no slot is held. */
function judgeComplete(picture: Picture): void {
  let bodies = 0
  for (const lane of picture.lanes.values()) bodies += lane.bodies.size
  if (picture.unsettled > 0 || bodies > 0)
    picture.report('I16', `the shutdown is complete with ${picture.unsettled} unsettled and ${bodies} bodies`)
}

/** A late timer is no fault of the queue. */
function judgeDrains(picture: Picture): void {
  if (!picture.isPunctual) return
  for (const { outcome, calledAt, limitMs } of picture.drains) {
    if (outcome === 'waiting' && picture.now > calledAt + limitMs)
      picture.report('I16', `a drain of ${limitMs} ms waits since ${calledAt}`)
  }
}
