/** The four lanes of a session: their numbers, who goes first, who goes where, and what a total cap changes. */
import { laneForTool, SESSION_LANES, type SessionLane, SessionQueue } from '@a3s-lab/lane/session'
import { seededRandom, VirtualClock } from '@a3s-lab/lane/testing'
import { expect, test } from 'vitest'
import { resolveSessionConfig } from '../../../src/session/config-resolution.js'
import { sessionLanes } from '../../../src/session/session-lanes.js'
import { napping } from '../../support/bodies.js'
import { sessionSetup } from '../../support/session.js'
import { errorOf } from '../../support/setup.js'

const QUERY = ['read', 'glob', 'ls', 'grep', 'list_files', 'search', 'web_fetch', 'web_search']
const EXECUTE = ['bash', 'write', 'edit', 'delete', 'move', 'copy', 'execute']
const CONTROL = ['pause', 'resume', 'cancel']
const OTHERS = ['Read', 'READ', ' read', 'mcp__files__read', 'task', 'batch', 'my_tool', '', 'toString', '__proto__']

const ROUTES = [
  ...QUERY.map((name) => [name, 'query'] as const),
  ...EXECUTE.map((name) => [name, 'execute'] as const),
  ...CONTROL.map((name) => [name, 'control'] as const),
  ...OTHERS.map((name) => [name, 'execute'] as const),
]

test.each(ROUTES)('the tool %j goes to %s', (name, lane) => {
  expect([laneForTool(name), new SessionQueue().laneForTool(name)]).toEqual([lane, lane])
})

test.each(ROUTES.filter(([name]) => name !== ''))('a call of %j runs in %s', async (name, lane) => {
  await using t = sessionSetup({ execute: (_name, _args, { laneId }) => laneId })
  expect(await t.call(name)).toMatchObject({ output: lane, is_error: false })
})

test('a model call goes to generate', async () => {
  await using t = sessionSetup()
  const where = t.session.callModel({ model: 'm' }, (_payload, { laneId, commandType }) => [laneId, commandType])
  expect(await where).toEqual(['generate', 'llm'])
})

const LANES = [
  ['control', 2],
  ['query', 4],
  ['execute', 2],
  ['generate', 1],
] as const

test.each(LANES)('%s runs %i commands at once by default', async (lane, most) => {
  await using t = sessionSetup()
  const payloads = Array.from({ length: 9 }, (_, index) => ({ ms: 10, label: index }))
  const all = Promise.all(payloads.map((payload) => t.session.submit(lane, payload, { commandType: 'work' })))
  await t.clock.settle()
  const { lanes, totalActive, totalPending } = await t.session.queueStats()
  expect([t.running[lane], lanes[lane]?.maxConcurrency, totalActive, totalPending]).toEqual([
    most,
    most,
    most,
    9 - most,
  ])
  await t.clock.advance(100)
  await all
  expect(t.most[lane]).toBe(most)
})

test('each lane has one slot of a total cap reserved', async () => {
  const { queue } = sessionLanes(resolveSessionConfig({ maxConcurrency: 9 }), {
    clock: new VirtualClock(),
    random: seededRandom(1),
    storage: undefined,
    engine: undefined,
    onFault: () => undefined,
  })
  const lanes = Object.entries(queue.stats().lanes).map(([id, { min }]) => [id, min])
  expect(lanes).toEqual(SESSION_LANES.map((id) => [id, 1]))
  await queue.close()
})

test('the lanes are listed in the order of their priority', () => {
  expect(SESSION_LANES).toEqual(['control', 'query', 'execute', 'generate'])
})

test('waiting commands start in the order of their lanes: control, query, execute, generate', async () => {
  await using t = sessionSetup({ queueConfig: { maxConcurrency: 1 } })
  const lanes: SessionLane[] = ['generate', 'execute', 'query', 'control']
  const runs = lanes.map((lane) => t.session.submit(lane, { ms: 10, label: lane }, { commandType: 'work' }))
  await t.clock.advance(40)
  await Promise.all(runs)
  expect(t.notes.filter((note) => note.startsWith('+'))).toEqual(['+control', '+query', '+execute', '+generate'])
})

test('two independent submissions to execute run at once', async () => {
  await using t = sessionSetup()
  const runs = [1, 2].map(() => t.session.submit('execute', { ms: 10 }, { commandType: 'bash' }))
  await t.clock.settle()
  expect(t.running['execute']).toBe(2)
  await t.clock.advance(10)
  await Promise.all(runs)
})

