/** What attempts have really cost reaches the rate limits that an engine keeps over all workers. */
import {
  type CommandContext,
  type Cost,
  type Handler,
  type LaneDefinition,
  type RateLimitFields,
  RetryPolicy,
} from '@a3s-lab/lane'
import { expect, test } from 'vitest'
import type { EngineCharge } from '../../../src/core/index.js'
import { type Cluster, type ClusterLanes, cluster, type Member } from '../../support/cluster.js'
import { errorOf } from '../../support/setup.js'

/** A token each 10 ms. */
const bucket: RateLimitFields = { maxCommands: 100, windowMs: 1000, unit: 'tokens' }
const window: RateLimitFields = { ...bucket, algorithm: 'sliding-window' }
const limited = (rateLimit: LaneDefinition['rateLimit']): ClusterLanes => ({ work: { maxConcurrency: 10, rateLimit } })

/** What a command does: runs so long, and then says what it has cost. */
type Ask = { readonly ms?: number; readonly costs?: readonly Cost[] }

/** Handlers that write down when they start. */
const asking = (c: Cluster, at: number[]): Readonly<Record<string, Handler>> => ({
  ask: async (payload: unknown, { charge }: CommandContext) => {
    const { ms = 0, costs = [] } = payload as Ask
    at.push(c.clock.now())
    if (ms > 0) await c.sleep(ms)
    for (const cost of costs) charge(cost)
  },
})

/** A submitter and two workers. */
async function crew(c: Cluster, handlers: Readonly<Record<string, Handler>>): Promise<[Member, Member, Member]> {
  const submitter = await c.join({ role: 'coordinator' })
  return [submitter, await c.join({ role: 'worker', handlers }), await c.join({ role: 'worker', handlers })]
}

/** A submitter and a worker, where each call takes its time. */
async function slowPair(c: Cluster, handlers: Readonly<Record<string, Handler>>): Promise<[Member, Member]> {
  const joining = [c.join({ role: 'coordinator' }), c.join({ role: 'worker', handlers })] as const
  await c.clock.advance(100)
  return await Promise.all(joining)
}

/** Submits what costs so much by its own estimate. */
const ask = ({ queue }: Member, cost: Cost | undefined, payload: Ask = {}, laneId = 'work') =>
  queue.submit(laneId, { type: 'ask', payload }, { cost })

/** Every charge that the engine of a member is told. */
function toldOf({ engine }: Member): EngineCharge[] {
  const told: EngineCharge[] = []
  const charge = engine.charge.bind(engine)
  engine.charge = (lease, one) => {
    told.push(one)
    return charge(lease, one)
  }
  return told
}

test('what an attempt costs beyond its estimate is a debt that holds back every worker', async () => {
  await using c = cluster({ lanes: limited(bucket) })
  const at: number[] = []
  const [a] = await crew(c, asking(c, at))
  void ask(a, 50, { costs: [150] })
  await c.clock.advance(1)
  for (let n = 0; n < 2; n++) void ask(a, 10)
  await c.clock.advance(2000)
  // 50 too much, then 10 for each
  expect(at).toEqual([0, 600, 700])
})

test('what was too much is given back at once: a worker that waits for the rate starts sooner than it was told', async () => {
  await using c = cluster({ lanes: limited(bucket) })
  const at: number[] = []
  const [a] = await crew(c, asking(c, at))
  void ask(a, 100, { ms: 50, costs: [20] })
  await c.clock.advance(10)
  void ask(a, 80)
  await c.clock.advance(2000)
  expect(at).toEqual([0, 50])
})

test('in a window less than the estimate lowers the record of the start, more is a record of its own', async () => {
  await using c = cluster({ lanes: limited(window) })
  const at: number[] = []
  const [a] = await crew(c, asking(c, at))
  void ask(a, 100, { ms: 300, costs: [40] })
  await c.clock.advance(10)
  void ask(a, 50, { ms: 100, costs: [70] })
  await c.clock.advance(500)
  void ask(a, 1)
  await c.clock.advance(3000)
  // 110 from 400 on: 40 of them are a window old at 1000
  expect(at).toEqual([0, 300, 1000])
})

test('the last of several totals counts, and only the last that waits is told', async () => {
  await using c = cluster({ lanes: limited(bucket), latencyMs: 5 })
  const at: number[] = []
  const [a, b] = await slowPair(c, asking(c, at))
  const told = toldOf(b)
  void ask(a, 10, { costs: [500, 30, 80, 90] })
  await c.clock.advance(100)
  expect(told).toEqual([
    { number: 1, before: '10', after: '500' },
    { number: 2, before: '10', after: '90' },
  ])
  const from = at[0] as number
  void ask(a, 50)
  await c.clock.advance(1000)
  // 10 are left of 100, so 40 more have to come
  expect((at[1] as number) - from).toBeGreaterThanOrEqual(400)
  expect((at[1] as number) - from).toBeLessThan(450)
})

