/** Sessions whose tool calls run in other processes, on a real server. */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { BullMQEngine } from '@a3s-lab/lane/bullmq'
import { SessionQueue } from '@a3s-lab/lane/session'
import { afterAll, beforeAll, describe, type TestContext, test } from 'vitest'
import { newProgramFolder } from '../crash/programs.mjs'
import { bundle } from '../support/bundled.js'
import { type RedisServer, redisMissing, startRedis } from '../support/redis.js'
import { until } from './driven-engine.js'
import { WorkerProcess } from './worker-process.js'

const skip = redisMissing() !== undefined
/** Where a worker is killed its lease runs out soon; elsewhere not on a busy machine either. */
const BRIEF_MS = 1500
const LEASE_MS = 10_000
/** Nobody waits for it. */
const LONG_MS = 60_000

let folder: string
let program: string
let server: RedisServer
let namespaces = 0

beforeAll(async () => {
  folder = newProgramFolder()
  program = join(folder, 'session.mjs')
  await bundle(new URL('session-program.ts', import.meta.url), program)
  if (!skip) server = await startRedis()
}, 30_000)

afterAll(async () => {
  await server?.stop()
  rmSync(folder, { recursive: true, force: true })
})

/** A session of this process, which only submits, and the processes that work for it. */
function stage(onTestFinished: TestContext['onTestFinished'], leaseMs = LEASE_MS) {
  const namespace = `sessions${++namespaces}`
  const connect = (): SessionQueue => {
    const engine = new BullMQEngine({ connection: server.url, namespace, role: 'coordinator', leaseMs })
    const session = new SessionQueue({ engine })
    onTestFinished(() => session.close({ timeoutMs: 100 }))
    return session
  }
  const worker = async (name: string): Promise<WorkerProcess> => {
    const started = new WorkerProcess(program, { name, url: server.url, namespace, leaseMs, lanes: {} })
    onTestFinished(() => started.end())
    await started.said('started')
    return started
  }
  return { connect, worker }
}

const call = (id: string, name: string, args: object) => ({ id, name, args })

describe.concurrent('a session over Redis', { skip, timeout: 30_000 }, () => {
  test('has its calls done by other processes, each once, and its results in call order', async ({
    expect,
    onTestFinished,
  }) => {
    const { connect, worker } = stage(onTestFinished)
    const workers = [await worker('one'), await worker('two')]
    const session = connect()
    const labels = Array.from({ length: 20 }, (_, n) => `r${n}`)
    const reads = labels.map((label) => call(label, 'read', { label, ms: 5 }))
    const results = await session.runToolCalls([...reads, call('w', 'write', { label: 'w' })])
    const heard = results.map(({ output }) => output.replace(/ by .*/, ''))
    expect(heard).toEqual([...labels.map((label) => `read ${label}`), 'write w'])
    const begunIn = (): string[] => workers.flatMap(({ lines }) => lines.filter((line) => line.startsWith('start ')))
    // what they say may come after what they have done
    await until(() => begunIn().length >= 21, 'the workers have said what they began')
    const begun = begunIn()
    expect(new Set(begun)).toEqual(new Set([...labels.map((label) => `start ${label} 1`), 'start w 1']))
    expect(begun).toHaveLength(21)
  })

  test('loses no call when the process that runs it is killed', async ({ expect, onTestFinished }) => {
    const { connect, worker } = stage(onTestFinished, BRIEF_MS)
    const first = await worker('first')
    const results = connect().runToolCalls([call('1', 'bash', { label: 'build', ms: LONG_MS })])
    await first.said('start build')
    await worker('second')
    first.signal('SIGKILL')
    expect((await results)[0]).toMatchObject({ is_error: false, output: 'bash build by second' })
  })

  test('stops its calls in other processes, and those of others go on', async ({ expect, onTestFinished }) => {
    const { connect, worker } = stage(onTestFinished)
    const there = await worker('there')
    const [here, other] = [connect(), connect()]
    const mine = here.runToolCalls([call('1', 'bash', { label: 'mine', ms: LONG_MS })])
    const theirs = other.runToolCalls([call('1', 'bash', { label: 'theirs', ms: 1000 })])
    await there.said('start mine')
    await there.said('start theirs')
    const proof = await here.cancel({ reason: 'Esc' })
    expect(proof).toMatchObject({ cancelled: 1, unstopped: [] })
    await there.said('stopped mine')
    expect((await mine)[0]?.output).toBe('Tool execution error: Command cancelled: Esc')
    expect((await theirs)[0]?.output).toBe('bash theirs by there')
  })
})
