/** Internal, external, hybrid: how a lane's commands run, and what changing it does. */
import type { HandlerMode } from '@a3s-lab/lane/session'
import { expect, test } from 'vitest'
import { externalSetup, sessionSetup } from '../../support/session.js'
import { errorOf } from '../../support/setup.js'

test('every lane is internal by default, with a handler timeout of 60 s', async () => {
  await using t = sessionSetup()
  for (const lane of ['control', 'query', 'execute', 'generate'] as const) {
    expect(t.session.laneHandler(lane)).toEqual({ mode: 'internal', timeoutMs: 60_000 })
  }
})

test('internal: the value or the error goes straight back, and nothing is told outside', async () => {
  await using t = sessionSetup()
  t.session.handle('json', (payload) => ({ got: payload }))
  t.session.handle('broken', () => {
    throw new Error('as it is')
  })
  expect(await t.session.submit('execute', [1, 2])).toEqual({ got: [1, 2] })
  const { message, code } = await errorOf(t.session.submit('execute', {}, { commandType: 'broken' }))
  expect([message, code]).toEqual(['as it is', 'COMMAND_FAILED'])
  expect(await t.types()).toEqual([])
})

test('external: the task is made at the start of the attempt, not at the submit', async () => {
  await using t = externalSetup({ queueConfig: { executeMaxConcurrency: 1 } })
  t.session.handle('bash', (args, context) => t.run('bash', args, context))
  const calls = [1, 2].map((n) => t.session.submit('execute', { n }, { commandType: 'bash' }))
  const first = await t.task()
  expect(first).toMatchObject({ payload: { n: 1 }, remaining_ms: 60_000 })
  await t.clock.advance(30_000)
  await t.work()
  const second = await t.task()
  expect(second).toMatchObject({ payload: { n: 2 }, remaining_ms: 60_000, created_at: '2026-01-01T00:00:30.000Z' })
  await t.work()
  await t.clock.expectSettled(Promise.all(calls))
  expect(t.notes, 'the local code').toEqual([])
})

test('external: a lane shows at most its concurrency of tasks at once', async () => {
  await using t = externalSetup({ queueConfig: { executeMaxConcurrency: 3 } })
  const runs = Array.from({ length: 8 }, (_, n) => t.session.submit('execute', { n }))
  const waves: number[] = []
  while (waves.length < 3) waves.push(await t.work(({ payload }) => ({ result: payload })))
  expect(waves).toEqual([3, 3, 2])
  expect(await t.clock.expectSettled(Promise.all(runs))).toEqual(Array.from({ length: 8 }, (_, n) => ({ n })))
})

test('external: a waiting attempt holds its slot and counts as active and external', async () => {
  await using t = externalSetup()
  const run = t.session.submit('execute', {})
  await t.task()
  const { lanes, totalActive, externalPending } = await t.session.queueStats()
  expect([totalActive, externalPending, lanes.execute]).toEqual([
    1,
    1,
    {
      lane: 'execute',
      pending: 0,
      active: 1,
      delayed: 0,
      maxConcurrency: 2,
      handlerMode: 'external',
      completed: 0,
      failed: 0,
    },
  ])
  await t.work()
  await run
  expect(await t.session.queueStats()).toMatchObject({
    totalActive: 0,
    externalPending: 0,
    lanes: { execute: { completed: 1 } },
  })
})

test('external: success gives the result as it is', async () => {
  await using t = externalSetup()
  for (const result of [{ a: [1] }, 'text', 7, null, false, [], {}]) {
    const run = t.session.submit('execute', {})
    await t.work(() => ({ success: true, result }))
    expect(await t.clock.expectSettled(run)).toEqual(result)
  }
})

test.each([
  [{ success: false, error: 'disk full' }, 'disk full'],
  [{ success: false }, 'External task failed'],
  [{ success: false, error: '' }, 'External task failed'],
  [{ success: false, result: { output: 'some' } }, 'External task failed'],
])('external: the answer %j fails the command', async (answer, message) => {
  await using t = externalSetup()
  const run = errorOf(t.session.submit('execute', {}))
  await t.work(() => answer)
  const error = await t.clock.expectSettled(run)
  expect([error.message, error['code']]).toEqual([message, 'COMMAND_FAILED'])
  expect(await t.told('external_task_completed')).toMatchObject([{ success: false, error: message }])
})

