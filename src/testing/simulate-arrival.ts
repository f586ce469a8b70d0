/** What arrives in a simulation, and the work that it then is. */
import type { CommandContext, Random, SubmitOptions } from '../core/index.js'
import { checkNumber } from './simulate-checks.js'
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

/** What an attempt that gave up its slot leaves for its resumption. */
type Rest = { readonly attempt: number; readonly leftMs: number }

/**
 * Runs for the time of the arrival, and fails if it says so. Gives way as soon as its signal aborts: preempted, it goes on
 * later with the rest of its time; a retry takes the whole time anew.
 */
export async function takeTime(
  { runsFor = 0, fails = 0 }: Arrival,
  context: CommandContext,
  clock: SimulatedClock,
  random: Random,
): Promise<void> {
  const { attempt, signal } = context
  const rest = context.restored as Rest | undefined
  const timeMs = rest?.attempt === attempt ? rest.leftMs : typeof runsFor === 'number' ? runsFor : runsFor(random)
  checkNumber('arrival runsFor', timeMs, 0, Number.MAX_VALUE)
  const since = clock.now()
  try {
    if (timeMs > 0) await clock.sleep(timeMs, signal)
  } catch (reason) {
    await context.checkpoint({ attempt, leftMs: timeMs - (clock.now() - since) } satisfies Rest)
    throw reason
  }
  const isFailing = typeof fails === 'number' ? attempt <= fails : fails(attempt, random)
  if (isFailing) throw new Error(`Attempt ${attempt} fails, as its arrival says`)
}
