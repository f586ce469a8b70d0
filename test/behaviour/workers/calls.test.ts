/** What a body on a thread does through its context. */
import { RetryPolicy } from '@a3s-lab/lane'
import { beforeAll, expect, test } from 'vitest'
import { BUILD_MS, build } from '../../examples/built.js'
import { errorOf } from '../../support/setup.js'
import { flag, LIMIT_MS, onThreads, until } from './on-threads.js'

const options = { timeout: LIMIT_MS }

// No thread loads TypeScript: threads run what is built.
beforeAll(build, BUILD_MS)
const retry = RetryPolicy.fixed(1, 1)

test('progress is read by run.progress(), in order', options, async () => {
  await using t = await onThreads()
  const run = t.do('reports', { values: [1, 'two', { three: 3 }, null] })
  const read: unknown[] = []
  for await (const value of run.progress()) read.push(value)
  expect(read).toEqual([1, 'two', { three: 3 }, null])
  expect(await run).toBe('reported')
})

test('log lines stand in the record of the command, also those that are no text', options, async () => {
  await using t = await onThreads()
  const run = t.do('reports', { lines: ['one', 2, undefined] })
  await run
  expect((await t.queue.get(run.id))?.logs?.map(({ line, attempt }) => [line, attempt])).toEqual([
    ['one', 1],
    ['2', 1],
    ['undefined', 1],
  ])
})

test('many reports just before the end are all there when the run is settled', options, async () => {
  await using t = await onThreads()
  const lines = Array.from({ length: 500 }, (_, n) => String(n))
  const run = t.do('reports', { lines })
  await run
  expect((await t.queue.get(run.id))?.logs?.map(({ line }) => line)).toEqual(lines)
})

test('a checkpoint that nobody awaited is there for the next attempt', options, async () => {
  await using t = await onThreads()
  expect(await t.do('savesAndFails', { states: [1, 2, { last: true }] }, { retry })).toEqual({ last: true })
})

test('restored is a new copy each time', options, async () => {
  await using t = await onThreads()
  expect(await t.do('changesRestored', {}, { retry })).toEqual({ n: 1 })
})

test.each([
  ['BigInt', 1n],
  ['Map', new Map()],
  ['NaN', { deep: Number.NaN }],
])('a checkpoint that is no JSON is refused as it is in process: %s', options, async (_what, state) => {
  await using t = await onThreads()
  expect((await errorOf(t.do('saves', { state }))).cause).toMatchObject({ code: 'PAYLOAD_INVALID' })
  expect(await t.do('saves', { state: { fine: 1 } })).toBe('saved')
})

test('a cost is settled, and one that is none fails the attempt', options, async () => {
  await using t = await onThreads()
  expect(await t.do('charges', { cost: 3 })).toBe('charged')
  expect((await errorOf(t.do('charges', { cost: -1 }))).cause).toMatchObject({ code: 'CONFIG_INVALID' })
})

test('progress of what cannot be cloned is an error where it is reported', options, async () => {
  await using t = await onThreads()
  const { cause } = await errorOf(t.do('progressOfFunction'))
  expect(cause).toMatchObject({ code: 'PAYLOAD_INVALID' })
})

test('a body that yields lets another one go first, on however few threads', options, async () => {
  await using t = await onThreads({
    threads: 1,
    lanes: { good: {}, work: { maxConcurrency: 1 } },
    queue: { maxConcurrency: 1 },
  })
  const { go, raise } = flag()
  const ends: string[] = []
  const { run: first } = await t.started('untilTold', { go })
  const yields = t.do('yields').then(() => ends.push('yields'))
  raise()
  await first
  const good = t.do('thread', {}, { lane: 'good' }).then(() => ends.push('good'))
  await Promise.all([yields, good])
  expect(ends).toContain('yields')
  expect(ends).toContain('good')
})

test('a body that yields goes on when nobody waits', options, async () => {
  await using t = await onThreads({ threads: 1 })
  expect(await t.do('yields')).toBeGreaterThan(0)
})

test('a parent that runs a child on its own only thread does not wait for itself', options, async () => {
  await using t = await onThreads({ threads: 1, lanes: { work: { maxConcurrency: 1 } } })
  const child = { type: 'does', payload: { does: 'echo', value: 'child' } }
  expect(await t.do('runs', { command: child })).toEqual(['parent got', 'child'])
  const grandchild = { type: 'does', payload: { does: 'runs', command: child } }
  expect(await t.do('runs', { command: grandchild })).toEqual(['parent got', ['parent got', 'child']])
  await until('the spare threads to end', () => t.pool.stats().alive === 1)
})

test('the error of a child reaches its parent in the thread', options, async () => {
  await using t = await onThreads({ threads: 1 })
  const child = { type: 'does', payload: { does: 'throws', what: 'type' } }
  const { cause } = await errorOf(t.do('runs', { command: child }))
  expect(cause).toBeInstanceOf(TypeError)
  expect(cause).toMatchObject({ message: 'wrong type' })
})

test('a child that is a function is refused: it cannot leave its thread', options, async () => {
  await using t = await onThreads({ threads: 1 })
  expect((await errorOf(t.do('runsFunction'))).cause).toMatchObject({ code: 'PAYLOAD_INVALID' })
})

test('the result of a child that cannot be sent back is an error there', options, async () => {
  await using t = await onThreads({ threads: 1 })
  t.queue.handle('function', () => () => 1)
  const { cause } = await errorOf(t.do('runs', { command: { type: 'function' } }))
  expect((cause as Error).message).toContain('could not be cloned')
})

test('a context does nothing after its attempt has ended', options, async () => {
  await using t = await onThreads({ threads: 1 })
  const run = t.do('keepsContext')
  expect(await run).toBe('ended')
  const { go, raise } = flag()
  const { run: next } = await t.started('untilTold', { go })
  raise()
  await next
  expect((await t.queue.get(run.id))?.logs).toBeUndefined()
  expect((await t.queue.get(next.id))?.logs).toBeUndefined()
})
