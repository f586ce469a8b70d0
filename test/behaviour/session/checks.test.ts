/** What is asked before a call is queued: arguments, hook, permission, confirmation; and who is told. */
import type { CheckedCall, Confirmation, SessionQueueOptions } from '@a3s-lab/lane/session'
import { expect, test } from 'vitest'
import { aborted } from '../../support/bodies.js'
import { type SessionSetup, type SessionSetupOptions, sessionSetup } from '../../support/session.js'
import { gate } from '../../support/setup.js'

const ASK = { permissions: { otherwise: 'ask' } } as const
const BLOCKED = "Permission denied: Tool 'bash' is blocked by permission policy."

/** A session that asks about everything. */
const asking = (confirm?: SessionQueueOptions['confirm'], more: SessionSetupOptions = {}): SessionSetup =>
  sessionSetup({ ...ASK, ...more, ...(confirm === undefined ? {} : { confirm }) })

test('allow: it runs', async () => {
  await using t = sessionSetup({ permissions: () => 'allow' })
  expect(await t.call('bash')).toMatchObject({ output: 'bash done', is_error: false })
})

test('deny: it does not run, and its result says so', async () => {
  await using t = sessionSetup({ permissions: () => 'deny' })
  expect(await t.call('bash', { command: 'ls' })).toEqual({
    id: '1',
    name: 'bash',
    output: BLOCKED,
    exit_code: 1,
    is_error: true,
  })
  expect(await t.told('permission_denied')).toEqual([
    { type: 'permission_denied', tool_id: '1', tool_name: 'bash', args: { command: 'ls' }, reason: BLOCKED },
  ])
  expect(t.notes).toEqual([])
})

test.each(['read', 'bash', 'pause'])(
  'ask, and nobody can confirm: %s is denied, with the ways to allow it',
  async (name) => {
    await using t = asking()
    const { output, is_error } = await t.call(name)
    expect(is_error).toBe(true)
    expect(output).toMatch(/permissive: true.*permission policy.*confirmation handler/)
    expect(await t.told('permission_denied', 'confirmation_required')).toMatchObject([
      { type: 'permission_denied', tool_name: name, reason: output },
    ])
  },
)

test('permissive: everything runs, whatever the policy says', async () => {
  await using t = sessionSetup({ permissive: true, permissions: () => 'deny' })
  expect(await t.calls(['bash'], ['read'], ['rm'])).toMatchObject([
    { is_error: false },
    { is_error: false },
    { is_error: false },
  ])
})

test('permissive: hooks still hold', async () => {
  await using t = sessionSetup({ permissive: true, hooks: { preToolUse: () => ({ block: 'frozen' }) } })
  expect((await t.call('bash')).output).toBe('Permission denied: frozen')
})

test('a policy sees the call: id, name, arguments, lane', async () => {
  const seen: CheckedCall[] = []
  await using t = sessionSetup({
    permissions: async (call) => {
      seen.push(call)
      return 'allow' as const
    },
  })
  await t.calls(['grep', { pattern: 'x' }], ['bash'])
  expect(seen).toEqual([
    { id: '1', name: 'grep', args: { pattern: 'x' }, lane: 'query' },
    { id: '2', name: 'bash', args: {}, lane: 'execute' },
  ])
})

test.each([
  [
    'throws',
    () => {
      throw new Error('db down')
    },
  ],
  ['rejects', () => Promise.reject(new Error('db down'))],
  ['answers nonsense', () => 'yes' as never],
  ['answers nothing', () => undefined as never],
])('a policy that %s denies', async (_how, permissions) => {
  await using t = sessionSetup({ permissions })
  expect(await t.call('bash')).toMatchObject({ output: BLOCKED, is_error: true })
})

