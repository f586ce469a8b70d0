/**
 * When commands arrive: small sources of instants in milliseconds since the start of a simulation, and what makes
 * arrivals of them. Each can be read any number of times and gives the same every time.
 */

import { seededRandom } from './seeded-random.js'
import type { Arrival } from './simulate-arrival.js'
import { checkNumber, invalid } from './simulate-checks.js'

/** Which part of an endless row of instants is wanted. */
export type InstantsOptions = {
  /** The row begins here, in milliseconds. Default 0. */
  readonly fromMs?: number | undefined
  /** Every instant is before this one, in milliseconds. Default Infinity. */
  readonly untilMs?: number | undefined
  /** Most instants. Default Infinity: then `untilMs`, here or of the simulation, has to end it. */
  readonly count?: number | undefined
}

/** An instant every `ms` milliseconds, the first at `fromMs`. `CONFIG_INVALID` unless `ms` is above 0. */
export function every(ms: number, options: InstantsOptions = {}): Iterable<number> {
  if (!(ms > 0)) throw invalid('every ms', 'above 0', ms)
  const { fromMs = 0 } = options
  return part(function* () {
    for (let n = 0; ; n++) yield fromMs + n * ms
  }, options)
}

/**
 * Independent arrivals, `ratePerSecond` of them in a second on average: a Poisson process, the usual model of requests of
 * many users. The gaps are exponential with a mean of 1000 / rate, drawn by inversion: -ln(1 - u) × mean. The same seed
 * (default 1) gives the same instants; give each trace one of its own. `CONFIG_INVALID` unless the rate is above 0.
 */
export function poisson(
  ratePerSecond: number,
  options: InstantsOptions & { readonly seed?: number | undefined } = {},
): Iterable<number> {
  if (!(ratePerSecond > 0)) throw invalid('poisson ratePerSecond', 'above 0', ratePerSecond)
  const { fromMs = 0, seed = 1 } = options
  return part(function* () {
    const random = seededRandom(seed)
    for (let at = fromMs; ; ) {
      at -= (Math.log(1 - random.next()) * 1000) / ratePerSecond
      yield at
    }
  }, options)
}

/** The same instant `count` times: `atMs`, default 0. */
export function burst(count: number, atMs = 0): Iterable<number> {
  return part(
    function* () {
      for (;;) yield atMs
    },
    { count },
  )
}

/**
 * A command at each of the instants: always the same one, or what a function says for the number of the arrival, from 0,
 * and its instant. Instants may be an array, too.
 */
export function trace(
  instants: Iterable<number>,
  command: Omit<Arrival, 'at'> | ((index: number, at: number) => Omit<Arrival, 'at'>),
): Iterable<Arrival> {
  return repeatable(function* () {
    let index = 0
    for (const at of instants) yield { ...(typeof command === 'function' ? command(index++, at) : command), at }
  })
}

/** Several traces, or several rows of instants, as one in order of time. At one instant the one named first goes first. */
export function merge<T extends number | Arrival>(...traces: readonly Iterable<T>[]): Iterable<T> {
  return repeatable(function* () {
    const heads = traces.map((one) => new Head(one[Symbol.iterator]())).filter((head) => head.advance())
    while (heads.length > 0) {
      const first = heads.reduce((best, head) => (head.at < best.at ? head : best))
      yield first.value as T
      if (!first.advance()) heads.splice(heads.indexOf(first), 1)
    }
  })
}

/** One of the traces that are being merged. */
class Head<T extends number | Arrival> {
  value: T | undefined
  readonly #rest: Iterator<T, unknown>

  constructor(rest: Iterator<T, unknown>) {
    this.#rest = rest
  }

  get at(): number {
    const value: number | Arrival | undefined = this.value
    return typeof value === 'object' ? value.at : Number(value)
  }

  /** Goes to the next; false at the end. */
  advance(): boolean {
    const next = this.#rest.next()
    this.value = next.done === true ? undefined : next.value
    return next.done !== true
  }
}

/** Whatever a generator gives, from the start each time it is read. */
const repeatable = <T>(generate: () => Iterator<T>): Iterable<T> => ({ [Symbol.iterator]: generate })

/** The part of an endless row that is wanted. */
function part(instants: () => Iterable<number>, { fromMs = 0, untilMs, count }: InstantsOptions): Iterable<number> {
  checkNumber('instants fromMs', fromMs, 0, Number.MAX_VALUE)
  if (untilMs !== undefined) checkNumber('instants untilMs', untilMs, 0, Number.POSITIVE_INFINITY)
  if (count !== undefined) checkNumber('instants count', count, 0, Number.POSITIVE_INFINITY)
  const endMs = untilMs ?? Number.POSITIVE_INFINITY
  return repeatable(function* () {
    let left = count ?? Number.POSITIVE_INFINITY
    for (const at of instants()) {
      if (left < 1 || at >= endMs) return
      left--
      yield at
    }
  })
}
