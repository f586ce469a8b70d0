import type { CheckerKind } from '../checker.js'
import type { LanePicture, Picture } from '../picture.js'

/** I7: accepted = waiting + active + settled, per lane and in total, at every event and whenever a caller sees an outcome. */
export const conservation: CheckerKind = {
  name: 'conservation',
  invariants: ['I7'],
  make: () => ({
    onEvent: ({ event, name }, picture) => {
      // told in the middle of a step whose own event is still to come
      if (!BETWEEN.has(name) && !picture.isMidStep) judge(event.key, picture)
    },
    onAnswer: ({ command, text }, picture) => {
      judge(`the answer of ${command.id}`, picture)
      if (command.phase !== 'settled') picture.report('I7', `${command.id} answered ${text} before it was announced`)
    },
    atQuiescence: (picture) => {
      judge('rest', picture)
      judgeSlots(picture)
    },
  }),
}

const BETWEEN = new Set(['starving', 'relieved', 'breaker', 'pressure'])

function judge(when: string, picture: Picture): void {
  const { claims } = picture
  let waiting = 0
  let active = 0
  for (const lane of picture.lanes.values()) {
    const claimed = picture.claimsOf(lane.id)
    const [yielded, perhaps] = yieldedIn(lane)
    const most = lane.active.size - yielded
    waiting += claimed.pending + claimed.delayed
    active += claimed.active
    if (claimed.active > most || claimed.active < most - perhaps)
      picture.report('I7', `at ${when}: ${lane.id} says ${claimed.active} active, ${most} are`)
    const all = lane.waiting.size + lane.active.size
    if (claimed.pending + claimed.delayed + claimed.active !== all)
      picture.report(
        'I7',
        `at ${when}: ${lane.id} says ${claimed.pending} pending, ${claimed.delayed} delayed and ${claimed.active} active, ${all} are unsettled`,
      )
  }
  if (claims.totalActive !== active || claims.totalPending + claims.totalDelayed !== waiting)
    picture.report('I7', `at ${when}: the totals are not the sums of the lanes`)
}

/**
 * Commands that wait in `ctx.yield` count as pending once their slot is another's, and nothing tells of that but their run:
 * how many certainly do, and how many may (children of `ctx.run`, whose run nobody here has).
 */
function yieldedIn(lane: LanePicture): readonly [number, number] {
  let certainly = 0
  let perhaps = 0
  for (const { command, isYielding } of lane.bodies) {
    if (!isYielding || command.phase !== 'active') continue
    if (command.run === undefined) perhaps++
    else if (command.run.state === 'pending') certainly++
  }
  return [certainly, perhaps]
}

/**
 * Slots at rest: one per body that was not given up. A body that waits for a child may share its places with it, and one
 * that yields has given its slot away, so with any of those the number lies between those that are busy and all.
 */
function judgeSlots(picture: Picture): void {
  for (const lane of picture.lanes.values()) {
    const { slots, zombies } = picture.claimsOf(lane.id)
    let busy = 0
    let over = 0
    let lent = false
    for (const { waiting, isYielding, isOver, command } of lane.bodies) {
      if (waiting === 0 && !isYielding) busy++
      if (isOver) over++
      lent ||= command.isAwaitedChild
    }
    const least = lent ? 0 : busy
    if (slots < least || slots > lane.bodies.size)
      picture.report('I7', `${lane.id} says ${slots} slots in use; ${lane.bodies.size} bodies are in, ${busy} busy`)
    if (zombies !== over) picture.report('I12', `${lane.id} says ${zombies} zombies, ${over} are`)
  }
}
