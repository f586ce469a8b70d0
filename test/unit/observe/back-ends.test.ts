/** Back ends of one's own, given to a queue: what is written to them, and what becomes of one that fails. */
import { LocalMetrics, type MetricsBackend, type MetricsSnapshot, QueueMetrics, RetryPolicy } from '@a3s-lab/lane'
import { describe, expect, test } from 'vitest'
import { stopping } from '../../support/bodies.js'
import { type Setup, setup } from '../../support/setup.js'

type Write = readonly [method: string, name: string, value: number]

/** Keeps every write, after `each` has had its say. */
class Recording implements MetricsBackend {
  readonly writes: Write[] = []
  readonly #each: (write: Write) => void | Promise<void>

  constructor(each: (write: Write) => void | Promise<void> = () => undefined) {
    this.#each = each
  }

  incrementCounter(name: string, by: number): void | Promise<void> {
    return this.#write(['incrementCounter', name, by])
  }

  setGauge(name: string, value: number): void | Promise<void> {
    return this.#write(['setGauge', name, value])
  }

  recordHistogram(name: string, value: number): void | Promise<void> {
    return this.#write(['recordHistogram', name, value])
  }

  getCounter = (): undefined => undefined
  getGauge = (): undefined => undefined
  getHistogramStats = (): undefined => undefined
  reset = (): void => undefined
  snapshot = (): MetricsSnapshot => ({ counters: {}, gauges: {}, histograms: {} })

  #write(write: Write): void | Promise<void> {
    this.writes.push(write)
    return this.#each(write)
  }
}

const lanes = { work: { maxConcurrency: 2, timeoutMs: 20, retry: RetryPolicy.fixed(1, 5) } }

/** Some of everything. */
async function traffic(t: Setup<'work'>): Promise<void> {
  t.queue.handle('echo', (payload) => payload)
  for (let n = 0; n < 4; n++) void t.queue.submit('work', { type: 'echo', payload: n })
  void t.queue.submit('work', () => Promise.reject(new Error('no')))
  void t.queue.submit('work', stopping(t, 'slow', 1000))
  const cancelled = t.queue.submit('work', stopping(t, 'cancelled', 1000))
  void t.queue.submit('nowhere' as 'work', () => 1)
  await t.clock.advance(30)
  cancelled.cancel()
  await t.clock.advance(100)
}

/** Plays writes into memory. */
function replayed(writes: readonly Write[]): LocalMetrics {
  const local = new LocalMetrics()
  for (const [method, name, value] of writes) local[method as 'setGauge'](name, value)
  return local
}

test('a back end of your own is written what the one in memory holds', async () => {
  const recording = new Recording()
  await using one = await setup(lanes, { metrics: new QueueMetrics(recording) })
  await using other = await setup(lanes, { metrics: QueueMetrics.local() })
  await traffic(one)
  await traffic(other)
  await one.queue.metrics?.snapshot()
  const expected = await other.queue.metrics?.snapshot()
  expect(Object.keys(expected?.counters ?? {}).length).toBeGreaterThan(10)
  expect(replayed(recording.writes).snapshot()).toEqual(expected)
})

test('a back end that extends the one in memory hears every write', async () => {
  const heard: string[] = []
  class Forwarding extends LocalMetrics {
    override incrementCounter(name: string, by: number): void {
      heard.push(name)
      super.incrementCounter(name, by)
    }

    override recordHistogram(name: string, value: number): void {
      heard.push(name)
      super.recordHistogram(name, value)
    }
  }
  await using t = await setup(lanes, { metrics: new QueueMetrics(new Forwarding()) })
  await t.queue.submit('work', () => 1)
  expect(heard).toEqual([
    ...[
      'lane.commands.submitted',
      'lane.commands.submitted.work',
      'lane.commands.started',
      'lane.commands.started.work',
    ],
    ...['lane.command.wait_time_ms', 'lane.command.wait_time_ms.work'],
    ...['lane.commands.completed', 'lane.commands.completed.work'],
    ...['lane.command.latency_ms', 'lane.command.latency_ms.work'],
  ])
})

test('a back end is called as the object that it is', async () => {
  const recording = new Recording()
  await using t = await setup(lanes, { metrics: new QueueMetrics(recording) })
  await t.queue.submit('work', () => 1)
  expect(recording.writes).toContainEqual(['incrementCounter', 'lane.commands.completed.work', 1])
})

describe('a back end that fails', () => {
  /** Away while it says so. */
  const switchable = (how: 'throws' | 'rejects'): { backend: Recording; away: boolean } => {
    const state = {
      away: true,
      backend: new Recording(() => {
        if (!state.away) return how === 'rejects' ? Promise.resolve() : undefined
        if (how === 'rejects') return Promise.reject(new Error('away'))
        throw new Error('away')
      }),
    }
    return state
  }

  test.each(['throws', 'rejects'] as const)('%s: told once until it is back, and nothing is lost', async (how) => {
    const state = switchable(how)
    await using t = await setup(lanes, { metrics: new QueueMetrics(state.backend) })
    const run = t.queue.submit('work', () => 'unharmed')
    expect(await run).toBe('unharmed')
    await traffic(t)
    expect(t.faults).toEqual([new Error('away')])
    expect(t.recorder.of('queue.fault').map(({ payload }) => payload)).toEqual([{ error: 'away' }])
    state.away = false
    expect(await t.queue.submit('work', () => 'again')).toBe('again')
    await t.clock.settle()
    expect(t.faults).toHaveLength(1)
    state.away = true
    await t.queue.submit('work', () => 'away again')
    await t.clock.settle()
    expect(t.faults).toHaveLength(2)
    state.away = false
    expect(t.queue.stats()).toMatchObject({ totalPending: 0, totalActive: 0, totalSlots: 0 })
  })

  test('in one of its methods only is told once, too', async () => {
    const backend = new Recording(([method]) => {
      if (method === 'setGauge') throw new Error('no gauges here')
    })
    await using t = await setup(lanes, { metrics: new QueueMetrics(backend) })
    for (let n = 0; n < 20; n++) await t.queue.submit('work', () => n)
    expect(t.faults).toEqual([new Error('no gauges here')])
  })

  test('when a snapshot is asked for says so to who asked', async () => {
    const backend = new Recording()
    backend.snapshot = () => {
      throw new Error('no snapshot')
    }
    await using t = await setup(lanes, { metrics: new QueueMetrics(backend) })
    await expect(t.queue.metrics?.snapshot()).rejects.toThrow('no snapshot')
    expect(await t.queue.submit('work', () => 1)).toBe(1)
  })
})

test('a back end that answers late keeps nobody waiting', async () => {
  let pending = 0
  const backend = new Recording(() => {
    pending++
    return new Promise(() => {})
  })
  await using t = await setup(lanes, { metrics: new QueueMetrics(backend) })
  expect(await t.clock.expectSettled(t.queue.submit('work', () => 'at once'))).toBe('at once')
  expect(pending).toBeGreaterThan(8)
})

test('a back end that gives what looks like a promise and rejects leaves no unhandled rejection', async () => {
  // As another realm's promise, or a query builder's: not one of ours by its class.
  const foreign = {
    // biome-ignore lint/suspicious/noThenProperty: a thenable is what this is about
    then: (_resolve: unknown, reject: (error: unknown) => void) => reject(new Error('away')),
  }
  await using t = await setup(lanes, { metrics: new QueueMetrics(new Recording(() => foreign as never)) })
  expect(await t.queue.submit('work', () => 'unharmed')).toBe('unharmed')
})
