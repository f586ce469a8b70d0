/** What attempts have really cost, on real servers: answers that are lost, what is kept, and queues that wait for a rate. */
import { type CommandContext, QueueManager, type RateLimitFields } from '@a3s-lab/lane'
import { Redis } from 'ioredis'
import { describe, type TestContext, test } from 'vitest'
import { BullMQEngine } from '../../src/bullmq/index.js'
import type { Claim, EngineLane } from '../../src/core/index.js'
import { postgresMissing, startPostgres } from '../support/postgres.js'
import { redisMissing, startRedis } from '../support/redis.js'
import { startProxy, type TcpProxy } from '../support/tcp-proxy.js'
import { DrivenEngine, laneOf, pause, until } from './driven-engine.js'

const LONG_MS = 600_000
const limit = (more: Partial<RateLimitFields> = {}): RateLimitFields => ({
  maxCommands: 100,
  windowMs: LONG_MS,
  unit: 'tokens',
  ...more,
})
const bucket = laneOf('bucket', { rateLimits: [limit()] })
const window = laneOf('window', { rateLimits: [limit({ algorithm: 'sliding-window' })] })

const servers = [
  {
    name: 'Redis',
    skip: redisMissing() !== undefined,
    start: () => startRedis(),
    urlAt: (port: number) => `redis://127.0.0.1:${port}`,
  },
  {
    name: 'Postgres',
    skip: postgresMissing() !== undefined,
    start: () => startPostgres(),
    urlAt: (port: number) => `postgres://lane@127.0.0.1:${port}/lane`,
  },
] as const

async function begun({ laneId }: EngineLane, here: DrivenEngine, cost: number): Promise<Claim> {
  await here.engine.add([here.command(`${laneId}-${here.token()}`, laneId, { cost: String(cost) })])
  return await here.mustClaim(laneId)
}

/** Asks for something while the answer to it is lost: it is asked again. */
async function unanswered(here: DrivenEngine, proxy: TcpProxy, ask: () => Promise<void>): Promise<void> {
  here.connection.length = 0
  proxy.loseAnswers()
  const asked = ask()
  await until(() => here.connection.includes(false), 'the connection is lost')
  proxy.flow()
  await asked
}

describe.concurrent('what attempts have really cost', { timeout: 60_000 }, () => {
  for (const { name, skip, start, urlAt } of servers) {
    test(`on ${name} counts once when the answer to it is lost`, { skip }, async ({ expect, onTestFinished }) => {
      const server = await start()
      onTestFinished(() => server.stop())
      const proxy = await startProxy(server.port)
      onTestFinished(() => proxy.stop())
      const options = { connection: urlAt(proxy.port), namespace: 'lost' }
      await using here = await new DrivenEngine(options, [bucket, window]).open()
      for (const lane of [bucket, window]) {
        const claim = await begun(lane, here, 50)
        const charge = (number: number, after: string): Promise<void> =>
          here.engine.charge(claim.lease, { number, before: '50', after })
        await unanswered(here, proxy, () => charge(1, '70'))
        await unanswered(here, proxy, () => charge(2, '40'))
        await begun(lane, here, 60)
        await here.engine.add([here.command(`${lane.laneId} more`, lane.laneId, { cost: '1' })])
        const answer = await here.engine.claim(lane.laneId, here.token())
        expect(answer).toMatchObject({ claim: undefined, why: 'rate_limited' })
      }
      expect(here.faults).toEqual([])
    })

    test(`on ${name} lets a queue that waits for the rate start at once`, { skip }, async (context) => {
      const { expect } = context
      const server = await start()
      context.onTestFinished(() => server.stop())
      const queue = (): QueueManager => queueOn(server.url, context)
      const [first, second] = [queue(), queue()]
      let began = 0
      const ask = async (_: unknown, { charge }: CommandContext): Promise<void> => {
        began++
        await pause(400)
        charge({ tokens: 10 })
      }
      for (const one of [first, second]) {
        one.handle('ask', ask)
        await one.start()
      }
      const asked = [first, second].map((one) => one.submit('prompt', { type: 'ask' }, { cost: { tokens: 90 } }))
      await until(() => began === 1, 'one of them starts')
      await Promise.all(asked)
      expect(began).toBe(2)
    })
  }

  test('is kept on Redis for as long as it counts, and no longer', {
    skip: redisMissing() !== undefined,
  }, async ({ expect, onTestFinished }) => {
    const server = await startRedis()
    onTestFinished(() => server.stop())
    const client = new Redis(server.url)
    onTestFinished(() => client.disconnect())
    await using here = await new DrivenEngine({ connection: server.url, namespace: 'kept' }, [bucket, window]).open()
    const keys = {
      level: '{kept}:bucket:~rate:token-bucket 600000 tokens',
      grants: '{kept}:window:~rate:sliding-window 600000 tokens',
    }
    const charging = async (lane: EngineLane, ...totals: number[]): Promise<void> => {
      const { lease } = await begun(lane, here, 50)
      for (const [at, total] of totals.entries())
        await here.engine.charge(lease, { number: at + 1, before: '50', after: String(total) })
    }
    const sum = async (): Promise<number> => {
      const members = await client.zrange(keys.grants, '0', '-1')
      return members.reduce((all, member) => all + Number(member.split(' ')[0]), 0)
    }

    await charging(bucket, 200)
    // a debt of 100 below a burst of 100, at 100 in ten minutes
    expect(await client.pttl(keys.level)).toBeGreaterThan(2 * LONG_MS - 10_000)
    await charging(window, 80, 20.5)
    expect([await sum(), Number(await client.get(`${keys.grants}:sum`))]).toEqual([20.5, 20.5])
    expect(await client.pttl(`${keys.grants}:sum`)).toBeGreaterThan(LONG_MS - 10_000)
    await charging(window, 0)
    expect([await sum(), Number(await client.get(`${keys.grants}:sum`))]).toEqual([20.5, 20.5])
    expect((await client.zrange(keys.grants, '0', '-1')).length).toBe(1)
  })
})

function queueOn(url: string, { onTestFinished }: TestContext): QueueManager {
  const lanes = { prompt: { priority: 0, maxConcurrency: 5, rateLimit: limit() } }
  const queue = new QueueManager({ lanes, engine: new BullMQEngine({ connection: url, namespace: 'queues' }) })
  onTestFinished(() => queue.close({ timeoutMs: 500 }))
  return queue
}
