/** A simulation runs the real queue: what is expected here is worked out by hand. */
import {
  type CommandContext,
  type LaneDefinition,
  QueueManager,
  RateLimitConfig,
  RetryPolicy,
  snooze,
} from '@a3s-lab/lane'
import {
  type Arrival,
  burst,
  every,
  merge,
  poisson,
  type SimulatedClock,
  type SimulationOptions,
  simulate,
  trace,
} from '@a3s-lab/lane/testing'
import { describe, expect, test, vi } from 'vitest'
import { ArrivalReader } from '../../../src/testing/simulate-arrival.js'
import { errorOf, thrownBy } from '../../support/setup.js'

/** One lane called `work` with one slot, unless told otherwise. */
const one = (lane: Partial<LaneDefinition> = {}) => ({ work: { priority: 0, maxConcurrency: 1, ...lane } })

const named = (name: string, at: number, runsFor: number, more: Partial<Arrival> = {}): Arrival => ({
  at,
  laneId: 'work',
  name,
  runsFor,
  ...more,
})

/** 'name state start-end' of each command. */
async function story(options: SimulationOptions): Promise<string[]> {
  const { commands } = await simulate(options)
  return commands.map(({ name, state, startedAt, endedAt }) => `${name} ${state} ${startedAt}-${endedAt}`)
}

async function forEver(step: () => Promise<void>): Promise<never> {
  for (;;) await step()
}

describe('a result', () => {
  test('tells of each command, each lane, and the sums', async () => {
    const arrivals = trace(burst(3), (n) => ({ laneId: 'work', name: `c${n}`, runsFor: 100, options: { key: 'k' } }))
    const result = await simulate({ lanes: { ...one(), idle: { priority: 1 } }, arrivals })
    const command = { laneId: 'work', type: 'command', key: 'k', submittedAt: 0, attempts: 1, preemptions: 0 }
    const id = expect.any(String) as string
    expect(result).toEqual({
      commands: [
        { ...command, id, name: 'c0', state: 'completed', startedAt: 0, endedAt: 100, waitMs: 0 },
        { ...command, id, name: 'c1', state: 'completed', startedAt: 100, endedAt: 200, waitMs: 100 },
        { ...command, id, name: 'c2', state: 'completed', startedAt: 200, endedAt: 300, waitMs: 200 },
      ],
      order: ['c0', 'c1', 'c2'],
      lanes: {
        work: {
          count: 3,
          waits: { mean: 100, p50: 100, p90: 200, p99: 200, max: 200 },
          maxRunning: 1,
          maxPending: 2,
          busyMs: 300,
          throughputPerSecond: 10,
        },
        idle: {
          count: 0,
          waits: { mean: 0, p50: 0, p90: 0, p99: 0, max: 0 },
          maxRunning: 0,
          maxPending: 0,
          busyMs: 0,
          throughputPerSecond: 0,
        },
      },
      maxRunning: 1,
      durationMs: 300,
      unsettled: 0,
      events: [],
    })
    expect(new Set(result.commands.map((done) => done.id)).size).toBe(3)
    expect(structuredClone(result)).toEqual(result)
  })

  test('is empty without arrivals', async () => {
    expect(await simulate({ lanes: one(), arrivals: [] })).toMatchObject({ commands: [], order: [], durationMs: 0 })
  })

  test('names commands by their ids where they have no name', async () => {
    const { order, commands } = await simulate({
      lanes: one(),
      arrivals: [{ at: 5, laneId: 'work', options: { id: 'x' } }],
    })
    expect([order, commands[0]?.id, commands[0]?.startedAt]).toEqual([['x'], 'x', 5])
  })

  test('has percentiles by nearest rank', async () => {
    // one slot, 100 commands of 1 ms at once: they wait 0, 1, … 99 ms
    const { lanes } = await simulate({ lanes: one(), arrivals: trace(burst(100), { laneId: 'work', runsFor: 1 }) })
    expect(lanes.work.waits).toEqual({ mean: 49.5, p50: 49, p90: 89, p99: 98, max: 99 })
  })

  test('counts slot time and the most at once over all lanes', async () => {
    const lanes = { a: { priority: 0, maxConcurrency: 2 }, b: { priority: 1, maxConcurrency: 1 } }
    const arrivals = merge(trace(burst(3), { laneId: 'a', runsFor: 100 }), trace([50], { laneId: 'b', runsFor: 100 }))
    const result = await simulate({ lanes, arrivals })
    expect(result.lanes.a).toMatchObject({ maxRunning: 2, maxPending: 1, busyMs: 300, throughputPerSecond: 15 })
    expect(result.lanes.b).toMatchObject({ maxRunning: 1, maxPending: 0, busyMs: 100, throughputPerSecond: 5 })
    expect([result.maxRunning, result.durationMs]).toEqual([3, 200])
  })

  test('has the events when they are wanted', async () => {
    const { events } = await simulate({ lanes: one(), arrivals: [named('a', 0, 10)], keepEvents: true })
    expect(events.map(({ key, timestamp }) => `${key} ${timestamp}`)).toEqual([
      'queue.command.submitted 2026-01-01T00:00:00.000Z',
      'queue.command.started 2026-01-01T00:00:00.000Z',
      'queue.command.completed 2026-01-01T00:00:00.010Z',
    ])
  })
})

