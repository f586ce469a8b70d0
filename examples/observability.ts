/** What an operator sees: metrics that fill themselves, alerts that are told once, a health verdict, a Prometheus scrape. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { AlertManager, QueueManager, QueueMetrics, QueueMonitor, RetryPolicy } from '@a3s-lab/lane'
import { createRegistry } from '@a3s-lab/lane/prometheus'

const alerts = new AlertManager({
  queueDepth: { warning: 20, critical: 40 },
  failureRatio: { warning: 0.2, critical: 0.6, minimum: 5 },
})
alerts.addCallback(({ level, laneId, message }) => console.log(`alert in ${laneId}, ${level}: ${message}`))

const queue = new QueueManager({
  lanes: {
    api: { priority: 0, maxConcurrency: 5, retry: RetryPolicy.fixed(1, 5) },
    batch: { priority: 1, maxConcurrency: 2 },
  },
  deadLetters: 100,
  metrics: QueueMetrics.local(),
  alerts,
})
const monitor = new QueueMonitor(queue, { intervalMs: 1000, pendingWarningThreshold: 30 })
monitor.start()

queue.handle('request', (ms: number) => sleep(ms, 'answered'))
queue.handle('broken', () => Promise.reject(new Error('the service is down')))
await queue.start()

// A burst: the lane runs five at a time, the rest waits, and the depth is told when it reaches a threshold.
const burst = Array.from({ length: 45 }, (_, index) =>
  queue.submit('api', { type: 'request', payload: 5 + (index % 10) }),
)
const { status, reasons } = monitor.health()
console.log(`health: ${status}`)
for (const { code, message } of reasons) console.log(`  ${code}: ${message}`)
await Promise.all(burst)

// A service that is down: retried, then dead letters, and a share of failures that somebody should know of.
await Promise.allSettled(Array.from({ length: 8 }, () => queue.submit('batch', { type: 'broken' })))

const { counters, gauges, histograms } = (await queue.metrics?.snapshot()) ?? {
  counters: {},
  gauges: {},
  histograms: {},
}
for (const id of ['api', 'batch']) {
  const wait = histograms[`lane.command.wait_time_ms.${id}`]?.percentiles
  const run = histograms[`lane.command.latency_ms.${id}`]?.percentiles
  console.log(
    `${id}: submitted ${counters[`lane.commands.submitted.${id}`]}, completed ${counters[`lane.commands.completed.${id}`] ?? 0},`,
    `dead letters ${counters[`lane.commands.dead_lettered.${id}`] ?? 0}, waiting ${gauges[`lane.queue.depth.${id}`]}`,
  )
  if (wait !== undefined) console.log(`  waited p50 ${wait.p50.toFixed(1)} ms, p99 ${wait.p99.toFixed(1)} ms`)
  if (run !== undefined) console.log(`  ran    p50 ${run.p50.toFixed(1)} ms, p99 ${run.p99.toFixed(1)} ms`)
}

// The same figures for Prometheus: read when it asks, nothing is sent.
const registry = createRegistry(queue)
const server = createServer((_request, response) => {
  void registry.metrics().then((text) => response.setHeader('content-type', registry.contentType).end(text))
})
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
const { port } = server.address() as AddressInfo
const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()
console.log(text.split('\n').find((line) => line.startsWith('a3s_lane_commands_submitted_total{')))
server.close()

await queue.close()
console.log(`health: ${monitor.health().status}, ${monitor.isRunning ? 'watched' : 'not watched any more'}`)
