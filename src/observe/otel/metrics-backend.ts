/**
 * Metrics through OpenTelemetry: `new QueueMetrics(new OtelMetricsBackend())`. It only writes.
 *
 * A name of ours is an instrument and a label: `lane.commands.failed.query` counts in `a3s_lane_commands_failed_total` with
 * `lane` = `query`. The same name without a lane is the sum of these and is left out, or every command would count twice.
 * What a name means is found out once.
 */
import type * as OtelApi from '@opentelemetry/api'
import type { Attributes, Meter, MeterProvider } from '@opentelemetry/api'
import { checkObject, configInvalid, refuseUnknown } from '../../core/index.js'
import { requirePeer } from '../../peer/index.js'
import {
  EXPORTED_METRICS,
  EXPORTED_PREFIX,
  METRIC_NAMES,
  type MetricKind,
  type MetricName,
  type MetricsBackend,
  type MetricsSnapshot,
  SECONDS_BUCKETS,
} from '../index.js'
import * as names from './names.js'

/** Where the metrics go: by default, to whatever the application has registered globally. */
export type OtelMetricsBackendOptions = {
  /** Makes the instruments. Default: the meter `a3s-lane` of the provider. */
  readonly meter?: Meter | undefined
  /** Gives the meter. Default: the global one, now or when it is registered. */
  readonly meterProvider?: MeterProvider | undefined
}

const METER = 'a3s-lane'
const EMPTY: MetricsSnapshot = { counters: {}, gauges: {}, histograms: {} }
/** The same measure under the name that the semantic conventions give it. */
const CONVENTIONS: Readonly<Partial<Record<MetricName, Convention>>> = {
  [METRIC_NAMES.COMMANDS_SUBMITTED]: {
    name: 'messaging.client.sent.messages',
    help: 'Number of messages producer attempted to send to the broker.',
    operation: names.OPERATION_SUBMIT,
  },
  [METRIC_NAMES.COMMANDS_STARTED]: {
    name: 'messaging.client.consumed.messages',
    help: 'Number of messages that were delivered to the application.',
    operation: names.OPERATION_EXECUTE,
  },
  [METRIC_NAMES.COMMAND_LATENCY]: {
    name: 'messaging.process.duration',
    help: 'Duration of processing operation.',
    operation: names.OPERATION_EXECUTE,
  },
}
/** What OpenTelemetry allows in the name of an instrument. */
const NOT_IN_A_NAME = /[^A-Za-z0-9_./-]/g
const MAX_NAME = 255

type Convention = { readonly name: string; readonly help: string; readonly operation: string }
type Write = (value: number) => void
type Description = { readonly description?: string; readonly unit?: string; readonly isSeconds: boolean }