test('malformed arguments come before every check', async () => {
  const asked: string[] = []
  await using t = sessionSetup({
    hooks: { preToolUse: () => void asked.push('hook') },
    permissions: () => {
      asked.push('policy')
      return 'allow'
    },
  })
  expect((await t.call('bash', 'text')).is_error).toBe(true)
  expect([asked, await t.told('permission_denied')]).toEqual([[], []])
})

test('the order is hook, policy, confirmation, tool, hook', async () => {
  const order: string[] = []
  await using t = sessionSetup({
    hooks: { preToolUse: () => void order.push('before'), postToolUse: () => void order.push('after') },
    permissions: () => {
      order.push('policy')
      return 'ask'
    },
    confirm: () => {
      order.push('confirm')
      return true
    },
    execute: () => {
      order.push('tool')
      return ''
    },
  })
  await t.call('bash')
  expect(order).toEqual(['before', 'policy', 'confirm', 'tool', 'after'])
})

test('a hook that blocks refuses with its reason, before the policy is asked', async () => {
  const asked: unknown[] = []
  await using t = sessionSetup({
    hooks: { preToolUse: async ({ name }) => (name === 'bash' ? { block: 'no shell today' } : undefined) },
    permissions: (call) => {
      asked.push(call.name)
      return 'allow'
    },
  })
  expect((await t.calls(['bash'], ['write'])).map(({ output }) => output)).toEqual([
    'Permission denied: no shell today',
    'write done',
  ])
  expect(await t.told('permission_denied')).toMatchObject([{ tool_name: 'bash', reason: 'no shell today' }])
  expect(asked).toEqual(['write'])
})

test('a hook that throws blocks', async () => {
  await using t = sessionSetup({
    hooks: {
      preToolUse: () => {
        throw new Error('the guard is ill')
      },
    },
  })
  expect((await t.call('bash')).output).toBe('Permission denied: the guard is ill')
  expect(t.notes).toEqual([])
})

test('the hook after a tool sees its result, failures too, and is not called for refusals', async () => {
  const seen: unknown[] = []
  await using t = sessionSetup({
    permissions: { deny: ['rm'], otherwise: 'allow' },
    hooks: { postToolUse: async ({ name }, { output, exit_code }) => void seen.push([name, output, exit_code]) },
  })
  await t.calls(['bash', { exit: 2 }], ['write', { fail: 'E' }], ['rm'], ['edit', 'malformed'])
  expect(seen).toEqual([
    ['bash', 'bash done', 2],
    ['write', 'Tool execution error: E', 1],
  ])
})

test('a handler that confirms: required, received, run', async () => {
  const asked: unknown[] = []
  await using t = asking((request) => {
    const { signal, ...rest } = request
    asked.push({ ...rest, isAborted: signal.aborted })
    return true
  })
  expect(await t.call('bash', { command: 'ls' })).toMatchObject({ output: 'bash done' })
  expect(asked).toEqual([
    { id: '1', name: 'bash', args: { command: 'ls' }, lane: 'execute', timeoutMs: 30_000, isAborted: false },
  ])
  expect(await t.told('confirmation_required', 'confirmation_received', 'confirmation_timeout')).toEqual([
    { type: 'confirmation_required', tool_id: '1', tool_name: 'bash', args: { command: 'ls' }, timeout_ms: 30_000 },
    { type: 'confirmation_received', tool_id: '1', approved: true },
  ])
})

test.each<readonly [boolean | Confirmation, string]>([
  [false, "Tool 'bash' was rejected"],
  [{ approved: false }, "Tool 'bash' was rejected"],
  [{ approved: false, reason: 'too risky' }, "Tool 'bash' was rejected: too risky"],
])('a handler that answers %j rejects', async (answer, output) => {
  await using t = asking(async () => answer)
  expect(await t.call('bash')).toEqual({ id: '1', name: 'bash', output, exit_code: 1, is_error: true })
  expect(t.notes).toEqual([])
  expect(await t.told('confirmation_received')).toMatchObject([{ approved: false }])
})

