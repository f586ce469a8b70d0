/** The methods of a session, with a queue and without one. */
import { SESSION_LANES, SessionQueue } from '@a3s-lab/lane/session'
import { expect, test } from 'vitest'
import { sorted } from '../../support/bodies.js'
import { type SessionSetup, type SessionSetupOptions, sessionSetup } from '../../support/session.js'
import { errorOf, thrownBy } from '../../support/setup.js'

const withoutQueue = (options: SessionSetupOptions = {}): SessionSetup =>
  sessionSetup({ ...options, queueConfig: false })

const ZERO = { pending: 0, active: 0, delayed: 0, handlerMode: 'internal', completed: 0, failed: 0 }

test('statistics start at zero', async () => {
  await using t = sessionSetup()
  expect(await t.session.queueStats()).toEqual({
    totalPending: 0,
    totalActive: 0,
    externalPending: 0,
    lanes: {
      control: { lane: 'control', maxConcurrency: 2, ...ZERO },
      query: { lane: 'query', maxConcurrency: 4, ...ZERO },
      execute: { lane: 'execute', maxConcurrency: 2, ...ZERO },
      generate: { lane: 'generate', maxConcurrency: 1, ...ZERO },
    },
  })
})

test('statistics count what waits, runs, has completed and has failed, lane by lane', async () => {
  await using t = sessionSetup({
    queueConfig: { executeMaxConcurrency: 1, laneHandlers: { query: { mode: 'hybrid' } } },
  })
  await t.calls(['read'], ['bash', { exit: 1 }], ['bash', { fail: 'E' }])
  const runs = [1, 2, 3].map(() => t.session.submit('execute', { ms: 10 }, { commandType: 'bash' }))
  const later = t.session.submit('execute', { ms: 10 }, { commandType: 'bash', delayMs: 100 })
  await t.clock.settle()
  const { lanes, totalPending, totalActive } = await t.session.queueStats()
  expect([totalPending, totalActive, lanes.execute, lanes.query]).toMatchObject([
    2,
    1,
    { pending: 2, active: 1, delayed: 1, completed: 1, failed: 1 },
    { pending: 0, active: 0, completed: 1, failed: 0, handlerMode: 'hybrid' },
  ])
  await t.clock.advance(200)
  await Promise.all([...runs, later])
  expect((await t.session.queueStats()).lanes.execute).toMatchObject({ pending: 0, active: 0, completed: 5, failed: 1 })
})

test('a timeout counts as failed, a cancellation does not', async () => {
  await using t = sessionSetup({ queueConfig: { defaultTimeoutMs: 10 } })
  await t.call('bash', { ms: 100 }, 10)
  const task = await t.session.submitTask({ id: 'a', lane: 'execute', payload: { ms: 5 } }, { commandType: 'bash' })
  task.cancel()
  await errorOf(task.result())
  expect((await t.session.queueStats()).lanes.execute).toMatchObject({ completed: 0, failed: 1 })
})

test('metrics are null unless enabled', async () => {
  await using t = sessionSetup()
  expect(await t.session.queueMetrics()).toBeNull()
})

test('metrics are counters, gauges and histograms under our lane ids', async () => {
  await using t = sessionSetup({ queueConfig: { enableMetrics: true } })
  await t.calls(['read'], ['bash', { fail: 'E' }])
  const metrics = await t.session.queueMetrics()
  expect(Object.keys(metrics ?? {})).toEqual(expect.arrayContaining(['counters', 'gauges', 'histograms']))
  const names = JSON.stringify(metrics)
  expect([names.includes('query'), names.includes('execute'), names.includes('skill')]).toEqual([true, true, false])
  expect(Object.values(metrics?.counters ?? {}).some((count) => count > 0)).toBe(true)
})

test('dead letters are empty at the start, and when they are not enabled', async () => {
  await using t = sessionSetup({ queueConfig: { enableDlq: true } })
  await using without = sessionSetup()
  await without.call('bash', { fail: 'E' })
  expect([await t.session.deadLetters(), await without.session.deadLetters()]).toEqual([[], []])
})