test.each(['control', 'query', 'execute', 'generate'] as const)('%s may be written with a capital', async (lane) => {
  await using t = sessionSetup()
  const written = `${lane.charAt(0).toUpperCase()}${lane.slice(1)}` as Capitalize<SessionLane>
  await t.session.setLaneHandler(written, { mode: 'External', timeoutMs: 5 })
  expect([t.session.laneHandler(lane), t.session.laneHandler(written)]).toEqual([
    { mode: 'external', timeoutMs: 5 },
    { mode: 'external', timeoutMs: 5 },
  ])
  const run = t.session.submit(written, {})
  expect((await t.task()).lane).toBe(lane)
  await t.work()
  await run
})

test.each(['EXECUTE', 'prompt', '', ' query', 0, undefined, null, '__proto__'])(
  'the lane %j is refused with the names of the four',
  async (lane) => {
    await using t = sessionSetup()
    const refused = [
      await errorOf(t.session.submit(lane as never, {})),
      await errorOf(t.session.submitBatch(lane as never, [])),
      await errorOf(t.session.submitTask({ id: 'x', lane: lane as never, payload: {} })),
      await errorOf(t.session.setLaneHandler(lane as never, { mode: 'internal' })),
    ]
    for (const { code, message } of refused) {
      expect(code).toBe('CONFIG_INVALID')
      expect(message).toContain('control, query, execute, generate')
    }
  },
)

test('with a total cap a query takes the slot of a running model call, which resumes from its checkpoint', async () => {
  await using t = sessionSetup({ queueConfig: { maxConcurrency: 1 } })
  const begins: unknown[] = []
  const text = t.session.callModel('prompt', async (_payload, { attempt, restored, checkpoint, signal }) => {
    begins.push([attempt, restored])
    if (restored !== undefined) return `${restored as string} and the rest`
    await checkpoint('the first half')
    await napping(t, 1000, signal)
    return 'not preempted'
  })
  await t.clock.advance(100)
  const looked = await t.clock.expectSettled(t.session.submit('query', {}, { commandType: 'read' }))
  expect(looked).toEqual({ output: 'read done', exit_code: 0 })
  expect(await t.clock.expectSettled(text)).toBe('the first half and the rest')
  expect(begins).toEqual([
    [1, undefined],
    [1, 'the first half'],
  ])
})

test('with a total cap control takes the slot of a model call, and nothing takes that of a tool', async () => {
  await using t = sessionSetup({ queueConfig: { maxConcurrency: 1 } })
  const bash = t.session.submit('execute', { ms: 100, label: 'bash' }, { commandType: 'bash' })
  await t.clock.settle()
  const read = t.session.submit('query', { label: 'read' }, { commandType: 'read' })
  await t.clock.advance(99)
  expect(t.notes).toEqual(['+bash'])
  await t.clock.advance(1)
  await Promise.all([bash, read])
  const model = t.session.callModel('prompt', (_payload, { signal }) => napping(t, 100, signal))
  await t.clock.settle()
  expect(await t.clock.expectSettled(t.session.submit('control', {}, { commandType: 'pause' }))).toBeDefined()
  await t.clock.advance(100)
  await model
})

test('without a total cap nothing is preempted', async () => {
  await using t = sessionSetup()
  const model = t.session.callModel('prompt', (_payload, { signal }) => napping(t, 100, signal))
  await t.clock.settle()
  await t.session.submit('query', {}, { commandType: 'read' })
  await t.clock.advance(100)
  await t.clock.expectSettled(model)
  expect((await t.told('queue.command.preempted')).length).toBe(0)
})

test('a preempted external attempt is told as over, and waits outside again as a new task', async () => {
  await using t = sessionSetup({
    queueConfig: { maxConcurrency: 1, laneHandlers: { generate: { mode: 'external' } } },
  })
  const model = t.session.callModel({ model: 'm' }, () => 'never here')
  const first = await t.task()
  await t.session.submit('query', {}, { commandType: 'read' })
  const second = await t.task()
  expect([second.task_id === first.task_id, second.command_id === first.command_id, second.attempt]).toEqual([
    false,
    true,
    1,
  ])
  expect(await t.told('external_task_completed')).toMatchObject([{ task_id: first.task_id, success: false }])
  expect(await t.session.completeExternalTask(first.task_id, { result: 'late' })).toBe(false)
  await t.work(() => ({ result: 'text' }))
  expect(await model).toBe('text')
})

test('old work is lifted above query, and never above control', async () => {
  await using t = sessionSetup({
    queueConfig: { maxConcurrency: 1, priorityBoost: { strategy: 'aggressive', deadlineMs: 1000 } },
  })
  const submit = (lane: SessionLane, ms: number): Promise<unknown> =>
    t.session.submit(lane, { ms, label: lane }, { commandType: 'work' })
  const runs = [submit('query', 2000), submit('execute', 10)]
  await t.clock.advance(1990)
  runs.push(submit('query', 10), submit('control', 10))
  await t.clock.advance(100)
  await Promise.all(runs)
  expect(t.notes.filter((note) => note.startsWith('+'))).toEqual(['+query', '+control', '+execute', '+query'])
})
