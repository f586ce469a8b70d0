/** What is the adapter's own: other BullMQ programs, rate limits of the server, connections. The rest is in the conformance suite. */
import { Queue, QueueEvents } from 'bullmq'
import { Cluster, Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Claim, EngineLane } from '../../src/core/index.js'
import { type RedisServer, redisMissing, startRedis } from '../support/redis.js'
import { DrivenEngine, laneOf, pause, until } from './driven-engine.js'

const skip = redisMissing() !== undefined

describe('the engine on BullMQ', { skip }, () => {
  let server: RedisServer
  let spaces = 0

  beforeAll(async () => {
    server = await startRedis()
  })

  afterAll(async () => {
    await server.stop()
  })

  const space = (): string => `test${++spaces}`

  test('a command is claimed by another process and its outcome comes back', async () => {
    const namespace = space()
    const lanes = [laneOf('query'), laneOf('a lane: with spaces')]
    await using here = await new DrivenEngine({ connection: server.url, namespace }, lanes).open()
    await using there = await new DrivenEngine({ connection: server.url, namespace }, lanes).open()
    there.engine.watch(['query', 'a lane: with spaces'])

    const answers = await here.engine.add([
      here.command('one', 'query', { payload: '{"a":"ü"}', options: '{"x":1}' }),
      here.command('12:3', 'a lane: with spaces', { payload: undefined, priority: 7 }),
    ])
    expect(answers).toEqual([{ kind: 'accepted' }, { kind: 'accepted' }])
    await until(() => there.work.includes('query') && there.work.includes('a lane: with spaces'), 'both lanes wake')

    const one = await there.mustClaim('query')
    expect(one.command).toEqual(
      here.command('one', 'query', { payload: '{"a":"ü"}', options: '{"x":1}', createdAt: one.command.createdAt }),
    )
    const two = await there.mustClaim('a lane: with spaces')
    expect(two.command).toMatchObject({ id: '12:3', payload: undefined, priority: 7 })
    expect(await there.complete(one, '{"b":2}')).toBe(true)
    expect(await there.complete(two, undefined)).toBe(true)
    await until(() => here.outcomes.length === 2, 'both outcomes arrive')
    expect(here.outcomes[0]).toMatchObject({ id: 'one', state: 'completed', result: '{"b":2}' })
    expect(here.outcomes[1]).toMatchObject({ id: '12:3', state: 'completed', result: undefined })
    expect([here.faults, there.faults]).toEqual([[], []])
    expect(await there.complete(one, '1')).toBe(false)
    expect(await there.complete({ ...one, lease: { ...one.lease, token: 'another' } }, '1')).toBe(false)
    expect(await there.engine.claim('query', 't')).toMatchObject({ claim: undefined, why: 'empty' })
  })

  test('whatever characters a type and a payload have, it is claimed as it was submitted', async () => {
    await using here = await new DrivenEngine({ connection: server.url, namespace: space() }, [laneOf('query')]).open()
    const given = ['a\0b', '\0', 'data\0name', '', '\u2028 "\\'].map((commandType, n) =>
      here.command(`${n}`, 'query', { commandType, payload: n === 1 ? undefined : JSON.stringify(commandType) }),
    )
    await here.engine.add(given)
    const claims = await Promise.all(given.map(() => here.mustClaim('query')))
    expect(claims.map(({ command }) => command)).toEqual(given)
  })

  test('a plain BullMQ program adds to a lane, waits for its job, and reads what Lane has done', async () => {
    const namespace = space()
    const connection = { host: '127.0.0.1', port: server.port }
    const queue = new Queue('query', { connection, prefix: `{${namespace}}` })
    const events = new QueueEvents('query', { connection, prefix: `{${namespace}}` })
    try {
      await events.waitUntilReady()
      await using here = await new DrivenEngine({ connection: server.url, namespace }, [laneOf('query')]).open()
      here.engine.watch(['query'])
      const good = await queue.add('mail', { to: 'x' }, { attempts: 3, backoff: 10 })
      const bad = await queue.add('mail', { to: 'y' })
      await until(() => here.work.includes('query'), 'a foreign job wakes the lane')

      const first = await here.mustClaim('query')
      expect(first.command).toMatchObject({ id: `bull:query:${good.id}`, commandType: 'mail', payload: '{"to":"x"}' })
      expect(JSON.parse(first.command.options ?? '')).toMatchObject({ retry: { maxRetries: 2, initialMs: 10 } })
      const second = await here.mustClaim('query')
      await here.complete(first, '{"sent":true}')
      await here.fail(second, 'no such address')
      expect(await good.waitUntilFinished(events, 2000)).toEqual({ sent: true })
      await expect(bad.waitUntilFinished(events, 2000)).rejects.toThrow('no such address')
      expect(await here.engine.find(`bull:query:${good.id}`)).toMatchObject({ state: 'completed' })

      await here.engine.add([here.command('ours', 'query', { priority: 3, dueAt: Date.now() + 60_000 })])
      const [shown] = await queue.getJobs(['delayed'])
      expect(shown).toMatchObject({ id: 'ours', name: 'test', data: { id: 'ours' }, priority: 4 })
      expect(await queue.getJobCounts('completed', 'failed', 'delayed')).toEqual({
        completed: 1,
        failed: 1,
        delayed: 1,
      })
      expect((await queue.getJobs(['failed'])).map(({ failedReason }) => failedReason)).toEqual(['no such address'])
      expect(here.faults).toEqual([])
    } finally {
      await events.close()
      await queue.close()
    }
  })

  test('a bucket grants its burst and then its rate, over all workers', async () => {
    const rateLimits = [{ maxCommands: 20, windowMs: 1000, burst: 5 }]
    const starts = await startsOf(rateLimits, 15, 900)
    for (const [index, from] of starts.entries()) {
      const within = starts.slice(index)
      for (const [count, to] of within.entries()) {
        // what the server's clock and ours may differ in the measuring: a claim is answered a little after it is made
        expect(count + 1).toBeLessThanOrEqual(5 + ((to - from + 40) * 20) / 1000)
      }
    }
    expect(starts.length).toBeGreaterThanOrEqual(15)
  })

  test('a sliding window grants no more in any window, over all workers', async () => {
    const rateLimits = [{ maxCommands: 4, windowMs: 300, algorithm: 'sliding-window' as const }]
    const starts = await startsOf(rateLimits, 12, 950)
    for (let index = 4; index < starts.length; index++) {
      expect((starts[index] as number) - (starts[index - 4] as number)).toBeGreaterThan(260)
    }
    expect(starts.length).toBeGreaterThanOrEqual(12)
  })

  test('a command takes as many units as it costs, and one that nothing is left for waits', async () => {
    const namespace = space()
    const rateLimits = [{ maxCommands: 100, windowMs: 1000, unit: 'tokens' }]
    await using here = await new DrivenEngine({ connection: server.url, namespace }, [
      laneOf('query', { rateLimits }),
    ]).open()
    await here.engine.add([
      here.command('large', 'query', { cost: '{"tokens":90}' }),
      here.command('larger', 'query', { cost: '{"tokens":60}' }),
    ])
    await here.mustClaim('query')
    const answer = await here.engine.claim('query', here.token())
    expect(answer).toMatchObject({ claim: undefined, why: 'rate_limited' })
    const { retryAt } = answer as { retryAt: number }
    expect(retryAt - Date.now()).toBeGreaterThan(300)
    expect(retryAt - Date.now()).toBeLessThan(520)
  })

  test('what a worker has lost is recovered with its priority, and its late end is refused', async () => {
    const namespace = space()
    const options = { connection: server.url, namespace, leaseMs: 300 }
    await using here = await new DrivenEngine(options, [laneOf('query', { maxConcurrency: 1 })]).open()
    await here.engine.add([
      here.command('first', 'query', { priority: 1 }),
      here.command('later', 'query', { priority: 5 }),
      here.command('urgent', 'query', { priority: 0 }),
    ])
    const urgent = await here.mustClaim('query')
    await here.complete(urgent, '0')
    const lost = await here.mustClaim('query')
    expect(lost.command.id).toBe('first')
    expect(await here.engine.claim('query', here.token())).toMatchObject({ why: 'full' })
    let again: Claim | undefined
    await until(async () => {
      again = await here.claim('query')
      return again !== undefined
    }, 'the lost command comes back')
    expect(again).toMatchObject({ command: { id: 'first' }, recoveries: 1, isRecovered: true })
    expect(await here.complete(lost, '"late"')).toBe(false)
    expect(await here.complete(again as Claim, '"once"')).toBe(true)
    await until(() => here.outcomes.length === 2, 'one outcome of each')
    expect(here.outcomes.map(({ id, result }) => [id, result])).toEqual([
      ['urgent', '0'],
      ['first', '"once"'],
    ])
  })

  test('a lane that is full or limited is not asked for again and again', async () => {
    const namespace = space()
    const lanes = [
      laneOf('full', { maxConcurrency: 1 }),
      laneOf('limited', { rateLimits: [{ maxCommands: 1, windowMs: 60_000 }] }),
    ]
    await using here = await new DrivenEngine({ connection: server.url, namespace }, lanes).open()
    await here.engine.add([1, 2].flatMap((n) => lanes.map(({ laneId }) => here.command(`${laneId}${n}`, laneId))))
    let asked = 0
    here.onWork = (laneId) => {
      asked++
      void here.claim(laneId)
    }
    here.engine.watch(['full', 'limited'])
    await until(async () => (await here.engine.counts()).every(({ active }) => active === 1), 'one of each runs')
    await pause(100)
    const settled = asked
    await pause(400)
    expect(asked - settled).toBeLessThanOrEqual(1)
  })

  test('an idle worker sends almost nothing', async () => {
    const namespace = space()
    const lanes = ['a', 'b', 'c', 'd', 'e', 'f'].map((laneId) => laneOf(laneId))
    await using here = await new DrivenEngine({ connection: server.url, namespace }, lanes).open()
    here.engine.watch(lanes.map(({ laneId }) => laneId))
    await pause(100)
    const before = await commandsOf(server)
    await pause(1500)
    // a sweep of every lane each second, and what this looks at itself; those of a script count one by one
    expect((await commandsOf(server)) - before).toBeLessThan(150)
    expect(here.engine.facts()).toMatchObject({ engine: 'bullmq', connections: 3, connected: true, appendonly: 'off' })
  })

  test('lanes with other limits are refused unless they are to be changed for all', async () => {
    const namespace = space()
    const base = { connection: server.url, namespace }
    await using here = await new DrivenEngine(base, [laneOf('query', { maxConcurrency: 2 })]).open()
    const other = [laneOf('query', { maxConcurrency: 3, capacity: 9 })]
    await expect(new DrivenEngine(base, other).open()).rejects.toMatchObject({
      code: 'CONFLICT',
      message: expect.stringMatching(/lane 'query'.*maxConcurrency is 2 there and 3 here; capacity/) as string,
    })
    await using there = await new DrivenEngine({ ...base, reconfigure: true }, other).open()
    await until(() => here.changes.length > 0, 'the other process is told')
    expect(here.changes[0]).toMatchObject({ laneId: 'query', lane: { maxConcurrency: 3, capacity: 9 } })
    expect(there.faults).toEqual([])
  })

  test('a server that cannot be reached, and a second queue, are told clearly', async () => {
    const away = { connection: 'redis://127.0.0.1:1', namespace: 'away', connectTimeoutMs: 200 }
    await expect(new DrivenEngine(away, []).open()).rejects.toMatchObject({ code: 'ENGINE_UNAVAILABLE' })
    await using here = await new DrivenEngine({ connection: server.url, namespace: space() }, []).open()
    await expect(here.open()).rejects.toMatchObject({ code: 'CONFLICT' })
    await here.engine.close()
    await expect(here.engine.claim('query', 't')).rejects.toMatchObject({ code: 'ENGINE_UNAVAILABLE' })
  })

  test.for([0, 1, 2, 5, 10, 20])('closed %i ms after it began to open, it leaves no connection', async (ms) => {
    const own = await startRedis()
    const client = new Redis(own.url)
    await client.ping()
    const engine = new DrivenEngine({ connection: own.url, namespace: 'x', connectTimeoutMs: 60_000 }, [laneOf('work')])
    const opened = engine.open().then(
      () => 'opened',
      (error: unknown) => (error as { code?: string }).code,
    )
    if (ms > 0) await pause(ms)
    await engine.engine.close()
    expect(['opened', 'ENGINE_UNAVAILABLE']).toContain(await opened)
    const others = async (): Promise<number> =>
      Number(/connected_clients:(\d+)/.exec(await client.info('clients'))?.[1]) - 1
    await until(async () => (await others()) === 0, 'its connections have ended')
    client.disconnect()
    await own.stop()
  })

  test('a client of ioredis is duplicated and stays open', async () => {
    const client = new Redis(server.url, { lazyConnect: true })
    const here = await new DrivenEngine({ connection: client, namespace: space() }, [laneOf('query')]).open()
    await here.engine.add([here.command('one', 'query')])
    expect((await here.mustClaim('query')).command.id).toBe('one')
    await here.engine.close()
    expect(await client.ping()).toBe('PONG')
    client.disconnect()
    const prefixed = new Redis({ lazyConnect: true, keyPrefix: 'x:' })
    await expect(new DrivenEngine({ connection: prefixed, namespace: 'x' }, []).open()).rejects.toThrow(/keyPrefix/)
    prefixed.disconnect()
  })

  /** When commands were started by two workers that claim whenever they are told to. */
  async function startsOf(rateLimits: EngineLane['rateLimits'], count: number, withinMs: number): Promise<number[]> {
    const base = { connection: server.url, namespace: space() }
    const lanes = [laneOf('query', { rateLimits })]
    await using here = await new DrivenEngine(base, lanes).open()
    await using there = await new DrivenEngine(base, lanes).open()
    await here.engine.add(Array.from({ length: count + 5 }, (_, index) => here.command(`c${index}`, 'query')))
    const starts: number[] = []
    const end = Date.now() + withinMs
    const work = async (worker: DrivenEngine): Promise<void> => {
      while (Date.now() < end) {
        const answer = await worker.engine.claim('query', worker.token())
        if (answer.claim === undefined) await pause(Math.max(0, (answer.retryAt ?? end) - Date.now()))
        else starts.push(Date.now())
      }
    }
    await Promise.all([here, there, here, there].map(work))
    return starts
  }
})

