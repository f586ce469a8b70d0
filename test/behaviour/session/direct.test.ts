/** Direct submissions: what runs for each, batches, and tasks that are accepted before they are done. */
import { JsonCommand } from '@a3s-lab/lane'
import type { SessionLane } from '@a3s-lab/lane/session'
import { expect, test } from 'vitest'
import { externalSetup, sessionSetup } from '../../support/session.js'
import { errorOf, gate } from '../../support/setup.js'

test('in an external lane the payload is passed through unchanged, whatever could run here', async () => {
  await using t = externalSetup()
  t.session.handle('json', () => 'here')
  const run = t.session.submit('execute', { command: 'cargo test --workspace' })
  expect(await t.task()).toMatchObject({ command_type: 'json', payload: { command: 'cargo test --workspace' } })
  await t.work(({ payload }) => ({ result: payload }))
  expect(await run).toEqual({ command: 'cargo test --workspace' })
})

test('a commandType names a tool, or a handler, with the payload as its arguments', async () => {
  await using t = sessionSetup()
  t.session.handle('json', () => 'not this')
  t.session.handle('count', (payload) => [payload])
  expect(await t.session.submit('execute', { exit: 2 }, { commandType: 'bash' })).toEqual({
    output: 'bash done',
    exit_code: 2,
  })
  expect(await t.session.submit('query', 5, { commandType: 'count' })).toEqual([5])
})

test('a handler of type json runs what names no type', async () => {
  await using t = sessionSetup()
  t.session.handle('json', (payload, { commandType, laneId }) => [payload, commandType, laneId])
  expect(await t.session.submit('generate', { command: 'ls' })).toEqual([{ command: 'ls' }, 'json', 'generate'])
})

test('what the payload says decides when nothing else does', async () => {
  const routed: unknown[] = []
  await using t = sessionSetup({
    routeDirect: (lane, payload) => {
      routed.push([lane, payload])
      return (payload as { command?: string }).command === undefined ? undefined : 'bash'
    },
  })
  expect(await t.session.submit('execute', { command: 'ls' })).toMatchObject({ output: 'bash done' })
  expect((await errorOf(t.session.submit('execute', { path: 'x' })))['code']).toBe('HANDLER_NOT_FOUND')
  expect(routed).toEqual([
    ['execute', { command: 'ls' }],
    ['execute', { path: 'x' }],
  ])
  t.session.handle('json', () => 'json goes before')
  expect(await t.session.submit('execute', { command: 'ls' })).toBe('json goes before')
})

test('otherwise there is an error that names commandType and external mode, never an echo', async () => {
  await using t = sessionSetup()
  for (const payload of [{ command: 'ls' }, { a: 1 }, 'text', null]) {
    const { code, message } = await errorOf(t.session.submit('execute', payload))
    expect(code).toBe('HANDLER_NOT_FOUND')
    expect(message).toMatch(/commandType.*external/)
  }
  expect((await errorOf(t.session.submit('execute', {}, { commandType: 'json' })))['code']).toBe('HANDLER_NOT_FOUND')
  expect((await t.call('json')).is_error).toBe(true)
  expect(t.notes, 'execute is never asked for json').toEqual([])
})

test('an unknown commandType is named in the error', async () => {
  await using t = sessionSetup({ tools: false })
  const { code, message } = await errorOf(t.session.submit('execute', {}, { commandType: 'deploy' }))
  expect([code, message.includes("'deploy'")]).toEqual(['HANDLER_NOT_FOUND', true])
})

test('success false rejects with the error, an exit code other than 0 resolves', async () => {
  await using t = externalSetup()
  const failed = errorOf(t.session.submit('execute', {}))
  const exited = t.session.submit('execute', {}, { commandType: 'bash' })
  const [first, second] = await t.pending()
  await t.session.completeExternalTask(first?.task_id as string, { success: false, error: 'E' })
  await t.session.completeExternalTask(second?.task_id as string, { result: { output: '', exit_code: 7 } })
  expect([(await failed).message, await exited]).toEqual(['E', { output: '', exit_code: 7 }])
})

