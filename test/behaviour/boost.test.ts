import {
  defaultLanes,
  LaneConfig,
  type LaneDefinition,
  PriorityBoostConfig,
  type PriorityBoostFields,
  RateLimitConfig,
  RetryPolicy,
} from '@a3s-lab/lane'
import { describe, expect, test } from 'vitest'
import { stopping } from '../support/bodies.js'
import { errorOf, type Setup, setup } from '../support/setup.js'

const effective = (t: Setup<string>, lane = 'work'): number => t.queue.lane(lane).status().effectivePriority

/** Lets time pass up to this instant. */
const until = (t: Setup<string>, at: number): Promise<void> => t.clock.advance(at - t.clock.now())

/** A queue that was not started: what is submitted waits. */
const waiting = (lane: Partial<LaneDefinition>, more: Record<string, Partial<LaneDefinition>> = {}) =>
  setup<string>({ work: { priority: 10, ...lane }, ...more }, { start: false })

describe('the lane is lifted by the steps of its boost:', () => {
  const custom = new PriorityBoostConfig(100_000).withBoost(75_000, 1).withBoost(50_000, 2).withBoost(25_000, 3)
  test.each<[string, PriorityBoostFields, readonly (readonly [number, number])[]]>([
    [
      'standard',
      PriorityBoostConfig.standard(300_000),
      [
        [0, 10],
        [74_999, 10],
        [75_000, 9],
        [149_999, 9],
        [150_000, 8],
        [225_000, 7],
        [269_999, 7],
        [270_000, 6],
        [299_999, 6],
        [300_000, 0],
      ],
    ],
    [
      'aggressive',
      PriorityBoostConfig.aggressive(1000),
      [
        [199, 10],
        [200, 8],
        [400, 6],
        [600, 4],
        [800, 2],
        [1000, 0],
        [31_536_000_000, 0],
      ],
    ],
    [
      'custom steps',
      custom,
      [
        [20_000, 10],
        [40_000, 9],
        [60_000, 8],
        [80_000, 7],
      ],
    ],
    [
      'its plain form',
      JSON.parse(JSON.stringify(custom)) as PriorityBoostFields,
      [
        [20_000, 10],
        [40_000, 9],
        [100_000, 0],
      ],
    ],
    [
      'steps in any order, the largest that matches',
      {
        deadlineMs: 100,
        boostIntervals: [
          { remainingMs: 10, boost: 1 },
          { remainingMs: 90, boost: 5 },
        ],
      },
      [
        [9, 10],
        [10, 5],
        [95, 5],
        [100, 0],
      ],
    ],
    [
      'no steps: the deadline alone',
      new PriorityBoostConfig(1000),
      [
        [999, 10],
        [1000, 0],
      ],
    ],
    ['more than there is: not below 0', new PriorityBoostConfig(1000).withBoost(500, 200), [[500, 0]]],
    [
      'a step longer than the deadline: from the start',
      new PriorityBoostConfig(100).withBoost(500, 3),
      [
        [0, 7],
        [99, 7],
      ],
    ],
    ['disabled', PriorityBoostConfig.disabled(), [[1e9, 10]]],
    ['not enabled', { enabled: false, deadlineMs: 10, boostIntervals: [] }, [[1e9, 10]]],
  ])('%s', async (_which, priorityBoost, table) => {
    await using t = await waiting({ priorityBoost })
    void t.queue.submit('work', () => 1)
    for (const [at, priority] of table) {
      await until(t, at)
      expect(effective(t), `at ${at}`).toBe(priority)
    }
  })
})

test('a lane without commands has its own priority', async () => {
  await using t = await setup({ work: { priority: 7, priorityBoost: PriorityBoostConfig.standard(100) } })
  await t.clock.advance(1000)
  expect(effective(t)).toBe(7)
  expect(t.clock.timers).toBe(0)
})

