/** What handlers, submitters, providers and listeners may do to the policies: limits, preemption, yields, dedupe, breakers. */
import {
  type CommandContext,
  type Cost,
  type EventKey,
  type LaneDefinition,
  type LaneEvent,
  type LaneOptions,
  PriorityBoostConfig,
  RateLimitConfig,
  RetryAfterError,
  RetryPolicy,
} from '@a3s-lab/lane'
import { describe, expect, test } from 'vitest'
import { aborted, napping, slowToStop, stopping } from '../support/bodies.js'
import { errorOf, gate, type Setup, setup } from '../support/setup.js'

const control = { priority: 0, preempts: true, minConcurrency: 0 } satisfies LaneDefinition
const work = { priority: 5, preemptible: true, minConcurrency: 0 } satisfies LaneDefinition
const tokens = RateLimitConfig.perSecond(100, { unit: 'tokens' })

const codeOf = (error: unknown): string => (error as { code: string }).code

function pauseForAMoment(t: Pick<Setup<string>, 'queue'>, lane: string): void {
  t.queue.lane(lane).pause()
  t.queue.lane(lane).resume()
}

/** The outcome of a run, whatever it is: its value, or its error's code. */
const outcome = (run: PromiseLike<unknown>): Promise<unknown> =>
  Promise.resolve(
    run.then(
      (value) => value,
      (error: unknown) => codeOf(error),
    ),
  )

describe('a preempted handler', () => {
  test('that catches the preemption and goes on for ever is cut off when the queue closes', async () => {
    await using t = await setup({ control, work: { ...work, preemptGraceMs: 10 } }, { maxConcurrency: 1 })
    const low = outcome(t.queue.submit('work', () => new Promise(() => {})))
    await t.clock.settle()
    const high = outcome(t.queue.submit('control', () => 1))
    await t.clock.advance(1000)
    expect(t.faults).toHaveLength(1)
    const closed = t.queue.close({ timeoutMs: 50 })
    await t.clock.advance(50)
    await closed
    expect([await low, await high]).toEqual(['COMMAND_CANCELLED', 'COMMAND_CANCELLED'])
  })

  test('that throws nothing at all, or something that cannot be read, counts as preempted', async () => {
    const hostile = new Proxy(
      {},
      {
        get() {
          throw new Error('get trap')
        },
      },
    )
    for (const thrown of [undefined, null, 0, hostile, Object.freeze(new Error('frozen'))]) {
      await using t = await setup({ control, work }, { maxConcurrency: 1, deadLetters: true })
      let starts = 0
      const low = t.queue.submit('work', async (ctx) => {
        if (++starts === 2) return 'second'
        await aborted(ctx)
        throw thrown
      })
      await t.clock.settle()
      await t.queue.submit('control', () => 1)
      expect(await t.clock.expectSettled(low)).toBe('second')
      expect(await t.queue.deadLetters.size()).toBe(0)
    }
  })

  test('that throws a 429 while it stops closes no lane', async () => {
    await using t = await setup({ control, work }, { maxConcurrency: 1 })
    let starts = 0
    const low = t.queue.submit('work', async (ctx) => {
      if (++starts === 2) return 'second'
      await aborted(ctx)
      throw Object.assign(new Error('429'), { status: 429, headers: { 'retry-after': '1000' } })
    })
    await t.clock.settle()
    await t.queue.submit('control', () => 1)
    expect(await t.clock.expectSettled(low)).toBe('second')
  })

  test('that returns a hostile thenable after the abort gives its slot back', async () => {
    await using t = await setup({ control, work }, { maxConcurrency: 1 })
    const low = outcome(
      t.queue.submit('work', (async (ctx: CommandContext) => {
        await aborted(ctx)
        return Object.defineProperty({}, 'then', {
          get() {
            throw new Error('then trap')
          },
        })
      }) as () => unknown),
    )
    await t.clock.settle()
    const high = t.queue.submit('control', () => 'high')
    expect(await t.clock.expectSettled(high)).toBe('high')
    t.queue.lane('work').cancelAll()
    expect(await low).toBe('COMMAND_CANCELLED')
  })

  test('that runs a child while it stops keeps its slot until both have ended', async () => {
    await using t = await setup({ control, work }, { maxConcurrency: 1 })
    let starts = 0
    const low = t.queue.submit('work', async (ctx) => {
      if (++starts === 2) return 'second'
      const reason = await aborted(ctx)
      await ctx.run('work', t.noting('clean-up', 10))
      throw reason
    })
    await t.clock.settle()
    const high = t.queue.submit('control', t.noting('high', 10))
    await t.clock.advance(9)
    expect([t.notes, high.state, t.queue.stats().totalSlots]).toEqual([['clean-up'], 'pending', 1])
    await t.clock.advance(1)
    expect(t.notes).toEqual(['clean-up', 'high'])
    await t.clock.advance(10)
    expect(await t.clock.expectSettled(low)).toBe('second')
  })

  test('that yields, saves and charges while it stops gets its reason each time', async () => {
    await using t = await setup({ control, work: { ...work, rateLimit: tokens } }, { maxConcurrency: 1 })
    const codes: unknown[] = []
    const note = (why: unknown): void => void codes.push(codeOf(why))
    const low = t.queue.submit('work', async (ctx) => {
      if (ctx.restored !== undefined) return ctx.restored
      await aborted(ctx)
      for (let n = 0; n < 3; n++) {
        await ctx.yield().catch(note)
        await ctx.checkpoint(n).catch(note)
        ctx.charge(n)
        ctx.progress(n)
        ctx.log(`line ${n}`)
      }
      throw ctx.signal.reason
    })
    await t.clock.settle()
    void t.queue.submit('control', () => 1)
    await t.clock.advance(1000)
    expect(await low).toBe(2)
    expect(codes).toEqual(new Array(6).fill('COMMAND_PREEMPTED'))
  })

  test('whose context is used after it was preempted changes nothing of its next life', async () => {
    await using t = await setup({ control, work: { ...work, rateLimit: tokens } }, { maxConcurrency: 1 })
    const contexts: CommandContext[] = []
    const low = t.queue.submit('work', async (ctx) => {
      contexts.push(ctx)
      if (contexts.length === 2) {
        await t.sleep(10)
        return ctx.restored
      }
      await ctx.checkpoint('good')
      return napping(t, 1000, ctx.signal)
    })
    await t.clock.advance(100)
    await t.queue.submit('control', () => 1)
    await t.clock.advance(5)
    const [stale] = contexts as [CommandContext]
    const refused = errorOf(stale.checkpoint('stale'))
    stale.charge(1e9)
    stale.progress('stale')
    await stale.yield().catch(() => undefined)
    expect((await refused)['code']).toBe('COMMAND_PREEMPTED')
    await t.clock.advance(5)
    expect(await t.clock.expectSettled(low)).toBe('good')
    expect(t.recorder.of('queue.command.progress')).toEqual([])
    expect(await t.clock.expectSettled(t.queue.submit('work', () => 'no debt', { cost: 50 }))).toBe('no debt')
  })

  describe('whose code that runs in the abort', () => {
    test.each<[string, (t: Setup<'control' | 'work'>, ctx: CommandContext) => unknown]>([
      ['cancels itself', (t, ctx) => t.queue.cancel(ctx.id)],
      ['cancels its lane', (t) => t.queue.lane('work').cancelAll()],
      ['cancels the lane that needs the slot', (t) => t.queue.lane('control').cancelAll()],
      ['clears both lanes', (t) => [t.queue.lane('work').clear(), t.queue.lane('control').clear()]],
      ['makes its lane not preemptible', (t) => t.queue.lane('work').configure({ preemptible: false })],
      ['makes the other lane not preempt', (t) => t.queue.lane('control').configure({ preempts: false })],
      ['turns the priorities round', (t) => t.queue.lane('control').configure({ priority: 9 })],
      ['pauses the other lane for a moment', (t) => pauseForAMoment(t, 'control')],
      ['submits to both lanes', (t) => [t.queue.submit('control', t.takes(1)), t.queue.submit('work', t.takes(1))]],
      ['shuts the queue down', (t) => t.queue.shutdown()],
      ['closes the queue', (t) => t.queue.close({ timeoutMs: 5 })],
      ['explains everything', (t, ctx) => [t.queue.explain(ctx.id), t.queue.stats()]],
    ])('%s: every slot comes back and no command is lost', async (_what, act) => {
      await using t = await setup({ control, work }, { maxConcurrency: 2 })
      const body = async (ctx: CommandContext): Promise<string> => {
        ctx.signal.addEventListener('abort', () => act(t, ctx))
        await napping(t, 100, ctx.signal)
        return 'done'
      }
      const runs = [0, 1, 2].map(() => outcome(t.queue.submit('work', body)))
      await t.clock.advance(1)
      for (let n = 0; n < 2; n++) runs.push(outcome(t.queue.submit('control', t.takes(10, 'high'))))
      await t.clock.advance(2000)
      const ends = await t.clock.expectSettled(Promise.all(runs))
      for (const end of ends) expect(['done', 'high', 'COMMAND_CANCELLED']).toContain(end)
      expect(t.queue.stats()).toMatchObject({ totalSlots: 0, totalPending: 0, totalActive: 0, totalDelayed: 0 })
      expect(t.faults).toEqual([])
    })
  })
})

