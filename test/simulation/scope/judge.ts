/** What must hold on every path, looked at when a command starts, when a body is asked for its slot, and at every rest. */
import { type Actor, isFinal, type SmallBody } from './actor.js'
import type { Operation, SmallWorld } from './small-world.js'

/** A command starts: I4, I5, I17, I18, I27, I30. */
export function judgeStart(world: SmallWorld, actor: Actor): void {
  const { violations, actors, paused } = world
  const { laneId } = actor.spec
  if (paused.has(laneId)) violations.push(`I17: c${actor.n} starts in a paused lane`)
  if (actor.state !== 'active' || actor.cancelCalled)
    violations.push(`I18: c${actor.n} starts and is ${actor.state ?? ''}`)
  for (const other of actors) {
    if (other === actor || !other.isPending) continue
    if (other.spec.laneId === laneId) violations.push(...judgeOrder(actor, other))
    else if (isBetter(world, other, actor) && mayStart(world, other)) {
      violations.push(`I4: c${actor.n} starts before c${other.n} of a better lane`)
    }
  }
}

/** Both of one lane; the other still waits. */
function judgeOrder(actor: Actor, other: Actor): string[] {
  const isAfter = other.arrival < actor.arrival
  if (other.place === 'yielded') return [`I30: c${actor.n} starts before c${other.n}, which waits to go on`]
  if (other.place === 'preempted') {
    const isFirst = actor.startedFrom === 'preempted' && !isAfter
    return isFirst ? [] : [`I27: c${actor.n} starts before c${other.n}, which was preempted`]
  }
  if (actor.startedFrom !== 'preempted' && isAfter)
    return [`I5: c${actor.n} starts before c${other.n}, which came earlier`]
  return []
}

/** A body was asked for its slot: I29. */
export function judgeVictim(world: SmallWorld, actor: Actor, takerId: string | undefined): void {
  const { violations, actors, setting } = world
  const { laneId } = actor.spec
  const say = (text: string): void => void violations.push(`I29: c${actor.n} was asked for its slot ${text}`)
  if (setting.lanes[laneId]?.preemptible !== true) say('in a lane that gives none')
  if (takerId === undefined || setting.lanes[takerId]?.preempts !== true) return say(`for ${String(takerId)}`)
  if (priorityOf(world, takerId) >= priorityOf(world, laneId)) say(`for ${takerId}, which is no better`)
  const [wants, asked] = demandOf(world, takerId)
  if (asked > wants) say(`with ${asked} asked for ${wants} commands`)
  const newer = actors.find(
    (one) => one !== actor && one.spec.laneId === laneId && isNewer(one, actor.body as SmallBody),
  )
  if (newer !== undefined) say(`although c${newer.n} is newer`)
}

const isNewer = ({ holdsSlot, state, body }: Actor, than: SmallBody): boolean =>
  holdsSlot && state === 'active' && body !== undefined && body.takerId === undefined && body.number > than.number

/** Everything but time has come to rest. */
export function judgeRest(world: SmallWorld, operation: Operation): void {
  const { violations, actors } = world
  judgeCounts(world)
  judgeWork(world)
  judgeDemand(world)
  for (const actor of actors) {
    violations.push(...actor.violations.splice(0))
    if (actor.run === undefined) continue
    judgeActor(actor, violations)
    const used = actor.usedAt(world.clock.now)
    if (actor.state === 'active' && used >= actor.timeoutMs)
      violations.push(`I12: c${actor.n} runs on after ${used} ms`)
  }
  if (violations.length > 0) violations.push(`(after ${operation})`)
}

/** I1, I2, I7. */
function judgeCounts({ violations, actors, setting, queue }: SmallWorld): void {
  const stats = queue.stats()
  const count = (test: (actor: Actor) => boolean): number => actors.filter(test).length
  for (const [id, { maxConcurrency = 4 }] of Object.entries(setting.lanes)) {
    const claims = stats.lanes[id]
    const inLane = (test: (actor: Actor) => boolean): number => count((one) => one.spec.laneId === id && test(one))
    const seen = {
      pending: inLane((one) => one.isPending),
      active: inLane(({ state }) => state === 'active'),
      delayed: inLane(({ state }) => state === 'delayed'),
      slots: inLane(({ holdsSlot }) => holdsSlot),
      zombies: inLane(({ isZombie }) => isZombie),
    }
    if (seen.slots > maxConcurrency) violations.push(`I1: ${id} runs ${seen.slots} bodies`)
    for (const [name, number] of Object.entries(seen)) {
      const claimed = claims?.[name as keyof typeof seen]
      if (claimed !== number) violations.push(`I7: ${id} says ${String(claimed)} ${name}, ${number} are`)
    }
  }
  const held = count(({ holdsSlot }) => holdsSlot)
  if (held > setting.cap) violations.push(`I2: ${held} bodies run`)
  if (stats.totalSlots !== held) violations.push(`I7: the queue says ${stats.totalSlots} slots, ${held} are`)
}

