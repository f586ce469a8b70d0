/** What all processes of the cluster agree on: the lanes, and where they are shared. */
import { defaultLanes, QueueManager } from '@a3s-lab/lane'
import { BullMQEngine } from '@a3s-lab/lane/bullmq'

/** How long a command is left to a worker that is not heard of. The default is 10 s; the example is not to take so long. */
export const LEASE_MS = 5000

/** Slots of each worker. One in each lane is kept for it; those of system and control are lent to nobody. */
const SLOTS = 7

export type Role = 'coordinator' | 'worker'

export type Queue = ReturnType<typeof newQueue>

/** One end of the shared queue. The lanes' own limits hold over all workers together. */
export function newQueue(url: string, role: Role, onFault: (error: unknown) => void) {
  return new QueueManager({
    lanes: defaultLanes(),
    maxConcurrency: SLOTS,
    engine: new BullMQEngine({ connection: url, namespace: 'example', role, leaseMs: LEASE_MS }),
    onFault,
  })
}

/** Milliseconds on a clock that all processes of this machine share, finer than `Date`. */
export const sharedNow = (): number => performance.timeOrigin + performance.now()
