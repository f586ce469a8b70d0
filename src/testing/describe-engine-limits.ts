/** Promises of an engine about the limits of a lane, which hold over all workers. */
import type { RateLimitFields } from '../policy/index.js'
import type { EnginePeer } from './describe-engine-peer.js'
import { type EngineCase, type EngineStage, lane } from './describe-engine-stage.js'
import { holds, present, refuses, same } from './describe-storage-stage.js'

/** A claim that was given: no earlier than `from`, no later than `to`, by the clock of whoever asked. */
type Grant = { readonly from: number; readonly to: number }

/** Instants are rounded to milliseconds on the way. */
const ROUNDED_MS = 2

/**
 * Claims and settles for a time with two workers, as often as the lane gives something and when it says. `longestMs`: after
 * so long there is something again, whatever was taken. Who is refused waits no longer than that, and gets something then:
 * so a lane gives not much less than it may, however slow the engine is.
 */
async function grantsFor(
  stage: EngineStage,
  workers: readonly EnginePeer[],
  { ms, longestMs }: { readonly ms: number; readonly longestMs: number },
): Promise<Grant[]> {
  const grants: Grant[] = []
  let refused = 0
  const end = stage.clock.now() + ms
  for (let turn = 0; stage.clock.now() < end; turn++) {
    const worker = workers[turn % workers.length] as EnginePeer
    const from = stage.clock.now()
    const answer = await worker.ask()
    if (answer.claim === undefined) {
      const waitMs = present(answer.retryAt, 'when it is worth asking again') - stage.now()
      holds(
        waitMs <= longestMs + ROUNDED_MS,
        `worth asking again in ${waitMs} ms, and something is there in ${longestMs}`,
      )
      refused++
      await stage.sleep(Math.max(1, waitMs))
      continue
    }
    grants.push({ from, to: stage.clock.now() })
    await worker.settle(answer.claim)
  }
  // a timer may be early by a millisecond
  holds(refused <= 2 * grants.length + 2, `refused ${refused} times, and ${grants.length} were started`)
  return grants
}

/** Two workers of a lane with a limit, and commands enough. */
async function limited(stage: EngineStage, limit: RateLimitFields, cost?: string): Promise<EnginePeer[] | undefined> {
  const workers = await stage.pair([lane('lane', { rateLimits: [limit] })])
  const [first] = workers
  if (!first.engine.capabilities.rateLimits) return undefined
  await first.add(...Array.from({ length: 60 }, () => first.command({ cost })))
  return workers
}

/** At most `burst` and what has flowed since, in any interval. */
function keepsBucket(grants: readonly Grant[], burst: number, perMs: number): void {
  for (const [i, first] of grants.entries()) {
    for (const [j, last] of grants.entries()) {
      if (j < i) continue
      const most = burst + (last.to - first.from + ROUNDED_MS) * perMs
      holds(j - i + 1 <= most + 1e-9, `${j - i + 1} were started in ${last.to - first.from} ms, at most ${most} may`)
    }
  }
}

const limits: readonly EngineCase[] = [
  [
    'limit-concurrency',
    'runs at most as many commands of a lane at once as it allows, over all workers',
    async (stage) => {
      const [first, second] = await stage.pair([lane('lane', { maxConcurrency: 3 })])
      await first.add(...Array.from({ length: 6 }, () => first.command()))
      const claims = [await first.claim(), await second.claim(), await first.claim()]
      await first.finds('full')
      await second.finds('full')
      await first.settle(claims[0] as (typeof claims)[0])
      await second.claim()
      await first.finds('full')
      await first.release(claims[2] as (typeof claims)[0])
      await second.claim()
      await first.finds('full')
    },
  ],
  [
    'limit-next',
    'passes a slot of a full lane on with the end of a lease',
    async (stage) => {
      const [first, second] = await stage.pair([lane('lane', { maxConcurrency: 1 })])
      for (let n = 0; n < 3; n++) await first.submit()
      const { next } = await first.settle(await first.claim(), {}, first.newToken())
      const claim = present(next?.claim, 'the next command of the full lane')
      await second.finds('full')
      await first.delay(claim, 60_000)
      await second.claim()
    },
  ],
  [
    'limit-capacity',
    'refuses a command with QUEUE_FULL when as many wait as the lane holds',
    async (stage) => {
      const [first, second] = await stage.pair([lane('lane', { capacity: 2 })])
      await first.submit()
      await second.submit({ dueAt: Math.ceil(stage.now()) + 60_000 })
      await refuses(() => first.submit(), 'QUEUE_FULL', 'a submit beyond the capacity')
      await refuses(() => second.submit(), 'QUEUE_FULL', 'a submit beyond the capacity by another')
      const claim = await second.claim()
      await first.submit()
      await refuses(() => first.submit(), 'QUEUE_FULL', 'a submit when it is full again')
      await second.release(claim)
      same((await first.runAll()).length, 2, 'what comes back has its place in a full lane')
    },
  ],
  [
    'pause-all',
    'starts nothing in a paused lane on any worker, and tells them',
    async (stage) => {
      const [first, second] = await stage.pair()
      const id = await first.submit()
      await first.submit()
      await first.submit({ laneId: 'other' })
      const claim = await second.claim()
      await first.engine.pause('lane')
      await first.finds('paused')
      await second.finds('paused')
      const told = (paused: boolean) => (): boolean =>
        second.changes.some(([laneId, change]) => laneId === 'lane' && change.paused === paused)
      await stage.until(told(true), 'the other is told of the pause')
      await second.claim('other')
      await second.settle(claim, {}, second.newToken())
      same((await first.outcomeOf(id)).state, 'completed', 'what ran when the lane was paused')
      await first.submit()
      await second.engine.resume('lane')
      same((await first.runAll()).length, 2, 'what the lane gives after its resume')
      await stage.until(told(false), 'the other is told of the resume')
    },
  ],
  [
    'configure-all',
    'holds new limits of a lane at once on every worker, and tells them',
    async (stage) => {
      const settings = lane('lane', { maxConcurrency: 1, capacity: 10 })
      const [first, second] = await stage.pair([settings])
      for (let n = 0; n < 5; n++) await first.submit()
      const claim = await first.claim()
      await second.finds('full')
      await first.engine.configure({ ...settings, maxConcurrency: 3, capacity: 3 })
      const told = (): boolean => second.changes.some(([, change]) => change.lane?.maxConcurrency === 3)
      await stage.until(told, 'the other is told of the new limits')
      await second.claim()
      await second.claim()
      await second.finds('full')
      await second.submit()
      await refuses(() => second.submit(), 'QUEUE_FULL', 'a submit beyond the new capacity')
      await first.engine.configure({ ...settings, maxConcurrency: 2, capacity: 3 })
      await first.settle(claim)
      await second.finds('full')
      await first.engine.configure({ ...settings, maxConcurrency: Number.POSITIVE_INFINITY })
      same((await first.runAll()).length, 3, 'what runs without a limit')
    },
  ],
]

