/** The lanes of the torture where several processes share them: those of one process, without what is kept in one process. */
import type { Limits } from './check-history.js'
import type { EngineFault } from './faulty-engine.js'
import { MAX_CONCURRENCY, lanes as ownLanes } from './torture-plan.js'

const { mail, ...others } = ownLanes
const { fairness: _fairness, keyConcurrency: _keyConcurrency, ...plainMail } = mail

/** Wider: the slots of a killed process come back when its leases end. */
export const sharedLanes = Object.fromEntries(
  Object.entries({ ...others, mail: plainMail }).map(([id, lane]) => [
    id,
    { ...lane, maxConcurrency: 2 * lane.maxConcurrency, maxRecoveries: 100 },
  ]),
)

export const sharedLimits: Limits = {
  lanes: Object.fromEntries(Object.entries(sharedLanes).map(([id, { maxConcurrency }]) => [id, maxConcurrency])),
  total: MAX_CONCURRENCY,
  isShared: true,
}

/** What a process is told to do that shares lanes with others. */
export type SharedOrders = {
  readonly process: string
  readonly url: string
  readonly namespace: string
  /** Folder of the histories. */
  readonly history: string
  readonly mode: 'work' | 'drain'
  readonly role: 'both' | 'coordinator' | 'worker'
  readonly seed: number
  readonly leaseMs: number
  readonly fault?: EngineFault | undefined
  /** Commands to submit again: nobody knows whether they were accepted, or how they ended is known. */
  readonly again: readonly string[]
}