test('what waits for the answer to an earlier charge is told when that is there, not only at the end', async () => {
  await using c = cluster({ lanes: limited(bucket), latencyMs: 5 })
  const handlers = {
    ask: async (_: unknown, { charge }: CommandContext) => {
      for (const cost of [20, 30, 40]) charge(cost)
      await c.sleep(1000)
    },
  }
  const [a, b] = await slowPair(c, handlers)
  const told = toldOf(b)
  const run = ask(a, 10)
  await c.clock.advance(100)
  expect([told.map(({ after }) => after), b.queue.stats().totalActive]).toEqual([['20', '40'], 1])
  await c.outcome(run)
  expect(told).toHaveLength(2)
})

test('totals that are said one after the other are told each, and the second time one is said it is not', async () => {
  await using c = cluster({ lanes: limited([bucket, { maxCommands: 1000, windowMs: 1000 }]) })
  const handlers = {
    ask: async (_: unknown, { charge }: CommandContext) => {
      for (const cost of [10, 40, 40, { tokens: 40, usd: 7 }, { usd: 7 }]) {
        charge(cost)
        await c.sleep(10)
      }
    },
  }
  const [a, b] = await c.pair({ handlers })
  const told = toldOf(b)
  await Promise.all([ask(a, 10), c.clock.advance(100)])
  // a limit of commands counts a start, whatever it costs
  expect(told.map(({ number, after }) => [number, after])).toEqual([
    [1, '40'],
    [2, '{"usd":7}'],
  ])
})

test('each attempt is charged for itself, and one that fails gives back what it did not use', async () => {
  await using c = cluster({ lanes: limited(bucket) })
  const at: number[] = []
  const handlers = {
    flaky: (_: unknown, { charge, attempt }: CommandContext) => {
      at.push(c.clock.now())
      charge(attempt === 1 ? 0 : 60)
      if (attempt === 1) throw new Error('refused')
    },
    ...asking(c, at),
  }
  const [a] = await crew(c, handlers)
  const retry = RetryPolicy.fixed(1, 10)
  const run = a.queue.submit('work', { type: 'flaky' }, { cost: 100, retry })
  await c.clock.advance(10)
  await run
  void ask(a, 60)
  await c.clock.advance(1000)
  // the second attempt takes 100 again and gives 40 back
  expect(at).toEqual([0, 10, 210])
})

test('workers share a limit in tokens: what all of them really use is what it allows', async () => {
  await using c = cluster({ lanes: limited(bucket) })
  const at: number[] = []
  const [a, ...workers] = await crew(c, asking(c, at))
  const told = workers.map(toldOf)
  // estimated far too low, and one after the other: each starts when those before are paid
  for (let n = 0; n < 20; n++) {
    void ask(a, 1, { costs: [50] })
    await c.clock.advance(1)
  }
  await c.clock.advance(60_000)
  expect(at).toHaveLength(20)
  expect(at.at(-1)).toBeGreaterThanOrEqual((19 * 50 + 1 - 100) * 10)
  expect(at.at(-1)).toBeLessThan(19 * 50 * 10)
  expect(told.every((charges) => charges.length > 0)).toBe(true)
})

test('a limit of a group is corrected for all of its lanes', async () => {
  const rateLimit = { ...bucket, group: 'provider' }
  await using c = cluster({ lanes: { one: { rateLimit }, two: { rateLimit } } })
  const at: number[] = []
  const [a] = await crew(c, asking(c, at))
  void ask(a, 100, { ms: 50, costs: [10] }, 'one')
  await c.clock.advance(10)
  void ask(a, 90, { costs: [190] }, 'two')
  await c.clock.advance(100)
  void ask(a, 6, {}, 'one')
  await c.clock.advance(3000)
  // all 90 came back at 50, and 100 more than those are a debt
  expect(at).toEqual([0, 50, 1060])
})

test('a charge that the engine cannot take is a fault, and the handler goes on', async () => {
  await using c = cluster({ lanes: limited(bucket) })
  const at: number[] = []
  const [a, b] = await c.pair({ handlers: asking(c, at) })
  const charge = b.engine.charge.bind(b.engine)
  b.engine.charge = () => Promise.reject(new Error('no room'))
  const run = ask(a, 50, { costs: [150] })
  await c.outcome(run)
  expect([run.state, b.faults()]).toEqual(['completed', ['Error: no room']])
  const told = b.recorder.events.find(({ key }) => key === 'queue.fault')
  expect(told?.payload).toMatchObject({ lane_id: 'work', command_id: run.id })
  b.engine.charge = charge
  // the estimate stands
  void ask(a, 50, { costs: [0] })
  await c.clock.advance(0)
  expect(at).toEqual([0, 50])
})

test('an engine that throws is a fault, too, and one that takes no charges is told none', async () => {
  await using c = cluster({ lanes: limited(bucket) })
  const at: number[] = []
  const [a, b] = await c.pair({ handlers: asking(c, at) })
  b.engine.charge = () => {
    throw new Error('broken')
  }
  await c.outcome(ask(a, 10, { costs: [20] }))
  expect(b.faults()).toEqual(['Error: broken'])
  Object.assign(b.engine, { charge: undefined })
  await c.outcome(ask(a, 10, { costs: [20] }))
  expect([at.length, b.faults()]).toEqual([2, []])
})

