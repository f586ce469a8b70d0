/**
 * Runs a configuration of lanes against arrivals, in virtual time: the real queue, so what it shows is what the lanes do.
 * A minute of traffic takes milliseconds, and the same options give the same result.
 *
 * At one instant comes first what is due in the queue and in its work, one thing after the other with all that follows
 * from it; then the arrivals of the instant, together: a command that ends when another arrives has left its slot.
 */
import { type CommandContext, QueueManager, type QueueOptions, type Random, UnrecoverableError } from '../core/index.js'
import { seededRandom } from './seeded-random.js'
import {
  type Arrival,
  ArrivalReader,
  carryOut,
  carryOutPlainly,
  type Plan,
  planOf,
  type SimulatedHandler,
} from './simulate-arrival.js'
import { checkNumber } from './simulate-checks.js'
import { SimulatedClock } from './simulate-clock.js'
import { DEFAULT_TYPE, type FollowedCommand, Ledger, type Origin } from './simulate-ledger.js'
import type { Simulation } from './simulate-report.js'

/**
 * Options of a simulation: those of the queue, without what the simulation brings itself, and the arrivals. A
 * `RateLimitGroup` remembers what it granted: name a group by a text, or give each simulation a group of its own.
 */
export type SimulationOptions<L extends string = string> = Omit<QueueOptions<L>, 'clock' | 'random' | 'events'> & {
  /** What arrives, in order of time. May be endless when `untilMs` is given. */
  readonly arrivals: Iterable<Arrival>
  /** Another seed draws other times, other jitter and other ids. Default 1. */
  readonly seed?: number | undefined
  /**
   * The work of arrivals that have none of `run`, `runsFor` and `fails`, and of commands that other work submits under the
   * type of an arrival. Default none: they take no time.
   */
  readonly handler?: SimulatedHandler | undefined
  /**
   * The end in milliseconds: what arrives or ends later is not seen. Default when everything has its outcome or nothing can
   * happen any more, at the latest after a year; then there may be at most 1,000,000 arrivals.
   */
  readonly untilMs?: number | undefined
  /** Whether the result has every event. Default false. */
  readonly keepEvents?: boolean | undefined
}

/** An end for those that name none. */
const LONGEST_MS = 365 * 24 * 3_600_000
/** Arrivals that a simulation without an end of its own reads before it takes them for endless. */
const MOST_ARRIVALS = 1_000_000
/** Steps at one instant, for each command so far and for none, after which time is taken to stand still for good. */
const MOST_STEPS_EACH = 100
const MOST_STEPS = 10_000
/** 2^32 divided by the golden ratio (Knuth, TAOCP 3, 6.4): seeds of neighbours lie far apart. */
const GOLDEN = 0x9e_37_79_b1

/**
 * Runs a configuration of lanes against arrivals in virtual time, and tells who waited how long, who started when, and how
 * busy the lanes were. Work takes the time that its arrival says (`runsFor`) and gives its slot up when it is asked to; or
 * it is a function of yours (`run`, `handler`).
 *
 * Rejects with `CONFIG_INVALID` for options, lanes or arrivals that are not allowed, `LANE_NOT_FOUND` for an arrival in a
 * lane that is not there, and whatever else a submit is refused with; a full lane (`QUEUE_FULL`) is a result.
 */
export async function simulate<L extends string>(options: SimulationOptions<L>): Promise<Simulation<L>> {
  const simulator = new Simulator(options)
  try {
    return await simulator.run()
  } finally {
    await simulator.close()
  }
}

class Simulator<L extends string> {
  readonly #clock = new SimulatedClock()
  readonly #queue: QueueManager<L>
  readonly #lanes: QueueOptions<L>['lanes']
  readonly #ledger: Ledger<L>
  readonly #arrivals: ArrivalReader
  readonly #handler: SimulatedHandler | undefined
  readonly #types = new Set<string>()
  readonly #seed: number
  readonly #untilMs: number | undefined
  /** Timers and starts since time passed last. */
  #stepsNow = 0
  /** What is wrong with an arrival or with work that showed it only when it ran. */
  #fault: Error | undefined
  /** Bodies that the end has cut off are nobody's fault. */
  #isOver = false

