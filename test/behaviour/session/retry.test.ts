/** What is tried again, and how long an attempt may take. */
import { RetryPolicy, UnrecoverableError } from '@a3s-lab/lane'
import type { SessionLane, SessionQueueConfigInput } from '@a3s-lab/lane/session'
import { expect, test } from 'vitest'
import { externalSetup, type SessionSetup, sessionSetup } from '../../support/session.js'
import { errorOf } from '../../support/setup.js'

/** How often a call that always fails was begun, and at which instants. */
async function beginnings(t: SessionSetup, name: string, args: object = {}): Promise<number[]> {
  const at: number[] = []
  t.session.handle(name, () => {
    at.push(t.clock.now())
    throw new Error('broken')
  })
  const { output, exit_code } = await t.call(name, args, 600_000)
  return output === 'Tool execution error: broken' && exit_code === 1 ? at : []
}

const QUERY = ['read', 'glob', 'ls', 'grep', 'list_files', 'search', 'web_fetch', 'web_search']

test.each(QUERY)('without a retry policy %s is tried three times more, after 100, 200 and 400 ms', async (name) => {
  await using t = sessionSetup()
  expect(await beginnings(t, name)).toEqual([0, 100, 300, 700])
})

test.each(['bash', 'write', 'edit', 'delete', 'move', 'copy', 'execute', 'task', 'pause', 'mcp__x'])(
  'without a retry policy %s is not tried again',
  async (name) => {
    await using t = sessionSetup()
    expect(await beginnings(t, name)).toEqual([0])
  },
)

test('without a retry policy a model call is not made again', async () => {
  await using t = sessionSetup()
  let calls = 0
  const model = t.session.callModel('prompt', () => {
    calls++
    throw new Error('overloaded')
  })
  expect((await errorOf(model)).message).toBe('overloaded')
  await t.clock.advance(100_000)
  expect(calls).toBe(1)
})

test('without a retry policy a query tool is tried again in hybrid mode, not in external mode', async () => {
  await using t = sessionSetup()
  await t.session.setLaneHandler('query', { mode: 'hybrid' })
  expect(await beginnings(t, 'read')).toHaveLength(4)
  await t.session.setLaneHandler('query', { mode: 'external' })
  const call = t.calls(['read'])
  await t.work(() => ({ success: false, error: 'no disk' }))
  expect(await t.clock.expectSettled(call)).toMatchObject([{ output: 'Tool execution error: no disk' }])
  await t.clock.advance(100_000)
  expect((await t.told('external_task_pending')).filter((task) => task['command_type'] === 'read')).toHaveLength(5)
})

test('without a retry policy a direct submission is tried again only when it runs a query tool', async () => {
  await using t = sessionSetup()
  const submit = (commandType: string): Promise<unknown> =>
    t.session.submit('query', { failing: 2, label: commandType }, { commandType })
  const read = submit('read')
  const other = errorOf(submit('index'))
  await t.clock.advance(1000)
  expect(await read).toMatchObject({ output: 'read done' })
  expect((await other).message).toBe('attempt 1 failed')
})

const POLICIES: readonly (readonly [SessionQueueConfigInput['retryPolicy'], number[]])[] = [
  [{ strategy: 'exponential' }, [0, 100, 300, 700]],
  [{}, [0, 100, 300, 700]],
  [{ maxRetries: 2, initialDelayMs: 1000 }, [0, 1000, 3000]],
  [{ max_retries: 1, initial_delay_ms: 50_000 }, [0, 50_000]],
  [{ strategy: 'exponential', maxRetries: 4, initialDelayMs: 10_000 }, [0, 10_000, 30_000, 60_000, 90_000]],
  [{ strategy: 'fixed', maxRetries: 5, fixedDelayMs: 1000 }, [0, 1000, 2000, 3000, 4000, 5000]],
  [{ strategy: 'fixed', fixed_delay_ms: 500 }, [0, 500, 1000, 1500]],
  [{ strategy: 'none' }, [0]],
  [{ maxRetries: 0 }, [0]],
]