describe('ctx.yield', () => {
  const high = { priority: 0, minConcurrency: 0 } satisfies LaneDefinition
  const low = { priority: 5, minConcurrency: 0 } satisfies LaneDefinition

  test('in a tight loop lets others work and ends', async () => {
    await using t = await setup({ high, low }, { maxConcurrency: 1 })
    const run = t.queue.submit('low', async (ctx) => {
      for (let n = 0; n < 2000; n++) await ctx.yield()
      return 'done'
    })
    const other = t.queue.submit('high', () => 'other')
    expect(await t.clock.expectSettled(other)).toBe('other')
    await t.clock.settle()
    for (let n = 0; n < 200 && run.state !== 'completed'; n++) await t.clock.settle()
    expect(await t.clock.expectSettled(run)).toBe('done')
  })

  test('called twice at once goes on once, both resolved', async () => {
    await using t = await setup({ high, low }, { maxConcurrency: 1 })
    const run = t.queue.submit('low', async (ctx) => {
      await t.sleep(10)
      await Promise.all([ctx.yield(), ctx.yield(), ctx.yield()])
      return 'went on'
    })
    await t.clock.settle()
    void t.queue.submit('high', t.takes(20))
    await t.clock.advance(10)
    expect(t.queue.lane('low').status()).toMatchObject({ pending: 1, active: 0 })
    await t.clock.advance(20)
    expect(await t.clock.expectSettled(run)).toBe('went on')
    expect(t.queue.stats()).toMatchObject({ totalPending: 0, totalSlots: 0 })
  })

  test.each<[string, () => unknown, unknown]>([
    ['returns', () => 'value', 'value'],
    ['throws', () => Promise.reject(new Error('no')), 'COMMAND_FAILED'],
  ])('that nobody awaits, in a body that then %s, loses nothing', async (_how, end, expected) => {
    await using t = await setup({ high, low }, { maxConcurrency: 1 })
    const run = outcome(
      t.queue.submit('low', async (ctx) => {
        await t.sleep(10)
        void ctx.yield()
        await t.sleep(5)
        return end()
      }),
    )
    await t.clock.settle()
    void t.queue.submit('high', t.takes(50))
    void t.queue.submit('low', t.noting('next'))
    await t.clock.advance(15)
    expect(await t.clock.expectSettled(run)).toBe(expected)
    expect(t.queue.stats()).toMatchObject({ totalActive: 1, totalSlots: 1 })
    await t.clock.advance(50)
    expect(t.notes).toEqual(['next'])
  })

  test('that nobody awaits holds no timeout open', async () => {
    await using t = await setup({ high, low: { ...low, timeoutMs: 20 } }, { maxConcurrency: 1 })
    const run = outcome(
      t.queue.submit('low', async (ctx) => {
        await t.sleep(10)
        void ctx.yield()
        await t.sleep(100)
        return 'no slot, no timeout'
      }),
    )
    await t.clock.settle()
    void t.queue.submit('high', t.takes(500))
    await t.clock.advance(110)
    expect(await t.clock.expectSettled(run)).toBe('no slot, no timeout')
    await t.clock.advance(400)
    expect(t.clock.timers).toBe(0)
  })

  test('that nobody awaits lends no place: a child of it needs one of its own', async () => {
    await using t = await setup({ high, low }, { maxConcurrency: 1 })
    const run = t.queue.submit('low', async (ctx) => {
      await t.sleep(10)
      void ctx.yield()
      await t.sleep(5)
      return ctx.run('low', t.noting('child', 5))
    })
    await t.clock.settle()
    void t.queue.submit('high', t.takes(50))
    await t.clock.advance(40)
    expect(t.notes).toEqual([])
    expect(t.queue.stats()).toMatchObject({ totalActive: 1, totalSlots: 1 })
    await t.clock.advance(60)
    expect(await t.clock.expectSettled(run)).toBe('child')
  })

  test('while a child runs in the place of its body gives nothing away', async () => {
    await using t = await setup({ high, low }, { maxConcurrency: 1 })
    const run = t.queue.submit('low', async (ctx) => {
      const child = ctx.run('low', t.noting('child', 20))
      await t.sleep(5)
      await ctx.yield()
      t.notes.push('parent')
      return child
    })
    await t.clock.settle()
    void t.queue.submit('high', t.noting('high'))
    await t.clock.advance(19)
    expect(t.notes).toEqual(['child', 'parent'])
    await t.clock.advance(5)
    expect(await t.clock.expectSettled(run)).toBe('child')
  })

  test('that starts a child from its other branch gives the slot back once', async () => {
    await using t = await setup({ high, low }, { maxConcurrency: 1 })
    const run = t.queue.submit('low', async (ctx) => {
      await t.sleep(10)
      const [, child] = await Promise.all([ctx.yield(), ctx.run('low', t.noting('child', 10))])
      return child
    })
    await t.clock.settle()
    void t.queue.submit('high', t.noting('high', 20))
    await t.clock.advance(1000)
    expect(await t.clock.expectSettled(run)).toBe('child')
    expect(t.queue.stats()).toMatchObject({ totalPending: 0, totalActive: 0, totalSlots: 0 })
  })

  test('cancelled, and caught, and called again rejects again', async () => {
    await using t = await setup({ high, low }, { maxConcurrency: 1 })
    const codes: string[] = []
    const run = t.queue.submit('low', async (ctx) => {
      await t.sleep(10)
      for (let n = 0; n < 3; n++) await ctx.yield().catch((why: unknown) => codes.push(codeOf(why)))
    })
    const end = outcome(run)
    await t.clock.settle()
    void t.queue.submit('high', t.takes(50))
    await t.clock.advance(20)
    run.cancel()
    expect(await end).toBe('COMMAND_CANCELLED')
    await t.clock.settle()
    expect(codes).toEqual(new Array(3).fill('COMMAND_CANCELLED'))
    await t.clock.advance(50)
  })

  test('of a body whose lane is configured meanwhile goes on', async () => {
    await using t = await setup({ high, low }, { maxConcurrency: 1 })
    const run = t.queue.submit('low', async (ctx) => {
      await t.sleep(10)
      await ctx.yield()
      return 'went on'
    })
    await t.clock.settle()
    void t.queue.submit('high', t.takes(50))
    await t.clock.advance(20)
    const changes: LaneOptions[] = [
      { preemptible: true },
      { fairness: 'key', keyConcurrency: 1 },
      { rateLimit: RateLimitConfig.perHour(1) },
      { breaker: { failureRatio: 1 } },
      { priorityBoost: PriorityBoostConfig.standard(5) },
      { fairness: 'none', preemptible: false, order: 'lifo' },
    ]
    for (const change of changes) t.queue.lane('low').configure(change)
    await t.clock.advance(50)
    expect(await t.clock.expectSettled(run)).toBe('went on')
  })
})