describe('at one instant', () => {
  test('what ends leaves its slot before the next arrives', async () => {
    const { commands, lanes } = await simulate({ lanes: one(), arrivals: [named('a', 0, 100), named('b', 100, 100)] })
    expect(commands.map(({ waitMs }) => waitMs)).toEqual([0, 0])
    expect(lanes.work.maxPending).toBe(0)
  })

  test('all arrivals are there before the first starts', async () => {
    const lanes = { high: { priority: 0, minConcurrency: 0 }, low: { priority: 1, minConcurrency: 0 } }
    const arrivals = [
      named('low', 0, 10, { laneId: 'low' }),
      named('late', 0, 10, { laneId: 'high', options: { priority: 2000 } }),
      named('high', 0, 10, { laneId: 'high' }),
    ]
    const { order } = await simulate({ lanes, maxConcurrency: 1, arrivals })
    expect(order).toEqual(['high', 'late', 'low'])
  })

  test('timers go off one after the other, whatever the number', async () => {
    const arrivals = trace(burst(500), (n) => ({ laneId: 'work', runsFor: (n * 7919) % 101 }))
    const { commands, lanes } = await simulate({ lanes: one({ maxConcurrency: Number.POSITIVE_INFINITY }), arrivals })
    expect(commands.map(({ endedAt }) => endedAt)).toEqual(commands.map((_, n) => (n * 7919) % 101))
    expect(lanes.work).toMatchObject({ count: 500, waits: { max: 0 } })
  })
})

