/** The model calls of a turn: in the generate lane, here or outside, and what happens when they go wrong. */
import type { ExternalTask, ExternalTaskResult } from '@a3s-lab/lane/session'
import { VirtualClock } from '@a3s-lab/lane/testing'
import { expect, test } from 'vitest'
import { type AgentSetup, agentSetup, all, aTool, endless, like, type Reply, until } from '../../support/agent.js'
import { errorOf, gate } from '../../support/setup.js'

const again: Reply = { calls: [['ls']] }

test('a model call is a command of the generate lane', async () => {
  const held = gate()
  await using t = await agentSetup([{ hold: held.promise }])
  const sent = t.session.send('Hi')
  await until(() => t.model.running)
  const { lanes, totalActive } = await t.session.queueStats()
  expect([lanes.generate?.active, totalActive]).toEqual([1, 1])
  held.open()
  await sent
  expect((await t.session.queueStats()).lanes.generate).toMatchObject({ active: 0, completed: 1 })
})

test('a turn ends after so many rounds of tool calls', async () => {
  await using t = await agentSetup([again, again, again, { text: 'never' }], { maxToolRounds: 2 })
  const { code, message } = await errorOf(t.session.send('Go'))
  expect([code, message]).toEqual(['COMMAND_FAILED', 'The model was not done after 2 rounds of tool calls'])
  expect(t.model.asked).toHaveLength(3)
})

test('exactly so many rounds are allowed', async () => {
  await using t = await agentSetup([again, again, { text: 'done' }], { maxToolRounds: 2 })
  expect((await t.session.send('Go')).toolCallsCount).toBe(2)
})

test('the number of rounds may come from the configuration', async () => {
  await using t = await agentSetup([again, again, { text: 'never' }], { config: { maxToolRounds: 1 } })
  expect((await errorOf(t.session.send('Go'))).message).toContain('after 1 rounds')
})

const broken: Reply = { calls: [['ls', '{"path": ']] }

test('malformed tool calls are answered, and given up on after three in a row', async () => {
  await using t = await agentSetup([broken, broken, broken, { text: 'never' }])
  expect((await errorOf(t.session.send('Go'))).message).toBe('The model made malformed tool calls 3 times in a row')
  expect(t.model.text(1)).toContain("Invalid arguments for tool 'ls': an object is expected, got text")
})

/** Ids of the parts of this type in the conversation. */
const idsOf = (t: AgentSetup, type: string): unknown[] =>
  t.session.history().flatMap(({ content }) => {
    const parts = Array.isArray(content) ? (content as { type: string; toolCallId?: string }[]) : []
    return parts.filter((part) => part.type === type).map(({ toolCallId }) => toolCallId)
  })

test.each([
  ['too many rounds', [again, again], { maxToolRounds: 1 }, 1],
  ['malformed calls', [broken], { maxParseRetries: 0 }, 1],
  ['a model that fails', [again, { fail: new Error('down') }], { circuitBreakerThreshold: 1 }, 1],
  ['a model that breaks off', [again, { text: 'I', breaks: new Error('lost') }], { circuitBreakerThreshold: 1 }, 1],
] as const)('after a turn that ended by %s no tool call is without its result', async (_, script, options, calls) => {
  await using t = await agentSetup(script, options)
  await errorOf(t.session.send('Go'))
  expect(idsOf(t, 'tool-call')).toHaveLength(calls)
  expect(idsOf(t, 'tool-result')).toEqual(idsOf(t, 'tool-call'))
  t.model.script = [{ text: 'Here I am.' }]
  expect((await t.session.send('Again')).text).toBe('Here I am.')
})

test('after a cancelled turn no tool call is without its result', async () => {
  const notes: string[] = []
  const script = [{ calls: [['ls'], ['work', {}, 'w'], ['ls', {}, 'l']] }] as const
  await using t = await agentSetup(script, { tools: [endless('work', notes)] })
  const sent = errorOf(t.session.send('Go'))
  await until(() => notes.length > 0)
  await t.session.cancel()
  expect((await sent)['code']).toBe('COMMAND_CANCELLED')
  expect(idsOf(t, 'tool-call')).toEqual(['1', 'w', 'l'])
  expect(idsOf(t, 'tool-result')).toEqual(['1', 'w', 'l'])
})

test('a good call between malformed ones begins the count again', async () => {
  await using t = await agentSetup([broken, broken, again, broken, broken, { text: 'done' }])
  expect((await t.session.send('Go')).text).toBe('done')
})

