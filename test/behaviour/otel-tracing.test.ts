/** Spans for submits and attempts, from the real SDK through the real exporter to a collector. */
import {
  type FunctionCommand,
  LaneError,
  QueueMonitor,
  RateLimitConfig,
  RetryPolicy,
  snooze,
  type Tracing,
} from '@a3s-lab/lane'
import {
  OtelTracing,
  SPAN_LANE_EXECUTE,
  SPAN_LANE_HEALTH_CHECK,
  SPAN_LANE_RETRY,
  SPAN_LANE_SUBMIT,
} from '@a3s-lab/lane/otel'
import { context, trace } from '@opentelemetry/api'
import { expect, test } from 'vitest'
import { aborted, stopping } from '../support/bodies.js'
import { otelApp } from '../support/otel-app.js'
import type { OtlpCollector } from '../support/otlp-collector.js'
import { errorOf, type Setup, setup } from '../support/setup.js'

const tracer = () => trace.getTracer('application')

/** How the attempts of a command ended, in the order of their ends. */
const outcomes = (collector: OtlpCollector, commandId: string): unknown[] =>
  collector
    .named(SPAN_LANE_EXECUTE)
    .filter(({ attributes }) => attributes['a3s.lane.command_id'] === commandId)
    .map(({ attributes }) => attributes['a3s.lane.outcome'])

test('a submit, its attempt and what its handler does and submits are one trace', async () => {
  await using app = await otelApp()
  await using t = await setup({ outer: {}, inner: {} }, { tracing: new OtelTracing() })
  const outer: FunctionCommand<string> = async ({ queue }) => {
    await t.sleep(10)
    tracer().startSpan('call a model').end()
    return await queue.submit('inner', () => 'done')
  }
  const run = tracer().startActiveSpan('request', (request) => {
    const submitted = t.queue.submit('outer', outer)
    request.end()
    return submitted
  })
  await t.clock.advance(10)
  expect(await run).toBe('done')
  const collector = await app.flush()
  expect(collector.tree()).toEqual([
    'request',
    '  a3s.lane.submit',
    '    a3s.lane.execute',
    '      a3s.lane.submit',
    '        a3s.lane.execute',
    '      call a model',
  ])
  expect(new Set(collector.spans.map(({ traceId }) => traceId)).size).toBe(1)
})

test('spans have the attributes of the reference and of the messaging conventions, and no others', async () => {
  await using app = await otelApp()
  await using t = await setup({ work: {} }, { tracing: new OtelTracing({ name: 'my-service' }) })
  t.queue.handle('greet', () => 'hello')
  const run = t.queue.submit('work', { type: 'greet' }, { id: 'first' })
  await run
  const collector = await app.flush()
  const [submit, execute] = [collector.single(SPAN_LANE_SUBMIT), collector.single(SPAN_LANE_EXECUTE)]
  const command = {
    'a3s.lane.command_id': 'first',
    'a3s.lane.lane_name': 'work',
    'a3s.lane.command_type': 'greet',
    'messaging.system': 'a3s_lane',
    'messaging.destination.name': 'work',
    'messaging.message.id': 'first',
  }
  const inBoth = { scope: 'my-service', traceId: submit.traceId, events: [], message: undefined }
  expect(submit).toEqual({
    ...{ ...inBoth, name: 'a3s.lane.submit', kind: 'producer', status: 'unset', links: [] },
    spanId: submit.spanId,
    parentSpanId: undefined,
    attributes: { ...command, 'messaging.operation.type': 'send', 'messaging.operation.name': 'submit' },
  })
  expect(execute).toEqual({
    ...{ ...inBoth, name: 'a3s.lane.execute', kind: 'consumer', status: 'unset' },
    spanId: execute.spanId,
    parentSpanId: submit.spanId,
    links: [{ traceId: submit.traceId, spanId: submit.spanId }],
    attributes: {
      ...command,
      'messaging.operation.type': 'process',
      'messaging.operation.name': 'execute',
      'a3s.lane.attempt': 1,
      'a3s.lane.retry_attempt': 0,
      'a3s.lane.outcome': 'completed',
      'a3s.lane.success': true,
    },
  })
})

