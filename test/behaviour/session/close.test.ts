/** The end of a session, with all kinds of work left. */
import { expect, test } from 'vitest'
import { napping } from '../../support/bodies.js'
import { externalSetup, type SessionSetup, sessionSetup } from '../../support/session.js'
import { errorOf, gate } from '../../support/setup.js'

/** Virtual milliseconds until the session is closed; fails when that takes longer than the limit. */
async function closing(t: SessionSetup, timeoutMs?: number): Promise<number> {
  const since = t.clock.now()
  let tookMs: number | undefined
  const closed = t.session.close(timeoutMs === undefined ? {} : { timeoutMs }).then(() => {
    tookMs = t.clock.now() - since
  })
  await t.clock.advance(60_000)
  await t.clock.expectSettled(closed)
  return tookMs as number
}

test('a session that did nothing closes at once, also twice', async () => {
  await using t = sessionSetup()
  expect(await closing(t)).toBe(0)
  expect(await closing(t)).toBe(0)
})

test('close is idempotent: every call resolves when the first does', async () => {
  await using t = sessionSetup()
  const run = t.session.submit('execute', { ms: 100 }, { commandType: 'bash' })
  await t.clock.settle()
  const done: number[] = []
  const closes = [1, 2, 3].map((n) => t.session.close().then(() => done.push(n)))
  await t.clock.advance(99)
  expect(done).toEqual([])
  await t.clock.advance(1)
  await Promise.all([...closes, run])
  expect(done).toEqual([1, 2, 3])
  await t.session[Symbol.asyncDispose]()
})

test('close refuses new work at once', async () => {
  await using t = sessionSetup()
  const run = t.session.submit('execute', { ms: 100 }, { commandType: 'bash' })
  await t.clock.settle()
  const closed = t.session.close()
  for (const refused of [t.session.submit('execute', {}), t.calls(['read']), t.session.callModel('p', () => 1)]) {
    expect(await errorOf(refused)).toMatchObject({ code: 'SHUTTING_DOWN', message: 'Session queue is shutting down' })
  }
  await t.clock.advance(100)
  await Promise.all([closed, run])
})

test('what runs and what waits is let finish', async () => {
  await using t = sessionSetup({ queueConfig: { executeMaxConcurrency: 1 } })
  const runs = [1, 2, 3].map(() => t.session.submit('execute', { ms: 100 }, { commandType: 'bash' }))
  expect(await closing(t)).toBe(300)
  expect((await Promise.all(runs)).length).toBe(3)
})

test('what does not finish within the limit is cancelled', async () => {
  await using t = sessionSetup({ queueConfig: { executeMaxConcurrency: 1 } })
  const submit = (): Promise<unknown> => t.session.submit('execute', { ms: 7000 }, { commandType: 'bash' })
  const first = submit()
  const rest = [submit(), submit(), t.session.callModel('p', (_payload, { signal }) => napping(t, 1e6, signal))].map(
    errorOf,
  )
  expect(await closing(t)).toBe(10_000)
  expect([await first, (await Promise.all(rest)).map(({ code }) => code)]).toEqual([
    { output: 'bash done', exit_code: 0 },
    ['COMMAND_CANCELLED', 'COMMAND_CANCELLED', 'COMMAND_CANCELLED'],
  ])
})

test('external tasks that are pending fail at once, and none is pending afterwards', async () => {
  await using t = externalSetup({ queueConfig: { executeMaxConcurrency: 2 } })
  const runs = [1, 2, 3, 4].map((n) => errorOf(t.session.submit('execute', n)))
  expect(await t.pending()).toHaveLength(2)
  expect(await closing(t)).toBe(0)
  const messages = (await Promise.all(runs)).map(({ message }) => message)
  expect(messages.slice(0, 2)).toEqual(['Session queue is shutting down', 'Session queue is shutting down'])
  expect(messages).toHaveLength(4)
  expect(await t.session.pendingExternalTasks()).toEqual([])
  expect(await t.told('external_task_completed')).toHaveLength(2)
})

