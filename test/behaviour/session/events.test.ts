/** What a session tells: each event with its payload, in order, and what a slow reader gets. */
import { RetryAfterError } from '@a3s-lab/lane'
import type { SessionEvent } from '@a3s-lab/lane/session'
import { expect, test } from 'vitest'
import { externalSetup, sessionSetup } from '../../support/session.js'
import { errorOf, thrownBy } from '../../support/setup.js'

test('external_task_completed says everything of its task', async () => {
  await using t = externalSetup({ sessionId: 'me' })
  const run = t.session.submit('execute', {})
  const { task_id, command_id } = await t.task()
  await t.work()
  await run
  expect(await t.told('external_task_completed')).toEqual([
    {
      type: 'external_task_completed',
      task_id,
      session_id: 'me',
      success: true,
      lane: 'execute',
      command_type: 'json',
      command_id,
    },
  ])
})

test('every pending event has exactly one completed event, whichever way it ends', async () => {
  await using t = externalSetup({
    timeoutMs: 1000,
    queueConfig: { executeMaxConcurrency: 10, retryPolicy: { maxRetries: 1 } },
  })
  const turn = new AbortController()
  const cancelled = await t.session.submitTask({ id: 'cancelled', lane: 'execute', payload: {} })
  const ended = t.session.runToolCalls([{ id: 'turn', name: 'bash' }], { signal: turn.signal })
  const rest = ['completed', 'failed', 'by scope', 'timeout', 'late'].map((id) =>
    t.session.submit('execute', id, { id }).catch(() => undefined),
  )
  const byId = new Map((await t.pending()).map((task) => [task.command_id, task.task_id]))
  await t.session.completeExternalTask(byId.get('completed') as string, {})
  await t.session.completeExternalTask(byId.get('failed') as string, { success: false, error: 'E' })
  cancelled.cancel('away')
  turn.abort('over')
  await t.session.cancel({ id: 'by scope' })
  await t.clock.advance(5000)
  await errorOf(cancelled.result())
  await ended
  const late = t.session.submit('execute', 'shutdown').catch(() => undefined)
  await t.pending()
  await t.session.shutdown()
  await Promise.all([...rest, late])
  const pending = await t.told('external_task_pending')
  const completed = await t.told('external_task_completed')
  const ids = (events: typeof pending): unknown[] => events.map(({ task_id }) => task_id).sort()
  expect(pending.length).toBeGreaterThan(8)
  expect(ids(completed)).toEqual(ids(pending))
  expect(new Set(ids(completed)).size).toBe(completed.length)
})

test('when the pending event is read the task is pending', async () => {
  await using t = externalSetup({ queueConfig: { executeMaxConcurrency: 5 } })
  const found: boolean[] = []
  const stream = t.session.subscribe({ types: ['external_task_pending'] })
  const reader = (async () => {
    for await (const event of stream) {
      if (event.type !== 'external_task_pending') continue
      const pending = await t.session.pendingExternalTasks()
      found.push(pending.some(({ task_id }) => task_id === event.task_id))
    }
  })()
  const runs = Array.from({ length: 5 }, (_, n) => t.session.submit('execute', n))
  await t.clock.settle()
  await t.work()
  await Promise.all(runs)
  await t.session.close()
  await reader
  expect(found).toEqual([true, true, true, true, true])
})

test('command_retry tells the coming retry and its delay', async () => {
  await using t = sessionSetup()
  const call = t.calls(['read', { failing: 2 }])
  await t.clock.advance(1000)
  await call
  const events = await t.told('command_retry')
  expect(events).toEqual([
    {
      type: 'command_retry',
      command_id: expect.any(String) as unknown,
      command_type: 'read',
      lane: 'query',
      attempt: 1,
      delay_ms: 100,
    },
    {
      type: 'command_retry',
      command_id: expect.any(String) as unknown,
      command_type: 'read',
      lane: 'query',
      attempt: 2,
      delay_ms: 200,
    },
  ])
})