/** I29, the other half: at rest a preempting command waits only beside bodies that were asked, or that nobody may ask. */
function judgeDemand(world: SmallWorld): void {
  const { actors, setting, violations } = world
  if (actors.filter(({ holdsSlot }) => holdsSlot).length < setting.cap) return
  for (const [laneId, { preempts }] of Object.entries(setting.lanes)) {
    if (preempts !== true) continue
    const [wants, asked] = demandOf(world, laneId)
    const isLower = ({ spec }: Actor): boolean => priorityOf(world, spec.laneId) > priorityOf(world, laneId)
    const free = actors.find((one) => isLower(one) && mayBeAsked(world, one))
    if (wants > asked && free !== undefined) violations.push(`I29: ${laneId} waits, and c${free.n} was not asked`)
  }
}

const mayBeAsked = ({ setting }: SmallWorld, { spec, state, holdsSlot, body }: Actor): boolean =>
  holdsSlot && state === 'active' && body?.takerId === undefined && setting.lanes[spec.laneId]?.preemptible === true

/** How many commands of a lane could use a slot, and how many bodies were asked for one and may still hear. */
function demandOf(world: SmallWorld, laneId: string): [wants: number, asked: number] {
  const { actors } = world
  const wants = actors.filter((one) => one.spec.laneId === laneId && one.isPending && mayStart(world, one)).length
  const asked = actors.filter(({ body }) => body?.takerId === laneId && body.isIn && !body.wasReported).length
  return [wants, asked]
}

/** I15, I30: at rest nobody waits who could have a slot. */
function judgeWork(world: SmallWorld): void {
  const { violations, actors, setting, clock } = world
  if (actors.filter(({ holdsSlot }) => holdsSlot).length < setting.cap) {
    for (const actor of actors) {
      if (actor.isPending && mayStart(world, actor)) violations.push(`I15: c${actor.n} waits beside a free slot`)
    }
  }
  const isOver = actors.every(({ state, body }) => (state === undefined || isFinal(state)) && body?.isIn !== true)
  if (isOver && clock.queueTimers > 0) violations.push(`I23: ${clock.queueTimers} timers of an idle queue`)
}

/** I9, I18, I28. */
function judgeActor({ n, answers, state, body, cancelCalled, isZombie }: Actor, violations: string[]): void {
  if (answers.length > 1) violations.push(`I9: c${n} was answered ${answers.join(', ')}`)
  if (state !== undefined && isFinal(state) !== answers.length > 0) {
    violations.push(`I9: c${n} is ${state}, its answers: ${answers.join(', ') || 'none'}`)
  }
  const [answer = ''] = answers
  if (state === 'completed' && (answer !== `value ${body?.token ?? ''}` || body?.isIn === true)) {
    violations.push(`I9: c${n} is completed with ${answer}, its body is ${body?.token ?? 'none'}`)
  }
  if (cancelCalled && (state !== 'cancelled' || answer !== 'COMMAND_CANCELLED')) {
    violations.push(`I18: c${n} was cancelled, is ${state ?? ''} and was answered ${answer || 'nothing'}`)
  }
  if (isZombie && body?.abortCode === undefined) violations.push(`I28: the body of c${n} goes on and was not told`)
}

/** Whether nothing but a slot of the queue keeps a waiting command from going on. Neither a pause nor a limit holds a yielded body. */
function mayStart(world: SmallWorld, { spec, place }: Actor): boolean {
  if (place !== 'yielded' && world.paused.has(spec.laneId)) return false
  const most = world.setting.lanes[spec.laneId]?.maxConcurrency ?? 4
  return world.actors.filter((one) => one.spec.laneId === spec.laneId && one.holdsSlot).length < most
}

const priorityOf = ({ setting }: SmallWorld, laneId: string): number => setting.lanes[laneId]?.priority ?? 0

const isBetter = (world: SmallWorld, a: Actor, b: Actor): boolean =>
  priorityOf(world, a.spec.laneId) < priorityOf(world, b.spec.laneId)
