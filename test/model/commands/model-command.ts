/** One step of a history: done to the reference and to the real queue, which are compared after it. */
import type { CommandSpec, SubmitSpec } from '../command-spec.js'
import type { DrivenQueue } from '../driven-queue.js'
import type { Body, Command, ReferenceQueue } from '../reference-queue.js'

export interface ModelCommand {
  /** Whether there is anything to do it to. */
  check(model: ReferenceQueue): boolean
  run(model: ReferenceQueue, real: DrivenQueue): void | Promise<void>
  toString(): string
}

/** The item that a drawn number means: numbers are drawn before anybody knows how many items there will be. */
export const pick = <T>(items: readonly T[], at: number): T => items[at % items.length] as T

/** The command's own options; `sameIdAs` takes the id of an earlier command. */
export type SubmitChoice = {
  readonly lane: number
  readonly spec: CommandSpec
  readonly options: SubmitSpec
  readonly sameIdAs?: number | undefined
}

/** Submits to both; the answers have to agree. */
export function submitBoth(model: ReferenceQueue, real: DrivenQueue, choice: SubmitChoice, parent?: Body): void {
  const { id: laneId } = pick(model.lanes, choice.lane)
  const options = optionsOf(model, choice)
  const expected = model.submit(laneId, choice.spec, options, parent)
  const liveParent = parent && real.body(parent.command.n, parent.attempt)
  const run = real.submit(laneId, choice.spec, options, liveParent)
  adopt(real, run, expected)
}

function optionsOf(model: ReferenceQueue, { options, sameIdAs }: SubmitChoice): SubmitSpec {
  if (sameIdAs === undefined || model.commands.length === 0) return options
  const { id } = pick(model.commands, sameIdAs)
  return id === undefined ? options : { ...options, id }
}

/** Pairs what the reference answered with what the queue gave. */
export function adopt(real: DrivenQueue, run: ReturnType<DrivenQueue['submit']>, expected: Command | string): void {
  if (typeof expected === 'string') return real.expectRefusal(run, expected)
  if (expected.n < real.runs.length) {
    if (run !== real.runs[expected.n]?.run) real.faults.push(`the id of command ${expected.n} gave another run`)
    return
  }
  real.track(run)
  expected.id ??= run.id
}