test.each(POLICIES)('a retry policy %j holds for every lane', async (retryPolicy, instants) => {
  for (const name of ['read', 'bash', 'pause']) {
    await using t = sessionSetup({ queueConfig: { retryPolicy } })
    expect(await beginnings(t, name)).toEqual(instants)
  }
})

test('a retry policy holds for model calls', async () => {
  await using t = sessionSetup({ queueConfig: { retryPolicy: { maxRetries: 1 } } })
  let calls = 0
  const text = t.session.callModel('prompt', () => {
    if (++calls === 1) throw new Error('overloaded')
    return 'text'
  })
  await t.clock.advance(100)
  expect(await text).toBe('text')
})

test('a retry policy holds for external attempts: each is a new task of the same command', async () => {
  await using t = externalSetup({ queueConfig: { retryPolicy: { maxRetries: 2 } } })
  const call = t.calls(['bash', { command: 'ls' }])
  const first = await t.task()
  await t.work(() => ({ success: false, error: 'worker lost' }))
  expect(await t.pending()).toEqual([])
  await t.clock.advance(100)
  const second = await t.task()
  expect(await t.session.completeExternalTask(first.task_id, { result: 'late' })).toBe(false)
  expect([first.command_id === second.command_id, first.task_id === second.task_id]).toEqual([true, false])
  expect([first.attempt, second.attempt]).toEqual([1, 2])
  await t.work()
  expect(await t.clock.expectSettled(call)).toMatchObject([{ output: 'from outside', is_error: false }])
})

test('an external attempt that times out is retried with a policy, and its late answer is refused', async () => {
  await using t = externalSetup({
    timeoutMs: 1000,
    queueConfig: { retryPolicy: { strategy: 'fixed', maxRetries: 1, fixedDelayMs: 10 } },
  })
  const call = t.calls(['bash'])
  const first = await t.task()
  await t.clock.advance(1000)
  expect(await t.session.completeExternalTask(first.task_id, { result: 'late' })).toBe(false)
  await t.clock.advance(10)
  await t.work()
  expect(await t.clock.expectSettled(call)).toMatchObject([{ output: 'from outside' }])
})

test('a direct external submission is retried when its options ask for it', async () => {
  await using t = externalSetup()
  const run = t.session.submit('execute', { n: 1 }, { retry: RetryPolicy.fixed(1, 5) })
  await t.work(() => ({ success: false }))
  await t.clock.advance(5)
  await t.work(() => ({ result: 7 }))
  expect(await t.clock.expectSettled(run)).toBe(7)
})

test.each(['read', 'bash'])('an exit code other than 0 of %s is no failure of the command', async (name) => {
  await using t = sessionSetup({ queueConfig: { enableDlq: true, retryPolicy: {} } })
  expect(await t.call(name, { exit: 2 }, 10_000)).toEqual({
    id: '1',
    name,
    output: `${name} done`,
    exit_code: 2,
    is_error: true,
  })
  expect([t.notes, await t.session.deadLetters(), await t.told('command_retry')]).toEqual([
    [`+${name}`, `-${name}`],
    [],
    [],
  ])
})

test('bad arguments, a missing handler, a refusal and a cancellation are never retried', async () => {
  await using t = sessionSetup({
    tools: false,
    queueConfig: { enableDlq: true, retryPolicy: {} },
    permissions: { deny: ['rm'], otherwise: 'allow' },
  })
  t.session.handle('read', () => {
    throw new UnrecoverableError('the path is missing')
  })
  t.session.handle('bash', (args, context) => t.run('bash', args, context))
  const cancelled = new AbortController()
  const long = t.session.runToolCalls([{ id: '1', name: 'bash', args: { ms: 500 } }], { signal: cancelled.signal })
  await t.clock.advance(100)
  cancelled.abort('enough')
  const outputs = [...(await t.calls(['read'], ['read', 'not an object'], ['nothing'], ['rm'])), ...(await long)]
  await t.clock.advance(100_000)
  expect(outputs.map(({ output }) => output)).toEqual([
    'Tool execution error: the path is missing',
    "Invalid arguments for tool 'read': an object is expected, got text",
    "Tool execution error: No handler is registered for command type 'nothing'",
    "Permission denied: Tool 'rm' is blocked by permission policy.",
    'Tool execution error: Command cancelled: enough',
  ])
  expect(await t.told('command_retry')).toEqual([])
  expect((await t.session.deadLetters()).map(({ error }) => error)).toEqual(['the path is missing'])
})

