/** The events of all processes, as BullMQ's event streams tell them: what they say, what a cut does to them, what they cost. */
import { setTimeout as nap } from 'node:timers/promises'
import { type Handler, type LaneEvent, QueueManager, type QueueOptions, RetryPolicy, snooze } from '@a3s-lab/lane'
import { Queue } from 'bullmq'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { BullMQEngine, type BullMQEngineOptions } from '../../src/bullmq/index.js'
import type { EngineEvent } from '../../src/core/index.js'
import { type RedisServer, redisMissing, startRedis } from '../support/redis.js'
import { startProxy } from '../support/tcp-proxy.js'
import { DrivenEngine, laneOf, pause, until } from './driven-engine.js'

const skip = redisMissing() !== undefined
const lanes = { work: { priority: 1 }, other: { priority: 2 } }

describe('events of all processes on BullMQ', { skip }, () => {
  let server: RedisServer
  let client: Redis
  let spaces = 0

  beforeAll(async () => {
    server = await startRedis()
    client = new Redis(server.url)
  })

  afterAll(async () => {
    client.disconnect()
    await server.stop()
  })

  const space = (): string => `events${++spaces}`

  /** A process of its own, but for the process. */
  async function joined(
    engine: Partial<BullMQEngineOptions> & { readonly namespace: string },
    handlers: Readonly<Record<string, Handler>> = {},
    options: Partial<QueueOptions> = {},
  ): Promise<QueueManager> {
    const queue = new QueueManager({
      lanes,
      deadLetters: true,
      ...options,
      engine: new BullMQEngine({ connection: server.url, ...engine }),
    })
    for (const [type, handler] of Object.entries(handlers)) queue.handle(type, handler)
    await queue.start()
    return queue
  }

  test('whoever listens hears what one process submits and another runs, and how it ends', async () => {
    const namespace = space()
    const slow: Handler = (_payload, { signal }) => nap(20_000, undefined, { signal })
    await using submitter = await joined({ namespace, role: 'coordinator' })
    await using worker = await joined(
      { namespace, role: 'worker' },
      {
        quick: async (_payload, { progress }) => {
          progress({ page: 1 })
          await pause(150) // it is kept ten times a second
        },
        flaky: (_payload, { attempt }) => {
          if (attempt === 1) throw new Error('not yet')
        },
        lazy: (_payload, { attempt }) => (attempt === 1 ? snooze(20) : undefined),
        bad: () => {
          throw new TypeError('broken')
        },
        slow,
      },
    )
    await using third = await joined({ namespace, role: 'coordinator' })
    const events: LaneEvent[] = []
    const stream = await third.subscribeCluster({ capacity: 1000 })
    void collect(stream, events)

    const quick = submitter.submit('work', { type: 'quick' })
    const flaky = submitter.submit('work', { type: 'flaky' }, { retry: RetryPolicy.fixed(2, 20) })
    const lazy = submitter.submit('other', { type: 'lazy' })
    const bad = submitter.submit('work', { type: 'bad' })
    const late = submitter.submit('work', { type: 'slow' }, { timeoutMs: 50 })
    const running = submitter.submit('work', { type: 'slow' })
    const waiting = submitter.submit('work', { type: 'quick' }, { delayMs: 60_000 })
    await Promise.allSettled([quick, flaky, lazy, bad, late, waiting.accepted])
    running.cancel('enough')
    waiting.cancel()
    await Promise.allSettled([running, waiting])
    worker.lane('other').pause()
    worker.lane('other').resume()
    await until(() => events.some(({ key }) => key === 'queue.lane.resumed'), 'the lane is resumed')
    await until(() => eventsOf(events, running).length === 3, 'the worker has told that it stopped')

    const names = (run: { readonly id: string }): string[] => eventsOf(events, run).map(short)
    expect(names(quick)).toEqual(['submitted', 'started', 'progress', 'completed'])
    expect(names(flaky)).toEqual(['submitted', 'started', 'retry', 'started', 'completed'])
    expect(names(lazy)).toEqual(['submitted', 'started', 'delayed', 'started', 'completed'])
    expect(names(bad)).toEqual(['submitted', 'started', 'dead_lettered', 'failed'])
    expect(names(late)).toEqual(['submitted', 'started', 'dead_lettered', 'timeout'])
    expect(names(running)).toEqual(['submitted', 'started', 'cancelled'])
    expect(names(waiting)).toEqual(['submitted', 'delayed', 'cancelled'])
    const told = (run: { readonly id: string }, key: string): LaneEvent['payload'] | undefined =>
      eventsOf(events, run).find((event) => short(event) === key)?.payload
    expect(told(quick, 'started')).toEqual({ lane_id: 'work', command_id: quick.id, command_type: 'quick' })
    expect(told(quick, 'progress')).toMatchObject({ value: { page: 1 } })
    expect(told(flaky, 'retry')).toMatchObject({ attempt: 1 })
    expect(told(lazy, 'delayed')).toMatchObject({ lane_id: 'other', reason: 'snoozed' })
    expect(told(bad, 'dead_lettered')).toMatchObject({ command_type: 'bad' })
    expect(told(bad, 'failed')).toMatchObject({ error: 'broken' })
    expect(told(running, 'cancelled')).toMatchObject({ reason: 'enough' })
    expect(told(waiting, 'cancelled')).toMatchObject({ reason: '' })
    expect(told(waiting, 'delayed')).toMatchObject({ reason: 'submitted' })
    const delay = told(waiting, 'delayed') as { readonly delay_ms: number }
    expect(delay.delay_ms).toBeGreaterThan(55_000)
    expect(delay.delay_ms).toBeLessThanOrEqual(60_100)
    expect(Math.abs(Date.now() - Date.parse(events[0]?.timestamp ?? ''))).toBeLessThan(10_000)
    stream.close()
  })

  test('a lost lease is told as recovered, and a foreign job under its own id', async () => {
    const namespace = space()
    const one = [laneOf('work')]
    await using here = await new DrivenEngine({ connection: server.url, namespace, leaseMs: 200 }, one).open()
    await using there = await new DrivenEngine({ connection: server.url, namespace, leaseMs: 200 }, one).open()
    const told: EngineEvent[] = []
    const listening = await there.engine.events((event) => void told.push(event))
    const queue = new Queue('work', { connection: { host: '127.0.0.1', port: server.port }, prefix: `{${namespace}}` })
    const job = await queue.add('mail', {}, { delay: 60_000 })
    const own = await queue.add('mail', {}, { jobId: 'own', priority: 9 })
    await here.engine.add([here.command('ours', 'work', { priority: 1, commandType: 'kind' })])
    expect((await here.mustClaim('work')).command.id).toBe('ours')
    await until(() => told.some(({ kind }) => kind === 'recovered'), 'its lease is lost')
    const again = await there.mustClaim('work')
    await there.fail(again, 'no more')
    await until(() => told.some(({ kind }) => kind === 'settled'), 'its end is told')
    const ours = told.filter((event) => 'id' in event && event.id === 'ours')
    expect(ours.map(({ kind }) => kind)).toEqual(['added', 'started', 'recovered', 'started', 'settled'])
    expect(ours.at(-1)).toMatchObject({
      state: 'failed',
      error: '{"name":"Error","message":"no more"}',
      commandType: 'kind',
    })
    await job.remove()
    await own.remove()
    const foreign = told.flatMap((event) =>
      'id' in event && event.id.startsWith('bull:') ? [[event.id, event.kind]] : [],
    )
    expect(foreign).toEqual([
      [`bull:work:${job.id}`, 'added'],
      [`bull:work:${job.id}`, 'delayed'],
      ['bull:work:own', 'added'],
    ])
    await listening.close()
    await queue.close()
    expect([here.faults, there.faults]).toEqual([[], []])
  })

  test('a cut loses nothing that the stream still holds, and what it does not is counted', async () => {
    const namespace = space()
    const proxy = await startProxy(server.port)
    try {
      const base = { namespace, connection: server.url }
      await using here = await new DrivenEngine(base, [laneOf('work'), laneOf('idle')]).open()
      const away = { namespace, connection: `redis://127.0.0.1:${proxy.port}` }
      await using there = await new DrivenEngine(away, [laneOf('work'), laneOf('idle')]).open()
      const told: EngineEvent[] = []
      const listening = await there.engine.events((event) => void told.push(event))
      const ids = (from: number, count: number): string[] => Array.from({ length: count }, (_, n) => `c${from + n}`)
      const add = (of: readonly string[]): Promise<unknown> => here.engine.add(of.map((id) => here.command(id, 'work')))
      const heard = (): string[] => told.flatMap((event) => ('id' in event ? [event.id] : []))

      await add(ids(0, 5))
      await until(() => told.length === 5, 'what came before the cut')
      proxy.refuse()
      await add(ids(5, 2500))
      proxy.flow()
      await until(() => told.length === 2505, 'what came during the cut')
      expect(heard()).toEqual(ids(0, 2505))

      proxy.refuse()
      await add(ids(2505, 50))
      await client.xtrim(`{${namespace}}:work:events`, 'MAXLEN', 10)
      proxy.flow()
      await until(() => heard().at(-1) === 'c2554', 'what came during the second cut')
      // Each command has an entry that says it was added, and one that it waits.
      expect(told.filter(({ kind }) => kind === 'missed')).toMatchObject([{ laneId: 'work', count: 90 }])
      expect(heard().slice(2505)).toEqual(ids(2550, 5))

      proxy.refuse()
      await client.del(`{${namespace}}:work:events`)
      await add(['anew'])
      proxy.flow()
      await until(() => heard().at(-1) === 'anew', 'what came after the stream was removed')
      expect(told.filter(({ kind }) => kind === 'missed').at(-1)).toMatchObject({ count: 0 })
      await listening.close()
      expect(there.faults).toEqual([])
    } finally {
      await proxy.stop()
    }
  })

  test('a server that comes back with less than it had is read on', async () => {
    const own = await startRedis()
    try {
      await using here = await new DrivenEngine({ connection: own.url, namespace: 'x' }, [laneOf('work')]).open()
      const told: EngineEvent[] = []
      await here.engine.events((event) => void told.push(event))
      await here.engine.add([here.command('one', 'work')])
      await until(() => told.length === 1, 'the first is told')
      await own.restart()
      await until(() => here.connection.at(-1) === true, 'the server is there again')
      await until(() => told.length === 2, 'the gap is told')
      await here.engine.add([here.command('two', 'work')])
      await until(() => told.length === 3, 'the second is told')
      expect(told).toMatchObject([{ id: 'one' }, { kind: 'missed', count: 0 }, { id: 'two' }])
    } finally {
      await own.stop()
    }
  })

  test('the further connection is there only while somebody listens, and ends with the queue', async () => {
    const namespace = space()
    const queue = await joined({ namespace }, { quick: () => 1 })
    const connections = (): unknown => queue.engine?.facts()['connections']
    expect(connections()).toBe(3)
    const first = await queue.subscribeCluster()
    const second = await queue.subscribeCluster({ capacity: 2 })
    const heard: LaneEvent[] = []
    void collect(first, heard)
    expect(connections()).toBe(4)
    for (let left = 2; left > 0; left--) await queue.submit('work', { type: 'quick' })
    await until(() => heard.filter((event) => short(event) === 'completed').length === 2, 'both ends are told')
    first.close()
    expect(connections()).toBe(4)
    expect((await second.recv())?.key).toBe('events.dropped')
    expect((await second.recv())?.key).toBe('queue.command.started')
    second.close()
    await until(() => connections() === 3, 'its connection has ended')
    const third = await queue.subscribeCluster()
    expect(connections()).toBe(4)
    await queue.close()
    expect(await third.recv()).toBeUndefined()
    await until(async () => (await clientsOf(client)) === 1 && connections() === 0, 'no connection is left')
  })

  test('who listens costs an idle server next to nothing', async () => {
    const namespace = space()
    await using here = await new DrivenEngine({ connection: server.url, namespace }, [laneOf('work')]).open()
    const listening = await here.engine.events(() => undefined)
    await pause(100)
    const before = await commandsOf(client)
    await pause(1000)
    // the sweep of the lane is among them
    expect((await commandsOf(client)) - before).toBeLessThan(15)
    await listening.close()
  })
})

async function collect(stream: AsyncIterable<LaneEvent>, into: LaneEvent[]): Promise<void> {
  for await (const event of stream) into.push(event)
}

const short = ({ key }: LaneEvent): string => key.replace(/^queue\.(command\.)?/, '')

const eventsOf = (events: readonly LaneEvent[], { id }: { readonly id: string }): LaneEvent[] =>
  events.filter(({ payload }) => (payload as { command_id?: string }).command_id === id)

/** Connections of the server. */
async function clientsOf(client: Redis): Promise<number> {
  return Number(/connected_clients:(\d+)/.exec(await client.info('clients'))?.[1])
}

async function commandsOf(client: Redis): Promise<number> {
  return Number(/total_commands_processed:(\d+)/.exec(await client.info('stats'))?.[1])
}
