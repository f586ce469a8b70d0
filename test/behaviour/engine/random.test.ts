/**
 * Three workers and two submitters at random: commands of all kinds, cancellations, pauses, workers that are cut off for
 * longer than a lease, messages that get lost. Whatever happened: each accepted command has one outcome, every process
 * agrees on it, it was told once, and nothing is held at the end.
 */
import {
  type CommandRun,
  type Handler,
  type LaneError,
  RetryAfterError,
  RetryPolicy,
  type SubmitOptions,
  snooze,
  UnrecoverableError,
} from '@a3s-lab/lane'
import { seededRandom } from '@a3s-lab/lane/testing'
import { expect, test } from 'vitest'
import { type Cluster, cluster, type Member } from '../../support/cluster.js'

const LANES = ['high', 'work', 'low'] as const
const EXPECTED_FAULT = /LEASE_LOST|ENGINE_UNAVAILABLE|did not stop/
const REFUSALS = ['ENGINE_UNAVAILABLE', 'COMMAND_CANCELLED']
const FINAL = ['completed', 'failed', 'timeout', 'cancelled']
const ENDS = ['retry', 'delayed', 'preempted', 'completed', 'failed', 'timeout', 'cancelled']
const WAITS = ['recovered', 'started', 'cancelled', 'failed']
/** What may come after what, for one command in one process; `(` stands for the beginning. Others may come any time. */
const AFTER: Readonly<Record<string, readonly string[]>> = {
  '(': ['submitted', ...WAITS],
  submitted: ['delayed', ...WAITS],
  delayed: WAITS,
  recovered: ['started'],
  // a lost lease ends an attempt without an event of its own, but for its fault
  started: ['resumed', 'recovered', 'started', ...ENDS],
  resumed: ['recovered', 'started', ...ENDS],
  retry: WAITS,
  preempted: WAITS,
  completed: [],
  failed: [],
  timeout: [],
  cancelled: [],
}

class Storm {
  readonly c: Cluster
  readonly random: { next(): number }
  readonly runs: CommandRun[] = []
  readonly workers: Member[] = []
  readonly submitters: Member[] = []
  mends: { readonly member: Member; readonly at: number }[] = []

  constructor(c: Cluster, seed: number) {
    this.c = c
    this.random = seededRandom(seed)
  }

  below(limit: number): number {
    return Math.floor(this.random.next() * limit)
  }

  one<T>(of: readonly T[]): T {
    return of[this.below(of.length)] as T
  }

  handler(): Handler {
    return async (_payload, { attempt, checkpoint, progress, signal, yield: giveWay }) => {
      switch (this.below(12)) {
        case 0:
          throw new Error(`attempt ${attempt}`)
        case 1:
          throw new UnrecoverableError('never')
        case 2:
          return snooze(this.below(300))
        case 3:
          throw new RetryAfterError(this.below(300), { scope: this.one(['command', 'lane']) })
        case 4:
          // takes no notice of its signal
          await this.c.sleep(this.below(400))
          return 'stubborn'
        case 5:
          await checkpoint({ attempt })
          await this.c.nap(this.below(300), signal)
          await checkpoint({ attempt, done: true })
          return 'saved'
        case 6:
          progress(attempt)
          await this.c.nap(this.below(100), signal)
          await giveWay()
          return 'yielded'
        case 7:
          return null
        default:
          await this.c.nap(this.below(200), signal)
          return attempt
      }
    }
  }

  options(): SubmitOptions {
    return {
      ...(this.below(3) === 0 ? { priority: this.below(2000) } : {}),
      ...(this.below(4) === 0 ? { delayMs: this.below(500) } : {}),
      ...(this.below(4) === 0 ? { timeoutMs: 50 + this.below(200) } : {}),
      ...(this.below(2) === 0 ? { retry: RetryPolicy.fixed(1 + this.below(3), this.below(100)) } : {}),
      ...(this.below(6) === 0 ? { id: `own ${this.below(5)}` } : {}),
    }
  }

  async step(): Promise<void> {
    const { c } = this
    const dice = this.below(20)
    if (dice < 8) this.runs.push(this.one(this.submitters).queue.submit(this.one(LANES), { type: 'x' }, this.options()))
    else if (dice === 8 && this.runs.length > 0) this.one(this.runs).cancel('by chance')
    else if (dice === 9 && this.runs.length > 0) this.one(this.submitters).queue.cancel(this.one(this.runs).id, 'by id')
    else if (dice === 10 && this.below(3) === 0) this.one(this.submitters).queue.lane(this.one(LANES)).pause()
    else if (dice === 11) for (const lane of LANES) this.one(this.submitters).queue.lane(lane).resume()
    else if (dice === 12 && this.below(3) === 0) this.cut(this.one([...this.workers, ...this.submitters]))
    else if (dice === 13) this.one([...this.workers, ...this.submitters]).engine.dropMessages = this.below(2) === 0
    else await c.clock.advance(this.below(100))
    for (const { member, at } of this.mends) if (at <= c.clock.now()) member.engine.mend()
    this.mends = this.mends.filter(({ at }) => at > c.clock.now())
  }

