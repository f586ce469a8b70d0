/** What a lane promises holds for handlers on threads. */
import { availableParallelism } from 'node:os'
import { isLaneError, RetryPolicy } from '@a3s-lab/lane'
import { ThreadPool, threadHandler } from '@a3s-lab/lane/workers'
import { beforeAll, expect, test } from 'vitest'
import { BUILD_MS, build } from '../../examples/built.js'
import { errorOf, thrownBy } from '../../support/setup.js'
import { BODIES, flag, LIMIT_MS, onThreads, until } from './on-threads.js'

const options = { timeout: LIMIT_MS }

// No thread loads TypeScript: threads run what is built.
beforeAll(build, BUILD_MS)

test('a handler runs in another thread and gives its value', options, async () => {
  await using t = await onThreads()
  expect(await t.do('thread')).toBeGreaterThan(0)
  expect(await t.do('returns', { what: 'object' })).toEqual({ deep: [1, { two: new Map([[2, new Date(0)]]) }] })
  expect(await t.do('returns', { what: 'nothing' })).toBeUndefined()
  expect(await t.do('returns', { what: 'thenable' })).toBe('then')
})

test('threadHandler makes its own pool and carries it', options, async () => {
  await using t = await onThreads()
  const handler = threadHandler<object, number>(BODIES, { threads: 1 })
  t.queue.handle('own', handler)
  expect(await t.queue.submit('work', { type: 'own', payload: { does: 'thread' } })).toBeGreaterThan(0)
  expect(handler.pool.stats()).toMatchObject({ threads: 1, alive: 1, completed: 1 })
  await handler.pool.close()
  expect(handler.pool.stats().alive).toBe(0)
})

test('the context has what it has in process', options, async () => {
  await using t = await onThreads()
  const run = t.do('facts', {}, { key: 'ann', id: 'mine' })
  expect(await run).toEqual({
    id: 'mine',
    laneId: 'work',
    commandType: 'does',
    key: 'ann',
    attempt: 1,
    restored: undefined,
    isSame: true,
    more: [],
  })
  expect(await t.do('hasQueue')).toBe(false)
})

test('commands of better lanes start first', options, async () => {
  await using t = await onThreads({ threads: 1, lanes: { good: {}, work: {} }, queue: { maxConcurrency: 1 } })
  const { go, raise } = flag()
  const { run } = await t.started('untilTold', { go })
  const ends: string[] = []
  const runs = ['work', 'work', 'good'].map((lane, index) =>
    t.do('thread', {}, { lane }).then(() => ends.push(`${lane} ${index}`)),
  )
  raise()
  await Promise.all([run, ...runs])
  expect(ends).toEqual(['good 2', 'work 0', 'work 1'])
})

test('a failed attempt is retried by the policy of its lane', options, async () => {
  await using t = await onThreads({ lanes: { work: { retry: RetryPolicy.fixed(1, 1) } } })
  expect(await t.do('throwsOnce')).toBe(2)
})

test('a file is loaded once in each thread', options, async () => {
  await using t = await onThreads({ threads: 1 })
  for (let n = 1; n <= 3; n++) expect(await t.do('counts')).toEqual({ loads: 1, bodies: n })
})

test('no more bodies run than there are threads', options, async () => {
  await using t = await onThreads({ threads: 2 })
  const { go, raise } = flag()
  const runs = Array.from({ length: 5 }, () => t.do('untilTold', { go }))
  await until('two to run', () => t.pool.stats().running === 2)
  expect(t.pool.stats()).toMatchObject({ threads: 2, running: 2, waiting: 3 })
  raise()
  expect(new Set(await Promise.all(runs)).size).toBe(2)
})

test("'auto' is as many threads as the machine runs at once", async () => {
  await using pool = new ThreadPool()
  await using auto = new ThreadPool({ threads: 'auto' })
  const threads = availableParallelism()
  expect([pool.stats().threads, auto.stats().threads]).toEqual([threads, threads])
  expect(pool.stats().alive, 'threads are made when they are needed').toBe(0)
})

test('with hash, commands of one key run on one thread, in order', options, async () => {
  await using t = await onThreads({ threads: 3, partition: 'hash' })
  const keys = ['ann', 'bob', 'cid', 'dan', 'eve', 'fay']
  const ends: string[] = []
  const runs = Array.from({ length: 60 }, (_, n) => {
    const key = keys[n % keys.length] as string
    return t.do<number>('thread', {}, { key }).then((thread) => {
      ends.push(`${key} ${n}`)
      return [key, thread] as const
    })
  })
  const threads = new Map<string, Set<number>>()
  for (const [key, thread] of await Promise.all(runs)) threads.set(key, (threads.get(key) ?? new Set()).add(thread))
  expect([...threads.values()].map((used) => used.size)).toEqual(keys.map(() => 1))
  expect(new Set([...threads.values()].flatMap((used) => [...used])).size).toBeGreaterThan(1)
  for (const key of keys) {
    const order = ends.filter((end) => end.startsWith(key)).map((end) => Number(end.split(' ')[1]))
    expect(order).toEqual([...order].sort((a, b) => a - b))
  }
})

