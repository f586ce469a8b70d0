/**
 * Spans for submits and attempts, with OpenTelemetry. Only its API is used: which SDK collects the spans, and whether one
 * does, is the application's choice, also after the queue was made.
 *
 * ```text
 * (active span, or the trace that the submitter passed)
 *   └─ a3s.lane.submit                 ended when the command is accepted or refused
 *        ├─ a3s.lane.execute           one per attempt, linked to the submit; the handler runs inside
 *        │    ├─ a3s.lane.submit …     what the handler submits
 *        │    └─ a3s.lane.retry        when the attempt failed and another follows
 *        └─ a3s.lane.execute
 * ```
 */
import type * as OtelApi from '@opentelemetry/api'
import type { Context, Span, SpanContext, Tracer, TracerProvider } from '@opentelemetry/api'
import {
  type AttemptEnd,
  type AttemptSpan,
  checkObject,
  checkText,
  configInvalid,
  refuseUnknown,
  type TraceContext,
  type TracedAttempt,
  type TracedCommand,
  type Tracing,
} from '../../core/index.js'
import { requirePeer } from '../../peer/index.js'
import { executeAttributes, retryAttributes, submitAttributes } from './attributes.js'
import { describeFailure } from './failure.js'
import * as names from './names.js'
import { readTraceContext, writeTraceContext } from './trace-context.js'

/** Where the spans come from: by default, from whatever the application has registered globally. */
export type OtelTracingOptions = {
  /** Makes the spans. Default: one of the provider. */
  readonly tracer?: Tracer | undefined
  /** Gives the tracer. Default: the global one, now or when it is registered. */
  readonly tracerProvider?: TracerProvider | undefined
  /** The name under which the tracer is asked for, the instrumentation scope of the spans. Default `@a3s-lab/lane`. */
  readonly name?: string | undefined
}

const DEFAULT_NAME = '@a3s-lab/lane'
const FAILED: readonly AttemptEnd[] = ['failed', 'timed_out', 'retried']

/** Tracing of one or more queues: give it as the option `tracing`. Needs the package `@opentelemetry/api`. */
export class OtelTracing implements Tracing {
  readonly #api: typeof OtelApi
  readonly #tracer: Tracer

  /** `CONFIG_INVALID` names the option that is wrong, or the package that is missing. */
  constructor(options: OtelTracingOptions = {}) {
    checkObject('OtelTracing options', options)
    refuseUnknown('OtelTracing', options, ['tracer', 'tracerProvider', 'name'])
    const { tracer, tracerProvider, name = DEFAULT_NAME } = options
    checkText('OtelTracing name', name)
    if (tracer !== undefined && typeof tracer.startSpan !== 'function') {
      throw configInvalid('OtelTracing tracer', 'a Tracer of OpenTelemetry', tracer)
    }
    if (tracerProvider !== undefined && typeof tracerProvider.getTracer !== 'function') {
      throw configInvalid('OtelTracing tracerProvider', 'a TracerProvider of OpenTelemetry', tracerProvider)
    }
    this.#api = requirePeer<typeof OtelApi>(names.OTEL_API, names.OTEL_SUBPATH)
    this.#tracer = tracer ?? (tracerProvider ?? this.#api.trace).getTracer(name)
  }

  submitted(command: TracedCommand, given: TraceContext | undefined): TraceContext | undefined {
    const parent = given === undefined ? this.#api.context.active() : this.#parentOf(given).context
    const span = this.#startSubmit(command, parent)
    span.end()
    const spanContext = span.spanContext()
    return this.#api.isSpanContextValid(spanContext) ? writeTraceContext(spanContext) : given
  }

  refused(command: TracedCommand, error: unknown): void {
    const span = this.#startSubmit(command, this.#api.context.active())
    span.setAttribute(names.ATTR_OUTCOME, 'rejected')
    this.#fail(span, error)
  }

  started(attempt: TracedAttempt): AttemptSpan | undefined {
    const { context, spanContext } = this.#parentOf(attempt.context)
    const links = spanContext === undefined ? [] : [{ context: spanContext }]
    const options = { kind: this.#api.SpanKind.CONSUMER, attributes: executeAttributes(attempt), links }
    const span = this.#tracer.startSpan(names.SPAN_LANE_EXECUTE, options, context)
    // Nobody collects spans, and there is no trace to be in.
    if (!this.#api.isSpanContextValid(span.spanContext())) return undefined
    const inside = this.#api.trace.setSpan(context, span)
    return {
      run: (body) => this.#api.context.with(inside, body),
      end: (how, error, delayMs) => this.#endAttempt({ span, inside, attempt }, how, error, delayMs),
    }
  }

  checked(status: string, reasons: readonly string[]): void {
    const attributes = {
      [names.ATTR_HEALTH_STATUS]: status,
      [names.ATTR_HEALTH_REASONS]: [...reasons],
      [names.ATTR_SUCCESS]: status === 'healthy',
    }
    const options = { kind: this.#api.SpanKind.INTERNAL, attributes }
    this.#tracer.startSpan(names.SPAN_LANE_HEALTH_CHECK, options, this.#api.ROOT_CONTEXT).end()
  }

  #startSubmit(command: TracedCommand, parent: Context): Span {
    const options = { kind: this.#api.SpanKind.PRODUCER, attributes: submitAttributes(command) }
    return this.#tracer.startSpan(names.SPAN_LANE_SUBMIT, options, parent)
  }

  /** A context with nothing in it but what was carried; nothing at all when that is no trace context. */
  #parentOf(carried: TraceContext | undefined): { readonly context: Context; readonly spanContext?: SpanContext } {
    const { ROOT_CONTEXT, trace, createTraceState } = this.#api
    const spanContext = carried === undefined ? undefined : readTraceContext(carried, createTraceState)
    if (spanContext === undefined) return { context: ROOT_CONTEXT }
    return { context: trace.setSpanContext(ROOT_CONTEXT, spanContext), spanContext }
  }

  #endAttempt({ span, inside, attempt }: Attempt, how: AttemptEnd, error: unknown, delayMs: number): void {
    span.setAttribute(names.ATTR_OUTCOME, how)
    if (how === 'retried') this.#retry(attempt, inside, delayMs)
    if (how === 'deferred') span.setAttribute(names.ATTR_DELAY, delayMs)
    if (FAILED.includes(how)) return this.#fail(span, error)
    if (how === 'completed') span.setAttribute(names.ATTR_SUCCESS, true)
    span.end()
  }

  #retry(attempt: TracedAttempt, parent: Context, delayMs: number): void {
    const options = { kind: this.#api.SpanKind.INTERNAL, attributes: retryAttributes(attempt, delayMs) }
    this.#tracer.startSpan(names.SPAN_LANE_RETRY, options, parent).end()
  }

  /** Ends the span, whatever the error does when it is looked at. */
  #fail(span: Span, error: unknown): void {
    span.setAttribute(names.ATTR_SUCCESS, false)
    try {
      const { attributes, message, exception } = describeFailure(error)
      span.setAttributes(attributes)
      span.recordException(exception)
      span.setStatus({ code: this.#api.SpanStatusCode.ERROR, message })
    } catch (fault) {
      span.setStatus({ code: this.#api.SpanStatusCode.ERROR })
      throw fault
    } finally {
      span.end()
    }
  }
}

type Attempt = { readonly span: Span; readonly inside: Context; readonly attempt: TracedAttempt }
