/** What may be done next in a small world. Of commands that are alike, the first that was not submitted goes first. */
import { type Actor, isFinal } from './actor.js'
import type { Operation, SmallWorld } from './small-world.js'

export function possible(world: SmallWorld): Operation[] {
  const operations: Operation[] = []
  for (const actor of world.actors) {
    if (actor.run === undefined) {
      const isFirst = !world.actors.some((one) => one.spec === actor.spec && one.n < actor.n && one.run === undefined)
      if (isFirst) operations.push(`submit ${actor.n}`)
    } else operations.push(...ofCommand(actor))
  }
  for (const id of Object.keys(world.setting.lanes)) {
    if (world.paused.has(id)) operations.push(`resume ${id}`)
    else if ((world.pausesLeft.get(id) ?? 0) > 0) operations.push(`pause ${id}`)
  }
  if (world.timerAt !== undefined) operations.push('advance')
  return operations
}

function ofCommand({ n, state, body, savesLeft, yieldsLeft, snoozesLeft }: Actor): Operation[] {
  const operations: Operation[] = []
  if (body?.isIn === true) {
    operations.push(`return ${n}`, `throw ${n}`)
    // of one that was given up nobody hears any more
    const counts = !body.isAbandoned
    if (counts && snoozesLeft > 0) operations.push(`snooze ${n}`)
    if (counts && savesLeft > 0) operations.push(`save ${n}`)
    if (counts && yieldsLeft > 0 && !body.isYielding) operations.push(`yield ${n}`)
  }
  if (state !== undefined && !isFinal(state)) operations.push(`cancel ${n}`)
  return operations
}