const LANE_OF: readonly (readonly [SessionLane, string])[] = [
  ['control', 'pause'],
  ['query', 'read'],
  ['execute', 'bash'],
  ['generate', 'llm'],
]

test.each(LANE_OF)('the default timeout limits each attempt in %s from its start', async (lane, commandType) => {
  await using t = sessionSetup({
    queueConfig: { defaultTimeoutMs: 1000, retryPolicy: { strategy: 'fixed', maxRetries: 1, fixedDelayMs: 500 } },
  })
  const run = errorOf(t.session.submit(lane, { ms: 5000 }, { commandType }))
  await t.clock.advance(1000 + 500 + 1000)
  const { code, message } = await t.clock.expectSettled(run)
  expect([code, message, t.clock.now()]).toEqual(['COMMAND_TIMEOUT', 'Command timed out after 1s', 2500])
})

test("a lane's timeout goes before the default one, and a submit's before both", async () => {
  await using t = sessionSetup({
    queueConfig: {
      defaultTimeoutMs: 1000,
      laneTimeouts: { execute: 3000, generate: 7000 },
      retryPolicy: { strategy: 'none' },
    },
  })
  const ends: Record<string, number> = {}
  const until = async (name: string, run: Promise<unknown>): Promise<void> => {
    expect((await errorOf(run))['code']).toBe('COMMAND_TIMEOUT')
    ends[name] = t.clock.now()
  }
  const work = { commandType: 'work' }
  const all = [
    until('query', t.session.submit('query', { ms: 1e6 }, work)),
    until('execute', t.session.submit('execute', { ms: 1e6 }, work)),
    until('own', t.session.submit('execute', { ms: 1e6 }, { ...work, timeoutMs: 500 })),
    until(
      'generate',
      t.session.callModel('prompt', (_payload, context) => t.run('llm', { ms: 1e6 }, context)),
    ),
  ]
  await t.clock.advance(10_000)
  await t.clock.expectSettled(Promise.all(all))
  expect(ends).toEqual({ own: 500, query: 1000, execute: 3000, generate: 7000 })
})

test('without any timeout an attempt takes as long as it takes', async () => {
  await using t = sessionSetup()
  expect(await t.call('bash', { ms: 86_400_000 }, 86_400_000)).toMatchObject({ output: 'bash done', is_error: false })
})

test('the time spent waiting for a slot is not counted', async () => {
  await using t = sessionSetup({ queueConfig: { executeMaxConcurrency: 1, defaultTimeoutMs: 1000 } })
  const runs = [1, 2, 3].map(() => t.session.submit('execute', { ms: 900 }, { commandType: 'work' }))
  await t.clock.advance(2700)
  expect(await t.clock.expectSettled(Promise.all(runs))).toHaveLength(3)
})

test.each([
  ['longer', 10_000, 1000, 9999],
  ['shorter', 1000, 10_000, 999],
])(
  'the timeout of an external handler that is %s than its lane governs alone',
  async (_how, handlerMs, laneMs, upTo) => {
    await using t = externalSetup({ timeoutMs: handlerMs, queueConfig: { defaultTimeoutMs: laneMs } })
    const call = t.calls(['bash'])
    await t.clock.advance(upTo)
    expect((await t.task()).remaining_ms).toBe(1)
    await t.clock.advance(1)
    expect(await t.pending()).toEqual([])
    const seconds = handlerMs / 1000
    expect(await t.clock.expectSettled(call)).toMatchObject([
      { output: `Tool execution error: Command timed out after ${seconds}s`, exit_code: 1, is_error: true },
    ])
  },
)

test("an external handler's timeout governs whatever the submit says", async () => {
  await using t = externalSetup({ timeoutMs: 5000 })
  const run = errorOf(t.session.submit('execute', {}, { timeoutMs: 10 }))
  await t.clock.advance(4999)
  expect(await t.pending()).toHaveLength(1)
  await t.clock.advance(1)
  expect((await t.clock.expectSettled(run))['code']).toBe('COMMAND_TIMEOUT')
})
