/**
 * Random histories of the queue against a reference of arrays and sorting: after every step both have to show the same
 * states, starts, outcomes, counts and events, and an observer from outside has to find no limit broken.
 */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { AdvanceTime, EndBody, type ModelCommand, ResumeLane, Shutdown, Start } from './commands/index.js'
import { expectAgreement, expectRest } from './comparison.js'
import { DrivenQueue } from './driven-queue.js'
import { history } from './histories.js'
import { type QueueSpec, ReferenceQueue } from './reference-queue.js'
import { checkHistories, keptSeeds } from './runs.js'

class History {
  readonly #model: ReferenceQueue
  readonly #real: DrivenQueue
  readonly #done: string[] = []

  constructor(spec: QueueSpec) {
    this.#model = new ReferenceQueue(spec)
    this.#real = new DrivenQueue(spec, 1)
  }

  async apply(step: ModelCommand): Promise<void> {
    if (!step.check(this.#model)) return
    this.#done.push(String(step))
    await step.run(this.#model, this.#real)
    this.#model.settle()
    await this.#real.clock.settle()
    expectAgreement(this.#model, this.#real, `after ${this.#done.length} steps, the last: ${step.toString()}`)
  }

  /** Lets everything come to its end: what was accepted has to settle, and nothing may be left behind. */
  async finish(): Promise<void> {
    await this.apply(new Start())
    for (const index of this.#model.lanes.keys()) await this.apply(new ResumeLane(index))
    for (let round = 0; !this.#isAtRest(); round++) {
      if (round === 500) throw new Error('the queue does not come to rest')
      while (this.#model.bodies.some(({ isEnding }) => !isEnding)) await this.apply(new EndBody(0, { kind: 'return' }))
      if (this.#model.alarms.length > 0) await this.apply(new AdvanceTime(10))
    }
    await this.apply(new AdvanceTime(100))
    await this.apply(new Shutdown())
    expectRest(this.#model, this.#real)
    for (const { end } of this.#real.bodies) end({ kind: 'return' })
    await this.#real.clock.settle()
    assert.deepEqual(this.#real.queueEvents, ['queue.shutdown.started', 'queue.shutdown.complete'])
  }

  #isAtRest(): boolean {
    return this.#model.unsettled.length === 0 && this.#model.bodies.length === 0
  }
}

const agrees = fc.asyncProperty(history, async ({ spec, startsAtOnce, steps, shutdownAt }) => {
  const run = new History(spec)
  if (startsAtOnce) await run.apply(new Start())
  for (const [index, step] of steps.entries()) {
    if (index === shutdownAt) await run.apply(new Shutdown())
    await run.apply(step)
  }
  await run.finish()
})

test('a queue does what the reference does, whatever happens to it', async () => {
  expect(await checkHistories(agrees)).toBeGreaterThan(0)
}, 600_000)

test.each(keptSeeds())(
  'the kept history of seed $seed agrees',
  async (kept) => {
    expect(await checkHistories(agrees, kept)).toBeGreaterThan(0)
  },
  600_000,
)
