/**
 * Keeps the books of a simulation. Commands are followed by the queue's events, each at the instant at which it happens;
 * lanes by their counts whenever time is about to pass, so sums over time are exact, and what takes no time is not seen.
 */
import type {
  CommandRecord,
  CommandRun,
  EventStream,
  LaneEvent,
  LaneHandle,
  QueueManager,
  Random,
} from '../core/index.js'
import type { Arrival } from './simulate-arrival.js'
import type { SimulatedClock } from './simulate-clock.js'
import { type SimulatedCommand, type SimulatedLane, type Simulation, waitsOf } from './simulate-report.js'

/** Where a command comes from: an arrival, and the random numbers that belong to it. */
export type Origin = { readonly arrival: Arrival; readonly random: Random }

/** A command as it is followed. */
export class FollowedCommand {
  readonly id: string
  readonly laneId: string
  /** Undefined for one that simulated work has submitted. */
  readonly origin: Origin | undefined
  readonly submittedAt: number
  type: string
  state: SimulatedCommand['state']
  startedAt: number | undefined
  endedAt: number | undefined
  attempts = 0
  preemptions = 0
  /** Ends its work early. */
  stop: (() => void) | undefined

  constructor(id: string, laneId: string, origin: Origin | undefined, at: number, state: SimulatedCommand['state']) {
    this.id = id
    this.laneId = laneId
    this.origin = origin
    this.submittedAt = at
    this.state = state
    this.type = origin?.arrival.type ?? DEFAULT_TYPE
    if (!this.isAccepted) this.endedAt = at
  }

  get name(): string {
    return this.origin?.arrival.name ?? this.id
  }

  /** Whether the queue took it in as a command of its own. */
  get isAccepted(): boolean {
    return this.state !== 'rejected' && this.state !== 'deduplicated'
  }

  waitMs(now: number): number {
    return (this.startedAt ?? this.endedAt ?? now) - this.submittedAt
  }

  /** As a result shows it. */
  describe(now: number): SimulatedCommand {
    const { id, laneId, type, submittedAt, startedAt, endedAt, attempts, preemptions, state } = this
    const { name, options } = this.origin?.arrival ?? {}
    const key = options?.key
    return {
      id,
      ...(name === undefined ? undefined : { name }),
      laneId,
      type,
      ...(key === undefined ? undefined : { key }),
      submittedAt,
      ...(startedAt === undefined ? undefined : { startedAt }),
      ...(endedAt === undefined ? undefined : { endedAt }),
      waitMs: this.waitMs(now),
      attempts,
      preemptions,
      state,
    }
  }
}

/** The type of a command whose arrival names none. */
export const DEFAULT_TYPE = 'command'

/** What is counted of a lane. */
class FollowedLane {
  readonly handle: LaneHandle
  maxRunning = 0
  maxPending = 0
  busyMs = 0
  completed = 0
  readonly waitsMs: number[] = []

  constructor(handle: LaneHandle) {
    this.handle = handle
  }

  describe(durationMs: number): SimulatedLane {
    const { maxRunning, maxPending, busyMs, completed, waitsMs } = this
    const throughputPerSecond = durationMs === 0 ? 0 : (completed * 1000) / durationMs
    return { count: waitsMs.length, waits: waitsOf(waitsMs), maxRunning, maxPending, busyMs, throughputPerSecond }
  }
}

const OUTCOMES = {
  'queue.command.completed': 'completed',
  'queue.command.failed': 'failed',
  'queue.command.timeout': 'timed_out',
  'queue.command.cancelled': 'cancelled',
} as const

export class Ledger<L extends string> {
  readonly #queue: QueueManager<L>
  readonly #clock: SimulatedClock
  readonly #commands: FollowedCommand[] = []
  readonly #byId = new Map<string, FollowedCommand>()
  readonly #lanes: ReadonlyMap<string, FollowedLane>
  readonly #order: string[] = []
  readonly #events: LaneEvent[] = []
  readonly #stream: EventStream
  #maxRunning = 0
  #arriving: Origin | undefined
  /** What the submit under way was refused with. */
  #refusal: string | undefined
  /** Accepted commands without an outcome. */
  unsettled = 0

