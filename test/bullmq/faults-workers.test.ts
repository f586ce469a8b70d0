/** Workers as processes that are killed, or stand still for longer than their leases last. */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type CommandRun, QueueManager, RetryPolicy } from '@a3s-lab/lane'
import { BullMQEngine } from '@a3s-lab/lane/bullmq'
import { afterAll, beforeAll, describe, type TestContext, test } from 'vitest'
import { newProgramFolder } from '../crash/programs.mjs'
import { bundle } from '../support/bundled.js'
import { postgresMissing, startPostgres } from '../support/postgres.js'
import { redisMissing, startRedis } from '../support/redis.js'
import { type Held, WorkerProcess } from './worker-process.js'

const TEST_MS = 30_000
/** Nobody waits for it. */
const LONG_MS = 60_000
const lanes = { one: { priority: 0, maxConcurrency: 1 }, other: { priority: 1, maxConcurrency: 4 } }

/** The servers that keep the commands, and how long a lease is: some are slower than others on a busy machine. */
const SERVERS = [
  ['Redis', 800, redisMissing() !== undefined, () => startRedis()],
  ['Postgres', 3000, postgresMissing() !== undefined, () => startPostgres()],
] as const

type Server = { readonly url: string; stop(): Promise<void> }

const byText = (a: string, b: string): number => a.localeCompare(b)

let folder: string
let program: string
let namespaces = 0

/** A namespace of one test: its submitter here, and its workers. */
class Stage {
  readonly queue: QueueManager
  readonly #namespace = `faults_${++namespaces}`
  readonly #url: string
  readonly #leaseMs: number
  readonly #after: TestContext['onTestFinished']

