/**
 * A process that works for the sessions of others: says which tool it begins and ends, one line each.
 *
 *   session-program <orders as JSON>
 */
import { BullMQEngine } from '@a3s-lab/lane/bullmq'
import { SessionQueue } from '@a3s-lab/lane/session'
import type { WorkerOrders } from './worker-process.js'

const { url, namespace, leaseMs, name } = JSON.parse(process.argv[2] ?? '') as WorkerOrders

const say = (line: string): void => {
  process.stdout.write(`${line}\n`)
}

const session = new SessionQueue({
  engine: new BullMQEngine({ connection: url, namespace, role: 'worker', leaseMs }),
  async execute(tool, args, { signal, attempt }) {
    const { label, ms = 0 } = args as { label?: string; ms?: number }
    say(`start ${label} ${attempt}`)
    // whoever goes on after another does not take as long
    const timer = new Promise<void>((resolve) => {
      setTimeout(resolve, attempt > 1 ? 10 : ms)
      signal.addEventListener('abort', () => resolve(), { once: true })
    })
    await timer
    say(`${signal.aborted ? 'stopped' : 'end'} ${label}`)
    return `${tool} ${label} by ${name}`
  },
})
await session.start()
say('started')