describe('the policies of the queue hold:', () => {
  test('a rate limit spreads the starts', async () => {
    const lanes = one({ maxConcurrency: 10, rateLimit: RateLimitConfig.perSecond(10, { burst: 2 }) })
    const { commands } = await simulate({ lanes, arrivals: trace(burst(5), { laneId: 'work', runsFor: 1 }) })
    expect(commands.map(({ startedAt }) => startedAt)).toEqual([0, 0, 100, 200, 300])
  })

  test('preempted work gives way, and goes on with the rest of its time', async () => {
    const lanes = {
      urgent: { priority: 0, preempts: true, minConcurrency: 0 },
      work: { priority: 1, preemptible: true, minConcurrency: 0 },
    }
    const urgent = (at: number): Arrival => ({ at, laneId: 'urgent', name: `urgent ${at}`, runsFor: 10 })
    const arrivals = [named('long', 0, 100), urgent(40), urgent(75)]
    const { commands, order, lanes: counts } = await simulate({ lanes, maxConcurrency: 1, arrivals })
    expect(order).toEqual(['long', 'urgent 40', 'long', 'urgent 75', 'long'])
    expect(commands[0]).toMatchObject({ startedAt: 0, endedAt: 120, attempts: 1, preemptions: 2, waitMs: 0 })
    expect(commands.slice(1).map(({ startedAt, endedAt, waitMs }) => [startedAt, endedAt, waitMs])).toEqual([
      [40, 50, 0],
      [75, 85, 0],
    ])
    expect([counts.work.busyMs, counts.urgent.busyMs]).toEqual([100, 20])
  })

  test('a retry after a preemption takes the whole time anew', async () => {
    const lanes = {
      urgent: { priority: 0, preempts: true, minConcurrency: 0 },
      work: { priority: 1, preemptible: true, minConcurrency: 0, retry: RetryPolicy.fixed(1, 0) },
    }
    const arrivals = [named('long', 0, 100, { fails: 1 }), named('urgent', 90, 10, { laneId: 'urgent' })]
    const { commands } = await simulate({ lanes, maxConcurrency: 1, arrivals })
    expect(commands[0]).toMatchObject({ endedAt: 210, attempts: 2, preemptions: 1, state: 'completed' })
  })

  test('keys take turns', async () => {
    const keys = ['a', 'a', 'a', 'b', 'c']
    const arrivals = keys.map((key, n) => named(`${key}${n}`, 0, 10, { options: { key } }))
    const { order } = await simulate({ lanes: one({ fairness: 'key' }), arrivals })
    expect(order).toEqual(['a0', 'b3', 'c4', 'a1', 'a2'])
  })

  test('failed attempts are retried, after their back-off', async () => {
    const lanes = one({ retry: RetryPolicy.fixed(2, 50) })
    const arrivals = [
      named('twice', 0, 10, { fails: 2 }),
      named('always', 1000, 10, { fails: Number.POSITIVE_INFINITY }),
      named('second', 2000, 10, { fails: (attempt) => attempt === 1 }),
    ]
    const { commands, order, lanes: counts } = await simulate({ lanes, arrivals })
    expect(
      commands.map(({ state, attempts, submittedAt, endedAt = 0 }) => [state, attempts, endedAt - submittedAt]),
    ).toEqual([
      ['completed', 3, 130],
      ['failed', 3, 130],
      ['completed', 2, 70],
    ])
    expect(order).toHaveLength(8)
    expect(counts.work).toMatchObject({ count: 3, busyMs: 80 })
  })

  test('a timed out attempt leaves its slot at once', async () => {
    const arrivals = [named('slow', 0, 100, { options: { timeoutMs: 30 } }), named('next', 0, 100)]
    expect(await story({ lanes: one(), arrivals })).toEqual(['slow timed_out 0-30', 'next completed 30-130'])
  })

  test('a full lane refuses, and what it refused is not among the waits', async () => {
    const arrivals = trace(burst(4), (n) => ({ laneId: 'work', runsFor: 10, name: `c${n}` }))
    const { commands, lanes } = await simulate({ lanes: one({ capacity: 1 }), arrivals })
    expect(commands.map(({ state }) => state)).toEqual(['completed', 'completed', 'rejected', 'rejected'])
    expect(commands[3]).toMatchObject({ name: 'c3', waitMs: 0, attempts: 0, endedAt: 0 })
    expect(lanes.work).toMatchObject({ count: 2, waits: { mean: 5 } })
  })

  test('duplicates are told apart from what they met', async () => {
    const dedupe = (id: string, mode: 'drop' | 'replace') => ({ options: { id, dedupe: { id: 'd', mode } } })
    const arrivals = [
      named('busy', 0, 100),
      named('owner', 10, 10, dedupe('o', 'drop')),
      named('dropped', 20, 10, dedupe('x', 'drop')),
      named('newer', 30, 10, dedupe('n', 'replace')),
    ]
    const { commands, lanes } = await simulate({ lanes: one(), arrivals })
    expect(commands.map(({ id, state, waitMs }) => [id, state, waitMs]).slice(1)).toEqual([
      ['o', 'cancelled', 20],
      ['o', 'deduplicated', 0],
      ['n', 'completed', 70],
    ])
    expect(lanes.work.count).toBe(3)
  })
})

