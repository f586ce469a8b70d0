/**
 * W3C Trace Context (https://www.w3.org/TR/trace-context/), read and written here: what is carried with a command must not
 * depend on which propagator an application has registered, for another one may read it.
 */
import type { SpanContext, TraceState } from '@opentelemetry/api'
import type { TraceContext } from '../../core/index.js'

const VERSION = '00'
const FORBIDDEN_VERSION = 'ff'
const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/
const ALL_ZERO = /^0+$/
/** Sampled, and (from level 2 on) random trace id. What a later version says in other bits is not known. */
const KNOWN_FLAGS = 0b11

/** The span that a trace context names; undefined for one that is no valid trace context. */
export function readTraceContext(
  { traceparent, tracestate }: TraceContext,
  readState: (text: string) => TraceState,
): SpanContext | undefined {
  const parts = TRACEPARENT.exec(traceparent)
  if (parts === null) return undefined
  const [, version, traceId, spanId, flags, rest] = parts as unknown as [
    string,
    string,
    string,
    string,
    string,
    string?,
  ]
  // Later versions may say more after what is known, ours may not.
  if (version === FORBIDDEN_VERSION || (version === VERSION && rest !== undefined)) return undefined
  if (ALL_ZERO.test(traceId) || ALL_ZERO.test(spanId)) return undefined
  const context = { traceId, spanId, traceFlags: Number.parseInt(flags, 16) & KNOWN_FLAGS, isRemote: true }
  return tracestate === undefined || tracestate === '' ? context : { ...context, traceState: readState(tracestate) }
}

/** A span, as it is carried. */
export function writeTraceContext({ traceId, spanId, traceFlags, traceState }: SpanContext): TraceContext {
  const flags = (traceFlags & KNOWN_FLAGS).toString(16).padStart(2, '0')
  const traceparent = `${VERSION}-${traceId}-${spanId}-${flags}`
  const tracestate = traceState?.serialize() ?? ''
  return tracestate === '' ? { traceparent } : { traceparent, tracestate }
}