describe('ctx.checkpoint', () => {
  const cycle: unknown[] = []
  cycle.push(cycle)
  const deep = (levels: number): unknown => {
    let value: unknown = 0
    for (let n = 0; n < levels; n++) value = [value]
    return value
  }

  test.each<[string, unknown]>([
    ['undefined', undefined],
    ['a function', () => 1],
    ['a symbol', Symbol('x')],
    ['a BigInt', 1n],
    ['NaN', Number.NaN],
    ['Infinity', Number.POSITIVE_INFINITY],
    ['a cycle', cycle],
    ['a BigInt deep inside', { a: [{ b: 1n }] }],
    ['a function deep inside', { a: [() => 1] }],
    ['NaN deep inside', { a: Number.NaN }],
    [
      'a toJSON that throws',
      {
        toJSON() {
          throw new Error('toJSON trap')
        },
      },
    ],
    ['a toJSON that gives nothing', { toJSON: () => undefined }],
    [
      'a getter that throws',
      {
        get a() {
          throw new Error('getter')
        },
      },
    ],
    [
      'a proxy whose every trap throws',
      new Proxy(
        {},
        {
          get() {
            throw new Error('get trap')
          },
          ownKeys() {
            throw new Error('ownKeys trap')
          },
        },
      ),
    ],
    ['what is nested too deep', deep(200_000)],
  ])('of %s is refused, and the attempt goes on with its former state', async (_what, state) => {
    await using t = await setup({ work: { retry: RetryPolicy.fixed(1, 0) } })
    const run = t.queue.submit('work', async (ctx) => {
      if (ctx.attempt === 2) return ctx.restored
      await ctx.checkpoint('good')
      t.notes.push(String((await errorOf(ctx.checkpoint(state)))['code']))
      void ctx.checkpoint(state)
      throw new Error('again')
    })
    expect(await t.clock.expectSettled(run)).toBe('good')
    expect(t.notes).toEqual(['PAYLOAD_INVALID'])
  })

  test.each<[string, unknown]>([
    ['a Map', new Map([[1, 2]])],
    ['a Set inside', { seen: new Set([1]) }],
  ])('of %s, which JSON would empty, is refused', async (_what, state) => {
    await using t = await setup()
    const run = t.queue.submit('work', async (ctx) => (await errorOf(ctx.checkpoint(state)))['code'])
    expect(await t.clock.expectSettled(run)).toBe('PAYLOAD_INVALID')
  })

  test('of 16 MB, and in a tight loop, keeps the last', async () => {
    await using t = await setup({ work: { retry: RetryPolicy.fixed(1, 0) } })
    const huge = 'x'.repeat(16 * 1024 * 1024)
    const run = t.queue.submit('work', async (ctx) => {
      if (ctx.attempt === 2) return (ctx.restored as { n: number; huge: string }).n
      await ctx.checkpoint({ n: -1, huge })
      for (let n = 0; n < 1000; n++) await ctx.checkpoint({ n, huge: '' })
      throw new Error('again')
    })
    for (let n = 0; n < 50; n++) await t.clock.settle()
    expect(await t.clock.expectSettled(run)).toBe(999)
  })

  test('two at once: the one that was called last counts', async () => {
    await using t = await setup({ work: { retry: RetryPolicy.fixed(1, 0) } })
    const run = t.queue.submit('work', async (ctx) => {
      if (ctx.attempt === 2) return ctx.restored
      await Promise.all([ctx.checkpoint(1), ctx.checkpoint(2)])
      throw new Error('again')
    })
    expect(await t.clock.expectSettled(run)).toBe(2)
  })

  test('of a state that checkpoints, cancels and submits in its toJSON is kept as it came', async () => {
    await using t = await setup({ work: { retry: RetryPolicy.fixed(1, 0) } })
    const run = t.queue.submit('work', async (ctx) => {
      if (ctx.attempt === 2) return ctx.restored
      await ctx.checkpoint({
        toJSON() {
          void ctx.checkpoint('inner')
          void t.queue.submit('work', t.noting('from toJSON'))
          t.queue.lane('work').configure({ maxConcurrency: 2 })
          return 'outer'
        },
      })
      throw new Error('again')
    })
    expect(await t.clock.expectSettled(run)).toBe('outer')
    expect(t.notes).toEqual(['from toJSON'])
  })
})

