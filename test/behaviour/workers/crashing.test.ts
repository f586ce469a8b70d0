/** A thread that ends under its command: one failed attempt, whatever the cause, and nothing else. */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { RetryPolicy } from '@a3s-lab/lane'
import { beforeAll, expect, test } from 'vitest'
import { root } from '../../../scripts/entry-points.mjs'
import { BUILD_MS, build } from '../../examples/built.js'
import { errorOf } from '../../support/setup.js'
import { BODIES, flag, LIMIT_MS, onThreads, until } from './on-threads.js'

const options = { timeout: LIMIT_MS }

// No thread loads TypeScript: threads run what is built.
beforeAll(build, BUILD_MS)

test.each([
  ['an uncaught exception', 'throwsLater', {}, 'thrown later'],
  ['an uncaught exception of nothing', 'throwsLater', { value: 'nothing' }, 'it was ended from outside'],
  ['a rejection that nobody hears', 'rejectsUnheard', {}, 'nobody listens'],
  ['process.exit(0)', 'exits', { code: 0 }, 'worker exited with code: 0'],
  ['process.exit(3)', 'exits', { code: 3 }, 'worker exited with code: 3'],
])('%s fails the attempt with a sentence, and the thread is replaced', options, async (_what, does, more, how) => {
  await using t = await onThreads({ threads: 1 })
  const error = await errorOf(t.do(does, more))
  expect(error).toMatchObject({ code: 'COMMAND_FAILED' })
  expect((error.cause as Error).message).toBe(`The thread that ran ${BODIES.href} ended: ${how}`)
  expect(t.pool.stats()).toMatchObject({ crashed: 1, running: 0 })
  expect(await t.do('counts')).toEqual({ loads: 1, bodies: 1 })
})

test('a thread that runs out of memory fails its attempt, and the thread is replaced', options, async () => {
  await using t = await onThreads({ threads: 1, resourceLimits: { maxOldGenerationSizeMb: 20 } })
  const error = await errorOf(t.do('runsOutOfMemory'))
  expect((error.cause as Error).message).toContain('memory limit')
  expect(await t.do('echo', { value: 1 })).toBe(1)
})

test('a crash is retried by the policy of the lane', options, async () => {
  await using t = await onThreads({ lanes: { work: { retry: RetryPolicy.fixed(1, 1) } } })
  expect(await t.do('exitsOnce', { code: 1 })).toBe('came back')
  expect(t.pool.stats()).toMatchObject({ crashed: 1, completed: 1 })
})

test('all others go on when a thread crashes', options, async () => {
  await using t = await onThreads({ threads: 2 })
  const { go, raise } = flag()
  const { run } = await t.started('untilTold', { go })
  const waiting = Array.from({ length: 20 }, (_, n) =>
    n % 5 === 0 ? errorOf(t.do('exits', { code: 1 })) : t.do('echo', { value: n }),
  )
  const ended = await Promise.all(waiting)
  expect(ended.filter((value) => value instanceof Error).length).toBe(4)
  raise()
  expect(await run).toBeGreaterThan(0)
})

test('what was saved and reported before a crash is not lost', options, async () => {
  await using t = await onThreads({ threads: 1, lanes: { work: { retry: RetryPolicy.fixed(1, 1) } } })
  expect(await t.do('savesAndFails', { states: [1, 2, { n: 3 }] })).toEqual({ n: 3 })
})

test('a file that cannot be loaded fails the attempt with what is wrong with it', options, async () => {
  await using t = await onThreads({ threads: 1 })
  t.queue.handle('broken', t.pool.handler(new URL('./bodies/broken.mjs', import.meta.url)))
  t.queue.handle('empty', t.pool.handler(new URL('./bodies/empty.mjs', import.meta.url)))
  t.queue.handle('common', t.pool.handler(new URL('./bodies/common.cjs', import.meta.url)))
  t.queue.handle('compiled', t.pool.handler(new URL('./bodies/compiled.cjs', import.meta.url)))
  expect((await errorOf(t.queue.submit('work', { type: 'broken' }))).cause).toMatchObject({
    message: 'broken while it was loaded',
  })
  const { cause } = await errorOf(t.queue.submit('work', { type: 'empty' }))
  expect((cause as Error).message).toMatch(/bodies\/empty.mjs has no default export that is a function$/)
  expect(await t.queue.submit('work', { type: 'common', payload: 1 })).toBe('common 1')
  expect(await t.queue.submit('work', { type: 'compiled', payload: 1 })).toBe('compiled 1')
  expect(t.pool.stats()).toMatchObject({ crashed: 0, alive: 1 })
})

