/** The calls of one turn: what runs together, what one after another, and one result for each in call order. */
import type { ToolCall } from '@a3s-lab/lane/session'
import { expect, test } from 'vitest'
import { externalSetup, sessionSetup } from '../../support/session.js'
import { errorOf } from '../../support/setup.js'

test('no calls give no results', async () => {
  await using t = sessionSetup()
  expect(await t.calls()).toEqual([])
})

test.each([2, 3, 4, 8, 20])('%i query calls run in parallel up to the limit', async (count) => {
  await using t = sessionSetup()
  const results = t.calls(...Array.from({ length: count }, () => ['read', { ms: 10 }] as const))
  await t.clock.advance(Math.ceil(count / 4) * 10)
  expect(await t.clock.expectSettled(results)).toHaveLength(count)
  expect(t.most['query']).toBe(Math.min(count, 4))
})

test('query calls of different tools run in parallel', async () => {
  await using t = sessionSetup()
  const results = t.calls(['glob', { ms: 10 }], ['ls', { ms: 10 }], ['list_files', { ms: 10 }], ['grep', { ms: 10 }])
  await t.clock.advance(10)
  await t.clock.expectSettled(results)
  expect(t.notes.slice(0, 4)).toEqual(['+glob', '+ls', '+list_files', '+grep'])
})

test('all other calls run one after another in call order, over all lanes', async () => {
  await using t = sessionSetup({ queueConfig: { executeMaxConcurrency: 8, controlMaxConcurrency: 8 } })
  const results = t.calls(
    ['bash', { ms: 30 }],
    ['pause', { ms: 20 }],
    ['write', { ms: 10 }],
    ['mcp__x', { ms: 5 }],
    ['resume', { ms: 1 }],
  )
  await t.clock.advance(66)
  await t.clock.expectSettled(results)
  const names = ['bash', 'pause', 'write', 'mcp__x', 'resume']
  expect(t.notes).toEqual(names.flatMap((name) => [`+${name}`, `-${name}`]))
})

test('query calls settle first, wherever they stand', async () => {
  await using t = sessionSetup()
  const results = t.calls(['write', { ms: 5 }], ['read', { ms: 20 }], ['bash', { ms: 5 }], ['grep', { ms: 10 }])
  await t.clock.advance(30)
  await t.clock.expectSettled(results)
  expect(t.notes).toEqual(['+read', '+grep', '-grep', '-read', '+write', '-write', '+bash', '-bash'])
})

test('results come in call order, whatever the order of finishing', async () => {
  await using t = sessionSetup({ permissions: { deny: ['rm'], otherwise: 'allow' } })
  const results = t.calls(
    ['write', { ms: 10 }],
    ['read', { ms: 40 }],
    ['rm'],
    ['grep', { ms: 5 }],
    ['bash', 'malformed'],
    ['glob', 'malformed too'],
    ['bash', { fail: 'E' }],
    ['ls', { ms: 20 }],
  )
  await t.clock.advance(1000)
  expect((await results).map(({ id, name, is_error }) => [id, name, is_error])).toEqual([
    ['1', 'write', false],
    ['2', 'read', false],
    ['3', 'rm', true],
    ['4', 'grep', false],
    ['5', 'bash', true],
    ['6', 'glob', true],
    ['7', 'bash', true],
    ['8', 'ls', false],
  ])
})

test('the next call is checked when the one before has settled', async () => {
  const asked: string[] = []
  await using t = sessionSetup({
    permissions: ({ id }) => {
      asked.push(`${id} after ${t.notes.length}`)
      return 'allow'
    },
  })
  await t.calls(['bash'], ['write'], ['edit'], ['read'], ['grep'])
  expect(asked).toEqual(['4 after 0', '5 after 0', '1 after 4', '2 after 6', '3 after 8'])
})

test('a call that fails its checks never reaches the queue', async () => {
  await using t = sessionSetup({ permissions: { deny: ['bash', 'read'], otherwise: 'allow' } })
  const stream = t.session.subscribe({ types: ['queue.command.submitted'] })
  await t.calls(['read'], ['bash'], ['write'])
  await t.session.close()
  let submitted = 0
  for await (const _event of stream) submitted++
  expect([submitted, t.notes]).toEqual([1, ['+write', '-write']])
})

