/** What is said where the optional peers are not installed: run from a folder that has no node_modules above it. */
import { QueueManager } from '@a3s-lab/lane'
import { BullMQEngine } from '@a3s-lab/lane/bullmq'
import { OtelMetricsBackend, OtelTracing } from '@a3s-lab/lane/otel'
import { createRegistry } from '@a3s-lab/lane/prometheus'
import { ThreadPool } from '@a3s-lab/lane/workers'

function said(call: () => unknown): string {
  try {
    return `worked: ${String(call())}`
  } catch (error) {
    const { code, message } = error as { code?: string; message: string }
    return `${code ?? 'no code'}: ${message}`
  }
}

const queue = new QueueManager({ lanes: { work: { priority: 0 } } })
const lines = [
  () => new OtelTracing(),
  () => new OtelMetricsBackend(),
  () => createRegistry(queue),
  () => new ThreadPool(),
].map(said)
const shared = new QueueManager({
  lanes: { work: { priority: 0 } },
  engine: new BullMQEngine({ connection: 'redis://127.0.0.1:1', namespace: 'none' }),
})
const { code, message } = await shared.start().then(
  () => ({ code: 'no code', message: 'worked' }),
  (error: unknown) => error as { code: string; message: string },
)
process.stdout.write(JSON.stringify([...lines, `${code}: ${message}`]))