describe('costs', () => {
  const throwing = (key: string): object =>
    Object.defineProperty({}, key, {
      enumerable: true,
      get() {
        throw new Error('getter')
      },
    })
  const bad: [string, unknown][] = [
    ['NaN', Number.NaN],
    ['a negative one', -1],
    ['Infinity', Number.POSITIVE_INFINITY],
    ['a text', '5'],
    ['null', null],
    ['an array', [1]],
    ['a function', () => 1],
    ['a BigInt', 1n],
    ['an amount that is NaN', { tokens: Number.NaN }],
    ['an amount that is negative', { tokens: -1 }],
    ['an amount that is no number', { tokens: '5' }],
    ['an amount that is undefined', { tokens: undefined }],
    ['an amount that is an object', { tokens: { usd: 1 } }],
  ]

  test.each(bad)('%s is refused at submit and by charge', async (_what, cost) => {
    await using t = await setup({ work: { rateLimit: tokens } })
    expect(await errorOf(t.queue.submit('work', () => 1, { cost: cost as Cost }))).toMatchObject({
      code: 'CONFIG_INVALID',
      option: 'submit cost',
    })
    const run = t.queue.submit('work', (ctx) => ctx.charge(cost as Cost), { cost: 10 })
    expect((await errorOf(run)).message).toContain('charge cost must be')
    expect(await t.clock.expectSettled(t.queue.submit('work', () => 'unharmed', { cost: 90 }))).toBe('unharmed')
  })

  test('a getter that throws refuses the submit, and fails the body that charges it', async () => {
    await using t = await setup({ work: { rateLimit: tokens } })
    expect((await errorOf(t.queue.submit('work', () => 1, { cost: throwing('tokens') as Cost })))['code']).toBe(
      'PAYLOAD_INVALID',
    )
    const run = t.queue.submit('work', (ctx) => ctx.charge(throwing('tokens') as Cost))
    expect((await errorOf(run)).message).toBe('getter')
    expect(await t.clock.expectSettled(t.queue.submit('work', () => 'unharmed', { cost: 99 }))).toBe('unharmed')
  })

  /** A cost that is one thing when it is looked at first and another later. */
  const shifty = (first: number, then: () => number): Cost => {
    let reads = 0
    return {
      get tokens() {
        return reads++ < 1 ? first : then()
      },
    }
  }

  test.each<[string, () => number]>([
    [
      'throws later',
      () => {
        throw new Error('later')
      },
    ],
    ['is NaN later', () => Number.NaN],
    ['is negative later', () => -1e9],
    ['is more than the limit later', () => 1e9],
  ])('one that is read well once and %s is the one that was read', async (_what, then) => {
    await using t = await setup({ work: { maxConcurrency: 10, rateLimit: tokens } })
    const first = t.queue.submit('work', () => 'first', { cost: shifty(50, then) })
    const second = t.queue.submit('work', (ctx) => ctx.charge(shifty(20, then)), { cost: 50 })
    await t.clock.settle()
    expect(await t.clock.expectSettled(first)).toBe('first')
    await t.clock.expectSettled(second)
    const at = t.queue.submit('work', () => t.clock.now(), { cost: 100 })
    await t.clock.advance(2000)
    expect(await t.clock.expectSettled(at)).toBe(700)
  })

  test('one that its submitter or its handler changes afterwards is the one that was given', async () => {
    await using t = await setup({ work: { maxConcurrency: 10, rateLimit: tokens } })
    const cost = { tokens: 50 }
    const first = t.queue.submit(
      'work',
      (ctx) => {
        const charged = { tokens: 60 }
        ctx.charge(charged)
        charged.tokens = 0
        ctx.charge({ tokens: 60 })
      },
      { cost },
    )
    cost.tokens = 1e9
    await t.clock.expectSettled(first)
    const at = t.queue.submit('work', () => t.clock.now(), { cost: 100 })
    await t.clock.advance(2000)
    expect(await t.clock.expectSettled(at)).toBe(600)
  })

  test('units named like members of an object are units', async () => {
    const units = ['__proto__', 'constructor', 'toString', 'hasOwnProperty']
    const rateLimit = units.map((unit) => RateLimitConfig.perSecond(10, { unit }))
    await using t = await setup({ work: { maxConcurrency: 10, rateLimit } })
    const cost = JSON.parse('{"__proto__": 10, "constructor": 10, "toString": 10, "hasOwnProperty": 10}') as Cost
    await t.queue.submit('work', () => 1, { cost: {} })
    await t.queue.submit('work', () => 1, { cost })
    const at = t.queue.submit('work', () => t.clock.now(), { cost })
    await t.clock.advance(1000)
    expect(await t.clock.expectSettled(at)).toBe(1000)
    expect(Object.keys(Object.prototype)).toEqual([])
  })

  test('charged in a tight loop are settled exactly', async () => {
    await using t = await setup({ work: { rateLimit: tokens } })
    await t.queue.submit(
      'work',
      (ctx) => {
        for (let n = 0; n <= 10_000; n++) ctx.charge(n % 70)
        ctx.charge(0.1)
        ctx.charge(40)
      },
      { cost: 10 },
    )
    expect(await t.clock.expectSettled(t.queue.submit('work', () => 'left', { cost: 60 }))).toBe('left')
    const at = t.queue.submit('work', () => t.clock.now(), { cost: 1 })
    await t.clock.advance(100)
    expect(await t.clock.expectSettled(at)).toBeCloseTo(10, 3)
  })

  test('in a fair lane of any size end', async () => {
    await using t = await setup({ work: { maxConcurrency: 1, fairness: 'key' } }, { start: false })
    const costs = [Number.MAX_VALUE, Number.MIN_VALUE, 1e-300, 0, 1, 1e300]
    const runs = costs.flatMap((cost, n) => [
      t.queue.submit('work', () => 1, { key: `k${n}`, cost, weight: 1e-6 }),
      t.queue.submit('work', () => 1, { key: `k${n}`, cost, weight: 1e6 }),
    ])
    await t.queue.start()
    expect(await t.clock.expectSettled(Promise.all(runs))).toEqual(new Array(12).fill(1))
  })
})

