/** The server dies, stands still, or cannot be reached: nothing that was accepted is lost, nothing hangs, everybody comes back. */
import { setTimeout as sleep } from 'node:timers/promises'
import { type CommandRun, isLaneError, QueueManager, type QueueOptions } from '@a3s-lab/lane'
import { BullMQEngine, type BullMQEngineOptions } from '@a3s-lab/lane/bullmq'
import { describe, type TestContext, test } from 'vitest'
import { postgresMissing, startPostgres } from '../support/postgres.js'
import { type RedisOptions, redisMissing, startRedis } from '../support/redis.js'
import { startProxy, type TcpProxy } from '../support/tcp-proxy.js'

const TEST_MS = 45_000
/** Lease and 2 s, and what a slow machine adds. */
const FREED_WITHIN_MS = 15_000
const lanes = { work: { priority: 0, maxConcurrency: 20 } }
/** What a closing engine may take when the server is away, and what a slow machine adds. */
const CLOSES_WITHIN_MS = 7000

type Server = {
  readonly url: string
  readonly port: number
  stop(): Promise<void>
  kill(): Promise<void>
  restart(): Promise<void>
  suspend(): void
  resume(): void
}

type Kind = {
  readonly name: string
  readonly skip: boolean
  /** What survives its end; undefined for everything, always. */
  readonly appendonly: readonly RedisOptions['appendonly'][]
  readonly start: (options: RedisOptions) => Promise<Server>
  /** Whether all is tried here, or the rest by `npm run torture` alone, which takes longer. */
  readonly isWhole: boolean
  /** How it goes for good. */
  readonly goes: readonly ('is killed' | 'stands still' | 'stalls behind the network')[]
  readonly urlAt: (port: number) => string
}

const SERVERS: readonly Kind[] = [
  {
    name: 'Redis',
    skip: redisMissing() !== undefined,
    appendonly: ['always', 'everysec'],
    start: startRedis,
    isWhole: true,
    goes: ['is killed', 'stands still', 'stalls behind the network'],
    urlAt: (port) => `redis://127.0.0.1:${port}`,
  },
  {
    name: 'Postgres',
    skip: postgresMissing() !== undefined,
    appendonly: [undefined],
    start: () => startPostgres(),
    isWhole: false,
    goes: ['is killed'],
    urlAt: (port) => `postgres://lane@127.0.0.1:${port}/lane`,
  },
]

/** A server of one test, and queues that share its lane. */
class Stage {
  readonly server: Server
  readonly #after: TestContext['onTestFinished']

  constructor(server: Server, { onTestFinished }: TestContext) {
    this.server = server
    this.#after = onTestFinished
    onTestFinished(() => server.stop())
  }

  queue(engine: Partial<BullMQEngineOptions>, options: Partial<QueueOptions> = {}): QueueManager {
    const connection = { connection: this.server.url, namespace: 'faults' }
    const queue = new QueueManager({ lanes, engine: new BullMQEngine({ ...connection, ...engine }), ...options })
    this.#after(() => queue.close({ timeoutMs: 100 }))
    return queue
  }

  /** A started worker; what it gives is what it was given, after so long. */
  async worker(engine: Partial<BullMQEngineOptions> = {}, ms = 0): Promise<Worker> {
    const starts: unknown[] = []
    const queue = this.queue({ role: 'worker', ...engine })
    queue.handle('echo', async (value) => {
      starts.push(value)
      if (ms > 0) await sleep(ms)
      return value
    })
    await queue.start()
    return { queue, starts }
  }
}

type Worker = { readonly queue: QueueManager; readonly starts: readonly unknown[] }

async function proxied(
  stage: Stage,
  { urlAt }: Kind,
  { onTestFinished }: TestContext,
): Promise<[TcpProxy, { connection: string }]> {
  const proxy = await startProxy(stage.server.port)
  onTestFinished(() => proxy.stop())
  return [proxy, { connection: urlAt(proxy.port) }]
}

const echo = (queue: QueueManager, payload: unknown): CommandRun => queue.submit('work', { type: 'echo', payload })

/** Submits one after the other until it is told to stop; gives those that were accepted. */
function submitSteadily(queue: QueueManager) {
  const accepted: CommandRun[] = []
  const answers: Promise<unknown>[] = []
  let isOver = false
  const work = async (): Promise<void> => {
    for (let n = 0; !isOver; n++) {
      const run = echo(queue, n)
      run.then(undefined, () => undefined)
      const answer = run.accepted.then(
        () => accepted.push(run),
        () => undefined,
      )
      answers.push(answer)
      await sleep(2)
    }
  }
  const done = work()
  const stop = async (): Promise<readonly CommandRun[]> => {
    isOver = true
    await done
    await Promise.all(answers)
    return accepted
  }
  return { accepted, stop }
}

