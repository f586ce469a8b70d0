/** What happened in a simulation: noted from the queue's events and counts while it runs, summed up at its end. */
import type { CommandState, LaneEvent, LaneHandle, Random } from '../core/index.js'
import type { Arrival } from './simulate-arrival.js'

/** One command of a simulation. Instants are milliseconds since its start. */
export type SimulatedCommand = {
  /** A duplicate has the id of the command that it met. */
  readonly id: string
  readonly name?: string
  readonly laneId: string
  readonly type: string
  readonly key?: string
  readonly submittedAt: number
  /** When its first attempt began; absent when none did. */
  readonly startedAt?: number
  /** When it had its outcome; absent when it had none at the end. */
  readonly endedAt?: number
  /** Milliseconds from its submission to its first start; as long as it waited when it never started. A delay of its own counts. */
  readonly waitMs: number
  /** How many attempts began; a resumption is none. */
  readonly attempts: number
  readonly preemptions: number
  /** 'rejected': refused, because its lane was full. 'deduplicated': another command stood for it. */
  readonly state: CommandState | 'rejected' | 'deduplicated'
}

/** Milliseconds that commands waited. Percentiles are by nearest rank: values that occurred. All 0 where there were no commands. */
export type Waits = {
  readonly mean: number
  readonly p50: number
  readonly p90: number
  readonly p99: number
  readonly max: number
}

/** One lane of a simulation. */
export type SimulatedLane = {
  /** Commands that it accepted. */
  readonly count: number
  /** Their waits, those of commands that never started included: a lane that starves shows it. */
  readonly waits: Waits
  /** Most slots in use at once. What takes no time is not seen here, nor in the next two. */
  readonly maxRunning: number
  /** Most commands that waited for a slot at once, when everything had started that could. */
  readonly maxPending: number
  /** Slot time in milliseconds: two slots in use for a second are 2,000. */
  readonly busyMs: number
  /** Completed commands per second of the simulation. */
  readonly throughputPerSecond: number
}

/** What a simulation gives: plain data, the same for the same options. */
export type Simulation<L extends string = string> = {
  /** All commands in order of their arrival, children of simulated work included. */
  readonly commands: readonly SimulatedCommand[]
  /** Who had a slot when: names (ids where there is none) in the order of the starts, retries and resumptions included. */
  readonly order: readonly string[]
  readonly lanes: Readonly<Record<L, SimulatedLane>>
  /** Most slots in use at once over all lanes. */
  readonly maxRunning: number
  /** Milliseconds of virtual time until everything had its outcome, or until nothing more could happen, or to `untilMs`. */
  readonly durationMs: number
  /** Commands without an outcome at the end: 0 unless the end came first, or work never ends. */
  readonly unsettled: number
  /** Every event, with `keepEvents`; otherwise none. */
  readonly events: readonly LaneEvent[]
}

/** A command as it is followed. */
export class FollowedCommand {
  readonly id: string
  readonly laneId: string
  readonly arrival: Arrival | undefined
  readonly submittedAt: number
  type: string
  startedAt: number | undefined
  endedAt: number | undefined
  attempts = 0
  preemptions = 0
  state: SimulatedCommand['state'] = 'pending'
  /** Random numbers of its own, once it has asked for some. */
  random: Random | undefined

  constructor(id: string, laneId: string, arrival: Arrival | undefined, submittedAt: number) {
    this.id = id
    this.laneId = laneId
    this.arrival = arrival
    this.submittedAt = submittedAt
    this.type = arrival?.type ?? 'command'
  }
}

/** What is counted of a lane. */
class FollowedLane {
  readonly handle: LaneHandle
  maxRunning = 0
  maxPending = 0
  busyMs = 0

  constructor(handle: LaneHandle) {
    this.handle = handle
  }
}
