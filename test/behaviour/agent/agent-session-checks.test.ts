/** Who may call which tool, as the agent asks; and sessions with a queue, without one, and with one that cannot be made. */

import { mkdirSync, writeFileSync } from 'node:fs'
import type { AgentSessionOptions } from '@a3s-lab/lane/agent'
import { MemoryStorage } from '@a3s-lab/lane/testing'
import { expect, test } from 'vitest'
import { type AgentSetup, agentSetup, anAgent, aTool, like, type Script } from '../../support/agent.js'
import { sorted } from '../../support/bodies.js'
import { errorOf, thrownBy } from '../../support/setup.js'

const TOOLS: Script = [
  {
    calls: [
      ['read', { path: 'a.txt' }, 'read'],
      ['ls', {}, 'ls'],
      ['bash', { command: 'echo ran > ran' }, 'bash'],
      ['web_fetch', { url: 'http://127.0.0.1:9/' }, 'web_fetch'],
      [
        'batch',
        {
          calls: [
            { name: 'read', args: { path: 'a.txt' } },
            { name: 'write', args: { path: 'b', content: '' } },
          ],
        },
        'batch',
      ],
    ],
  },
  { text: 'ok' },
]

/** What the model was told of each call. */
function results(t: AgentSetup): Record<string, string> {
  const parts = t.model.asked[1]?.prompt.at(-1)?.content as { toolCallId: string; output: { value: string } }[]
  return Object.fromEntries(parts.map(({ toolCallId, output }) => [toolCallId, output.value]))
}

const DENIED =
  /needs confirmation, and nobody can confirm it.*permissive: true.*permission policy.*confirmation handler/

test.each([{}, false] as const)(
  'without a word only tools that read inside the workspace run (queue: %j)',
  async (queueConfig) => {
    await using t = await agentSetup(TOOLS, { permissive: undefined, queueConfig, files: { 'a.txt': 'the text' } })
    await t.session.send('Go')
    const { read, ls, bash, web_fetch, batch } = results(t)
    expect([read, ls]).toEqual([expect.stringContaining('the text'), expect.stringContaining('a.txt')])
    expect([bash, web_fetch]).toEqual([expect.stringMatching(DENIED), expect.stringMatching(DENIED)])
    expect(batch).toMatch(/\[1\] read: done.*the text.*\[2\] write: failed.*needs confirmation/s)
    expect(thrownBy(() => t.file('ran'))['code']).toBe('ENOENT')
    const denied = await t.told('permission_denied')
    expect(sorted(denied.map(({ tool_name }) => String(tool_name)))).toEqual(['bash', 'web_fetch', 'write'])
  },
)

test('a tool of the program says itself whether it only reads', async () => {
  const tools = [aTool('look', () => 'looked', true), aTool('touch', () => 'touched')]
  await using t = await agentSetup(
    [
      {
        calls: [
          ['look', {}, 'a'],
          ['touch', {}, 'b'],
        ],
      },
      { text: 'ok' },
    ],
    {
      permissive: undefined,
      tools,
    },
  )
  await t.session.send('Go')
  expect(results(t)).toEqual({ a: 'looked', b: like.text(DENIED) })
})

test('permissive: everything runs', async () => {
  await using t = await agentSetup(TOOLS, { files: { 'a.txt': 'the text' } })
  await t.session.send('Go')
  expect([t.file('ran'), await t.told('permission_denied')]).toEqual(['ran\n', []])
})

const BASH: Script = [
  {
    calls: [
      ['bash', { command: 'echo ran' }, 'a'],
      ['bash', { command: 'rm -rf x' }, 'b'],
    ],
  },
  { text: 'ok' },
]

test('a policy allows and denies by patterns', async () => {
  const permissions = { allow: ['bash(echo *)'], deny: ['bash(rm *)'] }
  await using t = await agentSetup(BASH, { permissive: undefined, permissions })
  await t.session.send('Go')
  expect(results(t)).toEqual({
    a: like.text('ran'),
    b: "Permission denied: Tool 'bash' is blocked by permission policy.\n[exit code 1]",
  })
})

test('a confirmation handler is asked for what the default does not allow', async () => {
  await using t = await agentSetup(BASH, {
    permissive: undefined,
    confirm: ({ args }) => (String(args['command']).startsWith('rm') ? { approved: false, reason: 'no' } : true),
  })
  await t.session.send('Go')
  expect(results(t)).toEqual({ a: like.text('ran'), b: like.text('rejected: no') })
  expect(await t.types()).toEqual(expect.arrayContaining(['confirmation_required', 'confirmation_received']))
})