describe('work of your own', () => {
  test('takes its time from the clock of the simulation, and its result counts', async () => {
    const run = async ({ ms }: { ms: number }, { signal }: CommandContext, clock: SimulatedClock) => {
      await clock.sleep(ms, signal)
      if (ms === 30) throw new Error('no')
    }
    const arrivals = trace([0, 0, 0], (n) => ({ laneId: 'work', name: `c${n}`, payload: { ms: 10 * (n + 1) }, run }))
    expect(await story({ lanes: one(), arrivals })).toEqual([
      'c0 completed 0-10',
      'c1 completed 10-30',
      'c2 failed 30-60',
    ])
  })

  test('is that of the handler for arrivals that say nothing of theirs', async () => {
    const seen: unknown[] = []
    const arrivals = [
      { at: 0, laneId: 'work', type: 'mail', payload: 'a' },
      { at: 0, laneId: 'work', runsFor: 5 },
    ]
    const { commands } = await simulate({
      lanes: one(),
      arrivals,
      handler: (payload, { commandType }, clock) => {
        seen.push([commandType, payload, clock.now(), clock.wallNow()])
      },
    })
    expect(seen).toEqual([['mail', 'a', 0, Date.UTC(2026, 0, 1)]])
    expect(commands.map(({ type, endedAt }) => [type, endedAt])).toEqual([
      ['mail', 0],
      ['command', 5],
    ])
  })

  test('may have children, which are in the result', async () => {
    const lanes = { ...one(), other: { priority: 1 } }
    const arrivals: Arrival[] = [
      {
        at: 0,
        laneId: 'work',
        type: 'parent',
        run: async (_payload, { queue, run }, clock) => {
          void queue.submit('other', { type: 'parent' })
          void queue.submit('other', () => clock.sleep(5), { id: 'child' })
          await run('work', () => clock.sleep(20))
          void queue.submit('other', { type: 'unseen' }, { delayMs: 1000 })
        },
      },
    ]
    const { commands } = await simulate({ lanes, arrivals })
    expect(commands.map(({ laneId, type, state, endedAt }) => [laneId, type, state, endedAt])).toEqual([
      ['work', 'parent', 'completed', 20],
      ['other', 'parent', 'completed', 0],
      ['other', 'function', 'completed', 5],
      ['work', 'function', 'completed', 20],
      ['other', 'unseen', 'failed', 1020], // nobody has a handler for it
    ])
    expect(commands[2]?.id).toBe('child')
  })

  test('may cancel another, which leaves its slot at once', async () => {
    const cancel = named('cancel', 30, 0, {
      laneId: 'control',
      runsFor: undefined,
      run: (_payload, { queue }) => queue.cancel('victim'),
    })
    const arrivals = [named('victim', 0, 100, { options: { id: 'victim' } }), named('next', 0, 10), cancel]
    expect(await story({ lanes: { ...one(), control: { priority: 1 } }, arrivals })).toEqual([
      'victim cancelled 0-30',
      'next completed 30-40',
      'cancel completed 30-30',
    ])
  })

  test('that waits with a signal that has aborted already does not wait', async () => {
    const reasons: unknown[] = []
    const run = async (_payload: unknown, _context: CommandContext, clock: SimulatedClock) => {
      await clock.sleep(10, AbortSignal.abort('early')).catch((reason: unknown) => reasons.push(reason))
    }
    expect(await story({ lanes: one(), arrivals: [named('a', 0, 0, { runsFor: undefined, run })] })).toEqual([
      'a completed 0-0',
    ])
    expect(reasons).toEqual(['early'])
  })
})

test.each([-1, Number.NaN, Number.POSITIVE_INFINITY])('nothing sleeps %d ms', async (ms) => {
  const errors: unknown[] = []
  const run = (_payload: unknown, _context: CommandContext, clock: SimulatedClock) =>
    clock.sleep(ms).catch((error: unknown) => errors.push(error))
  await simulate({ lanes: one(), arrivals: [named('a', 0, 0, { run })] })
  expect(errors).toMatchObject([
    { code: 'CONFIG_INVALID', message: `Configuration error: sleep ms must be a finite number, 0 or more, got ${ms}` },
  ])
})

