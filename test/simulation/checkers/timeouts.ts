import type { CheckerKind } from '../checker.js'
import { describe } from '../observer.js'
import type { BodyPicture, Picture } from '../picture.js'

const SLACK_MS = 1e-6

/**
 * I12: an attempt that holds its slot for longer than its timeout is answered and its signal aborts, not sooner and at the
 * next timer at the latest; its zombie is counted (see conservation), and given up after its grace period.
 */
export const timeouts: CheckerKind = {
  name: 'timeouts',
  invariants: ['I12'],
  make: () => {
    const zombies = new Map<BodyPicture, number>()
    return {
      onBody: ({ what, body }, picture) => {
        if (what !== 'aborted' || body.abortCode !== 'COMMAND_TIMEOUT') return
        const { timeoutMs } = body.command
        const heldMs = heldFor(body, picture.now)
        if (timeoutMs === undefined || heldMs < timeoutMs - SLACK_MS)
          picture.report('I12', `${describe(body.command)} timed out after ${heldMs} of ${String(timeoutMs)} ms`)
        if (!body.isOver)
          picture.report('I12', `${describe(body.command)} heard of its timeout before its attempt was over`)
      },
      atQuiescence: (picture) => {
        for (const lane of picture.lanes.values()) for (const body of lane.bodies) judge(body, zombies, picture)
      },
    }
  },
}

/** Time preempted or yielded does not count. */
const heldFor = (body: BodyPicture, now: number): number =>
  now - body.enteredAt - body.yieldedMs - (body.isYielding ? now - body.yieldingSince : 0) + body.earlierMs

function judge(body: BodyPicture, zombies: Map<BodyPicture, number>, picture: Picture): void {
  const { command } = body
  if (!body.isOver) {
    const { timeoutMs } = command
    if (timeoutMs === undefined || !picture.isPunctual || heldFor(body, picture.now) <= timeoutMs + SLACK_MS) return
    picture.report('I12', `${describe(command)} runs for ${heldFor(body, picture.now)} ms, its timeout is ${timeoutMs}`)
  }
  if (body.abortCode === undefined) picture.report('I12', `the signal of ${describe(command)} never aborted`)
  const since = zombies.get(body) ?? picture.now
  zombies.set(body, since)
  if (picture.isPunctual && picture.now > since + command.zombieGraceMs + SLACK_MS)
    picture.report('I12', `the zombie of ${describe(command)} holds its slot since ${since}`)
}
