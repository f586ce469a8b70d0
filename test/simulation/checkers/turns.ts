import type { CheckerKind } from '../checker.js'
import { isHandover } from '../handover.js'
import { describe } from '../observer.js'
import type { CommandPicture, LanePicture, Picture } from '../picture.js'
import { couldStart, ownStanding, type Standing, standingOf } from './lane-order.js'

/** When a body that yielded takes a slot again is not seen, and that is a turn too. */
const isSeen = ({ options }: Picture): boolean => !options.features.includes('yields')

/** `took`: when it started something in its turn for certain; `startedAt`: when it started anything. */
type Turn = { standing: number; readySince: number; took: number; startedAt: number; isGated: boolean }

/**
 * I4, lanes of equal rank take turns: between two starts of one lane every other that stood beside it and could have started
 * all the time has had its own. Counted in observations; whatever moves a lane to another rank starts its count anew.
 */
export const turns: CheckerKind = {
  name: 'turns',
  invariants: ['I4'],
  make: () => {
    const lanes = new Map<LanePicture, Turn>()
    let step = 0
    const look = (picture: Picture): void => {
      if (!isSeen(picture)) return
      step++
      for (const lane of picture.lanes.values()) refresh(lane, turnOf(lane), step, picture)
    }
    const turnOf = (lane: LanePicture): Turn => {
      const known = lanes.get(lane)
      if (known !== undefined) return known
      const turn: Turn = { standing: -1, readySince: Number.POSITIVE_INFINITY, took: -1, startedAt: -1, isGated: false }
      lanes.set(lane, turn)
      return turn
    }
    return {
      beforeStart: (command, picture) => {
        if (!isSeen(picture)) return
        const lane = picture.lane(command.laneId)
        const own = turnOf(lane)
        step++
        // in the places of its parent, or in a slot that was given up for it, a command starts out of its lane's turn
        const isInTurn = !command.isAwaitedChild && !isHandover(command, picture)
        if (isInTurn) judge(command, lanes, picture)
        own.startedAt = step
        if (isInTurn) own.took = step
      },
      onEvent: ({ name }, picture) => {
        if (name !== 'configured') return look(picture)
        for (const turn of lanes.values()) turn.readySince = Number.POSITIVE_INFINITY
      },
      onBody: (_, picture) => look(picture),
      atQuiescence: look,
    }
  },
}

/** A standing as one number: lanes are compared by it at every step. */
const numberOf = ([standing, priority, isProtected]: Standing): number => standing * 1024 + priority * 2 + isProtected

function judge(command: CommandPicture, lanes: ReadonlyMap<LanePicture, Turn>, picture: Picture): void {
  const lane = picture.lane(command.laneId)
  const own = lanes.get(lane) as Turn
  // the command itself may have lifted its lane: then the claim is already without it
  const standing = numberOf(ownStanding(command, lane, picture))
  if (own.standing !== standing) return
  for (const [other, turn] of lanes) {
    const hasWaited = turn.readySince < own.took && turn.startedAt < own.took
    if (other === lane || !hasWaited || turn.standing !== standing || turn.isGated) continue
    if (couldStart(other, lane, picture))
      picture.report('I4', `${describe(command)}: its lane went twice while ${other.id} waited for its turn`)
  }
}

function refresh(lane: LanePicture, turn: Turn, step: number, picture: Picture): void {
  const { pending, slots, max } = picture.claimsOf(lane.id)
  const standing = numberOf(standingOf(lane, picture, 0))
  // gates close and open in between, unseen
  turn.isGated = lane.limits.models.length > 0 || lane.limits.closedUntil > 0 || lane.spec.breaker !== undefined
  const isReady = pending > 0 && !lane.paused && slots < max && lane.spec.keyConcurrency === undefined
  if (!isReady || standing !== turn.standing) turn.readySince = isReady ? step : Number.POSITIVE_INFINITY
  else turn.readySince = Math.min(turn.readySince, step)
  turn.standing = standing
}
