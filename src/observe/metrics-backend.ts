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

/** A number that is added to; undefined until it was. */
export type Cell = { value: number | undefined }

/** Metrics in memory. Cells are handed out, so that whoever counts often need not look them up by name. */
export class LocalMetrics implements MetricsBackend {
  readonly #counters = new Map<string, Cell>()
  readonly #gauges = new Map<string, number | (() => number)>()
  readonly #histograms = new Map<string, Histogram>()

  incrementCounter(name: string, by: number): void {
    const cell = this.counter(name)
    cell.value = (cell.value ?? 0) + by
  }

  setGauge(name: string, value: number): void {
    this.#gauges.set(name, value)
  }

  /** A gauge that is read when it is asked for; until it is set, or this is called without a source. */
  setGaugeSource(name: string, source: (() => number) | undefined): void {
    if (source === undefined) this.#gauges.delete(name)
    else this.#gauges.set(name, source)
  }

  recordHistogram(name: string, value: number): void {
    this.histogram(name).record(value)
  }

  getCounter(name: string): number | undefined {
    return this.#counters.get(name)?.value
  }

  getGauge(name: string): number | undefined {
    const gauge = this.#gauges.get(name)
    return typeof gauge === 'function' ? gauge() : gauge
  }

  getHistogramStats(name: string): HistogramStats | undefined {
    const histogram = this.#histograms.get(name)
    return histogram === undefined || histogram.count === 0 ? undefined : histogram.stats()
  }

  /** Forgets everything; names that were known are unknown again, but for gauges that are read from a source. */
  reset(): void {
    for (const cell of this.#counters.values()) cell.value = undefined
    for (const [name, gauge] of this.#gauges) if (typeof gauge === 'number') this.#gauges.delete(name)
    for (const histogram of this.#histograms.values()) histogram.reset()
  }

  snapshot(): MetricsSnapshot {
    const filled = [...this.#histograms].filter(([, { count }]) => count > 0)
    return {
      counters: values(this.#counters),
      gauges: Object.fromEntries([...this.#gauges.keys()].map((name) => [name, this.getGauge(name) as number])),
      histograms: Object.fromEntries(filled.map(([name, histogram]) => [name, histogram.stats()])),
    }
  }

  /** The cell of a counter, for as long as this back end lives. */
  counter(name: string): Cell {
    return known(this.#counters, name, emptyCell)
  }

  /** The histogram under a name: to merge it with others, or to ask it for other percentiles. */
  histogram(name: string): Histogram {
    return known(this.#histograms, name, () => new Histogram())
  }
}

const emptyCell = (): Cell => ({ value: undefined })

function known<T>(map: Map<string, T>, name: string, make: () => T): T {
  let value = map.get(name)
  if (value === undefined) {
    value = make()
    map.set(name, value)
  }
  return value
}

const values = (cells: ReadonlyMap<string, Cell>): Record<string, number> =>
  Object.fromEntries([...cells].flatMap(([name, { value }]) => (value === undefined ? [] : [[name, value]])))
