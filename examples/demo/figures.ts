/**
 * The figures of the queue, counted from its events while they happen.
 *
 * A reader of `queue.subscribe()` gets its events a little later, and loses some when it is too slow: right for a
 * screen, wrong for a measurement. A filter sees every event at the moment it happens; this one takes the time, counts,
 * and wants none of them.
 */
import type { BuiltInLaneId, LaneEvent, QueueManager } from '@a3s-lab/lane'
import { Samples, type Summary } from './samples.js'

/** The queue of the demo: the six built-in lanes. */
export type Queue = QueueManager<BuiltInLaneId>

/** What is counted of one lane. `submitted` is the sum of the four ends below it once nothing is left to do. */
export type LaneFigures = {
  submitted: number
  done: number
  failed: number
  timedOut: number
  cancelled: number
  retried: number
  /** Attempts started; a retried command has several. */
  started: number
  /** From submit to the first start; from the end of the delay when one was asked for. */
  readonly waitMs: Samples
  /** From the start of an attempt to its end, however it ended. */
  readonly runMs: Samples
}

/** The same as plain data. */
export type LaneSummary = Omit<LaneFigures, 'waitMs' | 'runMs'> & {
  readonly waitMs: Summary | null
  readonly runMs: Summary | null
}

/** Where a command stands that has not settled. */
type Open = { waitsFrom: number; startedAt: number | undefined }

export class Figures {
  readonly lanes = new Map<string, LaneFigures>()
  pressure = 0
  idle = 0
  deadLettered = 0
  redriven = 0
  faults = 0
  /** Commands that started although their lane was paused: there should be none. */
  startedWhilePaused = 0
  readonly #paused = new Set<string>()
  readonly #open = new Map<string, Open>()
  readonly #stop: () => void

  constructor(queue: Queue) {
    for (const id of Object.keys(queue.stats().lanes)) this.lanes.set(id, newFigures())
    const stream = queue.subscribeFiltered((event) => {
      this.#count(event, performance.now())
      return false
    })
    this.#stop = () => stream.close()
  }

  lane(id: string): LaneFigures {
    const lane = this.lanes.get(id)
    if (lane === undefined) throw new Error(`No lane ${id}`)
    return lane
  }

  summary(): Record<string, LaneSummary> {
    const entries = [...this.lanes].map(([id, { waitMs, runMs, ...counts }]) => [
      id,
      { ...counts, waitMs: waitMs.summary(), runMs: runMs.summary() },
    ])
    return Object.fromEntries(entries) as Record<string, LaneSummary>
  }

  /** Whether every command of every lane has had exactly one end. */
  addUp(): boolean {
    return [...this.lanes.values()].every(
      ({ submitted, done, failed, timedOut, cancelled }) => submitted === done + failed + timedOut + cancelled,
    )
  }

  close(): void {
    this.#stop()
  }

  #count({ key, payload }: LaneEvent, now: number): void {
    if (key in ENDS) this.#settled(payload as CommandFields, ENDS[key as keyof typeof ENDS], now)
    else if (key === 'queue.command.submitted') this.#submitted(payload, now)
    else if (key === 'queue.command.delayed') this.#delayed(payload.command_id, payload.delay_ms)
    else if (key === 'queue.command.started') this.#started(payload, now)
    else if (key === 'queue.command.retry') this.#retried(payload, now)
    else if (key === 'queue.command.dead_lettered') this.deadLettered++
    else if (key === 'queue.dead_letter.redriven') this.redriven++
    else if (key === 'queue.lane.paused') this.#paused.add(payload.lane_id)
    else if (key === 'queue.lane.resumed') this.#paused.delete(payload.lane_id)
    else if (key === 'queue.lane.pressure') this.pressure++
    else if (key === 'queue.lane.idle') this.idle++
    else if (key === 'queue.fault') this.faults++
  }

  #submitted({ lane_id, command_id }: CommandFields, now: number): void {
    this.lane(lane_id).submitted++
    this.#open.set(command_id, { waitsFrom: now, startedAt: undefined })
  }

  #retried(command: CommandFields, now: number): void {
    this.lane(command.lane_id).retried++
    this.#attemptEnded(command, now)
  }

  #delayed(id: string, delayMs: number): void {
    const command = this.#open.get(id)
    if (command !== undefined) command.waitsFrom += delayMs
  }

  #started({ lane_id, command_id }: CommandFields, now: number): void {
    const lane = this.lane(lane_id)
    const command = this.#open.get(command_id)
    if (command === undefined) return
    if (command.startedAt === undefined) lane.waitMs.add(now - command.waitsFrom)
    command.startedAt = now
    lane.started++
    if (this.#paused.has(lane_id)) this.startedWhilePaused++
  }

  #attemptEnded({ lane_id, command_id }: CommandFields, now: number): void {
    const command = this.#open.get(command_id)
    // NaN: it ran, and waits for its next attempt; undefined: it never ran
    if (command?.startedAt === undefined || Number.isNaN(command.startedAt)) return
    this.lane(lane_id).runMs.add(now - command.startedAt)
    command.startedAt = Number.NaN
  }

  #settled(command: CommandFields, end: End, now: number): void {
    this.#attemptEnded(command, now)
    this.#open.delete(command.command_id)
    this.lane(command.lane_id)[end]++
  }
}

/** The four ends that a command can have. */
const ENDS = {
  'queue.command.completed': 'done',
  'queue.command.failed': 'failed',
  'queue.command.timeout': 'timedOut',
  'queue.command.cancelled': 'cancelled',
} as const

type End = (typeof ENDS)[keyof typeof ENDS]

type CommandFields = { readonly lane_id: string; readonly command_id: string }

const newFigures = (): LaneFigures => ({
  submitted: 0,
  done: 0,
  failed: 0,
  timedOut: 0,
  cancelled: 0,
  retried: 0,
  started: 0,
  waitMs: new Samples(),
  runMs: new Samples(),
})