test('command_retry tells the delay of the policy of the configuration', async () => {
  await using t = sessionSetup({ queueConfig: { retryPolicy: { strategy: 'fixed', maxRetries: 1, fixedDelayMs: 7 } } })
  const call = t.calls(['bash', { failing: 1 }])
  await t.clock.advance(7)
  await call
  expect(await t.told('command_retry')).toMatchObject([
    { lane: 'execute', command_type: 'bash', attempt: 1, delay_ms: 7 },
  ])
})

test('what a command asks for itself is no retry', async () => {
  await using t = sessionSetup()
  let isLater = false
  t.session.handle('web_fetch', () => {
    if (isLater) return 'page'
    isLater = true
    throw new RetryAfterError(5000)
  })
  expect(await t.call('web_fetch', {}, 5000)).toMatchObject({ output: 'page' })
  expect(await t.told('command_retry')).toEqual([])
})

test('command_dead_lettered tells what has failed for good', async () => {
  await using t = sessionSetup({ queueConfig: { enableDlq: true } })
  await t.call('bash', { fail: 'no such file' })
  await t.call('read', { fail: 'no disk' }, 1000)
  const letters = await t.session.deadLetters()
  expect(await t.told('command_dead_lettered')).toEqual([
    {
      type: 'command_dead_lettered',
      command_id: letters[0]?.command_id,
      command_type: 'bash',
      lane: 'execute',
      error: 'no such file',
      attempts: 1,
    },
    {
      type: 'command_dead_lettered',
      command_id: letters[1]?.command_id,
      command_type: 'read',
      lane: 'query',
      error: 'no disk',
      attempts: 4,
    },
  ])
})

test('without a dead-letter queue no command_dead_lettered is told', async () => {
  await using t = sessionSetup()
  await t.call('bash', { fail: 'no' })
  expect(await t.told('command_dead_lettered')).toEqual([])
})

test('queue_alert is told at 50 and at 100 waiting, once each, and when it is over', async () => {
  await using t = sessionSetup({ queueConfig: { enableAlerts: true, executeMaxConcurrency: 1 } })
  const runs: Promise<unknown>[] = []
  const submit = async (count: number): Promise<number> => {
    for (let n = 0; n < count; n++) runs.push(t.session.submit('execute', { ms: 1 }, { commandType: 'bash' }))
    return (await t.told('queue_alert')).length
  }
  const told: number[] = []
  for (const count of [1, 49, 1, 49, 1, 30]) told.push(await submit(count))
  expect(told).toEqual([0, 0, 1, 1, 2, 2])
  await t.clock.advance(200)
  await Promise.all(runs)
  expect(await t.told('queue_alert')).toMatchObject([
    {
      level: 'warning',
      alert_type: 'queue_depth',
      lane: 'execute',
      current_value: 50,
      threshold: 50,
      message: expect.any(String) as unknown,
    },
    { level: 'critical', alert_type: 'queue_depth', lane: 'execute', current_value: 100, threshold: 100 },
    { level: 'warning', alert_type: 'queue_depth' },
    { level: 'info', alert_type: 'queue_depth' },
  ])
})

test('without alerts nothing is told however deep a lane is', async () => {
  await using t = sessionSetup({ queueConfig: { executeMaxConcurrency: 1 } })
  const runs = Array.from({ length: 120 }, () => t.session.submit('execute', { ms: 1 }, { commandType: 'bash' }))
  await t.clock.advance(120)
  await Promise.all(runs)
  expect(await t.types()).toEqual([])
})

test('pressure and idle are told once per crossing', async () => {
  await using t = sessionSetup({ queueConfig: { pressureThreshold: 3, executeMaxConcurrency: 1 } })
  for (let round = 0; round < 2; round++) {
    const runs = Array.from({ length: 6 }, () => t.session.submit('execute', { ms: 10 }, { commandType: 'bash' }))
    await t.clock.advance(60)
    await Promise.all(runs)
  }
  expect(await t.told('queue.lane.pressure', 'queue.lane.idle')).toEqual([
    { type: 'queue.lane.pressure', lane_id: 'execute' },
    { type: 'queue.lane.idle', lane_id: 'execute' },
    { type: 'queue.lane.pressure', lane_id: 'execute' },
    { type: 'queue.lane.idle', lane_id: 'execute' },
  ])
})

