import { type CommandContext, RetryPolicy } from '@a3s-lab/lane'
import { expect, test } from 'vitest'
import { errorOf, gate, setup } from '../support/setup.js'

test('a lane of one does not wait for itself: a child runs in the slot of its waiting parent', async () => {
  await using t = await setup({ work: { maxConcurrency: 1 } })
  const run = t.queue.submit('work', async (ctx) => `parent of ${await ctx.run('work', () => 'child')}`)
  expect(await run).toBe('parent of child')
})

test('a child gets its value, error and options like any command', async () => {
  await using t = await setup({ work: { maxConcurrency: 1 } })
  t.queue.handle('double', (payload: number) => payload * 2)
  const run = t.queue.submit('work', async (ctx) => [
    await ctx.run('work', { type: 'double', payload: 4 }),
    (await errorOf(ctx.run('work', () => Promise.reject(new Error('no'))))).message,
    await ctx.run('work', (child) => child.id, { id: 'my-child' }),
  ])
  expect(await run).toEqual([8, 'no', 'my-child'])
  expect(await t.queue.get('my-child')).toMatchObject({ parentId: run.id })
})

test('a refused child rejects and lends nothing', async () => {
  await using t = await setup({ work: { maxConcurrency: 1 } })
  const run = t.queue.submit('work', async (ctx) => {
    const error = await errorOf(ctx.run('nowhere', () => 1))
    return [error.message, await ctx.run('work', () => 'still lent')]
  })
  expect(await run).toEqual(['Lane not found: nowhere', 'still lent'])
})

test('a chain of descendants runs in one slot', async () => {
  await using t = await setup({ work: { maxConcurrency: 1 } })
  const deep =
    (left: number) =>
    async (ctx: CommandContext): Promise<number> =>
      left === 0 ? 0 : 1 + (await ctx.run<number>('work', deep(left - 1)))
  expect(await t.queue.submit('work', deep(20))).toBe(20)
  expect(t.queue.lane('work').status()).toMatchObject({ active: 0, pending: 0, zombies: 0 })
})

test('a chain that goes through another lane and back does not wait for itself', async () => {
  await using t = await setup({ a: { maxConcurrency: 1 }, b: { maxConcurrency: 1 } })
  const run = t.queue.submit('a', async (ctx) =>
    ctx.run('b', async (inner) => inner.run('a', async (innermost) => innermost.run('b', () => 'bottom'))),
  )
  expect(await run).toBe('bottom')
})

test('the same chain ends under a global cap of one', async () => {
  await using t = await setup({ a: { maxConcurrency: 1 }, b: { maxConcurrency: 1 } }, { maxConcurrency: 1 })
  const run = t.queue.submit('a', async (ctx) =>
    ctx.run('b', async (inner) => inner.run('a', async (innermost) => innermost.run('b', () => 'bottom'))),
  )
  expect(await run).toBe('bottom')
  expect(await t.queue.submit('a', () => 'slots are back')).toBe('slots are back')
  expect(await t.queue.submit('b', () => 'slots are back')).toBe('slots are back')
})

test('children awaited together take the slot of their parent one after the other', async () => {
  await using t = await setup({ work: { maxConcurrency: 1 } })
  const run = t.queue.submit('work', (ctx) =>
    Promise.all(['a', 'b', 'c'].map((name) => ctx.run('work', t.noting(name, 10)))),
  )
  await t.clock.advance(29)
  expect(t.notes).toEqual(['a', 'b', 'c'])
  expect(run.state).toBe('active')
  await t.clock.advance(1)
  expect(await run).toEqual(['a', 'b', 'c'])
})

test('children awaited together use the free slots of their lane as well', async () => {
  await using t = await setup({ work: { maxConcurrency: 3 } })
  const run = t.queue.submit('work', (ctx) =>
    Promise.all(['a', 'b', 'c', 'd'].map((name) => ctx.run('work', t.noting(name, 10)))),
  )
  await t.clock.advance(5)
  expect(t.notes).toEqual(['a', 'b', 'c'])
  await t.clock.advance(15)
  expect(await run).toEqual(['a', 'b', 'c', 'd'])
})

test('a command that is not a child gets no lent slot', async () => {
  await using t = await setup({ work: { maxConcurrency: 1 } })
  const child = gate<string>()
  const run = t.queue.submit('work', (ctx) => ctx.run('work', () => child.promise))
  await t.clock.settle()
  const other = t.queue.submit('work', t.noting('other'))
  await t.clock.settle()
  expect(t.notes).toEqual([])
  child.open('child')
  expect(await run).toBe('child')
  expect(await other).toBe('other')
})