describe.each(SERVERS)('when the $name server', { timeout: TEST_MS, concurrent: true }, (kind) => {
  const { skip } = kind
  const staged = async (context: TestContext, options: RedisOptions = {}): Promise<Stage> =>
    new Stage(await kind.start(options), context)

  for (const appendonly of kind.appendonly) {
    const kept = appendonly === undefined ? '' : ` with appendfsync ${appendonly}`
    test(`is killed and starts again${kept}, everything accepted has its outcome`, {
      skip,
    }, async (context) => {
      const { expect } = context
      const stage = await staged(context, appendonly === undefined ? {} : { appendonly })
      const submitter = stage.queue({ role: 'coordinator' })
      const { starts } = await stage.worker({}, 5)
      const { accepted, stop } = submitSteadily(submitter)
      for (let kills = 0; kills < 2; kills++) {
        const before = accepted.length
        while (accepted.length < before + 60) await sleep(5)
        await stage.server.kill()
        await sleep(150)
        await stage.server.restart()
      }
      while (accepted.length < 180) await sleep(5)
      const runs = await stop()
      expect(new Set(await Promise.all(runs)).size).toBe(runs.length)
      expect(new Set(starts).size).toBeGreaterThanOrEqual(runs.length)
      // what it forgot of outcomes in its last second runs again, and a claim that it forgot to answer ends with its lease
      const active = async (): Promise<number> => (await submitter.clusterStats()).totalActive
      await expect.poll(active, { timeout: FREED_WITHIN_MS }).toBe(0)
    })
  }

  test.for(kind.goes)('%s for good, close comes back all the same', { skip }, async (how, context) => {
    const { expect } = context
    const stage = await staged(context)
    const [proxy, throughProxy] = await proxied(stage, kind, context)
    const submitter = stage.queue({ role: 'coordinator', ...throughProxy })
    const { queue: worker, starts } = await stage.worker(throughProxy, 300)
    const runs = [echo(submitter, 1), echo(submitter, 2)]
    while (starts.length < 2) await sleep(10)
    if (how === 'is killed') await stage.server.kill()
    else if (how === 'stands still') stage.server.suspend()
    else proxy.stall()
    const during = echo(submitter, 3)
    const ends = Promise.allSettled([...runs, during, during.accepted])
    const since = performance.now()
    await Promise.all([submitter.close({ timeoutMs: 500 }), worker.close({ timeoutMs: 500 })])
    expect(performance.now() - since).toBeLessThan(CLOSES_WITHIN_MS)
    for (const end of await ends) {
      const reason: unknown = end.status === 'rejected' ? end.reason : undefined
      expect(isLaneError(reason) && reason.code).toMatch(/^(SHUTTING_DOWN|ENGINE_UNAVAILABLE)$/)
    }
  })

  if (!kind.isWhole) return

  test('is away, submits wait for it, and are refused with ENGINE_UNAVAILABLE at the limit', {
    skip,
  }, async (context) => {
    const { expect } = context
    const stage = await staged(context, { appendonly: 'always' })
    const patient = stage.queue({ role: 'coordinator' })
    const hasty = stage.queue({ role: 'coordinator', offlineTimeoutMs: 400 })
    await stage.worker()
    await Promise.all([echo(patient, 'before'), echo(hasty, 'before')])
    await stage.server.kill()

    const waits = echo(patient, 'patient')
    const refusedAt = performance.now()
    const refused = echo(hasty, 'hasty')
    const error: unknown = await refused.accepted.catch((cause: unknown) => cause)
    expect(isLaneError(error) && [error.code, error.retryable]).toEqual(['ENGINE_UNAVAILABLE', true])
    expect(performance.now() - refusedAt).toBeLessThan(2500)
    await expect(refused).rejects.toBe(error)

    await stage.server.restart()
    expect(await waits).toBe('patient')
    expect(await echo(hasty, 'again')).toBe('again')
  })

  test('stands still and goes on, workers and submitters go on too', { skip }, async (context) => {
    const { expect } = context
    const stage = await staged(context)
    const submitter = stage.queue({ role: 'coordinator' })
    const { starts } = await stage.worker({}, 1500)
    const running = Array.from({ length: 10 }, (_, n) => echo(submitter, n))
    while (starts.length < 10) await sleep(10)
    stage.server.suspend()
    const during = Array.from({ length: 10 }, (_, n) => echo(submitter, 10 + n))
    await sleep(3000)
    stage.server.resume()
    expect(await Promise.all([...running, ...during])).toEqual(Array.from({ length: 20 }, (_, n) => n))
    expect(starts).toHaveLength(20)
  })

  test('is cut off again and again, nothing is lost and nothing has two outcomes', { skip }, async (context) => {
    const { expect } = context
    const stage = await staged(context)
    const [proxy, throughProxy] = await proxied(stage, kind, context)
    const submitter = stage.queue({ role: 'coordinator', ...throughProxy })
    const workers = [await stage.worker(throughProxy, 3), await stage.worker(throughProxy, 3)]
    const settled: unknown[] = []
    for (const { queue } of workers) {
      void (async () => {
        for await (const { payload } of queue.subscribeFiltered(['queue.command.completed'], { capacity: 10_000 }))
          settled.push((payload as { readonly command_id: string }).command_id)
      })()
    }
    const { accepted, stop } = submitSteadily(submitter)
    for (let cuts = 0; cuts < 12; cuts++) {
      const before = accepted.length
      while (accepted.length < before + 15) await sleep(5)
      if (cuts % 3 === 2) proxy.loseAnswers()
      else proxy.cut()
      await sleep(30)
      proxy.flow()
    }
    const runs = await stop()
    await Promise.all(runs)
    expect(runs.length).toBeGreaterThan(150)
    expect(settled.length).toBe(new Set(settled).size)
    // nobody idles: each worker takes its share again
    const before = workers.map(({ starts }) => starts.length)
    const hasShare = (): boolean => workers.every(({ starts }, index) => starts.length > (before[index] ?? 0))
    while (!hasShare()) await Promise.all(Array.from({ length: 80 }, (_, n) => echo(submitter, `after ${n}`)))
  })
})