test('a tool call is told from start to end, with its streamed output between', async () => {
  await using t = sessionSetup()
  await t.call('bash', { says: ['one ', 'two'], exit: 3 })
  expect(await t.told('tool_start', 'tool_output_delta', 'tool_end')).toEqual([
    { type: 'tool_start', id: '1', name: 'bash' },
    { type: 'tool_output_delta', id: '1', name: 'bash', delta: 'one ' },
    { type: 'tool_output_delta', id: '1', name: 'bash', delta: 'two' },
    { type: 'tool_end', id: '1', name: 'bash', output: 'bash done', exit_code: 3 },
  ])
})

test('output of a tool that has ended, or that no model called, is not told', async () => {
  await using t = sessionSetup()
  let late: (delta: string) => void = () => undefined
  t.session.handle('bash', (_args, { output }) => {
    output('in time')
    late = output
  })
  await t.call('bash')
  late('too late')
  await t.session.submit('execute', {}, { commandType: 'bash' })
  expect((await t.told('tool_output_delta')).map(({ delta }) => delta)).toEqual(['in time'])
})

test('a refused call is told too: start, refusal, end', async () => {
  await using t = sessionSetup({ permissions: { deny: ['bash'] } })
  await t.call('bash', { command: 'ls' })
  const text = "Permission denied: Tool 'bash' is blocked by permission policy."
  expect(await t.told('tool_start', 'permission_denied', 'tool_end')).toEqual([
    { type: 'tool_start', id: '1', name: 'bash' },
    { type: 'permission_denied', tool_id: '1', tool_name: 'bash', args: { command: 'ls' }, reason: text },
    { type: 'tool_end', id: '1', name: 'bash', output: text, exit_code: 1 },
  ])
})

test('events have their time and the names of the Node package', async () => {
  await using t = sessionSetup({ permissions: { deny: ['rm'], otherwise: 'allow' } })
  await t.clock.advance(1500)
  await t.calls(['bash', { says: ['x'], exit: 1 }], ['rm'])
  const byType = new Map((await t.types()).map((type, index) => [type, t.events[index] as SessionEvent]))
  expect(byType.get('tool_start')).toMatchObject({ toolId: '2', toolName: 'rm', timestamp: '2026-01-01T00:00:01.500Z' })
  expect(byType.get('tool_output_delta')).toMatchObject({ toolId: '1', toolName: 'bash', delta: 'x' })
  expect(t.events.find(({ type }) => type === 'tool_end')).toMatchObject({
    toolId: '1',
    toolOutput: 'bash done',
    exitCode: 1,
  })
  expect(byType.get('permission_denied')).toMatchObject({ toolId: '2', toolName: 'rm' })
})

test("the agent's own events go onto the same stream, with their conveniences", async () => {
  await using t = sessionSetup()
  const usage = { prompt_tokens: 1, completion_tokens: 2, total_tokens: 3 }
  t.session.emit('start', { prompt: 'hello' })
  t.session.emit('turn_start', { turn: 1 })
  await t.call('read')
  t.session.emit('text_delta', { text: 'hi' })
  t.session.emit('error', { message: 'broken' })
  t.session.emit('end', { text: 'hi', usage })
  expect(await t.types()).toEqual(['start', 'turn_start', 'tool_start', 'tool_end', 'text_delta', 'error', 'end'])
  const [start, turn, , , text, error, end] = t.events
  expect([start?.prompt, turn?.turn, text?.text, error?.error, end?.totalTokens, end?.text]).toEqual([
    'hello',
    1,
    'hi',
    'broken',
    3,
    'hi',
  ])
})

