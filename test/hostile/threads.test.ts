/** Values that cannot cross to a thread or back, and errors that are none: a clear failure, never a hang. */
import { RetryPolicy } from '@a3s-lab/lane'
import { beforeAll, expect, test } from 'vitest'
import { LIMIT_MS, type OnThreads, onThreads } from '../behaviour/workers/on-threads.js'
import { BUILD_MS, build } from '../examples/built.js'
import { errorOf } from '../support/setup.js'

const options = { timeout: LIMIT_MS }

// No thread loads TypeScript: threads run what is built.
beforeAll(build, BUILD_MS)
const retry = RetryPolicy.fixed(3, 1)

/** The pool is as good as before: the same thread, and nothing left in it. */
async function isUnharmed(t: OnThreads): Promise<boolean> {
  const value = await t.do('echo', { value: 1 })
  const { running, waiting, crashed, killed, alive } = t.pool.stats()
  return value === 1 && running + waiting + crashed + killed === 0 && alive === 1
}

const trap = (thrown: unknown) => ({
  get trap() {
    throw thrown
  },
})

test.each([
  ['a function', () => 1],
  ['a symbol', Symbol('s')],
  ['a promise', Promise.resolve()],
  ['a function deep inside', { deep: [{ call() {} }] }],
  ['a getter that throws', trap(new Error('trap'))],
  ['a getter that throws nothing', trap(undefined)],
  ['a getter that throws null', trap(null)],
  ['a proxy', new Proxy({}, {})],
  ['a WeakMap', new WeakMap()],
])('a payload that cannot be sent fails at once, and is not retried: %s', options, async (_what, value) => {
  await using t = await onThreads({ threads: 1 })
  await t.do('echo', { value: 0 })
  const run = t.do('echo', { value }, { retry })
  const { cause } = await errorOf(run)
  expect(cause).toMatchObject({ name: 'UnrecoverableError' })
  expect((cause as Error).message).toMatch(/^The payload cannot be sent to a thread: /)
  expect((await t.queue.list()).items.find(({ id }) => id === run.id)?.attempt).toBe(1)
  expect(await isUnharmed(t)).toBe(true)
})

test.each(['function', 'symbol', 'withFunction', 'getter'])(
  'a result that cannot be sent fails at once, and is not retried: %s',
  options,
  async (what) => {
    await using t = await onThreads({ threads: 1 })
    const run = t.do('returns', { what }, { retry })
    const { cause } = await errorOf(run)
    expect((await t.queue.get(run.id))?.attempt).toBe(1)
    expect(cause).toMatchObject({ name: 'UnrecoverableError' })
    expect(await isUnharmed(t)).toBe(true)
  },
)

test('a result that cannot even be looked at is a failed attempt, as it is in process', options, async () => {
  await using t = await onThreads({ threads: 1 })
  expect((await errorOf(t.do('returns', { what: 'proxy' }))).cause).toMatchObject({ message: 'trap' })
  expect(await isUnharmed(t)).toBe(true)
})

test('a large result arrives whole', options, async () => {
  await using t = await onThreads({ threads: 1 })
  const bytes = await t.do<Uint8Array>('returns', { what: 'bytes' })
  expect([bytes.length, bytes.every((byte) => byte === 7)]).toEqual([1e6, true])
})

test.each([
  ['function', { message: 'A function was thrown' }],
  ['symbol', { message: 'A symbol was thrown' }],
  ['traps', { message: 'An error that cannot be shown' }],
  ['getters', { message: 'seen' }],
])('whatever a body throws, its attempt fails with the like: %s', options, async (what, cause) => {
  await using t = await onThreads({ threads: 1 })
  const error = await errorOf(t.do('throws', { what }))
  expect(error).toMatchObject({ code: 'COMMAND_FAILED' })
  expect(error.cause).toMatchObject(cause)
  expect(await isUnharmed(t)).toBe(true)
})

test.each([
  ['text', 'just text'],
  ['nothing', undefined],
  ['null', null],
])('what is thrown and no object is the cause as it is: %s', options, async (what, cause) => {
  await using t = await onThreads({ threads: 1 })
  expect((await errorOf(t.do('throws', { what }))).cause).toBe(cause)
  expect(await isUnharmed(t)).toBe(true)
})

test('an outcome that makes no sense is a failed attempt', options, async () => {
  await using t = await onThreads({ threads: 1 })
  expect((await errorOf(t.do('snoozesWrong'))).cause).toMatchObject({ code: 'CONFIG_INVALID' })
  expect(await isUnharmed(t)).toBe(true)
})

test('an error that is its own cause is cut off', options, async () => {
  await using t = await onThreads({ threads: 1 })
  let { cause } = await errorOf(t.do('throws', { what: 'loop' }))
  let depth = 0
  while (cause !== undefined && depth < 100) {
    cause = (cause as Error).cause
    depth++
  }
  expect(depth).toBeLessThan(20)
})