test('a confirmation may come from outside, by the id of the call', async () => {
  await using t = await agentSetup([{ calls: [['bash', { command: 'echo ran' }, 'a']] }, { text: 'ok' }], {
    permissive: undefined,
    confirm: {},
  })
  for await (const event of t.session.stream('Go')) {
    if (event.type !== 'confirmation_required') continue
    expect(t.session.confirmToolCall('other', true)).toBe(false)
    expect(t.session.confirmToolCall(event.tool_id, true)).toBe(true)
  }
  expect(results(t)['a']).toContain('ran')
})

test('hooks see every call before and after', async () => {
  const seen: unknown[] = []
  await using t = await agentSetup(BASH, {
    hooks: {
      preToolUse: ({ args }) => (String(args['command']).startsWith('rm') ? { block: 'frozen' } : undefined),
      postToolUse: ({ id }, { exit_code }) => void seen.push([id, exit_code]),
    },
  })
  await t.session.send('Go')
  expect([seen, results(t)['b']]).toEqual([[['a', 0]], expect.stringContaining('Permission denied: frozen')])
})

test('a session has a queue when somebody asks for one', async () => {
  const queue = { queryMaxConcurrency: 7, executeMaxConcurrency: 3 }
  const [none, block] = [await anAgent(), await anAgent({ queue })]
  await using t = await agentSetup([])
  const of = async (agent: typeof none, options: AgentSessionOptions) => {
    await using session = agent.session(t.folder, options)
    const { lanes } = await session.queueStats()
    return session.hasQueue() && [lanes.query?.maxConcurrency, lanes.execute?.maxConcurrency]
  }
  expect(await of(none, {})).toBe(false)
  expect(await of(none, { queueConfig: {} })).toEqual([4, 2])
  expect(await of(block, {})).toEqual([7, 3])
  expect(await of(block, { queueConfig: { executeMaxConcurrency: 5 } })).toEqual([7, 5])
  expect(await of(block, { queueConfig: false })).toBe(false)
})