test('a dead letter says what failed, where, why, how often and when; oldest first', async () => {
  await using t = sessionSetup({ queueConfig: { enableDlq: true } })
  await t.call('bash', { fail: 'first' })
  await t.call('read', { fail: 'second' }, 700)
  expect(await t.session.deadLetters()).toEqual([
    {
      command_id: expect.any(String) as unknown,
      command_type: 'bash',
      lane_id: 'execute',
      error: 'first',
      attempts: 1,
      failed_at: '2026-01-01T00:00:00.000Z',
    },
    {
      command_id: expect.any(String) as unknown,
      command_type: 'read',
      lane_id: 'query',
      error: 'second',
      attempts: 4,
      failed_at: '2026-01-01T00:00:00.700Z',
    },
  ])
})

test('at most so many dead letters are kept, the newest', async () => {
  await using t = sessionSetup({ queueConfig: { enableDlq: true, dlqMaxSize: 2 } })
  for (const fail of ['a', 'b', 'c']) await t.call('bash', { fail })
  expect((await t.session.deadLetters()).map(({ error }) => error)).toEqual(['b', 'c'])
})

test('all features: dead letters, metrics, alerts and 60 s appear; nothing else changes', async () => {
  await using t = sessionSetup({ queueConfig: { enableAllFeatures: true } })
  expect(await t.call('bash', { ms: 100_000 }, 60_000)).toMatchObject({
    output: 'Tool execution error: Command timed out after 60s',
  })
  const model = errorOf(t.session.callModel('p', (_payload, context) => t.run('llm', { ms: 1e6 }, context)))
  await t.clock.advance(60_000)
  expect((await model).message).toBe('Command timed out after 60s')
  const runs = Array.from({ length: 101 }, () => t.session.submit('generate', { ms: 1 }, { commandType: 'x' }))
  await t.clock.advance(200)
  await Promise.all(runs)
  const levels = (await t.told('queue_alert')).map(({ level }) => level)
  expect([(await t.session.deadLetters()).length, (await t.session.queueMetrics()) !== null, levels]).toEqual([
    2,
    true,
    ['warning', 'critical', 'warning', 'info'],
  ])
  const { lanes } = await t.session.queueStats()
  expect(SESSION_LANES.map((lane) => lanes[lane]?.maxConcurrency)).toEqual([2, 4, 2, 1])
  expect(await t.told('command_retry')).toEqual([])
})

test('what is said itself wins over all features', async () => {
  await using t = sessionSetup({
    queueConfig: { enableAllFeatures: true, enableDlq: false, enable_metrics: false, defaultTimeoutMs: 100_000 },
  })
  expect(await t.call('bash', { ms: 90_000 }, 90_000)).toMatchObject({ is_error: false })
  await t.call('bash', { fail: 'E' })
  expect([await t.session.deadLetters(), await t.session.queueMetrics()]).toEqual([[], null])
})

test('without queueConfig a SessionQueue has its queue with every default', async () => {
  await using t = sessionSetup()
  expect([t.session.hasQueue(), withoutQueue().session.hasQueue()]).toEqual([true, false])
})

test('without a queue: no lanes, nothing pending, no metrics, no letters', async () => {
  await using t = withoutQueue()
  expect(await t.session.queueStats()).toEqual({ totalPending: 0, totalActive: 0, externalPending: 0, lanes: {} })
  expect(await t.session.pendingExternalTasks()).toEqual([])
  expect(await t.session.completeExternalTask('x', {})).toBe(false)
  expect(await t.session.queueMetrics()).toBeNull()
  expect(await t.session.deadLetters()).toEqual([])
  await t.session.drain(0)
})