test('each attempt of a command that is retried is a span below its submit, with a retry below it', async () => {
  await using app = await otelApp()
  await using t = await setup({ work: { retry: RetryPolicy.fixed(2, 100) } }, { tracing: new OtelTracing() })
  const run = t.queue.submit('work', ({ attempt }) => {
    if (attempt < 3) throw Object.assign(new TypeError('no answer'), { attempt })
    return 'done'
  })
  await t.clock.advance(200)
  expect(await run).toBe('done')
  const collector = await app.flush()
  expect(collector.tree()).toEqual([
    'a3s.lane.submit',
    '  a3s.lane.execute',
    '    a3s.lane.retry',
    '  a3s.lane.execute',
    '    a3s.lane.retry',
    '  a3s.lane.execute',
  ])
  const attempts = collector.named(SPAN_LANE_EXECUTE)
  expect(attempts.map(({ status, attributes }) => [attributes['a3s.lane.retry_attempt'], status])).toEqual([
    [0, 'error'],
    [1, 'error'],
    [2, 'unset'],
  ])
  const [retry] = collector.named(SPAN_LANE_RETRY)
  expect([retry?.kind, retry?.attributes]).toEqual([
    'internal',
    {
      'a3s.lane.command_id': run.id,
      'a3s.lane.lane_name': 'work',
      'a3s.lane.command_type': 'function',
      'a3s.lane.retry_attempt': 1,
      'a3s.lane.delay_ms': 100,
    },
  ])
})

test.each<[string, unknown, { type: string; message: string | undefined }]>([
  ['an error of a class', new RangeError('too far'), { type: 'RangeError', message: 'too far' }],
  ['an error with a name', Object.assign(new Error('no'), { name: 'NoAnswer' }), { type: 'NoAnswer', message: 'no' }],
  [
    'an error with a code',
    Object.assign(new Error('gone'), { code: 'ECONNRESET' }),
    { type: 'ECONNRESET', message: 'gone' },
  ],
  ['a plain error', new Error('simple'), { type: 'Error', message: 'simple' }],
  ['a text', 'only words', { type: '_OTHER', message: 'only words' }],
  ['nothing', undefined, { type: '_OTHER', message: 'The handler threw something that is no error' }],
])('a failure by %s is the status, the type and a recorded exception of its span', async (_name, thrown, expected) => {
  await using app = await otelApp()
  await using t = await setup({ work: {} }, { tracing: new OtelTracing() })
  const run = t.queue.submit('work', () => Promise.reject(thrown))
  expect((await errorOf(run))['code']).toBe('COMMAND_FAILED')
  const span = (await app.flush()).single(SPAN_LANE_EXECUTE)
  expect([span.status, span.message, span.attributes['error.type']]).toEqual(['error', expected.message, expected.type])
  expect(span.attributes).toMatchObject({ 'a3s.lane.success': false, 'a3s.lane.outcome': 'failed' })
  expect(span.events.map(({ name, attributes }) => [name, attributes['exception.message']])).toEqual([
    ['exception', expected.message],
  ])
})

test('an error that cannot be looked at ends its span nevertheless', async () => {
  await using app = await otelApp()
  await using t = await setup({ work: {} }, { tracing: new OtelTracing() })
  const hostile = new Proxy(new Error('hidden'), {
    get: () => {
      throw new Error('look elsewhere')
    },
  })
  const run = t.queue.submit('work', () => Promise.reject(hostile))
  expect(await errorOf(run)).toBeInstanceOf(LaneError)
  expect((await app.flush()).single(SPAN_LANE_EXECUTE).status).toBe('error')
})

test('a timeout is an error with the code of the timeout', async () => {
  await using app = await otelApp()
  await using t = await setup({ work: { timeoutMs: 50 } }, { tracing: new OtelTracing() })
  const run = t.queue.submit('work', stopping(t, 'slow', 100))
  await t.clock.advance(50)
  expect((await errorOf(run))['code']).toBe('COMMAND_TIMEOUT')
  const span = (await app.flush()).single(SPAN_LANE_EXECUTE)
  expect([span.status, span.attributes['error.type'], span.attributes['a3s.lane.outcome']]).toEqual([
    'error',
    'COMMAND_TIMEOUT',
    'timed_out',
  ])
})