test('external: when its time is over the task is withdrawn and the attempt fails', async () => {
  await using t = externalSetup()
  const run = errorOf(t.session.submit('execute', {}))
  const { task_id } = await t.task()
  await t.clock.advance(60_000)
  expect(await t.session.pendingExternalTasks()).toEqual([])
  const { code, message } = await t.clock.expectSettled(run)
  expect([code, message]).toEqual(['COMMAND_TIMEOUT', 'Command timed out after 60s'])
  expect(await t.session.completeExternalTask(task_id, { result: 'late' })).toBe(false)
  expect(await t.told('external_task_completed')).toMatchObject([
    { task_id, success: false, error: 'Command timed out after 60s' },
  ])
})

test('external: when its command is cancelled the task is withdrawn', async () => {
  await using t = externalSetup()
  const task = await t.session.submitTask({ id: 'one', lane: 'execute', payload: {} })
  const { task_id } = await t.task()
  expect(task.cancel('not needed')).toBe(true)
  expect(await t.session.pendingExternalTasks()).toEqual([])
  expect((await errorOf(task.result()))['code']).toBe('COMMAND_CANCELLED')
  expect(await t.session.completeExternalTask(task_id, {})).toBe(false)
  expect(await t.told('external_task_completed')).toMatchObject([{ task_id, success: false }])
})

test('external: when the turn ends the task is withdrawn', async () => {
  await using t = externalSetup()
  const turn = new AbortController()
  const call = t.session.runToolCalls([{ id: '1', name: 'bash' }], { signal: turn.signal })
  await t.task()
  turn.abort('the user has left')
  expect(await t.pending()).toEqual([])
  expect(await t.clock.expectSettled(call)).toMatchObject([
    { output: 'Tool execution error: Command cancelled: the user has left', exit_code: 1 },
  ])
})

test('external: when the session closes the attempt fails with its words', async () => {
  await using t = externalSetup()
  const run = errorOf(t.session.submit('execute', {}))
  await t.task()
  await t.session.shutdown()
  expect(await t.session.pendingExternalTasks()).toEqual([])
  expect((await t.clock.expectSettled(run)).message).toBe('Session queue is shutting down')
  expect(await t.told('external_task_completed')).toMatchObject([
    { success: false, error: 'Session queue is shutting down' },
  ])
})

test('external: a task has left the pending ones before its caller is answered, whichever way it ends', async () => {
  await using t = externalSetup({ timeoutMs: 100 })
  const ways: readonly ((taskId: string, cancel: () => void) => unknown)[] = [
    (id) => t.session.completeExternalTask(id, {}),
    (id) => t.session.completeExternalTask(id, { success: false }),
    () => t.clock.advance(100),
    (_id, cancel) => cancel(),
    () => t.session.shutdown(),
  ]
  for (const end of ways) {
    const cancel = new AbortController()
    const run = t.session.submit('execute', {}, { signal: cancel.signal })
    const left = run.catch(() => undefined).then(async () => (await t.session.pendingExternalTasks()).length)
    const { task_id } = await t.task()
    await end(task_id, () => cancel.abort())
    expect(await t.clock.expectSettled(left)).toBe(0)
  }
})

test('external: nothing ever falls back to the local code', async () => {
  await using t = externalSetup({ timeoutMs: 1000, queueConfig: { retryPolicy: { maxRetries: 2 } } })
  const failed = t.calls(['bash', { label: 'failed' }])
  for (let attempt = 0; attempt < 3; attempt++) {
    await t.work(() => ({ success: false, error: 'no' }))
    await t.clock.advance(400)
  }
  const timedOut = t.calls(['bash', { label: 'timed out' }])
  await t.clock.advance(10_000)
  expect([(await failed)[0]?.is_error, (await timedOut)[0]?.is_error, t.notes]).toEqual([true, true, []])
})

test('external: no local code is needed', async () => {
  await using t = externalSetup({ tools: false })
  const call = t.calls(['deploy', { where: 'here' }])
  await t.work(({ command_type }) => ({ result: { output: `did ${command_type}` } }))
  expect(await t.clock.expectSettled(call)).toMatchObject([{ output: 'did deploy', is_error: false }])
})

test.each(['internal', 'hybrid'] as const)('%s: without local code the error names the tool', async (mode) => {
  await using t = sessionSetup({ tools: false })
  await t.session.setLaneHandler('execute', { mode })
  const [result] = await t.calls(['bash'])
  expect(result?.output).toBe("Tool execution error: No handler is registered for command type 'bash'")
  expect((await errorOf(t.session.submit('execute', {}, { commandType: 'bash' })))['code']).toBe('HANDLER_NOT_FOUND')
})

