import { defineCommand, JsonCommand } from '@a3s-lab/lane'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { errorOf, gate, setup } from '../support/setup.js'

test('the same id with the same command gives the same run, once', async () => {
  await using t = await setup()
  let executions = 0
  t.queue.handle('x', () => ++executions)
  const first = t.queue.submit('work', { type: 'x', payload: { a: [1, { b: 2 }] } }, { id: 'mine' })
  const second = t.queue.submit('work', { type: 'x', payload: { a: [1, { b: 2 }] } }, { id: 'mine' })
  expect(second).toBe(first)
  expect(await first).toBe(1)
  expect(t.queue.submit('work', { type: 'x', payload: { a: [1, { b: 2 }] } }, { id: 'mine' })).toBe(first)
  expect(executions).toBe(1)
  expect(t.events('mine')).toEqual([
    ['queue.command.submitted', { lane_id: 'work', command_id: 'mine' }],
    ['queue.command.deduplicated', { lane_id: 'work', command_id: 'mine' }],
    ['queue.command.started', { lane_id: 'work', command_id: 'mine', command_type: 'x' }],
    ['queue.command.completed', { lane_id: 'work', command_id: 'mine' }],
    ['queue.command.deduplicated', { lane_id: 'work', command_id: 'mine' }],
  ])
})

test.each<[string, unknown, unknown]>([
  ['another payload', { type: 'x', payload: 1 }, { type: 'x', payload: 2 }],
  ['another type', { type: 'x', payload: 1 }, { type: 'y', payload: 1 }],
  ['more keys', { type: 'x', payload: { a: 1 } }, { type: 'x', payload: { a: 1, b: 2 } }],
  ['other keys', { type: 'x', payload: { a: 1 } }, { type: 'x', payload: { b: 1 } }],
  ['another function', () => 1, () => 1],
  ['a function instead of a payload', { type: 'function', payload: 1 }, () => 1],
  ['an array instead of an object', { type: 'x', payload: {} }, { type: 'x', payload: [] }],
  ['another date', { type: 'x', payload: new Date(0) }, { type: 'x', payload: new Date(0) }],
  ['another JsonCommand', new JsonCommand('x', 1), new JsonCommand('x', 2)],
  ['a JsonCommand without a payload', new JsonCommand('x', undefined), new JsonCommand('x', undefined)],
])('the same id with %s is a conflict', async (_what, first, second) => {
  await using t = await setup({ work: {} }, { start: false })
  const run = t.queue.submit('work', first as never, { id: 'mine' })
  const other = t.queue.submit('work', second as never, { id: 'mine' })
  expect(await errorOf(other)).toMatchObject({
    code: 'CONFLICT',
    message: "The id 'mine' belongs to another command",
    id: 'mine',
  })
  expect(other).not.toBe(run)
  expect(t.queue.stats().totalPending).toBe(1)
})

const body = (): number => 1
const deep = (depth: number): unknown => (depth === 0 ? 'bottom' : { next: deep(depth - 1) })

test.each<[string, () => unknown]>([
  ['a function', () => body],
  ['a JsonCommand', () => new JsonCommand('x', { a: 1 })],
  ['NaN', () => ({ type: 'x', payload: Number.NaN })],
  ['no payload', () => ({ type: 'x' })],
  [
    'an object without a prototype',
    () => ({ type: 'x', payload: Object.assign(Object.create(null) as object, { a: 1 }) }),
  ],
  ['a deep payload', () => ({ type: 'x', payload: deep(90) })],
])('the same id with the same %s is the same command', async (_what, make) => {
  await using t = await setup({ work: {} }, { start: false })
  const run = t.queue.submit('work', make() as never, { id: 'mine' })
  expect(t.queue.submit('work', make() as never, { id: 'mine' })).toBe(run)
})

test('payloads that are too deep to compare count as different', async () => {
  await using t = await setup({ work: {} }, { start: false })
  void t.queue.submit('work', { type: 'x', payload: deep(200) }, { id: 'mine' })
  const again = t.queue.submit('work', { type: 'x', payload: deep(200) }, { id: 'mine' })
  expect(await errorOf(again)).toMatchObject({ code: 'CONFLICT' })
})

test('an id that the queue made gives its run as well', async () => {
  await using t = await setup({ work: {} }, { start: false })
  const first = t.queue.submit('work', { type: 'x', payload: 1 })
  expect(t.queue.submit('work', { type: 'x', payload: 1 }, { id: first.id })).toBe(first)
  expect(t.queue.stats().totalPending).toBe(1)
})

test('a settled command keeps its id for as long as it is kept', async () => {
  await using t = await setup({ work: {} }, { retention: { count: 1 } })
  t.queue.handle('x', () => 1)
  const first = t.queue.submit('work', { type: 'x' }, { id: 'mine' })
  await first
  expect(t.queue.submit('work', { type: 'x' }, { id: 'mine' })).toBe(first)
  await t.queue.submit('work', { type: 'x' })
  const second = t.queue.submit('work', { type: 'x' }, { id: 'mine' })
  expect(second).not.toBe(first)
  expect(await second).toBe(1)
  expect(await t.queue.get('mine')).toMatchObject({ state: 'completed' })
})

test('a failed command gives its failure again', async () => {
  await using t = await setup()
  t.queue.handle('x', () => Promise.reject(new Error('no')))
  const first = t.queue.submit('work', { type: 'x' }, { id: 'mine' })
  await errorOf(first)
  expect((await errorOf(t.queue.submit('work', { type: 'x' }, { id: 'mine' }))).message).toBe('no')
})

test('a refused submit does not take its id', async () => {
  await using t = await setup({ work: { capacity: 1 } }, { start: false })
  void t.queue.submit('work', () => 1)
  await errorOf(t.queue.submit('work', () => 1, { id: 'mine' }))
  t.queue.lane('work').clear()
  expect(t.queue.submit('work', () => 1, { id: 'mine' }).state).toBe('pending')
})

test('the same id gives the same run while its payload is being checked', async () => {
  await using t = await setup()
  const checked = gate<boolean>()
  const slow = defineCommand({ type: 'slow', payload: z.number().refine(() => checked.promise) })
  t.queue.handle(slow, (payload) => payload)
  const run = t.queue.submit('work', slow(1), { id: 'mine' })
  expect(t.queue.submit('work', slow(1), { id: 'mine' })).toBe(run)
  expect(await errorOf(t.queue.submit('work', slow(2), { id: 'mine' }))).toMatchObject({ code: 'CONFLICT' })
  checked.open(true)
  expect(await run).toBe(1)
  expect(t.queue.submit('work', slow(1), { id: 'mine' })).toBe(run)
})

test('a payload that its schema fills in is the same command when it is submitted again', async () => {
  await using t = await setup()
  const filled = defineCommand({ type: 'filled', payload: z.object({ n: z.number().default(1) }) })
  t.queue.handle(filled, ({ n }) => n)
  const run = t.queue.submit('work', filled({}), { id: 'mine' })
  expect(t.queue.submit('work', filled({}), { id: 'mine' })).toBe(run)
  expect(await run).toBe(1)
})