test('a cancelled attempt is no error and no success', async () => {
  await using app = await otelApp()
  await using t = await setup({ work: {} }, { tracing: new OtelTracing() })
  const run = t.queue.submit('work', stopping(t, 'long', 100))
  await t.clock.settle()
  run.cancel('not needed')
  expect((await errorOf(run))['code']).toBe('COMMAND_CANCELLED')
  const { status, attributes, events } = (await app.flush()).single(SPAN_LANE_EXECUTE)
  expect([status, events, attributes['a3s.lane.outcome']]).toEqual(['unset', [], 'cancelled'])
  expect(attributes).not.toHaveProperty('a3s.lane.success')
})

test('a preempted command has a span for each time it ran, with the same attempt', async () => {
  await using app = await otelApp()
  const control = { priority: 0, preempts: true, minConcurrency: 0 }
  const work = { priority: 5, preemptible: true, minConcurrency: 0 }
  await using t = await setup({ control, work }, { maxConcurrency: 1, tracing: new OtelTracing() })
  const low = t.queue.submit('work', stopping(t, 'low', 100))
  await t.clock.advance(10)
  await t.queue.submit('control', () => 'high')
  await t.clock.advance(100)
  expect(await low).toBe('low')
  const collector = await app.flush()
  expect(outcomes(collector, low.id)).toEqual(['preempted', 'completed'])
  const spans = collector
    .named(SPAN_LANE_EXECUTE)
    .filter(({ attributes }) => attributes['a3s.lane.lane_name'] === 'work')
  expect(spans.map(({ attributes }) => attributes['a3s.lane.attempt'])).toEqual([1, 1])
  expect(spans.map(({ status }) => status)).toEqual(['unset', 'unset'])
  expect(new Set(spans.map(({ parentSpanId }) => parentSpanId)).size).toBe(1)
})

test('a command that its handler puts off has a span that says for how long', async () => {
  await using app = await otelApp()
  await using t = await setup({ work: {} }, { tracing: new OtelTracing() })
  let calls = 0
  const run = t.queue.submit('work', () => (calls++ === 0 ? snooze(500) : 'done'))
  await t.clock.advance(500)
  expect(await run).toBe('done')
  const collector = await app.flush()
  expect(outcomes(collector, run.id)).toEqual(['deferred', 'completed'])
  const [deferred] = collector.named(SPAN_LANE_EXECUTE)
  expect([deferred?.status, deferred?.attributes['a3s.lane.delay_ms']]).toEqual(['unset', 500])
})

test('a refused submit is a span that failed, with the code', async () => {
  await using app = await otelApp()
  await using t = await setup({ work: { capacity: 1 } }, { tracing: new OtelTracing() })
  expect((await errorOf(t.queue.submit('nowhere' as 'work', () => 1)))['code']).toBe('LANE_NOT_FOUND')
  const { status, kind, attributes } = (await app.flush()).single(SPAN_LANE_SUBMIT)
  expect([status, kind, attributes['error.type'], attributes['a3s.lane.outcome']]).toEqual([
    'error',
    'producer',
    'LANE_NOT_FOUND',
    'rejected',
  ])
})

test('a command that waits long belongs to the trace of its submit and not to whatever made room', async () => {
  await using app = await otelApp()
  const rateLimit = RateLimitConfig.perSecond(1)
  await using t = await setup({ work: { rateLimit } }, { tracing: new OtelTracing() })
  const first = t.queue.submit('work', () => 1)
  const second = t.queue.submit('work', () => trace.getActiveSpan()?.spanContext().traceId)
  await t.clock.advance(1000)
  await first
  const traceId = await second
  const collector = await app.flush()
  expect(collector.single(SPAN_LANE_SUBMIT, second.id).traceId).toBe(traceId)
  expect(collector.single(SPAN_LANE_SUBMIT, first.id).traceId).not.toBe(traceId)
})

test('each check of a monitor is a span with its status and reasons', async () => {
  await using app = await otelApp()
  await using t = await setup({ work: {} }, { tracing: new OtelTracing(), start: false })
  const monitor = new QueueMonitor(t.queue, { intervalMs: 1000 })
  monitor.start()
  await t.queue.start()
  await t.clock.advance(1000)
  monitor.stop()
  const spans = (await app.flush()).named(SPAN_LANE_HEALTH_CHECK)
  expect(spans.map(({ attributes }) => attributes)).toEqual([
    { 'a3s.lane.health_status': 'degraded', 'a3s.lane.health_reasons': ['not_started'], 'a3s.lane.success': false },
    { 'a3s.lane.health_status': 'healthy', 'a3s.lane.health_reasons': [], 'a3s.lane.success': true },
  ])
  expect(spans.map(({ kind }) => kind)).toEqual(['internal', 'internal'])
})

