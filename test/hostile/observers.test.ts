/** Those who watch a queue: they are called in the middle of its work, may throw, and may use the queue from there. */
import {
  type CommandRun,
  isLaneError,
  type LaneFact,
  LocalMetrics,
  type MetricsBackend,
  type Observation,
  QueueMetrics,
  RetryAfterError,
  RetryPolicy,
  snooze,
} from '@a3s-lab/lane'
import { describe, expect, test } from 'vitest'
import { sorted, stopping } from '../support/bodies.js'
import { errorOf, type Setup, setup, thrownBy } from '../support/setup.js'

const broken = new Error('the observer broke')
const breaks = (): never => {
  throw broken
}

/** Does something at each fact of a kind, for as often as it may. */
function during(fact: LaneFact, act: () => void, times = 1): Observation {
  let left = times
  return {
    observe: () => ({
      observerOf: () => (one) => {
        if (one === fact && left-- > 0) act()
      },
    }),
  }
}

const lanes = {
  control: { preempts: true, minConcurrency: 0 },
  work: {
    ...{ preemptible: true, minConcurrency: 0, maxConcurrency: 9, timeoutMs: 50, zombieGraceMs: 20 },
    retry: RetryPolicy.fixed(1, 5),
  },
}

/** Commands of many fates, and how each of them ends. */
function workload(t: Setup<'control' | 'work'>): readonly (readonly [CommandRun, string])[] {
  const submit = t.queue.submit.bind(t.queue, 'work') as (body: () => unknown, options?: object) => CommandRun
  const cancelled = submit(stopping(t, 'cancelled', 1000) as never)
  const all: (readonly [CommandRun, string])[] = [
    [submit(() => 1), 'completed'],
    [submit(() => Promise.reject(new Error('no'))), 'failed'],
    [submit(stopping(t, 'too long', 1000) as never), 'timed_out'],
    [submit(() => (t.clock.now() < 30 ? snooze(10) : 1)), 'completed'],
    [submit(() => (t.clock.now() < 30 ? Promise.reject(new RetryAfterError(10)) : 1)), 'completed'],
    [submit(() => new Promise(() => {})), 'timed_out'],
    [submit(() => 1, { delayMs: 20 }), 'completed'],
    [submit(stopping(t, 'preempted', 30) as never), 'completed'],
    [t.queue.submit('work', { type: 'unknown', payload: 1 }), 'failed'],
    [t.queue.submit('nowhere', () => 1) as CommandRun, 'failed'],
    [cancelled, 'cancelled'],
  ]
  for (const [run] of all) run.accepted.catch(() => undefined)
  t.clock.setTimer(3, () => void t.queue.submit('control', t.takes(4)))
  t.clock.setTimer(8, () => cancelled.cancel('enough'))
  return all
}

/** What is wrong after the workload: commands that did not end as they should, slots and places that did not come back. */
async function wrongIn(t: Setup<'control' | 'work'>): Promise<unknown[]> {
  const all = workload(t)
  await t.clock.advance(1000)
  const { totalPending, totalActive, totalDelayed, totalSlots } = t.queue.stats()
  return [
    ...all.filter(([{ state }, right]) => state !== right).map(([{ state }, right]) => `${state}, not ${right}`),
    ...[totalPending, totalActive, totalDelayed, totalSlots].filter((count) => count !== 0),
  ]
}

const told = (t: Setup<'control' | 'work'>): unknown[] => t.faults.filter((fault) => fault === broken)