  constructor({ url, leaseMs }: { readonly url: string; readonly leaseMs: number }, { onTestFinished }: TestContext) {
    this.#url = url
    this.#leaseMs = leaseMs
    this.#after = onTestFinished
    const engine = new BullMQEngine({ connection: url, namespace: this.#namespace, role: 'coordinator' })
    this.queue = new QueueManager({ lanes, engine })
    onTestFinished(() => this.queue.close())
  }

  async worker(name: string): Promise<WorkerProcess> {
    const orders = { name, url: this.#url, namespace: this.#namespace, leaseMs: this.#leaseMs, lanes }
    const worker = new WorkerProcess(program, orders)
    this.#after(() => worker.end())
    await worker.said('started')
    return worker
  }

  hold(lane: string, payload: Held, priority?: number): CommandRun {
    return this.queue.submit(lane, { type: 'hold', payload }, priority === undefined ? {} : { priority })
  }
}

beforeAll(async () => {
  folder = newProgramFolder()
  program = join(folder, 'worker.mjs')
  await bundle(new URL('worker-program.ts', import.meta.url), program)
}, TEST_MS)

afterAll(() => rmSync(folder, { recursive: true, force: true }))

describe.each(SERVERS)('with %s', (_name, leaseMs, skip, start) => {
  let server: Server

  beforeAll(async () => {
    if (!skip) server = await start()
  }, TEST_MS)

  afterAll(() => server?.stop())

  describe.concurrent('a worker', { timeout: TEST_MS }, () => {
    test('that is killed gives its command to another one, before others that wait, with what it had saved', {
      skip,
    }, async (context) => {
      const { expect } = context
      const stage = new Stage({ url: server.url, leaseMs }, context)
      const first = await stage.worker('first')
      const run = stage.hold('one', { title: 'held', ms: LONG_MS }, 2)
      await first.said('start held 1')
      await sleep(50)
      const later = [stage.hold('one', { title: 'later', ms: 1 }, 7), stage.hold('one', { title: 'sooner', ms: 1 }, 4)]
      await Promise.all(later.map(({ accepted }) => accepted))
      const second = await stage.worker('second')
      expect(second.lines.filter((line) => line.startsWith('start '))).toEqual([])

      first.signal('SIGKILL')
      const killedAt = performance.now()
      expect(await second.said('start held')).toBe('start held 2 {"savedBy":"first"}')
      expect(performance.now() - killedAt).toBeLessThan(leaseMs + 2000)
      expect(await Promise.all([run, ...later])).toEqual(['second', 'second', 'second'])
      const starts = second.lines.filter((line) => line.startsWith('start ')).map((line) => line.split(' ')[1])
      expect(starts).toEqual(['held', 'sooner', 'later'])
      expect((await stage.queue.get(run.id))?.attempt).toBe(2)
    })

    test('that stands still for longer than its lease is told LEASE_LOST, and its late result is refused', {
      skip,
    }, async (context) => {
      const { expect } = context
      const stage = new Stage({ url: server.url, leaseMs }, context)
      const first = await stage.worker('first')
      const run = stage.hold('one', { title: 'held', ms: LONG_MS })
      await first.said('start held 1')
      await sleep(50)
      const second = await stage.worker('second')
      first.signal('SIGSTOP')
      await second.said('start held')
      first.signal('SIGCONT')
      const wokenAt = performance.now()
      expect(await first.said('aborted')).toBe('aborted held LEASE_LOST')
      expect(performance.now() - wokenAt).toBeLessThan(1000)
      await first.said('fault LEASE_LOST')
      expect(await run).toBe('second')
      expect(first.lines.filter((line) => line.startsWith('event queue.command.completed'))).toEqual([])
      expect(second.lines.filter((line) => line.startsWith('event queue.command.completed'))).toHaveLength(1)
      expect((await stage.queue.get(run.id))?.result).toBe('second')
      // it works on
      const again = Array.from({ length: 20 }, (_, n) => stage.queue.submit('other', { type: 'echo', payload: n }))
      expect(await Promise.all(again)).toEqual(again.map((_, n) => n))
    })

    test('that stands still for less than its lease goes on as if nothing had been', { skip }, async (context) => {
      const { expect } = context
      const stage = new Stage({ url: server.url, leaseMs }, context)
      const only = await stage.worker('only')
      const run = stage.hold('one', { title: 'held', ms: 700 })
      await only.said('start held 1')
      only.signal('SIGSTOP')
      await sleep(leaseMs / 2)
      only.signal('SIGCONT')
      expect(await run).toBe('only')
      expect((await stage.queue.get(run.id))?.attempt).toBe(1)
    })

    // On Postgres, BullMQ's open issue 4814: with two processes moveToDelayed ended jobs as completed.
    test('that puts a command off is not taken by another one for having done it', { skip }, async (context) => {
      const { expect } = context
      const stage = new Stage({ url: server.url, leaseMs }, context)
      const workers = [await stage.worker('first'), await stage.worker('second')]
      const retry = RetryPolicy.fixed(3, 20)
      const runs = Array.from({ length: 40 }, (_, n) =>
        stage.queue.submit('other', { type: 'flaky', payload: `n${n}` }, { retry }),
      )
      expect(await Promise.all(runs)).toEqual(runs.map((_, n) => `n${n} after 3`))
      const starts = workers.flatMap(({ lines }) => lines.filter((line) => line.startsWith('start ')))
      expect([...starts].sort(byText)).toEqual(
        runs.flatMap((_, n) => [1, 2, 3].map((attempt) => `start n${n} ${attempt}`)).sort(byText),
      )
      for (const { lines } of workers) expect(lines.some((line) => line.startsWith('start '))).toBe(true)
    })

    test('that is told to leave hands back what it cannot finish', { skip }, async (context) => {
      const { expect } = context
      const stage = new Stage({ url: server.url, leaseMs }, context)
      const first = await stage.worker('first')
      const run = stage.hold('one', { title: 'held', ms: LONG_MS })
      await first.said('start held 1')
      const second = await stage.worker('second')
      const toldAt = performance.now()
      first.signal('SIGTERM')
      await second.said('start held')
      expect(performance.now() - toldAt).toBeLessThan(leaseMs + 2000)
      await first.said('left')
      expect(await run).toBe('second')
    })
  })
})
