/**
 * What a seed draws. Swarm: each feature is on or off per seed, because a run with everything on hides what only happens
 * when something is off (Groce et al., "Swarm Testing", ISSTA 2012).
 */
import { Draw } from './draw.js'
import type { BoostSpec, BreakerSpec, LaneSpec, RateSpec, RetrySpec } from './lane-spec.js'

export const FEATURES = [
  'cap',
  'reserve',
  'protected',
  'boost',
  'deadlines',
  'rate',
  'groups',
  'units',
  'charge',
  'retries',
  'timeouts',
  'capacity',
  'pressure',
  'keys',
  'keyConcurrency',
  'fairness',
  'weights',
  'lifo',
  'priorities',
  'preempt',
  'checkpoints',
  'yields',
  'dedupe',
  'breaker',
  'delays',
  'snooze',
  'discard',
  'retryAfter',
  'provider',
  'unrecoverable',
  'ids',
  'signals',
  'children',
  'pause',
  'cancel',
  'clear',
  'configure',
  'redrive',
  'deaf',
  'hang',
  'slow',
  'meddling',
  'late',
  'shuffled',
  'bursts',
] as const

export type Feature = (typeof FEATURES)[number]

/** How a queue is brought to its end: after everything has come to rest, or before that, in the middle of the work. */
type End = 'rest' | 'drain' | 'shutdown' | 'close'

export type SimOptions = {
  readonly seed: number
  readonly features: readonly Feature[]
  readonly lanes: Readonly<Record<string, LaneSpec>>
  readonly cap: number
  readonly deadLetters: number
  readonly retention: number
  readonly commands: number
  /** Mean time between two arrivals, and of a body. */
  readonly gapMs: number
  readonly bodyMs: number
  readonly end: End
}

/** Features that a src may not have yet: their options are refused there as unknown. */
export type Available = ReadonlySet<Feature>

/**
 * Some promises can be judged only while nothing else interferes: one seed in ten is about turns by key, one about boosts.
 * A profile is drawn instead of a swarm, with everything else about the seed as usual.
 */
const PROFILES: readonly (readonly Feature[])[] = [
  ['keys', 'fairness', 'weights', 'units', 'bursts', 'cap'],
  ['boost', 'deadlines', 'cap', 'bursts'],
]
const PLAIN: readonly undefined[] = Array.from({ length: 18 }, () => undefined)

export function drawOptions(seed: number, available: Available, commands?: number): SimOptions {
  const draw = new Draw(seed)
  // a seed of few features now and then: what goes wrong there is easy to read
  const share = draw.pick([0.15, 0.4, 0.4, 0.6])
  const drawn = FEATURES.filter(() => draw.chance(share))
  const profile = draw.pick([...PROFILES, ...PLAIN])
  const features = new Set((profile ?? drawn).filter((feature) => available.has(feature)))
  const bodyMs = draw.pick([1, 10, 100, 1000, 20_000, 300_000])
  const laneCount = draw.int(1, 8)
  const drawLanes = new LaneDraw(draw, features, bodyMs)
  const lanes = Object.fromEntries(Array.from({ length: laneCount }, (_, n) => [`lane${n}`, drawLanes.lane()]))
  const slots = Object.values(lanes).reduce((sum, lane) => sum + lane.maxConcurrency, 0)
  const cap = features.has('cap') ? draw.int(1, Math.max(2, Math.min(slots, 12))) : Number.POSITIVE_INFINITY
  const load = profile === undefined ? draw.pick([0.4, 0.8, 1, 1.3, 3]) : 3
  return {
    seed,
    features: [...features],
    lanes: withinCap(lanes, cap),
    cap,
    deadLetters: draw.pick([0, 0, 2, 20, 1000]),
    retention: draw.pick([0, 5, 100, 10_000]),
    commands: commands ?? draw.pick([40, 80, 150, 250, 400]),
    gapMs: bodyMs / Math.min(slots, cap) / load,
    bodyMs,
    end: draw.pick<End>(['rest', 'rest', 'rest', 'drain', 'shutdown', 'close']),
  }
}

