/** A session over an engine: what is its own, what is another's, and what is left of a command when it ends. */
import { expect, test } from 'vitest'
import { sessionSetup } from '../../support/session.js'
import { Shared } from '../../support/shared-sessions.js'

const messageOf = (error: unknown): string => (error as Error).message
const codeOf = (error: unknown): string => (error as { code: string }).code

const outputs = (results: readonly { readonly output: string }[]): string[] => results.map(({ output }) => output)

const DONE = { output: 'bash done', exit_code: 0 }
const BASH = { commandType: 'bash' }
const EXTERNAL = { laneHandlers: { execute: { mode: 'external' } } } as const

test('what runs is the command that was claimed, also when a session wants its id for another', async () => {
  await using shared = new Shared(20)
  const joining = shared.join('coordinator')
  await shared.clock.advance(200)
  const a = await joining
  const first = a.session.submitTask({ id: 'x', lane: 'execute', payload: { label: 'mine' } }, BASH)
  await shared.clock.advance(100)
  const b = shared.join('both')
  await shared.clock.advance(30)
  const theirs = { id: 'x', lane: 'execute', payload: { label: 'theirs' } } as const
  const second = shared.sessions.at(-1)?.session.submitTask(theirs, BASH).catch(codeOf)
  await shared.clock.advance(500)
  await b
  expect(await (await first).result()).toEqual({ output: 'mine done', exit_code: 0 })
  expect(await second).toBe('CONFLICT')
})

test('a call that runs in the session that closes is not run again elsewhere', async () => {
  await using shared = new Shared()
  const here = await shared.join('both')
  const results = here.calls(['bash', { ms: 60_000 }])
  await shared.clock.advance(10)
  const there = await shared.join('worker')
  const closed = here.session.close({ timeoutMs: 100 })
  await shared.clock.advance(3000)
  await closed
  expect((await results)[0]?.is_error).toBe(true)
  expect(there.notes).toEqual([])
})

test('a process that only works takes nothing new when it closes, and ends what runs', async () => {
  await using shared = new Shared()
  const [here, there] = await shared.pair()
  const runs = Array.from({ length: 20 }, (_, label) => here.session.submit('execute', { ms: 300, label }, BASH))
  await shared.clock.advance(10)
  const closed = there.session.close({ timeoutMs: 1000 })
  await shared.clock.advance(3000)
  await closed
  expect(there.notes).toEqual(['+0', '+1', '-0', '-1'])
  await shared.join('worker')
  await shared.clock.advance(10_000)
  expect(await Promise.all(runs)).toHaveLength(20)
})

test("the scope 'queued' leaves alone what was handed over: it may run", async () => {
  await using shared = new Shared()
  const here = await shared.join('both')
  const results = here.calls(['bash', { ms: 100 }])
  await shared.clock.advance(10)
  const proof = here.session.cancel({ scope: 'queued' })
  await shared.clock.advance(200)
  expect((await proof).cancelled).toBe(0)
  expect(outputs(await results)).toEqual(['bash done'])
})

test('a turn that is cancelled ends no call inside the command of another session', async () => {
  await using shared = new Shared()
  const a = await shared.join('both')
  const b = await shared.join('coordinator')
  a.session.handle('task', async (_payload, { runToolCalls }) => {
    const calls = ['one', 'two'].map((label) => ({ id: label, name: 'bash', args: { ms: 50, label } }))
    return outputs(await runToolCalls(calls)).join(', ')
  })
  const theirs = b.calls(['task', {}])
  await shared.clock.advance(10)
  await a.session.cancel({ scope: 'turn', reason: 'Esc' })
  await shared.clock.advance(500)
  expect(outputs(await theirs)).toEqual(['one done, two done'])
})

test('the next turn does not wait for calls inside the command of another session', async () => {
  await using shared = new Shared()
  const a = await shared.join('both')
  const b = await shared.join('coordinator')
  a.session.handle('task', async (_payload, { runToolCalls }) =>
    outputs(await runToolCalls([{ id: '1', name: 'bash', args: { ms: 5000 } }])).join(),
  )
  const theirs = b.calls(['task', {}])
  await shared.clock.advance(10)
  const first = a.session.runTurn('first', ({ signal }) => a.sleep(1).then(() => signal.throwIfAborted()))
  const second = a.session.runTurn('second', async () => 'answered', { input: 'interrupt' })
  first.catch(() => undefined)
  await shared.clock.advance(100)
  expect(await shared.clock.expectSettled(second)).toBe('answered')
  await shared.clock.advance(6000)
  expect(outputs(await theirs)).toEqual(['bash done'])
})

