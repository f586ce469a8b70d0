/** Tool calls made from inside a running command: they take no slot of their own. */
import type { ToolCall, ToolContext, ToolResult } from '@a3s-lab/lane/session'
import { expect, test } from 'vitest'
import { externalSetup, type SessionSetup, sessionSetup } from '../../support/session.js'
import { errorOf, gate } from '../../support/setup.js'

/** A tool `batch` that calls the tools it is given, and gives back their outputs. */
function withBatch(t: SessionSetup): void {
  t.session.handle('batch', async ({ calls }: { calls: ToolCall[] }, { runToolCalls }: ToolContext) => {
    const results = await runToolCalls(calls)
    return { output: results.map(({ output }) => output).join(', ') }
  })
}

const inner = (name: string, args: object = {}): ToolCall => ({ id: `inner ${name}`, name, args })

test('in a lane of one a tool may call tools of its own lane', async () => {
  await using t = sessionSetup({ queueConfig: { executeMaxConcurrency: 1, maxConcurrency: 1 } })
  withBatch(t)
  const call = t.calls(['batch', { calls: [inner('bash', { ms: 10 }), inner('write'), inner('read')] }])
  await t.clock.advance(10)
  expect((await t.clock.expectSettled(call))[0]?.output).toBe('bash done, write done, read done')
  expect(t.notes).toEqual(['+read', '-read', '+bash', '-bash', '+write', '-write'])
})

test('nesting may go deep in a lane of one', async () => {
  await using t = sessionSetup({ queueConfig: { executeMaxConcurrency: 1 } })
  t.session.handle('task', async ({ depth }: { depth: number }, { runToolCalls }: ToolContext) => {
    if (depth === 0) return 'bottom'
    const [result] = await runToolCalls([inner('task', { depth: depth - 1 })])
    return `${depth} ${result?.output}`
  })
  expect((await t.call('task', { depth: 5 })).output).toBe('5 4 3 2 1 bottom')
})

test('a nested call takes no slot, and is no command of the queue', async () => {
  await using t = sessionSetup()
  const seen: number[] = []
  t.session.handle('read', async () => {
    seen.push((await t.session.queueStats()).totalActive)
    return 'x'
  })
  withBatch(t)
  await t.call('batch', { calls: [inner('read'), inner('read')] })
  const { lanes } = await t.session.queueStats()
  expect([seen, lanes.execute?.completed, lanes.query?.completed]).toEqual([[1, 1], 1, 0])
})

test('the lane mode of a nested call holds: in an external lane it is an external task', async () => {
  await using t = externalSetup({ queueConfig: { executeMaxConcurrency: 1 } })
  await t.session.setLaneHandler('execute', { mode: 'internal' })
  withBatch(t)
  t.session.handle('batch', async (_args, { runToolCalls }) => {
    await t.session.setLaneHandler('execute', { mode: 'external', timeoutMs: 500 })
    return (await runToolCalls([inner('bash', { command: 'ls' }), inner('write')]))[1]
  })
  const call = t.calls(['batch'])
  const task = await t.task()
  expect(task).toMatchObject({ command_type: 'bash', lane: 'execute', payload: { command: 'ls' }, timeout_ms: 500 })
  await t.work()
  await t.clock.advance(500)
  expect((await t.clock.expectSettled(call))[0]?.output).toBe('Tool execution error: Command timed out after 500ms')
  expect([await t.pending(), t.notes]).toEqual([[], []])
})

test('a nested hybrid call is told and runs here', async () => {
  await using t = sessionSetup()
  withBatch(t)
  await t.session.setLaneHandler('query', { mode: 'hybrid' })
  expect((await t.call('batch', { calls: [inner('read')] })).output).toBe('read done')
  expect(await t.told('external_task_completed')).toMatchObject([
    { command_type: 'read', lane: 'query', success: true },
  ])
})