  constructor(options: SimulationOptions<L>) {
    const { arrivals, seed = 1, handler, untilMs, keepEvents = false, onFault, ...queue } = options
    checkNumber('simulate seed', seed, 0, Number.MAX_SAFE_INTEGER)
    if (untilMs !== undefined) checkNumber('simulate untilMs', untilMs, 0, Number.MAX_SAFE_INTEGER)
    this.#arrivals = new ArrivalReader(arrivals, untilMs === undefined ? MOST_ARRIVALS : Number.POSITIVE_INFINITY)
    this.#queue = new QueueManager<L>({
      ...queue,
      clock: this.#clock,
      random: seededRandom(seed),
      onFault: (error) => {
        if (!this.#isOver) onFault?.(error)
      },
    })
    this.#lanes = queue.lanes
    this.#ledger = new Ledger(this.#queue, Object.keys(queue.lanes) as L[], this.#clock, keepEvents)
    this.#handler = handler
    this.#seed = seed
    this.#untilMs = untilMs
  }

  /** Lets everything happen in order of time, and tells about it. */
  async run(): Promise<Simulation<L>> {
    const clock = this.#clock
    const endMs = this.#untilMs ?? LONGEST_MS
    await this.#queue.start()
    await clock.settle()
    while (this.#arrivals.hasMore || this.#ledger.unsettled > 0) {
      const timerAt = clock.nextAt
      const at = Math.min(timerAt, this.#arrivals.nextAt)
      if (at > endMs) {
        if (this.#untilMs !== undefined) this.#passTo(this.#untilMs)
        break
      }
      this.#passTo(at)
      if (timerAt > at) await this.#admit(at)
      else {
        this.#step()
        clock.fireNext()
      }
      await clock.settle()
      if (this.#fault !== undefined) throw this.#fault
    }
    this.#ledger.passes(0)
    return await this.#ledger.close()
  }

  /** Ends the queue, so that it leaves what it shares with others. */
  async close(): Promise<void> {
    const clock = this.#clock
    let isClosed = false
    this.#isOver = true
    this.#arrivals.close()
    void this.#queue.close({ timeoutMs: 0 }).then(() => {
      isClosed = true
    })
    while (!isClosed) {
      clock.fireNext()
      await clock.settle()
    }
  }

  #passTo(at: number): void {
    const ms = at - this.#clock.now()
    if (ms <= 0) return
    this.#ledger.passes(ms)
    this.#clock.moveTo(at)
    this.#stepsNow = 0
  }

  /** One more thing that takes no time. */
  #step(): void {
    const most = MOST_STEPS + MOST_STEPS_EACH * this.#ledger.size
    if (++this.#stepsNow <= most) return
    // Final: it has to end a command that comes back by itself, again and again.
    this.#fault ??= new UnrecoverableError(
      `Time stands still at ${this.#clock.now()} ms, for ${most} timers and starts`,
    )
    throw this.#fault
  }

  /** Submits what arrives at an instant, all of it in one stretch. */
  async #admit(at: number): Promise<void> {
    while (this.#arrivals.nextAt === at) {
      const arrival = this.#arrivals.take()
      const { laneId, type = DEFAULT_TYPE, payload, options } = arrival
      if (!this.#types.has(type)) this.#queue.handle(type, this.#work)
      this.#types.add(type)
      const origin = { arrival, random: seededRandom(this.#seed + Math.imul(this.#arrivals.taken, GOLDEN)) }
      const refused = this.#ledger.enter(origin, () => this.#queue.submit(laneId, { type, payload }, options))
      if (refused !== undefined) await refused
    }
  }

  /** The handler of every type. */
  readonly #work = (payload: unknown, context: CommandContext): unknown => {
    this.#step()
    const command = this.#ledger.command(context.id)
    const { run, runsFor, fails } = command?.origin?.arrival ?? {}
    const work = run ?? (runsFor === undefined && fails === undefined ? this.#handler : undefined)
    if (work !== undefined) return work(payload, context, this.#clock)
    return command?.origin === undefined ? undefined : this.#takeTime(command, command.origin, context)
  }

  #takeTime(command: FollowedCommand, { arrival, random }: Origin, context: CommandContext): Promise<void> {
    const plan = this.#plan(arrival, context, random)
    const { preemptible = false, timeoutMs } = this.#lanes[arrival.laneId as L]
    if (preemptible || (arrival.options?.timeoutMs ?? timeoutMs) !== undefined)
      return carryOut(plan, context, this.#clock)
    return carryOutPlainly(plan, this.#clock, (stop) => {
      command.stop = stop
    })
  }

  /** What an arrival says wrongly of its time is no failure of its command: it ends the simulation. */
  #plan(arrival: Arrival, context: CommandContext, random: Random): Plan {
    try {
      return planOf(arrival, context, random)
    } catch (error) {
      this.#fault ??= error as Error
      throw error
    }
  }
}