describe('what a provider sends', () => {
  const trap = (): never => {
    throw new Error('trap')
  }
  const endless = {
    *[Symbol.iterator]() {
      for (;;) yield ['x', 'y']
    },
  }
  const proxy = new Proxy({}, { get: trap, has: trap, ownKeys: trap, getPrototypeOf: trap })
  const loop: { cause?: unknown } = {}
  loop.cause = loop

  test.each<[string, unknown]>([
    ['a proxy', proxy],
    ['a status that throws', Object.defineProperty(new Error('x'), 'status', { get: trap })],
    [
      'headers that throw',
      Object.defineProperty(Object.assign(new Error('x'), { status: 429 }), 'headers', { get: trap }),
    ],
    ['headers that are a proxy', Object.assign(new Error('x'), { status: 429, headers: proxy })],
    ['headers whose get throws', { status: 429, headers: { get: trap } }],
    ['headers without end', { status: 429, headers: endless }],
    ['a cause that is itself', Object.assign(loop, { status: 500 })],
    ['a status that is an object', { status: { valueOf: () => 429 }, headers: { 'retry-after': '5' } }],
    ['a Retry-After below 0', { status: 429, headers: { 'retry-after': '-5' } }],
    ['one of a thousand years', { status: 429, headers: { 'retry-after': '31536000000' } }],
    ['one of 1e309', { status: 429, headers: { 'retry-after': '1e309' } }],
    ['one of NaN', { status: 429, headers: { 'retry-after': Number.NaN } }],
    ['one of 100,000 digits', { status: 429, headers: { 'retry-after': '9'.repeat(100_000) } }],
    ['one of many words', { status: 429, headers: { 'retry-after': 'Sun, '.repeat(20_000) } }],
    ['a duration without end', { status: 429, headers: { 'x-ratelimit-reset': '1m'.repeat(50_000) } }],
    ['a date that is none', { status: 429, headers: { 'retry-after': 'Sun, 99 Nov 1994 08:49:37 GMT' } }],
    ['an array of arrays', { status: 429, headers: [[['retry-after']], [[5]]] }],
    ['a header that is an object', { status: 429, headers: { 'retry-after': { toString: trap } } }],
  ])('%s closes nothing and is an ordinary failure', async (_what, thrown) => {
    await using t = await setup({ work: { retry: RetryPolicy.fixed(1, 10) } })
    const run = t.queue.submit('work', async ({ attempt }) => {
      if (attempt === 1) throw thrown
      return 'second'
    })
    await t.clock.settle()
    expect(await t.clock.expectSettled(t.queue.submit('work', () => 'open'))).toBe('open')
    await t.clock.advance(10)
    expect(await t.clock.expectSettled(run)).toBe('second')
  })

  test('a RetryAfterError whose fields were changed into nonsense harms nobody', async () => {
    for (const delayMs of [Number.NaN, Number.POSITIVE_INFINITY, -5, '7', undefined]) {
      await using t = await setup({ work: { maxConcurrency: 1, maxDeferrals: 1 } })
      const run = outcome(
        t.queue.submit('work', ({ attempt }) => {
          if (attempt > 1) return 'second'
          throw Object.assign(new RetryAfterError(1, { scope: 'lane' }), { delayMs })
        }),
      )
      await t.clock.advance(100)
      expect(['second', 'COMMAND_FAILED'], String(delayMs)).toContain(await t.clock.expectSettled(run))
      expect(await t.clock.expectSettled(t.queue.submit('work', () => 'open'))).toBe('open')
    }
  })
})