test('a child submitted through the queue is awaited without lending, so it waits for a slot of its own', async () => {
  await using t = await setup({ work: { maxConcurrency: 1, timeoutMs: 100 } })
  const run = t.queue.submit('work', async (ctx) => ctx.queue.submit('work', t.noting('child')))
  const error = errorOf(run)
  await t.clock.advance(99)
  expect(t.notes).toEqual([])
  await t.clock.advance(1)
  expect((await error).message).toBe('Command timed out after 100ms')
})

test('a paused lane runs no child either', async () => {
  await using t = await setup({ work: { maxConcurrency: 1 } })
  const run = t.queue.submit('work', async (ctx) => {
    t.queue.lane('work').pause()
    return ctx.run('work', t.noting('child'))
  })
  await t.clock.settle()
  expect(t.notes).toEqual([])
  t.queue.lane('work').resume()
  expect(await run).toBe('child')
})

test('a child that is retried comes back to the slot of its parent', async () => {
  await using t = await setup({ work: { maxConcurrency: 1 } })
  const child = ({ attempt }: CommandContext): string => {
    if (attempt < 3) throw new Error('not yet')
    return `attempt ${attempt}`
  }
  const run = t.queue.submit('work', (ctx) => ctx.run('work', child, { retry: RetryPolicy.fixed(2, 10) }))
  await t.clock.advance(20)
  expect(await run).toBe('attempt 3')
})

test('a child without a handler fails without taking the slot', async () => {
  await using t = await setup({ work: { maxConcurrency: 1 } })
  const run = t.queue.submit('work', async (ctx) => {
    const error = await errorOf(ctx.run('work', { type: 'nobody' }))
    return [error['code'], await ctx.run('work', () => 'next')]
  })
  expect(await run).toEqual(['HANDLER_NOT_FOUND', 'next'])
})

test('a parent whose child times out in its slot goes on when the slot is its own again', async () => {
  await using t = await setup({ work: { maxConcurrency: 1 } })
  const wentOnAt: number[] = []
  const run = t.queue.submit('work', async (ctx) => {
    const error = await errorOf(ctx.run('work', t.takes(300), { timeoutMs: 100 }))
    wentOnAt.push(t.clock.now())
    return error.message
  })
  await t.clock.advance(100)
  expect(t.queue.lane('work').status()).toMatchObject({ active: 1, zombies: 1 })
  expect(wentOnAt).toEqual([])
  await t.clock.advance(200)
  expect(await run).toBe('Command timed out after 100ms')
  expect(wentOnAt).toEqual([300])
})

test('a parent goes on at the latest when the body of its child is abandoned', async () => {
  await using t = await setup({ work: { maxConcurrency: 1, zombieGraceMs: 500 } })
  const run = t.queue.submit('work', (ctx) =>
    errorOf(ctx.run('work', () => new Promise(() => {}), { timeoutMs: 100 })).then(() => t.clock.now()),
  )
  await t.clock.advance(600)
  expect(await run).toBe(600)
  expect(await t.queue.submit('work', () => 'slot is back')).toBe('slot is back')
})

test('a child goes on in the slot as its own when its parent ends first', async () => {
  await using t = await setup({ work: { maxConcurrency: 1 } })
  const child = gate<string>()
  const run = t.queue.submit('work', async (ctx) => {
    const waiting = ctx.run('work', () => child.promise)
    waiting.catch(() => {})
    await t.sleep(10)
    return 'parent'
  })
  await t.clock.advance(10)
  expect(await run).toBe('parent')
  const other = t.queue.submit('work', t.noting('other'))
  await t.clock.settle()
  expect(t.queue.lane('work').status()).toMatchObject({ active: 1, pending: 1 })
  child.open('child')
  expect(await other).toBe('other')
  expect(t.queue.lane('work').status()).toMatchObject({ active: 0, pending: 0 })
})

test('a child in another lane goes on in the global slot as its own when its parent ends first', async () => {
  await using t = await setup({ a: { maxConcurrency: 1 }, b: { maxConcurrency: 1 } }, { maxConcurrency: 1 })
  const child = gate<string>()
  const run = t.queue.submit('a', async (ctx) => {
    ctx.run('b', () => child.promise).catch(() => {})
    await t.sleep(10)
    return 'parent'
  })
  await t.clock.advance(10)
  expect(await run).toBe('parent')
  const others = [t.queue.submit('a', t.noting('a')), t.queue.submit('b', t.noting('b'))]
  await t.clock.settle()
  expect(t.notes).toEqual([])
  child.open('child')
  expect(await Promise.all(others)).toEqual(['a', 'b'])
})

