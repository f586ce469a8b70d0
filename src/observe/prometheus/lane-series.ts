/** Which metrics a queue has for Prometheus, and how their lines come about. */
import type { ObservedLane, QueueManager } from '../../core/index.js'
import {
  EXPORTED_METRICS,
  type ExportedMetric,
  inMemory,
  LocalMetrics,
  METRIC_NAMES,
  type MetricName,
  QueueMetrics,
} from '../index.js'
import { histogramSeries } from './histogram-series.js'
import { type Line, lineOf, type PulledMetricParams, type Series } from './pulled-metric.js'

type ScrapedQueue = Pick<QueueManager, 'metrics' | 'observe' | 'stats'>
/** How a lane's value is read, now and at each scrape. */
type ReaderOf = (lane: ObservedLane) => () => number

/** Gauges are read from the lanes themselves: they are right at each scrape, also where nobody writes gauges. */
const GAUGES: Readonly<Partial<Record<MetricName, ReaderOf>>> = {
  [METRIC_NAMES.QUEUE_DEPTH]: (lane) => () => lane.pending,
  [METRIC_NAMES.QUEUE_ACTIVE]: (lane) => () => lane.active,
  [METRIC_NAMES.QUEUE_DELAYED]: (lane) => () => lane.delayed,
  [METRIC_NAMES.QUEUE_ZOMBIES]: (lane) => () => lane.zombies,
  [METRIC_NAMES.QUEUE_OLDEST_AGE]: (lane) => () => lane.oldestAgeMs(),
}

/** All metrics of the queue, named with the prefix; `bounds` are those of the histograms, in seconds. */
export function laneSeries(queue: ScrapedQueue, prefix: string, bounds: readonly number[]): PulledMetricParams[] {
  const { lanes, refusedNowhere } = watch(queue)
  const local = localMetrics(queue)
  const seriesOf = (name: MetricName, { kind, divisor }: ExportedMetric, full: string): Series => {
    if (kind === 'histogram') return histogramSeries(full, bounds, filled(lanes, local, name))
    const readerOf = GAUGES[name] ?? counterOf(local, name)
    const series = perLane(lanes, readerOf, divisor)
    return name === METRIC_NAMES.COMMANDS_REJECTED ? withNowhere(series, refusedNowhere) : series
  }
  const measured = [...EXPORTED_METRICS].map(([name, exported]): PulledMetricParams => {
    const full = `${prefix}${exported.name}`
    return { name: full, kind: exported.kind, help: exported.help, ...seriesOf(name, exported, full) }
  })
  const gauge = (name: string, help: string, series: Series): PulledMetricParams => ({
    name: `${prefix}${name}`,
    kind: 'gauge',
    help,
    ...series,
  })
  return [
    ...measured,
    gauge('lane_max_concurrency', 'Most commands that may run', perLane(lanes, maxOf)),
    gauge('lane_paused', 'Whether the lane is paused: 1 or 0', perLane(lanes, pausedOf)),
    gauge('dead_letters', 'Dead letters that are kept', deadLetters(queue)),
  ]
}

const maxOf: ReaderOf = (lane) => () => lane.status().max
const pausedOf: ReaderOf = (lane) => () => Number(lane.status().paused)

/** What is watched beyond the metrics: the lanes, and how many submits were refused because they named none of them. */
function watch(queue: ScrapedQueue): {
  readonly lanes: readonly ObservedLane[]
  readonly refusedNowhere: () => number
} {
  let lanes: readonly ObservedLane[] = []
  let refused = 0
  queue.observe({
    observe: (observed) => {
      lanes = observed.lanes
      return {
        refused: () => {
          refused++
        },
      }
    },
  })
  return { lanes, refusedNowhere: () => refused }
}

/** The queue's own metrics where they are in memory, else some of ours that count beside them. */
function localMetrics(queue: ScrapedQueue): LocalMetrics {
  const own = inMemory(queue.metrics?.backend())
  if (own !== undefined) return own
  const local = new LocalMetrics()
  queue.observe(new QueueMetrics(local))
  return local
}

/** A line per lane; what is read is divided: 1,000 makes seconds of milliseconds. */
function perLane(lanes: readonly ObservedLane[], readerOf: ReaderOf, divisor = 1): Series {
  const read = lanes.map((lane) => [lineOf({ lane: lane.id }), readerOf(lane)] as const)
  return {
    lines: read.map(([line]) => line),
    refresh: () => {
      for (const [line, value] of read) line.value = value() / divisor
    },
  }
}

function counterOf(local: LocalMetrics, name: MetricName): ReaderOf {
  return ({ id }) => {
    const cell = local.counter(`${name}.${id}`)
    return () => cell.value ?? 0
  }
}

const filled = (lanes: readonly ObservedLane[], local: LocalMetrics, name: MetricName) =>
  lanes.map(({ id }) => ({ lane: id, histogram: local.histogram(`${name}.${id}`) }))

/** Submits to lanes that do not exist have a line without a lane, once there are any. */
function withNowhere({ lines, refresh }: Series, refusedNowhere: () => number): Series {
  const all: Line[] = [...lines]
  const nowhere = lineOf({ lane: '' })
  return {
    lines: all,
    refresh: () => {
      refresh()
      nowhere.value = refusedNowhere()
      if (nowhere.value > 0 && !all.includes(nowhere)) all.push(nowhere)
    },
  }
}

function deadLetters(queue: ScrapedQueue): Series {
  const line = lineOf({})
  return {
    lines: [line],
    refresh: () => {
      line.value = queue.stats().deadLetterCount
    },
  }
}