describe('an observer that throws', () => {
  test('when it begins to watch is told to who asked, and nobody watches', async () => {
    await using t = await setup(lanes)
    expect(thrownBy(() => t.queue.observe({ observe: breaks }))).toBe(broken)
    expect(thrownBy(() => t.queue.observe({ observe: () => ({ observerOf: breaks, turnEnded: breaks }) }))).toBe(broken)
    expect(await wrongIn(t)).toEqual([])
    expect(told(t)).toEqual([])
  })

  test('at every fact harms nobody, and each time is told', async () => {
    await using t = await setup(lanes, { maxConcurrency: 4, deadLetters: true })
    const facts = new Set<LaneFact>()
    t.queue.observe({
      observe: () => ({
        observerOf: () => (fact) => {
          facts.add(fact)
          breaks()
        },
        onChangeOf: () => breaks,
      }),
    })
    expect(await wrongIn(t)).toEqual([])
    expect(sorted([...facts])).toEqual([
      ...['abandoned', 'cancelled', 'completed', 'dead_lettered', 'deferred', 'failed', 'preempted'],
      ...['retried', 'started', 'stopped', 'submitted', 'timed_out'],
    ])
    expect(told(t).length).toBeGreaterThan(30)
    expect(t.recorder.of('queue.fault')[0]?.payload).toEqual({ error: 'the observer broke', lane_id: 'work' })
  })

  test.each(['refused', 'turnEnded', 'ended'] as const)('when it is told %s harms nobody', async (method) => {
    await using t = await setup(lanes, { maxConcurrency: 4 })
    t.queue.observe({ observe: () => ({ [method]: breaks }) })
    expect(await wrongIn(t)).toEqual([])
    await t.queue.shutdown()
    await t.clock.settle()
    expect(t.recorder.keys()).toContain('queue.shutdown.complete')
    expect(told(t).length).toBeGreaterThan(0)
  })

  test('keeps nothing from the observers before and after it', async () => {
    await using t = await setup(lanes, { maxConcurrency: 4 })
    const heard: string[][] = [[], []]
    const hearing = (which: number): Observation => ({
      observe: () => ({
        observerOf:
          ({ id }) =>
          (fact) =>
            heard[which]?.push(`${id} ${fact}`),
        onChangeOf:
          ({ id }) =>
          () =>
            heard[which]?.push(`${id} changed`),
        turnEnded: () => heard[which]?.push('turn'),
        refused: () => heard[which]?.push('refused'),
      }),
    })
    t.queue.observe(hearing(0))
    t.queue.observe({
      observe: () => ({ observerOf: () => breaks, onChangeOf: () => breaks, turnEnded: breaks, refused: breaks }),
    })
    t.queue.observe(hearing(1))
    expect(await wrongIn(t)).toEqual([])
    expect(heard[0]?.length).toBeGreaterThan(50)
    expect(heard[1]).toEqual(heard[0])
  })

  test('while a listener to faults throws too harms nobody', async () => {
    await using t = await setup(lanes, { maxConcurrency: 4, onFault: breaks })
    t.queue.subscribeFiltered(breaks)
    t.queue.observe({ observe: () => ({ observerOf: () => breaks, onChangeOf: () => breaks, turnEnded: breaks }) })
    expect(await wrongIn(t)).toEqual([])
  })
})

test.each([undefined, null, 5, {}, { observe: 'yes' }])('%j cannot watch a queue', async (observation) => {
  await using t = await setup()
  const error = thrownBy(() => t.queue.observe(observation as never))
  expect(isLaneError(error)).toBe(true)
  expect(error).toMatchObject({ code: 'CONFIG_INVALID' })
})

test('an observer sees the queue and its lanes as they are', async () => {
  await using t = await setup({ work: {} }, { start: false })
  let seen: Parameters<Observation['observe']>[0] | undefined
  t.queue.observe({
    observe: (queue) => {
      seen = queue
      return {}
    },
  })
  void t.queue.submit('work', t.takes(1))
  await t.clock.advance(30)
  const lane = seen?.lanes[0]
  expect([lane?.id, lane?.pending, lane?.oldestAgeMs()]).toEqual(['work', 1, 30])
  expect([lane?.status(), seen?.stats()]).toEqual([t.queue.lane('work').status(), t.queue.stats()])
  expect([seen?.isStarted, seen?.isShuttingDown]).toEqual([false, false])
  await t.queue.start()
  await t.queue.shutdown()
  expect([seen?.isStarted, seen?.isShuttingDown]).toEqual([true, true])
  await t.clock.advance(1)
})