test('threads that cannot start fail their attempts and hang nobody', options, async () => {
  await using t = await onThreads({
    threads: 2,
    resourceLimits: { maxOldGenerationSizeMb: 1, maxYoungGenerationSizeMb: 1 },
  })
  const errors = await Promise.all([1, 2, 3].map((value) => errorOf(t.do('echo', { value }))))
  expect(errors.map(({ code }) => code)).toEqual(['COMMAND_FAILED', 'COMMAND_FAILED', 'COMMAND_FAILED'])
  expect(t.pool.stats()).toMatchObject({ running: 0, waiting: 0 })
})

test('after many crashes and kills no thread is left over', { timeout: 60_000 }, async () => {
  await using t = await onThreads({ threads: 2, killAfterMs: 0 })
  const crashes = Array.from({ length: 40 }, () => errorOf(t.do('exits', { code: 1 })))
  await Promise.all(crashes)
  for (let n = 0; n < 10; n++) {
    const pair = await Promise.all([t.started('deaf'), t.started('deaf')])
    for (const { run } of pair) {
      run.cancel()
      await errorOf(run)
    }
  }
  await until('all to be ended', () => t.pool.stats().running === 0)
  expect(t.pool.stats()).toMatchObject({ crashed: 40, killed: 20, running: 0, waiting: 0 })
  expect(t.pool.stats().alive).toBeLessThanOrEqual(2)
  expect(await t.do('echo', { value: 1 })).toBe(1)
})

test('a process whose pool is idle ends by itself', options, async () => {
  const program = `
    import { QueueManager } from '@a3s-lab/lane'
    import { threadHandler } from '@a3s-lab/lane/workers'
    const queue = new QueueManager({ lanes: { work: { priority: 1 } } })
    queue.handle('does', threadHandler(new URL(${JSON.stringify(BODIES.href)}), { threads: 2 }))
    await queue.start()
    const runs = [1, 2, 3].map((value) => queue.submit('work', { type: 'does', payload: { does: 'echo', value: { value } } }))
    console.log(JSON.stringify(await Promise.all(runs)))`
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', program], { cwd: root })
  expect(stdout).toBe('[{"value":1},{"value":2},{"value":3}]\n')
})

test('close lets what it has end and takes no more', options, async () => {
  await using t = await onThreads({ threads: 1 })
  const { go, raise } = flag()
  const { run } = await t.started('untilTold', { go })
  const waiting = t.do('thread')
  await until('it to wait', () => t.pool.stats().waiting === 1)
  const closed = t.pool.close()
  expect(t.pool.close()).toBe(closed)
  const refused = await errorOf(t.do('thread', {}, { retry: RetryPolicy.fixed(5, 1) }))
  expect(refused.cause).toMatchObject({ name: 'UnrecoverableError', message: 'The thread pool is closed' })
  raise()
  expect(await run).toBe(await waiting)
  await closed
  expect(t.pool.stats()).toMatchObject({ alive: 0, running: 0, waiting: 0 })
})

test('close ends what does not end within its limit', options, async () => {
  await using t = await onThreads({ threads: 1 })
  const { run } = await t.started('deaf', {}, { retry: RetryPolicy.fixed(5, 1) })
  const waiting = t.do('thread')
  await until('it to wait', () => t.pool.stats().waiting === 1)
  const errors = Promise.all([errorOf(run), errorOf(waiting)])
  await t.pool.close({ timeoutMs: 5 })
  for (const { cause } of await errors) expect((cause as Error).message).toBe('The thread pool is closed')
  expect(t.pool.stats()).toMatchObject({ alive: 0, killed: 1 })
})