test('without a queue: every other method says that there is none', async () => {
  await using t = withoutQueue()
  const { session } = t
  const errors = [
    await errorOf(session.submit('execute', {})),
    await errorOf(session.submitByTool('bash', {})),
    await errorOf(session.submitBatch('query', [])),
    await errorOf(session.submitTask({ id: 'a', lane: 'execute', payload: {} })),
    await errorOf(session.setLaneHandler('execute', { mode: 'external' })),
    await errorOf(session.setLaneHandler('execute', { mode: 'hybrid' })),
    thrownBy(() => session.setExternalTaskHandler(() => ({}))),
    thrownBy(() => session.setExternalTaskHandler(null)),
    thrownBy(() => session.pause()),
    thrownBy(() => session.resume()),
  ]
  expect(new Set(errors.map(({ code }) => code))).toEqual(new Set(['CONFIG_INVALID']))
  expect(new Set(errors.map(({ message }) => message))).toEqual(
    new Set(['This session has no queue: give it a queueConfig, or a queue block in its configuration']),
  )
})

test('without a queue: setting a lane to internal does nothing', async () => {
  await using t = withoutQueue()
  await t.session.setLaneHandler('execute', { mode: 'internal' })
  expect(t.session.laneHandler('execute').mode).toBe('internal')
})

test('without a queue: all tools run one after another in call order, those that look too', async () => {
  await using t = withoutQueue()
  const results = t.calls(['write', { ms: 10 }], ['read', { ms: 10 }], ['grep', { ms: 10 }], ['bash', { ms: 10 }])
  await t.clock.advance(40)
  expect((await t.clock.expectSettled(results)).map(({ output }) => output)).toEqual([
    'write done',
    'read done',
    'grep done',
    'bash done',
  ])
  expect(t.notes).toEqual(['+write', '-write', '+read', '-read', '+grep', '-grep', '+bash', '-bash'])
})

test('without a queue: results and tool events are the same as with one, and no queue event is told', async () => {
  const given = [
    ['bash', { exit: 2, says: ['x'] }],
    ['read', 'bad'],
    ['bash', { fail: 'broken' }],
    ['none', {}],
    ['rm', {}],
    ['grep', { gives: { output: 'o', metadata: { a: 1 } } }],
  ] as const
  const outcomes: unknown[] = []
  for (const queueConfig of [{}, false] as const) {
    await using t = sessionSetup({ queueConfig, tools: false, permissions: { deny: ['rm'], otherwise: 'allow' } })
    for (const name of ['bash', 'read', 'grep', 'rm']) {
      t.session.handle(name, (args, context) => t.run(name, args, context))
    }
    const results = t.calls(...given)
    await t.clock.advance(1000)
    outcomes.push([await results, sorted(await t.types())])
  }
  expect(outcomes[0]).toEqual(outcomes[1])
})

test('without a queue: a model call is made here', async () => {
  await using t = withoutQueue()
  expect(await t.session.callModel({ a: 1 }, (payload, { attempt }) => [payload, attempt])).toEqual([{ a: 1 }, 1])
})

test('without a queue: nested calls, cancellation and signals work', async () => {
  await using t = withoutQueue()
  t.session.handle('batch', (_args, { runToolCalls }) => runToolCalls([{ id: 'n', name: 'read' }]))
  expect((await t.call('batch')).output).toContain('read done')
  const turn = new AbortController()
  const bySignal = t.session.runToolCalls([{ id: '1', name: 'bash', args: { ms: 100 } }], { signal: turn.signal })
  await t.clock.settle()
  turn.abort('over')
  expect((await bySignal)[0]?.is_error).toBe(true)
  const byCancel = t.calls(['bash', { ms: 100 }], ['bash', { label: 'second' }])
  await t.clock.settle()
  expect(await t.session.cancel({ reason: 'enough' })).toMatchObject({ cancelled: 1, unstopped: [], stoppedAfterMs: 0 })
  expect((await byCancel).map(({ is_error }) => is_error)).toEqual([true, true])
  expect(t.notes).not.toContain('+second')
})

