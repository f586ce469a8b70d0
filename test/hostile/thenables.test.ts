/** What looks like a promise and is none. One outcome, the first one, and the slot back. */
import { expect, test } from 'vitest'
import { errorOf, setup } from '../support/setup.js'

type Then = (resolve: (value: unknown) => void, reject: (error: unknown) => void) => void

const withThen = (then: unknown): object => ({ then })
const thenable = (then: Then): object => withThen(then)

test.each<[string, () => unknown, unknown]>([
  ['settles at once', () => thenable((resolve) => resolve('at once')), 'at once'],
  [
    'settles twice',
    () =>
      thenable((resolve, reject) => {
        resolve('first')
        resolve('second')
        reject(new Error('third'))
      }),
    'first',
  ],
  [
    'throws after it has settled',
    () =>
      thenable((resolve) => {
        resolve('settled')
        throw new Error('then threw')
      }),
    'settled',
  ],
  ['settles with another thenable', () => thenable((resolve) => resolve(thenable((inner) => inner('inner')))), 'inner'],
  [
    'is a function',
    () =>
      Object.assign(
        () => {},
        thenable((resolve) => resolve('called')),
      ),
    'called',
  ],
  [
    'is a promise of another class',
    () => new (class Mine extends Promise<string> {})((resolve) => resolve('mine')),
    'mine',
  ],
  [
    'is a promise whose then was replaced',
    () =>
      Object.assign(
        Promise.resolve('genuine'),
        withThen(() => 'replaced'),
      ),
    'genuine',
  ],
  ['has a then that is no function', () => withThen('text'), withThen('text')],
])('a thenable that %s gives its first value', async (_what, body, value) => {
  await using t = await setup({ work: { maxConcurrency: 1 } })
  const run = t.queue.submit('work', body)
  expect(await run).toEqual(value)
  expect(run.state).toBe('completed')
  expect(await t.queue.submit('work', () => 'slot is back')).toBe('slot is back')
  expect(t.recorder.keys(run.id)).toEqual([
    'queue.command.submitted',
    'queue.command.started',
    'queue.command.completed',
  ])
})

const selfResolving = (): unknown => {
  const self: { then: Then } = {
    // biome-ignore lint/suspicious/noThenProperty: thenables are the subject
    then: (resolve) => resolve(promise),
  }
  const promise: Promise<unknown> = new Promise((resolve) => queueMicrotask(() => resolve(promise)))
  return self
}

test.each<[string, () => unknown, string]>([
  [
    'throws synchronously',
    () =>
      thenable(() => {
        throw new Error('then threw')
      }),
    'then threw',
  ],
  [
    'has a then getter that throws',
    () =>
      Object.defineProperty({}, 'then', {
        get() {
          throw new Error('no then for you')
        },
      }),
    'no then for you',
  ],
  [
    'has a then getter that throws the second time',
    () => {
      let reads = 0
      return Object.defineProperty({}, 'then', {
        get() {
          if (++reads > 1) throw new Error('once only')
          return () => {}
        },
      })
    },
    'once only',
  ],
  ['resolves with itself', selfResolving, 'Chaining cycle detected for promise #<Promise>'],
  [
    'only looks like a promise',
    () => Object.create(Promise.prototype) as unknown,
    'Method Promise.prototype.then called on incompatible receiver #<Promise>',
  ],
  ['rejects', () => thenable((_resolve, reject) => reject(new Error('rejected'))), 'rejected'],
  [
    'has a constructor that throws',
    () =>
      Object.defineProperty(Promise.resolve(1), 'constructor', {
        get() {
          throw new Error('no species')
        },
      }),
    'no species',
  ],
])('a thenable that %s fails its command', async (_what, body, message) => {
  await using t = await setup({ work: { maxConcurrency: 1 } })
  const run = t.queue.submit('work', body)
  expect((await errorOf(run)).message).toBe(message)
  expect(run.state).toBe('failed')
  expect(await t.queue.submit('work', () => 'slot is back')).toBe('slot is back')
})

test('a thenable that never settles is timed out and abandoned', async () => {
  await using t = await setup({ work: { maxConcurrency: 1, timeoutMs: 10, zombieGraceMs: 10 } })
  const run = t.queue.submit('work', () => thenable(() => {}))
  const error = errorOf(run)
  await t.clock.advance(20)
  expect((await error).message).toBe('Command timed out after 10ms')
  expect(await t.queue.submit('work', () => 'slot is back')).toBe('slot is back')
})

test('a value whose then changes between two looks has one outcome, and its slot comes back', async () => {
  await using t = await setup({ work: { maxConcurrency: 1 } })
  let reads = 0
  const shifty = Object.defineProperty({}, 'then', {
    get: () => (++reads === 1 ? undefined : (_resolve: unknown, reject: (error: unknown) => void) => reject('changed')),
  })
  const run = t.queue.submit('work', () => shifty)
  await run.then(
    () => {},
    () => {},
  )
  expect(await t.queue.submit('work', () => 'slot is back')).toBe('slot is back')
  expect(t.recorder.keys(run.id).filter((key) => /completed|failed/.test(key))).toHaveLength(1)
})