test('a submission without a type is routed, also by a process that only submits', async () => {
  await using shared = new Shared()
  const routeDirect = (_lane: string, payload: unknown): string | undefined =>
    'command' in new Object(payload) ? 'bash' : undefined
  const here = await shared.join('coordinator', { routeDirect })
  const there = await shared.join('worker')
  there.session.handle('json', (payload) => ({ got: payload }))
  const routed = here.session.submit('execute', { command: 'ls' })
  const plain = here.session.submit('execute', { n: 1 })
  await shared.clock.advance(100)
  expect([await routed, await plain]).toEqual([DONE, { got: { n: 1 } }])
})

test('a type that execute is said not to know is left to another process', async () => {
  await using shared = new Shared()
  const here = await shared.join('coordinator')
  const lacking = await shared.join('worker', { executes: (name) => name !== 'deploy' })
  const run = here.session.submit('execute', {}, { commandType: 'deploy' })
  await shared.clock.advance(10)
  const having = await shared.join('worker', { tools: false })
  having.session.handle('deploy', () => 'deployed')
  await shared.clock.advance(5000)
  expect(await run).toBe('deployed')
  expect(lacking.faults.splice(0).map(String).join()).toContain('has no handler')
})

test('a pause proof and the counts are settled when the session has closed', async () => {
  await using shared = new Shared()
  const here = await shared.join('coordinator')
  here.session.submit('execute', {}, BASH).catch(() => undefined)
  await shared.clock.advance(10)
  const proof = here.session.pause()
  await shared.clock.advance(10)
  const closed = here.session.close({ timeoutMs: 1 })
  await shared.clock.advance(5000)
  await closed
  expect(await shared.clock.expectSettled(proof)).toMatchObject({ action: 'pause' })
  expect((await here.session.queueStats()).totalPending).toBe(0)
})

test('an id whose command followed another is free when that has ended', async () => {
  await using shared = new Shared()
  const [here, other] = [await shared.join('coordinator'), await shared.join('coordinator')]
  const payload = { ms: 20 }
  const dedupe = { ...BASH, dedupe: { id: 'd' } }
  await other.session.submitTask({ id: 'a', lane: 'execute', payload }, dedupe)
  const two = await here.session.submitTask({ id: 'b', lane: 'execute', payload }, dedupe)
  await shared.join('worker')
  await shared.clock.advance(100)
  expect(await two.result()).toEqual(DONE)
  const three = await here.session.submitTask({ id: 'b', lane: 'execute', payload: { ms: 1 } }, BASH)
  await shared.clock.advance(100)
  expect(await three.result()).toEqual(DONE)
})

test('the same id twice in a lane that is done outside is one command, live or settled', async () => {
  await using shared = new Shared()
  const here = await shared.join('coordinator', { queueConfig: EXTERNAL })
  const task = { id: 'x', lane: 'execute', payload: { n: 1 } } as const
  const both = [1, 2].map(() => here.session.submit('execute', { n: 1 }, { id: 'x' }))
  await here.work()
  const third = await here.session.submitTask(task)
  const given = { output: 'from outside' }
  expect([...(await Promise.all(both)), await third.result()]).toEqual([given, given, given])
})

test('a command that is asked for twice is counted and told once, and so is one that met another', async () => {
  await using shared = new Shared()
  const [here] = await shared.pair({ enableDlq: true })
  for (let times = 0; times < 2; times++) {
    const one = await here.session.submitTask({ id: 'x', lane: 'execute', payload: { fail: 'broken' } }, BASH)
    await shared.clock.advance(10)
    expect(await one.result().catch(messageOf)).toBe('broken')
  }
  const both = [1, 2].map(() => here.session.submit('execute', { ms: 5 }, { ...BASH, dedupe: { id: 'd' } }))
  await shared.clock.advance(50)
  await Promise.all(both)
  await shared.clock.advance(10)
  expect((await here.session.queueStats()).lanes.execute).toMatchObject({ failed: 1, completed: 1 })
  expect(await here.told('command_dead_lettered')).toMatchObject([{ command_id: 'x', error: 'broken', attempts: 1 }])
})

