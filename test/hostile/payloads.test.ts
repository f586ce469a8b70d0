/** What submitters pass in: payloads, options, ids and whole commands that misbehave when they are looked at. */
import { RetryPolicy } from '@a3s-lab/lane'
import { expect, test } from 'vitest'
import { errorOf, setup } from '../support/setup.js'

const traps: readonly (keyof ProxyHandler<object>)[] = [
  'get',
  'has',
  'ownKeys',
  'getPrototypeOf',
  'getOwnPropertyDescriptor',
  'set',
]
const throwingProxy = (): object =>
  new Proxy(
    {},
    Object.fromEntries(
      traps.map((trap) => [
        trap,
        () => {
          throw new Error(`${trap} trap`)
        },
      ]),
    ),
  )

test('a frozen payload reaches its handler as it is', async () => {
  await using t = await setup()
  t.queue.handle('x', (given) => given)
  const payload = Object.freeze({ deep: Object.freeze([1]) })
  expect(await t.queue.submit('work', { type: 'x', payload })).toBe(payload)
})

test('a payload whose every trap throws is nobody else’s business than its handler’s', async () => {
  await using t = await setup({ work: { retry: RetryPolicy.fixed(1, 0) } }, { deadLetters: true })
  const payload = throwingProxy()
  t.queue.handle('fails', () => Promise.reject(new Error('no')))
  t.queue.handle('ignores', () => 'fine')
  expect(await t.queue.submit('work', { type: 'ignores', payload })).toBe('fine')
  expect((await errorOf(t.queue.submit('work', { type: 'fails', payload }))).message).toBe('no')
  expect((await t.queue.list()).items).toHaveLength(2)
  expect(await t.queue.deadLetters.size()).toBe(1)
})

test('a payload that its submitter changes afterwards is the changed one in process', async () => {
  await using t = await setup()
  t.queue.handle('x', (given: { n: number }) => given.n)
  const payload = { n: 1 }
  const run = t.queue.submit('work', { type: 'x', payload })
  payload.n = 2
  expect(await run).toBe(2)
})

test('a payload that a handler changes is the changed one in the next attempt', async () => {
  await using t = await setup({ work: { retry: RetryPolicy.fixed(1, 0) } })
  t.queue.handle('x', (payload: { n: number }) => {
    if (++payload.n < 3) throw new Error('again')
    return payload.n
  })
  expect(await t.queue.submit('work', { type: 'x', payload: { n: 1 } })).toBe(3)
})

test('a command that its submitter changes afterwards keeps its type', async () => {
  await using t = await setup()
  t.queue.handle('before', () => 'before')
  const command = { type: 'before' }
  const run = t.queue.submit('work', command)
  command.type = 'after'
  expect(await run).toBe('before')
})

const getter = (key: string): object =>
  Object.defineProperty({}, key, {
    enumerable: true,
    get() {
      throw new Error(`${key} cannot be read`)
    },
  })

test.each([
  ['type', getter('type'), 'type cannot be read'],
  ['execute', getter('execute'), 'execute cannot be read'],
  ['payload', Object.assign(getter('payload'), { type: 'x' }), 'payload cannot be read'],
  ['whole self', throwingProxy(), 'getPrototypeOf trap'],
])('a command that does not show its %s is refused', async (_what, command, message) => {
  await using t = await setup()
  const error = await errorOf(t.queue.submit('work', command as never))
  expect(error).toMatchObject({ code: 'PAYLOAD_INVALID', message: `The command could not be read: ${message}` })
  expect((error.cause as Error).message).toBe(message)
  expect(t.queue.stats().totalPending).toBe(0)
})

test('a function whose name cannot be read is refused', async () => {
  await using t = await setup()
  const command = Object.defineProperty(() => 1, 'name', {
    get() {
      throw new Error('nameless')
    },
  })
  expect((await errorOf(t.queue.submit('work', command))).message).toBe('The command could not be read: nameless')
})

test.each([
  ['an id', getter('id')],
  ['a priority', getter('priority')],
  ['a delay', getter('delayMs')],
  ['anything', throwingProxy()],
])('options that do not show %s are refused, and submit does not throw', async (_what, options) => {
  await using t = await setup()
  const run = t.queue.submit('work', () => 1, options)
  expect((await errorOf(run))['code']).toMatch(/_INVALID$/)
  expect(t.queue.stats().totalPending).toBe(0)
  expect(await t.queue.submit('work', () => 'unharmed')).toBe('unharmed')
})

test.each([
  ['no addEventListener', { aborted: false }],
  [
    'an addEventListener that throws',
    {
      aborted: false,
      addEventListener() {
        throw new Error('no listeners')
      },
      removeEventListener() {},
    },
  ],
])('a signal with %s refuses the whole submit: nothing of it stays in the queue', async (_what, signal) => {
  await using t = await setup()
  const run = t.queue.submit('work', t.noting('never'), { signal: signal as unknown as AbortSignal })
  expect((await errorOf(run))['code']).toMatch(/_INVALID$/)
  expect(t.queue.stats().totalPending).toBe(0)
  await t.clock.settle()
  expect(t.notes).toEqual([])
})

test.each([
  ['a symbol', Symbol('lane')],
  ['undefined', undefined],
  ['an object', {}],
  ['an object without a prototype', Object.create(null)],
])('a lane id that is %s is not found, and submit does not throw', async (_what, laneId) => {
  await using t = await setup()
  expect(await errorOf(t.queue.submit(laneId as 'work', () => 1))).toMatchObject({ code: 'LANE_NOT_FOUND' })
})

test('a batch with an item that throws when it is read refuses that item alone', async () => {
  await using t = await setup()
  const [bad, good] = t.queue.submitBatch('work', [[() => 1, getter('id')] as never, (): number => 2], { priority: 1 })
  expect((await errorOf(bad as PromiseLike<unknown>))['code']).toMatch(/_INVALID$/)
  expect(await good).toBe(2)
})

test('a reason of a cancellation whose every trap throws cancels all the same', async () => {
  await using t = await setup()
  const run = t.queue.submit('work', () => 1)
  const child = t.queue.submit('work', t.takes(10), { delayMs: 5 })
  expect(run.cancel(throwingProxy())).toBe(true)
  expect(child.cancel(getter('message'))).toBe(true)
  expect((await errorOf(run))['code']).toBe('COMMAND_CANCELLED')
  expect((await errorOf(child))['code']).toBe('COMMAND_CANCELLED')
})

test('names that every object knows are names like any other', async () => {
  await using t = await setup(
    JSON.parse('{"__proto__": {}, "constructor": {}, "toString": {}}') as Record<string, object>,
    { maxConcurrency: 5 },
  )
  t.queue.handle('__proto__', () => 'type')
  for (const name of ['__proto__', 'constructor', 'toString']) {
    expect(await t.queue.submit(name, { type: '__proto__' }, { id: name })).toBe('type')
    expect(await t.queue.get(name)).toMatchObject({ id: name, laneId: name })
  }
  const { lanes } = t.queue.stats()
  expect(Object.keys(lanes)).toEqual(['__proto__', 'constructor', 'toString'])
  expect(await errorOf(t.queue.submit('hasOwnProperty', () => 1))).toMatchObject({ code: 'LANE_NOT_FOUND' })
  expect(await errorOf(t.queue.submit('constructor', { type: 'valueOf' }))).toMatchObject({ code: 'HANDLER_NOT_FOUND' })
})
