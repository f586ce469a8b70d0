/** Priority boost by arithmetic of our own: from the options of the lanes and the ages of what waits in them. */
import type { BoostSpec } from './lane-spec.js'
import { STANDARD_BOOSTS, STANDARD_SHARES } from './options.js'
import type { CommandPicture, LanePicture, Picture } from './picture.js'

type Steps = { readonly deadlineMs: number; readonly boostIntervals: BoostSpec['boostIntervals'] }

/** The deadline and the steps that hold for a command; undefined when nothing makes it urgent. */
export function stepsOf({ spec }: CommandPicture, lane: LanePicture): Steps | undefined {
  const { priorityBoost } = lane.spec
  if (priorityBoost?.enabled === false) return undefined
  const own = spec.deadlineMs
  if (own === undefined) return priorityBoost
  const boostIntervals =
    priorityBoost?.boostIntervals ??
    STANDARD_SHARES.map((share, n) => ({ remainingMs: own * share, boost: STANDARD_BOOSTS[n] as number }))
  return { deadlineMs: own, boostIntervals }
}

function boostOf(command: CommandPicture, lane: LanePicture, now: number): number {
  const steps = stepsOf(command, lane)
  if (steps === undefined) return 0
  const remaining = command.submittedAt + steps.deadlineMs - now
  if (remaining <= 0) return Number.POSITIVE_INFINITY
  return Math.max(
    0,
    ...steps.boostIntervals.filter(({ remainingMs }) => remaining <= remainingMs).map(({ boost }) => boost),
  )
}

/** A lane's priority when it is lifted by so much: not below 0, and never ahead of a protected lane that stands above it. */
function lifted(lane: LanePicture, by: number, picture: Picture): number {
  const own = lane.spec
  let priority = Math.max(0, own.priority - by)
  for (const { spec } of picture.lanes.values()) {
    if (spec === own || spec.protected !== true) continue
    // a protected lane stays strictly behind better protected ones; another may come up to the same number
    if (own.protected === true && spec.priority < own.priority) priority = Math.max(priority, spec.priority + 1)
    if (own.protected !== true && spec.priority <= own.priority) priority = Math.max(priority, spec.priority)
  }
  return Math.min(priority, own.priority)
}

/** Asked at every rest, and mostly answered no. */
const mayBeUrgent = ({ spec }: LanePicture, picture: Picture): boolean =>
  spec.priorityBoost?.enabled ?? picture.hasDeadlines

/** Sums of instants are exact to about this. */
const SLACK_MS = 1e-6

/**
 * The best and the worst effective priority that a lane may have now. They differ at the very instant of a step, whose
 * timer may be still to come, and while it cannot be told whether a command waits for its instant or for a slot.
 */
export function effectiveRange(
  lane: LanePicture,
  picture: Picture,
  starting?: CommandPicture,
): readonly [best: number, worst: number] {
  let most = 0
  let least = 0
  if (!mayBeUrgent(lane, picture)) return [lane.spec.priority, lane.spec.priority]
  for (const command of lane.waiting) {
    const isUnknown = command.wasDelayed && command.run === undefined
    if (!isUnknown && command !== starting && !picture.isReady(command)) continue
    most = Math.max(most, boostOf(command, lane, picture.now + SLACK_MS))
    if (!isUnknown) least = Math.max(least, boostOf(command, lane, picture.now - SLACK_MS))
  }
  for (const { command, isYielding } of lane.bodies) {
    if (isYielding) most = Math.max(most, boostOf(command, lane, picture.now + SLACK_MS))
  }
  return [lifted(lane, most, picture), lifted(lane, least, picture)]
}
