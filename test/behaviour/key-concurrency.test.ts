import { type CommandContext, type LaneDefinition, RetryPolicy } from '@a3s-lab/lane'
import { describe, expect, test } from 'vitest'
import { sorted, stopping } from '../support/bodies.js'
import { errorOf, gate, type Setup, setup, thrownBy } from '../support/setup.js'

const one = { maxConcurrency: 10, keyConcurrency: 1 } satisfies Partial<LaneDefinition>

/** Submits commands that take 10 ms each; their names begin with their key, '-' is none. */
function submit(t: Setup<'work'>, names: string, ms = 10): void {
  for (const name of names.split(' ')) {
    void t.queue.submit('work', t.noting(name, ms), name.startsWith('-') ? {} : { key: name.slice(0, 1) }).accepted
  }
}

describe.each(['none', 'key'] as const)('with fairness %s', (fairness) => {
  test('no more of one key run at once than its limit', async () => {
    await using t = await setup({ work: { ...one, fairness, keyConcurrency: 2 } })
    submit(t, 'a1 a2 a3 a4 a5 b1')
    await t.clock.settle()
    expect(sorted(t.notes)).toEqual(['a1', 'a2', 'b1'])
    await t.clock.advance(10)
    expect(sorted(t.notes)).toEqual(['a1', 'a2', 'a3', 'a4', 'b1'])
    await t.clock.advance(10)
    expect(t.notes).toHaveLength(6)
  })

  test('a zombie counts until its body ends', async () => {
    await using t = await setup({ work: { ...one, fairness, timeoutMs: 5 } })
    const error = errorOf(t.queue.submit('work', t.takes(20), { key: 'a' }))
    void t.queue.submit('work', t.noting('a2', 1), { key: 'a' })
    void t.queue.submit('work', t.noting('b', 1), { key: 'b' })
    await t.clock.advance(19)
    expect((await error)['code']).toBe('COMMAND_TIMEOUT')
    expect(t.notes).toEqual(['b'])
    await t.clock.advance(1)
    expect(t.notes).toEqual(['b', 'a2'])
    await t.clock.advance(1)
  })

  test('an abandoned body counts no more', async () => {
    await using t = await setup({ work: { ...one, fairness, timeoutMs: 5, zombieGraceMs: 10 } })
    const error = errorOf(t.queue.submit('work', () => new Promise(() => {}), { key: 'a' }))
    submit(t, 'a2', 1)
    await t.clock.advance(14)
    await error
    expect(t.notes).toEqual([])
    await t.clock.advance(1)
    expect(t.notes).toEqual(['a2'])
    await t.clock.advance(1)
  })

  test('a command in back-off holds no place of its key', async () => {
    await using t = await setup({ work: { ...one, fairness, retry: RetryPolicy.fixed(1, 100) } })
    const run = t.queue.submit('work', ({ attempt }) => t.notes.push(`r${attempt}`) && attempt === 1 && fail(), {
      key: 'a',
    })
    submit(t, 'a1')
    await t.clock.advance(5)
    expect(t.notes).toEqual(['r1', 'a1'])
    await t.clock.advance(100)
    await run
    expect(t.notes).toEqual(['r1', 'a1', 'r2'])
  })

  test('commands without a key are not limited', async () => {
    await using t = await setup({ work: { ...one, fairness } })
    submit(t, '-1 -2 -3 -4 a1 a2')
    await t.clock.settle()
    expect(sorted(t.notes)).toEqual(['-1', '-2', '-3', '-4', 'a1'])
    await t.clock.advance(20)
  })

  test('a paused, cancelled and resumed lane keeps count', async () => {
    await using t = await setup({ work: { ...one, fairness } })
    const run = t.queue.submit('work', t.takes(50), { key: 'a' })
    submit(t, 'a1 a2', 1)
    await t.clock.settle()
    t.queue.lane('work').pause()
    run.cancel()
    await errorOf(run)
    t.queue.lane('work').resume()
    await t.clock.advance(49)
    expect(t.notes).toEqual([])
    await t.clock.advance(5)
    expect(t.notes).toEqual(['a1', 'a2'])
  })

  test('a limit that is raised or lowered holds from then on', async () => {
    await using t = await setup({ work: { ...one, fairness } })
    submit(t, 'a1 a2 a3 a4 a5')
    await t.clock.settle()
    expect(t.notes).toEqual(['a1'])
    t.queue.lane('work').configure({ keyConcurrency: 3 })
    await t.clock.settle()
    expect(t.notes).toEqual(['a1', 'a2', 'a3'])
    t.queue.lane('work').configure({ keyConcurrency: 1 })
    await t.clock.advance(10)
    expect(t.notes).toEqual(['a1', 'a2', 'a3', 'a4'])
    await t.clock.advance(5)
    expect(t.notes).toHaveLength(4)
    t.queue.lane('work').configure({ keyConcurrency: undefined })
    await t.clock.settle()
    expect(t.notes).toHaveLength(5)
    await t.clock.advance(10)
  })

  test('a limit that is new counts the bodies that run already, zombies included', async () => {
    await using t = await setup({ work: { maxConcurrency: 10, fairness } })
    const zombie = t.queue.submit('work', t.takes(30), { key: 'a' })
    submit(t, 'b1', 20)
    await t.clock.settle()
    zombie.cancel()
    await errorOf(zombie)
    t.queue.lane('work').configure({ keyConcurrency: 1 })
    submit(t, 'a1 b2 c1', 1)
    await t.clock.settle()
    expect(t.notes).toEqual(['b1', 'c1'])
    await t.clock.advance(20)
    expect(t.notes).toEqual(['b1', 'c1', 'b2'])
    await t.clock.advance(10)
    expect(t.notes).toEqual(['b1', 'c1', 'b2', 'a1'])
    await t.clock.advance(1)
  })
})

