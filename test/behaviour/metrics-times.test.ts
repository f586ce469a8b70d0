/** How long commands wait and run, exact in virtual time: only what they could have been started for is waiting. */
import { type CommandContext, QueueMetrics, RetryAfterError, RetryPolicy, snooze } from '@a3s-lab/lane'
import { describe, expect, test } from 'vitest'
import { stopping } from '../support/bodies.js'
import { type Setup, type SetupLanes, type SetupOptions, setup } from '../support/setup.js'

/** A queue with metrics that keeps every sample. */
async function sampled<L extends string = 'work'>(
  lanes?: SetupLanes<L>,
  options: SetupOptions = {},
): Promise<{ t: Setup<L>; samples: (what: string) => number[] } & AsyncDisposable> {
  const metrics = QueueMetrics.local()
  const written: [string, number][] = []
  const local = metrics.backend()
  const recording = new QueueMetrics({
    incrementCounter: (name, by) => local.incrementCounter(name, by),
    setGauge: (name, value) => local.setGauge(name, value),
    recordHistogram: (name, value) => void written.push([name, value]),
    getCounter: (name) => local.getCounter(name),
    getGauge: (name) => local.getGauge(name),
    getHistogramStats: () => undefined,
    reset: () => local.reset(),
    snapshot: () => local.snapshot(),
  })
  const t = await setup(lanes, { ...options, metrics: recording })
  const samples = (what: string): number[] =>
    written.filter(([name]) => name === `lane.command.${what}`).map(([, value]) => value)
  return { t, samples, [Symbol.asyncDispose]: () => t[Symbol.asyncDispose]() }
}

describe('a command waits', () => {
  test('from its submit to its start', async () => {
    await using s = await sampled({ work: { maxConcurrency: 1 } })
    const { t, samples } = s
    for (const ms of [10, 20, 5]) void t.queue.submit('work', t.takes(ms))
    await t.clock.advance(100)
    expect(samples('wait_time_ms')).toEqual([0, 10, 30])
    expect(samples('wait_time_ms.work')).toEqual([0, 10, 30])
    expect(samples('latency_ms')).toEqual([10, 20, 5])
    expect(samples('latency_ms.work')).toEqual([10, 20, 5])
  })

  test('before the queue has started, and while its lane is paused', async () => {
    await using s = await sampled({ work: {} }, { start: false })
    const { t, samples } = s
    void t.queue.submit('work', t.takes(1))
    await t.clock.advance(40)
    await t.queue.start()
    await t.clock.advance(10)
    t.queue.lane('work').pause()
    void t.queue.submit('work', t.takes(1))
    await t.clock.advance(7)
    t.queue.lane('work').resume()
    await t.clock.advance(10)
    expect(samples('wait_time_ms')).toEqual([40, 7])
  })

  test('not while it is delayed', async () => {
    await using s = await sampled({ work: { maxConcurrency: 1 } })
    const { t, samples } = s
    void t.queue.submit('work', t.takes(1), { delayMs: 100 })
    await t.clock.advance(200)
    void t.queue.submit('work', t.takes(150))
    void t.queue.submit('work', t.takes(1), { delayMs: 100 })
    await t.clock.advance(500)
    expect(samples('wait_time_ms')).toEqual([0, 0, 50])
  })

  test('not while its retry is in back-off', async () => {
    await using s = await sampled({ work: { maxConcurrency: 1, retry: RetryPolicy.fixed(2, 100) } })
    const { t, samples } = s
    void t.queue.submit('work', ({ attempt }) => {
      if (attempt === 1) throw new Error('once')
      return t.sleep(3)
    })
    await t.clock.advance(50)
    void t.queue.submit('work', t.takes(70))
    await t.clock.advance(500)
    expect(samples('wait_time_ms')).toEqual([0, 0, 20])
    expect(samples('latency_ms')).toEqual([70, 3])
  })

  test.each<[string, () => unknown]>([
    ['snoozes', () => snooze(100)],
    ['comes back later', () => Promise.reject(new RetryAfterError(100))],
  ])('not while it %s', async (_how, putOff) => {
    await using s = await sampled()
    const { t, samples } = s
    void t.queue.submit('work', () => (t.clock.now() === 0 ? putOff() : t.sleep(2)))
    await t.clock.advance(500)
    expect(samples('wait_time_ms')).toEqual([0, 0])
    expect(samples('latency_ms')).toEqual([2])
  })

  test('not while it follows the command that has its dedupe id', async () => {
    await using s = await sampled({ work: { maxConcurrency: 1 } })
    const { t, samples } = s
    const dedupe = { id: 'same', mode: 'keep-last' } as const
    void t.queue.submit('work', t.takes(30), { dedupe })
    await t.clock.advance(10)
    void t.queue.submit('work', t.takes(1), { dedupe })
    await t.clock.advance(100)
    expect(samples('wait_time_ms')).toEqual([0, 0])
    expect(samples('latency_ms')).toEqual([30, 1])
  })

  test('from its preemption on', async () => {
    await using s = await sampled(
      { control: { preempts: true, minConcurrency: 0 }, work: { preemptible: true, minConcurrency: 0 } },
      { maxConcurrency: 1 },
    )
    const { t, samples } = s
    const low = t.queue.submit('work', stopping(t, 'low', 100))
    await t.clock.advance(40)
    void t.queue.submit('control', t.takes(25))
    await t.clock.advance(200)
    expect(await low).toBe('low')
    expect(samples('wait_time_ms.work')).toEqual([0, 25])
    expect(samples('latency_ms.work')).toEqual([100])
  })

  test('once for an attempt, however often that yields', async () => {
    await using s = await sampled({ better: { minConcurrency: 0 }, work: { minConcurrency: 0 } }, { maxConcurrency: 1 })
    const { t, samples } = s
    void t.queue.submit('work', async (context: CommandContext) => {
      await t.sleep(10)
      await context.yield()
      await t.sleep(10)
    })
    await t.clock.advance(5)
    void t.queue.submit('better', t.takes(30))
    await t.clock.advance(200)
    expect(samples('wait_time_ms')).toEqual([0, 5])
    expect(samples('latency_ms')).toEqual([30, 50])
  })
})

