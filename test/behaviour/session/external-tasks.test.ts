/** The contract with workers outside: what a task says, who may complete it, and the handler inside the process. */
import { isTimedOut, remainingMs } from '@a3s-lab/lane/session'
import { expect, test } from 'vitest'
import { aborted } from '../../support/bodies.js'
import { externalSetup, sessionSetup } from '../../support/session.js'
import { errorOf, gate, thrownBy } from '../../support/setup.js'

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/

test('a task has every field, as plain JSON data', async () => {
  await using t = externalSetup({ sessionId: 'session-7' })
  const call = t.calls(['bash', { command: 'cargo test' }])
  const task = await t.task()
  expect(task).toEqual({
    task_id: expect.stringMatching(UUID) as unknown,
    session_id: 'session-7',
    lane: 'execute',
    command_type: 'bash',
    payload: { command: 'cargo test' },
    timeout_ms: 60_000,
    remaining_ms: 60_000,
    is_timed_out: false,
    command_id: expect.any(String) as unknown,
    attempt: 1,
    created_at: '2026-01-01T00:00:00.000Z',
  })
  expect(JSON.parse(JSON.stringify(task))).toEqual(task)
  await t.work()
  await call
})

test('the pending event has the same fields', async () => {
  await using t = externalSetup()
  const call = t.calls(['bash', { command: 'ls' }])
  const task = await t.task()
  expect(await t.told('external_task_pending')).toEqual([{ type: 'external_task_pending', ...task }])
  await t.work()
  await call
})

test("the session's id is the session's own, given or made", async () => {
  await using t = externalSetup()
  expect(t.session.sessionId).toMatch(UUID)
  const run = t.session.submit('execute', {})
  expect((await t.task()).session_id).toBe(t.session.sessionId)
  await t.work()
  await run
})

test.each([
  ['control', 'pause'],
  ['query', 'read'],
  ['execute', 'write'],
] as const)('a task of %s says its lane in lower case and its tool', async (lane, name) => {
  await using t = sessionSetup()
  await t.session.setLaneHandler(lane, { mode: 'external' })
  const call = t.calls([name, { a: 1 }])
  expect(await t.task()).toMatchObject({ lane, command_type: name, payload: { a: 1 } })
  await t.work()
  await call
})

test('a direct submission without a type is a task of type json, its payload as it is', async () => {
  await using t = externalSetup()
  for (const payload of [{ a: { b: 1 } }, [1, 2], 'text', 5, null]) {
    const run = t.session.submit('execute', payload)
    expect(await t.task()).toMatchObject({ command_type: 'json', payload })
    await t.work()
    await run
  }
})

test('a direct submission with a type is a task of that type', async () => {
  await using t = externalSetup()
  const run = t.session.submit('execute', {}, { commandType: 'deploy' })
  expect((await t.task()).command_type).toBe('deploy')
  await t.work()
  await run
})

test('the payload is {} when there is none', async () => {
  await using t = externalSetup()
  const call = t.session.runToolCalls([{ id: '1', name: 'bash' }])
  expect((await t.task()).payload).toEqual({})
  await t.work()
  await call
  const run = t.session.submit('execute', undefined)
  expect((await t.task()).payload).toEqual({})
  await t.work()
  await run
})

test('remaining_ms counts down from the creation of the task, and every list is a new one', async () => {
  await using t = externalSetup()
  const run = t.session.submit('execute', {})
  const held = await t.task()
  await t.clock.advance(12_345.6)
  expect([(await t.task()).remaining_ms, held.remaining_ms, (await t.task()) === held]).toEqual([47_655, 60_000, false])
  await t.work()
  await run
})

const HELD = { timeout_ms: 1000, created_at: '2026-01-01T00:00:00.000Z' }
const MADE = Date.parse(HELD.created_at)

test.each([
  [0, 1000, false],
  [1, 999, false],
  [400.9, 600, false],
  [999, 1, false],
  [1000, 0, false],
  [1001, 0, true],
  [1e9, 0, true],
  [-5, 1005, false],
])('a held copy %f ms after its creation has %i ms left and is timed out: %s', (elapsed, left, isOver) => {
  expect([remainingMs(HELD, MADE + elapsed), isTimedOut(HELD, MADE + elapsed)]).toEqual([left, isOver])
})

test.each([
  [{ timeout_ms: 1000 }],
  [{ timeout_ms: 1000, created_at: undefined }],
  [{ timeout_ms: 1000, created_at: '?' }],
])('a held copy %j of unknown age has its whole time left', (task) => {
  expect([remainingMs(task, MADE), isTimedOut(task, MADE)]).toEqual([1000, false])
})

