/**
 * A collector of OpenTelemetry data on a free port of this machine: takes what the OTLP/HTTP exporters send, as JSON, and
 * keeps it in a form in which a test can compare it. What it does not understand fails the request, and the test.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { gunzipSync } from 'node:zlib'

type Value = string | number | boolean | readonly Value[]
type Attributes = Readonly<Record<string, Value>>

export type CollectedSpan = {
  readonly name: string
  /** The scope under which it was made. */
  readonly scope: string
  readonly kind: 'internal' | 'server' | 'client' | 'producer' | 'consumer'
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId: string | undefined
  readonly attributes: Attributes
  readonly status: 'unset' | 'ok' | 'error'
  readonly message: string | undefined
  readonly links: readonly { readonly traceId: string; readonly spanId: string }[]
  /** Names and attributes of the span's events. */
  readonly events: readonly { readonly name: string; readonly attributes: Attributes }[]
}

export type CollectedPoint = {
  readonly name: string
  readonly meter: string
  readonly kind: 'sum' | 'gauge' | 'histogram'
  readonly unit: string
  readonly description: string
  readonly attributes: Attributes
  /** Of a sum or gauge. */
  readonly value?: number
  /** Of a histogram. */
  readonly count?: number
  readonly sum?: number
  readonly bounds?: readonly number[]
  readonly bucketCounts?: readonly number[]
}

const KINDS = [undefined, 'internal', 'server', 'client', 'producer', 'consumer'] as const
const STATUSES = ['unset', 'ok', 'error'] as const

// OTLP as JSON (https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding), as far as it is read here.
type AnyValue = {
  readonly stringValue?: string
  readonly boolValue?: boolean
  readonly intValue?: number | string
  readonly doubleValue?: number
  readonly arrayValue?: { readonly values: readonly AnyValue[] }
}
type KeyValues = readonly { readonly key: string; readonly value: AnyValue }[]
type OtlpSpan = {
  readonly name: string
  readonly kind: number
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId?: string
  readonly attributes?: KeyValues
  readonly status?: { readonly code?: number; readonly message?: string }
  readonly links?: readonly { readonly traceId: string; readonly spanId: string }[]
  readonly events?: readonly { readonly name: string; readonly attributes?: KeyValues }[]
}
type OtlpPoint = {
  readonly attributes?: KeyValues
  readonly asInt?: number | string
  readonly asDouble?: number
  readonly count?: number | string
  readonly sum?: number
  readonly explicitBounds?: readonly number[]
  readonly bucketCounts?: readonly (number | string)[]
}
type OtlpMetric = { readonly name: string; readonly unit?: string; readonly description?: string } & Readonly<
  Partial<Record<'sum' | 'gauge' | 'histogram', { readonly dataPoints: readonly OtlpPoint[] }>>
>
type Scope = { readonly scope: { readonly name: string } }
type TracesRequest = {
  readonly resourceSpans: readonly {
    readonly scopeSpans: readonly (Scope & { readonly spans: readonly OtlpSpan[] })[]
  }[]
}
type MetricsRequest = {
  readonly resourceMetrics: readonly {
    readonly scopeMetrics: readonly (Scope & { readonly metrics: readonly OtlpMetric[] })[]
  }[]
}

/** Starts a collector; dispose of it with `await using`. */
export async function otlpCollector(): Promise<OtlpCollector> {
  const collector = new OtlpCollector()
  await collector.listen()
  return collector
}

export class OtlpCollector implements AsyncDisposable {
  /** Spans in the order in which they came: of one scope, those first that ended first. */
  readonly spans: CollectedSpan[] = []
  /** The points of the newest export. */
  points: CollectedPoint[] = []
  readonly #server: Server
  #url = ''

  constructor() {
    this.#server = createServer((request, response) => void this.#answer(request, response))
  }