/** Everything that the policies tell, in one queue; the runs' outcomes. */
async function busyQueue(t: Setup<'control' | 'work' | 'waits'>): Promise<unknown[]> {
  const ends: Promise<unknown>[] = []
  const submit = (lane: 'control' | 'work' | 'waits', body: (ctx: CommandContext) => unknown, options = {}): void =>
    void ends.push(outcome(t.queue.submit(lane, body, options)))
  for (let n = 0; n < 3; n++) submit('work', stopping(t, 'work', 40), { dedupe: { id: `work ${n}` } })
  await t.clock.advance(1)
  for (let n = 0; n < 2; n++) submit('control', t.takes(20))
  submit('work', () => 1, { dedupe: { id: 'work 0' } })
  submit('work', t.takes(5), { dedupe: { id: 'work 1', mode: 'keep-last' } })
  submit('work', t.takes(5), { dedupe: { id: 'work 1', mode: 'keep-last' } })
  submit('waits', t.takes(5), { deadlineMs: 20 })
  submit('waits', t.takes(5), { deadlineMs: 30 })
  await t.clock.advance(10)
  for (let n = 0; n < 3; n++) submit('waits', () => Promise.reject(new Error('no')))
  for (let n = 0; n < 10; n++) await t.clock.advance(50)
  submit('waits', () => 1)
  await t.clock.advance(5000)
  return t.clock.expectSettled(Promise.all(ends))
}

const busyLanes = {
  control,
  work,
  waits: {
    priority: 7,
    minConcurrency: 0,
    preemptible: true,
    breaker: { failureRatio: 0.5, minimum: 2, windowMs: 1000, openMs: 100 },
  },
} satisfies Record<string, LaneDefinition>

const told: EventKey[] = [
  'queue.command.preempted',
  'queue.command.resumed',
  'queue.command.deduplicated',
  'queue.lane.starving',
  'queue.lane.relieved',
  'queue.lane.breaker',
]

test('the busy queue of the tests below tells all that they listen to', async () => {
  await using t = await setup(busyLanes, { maxConcurrency: 2 })
  await busyQueue(t)
  for (const key of told) expect(t.recorder.keys()).toContain(key)
})

test('at each event of the busy queue the counts agree, and no more slots are taken than there are', async () => {
  await using t = await setup(busyLanes, { maxConcurrency: 2 })
  const ends: EventKey[] = [
    'queue.command.completed',
    'queue.command.failed',
    'queue.command.timeout',
    'queue.command.cancelled',
  ]
  let accepted = 0
  let settled = 0
  const wrong: unknown[] = []
  t.queue.subscribeFiltered(({ key }: LaneEvent) => {
    if (key === 'queue.command.submitted') accepted++
    if (ends.includes(key)) settled++
    const { totalPending, totalActive, totalDelayed, totalSlots } = t.queue.stats()
    const counted = totalPending + totalActive + totalDelayed + settled
    if (counted !== accepted || totalSlots > 2) wrong.push({ key, counted, accepted, totalSlots })
    return false
  })
  await busyQueue(t)
  expect(wrong).toEqual([])
  expect(settled).toBeGreaterThan(10)
})

type Act = (t: Setup<'control' | 'work' | 'waits'>, ids: { lane_id: string; command_id?: string }) => unknown

const everyLimit = (n: number): LaneOptions => ({
  maxConcurrency: 1 + (n % 4),
  rateLimit: n % 2 === 0 ? undefined : RateLimitConfig.perSecond(20, { group: 'g' }),
  priorityBoost: n % 3 === 0 ? undefined : PriorityBoostConfig.standard(10 + n),
  fairness: n % 2 === 0 ? 'none' : 'key',
  keyConcurrency: n % 3 === 0 ? undefined : 1 + n,
  breaker: n % 4 === 0 ? undefined : { failureRatio: 0.5, minimum: 2, openMs: 50 },
  preemptible: n % 2 === 0,
  preempts: n % 3 === 0,
  order: n % 2 === 0 ? 'fifo' : 'lifo',
})

