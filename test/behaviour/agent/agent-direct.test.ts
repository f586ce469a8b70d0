/** Work that the program itself puts into a lane: commands, files and questions, past the turn. */
import { expect, test } from 'vitest'
import { agentSetup, aTool, endless, like, type Script, until } from '../../support/agent.js'
import { errorOf, gate } from '../../support/setup.js'

test('a payload with a command runs it by bash', async () => {
  await using t = await agentSetup([], { permissive: undefined })
  expect(await t.session.submit('execute', { command: 'echo out; exit 3' })).toEqual({
    output: 'out',
    exit_code: 3,
    metadata: like.object({ working_dir: '.' }),
  })
})

test('payloads with a path in query are read, all at the same time, results in their order', async () => {
  await using t = await agentSetup([], {
    permissive: undefined,
    files: { 'a.txt': 'text of a', 'b/c.txt': 'text of c' },
  })
  const results = await t.session.submitBatch('query', [{ path: 'b/c.txt' }, { path: 'a.txt' }, { path: 'none' }])
  expect(results).toMatchObject([
    { output: like.text('text of c'), exit_code: 0 },
    { output: like.text('text of a') },
    { exit_code: 1 },
  ])
})

test('a prompt is a turn on the side: its own history, the same model and tools, its text as the result', async () => {
  await using t = await agentSetup([{ text: 'Main.' }, { calls: [['ls']] }, { text: 'Aside.' }])
  await t.session.send('Main')
  expect(await t.session.submit('execute', { prompt: 'Aside' })).toBe('Aside.')
  expect(t.model.asked[1]?.prompt.slice(1)).toMatchObject([{ content: [{ text: 'Aside' }] }])
  expect(t.session.history()).toHaveLength(2)
  expect(await t.told('text_delta', 'turn_start')).toMatchObject([{ turn: 1 }, { text: 'Main.' }])
})

test.each(['execute', 'generate'] as const)(
  'a prompt in lane %s of one slot runs its tools and model calls in its own',
  async (lane) => {
    const queueConfig = { executeMaxConcurrency: 1, generateMaxConcurrency: 1, maxConcurrency: 1 }
    await using t = await agentSetup(
      [
        {
          calls: [
            ['bash', { command: 'echo nested' }],
            ['batch', { calls: [{ name: 'ls' }] }],
          ],
        },
        { text: 'ok' },
      ],
      { queueConfig },
    )
    expect(await t.session.submit(lane, { prompt: 'Go' })).toBe('ok')
    expect(t.model.text(1)).toContain('nested')
    const { lanes } = await t.session.queueStats()
    expect([lanes[lane]?.completed, lanes[lane === 'execute' ? 'generate' : 'execute']?.completed]).toEqual([1, 0])
  },
)

test('the program is not asked for permission, the tools of its prompts are', async () => {
  await using t = await agentSetup([{ calls: [['bash', { command: 'echo ran' }]] }, { text: 'ok' }], {
    permissive: undefined,
  })
  await t.session.submit('execute', { prompt: 'Go' })
  expect(t.model.text(1)).toContain('needs confirmation')
})

test('a nested tool call whose lane is external is a task', async () => {
  await using t = await agentSetup([{ calls: [['bash', { command: 'make' }, 'c']] }, { text: 'ok' }], {
    queueConfig: { laneHandlers: { execute: { mode: 'external' } } },
  })
  const asked = t.session.submit('generate', { prompt: 'Go' })
  await until(async () => (await t.session.pendingExternalTasks()).length > 0)
  const [task] = await t.session.pendingExternalTasks()
  expect(task).toMatchObject({ lane: 'execute', command_type: 'bash', payload: { command: 'make' } })
  await t.session.completeExternalTask(task?.task_id ?? '', { result: { output: 'made elsewhere' } })
  expect(await asked).toBe('ok')
  expect(t.model.text(1)).toContain('made elsewhere')
})

