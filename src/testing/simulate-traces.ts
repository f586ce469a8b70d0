/**
 * When commands arrive: small sources of instants in milliseconds since the start of a simulation, and what makes
 * arrivals of them. Each can be read any number of times and gives the same every time.
 */

import { seededRandom } from './seeded-random.js'
import { invalid } from './simulate-checks.js'
import type { Arrival } from './simulate-options.js'

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
  return limited(options, function* () {
    for (let n = 0; ; n++) yield fromMs + n * ms
  })
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
  return limited(options, function* () {
    const random = seededRandom(seed)
    for (let at = fromMs; ; ) {
      at -= (Math.log(1 - random.next()) * 1000) / ratePerSecond
      yield at
    }
  })
}

/** The same instant `count` times: `atMs`, default 0. */
export function burst(count: number, atMs = 0): Iterable<number> {
  return limited({ count }, function* () {
    for (;;) yield atMs
  })
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

/** Several traces, or several rows of instants, as one in order of time. At one instant the earlier named goes first. */
export function merge<T extends number | Arrival>(...traces: readonly Iterable<T>[]): Iterable<T> {
  return repeatable(function* () {
    const heads = traces.map((one) => new Head(one[Symbol.iterator]()))
    for (;;) {
      const first = heads.reduce<Head<T> | undefined>(
        (best, head) => (head.at < (best?.at ?? Infinity) ? head : best),
        undefined,
      )
      if (first?.value === undefined) return
      yield first.value
      first.next()
    }
  })
}

/** The next of a trace that is being merged. */
class Head<T extends number | Arrival> {
  value: T | undefined
  at = Number.POSITIVE_INFINITY
  readonly #rest: Iterator<T>

  constructor(rest: Iterator<T>) {
    this.#rest = rest
    this.next()
  }

  next(): void {
    const { done, value } = this.#rest.next()
    this.value = done === true ? undefined : value
    this.at =
      this.value === undefined ? Number.POSITIVE_INFINITY : typeof this.value === 'number' ? this.value : this.value.at
  }
}

/** Whatever a generator gives, from the start each time it is read. */
const repeatable = <T>(generate: () => Iterator<T>): Iterable<T> => ({ [Symbol.iterator]: generate })

function limited(
  { fromMs = 0, untilMs = Infinity, count = Infinity }: InstantsOptions,
  instants: () => Iterable<number>,
): Iterable<number> {
  return repeatable(function* () {
    let left = count
    for (const at of instants()) {
      if (left-- <= 0 || at >= untilMs) return
      yield at
    }
  })
}