test.each([
  ['throws', () => Promise.reject(new Error('no terminal'))],
  ['answers nonsense', () => 'yes' as never],
  ['answers nothing', () => undefined as never],
])('a handler that %s rejects', async (_how, handler) => {
  await using t = asking(handler)
  expect((await t.call('bash')).is_error).toBe(true)
  expect(t.notes).toEqual([])
})

test('somebody outside may answer, by the id of the call', async () => {
  await using t = asking({})
  const results = t.calls(['bash'], ['write'])
  await t.clock.settle()
  expect(t.session.confirmToolCall('9', true)).toBe(false)
  expect(t.session.confirmToolCall('1', true)).toBe(true)
  await t.clock.settle()
  expect([t.session.confirmToolCall('1', false), t.session.confirmToolCall('2', false, 'not that file')]).toEqual([
    false,
    true,
  ])
  expect((await results).map(({ output }) => output)).toEqual(['bash done', "Tool 'write' was rejected: not that file"])
  expect(await t.told('confirmation_received')).toEqual([
    { type: 'confirmation_received', tool_id: '1', approved: true },
    { type: 'confirmation_received', tool_id: '2', approved: false, reason: 'not that file' },
  ])
})

test('it may be answered as soon as it is told', async () => {
  await using t = asking({})
  const stream = t.session.subscribe({ types: ['confirmation_required'] })
  const answering = (async () => {
    for await (const event of stream) {
      if (event.type === 'confirmation_required') t.session.confirmToolCall(event.tool_id, true)
    }
  })()
  expect(await t.calls(['read'], ['grep'], ['bash'])).toMatchObject([
    { is_error: false },
    { is_error: false },
    { is_error: false },
  ])
  stream.close()
  await answering
})

test('the first answer wins, by the handler or from outside', async () => {
  const slow = gate<boolean>()
  const signals: AbortSignal[] = []
  await using t = asking({
    handler: ({ signal }) => {
      signals.push(signal)
      return slow.promise
    },
  })
  const results = t.calls(['bash'])
  await t.clock.settle()
  expect(t.session.confirmToolCall('1', true)).toBe(true)
  expect((await results)[0]?.output).toBe('bash done')
  expect(signals[0]?.aborted, 'nobody waits for the handler').toBe(true)
  slow.open(false)
  expect(await t.told('confirmation_received')).toHaveLength(1)
})

test('no answer in time rejects by default', async () => {
  await using t = asking({ timeoutMs: 5000 })
  const results = t.calls(['bash'])
  await t.clock.advance(4999)
  expect(await t.told('confirmation_timeout')).toEqual([])
  await t.clock.advance(1)
  expect((await results)[0]).toMatchObject({
    output: "Tool 'bash' was not confirmed within 5s, so it did not run",
    exit_code: 1,
  })
  expect(await t.told('confirmation_timeout', 'confirmation_received')).toEqual([
    { type: 'confirmation_timeout', tool_id: '1', action_taken: 'rejected' },
  ])
  expect([t.session.confirmToolCall('1', true), t.notes]).toEqual([false, []])
})

test('no answer in time approves when the policy says so', async () => {
  await using t = asking({ timeoutMs: 5000, onTimeout: 'auto_approve', handler: () => new Promise(() => undefined) })
  expect(await t.call('bash', {}, 5000)).toMatchObject({ output: 'bash done' })
  expect(await t.told('confirmation_timeout')).toEqual([
    { type: 'confirmation_timeout', tool_id: '1', action_taken: 'auto_approved' },
  ])
})

test('nobody is asked about tools of YOLO lanes', async () => {
  const asked: string[] = []
  await using t = asking({
    handler: ({ name }) => {
      asked.push(name)
      return false
    },
    yoloLanes: ['query', 'Control'],
  })
  const results = await t.calls(['read'], ['bash'], ['pause'], ['mcp__x'])
  expect(results.map(({ is_error }) => is_error)).toEqual([false, true, false, true])
  expect(asked).toEqual(['bash', 'mcp__x'])
})

