import type { CommandContext, LaneDefinition } from '@a3s-lab/lane'
import { RetryAfterError, RetryPolicy, snooze } from '@a3s-lab/lane'
import { describe, expect, test } from 'vitest'
import { aborted, napping, stopping } from '../support/bodies.js'
import { errorOf, gate, setup } from '../support/setup.js'

const control = { priority: 0, preempts: true, minConcurrency: 0 } satisfies LaneDefinition
const work = { priority: 5, preemptible: true, minConcurrency: 0 } satisfies LaneDefinition

test('the first attempt restores nothing', async () => {
  await using t = await setup()
  expect(await t.queue.submit('work', (ctx) => [ctx.restored])).toEqual([undefined])
})

test('an attempt does not see what it saves itself', async () => {
  await using t = await setup({ work: { retry: RetryPolicy.fixed(1, 0) } })
  const seen: unknown[] = []
  const run = t.queue.submit('work', async (ctx) => {
    seen.push(ctx.restored)
    await ctx.checkpoint(ctx.attempt)
    if (ctx.attempt === 1) throw new Error('again')
  })
  await run
  expect(seen).toEqual([undefined, 1])
})

test('a preempted command finds its last checkpoint when it goes on', async () => {
  await using t = await setup({ control, work }, { maxConcurrency: 1 })
  const seen: unknown[] = []
  const run = t.queue.submit('work', async (ctx) => {
    seen.push(ctx.restored)
    for (let n = ((ctx.restored as { n: number } | undefined)?.n ?? 0) + 1; n <= 4; n++) {
      await napping(t, 10, ctx.signal)
      await ctx.checkpoint({ n, by: ctx.attempt })
    }
    return 'done'
  })
  await t.clock.advance(25)
  await t.queue.submit('control', () => 1)
  await t.clock.advance(100)
  expect(await run).toBe('done')
  expect(seen).toEqual([undefined, { n: 2, by: 1 }])
})

describe('the next attempt finds the last checkpoint', () => {
  const attempts =
    (end: (ctx: CommandContext) => unknown) =>
    async (ctx: CommandContext): Promise<unknown> => {
      if (ctx.attempt === 2) return ctx.restored
      await ctx.checkpoint('old')
      await ctx.checkpoint({ saved: [1, 2] })
      return end(ctx)
    }

  test('after a failure', async () => {
    await using t = await setup({ work: { retry: RetryPolicy.fixed(1, 10) } })
    const run = t.queue.submit(
      'work',
      attempts(() => Promise.reject(new Error('no'))),
    )
    await t.clock.advance(10)
    expect(await run).toEqual({ saved: [1, 2] })
  })

  test('after a timeout', async () => {
    await using t = await setup({ work: { timeoutMs: 50, retry: RetryPolicy.fixed(1, 10) } })
    const run = t.queue.submit(
      'work',
      attempts(({ signal }) => napping(t, 1000, signal)),
    )
    await t.clock.advance(100)
    expect(await run).toEqual({ saved: [1, 2] })
  })

  test('after a snooze', async () => {
    await using t = await setup()
    const run = t.queue.submit(
      'work',
      attempts(() => snooze(10)),
    )
    await t.clock.advance(10)
    expect(await run).toEqual({ saved: [1, 2] })
  })

  test('after a deferral', async () => {
    await using t = await setup()
    const run = t.queue.submit(
      'work',
      attempts(() => Promise.reject(new RetryAfterError(10))),
    )
    await t.clock.advance(10)
    expect(await run).toEqual({ saved: [1, 2] })
  })
})

test('a checkpoint that nobody awaits counts', async () => {
  await using t = await setup({ work: { retry: RetryPolicy.fixed(1, 0) } })
  const run = t.queue.submit('work', (ctx) => {
    if (ctx.attempt === 2) return ctx.restored
    void ctx.checkpoint('one')
    void ctx.checkpoint('two')
    throw new Error('again')
  })
  expect(await run).toBe('two')
})

