/** Errors and outcomes of bodies on threads mean what they mean in process. */
import { isLaneError, RetryPolicy } from '@a3s-lab/lane'
import { beforeAll, expect, test } from 'vitest'
import { BUILD_MS, build } from '../../examples/built.js'
import { errorOf } from '../../support/setup.js'
import { LIMIT_MS, onThreads } from './on-threads.js'

const options = { timeout: LIMIT_MS }

// No thread loads TypeScript: threads run what is built.
beforeAll(build, BUILD_MS)

test('an error crosses whole: name, message, stack, causes and own data', options, async () => {
  await using t = await onThreads({ threads: 1 })
  const { cause } = await errorOf(t.do('throws', { what: 'own' }))
  expect(cause).toBeInstanceOf(Error)
  expect(cause).toMatchObject({ name: 'OutOfPaper', message: 'no paper', tray: 2 })
  const { stack, cause: inner } = cause as Error
  expect(stack).toMatch(/^OutOfPaper: no paper\n +at .*does\.mjs:\d+/)
  expect(inner).toBeInstanceOf(RangeError)
  expect(inner).toMatchObject({ message: 'tray 2 is empty', cause: 'the cat' })
})

test('built-in errors keep their class', options, async () => {
  await using t = await onThreads({ threads: 1 })
  expect((await errorOf(t.do('throws', { what: 'type' }))).cause).toBeInstanceOf(TypeError)
  const both = (await errorOf(t.do('throws', { what: 'aggregate' }))).cause as AggregateError
  expect(both).toBeInstanceOf(AggregateError)
  expect(both.errors).toMatchObject([{ message: 'one' }, 'two'])
})

test('an unrecoverable error is not retried', options, async () => {
  await using t = await onThreads({ threads: 1 })
  const run = t.do('throws', { what: 'final' }, { retry: RetryPolicy.fixed(5, 1) })
  expect((await errorOf(run)).cause).toMatchObject({ name: 'UnrecoverableError', message: 'for good' })
  expect((await t.queue.get(run.id))?.attempt).toBe(1)
})

test('RetryAfterError puts the command off and spends no retry', options, async () => {
  await using t = await onThreads({ threads: 1, lanes: { work: { maxDeferrals: 2 } } })
  const run = t.do('throws', { what: 'later' })
  expect((await errorOf(run)).cause).toMatchObject({ name: 'RetryAfterError', delayMs: 5 })
  expect((await t.queue.get(run.id))?.attempt).toBe(3)
})

test.each(['429', 'plain429', 'response429'])(
  "a provider's answer that says when to come back is recognised: %s",
  options,
  async (what) => {
    await using t = await onThreads({ threads: 1, lanes: { work: { maxDeferrals: 1 } } })
    const run = t.do('throws', { what })
    await errorOf(run)
    expect((await t.queue.get(run.id))?.attempt).toBe(2)
  },
)

test('the TimeoutError of the platform counts as a timeout', options, async () => {
  await using t = await onThreads({ threads: 1 })
  const run = t.do('throws', { what: 'timeout' })
  await errorOf(run)
  expect(run.state).toBe('timed_out')
})

test('snooze and discard are decisions, also from a thread', options, async () => {
  await using t = await onThreads({ threads: 1 })
  expect(await t.do('snoozesOnce')).toBe('awake')
  const error = await errorOf(t.do('discards'))
  expect(isLaneError(error)).toBe(true)
  expect(error).toMatchObject({ code: 'COMMAND_CANCELLED' })
  expect(error.message).toContain('nobody needs it')
})