test('an SDK that is registered after the queue was made gets the spans', async () => {
  await using t = await setup({ work: {} }, { tracing: new OtelTracing() })
  await t.queue.submit('work', () => 'before')
  await using app = await otelApp()
  const run = t.queue.submit('work', () => 'after')
  await run
  const { spans } = await app.flush()
  expect(spans.map(({ attributes }) => attributes['a3s.lane.command_id'])).toEqual([run.id, run.id])
})

/** One of each: what is retried, times out, is cancelled and succeeds. */
async function everything(t: Setup<'work'>): Promise<unknown[]> {
  const runs = [
    t.queue.submit('work', ({ queue }) => queue.submit('work', () => 'child')),
    t.queue.submit('work', () => Promise.reject(new Error('no'))),
    t.queue.submit('work', stopping(t, 'slow', 100), { timeoutMs: 10 }),
    t.queue.submit('work', ({ attempt }) => (attempt === 1 ? Promise.reject(new Error('once')) : 'twice'), {
      retry: RetryPolicy.fixed(1, 10),
    }),
    t.queue.submit('work', aborted),
  ]
  await t.clock.settle()
  runs[4]?.cancel('enough')
  await t.clock.advance(20)
  return (await Promise.allSettled(runs)).map((settled) =>
    settled.status === 'fulfilled' ? settled.value : (settled.reason as LaneError).code,
  )
}
const everyEnd = ['child', 'COMMAND_FAILED', 'COMMAND_TIMEOUT', 'twice', 'COMMAND_CANCELLED']

test('without an SDK everything goes on, and no trace is made up', async () => {
  await using t = await setup({ work: {} }, { tracing: new OtelTracing() })
  expect(await everything(t)).toEqual(everyEnd)
  const run = t.queue.submit('work', ({ traceContext }) => traceContext)
  expect([await run, t.faults]).toEqual([undefined, []])
})

test('a span processor that throws harms no command, and is told as a fault', async () => {
  await using app = await otelApp()
  const { BasicTracerProvider } = await import('@opentelemetry/sdk-trace-base')
  for (const at of ['onStart', 'onEnd'] as const) {
    const refuse = (): never => {
      throw new Error(`${at} is broken`)
    }
    const processor = { onStart() {}, onEnd() {}, [at]: refuse, forceFlush: async () => {}, shutdown: async () => {} }
    const tracerProvider = new BasicTracerProvider({ spanProcessors: [processor] })
    await using t = await setup({ work: {} }, { tracing: new OtelTracing({ tracerProvider }) })
    expect(await everything(t)).toEqual(everyEnd)
    expect(new Set(t.faults.map(String))).toEqual(new Set([`Error: ${at} is broken`]))
  }
  expect((await app.flush()).spans).toEqual([])
})

test('a handler that throws at once, and one that gives a value at once, are seen as such', async () => {
  await using app = await otelApp()
  await using t = await setup({ work: {} }, { tracing: new OtelTracing() })
  const inside = t.queue.submit('work', () => trace.getSpan(context.active())?.spanContext().spanId)
  const spanId = await inside
  const failing = t.queue.submit('work', () => {
    throw new Error('at once')
  })
  await errorOf(failing)
  const collector = await app.flush()
  expect(collector.single(SPAN_LANE_EXECUTE, inside.id).spanId).toBe(spanId)
  expect(collector.single(SPAN_LANE_EXECUTE, failing.id).message).toBe('at once')
})

test.each([
  [{ tracer: {} }, 'OtelTracing tracer'],
  [{ tracerProvider: {} }, 'OtelTracing tracerProvider'],
  [{ name: '' }, 'OtelTracing name'],
  [{ traser: {} }, "did you mean 'tracer'?"],
])('OtelTracing refuses %o', (options, text) => {
  expect((): Tracing => new OtelTracing(options as object)).toThrow(text)
})