  constructor(queue: QueueManager<L>, laneIds: readonly L[], clock: SimulatedClock, keepsEvents: boolean) {
    this.#queue = queue
    this.#clock = clock
    this.#lanes = new Map(laneIds.map((id) => [id, new FollowedLane(queue.lane(id))]))
    // The predicate sees each event when it is published: nothing has to be read and nothing can be lost.
    this.#stream = queue.subscribeFiltered((event) => {
      if (keepsEvents) this.#events.push(event)
      this.#note(event)
      return false
    })
  }

  /** How many commands there are so far. */
  get size(): number {
    return this.#commands.length
  }

  /** The newest command with this id. */
  command(id: string): FollowedCommand | undefined {
    return this.#byId.get(id)
  }

  /** Enters a command that arrives. One that is refused for more than a full lane gives the promise that rejects with it. */
  enter(origin: Origin, submit: () => CommandRun): Promise<void> | undefined {
    const known = this.#commands.length
    this.#arriving = origin
    this.#refusal = undefined
    const run = submit()
    this.#arriving = undefined
    if (this.#refusal !== undefined && this.#refusal !== 'QUEUE_FULL') return run.accepted
    if (this.#commands.length > known) return undefined
    this.#commands.push(new FollowedCommand(run.id, run.laneId, origin, this.#clock.now(), 'deduplicated'))
    return undefined
  }

  /** Everything has happened that needs no time, and `ms` milliseconds are about to pass. */
  passes(ms: number): void {
    let running = 0
    for (const lane of this.#lanes.values()) {
      const { pending, slots } = lane.handle.status()
      running += slots
      lane.maxRunning = Math.max(lane.maxRunning, slots)
      lane.maxPending = Math.max(lane.maxPending, pending)
      lane.busyMs += slots * ms
    }
    this.#maxRunning = Math.max(this.#maxRunning, running)
  }

  /** The result, as everything stands now. What happens later is not noted any more. */
  async close(): Promise<Simulation<L>> {
    this.#stream.close()
    const now = this.#clock.now()
    for (const command of this.#commands) {
      if (!command.isAccepted) continue
      const lane = this.#lanes.get(command.laneId)
      lane?.waitsMs.push(command.waitMs(now))
      if (lane !== undefined && command.state === 'completed') lane.completed++
      if (command.endedAt === undefined) command.state = (await this.#record(command)).state
    }
    return {
      commands: this.#commands.map((command) => command.describe(now)),
      order: this.#order,
      lanes: Object.fromEntries(
        [...this.#lanes].map(([id, lane]) => [id, lane.describe(now)]),
      ) as Simulation<L>['lanes'],
      maxRunning: this.#maxRunning,
      durationMs: now,
      unsettled: this.unsettled,
      events: this.#events,
    }
  }

  #note({ key, payload }: LaneEvent): void {
    if (key === 'queue.command.submitted') {
      this.unsettled++
      this.#add(payload.command_id, payload.lane_id, 'pending')
    } else if (key === 'queue.command.rejected') {
      this.#refusal = payload.code
      if (payload.code === 'QUEUE_FULL') this.#add(payload.command_id, payload.lane_id, 'rejected')
    } else if (key === 'queue.command.started') {
      this.#started(this.#followed(payload.command_id))
    } else if (key === 'queue.command.preempted') {
      this.#followed(payload.command_id).preemptions++
    } else if (key === 'queue.command.resumed') {
      this.#followed(payload.command_id).attempts--
    } else if (
      key === 'queue.command.completed' ||
      key === 'queue.command.failed' ||
      key === 'queue.command.timeout' ||
      key === 'queue.command.cancelled'
    ) {
      this.#ended(this.#followed(payload.command_id), OUTCOMES[key])
    }
  }

  #add(id: string, laneId: string, state: SimulatedCommand['state']): void {
    const command = new FollowedCommand(id, laneId, this.#arriving, this.#clock.now(), state)
    this.#commands.push(command)
    if (state !== 'pending') return
    this.#byId.set(id, command)
    if (this.#arriving === undefined) void this.#readType(command)
  }

  /** The announcement of a command does not say its type. */
  async #readType(command: FollowedCommand): Promise<void> {
    command.type = (await this.#record(command)).commandType
  }

  /** What the queue knows of a command without an outcome: it keeps every one of them. */
  async #record({ id }: FollowedCommand): Promise<CommandRecord> {
    return (await this.#queue.get(id)) as CommandRecord
  }

  /** Whatever has an event of its own was announced before. */
  #followed(id: string): FollowedCommand {
    return this.#byId.get(id) as FollowedCommand
  }

  #started(command: FollowedCommand): void {
    command.attempts++
    command.startedAt ??= this.#clock.now()
    this.#order.push(command.name)
  }

  #ended(command: FollowedCommand, state: (typeof OUTCOMES)[keyof typeof OUTCOMES]): void {
    command.state = state
    command.endedAt = this.#clock.now()
    command.stop?.()
    command.stop = undefined
    this.unsettled--
  }
}