/** A back end that writes to OpenTelemetry. Needs the package `@opentelemetry/api`. Reads give undefined. */
export class OtelMetricsBackend implements MetricsBackend {
  readonly #given: Meter | undefined
  readonly #provider: () => MeterProvider
  #known: MeterProvider | undefined
  /** What is to be done with a value, by kind and name. */
  readonly #writes: Readonly<Record<MetricKind, Map<string, Write>>> = {
    counter: new Map(),
    gauge: new Map(),
    histogram: new Map(),
  }

  /** `CONFIG_INVALID` names the option that is wrong, or the package that is missing. */
  constructor(options: OtelMetricsBackendOptions = {}) {
    checkObject('OtelMetricsBackend options', options)
    refuseUnknown('OtelMetricsBackend', options, ['meter', 'meterProvider'])
    const { meter, meterProvider } = options
    if (meter !== undefined && typeof meter.createCounter !== 'function') {
      throw configInvalid('OtelMetricsBackend meter', 'a Meter of OpenTelemetry', meter)
    }
    if (meterProvider !== undefined && typeof meterProvider.getMeter !== 'function') {
      throw configInvalid('OtelMetricsBackend meterProvider', 'a MeterProvider of OpenTelemetry', meterProvider)
    }
    const { metrics } = requirePeer<typeof OtelApi>(names.OTEL_API, names.OTEL_SUBPATH)
    this.#given = meter
    this.#provider = meterProvider === undefined ? () => metrics.getMeterProvider() : () => meterProvider
  }

  incrementCounter(name: string, by: number): void {
    this.#write('counter', name, by)
  }

  setGauge(name: string, value: number): void {
    this.#write('gauge', name, value)
  }

  recordHistogram(name: string, value: number): void {
    this.#write('histogram', name, value)
  }

  readonly getCounter = (): undefined => undefined
  readonly getGauge = (): undefined => undefined
  readonly getHistogramStats = (): undefined => undefined

  /** Does nothing. */
  reset(): void {
    // What was exported is not ours to take back.
  }

  snapshot(): MetricsSnapshot {
    return EMPTY
  }

  #write(kind: MetricKind, name: string, value: number): void {
    const provider = this.#provider()
    // Unlike tracers, meters that were given out before an SDK was registered write nowhere for ever.
    if (provider !== this.#known) {
      this.#known = provider
      for (const writes of Object.values(this.#writes)) writes.clear()
    }
    const writes = this.#writes[kind]
    let write = writes.get(name)
    if (write === undefined) {
      write = writeOf(this.#given ?? provider.getMeter(METER), kind, name)
      writes.set(name, write)
    }
    write(value)
  }
}

/** What is to be done with a value under this name. */
function writeOf(meter: Meter, kind: MetricKind, name: string): Write {
  for (const [known, { kind: itsKind, name: exportedName, help, isSeconds, divisor }] of EXPORTED_METRICS) {
    if (itsKind !== kind || !name.startsWith(known)) continue
    if (name === known) return skip
    if (name[known.length] !== '.') continue
    const lane = name.slice(known.length + 1)
    const unit = isSeconds ? 's' : '{command}'
    const full = `${EXPORTED_PREFIX}${exportedName}`
    const write = instrument(meter, kind, full, { description: help, unit, isSeconds })({ lane })
    const convention = CONVENTIONS[known]
    const writeToo = convention && conventional(meter, kind, convention, lane)
    return writeToo === undefined
      ? (value) => write(value / divisor)
      : (value) => {
          write(value / divisor)
          writeToo(value / divisor)
        }
  }
  return instrument(meter, kind, allowedName(name), { isSeconds: false })({})
}

function skip(): void {
  // Its lanes are written one by one.
}

function conventional(meter: Meter, kind: MetricKind, { name, help, operation }: Convention, lane: string): Write {
  const isSeconds = kind === 'histogram'
  return instrument(meter, kind, name, { description: help, unit: isSeconds ? 's' : '{message}', isSeconds })({
    [names.MESSAGING_SYSTEM]: names.LANE_SYSTEM,
    [names.MESSAGING_OPERATION_NAME]: operation,
    [names.MESSAGING_DESTINATION]: lane,
  })
}

/** The SDK gives the same instrument for the same description. */
function instrument(
  meter: Meter,
  kind: MetricKind,
  name: string,
  { isSeconds, ...described }: Description,
): (attributes: Attributes) => Write {
  if (kind === 'counter') {
    const counter = meter.createCounter(name, described)
    return (attributes) => (value) => counter.add(value, attributes)
  }
  if (kind === 'gauge') {
    const gauge = meter.createGauge(name, described)
    return (attributes) => (value) => gauge.record(value, attributes)
  }
  const advice = isSeconds ? { advice: { explicitBucketBoundaries: [...SECONDS_BUCKETS] } } : {}
  const histogram = meter.createHistogram(name, { ...described, ...advice })
  return (attributes) => (value) => histogram.record(value, attributes)
}

function allowedName(name: string): string {
  const allowed = name.replace(NOT_IN_A_NAME, '_')
  return (/^[A-Za-z]/.test(allowed) ? allowed : `metric_${allowed}`).slice(0, MAX_NAME)
}
