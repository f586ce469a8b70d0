/** A session over an engine: its calls run in any process that has their code, and it stays one session. */
import { QueueManager } from '@a3s-lab/lane'
import { SessionQueue } from '@a3s-lab/lane/session'
import { MemoryBroker, MemoryStorage } from '@a3s-lab/lane/testing'
import { expect, test } from 'vitest'
import { Shared } from '../../support/shared-sessions.js'

/** The limits that a session's lanes have by default. */
const LIMITS = { control: 2, query: 4, execute: 2, generate: 1 }

const messageOf = (error: unknown): string => (error as Error).message

const outputs = (results: readonly { readonly output: string }[]): string[] => results.map(({ output }) => output)

test('the calls of a turn run in a process that has their code, and their results come in call order', async () => {
  await using shared = new Shared()
  const [here, there] = await shared.pair()
  const results = here.calls(
    ['bash', { label: 'a', ms: 5 }],
    ['read', { label: 'b', ms: 5 }],
    ['read', { label: 'c', ms: 5 }],
    ['write', { label: 'd', ms: 5 }],
  )
  await shared.clock.advance(100)
  expect(outputs(await results)).toEqual(['a done', 'b done', 'c done', 'd done'])
  expect(there.notes).toEqual(['+b', '+c', '-b', '-c', '+a', '-a', '+d', '-d'])
  expect(here.notes).toEqual([])
})

test('a session that works itself runs its own calls and those of others, each once', async () => {
  await using shared = new Shared()
  const a = await shared.join('both')
  const b = await shared.join('both')
  const names = Array.from({ length: 20 }, (_, n) => ['read', { label: n, ms: 10 }] as const)
  const results = a.calls(...names)
  await shared.clock.advance(500)
  expect(outputs(await results)).toEqual(names.map(([, { label }]) => `${label} done`))
  const begun = [...a.notes, ...b.notes].filter((note) => note.startsWith('+'))
  expect(new Set(begun)).toEqual(new Set(names.map(([, { label }]) => `+${label}`)))
  expect(begun).toHaveLength(names.length)
  expect(b.notes.length).toBeGreaterThan(0)
})

test("a lane's limit holds over all sessions", async () => {
  await using shared = new Shared()
  const sessions = [await shared.join('both'), await shared.join('both'), await shared.join('both')]
  const all = sessions.map((one) => Promise.all([one.calls(['bash', { ms: 10 }]), one.calls(['bash', { ms: 10 }])]))
  let most = 0
  for (let step = 0; step < 20; step++) {
    await shared.clock.advance(5)
    most = Math.max(
      most,
      sessions.reduce((sum, { running }) => sum + (running['execute'] ?? 0), 0),
    )
  }
  await Promise.all(all)
  expect(most).toBe(2)
})

test('a failure, a timeout and a retry are the results that they are in one process', async () => {
  await using shared = new Shared()
  const [here, there] = await shared.pair({ laneTimeouts: { execute: 50 } })
  const results = here.calls(
    ['bash', { fail: 'no such file' }],
    ['bash', { ms: 1000, label: 'slow' }],
    ['read', { failing: 2, label: 'shaky' }],
    ['bash', { exit: 3, label: 'told' }],
  )
  await shared.clock.advance(5000)
  const [failed, late, shaky, told] = await results
  expect(failed).toMatchObject({ is_error: true, output: 'Tool execution error: no such file' })
  expect(late).toMatchObject({ is_error: true, output: 'Tool execution error: Command timed out after 50ms' })
  expect(shaky).toMatchObject({ is_error: false, output: 'shaky done' })
  expect(told).toMatchObject({ is_error: true, exit_code: 3, output: 'told done' })
  expect(there.notes.filter((note) => note === '+shaky')).toHaveLength(3)
})

test('a turn that is cancelled stops its calls wherever they run, and the proof waits for word of that', async () => {
  await using shared = new Shared(20)
  const joined = shared.pair()
  await shared.clock.advance(200)
  const [here, there] = await joined
  const results = here.calls(['bash', { ms: 10_000 }])
  await shared.clock.advance(200)
  expect(there.notes).toEqual(['+bash'])
  const proof = here.session.cancel({ reason: 'Esc' })
  await shared.clock.advance(5)
  expect(there.notes).toEqual(['+bash'])
  await shared.clock.advance(195)
  expect(there.notes).toEqual(['+bash', '!bash'])
  expect(await proof).toMatchObject({ cancelled: 1, acknowledgedAfterMs: 0, unstopped: [] })
  expect((await proof).stoppedAfterMs).toBeGreaterThanOrEqual(20)
  expect(outputs(await results)).toEqual(['Tool execution error: Command cancelled: Esc'])
})

