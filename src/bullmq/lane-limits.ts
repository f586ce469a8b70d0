/** Limits of lanes as they are kept for all processes, and compared with what another process says. */
import { configInvalid, type EngineLane, LaneError, type RateLimitFields, show } from '../core/index.js'
import type { Announcement } from './messages.js'
import type { Namespace } from './server-calls.js'

/** The unit of a limit that counts starts. */
const COMMANDS = 'commands'

/** Limits as JSON text: equal text, equal limits. */
export function limitsText({ priority, maxConcurrency, capacity, rateLimits }: EngineLane): string {
  return JSON.stringify({
    priority,
    maxConcurrency: finite(maxConcurrency),
    capacity: finite(capacity),
    rateLimits: rateLimits.filter(isLimit).map(plainLimit),
  })
}

/** The lane of such a text. */
export function laneOfText(laneId: string, text: string): EngineLane {
  const kept = JSON.parse(text) as Kept
  return {
    laneId,
    priority: kept.priority,
    maxConcurrency: kept.maxConcurrency ?? Number.POSITIVE_INFINITY,
    capacity: kept.capacity ?? Number.POSITIVE_INFINITY,
    rateLimits: kept.rateLimits.map(({ group, ...limit }) => (group === null ? limit : { ...limit, group })),
  }
}

type Kept = {
  readonly priority: number
  readonly maxConcurrency: number | null
  readonly capacity: number | null
  readonly rateLimits: readonly PlainLimit[]
}

type PlainLimit = {
  readonly maxCommands: number
  readonly windowMs: number
  readonly algorithm: NonNullable<RateLimitFields['algorithm']>
  readonly burst: number
  readonly unit: string
  readonly group: string | null
}

/** What a script that takes lanes in is told of one. */
export function openArguments(lane: EngineLane, queue: string, names: Namespace): (string | number)[] {
  const limits = countedLimits(lane, names)
  const text = limitsText(lane)
  const announcement: Announcement = { kind: 'lane', laneId: lane.laneId, limits: text }
  return [
    queue,
    names.prefixOf(lane.laneId),
    text,
    JSON.stringify(announcement),
    finite(lane.maxConcurrency) ?? '',
    finite(lane.capacity) ?? '',
    limits.length === 0 ? '' : JSON.stringify(limits),
  ]
}

/** A lane that others know with other limits. */
export function limitsConflict(lane: EngineLane, known: string): LaneError {
  const theirs = JSON.parse(known) as Record<string, unknown>
  const ours = JSON.parse(limitsText(lane)) as Record<string, unknown>
  const different = Object.keys(ours).filter((name) => JSON.stringify(ours[name]) !== JSON.stringify(theirs[name]))
  const told = different.map((name) => `${name} is ${show(theirs[name])} there and ${show(ours[name])} here`)
  return new LaneError(
    'CONFLICT',
    `Other processes know lane '${lane.laneId}' with other limits: ${told.join('; ')}. Pass reconfigure: true to change them for all`,
    { fields: { laneId: lane.laneId, different } },
  )
}

/** `CONFIG_INVALID` for a limit that means something in one process only. */
export function checkLimits(lane: EngineLane): void {
  for (const { group } of lane.rateLimits) {
    if (group === undefined || typeof group === 'string') continue
    throw configInvalid(`lane '${lane.laneId}' rateLimit.group`, 'a name: a RateLimitGroup is of one process', group)
  }
}

/** A limit in the form in which it is counted, in microseconds. */
export type CountedLimit = {
  readonly key: string
  readonly unit: string
  readonly isWindow: boolean
  readonly max: number
  readonly burst: number
  readonly window: number
  readonly rate: number
}

/** Begins of names: of what is no lane's, and of what is a lane's. */
type LimitNames = { readonly own: string; readonly prefixOf: (laneId: string) => string }

/** The limits of a lane as they are counted. */
export const countedLimits = ({ laneId, rateLimits }: EngineLane, names: LimitNames): readonly CountedLimit[] =>
  rateLimits.filter(isLimit).map((limit) => countedLimit(limit, laneId, names))

function countedLimit(limit: RateLimitFields, laneId: string, names: LimitNames): CountedLimit {
  const { maxCommands, windowMs, algorithm, burst, unit } = plainLimit(limit)
  const kind = `${algorithm} ${windowMs} ${unit}`
  const key =
    typeof limit.group === 'string'
      ? `${names.own}rate:${JSON.stringify([limit.group, kind])}`
      : `${names.prefixOf(laneId)}~rate:${kind}`
  const window = windowMs * 1000
  return {
    key,
    unit,
    isWindow: algorithm === 'sliding-window',
    max: maxCommands,
    burst,
    window,
    rate: maxCommands / window,
  }
}

function plainLimit(limit: RateLimitFields): PlainLimit {
  const { maxCommands, windowMs, algorithm = 'token-bucket', burst = maxCommands, unit = COMMANDS, group } = limit
  return {
    maxCommands,
    windowMs,
    algorithm: algorithm ?? 'token-bucket',
    burst: burst ?? maxCommands,
    unit: unit ?? COMMANDS,
    group: typeof group === 'string' ? group : null,
  }
}

const isLimit = ({ maxCommands }: RateLimitFields): boolean => maxCommands < Number.MAX_SAFE_INTEGER

const finite = (value: number): number | null => (Number.isFinite(value) ? value : null)
