/** Where measures go: the contract of a back end, and the one in memory. */
import { Histogram, type HistogramStats } from './histogram.js'

/** Everything that a back end holds, by metric name. */
export type MetricsSnapshot = {
  readonly counters: Readonly<Record<string, number>>
  readonly gauges: Readonly<Record<string, number>>
  readonly histograms: Readonly<Record<string, HistogramStats>>
}

type Maybe<T> = T | undefined | Promise<T | undefined>

/**
 * A back end for metrics. A write that throws or rejects is reported as a fault of the queue and harms nobody. One that
 * only writes elsewhere may answer reads with undefined and give an empty snapshot.
 */
export interface MetricsBackend {
  incrementCounter(name: string, by: number): void | Promise<void>
  setGauge(name: string, value: number): void | Promise<void>
  recordHistogram(name: string, value: number): void | Promise<void>
  getCounter(name: string): Maybe<number>
  getGauge(name: string): Maybe<number>
  getHistogramStats(name: string): Maybe<HistogramStats>
  reset(): void | Promise<void>
  snapshot(): MetricsSnapshot | Promise<MetricsSnapshot>
}

/** @internal A number that is added to; undefined until it was. */
export type Cell = { value: number | undefined }

/** Metrics in memory. */
export class LocalMetrics implements MetricsBackend {
  readonly #counters = new Map<string, Cell>()
  readonly #gauges = new Map<string, number | (() => number)>()
  readonly #histograms = new Map<string, Histogram>()
  /** What a name holds beside what was written to it: the names that are parts of it. */
  readonly #parts = new Map<string, Set<string>>()
  readonly #isPart = new Set<string>()

  incrementCounter(name: string, by: number): void {
    const cell = this.counter(name)
    cell.value = (cell.value ?? 0) + by
  }

  setGauge(name: string, value: number): void {
    this.#gauges.set(name, value)
  }

  /** @internal A gauge that is read when it is asked for; until it is set, or this is called without a source. */
  setGaugeSource(name: string, source: (() => number) | undefined): void {
    if (source === undefined) this.#gauges.delete(name)
    else this.#gauges.set(name, source)
  }

  recordHistogram(name: string, value: number): void {
    this.histogram(name).record(value)
  }

  getCounter(name: string): number | undefined {
    let sum = this.#counters.get(name)?.value
    for (const part of this.#parts.get(name) ?? []) {
      const value = this.#counters.get(part)?.value
      if (value !== undefined) sum = (sum ?? 0) + value
    }
    return sum
  }

  getGauge(name: string): number | undefined {
    const gauge = this.#gauges.get(name)
    return typeof gauge === 'function' ? gauge() : gauge
  }

  getHistogramStats(name: string): HistogramStats | undefined {
    const histogram = this.#total(name)
    return histogram === undefined || histogram.count === 0 ? undefined : histogram.stats()
  }

  /** Forgets everything; names that were known are unknown again, but for gauges that are read from a source. */
  reset(): void {
    for (const cell of this.#counters.values()) cell.value = undefined
    for (const [name, gauge] of this.#gauges) if (typeof gauge === 'number') this.#gauges.delete(name)
    for (const histogram of this.#histograms.values()) histogram.reset()
  }

  snapshot(): MetricsSnapshot {
    const read = <T>(names: Iterable<string>, get: (name: string) => T | undefined): Record<string, T> =>
      Object.fromEntries(
        [...new Set(names)].flatMap((name) => {
          const value = get(name)
          return value === undefined ? [] : [[name, value]]
        }),
      )
    const totals = [...this.#parts.keys()]
    return {
      counters: read([...this.#counters.keys(), ...totals], (name) => this.getCounter(name)),
      gauges: read(this.#gauges.keys(), (name) => this.getGauge(name)),
      histograms: read([...this.#histograms.keys(), ...totals], (name) => this.getHistogramStats(name)),
    }
  }

  /** @internal The cell of a counter, for as long as this back end lives. */
  counter(name: string): Cell {
    return known(this.#counters, name, emptyCell)
  }

  /** The histogram under a name, for as long as this back end lives; of a total, a copy of what it holds now. */
  histogram(name: string): Histogram {
    const own = known(this.#histograms, name, () => new Histogram())
    return this.#parts.has(name) ? (this.#total(name) as Histogram) : own
  }

  /** @internal From now on `total` holds what `part` does, too: what is written to the part need not be written twice. */
  addPart(total: string, part: string): void {
    known(this.#parts, total, () => new Set<string>()).add(part)
    this.#isPart.add(part)
  }

  /** @internal Whether what is written to a name is in a total, too. */
  isPart(name: string): boolean {
    return this.#isPart.has(name)
  }

  #total(name: string): Histogram | undefined {
    const parts = this.#parts.get(name)
    const own = this.#histograms.get(name)
    if (parts === undefined) return own
    const total = new Histogram()
    if (own !== undefined) total.merge(own)
    for (const part of parts) total.merge(this.#histograms.get(part) ?? new Histogram())
    return total
  }
}

/**
 * The back end, where it is ours and what is counted in its cells is all of it. A class of the user's that is made of it may
 * write elsewhere, and has to be called.
 */
export const inMemory = (backend: MetricsBackend | undefined): LocalMetrics | undefined =>
  backend instanceof LocalMetrics && backend.constructor === LocalMetrics ? backend : undefined

const emptyCell = (): Cell => ({ value: undefined })

function known<T>(map: Map<string, T>, name: string, make: () => T): T {
  let value = map.get(name)
  if (value === undefined) {
    value = make()
    map.set(name, value)
  }
  return value
}