test('a paused session hands no call over, and others go on', async () => {
  await using shared = new Shared()
  const [here] = await shared.pair()
  const other = await shared.join('coordinator')
  await here.session.pause()
  const held = here.calls(['read', {}])
  const model = here.session.callModel({}, () => 'said')
  await shared.clock.advance(100)
  const { lanes, totalPending } = await here.session.queueStats()
  expect([lanes.query?.pending, lanes.generate?.pending, totalPending]).toEqual([1, 1, 2])
  expect(outputs([await other.call('read', { label: 'theirs' }, 100)])).toEqual(['theirs done'])
  await here.session.resume()
  await shared.clock.advance(100)
  expect(outputs(await held)).toEqual(['read done'])
  expect(await model).toBe('said')
})

test('a direct submission is not held by a pause: it is not of the session alone', async () => {
  await using shared = new Shared()
  const [here] = await shared.pair()
  await here.session.pause()
  const task = await here.session.submitTask({ id: 'x', lane: 'execute', payload: {} }, { commandType: 'bash' })
  await shared.clock.advance(100)
  expect(await shared.clock.expectSettled(task.result())).toEqual({ output: 'bash done', exit_code: 0 })
})

test.each([
  ['turn', 2],
  ['tools', 1],
  ['queued', 2],
  ['session', 2],
] as const)('what waits for the end of a pause is cancelled with the scope %s', async (scope, count) => {
  await using shared = new Shared()
  const [here, there] = await shared.pair()
  await here.session.pause()
  const held = here.calls(['bash', {}])
  const model = here.session.callModel({}, () => 'said').catch(messageOf)
  await shared.clock.settle()
  const proof = here.session.cancel({ scope, reason: 'enough' })
  await shared.clock.advance(10)
  expect((await proof).cancelled).toBe(count)
  await here.session.resume()
  await shared.clock.advance(100)
  expect(outputs(await held)).toEqual(['Tool execution error: Command cancelled: enough'])
  expect(await model).toBe(count === 2 ? 'Command cancelled: enough' : 'said')
  expect(there.notes).toEqual([])
})

test('what is cancelled right after a resume does not run', async () => {
  await using shared = new Shared()
  const [here, there] = await shared.pair()
  await here.session.pause()
  const held = here.calls(['bash', {}])
  await shared.clock.settle()
  const resumed = here.session.resume()
  const proof = here.session.cancel({ scope: 'session' })
  await shared.clock.advance(100)
  await resumed
  expect((await proof).cancelled).toBe(1)
  expect((await held)[0]?.is_error).toBe(true)
  expect(there.notes).toEqual([])
})

test('drain waits for calls that are held, and says so', async () => {
  await using shared = new Shared()
  const [here] = await shared.pair()
  await here.session.pause()
  const held = here.calls(['bash', {}])
  await shared.clock.settle()
  const late = here.session.drain(100).catch(messageOf)
  await shared.clock.advance(100)
  expect(await late).toBe('Drain timed out: the session is paused, and holds tool calls back')
  const drained = here.session.drain(1000)
  await here.session.resume()
  await shared.clock.advance(100)
  await shared.clock.expectSettled(drained)
  expect(outputs(await held)).toEqual(['bash done'])
})

test('a call keeps the mode that its lane had when it was made, also when it waits for the end of a pause', async () => {
  await using shared = new Shared()
  const [here, there] = await shared.pair()
  await here.session.pause()
  const held = here.calls(['bash', {}])
  await shared.clock.settle()
  await here.session.setLaneHandler('execute', { mode: 'external' })
  await here.session.resume()
  await shared.clock.advance(100)
  expect(outputs(await held)).toEqual(['bash done'])
  expect(there.notes).toEqual(['+bash', '-bash'])
})

test("a pause holds back no call of the lane 'control'", async () => {
  await using shared = new Shared()
  const [here] = await shared.pair()
  await here.session.pause()
  expect(await here.call('cancel', {}, 100)).toMatchObject({ output: 'cancel done' })
})

test('what stays with its session keeps the limits of its lane', async () => {
  await using shared = new Shared()
  const once = { limitType: 'per_second', maxOperations: 1 } as const
  const here = await shared.join('coordinator', {
    queueConfig: { laneRateLimits: { generate: once }, generateMaxConcurrency: 5, enableMetrics: true },
  })
  const times: number[] = []
  const calls = [1, 2, 3].map((n) => here.session.callModel(n, () => times.push(shared.clock.now())))
  await shared.clock.advance(5000)
  await Promise.all(calls)
  expect(times.map((at, index) => at - (times[index - 1] ?? 0))).toEqual([times[0], 1000, 1000])
  const { lanes } = await here.session.queueStats()
  expect(lanes.generate?.completed).toBe(3)
  expect((await here.session.queueMetrics())?.counters['lane.commands.completed.generate']).toBe(3)
})

