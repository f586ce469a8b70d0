/** Pause, resume and cancel, with proof of what came of them. */
import type { CancelOptions, SessionLane } from '@a3s-lab/lane/session'
import { expect, test } from 'vitest'
import { napping } from '../../support/bodies.js'
import { externalSetup, type SessionSetup, sessionSetup } from '../../support/session.js'
import { errorOf, thrownBy } from '../../support/setup.js'

const CONTROL = ['control_requested', 'control_acknowledged', 'control_stopped'] as const

/** Ten running tools and a running model call. */
function busy(t: SessionSetup): Promise<unknown>[] {
  const tools = Array.from({ length: 10 }, (_, n) =>
    t.session.runToolCalls([
      { id: `${n}`, name: 'bash', args: { ms: 10_000 } },
      { id: `${n}b`, name: 'write' },
    ]),
  )
  const model = t.session.callModel('p', (_payload, context) => t.run('llm', { ms: 10_000 }, context))
  return [...tools, model.catch((error: unknown) => error)]
}

const BUSY = { queueConfig: { executeMaxConcurrency: 10 } }

test('cancel stops ten running tools and the model, and nothing of them runs afterwards', async () => {
  await using t = sessionSetup(BUSY)
  const all = busy(t)
  await t.clock.advance(100)
  expect([t.running['execute'], t.running['generate']]).toEqual([10, 1])
  const proof = await t.clock.expectSettled(t.session.cancel({ reason: 'stop it' }))
  expect(proof).toEqual({
    id: expect.any(String) as unknown,
    action: 'cancel',
    scope: 'turn',
    requestedAt: '2026-01-01T00:00:00.100Z',
    acknowledgedAfterMs: 0,
    stoppedAfterMs: 0,
    cancelled: 11,
    unstopped: [],
  })
  expect([t.running['execute'], t.running['generate']]).toEqual([0, 0])
  const settled = await t.clock.expectSettled(Promise.all(all))
  expect(JSON.stringify(settled[0])).toContain('Command cancelled: stop it')
  await t.clock.advance(100_000)
  expect(t.notes.filter((note) => note.startsWith('-') || note === '+write')).toEqual([])
})

test('cancel is told step by step: requested, acknowledged, stopped', async () => {
  await using t = sessionSetup()
  const call = t.calls(['bash', { ms: 250, deaf: true }])
  await t.clock.advance(50)
  const action = t.session.cancel()
  expect(await t.clock.expectSettled(action.acknowledged)).toEqual({ afterMs: 0 })
  expect((await t.told(...CONTROL)).map(({ type }) => type)).toEqual(['control_requested', 'control_acknowledged'])
  expect((await t.clock.expectSettled(call))[0]?.is_error, 'the caller is answered at once').toBe(true)
  await t.clock.advance(200)
  const proof = await t.clock.expectSettled(action)
  expect(proof).toMatchObject({ stoppedAfterMs: 200, unstopped: [] })
  expect(await t.told(...CONTROL)).toEqual([
    { type: 'control_requested', control_id: proof.id, action: 'cancel', scope: 'turn' },
    { type: 'control_acknowledged', control_id: proof.id, action: 'cancel', after_ms: 0 },
    { type: 'control_stopped', control_id: proof.id, action: 'cancel', after_ms: 200, unstopped: [] },
  ])
})

test('a body that does not end within the limit is named', async () => {
  await using t = sessionSetup()
  const task = await t.session.submitTask(
    { id: 'deaf', lane: 'execute', payload: { ms: 1e6, deaf: true } },
    { commandType: 'bash' },
  )
  const good = await t.session.submitTask(
    { id: 'good', lane: 'execute', payload: { ms: 1e6 } },
    { commandType: 'bash' },
  )
  await t.clock.settle()
  const action = t.session.cancel({ scope: 'session', stopTimeoutMs: 500 })
  await t.clock.advance(500)
  const proof = await t.clock.expectSettled(action)
  expect([proof.unstopped, proof.cancelled, 'stoppedAfterMs' in proof]).toEqual([['deaf'], 2, false])
  expect(await t.told('control_stopped')).toMatchObject([{ after_ms: 500, unstopped: ['deaf'] }])
  await Promise.all([errorOf(task.result()), errorOf(good.result())])
})

test('a nested body that does not end names its command', async () => {
  await using t = sessionSetup()
  t.session.handle('batch', (_args, { runToolCalls }) =>
    runToolCalls([{ id: 'n', name: 'bash', args: { ms: 300, deaf: true } }]),
  )
  const call = t.calls(['batch'])
  await t.clock.settle()
  const [early, late] = [t.session.cancel({ stopTimeoutMs: 100 }), t.session.cancel({ scope: 'session' })]
  await t.clock.advance(100)
  expect((await early).unstopped).toHaveLength(1)
  await t.clock.advance(200)
  await call
  expect((await late).unstopped).toEqual([])
})