describe('a command runs', () => {
  test('for as long as its last attempt took', async () => {
    await using s = await sampled({ work: { retry: RetryPolicy.fixed(1, 100) } })
    const { t, samples } = s
    void t.queue.submit('work', async ({ attempt }) => {
      await t.sleep(attempt === 1 ? 500 : 20)
      if (attempt === 1) throw new Error('once')
    })
    await t.clock.advance(1000)
    expect(samples('latency_ms')).toEqual([20])
  })

  test('and is timed only when it completes', async () => {
    await using s = await sampled({ work: { timeoutMs: 50 } })
    const { t, samples } = s
    void t.queue.submit('work', stopping(t, 'times out', 100))
    void t.queue.submit('work', () => Promise.reject(new Error('fails')))
    const cancelled = t.queue.submit('work', stopping(t, 'is cancelled', 100))
    await t.clock.advance(20)
    cancelled.cancel()
    await t.clock.advance(100)
    expect(samples('latency_ms')).toEqual([])
    expect(samples('wait_time_ms')).toEqual([0, 0, 0])
  })

  test('for the time in which it kept the process busy', async () => {
    await using s = await sampled({ work: { maxConcurrency: 2 } })
    const { t, samples } = s
    const now = t.clock.now.bind(t.clock)
    let burnt = 0
    t.clock.now = () => now() + burnt
    const busy = (ms: number) => () => {
      burnt += ms
    }
    for (const ms of [50, 0]) void t.queue.submit('work', busy(ms))
    await t.clock.settle()
    expect(samples('latency_ms')).toEqual([50, 0])
    expect(samples('wait_time_ms')).toEqual([0, 50])
  })

  test('not for the time in which an asynchronous one before it kept the process busy', async () => {
    await using s = await sampled({ work: { maxConcurrency: 2 } })
    const { t, samples } = s
    const now = t.clock.now.bind(t.clock)
    let burnt = 0
    t.clock.now = () => now() + burnt
    const busy = (ms: number) => async () => {
      burnt += ms
    }
    for (const ms of [50, 0]) void t.queue.submit('work', busy(ms))
    await t.clock.settle()
    expect(samples('latency_ms')).toEqual([50, 0])
    expect(samples('wait_time_ms')).toEqual([0, 50])
  })
})
