/** The examples of the reference's pages that need an agent, in their TypeScript form, with a model that is written down. */
import { execFileSync } from 'node:child_process'
import { Agent } from '@a3s-lab/lane/agent'
import type { ExternalTask, ExternalTaskResult, SessionEvent } from '@a3s-lab/lane/session'
import { expect, test } from 'vitest'
import { agentSetup, aTool, like, type Script, ScriptedModel, turnsOfTheLoop, until } from '../../support/agent.js'
import { QUEUE_BLOCK } from '../../support/queue-block.js'
import { gate } from '../../support/setup.js'

const SOURCES = { 'src/main.rs': 'fn main() {}', 'src/lib.rs': 'pub fn lib() {}', 'README.md': '# it' }

test('basic setup: all features, and everything allowed', async () => {
  await using t = await agentSetup(
    ({ prompt }) =>
      prompt.at(-1)?.role === 'tool'
        ? { text: 'src/lib.rs, src/main.rs' }
        : { calls: [['glob', { pattern: '**/*.rs' }]] },
    { permissive: true, queueConfig: { enableAllFeatures: true }, files: SOURCES },
  )
  const { text } = await t.session.send('List all Rust files')
  expect(text).toBe('src/lib.rs, src/main.rs')
  expect(t.model.text(1)).toMatch(/src\/lib\.rs.*src\/main\.rs/)
  expect(await t.session.queueMetrics()).toMatchObject({ counters: like.anything() })
})

/** A worker on another machine: it has the task alone, as JSON. */
function worker(json: string): ExternalTaskResult {
  const { payload } = JSON.parse(json) as { payload: { command: string; working_dir?: string } }
  try {
    const output = execFileSync('sh', ['-c', payload.command], { cwd: payload.working_dir ?? '/', encoding: 'utf8' })
    return { success: true, result: { output, exit_code: 0 } }
  } catch (error) {
    const { status, stdout } = error as { status: number; stdout: string }
    return { success: true, result: { output: stdout, exit_code: status } }
  }
}

const twoCommands: Script = [
  {
    text: 'I build. ',
    calls: [
      ['bash', { command: 'echo compiled' }, 'a'],
      ['bash', { command: 'echo 1 failed; exit 2' }, 'b'],
    ],
  },
  { text: 'One test failed.' },
]

test('external task handler: a stream, and a worker for each task that it tells of', async () => {
  await using t = await agentSetup(twoCommands)
  await t.session.setLaneHandler('execute', { mode: 'external', timeoutMs: 60_000 })
  let text = ''
  let tokens: number | undefined
  const left: number[] = []
  for await (const event of t.session.stream('Run the tests')) {
    if (event.type === 'text_delta') text += event.text
    if (event.type === 'external_task_pending') {
      for (const task of await t.session.pendingExternalTasks()) {
        left.push(task.remaining_ms)
        await t.session.completeExternalTask(task.task_id, worker(JSON.stringify(task)))
      }
    }
    if (event.type === 'end') tokens = event.totalTokens
  }
  expect([text, tokens]).toEqual(['I build. One test failed.', 30])
  expect(left.filter((ms) => ms > 0)).toHaveLength(2)
  expect(t.model.text(1)).toMatch(/compiled.*1 failed\\n\\n?\[exit code 2\]/)
})

test('external task handler: send with polling, then hybrid, then internal again', async () => {
  await using t = await agentSetup(twoCommands)
  await t.session.setLaneHandler('execute', { mode: 'external', timeoutMs: 60_000 })
  let isDone = false
  const sent = t.session.send('Run the tests').finally(() => {
    isDone = true
  })
  let worked = 0
  while (!isDone) {
    for (const task of await t.session.pendingExternalTasks()) {
      worked++
      expect(await t.session.completeExternalTask(task.task_id, worker(JSON.stringify(task)))).toBe(true)
      expect(await t.session.completeExternalTask(task.task_id, {}), 'a second time').toBe(false)
    }
    await turnsOfTheLoop(1)
  }
  expect([(await sent).text, worked]).toEqual(['One test failed.', 2])
  await t.session.setLaneHandler('execute', { mode: 'hybrid', timeoutMs: 60_000 })
  t.model.script = twoCommands
  const seen: SessionEvent[] = []
  for await (const event of t.session.stream('Again, observed')) seen.push(event)
  const observed = seen.filter(({ type }) => type.startsWith('external_task_'))
  expect(observed).toMatchObject([
    { type: 'external_task_pending', payload: { command: 'echo compiled' } },
    { type: 'external_task_completed', success: true },
    { type: 'external_task_pending' },
    { type: 'external_task_completed', success: true },
  ])
  expect(t.model.text(1)).toContain('compiled')
  await t.session.setLaneHandler('execute', { mode: 'internal' })
  t.model.script = twoCommands
  const { length } = t.events
  await t.session.send('And again')
  await turnsOfTheLoop(3)
  expect(t.events.slice(length).filter(({ type }) => type.startsWith('external_'))).toEqual([])
})

