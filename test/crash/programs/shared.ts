/**
 * A process under torture that shares its lanes with others over a server: submits and runs commands, writes down what it
 * sees, until it is killed. It is started ahead of its turn, and told on its standard input what to do.
 */
import { createInterface } from 'node:readline'
import { isLaneError, QueueManager } from '@a3s-lab/lane'
import { BullMQEngine } from '@a3s-lab/lane/bullmq'
import { Points } from '../armed-storage.js'
import { faultyEngine } from '../faulty-engine.js'
import { openHistory } from '../history.js'
import { type SharedOrders, sharedLanes } from '../shared-plan.js'
import { MAX_CONCURRENCY } from '../torture-plan.js'
import { Tortured } from '../tortured.js'

/** A submitter among several submits less often. */
const PACE_MS = 200

const say = (line: string): void => {
  process.stdout.write(`${line}\n`)
}

const [first] = await new Promise<string[]>((resolve) => {
  const lines = createInterface({ input: process.stdin })
  lines.once('line', (line) => resolve([line]))
  say('warm')
})
process.stdin.unref()
const orders = JSON.parse(first ?? '') as SharedOrders
const history = openHistory(orders.history, orders.process)

const { url, namespace, role, leaseMs, fault } = orders
// nothing may be forgotten before it was judged
const retention = { count: 1_000_000, ageMs: 3_600_000 }
const engine = new BullMQEngine({ connection: url, namespace, role, leaseMs, retention, offlineTimeoutMs: 20_000 })
const queue = new QueueManager({
  lanes: sharedLanes,
  maxConcurrency: MAX_CONCURRENCY,
  engine: faultyEngine(engine, fault),
  deadLetters: 100_000,
})
const tortured = new Tortured(queue, history, new Points(undefined), say)
process.once('SIGTERM', () => {
  void tortured.leave().then(() => say('left'))
})
say('opening')
for (let hasStarted = false; !hasStarted && !queue.isShuttingDown; ) {
  try {
    await queue.start()
    hasStarted = true
  } catch (error) {
    // the server may be away for long; told to leave, it need not begin any more
    if (!queue.isShuttingDown && !(isLaneError(error) && error.code === 'ENGINE_UNAVAILABLE')) throw error
  }
}
say('started')
if (orders.mode === 'drain') {
  await tortured.submitAll(orders.again)
  await tortured.drainShared()
} else if (role !== 'worker') await tortured.work({ ...orders, cold: 0, paceMs: PACE_MS, isShared: true })
