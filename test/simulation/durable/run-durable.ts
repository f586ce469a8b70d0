/** Runs the durable half of a seed. */
import type { SimOptions } from '../options.js'
import type { Violation } from '../picture.js'
import { DurableWorld } from './durable-world.js'
import { drawDurable } from './options.js'

export type DurableResult = {
  readonly hash: string
  readonly violations: readonly Violation[]
  readonly commands: number
  readonly events: number
  readonly starts: number
  readonly virtualMs: number
}

export type DurableSettings = {
  /** Also when the seed draws none. */
  readonly isWanted: boolean
  readonly log?: ((line: string) => void) | undefined
  readonly onViolation?: ((violation: Violation) => void) | undefined
}

export async function runDurable(
  sim: SimOptions,
  { isWanted, log, onViolation }: DurableSettings,
): Promise<DurableResult | undefined> {
  const options = drawDurable(sim, isWanted)
  if (options === undefined) return undefined
  log?.(JSON.stringify(options.durable))
  const world = new DurableWorld(options)
  world.log = log
  world.onViolation = onViolation
  const report = (reason: unknown): void => world.report('I22', `unhandled: ${textOf(reason)}`)
  process.on('unhandledRejection', report)
  process.on('uncaughtException', report)
  try {
    await world.run()
    await new Promise((resolve) => setImmediate(resolve))
  } catch (error) {
    world.report('I22', `thrown: ${textOf(error)}`)
  } finally {
    process.off('unhandledRejection', report)
    process.off('uncaughtException', report)
  }
  const { violations, events, starts } = world
  const commands = world.truth.commands.size
  return { hash: world.hash.text, violations, commands, events, starts, virtualMs: world.clock.now }
}

const textOf = (error: unknown): string => (error instanceof Error ? (error.stack ?? String(error)) : String(error))
