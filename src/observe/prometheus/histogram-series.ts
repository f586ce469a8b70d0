/** Histograms of Prometheus, counted out of ours: buckets that each hold what is in all before them, sum and count. */
import type { Histogram } from '../index.js'
import { type Line, lineOf, type Series } from './pulled-metric.js'

/** A lane and what was timed in it, in milliseconds. */
type Timed = { readonly lane: string; readonly histogram: Histogram }

/** The lines of a metric over all lanes; `bounds` are in seconds. */
export function histogramSeries(name: string, bounds: readonly number[], timed: readonly Timed[]): Series {
  const boundsMs = bounds.map(inMs)
  const perLane = timed.map(({ lane, histogram }) => ({ histogram, ...linesOf(name, lane, bounds) }))
  return {
    lines: perLane.flatMap(({ buckets, sum, count }) => [...buckets, sum, count]),
    refresh: () => {
      for (const { histogram, buckets, sum, count } of perLane) {
        // The last bucket has no bound: it holds everything.
        const counts = [...histogram.countsUpTo(boundsMs), histogram.count]
        for (const [index, line] of buckets.entries()) line.value = counts[index] as number
        sum.value = histogram.sum / 1000
        count.value = histogram.count
      }
    },
  }
}

function linesOf(name: string, lane: string, bounds: readonly number[]) {
  const buckets = [...bounds, '+Inf'].map((le): Line => lineOf({ le, lane }, `${name}_bucket`))
  return { buckets, sum: lineOf({ lane }, `${name}_sum`), count: lineOf({ lane }, `${name}_count`) }
}

/** To the nanosecond: 1.001 seconds are 1,001 ms, and not a little less. */
const inMs = (seconds: number): number => Math.round(seconds * 1e9) / 1e6
