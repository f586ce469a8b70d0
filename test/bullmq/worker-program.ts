/**
 * A worker as a process of its own: says on its standard output what it does, one line each, and ends on SIGTERM.
 *
 *   worker-program <orders as JSON>
 */
import { QueueManager } from '@a3s-lab/lane'
import { BullMQEngine } from '@a3s-lab/lane/bullmq'
import type { Held, WorkerOrders } from './worker-process.js'

const { url, namespace, leaseMs, lanes, name } = JSON.parse(process.argv[2] ?? '') as WorkerOrders

const say = (line: string): void => {
  process.stdout.write(`${line}\n`)
}

const engine = new BullMQEngine({ connection: url, namespace, role: 'worker', leaseMs })
const queue = new QueueManager({ lanes, engine, onFault: (error) => say(`fault ${codeOf(error)}`) })

queue.handle('hold', async ({ title, ms }: Held, { attempt, restored, checkpoint, signal }) => {
  say(`start ${title} ${attempt}${restored === undefined ? '' : ` ${JSON.stringify(restored)}`}`)
  await checkpoint({ savedBy: name })
  await new Promise<void>((resolve) => {
    // whoever goes on with it does not take as long
    const timer = setTimeout(resolve, restored === undefined ? ms : 10)
    signal.addEventListener('abort', () => {
      clearTimeout(timer)
      say(`aborted ${title} ${codeOf(signal.reason)}`)
      resolve()
    })
  })
  // it gives a value even when it was told to stop: what is done with it is not its business
  return name
})
queue.handle('echo', (value) => value)
queue.handle('flaky', async (title: string, { attempt }) => {
  say(`start ${title} ${attempt}`)
  await new Promise((resolve) => setTimeout(resolve, 5))
  if (attempt < 3) throw new Error('not yet')
  return `${title} after ${attempt}`
})

function codeOf(error: unknown): string {
  return String((error as { readonly code?: string }).code)
}

process.once('SIGTERM', () => {
  void queue.close({ timeoutMs: 500 }).then(() => say('left'))
})
void (async () => {
  for await (const { key, payload } of queue.subscribe()) say(`event ${key} ${JSON.stringify(payload)}`)
})()
await queue.start()
say('started')
