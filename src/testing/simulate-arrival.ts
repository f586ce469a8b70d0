/** What arrives in a simulation, and the work that it then is. */
import type { CommandContext, Random, SubmitOptions } from '../core/index.js'
import { checkNumber, invalid } from './simulate-checks.js'
import type { SimulatedClock } from './simulate-clock.js'

/**
 * Work in virtual time: it may wait for the clock (`clock.sleep(ms, context.signal)`) and for promises that need no time.
 * What it returns, throws or does with its context counts as a real handler's would.
 */
export type SimulatedHandler = {
  // A method's parameters may be narrower where it is assigned, so a handler may say what its payload is.
  handle(payload: unknown, context: CommandContext, clock: SimulatedClock): unknown
}['handle']

/** A command that arrives at an instant. */
export type Arrival = {
  /** Milliseconds since the start of the simulation; none may be earlier than the one before. */
  readonly at: number
  readonly laneId: string
  /** The command type. Default 'command'. */
  readonly type?: string | undefined
  readonly payload?: unknown
  /** What the result calls it in `order`. Default its id. */
  readonly name?: string | undefined
  /** What it is submitted with: priority, key, cost, delay, retry, deadline, dedupe and the rest. */
  readonly options?: SubmitOptions | undefined
  /**
   * Milliseconds that an attempt runs, or a function that draws them. Each command draws from random numbers of its own, so
   * another configuration of the lanes gets the very same work. Default 0.
   */
  readonly runsFor?: number | ((random: Random) => number) | undefined
  /** How many first attempts fail when their time is over, Infinity for all; or a function that says whether attempt 1, 2, … does. */
  readonly fails?: number | ((attempt: number, random: Random) => boolean) | undefined
  /** Work of its own, instead of `runsFor` and `fails`. */
  readonly run?: SimulatedHandler | undefined
}

/** What an attempt does. One that has to give up its slot leaves it, with the time that is left, to its resumption. */
export type Plan = { readonly attempt: number; readonly leftMs: number; readonly fails: boolean }

/** The plan of an attempt: the rest of it after a preemption, a new one otherwise. `CONFIG_INVALID` for a time that is none. */
export function planOf({ runsFor = 0, fails = 0 }: Arrival, context: CommandContext, random: Random): Plan {
  const { attempt } = context
  const rest = context.restored as Plan | undefined
  if (rest?.attempt === attempt) return rest
  const leftMs = typeof runsFor === 'number' ? runsFor : runsFor(random)
  checkNumber('arrival runsFor', leftMs, 0, Number.MAX_VALUE)
  return { attempt, leftMs, fails: typeof fails === 'number' ? attempt <= fails : fails(attempt, random) }
}

/** Carries a plan out. Gives way as soon as its signal aborts: preempted, it leaves the rest of its time behind. */
export async function carryOut(plan: Plan, context: CommandContext, clock: SimulatedClock): Promise<void> {
  const { signal } = context
  const since = clock.now()
  try {
    if (plan.leftMs > 0) await clock.sleep(plan.leftMs, signal)
  } catch {
    // It saves, and then rejects with the reason of the abort: the attempt ends here.
    await context.checkpoint({ ...plan, leftMs: plan.leftMs - (clock.now() - since) } satisfies Plan)
  }
  finish(plan)
}

/**
 * The same where only a cancellation can stop an attempt. Then nobody looks at how it ends, so it needs no signal, which
 * would be a third of the cost of a simulated command: `onStoppable` is told how to end it early.
 */
export async function carryOutPlainly(
  plan: Plan,
  clock: SimulatedClock,
  onStoppable: (stop: () => void) => void,
): Promise<void> {
  if (plan.leftMs > 0) {
    await new Promise<void>((resolve) => {
      const timer = clock.setTimer(plan.leftMs, resolve)
      onStoppable(() => {
        clock.clearTimer(timer)
        resolve()
      })
    })
  }
  finish(plan)
}

function finish({ attempt, fails }: Plan): void {
  if (fails) throw new Error(`Attempt ${attempt} fails, as its arrival says`)
}

/** Arrivals, one at a time. `CONFIG_INVALID` for what is no list of them, for a wrong order, and for more than `most`. */
export class ArrivalReader {
  readonly #iterator: Iterator<Arrival, unknown>
  readonly #most: number
  #next: Arrival | undefined
  #lastAt = 0
  /** How many were taken. */
  taken = 0

  constructor(arrivals: Iterable<Arrival>, most: number) {
    if (typeof arrivals?.[Symbol.iterator] !== 'function') throw invalid('simulate arrivals', 'iterable', arrivals)
    this.#iterator = arrivals[Symbol.iterator]()
    this.#most = most
    this.#read()
  }

  get hasMore(): boolean {
    return this.#next !== undefined
  }

  /** The instant of the next arrival; Infinity when there is none. */
  get nextAt(): number {
    return this.#next?.at ?? Number.POSITIVE_INFINITY
  }

  /** The next arrival; to be called only while there is one. */
  take(): Arrival {
    const arrival = this.#next as Arrival
    this.taken++
    this.#lastAt = arrival.at
    this.#read()
    return arrival
  }

  /** No more is wanted. */
  close(): void {
    this.#next = undefined
    this.#iterator.return?.()
  }

  #read(): void {
    const next = this.#iterator.next()
    this.#next = undefined
    if (next.done === true) return
    const { at, runsFor = 0 } = next.value
    checkNumber('arrival at', at, 0, Number.MAX_VALUE)
    if (at < this.#lastAt) throw invalid('arrival at', `${this.#lastAt} or more, as the one before`, at)
    if (typeof runsFor === 'number') checkNumber('arrival runsFor', runsFor, 0, Number.MAX_VALUE)
    if (this.taken >= this.#most)
      throw invalid('simulate untilMs', `given for more than ${this.#most} arrivals`, undefined)
    this.#next = next.value
  }
}