test('a failure, a timeout, an external failure are results, and the other calls go on', async () => {
  await using t = externalSetup({ timeoutMs: 100, queueConfig: { laneTimeouts: { query: 50 } } })
  const results = t.calls(['web_fetch', { fail: 'E' }], ['read', { ms: 80 }], ['bash'], ['write'], ['pause'])
  await t.clock.advance(5000)
  expect((await results).map(({ output, exit_code, is_error }) => [output, exit_code, is_error])).toEqual([
    ['Tool execution error: E', 1, true],
    ['Tool execution error: Command timed out after 50ms', 1, true],
    ['Tool execution error: Command timed out after 100ms', 1, true],
    ['Tool execution error: Command timed out after 100ms', 1, true],
    ['pause done', 0, false],
  ])
})

test('a failure of the queue is never followed by a local run', async () => {
  await using t = externalSetup()
  const results = t.calls(['bash'], ['write'])
  await t.pending()
  await t.session.shutdown()
  expect((await t.clock.expectSettled(results)).map(({ output }) => output)).toEqual([
    'Tool execution error: Session queue is shutting down',
    expect.stringMatching(/^Tool execution error: .*shut/),
  ])
  expect(t.notes).toEqual([])
})

test('calls with the same id are calls of their own', async () => {
  await using t = sessionSetup()
  const calls: ToolCall[] = ['a', 'b', 'c'].map((label) => ({ id: 'same', name: 'read', args: { label } }))
  expect((await t.session.runToolCalls(calls)).map(({ output }) => output)).toEqual(['a done', 'b done', 'c done'])
})

test('two turns share the lanes', async () => {
  await using t = sessionSetup({ queueConfig: { queryMaxConcurrency: 3, executeMaxConcurrency: 1 } })
  const reads = Array.from({ length: 6 }, () => ['read', { ms: 10 }] as const)
  const turns = [t.calls(...reads, ['bash', { ms: 10 }]), t.calls(...reads, ['bash', { ms: 10 }])]
  await t.clock.advance(100)
  await Promise.all(turns)
  expect([t.most['query'], t.most['execute']]).toEqual([3, 1])
})

test('a signal that has aborted lets nothing begin, and rejects nothing', async () => {
  await using t = sessionSetup()
  const calls = [
    { id: '1', name: 'read' },
    { id: '2', name: 'bash' },
  ]
  const results = await t.session.runToolCalls(calls, { signal: AbortSignal.abort('never') })
  expect(results.map(({ output }) => output)).toEqual([
    'Tool execution error: Command cancelled: never',
    'Tool execution error: Command cancelled: never',
  ])
  expect(t.notes).toEqual([])
})

test('a signal ends what runs and what has not begun', async () => {
  await using t = sessionSetup()
  const turn = new AbortController()
  const calls = ['read', 'grep', 'bash', 'write'].map((name, index) => ({ id: String(index), name, args: { ms: 100 } }))
  const results = t.session.runToolCalls(calls, { signal: turn.signal })
  await t.clock.advance(150)
  turn.abort('enough')
  expect((await t.clock.expectSettled(results)).map(({ is_error }) => is_error)).toEqual([false, false, true, true])
  await t.clock.advance(1000)
  expect(t.notes).toEqual(['+read', '+grep', '-read', '-grep', '+bash', '!bash'])
})

test('commands of calls may be given options of the queue', async () => {
  await using t = sessionSetup({ execute: (_name, _args, { key }) => ({ output: String(key) }) })
  expect(await t.session.runToolCalls([{ id: '1', name: 'bash' }], { submit: { key: 'user-1' } })).toMatchObject([
    { output: 'user-1' },
  ])
})

test('a tool is told its call', async () => {
  await using t = sessionSetup({
    execute: (name, args, { toolCallId, commandType }) => [name, args, toolCallId, commandType],
  })
  expect((await t.call('bash', { a: 1 })).output).toBe('["bash",{"a":1},"1","bash"]')
})

test.each([
  ['bash'],
  [null],
  [{ id: '1', name: 'bash' }],
  [[null]],
  [[{ id: '1' }]],
  [[{ name: 'bash' }]],
  [[{ id: 1, name: 'bash' }]],
])('what is no list of calls is refused: %j', async (calls) => {
  await using t = sessionSetup()
  expect((await errorOf(t.session.runToolCalls(calls as never)))['code']).toBe('CONFIG_INVALID')
})

test('a nameless call id is refused before anything runs', async () => {
  await using t = sessionSetup()
  const error = await errorOf(
    t.session.runToolCalls([
      { id: '1', name: 'bash' },
      { id: '', name: 'bash' },
    ]),
  )
  expect([error['code'], error.message.includes('calls[1].id'), t.notes]).toEqual(['CONFIG_INVALID', true, []])
})