test('only waiting commands count: neither running nor delayed ones', async () => {
  await using t = await setup({
    work: { priority: 7, maxConcurrency: 1, priorityBoost: PriorityBoostConfig.standard(100) },
  })
  void t.queue.submit('work', t.takes(1000))
  void t.queue.submit('work', t.takes(1), { delayMs: 500 })
  await t.clock.advance(499)
  expect(effective(t)).toBe(7)
  await t.clock.advance(1)
  expect(effective(t)).toBe(0)
  await t.clock.advance(501)
  expect(effective(t)).toBe(7)
})

test('the deadline counts from the submission, through delays and retries', async () => {
  await using t = await setup({
    work: {
      priority: 10,
      maxConcurrency: 1,
      retry: RetryPolicy.fixed(1, 150),
      priorityBoost: PriorityBoostConfig.standard(1000),
    },
  })
  const fails = t.queue.submit('work', ({ attempt }) => {
    if (attempt === 1) throw new Error('once')
  })
  await t.clock.settle()
  void t.queue.submit('work', t.takes(400))
  await t.clock.advance(149)
  expect([fails.state, effective(t)]).toEqual(['delayed', 10])
  await t.clock.advance(1)
  expect([fails.state, effective(t)]).toEqual(['pending', 10])
  await until(t, 250)
  expect(effective(t)).toBe(9)
  await until(t, 400)
  expect([fails.state, effective(t)]).toEqual(['completed', 10])
})

test('the oldest waiting command decides, and the next one when it has gone', async () => {
  await using t = await waiting({ priorityBoost: PriorityBoostConfig.standard(1000) })
  const first = t.queue.submit('work', () => 1)
  const error = errorOf(first)
  await until(t, 300)
  void t.queue.submit('work', () => 2)
  await until(t, 600)
  expect(effective(t)).toBe(8)
  first.cancel()
  await error
  expect(effective(t)).toBe(9)
  await until(t, 800)
  expect(effective(t)).toBe(8)
})

test('a preempted command counts again while it waits', async () => {
  await using t = await setup(
    {
      control: { priority: 0, preempts: true, minConcurrency: 0 },
      work: {
        priority: 10,
        preemptible: true,
        minConcurrency: 0,
        priorityBoost: PriorityBoostConfig.standard(1000),
      },
    },
    { maxConcurrency: 1 },
  )
  void t.queue.submit('work', stopping(t, 'low', 5000))
  await t.clock.advance(600)
  expect(effective(t)).toBe(10)
  void t.queue.submit('control', t.takes(300))
  await t.clock.settle()
  expect(effective(t)).toBe(8)
  await t.clock.advance(200)
  expect(effective(t)).toBe(7)
  await t.clock.advance(100)
  expect(effective(t)).toBe(10)
})

test('a lifted lane goes before the lanes that it has overtaken', async () => {
  await using t = await setup(
    {
      high: { priority: 3, minConcurrency: 0 },
      low: { priority: 5, minConcurrency: 0, priorityBoost: PriorityBoostConfig.aggressive(100) },
    },
    { maxConcurrency: 1 },
  )
  void t.queue.submit('high', t.takes(45))
  void t.queue.submit('low', t.noting('low', 10))
  void t.queue.submit('high', t.noting('high', 10))
  await t.clock.advance(100)
  expect(t.notes).toEqual(['low', 'high'])
})

test('the order inside the lane is not changed', async () => {
  await using t = await setup(
    { high: { priority: 3, minConcurrency: 0 }, low: { priority: 5, minConcurrency: 0 } },
    { maxConcurrency: 1 },
  )
  void t.queue.submit('high', t.takes(95))
  void t.queue.submit('low', t.noting('first', 10))
  void t.queue.submit('low', t.noting('urgent', 10), { deadlineMs: 100 })
  void t.queue.submit('high', t.noting('high', 10))
  await t.clock.advance(200)
  expect(t.notes).toEqual(['first', 'urgent', 'high'])
})

