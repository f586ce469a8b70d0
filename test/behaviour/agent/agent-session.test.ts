/** A turn from a message to its answer: the model, its tools through the lanes, the history. */

import type { AgentMessage, AgentSession } from '@a3s-lab/lane/agent'
import { VirtualClock } from '@a3s-lab/lane/testing'
import { expect, test } from 'vitest'
import { agentSetup, all, aTool, like, until } from '../../support/agent.js'
import { sorted } from '../../support/bodies.js'
import { errorOf, gate, thrownBy } from '../../support/setup.js'

test('a message is answered', async () => {
  await using t = await agentSetup([{ text: ['Hel', 'lo.'], usage: [7, 2] }])
  expect(await t.session.send('Hi')).toEqual({
    text: 'Hello.',
    toolCallsCount: 0,
    promptTokens: 7,
    completionTokens: 2,
    totalTokens: 9,
  })
  expect(t.model.asked[0]?.prompt).toMatchObject([
    { role: 'system', content: like.text(t.folder) },
    { role: 'user', content: [{ type: 'text', text: 'Hi' }] },
  ])
})

test('the model is given the built-in tools', async () => {
  await using t = await agentSetup([{ text: 'ok' }])
  await t.session.send('Hi')
  const names = ['read', 'write', 'edit', 'delete', 'move', 'copy', 'ls', 'glob', 'grep', 'bash', 'web_fetch', 'batch']
  expect(sorted(t.model.asked[0]?.tools ?? [])).toEqual(sorted(names))
})