  async listen(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve))
    this.#url = `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  get tracesUrl(): string {
    return `${this.#url}/v1/traces`
  }

  get metricsUrl(): string {
    return `${this.#url}/v1/metrics`
  }

  /** The spans with this name. */
  named(name: string): CollectedSpan[] {
    return this.spans.filter((span) => span.name === name)
  }

  /** The only span with this name, about this command when one is named. */
  single(name: string, commandId?: string): CollectedSpan {
    const found = this.named(name).filter(
      ({ attributes }) => commandId === undefined || attributes['a3s.lane.command_id'] === commandId,
    )
    if (found.length !== 1) throw new Error(`${found.length} spans are called ${name}`)
    return found[0] as CollectedSpan
  }

  /** The names of the spans as a tree: children under their parent by name, those of one name in the order of their ends. */
  tree(): string[] {
    const known = new Set(this.spans.map(({ spanId }) => spanId))
    const byName = [...this.spans].sort((a, b) => a.name.localeCompare(b.name))
    const below = (parent: string | undefined, depth: number): string[] =>
      byName
        .filter(({ parentSpanId }) =>
          parent === undefined ? parentSpanId === undefined || !known.has(parentSpanId) : parentSpanId === parent,
        )
        .flatMap(({ name, spanId }) => [`${'  '.repeat(depth)}${name}`, ...below(spanId, depth + 1)])
    return below(undefined, 0)
  }

  /** The newest points of a metric. */
  pointsOf(name: string): CollectedPoint[] {
    return this.points.filter((point) => point.name === name)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const received: unknown = JSON.parse(await bodyOf(request))
      if (request.url === '/v1/traces') this.spans.push(...spansOf(received as TracesRequest))
      else if (request.url === '/v1/metrics') this.points = pointsOf(received as MetricsRequest)
      else throw new Error(`nothing is collected at ${request.url}`)
      response.writeHead(200, { 'content-type': 'application/json' }).end('{}')
    } catch (error) {
      response.writeHead(400).end(String(error))
    }
  }
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  if (request.headers['content-type'] !== 'application/json') throw new Error('only JSON is understood')
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  const sent = Buffer.concat(chunks)
  return (request.headers['content-encoding'] === 'gzip' ? gunzipSync(sent) : sent).toString('utf8')
}

const spansOf = ({ resourceSpans }: TracesRequest): CollectedSpan[] =>
  resourceSpans
    .flatMap(({ scopeSpans }) => scopeSpans)
    .flatMap(({ scope, spans }) => spans.map((span) => collectedSpan(scope.name, span)))

function collectedSpan(scope: string, span: OtlpSpan): CollectedSpan {
  const kind = KINDS[span.kind]
  const status = STATUSES[span.status?.code ?? 0]
  if (kind === undefined || status === undefined) throw new Error('a span has an unknown kind or status')
  return {
    name: span.name,
    scope,
    kind,
    traceId: span.traceId,
    spanId: span.spanId,
    parentSpanId: span.parentSpanId === '' ? undefined : span.parentSpanId,
    attributes: attributesOf(span.attributes),
    status,
    message: span.status?.message,
    links: (span.links ?? []).map(({ traceId, spanId }) => ({ traceId, spanId })),
    events: (span.events ?? []).map(({ name, attributes }) => ({ name, attributes: attributesOf(attributes) })),
  }
}

const pointsOf = ({ resourceMetrics }: MetricsRequest): CollectedPoint[] =>
  resourceMetrics
    .flatMap(({ scopeMetrics }) => scopeMetrics)
    .flatMap(({ scope, metrics }) => metrics.flatMap((metric) => collectedPoints(scope.name, metric)))

function collectedPoints(meter: string, metric: OtlpMetric): CollectedPoint[] {
  const kind = (['sum', 'gauge', 'histogram'] as const).find((known) => metric[known] !== undefined)
  if (kind === undefined) throw new Error(`${metric.name} is of an unknown kind`)
  const { name, unit = '', description = '' } = metric
  return (metric[kind]?.dataPoints ?? []).map((point) => ({
    ...{ name, meter, kind, unit, description, attributes: attributesOf(point.attributes) },
    ...(kind === 'histogram' ? histogramOf(point) : { value: Number(point.asDouble ?? point.asInt) }),
  }))
}

const histogramOf = ({ count, sum, explicitBounds, bucketCounts }: OtlpPoint): Partial<CollectedPoint> => ({
  count: Number(count),
  sum: Number(sum),
  bounds: explicitBounds ?? [],
  bucketCounts: (bucketCounts ?? []).map(Number),
})

const attributesOf = (attributes: KeyValues = []): Attributes =>
  Object.fromEntries(attributes.map(({ key, value }) => [key, plainValue(value)]))

function plainValue(value: AnyValue): Value {
  if (value.arrayValue !== undefined) return value.arrayValue.values.map(plainValue)
  const { stringValue, boolValue, intValue, doubleValue } = value
  const plain = stringValue ?? boolValue ?? doubleValue ?? (intValue === undefined ? undefined : Number(intValue))
  if (plain === undefined) throw new Error(`an attribute has an unknown value: ${JSON.stringify(value)}`)
  return plain
}
