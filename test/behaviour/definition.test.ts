import { defineCommand, discard, RetryPolicy, snooze } from '@a3s-lab/lane'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { errorOf, gate, setup, thrownBy } from '../support/setup.js'

const resize = defineCommand({
  type: 'resize',
  payload: z.object({ path: z.string(), width: z.number().positive().default(100) }),
  result: z.object({ bytes: z.number() }),
})

test('a definition makes commands and names their handler', async () => {
  await using t = await setup()
  t.queue.handle(resize, ({ path, width }, ctx) => ({ bytes: path.length * width * ctx.attempt }))
  const run = t.queue.submit('work', resize({ path: 'abc' }))
  expect(run.commandType).toBe('resize')
  expect(await run).toEqual({ bytes: 300 })
  expect(resize.type).toBe('resize')
})

test('a payload that does not fit is refused with each issue and its place', async () => {
  await using t = await setup()
  const run = t.queue.submit('work', resize({ path: 7, width: -1 } as never))
  const error = await errorOf(run)
  expect(error).toMatchObject({
    code: 'PAYLOAD_INVALID',
    message:
      'The payload of resize is not valid: path: Invalid input: expected string, received number; width: Too small: expected number to be >0',
    issues: [{ path: 'path' }, { path: 'width' }],
  })
  expect(run.state).toBe('failed')
  expect(t.recorder.keys()).toEqual(['queue.command.rejected'])
})

test('an issue without a place stands alone, and a place may be made of steps', async () => {
  await using t = await setup()
  const whole = defineCommand({ type: 'whole', payload: z.string() })
  expect((await errorOf(t.queue.submit('work', whole(7 as never)))).message).toBe(
    'The payload of whole is not valid: Invalid input: expected string, received number',
  )
  const steps = {
    '~standard': {
      version: 1 as const,
      vendor: 'mine',
      validate: () => ({ issues: [{ message: 'wrong', path: ['a', { key: 0 }, { key: 'b' }] }] }),
    },
  }
  const placeless = defineCommand({
    type: 'placeless',
    payload: {
      '~standard': { version: 1 as const, vendor: 'mine', validate: () => ({ issues: [{ message: 'no' }] }) },
    },
  })
  expect((await errorOf(t.queue.submit('work', placeless({})))).message).toBe(
    'The payload of placeless is not valid: no',
  )
  const nested = defineCommand({ type: 'nested', payload: steps })
  expect((await errorOf(t.queue.submit('work', nested({} as never)))).message).toBe(
    'The payload of nested is not valid: a.0.b: wrong',
  )
})

test('payloads are checked for a handler that was registered with a definition, whoever submits', async () => {
  await using t = await setup()
  t.queue.handle(resize, ({ width }) => ({ bytes: width }))
  expect(await t.queue.submit('work', { type: 'resize', payload: { path: 'x' } })).toEqual({ bytes: 100 })
  expect((await errorOf(t.queue.submit('work', { type: 'resize', payload: {} })))['code']).toBe('PAYLOAD_INVALID')
  t.queue.handle('resize', (payload) => payload)
  expect(await t.queue.submit('work', { type: 'resize', payload: {} })).toEqual({})
})

test('a result that does not fit is a failed attempt', async () => {
  await using t = await setup({ work: { retry: RetryPolicy.fixed(1, 10) } })
  t.queue.handle(resize, (_payload, { attempt }) => (attempt === 1 ? ({ bytes: 'many' } as never) : { bytes: 1 }))
  const run = t.queue.submit('work', resize({ path: 'x' }))
  await t.clock.advance(10)
  expect(await run).toEqual({ bytes: 1 })
  t.queue.handle(resize, () => ({}) as never)
  const bad = errorOf(t.queue.submit('work', resize({ path: 'x' })))
  await t.clock.advance(10)
  expect(await bad).toMatchObject({
    code: 'COMMAND_FAILED',
    message: 'The result of resize is not valid: bytes: Invalid input: expected number, received undefined',
  })
})

test('outcomes are not results: they pass the check', async () => {
  await using t = await setup()
  t.queue.handle(resize, (_payload, { attempt }) => (attempt === 1 ? snooze(5) : discard('enough')))
  const error = errorOf(t.queue.submit('work', resize({ path: 'x' })))
  await t.clock.advance(5)
  expect((await error).message).toBe('Command cancelled: enough')
})