test('YOLO lanes allow nothing that the policy denies', async () => {
  await using t = sessionSetup({ permissions: () => 'deny', confirm: { yoloLanes: ['execute'] } })
  expect((await t.call('bash')).output).toBe(BLOCKED)
})

test('query calls that need confirmation are asked about together, and run together', async () => {
  await using t = asking({})
  const results = t.calls(['read', { ms: 10 }], ['grep', { ms: 10 }], ['ls', { ms: 10 }])
  await t.clock.settle()
  expect(await t.told('confirmation_required')).toHaveLength(3)
  expect([
    t.session.confirmToolCall('3', true),
    t.session.confirmToolCall('1', true),
    t.session.confirmToolCall('2', false),
  ]).toEqual([true, true, true])
  await t.clock.advance(10)
  expect((await t.clock.expectSettled(results)).map(({ is_error }) => is_error)).toEqual([false, true, false])
  expect(t.notes).toEqual(['+read', '+ls', '-read', '-ls'])
})

test('a turn that ends meanwhile ends the question: the signal of the handler aborts, nothing runs', async () => {
  const reasons: unknown[] = []
  await using t = asking({
    handler: async ({ signal }) => {
      reasons.push(await aborted({ signal }))
      return true
    },
  })
  const turn = new AbortController()
  const results = t.session.runToolCalls([{ id: '1', name: 'bash' }], { signal: turn.signal })
  await t.clock.settle()
  turn.abort('gone')
  expect((await t.clock.expectSettled(results))[0]).toMatchObject({
    output: 'Tool execution error: Command cancelled: gone',
    is_error: true,
  })
  await t.clock.settle()
  expect([reasons.length, t.notes, t.session.confirmToolCall('1', true), t.clock.timers]).toEqual([1, [], false, 0])
})

test('cancel and close end the question too', async () => {
  await using t = asking({})
  const first = t.calls(['bash'])
  await t.clock.settle()
  await t.session.cancel({ reason: 'stop' })
  expect((await t.clock.expectSettled(first))[0]?.output).toBe('Tool execution error: Command cancelled: stop')
  const second = t.calls(['bash'])
  await t.clock.settle()
  const closed = t.session.close({ timeoutMs: 10 })
  await t.clock.advance(10)
  await t.clock.expectSettled(closed)
  expect((await t.clock.expectSettled(second))[0]?.output).toBe('Tool execution error: Session queue is shutting down')
  expect(t.notes).toEqual([])
})

test.each(['hook', 'policy'] as const)(
  'a %s that never answers does not hold up the end of its turn',
  async (which) => {
    const never = (): Promise<never> => new Promise(() => undefined)
    await using t = sessionSetup(which === 'hook' ? { hooks: { preToolUse: never } } : { permissions: never })
    const turn = new AbortController()
    const results = t.session.runToolCalls(
      [
        { id: '1', name: 'read' },
        { id: '2', name: 'bash' },
      ],
      { signal: turn.signal },
    )
    await t.clock.settle()
    turn.abort('gone')
    expect(await t.clock.expectSettled(results)).toMatchObject([{ is_error: true }, { is_error: true }])
    const cancelled = t.calls(['bash'])
    await t.clock.settle()
    await t.session.cancel()
    expect(await t.clock.expectSettled(cancelled)).toMatchObject([{ is_error: true }])
  },
)

test('two questions with the same id are answered by one answer', async () => {
  await using t = asking({})
  const calls = [
    { id: 'same', name: 'read' },
    { id: 'same', name: 'grep' },
  ]
  const results = t.session.runToolCalls(calls)
  await t.clock.settle()
  expect([t.session.confirmToolCall('same', true), t.session.confirmToolCall('same', true)]).toEqual([true, false])
  expect(await t.clock.expectSettled(results)).toMatchObject([{ is_error: false }, { is_error: false }])
})