  cut(member: Member): void {
    member.engine.cut()
    this.mends.push({ member, at: this.c.clock.now() + this.below(3000) })
  }
}

/** Events of one process about each command. */
function eventsOf(member: Member): Map<string, string[]> {
  const events = new Map<string, string[]>()
  for (const { key, payload } of member.recorder.events) {
    const { command_id: id } = (payload ?? {}) as { readonly command_id?: string }
    if (id === undefined) continue
    const list = events.get(id) ?? []
    list.push(key.replace(/^queue\.(command\.)?/, ''))
    events.set(id, list)
  }
  return events
}

/** What happened out of order in one process, in words. */
function outOfOrder(member: Member): string[] {
  const wrong: string[] = []
  for (const [id, keys] of eventsOf(member)) {
    let last = '('
    for (const key of keys.filter((one) => one in AFTER)) {
      if (AFTER[last]?.includes(key) !== true) wrong.push(`${key} after ${last} of ${id} in ${keys.join(' ')}`)
      last = key
    }
  }
  return wrong
}

/** Commands that have no outcome, more than one, or one on which the processes do not agree, in words. */
async function wrongOutcomes({ c, runs }: Storm): Promise<string[]> {
  const { queue } = c.members[0] as Member
  const told = new Map<string, string[]>()
  for (const member of c.members) {
    for (const [id, keys] of eventsOf(member)) {
      told.set(id, [...(told.get(id) ?? []), ...keys.filter((key) => FINAL.includes(key))])
    }
  }
  const wrong: string[] = []
  for (const run of new Set(runs)) {
    const refusal = await run.accepted.then(
      () => undefined,
      (error: unknown) => (error as LaneError).code,
    )
    if (refusal !== undefined) {
      if (!REFUSALS.includes(refusal)) wrong.push(`${run.id} is refused: ${refusal}`)
      continue
    }
    const state = (await queue.get(run.id))?.state
    if (state !== run.state) wrong.push(`${run.id} is ${run.state} for its submitter, and ${state} for others`)
    const outcomes = told.get(run.id) ?? []
    if (outcomes.length !== 1)
      wrong.push(`the outcome of ${run.id} was told ${outcomes.length} times: ${outcomes.join(' ')}`)
  }
  return wrong
}

/** Three workers, one of which submits too, and two that only submit. */
async function storm(c: Cluster, seed: number): Promise<Storm> {
  const made = new Storm(c, seed)
  for (let count = 0; count < 2; count++) {
    made.submitters.push(await c.join({ role: 'coordinator', offlineTimeoutMs: 1000 }))
  }
  for (let count = 0; count < 3; count++) {
    const options = { maxConcurrency: 1 + count, offlineTimeoutMs: 1000, handlers: { x: made.handler() } }
    made.workers.push(await c.join({ role: count === 0 ? 'both' : 'worker', ...options }))
  }
  made.submitters.push(made.workers[0] as Member)
  return made
}

/** The weather clears: everybody is reached again, nothing is paused, and there is time. */
async function clears({ c, submitters }: Storm): Promise<void> {
  for (const { engine } of c.members) {
    engine.mend()
    engine.dropMessages = false
  }
  // A pause that has waited for its engine comes before this.
  await c.clock.advance(1000)
  for (const lane of LANES) submitters[0]?.queue.lane(lane).resume()
  await c.clock.advance(60_000)
}

const seeds = Array.from({ length: 12 }, (_, index) => index + 1)

test.for(seeds)('a storm of seed %i ends with one outcome for each command', async (seed) => {
  await using c = cluster({
    leaseMs: 500,
    lanes: {
      high: { maxConcurrency: 4, preempts: true, minConcurrency: 0, zombieGraceMs: 1000 },
      work: { maxConcurrency: 3, preemptible: true, minConcurrency: 0, zombieGraceMs: 1000 },
      low: { maxConcurrency: 6, preemptible: true, minConcurrency: 0, zombieGraceMs: 1000, maxRecoveries: 5 },
    },
  })
  const made = await storm(c, seed)
  for (let steps = 0; steps < 400; steps++) await made.step()
  await clears(made)
  const strange = c.members.flatMap((member) => member.faults()).filter((fault) => !EXPECTED_FAULT.test(fault))
  expect(strange, 'faults').toEqual([])
  const waiting = made.runs.filter(({ state }) => ['pending', 'delayed', 'active'].includes(state))
  expect(
    waiting.map(({ id, state }) => [id, state]),
    'what has no outcome',
  ).toEqual([])
  expect(await wrongOutcomes(made)).toEqual([])
  expect(c.members.flatMap(outOfOrder)).toEqual([])
  for (const { queue } of c.members)
    expect(queue.stats()).toMatchObject({ totalActive: 0, totalPending: 0, totalSlots: 0 })
  for (const lane of Object.values(await c.counts())) expect(lane).toMatchObject({ pending: 0, active: 0, delayed: 0 })
})