/** One of everything: what runs and what waits, of the model and of the program. */
async function everything(t: SessionSetup) {
  const outcome: Record<string, string> = {}
  const note = (name: string, promise: Promise<unknown>): void => {
    promise.then(
      (value) => {
        const failed = JSON.stringify(value).includes('Command cancelled')
        outcome[name] = failed ? 'cancelled' : 'done'
      },
      () => {
        outcome[name] = 'cancelled'
      },
    )
  }
  const bash = (id: string): Promise<unknown> => t.session.runToolCalls([{ id, name: 'bash', args: { ms: 100 } }])
  const turn = t.session.runTurn('turn', ({ signal }) =>
    t.session.callModel('p', (_payload, context) => t.run('llm', { ms: 100 }, context), { signal }),
  )
  note('turn', turn)
  note(
    'waiting turn',
    t.session.runTurn('next', async () => 1),
  )
  note('tool', bash('running'))
  await t.clock.settle()
  note('waiting tool', bash('waiting'))
  note('direct', t.session.submit('query', { ms: 100 }, { commandType: 'index' }))
  note('delayed', t.session.submit('query', {}, { commandType: 'index', delayMs: 50, id: 'later' }))
  await t.clock.settle()
  return outcome
}

const ALL = ['turn', 'waiting turn', 'tool', 'waiting tool', 'direct', 'delayed'] as const

const SCOPES: readonly (readonly [CancelOptions, readonly (typeof ALL)[number][]])[] = [
  [{}, ['turn', 'tool', 'waiting tool']],
  [{ scope: 'turn' }, ['turn', 'tool', 'waiting tool']],
  [{ scope: 'tools' }, ['tool', 'waiting tool']],
  [{ scope: 'queued' }, ['waiting turn', 'waiting tool', 'delayed']],
  [{ lane: 'execute' }, ['tool', 'waiting tool']],
  [{ scope: 'lane', lane: 'query' }, ['direct', 'delayed']],
  [{ scope: 'lane', lane: 'generate' }, ['turn']],
  [{ id: 'later' }, ['delayed']],
  [{ scope: 'command', id: 'nobody' }, []],
  [{ scope: 'session' }, [...ALL]],
]

test.each(SCOPES)('cancel %j reaches exactly what it says', async (options, reached) => {
  await using t = sessionSetup({ queueConfig: { executeMaxConcurrency: 1 } })
  const outcome = await everything(t)
  const proof = await t.clock.expectSettled(t.session.cancel(options))
  expect([proof.unstopped, proof.stoppedAfterMs]).toEqual([[], 0])
  await t.clock.advance(1000)
  const cancelled = ALL.filter((name) => outcome[name] === 'cancelled')
  expect([Object.keys(outcome).length, cancelled]).toEqual([ALL.length, [...reached]])
})

test('cancelling the tools leaves the turn to go on', async () => {
  await using t = sessionSetup()
  const turn = t.session.runTurn('a', async ({ signal }) => {
    const [first] = await t.session.runToolCalls([{ id: '1', name: 'bash', args: { ms: 100 } }], { signal })
    const [second] = await t.session.runToolCalls([{ id: '2', name: 'bash' }], { signal })
    return [first?.is_error, second?.is_error]
  })
  await t.clock.advance(10)
  await t.session.cancel({ scope: 'tools' })
  expect(await t.clock.expectSettled(turn)).toEqual([true, false])
})

test('cancel ends the turn, and what it would have done next', async () => {
  await using t = sessionSetup()
  const turn = errorOf(
    t.session.runTurn('a', async ({ signal }) => {
      for (;;) {
        await t.session.runToolCalls([{ id: '1', name: 'bash', args: { ms: 10 } }], { signal })
        signal.throwIfAborted()
      }
    }),
  )
  await t.clock.advance(25)
  await t.session.cancel({ reason: 'the user' })
  expect((await turn).message).toBe('Command cancelled: the user')
  const count = t.notes.length
  await t.clock.advance(1000)
  expect(t.notes.length).toBe(count)
})

test('cancel when nothing runs proves that nothing runs', async () => {
  await using t = sessionSetup()
  expect(await t.clock.expectSettled(t.session.cancel())).toMatchObject({
    cancelled: 0,
    stoppedAfterMs: 0,
    unstopped: [],
  })
})

test('cancel withdraws external tasks', async () => {
  await using t = externalSetup()
  const call = t.calls(['bash'])
  await t.task()
  expect(await t.clock.expectSettled(t.session.cancel())).toMatchObject({ cancelled: 1, stoppedAfterMs: 0 })
  expect([(await call)[0]?.is_error, await t.pending()]).toEqual([true, []])
})

test.each([
  [{ scope: 'all' }],
  [{ scope: 'command' }],
  [{ scope: 'lane' }],
  [{ lane: 'fast' }],
  [{ stopTimeoutMs: -1 }],
  [{ why: 'x' }],
  [null],
])('cancel(%j) is refused', async (options) => {
  await using t = sessionSetup()
  expect(thrownBy(() => t.session.cancel(options as never))['code']).toBe('CONFIG_INVALID')
})