describe('a deadline of the command’s own', () => {
  test('lifts a lane without a boost by the standard steps', async () => {
    await using t = await waiting({})
    void t.queue.submit('work', () => 1)
    void t.queue.submit('work', () => 2, { deadlineMs: 1000 })
    for (const [at, priority] of [
      [249, 10],
      [250, 9],
      [500, 8],
      [750, 7],
      [900, 6],
      [1000, 0],
    ] as const) {
      await until(t, at)
      expect(effective(t), `at ${at}`).toBe(priority)
    }
  })

  test('takes the place of the lane’s deadline, with the lane’s steps', async () => {
    await using t = await waiting({ priorityBoost: new PriorityBoostConfig(10_000).withBoost(200, 3) })
    void t.queue.submit('work', () => 1, { deadlineMs: 300 })
    expect(effective(t)).toBe(10)
    await until(t, 99)
    expect(effective(t)).toBe(10)
    await until(t, 100)
    expect(effective(t)).toBe(7)
    await until(t, 300)
    expect(effective(t)).toBe(0)
  })

  test('may be longer than the lane’s: the command is less urgent then', async () => {
    await using t = await waiting({ priorityBoost: PriorityBoostConfig.standard(100) })
    void t.queue.submit('work', () => 1, { deadlineMs: 100_000 })
    await until(t, 90_000)
    expect(effective(t)).toBe(10)
    await until(t, 99_950)
    expect(effective(t)).toBe(8)
  })

  test('changes nothing in a lane whose boost is disabled', async () => {
    await using t = await waiting({ priorityBoost: PriorityBoostConfig.disabled() })
    void t.queue.submit('work', () => 1, { deadlineMs: 100 })
    await until(t, 1000)
    expect(effective(t)).toBe(10)
    expect(t.recorder.of('queue.lane.starving')).toEqual([])
    expect(t.clock.timers).toBe(0)
  })

  test('of several the most urgent counts, and the next one when that has gone', async () => {
    await using t = await waiting({})
    const runs = [1000, 500, 2000].map((deadlineMs) => t.queue.submit('work', () => 1, { deadlineMs }))
    const errors = runs.map(errorOf)
    await until(t, 480)
    expect(effective(t)).toBe(6)
    runs[1]?.cancel()
    expect(effective(t)).toBe(9)
    runs[0]?.cancel()
    expect(effective(t)).toBe(10)
    runs[2]?.cancel()
    await Promise.all(errors)
    expect(t.clock.timers).toBe(0)
  })

  test('never ends the command', async () => {
    await using t = await setup({ work: { maxConcurrency: 1 } })
    void t.queue.submit('work', t.takes(5000))
    const late = t.queue.submit('work', t.takes(5000, 'late, and done'), { deadlineMs: 1 })
    await t.clock.advance(10_000)
    expect(await late).toBe('late, and done')
  })

  test('is kept by a redrive, and counts anew', async () => {
    await using t = await setup({ work: { priority: 10 } }, { deadLetters: true })
    await errorOf(t.queue.submit('work', () => Promise.reject(new Error('no')), { deadlineMs: 1000 }))
    await t.clock.advance(5000)
    t.queue.lane('work').pause()
    const [letter] = await t.queue.deadLetters.list()
    const again = errorOf(t.queue.deadLetters.redrive(letter?.commandId as string))
    await t.clock.settle()
    expect(effective(t)).toBe(10)
    await t.clock.advance(250)
    expect(effective(t)).toBe(9)
    t.queue.lane('work').clear()
    expect((await again)['code']).toBe('COMMAND_CANCELLED')
  })

  test.each([0, -1, Number.NaN, Number.POSITIVE_INFINITY, '5s'])(
    'is refused when it makes no sense: %s',
    async (bad) => {
      await using t = await setup()
      const error = await errorOf(t.queue.submit('work', () => 1, { deadlineMs: bad as number }))
      expect(error).toMatchObject({ code: 'CONFIG_INVALID', option: 'submit deadlineMs' })
    },
  )
})