test('waiting tool calls of an external lane fail with the same words', async () => {
  await using t = externalSetup({ queueConfig: { executeMaxConcurrency: 1 } })
  const calls = [1, 2, 3].map(() => t.calls(['bash']))
  await t.pending()
  await closing(t)
  const outputs = (await Promise.all(calls)).map(([result]) => result?.output)
  expect(new Set(outputs)).toEqual(new Set(['Tool execution error: Session queue is shutting down']))
})

test('a paused session closes without waiting for what can never start', async () => {
  await using t = sessionSetup()
  await t.session.pause()
  const run = errorOf(t.session.submit('execute', {}, { commandType: 'bash' }))
  expect(await closing(t)).toBe(0)
  expect([(await run)['code'], t.notes]).toEqual(['COMMAND_CANCELLED', []])
})

test('work that is due far ahead is cancelled, not waited for', async () => {
  await using t = sessionSetup()
  const run = errorOf(t.session.submit('execute', {}, { commandType: 'bash', delayMs: 86_400_000 }))
  expect(await closing(t)).toBe(0)
  expect((await run)['code']).toBe('COMMAND_CANCELLED')
})

test('a deaf tool does not hold close beyond its limit', async () => {
  await using t = sessionSetup()
  const call = t.calls(['bash', { ms: 1e9, deaf: true }])
  await t.clock.settle()
  expect(await closing(t, 500)).toBe(500)
  expect((await call)[0]?.is_error).toBe(true)
})

test('calls of a turn that have not begun do not begin after close', async () => {
  await using t = sessionSetup()
  const calls = t.calls(['bash', { ms: 100 }], ['write'], ['edit'])
  await t.clock.settle()
  await closing(t)
  expect((await calls).map(({ is_error }) => is_error)).toEqual([false, true, true])
  expect(t.notes).toEqual(['+bash', '-bash'])
})

test('every event of the end can still be read', async () => {
  await using t = externalSetup()
  const stream = t.session.subscribe()
  const run = errorOf(t.session.submit('execute', {}))
  await t.pending()
  await closing(t)
  await run
  const types: string[] = []
  for await (const { type } of stream) types.push(type)
  expect(types).toEqual(['external_task_pending', 'external_task_completed'])
})

test('without a queue close waits for what runs, and ends it at its limit', async () => {
  await using quick = sessionSetup({ queueConfig: false })
  const call = quick.calls(['bash', { ms: 100 }], ['write'])
  await quick.clock.settle()
  expect(await closing(quick)).toBe(100)
  expect((await call)[0]?.is_error).toBe(false)
  await using slow = sessionSetup({ queueConfig: false })
  const long = slow.calls(['bash', { ms: 1e6 }])
  await slow.clock.settle()
  expect(await closing(slow, 50)).toBe(50)
  expect((await long)[0]?.is_error).toBe(true)
})

test('a session that never started closes', async () => {
  await using t = sessionSetup()
  t.session.handle('json', () => 1)
  await t.session.setLaneHandler('execute', { mode: 'external' })
  expect(await closing(t)).toBe(0)
})

test('close refuses a limit that is none', async () => {
  await using t = sessionSetup()
  expect(await errorOf(Promise.resolve().then(() => t.session.close({ timeoutMs: -1 })))).toMatchObject({
    code: 'CONFIG_INVALID',
  })
  expect(t.session.isShuttingDown).toBe(false)
})

test('close waits for a handler in the process that answers late, without hanging', async () => {
  await using t = externalSetup()
  const answer = gate()
  t.session.setExternalTaskHandler(async () => {
    await answer.promise
    return { result: 'late' }
  })
  const run = errorOf(t.session.submit('execute', {}))
  await t.pending()
  expect(await closing(t)).toBe(0)
  answer.open()
  expect((await run).message).toBe('Session queue is shutting down')
})