test('a malformed call beside a good one is answered in its place', async () => {
  await using t = await agentSetup([{ calls: [['ls', '[]'], ['ls']] }, { text: 'done' }], { maxParseRetries: 0 })
  await t.session.send('Go')
  expect(t.model.asked[1]?.prompt.at(-1)).toMatchObject({
    content: [
      { toolCallId: '1', output: { type: 'error-text' } },
      { toolCallId: '2', output: { type: 'text' } },
    ],
  })
})

test('with no retries the first malformed answer ends the turn', async () => {
  await using t = await agentSetup([broken], { maxParseRetries: 0 })
  expect((await errorOf(t.session.send('Go'))).message).toContain('1 times in a row')
})

/** A session in virtual time, whose model calls fail. */
async function failing(replies: readonly Reply[], options = {}): Promise<{ t: AgentSetup; clock: VirtualClock }> {
  const clock = new VirtualClock()
  return { clock, t: await agentSetup(replies, { clock, ...options }) }
}

const DOWN: Reply = { fail: new Error('down') }

test('a model call that fails is made again, later each time, and given up on after three in a row', async () => {
  const { t, clock } = await failing([DOWN, DOWN, DOWN])
  await using _t = t
  const sent = errorOf(t.session.send('Go'))
  for (const [calls, pauseMs] of [
    [1, 250],
    [2, 500],
  ] as const) {
    await until(() => clock.timers > 0)
    expect(t.model.asked).toHaveLength(calls)
    await clock.advance(pauseMs - 1)
    expect(t.model.asked).toHaveLength(calls)
    await clock.advance(1)
  }
  const { code, message, cause } = await sent
  expect([code, message, (cause as Error).message]).toEqual(['COMMAND_FAILED', expect.stringContaining('down'), 'down'])
  expect([t.model.asked.length, clock.timers]).toEqual([3, 0])
})

test('the number of failures may be given', async () => {
  const { t } = await failing([DOWN], { circuitBreakerThreshold: 1 })
  await using _t = t
  expect((await errorOf(t.session.send('Go'))).message).toContain('down')
  expect(t.model.asked).toHaveLength(1)
})

test('a call that succeeds begins the count again', async () => {
  const { t, clock } = await failing([DOWN, DOWN, again, DOWN, DOWN, { text: 'done' }])
  await using _t = t
  const sent = t.session.send('Go')
  for (let pause = 0; pause < 4; pause++) {
    await until(() => clock.timers > 0)
    await clock.advance(500)
  }
  expect((await sent).text).toBe('done')
})

test('what the provider says is final is not tried again', async () => {
  const refused = Object.assign(new Error('no such key'), { isRetryable: false })
  const { t } = await failing([{ fail: refused }])
  await using _t = t
  expect((await errorOf(t.session.send('Go'))).message).toContain('no such key')
  expect(t.model.asked).toHaveLength(1)
})

test('the wait before another try ends with the turn', async () => {
  const { t, clock } = await failing([DOWN])
  await using _t = t
  const sent = errorOf(t.session.send('Go'))
  await until(() => clock.timers > 0)
  void t.session.cancel({ reason: 'enough' })
  expect((await sent).message).toBe('Command cancelled: enough')
  expect(clock.timers).toBe(0)
})

test('a stream that breaks off is begun again, and what it said is taken back', async () => {
  const { t, clock } = await failing([{ text: 'Hel', breaks: new Error('reset') }, { text: 'Hello' }])
  await using _t = t
  const streamed = all(t.session.stream('Go'))
  await until(() => clock.timers > 0)
  await clock.advance(250)
  const events = await streamed
  expect(events.filter(({ type }) => String(type).startsWith('text_'))).toEqual([
    { type: 'text_delta', text: 'Hel' },
    { type: 'text_reset', turn: 1 },
    { type: 'text_delta', text: 'Hello' },
  ])
  expect(events.at(-1)).toMatchObject({ type: 'end', text: 'Hello' })
})

test('a model call has the timeout of its lane, and is made again after it', async () => {
  const never = gate()
  const { t, clock } = await failing([{ text: 'W', hold: never.promise }, { text: 'Done' }], {
    queueConfig: { laneTimeouts: { generate: 1000 } },
  })
  await using _t = t
  const sent = t.session.send('Go')
  await until(() => t.model.running)
  await clock.advance(1000)
  await until(() => clock.timers > 0)
  expect(t.model.running).toBe(0)
  await clock.advance(250)
  expect((await sent).text).toBe('Done')
})

/** A session whose model is somewhere else. */
const outside = (options = {}) =>
  agentSetup([], { queueConfig: { laneHandlers: { generate: { mode: 'external', timeoutMs: 5000 } } }, ...options })

