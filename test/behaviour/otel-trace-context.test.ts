/** The trace context that is carried with a command: read strictly, written as W3C Trace Context says, across processes. */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import type { TraceContext } from '@a3s-lab/lane'
import { OtelTracing, SPAN_LANE_EXECUTE, SPAN_LANE_SUBMIT } from '@a3s-lab/lane/otel'
import { AlwaysOffSampler, AlwaysOnSampler, ParentBasedSampler } from '@opentelemetry/sdk-trace-base'
import { expect, test } from 'vitest'
import { root } from '../../scripts/entry-points.mjs'
import { bundle, outputOf } from '../support/bundled.js'
import { otelApp } from '../support/otel-app.js'
import { setup } from '../support/setup.js'

const TRACE = '0af7651916cd43dd8448eb211c80319c'
const SPAN = 'b7ad6b7169203331'
const NOBODY = '0'.repeat(16)
const command = { commandId: '1', laneId: 'work', commandType: 'function' }

test.each([
  [`00-${TRACE}-${SPAN}-01`, 'what is sampled'],
  [`00-${TRACE}-${SPAN}-03`, 'a random trace id, of level 2'],
  [`cc-${TRACE}-${SPAN}-01`, 'a later version'],
  [`cc-${TRACE}-${SPAN}-01-what the future says`, 'a later version that says more'],
])('%s is followed: %s', async (traceparent) => {
  await using app = await otelApp()
  const carried = new OtelTracing().submitted(command, { traceparent })
  const { traceId, parentSpanId, spanId } = (await app.flush()).single(SPAN_LANE_SUBMIT)
  expect([traceId, parentSpanId]).toEqual([TRACE, SPAN])
  expect(carried?.traceparent).toBe(`00-${TRACE}-${spanId}-01`)
})

test.each([
  [`ff-${TRACE}-${SPAN}-01`, 'the forbidden version'],
  [`00-${TRACE}-${SPAN}-01-more`, 'more than version 00 has'],
  [`00-${TRACE}-${SPAN}-01-`, 'a dangling hyphen'],
  [`cc-${TRACE}-${SPAN}-01more`, 'a later version that does not go on with a hyphen'],
  [`00-${'0'.repeat(32)}-${SPAN}-01`, 'no trace'],
  [`00-${TRACE}-${NOBODY}-01`, 'no span'],
  [`00-${TRACE.toUpperCase()}-${SPAN}-01`, 'upper case'],
  [`00-${TRACE.slice(1)}-${SPAN}-01`, 'too short an id'],
  [`00-${TRACE}-${SPAN}-1`, 'too short flags'],
  [` 00-${TRACE}-${SPAN}-01`, 'a space before it'],
  [`00-${TRACE}-${SPAN}-0x`, 'flags that are no number'],
  ['', 'nothing'],
])('%s begins a new trace: %s', async (traceparent) => {
  await using app = await otelApp()
  new OtelTracing().submitted(command, { traceparent, tracestate: 'vendor=1' })
  const { traceId, parentSpanId } = (await app.flush()).single(SPAN_LANE_SUBMIT)
  expect(parentSpanId).toBeUndefined()
  expect(traceId).not.toBe(TRACE)
})

test('the trace state of other vendors goes with the command', async () => {
  await using app = await otelApp()
  await using t = await setup({ work: {} }, { tracing: new OtelTracing() })
  const traceContext = { traceparent: `00-${TRACE}-${SPAN}-01`, tracestate: 'congo=t61rcWkgMzE,rojo=00f067aa0ba902b7' }
  const seen = await t.queue.submit('work', (ctx) => ctx.traceContext, { traceContext })
  const { spanId } = (await app.flush()).single(SPAN_LANE_SUBMIT)
  expect(seen).toEqual({ traceparent: `00-${TRACE}-${spanId}-01`, tracestate: traceContext.tracestate })
})

test('what is not sampled is carried as such, and exports nothing', async () => {
  const sampler = new ParentBasedSampler({ root: new AlwaysOffSampler(), remoteParentSampled: new AlwaysOnSampler() })
  await using app = await otelApp({ sampler })
  await using t = await setup({ outer: {}, inner: {} }, { tracing: new OtelTracing() })
  const carried: (TraceContext | undefined)[] = []
  await t.queue.submit('outer', async ({ queue, traceContext }) => {
    carried.push(traceContext)
    await queue.submit('inner', (ctx) => carried.push(ctx.traceContext))
  })
  const [outer, inner] = carried.map((context) => context?.traceparent.split('-'))
  expect([outer?.[3], inner?.[3]]).toEqual(['00', '00'])
  expect(outer?.[1]).toBe(inner?.[1])
  expect((await app.flush()).spans).toEqual([])
})

test('without an SDK a context that the submitter passed is carried unchanged', async () => {
  await using t = await setup({ work: {} }, { tracing: new OtelTracing() })
  const traceContext = { traceparent: `00-${TRACE}-${SPAN}-01` }
  const run = t.queue.submit('work', (ctx) => ctx.traceContext, { traceContext })
  expect(await run).toEqual(traceContext)
})

test('two processes share a trace by what the record of a command says', async () => {
  mkdirSync(`${root}/build`, { recursive: true })
  const folder = mkdtempSync(`${root}/build/traced-`)
  await using app = await otelApp()
  await using t = await setup({ work: {} }, { tracing: new OtelTracing(), start: false })
  try {
    await bundle(new URL('../support/traced-worker.ts', import.meta.url), `${folder}/worker.mjs`)
    const run = t.queue.submit('work', { type: 'double', payload: 21 })
    const record = JSON.stringify(await t.queue.get(run.id))
    run.catch(() => 'it is done there')
    const printed = await outputOf(`${folder}/worker.mjs`, app.collector.tracesUrl, record)
    const there = JSON.parse(printed) as { pid: number; result: number }
    expect(there.pid).not.toBe(process.pid)
    expect(there.result).toBe(42)
    const collector = await app.flush()
    expect(collector.tree()).toEqual([
      'a3s.lane.submit',
      '  a3s.lane.submit',
      '    a3s.lane.execute',
      '      double 21',
    ])
    expect(collector.single(SPAN_LANE_EXECUTE).traceId).toBe(collector.single(SPAN_LANE_SUBMIT, run.id).traceId)
    expect(new Set(collector.spans.map(({ traceId }) => traceId)).size).toBe(1)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}, 20_000)