test('pending tasks are listed oldest first', async () => {
  await using t = externalSetup({ queueConfig: { executeMaxConcurrency: 10 } })
  const runs = [1, 2, 3, 4].map((n) => t.session.submit('execute', n))
  expect((await t.pending()).map(({ payload }) => payload)).toEqual([1, 2, 3, 4])
  await t.session.completeExternalTask((await t.pending())[1]?.task_id as string, {})
  runs.push(t.session.submit('execute', 5))
  expect((await t.pending()).map(({ payload }) => payload)).toEqual([1, 3, 4, 5])
  await t.work()
  await Promise.all(runs)
})

test('the first completion wins', async () => {
  await using t = externalSetup()
  const run = t.session.submit('execute', {})
  const { task_id } = await t.task()
  const answers = [1, 2, 3].map((result) => t.session.completeExternalTask(task_id, { result }))
  expect(await Promise.all(answers)).toEqual([true, false, false])
  expect([await run, await t.told('external_task_completed')]).toMatchObject([1, [{ success: true }]])
})

test('completing an unknown task answers false', async () => {
  await using t = externalSetup()
  expect(await t.session.completeExternalTask('nobody', { success: true })).toBe(false)
  expect(await t.session.completeExternalTask('', {})).toBe(false)
})

test.each([[null], ['done'], [[]], [undefined], [{ success: 'yes' }], [{ success: false, error: 5 }]])(
  'the answer %j is refused, and the task stays pending',
  async (answer) => {
    await using t = externalSetup()
    const run = t.session.submit('execute', {})
    const { task_id } = await t.task()
    expect((await errorOf(t.session.completeExternalTask(task_id, answer as never)))['code']).toBe('CONFIG_INVALID')
    expect((await t.task()).task_id).toBe(task_id)
    await t.work()
    expect(await run).toEqual({ output: 'from outside' })
  },
)

test('an answer without success is a success, and one without a result is {}', async () => {
  await using t = externalSetup()
  const run = t.session.submit('execute', {})
  await t.work(() => ({}))
  expect(await run).toEqual({})
})

test('the life of external work, step by step', async () => {
  await using t = externalSetup({ queueConfig: { executeMaxConcurrency: 1 } })
  const before = t.session.submit('execute', { ms: 'none' })
  const call = t.calls(['bash', { command: 'cargo test' }])
  expect(
    (await t.pending()).map(({ command_type }) => command_type),
    'it waits for its slot unseen',
  ).toEqual(['json'])
  await t.work()
  await before
  const { task_id } = await t.task()
  expect(await t.told('external_task_pending')).toHaveLength(2)
  const answer = { success: true, result: { output: 'ok. 12 passed', exit_code: 0 } }
  expect(await t.session.completeExternalTask(task_id, answer)).toBe(true)
  const [result] = await t.clock.expectSettled(call)
  expect(result).toEqual({ id: '1', name: 'bash', output: 'ok. 12 passed', exit_code: 0, is_error: false })
  expect((await t.session.queueStats()).totalActive).toBe(0)
  expect((await t.types()).slice(-2)).toEqual(['external_task_completed', 'tool_end'])
})

test('a handler in the process is called once for every task, those already pending included', async () => {
  await using t = externalSetup({ queueConfig: { executeMaxConcurrency: 10 } })
  const runs = [1, 2].map((n) => t.session.submit('execute', n))
  await t.pending()
  const seen: unknown[] = []
  t.session.setExternalTaskHandler(({ payload }) => {
    seen.push(payload)
    return { result: payload }
  })
  runs.push(t.session.submit('execute', 3))
  expect(await Promise.all(runs)).toEqual([1, 2, 3])
  expect(seen).toEqual([1, 2, 3])
})

test('a second handler is not given what the first was given', async () => {
  await using t = externalSetup()
  const seen: unknown[] = []
  const first = gate()
  t.session.setExternalTaskHandler(async ({ payload }) => {
    seen.push(['first', payload])
    await first.promise
    return { result: 'by the first' }
  })
  const old = t.session.submit('execute', 1)
  await t.pending()
  t.session.setExternalTaskHandler(({ payload }) => {
    seen.push(['second', payload])
    return { result: 'by the second' }
  })
  expect(await t.session.submit('execute', 2)).toBe('by the second')
  first.open()
  expect(await old).toBe('by the first')
  expect(seen).toEqual([
    ['first', 1],
    ['second', 2],
  ])
})

