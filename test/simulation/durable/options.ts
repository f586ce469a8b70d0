/** What a seed draws for its durable half, from a stream of its own: what it draws for the rest stays as it was. */
import { type Draw, derivedDraw } from '../draw.js'
import type { LaneSpec } from '../lane-spec.js'
import type { Feature, SimOptions } from '../options.js'

export type DurableSpec = {
  /** Mean time until a write is done; 0 for a storage that answers at once, without a promise. */
  readonly writeMs: number
  /** Shares of writes that fail, that are done and answered with an error, and that are not answered for long. */
  readonly failing: number
  readonly unknown: number
  readonly hanging: number
  /** Share of writes after which the storage takes none any more. */
  readonly breaking: number
  readonly writesAtOnce: number
  /** Commands of a lane that are kept in memory while they wait. */
  readonly window: number
  /** Ends of the process in the middle of the work: without a word, at a call to the storage, and by `close`. */
  readonly crashes: number
  readonly armed: number
  readonly closes: number
  /** Share of commands that are kept in memory only. */
  readonly ephemeral: number
  /** Mean time until another process begins. */
  readonly downMs: number
}

export type DurableOptions = Omit<SimOptions, 'lanes'> & {
  readonly lanes: Readonly<Record<string, LaneSpec & { readonly maxRecoveries: number }>>
  readonly durable: DurableSpec
}

/** Options that belong to the process alone, or whose rules are judged without a storage. */
const LEFT_OUT: readonly Feature[] = ['configure', 'late', 'slow']
/** A seed has two halves then, and this is the smaller. */
const MOST_COMMANDS = 80

/** The durable half of a seed; undefined when it has none. */
export function drawDurable(options: SimOptions, isWanted: boolean): DurableOptions | undefined {
  const draw = derivedDraw(options.seed, -9)
  if (!draw.chance(0.3) && !isWanted) return undefined
  const lanes = Object.entries(options.lanes).map(([id, lane]) => [
    id,
    { ...lane, maxRecoveries: draw.pick([0, 1, 3]) },
  ])
  return {
    ...options,
    features: options.features.filter((feature) => !LEFT_OUT.includes(feature)),
    lanes: Object.fromEntries(lanes) as DurableOptions['lanes'],
    commands: Math.min(options.commands, MOST_COMMANDS),
    durable: drawSpec(draw, options),
  }
}

function drawSpec(draw: Draw, { bodyMs, gapMs }: SimOptions): DurableSpec {
  const maybe = (share: number): number => (draw.chance(0.5) ? share : 0)
  return {
    writeMs: draw.pick([0, 0.1, 1, 1, bodyMs / 2]),
    failing: maybe(0.15),
    unknown: maybe(0.15),
    hanging: maybe(0.03),
    breaking: draw.chance(0.2) ? 0.02 : 0,
    writesAtOnce: draw.pick([1, 1, 2, 4]),
    window: draw.pick([1, 3, 10, 4096]),
    crashes: draw.pick([0, 1, 3, 6]),
    armed: maybe(0.03),
    closes: draw.pick([0, 0, 1, 2]),
    ephemeral: draw.pick([0, 0, 0.1]),
    downMs: draw.pick([0, gapMs * 3, bodyMs * 5]),
  }
}