test('a timer without a time goes off at once', async () => {
  const run = (_payload: unknown, _context: CommandContext, clock: SimulatedClock) =>
    new Promise<void>((resolve) => void clock.setTimer(Number.NaN, resolve))
  expect(await story({ lanes: one(), arrivals: [named('a', 7, 0, { run })] })).toEqual(['a completed 7-7'])
})

describe('the same options', () => {
  const options = (more: Partial<SimulationOptions<'work' | 'other'>> = {}): SimulationOptions<'work' | 'other'> => ({
    lanes: { ...one({ retry: RetryPolicy.exponential(2, { jitter: 'full' }) }), other: { priority: 1 } },
    maxConcurrency: 2,
    arrivals: trace(poisson(20, { untilMs: 5000 }), (n) => ({
      laneId: n % 3 === 0 ? 'other' : 'work',
      name: `c${n}`,
      runsFor: (random) => random.next() * 100,
      fails: (_attempt, random) => random.next() < 0.2,
    })),
    keepEvents: true,
    ...more,
  })

  test('give the same result, also with the same iterable', async () => {
    const same = options()
    const first = await simulate(same)
    expect(first.commands.length).toBeGreaterThan(50)
    expect(await simulate(same)).toEqual(first)
    expect(await simulate(options())).toEqual(first)
  })

  test('with another seed give another', async () => {
    const first = await simulate(options())
    expect(await simulate(options({ seed: 2 }))).not.toEqual(first)
  })

  test('with other lanes have the very same work', async () => {
    const time = async (maxConcurrency: number): Promise<unknown> => {
      const lanes = { ...one({ maxConcurrency }), other: { priority: 1 } }
      const { commands } = await simulate(options({ lanes, maxConcurrency: Number.POSITIVE_INFINITY }))
      return commands.map(({ startedAt = 0, endedAt = 0 }) => Math.round(endedAt - startedAt))
    }
    expect(await time(1)).toEqual(await time(4))
  })
})

describe('the end', () => {
  test('may be given, and what has no outcome then is seen to wait', async () => {
    const result = await simulate({
      lanes: one(),
      arrivals: trace(every(10), { laneId: 'work', runsFor: 40 }),
      untilMs: 100,
    })
    const ends = result.commands.map(({ state, waitMs }) => `${state} ${waitMs}`)
    expect(ends).toEqual([
      'completed 0',
      'completed 30',
      'active 60',
      ...[70, 60, 50, 40, 30, 20, 10, 0].map((ms) => `pending ${ms}`),
    ])
    expect(result).toMatchObject({
      durationMs: 100,
      unsettled: 9,
      lanes: { work: { busyMs: 100, waits: { max: 70 } } },
    })
  })

  test('comes with the last outcome when that is earlier', async () => {
    const result = await simulate({ lanes: one(), arrivals: [named('a', 10, 5)], untilMs: 1000 })
    expect([result.durationMs, result.unsettled]).toEqual([15, 0])
  })

  test('comes when nothing can happen any more', async () => {
    const arrivals = [named('a', 10, 0, { run: () => new Promise(() => {}) }), named('b', 20, 5)]
    const result = await simulate({ lanes: one(), arrivals })
    expect(result).toMatchObject({ durationMs: 20, unsettled: 2, maxRunning: 1 })
    expect(result.commands.map(({ state }) => state)).toEqual(['active', 'pending'])
  })

  test.each<[string, NonNullable<Arrival['run']>]>([
    ['timers are set', (_payload, _context, clock) => forEver(() => clock.sleep(0))],
    ['a command comes back', () => snooze(0)],
  ])('comes although %s again and again, without time', async (_what, run) => {
    const error = await errorOf(simulate({ lanes: one(), arrivals: [named('a', 3, 0, { run })] }))
    expect(error.message).toBe('Time stands still at 3 ms, for 10100 timers and starts')
  })

  test('comes for endless arrivals that nobody limits', () => {
    const reader = new ArrivalReader(trace(every(1), { laneId: 'work' }), 2)
    expect(reader.take().at).toBe(0)
    expect(thrownBy(() => reader.take()).message).toBe(
      'Configuration error: simulate untilMs must be given for more than 2 arrivals, got undefined',
    )
  })

  test('is no fault of work that it cuts off, and closes the arrivals', async () => {
    const onFault = vi.fn()
    const closed = vi.fn()
    function* arrivals(): Generator<Arrival> {
      try {
        for (let at = 0; ; at += 10) yield named(`at ${at}`, at, 1000)
      } finally {
        closed()
      }
    }
    const result = await simulate({ lanes: one({ maxConcurrency: 2 }), arrivals: arrivals(), untilMs: 30, onFault })
    expect(result).toMatchObject({ unsettled: 4, maxRunning: 2 })
    expect([onFault.mock.calls.length, closed.mock.calls.length]).toEqual([0, 1])
  })

  test('tells of faults before it', async () => {
    const onFault = vi.fn()
    const deaf = (_payload: unknown, _context: CommandContext, clock: SimulatedClock) => clock.sleep(100)
    const lanes = one({ timeoutMs: 10, zombieGraceMs: 20 })
    const { lanes: counts } = await simulate({
      lanes,
      arrivals: [named('a', 0, 0, { run: deaf }), named('b', 0, 5)],
      onFault,
    })
    expect(onFault).toHaveBeenCalledOnce()
    expect(counts.work).toMatchObject({ maxRunning: 1, busyMs: 35, waits: { max: 30 } })
  })
})