test('what the handler throws fails the task with its message', async () => {
  await using t = externalSetup()
  t.session.setExternalTaskHandler(() => {
    throw new Error('no worker free')
  })
  expect(await t.call('bash')).toMatchObject({ output: 'Tool execution error: no worker free', is_error: true })
  t.session.setExternalTaskHandler(() => Promise.reject(new Error('gone')))
  expect(await t.call('bash')).toMatchObject({ output: 'Tool execution error: gone' })
})

test.each([[undefined], [null], ['done'], [{ success: 1 }]])(
  'the garbage %j of a handler fails the task',
  async (garbage) => {
    await using t = externalSetup()
    t.session.setExternalTaskHandler(() => garbage as never)
    const result = await t.call('bash')
    expect(result.is_error).toBe(true)
    expect(result.output).toContain('external task result')
  },
)

test("the handler's signal aborts when the task times out", async () => {
  await using t = externalSetup({ timeoutMs: 1000 })
  const reasons: unknown[] = []
  t.session.setExternalTaskHandler(async (_task, { signal }) => {
    reasons.push(await aborted({ signal }))
    return { result: 'too late' }
  })
  expect(await t.call('bash', {}, 1000)).toMatchObject({ output: 'Tool execution error: Command timed out after 1s' })
  await t.clock.settle()
  expect(reasons).toMatchObject([{ code: 'COMMAND_TIMEOUT' }])
})

test("the handler's signal aborts when the command is cancelled, and when the session closes", async () => {
  await using t = externalSetup()
  const reasons: unknown[] = []
  t.session.setExternalTaskHandler(async (_task, { signal }) => {
    reasons.push(await aborted({ signal }))
    return {}
  })
  const task = await t.session.submitTask({ id: 'a', lane: 'execute', payload: {} })
  const other = errorOf(t.session.submit('execute', {}))
  await t.pending()
  task.cancel()
  await errorOf(task.result())
  await t.session.shutdown()
  expect((await other).message).toBe('Session queue is shutting down')
  await t.clock.settle()
  expect(reasons).toMatchObject([{ code: 'COMMAND_CANCELLED' }, { message: 'Session queue is shutting down' }])
})

test("the handler's signal aborts when somebody else has completed the task", async () => {
  await using t = externalSetup()
  let isAborted = false
  t.session.setExternalTaskHandler(async (_task, { signal }) => {
    await aborted({ signal })
    isAborted = true
    return {}
  })
  const call = t.calls(['bash'])
  await t.work()
  expect(await t.clock.expectSettled(call)).toMatchObject([{ output: 'from outside' }])
  await t.clock.settle()
  expect(isAborted).toBe(true)
})

test("the handler's signal does not abort for its own answer", async () => {
  await using t = externalSetup()
  const signals: AbortSignal[] = []
  t.session.setExternalTaskHandler((_task, { signal }) => {
    signals.push(signal)
    return {}
  })
  await t.calls(['bash'])
  await t.clock.settle()
  expect(signals.map((signal) => signal.aborted)).toEqual([false])
})

test('null removes the handler: tasks wait again, what it holds it may still complete', async () => {
  await using t = externalSetup()
  const held = gate()
  t.session.setExternalTaskHandler(async () => {
    await held.promise
    return { result: 'still by the handler' }
  })
  const first = t.session.submit('execute', 1)
  await t.pending()
  t.session.setExternalTaskHandler(null)
  const second = t.session.submit('execute', 2)
  expect(await t.pending()).toHaveLength(2)
  held.open()
  expect(await first).toBe('still by the handler')
  await t.work()
  expect(await second).toEqual({ output: 'from outside' })
})

test('polling is possible beside a handler: the first completion wins', async () => {
  await using t = externalSetup()
  const slow = gate()
  t.session.setExternalTaskHandler(async () => {
    await slow.promise
    return { result: 'by the handler' }
  })
  const run = t.session.submit('execute', {})
  await t.work(() => ({ result: 'by polling' }))
  slow.open()
  expect(await run).toBe('by polling')
  expect(await t.told('external_task_completed')).toHaveLength(1)
})

test('a handler may use the session', async () => {
  await using t = externalSetup()
  t.session.setExternalTaskHandler(async ({ task_id }) => {
    const pending = await t.session.pendingExternalTasks()
    const read = await t.session.submitByTool('read', {})
    return { result: [pending.map((task) => task.task_id === task_id), read] }
  })
  expect(await t.session.submit('execute', {})).toEqual([[true], { output: 'read done', exit_code: 0 }])
})

test.each([[undefined], ['worker'], [{}], [5]])('%j is no handler', async (handler) => {
  await using t = sessionSetup()
  expect(thrownBy(() => t.session.setExternalTaskHandler(handler as never))['code']).toBe('CONFIG_INVALID')
})
