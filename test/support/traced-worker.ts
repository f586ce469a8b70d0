/**
 * A process that runs what another one submits: `traced-worker.js <collector> <record>`, where the record is that of the
 * other's command. Bundled and started by the test of one trace in two processes.
 */
import { type CommandRecord, QueueManager } from '@a3s-lab/lane'
import { OtelTracing } from '@a3s-lab/lane/otel'
import { context, trace } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http'
import { BasicTracerProvider, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base'

const [url = '', record = ''] = process.argv.slice(2)
const { id, payload, traceContext } = JSON.parse(record) as CommandRecord

const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(new OTLPTraceExporter({ url }))] })
trace.setGlobalTracerProvider(provider)
context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())

const queue = new QueueManager({ lanes: { work: { priority: 0 } }, tracing: new OtelTracing() })
queue.handle('double', (value) => {
  trace
    .getTracer('worker')
    .startSpan(`double ${String(value)}`)
    .end()
  return Number(value) * 2
})
await queue.start()
const run = queue.submit('work', { type: 'double', payload }, { id: `there-${id}`, traceContext })
process.stdout.write(JSON.stringify({ pid: process.pid, result: await run }))
await queue.close()
await provider.shutdown()
