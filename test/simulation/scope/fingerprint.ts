/**
 * The state of a small world as a text: two paths with the same text are the same from here on. It holds everything that
 * can matter later (states, places, who may be asked next, time left of everything that runs out), also some of what
 * matters only to a queue that is wrong, and nothing that cannot (instants, names of tokens, what settled commands did).
 * Whether it really is enough is tried by the explorer on a sample.
 */
import { type Actor, isFinal } from './actor.js'
import type { SmallWorld } from './small-world.js'

export function fingerprint(world: SmallWorld): string {
  const { actors, paused, pausesLeft, clock, timerAt } = world
  const parts = actors.map((actor) => actorText(actor, world))
  const lanes = [...pausesLeft].map(([id, left]) => `${paused.has(id) ? 'p' : ''}${left}`)
  const timer = timerAt === undefined ? '' : timerAt - clock.now
  return `${parts.join('|')}|${lanes.join(',')}|${timer}`
}

function actorText(actor: Actor, world: SmallWorld): string {
  const { state, body } = actor
  if (state === undefined) return '-'
  if (isFinal(state) && body?.isIn !== true) return state
  if (body?.isAbandoned === true && body.isIn && isFinal(state)) return `${state} gone`
  const life = [state, actor.place, actor.attempt, actor.retries, rankOfArrival(actor, world)]
  const left = [actor.savesLeft, actor.yieldsLeft, actor.snoozesLeft, actor.saved]
  return [...life, ...left, ...timesLeft(actor, world), body?.isIn === true ? bodyText(actor, world) : ''].join(' ')
}

/** Time left of what can run out. */
function timesLeft(actor: Actor, { clock: { now } }: SmallWorld): number[] {
  const { state, timeoutMs, dueAt, zombieSince, isZombie } = actor
  return [
    timeoutMs === Number.POSITIVE_INFINITY ? 0 : timeoutMs - actor.usedAt(now),
    state === 'delayed' ? Math.max(-1, dueAt - now) : -1,
    isZombie ? now - zombieSince : -1,
  ]
}

function bodyText({ body, taken }: Actor, { actors, clock }: SmallWorld): string {
  if (body === undefined) return ''
  const { isYielding, isSlotless, isAbandoned, abortCode = '', takerId = '', askedAt, wasReported, number } = body
  const asked = askedAt < 0 || wasReported ? -1 : clock.now - askedAt
  const holders = actors.filter(({ holdsSlot }) => holdsSlot)
  const older = holders.filter((one) => (one.body?.number ?? 0) < number).length
  // goes on where it was, and is no newer for it: only a queue that is wrong would tell the two orders apart
  const before = holders.filter((one) => one.taken < taken).length
  return [isYielding, isSlotless, isAbandoned, abortCode, takerId, wasReported, asked, older, before].join(' ')
}

/** How many commands of its lane that still matter came before it. */
const rankOfArrival = ({ spec, arrival }: Actor, { actors }: SmallWorld): number =>
  actors.filter((one) => one.spec.laneId === spec.laneId && one.arrival < arrival && isAlive(one)).length

const isAlive = ({ state, holdsSlot }: Actor): boolean => state !== undefined && (!isFinal(state) || holdsSlot)