test('a session whose engine cannot be reached says so in its results, and works when it can', async () => {
  await using shared = new Shared()
  const engine = shared.broker.engine({ role: 'both', offlineTimeoutMs: 100 })
  engine.cut()
  const joined = shared.joinWith(engine)
  await shared.clock.advance(200)
  const here = await joined
  expect((await here.call('bash', {}, 500)).output).toContain('The engine could not be reached')
  engine.mend()
  await shared.clock.advance(2000)
  expect(await here.call('bash', {}, 500)).toMatchObject({ output: 'bash done', is_error: false })
  here.faults.splice(0)
})

test('drain waits for what was handed over, and counts tell where it is', async () => {
  await using shared = new Shared()
  const here = await shared.join('both')
  const results = here.calls(['bash', { ms: 100 }])
  await shared.clock.advance(50)
  const { lanes, totalActive } = await here.session.queueStats()
  expect([lanes.execute?.active, totalActive, lanes.execute?.pending]).toEqual([1, 1, 0])
  const since = shared.clock.now()
  const drained = here.session.drain(1000).then(() => shared.clock.now() - since)
  await shared.clock.advance(100)
  expect(await drained).toBe(50)
  expect(outputs(await results)).toEqual(['bash done'])
})

test('a signal takes back a call that waits for the end of a pause', async () => {
  await using shared = new Shared()
  const [here, there] = await shared.pair()
  await here.session.pause()
  const stop = new AbortController()
  const held = here.session.runToolCalls([{ id: '1', name: 'bash' }], { signal: stop.signal })
  await shared.clock.settle()
  stop.abort('too late')
  expect(outputs(await held)).toEqual(['Tool execution error: Command cancelled: too late'])
  await here.session.resume()
  await shared.clock.advance(100)
  expect(there.notes).toEqual([])
})

test('model calls, brought code, and lanes that are done outside stay with their session', async () => {
  await using shared = new Shared()
  const here = await shared.join('coordinator', { queueConfig: { laneHandlers: { execute: { mode: 'external' } } } })
  const there = await shared.join('worker')
  expect(await here.session.callModel({ prompt: 'p' }, (payload) => payload)).toEqual({ prompt: 'p' })
  expect(await here.session.callTool({ id: '1', name: 'grep', args: { q: 1 } }, (args) => args)).toEqual({ q: 1 })
  const results = here.calls(['bash', { command: 'ls' }])
  await shared.clock.advance(100)
  expect((await here.task()).payload).toEqual({ command: 'ls' })
  expect(await there.session.pendingExternalTasks()).toEqual([])
  await here.work()
  expect(outputs(await results)).toEqual(['from outside'])
  expect(there.notes).toEqual([])
})

test('a session with a hybrid lane runs its calls itself and tells of them', async () => {
  await using shared = new Shared()
  const here = await shared.join('both', { queueConfig: { laneHandlers: { execute: { mode: 'hybrid' } } } })
  const there = await shared.join('worker')
  expect(await here.call('bash', {}, 100)).toMatchObject({ output: 'bash done' })
  expect((await here.told('external_task_pending', 'external_task_completed')).map(({ type }) => type)).toEqual([
    'external_task_pending',
    'external_task_completed',
  ])
  expect([here.notes, there.notes]).toEqual([['+bash', '-bash'], []])
})

test('a call goes to the process that has its code, and is refused where nobody could have it', async () => {
  await using shared = new Shared()
  const here = await shared.join('coordinator')
  const mine = await shared.join('both', { tools: false })
  mine.session.handle('deploy', () => 'deployed')
  const other = await shared.join('both', { tools: false })
  other.session.handle('build', () => 'built')
  const results = here.calls(['build'], ['deploy'])
  await shared.clock.advance(5000)
  expect(outputs(await results)).toEqual(['built', 'deployed'])
  expect(await mine.call('build', {}, 100)).toMatchObject({
    is_error: true,
    output: "Tool execution error: No handler is registered for command type 'build'",
  })
  // those who lack the code have said so once
  const lacking = [...mine.faults.splice(0), ...other.faults.splice(0)].map(String)
  for (const fault of lacking) expect(fault).toContain('has no handler')
})

