/** The suite for engines, on BullMQ with a real server; what BullMQ cannot do is a gap of the mapping. */
import type { Engine } from '@a3s-lab/lane'
import { BullMQEngine, GAPS } from '@a3s-lab/lane/bullmq'
import { describeEngine } from '@a3s-lab/lane/testing'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { DeafProxy } from '../support/deaf-proxy.js'
import { type RedisServer, redisMissing, startRedis } from '../support/redis.js'

const skip = redisMissing()
/** An engine makes up for a lost message within 5 s, a call waits as long for the server, and the machine may be busy. */
const LIMIT_MS = 30_000

let server: RedisServer
let namespaces = 0
const proxies = new Map<Engine, DeafProxy>()

beforeAll(async () => {
  if (skip === undefined) server = await startRedis()
})
afterAll(() => server?.stop())

const proxyOf = (engine: Engine): DeafProxy => proxies.get(engine) as DeafProxy

describeEngine(
  {
    name: 'BullMQEngine',
    open() {
      const namespace = `conformance-${++namespaces}`
      const own: DeafProxy[] = []
      return {
        async engine(options) {
          const proxy = new DeafProxy(server.port)
          own.push(proxy)
          const engine = new BullMQEngine({
            connection: await proxy.listen(),
            namespace,
            offlineTimeoutMs: 2000,
            ...options,
          })
          proxies.set(engine, proxy)
          return engine
        },
        async close() {
          for (const proxy of own) await proxy.stop()
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