test('with hash, commands without a key go by their type', options, async () => {
  await using t = await onThreads({ threads: 3, partition: 'hash' })
  const threads = await Promise.all(Array.from({ length: 9 }, () => t.do('thread')))
  expect(new Set(threads).size).toBe(1)
})

test('with round-robin, one thread after the other has its turn', options, async () => {
  await using t = await onThreads({ threads: 3, partition: 'round-robin' })
  const threads = await Promise.all(Array.from({ length: 9 }, () => t.do('thread')))
  expect(new Set(threads).size).toBe(3)
  expect(threads.slice(3, 6)).toEqual(threads.slice(0, 3))
  expect(threads.slice(6, 9)).toEqual(threads.slice(0, 3))
})

test('a function or a partitioner chooses the thread', options, async () => {
  const partition = ({ key }: { key?: string | undefined }): number => Number(key)
  await using t = await onThreads({ threads: 2, partition })
  await using async = await onThreads({ threads: 2, partition: { partition: async (command) => partition(command) } })
  for (const queue of [t, async]) {
    const threads = await Promise.all(['0', '1', '0', '1'].map((key) => queue.do('thread', {}, { key })))
    expect(threads).toEqual([threads[0], threads[1], threads[0], threads[1]])
    expect(threads[0]).not.toBe(threads[1])
  }
})

test('a partitioner that throws, or names no thread, fails its attempt and nothing else', options, async () => {
  const partition = ({ key }: { key?: string | undefined }): number => {
    if (key === 'throws') throw new Error('no idea')
    return key === undefined ? 0 : Number(key)
  }
  await using t = await onThreads({ threads: 2, partition: { partition } })
  expect((await errorOf(t.do('thread', {}, { key: 'throws' }))).cause).toMatchObject({ message: 'no idea' })
  expect((await errorOf(t.do('thread', {}, { key: '2' }))).cause).toMatchObject({ message: 'Invalid partition ID: 2' })
  expect((await errorOf(t.do('thread', {}, { key: 'x' }))).cause).toMatchObject({
    message: 'Invalid partition ID: NaN',
  })
  expect(await t.do('thread')).toBeGreaterThan(0)
})

test('a pool is shared between handlers', options, async () => {
  await using t = await onThreads({ threads: 1 })
  t.queue.handle('again', t.pool.handler(BODIES))
  const threads = [await t.do('thread'), await t.queue.submit('work', { type: 'again', payload: { does: 'thread' } })]
  expect(threads[0]).toBe(threads[1])
})

test.each([
  ['a URL', BODIES],
  ['the text of a URL', BODIES.href],
  ['a path', BODIES.pathname],
  ['a path relative to the folder of the process', 'test/behaviour/workers/bodies/does.mjs'],
])('a file may be %s', options, async (_what, file) => {
  await using t = await onThreads({ threads: 1 })
  t.queue.handle('own', t.pool.handler(file))
  expect(await t.queue.submit('work', { type: 'own', payload: { does: 'echo', value: 1 } })).toBe(1)
})

test.each([
  ['a file that is not there', './no/such/file.js', /must be a file that is there, got "\/.*no\/such\/file.js"$/],
  ['a folder', './test', /must be a file that is there/],
  ['a URL of the web', 'https://example.org/a.js', /must be a file that is there/],
  ['a URL object of the web', new URL('https://example.org/a.js'), /must be a 'file:' URL or a path, got "https:/],
  ['nothing', '', /must be a 'file:' URL or a path, got ""/],
  ['a number', 1, /must be a 'file:' URL or a path, got 1/],
])('%s is refused at once', (_what, file, message) => {
  const error = thrownBy(() => threadHandler(file as string))
  expect(error).toMatchObject({ code: 'CONFIG_INVALID' })
  expect(error.message).toMatch(message)
})

test.each([
  ['threads', 0],
  ['threads', 1.5],
  ['threads', 'many'],
  ['partition', 'random'],
  ['partition', null],
  ['killAfterMs', -1],
  ['killAfterMs', Number.NaN],
  ['resourceLimits', 1],
  ['transfer', []],
])('%s cannot be %j', (option, value) => {
  const error = thrownBy(() => new ThreadPool({ [option]: value }))
  expect(isLaneError(error)).toBe(true)
  expect(error).toMatchObject({ code: 'CONFIG_INVALID' })
  expect(error.message).toContain(option)
})

test('options that are not there are refused', () => {
  expect(thrownBy(() => new ThreadPool({ thread: 1 } as object)).message).toContain("has no option 'thread'")
  expect(thrownBy(() => new ThreadPool([] as object))).toMatchObject({ code: 'CONFIG_INVALID' })
})

test('what a payload holds may be moved to the thread', options, async () => {
  const bytes = new Uint8Array(10)
  await using t = await onThreads({
    transfer: (payload) => [(payload as { value: Uint8Array<ArrayBuffer> }).value.buffer],
  })
  expect(await t.do('echo', { value: bytes })).toEqual(new Uint8Array(10))
  expect(bytes.length).toBe(0)
})
