/** Whole queues on a real server: what of a queue's end shows only there. */
import { type Clock, type LaneDefinition, QueueManager, systemClock } from '@a3s-lab/lane'
import { recordEvents } from '@a3s-lab/lane/testing'
import { Queue } from 'bullmq'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, test } from 'vitest'
import { BullMQEngine, type BullMQEngineOptions } from '../../src/bullmq/index.js'
import { type RedisServer, redisMissing, startRedis } from '../support/redis.js'
import { errorOf } from '../support/setup.js'
import { startProxy } from '../support/tcp-proxy.js'
import { DrivenEngine, laneOf, pause, until } from './driven-engine.js'

const skip = redisMissing() !== undefined

describe.concurrent('queues on BullMQ', { skip, timeout: 30_000 }, () => {
  let server: RedisServer
  let spaces = 0

  beforeAll(async () => {
    server = await startRedis()
  })

  afterAll(async () => {
    await server.stop()
  })

  const space = (): string => `queues${++spaces}`

  type Given = Omit<BullMQEngineOptions, 'connection' | 'namespace'> & {
    readonly maxConcurrency?: number
    readonly url?: string
  }

  function open(namespace: string, lanes: Record<string, LaneDefinition>, given: Given = {}): QueueManager {
    const { maxConcurrency, url = server.url, ...options } = given
    const engine = new BullMQEngine({ connection: url, namespace, ...options })
    return new QueueManager({ lanes, engine, ...(maxConcurrency === undefined ? {} : { maxConcurrency }) })
  }

  test('whoever submits an id to another lane waits for the command where it is, and can cancel it', async ({
    expect,
  }) => {
    const namespace = space()
    const lanes = { one: { priority: 1 }, two: { priority: 2 } }
    const here = open(namespace, lanes, { role: 'coordinator' })
    const there = open(namespace, lanes, { role: 'coordinator' })
    try {
      const first = here.submit('one', { type: 'x' }, { id: 'mine' })
      await first.accepted
      const second = there.submit('two', { type: 'x' }, { id: 'mine' })
      await second.accepted
      second.cancel('enough')
      for (const run of [first, second]) expect(await errorOf(run)).toMatchObject({ code: 'COMMAND_CANCELLED' })
    } finally {
      await here.close()
      await there.close()
    }
  })

  test.for(['config', 'info', 'subscribe'])(
    'a connection that is lost at its %s is made anew',
    async (asked, { expect, onTestFinished }) => {
      const proxy = await startProxy(server.port)
      onTestFinished(() => proxy.stop())
      proxy.cutAt(asked)
      const connection = `redis://127.0.0.1:${proxy.port}`
      await using here = new DrivenEngine({ connection, namespace: space() }, [laneOf('one')])
      await here.open()
      expect(proxy.hasCut).toBe(true)
      await here.engine.add([here.command('x', 'one')])
      expect((await here.mustClaim('one')).command.id).toBe('x')
      expect(here.faults).toEqual([])
    },
  )

  test('clearing a lane of more commands than are looked at together leaves none of them', async ({ expect }) => {
    const namespace = space()
    const lanes = { one: { priority: 1 } }
    const here = open(namespace, lanes, { role: 'coordinator' })
    const there = open(namespace, lanes, { role: 'coordinator' })
    try {
      const runs = Array.from({ length: 2500 }, (_, n) => here.submit('one', { type: 'x', payload: n }))
      await Promise.all(runs.map(({ accepted }) => accepted))
      there.lane('one').clear('cleared')
      await there.lane('one').applied()
      expect((await there.clusterStats()).totalPending).toBe(0)
      const errors = await Promise.all(runs.map((run) => errorOf(run)))
      expect(errors.every((error) => (error as { code?: string }).code === 'COMMAND_CANCELLED')).toBe(true)
    } finally {
      await here.close()
      await there.close()
    }
  })

  test('a lane that is resumed and configured while a worker hears nothing is worked on by it', async ({
    expect,
    onTestFinished,
  }) => {
    // all that listen to a server are cut off from it
    const own = await startRedis()
    onTestFinished(() => own.stop())
    const namespace = space()
    const lanes = { one: { priority: 1, maxConcurrency: 2 } }
    const here = open(namespace, lanes, { role: 'coordinator', url: own.url })
    const there = open(namespace, lanes, { role: 'worker', url: own.url })
    const admin = new Redis(own.url)
    try {
      there.handle('x', () => 'done')
      await there.start()
      here.lane('one').pause()
      await here.lane('one').applied()
      await until(() => there.stats().lanes['one']?.paused === true, 'the worker hears of the pause')
      await admin.call('CLIENT', 'KILL', 'TYPE', 'pubsub')
      here.lane('one').resume()
      here.lane('one').configure({ maxConcurrency: 5 })
      await here.lane('one').applied()
      expect(await here.submit('one', { type: 'x' })).toBe('done')
      expect(there.stats().lanes['one']).toMatchObject({ max: 5 })
    } finally {
      admin.disconnect()
      await here.close()
      await there.close()
    }
  })

  test('a rate limit that one process gives a lane is known to the others', async ({ expect }) => {
    const namespace = space()
    const lanes = { one: { priority: 1, rateLimit: { maxCommands: 3, windowMs: 500 } } }
    const here = open(namespace, lanes)
    const there = open(namespace, lanes)
    const recorder = recordEvents(there)
    const told = (): number => recorder.events.filter(({ key }) => key === 'queue.lane.configured').length
    try {
      await here.start()
      await there.start()
      await pause(6000) // a look at the lanes finds nothing new
      expect(told()).toBe(0)
      here.lane('one').configure({ rateLimit: { maxCommands: 30, windowMs: 500 } })
      await until(() => told() === 1, 'the other one is told')
    } finally {
      recorder.stop()
      await here.close()
      await there.close()
    }
  })

  test('a lane that another BullMQ program resumes is worked on', async ({ expect }) => {
    const namespace = space()
    const both = open(namespace, { one: { priority: 1 } })
    const theirs = new Queue('one', { prefix: `{${namespace}}`, connection: { url: server.url } })
    try {
      both.handle('x', () => 'done')
      await both.start()
      both.lane('one').pause()
      await both.lane('one').applied()
      await theirs.resume()
      expect(await both.submit('one', { type: 'x' })).toBe('done')
    } finally {
      await theirs.close()
      await both.close()
    }
  })

  test('what is cancelled while it waits is kept no longer than anything else', async ({ expect }) => {
    const namespace = space()
    const lanes = { one: { priority: 1 } }
    const queue = open(namespace, lanes, { retention: { count: 10 } })
    try {
      await queue.start()
      const options = { delayMs: 60_000, dedupe: { id: 'last of many', mode: 'replace' } } as const
      const runs = Array.from({ length: 500 }, () => queue.submit('one', { type: 'x' }, options))
      const replaced = runs.slice(0, -1).map((run) => errorOf(run))
      expect(await Promise.all(replaced)).toHaveLength(499)
      const kept = async (): Promise<number> => (await queue.list({ state: 'cancelled', limit: 1000 })).items.length
      await until(async () => (await kept()) === 10, 'the others are removed')
      await runs.at(-1)?.accepted
      runs.at(-1)?.cancel()
      await errorOf(runs.at(-1) as (typeof runs)[number])
    } finally {
      await queue.close()
    }
  })

  test('of whatever many commands are gone, whoever waits for one is told', async ({ expect }) => {
    const clock = hastened(20)
    await using engine = await new DrivenEngine(
      { connection: server.url, namespace: space(), clock, connectTimeoutMs: 600_000, offlineTimeoutMs: 600_000 },
      [laneOf('one')],
    ).open()
    for (let n = 0; n < 6000; n++) engine.awaited.push({ id: `gone ${n}`, laneId: 'one' })
    const told = (): number => new Set(engine.outcomes.map(({ id }) => id)).size
    await until(() => told() === 6000, 'all are told of')
    expect(engine.outcomes.every(({ state }) => state === 'failed')).toBe(true)
  })

  test('limits of time that a connection is given do not end the wait for work', async ({ expect }) => {
    const options = { commandTimeout: 100, socketTimeout: 100 }
    const client = new Redis(server.url, { ...options, lazyConnect: true })
    try {
      for (const connection of [{ port: server.port, ...options }, client]) {
        await using engine = await new DrivenEngine({ connection, namespace: space() }, [laneOf('one')]).open()
        engine.engine.watch(['one'])
        await pause(400)
        await engine.engine.add([engine.command('x', 'one')])
        await until(() => engine.work.length > 0, 'it is told of the work')
        expect([engine.faults, engine.connection]).toEqual([[], []])
      }
    } finally {
      client.disconnect()
    }
  })

  test('a worker whose connections are forgotten on the way comes back by itself', async ({ expect }) => {
    const namespace = space()
    const lanes = { one: { priority: 1 } }
    const proxy = await startProxy(server.port)
    const here = open(namespace, lanes, { role: 'coordinator' })
    const there = new QueueManager({
      lanes,
      onFault: () => undefined,
      engine: new BullMQEngine({
        connection: `redis://127.0.0.1:${proxy.port}`,
        namespace,
        role: 'worker',
        leaseMs: 1000,
        clock: hastened(10),
        // of such a second
        connectTimeoutMs: 100_000,
      }),
    })
    try {
      there.handle('x', () => 'done')
      await there.start()
      expect(await here.submit('one', { type: 'x' })).toBe('done')
      proxy.forget()
      expect(await here.submit('one', { type: 'x' })).toBe('done')
    } finally {
      await here.close()
      await there.close()
      await proxy.stop()
    }
  })
})

/** A clock that is ahead of its time. */
function hastened(times: number): Clock {
  return {
    ...systemClock,
    now: () => systemClock.now() * times,
    setTimer: (ms, fire, isBackground) => systemClock.setTimer(ms / times, fire, isBackground),
  }
}