test('without a queue everything is done one after another, and the model is told the same', async () => {
  let [running, most] = [0, 0]
  const grep = aTool('grep', async ({ n }) => {
    most = Math.max(most, ++running)
    await new Promise((resolve) => setImmediate(resolve))
    running--
    return `found ${String(n)}`
  })
  const script = (): Script => [
    {
      calls: [
        ['grep', { n: 1 }],
        ['grep', { n: 2 }],
        ['bash', { command: 'exit 4' }],
      ],
    },
    { text: 'ok' },
  ]
  await using t = await agentSetup(script(), { queueConfig: false, tools: [grep] })
  await using other = await agentSetup(script(), { tools: [grep] })
  expect([await t.session.send('Go'), most]).toEqual([expect.objectContaining({ text: 'ok', toolCallsCount: 3 }), 1])
  await other.session.send('Go')
  const told = (s: AgentSetup): unknown =>
    JSON.parse(
      s.model
        .text(1)
        .replaceAll(s.folder, '')
        .replaceAll(/duration_ms\\*":\d+/g, ''),
    )
  expect([told(t), most]).toEqual([told(other), 2])
  expect(await t.types()).toContain('tool_end')
})

test('without a queue its methods answer as if nothing were in it, or say that it is not there', async () => {
  await using t = await agentSetup([], { queueConfig: false })
  const { session } = t
  expect([
    session.hasQueue(),
    await session.pendingExternalTasks(),
    await session.deadLetters(),
    await session.queueMetrics(),
  ]).toEqual([...[false, [], [], null]])
  expect(await session.queueStats()).toMatchObject({ totalPending: 0, totalActive: 0, externalPending: 0, lanes: {} })
  expect(await session.completeExternalTask('x', {})).toBe(false)
  await session.setLaneHandler('execute', { mode: 'internal' })
  const refused = [
    errorOf(session.setLaneHandler('execute', { mode: 'external' })),
    errorOf(session.submit('query', { path: 'x' })),
    errorOf(session.submitBatch('query', [])),
    errorOf(session.submitTask({ id: 'x', lane: 'query', payload: {} })),
  ]
  for (const { code, message } of await Promise.all(refused)) {
    expect([code, message]).toEqual(['CONFIG_INVALID', expect.stringContaining('has no queue')])
  }
  expect(thrownBy(() => session.setExternalTaskHandler(null))['code']).toBe('CONFIG_INVALID')
})

const INITIALIZATION = /^session initialization: queue: /

test.each([
  [{ queueConfig: { queryMaxConcurrency: 0 } }, 'queueConfig.queryMaxConcurrency'],
  [{ queueConfig: { queryMaxConcurency: 2 } }, 'queryMaxConcurrency'],
  [{ queueConfig: true }, 'queueConfig'],
  [{ queueConfig: { storagePath: './queue' } }, 'sessionId'],
])('a queue that cannot be made, %j, is an error of the session', async (options, named) => {
  await using t = await agentSetup([])
  const { code, message } = thrownBy(() => t.agent.session(t.folder, options as never))
  expect([code, message]).toEqual(['CONFIG_INVALID', expect.stringMatching(INITIALIZATION)])
  expect(message).toContain(named)
})

test('a folder for the storage that cannot be made is an error of the session', async () => {
  await using t = await agentSetup([], { files: { taken: 'a file' } })
  const options = { sessionId: 's', queueConfig: { storagePath: './taken' } }
  const { code, message } = thrownBy(() => t.agent.session(t.folder, options))
  expect([code, message]).toEqual(['STORAGE_FAILED', expect.stringMatching(INITIALIZATION)])
})

test('a file of the storage that is none of ours is an error of the session', async () => {
  await using t = await agentSetup([])
  mkdirSync(t.path('queue'))
  writeFileSync(t.path('queue/s.db'), 'not a database, and long enough to be none whatever is read of it'.repeat(20))
  const options = { sessionId: 's', queueConfig: { storagePath: './queue' } }
  const { code, message } = thrownBy(() => t.agent.session(t.folder, options))
  expect([code, message]).toEqual(['STORAGE_CORRUPT', expect.stringMatching(INITIALIZATION)])
  expect(t.file('queue/s.db')).toContain('not a database')
})

test('what is wrong with another option leaves no storage open', async () => {
  await using t = await agentSetup([])
  const options = { sessionId: 's', queueConfig: { storagePath: './queue' } }
  const { message } = thrownBy(() => t.agent.session(t.folder, { ...options, permissions: 5 as never }))
  expect(message).not.toMatch(INITIALIZATION)
  await Promise.resolve()
  await using session = t.agent.session(t.folder, options)
  expect(session.hasQueue()).toBe(true)
})

test('a storage that cannot be read is an error of the session', async () => {
  const storage = new MemoryStorage()
  storage.load = () => {
    throw new Error('the disk is gone')
  }
  await using t = await agentSetup([])
  const { code, message } = thrownBy(() => t.agent.session(t.folder, { storage, queueConfig: {} }))
  expect([code, message]).toEqual(['STORAGE_FAILED', expect.stringMatching(INITIALIZATION)])
  expect(message).toContain('the disk is gone')
})

test('a storage that cannot be written makes tool calls fail, and nothing runs', async () => {
  const storage = new MemoryStorage()
  storage.write = () => Promise.reject(new Error('the disk is full'))
  const ran: string[] = []
  await using t = await agentSetup([{ calls: [['touch']] }, { text: 'I see.' }], {
    storage,
    tools: [aTool('touch', () => void ran.push('touch'))],
  })
  expect((await t.session.send('Go')).text).toBe('I see.')
  expect([ran, t.model.text(1)]).toEqual([[], expect.stringContaining('the disk is full')])
  expect((await errorOf(t.session.submit('execute', { command: 'true' }))).message).toContain('the disk is full')
})

test('a storage in a session without a queue is refused', async () => {
  await using t = await agentSetup([])
  const { code, message } = thrownBy(() => t.agent.session(t.folder, { storage: new MemoryStorage() }))
  expect([code, message]).toEqual(['CONFIG_INVALID', expect.stringContaining('storage')])
})

test('a storage that another queue uses is an error of the session', async () => {
  const storage = new MemoryStorage()
  await using t = await agentSetup([], { storage })
  const { message } = thrownBy(() => t.agent.session(t.folder, { storage, queueConfig: {} }))
  expect(message).toMatch(INITIALIZATION)
})
