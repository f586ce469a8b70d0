/** Counts of a session, and its dead letters, as plain data. */
import type { CommandState, Observation, ObservedLane, QueueObserver } from '../core/index.js'
import type { HandlerMode, LaneHandlerConfig } from './config-handler.js'
import { SESSION_LANES, type SessionLane } from './lanes.js'
import type { SessionLanes } from './session-lanes.js'

/** Counts of one lane. */
export type SessionLaneStats = {
  readonly lane: SessionLane
  /** Commands that wait for a slot; over an engine also those that another process runs. */
  readonly pending: number
  /** Commands that run in this process, or wait for a worker outside. */
  readonly active: number
  /** Commands that wait for their time: a delay, a retry in back-off. */
  readonly delayed: number
  readonly maxConcurrency: number
  readonly handlerMode: HandlerMode
  /** Commands that have completed, and that have failed for good, since the session was made. */
  readonly completed: number
  readonly failed: number
}

/** Counts of a session. */
export type SessionQueueStats = {
  readonly totalPending: number
  readonly totalActive: number
  /** External tasks that wait for their result. */
  readonly externalPending: number
  /** By lane; empty for a session without a queue. */
  readonly lanes: Readonly<Partial<Record<SessionLane, SessionLaneStats>>>
}

/** A command that failed for good. */
export type SessionDeadLetter = {
  readonly command_id: string
  readonly command_type: string
  readonly lane_id: SessionLane
  readonly error: string
  readonly attempts: number
  /** RFC 3339. */
  readonly failed_at: string
}

/** Ids that are remembered so that none is counted twice. */
const MOST_COUNTED = 10_000

/** Counts outcomes by lane. */
export class LaneTally implements Observation {
  readonly completed = zeros()
  readonly failed = zeros()

  /** The last shared commands that were counted: one may be asked for again by its id. */
  readonly #counted = new Set<string>()

  /** Counts a shared command, whoever has run it; false when it was counted before. */
  settled(id: string, lane: SessionLane, state: CommandState): boolean {
    if (this.#counted.has(id)) return false
    this.#counted.add(id)
    if (this.#counted.size > MOST_COUNTED) {
      for (const oldest of this.#counted) {
        this.#counted.delete(oldest)
        break
      }
    }
    if (state === 'completed') this.completed[lane]++
    else if (state === 'failed' || state === 'timed_out') this.failed[lane]++
    return true
  }

  observe(): QueueObserver {
    return {
      observerOf: ({ id }: ObservedLane) => {
        const lane = id as SessionLane
        return (fact) => {
          if (fact === 'completed') this.completed[lane]++
          else if (fact === 'failed' || fact === 'timed_out') this.failed[lane]++
        }
      },
    }
  }
}

/** Whether what an engine keeps of a command says that this session has made it. */
export function isOfSession(metadata: unknown, sessionId: string): boolean {
  const { session } = new Object(metadata) as { session?: { id?: unknown } }
  return session?.id === sessionId
}

const zeros = (): Record<SessionLane, number> => ({ control: 0, query: 0, execute: 0, generate: 0 })

export function sessionStats(
  queues: SessionLanes | undefined,
  handlers: Readonly<Record<SessionLane, LaneHandlerConfig>>,
  externalPending: number,
  { completed, failed }: LaneTally,
  waiting: Readonly<Record<SessionLane, number>>,
): SessionQueueStats {
  if (queues === undefined) return { totalPending: 0, totalActive: 0, externalPending: 0, lanes: {} }
  const { totalPending, totalActive, lanes } = queues.queue.stats()
  const shared = queues.shared?.stats()
  const laneOf = (lane: SessionLane): SessionLaneStats => {
    const { pending = 0, active = 0, delayed = 0, max = 0 } = lanes[lane] ?? {}
    return {
      lane,
      pending: pending + waiting[lane],
      active: active + (shared?.lanes[lane]?.active ?? 0),
      delayed,
      maxConcurrency: max,
      handlerMode: handlers[lane].mode,
      completed: completed[lane],
      failed: failed[lane],
    }
  }
  return {
    totalPending: SESSION_LANES.reduce((sum, lane) => sum + waiting[lane], totalPending),
    totalActive: totalActive + (shared?.totalActive ?? 0),
    externalPending,
    lanes: Object.fromEntries(SESSION_LANES.map((lane) => [lane, laneOf(lane)])),
  }
}
