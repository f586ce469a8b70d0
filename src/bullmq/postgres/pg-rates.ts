/**
 * Rate limits over all workers, asked and taken in the transaction that claims, by the server's clock: what `lua/rate.ts`
 * is for Redis, with the state of each limit as one row.
 */
import type { CountedLimit } from '../lane-limits.js'
import type { Transaction } from './database.js'

type Query = Transaction['query']

/** Instants in microseconds. */
type Bucket = { readonly level: number; readonly at: number }
type Window = { readonly grants: readonly (readonly [at: number, amount: number])[] }
type State = Bucket | Window

/** Rounding of sums is no reason to wait. */
const slackOf = (most: number): number => Math.min(most, 1e6) * 1e-9

function amountOf(cost: string | undefined, unit: string): number {
  if (unit === 'commands' || cost === undefined) return 1
  const given = JSON.parse(cost) as number | Readonly<Record<string, number>>
  return typeof given === 'number' ? given : (given[unit] ?? 0)
}

function bucketAt({ burst, rate }: CountedLimit, state: State | undefined, at: number): Bucket {
  if (state === undefined || !('level' in state)) return { level: burst, at }
  const since = Math.max(state.at, at)
  return { level: Math.min(burst, state.level + (since - state.at) * rate), at: since }
}

const grantsAt = ({ window }: CountedLimit, state: State | undefined, at: number): Window['grants'] =>
  state !== undefined && 'grants' in state ? state.grants.filter(([since]) => since > at - window) : []

/** Microseconds until the limit allows it; 0 for at once. */
function waitOf(limit: CountedLimit, state: State | undefined, amount: number, at: number): number {
  if (!limit.isWindow) {
    const missing = Math.min(amount, limit.burst) - bucketAt(limit, state, at).level
    return missing <= slackOf(limit.burst) ? 0 : missing / limit.rate
  }
  const grants = grantsAt(limit, state, at)
  let excess = grants.reduce((sum, [, one]) => sum + one, 0) + Math.min(amount, limit.max) - limit.max
  if (excess <= slackOf(limit.max)) return 0
  for (const [since, one] of grants) {
    excess -= one
    if (excess <= slackOf(limit.max) / 2) return since + limit.window - at
  }
  return limit.window
}

function taken(limit: CountedLimit, state: State | undefined, amount: number, at: number): State {
  if (!limit.isWindow) {
    const { level, at: since } = bucketAt(limit, state, at)
    return { level: level - amount, at: since }
  }
  const grants = grantsAt(limit, state, at)
  if (amount === 0) return { grants }
  // the server's clock was set back: no grant is forgotten before those of earlier
  const last = grants.at(-1)?.[0] ?? at
  return { grants: [...grants, [Math.max(at, last), amount]] }
}

/** An attempt has taken what it costs before this instant, if at all, and its last debt at that one: microseconds. */
export type Taken = { readonly before: number | undefined; readonly debtAt: number }

/**
 * What is given back in a window is taken off the grants of the attempt itself, or off older ones, the newest first: never
 * off a grant that others got after it, which would then be forgotten before it is a window old.
 */
function lowered(grants: Window['grants'], amount: number, { before = 0, debtAt }: Taken): Window['grants'] {
  const left = grants.map(([since, one]) => ({ since, one }))
  let rest = amount
  for (const isOwn of [(since: number) => since === debtAt, (since: number) => since < before]) {
    for (const grant of [...left].reverse()) {
      if (!isOwn(grant.since)) continue
      const less = Math.min(rest, grant.one)
      grant.one -= less
      rest -= less
    }
  }
  return left.filter(({ one }) => one > 0).map(({ since, one }) => [since, one] as const)
}

function settled(
  limit: CountedLimit,
  state: State | undefined,
  { more, taken: when, at }: { readonly more: number; readonly taken: Taken; readonly at: number },
): State {
  if (!limit.isWindow) {
    const { level, at: since } = bucketAt(limit, state, at)
    return { level: Math.min(limit.burst, level - more), at: since }
  }
  if (more > 0) return taken(limit, state, more, at)
  return { grants: lowered(grantsAt(limit, state, at), -more, when) }
}

/** The limits of a lane as they are now. */
export class Rates {
  readonly #limits: readonly CountedLimit[]
  readonly #states: ReadonlyMap<string, State>
  readonly #at: number

  private constructor(limits: readonly CountedLimit[], states: ReadonlyMap<string, State>, at: number) {
    this.#limits = limits
    this.#states = states
    this.#at = at
  }

  static async read(query: Query, limits: readonly CountedLimit[], now: number): Promise<Rates> {
    const rows = await query<{ key: string; state: State }>('SELECT key, state FROM lane_rate WHERE key = ANY($1)', [
      limits.map(({ key }) => key),
    ])
    return new Rates(limits, new Map(rows.map(({ key, state }) => [key, state])), now * 1000)
  }

  /** Milliseconds until all of them allow the command; 0 for at once. */
  waitMs(cost: string | undefined): number {
    const waits = this.#limits.map((limit) =>
      waitOf(limit, this.#states.get(limit.key), amountOf(cost, limit.unit), this.#at),
    )
    return Math.ceil(Math.max(0, ...waits) / 1000)
  }

  async take(query: Query, cost: string | undefined): Promise<void> {
    for (const limit of this.#limits) {
      const state = taken(limit, this.#states.get(limit.key), amountOf(cost, limit.unit), this.#at)
      await keep(query, limit, state)
    }
  }

  /** What an attempt costs turns out to be another. */
  async settle(query: Query, costs: Costs, when: Taken): Promise<Settled> {
    const richer: string[] = []
    let { debtAt } = when
    for (const limit of this.#limits) {
      const more = amountOf(costs.after, limit.unit) - amountOf(costs.before, limit.unit)
      if (more === 0 || (more < 0 && when.before === undefined)) continue
      if (more > 0) debtAt = this.#at
      else richer.push(limit.key)
      const state = settled(limit, this.#states.get(limit.key), { more, taken: when, at: this.#at })
      await keep(query, limit, state)
    }
    return { richer, debtAt }
  }
}

/** Costs of one attempt, as they are accounted now and as they turn out to be: JSON text. */
type Costs = { readonly before: string | undefined; readonly after: string }

/** Keys of the limits that have got something back. */
type Settled = { readonly richer: readonly string[]; readonly debtAt: number }

const keep = (query: Query, { key }: CountedLimit, state: State): Promise<unknown> =>
  query(
    'INSERT INTO lane_rate (key, state) VALUES ($1, $2::jsonb) ON CONFLICT (key) DO UPDATE SET state = EXCLUDED.state',
    [key, JSON.stringify(state)],
  )