test("a refused submit is no failed command, and tells nothing of another session's", async () => {
  await using shared = new Shared()
  const [here] = await shared.pair({ enableDlq: true })
  const other = await shared.join('coordinator', { queueConfig: { enableDlq: true } })
  const first = await here.session.submitTask({ id: 'x', lane: 'execute', payload: { fail: 'broken' } }, BASH)
  await shared.clock.advance(10)
  await first.result().catch(messageOf)
  const second = other.session.submitTask({ id: 'x', lane: 'execute', payload: { other: 1 } }, BASH).catch(codeOf)
  const third = other.session.submit('execute', { big: 1n }, BASH).catch(codeOf)
  await shared.clock.advance(10)
  expect([await second, await third]).toEqual(['CONFLICT', 'PAYLOAD_INVALID'])
  await shared.clock.advance(10)
  expect(await other.told('command_dead_lettered')).toEqual([])
  expect((await other.session.queueStats()).lanes.execute).toMatchObject({ failed: 0, completed: 0 })
})

test('dead letters are those of both places, the newest of them', async () => {
  await using shared = new Shared()
  const queueConfig = { enableDlq: true, dlqMaxSize: 2, laneHandlers: { execute: { mode: 'external' } } } as const
  const here = await shared.join('coordinator', { queueConfig })
  await shared.join('worker', { queueConfig: { enableDlq: true } })
  const looked = here.session.submit('query', { fail: 'first' }, BASH).catch(messageOf)
  await shared.clock.advance(10)
  await looked
  for (const error of ['second', 'third']) {
    const results = here.calls(['bash', {}])
    await here.work(() => ({ success: false, error }))
    await results
    await shared.clock.advance(10)
  }
  expect((await here.session.deadLetters()).map(({ error }) => error)).toEqual(['second', 'third'])
  expect((await here.told('command_dead_lettered')).map(({ error }) => error)).toEqual(['first', 'second', 'third'])
})

test('nothing is asked of an engine for commands that were cancelled or refused', async () => {
  await using shared = new Shared()
  const engine = shared.broker.engine({ role: 'coordinator' })
  let asked = 0
  const find = engine.find.bind(engine)
  engine.find = (id) => {
    asked++
    return find(id)
  }
  const here = await shared.joinWith(engine, { queueConfig: { enableDlq: true } })
  const runs = Array.from({ length: 50 }, () => here.session.submit('execute', {}, BASH).catch(codeOf))
  await shared.clock.advance(10)
  const proof = here.session.cancel({ scope: 'session' })
  await shared.clock.advance(10)
  expect(new Set(await Promise.all(runs))).toEqual(new Set(['COMMAND_CANCELLED']))
  expect((await proof).cancelled).toBe(50)
  expect(asked).toBe(0)
})

test('a cancellation reaches a call that could not be told of it, when the engine is back', async () => {
  await using shared = new Shared()
  const there = await shared.join('worker')
  const engine = shared.broker.engine({ role: 'coordinator' })
  const here = await shared.joinWith(engine)
  const results = here.calls(['bash', { ms: 600_000 }])
  await shared.clock.advance(10)
  engine.cut()
  const proof = here.session.cancel({ reason: 'Esc' })
  await shared.clock.advance(25_000)
  engine.mend()
  await shared.clock.advance(5000)
  expect(there.notes).toEqual(['+bash', '!bash'])
  expect(outputs(await results)).toEqual(['Tool execution error: Command cancelled: Esc'])
  expect((await proof).unstopped).toEqual([])
  // told once
  expect(here.faults.splice(0)).toHaveLength(1)
})

test('what stays here and has no code is refused at once', async () => {
  await using shared = new Shared()
  const [here] = await shared.pair()
  expect(await here.session.submit('execute', {}, { ...BASH, ephemeral: true }).catch(codeOf)).toBe('HANDLER_NOT_FOUND')
  await here.session.setLaneHandler('execute', { mode: 'hybrid' })
  expect((await here.call('bash')).output).toContain('No handler is registered')
  expect(await here.told('external_task_pending')).toEqual([])
})

test('a start that fails is told to whoever starts, with and without an engine', async () => {
  const alone = sessionSetup()
  await alone.session.close()
  expect(await alone.session.start().catch(codeOf)).toBe('SHUTTING_DOWN')
})
