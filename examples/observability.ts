/** What an operator sees: metrics that fill themselves, alerts that are told once, a health verdict, a Prometheus scrape. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { AlertManager, QueueManager, QueueMetrics, QueueMonitor } from '@a3s-lab/lane'
import { createRegistry } from '@a3s-lab/lane/prometheus'

const alerts = new AlertManager({
  queueDepth: { warning: 20, critical: 40 },
  failureRatio: { warning: 0.2, critical: 0.6, minimum: 5 },
})
alerts.addCallback(({ level, laneId, message }) => console.log(`alert in ${laneId}, ${level}: ${message}`))

const lanes = { api: { priority: 0, maxConcurrency: 5 }, batch: { priority: 1, maxConcurrency: 2 } }
const queue = new QueueManager({ lanes, deadLetters: 100, metrics: QueueMetrics.local(), alerts })
const monitor = new QueueMonitor(queue, { intervalMs: 1000, pendingWarningThreshold: 30 })
monitor.start()

queue.handle('request', (takesMs: number) => sleep(takesMs, 'answered'))
queue.handle('broken', () => Promise.reject(new Error('the service is down')))
await queue.start()

// A burst: the lane runs five at a time, the rest waits, and the depth is told when it reaches a threshold.
const burst = Array.from({ length: 45 }, (_, index) =>
  queue.submit('api', { type: 'request', payload: 5 + (index % 10) }),
)
const { status, reasons } = monitor.health()
console.log(`health: ${status}, because of ${reasons.map(({ code }) => code).join(' and ')}`)
await Promise.all(burst)

// A service that is down: dead letters, and a share of failures that somebody should know of.
await Promise.allSettled(Array.from({ length: 8 }, () => queue.submit('batch', { type: 'broken' })))

const snapshot = await queue.metrics?.snapshot()
const ms = (value = Number.NaN): string => `${value.toFixed(1)} ms`
for (const id of ['api', 'batch']) {
  const count = (name: string): number => snapshot?.counters[`lane.commands.${name}.${id}`] ?? 0
  const wait = snapshot?.histograms[`lane.command.wait_time_ms.${id}`]?.percentiles
  console.log(
    `${id}: submitted ${count('submitted')}, completed ${count('completed')}, dead letters ${count('dead_lettered')}`,
  )
  console.log(`  waited p50 ${ms(wait?.p50)}, p99 ${ms(wait?.p99)}`)
}

// The same figures for Prometheus: read when it asks, nothing is sent.
const registry = createRegistry(queue)
const server = createServer((_request, response) => {
  void registry.metrics().then((text) => response.setHeader('content-type', registry.contentType).end(text))
})
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
const { port } = server.address() as AddressInfo
const scrape = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()
console.log(scrape.split('\n').find((line) => line.startsWith('a3s_lane_commands_submitted_total{')))
server.close()

await queue.close()
console.log(`health: ${monitor.health().status}, ${monitor.isRunning ? 'watched' : 'not watched any more'}`)