test('a command type names a tool, or a handler', async () => {
  await using t = await agentSetup([], { files: { 'a.txt': 'one two' } })
  t.session.queue.handle('report', ({ n }: { n: number }) => n + 1)
  expect(await t.session.submit('execute', { n: 1 }, { commandType: 'report' })).toBe(2)
  expect(await t.session.submit('query', { pattern: 'two' }, { commandType: 'grep' })).toMatchObject({
    output: like.text('one two'),
  })
})

test('a handler for json goes before what a payload speaks of', async () => {
  await using t = await agentSetup([])
  t.session.queue.handle('json', (payload) => ({ got: payload }))
  expect(await t.session.submit('execute', { command: 'echo no' })).toEqual({ got: { command: 'echo no' } })
})

test.each([
  ['execute', { path: 'a.txt' }, undefined],
  ['query', { paths: [] }, undefined],
  ['execute', null, undefined],
  ['execute', 'echo', undefined],
  ['execute', {}, 'nothing'],
] as const)('lane %s with %j and the command type %j runs nothing', async (lane, payload, commandType) => {
  await using t = await agentSetup([])
  const { code, message } = await errorOf(t.session.submit(lane, payload, { commandType }))
  expect([code, message]).toEqual(['HANDLER_NOT_FOUND', expect.stringMatching(/commandType.*external mode/)])
})

test('in an external lane the payload goes out as it is, whatever it says', async () => {
  await using t = await agentSetup([], { queueConfig: { laneHandlers: { execute: { mode: 'external' } } } })
  t.session.setExternalTaskHandler(({ command_type, payload }) => ({ result: { command_type, payload } }))
  expect(await t.session.submit('execute', { anything: 1 })).toEqual({ command_type: 'json', payload: { anything: 1 } })
  expect(await t.session.submit('execute', {}, { commandType: 'deploy' })).toEqual({
    command_type: 'deploy',
    payload: {},
  })
})

test('a prompt that is no text is refused by what would run it', async () => {
  await using t = await agentSetup([])
  expect((await errorOf(t.session.submit('execute', { prompt: 5 }, { commandType: 'prompt' }))).message).toContain(
    'prompt',
  )
  expect(t.model.asked).toHaveLength(0)
})

test('a task of the program is accepted before it is done, and can be cancelled', async () => {
  const notes: string[] = []
  await using t = await agentSetup([{ calls: [['work', {}, 'w']] }, { text: 'ok' }], {
    tools: [endless('work', notes)],
  })
  const task = await t.session.submitTask({ id: 'aside', lane: 'generate', payload: { prompt: 'Work' } })
  await until(() => notes.length > 0)
  expect([task.id, task.state]).toEqual(['aside', 'active'])
  expect(task.cancel('enough')).toBe(true)
  expect((await errorOf(task.result())).message).toBe('Command cancelled: enough')
  await until(() => notes.length > 1)
  expect(notes).toEqual(['+w', '-w'])
  expect(t.model.asked).toHaveLength(1)
})

test('prompts on the side and the turn do not mix', async () => {
  const script: Script = ({ prompt }) => {
    const text = JSON.stringify(prompt)
    return { text: text.includes('aside') ? 'of the side' : 'of the turn' }
  }
  await using t = await agentSetup(script)
  const both = await Promise.all([t.session.send('main'), t.session.submit('query', { prompt: 'aside' })])
  expect(both).toMatchObject([{ text: 'of the turn' }, 'of the side'])
})

test('a preempted prompt goes on after its last round, and repeats nothing', async () => {
  const ran: string[] = []
  const held = gate()
  const tools = [aTool('touch', () => void ran.push('touch'))]
  await using t = await agentSetup(
    ({ prompt }) => (prompt.at(-1)?.role === 'tool' ? { text: 'Done.', hold: held.promise } : { calls: [['touch']] }),
    { tools, queueConfig: { maxConcurrency: 1 } },
  )
  const aside = t.session.submit('generate', { prompt: 'Touch it' })
  await until(() => t.model.asked.length === 2)
  await t.session.submit('query', { path: 'none' })
  held.open()
  expect(await aside).toBe('Done.')
  expect([ran, t.model.asked.length]).toEqual([['touch'], 3])
  expect(t.model.asked[2]?.prompt).toEqual(t.model.asked[1]?.prompt)
})