test('the options are those of the queue below', async () => {
  await using t = sessionSetup({ queueConfig: { executeMaxConcurrency: 1 } })
  const submit = (label: string, options: object): Promise<unknown> =>
    t.session.submit('execute', { ms: 10, label }, { commandType: 'bash', ...options })
  const runs = [
    submit('first', {}),
    submit('later', { delayMs: 1000 }),
    submit('urgent', { priority: 1 }),
    submit('normal', { id: 'my-id' }),
  ]
  const short = errorOf(submit('short', { timeoutMs: 5 }))
  const signal = new AbortController()
  const gone = errorOf(submit('gone', { signal: signal.signal }))
  signal.abort('not needed')
  await t.clock.advance(2000)
  await Promise.all(runs)
  expect([(await short)['code'], (await gone)['code']]).toEqual(['COMMAND_TIMEOUT', 'COMMAND_CANCELLED'])
  expect(t.notes.filter((note) => note.startsWith('+'))).toEqual(['+urgent', '+first', '+normal', '+short', '+later'])
})

test.each([[{ prio: 1 }], [{ timeoutMs: 0 }], [{ commandType: '' }], [{ commandType: 5 }], [null]])(
  'the options %j are refused',
  async (options) => {
    await using t = sessionSetup()
    t.session.handle('json', () => 1)
    const { code } = await errorOf(t.session.submit('execute', {}, options as never))
    expect(code).toBe('CONFIG_INVALID')
  },
)

test('no check is asked of what the program submits', async () => {
  const asked: unknown[] = []
  await using t = sessionSetup({
    permissions: (call) => {
      asked.push(call)
      return 'deny'
    },
    hooks: { preToolUse: ({ name }) => void asked.push(name), postToolUse: ({ name }) => void asked.push(name) },
  })
  expect(await t.session.submit('execute', {}, { commandType: 'bash' })).toMatchObject({ output: 'bash done' })
  expect(await t.session.submitByTool('write', {})).toMatchObject({ output: 'write done' })
  expect(asked).toEqual([])
})

test.each([
  ['read', 'query'],
  ['bash', 'execute'],
  ['pause', 'control'],
  ['mcp__x', 'execute'],
])('submitByTool runs %s in %s', async (name, lane) => {
  await using t = sessionSetup({ execute: (tool, args, { laneId }) => [tool, args, laneId] })
  expect(await t.session.submitByTool(name, { a: 1 })).toEqual([name, { a: 1 }, lane])
})

test('submitByTool in an external lane becomes a task with its payload kept', async () => {
  await using t = externalSetup()
  const run = t.session.submitByTool('bash', { command: 'ls', nested: { list: [1, null] } })
  expect(await t.task()).toMatchObject({
    command_type: 'bash',
    payload: { command: 'ls', nested: { list: [1, null] } },
  })
  await t.work()
  await run
  expect((await errorOf(t.session.submitByTool('', {})))['code']).toBe('CONFIG_INVALID')
})

test('an empty batch gives an empty list', async () => {
  await using t = sessionSetup()
  for (const lane of ['query', 'execute'] as const) expect(await t.session.submitBatch(lane, [])).toEqual([])
})

test('a batch to query runs together up to its limit, with results in input order', async () => {
  await using t = sessionSetup()
  const payloads = [50, 40, 30, 20, 10, 5].map((ms) => ({ ms, gives: ms }))
  const batch = t.session.submitBatch('query', payloads, { commandType: 'read' })
  await t.clock.advance(1000)
  expect(await batch).toEqual([50, 40, 30, 20, 10, 5])
  expect(t.most['query']).toBe(4)
})

test.each(['control', 'execute', 'generate'] as const)(
  'a batch to %s runs one after another in input order',
  async (lane) => {
    await using t = sessionSetup({ queueConfig: { generateMaxConcurrency: 5, executeMaxConcurrency: 5 } })
    const payloads = [30, 20, 10].map((ms) => ({ ms, label: ms, gives: ms }))
    const batch = t.session.submitBatch(lane, payloads, { commandType: 'work' })
    await t.clock.advance(60)
    expect(await t.clock.expectSettled(batch)).toEqual([30, 20, 10])
    expect(t.notes).toEqual(['+30', '-30', '+20', '-20', '+10', '-10'])
  },
)