describe('an observer that uses the queue is served:', () => {
  const facts = [
    ...['submitted', 'started', 'completed', 'failed', 'timed_out', 'cancelled', 'retried', 'deferred'],
    ...['dead_lettered', 'preempted', 'stopped', 'abandoned'],
  ] as LaneFact[]

  test('a submit, a cancel and an end from inside a change of the backlog', async () => {
    await using t = await setup(lanes, { maxConcurrency: 4 })
    const acts = [
      () => t.queue.submit('work', () => 'from inside'),
      () => t.queue.lane('work').cancelAll(),
      () => t.queue.submit('control', () => 'from inside'),
      () => t.queue.close({ timeoutMs: 10 }),
    ]
    let changes = 0
    t.queue.observe({
      observe: () => ({
        onChangeOf: () => () => {
          const act = ++changes % 4 === 0 ? acts.shift() : undefined
          if (act !== undefined) void act()
        },
      }),
    })
    const all = workload(t)
    await t.clock.advance(1000)
    expect(acts).toEqual([])
    expect(all.filter(([{ state }]) => ['pending', 'delayed', 'active'].includes(state))).toEqual([])
    expect(t.queue.stats()).toMatchObject({ totalPending: 0, totalActive: 0, totalDelayed: 0, totalSlots: 0 })
  })

  test.each(facts)('a submit from inside %s', async (fact) => {
    await using t = await setup(lanes, { maxConcurrency: 4, deadLetters: true })
    const runs: CommandRun[] = []
    t.queue.observe(during(fact, () => runs.push(t.queue.submit('work', () => 'from inside')), 3))
    expect(await wrongIn(t)).toEqual([])
    expect(runs.length).toBeGreaterThan(0)
    expect(await Promise.all(runs)).toEqual(runs.map(() => 'from inside'))
  })

  test.each(facts)('the end of the queue from inside %s', async (fact) => {
    await using t = await setup(lanes, { maxConcurrency: 4, deadLetters: true })
    t.queue.observe(during(fact, () => void t.queue.close({ timeoutMs: 10 })))
    const all = workload(t)
    await t.clock.advance(1000)
    const open = all.filter(([{ state }]) => ['pending', 'delayed', 'active'].includes(state))
    expect(open).toEqual([])
    expect(t.recorder.keys().at(-1)).toBe('queue.shutdown.complete')
  })
})

describe('a listener to faults that cancels everything', () => {
  test.each<LaneFact>(['submitted', 'started', 'retried', 'deferred', 'preempted', 'timed_out', 'stopped'])(
    'when an observer breaks at %s is served',
    async (fact) => {
      await using t = await setup(lanes, { maxConcurrency: 4, deadLetters: true })
      t.queue.observe(during(fact, breaks, 3))
      const all: (readonly [CommandRun, string])[] = []
      t.queue.subscribeFiltered(({ key, payload }) => {
        const isOurs = key === 'queue.fault' && payload.error === broken.message
        if (isOurs) for (const [run] of all) run.cancel('by the listener')
        return false
      })
      all.push(...workload(t))
      await t.clock.advance(1000)
      expect(told(t).length).toBeGreaterThan(0)
      const { totalPending, totalActive, totalDelayed, totalSlots } = t.queue.stats()
      expect([totalPending, totalActive, totalDelayed, totalSlots]).toEqual([0, 0, 0, 0])
      expect(all.filter(([{ state }]) => ['pending', 'delayed', 'active'].includes(state))).toEqual([])
      expect(await t.queue.submit('work', () => 'still at work')).toBe('still at work')
    },
  )
})

