/**
 * A process under torture: opens the file, submits and runs commands, writes down what it sees, until it is killed. It is
 * started ahead of its turn, and told on its standard input what to do.
 */
import { createInterface } from 'node:readline'
import { ArmedStorage, Points } from '../armed-storage.js'
import { openHistory } from '../history.js'
import { type Orders, openQueue, Tortured } from '../tortured.js'

const say = (line: string): void => {
  process.stdout.write(`${line}\n`)
}

const [first] = await new Promise<string[]>((resolve) => {
  const lines = createInterface({ input: process.stdin })
  lines.once('line', (line) => resolve([line]))
  say('warm')
})
process.stdin.unref()
const orders = JSON.parse(first ?? '') as Orders
const history = openHistory(orders.history, orders.process)
const points = new Points(orders.arm)

say('opening')
const openedAt = performance.now()
const { queue, storage } = await openQueue(orders, (inner) => new ArmedStorage(inner, points, orders.fault))
const tortured = new Tortured(queue, history, points, (line) => {
  say(line === 'first' ? `first ${Math.round(performance.now() - openedAt)}` : line)
})
process.once('SIGTERM', () => {
  void tortured.leave().then(() => say('left'))
})
await queue.start()
say('started')
if (orders.mode === 'drain') {
  await tortured.submitAll(orders.again)
  await tortured.drain(() => say(`stats ${JSON.stringify(storage.stats())}`))
} else await tortured.work(orders)