describe('protected lanes', () => {
  const boost = PriorityBoostConfig.standard(100)

  test('are reached at most: a boosted lane goes no further up than theirs', async () => {
    await using t = await waiting(
      { priorityBoost: boost },
      { guard: { priority: 4, protected: true }, top: { priority: 1 } },
    )
    void t.queue.submit('work', () => 1)
    await until(t, 31_536_000_000)
    expect(effective(t)).toBe(4)
  })

  test('of a worse priority hold nothing back', async () => {
    await using t = await waiting({ priorityBoost: boost }, { guard: { priority: 11, protected: true } })
    void t.queue.submit('work', () => 1)
    await until(t, 100)
    expect(effective(t)).toBe(0)
  })

  test('of the same priority hold a boosted lane where it is', async () => {
    await using t = await waiting({ priorityBoost: boost }, { guard: { priority: 10, protected: true } })
    void t.queue.submit('work', () => 1)
    await until(t, 100)
    expect(effective(t)).toBe(10)
  })

  test('go first on a tie with an overdue lane', async () => {
    await using t = await setup(
      {
        guard: { priority: 4, protected: true, minConcurrency: 0 },
        work: { priority: 10, minConcurrency: 0, priorityBoost: boost },
      },
      { maxConcurrency: 1 },
    )
    void t.queue.submit('guard', t.takes(1000))
    void t.queue.submit('work', t.noting('overdue', 10))
    for (let n = 0; n < 3; n++) void t.queue.submit('guard', t.noting(`guard ${n}`, 10))
    await t.clock.advance(2000)
    expect(t.notes).toEqual(['guard 0', 'guard 1', 'guard 2', 'overdue'])
  })

  test('that are boosted stay strictly behind better protected ones', async () => {
    await using t = await waiting(
      { protected: true, priorityBoost: boost },
      { guard: { priority: 4, protected: true } },
    )
    void t.queue.submit('work', () => 1)
    await until(t, 100_000)
    expect(effective(t)).toBe(5)
  })

  test('that are boosted reach any priority when there is no better one', async () => {
    await using t = await waiting({ protected: true, priorityBoost: boost }, { top: { priority: 1 } })
    void t.queue.submit('work', () => 1)
    await until(t, 100)
    expect(effective(t)).toBe(0)
  })

  test('are served first also under `standard(1)` on prompt of the built-in lanes', async () => {
    const lanes = defaultLanes()
    await using t = await setup<string>(
      { ...lanes, prompt: { ...lanes.prompt, minConcurrency: 0, priorityBoost: PriorityBoostConfig.standard(1) } },
      { maxConcurrency: 1, start: false },
    )
    void t.queue.submit('prompt', t.noting('prompt'))
    await t.clock.advance(10)
    expect(effective(t, 'prompt')).toBe(1)
    for (const lane of ['query', 'control', 'system']) void t.queue.submit(lane, t.noting(lane))
    await t.queue.start()
    await t.clock.settle()
    expect(t.notes).toEqual(['system', 'control', 'prompt', 'query'])
  })

  test('stay first when their priority is changed while the others wait', async () => {
    await using t = await waiting({ priorityBoost: boost }, { guard: { priority: 20, protected: true } })
    void t.queue.submit('work', () => 1)
    await until(t, 100)
    expect(effective(t)).toBe(0)
    t.queue.lane('guard').configure({ priority: 3 })
    expect(effective(t)).toBe(3)
    t.queue.lane('guard').configure({ protected: false })
    expect(effective(t)).toBe(0)
  })
})