test('defaults hold for every command of a definition, and options of the submit go before them', async () => {
  await using t = await setup({ work: {} }, { start: false })
  const urgent = defineCommand<number>({ type: 'urgent', defaults: { priority: 3, metadata: 'default' } })
  const [a, b] = [t.queue.submit('work', urgent(1)), t.queue.submit('work', urgent(2), { priority: 9 })]
  expect(await t.queue.get(a.id)).toMatchObject({ priority: 3, metadata: 'default', payload: 1 })
  expect(await t.queue.get(b.id)).toMatchObject({ priority: 9, metadata: 'default', payload: 2 })
})

test('a definition without schemas and defaults is a type and a payload', async () => {
  await using t = await setup()
  const plain = defineCommand<{ a: number }, number>({ type: 'plain' })
  t.queue.handle(plain, ({ a }) => a)
  expect(await t.queue.submit('work', plain({ a: 5 }))).toBe(5)
  expect(await t.queue.submit('work', plain({ a: 6 }), { priority: 1 })).toBe(6)
})

test('a schema that takes its time accepts its command when it has answered', async () => {
  await using t = await setup()
  const checked = gate<boolean>()
  const slow = defineCommand({ type: 'slow', payload: z.number().refine(() => checked.promise, 'too small') })
  t.queue.handle(slow, (payload) => payload * 2)
  const run = t.queue.submit('work', slow(4))
  let isAccepted = false
  const accepted = run.accepted.then(() => {
    isAccepted = true
  })
  await t.clock.settle()
  expect([isAccepted, run.state, t.recorder.keys()]).toEqual([false, 'pending', []])
  checked.open(true)
  await accepted
  expect(await run).toBe(8)
  expect(t.recorder.keys(run.id)).toEqual([
    'queue.command.submitted',
    'queue.command.started',
    'queue.command.completed',
  ])
})

test('a schema that takes its time refuses its command when it has answered', async () => {
  await using t = await setup()
  const slow = defineCommand({ type: 'slow', payload: z.number().refine(async () => false, 'too small') })
  const run = t.queue.submit('work', slow(4))
  expect(await errorOf(run)).toMatchObject({
    code: 'PAYLOAD_INVALID',
    message: 'The payload of slow is not valid: too small',
  })
  expect((await errorOf(run.accepted)).message).toBe('The payload of slow is not valid: too small')
  expect(run.state).toBe('failed')
  expect(t.recorder.keys()).toEqual(['queue.command.rejected'])
  await t.clock.expectSettled(t.queue.drain(10))
})

test('options hold for a command whose schema takes its time', async () => {
  await using t = await setup()
  const slow = defineCommand({ type: 'slow', payload: z.number().refine(async () => true) })
  t.queue.handle(slow, (payload) => payload)
  const run = t.queue.submit('work', slow(4), { id: 'mine', delayMs: 50 })
  await run.accepted
  expect([run.id, run.state]).toEqual(['mine', 'delayed'])
  await t.clock.advance(50)
  expect(await run).toBe(4)
})

test('a submit is cancelled while its payload is being checked', async () => {
  await using t = await setup()
  const checked = gate<boolean>()
  const slow = defineCommand({ type: 'slow', payload: z.number().refine(() => checked.promise) })
  t.queue.handle(slow, t.noting('never') as never)
  const run = t.queue.submit('work', slow(4))
  const error = errorOf(run)
  expect([run.cancel('first'), run.cancel('second')]).toEqual([true, false])
  checked.open(true)
  expect((await error).message).toBe('Command cancelled: first')
  expect(run.state).toBe('cancelled')
  expect(t.notes).toEqual([])
})

test('a child whose schema takes its time is waited for like any other', async () => {
  await using t = await setup({ work: { maxConcurrency: 1 } })
  const slow = defineCommand({ type: 'slow', payload: z.number().refine(async () => true) })
  t.queue.handle(slow, (payload) => payload)
  expect(await t.queue.submit('work', (ctx) => ctx.run('work', slow(3) as never))).toBe(3)
})

test.each([
  ['no object', 7, 'defineCommand must be an object, got 7'],
  ['no type', {}, 'defineCommand type must be a string that is not empty, got undefined'],
  ['an unknown option', { type: 'x', schema: 1 }, "defineCommand has no option 'schema'"],
])('a definition with %s is refused', (_what, options, message) => {
  expect(thrownBy(() => defineCommand(options as never))).toMatchObject({
    code: 'CONFIG_INVALID',
    message: `Configuration error: ${message}`,
  })
})

test('a definition that was not called with a payload is no command', async () => {
  await using t = await setup()
  expect(await errorOf(t.queue.submit('work', resize as never))).toMatchObject({
    code: 'PAYLOAD_INVALID',
    message: "The definition of 'resize' is no command: call it with a payload first",
  })
})
