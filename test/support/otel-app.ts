/** An application with the real SDK of OpenTelemetry, registered globally, and a collector that gets what it exports. */
import { context, metrics, trace } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { OTLPMetricExporter } from '@opentelemetry/exporter-metrics-otlp-http'
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http'
import { MeterProvider, PeriodicExportingMetricReader } from '@opentelemetry/sdk-metrics'
import { BasicTracerProvider, BatchSpanProcessor, type Sampler } from '@opentelemetry/sdk-trace-base'
import { type OtlpCollector, otlpCollector } from './otlp-collector.js'

/** Nobody waits for it: exports are asked for. */
const NEVER_MS = 2 ** 31 - 1

/** Only one at a time: what is registered is the process's. Dispose of it with `await using`. */
export async function otelApp(options: { readonly sampler?: Sampler } = {}): Promise<OtelApp> {
  return new OtelApp(await otlpCollector(), options)
}

export class OtelApp implements AsyncDisposable {
  readonly collector: OtlpCollector
  readonly tracerProvider: BasicTracerProvider
  readonly meterProvider: MeterProvider

  constructor(collector: OtlpCollector, options: { readonly sampler?: Sampler }) {
    this.collector = collector
    const traces = new OTLPTraceExporter({ url: collector.tracesUrl })
    this.tracerProvider = new BasicTracerProvider({ ...options, spanProcessors: [new BatchSpanProcessor(traces)] })
    const exporter = new OTLPMetricExporter({ url: collector.metricsUrl })
    const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: NEVER_MS })
    this.meterProvider = new MeterProvider({ readers: [reader] })
    trace.setGlobalTracerProvider(this.tracerProvider)
    metrics.setGlobalMeterProvider(this.meterProvider)
    context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
  }

  /** Exports what there is: afterwards the collector has it. */
  async flush(): Promise<OtlpCollector> {
    await Promise.all([this.tracerProvider.forceFlush(), this.meterProvider.forceFlush()])
    return this.collector
  }

  async [Symbol.asyncDispose](): Promise<void> {
    trace.disable()
    metrics.disable()
    context.disable()
    await Promise.all([this.tracerProvider.shutdown(), this.meterProvider.shutdown()])
    await this.collector[Symbol.asyncDispose]()
  }
}