describe('an observer that cancels', () => {
  const ends = (t: Setup<'control' | 'work'>, run: CommandRun): string[] =>
    t.events(run.id).map(([key]) => key.slice('queue.command.'.length))

  test('what was just accepted cancels it', async () => {
    await using t = await setup(lanes)
    t.queue.observe(during('submitted', () => t.queue.lane('work').cancelAll('from inside')))
    const run = t.queue.submit('work', t.noting('never'))
    expect(await errorOf(run)).toMatchObject({ code: 'COMMAND_CANCELLED' })
    expect(t.notes).toEqual([])
  })

  test('what was just accepted is told of after that', async () => {
    await using t = await setup(lanes)
    t.queue.observe(during('submitted', () => t.queue.lane('work').cancelAll('from inside')))
    const run = t.queue.submit('work', t.noting('never'))
    await errorOf(run)
    expect(ends(t, run)).toEqual(['submitted', 'cancelled'])
  })

  test('what was just started keeps its body from running', async () => {
    await using t = await setup(lanes)
    t.queue.observe(during('started', () => run.cancel('from inside')))
    const run: CommandRun<string> = t.queue.submit('work', t.noting('never'))
    expect(await errorOf(run)).toMatchObject({ code: 'COMMAND_CANCELLED' })
    expect(t.notes).toEqual([])
  })

  test('what was just started is told of after that', async () => {
    await using t = await setup(lanes)
    t.queue.observe(during('started', () => run.cancel('from inside')))
    const run: CommandRun<string> = t.queue.submit('work', t.noting('never'))
    await errorOf(run)
    expect(ends(t, run)).toEqual(['submitted', 'started', 'cancelled'])
  })

  test('what was just started, when nobody listens, keeps its body from running', async () => {
    await using t = await setup(lanes)
    t.recorder.stop()
    t.queue.observe(during('started', () => run.cancel('from inside')))
    const run: CommandRun<string> = t.queue.submit('work', t.noting('never'))
    expect(await errorOf(run)).toMatchObject({ code: 'COMMAND_CANCELLED' })
    expect(t.notes).toEqual([])
  })

  test.each<[LaneFact, string, (t: Setup<'control' | 'work'>) => () => unknown]>([
    ['retried', 'failed', () => () => Promise.reject(new Error('no'))],
    ['retried', 'ran out of time', (t) => stopping(t, 'slow', 1000) as () => unknown],
    ['retried', 'ran out of time and goes on', () => () => new Promise(() => {})],
    ['deferred', 'snoozed', () => () => snooze(10)],
    ['deferred', 'asked to come back', () => () => Promise.reject(new RetryAfterError(10))],
  ])('at %s what %s cancels it', async (fact, _what, body) => {
    await using t = await setup(lanes)
    const errors: unknown[] = []
    t.queue.observe(
      during(fact, () => {
        try {
          run.cancel('from inside')
        } catch (thrown) {
          errors.push(thrown)
        }
      }),
    )
    const run = t.queue.submit('work', body(t) as () => number)
    const error = errorOf(run)
    await t.clock.advance(55)
    expect(t.queue.stats()).toMatchObject({ totalActive: 0, totalDelayed: 0, totalPending: 0 })
    expect(errors).toEqual([])
    expect(await error).toMatchObject({ code: 'COMMAND_CANCELLED' })
    await t.clock.advance(100)
    expect(t.queue.stats().totalSlots).toBe(0)
  })

  test('what has just given its slot up cancels it, and it never goes on', async () => {
    await using t = await setup(lanes, { maxConcurrency: 1 })
    t.queue.observe(during('preempted', () => run.cancel('from inside')))
    const run: CommandRun<string> = t.queue.submit('work', stopping(t, 'low', 30))
    const error = errorOf(run)
    await t.clock.advance(5)
    await t.queue.submit('control', () => 'high')
    await t.clock.advance(100)
    expect(t.notes).toEqual(['low'])
    expect(await error).toMatchObject({ code: 'COMMAND_CANCELLED' })
    expect(t.queue.stats()).toMatchObject({ totalActive: 0, totalPending: 0, totalSlots: 0 })
    expect(await t.queue.submit('work', () => 'still at work')).toBe('still at work')
  })
})

describe('a metrics back end', () => {
  /** Acts in the middle of a write; everything else it does in memory. */
  function actingAt(name: string, act: () => void): QueueMetrics {
    const local = new LocalMetrics()
    let left = 3
    const backend: MetricsBackend = {
      incrementCounter: (counter, by) => {
        local.incrementCounter(counter, by)
        if (counter === name && left-- > 0) act()
      },
      setGauge: (gauge, value) => local.setGauge(gauge, value),
      recordHistogram: (histogram, value) => local.recordHistogram(histogram, value),
      getCounter: (counter) => local.getCounter(counter),
      getGauge: (gauge) => local.getGauge(gauge),
      getHistogramStats: (histogram) => local.getHistogramStats(histogram),
      reset: () => local.reset(),
      snapshot: () => local.snapshot(),
    }
    return new QueueMetrics(backend)
  }

  test.each(['submitted', 'started', 'completed', 'retried', 'rejected'])(
    'that submits while it counts %s is served',
    async (counter) => {
      const runs: CommandRun[] = []
      const submit = (): void => void runs.push(t.queue.submit('work', () => 'from the back end'))
      const metrics = actingAt(`lane.commands.${counter}`, submit)
      await using t: Setup<'control' | 'work'> = await setup(lanes, { maxConcurrency: 4, metrics })
      expect(await wrongIn(t)).toEqual([])
      expect(runs.length).toBeGreaterThan(0)
      expect(await Promise.all(runs)).toEqual(runs.map(() => 'from the back end'))
    },
  )

  test('that clears the lane whenever it counts a completion harms nobody', async () => {
    const metrics = actingAt('lane.commands.completed', () => t.queue.lane('work').clear())
    await using t: Setup<'control' | 'work'> = await setup(lanes, { maxConcurrency: 2, metrics })
    const runs = Array.from({ length: 6 }, (_, n) => t.queue.submit('work', () => n))
    for (const run of runs) run.accepted.catch(() => undefined)
    await t.clock.settle()
    expect(runs.map(({ state }) => state)).toContain('cancelled')
    expect((await metrics.snapshot()).gauges).toMatchObject({ 'lane.queue.depth.work': 0, 'lane.queue.active.work': 0 })
  })
})
