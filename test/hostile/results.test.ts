/** What handlers return. Any value is a result; only what cannot be looked at is a failure. */
import { type CommandRecord, Lane } from '@a3s-lab/lane'
import { expect, test } from 'vitest'
import { errorOf, setup } from '../support/setup.js'

const circular: { self?: unknown } = {}
circular.self = circular

const throwsInJson = {
  toJSON() {
    throw new Error('no JSON')
  },
}

test.each<[string, unknown]>([
  ['undefined', undefined],
  ['null', null],
  ['false', false],
  ['zero', 0],
  ['an empty text', ''],
  ['NaN', Number.NaN],
  ['minus zero', -0],
  ['a BigInt', 10n ** 30n],
  ['a function', Math.max],
  ['a symbol', Symbol('result')],
  ['a circular object', circular],
  ['a date', new Date(0)],
  ['an invalid date', new Date(Number.NaN)],
  ['a map', new Map([[1, 2]])],
  ['an error', new Error('a value, not a failure')],
  ['bytes', new Uint8Array(100 * 1024 * 1024)],
  ['an object whose toJSON throws', throwsInJson],
  ['lone surrogates', '\ud800 and \udfff'],
  ['a key __proto__', JSON.parse('{"__proto__": {"polluted": true}}')],
  ['an object without a prototype', Object.create(null)],
  ['a frozen object', Object.freeze({ a: 1 })],
  ['a look-alike of an outcome', { kind: 'snooze', delayMs: 5 }],
])('a handler may return %s', async (_what, value) => {
  await using t = await setup({ work: { maxConcurrency: 1 } })
  const [now, later] = [t.queue.submit('work', () => value), t.queue.submit('work', async () => value)]
  expect(Object.is(await now, value)).toBe(true)
  expect(Object.is(await later, value)).toBe(true)
  expect(((await t.queue.get(now.id)) as CommandRecord).state).toBe('completed')
  expect(({} as { polluted?: boolean }).polluted).toBeUndefined()
})

const throwing = (...traps: readonly (keyof ProxyHandler<object>)[]): object =>
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

test.each([
  [
    'whose every trap throws',
    throwing('getPrototypeOf', 'get', 'has', 'ownKeys', 'getOwnPropertyDescriptor'),
    'getPrototypeOf trap',
  ],
  ['whose get trap throws', throwing('get'), 'get trap'],
])('a proxy %s is a failed attempt, and the slot comes back', async (_what, proxy, message) => {
  await using t = await setup({ work: { maxConcurrency: 1 } })
  expect((await errorOf(t.queue.submit('work', () => proxy))).message).toBe(message)
  expect((await errorOf(t.queue.submit('work', async () => proxy))).message).toMatch(/trap$/)
  expect(await t.queue.submit('work', () => 'slot is back')).toBe('slot is back')
})

test('a proxy that throws when it is asked whether it is an outcome is a failed attempt', async () => {
  await using t = await setup({ work: { maxConcurrency: 1 } })
  const proxy = new Proxy(
    {},
    {
      get(_target, key) {
        if (typeof key === 'symbol') throw new Error('no symbols')
        return 'not a function'
      },
    },
  )
  expect((await errorOf(t.queue.submit('work', async () => proxy))).message).toBe('no symbols')
  expect((await errorOf(t.queue.submit('work', () => proxy))).message).toBe('no symbols')
  expect(await t.queue.submit('work', () => 'slot is back')).toBe('slot is back')
})

test('what cannot be JSON text is an error of the facade, not of the command', async () => {
  const lane = new Lane()
  lane.start()
  lane.handle('big', () => 1n)
  lane.handle('nothing', () => undefined)
  await expect(lane.submit('query', 'big', '{}')).rejects.toThrow(TypeError)
  expect(await lane.submit('query', 'nothing', '{}')).toBe('null')
  expect(await lane.submit('query', 'big', {})).toBe(1n)
  await lane.queue.close()
})