test('a batch to an external lane is one task after another, in query all of them', async () => {
  await using t = externalSetup()
  await t.session.setLaneHandler('query', { mode: 'external' })
  const one = t.session.submitBatch('execute', [1, 2, 3])
  const waves: unknown[] = []
  for (let wave = 0; wave < 3; wave++) {
    await t.work(({ payload }) => {
      waves.push(payload)
      return { result: payload }
    })
  }
  const all = t.session.submitBatch('query', [4, 5, 6])
  expect(await t.pending()).toHaveLength(3)
  await t.work(({ payload }) => ({ result: payload }))
  expect([await one, waves, await all]).toEqual([
    [1, 2, 3],
    [1, 2, 3],
    [4, 5, 6],
  ])
})

test('the first failure rejects a batch: in query the others still run', async () => {
  await using t = sessionSetup({ queueConfig: { queryMaxConcurrency: 1 } })
  const payloads = [{ label: 'a' }, { label: 'b', fail: 'broken' }, { label: 'c', ms: 10 }]
  const batch = errorOf(t.session.submitBatch('query', payloads, { commandType: 'work' }))
  await t.clock.settle()
  expect((await t.clock.expectSettled(batch)).message).toBe('broken')
  await t.clock.advance(10)
  expect(t.notes).toEqual(['+a', '-a', '+b', '!b', '+c', '-c'])
})

test('the first failure rejects a batch: elsewhere those that have not begun never do', async () => {
  await using t = sessionSetup({ queueConfig: { executeMaxConcurrency: 4 } })
  const payloads = [{ label: 'a' }, { label: 'b', fail: 'broken' }, { label: 'c' }]
  expect((await errorOf(t.session.submitBatch('execute', payloads, { commandType: 'work' }))).message).toBe('broken')
  await t.clock.advance(1000)
  expect([t.notes, (await t.session.queueStats()).totalPending]).toEqual([['+a', '-a', '+b', '!b'], 0])
})

test('a batch with something that nothing runs, or an id, runs nothing', async () => {
  await using t = sessionSetup()
  expect((await errorOf(t.session.submitBatch('execute', [{}, {}])))['code']).toBe('HANDLER_NOT_FOUND')
  expect((await errorOf(t.session.submitBatch('execute', [{}], { id: 'x', commandType: 'bash' })))['code']).toBe(
    'CONFIG_INVALID',
  )
  expect((await errorOf(t.session.submitBatch('execute', {} as never)))['code']).toBe('CONFIG_INVALID')
  expect(t.notes).toEqual([])
})

test('submitTask resolves when the task is accepted, not when it is done', async () => {
  await using t = sessionSetup()
  const task = await t.session.submitTask(
    { id: 'slow', lane: 'Generate', payload: { ms: 500 } },
    { commandType: 'work' },
  )
  expect([task.id, task.lane]).toEqual(['slow', 'generate'])
  await t.clock.settle()
  expect(task.state).toBe('active')
  const result = task.result()
  await t.clock.advance(500)
  expect(await result).toMatchObject({ output: 'work done' })
  expect([task.state, task.cancel()]).toEqual(['completed', false])
})

test('an id that has not settled is the same task when lane and payload are equal', async () => {
  await using t = sessionSetup()
  const request = (payload: object, lane: SessionLane = 'execute') => ({ id: 'one', lane, payload })
  const options = { commandType: 'work' }
  const first = await t.session.submitTask(request({ ms: 50, a: [1, { b: 2 }] }), options)
  const again = await t.session.submitTask(request({ ms: 50, a: [1, { b: 2 }] }), options)
  const conflicts = [
    await errorOf(t.session.submitTask(request({ ms: 51, a: [1, { b: 2 }] }), options)),
    await errorOf(t.session.submitTask(request({ ms: 50, a: [1, { b: 2 }] }, 'query'), options)),
  ]
  expect(conflicts.map(({ code }) => code)).toEqual(['CONFLICT', 'CONFLICT'])
  expect(conflicts[0]?.message).toContain("'one'")
  await t.clock.advance(50)
  expect([await first.result(), await again.result(), t.notes]).toEqual([
    { output: 'work done', exit_code: 0 },
    { output: 'work done', exit_code: 0 },
    ['+work', '-work'],
  ])
})