test('pause starts nothing more, lets what runs end, and proves when nothing ran', async () => {
  await using t = sessionSetup({ queueConfig: { executeMaxConcurrency: 1 } })
  const runs = [1, 2].map((label) => t.session.submit('execute', { ms: 100, label }, { commandType: 'bash' }))
  const others = (['query', 'generate'] as const).map((lane) =>
    t.session.submit(lane, { ms: 60, label: lane }, { commandType: 'x' }),
  )
  await t.clock.advance(40)
  const action = t.session.pause()
  expect(await t.clock.expectSettled(action.acknowledged)).toEqual({ afterMs: 0 })
  const read = t.calls(['read', { label: 'new' }])
  await t.clock.advance(1000)
  expect(await t.clock.expectSettled(action)).toMatchObject({
    action: 'pause',
    stoppedAfterMs: 60,
    cancelled: 0,
    unstopped: [],
  })
  expect(t.notes.slice(-3)).toEqual(['-query', '-generate', '-1'])
  const resumed = await t.clock.expectSettled(t.session.resume())
  expect([resumed.action, resumed.acknowledgedAfterMs, 'stoppedAfterMs' in resumed]).toEqual(['resume', 0, false])
  await t.clock.advance(100)
  await t.clock.expectSettled(Promise.all([...runs, ...others, read]))
  expect(t.notes).toContain('-2')
})

test('pausing twice and resuming twice is pausing and resuming', async () => {
  await using t = sessionSetup()
  await Promise.all([t.session.pause(), t.session.pause()])
  const call = t.calls(['bash'])
  await t.clock.settle()
  expect(t.notes).toEqual([])
  await Promise.all([t.session.resume(), t.session.resume()])
  await t.clock.expectSettled(call)
  expect(t.notes).toEqual(['+bash', '-bash'])
})

test('control goes on while the session is paused', async () => {
  await using t = sessionSetup()
  await t.session.pause()
  expect(await t.clock.expectSettled(t.session.submit('control', {}, { commandType: 'pause' }))).toBeDefined()
  const call = t.calls(['bash'])
  await t.clock.settle()
  expect(await t.clock.expectSettled(t.session.cancel())).toMatchObject({ cancelled: 1 })
  expect((await call)[0]?.is_error).toBe(true)
})

const OBSTACLES: readonly (readonly [string, object, SessionLane])[] = [
  ['busy lanes', { queueConfig: { executeMaxConcurrency: 1 } }, 'execute'],
  ['a busy control lane', { queueConfig: { controlMaxConcurrency: 1 } }, 'control'],
  ['a total cap of one', { queueConfig: { maxConcurrency: 1 } }, 'execute'],
  ['a total cap of two', { queueConfig: { maxConcurrency: 2 } }, 'execute'],
  ['a rate limit', { queueConfig: { rateLimit: { limitType: 'per_hour', maxOperations: 1 } } }, 'control'],
  ['an external control lane', { queueConfig: { laneHandlers: { control: { mode: 'external' } } } }, 'execute'],
]

test.each(OBSTACLES)('pause, resume and cancel never wait behind %s', async (_what, options, lane) => {
  await using t = sessionSetup(options)
  const busyRuns = [1, 2].map((label) =>
    t.session.submit(lane, { ms: 1000, label, deaf: true }, { commandType: 'work' }).catch(() => undefined),
  )
  await t.clock.settle()
  const acknowledged = [
    await t.clock.expectSettled(t.session.pause().acknowledged),
    await t.clock.expectSettled(t.session.resume().acknowledged),
    await t.clock.expectSettled(t.session.cancel({ scope: 'session' }).acknowledged),
  ]
  expect(acknowledged).toEqual([{ afterMs: 0 }, { afterMs: 0 }, { afterMs: 0 }])
  await t.clock.advance(2000)
  await Promise.all(busyRuns)
})

test('cancel works while the session is closing', async () => {
  await using t = sessionSetup()
  const run = errorOf(t.session.submit('execute', { ms: 5000 }, { commandType: 'bash' }))
  await t.clock.settle()
  const closed = t.session.close()
  await t.clock.settle()
  expect(await t.clock.expectSettled(t.session.cancel({ scope: 'session' }))).toMatchObject({
    cancelled: 1,
    unstopped: [],
  })
  await t.clock.expectSettled(closed)
  expect((await run)['code']).toBe('COMMAND_CANCELLED')
})

test('the tools pause, resume and cancel of a model are only tools', async () => {
  await using t = sessionSetup({ tools: false })
  t.session.handle('pause', () => 'the program decides')
  t.session.handle('bash', (_args, { signal }) => napping(t, 100, signal).then(() => 'ran'))
  expect((await t.call('pause')).output).toBe('the program decides')
  expect((await t.call('bash', {}, 100)).output).toBe('ran')
  expect((await t.call('cancel')).is_error).toBe(true)
})
