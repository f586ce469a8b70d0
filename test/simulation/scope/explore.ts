/**
 * All paths of a small scope, shortest first. A state is reached by playing its path from the start (the queue has no way
 * back), so the first path to a broken invariant is also the shortest.
 *
 * From every state that is new, the world is also brought to its end: lanes resumed, bodies returned, time passed. Then
 * everything has to have settled. And a sample of the states that are taken for one that is known is compared with it,
 * one step further: that they look alike must mean that they are.
 */
import { isFinal } from './actor.js'
import { fingerprint } from './fingerprint.js'
import { judgeRest } from './judge.js'
import { possible } from './possible.js'
import type { Setting } from './setting.js'
import { type Operation, SmallWorld } from './small-world.js'

export type Exploration = {
  readonly setting: Setting
  states: number
  transitions: number
  /** States that were compared with their double. */
  compared: number
  /** Operations of the longest path. */
  depth: number
  /** No state is left whose next steps were not taken. */
  isComplete: boolean
  /** Steps of a command's state that were seen. */
  readonly steps: Set<string>
  readonly violations: string[]
}

type Path = readonly Operation[]
type Found = { readonly path: Path; readonly print: string }

/** Of so many states that look known one is compared. */
const SAMPLE = 40
/** A setting is given up then. */
const MOST_VIOLATIONS = 3
/** More than any end takes. */
const LONGEST_END = 60

export async function explore(setting: Setting, depth = setting.depth): Promise<Exploration> {
  const counts = { states: 1, transitions: 0, compared: 0, depth: 0, isComplete: false }
  const exploration: Exploration = { setting, ...counts, steps: new Set(), violations: [] }
  const { stackTraceLimit } = Error
  // the errors of bodies and cancellations are many, and nobody reads their stacks
  Error.stackTraceLimit = 0
  try {
    await search(exploration, depth)
  } finally {
    Error.stackTraceLimit = stackTraceLimit
  }
  return exploration
}

async function search(exploration: Exploration, depth: number): Promise<void> {
  const { setting } = exploration
  const first = fingerprint(new SmallWorld(setting))
  const known = new Map<string, Path>([[first, []]])
  let frontier: Found[] = [{ path: [], print: first }]
  while (frontier.length > 0 && exploration.depth < depth) {
    const next: Found[] = []
    for (const found of frontier) {
      await expand(found, { exploration, known, next })
      if (exploration.violations.length >= MOST_VIOLATIONS) return
    }
    frontier = next
    exploration.depth++
  }
  exploration.isComplete = frontier.length === 0
}

type Search = { readonly exploration: Exploration; readonly known: Map<string, Path>; readonly next: Found[] }

/** Takes every step from a state. */
async function expand({ path, print }: Found, { exploration, known, next }: Search): Promise<void> {
  const { setting, violations } = exploration
  let world: SmallWorld | undefined = await replay(setting, path)
  if (fingerprint(world) !== print) violations.push(`${path.join(', ')}: does not repeat itself`)
  for (const operation of possible(world)) {
    world ??= await replay(setting, path)
    await world.do(operation)
    exploration.transitions++
    const longer = [...path, operation]
    const now = fingerprint(world)
    const double = known.get(now)
    if (double === undefined) {
      known.set(now, longer)
      exploration.states++
      next.push({ path: longer, print: now })
      if (world.violations.length === 0) await bringToEnd(world)
    } else if (exploration.transitions % SAMPLE === 0) {
      exploration.compared++
      violations.push(...(await compare(setting, double, longer)))
    }
    for (const step of world.steps) exploration.steps.add(step)
    if (world.violations.length > 0) violations.push(`${longer.join(', ')}: ${world.violations.join('; ')}`)
    world = undefined
  }
}

async function replay(setting: Setting, path: Path): Promise<SmallWorld> {
  const world = new SmallWorld(setting)
  for (const operation of path) await world.repeat(operation)
  return world
}

/** Whatever stands at the end of it has settled, and nothing is left. */
async function bringToEnd(world: SmallWorld): Promise<void> {
  for (const laneId of [...world.paused]) await world.repeat(`resume ${laneId}`)
  for (let n = 0; n < LONGEST_END; n++) {
    const busy = world.actors.find(({ body }) => body?.isIn === true && !body.isYielding)
    if (busy === undefined && world.timerAt === undefined) break
    await world.repeat(busy === undefined ? 'advance' : `return ${busy.n}`)
  }
  judgeRest(world, 'the end')
  for (const { n, state } of world.actors) {
    if (state !== undefined && !isFinal(state)) world.violations.push(`I8: at the end c${n} is ${state}`)
  }
  if (world.timerAt !== undefined) world.violations.push('I23: at the end a timer is set')
}

/** Two paths to what looks like one state: the same can be done next, and what comes of it looks the same. */
async function compare(setting: Setting, one: Path, other: Path): Promise<string[]> {
  const [a, b] = [await futures(setting, one), await futures(setting, other)]
  if (a === b) return []
  return [`the fingerprint is too coarse: after '${one.join(', ')}' and '${other.join(', ')}':\n  ${a}\n  ${b}`]
}

async function futures(setting: Setting, path: Path): Promise<string> {
  const prints: string[] = []
  for (const operation of possible(await replay(setting, path))) {
    prints.push(`${operation}: ${fingerprint(await replay(setting, [...path, operation]))}`)
  }
  return prints.join('\n  ')
}