test('a plain queue works for sessions, with a handler for each tool or one for all', async () => {
  await using shared = new Shared()
  const here = await shared.join('coordinator')
  const lanes = Object.fromEntries(
    Object.entries(LIMITS).map(([lane, maxConcurrency], priority) => [lane, { priority, maxConcurrency }]),
  )
  const worker = new QueueManager({ lanes, engine: shared.broker.engine({ role: 'worker' }), clock: shared.clock })
  worker.handle('read', () => 'read it')
  worker.resolveHandler((type) => (type.startsWith('mcp_') ? (payload) => ({ type, payload }) : undefined))
  await worker.start()
  const results = here.calls(['read'], ['mcp_search', { q: 'lanes' }])
  await shared.clock.advance(100)
  expect(outputs(await results)).toEqual(['read it', '{"type":"mcp_search","payload":{"q":"lanes"}}'])
  const closed = worker.close({ timeoutMs: 1 })
  await shared.clock.advance(1100)
  await closed
})

test('a direct submission outlives its session: whoever asks for its id gets its result', async () => {
  await using shared = new Shared()
  const first = await shared.join('coordinator')
  const task = await first.session.submitTask(
    { id: 'report', lane: 'execute', payload: { ms: 50 } },
    { commandType: 'bash' },
  )
  expect(task.state).toBe('pending')
  const closed = first.session.close({ timeoutMs: 1 })
  await shared.clock.advance(2000)
  await closed
  await shared.join('worker')
  await shared.clock.advance(100)
  const next = await shared.join('coordinator')
  const again = await next.session.submitTask(
    { id: 'report', lane: 'execute', payload: { ms: 50 } },
    { commandType: 'bash' },
  )
  expect(await again.result()).toEqual({ output: 'bash done', exit_code: 0 })
})

test('a session that closes takes its calls back, also those that run elsewhere', async () => {
  await using shared = new Shared()
  const [here, there] = await shared.pair()
  const results = here.calls(['bash', { ms: 60_000 }])
  await shared.clock.advance(50)
  const closed = here.session.close({ timeoutMs: 100 })
  await shared.clock.advance(2000)
  await closed
  expect((await results)[0]?.is_error).toBe(true)
  expect(there.notes).toEqual(['+bash', '!bash'])
})

test('the next turn does not wait for work of others, nor for what was submitted for its own sake', async () => {
  await using shared = new Shared()
  const [here] = await shared.pair()
  const direct = here.session.submit('execute', { ms: 5000 }, { commandType: 'bash' })
  await shared.clock.advance(10)
  const body = async ({ signal }: { signal: AbortSignal }) =>
    here.session.runToolCalls([{ id: '1', name: 'read', args: { ms: 5000 } }], { signal })
  const first = here.session.runTurn('first', body).catch(messageOf)
  await shared.clock.advance(10)
  const second = here.session.runTurn('second', async () => 'answered', { input: 'interrupt' })
  await shared.clock.advance(100)
  expect(await shared.clock.expectSettled(second)).toBe('answered')
  expect(await first).toContain('interrupted')
  await shared.clock.advance(6000)
  expect(await direct).toEqual({ output: 'bash done', exit_code: 0 })
})

test("counts, dead letters and their events are the session's own", async () => {
  await using shared = new Shared()
  const here = await shared.join('coordinator', { queueConfig: { enableDlq: true } })
  const other = await shared.join('coordinator', { queueConfig: { enableDlq: true } })
  const there = await shared.join('worker', { queueConfig: { enableDlq: true } })
  const results = here.calls(['bash', { fail: 'broken' }], ['write', {}])
  const theirs = other.calls(['read', { failing: 1 }], ['bash', { fail: 'theirs' }])
  await shared.clock.advance(500)
  await Promise.all([results, theirs])
  await shared.clock.advance(10)
  const { lanes } = await here.session.queueStats()
  expect([lanes.execute?.completed, lanes.execute?.failed]).toEqual([1, 1])
  expect((await here.session.deadLetters()).map(({ error, lane_id }) => [error, lane_id])).toEqual([
    ['broken', 'execute'],
  ])
  expect((await here.told('command_dead_lettered')).map(({ error, lane }) => [error, lane])).toEqual([
    ['broken', 'execute'],
  ])
  expect(await there.told('command_dead_lettered', 'command_retry')).toEqual([])
  expect(await there.session.deadLetters()).toEqual([])
  expect((await there.session.queueStats()).lanes.execute).toMatchObject({ completed: 0, failed: 0 })
})

test('an engine is refused beside a storage, and without a queue', () => {
  const engine = new MemoryBroker().engine()
  const storage = new MemoryStorage()
  expect(() => new SessionQueue({ engine, storage })).toThrow('engine must be left out where there is a storage')
  expect(() => new SessionQueue({ engine, queueConfig: { storagePath: 'x' } })).toThrow('engine must be left out')
  expect(() => new SessionQueue({ engine, queueConfig: false })).toThrow(
    'engine must be left out with queueConfig: false',
  )
})