test("a nested call has its lane's timeout, and its caller goes on", async () => {
  await using t = sessionSetup({ queueConfig: { laneTimeouts: { query: 100 } } })
  withBatch(t)
  const call = t.calls(['batch', { calls: [inner('read', { ms: 1000 }), inner('bash')] }])
  await t.clock.advance(100)
  expect((await t.clock.expectSettled(call))[0]?.output).toBe(
    'Tool execution error: Command timed out after 100ms, bash done',
  )
})

test('checks hold for nested calls', async () => {
  await using t = sessionSetup({ permissions: { deny: ['rm'], ask: ['write'], otherwise: 'allow' } })
  withBatch(t)
  const { output } = await t.call('batch', { calls: [inner('rm'), inner('write'), inner('read')] })
  expect(output).toContain("Permission denied: Tool 'rm' is blocked by permission policy.")
  expect(output).toContain("Tool 'write' needs confirmation")
  expect(output).toContain('read done')
  expect((await t.told('permission_denied')).map(({ tool_name }) => tool_name)).toEqual(['rm', 'write'])
  expect(t.notes).toEqual(['+read', '-read'])
})

test('ending the turn ends the nested calls too', async () => {
  await using t = sessionSetup()
  withBatch(t)
  const turn = new AbortController()
  const call = t.session.runToolCalls(
    [{ id: '1', name: 'batch', args: { calls: [inner('bash', { ms: 1000 }), inner('write')] } }],
    { signal: turn.signal },
  )
  await t.clock.advance(10)
  turn.abort('over')
  expect((await t.clock.expectSettled(call))[0]?.is_error).toBe(true)
  await t.clock.advance(5000)
  expect(t.notes).toEqual(['+bash', '!bash'])
})

test('a nested external task is withdrawn with its caller', async () => {
  await using t = externalSetup()
  t.session.handle('agent', async (_payload, { runToolCalls }) => runToolCalls([inner('bash')]))
  const task = await t.session.submitTask({ id: 'a', lane: 'query', payload: {} }, { commandType: 'agent' })
  const { task_id } = await t.task()
  task.cancel()
  await errorOf(task.result())
  expect([await t.pending(), await t.session.completeExternalTask(task_id, {})]).toEqual([[], false])
})

test('a direct submission may call tools and a model in its slot', async () => {
  await using t = sessionSetup({ queueConfig: { maxConcurrency: 1 } })
  t.session.handle('agent', async (_payload, context) => {
    const text = await t.session.callModel('prompt', () => 'think', { parent: context })
    const [result] = await context.runToolCalls([inner('bash')])
    return [text, result?.output]
  })
  const run = t.session.submit('execute', {}, { commandType: 'agent' })
  expect(await t.clock.expectSettled(run)).toEqual(['think', 'bash done'])
})

test('a command that has ended can call no more tools', async () => {
  await using t = sessionSetup()
  const late = gate<ToolContext>()
  t.session.handle('json', (_payload, context) => late.open(context))
  await t.session.submit('execute', {})
  const [result] = await (await late.promise).runToolCalls([inner('bash')])
  expect([result?.is_error, result?.output, t.notes]).toEqual([
    true,
    'Tool execution error: The command that calls this tool has ended',
    [],
  ])
})

test("a parent that is no context of the session's is refused", async () => {
  await using t = sessionSetup()
  expect((await errorOf(t.session.runToolCalls([], { parent: {} })))['code']).toBe('CONFIG_INVALID')
})

test('nested calls of a running command still run while the session shuts down', async () => {
  await using t = sessionSetup()
  const results: ToolResult[] = []
  t.session.handle('agent', async (_payload, { runToolCalls }) => {
    await t.sleep(100)
    results.push(...(await runToolCalls([inner('bash')])))
  })
  const run = t.session.submit('execute', {}, { commandType: 'agent' })
  await t.clock.settle()
  await t.session.shutdown()
  await t.clock.advance(100)
  await t.clock.expectSettled(run)
  expect(results).toMatchObject([{ output: 'bash done' }])
})