const acts: [string, Act][] = [
  ['cancels the command', (t, { command_id: id }) => id !== undefined && t.queue.cancel(id)],
  ['cancels the lane', (t, { lane_id: lane }) => t.queue.lane(lane).cancelAll()],
  ['clears every lane', (t) => Object.keys(busyLanes).map((lane) => t.queue.lane(lane).clear())],
  ['pauses and resumes the lane', (t, { lane_id: lane }) => pauseForAMoment(t, lane)],
  ['submits to every lane', (t) => Object.keys(busyLanes).map((lane) => t.queue.submit(lane, t.takes(1)))],
  [
    'configures every limit of every lane',
    (t) =>
      Object.keys(busyLanes).map((lane, n) => t.queue.lane(lane).configure(everyLimit(n + t.recorder.events.length))),
  ],
  ['explains everything', async (t) => (await t.queue.list()).items.map(({ id }) => t.queue.explain(id))],
  ['shuts the queue down', (t) => t.queue.shutdown()],
  ['closes the queue', (t) => t.queue.close({ timeoutMs: 10 })],
]

describe.each(told)('a listener that in the middle of %s', (key) => {
  test.each(acts)('%s loses no command and no slot', async (_what, act) => {
    await using t = await setup(busyLanes, { maxConcurrency: 2 })
    let calls = 0
    t.queue.subscribeFiltered((event: LaneEvent) => {
      // Each act may lead to the same event again: a listener that never stops is its own business.
      if (event.key === key && calls++ < 5) void act(t, event.payload as { lane_id: string; command_id?: string })
      return false
    })
    const ends = await busyQueue(t)
    expect(calls).toBeGreaterThan(0)
    for (const end of ends) {
      expect(['work', 1, undefined, 'COMMAND_CANCELLED', 'COMMAND_FAILED', 'SHUTTING_DOWN']).toContain(end)
    }
    expect(t.queue.stats()).toMatchObject({ totalPending: 0, totalActive: 0, totalDelayed: 0, totalSlots: 0 })
    // A queue that closes does not wait long for the bodies that take no notice.
    expect(t.faults.map(String).filter((fault) => !fault.includes('its slot was freed'))).toEqual([])
  })

  test('throws is told to onFault and harms nobody', async () => {
    await using t = await setup(busyLanes, { maxConcurrency: 2 })
    t.queue.subscribeFiltered((event: LaneEvent) => {
      if (event.key === key) throw new Error('listener broke')
      return false
    })
    await busyQueue(t)
    expect(t.faults.length).toBeGreaterThan(0)
    expect(new Set(t.faults.map(String))).toEqual(new Set(['Error: listener broke']))
    expect(t.queue.stats()).toMatchObject({ totalPending: 0, totalActive: 0, totalSlots: 0 })
  })
})

test('a handler may change every limit of its own lane and of others while it runs', async () => {
  await using t = await setup(
    { control, work: { ...work, maxConcurrency: 3 }, other: { priority: 6, minConcurrency: 0 } },
    { maxConcurrency: 3 },
  )
  let changes = 0
  const body = async (ctx: CommandContext): Promise<string> => {
    t.queue.lane('work').configure(everyLimit(changes++))
    await napping(t, 5, ctx.signal)
    t.queue.lane('other').configure(everyLimit(changes++))
    await ctx.yield()
    t.queue.lane('control').configure({ preempts: changes++ % 2 === 0 })
    await ctx.checkpoint(changes)
    ctx.charge(changes % 7)
    return 'done'
  }
  const runs = Array.from({ length: 60 }, (_, n) =>
    t.queue.submit((['work', 'other', 'control'] as const)[n % 3] as 'work', body, {
      key: `k${n % 4}`,
      cost: n % 5,
      deadlineMs: 10 + n,
    }),
  )
  await t.clock.advance(60_000)
  expect(await t.clock.expectSettled(Promise.all(runs))).toEqual(new Array(60).fill('done'))
  expect(t.queue.stats()).toMatchObject({ totalPending: 0, totalActive: 0, totalSlots: 0 })
})

