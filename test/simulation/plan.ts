/** What a body does in one attempt: drawn from the seed, the command's number and the attempt, whatever else happened. */
import { type Draw, derivedDraw } from './draw.js'
import type { Feature, SimOptions } from './options.js'

/** How a body ends when nobody stops it. */
export type Ending =
  | { readonly kind: 'return' | 'throw' | 'throw-nothing' | 'unrecoverable' | 'time-error' | 'discard' }
  | { readonly kind: 'snooze' | 'retry-after' | 'retry-after-lane' | 'provider'; readonly ms: number }

/** What a body does when its signal aborts: end with the reason, later, with a value in spite of it, or not care. */
type Hearing = 'at-once' | 'late' | 'value' | 'deaf'

export type Step =
  | { readonly kind: 'wait'; readonly ms: number }
  /** Until the signal aborts, or until the simulation ends it. */
  | { readonly kind: 'hang' }
  | { readonly kind: 'checkpoint' | 'yield' | 'progress' | 'meddle' }
  | { readonly kind: 'charge'; readonly factor: number }
  /** Submits a child; waits for it with `ctx.run`, or goes on at once. */
  | { readonly kind: 'child'; readonly waits: boolean }

export type Plan = {
  /** Ends before the handler returns: no promise at all. */
  readonly isSync: boolean
  readonly steps: readonly Step[]
  readonly ending: Ending
  readonly hearing: Hearing
}

/** Children have no children of their own beyond this depth: trees end. */
const DEEPEST = 2

export function drawPlan(options: SimOptions, n: number, attempt: number, depth: number): Plan {
  const draw = derivedDraw(options.seed, n * 64 + attempt)
  const has = (feature: Feature): boolean => options.features.includes(feature)
  const steps = [
    ...drawOpening(draw, has, depth),
    ...drawPieces(draw, has, drawServiceMs(draw, options.bodyMs)),
    ...maybe(has('hang') && draw.chance(0.02), { kind: 'hang' }),
    ...maybe(has('charge') && draw.chance(0.3), { kind: 'charge', factor: draw.pick([0.5, 1, 2]) }),
  ]
  const isSync = draw.chance(0.15)
  return {
    isSync,
    steps: isSync ? steps.filter(({ kind }) => kind === 'progress' || kind === 'charge' || kind === 'meddle') : steps,
    ending: drawEnding(draw, has, options.bodyMs),
    hearing: has('deaf') ? draw.pick<Hearing>(['at-once', 'late', 'value', 'deaf']) : 'at-once',
  }
}

type Has = (feature: Feature) => boolean

const maybe = (isDrawn: boolean, step: Step): readonly Step[] => (isDrawn ? [step] : [])

/** What a body does before its work. */
const drawOpening = (draw: Draw, has: Has, depth: number): readonly Step[] => [
  ...maybe(draw.chance(0.3), { kind: 'progress' }),
  ...maybe(has('charge') && draw.chance(0.6), { kind: 'charge', factor: draw.pick([0, 0.5, 1.5, 3]) }),
  ...maybe(has('children') && depth < DEEPEST && draw.chance(0.12), { kind: 'child', waits: draw.chance(0.7) }),
  ...maybe(has('meddling') && draw.chance(0.05), { kind: 'meddle' }),
]

/** The work in one piece, or in several with safe points in between. */
function drawPieces(draw: Draw, has: Has, ms: number): readonly Step[] {
  const pieces = has('yields') || has('checkpoints') ? draw.int(1, 4) : 1
  return Array.from({ length: pieces }, () => [
    ...maybe(has('checkpoints') && draw.chance(0.6), { kind: 'checkpoint' }),
    ...maybe(has('yields') && draw.chance(0.6), { kind: 'yield' }),
    { kind: 'wait' as const, ms: Math.ceil(ms / pieces) },
  ]).flat()
}

/** Nothing, fixed, exponential, heavy-tailed: by the seed's mean. */
function drawServiceMs(draw: Draw, mean: number): number {
  const kind = draw.pick(['none', 'fixed', 'exponential', 'exponential', 'heavy'])
  if (kind === 'none') return 0
  if (kind === 'fixed') return mean
  return kind === 'heavy' ? draw.heavyTailed(mean / 3) : draw.exponential(mean)
}

function drawEnding(draw: Draw, has: Has, bodyMs: number): Ending {
  if (draw.chance(0.6)) return { kind: 'return' }
  const ms = Math.ceil(bodyMs * draw.pick([0, 0.5, 3]))
  const endings: Ending[] = [{ kind: 'return' }, { kind: 'throw' }, { kind: 'throw' }, { kind: 'throw-nothing' }]
  if (has('unrecoverable')) endings.push({ kind: 'unrecoverable' }, { kind: 'time-error' })
  if (has('discard')) endings.push({ kind: 'discard' })
  if (has('snooze')) endings.push({ kind: 'snooze', ms })
  if (has('retryAfter')) endings.push({ kind: 'retry-after', ms }, { kind: 'retry-after-lane', ms })
  if (has('provider')) endings.push({ kind: 'provider', ms })
  return draw.pick(endings)
}