test('what is saved is a copy: later changes are not', async () => {
  await using t = await setup({ work: { retry: RetryPolicy.fixed(1, 0) } })
  const run = t.queue.submit('work', async (ctx) => {
    if (ctx.attempt === 2) return ctx.restored
    const state = { list: [1] }
    const saved = ctx.checkpoint(state)
    state.list.push(2)
    await saved
    throw new Error('again')
  })
  expect(await run).toEqual({ list: [1] })
})

test('what is restored is a new copy each time', async () => {
  await using t = await setup({ work: { retry: RetryPolicy.fixed(2, 0) } })
  const run = t.queue.submit('work', async (ctx) => {
    const state = ctx.restored as { list: number[] } | undefined
    state?.list.push(99)
    if (ctx.attempt === 1) await ctx.checkpoint({ list: [1] })
    if (ctx.attempt < 3) throw new Error('again')
    const [one, other] = [ctx.restored, ctx.restored]
    return [one, one !== other]
  })
  expect(await run).toEqual([{ list: [1] }, true])
})

test.each([
  ['null', null],
  ['false', false],
  ['0', 0],
  ['an empty text', ''],
  ['a deep object', { a: [{ b: { c: [null, true, 'x', 1.5] } }] }],
  ['a key __proto__', JSON.parse('{"__proto__": {"a": 1}}') as unknown],
])('%s is a state like any other', async (_which, state) => {
  await using t = await setup({ work: { retry: RetryPolicy.fixed(1, 0) } })
  const run = t.queue.submit('work', async (ctx) => {
    if (ctx.attempt === 2) return { restored: ctx.restored }
    await ctx.checkpoint(state)
    throw new Error('again')
  })
  expect(await run).toStrictEqual({ restored: state })
})

test('what JSON rewrites is restored as JSON has it', async () => {
  await using t = await setup({ work: { retry: RetryPolicy.fixed(1, 0) } })
  const run = t.queue.submit('work', async (ctx) => {
    if (ctx.attempt === 2) return ctx.restored
    await ctx.checkpoint({ at: new Date(0), left: undefined, out: 1 })
    throw new Error('again')
  })
  expect(await run).toStrictEqual({ at: '1970-01-01T00:00:00.000Z', out: 1 })
})

describe('once the signal has aborted, it saves and then rejects with the reason:', () => {
  test('of a preemption', async () => {
    await using t = await setup({ control, work }, { maxConcurrency: 1 })
    const seen: unknown[] = []
    const run = t.queue.submit('work', async (ctx) => {
      if (ctx.restored !== undefined) return ctx.restored
      await t.sleep(10)
      await ctx.checkpoint('saved in answer to it').catch((error: unknown) => {
        seen.push(error === ctx.signal.reason, (error as { code: string }).code)
        throw error
      })
      return 'never comes here'
    })
    await t.clock.advance(5)
    void t.queue.submit('control', () => 'high')
    await t.clock.advance(5)
    expect(await run).toBe('saved in answer to it')
    expect(seen).toEqual([true, 'COMMAND_PREEMPTED'])
  })

  test('of a timeout', async () => {
    await using t = await setup({ work: { timeoutMs: 50, retry: RetryPolicy.fixed(1, 0) } })
    const run = t.queue.submit('work', async (ctx) => {
      if (ctx.attempt === 2) return ctx.restored
      await aborted(ctx)
      await ctx.checkpoint('at the last moment')
      return 'never comes here'
    })
    await t.clock.advance(50)
    expect(await run).toBe('at the last moment')
  })

  test('of a cancellation, after which nobody goes on', async () => {
    await using t = await setup()
    let code: unknown
    const run = t.queue.submit('work', async (ctx) => {
      await aborted(ctx)
      await ctx.checkpoint(1).catch((why: unknown) => {
        code = (why as { code: string }).code
      })
    })
    const error = errorOf(run)
    await t.clock.settle()
    run.cancel()
    await error
    await t.clock.settle()
    expect(code).toBe('COMMAND_CANCELLED')
  })

  test('and is quiet when nobody awaits it', async () => {
    await using t = await setup({ control, work }, { maxConcurrency: 1 })
    const run = t.queue.submit('work', async (ctx) => {
      if (ctx.restored !== undefined) return ctx.restored
      await aborted(ctx)
      void ctx.checkpoint('unawaited')
      throw ctx.signal.reason
    })
    await t.clock.settle()
    await t.queue.submit('control', () => 1)
    expect(await t.clock.expectSettled(run)).toBe('unawaited')
  })
})

