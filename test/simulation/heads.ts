/** Which command of a lane is next, by its place, priority, arrival and key: the rules of one lane, once more. */
import type { CommandPicture, LanePicture, Picture } from './picture.js'

const PLACES: Readonly<Record<CommandPicture['place'], number>> = { yielded: 0, preempted: 1, arrival: 2 }

/** Whether `a` comes before `b` in their lane, keys left out of it. */
export function comesBefore(a: CommandPicture, b: CommandPicture, lane: LanePicture): boolean {
  if (a.place !== b.place) return PLACES[a.place] < PLACES[b.place]
  const byPriority = (a.spec.priority ?? 1000) - (b.spec.priority ?? 1000)
  if (a.place === 'arrival' && byPriority !== 0) return byPriority < 0
  return lane.spec.order === 'lifo' && a.place === 'arrival' ? a.n > b.n : a.n < b.n
}

/**
 * The next command, or undefined when none is certainly ready. With fairness the turn decides among keys, so there is no
 * certain head unless one key alone waits: then 'any' of the best priority would do, and the first is as good as another.
 */
export function headOf(lane: LanePicture, picture: Picture): CommandPicture | undefined {
  let head: CommandPicture | undefined
  for (const command of lane.waiting) {
    if (!picture.isReady(command) || !hasKeyRoom(command, lane)) continue
    if (head === undefined || comesBefore(command, head, lane)) head = command
  }
  return head
}

/** Whether another command of its key may certainly run: a body that is about to be noticed as gone still counts. */
export function hasKeyRoom({ spec }: CommandPicture, lane: LanePicture): boolean {
  const { keyConcurrency } = lane.spec
  if (keyConcurrency === undefined || spec.key === undefined) return true
  let running = 0
  for (const { command } of lane.bodies) if (command.spec.key === spec.key) running++
  return running + lane.leavingOf(spec.key) < keyConcurrency
}