function fail(): never {
  throw new Error('once')
}

test('without turns the oldest command whose key has room is next', async () => {
  await using t = await setup({ work: { maxConcurrency: 2, keyConcurrency: 1 } })
  submit(t, 'a1 a2 a3 b1 b2 c1')
  await t.clock.settle()
  expect(t.notes).toEqual(['a1', 'b1'])
  await t.clock.advance(50)
  expect(t.notes).toEqual(['a1', 'b1', 'a2', 'b2', 'a3', 'c1'])
})

test('a better command priority whose key has no room does not hold up the others', async () => {
  await using t = await setup({ work: one })
  submit(t, 'a1')
  await t.clock.settle()
  void t.queue.submit('work', t.noting('a2', 1), { key: 'a', priority: 0 })
  submit(t, 'b1', 1)
  await t.clock.settle()
  expect(t.notes).toEqual(['a1', 'b1'])
  submit(t, 'a3', 1)
  await t.clock.advance(20)
  expect(t.notes).toEqual(['a1', 'b1', 'a2', 'a3'])
})

test('a lifo lane takes the newest command whose key has room', async () => {
  await using t = await setup({ work: { maxConcurrency: 2, keyConcurrency: 1, order: 'lifo' } }, { start: false })
  submit(t, 'b1 a1 a2 a3')
  await t.queue.start()
  await t.clock.settle()
  expect(t.notes).toEqual(['a3', 'b1'])
  await t.clock.advance(100)
  expect(t.notes).toEqual(['a3', 'b1', 'a2', 'a1'])
})

test('a lane all of whose keys are full leaves the slots to others', async () => {
  await using t = await setup(
    { work: { ...one, minConcurrency: 0 }, other: { minConcurrency: 0 } },
    { maxConcurrency: 2 },
  )
  for (const name of ['a1', 'a2', 'a3']) void t.queue.submit('work', t.noting(name, 10), { key: 'a' })
  void t.queue.submit('other', t.noting('other', 10))
  await t.clock.settle()
  expect(t.notes).toEqual(['a1', 'other'])
  await t.clock.advance(100)
})

test('a preempted command gives the place of its key back, and takes it again', async () => {
  await using t = await setup(
    {
      control: { priority: 0, preempts: true, minConcurrency: 0 },
      work: { ...one, priority: 5, preemptible: true, minConcurrency: 0 },
    },
    { maxConcurrency: 2 },
  )
  const first = t.queue.submit('work', stopping(t, 'a1', 50), { key: 'a' })
  void t.queue.submit('work', t.noting('a2', 10), { key: 'a' })
  await t.clock.settle()
  void t.queue.submit('control', t.takes(10))
  void t.queue.submit('control', t.takes(10))
  await t.clock.settle()
  expect([first.state, t.notes]).toEqual(['pending', ['a1']])
  await t.clock.advance(100)
  expect(t.notes).toEqual(['a1', 'a1', 'a2'])
})

test('a preempted command whose key is taken meanwhile waits for it', async () => {
  await using t = await setup(
    {
      control: { priority: 0, preempts: true, minConcurrency: 0 },
      work: { ...one, priority: 5, preemptible: true, minConcurrency: 0, preemptGraceMs: 100_000 },
    },
    { maxConcurrency: 1 },
  )
  void t.queue.submit('work', stopping(t, 'a1', 50), { key: 'a' })
  await t.clock.settle()
  void t.queue.submit('control', t.takes(10))
  await t.clock.settle()
  void t.queue.submit('work', t.noting('a2', 10), { key: 'a' })
  await t.clock.advance(15)
  expect(t.notes).toEqual(['a1', 'a1'])
  await t.clock.advance(100)
  expect(t.notes).toEqual(['a1', 'a1', 'a2'])
})

test('a body that yields gives the place of its key back, and goes on when there is one', async () => {
  await using t = await setup(
    { high: { priority: 0, minConcurrency: 0 }, work: { ...one, priority: 5, minConcurrency: 0 } },
    { maxConcurrency: 1 },
  )
  void t.queue.submit(
    'work',
    async (ctx) => {
      t.notes.push('before')
      await t.sleep(10)
      await ctx.yield()
      t.notes.push('after')
    },
    { key: 'a' },
  )
  await t.clock.advance(5)
  void t.queue.submit('high', t.noting('high', 10))
  void t.queue.submit('work', t.noting('a2', 10), { key: 'a' })
  await t.clock.advance(50)
  expect(t.notes).toEqual(['before', 'high', 'after', 'a2'])
})

