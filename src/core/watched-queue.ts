/** A queue and its lanes, as those who watch them see them. */
import type { QueueCore } from './core.js'
import type { LaneState } from './lane.js'
import type { ObservedLane, ObservedQueue } from './observation.js'
import { queueStats } from './stats.js'

export function watchedQueue(core: QueueCore): ObservedQueue {
  return {
    clock: core.clock,
    lanes: [...core.lanes.values()].map((lane) => watchedLane(core, lane)),
    tracing: core.tracing,
    logger: core.logger,
    get isStarted() {
      return core.started
    },
    get hasEnded() {
      return core.hasEnded
    },
    get isShuttingDown() {
      return core.isShuttingDown
    },
    stats: () => queueStats(core),
    fault: (error, where) => core.fault(error, where),
    emit: (key, payload) => {
      if (core.hasListeners) core.emit(key, payload)
    },
  }
}

const watchedLane = (core: QueueCore, lane: LaneState): ObservedLane => ({
  id: lane.id,
  get pending() {
    return lane.pending
  },
  get active() {
    return lane.active
  },
  get delayed() {
    return lane.delayed.size
  },
  get zombies() {
    return lane.zombies.size
  },
  oldestAgeMs: () => {
    const since = lane.backlog.oldestSince()
    return since === undefined ? 0 : Math.max(0, core.clock.now() - since)
  },
  status: () => lane.status(),
})