test('hybrid: it is told, run here, told again, and the local value is the value', async () => {
  await using t = sessionSetup({ sessionId: 'me' })
  await t.session.setLaneHandler('execute', { mode: 'hybrid' })
  expect(await t.call('bash', { ms: 10, command: 'ls' }, 10)).toMatchObject({ output: 'bash done' })
  const told = await t.told('external_task_pending', 'external_task_completed')
  expect(told).toMatchObject([
    { type: 'external_task_pending', session_id: 'me', lane: 'execute', command_type: 'bash', attempt: 1 },
    { type: 'external_task_completed', session_id: 'me', success: true },
  ])
  expect([told[0]?.['task_id'] === told[1]?.['task_id'], 'error' in (told[1] ?? {}), t.notes]).toEqual([
    true,
    false,
    ['+bash', '-bash'],
  ])
  expect(told[0]?.['payload']).toEqual({ ms: 10, command: 'ls' })
})

test('hybrid: the local error is the error, and is told', async () => {
  await using t = sessionSetup()
  await t.session.setLaneHandler('execute', { mode: 'hybrid' })
  expect(await t.call('bash', { fail: 'segfault' })).toMatchObject({ output: 'Tool execution error: segfault' })
  expect(await t.told('external_task_completed')).toMatchObject([{ success: false, error: 'segfault' }])
})

test('hybrid: the task is not pending, not counted, and cannot be completed from outside', async () => {
  await using t = sessionSetup()
  await t.session.setLaneHandler('execute', { mode: 'hybrid' })
  const call = t.calls(['bash', { ms: 10 }])
  const [pending] = await t.told('external_task_pending')
  expect(await t.session.pendingExternalTasks()).toEqual([])
  expect((await t.session.queueStats()).externalPending).toBe(0)
  expect(await t.session.completeExternalTask(pending?.['task_id'] as string, { result: 'x' })).toBe(false)
  await t.clock.advance(10)
  expect(await t.clock.expectSettled(call)).toMatchObject([{ output: 'bash done' }])
})

test("hybrid: the handler's timeout says nothing, the lane's does", async () => {
  await using t = sessionSetup({ queueConfig: { laneTimeouts: { execute: 5000 } } })
  await t.session.setLaneHandler('execute', { mode: 'hybrid', timeoutMs: 10 })
  expect(await t.call('bash', { ms: 4000 }, 4000)).toMatchObject({ output: 'bash done' })
  expect(await t.call('bash', { ms: 6000 }, 5000)).toMatchObject({
    output: 'Tool execution error: Command timed out after 5s',
  })
  expect((await t.told('external_task_completed')).map(({ success }) => success)).toEqual([true, false])
})

test('hybrid: a deaf tool that ends after its timeout is told only once', async () => {
  await using t = sessionSetup({ queueConfig: { laneTimeouts: { execute: 50 } } })
  await t.session.setLaneHandler('execute', { mode: 'hybrid' })
  expect(await t.call('bash', { ms: 500, deaf: true }, 50)).toMatchObject({ is_error: true })
  await t.clock.advance(1000)
  expect(await t.told('external_task_completed')).toMatchObject([{ success: false }])
})

test('hybrid: an exit code other than 0 is a success', async () => {
  await using t = sessionSetup()
  await t.session.setLaneHandler('execute', { mode: 'hybrid' })
  expect(await t.call('bash', { exit: 3 })).toMatchObject({ exit_code: 3, is_error: true })
  expect(await t.told('external_task_completed')).toMatchObject([{ success: true }])
})

test('mode and handler timeout are those of the submit', async () => {
  await using t = externalSetup({ timeoutMs: 5000, queueConfig: { executeMaxConcurrency: 1 } })
  const submit = (label: string): Promise<unknown> => t.session.submit('execute', { label }, { commandType: 'bash' })
  const runs = [submit('external 1'), submit('external 2')]
  await t.task()
  await t.session.setLaneHandler('execute', { mode: 'internal' })
  runs.push(submit('internal'))
  await t.session.setLaneHandler('execute', { mode: 'external', timeoutMs: 7000 })
  runs.push(submit('external 3'))
  const timeouts: number[] = []
  for (let round = 0; round < 3; round++) {
    await t.work(({ timeout_ms, payload }) => {
      timeouts.push(timeout_ms)
      return { result: payload }
    })
  }
  expect(await t.clock.expectSettled(Promise.all(runs))).toEqual([
    { label: 'external 1' },
    { label: 'external 2' },
    { output: 'internal done', exit_code: 0 },
    { label: 'external 3' },
  ])
  expect([timeouts, t.notes]).toEqual([
    [5000, 5000, 7000],
    ['+internal', '-internal'],
  ])
})

