/**
 * Several queues on one broker, in virtual time, each as a process of its own would be. Disposed by `await using`, with a
 * guard: every queue closes, no fault is left that the test did not look at, nothing is held and no timer is set.
 */
import {
  type CommandRun,
  type Handler,
  type LaneDefinition,
  type LaneEvent,
  QueueManager,
  type QueueOptions,
} from '@a3s-lab/lane'
import { type EventRecorder, recordEvents, seededRandom, VirtualClock } from '@a3s-lab/lane/testing'
import { expect } from 'vitest'
import type { EngineLaneCounts, EngineUse } from '../../src/core/index.js'
import { MemoryBroker, type MemoryEngine, type MemoryEngineOptions } from '../../src/testing/index.js'

export type ClusterLanes = Readonly<Record<string, Partial<LaneDefinition>>>

/** Options of a member: of its engine, and of its queue. It is started unless `start` is false. */
export type MemberOptions = MemoryEngineOptions &
  Omit<QueueOptions, 'lanes' | 'clock' | 'engine'> & {
    readonly start?: boolean
    readonly lanes?: ClusterLanes
    readonly handlers?: Readonly<Record<string, Handler>>
  }

export type ClusterOptions = {
  readonly lanes?: ClusterLanes
  readonly leaseMs?: number
  readonly latencyMs?: number
  readonly retention?: number
}

/** One of the queues. */
export class Member {
  readonly queue: QueueManager
  readonly engine: MemoryEngine
  readonly recorder: EventRecorder
  readonly #faults: unknown[] = []

  constructor(home: Cluster, seed: number, options: MemberOptions) {
    const { role, leaseMs, reconfigure, offlineTimeoutMs, lanes, handlers, start: _start, ...queueOptions } = options
    const engineOptions = { role, leaseMs, reconfigure, offlineTimeoutMs }
    const given = Object.entries(engineOptions).filter(([, value]) => value !== undefined)
    this.engine = home.broker.engine(Object.fromEntries(given) as MemoryEngineOptions)
    this.queue = new QueueManager({
      random: seededRandom(seed),
      onFault: (error) => this.#faults.push(error),
      ...queueOptions,
      lanes: laneDefinitions(lanes ?? home.lanes),
      clock: home.clock,
      engine: this.engine,
    })
    for (const [type, handler] of Object.entries(handlers ?? {})) this.queue.handle(type, handler)
    this.recorder = recordEvents(this.queue)
  }

  /** Faults that were told and not asked for yet, as `code` or `name: message`. */
  faults(): string[] {
    return this.#faults
      .splice(0)
      .map((error) => (error as { code?: string }).code ?? `${(error as Error).name}: ${(error as Error).message}`)
  }

  /** Keys of its events so far, without their first words; those of one command when a run or an id is given. */
  keys(of?: string | { readonly id: string }): string[] {
    const id = typeof of === 'object' ? of.id : of
    const isAbout = ({ payload }: LaneEvent): boolean =>
      id === undefined || (payload as { command_id?: string } | null)?.command_id === id
    return this.recorder.events.filter(isAbout).map(({ key }) => key.replace(/^queue\.(command\.)?/, ''))
  }
}

export class Cluster implements AsyncDisposable {
  readonly clock = new VirtualClock()
  readonly broker: MemoryBroker
  readonly lanes: ClusterLanes
  readonly members: Member[] = []
  /** What handlers have written, in order. */
  readonly notes: string[] = []
  readonly #latencyMs: number

  constructor({ lanes = { work: {} }, ...options }: ClusterOptions) {
    this.lanes = lanes
    this.#latencyMs = options.latencyMs ?? 0
    this.broker = new MemoryBroker({ clock: this.clock, ...options })
  }

  async join(options: MemberOptions = {}): Promise<Member> {
    const member = new Member(this, this.members.length + 1, options)
    this.members.push(member)
    if (options.start !== false) await member.queue.start()
    return member
  }