test('a grandchild keeps its place when the child between ends first', async () => {
  await using t = await setup({ a: { maxConcurrency: 1 }, b: { maxConcurrency: 1 } }, { maxConcurrency: 1 })
  const innermost = gate<string>()
  const grandchild = { seen: '' }
  const run = t.queue.submit('a', (ctx) =>
    ctx.run('b', async (inner) => {
      inner
        .run('a', () => innermost.promise)
        .then(
          (value) => {
            grandchild.seen = value
          },
          () => {},
        )
      await t.sleep(10)
      return 'child'
    }),
  )
  await t.clock.advance(10)
  // The child is done, but the grandchild is in its parent's places: the parent goes on when they are its own again.
  expect(run.state).toBe('active')
  const others = [t.queue.submit('a', t.noting('a')), t.queue.submit('b', t.noting('b'))]
  await t.clock.settle()
  expect(t.notes).toEqual([])
  innermost.open('grandchild')
  expect(await run).toBe('child')
  expect(await Promise.all(others)).toEqual(['a', 'b'])
  await t.clock.settle()
  expect(grandchild.seen).toBe('grandchild')
})

test('a grandchild in a third lane keeps its place when the child between ends first', async () => {
  await using t = await setup(
    { a: { maxConcurrency: 1 }, b: { maxConcurrency: 1 }, c: { maxConcurrency: 1 } },
    { maxConcurrency: 1 },
  )
  const innermost = gate<string>()
  const parent = gate<string>()
  const run = t.queue.submit('a', async (ctx) => {
    const child = await ctx.run('b', async (inner) => {
      inner.run('c', () => innermost.promise).catch(() => {})
      await t.sleep(10)
      return 'child'
    })
    return `${child} ${await parent.promise}`
  })
  await t.clock.advance(10)
  expect(t.queue.stats().lanes).toMatchObject({ a: { active: 1 }, b: { active: 0 }, c: { active: 1 } })
  parent.open('parent')
  innermost.open('grandchild')
  expect(await run).toBe('child parent')
  expect(await Promise.all((['a', 'b', 'c'] as const).map((lane) => t.queue.submit(lane, t.noting(lane, 0))))).toEqual([
    'a',
    'b',
    'c',
  ])
})

test('a sibling of the lane between keeps its own place when the child between ends first', async () => {
  await using t = await setup({ a: { maxConcurrency: 1 }, b: { maxConcurrency: 1 } }, { maxConcurrency: 1 })
  const innermost = gate<string>()
  const run = t.queue.submit('a', (ctx) =>
    ctx.run('a', async (inner) => {
      inner.run('b', () => innermost.promise).catch(() => {})
      await t.sleep(10)
      return 'child'
    }),
  )
  await t.clock.advance(10)
  expect(run.state).toBe('active')
  expect(t.queue.lane('b').status().active).toBe(1)
  innermost.open('grandchild')
  expect(await run).toBe('child')
  expect(await Promise.all([t.queue.submit('a', () => 'a'), t.queue.submit('b', () => 'b')])).toEqual(['a', 'b'])
})

test('a child in another lane needs room there', async () => {
  await using t = await setup({ a: { maxConcurrency: 1 }, b: { maxConcurrency: 1 } }, { maxConcurrency: 2 })
  void t.queue.submit('b', t.takes(50))
  const run = t.queue.submit('a', (ctx) => ctx.run('b', t.noting('child')))
  await t.clock.advance(49)
  expect(t.notes).toEqual([])
  await t.clock.advance(1)
  expect(await run).toBe('child')
})

test('a child in another lane counts under the maximum of that lane', async () => {
  await using t = await setup({ a: {}, b: { maxConcurrency: 1 } }, { maxConcurrency: 2 })
  const childOfA = gate<string>()
  const run = t.queue.submit('a', (ctx) => ctx.run('b', () => childOfA.promise))
  void t.queue.submit('a', t.takes(10))
  await t.clock.settle()
  expect(t.queue.lane('b').status().active).toBe(1)
  const other = t.queue.submit('b', t.noting('other'))
  await t.clock.advance(10)
  expect(t.notes).toEqual([])
  expect(t.queue.lane('b').status()).toMatchObject({ active: 1, pending: 1 })
  childOfA.open('child')
  expect(await run).toBe('child')
  expect(await other).toBe('other')
})

test('a lent start leaves no room that is not there: the lane of the child stays within its maximum', async () => {
  await using t = await setup({ a: {}, b: { maxConcurrency: 1 } }, { maxConcurrency: 2 })
  void t.queue.submit('a', t.takes(10))
  const parent = t.queue.submit('a', async (ctx) => {
    // Both wait: the cap is reached. The child can have its parent's slot, the other one cannot.
    const child = ctx.run('b', t.noting('child', 100))
    t.queue.submit('b', t.noting('other', 100)).catch(() => {})
    return child
  })
  for (let ms = 0; ms < 250; ms += 5) {
    expect(t.queue.lane('b').status().active).toBeLessThanOrEqual(1)
    await t.clock.advance(5)
  }
  expect(await parent).toBe('child')
  expect(t.notes).toEqual(['child', 'other'])
})

