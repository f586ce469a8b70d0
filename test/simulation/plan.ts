/** What a body does in one attempt: drawn from the seed, the command's number and the attempt, whatever else happened. */
import { type Draw, derivedDraw } from './draw.js'
import type { SimOptions } from './options.js'

/** How a body ends when nobody stops it. */
export type Ending =
  | { readonly kind: 'return' | 'throw' | 'throw-nothing' | 'unrecoverable' | 'time-error' | 'discard' }
  | { readonly kind: 'snooze' | 'retry-after' | 'retry-after-lane' | 'provider'; readonly ms: number }

/** What a body does when its signal aborts: end with the reason, later, with a value in spite of it, or not care. */
export type Hearing = 'at-once' | 'late' | 'value' | 'deaf'

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
  const has = (feature: SimOptions['features'][number]): boolean => options.features.includes(feature)
  const steps: Step[] = []
  const ms = drawServiceMs(draw, options.bodyMs)
  if (draw.chance(0.3)) steps.push({ kind: 'progress' })
  if (has('charge') && draw.chance(0.6)) steps.push({ kind: 'charge', factor: draw.pick([0, 0.5, 1.5, 3]) })
  if (has('children') && depth < DEEPEST && draw.chance(0.12)) steps.push({ kind: 'child', waits: draw.chance(0.7) })
  if (has('meddling') && draw.chance(0.05)) steps.push({ kind: 'meddle' })
  const pieces = has('yields') || has('checkpoints') ? draw.int(1, 4) : 1
  for (let piece = 0; piece < pieces; piece++) {
    if (has('checkpoints') && draw.chance(0.6)) steps.push({ kind: 'checkpoint' })
    if (has('yields') && draw.chance(0.6)) steps.push({ kind: 'yield' })
    steps.push({ kind: 'wait', ms: Math.ceil(ms / pieces) })
  }
  if (has('hang') && draw.chance(0.02)) steps.push({ kind: 'hang' })
  if (has('charge') && draw.chance(0.3)) steps.push({ kind: 'charge', factor: draw.pick([0.5, 1, 2]) })
  const isSync = draw.chance(0.15)
  return {
    isSync,
    steps: isSync ? steps.filter(({ kind }) => kind === 'progress' || kind === 'charge' || kind === 'meddle') : steps,
    ending: drawEnding(draw, has, options.bodyMs),
    hearing: has('deaf') ? draw.pick<Hearing>(['at-once', 'late', 'value', 'deaf']) : 'at-once',
  }
}

/** Nothing, fixed, exponential, heavy-tailed: by the seed's mean. */
function drawServiceMs(draw: Draw, mean: number): number {
  const kind = draw.pick(['none', 'fixed', 'exponential', 'exponential', 'heavy'])
  if (kind === 'none') return 0
  if (kind === 'fixed') return mean
  return kind === 'heavy' ? draw.heavyTailed(mean / 3) : draw.exponential(mean)
}

function drawEnding(draw: Draw, has: (feature: SimOptions['features'][number]) => boolean, bodyMs: number): Ending {
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