test('without a queue: after shutdown nothing new is taken', async () => {
  await using t = withoutQueue()
  await t.session.shutdown()
  expect(t.session.isShuttingDown).toBe(true)
  expect((await errorOf(t.calls(['read'])))['code']).toBe('SHUTTING_DOWN')
  expect((await errorOf(t.session.callModel('p', () => 1)))['code']).toBe('SHUTTING_DOWN')
})

test('a queue that cannot be made fails the making of the session', () => {
  const bad: readonly object[] = [
    { queueConfig: { executeMaxConcurrency: 0 } },
    { queueConfig: { exectueMaxConcurrency: 1 } },
    { queueConfig: true },
    { queueConfig: { storagePath: './here' } },
    { queueConfig: false, storage: {} },
    { sessionId: '' },
    { execute: 'bash' },
    { permissive: 'yes' },
    { unknown: 1 },
    { hooks: { before: () => undefined } },
    { confirm: { timeoutMs: 0 } },
    { confirm: { onTimeout: 'maybe' } },
    { confirm: { yoloLanes: ['fast'] } },
    { permissions: { allow: 'read' } },
  ]
  for (const options of bad) {
    expect(thrownBy(() => new SessionQueue(options as never))['code'], JSON.stringify(options)).toBe('CONFIG_INVALID')
  }
})

test('handle refuses what is no name or no function', async () => {
  await using t = sessionSetup()
  expect(thrownBy(() => t.session.handle('', () => 1))['code']).toBe('CONFIG_INVALID')
  expect(thrownBy(() => t.session.handle('x', 'fn' as never))['code']).toBe('CONFIG_INVALID')
})

test('a handler goes before execute, and a later one before an earlier', async () => {
  await using t = sessionSetup()
  t.session.handle('bash', () => 'first')
  const call = async (): Promise<unknown> => (await t.call('bash')).output
  const outputs = [await call()]
  t.session.handle('bash', () => 'second')
  expect([...outputs, await call(), (await t.call('read')).output]).toEqual(['first', 'second', 'read done'])
})

test('shutdown refuses new work, with a flag to ask, and lets what runs go on', async () => {
  await using t = sessionSetup()
  const running = t.session.submit('execute', { ms: 50 }, { commandType: 'bash' })
  await t.clock.settle()
  expect(t.session.isShuttingDown).toBe(false)
  await t.session.shutdown()
  await t.session.shutdown()
  expect(t.session.isShuttingDown).toBe(true)
  const refused = [
    await errorOf(t.session.submit('execute', {})),
    await errorOf(t.session.submitBatch('query', [])),
    await errorOf(t.session.submitTask({ id: 'a', lane: 'query', payload: {} })),
    await errorOf(t.session.submitByTool('read', {})),
    await errorOf(t.calls(['read'])),
    await errorOf(t.session.callModel('p', () => 1)),
    await errorOf(t.session.runTurn('hi', async () => 1)),
  ]
  expect(new Set(refused.map(({ code, message }) => `${String(code)}: ${message}`))).toEqual(
    new Set(['SHUTTING_DOWN: Session queue is shutting down']),
  )
  await t.clock.advance(50)
  expect(await t.clock.expectSettled(running)).toMatchObject({ output: 'bash done' })
})

test('drain waits for everything accepted, and says what is left at its limit', async () => {
  await using t = sessionSetup()
  const run = t.session.submit('execute', { ms: 50 }, { commandType: 'bash' })
  const early = errorOf(t.session.drain(10))
  await t.clock.advance(10)
  expect((await early)['code']).toBe('DRAIN_TIMEOUT')
  const drained = t.session.drain(1000)
  await t.clock.advance(40)
  await t.clock.expectSettled(drained)
  expect(await run).toMatchObject({ output: 'bash done' })
  expect((await errorOf(t.session.drain(-1)))['code']).toBe('CONFIG_INVALID')
})