test('with the generate lane external a model call is a task that says everything, and its result goes on like one of here', async () => {
  await using t = await outside({ files: { 'a.txt': 'the text of a' } })
  const tasks: ExternalTask[] = []
  const answers: ExternalTaskResult[] = [
    {
      result: {
        text: 'I look.',
        tool_calls: [{ id: 'c', name: 'read', args: { path: 'a.txt' } }],
        usage: { prompt_tokens: 3, completion_tokens: 1 },
      },
    },
    { result: { text: 'Done.', usage: { prompt_tokens: 5, completion_tokens: 2, total_tokens: 8 } } },
  ]
  t.session.setExternalTaskHandler((task) => {
    tasks.push(task)
    return answers[tasks.length - 1] as ExternalTaskResult
  })
  const events = await all(t.session.stream('Look'))
  expect(events.at(-1)).toEqual({
    type: 'end',
    text: 'Done.',
    usage: { prompt_tokens: 8, completion_tokens: 3, total_tokens: 12 },
  })
  expect(events.filter(({ type }) => type === 'text_delta').map(({ text }) => text)).toEqual(['I look.', 'Done.'])
  expect(tasks[0]).toMatchObject({
    lane: 'generate',
    command_type: 'llm',
    timeout_ms: 5000,
    session_id: t.session.sessionId,
  })
  expect(tasks[0]?.payload).toMatchObject({
    model: 'scripted/one',
    system: like.text(t.folder),
    messages: [{ role: 'user', content: 'Look' }],
  })
  const { tools } = (tasks[0]?.payload ?? {}) as { tools: { name: string; parameters: unknown }[] }
  expect(tools.find(({ name }) => name === 'read')).toMatchObject({ parameters: { type: 'object' } })
  expect(JSON.parse(JSON.stringify(tasks))).toEqual(tasks)
  expect(JSON.stringify(tasks[1]?.payload)).toContain('the text of a')
  expect(t.model.asked).toHaveLength(0)
})

test.each([
  [{ success: false, error: 'no model there' }, 'no model there'],
  [{ result: { text: 5 } }, 'has to answer { text'],
  [{ result: { tool_calls: [{ id: 'x' }] } }, 'has to answer { text'],
  [{ result: { tool_calls: [null] } }, 'has to answer { text'],
])('a model call that is answered outside with %j ends the turn, and is not made here', async (answer, told) => {
  await using t = await outside()
  let asked = 0
  t.session.setExternalTaskHandler(() => {
    asked++
    return answer as ExternalTaskResult
  })
  const { code, message } = await errorOf(t.session.send('Go'))
  expect([code, message, asked, t.model.asked.length]).toEqual(['COMMAND_FAILED', expect.stringContaining(told), 1, 0])
})

test('an answer from outside that looks like a step of ours is read like any other', async () => {
  await using t = await outside()
  t.session.setExternalTaskHandler(() => ({ result: { text: 'Yes.', messages: [] } }))
  expect(await t.session.send('Go')).toMatchObject({ text: 'Yes.', totalTokens: 0 })
})

test('a model call that nobody outside answers ends the turn, and is not made again', async () => {
  const clock = new VirtualClock()
  await using t = await outside({ clock })
  const sent = errorOf(t.session.send('Go'))
  await until(async () => (await t.session.pendingExternalTasks()).length > 0)
  await clock.advance(5000)
  expect((await sent)['code']).toBe('COMMAND_TIMEOUT')
  expect([await t.session.pendingExternalTasks(), clock.timers]).toEqual([[], 0])
})

test('malformed calls from outside are counted like those of a model here', async () => {
  await using t = await outside()
  t.session.setExternalTaskHandler(() => ({ result: { tool_calls: [{ id: 'x', name: 'ls', args: [] }] } }))
  expect((await errorOf(t.session.send('Go'))).message).toContain('malformed tool calls 3 times')
})

test('a failed external tool call is a tool failure to the model, and never runs here', async () => {
  let ran = 0
  const deploy = aTool('deploy', () => {
    ran++
  })
  await using t = await agentSetup([{ calls: [['deploy']] }, { text: 'I see.' }], {
    tools: [deploy],
    queueConfig: { laneHandlers: { execute: { mode: 'external' } } },
  })
  t.session.setExternalTaskHandler(() => ({
    success: false,
    error: 'no worker',
    result: { output: 'partly', exit_code: 7 },
  }))
  expect((await t.session.send('Go')).text).toBe('I see.')
  expect([ran, t.model.text(1).includes('Tool execution error: no worker\\npartly\\n[exit code 7]')]).toEqual([0, true])
})
