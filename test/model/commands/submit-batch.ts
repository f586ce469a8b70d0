import type { BatchItem as LaneItem, SubmitOptions } from '@a3s-lab/lane'
import type { CommandSpec, SubmitSpec } from '../command-spec.js'
import type { DrivenQueue } from '../driven-queue.js'
import type { ReferenceQueue } from '../reference-queue.js'
import { adopt, type ModelCommand, pick } from './model-command.js'

/** Some items bring options of their own, which go before the common ones. */
export type BatchItem = { readonly spec: CommandSpec; readonly own?: SubmitSpec | undefined }

export class SubmitBatch implements ModelCommand {
  readonly #lane: number
  readonly #items: readonly BatchItem[]
  readonly #common: SubmitSpec

  constructor(lane: number, items: readonly BatchItem[], common: SubmitSpec) {
    this.#lane = lane
    this.#items = items
    this.#common = common
  }

  check(): boolean {
    return true
  }

  run(model: ReferenceQueue, real: DrivenQueue): void {
    const { id: laneId } = pick(model.lanes, this.#lane)
    const expected = this.#items.map(({ spec, own }) => model.submit(laneId, spec, { ...this.#common, ...own }))
    const commands = this.#items.map(
      ({ spec, own }): LaneItem =>
        own === undefined ? real.commandOf(spec) : [real.commandOf(spec), own as unknown as SubmitOptions],
    )
    const runs = real.queue.submitBatch(laneId, commands, this.#common as object)
    for (const [index, run] of runs.entries()) adopt(real, run, expected[index] as (typeof expected)[number])
  }

  toString(): string {
    return `batch ${JSON.stringify([this.#lane, this.#items, this.#common])}`
  }
}