test('events come in the order in which things happened', async () => {
  await using t = externalSetup({ queueConfig: { retryPolicy: { maxRetries: 1 }, enableDlq: true } })
  const call = t.calls(['read', { failing: 1 }], ['bash'])
  await t.clock.advance(100)
  for (let attempt = 0; attempt < 2; attempt++) {
    await t.work(() => ({ success: false, error: 'E' }))
    await t.clock.advance(100)
  }
  await call
  expect(await t.types()).toEqual([
    'tool_start',
    'command_retry',
    'tool_end',
    'tool_start',
    'external_task_pending',
    'external_task_completed',
    'command_retry',
    'external_task_pending',
    'external_task_completed',
    'command_dead_lettered',
    'tool_end',
  ])
})

test('a reader that is too slow loses its oldest events and is told how many', async () => {
  await using t = externalSetup({ queueConfig: { executeMaxConcurrency: 10 } })
  const stream = t.session.subscribe({ capacity: 3, types: ['external_task_pending'] })
  const runs = Array.from({ length: 10 }, (_, n) => t.session.submit('execute', n))
  const pending = await t.pending()
  expect(pending, 'the whole truth').toHaveLength(10)
  const read = [await stream.next(), await stream.next(), await stream.next(), await stream.next()]
  expect(read.map(({ value }) => value)).toMatchObject([
    { type: 'events.dropped', count: 7 },
    { payload: 7 },
    { payload: 8 },
    { payload: 9 },
  ])
  await t.work()
  await Promise.all(runs)
  stream.close()
})

test('a reader that never reads holds nothing up', async () => {
  await using t = sessionSetup()
  const never = t.session.subscribe({ capacity: 1 })
  const results = await t.calls(...Array.from({ length: 50 }, () => ['read'] as const))
  expect(results.every(({ is_error }) => !is_error)).toBe(true)
  never.close()
})

test('a subscription may be limited to some types', async () => {
  await using t = sessionSetup()
  const stream = t.session.subscribe({ types: ['tool_end', 'queue.command.completed'] })
  await t.calls(['read'], ['bash'])
  await t.session.close()
  const types: string[] = []
  for await (const { type } of stream) types.push(type)
  expect(types).toEqual(['queue.command.completed', 'tool_end', 'queue.command.completed', 'tool_end'])
})

test('a subscription ends with its signal, with close, with a break, and with the session', async () => {
  await using t = sessionSetup()
  const signal = new AbortController()
  const bySignal = t.session.subscribe({ signal: signal.signal })
  signal.abort()
  const closed = t.session.subscribe()
  closed.close()
  const aborted = t.session.subscribe({ signal: AbortSignal.abort() })
  const broken = t.session.subscribe()
  const bySession = t.session.subscribe()
  await t.call('read')
  for await (const event of broken) {
    expect(event.type).toBe('tool_start')
    break
  }
  await t.session.close()
  const after = t.session.subscribe()
  const done: unknown[] = []
  for (const stream of [bySignal, closed, aborted, broken, after]) done.push((await stream.next()).done)
  expect(done).toEqual([true, true, true, true, true])
  expect([(await bySession.next()).value?.type, (await bySession.next()).value?.type]).toEqual([
    'tool_start',
    'tool_end',
  ])
  expect(await bySession.next()).toEqual({ done: true, value: undefined })
})

test('plain iteration says that events are read with for await', async () => {
  await using t = sessionSetup()
  const stream = t.session.subscribe()
  expect(thrownBy(() => [...(stream as unknown as Iterable<SessionEvent>)]).message).toContain('for await')
  stream.close()
})

test.each([[{ capacity: 0 }], [{ capacity: 1.5 }], [{ types: 'tool_end' }], [{ size: 5 }], [null]])(
  'the subscription %j is refused',
  async (options) => {
    await using t = sessionSetup()
    expect(thrownBy(() => t.session.subscribe(options as never))['code']).toBe('CONFIG_INVALID')
  },
)

test('a fault of a hook is told and harms nobody', async () => {
  await using t = sessionSetup({
    hooks: {
      postToolUse: () => {
        throw new Error('the hook is broken')
      },
    },
  })
  expect(await t.call('read')).toMatchObject({ output: 'read done', is_error: false })
  expect(await t.told('queue.fault')).toEqual([{ type: 'queue.fault', error: 'the hook is broken' }])
  expect(t.faults).toMatchObject([{ message: 'the hook is broken' }])
})