describe('starving and relieved', () => {
  /** The two events, with the instants at which they came. */
  const told = (t: Setup<string>): unknown[] =>
    t.recorder.events
      .filter(({ key }) => key === 'queue.lane.starving' || key === 'queue.lane.relieved')
      .map(({ key, timestamp }) => `${key.slice('queue.lane.'.length)}@${Date.parse(timestamp) - Date.UTC(2026, 0)}`)

  test('are told when a waiting command comes to the last step before its deadline, and when none is there', async () => {
    await using t = await waiting({ priorityBoost: PriorityBoostConfig.standard(1000) })
    await until(t, 100)
    const run = t.queue.submit('work', () => 1)
    await until(t, 2000)
    expect(t.recorder.of('queue.lane.starving').map(({ payload }) => payload)).toEqual([
      { lane_id: 'work', command_id: run.id, waited_ms: 900, deadline_ms: 1000 },
    ])
    await t.queue.start()
    await run
    expect(told(t)).toEqual(['starving@1000', 'relieved@2000'])
    expect(t.recorder.of('queue.lane.relieved').map(({ payload }) => payload)).toEqual([{ lane_id: 'work' }])
  })

  test('alternate, however many commands are late', async () => {
    await using t = await waiting({ priorityBoost: PriorityBoostConfig.standard(1000) })
    const runs = [0, 1, 2].map(() => t.queue.submit('work', () => 1))
    const errors = runs.map(errorOf)
    await until(t, 950)
    runs[0]?.cancel()
    runs[1]?.cancel()
    expect(told(t)).toEqual(['starving@900'])
    runs[2]?.cancel()
    expect(told(t)).toEqual(['starving@900', 'relieved@950'])
    void t.queue.submit('work', () => 1)
    await until(t, 1850)
    t.queue.lane('work').clear()
    await Promise.all(errors)
    expect(told(t)).toEqual(['starving@900', 'relieved@950', 'starving@1850', 'relieved@1850'])
  })

  test('are told for a deadline of the command’s own', async () => {
    await using t = await waiting({})
    void t.queue.submit('work', () => 1)
    const run = t.queue.submit('work', () => 1, { deadlineMs: 100 })
    await until(t, 90)
    run.cancel()
    await errorOf(run)
    expect(t.recorder.of('queue.lane.starving')[0]?.payload).toMatchObject({ command_id: run.id, deadline_ms: 100 })
    expect(told(t)).toEqual(['starving@90', 'relieved@90'])
  })

  test('come at the deadline itself when there are no steps', async () => {
    await using t = await waiting({ priorityBoost: new PriorityBoostConfig(1000) })
    void t.queue.submit('work', () => 1)
    await until(t, 999)
    expect(told(t)).toEqual([])
    await until(t, 1000)
    expect(told(t)).toEqual(['starving@1000'])
  })

  test('are told also for a command that is late when it begins to wait', async () => {
    await using t = await setup({ work: { maxConcurrency: 1, priorityBoost: PriorityBoostConfig.standard(1000) } })
    void t.queue.submit('work', t.takes(3000))
    void t.queue.submit('work', () => 1, { delayMs: 2000 })
    await until(t, 3000)
    expect(told(t)).toEqual(['starving@2000', 'relieved@3000'])
  })

  test('are not told without a boost or a deadline', async () => {
    await using t = await waiting({})
    void t.queue.submit('work', () => 1)
    await until(t, 1e9)
    expect(told(t)).toEqual([])
    expect(t.clock.timers).toBe(0)
  })

  test('relieved follows when the boost is taken away', async () => {
    await using t = await waiting({ priorityBoost: PriorityBoostConfig.standard(1000) })
    void t.queue.submit('work', () => 1)
    await until(t, 950)
    t.queue.lane('work').configure({ priorityBoost: PriorityBoostConfig.disabled() })
    expect(told(t)).toEqual(['starving@900', 'relieved@950'])
    expect([effective(t), t.clock.timers]).toEqual([10, 0])
  })

  test('another deadline starts them again only when the command is not late any more', async () => {
    await using t = await waiting({ priorityBoost: PriorityBoostConfig.standard(1000) })
    void t.queue.submit('work', () => 1)
    await until(t, 950)
    t.queue.lane('work').configure({ priorityBoost: PriorityBoostConfig.standard(10_000) })
    await until(t, 9000)
    expect(told(t)).toEqual(['starving@900', 'relieved@950', 'starving@9000'])
  })
})

