/** The suite for engines, on BullMQ with a real Postgres server; what BullMQ cannot do is a gap of the mapping. */
import type { Engine } from '@a3s-lab/lane'
import { BullMQEngine, GAPS } from '@a3s-lab/lane/bullmq'
import { describeEngine } from '@a3s-lab/lane/testing'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { DeafProxy } from '../support/deaf-proxy.js'
import { type PostgresServer, postgresMissing, startPostgres } from '../support/postgres.js'

const skip = postgresMissing()
/** An engine makes up for a lost message within 5 s, a call waits as long for the server, and the machine may be busy. */
const LIMIT_MS = 30_000

let server: PostgresServer
let namespaces = 0
/** Emptied after a case: to make one takes longer than most cases. */
const free: string[] = []
const proxies = new Map<Engine, DeafProxy>()

beforeAll(async () => {
  // five cases run at once, each with a few engines, and an engine has some connections
  if (skip === undefined) server = await startPostgres({ args: ['-c', 'max_connections=500'] })
}, LIMIT_MS)
afterAll(() => server?.stop())

const proxyOf = (engine: Engine): DeafProxy => proxies.get(engine) as DeafProxy

async function empty(namespace: string): Promise<void> {
  const client = new pg.Client({ connectionString: server.url })
  await client.connect()
  const { rows } = await client.query<{ name: string }>(
    `SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables WHERE schemaname = $1 AND tablename <> 'migration'`,
    [namespace],
  )
  // a case that was refused has made nothing
  if (rows.length > 0) await client.query(`TRUNCATE ${rows.map(({ name }) => name).join(', ')}`)
  await client.end()
}

describeEngine(
  {
    name: 'BullMQEngine on Postgres',
    open() {
      const namespace = free.pop() ?? `conformance_${++namespaces}`
      const own: DeafProxy[] = []
      return {
        async engine(options) {
          const proxy = new DeafProxy(server.port, 'postgres')
          own.push(proxy)
          const engine = new BullMQEngine({
            connection: await proxy.listen(),
            namespace,
            offlineTimeoutMs: 5000,
            ...options,
          })
          proxies.set(engine, proxy)
          return engine
        },
        async close() {
          for (const proxy of own) await proxy.stop()
          await empty(namespace)
          free.push(namespace)
        },
      }
    },
    cut: (engine) => proxyOf(engine).cut(),
    mend: (engine) => proxyOf(engine).mend(),
    loseMessages: (engine) => proxyOf(engine).deafen(),
    skips: {},
    leaseMs: 1000,
  },
  {
    describe: describe.concurrent,
    // Together: most of their time they wait.
    test: (name, body) =>
      // biome-ignore lint/suspicious/useExpect: concurrent tests have an expect of their own
      test.concurrent(name, { timeout: LIMIT_MS, skip: skip !== undefined }, (context) =>
        context.expect(body()).resolves.toBeUndefined(),
      ),
    skip: (name) => test(name, { skip: true }, () => expect(GAPS).toBeDefined()),
  },
)