test('coordinator and worker: every pending task is dispatched in parallel, over a transport of its own', async () => {
  const wire: { task: string; answer: (result: string) => void }[] = []
  const send = (task: ExternalTask): Promise<ExternalTaskResult> =>
    new Promise((resolve) =>
      wire.push({ task: JSON.stringify(task), answer: (result) => resolve(JSON.parse(result) as ExternalTaskResult) }),
    )
  await using t = await agentSetup(twoCommands, {
    queueConfig: { enableAllFeatures: true, laneHandlers: { execute: { mode: 'external', timeoutMs: 120_000 } } },
  })
  const working = (async () => {
    for (let done = 0; done < 2; done++) {
      await until(() => wire.length > 0)
      const { task, answer } = wire.shift() as (typeof wire)[number]
      answer(JSON.stringify(worker(task)))
    }
  })()
  let text = ''
  let end = ''
  for await (const event of t.session.stream('Run the tests')) {
    if (event.type === 'external_task_pending') {
      const tasks = await t.session.pendingExternalTasks()
      await Promise.all(tasks.map(async (task) => t.session.completeExternalTask(task.task_id, await send(task))))
    }
    if (event.type === 'text_delta') text += event.text
    if (event.type === 'end') end = event.text
  }
  await working
  expect([text, end]).toEqual(['I build. One test failed.', 'One test failed.'])
  expect(await t.session.pendingExternalTasks()).toEqual([])
})

test('setExternalTaskHandler works during send', async () => {
  await using t = await agentSetup(twoCommands)
  await t.session.setLaneHandler('Execute', { mode: 'External' as never, timeoutMs: 60_000 })
  t.session.setExternalTaskHandler((task) => worker(JSON.stringify(task)))
  expect(await t.session.send('Run the tests')).toMatchObject({ text: 'One test failed.', toolCallsCount: 2 })
  expect((await t.session.queueStats()).lanes.execute).toMatchObject({
    completed: 2,
    failed: 0,
    handlerMode: 'external',
  })
})

test('dynamic switching: here until a worker joins, there while it is, and here again', async () => {
  const where: string[] = []
  const tools = [aTool('build', () => void where.push('here'))]
  await using t = await agentSetup(
    ({ prompt }) => (prompt.at(-1)?.role === 'tool' ? { text: 'ok' } : { calls: [['build']] }),
    { tools },
  )
  t.session.setExternalTaskHandler(() => {
    where.push('there')
    return { result: { output: 'built' } }
  })
  for (const mode of ['internal', 'external', 'internal'] as const) {
    await t.session.setLaneHandler('execute', { mode })
    await t.session.send('Build')
  }
  expect([where, t.session.laneHandler('execute')]).toEqual([
    ['here', 'there', 'here'],
    { mode: 'internal', timeoutMs: 60_000 },
  ])
})

