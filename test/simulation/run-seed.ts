/** Runs one seed, and says what came of it. */
import { checkers } from './checkers/index.js'
import { runDurable } from './durable/index.js'
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
  /** The half that runs on a storage: as the seed draws it (the default), that alone, or none. */
  readonly storage?: 'drawn' | 'only' | 'none' | undefined
  readonly log?: ((line: string) => void) | undefined
  /** Told of what is wrong as soon as it is seen. */
  readonly onViolation?: ((violation: Violation) => void) | undefined
}

export async function runSeed(seed: number, settings: SeedSettings): Promise<SeedResult> {
  const { available, commands, storage = 'drawn', log, onViolation } = settings
  const options = drawOptions(seed, available, commands)
  const first = storage === 'only' ? undefined : await runWorld(options, settings)
  if (storage === 'none' || (first !== undefined && first.violations.length > 0)) return first as SeedResult
  const second = await runDurable(options, { isWanted: storage === 'only', log, onViolation })
  if (second === undefined) return first as SeedResult
  return {
    seed,
    options,
    hash: `${first?.hash ?? ''}${second.hash}`,
    violations: second.violations,
    commands: (first?.commands ?? 0) + second.commands,
    events: (first?.events ?? 0) + second.events,
    starts: (first?.starts ?? 0) + second.starts,
    virtualMs: (first?.virtualMs ?? 0) + second.virtualMs,
  }
}

/** The half without a storage. */
async function runWorld(options: SimOptions, { log, onViolation }: SeedSettings): Promise<SeedResult> {
  const { seed } = options
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