describe('children of ctx.run', () => {
  test('of the same key run in the place of their parent', async () => {
    await using t = await setup({ work: one })
    const run = t.queue.submit('work', (ctx) => ctx.run('work', t.takes(10, 'child'), { key: 'a' }), { key: 'a' })
    await t.clock.advance(10)
    expect(await run).toBe('child')
  })

  test('of the same key run one after the other', async () => {
    await using t = await setup({ work: one })
    const run = t.queue.submit(
      'work',
      (ctx) => Promise.all(['x', 'y'].map((name) => ctx.run('work', t.noting(name, 10), { key: 'a' }))),
      { key: 'a' },
    )
    await t.clock.advance(10)
    expect(t.notes).toEqual(['x', 'y'])
    expect(run.state).toBe('active')
    await t.clock.advance(10)
    expect(await run).toEqual(['x', 'y'])
  })

  test('of another key take a place of that key', async () => {
    await using t = await setup({ work: one })
    void t.queue.submit('work', t.noting('b1', 20), { key: 'b' })
    const run = t.queue.submit('work', (ctx) => ctx.run('work', t.noting('child', 10), { key: 'b' }), { key: 'a' })
    await t.clock.advance(19)
    expect(t.notes).toEqual(['b1'])
    await t.clock.advance(11)
    expect(await run).toBe('child')
  })

  test('while they run, nobody else of their parent’s key starts', async () => {
    await using t = await setup({ work: one })
    const run = t.queue.submit('work', (ctx) => ctx.run('work', t.takes(20), { key: 'a' }), { key: 'a' })
    await t.clock.advance(5)
    submit(t, 'a2 c1', 1)
    await t.clock.advance(14)
    expect(t.notes).toEqual(['c1'])
    await t.clock.advance(1)
    await run
    expect(t.notes).toEqual(['c1', 'a2'])
    await t.clock.advance(1)
  })

  test('deep chains of one key do not wait for themselves', async () => {
    await using t = await setup({ work: { ...one, fairness: 'key' } })
    const deep =
      (left: number) =>
      async (ctx: CommandContext): Promise<number> =>
        left === 0 ? 0 : 1 + (await ctx.run<number>('work', deep(left - 1), { key: 'a' }))
    expect(await t.clock.expectSettled(t.queue.submit('work', deep(10), { key: 'a' }))).toBe(10)
    expect(await t.clock.expectSettled(t.queue.submit('work', () => 'next', { key: 'a' }))).toBe('next')
  })

  test('in another lane of the same key count there alone', async () => {
    await using t = await setup({ work: one, other: one })
    const run = t.queue.submit('work', (ctx) => ctx.run('other', t.takes(10, 'child'), { key: 'a' }), { key: 'a' })
    void t.queue.submit('other', t.noting('other a', 1), { key: 'a' })
    await t.clock.advance(5)
    expect(t.notes).toEqual(['other a'])
    await t.clock.advance(20)
    expect(await run).toBe('child')
  })

  test('that outlive their parent keep the place of its key until they end', async () => {
    await using t = await setup({ work: { ...one, maxConcurrency: 1 } })
    const child = gate()
    void t.queue.submit(
      'work',
      (ctx) => {
        void ctx.run('work', () => child.promise, { key: 'a', detached: true })
        return t.sleep(5)
      },
      { key: 'a' },
    )
    await t.clock.advance(5)
    t.queue.lane('work').configure({ maxConcurrency: 5 })
    submit(t, 'a2', 1)
    await t.clock.settle()
    expect(t.notes).toEqual([])
    child.open()
    await t.clock.settle()
    expect(t.notes).toEqual(['a2'])
    await t.clock.advance(1)
  })

  test('that were cancelled with their parent give everything back', async () => {
    await using t = await setup({ work: one })
    const run = t.queue.submit('work', (ctx) => ctx.run('work', stopping(t, 'child', 1000), { key: 'a' }), { key: 'a' })
    const error = errorOf(run)
    await t.clock.settle()
    run.cancel()
    await error
    await t.clock.settle()
    expect(await t.clock.expectSettled(t.queue.submit('work', () => 'next', { key: 'a' }))).toBe('next')
  })
})

test('a limit that makes no sense is refused', async () => {
  await using t = await setup({ work: one })
  for (const bad of [0, -1, 1.5, Number.NaN, '1']) {
    const error = thrownBy(() => t.queue.lane('work').configure({ keyConcurrency: bad as number }))
    expect(error).toMatchObject({ code: 'CONFIG_INVALID', option: "lane 'work'.keyConcurrency" })
  }
  for (const bad of ['', 7, null]) {
    const error = await errorOf(t.queue.submit('work', () => 1, { key: bad as string }))
    expect(error).toMatchObject({ code: 'CONFIG_INVALID', option: 'submit key' })
  }
})