test('parallel processing: several sessions of one agent at once, and one question that takes many searches', async () => {
  const agent = await Agent.create({
    defaultModel: 'local/none',
    providers: [{ name: 'local', baseUrl: 'http://127.0.0.1:9/v1', models: [{ id: 'none' }] }],
    queue: { queryMaxConcurrency: 3 },
  })
  await using t = await agentSetup([])
  let [running, most] = [0, 0]
  const grep = aTool('grep', async ({ pattern }) => {
    most = Math.max(most, ++running)
    await turnsOfTheLoop(2)
    running--
    return `found ${String(pattern)}`
  })
  const searching: Script = [
    { calls: Array.from({ length: 9 }, (_, n) => ['grep', { pattern: n }, `${n}`] as const) },
    { text: 'all found' },
  ]
  const one = agent.session(t.folder, { model: new ScriptedModel(searching), tools: [grep], permissive: true })
  expect([await one.send('Search'), most]).toEqual([expect.objectContaining({ toolCallsCount: 9 }), 3])
  await one.close()
  const sessions = [1, 2, 3, 4].map((n) =>
    agent.session(t.folder, { model: new ScriptedModel([{ text: `answer ${n}` }]) }),
  )
  const answers = await Promise.all(sessions.map((session) => session.send('Hi')))
  expect(answers.map(({ text }) => text)).toEqual(['answer 1', 'answer 2', 'answer 3', 'answer 4'])
  expect(new Set(sessions.map(({ sessionId }) => sessionId)).size).toBe(4)
  await Promise.all(sessions.map((session) => session.close()))
})

test('task priority: a question that reads is answered before the commands that wait', async () => {
  const began: string[] = []
  const held = gate()
  const tools = ['bash', 'read'].map((name) =>
    aTool(name, async () => {
      began.push(name)
      if (name === 'bash') await held.promise
    }),
  )
  await using t = await agentSetup([], {
    tools,
    queueConfig: { executeMaxConcurrency: 1, queryMaxConcurrency: 2, maxConcurrency: 2 },
  })
  const commands = [1, 2, 3].map((n) => t.session.submit('execute', { command: `sleep ${n}` }))
  await t.session.submit('query', { path: 'README.md' })
  held.open()
  await Promise.all(commands)
  expect([began.indexOf('read') <= 1, began.filter((name) => name === 'bash').length]).toEqual([true, 3])
})

test('status: totals, the list of pending tasks with their time left, metrics, dead letters', async () => {
  await using t = await agentSetup(twoCommands, {
    queueConfig: { enableAllFeatures: true, laneHandlers: { execute: { mode: 'external', timeoutMs: 30_000 } } },
  })
  expect(await t.session.queueStats()).toMatchObject({ totalPending: 0, totalActive: 0, externalPending: 0 })
  const sent = t.session.send('Run the tests')
  await until(async () => (await t.session.pendingExternalTasks()).length > 0)
  expect(await t.session.queueStats()).toMatchObject({
    totalActive: 1,
    externalPending: 1,
    lanes: { execute: { active: 1, maxConcurrency: 2 } },
  })
  const [task] = await t.session.pendingExternalTasks()
  expect([task?.command_type, task?.remaining_ms !== undefined && task.remaining_ms > 29_000]).toEqual(['bash', true])
  t.session.setExternalTaskHandler(() => ({ success: false, error: 'no worker' }))
  await sent
  const metrics = await t.session.queueMetrics()
  expect(Object.keys(metrics?.counters ?? {}).join()).toContain('execute')
  expect(await t.session.deadLetters()).toMatchObject([
    { command_type: 'bash', lane_id: 'execute', attempts: 1, error: like.text('no worker') },
    { command_type: 'bash' },
  ])
})

const HCL = (key: string) => `
default_model = "local/one"
providers {
  name     = "local"
  base_url = "http://127.0.0.1:9/v1"
  api_key  = "${key}"
  models {
    id = "one"
  }
}
${QUEUE_BLOCK}`

test('config: the complete block of a file makes the queue of its sessions', async () => {
  await using t = await agentSetup([])
  const agent = await Agent.create(HCL('k'))
  const model = new ScriptedModel(twoCommands)
  await using session = agent.session(t.folder, { sessionId: 'of-the-file', model, permissive: true })
  expect(session.laneHandler('execute')).toEqual({ mode: 'external', timeoutMs: 60_000 })
  session.setExternalTaskHandler((task) => worker(JSON.stringify(task)))
  expect((await session.send('Run the tests')).text).toBe('One test failed.')
  const { lanes } = await session.queueStats()
  expect([lanes.query?.maxConcurrency, lanes.execute?.maxConcurrency, lanes.execute?.completed]).toEqual([10, 5, 2])
  expect([(await session.queueMetrics()) === null, t.file('queue_data/of-the-file.db').length > 0]).toEqual([
    false,
    true,
  ])
})