test('charges go out before the end of their command, also those that waited for an answer', async () => {
  await using c = cluster({ lanes: limited(bucket), latencyMs: 20 })
  const at: number[] = []
  const [a, b] = await slowPair(c, asking(c, at))
  void ask(a, 100, { costs: [90, 0] })
  await c.clock.advance(200)
  const [from] = at as [number]
  void ask(a, 100)
  await c.clock.advance(200)
  expect([at.length, (at[1] as number) - from < 300, b.faults()]).toEqual([2, true, []])
})

test('a charge under a lost lease is not told', async () => {
  await using c = cluster({ lanes: limited(bucket), leaseMs: 1000 })
  const at: number[] = []
  const stubborn = async (_: unknown, { charge }: CommandContext): Promise<void> => {
    at.push(c.clock.now())
    await c.sleep(at.length === 1 ? 5000 : 1)
    charge(1000)
  }
  const [a, b] = await c.pair({ handlers: { stubborn }, offlineTimeoutMs: 500 })
  const told = toldOf(b)
  const run = a.queue.submit('work', { type: 'stubborn' }, { cost: 10 })
  await c.clock.advance(10)
  b.engine.cut()
  await c.clock.advance(3000)
  b.engine.mend()
  await c.clock.advance(6000)
  expect(b.faults()).toEqual(['LEASE_LOST'])
  await c.outcome(run)
  expect([told.length, at.length]).toEqual([1, 2])
})

test('nobody hears of a charge on its way when its lease is lost', async () => {
  await using c = cluster({ lanes: limited(bucket), leaseMs: 1000 })
  const handlers = {
    ask: async (_: unknown, { charge, signal }: CommandContext) => {
      await c.nap(100, signal)
      charge(20)
      await c.nap(60_000, signal)
    },
  }
  const [a, b] = await c.pair({ handlers, offlineTimeoutMs: 3000 })
  const told = toldOf(b)
  const run = ask(a, undefined)
  await c.clock.advance(50)
  b.engine.cut()
  await c.clock.advance(5000)
  expect([told, b.faults()]).toEqual([[{ number: 1, before: undefined, after: '20' }], ['LEASE_LOST']])
  b.engine.mend()
  run.cancel()
  await errorOf(c.outcome(run))
})

test('nobody hears of a charge on its way when its queue has closed', async () => {
  await using c = cluster({ lanes: limited(bucket) })
  const [a, b] = await c.pair({ handlers: asking(c, []) })
  const told = toldOf(b)
  void ask(a, 10, { ms: 100, costs: [20] })
  await c.clock.advance(50)
  b.engine.cut()
  await c.clock.advance(100)
  await c.close(b)
  await c.clock.advance(5000)
  expect([told.length, b.faults()]).toEqual([1, []])
})

test('a command that was cancelled has nothing more to tell while its body stops', async () => {
  await using c = cluster({ lanes: limited(bucket), latencyMs: 20 })
  const handlers = {
    ask: async (_: unknown, { charge, signal }: CommandContext) => {
      await c.nap(60_000, signal).catch(() => undefined)
      charge(1000)
    },
  }
  const [a, b] = await slowPair(c, handlers)
  const told = toldOf(b)
  const run = ask(a, 10)
  await c.clock.advance(100)
  run.cancel()
  await errorOf(c.outcome(run))
  expect(told).toEqual([])
})

test('what was preempted is charged for all of its parts', async () => {
  const lanes = {
    control: { priority: 0, preempts: true, minConcurrency: 0 },
    work: { priority: 5, preemptible: true, minConcurrency: 0, rateLimit: bucket },
  }
  await using c = cluster({ lanes })
  const paged = async (_: unknown, { charge, checkpoint, restored, signal }: CommandContext): Promise<void> => {
    charge(restored === undefined ? 30 : 70)
    await checkpoint('first')
    await c.nap(100, signal)
  }
  const a = await c.join({ role: 'coordinator' })
  const handlers = { paged, quick: () => 'quick' }
  const b = await c.join({ role: 'worker', maxConcurrency: 1, handlers })
  const told = toldOf(b)
  const low = a.queue.submit('work', { type: 'paged' }, { cost: 20 })
  await c.clock.advance(50)
  await c.outcome(a.queue.submit('control', { type: 'quick' }))
  await c.outcome(low)
  // the estimate was taken again for the second part
  expect(told).toEqual([
    { number: 1, before: '20', after: '30' },
    { number: 1, before: '50', after: '70' },
  ])
})

test('a lane without limits tells nothing, and a wrong cost is the failure of its attempt', async () => {
  await using c = cluster({ lanes: { work: {}, limited: { rateLimit: bucket } } })
  const at: number[] = []
  const [a, b] = await c.pair({ handlers: asking(c, at) })
  const told = toldOf(b)
  await c.outcome(ask(a, 10, { costs: [20] }))
  const error = await errorOf(c.outcome(ask(a, 10, { costs: [-1] }, 'limited')))
  expect([error, told]).toMatchObject([{ code: 'CONFIG_INVALID', option: 'charge cost' }, []])
})