const rates: readonly EngineCase[] = [
  [
    'rate-bucket',
    'starts at most the burst and what has flowed since in any interval, and not much less',
    async (stage) => {
      const workers = await limited(stage, { maxCommands: 10, windowMs: 500, burst: 4 })
      if (workers === undefined) return
      const grants = await grantsFor(stage, workers, { ms: 1000, longestMs: 50 })
      keepsBucket(grants, 4, 10 / 500)
    },
  ],
  [
    'rate-window',
    'starts at most maxCommands in any window of a sliding limit, and not much less',
    async (stage) => {
      const workers = await limited(stage, { maxCommands: 4, windowMs: 300, algorithm: 'sliding-window' })
      if (workers === undefined) return
      const grants = await grantsFor(stage, workers, { ms: 1000, longestMs: 300 })
      for (const [index, { from }] of grants.entries()) {
        const beyond = grants[index + 4]
        const tookMs = beyond === undefined ? Number.POSITIVE_INFINITY : beyond.to - from
        holds(tookMs >= 300 - ROUNDED_MS, `5 were started in ${tookMs} ms, 4 may be in 300`)
      }
    },
  ],
  [
    'rate-units',
    'counts a limit in its unit what a command costs',
    async (stage) => {
      const workers = await limited(
        stage,
        { maxCommands: 30, windowMs: 500, burst: 9, unit: 'tokens' },
        '{"tokens":3,"usd":100}',
      )
      if (workers === undefined) return
      const grants = await grantsFor(stage, workers, { ms: 600, longestMs: 50 })
      keepsBucket(grants, 3, 10 / 500)
    },
  ],
  [
    'rate-cost-default',
    'counts a command without a cost as one of any unit, and one that names others as none',
    async (stage) => {
      const [first, second] = await stage.pair([
        lane('lane', { rateLimits: [{ maxCommands: 2, windowMs: 60_000, unit: 'tokens' }] }),
      ])
      if (!first.engine.capabilities.rateLimits) return
      for (const cost of ['{"usd":5}', undefined, '1', '{"usd":5}', '1']) await first.submit({ cost })
      for (let n = 0; n < 4; n++) await (n % 2 === 0 ? first : second).claim()
      const retryAt = present(await first.finds('rate_limited'), 'when it is worth asking again')
      const waitMs = retryAt - stage.now()
      holds(waitMs > 20_000 && waitMs < 31_000, `the next token is there in 30 s, and said to be in ${waitMs} ms`)
    },
  ],
  [
    'hold-all',
    'starts nothing in a lane that is held, on any worker, until that is over',
    async (stage) => {
      const [first, second] = await stage.pair()
      await first.submit()
      await first.submit({ laneId: 'other' })
      await second.engine.hold('lane', 300)
      const heldAt = stage.clock.now()
      const retryAt = present(await first.finds('rate_limited'), 'when it is worth asking again')
      const waitMs = retryAt - stage.now()
      holds(waitMs > 100 && waitMs <= 400, `a hold of 300 ms is said to end in ${waitMs} ms`)
      await first.claim('other')
      await second.finds('rate_limited')
      await stage.claimWithin(700, first)
      const tookMs = stage.clock.now() - heldAt
      holds(tookMs >= 300 - 50, `a hold of 300 ms was over after ${tookMs} ms`)
    },
  ],
]

export const limitCases: readonly EngineCase[] = [...limits, ...rates]
