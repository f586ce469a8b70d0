/** What handlers throw. Whatever it is: one failed attempt, an error that can be read, the slot back. */
import { RetryPolicy } from '@a3s-lab/lane'
import { expect, test } from 'vitest'
import { errorOf, setup } from '../support/setup.js'

const withGetter = (key: string): Error =>
  Object.defineProperty(new Error('x'), key, {
    get() {
      throw new Error(`${key} cannot be read`)
    },
  })

const selfCaused = new Error('my own cause')
selfCaused.cause = selfCaused

const allTrapsThrow = new Proxy(
  {},
  Object.fromEntries(
    Object.getOwnPropertyNames(Reflect).map((trap) => [
      trap,
      () => {
        throw new Error(`${trap} trap`)
      },
    ]),
  ),
)

const cases: readonly (readonly [string, unknown, string])[] = [
  ['undefined', undefined, 'undefined'],
  ['null', null, 'null'],
  ['a text', 'plain text', 'plain text'],
  ['an empty text', '', ''],
  ['a number', 42, '42'],
  ['a BigInt', 42n, '42'],
  ['a symbol', Symbol('sad'), 'Symbol(sad)'],
  ['a function', Math.max, String(Math.max)],
  ['a frozen error', Object.freeze(new Error('frozen')), 'frozen'],
  ['a frozen object', Object.freeze({ message: 'frozen object' }), 'frozen object'],
  ['an object without a message', { code: 7 }, '[object Object]'],
  ['an object whose message is no text', { message: 7 }, '[object Object]'],
  ['an object without a prototype', Object.create(null), 'an error that cannot be shown'],
  ['an error whose message throws', withGetter('message'), 'an error that cannot be shown'],
  ['an error whose stack throws', withGetter('stack'), 'x'],
  ['an error whose name throws', withGetter('name'), 'x'],
  ['an error whose cause throws', withGetter('cause'), 'x'],
  [
    'an error whose toString throws',
    {
      toString() {
        throw new Error('no text')
      },
    },
    'an error that cannot be shown',
  ],
  ['an error that is its own cause', selfCaused, 'my own cause'],
  ['an aggregate', new AggregateError([new Error('a')], 'several'), 'several'],
  ['a proxy whose every trap throws', allTrapsThrow, 'an error that cannot be shown'],
  ['a promise', Promise.resolve(1), '[object Promise]'],
]

test.each(cases)('a handler that throws %s fails its command and gives its slot back', async (_what, thrown, text) => {
  await using t = await setup({ work: { maxConcurrency: 1 } }, { deadLetters: true })
  const run = t.queue.submit('work', () => {
    throw thrown
  })
  const error = await errorOf(run)
  expect(error['code']).toBe('COMMAND_FAILED')
  expect(error.message).toBe(text)
  expect(error.cause === thrown).toBe(true)
  expect(run.state).toBe('failed')
  expect(t.events(run.id).at(-1)).toEqual([
    'queue.command.failed',
    { lane_id: 'work', command_id: run.id, error: text },
  ])
  const [letter] = await t.queue.deadLetters.list()
  expect(JSON.parse(JSON.stringify(letter))).toMatchObject({ error: text, attempts: 1 })
  expect(await t.queue.submit('work', () => 'slot is back')).toBe('slot is back')
})

test.each(cases)(
  'a handler that rejects with %s fails its command and gives its slot back',
  async (_what, thrown, text) => {
    await using t = await setup({ work: { maxConcurrency: 1 } })
    const run = t.queue.submit('work', () => Promise.reject(thrown), { retry: RetryPolicy.fixed(1, 10) })
    const failed = errorOf(run)
    await t.clock.advance(10)
    const error = await failed
    expect(error.message).toBe(text)
    expect(error.cause === thrown).toBe(true)
    expect(await t.queue.get(run.id)).toMatchObject({ state: 'failed', attempt: 2 })
    expect(await t.queue.submit('work', () => 'slot is back')).toBe('slot is back')
  },
)

test('a promise that throws after it has settled changes nothing', async () => {
  await using t = await setup()
  const run = t.queue.submit(
    'work',
    () =>
      new Promise((resolve, reject) => {
        resolve('first')
        reject(new Error('second'))
        throw new Error('third')
      }),
  )
  expect(await run).toBe('first')
  expect(t.recorder.keys(run.id).at(-1)).toBe('queue.command.completed')
})

test('failures that nobody awaits raise nothing', async () => {
  await using t = await setup({ work: { timeoutMs: 10 } }, { deadLetters: true })
  void t.queue.submit('work', () => Promise.reject(new Error('nobody looks')))
  void t.queue.submit('work', () => new Promise(() => {}))
  t.queue.submit('work', t.takes(5)).cancel()
  void t.queue.submit('nowhere' as 'work', () => 1)
  void t.queue.submit('work', () => 1, { timeoutMs: -1 })
  void t.queue.deadLetters.redrive('nobody')
  await t.clock.advance(20)
  expect(t.queue.stats()).toMatchObject({ totalActive: 0, totalPending: 0 })
})