test('tools run in their lanes, and the model is told what came of them', async () => {
  await using t = await agentSetup(
    [
      {
        text: 'I look.',
        calls: [
          ['read', { path: 'a.txt' }],
          ['bash', { command: 'echo out; exit 3' }],
        ],
        usage: [10, 1],
      },
      { text: 'Done.', usage: [20, 2] },
    ],
    { files: { 'a.txt': 'the text of a' } },
  )
  expect(await t.session.send('Look')).toEqual({
    text: 'Done.',
    toolCallsCount: 2,
    promptTokens: 30,
    completionTokens: 3,
    totalTokens: 33,
  })
  const [assistant, results] = (t.model.asked[1]?.prompt ?? []).slice(2)
  expect(assistant).toMatchObject({
    role: 'assistant',
    content: [{ text: 'I look.' }, { toolName: 'read' }, { toolName: 'bash' }],
  })
  expect(results).toMatchObject({
    role: 'tool',
    content: [
      { toolCallId: '1', output: { value: like.text('the text of a') } },
      {
        toolCallId: '2',
        output: { type: 'error-text', value: like.text(/^out\n\[exit code 3\]\n\[metadata \{/) },
      },
    ],
  })
  const { lanes } = await t.session.queueStats()
  expect([lanes['query']?.completed, lanes['execute']?.completed, lanes['generate']?.completed]).toEqual([1, 1, 2])
})

test('results reach the model in the order of the calls, whatever the order of finishing', async () => {
  const first = gate()
  const tools = [
    aTool('read', async () => first.promise.then(() => 'first')),
    aTool('grep', () => {
      first.open()
      return 'second'
    }),
    aTool('write', () => 'third'),
  ]
  await using t = await agentSetup(
    [
      {
        calls: [
          ['write', {}, 'w'],
          ['read', {}, 'r'],
          ['grep', {}, 'g'],
        ],
      },
      { text: 'ok' },
    ],
    { tools },
  )
  await t.session.send('Go')
  expect(t.model.asked[1]?.prompt.at(-1)).toMatchObject({
    content: [
      { toolCallId: 'w', output: { value: 'third' } },
      { toolCallId: 'r', output: { value: 'first' } },
      { toolCallId: 'g', output: { value: 'second' } },
    ],
  })
})

test('exit code, metadata and pictures of a tool reach the model', async () => {
  const look = aTool('look', () => ({
    output: 'seen',
    exit_code: 2,
    metadata: { width: 3 },
    images: [{ mediaType: 'image/png', data: 'aGk=' }],
  }))
  await using t = await agentSetup([{ calls: [['look']] }, { text: 'ok' }], { tools: [look] })
  await t.session.send('Go')
  const [result, picture] = t.model.asked[1]?.prompt.slice(-2) ?? []
  expect(JSON.stringify(result)).toContain('seen\\n[exit code 2]\\n[metadata {\\"width\\":3}]')
  expect(picture).toMatchObject({ role: 'user', content: [{ type: 'text' }, { type: 'file', mediaType: 'image/png' }] })
})

test('looking tools of one answer run at the same time, others one after another', async () => {
  let [running, most] = [0, 0]
  const counted = async (): Promise<string> => {
    most = Math.max(most, ++running)
    await new Promise((resolve) => setImmediate(resolve))
    running--
    return 'ok'
  }
  const script = (name: string) => [{ calls: [1, 2, 3].map((n) => [name, { n }, `${n}`] as const) }, { text: 'ok' }]
  const tools = ['grep', 'write'].map((name) => aTool(name, counted))
  await using t = await agentSetup(script('grep'), { tools })
  await t.session.send('Look')
  expect(most).toBe(3)
  most = 0
  t.model.script = script('write')
  await t.session.send('Write')
  expect(most).toBe(1)
})

test('the conversation goes on from message to message', async () => {
  await using t = await agentSetup([{ text: 'One.' }, { calls: [['ls']] }, { text: 'Two.' }])
  await t.session.send('First')
  await t.session.send('Second')
  expect(t.model.asked[2]?.prompt.map(({ role }) => role)).toEqual([
    'system',
    'user',
    'assistant',
    'user',
    'assistant',
    'tool',
  ])
  expect(t.session.history().map(({ role }) => role)).toEqual([
    'user',
    'assistant',
    'user',
    'assistant',
    'tool',
    'assistant',
  ])
})

test('the history that is given out is a copy', async () => {
  await using t = await agentSetup([{ text: 'One.' }])
  await t.session.send('First')
  t.session.history().push({ role: 'user', content: 'not said' })
  expect(t.session.history()).toHaveLength(2)
})

test('a history that is given is gone on with instead of the own one, which stays as it is', async () => {
  const history: AgentMessage[] = [
    { role: 'user', content: 'Who are you?' },
    { role: 'assistant', content: 'An agent.' },
  ]
  await using t = await agentSetup([{ text: 'own' }, { text: 'other' }])
  await t.session.send('Mine')
  await t.session.send('And now?', history)
  expect(t.model.asked[1]?.prompt.slice(1)).toMatchObject([
    { content: [{ text: 'Who are you?' }] },
    { content: [{ text: 'An agent.' }] },
    { content: [{ text: 'And now?' }] },
  ])
  expect([history.length, t.session.history().map(({ content }) => content)[0]]).toEqual([2, 'Mine'])
  expect(t.session.history()).toHaveLength(2)
})

test.each([
  ['a message that is empty', (s: AgentSession) => s.send(''), 'turn message'],
  ['a history that is no list', (s: AgentSession) => s.send('a', {} as never), 'history'],
  ['a history of no messages', (s: AgentSession) => s.send('a', [{ role: 'robot' }] as never), 'history[0]'],
  ['an unknown policy', (s: AgentSession) => s.send('a', undefined, { input: 'push' as never }), 'input'],
  ['an unknown option', (s: AgentSession) => s.send('a', undefined, { inputs: 'steer' } as never), 'inputs'],
])('%s is refused', async (_what, call, named) => {
  await using t = await agentSetup([])
  const { code, message } = await errorOf(call(t.session))
  expect([code, message]).toEqual(['CONFIG_INVALID', expect.stringContaining(named)])
  expect(t.session.history()).toEqual([])
})

test('after close nothing is taken, and closing again changes nothing', async () => {
  await using t = await agentSetup([])
  await t.session.close()
  await t.session.close()
  expect((await errorOf(t.session.send('Hi')))['code']).toBe('SHUTTING_DOWN')
  expect((await errorOf(t.session.submit('query', { path: 'x' })))['code']).toBe('SHUTTING_DOWN')
  expect(await all(t.session.stream('Hi'))).toMatchObject([{ type: 'error', code: 'SHUTTING_DOWN' }])
})

test('close ends a turn that goes on for too long, and its model call', async () => {
  const held = gate()
  await using t = await agentSetup([{ text: 'Well', hold: held.promise }])
  const sent = errorOf(t.session.send('Hi'))
  const streamed = all(t.session.stream('Hi too'))
  await until(() => t.model.running)
  await t.session.close({ timeoutMs: 0 })
  expect((await sent)['code']).toBe('SHUTTING_DOWN')
  expect(await streamed).toMatchObject([{ type: 'error', code: 'SHUTTING_DOWN' }])
  expect(t.model.running).toBe(0)
})

test('await using closes a session', async () => {
  await using t = await agentSetup([])
  {
    await using session = t.session
    expect(session.hasQueue()).toBe(true)
  }
  expect((await errorOf(t.session.send('Hi')))['code']).toBe('SHUTTING_DOWN')
})

test('a tool of the program takes the place of the built-in one', async () => {
  await using t = await agentSetup([{ calls: [['read', { path: '/etc/passwd' }]] }, { text: 'ok' }], {
    tools: [aTool('read', ({ path }) => `not ${String(path)}`)],
  })
  await t.session.send('Go')
  expect(t.model.text(1)).toContain('not /etc/passwd')
  expect(t.model.asked[0]?.tools.filter((name) => name === 'read')).toHaveLength(1)
})

test.each(['nothing', 'prompt'])('the model is told that there is no tool %s', async (name) => {
  await using t = await agentSetup([{ calls: [[name, { prompt: 'go on for ever' }]] }, { text: 'ok' }])
  await t.session.send('Go')
  expect(t.model.text(1)).toContain(`There is no tool '${name}'. The tools are: read`)
  expect(t.model.asked).toHaveLength(2)
})

test('a limit of tools ends one that takes longer, and the model is told', async () => {
  const clock = new VirtualClock()
  const notes: unknown[] = []
  const slow = aTool(
    'slow',
    (_args, { signal }) =>
      new Promise((_, reject) => {
        signal.addEventListener('abort', () => {
          notes.push((signal.reason as { code?: string }).code)
          reject(signal.reason)
        })
      }),
  )
  await using t = await agentSetup([{ calls: [['slow']] }, { text: 'ok' }], {
    clock,
    toolTimeoutMs: 500,
    tools: [slow],
  })
  const sent = t.session.send('Go')
  await until(() => clock.timers > 0)
  await clock.advance(499)
  expect(notes).toEqual([])
  await clock.advance(1)
  await sent
  expect(notes).toEqual(['COMMAND_TIMEOUT'])
  expect(t.model.text(1)).toContain('Tool execution error: Command timed out after 500ms')
  expect(clock.timers).toBe(0)
})

test.each([
  [500, 2000, '500ms'],
  [2000, 500, '500ms'],
])(
  'of a limit of tools of %i ms and of the lane of %i ms the smaller acts',
  async (toolTimeoutMs, defaultTimeoutMs, shown) => {
    const clock = new VirtualClock()
    const slow = aTool(
      'slow',
      (_args, { signal }) =>
        new Promise((_, reject) => {
          signal.addEventListener('abort', () => reject(signal.reason))
        }),
    )
    const queueConfig = { laneTimeouts: { execute: defaultTimeoutMs } }
    await using t = await agentSetup([{ calls: [['slow']] }, { text: 'ok' }], {
      clock,
      toolTimeoutMs,
      queueConfig,
      tools: [slow],
    })
    const sent = t.session.send('Go')
    await until(() => clock.timers > 1)
    await clock.advance(500)
    await sent
    expect(t.model.text(1)).toContain(`Command timed out after ${shown}`)
  },
)

test.each([{}, false] as const)(
  'a tool that does not listen is answered for a little after the limit (queue: %j)',
  async (queueConfig) => {
    const clock = new VirtualClock()
    const deaf = aTool('deaf', () => new Promise(() => undefined))
    await using t = await agentSetup([{ calls: [['deaf']] }, { text: 'ok' }], {
      clock,
      queueConfig,
      toolTimeoutMs: 500,
      tools: [deaf],
    })
    const sent = t.session.send('Go')
    await until(() => clock.timers > 0)
    await clock.advance(3500)
    await sent
    expect(t.model.text(1)).toContain('Command timed out after 500ms')
  },
)

test.each([
  [{ toolTimeoutMs: 0 }, 'toolTimeoutMs'],
  [{ maxToolRounds: 0 }, 'maxToolRounds'],
  [{ maxParseRetries: -1 }, 'maxParseRetries'],
  [{ circuitBreakerThreshold: 1.5 }, 'circuitBreakerThreshold'],
  [{ planning: 'yes' }, 'planning'],
  [{ system: '' }, 'system'],
  [{ input: 'queue' }, 'input'],
  [{ tools: {} }, 'tools'],
  [{ tools: [{ name: 'x' }] }, 'tools'],
  [{ tools: [aTool('json', () => '')] }, 'json'],
  [{ tools: [aTool('prompt', () => '')] }, 'prompt'],
  [{ builtIn: { limit: {} } }, 'limit'],
  [{ sessionId: '' }, 'sessionId'],
  [{ model: 'none' }, 'model'],
  [{ model: 'local/other' }, 'local'],
  [{ model: {} }, 'model'],
  [{ permissions: 'all' }, 'permissions'],
  [{ confirm: { timeoutMs: 0 } }, 'confirm.timeoutMs'],
  [{ hooks: { before: () => undefined } }, 'before'],
  [{ toolTimeout: 5 }, "did you mean 'toolTimeoutMs'"],
  // the reference has these
  [{ goalTracking: true }, 'goalTracking'],
  [{ builtinSkills: true }, 'builtinSkills'],
  [{ skillDirs: [] }, 'skillDirs'],
  [{ agentDirs: [] }, 'agentDirs'],
])('the option %j is refused when the session is made', async (options, named) => {
  await using t = await agentSetup([])
  const { code, message } = thrownBy(() => t.agent.session(t.folder, options as never))
  expect([code, message]).toEqual(['CONFIG_INVALID', expect.stringContaining(named)])
})

test('a workspace that is no folder is refused', async () => {
  await using t = await agentSetup([], { files: { 'a.txt': 'a' } })
  expect(thrownBy(() => t.agent.session(t.path('nowhere')))['code']).toBe('CONFIG_INVALID')
  expect(thrownBy(() => t.agent.session(t.path('a.txt')))['code']).toBe('CONFIG_INVALID')
})

test('a session without a model of its own has the configured one', async () => {
  await using t = await agentSetup([])
  expect(t.agent.defaultModel).toBe('local/none')
  await using session = t.agent.session(t.folder)
  expect([session.hasQueue(), session.sessionId]).toEqual([false, expect.stringMatching(/^[0-9a-f-]{36}$/)])
})