test('two submits of the same task at the same moment are one command', async () => {
  await using t = sessionSetup()
  const request = { id: 'one', lane: 'execute', payload: { ms: 5 } } as const
  const tasks = await Promise.all([1, 2, 3].map(() => t.session.submitTask(request, { commandType: 'work' })))
  await t.clock.advance(5)
  expect(await Promise.all(tasks.map((task) => task.result()))).toHaveLength(3)
  expect(t.notes).toEqual(['+work', '-work'])
})

test('an id that has settled gives its answer again, and is no other task', async () => {
  await using t = sessionSetup()
  const submit = (gives: number) =>
    t.session.submitTask({ id: 'one', lane: 'execute', payload: { gives } }, { commandType: 'work' })
  expect([await (await submit(1)).result(), await (await submit(1)).result(), t.notes]).toEqual([
    1,
    1,
    ['+work', '-work'],
  ])
  expect((await errorOf(submit(2)))['code']).toBe('CONFLICT')
})

test('a background task in generate is overtaken by an urgent query', async () => {
  await using t = sessionSetup()
  const done: string[] = []
  const submit = async (id: string, lane: SessionLane, ms: number): Promise<void> => {
    const task = await t.session.submitTask({ id, lane, payload: { ms } }, { commandType: 'work' })
    void task.result().then(() => done.push(id))
  }
  await submit('background-analysis', 'generate', 1000)
  await submit('urgent-query', 'query', 10)
  await t.clock.advance(1000)
  expect(done).toEqual(['urgent-query', 'background-analysis'])
})

test('a task may be cancelled while it waits and while it runs, and waiting for it may be given up', async () => {
  await using t = sessionSetup({ queueConfig: { executeMaxConcurrency: 1 } })
  const submit = (id: string) =>
    t.session.submitTask({ id, lane: 'execute', payload: { ms: 50, label: id } }, { commandType: 'work' })
  const [running, waiting, kept] = [await submit('running'), await submit('waiting'), await submit('kept')]
  await t.clock.settle()
  expect([running.cancel('r'), waiting.cancel('w')]).toEqual([true, true])
  const errors = [await errorOf(running.result()), await errorOf(waiting.result())]
  expect(errors.map(({ message }) => message)).toEqual(['Command cancelled: r', 'Command cancelled: w'])
  const patience = new AbortController()
  const given = errorOf(kept.result({ signal: patience.signal }))
  patience.abort(new Error('impatient'))
  expect((await given).message).toBe('impatient')
  await t.clock.advance(100)
  expect([kept.state, t.notes]).toEqual(['completed', ['+running', '!running', '+kept', '-kept']])
})

test.each([
  [{ lane: 'execute', payload: {} }],
  [{ id: '', lane: 'execute', payload: {} }],
  [{ id: 5, lane: 'query' }],
  [null],
])('the task %j is refused', async (task) => {
  await using t = sessionSetup()
  expect((await errorOf(t.session.submitTask(task as never)))['code']).toBe('CONFIG_INVALID')
})

test('a handler gets the context of the queue: attempt, checkpoint, yield, progress, log, children', async () => {
  await using t = sessionSetup()
  const seen: unknown[] = []
  t.session.handle('json', async (payload, context) => {
    const { id, attempt, laneId, commandType, restored, signal, toolCallId, key } = context
    seen.push(payload, attempt, laneId, commandType, restored, signal.aborted, toolCallId, key, context.payload)
    await context.checkpoint({ step: 1 })
    await context.yield()
    context.progress(0.5)
    context.log('half way')
    return [id, await context.run('query', new JsonCommand('child', 1))]
  })
  t.session.handle('child', (payload, { laneId }) => [payload, laneId])
  t.session.submit('query', 0, { commandType: 'child' }).catch(() => undefined)
  const task = await t.session.submitTask({ id: 'me', lane: 'execute', payload: { a: 1 } }, { key: 'k' })
  expect(await task.result()).toEqual(['me', [1, 'query']])
  expect(seen).toEqual([{ a: 1 }, 1, 'execute', 'json', undefined, false, undefined, 'k', { a: 1 }])
})

test('work may be submitted before start, which is implied', async () => {
  await using t = sessionSetup()
  const begun = gate()
  t.session.handle('json', () => begun.open())
  const run = t.session.submit('execute', {})
  await t.clock.expectSettled(begun.promise)
  await run
  await t.session.start()
  await t.session.start()
  expect(t.session.isShuttingDown).toBe(false)
})