test('a retry keeps the mode of its submit', async () => {
  await using t = sessionSetup({ queueConfig: { retryPolicy: { maxRetries: 1 } } })
  const call = t.calls(['bash', { failing: 1 }])
  await t.clock.settle()
  await t.session.setLaneHandler('execute', { mode: 'external' })
  await t.clock.advance(100)
  expect(await t.clock.expectSettled(call)).toMatchObject([{ output: 'bash done' }])
})

test('the members of a batch keep the mode of their submit', async () => {
  await using t = externalSetup({ tools: false })
  const batch = t.session.submitBatch('execute', [1, 2, 3])
  await t.task()
  await t.session.setLaneHandler('execute', { mode: 'internal' })
  for (let round = 0; round < 3; round++) await t.work(({ payload }) => ({ result: payload }))
  expect(await t.clock.expectSettled(batch)).toEqual([1, 2, 3])
})

test('the members of an internal batch stay internal', async () => {
  await using t = sessionSetup()
  const batch = t.session.submitBatch('execute', [{ ms: 10 }, { ms: 10 }], { commandType: 'bash' })
  await t.clock.settle()
  await t.session.setLaneHandler('execute', { mode: 'external' })
  await t.clock.advance(20)
  expect(await t.clock.expectSettled(batch)).toHaveLength(2)
})

test('replacing a handler does not rerun the command in flight', async () => {
  await using t = sessionSetup()
  const call = t.calls(['bash', { ms: 100 }])
  await t.clock.advance(50)
  for (const mode of ['external', 'hybrid', 'internal', 'external'] as const) {
    await t.session.setLaneHandler('execute', { mode })
  }
  await t.clock.advance(50)
  expect(await t.clock.expectSettled(call)).toMatchObject([{ output: 'bash done' }])
  expect([t.notes, await t.types()]).toEqual([
    ['+bash', '-bash'],
    ['tool_start', 'tool_end'],
  ])
})

test('replacing the handler of a waiting external task leaves it waiting', async () => {
  await using t = externalSetup()
  const call = t.calls(['bash'])
  const before = await t.task()
  await t.session.setLaneHandler('execute', { mode: 'internal' })
  expect((await t.task()).task_id).toBe(before.task_id)
  await t.work()
  expect(await t.clock.expectSettled(call)).toMatchObject([{ output: 'from outside' }])
  expect(t.notes).toEqual([])
})

const BAD_HANDLERS: readonly (readonly [unknown, string])[] = [
  [{ mode: 'remote' }, 'internal'],
  [{}, 'mode'],
  [{ mode: 'external', timeoutMs: 0 }, 'timeoutMs'],
  [{ mode: 'external', timeoutMs: 1.5 }, 'timeoutMs'],
  [{ mode: 'external', timeoutMs: '60' }, 'timeoutMs'],
  [{ mode: 'external', timeout: 60 }, 'timeout'],
  [null, 'handler'],
  ['external', 'handler'],
]

test.each(BAD_HANDLERS)('the handler %j is refused', async (handler, names) => {
  await using t = sessionSetup()
  const { code, message } = await errorOf(t.session.setLaneHandler('execute', handler as never))
  expect(code).toBe('CONFIG_INVALID')
  expect(message).toContain(names)
  expect(t.session.laneHandler('execute').mode).toBe('internal')
})

test.each(['Internal', 'External', 'Hybrid', 'internal', 'external', 'hybrid'])(
  'the mode %s is accepted',
  async (mode) => {
    await using t = sessionSetup()
    await t.session.setLaneHandler('query', { mode: mode as HandlerMode, timeoutMs: 1 })
    expect(t.session.laneHandler('query')).toEqual({ mode: mode.toLowerCase(), timeoutMs: 1 })
  },
)

test('handlers of the configuration are there from the beginning', async () => {
  await using t = sessionSetup({
    queueConfig: { lane_handlers: { Execute: { mode: 'External', timeout_ms: 10 }, query: { mode: 'hybrid' } } },
  })
  expect([t.session.laneHandler('execute'), t.session.laneHandler('query')]).toEqual([
    { mode: 'external', timeoutMs: 10 },
    { mode: 'hybrid', timeoutMs: 60_000 },
  ])
})

test('a model call is done outside when generate is external', async () => {
  await using t = sessionSetup()
  await t.session.setLaneHandler('generate', { mode: 'external' })
  const payload = { model: 'm', system: 's', messages: [], tools: [] }
  const model = t.session.callModel(payload, () => t.notes.push('here'))
  expect(await t.task()).toMatchObject({ command_type: 'llm', lane: 'generate', payload })
  await t.work(() => ({ result: { text: 'hello' } }))
  expect([await t.clock.expectSettled(model), t.notes]).toEqual([{ text: 'hello' }, []])
})
