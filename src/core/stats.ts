/** Counts of a queue, as one plain value that survives JSON and `structuredClone`. */
import type { QueueCore } from './core.js'
import type { LaneStatus } from './lane.js'

/** What `queue.stats()` gives: sums over the lanes, and each lane's own. */
export type QueueStats = {
  readonly totalPending: number
  readonly totalActive: number
  readonly totalDelayed: number
  /** Slots in use over all lanes, those of zombies included: what the global `maxConcurrency` limits. */
  readonly totalSlots: number
  readonly deadLetterCount: number
  readonly lanes: Readonly<Record<string, LaneStatus>>
  /** Facts about the engine as it says them, the number of its connections among them; left out without one. */
  readonly connection?: Readonly<Record<string, string | number | boolean>>
}

export function queueStats(core: QueueCore): QueueStats {
  const lanes: [string, LaneStatus][] = []
  let totalPending = 0
  let totalActive = 0
  let totalDelayed = 0
  for (const lane of core.lanes.values()) {
    const status = lane.status()
    lanes.push([lane.id, status])
    totalPending += status.pending
    totalActive += status.active
    totalDelayed += status.delayed
  }
  return {
    totalPending,
    totalActive,
    totalDelayed,
    totalSlots: core.scheduler.held,
    deadLetterCount: core.deadLetters?.size ?? 0,
    lanes: Object.fromEntries(lanes),
    ...(core.link === undefined ? {} : { connection: core.link.engine.facts() }),
  }
}
