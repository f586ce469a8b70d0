/** Runs one seed, and says what came of it. */
import { checkers } from './checkers/index.js'
import { type Available, drawOptions, type SimOptions } from './options.js'
import type { Violation } from './picture.js'
import { World } from './world.js'

export type SeedResult = {
  readonly seed: number
  readonly options: SimOptions
  readonly hash: string
  readonly violations: readonly Violation[]
  readonly commands: number
  readonly events: number
  readonly starts: number
  readonly virtualMs: number
}

export type SeedSettings = {
  readonly available: Available
  readonly commands?: number | undefined
  readonly log?: ((line: string) => void) | undefined
  /** Told of what is wrong as soon as it is seen. */
  readonly onViolation?: ((violation: Violation) => void) | undefined
}

export async function runSeed(
  seed: number,
  { available, commands, log, onViolation }: SeedSettings,
): Promise<SeedResult> {
  const options = drawOptions(seed, available, commands)
  const world = new World(options, checkers)
  world.observer.log = log
  const { picture } = world
  picture.onViolation = onViolation
  const report = (reason: unknown): void => picture.report('I22', `unhandled: ${describeError(reason)}`)
  process.on('unhandledRejection', report)
  // stacks of errors that are thrown on purpose cost half of the time
  const { stackTraceLimit } = Error
  Error.stackTraceLimit = log === undefined ? 0 : stackTraceLimit
  try {
    await world.run()
    // what nobody handled is told once the event loop turns
    await new Promise((resolve) => setImmediate(resolve))
  } catch (error) {
    picture.report('I22', `thrown: ${describeError(error)}`)
  } finally {
    Error.stackTraceLimit = stackTraceLimit
    process.off('unhandledRejection', report)
  }
  return {
    seed,
    options,
    hash: world.observer.hash.text,
    violations: picture.violations,
    commands: picture.accepted,
    events: world.observer.events,
    starts: picture.starts,
    virtualMs: picture.now,
  }
}

const describeError = (error: unknown): string =>
  error instanceof Error ? (error.stack ?? String(error)) : String(error)
