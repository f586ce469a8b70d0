/** Scrapes of a queue's registry, over HTTP, read as Prometheus reads them. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import {
  LocalMetrics,
  type MetricsBackend,
  QueueManager,
  QueueMetrics,
  RateLimitConfig,
  RetryPolicy,
} from '@a3s-lab/lane'
import { createRegistry } from '@a3s-lab/lane/prometheus'
import { Gauge, type OpenMetricsContentType, Registry } from 'prom-client'
import { expect, test } from 'vitest'
import { stopping } from '../support/bodies.js'
import { parseScrape, type Scrape } from '../support/prometheus-text.js'
import { errorOf, setup } from '../support/setup.js'

/** What a GET of /metrics gives. */
async function scrapeOverHttp(registry: Registry): Promise<{ readonly type: string | null; readonly scrape: Scrape }> {
  const server = createServer((_request, response) => {
    void registry.metrics().then((text) => response.writeHead(200, { 'content-type': registry.contentType }).end(text))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  try {
    const response = await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}/metrics`)
    return { type: response.headers.get('content-type'), scrape: parseScrape(await response.text()) }
  } finally {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  }
}

const scrapeOf = async (registry: Registry): Promise<Scrape> => parseScrape(await registry.metrics())

/** Values of a metric by lane. */
function byLane(scrape: Scrape, name: string): Record<string, number> {
  const samples = scrape.get(name)?.samples ?? []
  return Object.fromEntries<number>(samples.map(({ labels, value }) => [labels['lane'] ?? '', value]))
}

/** A histogram of one lane: buckets as [bound, count], sum and count. */
function histogramOf(scrape: Scrape, name: string, lane: string) {
  const samples = scrape.get(name)?.samples.filter(({ labels }) => labels['lane'] === lane) ?? []
  const one = (suffix: string): number | undefined =>
    samples.find((sample) => sample.name === `${name}${suffix}`)?.value
  const buckets = samples.filter((sample) => sample.name === `${name}_bucket`)
  return {
    buckets: buckets.map(({ labels, value }) => [labels['le'] ?? '', value] as const),
    sum: one('_sum'),
    count: one('_count'),
  }
}

test('a scrape over HTTP tells what the queue counted, times and holds', async () => {
  const lanes = { query: { retry: RetryPolicy.fixed(1, 100) }, slow: { timeoutMs: 50 }, idle: { maxConcurrency: 7 } }
  await using t = await setup(lanes, { metrics: QueueMetrics.local(), deadLetters: true })
  const registry = createRegistry(t.queue)
  const runs = [
    t.queue.submit('query', t.takes(40)),
    t.queue.submit('query', t.takes(2000)),
    errorOf(t.queue.submit('query', () => Promise.reject(new Error('no')))),
    errorOf(t.queue.submit('slow', stopping(t, 'late', 100))),
    errorOf(t.queue.submit('nowhere' as 'query', () => 1)),
  ]
  t.queue.lane('idle').pause()
  const later = t.queue.submit('idle', () => 'soon')
  await t.clock.advance(500)
  const { type, scrape } = await scrapeOverHttp(registry)
  expect(type).toBe('text/plain; version=0.0.4; charset=utf-8')
  expect(byLane(scrape, 'a3s_lane_commands_submitted_total')).toEqual({ query: 3, slow: 1, idle: 1 })
  expect(byLane(scrape, 'a3s_lane_commands_completed_total')).toEqual({ query: 1, slow: 0, idle: 0 })
  expect(byLane(scrape, 'a3s_lane_commands_failed_total')).toEqual({ query: 1, slow: 0, idle: 0 })
  expect(byLane(scrape, 'a3s_lane_commands_timeout_total')).toEqual({ query: 0, slow: 1, idle: 0 })
  expect(byLane(scrape, 'a3s_lane_commands_retried_total')).toEqual({ query: 1, slow: 0, idle: 0 })
  expect(byLane(scrape, 'a3s_lane_commands_rejected_total')).toEqual({ query: 0, slow: 0, idle: 0, '': 1 })
  expect(byLane(scrape, 'a3s_lane_queue_oldest_age_seconds')).toEqual({ query: 0, slow: 0, idle: 0.5 })
  expect(byLane(scrape, 'a3s_lane_lane_paused')).toEqual({ query: 0, slow: 0, idle: 1 })
  expect(scrape.get('a3s_lane_dead_letters')?.samples.map(({ value }) => value)).toEqual([2])
  const stats = t.queue.stats().lanes
  const each = (read: (lane: (typeof stats)[string]) => number): Record<string, number> =>
    Object.fromEntries(Object.entries(stats).map(([id, lane]) => [id, read(lane)]))
  expect(byLane(scrape, 'a3s_lane_queue_depth')).toEqual(each(({ pending }) => pending))
  expect(byLane(scrape, 'a3s_lane_queue_active')).toEqual(each(({ active }) => active))
  expect(byLane(scrape, 'a3s_lane_queue_delayed')).toEqual(each(({ delayed }) => delayed))
  expect(byLane(scrape, 'a3s_lane_queue_zombies')).toEqual(each(({ zombies }) => zombies))
  expect(byLane(scrape, 'a3s_lane_lane_max_concurrency')).toEqual(each(({ max }) => max))
  t.queue.lane('idle').resume()
  await t.clock.advance(1500)
  await Promise.all([...runs, later])
})

test('durations are histograms in seconds: buckets hold what is before them, and the last is the count', async () => {
  const metrics = QueueMetrics.local()
  await using t = await setup({ work: {} }, { metrics })
  const values = [0, 0.4, 1, 5, 5.1, 99, 2500, 59_000, 300_000, 400_000]
  for (const ms of values) metrics.recordComplete('work', ms)
  const scrape = await scrapeOf(createRegistry(t.queue))
  const { buckets, sum, count } = histogramOf(scrape, 'a3s_lane_command_duration_seconds', 'work')
  expect(buckets).toEqual([
    ['0.001', 3],
    ['0.005', 4],
    ['0.01', 5],
    ['0.025', 5],
    ['0.05', 5],
    ['0.1', 6],
    ['0.25', 6],
    ['0.5', 6],
    ['1', 6],
    ['2.5', 7],
    ['5', 7],
    ['10', 7],
    ['30', 7],
    ['60', 8],
    ['300', 9],
    ['+Inf', 10],
  ])
  expect(sum).toBeCloseTo(values.reduce((a, b) => a + b) / 1000, 9)
  expect(count).toBe(values.length)
})

test('buckets can be chosen', async () => {
  const metrics = QueueMetrics.local()
  await using t = await setup({ work: {} }, { metrics })
  metrics.recordWaitTime('work', 1010)
  const scrape = await scrapeOf(createRegistry(t.queue, { buckets: [1, 1.01, 2] }))
  expect(histogramOf(scrape, 'a3s_lane_command_wait_seconds', 'work')).toEqual({
    buckets: [
      ['1', 0],
      ['1.01', 1],
      ['2', 1],
      ['+Inf', 1],
    ],
    sum: 1.01,
    count: 1,
  })
})

test('the first scrape has every metric of every lane, with zeros', async () => {
  await using t = await setup({ one: {}, two: {} })
  const scrape = await scrapeOf(createRegistry(t.queue))
  const names = [...scrape.keys()]
  expect(names).toHaveLength(26)
  for (const [name, { type, samples }] of scrape) {
    if (name === 'a3s_lane_dead_letters' || name === 'a3s_lane_lane_max_concurrency') continue
    expect([name, samples.every(({ value }) => value === 0)]).toEqual([name, true])
    expect(new Set(samples.map(({ labels }) => labels['lane']))).toEqual(new Set(['one', 'two']))
    expect(name.endsWith('_total')).toBe(type === 'counter')
  }
})

test('lane ids come back as they are, whatever is in them', async () => {
  const ids = ['a "quoted" id', 'back\\slash', 'two\nlines', 'üñí', '\\n', 'tool.calls', 'comma,"}']
  await using t = await setup(Object.fromEntries(ids.map((id) => [id, {}])))
  const registry = createRegistry(t.queue)
  for (const id of ids) await t.queue.submit(id, () => id)
  const submitted = byLane(await scrapeOf(registry), 'a3s_lane_commands_submitted_total')
  expect(submitted).toEqual(Object.fromEntries(ids.map((id) => [id, 1])))
})

test('counters and buckets never go down', async () => {
  const rateLimit = RateLimitConfig.perSecond(20)
  await using t = await setup(
    { work: { rateLimit, retry: RetryPolicy.fixed(1, 10) } },
    { metrics: QueueMetrics.local() },
  )
  const registry = createRegistry(t.queue)
  const before = new Map<string, number>()
  let sum = 0
  for (let round = 0; round < 20; round++) {
    const runs = [t.queue.submit('work', t.takes(round)), t.queue.submit('work', () => Promise.reject(new Error('no')))]
    await t.clock.advance(500)
    await Promise.allSettled(runs)
    for (const [family, { type, samples }] of await scrapeOf(registry)) {
      if (type === 'gauge') continue
      for (const { name, labels, value } of samples) {
        const series = JSON.stringify([family, name, labels])
        expect(value).toBeGreaterThanOrEqual(before.get(series) ?? 0)
        before.set(series, value)
        sum += value
      }
    }
  }
  expect(sum).toBeGreaterThan(0)
  expect(byLane(await scrapeOf(registry), 'a3s_lane_rate_limited_seconds_total')['work']).toBeGreaterThanOrEqual(0)
})

test('a queue without metrics is counted from now on', async () => {
  await using t = await setup({ work: {} })
  await t.queue.submit('work', () => 'before')
  const registry = createRegistry(t.queue)
  await t.queue.submit('work', () => 'after')
  expect(byLane(await scrapeOf(registry), 'a3s_lane_commands_completed_total')).toEqual({ work: 1 })
})

test('a queue whose metrics go elsewhere is counted beside them', async () => {
  const written: string[] = []
  const elsewhere: MetricsBackend = {
    incrementCounter: (name) => void written.push(name),
    setGauge() {},
    recordHistogram() {},
    getCounter: () => undefined,
    getGauge: () => undefined,
    getHistogramStats: () => undefined,
    reset() {},
    snapshot: () => new LocalMetrics().snapshot(),
  }
  await using t = await setup({ work: {} }, { metrics: new QueueMetrics(elsewhere) })
  const registry = createRegistry(t.queue)
  await t.queue.submit('work', () => 'done')
  expect(byLane(await scrapeOf(registry), 'a3s_lane_commands_completed_total')).toEqual({ work: 1 })
  expect(written).toContain('lane.commands.completed.work')
})

test('names begin with the prefix', async () => {
  await using t = await setup({ work: {} })
  const names = [...(await scrapeOf(createRegistry(t.queue, { prefix: 'orders_' }))).keys()]
  expect(names.filter((name) => !name.startsWith('orders_'))).toEqual([])
  expect(names).toContain('orders_commands_submitted_total')
})

test('the metrics join a registry that is there already, beside what is in it', async () => {
  const registry = new Registry()
  new Gauge({ name: 'mine', help: 'Something else', registers: [registry] }).set(3)
  registry.setDefaultLabels({ service: 'api' })
  await using t = await setup({ work: {} })
  expect(createRegistry(t.queue, { registry })).toBe(registry)
  const scrape = await scrapeOf(registry)
  expect(scrape.get('mine')?.samples[0]?.value).toBe(3)
  expect(scrape.get('a3s_lane_queue_depth')?.samples[0]?.labels).toEqual({ lane: 'work', service: 'api' })
})

test('two queues in one registry need different prefixes, and nothing is added before that is known', async () => {
  const registry = new Registry()
  await using one = await setup({ work: {} })
  await using two = await setup({ work: {} })
  createRegistry(one.queue, { registry })
  const before = registry.getMetricsAsArray().length
  expect(() => createRegistry(two.queue, { registry })).toThrow(/createRegistry prefix must be one that no other queue/)
  expect(registry.getMetricsAsArray()).toHaveLength(before)
  createRegistry(two.queue, { registry, prefix: 'other_' })
  await two.queue.submit('work', () => 1)
  const scrape = await scrapeOf(registry)
  expect(byLane(scrape, 'a3s_lane_commands_submitted_total')).toEqual({ work: 0 })
  expect(byLane(scrape, 'other_commands_submitted_total')).toEqual({ work: 1 })
})

test("Node's own metrics come along when they are asked for", async () => {
  await using t = await setup({ work: {} })
  const names = createRegistry(t.queue, { defaultMetrics: true })
    .getMetricsAsArray()
    .map(({ name }) => name)
  expect(names).toContain('nodejs_eventloop_lag_seconds')
})

test('an OpenMetrics registry gets its counters as that format wants them', async () => {
  const registry = new Registry<OpenMetricsContentType>()
  registry.setContentType(Registry.OPENMETRICS_CONTENT_TYPE)
  await using t = await setup({ work: {} })
  createRegistry(t.queue, { registry: registry as unknown as Registry })
  await t.queue.submit('work', () => 1)
  for (let scrapes = 0; scrapes < 2; scrapes++) {
    const text = await registry.metrics()
    expect(text).toContain('# TYPE a3s_lane_commands_submitted counter\n')
    expect(text).toContain('a3s_lane_commands_submitted_total{lane="work"} 1\n')
    expect(text).toContain('a3s_lane_command_duration_seconds_count{lane="work"} 1\n')
    expect(text.endsWith('# EOF\n')).toBe(true)
  }
})

test('as objects, for the main process of a cluster, values have their labels', async () => {
  await using t = await setup({ work: {} })
  const registry = createRegistry(t.queue)
  await t.queue.submit('work', () => 1)
  const found = (await registry.getMetricsAsJSON()).find(({ name }) => name === 'a3s_lane_commands_submitted_total')
  expect(found).toMatchObject({ type: 'counter', aggregator: 'sum', values: [{ value: 1, labels: { lane: 'work' } }] })
  registry.resetMetrics()
  expect(byLane(await scrapeOf(registry), 'a3s_lane_commands_submitted_total')).toEqual({ work: 1 })
})

test.each([
  [{ prefix: '9_' }, 'createRegistry prefix'],
  [{ prefix: 'a-b' }, 'createRegistry prefix'],
  [{ buckets: [] }, 'createRegistry buckets'],
  [{ buckets: [2, 1] }, 'createRegistry buckets'],
  [{ buckets: [0, 1] }, 'createRegistry buckets'],
  [{ buckets: [1, Number.POSITIVE_INFINITY] }, 'createRegistry buckets'],
  [{ registry: {} }, 'createRegistry registry'],
  [{ defaultMetrics: 'yes' }, 'createRegistry defaultMetrics'],
  [{ prefiks: 'x' }, "did you mean 'prefix'?"],
])('createRegistry refuses %o', async (options, text) => {
  await using t = await setup({ work: {} })
  expect(() => createRegistry(t.queue, options as object)).toThrow(text)
})

test('a submit to no lane has its line from then on, also after an earlier scrape', async () => {
  await using queue = new QueueManager({ lanes: { known: { priority: 0 } } })
  const registry = createRegistry(queue)
  const refused = 'a3s_lane_commands_rejected_total{lane=""}'
  expect(await registry.metrics()).not.toContain(refused)
  await queue.submit('unknown', () => 1).catch(() => undefined)
  expect(await registry.metrics()).toContain(`${refused} 1`)
})

test('metrics made of LocalMetrics that go elsewhere are counted beside them', async () => {
  class Elsewhere extends LocalMetrics {
    override incrementCounter(): void {
      // to another machine
    }
  }
  await using queue = new QueueManager({ lanes: { a: { priority: 0 } }, metrics: new QueueMetrics(new Elsewhere()) })
  const registry = createRegistry(queue)
  await queue.start()
  await queue.submit('a', () => 1)
  expect(await registry.metrics()).toContain('a3s_lane_commands_completed_total{lane="a"} 1')
})

test('writes every line as a registry of prom-client itself would', async () => {
  const lanes = { 'a "quoted"\\lane\n': { priority: 0 }, plain: { priority: 1 } }
  await using queue = new QueueManager({ lanes, metrics: QueueMetrics.local(), deadLetters: 5 })
  await queue.start()
  await Promise.all([1, 2, 3].map((n) => queue.submit('plain', () => n)))
  await queue.submit('plain', () => Promise.reject(new Error('no'))).catch(() => undefined)
  const ours = createRegistry(queue)
  const theirs = createRegistry(queue, { registry: new Registry() })
  expect(await ours.metrics()).toBe(await theirs.metrics())
  for (const registry of [ours, theirs]) registry.setDefaultLabels({ app: 'tried' })
  expect(await ours.metrics()).toBe(await theirs.metrics())
})