describe('the queue ends while a command', () => {
  /** Gives the run in an object: a run is awaitable, so a promise of it would be one of its outcome. */
  type Scene = (t: Setup<'control' | 'work'>) => Promise<{ readonly run: PromiseLike<unknown> }>

  const scenes: [string, LaneOptions, Scene][] = [
    [
      'is preempted',
      {},
      async (t) => {
        const run = t.queue.submit('work', stopping(t, 'work', 50))
        await t.clock.settle()
        void outcome(t.queue.submit('control', t.takes(30)))
        await t.clock.advance(1)
        return { run }
      },
    ],
    [
      'is asked to stop',
      {},
      async (t) => {
        const run = t.queue.submit('work', slowToStop(t, 'work', 50, 20))
        await t.clock.settle()
        void outcome(t.queue.submit('control', t.takes(30)))
        await t.clock.advance(1)
        return { run }
      },
    ],
    [
      'waits inside ctx.yield',
      {},
      async (t) => {
        const run = t.queue.submit('work', async (ctx) => {
          await napping(t, 10, ctx.signal)
          await ctx.yield()
          return 'work'
        })
        await t.clock.advance(9)
        t.queue.lane('work').configure({ preemptible: false })
        void outcome(t.queue.submit('control', t.takes(30)))
        await t.clock.advance(2)
        return { run }
      },
    ],
    [
      'waits for a token',
      { rateLimit: RateLimitConfig.perSecond(1) },
      async (t) => {
        await t.queue.submit('work', () => 1)
        const run = t.queue.submit('work', () => 'work')
        await t.clock.settle()
        return { run }
      },
    ],
    [
      'is held by a provider',
      {},
      async (t) => {
        const run = t.queue.submit('work', ({ attempt }) => {
          if (attempt === 1) throw new RetryAfterError(100, { scope: 'lane' })
          return 'work'
        })
        await t.clock.settle()
        return { run }
      },
    ],
    [
      'waits for a breaker',
      { breaker: { failureRatio: 1, minimum: 1, openMs: 100 } },
      async (t) => {
        await errorOf(t.queue.submit('work', () => Promise.reject(new Error('no'))))
        const run = t.queue.submit('work', () => 'work')
        await t.clock.settle()
        return { run }
      },
    ],
    [
      'follows the owner of its dedupe id',
      {},
      async (t) => {
        void outcome(t.queue.submit('work', stopping(t, 'owner', 20), { dedupe: { id: 'x' } }))
        await t.clock.settle()
        return { run: t.queue.submit('work', () => 'work', { dedupe: { id: 'x', mode: 'keep-last' } }) }
      },
    ],
    [
      'waits for a place of its key',
      { keyConcurrency: 1 },
      async (t) => {
        void outcome(t.queue.submit('work', stopping(t, 'first', 20), { key: 'a' }))
        await t.clock.settle()
        return { run: t.queue.submit('work', () => 'work', { key: 'a' }) }
      },
    ],
  ]

  describe.each(scenes)('%s:', (_what, options, scene) => {
    test('close cancels it and comes back by its limit', async () => {
      await using t = await setup({ control, work: { ...work, ...options } }, { maxConcurrency: 1 })
      const end = outcome((await scene(t)).run)
      let closed = false
      void t.queue.close({ timeoutMs: 100 }).then(() => {
        closed = true
      })
      await t.clock.advance(100)
      expect(closed).toBe(true)
      expect(await t.clock.expectSettled(end)).toBe('COMMAND_CANCELLED')
      expect(t.queue.stats()).toMatchObject({ totalPending: 0, totalActive: 0, totalDelayed: 0, totalSlots: 0 })
      expect(t.clock.timers).toBe(0)
    })

    test('close at once cuts everything off', async () => {
      await using t = await setup({ control, work: { ...work, ...options } }, { maxConcurrency: 1 })
      const end = outcome((await scene(t)).run)
      const closed = t.queue.close({ timeoutMs: 0 })
      await t.clock.advance(0)
      await t.clock.expectSettled(closed)
      expect(await t.clock.expectSettled(end)).toBe('COMMAND_CANCELLED')
      expect(t.queue.stats().totalSlots).toBe(0)
      await t.clock.advance(1000)
    })

    test('shutdown lets it end, and drain waits for it', async () => {
      await using t = await setup({ control, work: { ...work, ...options } }, { maxConcurrency: 1 })
      const end = outcome((await scene(t)).run)
      await t.queue.shutdown()
      const early = outcome(t.queue.drain(0))
      const drained = t.queue.drain(10_000)
      await t.clock.advance(0)
      expect(await early).toBe('DRAIN_TIMEOUT')
      await t.clock.advance(5000)
      await t.clock.expectSettled(drained)
      expect(await t.clock.expectSettled(end)).toBe('work')
      expect(t.recorder.keys().at(-1)).toBe('queue.shutdown.complete')
    })
  })
})

test('a thousand preemptions of a thousand commands lose nothing', async () => {
  await using t = await setup({ control, work: { ...work, maxConcurrency: 8 } }, { maxConcurrency: 4 })
  const counts = new Map<string, number>()
  const runs = Array.from({ length: 200 }, (_, n) =>
    t.queue.submit('work', async (ctx) => {
      const from = (ctx.restored as number | undefined) ?? 0
      for (let step = from; step < 5; step++) {
        await napping(t, 3, ctx.signal)
        counts.set(`${n} ${step}`, (counts.get(`${n} ${step}`) ?? 0) + 1)
        await ctx.checkpoint(step + 1)
      }
      return n
    }),
  )
  let submitted = 0
  for (let round = 0; round < 250; round++) {
    for (let n = 0; n < 1 + (round % 4); n++) {
      submitted++
      void t.queue.submit('control', t.takes(1 + (round % 3)))
    }
    await t.clock.advance(2)
  }
  await t.clock.advance(60_000)
  expect(await t.clock.expectSettled(Promise.all(runs))).toEqual(Array.from({ length: 200 }, (_, n) => n))
  expect([counts.size, Math.max(...counts.values())]).toEqual([1000, 1])
  expect(t.recorder.of('queue.command.preempted').length).toBeGreaterThan(300)
  expect(t.recorder.of('queue.command.preempted')).toHaveLength(t.recorder.of('queue.command.resumed').length)
  expect(t.recorder.of('queue.command.completed')).toHaveLength(200 + submitted)
})

test('a gate that nobody opens keeps no timer once its lane is cleared', async () => {
  const never = gate()
  await using t = await setup({ work: { maxConcurrency: 2, rateLimit: RateLimitConfig.perHour(1) } })
  const running = outcome(t.queue.submit('work', () => never.promise))
  const waiting = outcome(t.queue.submit('work', () => 1))
  await t.clock.settle()
  expect(t.clock.timers).toBe(1)
  t.queue.lane('work').clear()
  expect(await waiting).toBe('COMMAND_CANCELLED')
  await t.clock.settle()
  expect(t.clock.timers).toBe(0)
  never.open()
  await running
})
