/** What a trace is put through: a queue in memory, on SQLite, and two queues that share lanes. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Engine, type EngineRole, QueueManager, type QueueOptions } from '@a3s-lab/lane'
import { BullMQEngine } from '@a3s-lab/lane/bullmq'
import { LocalStorage } from '@a3s-lab/lane/storage'
import { MemoryBroker } from '@a3s-lab/lane/testing'
import { lanes } from './trace.js'
import type { BackEnd, TraceQueues } from './trace-run.js'

/** More than there are at once. */
const KEPT = 10_000
const CLOSES_WITHIN_MS = 2000

/** One queue, which submits and works. */
function alone(rest: Partial<QueueOptions>): TraceQueues {
  const queue = new QueueManager({ lanes, deadLetters: KEPT, retention: { count: KEPT }, ...rest })
  return { submitter: queue, worker: queue, close: () => queue.close() }
}

export const inMemory: BackEnd = { name: 'in memory', open: async () => alone({}) }

/** With lanes that are not those of the traces: what a comparison has to find. */
export const withOtherLanes = (name: string, others: QueueOptions['lanes']): BackEnd => ({
  name,
  open: async () => alone({ lanes: others }),
})

export function onSQLite(): BackEnd {
  return {
    name: 'on SQLite',
    open: async () => {
      const folder = mkdtempSync(join(tmpdir(), 'lane-trace-'))
      const storage = await LocalStorage.open({ path: join(folder, 'lane.db'), durability: 'relaxed' })
      const queues = alone({ storage })
      const close = async (): Promise<void> => {
        await queues.close()
        rmSync(folder, { recursive: true, force: true })
      }
      return { ...queues, close }
    },
  }
}

/** Two queues that share their lanes, one of which submits while the other works. */
function sharing(name: string, newEngines: () => Record<'coordinator' | 'worker', Engine>): BackEnd {
  return {
    name,
    open: async () => {
      const { coordinator, worker } = newEngines()
      const queues = [coordinator, worker].map((engine) => new QueueManager({ lanes, deadLetters: KEPT, engine }))
      const [submitter, other] = queues as [QueueManager, QueueManager]
      const close = async (): Promise<void> => {
        await Promise.all(queues.map((queue) => queue.close({ timeoutMs: CLOSES_WITHIN_MS })))
      }
      return { submitter, worker: other, close }
    },
  }
}

/** Over a broker in this process. */
export const overMemory = sharing('over memory', () => {
  const broker = new MemoryBroker()
  return { coordinator: broker.engine({ role: 'coordinator' }), worker: broker.engine({ role: 'worker' }) }
})

/** Over a server; each time in a namespace of its own. */
export function overRedis(url: string): BackEnd {
  let count = 0
  return sharing('over Redis', () => {
    const namespace = `traces-${++count}`
    const engineOf = (role: EngineRole): Engine => new BullMQEngine({ connection: url, namespace, role })
    return { coordinator: engineOf('coordinator'), worker: engineOf('worker') }
  })
}
