/** What a simulation gives: each command, each lane, and the sums. */
import type { CommandState, LaneEvent } from '../core/index.js'

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

/** Sums up what commands waited. */
export function waitsOf(waitsMs: readonly number[]): Waits {
  const sorted = [...waitsMs].sort((a, b) => a - b)
  const rank = (percent: number): number => sorted[Math.ceil((percent / 100) * sorted.length) - 1] ?? 0
  const sum = sorted.reduce((total, one) => total + one, 0)
  return { mean: sum / Math.max(1, sorted.length), p50: rank(50), p90: rank(90), p99: rank(99), max: rank(100) }
}
