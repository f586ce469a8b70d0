import type { CheckerKind } from '../checker.js'
import { describe } from '../observer.js'
import { type BodyPicture, type CommandPicture, isBusy, type LanePicture, type Picture } from '../picture.js'
import { couldStart } from './lane-order.js'

/**
 * I29: only for a waiting command of a `preempts` lane; only from a preemptible lane of lower base priority that holds more
 * than its reserve; the lowest such lane, and its newest body; and the slot goes to the lane that caused it. Bodies that wait
 * for a child or share places with one are not asked, nor are those that were asked before or wait in `ctx.yield`.
 */
export const victims: CheckerKind = {
  name: 'victims',
  invariants: ['I29'],
  make: () => {
    /** How often each command gave way since the last rest. */
    const gaveWay = new Map<CommandPicture, number>()
    return {
      atQuiescence: () => gaveWay.clear(),
      onBody: ({ what, body }, picture) => {
        if (what !== 'aborted' || body.abortCode !== 'COMMAND_PREEMPTED') return
        const times = (gaveWay.get(body.command) ?? 0) + 1
        gaveWay.set(body.command, times)
        if (times === MOST_IN_TURN)
          picture.report('I29', `${describe(body.command)} was preempted ${times} times without time passing`)
        judge(body, picture)
      },
      beforeStart: (command, picture) => {
        const lane = picture.lane(command.laneId)
        // a body that goes on after a yield may be the one that took the slot, which is not seen
        if (picture.options.features.includes('yields')) return
        if (command.isAwaitedChild || lane.owed > 0 || !picture.hasCap) return
        for (const other of picture.lanes.values()) {
          if (other.surelyOwed > 0 && other !== lane && couldStart(other, lane, picture))
            picture.report('I29', `${describe(command)} took the slot that was given up for ${other.id}`)
        }
      },
    }
  },
}

/** More than any seed has yields to answer. */
const MOST_IN_TURN = 50

function judge(victim: BodyPicture, picture: Picture): void {
  const { command } = victim
  const lane = picture.lane(command.laneId)
  const taker = picture.lanes.get(victim.takerId ?? '')
  const name = `${describe(command)} was preempted by ${victim.takerId ?? 'nobody'}`
  if (taker === undefined || taker.spec.preempts !== true)
    return picture.report('I29', `${name}, which does not preempt`)
  if (lane.spec.preemptible !== true) picture.report('I29', `${name} in a lane that is not preemptible`)
  if (taker.spec.priority >= lane.spec.priority)
    picture.report('I29', `${name} with base priority ${taker.spec.priority} against ${lane.spec.priority}`)
  if (!hasNeed(taker, picture)) picture.report('I29', `${name}, which has nothing to start, or no room for it`)
  if (picture.claimsOf(lane.id).slots <= lane.spec.minConcurrency)
    picture.report('I29', `${name} out of the reserve of its lane`)
  judgeChoice(victim, lane, taker, picture)
}

/** A yielded command waits too, and wants its slot back, also in a lane that is paused. */
function hasNeed(taker: LanePicture, picture: Picture): boolean {
  const { pending, slots, max } = picture.claimsOf(taker.id)
  const hasYielded = [...taker.bodies].some(({ isYielding }) => isYielding)
  return pending > 0 && slots < max && (!taker.paused || hasYielded)
}

function judgeChoice(victim: BodyPicture, lane: LanePicture, taker: LanePicture, picture: Picture): void {
  const name = `${describe(victim.command)} was preempted by ${taker.id}`
  // the slot of a body that has yielded is newer than its start, and when it got it is not seen
  for (const other of victim.hasYielded ? [] : lane.bodies) {
    if (!other.hasYielded && isCandidate(other, victim) && other.serial > victim.serial)
      picture.report('I29', `${name} before the newer ${describe(other.command)}`)
  }
  for (const lower of picture.lanes.values()) {
    if (lower.spec.preemptible !== true || lower.spec.priority <= lane.spec.priority) continue
    const candidates = [...lower.bodies].filter((body) => isCandidate(body, victim))
    // those that were asked are on their way out
    const asked = [...lower.bodies].filter(({ isVictim, isOver }) => isVictim && !isOver).length
    if (candidates.length > 0 && picture.claimsOf(lower.id).slots - asked > lower.spec.minConcurrency)
      picture.report('I29', `${name} though ${lower.id} is lower`)
  }
}

/** Whether a body could certainly have been asked instead. */
const isCandidate = (body: BodyPicture, victim: BodyPicture): boolean =>
  body !== victim &&
  isBusy(body) &&
  !body.isOver &&
  !body.isVictim &&
  !body.command.isAwaitedChild &&
  !body.hasWaited &&
  body.abortCode === undefined