describe('the bound of a boosted wait', () => {
  const S = 10
  const D = 300

  /** A better lane whose commands never end; how long the last of `older + 1` commands of the worse lane waits. */
  async function waitUnderFlood(low: Partial<LaneDefinition>, older = 0, priority = 1): Promise<number | undefined> {
    await using t = await setup(
      { flood: { priority, minConcurrency: 0 }, low: { priority: 5, minConcurrency: 0, ...low } },
      { maxConcurrency: 2 },
    )
    let waited: number | undefined
    let left = 300
    const again = async (): Promise<void> => {
      if (left-- > 0) void t.queue.submit('flood', again)
      await t.sleep(S)
    }
    for (let n = 0; n < 4; n++) void t.queue.submit('flood', again)
    await t.clock.advance(1)
    for (let n = 0; n < older; n++) void t.queue.submit('low', t.takes(S))
    const at = t.clock.now()
    void t.queue.submit('low', () => {
      waited = t.clock.now() - at
    })
    await t.clock.advance(1000)
    const byThen = waited
    await t.clock.advance(5000)
    return byThen
  }

  const priorityBoost = PriorityBoostConfig.standard(D)

  test('is the deadline and the end of one body, with nothing before the command', async () => {
    expect(await waitUnderFlood({ priorityBoost })).toBeLessThanOrEqual(D + S)
  })

  test.each([
    [3, 1],
    [7, 2],
  ])('grows by the bodies of the %i older commands, %i at a time', async (older, slots) => {
    const waited = await waitUnderFlood({ priorityBoost, maxConcurrency: slots }, older)
    expect(waited).toBeGreaterThan(S)
    expect(waited).toBeLessThanOrEqual(D + Math.ceil((older + 1) / slots) * S)
  })

  test('is twice that beside a lane of priority 0, which nobody overtakes: the two take turns', async () => {
    const waited = await waitUnderFlood({ priorityBoost, maxConcurrency: 1 }, 3, 0)
    expect(waited).toBeGreaterThan(D + 4 * S)
    expect(waited).toBeLessThanOrEqual(D + 2 * 4 * S)
  })

  test('is none without a boost: strict priority may starve', async () => {
    expect(await waitUnderFlood({})).toBeUndefined()
  })
})

test('a lane config with a boost survives JSON', async () => {
  for (const boost of [PriorityBoostConfig.aggressive(1000), PriorityBoostConfig.disabled()]) {
    const config = JSON.parse(JSON.stringify(new LaneConfig(0, 1).withPriorityBoost(boost))) as LaneConfig
    await using t = await waiting(config)
    void t.queue.submit('work', () => 1, { deadlineMs: 500 })
    await until(t, 400)
    expect(effective(t)).toBe(boost.enabled ? 2 : 10)
  }
})

test('a boost is decided by the monotonic clock', async () => {
  await using t = await waiting({ priorityBoost: PriorityBoostConfig.standard(1000) })
  void t.queue.submit('work', () => 1)
  t.clock.stepWall(3_600_000)
  await until(t, 249)
  expect(effective(t)).toBe(10)
  t.clock.stepWall(-7_200_000)
  await until(t, 500)
  expect(effective(t)).toBe(8)
})

test('one timer serves all lanes, and none is left when nothing waits', async () => {
  await using t = await setup(
    {
      a: { maxConcurrency: 1, priorityBoost: PriorityBoostConfig.standard(1000) },
      b: { maxConcurrency: 1, priorityBoost: PriorityBoostConfig.aggressive(500) },
    },
    { start: false },
  )
  for (let n = 0; n < 20; n++) {
    void t.queue.submit('a', () => 1)
    void t.queue.submit('b', () => 1, { deadlineMs: 100 + n })
  }
  await t.clock.advance(10)
  expect(t.clock.timers).toBe(1)
  await t.queue.start()
  await t.clock.settle()
  expect([t.queue.stats().totalPending, t.clock.timers]).toEqual([0, 0])
})

test('an overdue lane in a group of rate limits is the better one there too', async () => {
  const rateLimit = RateLimitConfig.perSecond(100, { unit: 'tokens', group: 'provider' })
  await using t = await setup({
    high: { priority: 3, maxConcurrency: 100, rateLimit },
    low: { priority: 5, maxConcurrency: 100, rateLimit, priorityBoost: PriorityBoostConfig.aggressive(1000) },
  })
  void t.queue.submit('high', () => 1, { cost: 100 })
  await t.clock.settle()
  void t.queue.submit('low', t.noting('low'), { cost: 90 })
  for (let n = 0; n < 200; n++) void t.queue.submit('high', t.noting('high'), { cost: 1 })
  await t.clock.advance(450)
  expect(t.notes).not.toContain('low')
  await t.clock.advance(1000)
  expect(t.notes).toContain('low')
  await t.clock.advance(2000)
})