class LaneDraw {
  readonly #draw: Draw
  readonly #features: ReadonlySet<Feature>
  readonly #bodyMs: number
  #count = 0

  constructor(draw: Draw, features: ReadonlySet<Feature>, bodyMs: number) {
    this.#draw = draw
    this.#features = features
    this.#bodyMs = bodyMs
  }

  lane(): LaneSpec {
    const draw = this.#draw
    const bodyMs = this.#bodyMs
    const maxConcurrency = draw.pick([1, 1, 2, 3, 4, 8, 16])
    const index = this.#count++
    return {
      // few priorities: ties are where turns are taken
      priority: draw.pick([0, 1, 2, 3, index, 5, 9]),
      minConcurrency: this.#has('reserve') && draw.chance(0.6) ? Math.min(draw.int(0, 4), maxConcurrency) : 0,
      maxConcurrency,
      ...this.#maybe('protected', 0.3, 'protected', () => true),
      ...this.#maybe('reserve', 0.3, 'lend', () => draw.chance(0.5)),
      ...this.#maybe('timeouts', 0.7, 'timeoutMs', () => Math.ceil(bodyMs * draw.pick([0.5, 1, 3]))),
      ...this.#maybe('retries', 0.7, 'retry', () => drawRetry(draw, bodyMs)),
      ...this.#maybe('pressure', 0.7, 'pressureThreshold', () => draw.int(1, 10)),
      ...this.#maybe('capacity', 0.5, 'capacity', () => draw.pick([1, 3, 10, 100])),
      ...this.#maybe('lifo', 0.5, 'order', () => 'lifo' as const),
      zombieGraceMs: Math.ceil(bodyMs * draw.pick([0, 0.5, 3])),
      ...this.#maybe('retryAfter', 0.5, 'maxDeferrals', () => draw.int(0, 3)),
      ...this.#maybe('rate', 0.6, 'rateLimit', () => this.#rates()),
      ...this.#maybe('boost', 0.7, 'priorityBoost', () => drawBoost(draw, bodyMs)),
      ...this.#maybe('fairness', 0.7, 'fairness', () => 'key' as const),
      ...this.#maybe('keyConcurrency', 0.7, 'keyConcurrency', () => draw.int(1, 3)),
      ...this.#maybe('breaker', 0.6, 'breaker', () => drawBreaker(draw, bodyMs)),
      ...this.#preemption(),
    }
  }

  #has(feature: Feature): boolean {
    return this.#features.has(feature)
  }

  #maybe<K extends string, V>(feature: Feature, share: number, key: K, value: () => V): { [key in K]?: V } {
    return this.#has(feature) && this.#draw.chance(share) ? ({ [key]: value() } as { [key in K]: V }) : {}
  }

  #preemption(): Partial<LaneSpec> {
    if (!this.#has('preempt')) return {}
    const role = this.#draw.pick(['preempts', 'preemptible', 'preemptible', 'both', 'neither'])
    return {
      ...(role === 'preempts' || role === 'both' ? { preempts: true } : {}),
      ...(role === 'preemptible' || role === 'both' ? { preemptible: true } : {}),
      preemptGraceMs: Math.ceil(this.#bodyMs * this.#draw.pick([0.2, 2])),
    }
  }

  #rates(): RateSpec[] {
    const drawn = Array.from({ length: this.#draw.pick([1, 1, 2]) }, () => this.#rate())
    // twice the same limit of a group would be one limiter
    const [first, second] = drawn
    const isTwice = first?.group !== undefined && second?.group !== undefined && sameLimiter(first, second)
    return isTwice ? drawn.slice(0, 1) : drawn
  }

  #rate(): RateSpec {
    const draw = this.#draw
    const isGrouped = this.#has('groups') && draw.chance(0.6)
    const unit = this.#has('units') && draw.chance(0.5) ? 'tokens' : undefined
    const algorithm = draw.pick(['token-bucket', 'sliding-window'] as const)
    // members of a group have to agree in their numbers: they all draw the same
    const maxCommands = (isGrouped ? 4 : draw.pick([1, 2, 5, 20])) * (unit === undefined ? 1 : 10)
    const windowMs = isGrouped ? this.#bodyMs * 2 : Math.ceil(this.#bodyMs * draw.pick([0.3, 1, 4]))
    const burst = algorithm === 'token-bucket' && !isGrouped && draw.chance(0.3) ? { burst: maxCommands * 2 } : {}
    return {
      ...{ maxCommands, windowMs, algorithm },
      ...burst,
      ...(unit === undefined ? {} : { unit }),
      ...(isGrouped ? { group: 'provider' } : {}),
    }
  }
}

