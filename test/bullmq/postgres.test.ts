/** What is of Postgres alone: its errors, its limits, and other programs of BullMQ. */
import { setTimeout as sleep } from 'node:timers/promises'
import { QueueManager } from '@a3s-lab/lane'
import { createPostgresBackend, Queue } from 'bullmq'
import pg from 'pg'
import { afterAll, beforeAll, describe, type TestContext, test } from 'vitest'
import { BullMQEngine, type BullMQEngineOptions } from '../../src/bullmq/index.js'
import { type PostgresServer, postgresMissing, startPostgres } from '../support/postgres.js'
import { errorOf } from '../support/setup.js'
import { DrivenEngine, laneOf, until } from './driven-engine.js'

const skip = postgresMissing() !== undefined
const lanes = { work: { priority: 0, maxConcurrency: 4 } }

describe.concurrent('shared lanes on Postgres', { skip, timeout: 30_000 }, () => {
  let server: PostgresServer
  let spaces = 0

  beforeAll(async () => {
    server = await startPostgres({ password: 'secret' })
  }, 60_000)

  afterAll(() => server.stop())

  const space = (): string => `space_${++spaces}`

  function queue(onTestFinished: TestContext['onTestFinished'], given: Partial<BullMQEngineOptions>): QueueManager {
    const engine = new BullMQEngine({ connection: server.url, namespace: 'default', ...given })
    const made = new QueueManager({ lanes, engine })
    onTestFinished(() => made.close({ timeoutMs: 500 }))
    return made
  }

  test('say what they are, over two connections of each process', async ({ expect, onTestFinished }) => {
    const made = queue(onTestFinished, { namespace: space() })
    await made.start()
    expect(made.stats().connection).toMatchObject({
      engine: 'bullmq-postgres',
      experimental: true,
      connections: 2,
      connected: true,
    })
    expect(made.stats().connection?.['server']).toMatch(/^postgres \d+/)
  })

  test('take the options of pg in the place of a URL', async ({ expect, onTestFinished }) => {
    const postgres = { host: '127.0.0.1', port: server.port, user: 'lane', password: 'secret', database: 'lane' }
    const made = queue(onTestFinished, { namespace: space(), connection: { postgres } })
    made.handle('x', () => 'done')
    await made.start()
    expect(await made.submit('work', { type: 'x' })).toBe('done')
  })

  test.for([
    ['a wrong password', ':wrong@', '/lane', /does not take the password/],
    ['a database that is not there', ':secret@', '/nowhere', /"nowhere" does not exist/],
  ] as const)('%s is refused with a sentence', async ([, password, database, text], { expect, onTestFinished }) => {
    const connection = `postgres://lane${password}127.0.0.1:${server.port}${database}`
    const error = await errorOf(queue(onTestFinished, { namespace: space(), connection }).start())
    expect(error).toMatchObject({ code: 'CONFIG_INVALID', option: 'BullMQEngine connection' })
    expect(String(error)).toMatch(text)
  })

  test.for([
    ['a namespace that is no name of a schema', { namespace: 'my-app' }, /namespace must be on Postgres, letters/],
    ['a namespace of the system', { namespace: 'pg_lanes' }, /namespace must be on Postgres/],
    ['no URL', { connection: { postgres: 'localhost' } }, /connection.postgres must be a URL/],
  ] as const)('%s is refused before anything is connected', ([, given, text], { expect }) => {
    const options = { connection: 'postgres://127.0.0.1:1/lane', namespace: 'lanes', ...given }
    expect(() => new BullMQEngine(options)).toThrow(text)
  })

  test('a server that does not wait for its disk is refused, unless that is allowed', async ({
    expect,
    onTestFinished,
  }) => {
    const careless = await startPostgres({ args: ['-c', 'fsync=off'] })
    onTestFinished(() => careless.stop())
    const error = await errorOf(queue(onTestFinished, { connection: careless.url, namespace: 'lanes' }).start())
    expect(error).toMatchObject({ code: 'CONFIG_INVALID' })
    expect(String(error)).toContain('allowEviction')
    await queue(onTestFinished, { connection: careless.url, namespace: 'lanes', allowEviction: true }).start()
  })

  test('a plain BullMQ program adds to a lane, and reads what Lane has done', async ({ expect, onTestFinished }) => {
    const namespace = space()
    await using here = await new DrivenEngine({ connection: server.url, namespace }, [laneOf('query')]).open()
    const connection = { connectionString: server.url, schema: namespace }
    const theirs = new Queue('query', { connection } as never, createPostgresBackend as never)
    onTestFinished(() => theirs.close())
    here.engine.watch(['query'])
    const good = await theirs.add('mail', { to: 'x' }, { attempts: 3, backoff: 10 })
    await theirs.add('mail', { to: 'y' })
    await until(() => here.work.includes('query'), 'a foreign job wakes the lane')

    const first = await here.mustClaim('query')
    expect(first.command).toMatchObject({ id: `bull:query:${good.id}`, commandType: 'mail' })
    expect(JSON.parse(first.command.payload ?? '')).toEqual({ to: 'x' })
    expect(JSON.parse(first.command.options ?? '')).toMatchObject({ retry: { maxRetries: 2, initialMs: 10 } })
    const second = await here.mustClaim('query')
    await here.complete(first, '{"sent":true}')
    await here.fail(second, 'no such address')
    expect(await theirs.getJob(String(good.id))).toMatchObject({ returnvalue: { sent: true } })
    expect(await here.engine.find(`bull:query:${good.id}`)).toMatchObject({ state: 'completed' })

    await here.engine.add([here.command('ours', 'query', { priority: 3, dueAt: Date.now() + 60_000 })])
    const [shown] = await theirs.getJobs(['delayed'])
    expect(shown).toMatchObject({ id: 'ours', name: 'test', data: { id: 'ours' }, opts: { priority: 4 } })
    expect(await theirs.getJobCounts('completed', 'failed', 'delayed')).toEqual({ completed: 1, failed: 1, delayed: 1 })
    expect((await theirs.getJobs(['failed'])).map(({ failedReason }) => failedReason)).toEqual(['no such address'])
    expect(here.faults).toEqual([])
  })

  test('a result that no message of the server could carry comes to whoever waits', async ({
    expect,
    onTestFinished,
  }) => {
    const namespace = space()
    const submitter = queue(onTestFinished, { namespace, role: 'coordinator' })
    const worker = queue(onTestFinished, { namespace, role: 'worker' })
    worker.handle('long', (length: number) => 'é'.repeat(length))
    await worker.start()
    const since = performance.now()
    expect(await submitter.submit('work', { type: 'long', payload: 50_000 })).toHaveLength(50_000)
    // not by the look each five seconds
    expect(performance.now() - since).toBeLessThan(4500)
  })

  test('a renewal waits for no job that a transaction has locked', async ({ expect, onTestFinished }) => {
    const namespace = space()
    await using here = await new DrivenEngine({ connection: server.url, namespace }, [laneOf('work')]).open()
    await here.engine.add([here.command('one', 'work'), here.command('two', 'work')])
    const leases = [(await here.mustClaim('work')).lease, (await here.mustClaim('work')).lease]
    const client = new pg.Client({ connectionString: server.url })
    await client.connect()
    onTestFinished(() => client.end())
    const leasesUntil = async (): Promise<number[]> => {
      const { rows } = await client.query(`SELECT locked_until_ms AS ms FROM ${namespace}.job ORDER BY id`)
      return rows.map(({ ms }: { ms: string }) => Number(ms))
    }
    const before = await leasesUntil()
    await sleep(20)
    await client.query(`BEGIN; SELECT 1 FROM ${namespace}.job WHERE id = 'one' FOR UPDATE`)
    expect((await here.engine.renew(leases)).map(({ isLost }) => isLost)).toEqual([false, false])
    const [one = 0, two = 0] = await leasesUntil()
    expect(one).toBe(before[0])
    expect(two).toBeGreaterThan(before[1] ?? 0)
    await client.query('ROLLBACK')
  })

  test('events of all processes are told to whoever listens', async ({ expect, onTestFinished }) => {
    const namespace = space()
    const submitter = queue(onTestFinished, { namespace, role: 'coordinator' })
    const worker = queue(onTestFinished, { namespace, role: 'worker' })
    worker.handle('x', () => 'done')
    worker.handle('bad', () => Promise.reject(new Error('no')))
    await worker.start()
    await submitter.start()
    const stop = new AbortController()
    const keys: string[] = []
    const heard = (async () => {
      for await (const { key } of await submitter.subscribeCluster({ signal: stop.signal })) keys.push(key)
    })()
    await sleep(200)
    await submitter.submit('work', { type: 'x' })
    await errorOf(submitter.submit('work', { type: 'bad' }))
    await until(() => keys.includes('queue.command.failed'), 'the failure is told')
    expect(keys.filter((key) => key.startsWith('queue.command.'))).toEqual([
      'queue.command.submitted',
      'queue.command.started',
      'queue.command.completed',
      'queue.command.submitted',
      'queue.command.started',
      'queue.command.failed',
    ])
    stop.abort()
    await heard.catch(() => undefined)
  })

  test('what is settled is removed when it is too old or too many', async ({ expect, onTestFinished }) => {
    const namespace = space()
    const made = queue(onTestFinished, { namespace, retention: { count: 5 } })
    made.handle('x', () => 'done')
    await made.start()
    await Promise.all(Array.from({ length: 30 }, () => made.submit('work', { type: 'x' })))
    const client = new pg.Client({ connectionString: server.url })
    await client.connect()
    onTestFinished(() => client.end())
    const left = async (table: string): Promise<number> =>
      Number((await client.query<{ count: string }>(`SELECT count(*) FROM ${namespace}.${table}`)).rows[0]?.count)
    await until(async () => (await left('job')) === 5, 'five are left')
    expect(await left('lane_command')).toBe(5)
  })
})
