/** Planning: the model's plan becomes steps, which run in waves through the same loop and the same lanes. */

import { expect, test } from 'vitest'
import {
  type AgentSetup,
  type Asked,
  agentSetup,
  all,
  aTool,
  endless,
  like,
  type Reply,
  until,
} from '../../support/agent.js'
import { sorted } from '../../support/bodies.js'
import { errorOf, gate } from '../../support/setup.js'

type PlanStep = { readonly id?: unknown; readonly description?: unknown; readonly depends_on?: unknown }

const asText = ({ prompt }: Asked): string => JSON.stringify(prompt.at(-1)?.content)
const isPlanning = (asked: Asked): boolean => asText(asked).includes('Plan the work before doing it')
const isAnswering = (asked: Asked): boolean => asText(asked).includes('Answer now, from what the steps came to')
const stepOf = ({ prompt }: Asked): string | undefined =>
  /Do only this step of it, and say what came of it: ([^"\\]*)/.exec(JSON.stringify(prompt))?.[1]

/** A model that plans these steps, does each as it is told, and answers. */
const planner =
  (
    steps: readonly PlanStep[] | string,
    doing: (step: string, asked: Asked) => Reply | Promise<Reply> = (step) => ({ text: `${step} is done` }),
  ) =>
  (asked: Asked): Reply | Promise<Reply> => {
    if (isPlanning(asked)) return { text: typeof steps === 'string' ? steps : JSON.stringify({ steps }) }
    return isAnswering(asked) ? { text: ['All ', 'done.'] } : doing(stepOf(asked) ?? '', asked)
  }

const planned = (script: ReturnType<typeof planner>, options = {}): Promise<AgentSetup> =>
  agentSetup(script, { planning: true, ...options })

const A_B_C = [
  { id: 'a', description: 'first', depends_on: [] },
  { id: 'b', description: 'second', depends_on: [] },
  { id: 'c', description: 'third', depends_on: ['a', 'b'] },
]

test('a plan is made, its steps run, and the answer comes from what they came to', async () => {
  await using t = await planned(planner(A_B_C))
  expect(await t.session.send('Build it')).toEqual({
    text: 'All done.',
    toolCallsCount: 0,
    promptTokens: 50,
    completionTokens: 25,
    totalTokens: 75,
  })
  expect(t.session.history()).toMatchObject([
    { role: 'user', content: 'Build it' },
    { role: 'assistant', content: 'All done.' },
  ])
  const third = t.model.asked.find((asked) => stepOf(asked) === 'third')
  expect(third && asText(third)).toMatch(
    /The whole work: Build it.*Result of step a:\\nfirst is done.*Result of step b:\\nsecond is done/,
  )
  const last = t.model.asked.at(-1)
  expect(last && asText(last)).toMatch(/Step a \(completed\): first\\nfirst is done.*Step c \(completed\): third/)
})

test('plan and steps are told in order, each model call with its number, and only the text of the answer', async () => {
  await using t = await planned(
    planner([
      { id: 'a', description: 'first' },
      { id: 'b', description: 'second', depends_on: ['a'] },
    ]),
  )
  const events = await all(t.session.stream('Build it'))
  const [pending, running, done] = ['pending', 'in_progress', 'completed']
  const tasks = (a: unknown, b: unknown) => ({
    type: 'task_updated',
    session_id: t.session.sessionId,
    tasks: [
      { id: 'a', description: 'first', depends_on: [], status: a },
      { id: 'b', description: 'second', depends_on: ['a'], status: b },
    ],
  })
  const turn = (n: number) => [
    { type: 'turn_start', turn: n },
    { type: 'turn_end', turn: n, usage: like.anything() },
  ]
  const step = (id: string, description: string, n: number) => [
    { type: 'step_start', step_id: id, description, step_number: n, total_steps: 2 },
    { type: 'step_end', step_id: id, status: 'completed', step_number: n, total_steps: 2 },
  ]
  const [startA, endA] = step('a', 'first', 1)
  const [startB, endB] = step('b', 'second', 2)
  expect(events).toEqual([
    { type: 'start', prompt: 'Build it' },
    { type: 'planning_start', prompt: 'Build it' },
    ...turn(1),
    { type: 'planning_end', plan: tasks(pending, pending).tasks, estimated_steps: 2 },
    tasks(pending, pending),
    ...[startA, tasks(running, pending), ...turn(2), endA, tasks(done, pending)],
    ...[startB, tasks(done, running), ...turn(3), endB, tasks(done, done)],
    { type: 'turn_start', turn: 4 },
    { type: 'text_delta', text: 'All ' },
    { type: 'text_delta', text: 'done.' },
    { type: 'turn_end', turn: 4, usage: like.anything() },
    { type: 'end', text: 'All done.', usage: like.object({ total_tokens: 60 }) },
  ])
})

test('steps that are ready run at the same time, and the limits of the lanes hold over all of them', async () => {
  const most: Record<string, number> = {}
  const running: Record<string, number> = {}
  const counted = (name: string) =>
    aTool(name, async () => {
      running[name] = (running[name] ?? 0) + 1
      most[name] = Math.max(most[name] ?? 0, running[name])
      for (let n = 0; n < 5; n++) await new Promise((resolve) => setImmediate(resolve))
      running[name]--
      return 'ok'
    })
  const steps = ['one', 'two', 'three', 'four'].map((description) => ({ description }))
  await using t = await planned(
    planner(steps, (_step, { prompt }) =>
      prompt.at(-1)?.role === 'tool' ? { text: 'ok' } : { calls: [['grep'], ['write']] },
    ),
    {
      tools: [counted('grep'), counted('write')],
      queueConfig: { queryMaxConcurrency: 3, executeMaxConcurrency: 2, generateMaxConcurrency: 4 },
    },
  )
  expect(await t.session.send('Go')).toMatchObject({ toolCallsCount: 8 })
  expect(most).toEqual({ grep: 3, write: 2 })
})

test('a step waits for what it needs, wherever that stands in the plan', async () => {
  await using t = await planned(
    planner([
      { id: 'x', description: 'late', depends_on: ['y'] },
      { id: 'y', description: 'early' },
    ]),
  )
  await t.session.send('Go')
  expect((await t.told('step_start')).map(({ description }) => description)).toEqual(['early', 'late'])
})

test('a step that fails takes with it what needs it, and nothing else', async () => {
  const steps = [
    { id: 'a', description: 'bad' },
    { id: 'b', description: 'needs bad', depends_on: ['a'] },
    { id: 'c', description: 'needs that', depends_on: ['b'] },
    { id: 'd', description: 'good' },
  ]
  await using t = await planned(
    planner(steps, (step) =>
      step === 'bad' ? { fail: Object.assign(new Error('no way'), { isRetryable: false }) } : { text: 'fine' },
    ),
  )
  expect((await t.session.send('Go')).text).toBe('All done.')
  const ends = await t.told('step_end')
  expect(ends.map(({ step_id, status }) => `${String(step_id)} ${String(status)}`)).toEqual([
    'a failed',
    'd completed',
    'b skipped',
    'c skipped',
  ])
  const last = t.model.asked.at(-1)
  expect(last && asText(last)).toMatch(/Step a \(failed\): bad\\nfailed: .*no way.*Step b \(skipped\)/)
})

test.each([
  ['no JSON at all', 'I would rather talk.'],
  ['broken JSON', '{"steps": [{"id": 1'],
  ['no steps', '{"steps": []}'],
  ['something else', '{"plan": "none"}'],
  ['JSON after text that has a bracket', 'Here {it} is: {"steps": []}'],
])('with %s the work is one step', async (_what, text) => {
  await using t = await planned(planner(text))
  expect((await t.session.send('Go')).text).toBe('All done.')
  expect(await t.told('planning_end')).toEqual([
    {
      type: 'planning_end',
      plan: [{ id: '1', description: 'Go', depends_on: [], status: 'pending' }],
      estimated_steps: 1,
    },
  ])
})

test('a plan inside other text is found', async () => {
  await using t = await planned(planner('Sure:\n```json\n{"steps":[{"id":1,"description":"only"}]}\n```'))
  await t.session.send('Go')
  expect(await t.told('step_start')).toMatchObject([{ step_id: '1', description: 'only' }])
})

test.each([
  [
    'ids that are left out',
    [{ description: 'a' }, { description: 'b', depends_on: [1] }],
    [
      ['1', []],
      ['2', ['1']],
    ],
  ],
  [
    'the same id twice',
    [{ id: 'x' }, { id: 'x' }],
    [
      ['x', []],
      ['x.2', []],
    ],
  ],
  ['needs that nobody has', [{ id: 'x', depends_on: ['y', 'x', 5] }], [['x', []]]],
  ['needs that are no list', [{ id: 'x', depends_on: 'y' }], [['x', []]]],
  [
    'steps that are none',
    ['do it', null],
    [
      ['1', []],
      ['2', []],
    ],
  ],
])('%s are read as well as they can be', async (_what, steps, expected) => {
  await using t = await planned(planner(steps as PlanStep[]))
  await t.session.send('Go')
  const [{ plan = [] } = {}] = (await t.told('planning_end')) as { plan?: { id: string; depends_on: string[] }[] }[]
  expect(plan.map(({ id, depends_on }) => [id, depends_on])).toEqual(expected)
})

test('steps that wait for each other are done all the same, in their order', async () => {
  await using t = await planned(
    planner([
      { id: 'a', description: 'a', depends_on: ['b'] },
      { id: 'b', description: 'b', depends_on: ['a'] },
    ]),
  )
  expect((await t.session.send('Go')).text).toBe('All done.')
  expect((await t.told('step_end')).map(({ step_id, status }) => [step_id, status])).toEqual([
    ['a', 'completed'],
    ['b', 'completed'],
  ])
})

test('a plan has at most twenty steps', async () => {
  const steps = Array.from({ length: 25 }, (_, n) => ({
    id: n,
    description: `step ${n}`,
    depends_on: n === 0 ? [] : [n - 1],
  }))
  await using t = await planned(planner(steps))
  await t.session.send('Go')
  expect(await t.told('step_end')).toHaveLength(20)
})

test('a step has the tools, and a plan and an answer have none', async () => {
  await using t = await planned(planner([{ id: 'a', description: 'only' }]))
  await t.session.send('Go')
  expect(t.model.asked.map(({ tools }) => tools.length > 0)).toEqual([false, true, false])
})

test('cancelling ends every step, and no other begins', async () => {
  const notes: string[] = []
  await using t = await planned(
    planner(A_B_C, (step) => ({ calls: [['work', {}, step]] })),
    { tools: [endless('work', notes)], queueConfig: { generateMaxConcurrency: 2 } },
  )
  const sent = errorOf(t.session.send('Go'))
  await until(() => notes.length === 2)
  const proof = await t.session.cancel({ reason: 'enough' })
  expect([(await sent).message, proof.unstopped]).toEqual(['Command cancelled: enough', []])
  expect(sorted(notes)).toEqual(sorted(['+first', '+second', '-first', '-second']))
  expect((await t.told('step_start')).length).toBe(2)
  expect(await t.types()).not.toContain('planning_start planning_start')
})

test('a plan whose steps run commands on a worker', async () => {
  await using t = await planned(
    planner(
      [
        { id: 'a', description: 'make' },
        { id: 'b', description: 'make test', depends_on: ['a'] },
      ],
      (step, { prompt }) =>
        prompt.at(-1)?.role === 'tool' ? { text: `${step} ok` } : { calls: [['bash', { command: step }]] },
    ),
    { queueConfig: { laneHandlers: { execute: { mode: 'external', timeoutMs: 60_000 } } } },
  )
  const commands: unknown[] = []
  t.session.setExternalTaskHandler(({ payload }) => {
    commands.push((payload as { command: string }).command)
    return { result: { output: 'built', exit_code: 0 } }
  })
  expect(await t.session.send('Build')).toMatchObject({ text: 'All done.', toolCallsCount: 2 })
  expect(commands).toEqual(['make', 'make test'])
})

test('a model that cannot be reached for the plan fails the turn', async () => {
  await using t = await planned(() => ({ fail: new Error('down') }), { circuitBreakerThreshold: 1 })
  expect((await errorOf(t.session.send('Go'))).message).toContain('down')
  expect((await t.types()).slice(-1)).toEqual(['error'])
})

test('a plan can be cancelled while it is made', async () => {
  const held = gate()
  await using t = await planned(() => ({ hold: held.promise }))
  const sent = errorOf(t.session.send('Go'))
  await until(() => t.model.running)
  await t.session.cancel()
  expect([(await sent)['code'], t.model.running]).toEqual(['COMMAND_CANCELLED', 0])
})