describe('a server that does not suit', { skip }, () => {
  test('a password that is wrong or missing is named', async () => {
    const server = await startRedis({ password: 'secret' })
    try {
      for (const password of ['wrong', undefined]) {
        const connection = { host: '127.0.0.1', port: server.port, ...(password === undefined ? {} : { password }) }
        await expect(new DrivenEngine({ connection, namespace: 'x' }, []).open()).rejects.toMatchObject({
          code: 'CONFIG_INVALID',
          message: expect.stringMatching(/BullMQEngine connection.*password/) as string,
        })
      }
      await using here = await new DrivenEngine({ connection: server.url, namespace: 'x' }, [laneOf('query')]).open()
      expect(here.engine.facts()).toMatchObject({ connected: true })
    } finally {
      await server.stop()
    }
  })

  test('one that may evict commands is refused unless that is allowed', async () => {
    const server = await startRedis({ args: ['--maxmemory-policy', 'allkeys-lru'] })
    try {
      const base = { connection: server.url, namespace: 'x' }
      await expect(new DrivenEngine(base, []).open()).rejects.toThrow(/maxmemory-policy is allkeys-lru/)
      await using here = await new DrivenEngine({ ...base, allowEviction: true }, []).open()
      expect(here.faults).toEqual([])
    } finally {
      await server.stop()
    }
  })

  test('a node of a cluster wants a client for clusters, and all lanes of a namespace are in one slot', async () => {
    const server = await startRedis({ args: ['--cluster-enabled', 'yes', '--cluster-announce-ip', '127.0.0.1'] })
    const cluster = new Cluster([{ host: '127.0.0.1', port: server.port }], { lazyConnect: true })
    try {
      const node = new Redis(server.url)
      await node.call('CLUSTER', 'ADDSLOTSRANGE', '0', '16383')
      await until(
        async () => String(await node.call('CLUSTER', 'INFO')).includes('cluster_state:ok'),
        'the cluster is up',
      )
      node.disconnect()
      const lanes = [laneOf('a'), laneOf('b')]
      await using here = await new DrivenEngine({ connection: cluster, namespace: 'x' }, lanes).open()
      here.engine.watch(['a', 'b'])
      await here.engine.add([here.command('one', 'a'), here.command('two', 'b', { hasOwnId: true })])
      await until(() => here.work.includes('a') && here.work.includes('b'), 'both lanes wake')
      for (const laneId of ['a', 'b']) await here.complete(await here.mustClaim(laneId), '1')
      await until(() => here.outcomes.length === 2, 'both outcomes arrive')
      expect(here.faults).toEqual([])
    } finally {
      cluster.disconnect()
      await server.stop()
    }
  })

  test('calls wait for a server that comes back, and nothing that was accepted is lost', async () => {
    const server = await startRedis({ appendonly: 'always' })
    try {
      const base = { connection: server.url, namespace: 'x', offlineTimeoutMs: 5000 }
      await using here = await new DrivenEngine(base, [laneOf('query')]).open()
      await here.engine.add([here.command('kept', 'query')])
      await server.kill()
      const added = here.engine.add([here.command('waited', 'query')])
      await server.restart()
      expect(await added).toEqual([{ kind: 'accepted' }])
      expect((await here.mustClaim('query')).command.id).toBe('kept')
      expect((await here.mustClaim('query')).command.id).toBe('waited')
      expect(here.connection).toEqual([false, true])
      expect(here.engine.facts()).toMatchObject({ appendonly: 'always' })
    } finally {
      await server.stop()
    }
  })

  test('while the server is away calls fail after their limit, and closing does not wait for it', async () => {
    const server = await startRedis()
    try {
      const base = { connection: server.url, namespace: 'x', offlineTimeoutMs: 300 }
      const here = await new DrivenEngine(base, [laneOf('query')]).open()
      server.suspend()
      await expect(here.engine.add([here.command('one', 'query')])).rejects.toMatchObject({
        code: 'ENGINE_UNAVAILABLE',
      })
      const from = Date.now()
      await here.engine.close()
      expect(Date.now() - from).toBeLessThan(4000)
    } finally {
      await server.stop()
    }
  })
})

/** Commands that the server has processed, those of scripts included. */
async function commandsOf(server: RedisServer): Promise<number> {
  const client = new Redis(server.url)
  const info = await client.info('stats')
  client.disconnect()
  return Number(/total_commands_processed:(\d+)/.exec(info)?.[1])
}