  /** A process that only submits, and one that only works. */
  async pair(worker: MemberOptions = {}): Promise<[Member, Member]> {
    return [await this.join({ role: 'coordinator' }), await this.join({ role: 'worker', ...worker })]
  }

  /** Waits in virtual time. */
  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => void this.clock.setTimer(ms, resolve))
  }

  /** Waits in virtual time; rejects with the signal's reason as soon as that aborts. */
  nap(ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const stop = (): void => {
        this.clock.clearTimer(timer)
        reject(signal.reason)
      }
      const timer = this.clock.setTimer(ms, () => {
        signal.removeEventListener('abort', stop)
        resolve()
      })
      if (signal.aborted) stop()
      else signal.addEventListener('abort', stop, { once: true })
    })
  }

  /** Lets time pass until a run has settled, and gives its value or rejects with its error. */
  async outcome<R>(run: CommandRun<R>, limitMs = 60_000): Promise<R> {
    const end = this.clock.now() + limitMs
    while (!isSettled(run) && this.clock.now() < end) await this.clock.advance(50)
    await this.clock.settle()
    expect(isSettled(run), `the run of '${run.commandType}' settles within ${limitMs} ms`).toBe(true)
    return run
  }

  /** Counts of the broker's lanes, by id. */
  async counts(): Promise<Record<string, EngineLaneCounts>> {
    const engine = this.broker.engine()
    const asked = engine.open(bystander(this.clock)).then(() => engine.counts())
    await this.clock.advance(2 * this.#latencyMs)
    const counts = await asked
    await engine.close()
    return Object.fromEntries(counts.map((lane) => [lane.laneId, lane]))
  }

  async close(member: Member, timeoutMs = 1): Promise<void> {
    const closed = member.queue.close({ timeoutMs })
    await this.clock.advance(timeoutMs + 1000)
    await closed
    member.recorder.stop()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { engine } of this.members) engine.mend()
    await this.clock.settle()
    for (const member of this.members) {
      await this.close(member)
      const { totalPending, totalActive, totalDelayed, totalSlots } = member.queue.stats()
      expect({ totalPending, totalActive, totalDelayed, totalSlots }, 'what is left after the end').toEqual({
        totalPending: 0,
        totalActive: 0,
        totalDelayed: 0,
        totalSlots: 0,
      })
    }
    for (const [index, member] of this.members.entries()) {
      expect(member.faults(), `faults of member ${index} that the test has not looked at`).toEqual([])
    }
    // Leases of members that were cut off run out.
    await this.clock.advance(20_000)
    for (const { laneId, active } of Object.values(await this.counts())) {
      expect({ laneId, active }, 'leases that are held after the end').toEqual({ laneId, active: 0 })
    }
    expect(this.clock.timers, 'timers that are set after the end').toBe(0)
  }
}

const isSettled = ({ state }: CommandRun): boolean =>
  state === 'completed' || state === 'failed' || state === 'timed_out' || state === 'cancelled'

export const cluster = (options: ClusterOptions = {}): Cluster => new Cluster(options)

/** Lanes as they are given to queues: a priority left out is the lane's place in the list. */
function laneDefinitions(lanes: ClusterLanes): Record<string, LaneDefinition> {
  const definitions = Object.entries(lanes).map(([id, lane], index) => [id, { priority: index, ...lane }])
  return Object.fromEntries(definitions) as Record<string, LaneDefinition>
}

const nothing = (): void => undefined

/** Somebody who looks on. */
export const bystander = (clock: VirtualClock): EngineUse => ({
  lanes: [],
  instanceId: 'bystander',
  now: () => clock.wallNow(),
  awaited: () => [],
  onOutcomes: nothing,
  onProgress: nothing,
  onWork: nothing,
  onCancel: nothing,
  onLane: nothing,
  onConnection: nothing,
  onFault: nothing,
})