describe('what is not allowed is refused:', () => {
  const arrivals = [named('a', 0, 10)]
  const cases: [string, object, string, string][] = [
    ['an end that is none', { untilMs: Number.NaN }, 'CONFIG_INVALID', 'simulate untilMs'],
    ['a seed that is none', { seed: -1 }, 'CONFIG_INVALID', 'simulate seed'],
    ['no arrivals', { arrivals: undefined }, 'CONFIG_INVALID', 'simulate arrivals must be iterable'],
    [
      'a wrong order',
      { arrivals: [...[5, 4].map((at) => named('a', at, 0))] },
      'CONFIG_INVALID',
      'arrival at must be 5',
    ],
    ['an instant before the start', { arrivals: [named('a', -1, 0)] }, 'CONFIG_INVALID', 'arrival at'],
    [
      'an instant that never comes',
      { arrivals: [named('a', Number.POSITIVE_INFINITY, 0)] },
      'CONFIG_INVALID',
      'arrival at',
    ],
    ['a time that is none', { arrivals: [named('a', 0, -5)] }, 'CONFIG_INVALID', 'arrival runsFor'],
    [
      'a drawn time that is none',
      { arrivals: [named('a', 0, 0, { runsFor: () => Number.NaN })] },
      'CONFIG_INVALID',
      'arrival runsFor must be a finite number, 0 or more, got NaN',
    ],
    ['a lane that is not there', { arrivals: [named('a', 0, 0, { laneId: 'wrok' })] }, 'LANE_NOT_FOUND', 'wrok'],
    ['a submit option', { arrivals: [named('a', 0, 0, { options: { priority: -1 } })] }, 'CONFIG_INVALID', 'priority'],
    ['a mistyped option', { maxConcurency: 4 }, 'CONFIG_INVALID', "did you mean 'maxConcurrency'?"],
    ['no lanes', { lanes: {} }, 'CONFIG_INVALID', 'lanes must be an object with at least one lane'],
  ]

  test.each(cases)('%s', async (_what, wrong, code, message) => {
    const error = await errorOf(simulate({ lanes: one(), arrivals, ...wrong }))
    expect(error).toMatchObject({ code, message: expect.stringContaining(message) as string })
  })

  test('an error of the arrivals themselves ends the simulation, too', async () => {
    const close = vi.spyOn(QueueManager.prototype, 'close')
    const broken = trace([0, 1], (n) => {
      if (n === 1) throw new Error('no more')
      return { laneId: 'work' }
    })
    expect((await errorOf(simulate({ lanes: one(), arrivals: broken }))).message).toBe('no more')
    expect(close).toHaveBeenCalledOnce()
    close.mockRestore()
  })
})
