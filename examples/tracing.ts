/** Tracing: a command is submitted here and does its work in another process, and all of it is one trace. */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { QueueManager, RetryPolicy, type TraceContext } from '@a3s-lab/lane'
import { OtelTracing } from '@a3s-lab/lane/otel'
import { context, trace } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base'

type Told = { process: string; name: string; traceId: string; id: string; parent: string | undefined }
type Work = { page: number; traceContext: TraceContext | undefined }
// What an application does once; its exporter sends the spans to a collector instead of keeping them.
const exporter = new InMemorySpanExporter()
trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }))
context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())

const work = { priority: 0, retry: RetryPolicy.fixed(1, 10) }
const queue = new QueueManager({ lanes: { work }, tracing: new OtelTracing() })
await queue.start()
const name = process.send === undefined ? 'here' : 'there'
const told = (): Told[] =>
  exporter.getFinishedSpans().map((span) => {
    const { traceId, spanId: id } = span.spanContext()
    return { process: name, name: span.name, traceId, id, parent: span.parentSpanContext?.spanId }
  })

/** The other process: runs what it is sent, in the trace that came with it. */
async function serve({ page, traceContext }: Work): Promise<void> {
  const render = ({ attempt }: { attempt: number }): string => {
    if (attempt === 1) throw new Error('the printer is warming up')
    trace.getTracer('printer').startSpan('print').end()
    return `page ${page}`
  }
  process.send?.({ printed: await queue.submit('work', render, { traceContext }), spans: told() })
  process.disconnect()
}

function printTree(spans: readonly Told[], parent?: string, indent = ''): void {
  for (const span of spans.filter((one) => one.parent === parent)) {
    console.log(`${indent}${span.name} (${span.process})`)
    printTree(spans, span.id, `${indent}  `)
  }
}

if (name === 'there') await serve(((await once(process, 'message')) as [Work])[0])
else {
  const other = fork(fileURLToPath(import.meta.url))
  const run = queue.submit('work', async ({ traceContext }) => {
    other.send({ page: 7, traceContext } satisfies Work)
    return ((await once(other, 'message')) as [{ printed: string; spans: Told[] }])[0]
  })
  const { printed, spans } = await run
  spans.push(...told())
  console.log(`${printed} was printed; traces: ${new Set(spans.map(({ traceId }) => traceId)).size}`)
  printTree(spans)
}
await queue.close()