test('a parent that is cancelled takes its child with it and both slots come back', async () => {
  await using t = await setup({ work: { maxConcurrency: 1 } })
  const child = gate<string>()
  const run = t.queue.submit('work', (ctx) => ctx.run('work', () => child.promise))
  await t.clock.settle()
  const error = errorOf(run)
  run.cancel('enough')
  expect((await error).message).toBe('Command cancelled: enough')
  expect(t.queue.lane('work').status()).toMatchObject({ active: 0, zombies: 2 })
  const next = t.queue.submit('work', t.noting('next'))
  await t.clock.settle()
  expect(t.notes).toEqual([])
  child.open('late')
  expect(await next).toBe('next')
  expect(t.queue.lane('work').status()).toMatchObject({ active: 0, zombies: 0 })
})

test('a parent that times out while its child runs in its slot leaves the slot to the child', async () => {
  await using t = await setup({ work: { maxConcurrency: 1, zombieGraceMs: 50 } })
  const child = gate<string>()
  const run = t.queue.submit('work', (ctx) => ctx.run('work', () => child.promise), { timeoutMs: 100 })
  const error = errorOf(run)
  await t.clock.advance(150)
  expect((await error).message).toBe('Command timed out after 100ms')
  expect(t.queue.lane('work').status()).toMatchObject({ active: 1, zombies: 0, abandoned: 1 })
  const next = t.queue.submit('work', t.noting('next'))
  await t.clock.settle()
  expect(t.notes).toEqual([])
  child.open('child')
  expect(await next).toBe('next')
})

test('a slot is lent only by the attempt that waits: what an earlier attempt left behind lends nothing', async () => {
  await using t = await setup({ work: { maxConcurrency: 1, retry: RetryPolicy.fixed(1, 0) } })
  let bodies = 0
  let most = 0
  const counted = async (ms: number): Promise<void> => {
    most = Math.max(most, ++bodies)
    await t.sleep(ms)
    bodies--
  }
  const run = t.queue.submit('work', async (ctx) => {
    if (ctx.attempt === 1) {
      ctx.run('work', () => counted(10), { retry: RetryPolicy.none(), delayMs: 30 }).catch(() => {})
      throw new Error('without waiting for the child')
    }
    await counted(100)
    return 'second attempt'
  })
  await t.clock.advance(120)
  expect(await run).toBe('second attempt')
  expect(most).toBe(1)
})

test('a child of a parent that has ended is a command like any other', async () => {
  await using t = await setup({ work: { maxConcurrency: 1 } })
  const left = gate<CommandContext>()
  await t.queue.submit('work', (own) => left.open(own))
  const ctx = await left.promise
  expect(await ctx.run('work', () => 'late child')).toBe('late child')
  const run = ctx.queue.submit('work', () => 'late')
  expect(await run).toBe('late')
  expect((await t.queue.get(run.id))?.parentId).toBeUndefined()
})

test('a child that borrows a place in its lane leaves the reserved slots of a protected lane alone', async () => {
  await using t = await setup(
    { control: { protected: true, minConcurrency: 1 }, a: { maxConcurrency: 1 }, b: {} },
    { maxConcurrency: 2 },
  )
  const parent = t.queue.submit('a', (ctx) =>
    Promise.all([ctx.run('b', t.noting('in b', 100)), ctx.run('a', t.noting('in a', 100))]),
  )
  await t.clock.advance(10)
  void t.queue.submit('control', t.noting('control', 1))
  await t.clock.settle()
  expect(t.notes).toContain('control')
  await t.clock.advance(300)
  expect(await parent).toEqual(['in b', 'in a'])
})

test('a child in a lane that does not lend gives its place back to what is held for that lane', async () => {
  await using t = await setup(
    { shared: { minConcurrency: 0 }, own: { minConcurrency: 1, lend: false } },
    { maxConcurrency: 2 },
  )
  const run = t.queue.submit('shared', (ctx) => ctx.run('own', t.noting('child', 10)))
  await t.clock.advance(10)
  expect(await run).toBe('child')
  void t.queue.submit('shared', t.takes(100))
  void t.queue.submit('shared', t.takes(100))
  await t.clock.settle()
  expect(t.queue.lane('shared').status()).toMatchObject({ active: 1, pending: 1 })
})