test('after the end of the attempt it refuses and saves nothing', async () => {
  await using t = await setup({ work: { retry: RetryPolicy.fixed(1, 10) } })
  const contexts: CommandContext[] = []
  const run = t.queue.submit('work', async (ctx) => {
    contexts.push(ctx)
    if (ctx.attempt === 2) return ctx.restored
    await ctx.checkpoint('in time')
    throw new Error('again')
  })
  await t.clock.advance(5)
  const error = await errorOf((contexts[0] as CommandContext).checkpoint('too late'))
  expect(error).toMatchObject({ code: 'CONFLICT', message: 'The attempt has ended: nothing was saved' })
  await t.clock.advance(5)
  expect(await run).toBe('in time')
})

test('an abandoned body cannot overwrite what a later attempt has saved', async () => {
  await using t = await setup({ work: { timeoutMs: 10, zombieGraceMs: 10, retry: RetryPolicy.fixed(2, 0) } })
  const stale = gate()
  const contexts: CommandContext[] = []
  const run = t.queue.submit('work', async (ctx) => {
    contexts.push(ctx)
    if (ctx.attempt === 3) return ctx.restored
    if (ctx.attempt === 1) return stale.promise
    await ctx.checkpoint('of the second attempt')
    throw new Error('again')
  })
  await t.clock.advance(15)
  await t.clock.advance(5)
  expect((await errorOf((contexts[0] as CommandContext).checkpoint('stale')))['code']).toBe('COMMAND_TIMEOUT')
  expect(await run).toBe('of the second attempt')
  stale.open()
})

test('a value that JSON does not know is refused, and the former state stays', async () => {
  await using t = await setup({ work: { retry: RetryPolicy.fixed(1, 0) } })
  const run = t.queue.submit('work', async (ctx) => {
    if (ctx.attempt === 2) return ctx.restored
    await ctx.checkpoint('good')
    const error = await errorOf(ctx.checkpoint({ n: 1n }))
    t.notes.push(String(error['code']), error.message)
    throw new Error('again')
  })
  expect(await run).toBe('good')
  expect(t.notes).toEqual(['PAYLOAD_INVALID', "A checkpoint must be JSON: its 'n' is a BigInt"])
})

test('a redriven command begins afresh', async () => {
  await using t = await setup(undefined, { deadLetters: true })
  const seen: unknown[] = []
  const run = t.queue.submit('work', async (ctx) => {
    seen.push(ctx.restored)
    await ctx.checkpoint('of the first life')
    throw new Error('no')
  })
  await errorOf(run)
  await errorOf(t.queue.deadLetters.redrive(run.id))
  expect(seen).toEqual([undefined, undefined])
})

test('commands have their checkpoints each for itself', async () => {
  await using t = await setup({ control, work }, { maxConcurrency: 2 })
  const restores = (name: string) => async (ctx: CommandContext) => {
    if (ctx.restored !== undefined) return ctx.restored
    await ctx.checkpoint(name)
    await napping(t, 1000, ctx.signal)
    return 'never restored'
  }
  const runs = ['a', 'b'].map((name) => t.queue.submit('work', restores(name)))
  await t.clock.settle()
  for (let n = 0; n < 2; n++) void t.queue.submit('control', stopping(t, 'high', 10))
  await t.clock.advance(10)
  expect(await Promise.all(runs)).toEqual(['a', 'b'])
})