const sameLimiter = (a: RateSpec, b: RateSpec): boolean => a.algorithm === b.algorithm && a.unit === b.unit

function drawRetry(draw: Draw, bodyMs: number): RetrySpec {
  const initialMs = Math.ceil(bodyMs * draw.pick([0, 0.1, 1]))
  return {
    maxRetries: draw.int(0, 5),
    initialMs,
    maxMs: initialMs * 8,
    factor: draw.pick([1, 1.5, 2]),
    jitter: draw.pick(['none', 'full', 'equal'] as const),
  }
}

function drawBoost(draw: Draw, bodyMs: number): BoostSpec {
  const deadlineMs = Math.ceil(bodyMs * draw.pick([2, 5, 20]))
  const steps = (shares: readonly number[], boosts: readonly number[]): BoostSpec['boostIntervals'] =>
    shares.map((share, n) => ({ remainingMs: deadlineMs * share, boost: boosts[n] as number }))
  const kind = draw.pick(['disabled', 'standard', 'standard', 'aggressive', 'custom'])
  if (kind === 'disabled') return { enabled: false, deadlineMs: 0, boostIntervals: [] }
  if (kind === 'standard') return { enabled: true, deadlineMs, boostIntervals: steps(STANDARD_SHARES, STANDARD_BOOSTS) }
  if (kind === 'aggressive')
    return { enabled: true, deadlineMs, boostIntervals: steps([0.8, 0.6, 0.4, 0.2], [2, 4, 6, 8]) }
  return { enabled: true, deadlineMs, boostIntervals: steps([0.7, 0.4], [draw.int(1, 3), draw.int(1, 9)]) }
}

export const STANDARD_SHARES = [0.75, 0.5, 0.25, 0.1]
export const STANDARD_BOOSTS = [1, 2, 3, 4]

const drawBreaker = (draw: Draw, bodyMs: number): BreakerSpec => ({
  failureRatio: draw.pick([0.3, 0.5, 1]),
  minimum: draw.int(1, 4),
  windowMs: Math.ceil(bodyMs * 10),
  openMs: Math.ceil(bodyMs * draw.pick([2, 10])),
  halfOpen: draw.int(1, 3),
})

/** Minima that the cap cannot hold, or that would shut a lane out, are CONFIG_INVALID: then nobody has one. */
function withinCap(lanes: Record<string, LaneSpec>, cap: number): Record<string, LaneSpec> {
  const all = Object.values(lanes)
  const total = all.reduce((sum, lane) => sum + lane.minConcurrency, 0)
  const kept = all
    .filter(({ lend, protected: safe }) => !(lend ?? !safe))
    .reduce((sum, one) => sum + one.minConcurrency, 0)
  if (total <= cap && (kept < cap || cap === Number.POSITIVE_INFINITY)) return lanes
  return Object.fromEntries(Object.entries(lanes).map(([id, lane]) => [id, { ...lane, minConcurrency: 0 }]))
}
