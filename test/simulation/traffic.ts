/** The options of a submit, as drawn. */

import type { Draw } from './draw.js'
import type { Cost, SubmitSpec } from './lane-spec.js'
import type { Feature, SimOptions } from './options.js'

type Source = {
  readonly draw: Draw
  readonly options: SimOptions
  has(feature: Feature): boolean
  newSignal(): AbortSignal
}

const KEYS = ['ada', 'ben', 'cho', 'dov', 'eli']
/** So that a key is always worth the same. */
const WEIGHTS: Readonly<Record<string, number>> = { ada: 1, ben: 4, cho: 2, dov: 1, eli: 3 }

export function drawSubmit(source: Source, laneId: string): SubmitSpec {
  const { draw, options } = source
  const { bodyMs } = options
  const key = source.has('keys') && draw.chance(0.9) ? draw.pick(KEYS) : undefined
  const maybe = <V>(feature: Feature, share: number, name: string, value: () => V): object =>
    source.has(feature) && draw.chance(share) ? { [name]: value() } : {}
  return {
    ...maybe('ids', 0.1, 'id', () => `given-${draw.int(0, 1e9)}`),
    ...maybe('priorities', 0.5, 'priority', () => draw.pick([0, 500, 1000, 2000])),
    ...maybe('timeouts', 0.15, 'timeoutMs', () => Math.ceil(bodyMs * draw.pick([0.3, 1, 5]))),
    ...maybe('retries', 0.1, 'retry', () => {
      const initialMs = Math.ceil(bodyMs / 2)
      return { maxRetries: draw.int(0, 4), initialMs, maxMs: initialMs * 4, factor: 2, jitter: 'full' as const }
    }),
    ...maybe('delays', 0.2, 'delayMs', () => Math.ceil(bodyMs * draw.pick([0.5, 2, 10]))),
    ...maybe('deadlines', 0.4, 'deadlineMs', () => Math.ceil(bodyMs * draw.pick([1, 5, 20]))),
    ...(key === undefined ? {} : { key }),
    ...(key === undefined ? {} : maybe('weights', 1, 'weight', () => WEIGHTS[key] as number)),
    ...maybe('units', 0.7, 'cost', () => drawCost(draw)),
    ...maybe('signals', 0.2, 'signal', () => source.newSignal()),
    ...maybe('dedupe', 0.4, 'dedupe', () => ({
      id: `${laneId}-${draw.int(0, 5)}`,
      mode: draw.pick(['drop', 'replace', 'keep-last'] as const),
      ...(draw.chance(0.5) ? { ttlMs: Math.ceil(bodyMs * draw.pick([1, 10])) } : {}),
    })),
  }
}

function drawCost(draw: Draw): Cost {
  const amount = draw.pick([0, 1, 4.5, 9, 12])
  return draw.chance(0.5) ? amount : { tokens: amount }
}
