/**
 * How commands are traced: the seam between the queue and a tracing library. Each submit and each attempt is told to the
 * tracing, which gives what travels with the command, so that an attempt in another process still knows its submit.
 */
import { configInvalid, LaneError } from './errors.js'
import type { Run } from './run.js'

/** W3C trace context (https://www.w3.org/TR/trace-context/), as it is carried with a command. Plain data. */
export type TraceContext = { readonly traceparent: string; readonly tracestate?: string }

/** A command, as tracing sees it. */
export type TracedCommand = {
  readonly commandId: string
  readonly laneId: string
  readonly commandType: string
}

/** An attempt, as tracing sees it. */
export type TracedAttempt = TracedCommand & {
  /** Number of the attempt, from 1. */
  readonly attempt: number
  /** Failed attempts before it. */
  readonly retries: number
  /** What was carried with the command. */
  readonly context: TraceContext | undefined
}

/** How an attempt ended. */
export type AttemptEnd = 'completed' | 'failed' | 'timed_out' | 'retried' | 'deferred' | 'cancelled' | 'preempted'

/** One attempt under way. */
export interface AttemptSpan {
  /** Calls the handler with the attempt as the active span. */
  run<T>(body: () => T): T
  /** The attempt is over; its error when it has one, and the back-off when it is retried. */
  end(how: AttemptEnd, error: unknown, delayMs: number): void
}

/** A tracing library, as the queue sees it: `OtelTracing` of the `/otel` subpath. */
export interface Tracing {
  /** A command was accepted; `given` is the context that its submitter passed. Gives what is carried with it. */
  submitted(command: TracedCommand, given: TraceContext | undefined): TraceContext | undefined
  /** A submit was refused. */
  refused(command: TracedCommand, error: unknown): void
  /** An attempt begins. */
  started(attempt: TracedAttempt): AttemptSpan | undefined
  /** A monitor has judged the queue's health. */
  checked?(status: string, reasons: readonly string[]): void
}

/** A tracing that may throw anywhere, made safe to call in the middle of a step: a lost span is better than a lost command. */
export function steadyTracing(tracing: Tracing, report: (error: unknown) => void): Tracing {
  const guarded = <T>(call: () => T): T | undefined => {
    try {
      return call()
    } catch (error) {
      report(error)
      return undefined
    }
  }
  return {
    submitted: (command, given) => guarded(() => tracing.submitted(command, given)) ?? given,
    refused: (command, error) => guarded(() => tracing.refused(command, error)),
    started: (attempt) => {
      const span = guarded(() => tracing.started(attempt))
      return span === undefined ? undefined : steadySpan(span, guarded, report)
    },
    checked: (status, reasons) => guarded(() => tracing.checked?.(status, reasons)),
  }
}

function steadySpan(
  span: AttemptSpan,
  guarded: (call: () => void) => void,
  report: (error: unknown) => void,
): AttemptSpan {
  return {
    run: (body) => {
      // The body runs once, and what becomes of it is the attempt's, whatever the span makes of it.
      let outcome: BodyOutcome<ReturnType<typeof body>> | undefined
      const once = (): ReturnType<typeof body> => {
        outcome ??= outcomeOf(body)
        return resultOf(outcome)
      }
      try {
        span.run(once)
      } catch (error) {
        if (outcome === undefined || !('error' in outcome)) report(error)
      }
      return once()
    },
    end: (how, error, delayMs) => guarded(() => span.end(how, error, delayMs)),
  }
}

type BodyOutcome<T> = { readonly value: T } | { readonly error: unknown }

function outcomeOf<T>(body: () => T): BodyOutcome<T> {
  try {
    return { value: body() }
  } catch (error) {
    return { error }
  }
}

function resultOf<T>(outcome: BodyOutcome<T>): T {
  if ('error' in outcome) throw outcome.error
  return outcome.value
}

/** Checks the option `tracing`. */
export function checkedTracing(tracing: Tracing | undefined): Tracing | undefined {
  const isTracing = (['submitted', 'refused', 'started'] as const).every(
    (name) => typeof tracing?.[name] === 'function',
  )
  if (tracing === undefined || isTracing) return tracing
  throw configInvalid('tracing', 'an object with the methods submitted, refused and started', tracing)
}

const TRACEPARENT = /^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}/

export const tracedCommand = ({ id, laneId, commandType }: Run): TracedCommand => ({
  commandId: id,
  laneId,
  commandType,
})

/** Checks a trace context that a user passed. */
export function checkedTrace(option: string, value: unknown): TraceContext {
  const { traceparent, tracestate } = (
    typeof value === 'object' && value !== null ? value : {}
  ) as Partial<TraceContext>
  const isRight = typeof traceparent === 'string' && TRACEPARENT.test(traceparent)
  if (!isRight || (tracestate !== undefined && typeof tracestate !== 'string')) {
    throw new LaneError(
      'CONFIG_INVALID',
      `Configuration error: ${option} must be { traceparent, tracestate? } as W3C Trace Context writes them`,
      { fields: { option } },
    )
  }
  return tracestate === undefined ? { traceparent } : { traceparent, tracestate }
}
