/** Traps of the reference that no other test of the session holds, by their numbers. */
import { SessionQueue } from '@a3s-lab/lane/session'
import { expect, test } from 'vitest'
import { externalSetup, sessionSetup } from '../../support/session.js'
import { errorOf, thrownBy } from '../../support/setup.js'

test('trap 1: the lanes that a configuration leaves out have their defaults', async () => {
  await using t = sessionSetup({ queueConfig: { queryMaxConcurrency: 9 } })
  const { lanes } = await t.session.queueStats()
  expect(Object.values(lanes).map(({ maxConcurrency }) => maxConcurrency)).toEqual([2, 9, 2, 1])
})

test('trap 3: nothing is hidden: generate has no limit per minute, no boost, and is not tried again', async () => {
  await using t = sessionSetup()
  const calls = Array.from({ length: 200 }, () => t.session.callModel('p', () => 1))
  expect(await t.clock.expectSettled(Promise.all(calls))).toHaveLength(200)
  expect(t.clock.now()).toBe(0)
})

test('trap 4: dead letters and metrics name our lanes', async () => {
  await using t = sessionSetup({ queueConfig: { enableDlq: true, enableMetrics: true } })
  await t.call('bash', { fail: 'E' })
  await errorOf(t.session.callModel('p', () => Promise.reject(new Error('E'))))
  expect((await t.session.deadLetters()).map(({ lane_id }) => lane_id)).toEqual(['execute', 'generate'])
  expect(JSON.stringify(await t.session.queueMetrics())).not.toMatch(/skill|lane="prompt"/)
})

test('trap 10: with all features lane and handler have the same timeout, and no task stays pending', async () => {
  await using t = externalSetup({ queueConfig: { enableAllFeatures: true } })
  const call = t.calls(['bash'])
  const { task_id } = await t.task()
  await t.clock.advance(60_000)
  expect((await t.clock.expectSettled(call))[0]?.output).toBe('Tool execution error: Command timed out after 60s')
  expect([await t.pending(), await t.session.completeExternalTask(task_id, {})]).toEqual([[], false])
})

test('trap 11: failed and timed-out external work is not tried again', async () => {
  await using t = externalSetup({ timeoutMs: 100, queueConfig: { enableAllFeatures: true } })
  const calls = [t.calls(['bash']), t.calls(['bash'])]
  const [first] = await t.pending()
  await t.session.completeExternalTask(first?.task_id as string, { success: false, error: 'E' })
  await t.clock.advance(100_000)
  await Promise.all(calls)
  expect((await t.told('external_task_pending')).length).toBe(2)
})

test('trap 13: the rules hold at every count, for glob, ls and list_files too, and execute is queued', async () => {
  await using t = externalSetup()
  const looking = t.calls(['glob', { ms: 10 }], ['ls', { ms: 10 }])
  await t.clock.advance(10)
  await t.clock.expectSettled(looking)
  expect(t.most['query']).toBe(2)
  const call = t.calls(['write'])
  expect((await t.task()).command_type).toBe('write')
  await t.work()
  await call
})

test('trap 14: a query call that needs confirmation is answered; nobody to ask denies reads as well', async () => {
  await using t = sessionSetup({ permissions: { ask: ['read'], otherwise: 'allow' } })
  const results = await t.calls(['read'], ['grep'], ['read'])
  expect(results.map(({ is_error }) => is_error)).toEqual([true, false, true])
})

test('trap 22: the session_id of tasks and of their events is the id of the session', async () => {
  await using t = externalSetup({ sessionId: 'mine' })
  const call = t.calls(['bash'])
  await t.work()
  await call
  const ids = (await t.told('external_task_pending', 'external_task_completed')).map(({ session_id }) => session_id)
  expect(ids).toEqual(['mine', 'mine'])
})

test('trap 29: what cannot be made is an error, never a session without its queue', () => {
  expect(thrownBy(() => new SessionQueue({ queueConfig: { queryMaxConcurrency: 0 } }))['code']).toBe('CONFIG_INVALID')
})

test('trap 33: shutdown leaves nobody waiting, and every error has a code', async () => {
  await using t = externalSetup()
  const runs = [1, 2, 3, 4, 5].map((n) => errorOf(t.session.submit('execute', n)))
  await t.pending()
  const closed = t.session.close()
  const errors = await t.clock.expectSettled(Promise.all(runs))
  await t.clock.expectSettled(closed)
  for (const { code, message } of errors) {
    expect(['SHUTTING_DOWN', 'COMMAND_FAILED', 'COMMAND_CANCELLED']).toContain(code)
    expect(message).not.toMatch(/[Cc]hannel/)
  }
})

test('trap 35: starts wait for no tick', async () => {
  await using t = sessionSetup()
  await t.clock.expectSettled(t.calls(...Array.from({ length: 8 }, () => ['read'] as const)))
  expect([t.clock.now(), t.clock.timers]).toEqual([0, 0])
})

test('trap 36: independent writes of one turn stay in order', async () => {
  await using t = sessionSetup({ queueConfig: { executeMaxConcurrency: 8 } })
  const names = ['write_file', 'edit_file', 'create_file', 'write']
  const calls = t.calls(...names.map((name) => [name, { ms: 10, path: name }] as const))
  await t.clock.advance(40)
  await t.clock.expectSettled(calls)
  expect(t.notes).toEqual(names.flatMap((name) => [`+${name}`, `-${name}`]))
})
