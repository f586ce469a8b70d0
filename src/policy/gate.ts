/**
 * What may keep a lane from starting a command, apart from its own room: rate limits, a provider that asked for a pause,
 * a circuit breaker. The scheduler knows none of them by name; a lane has a list of gates, empty for most.
 *
 * Gates are asked last, when a command could start otherwise, the best lane first. Asking takes nothing: `started` is
 * called only when the command really starts. Instants are milliseconds of a monotonic clock.
 */

/** What a command costs: one amount for every unit, or an amount per unit. */
export type Cost = number | { readonly [unit: string]: number }

/** What a command that wants to start brings. */
export type Ask = {
  readonly cost: Cost | undefined
  /** It does not wait for its lane's turn: it claims for itself, beside the lane's next command. Default false. */
  readonly isAside?: boolean
}

/** Why a command may not start. `until` is the instant at which this reason ends, when that is known. */
export type Reason = { readonly code: string; readonly message: string; readonly until?: number }

export interface Gate {
  /** Earliest instant at which the command may start: `now` or earlier when it may now; Infinity when nothing but a change can open it. Takes nothing. */
  readyAt(ask: Ask, now: number): number
  /** A command starts: takes what it costs. */
  started(ask: Ask, now: number): void
  /** An attempt that started at `startedAt` has ended. 'neutral': cancelled, preempted, put off, snoozed. */
  ended?(how: 'success' | 'failure' | 'neutral', now: number, startedAt?: number): void
  /** The lane has nothing to start at the moment, or nothing waits aside: claims made by `readyAt` for it are withdrawn. */
  withdraw?(now: number, isAside?: boolean): void
  /** What an attempt cost is known now. `before` is what was accounted for it so far. */
  settle?(before: Cost | undefined, after: Cost, takenAt: number, now: number): void
  /** Why the command may not start now; undefined when it may. */
  reason(ask: Ask, now: number): Reason | undefined
}

/** The unit in which every start counts as one, whatever it costs. */
export const COMMANDS = 'commands'

/**
 * What a cost comes to in one unit. A start is one command. In any other unit a number is the amount of every such unit,
 * an object gives its own units and 0 of the rest, and a command without a cost counts as one.
 */
export function amountOf(unit: string | undefined, cost: Cost | undefined): number {
  if (unit === undefined || unit === COMMANDS || cost === undefined) return 1
  if (typeof cost === 'number') return cost
  return Object.hasOwn(cost, unit) ? (cost[unit] as number) : 0
}

/** Two costs of one command together. A number counts in every unit, so it is added to each unit that the other names. */
export function sumOfCosts(a: Cost = 1, b: Cost = 1): Cost {
  if (typeof a === 'number' && typeof b === 'number') return a + b
  const units = [...Object.keys(a), ...Object.keys(b)]
  return Object.fromEntries(units.map((unit) => [unit, amountOf(unit, a) + amountOf(unit, b)]))
}
