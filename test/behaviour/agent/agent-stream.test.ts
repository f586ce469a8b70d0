/** The events of a turn, as its stream gives them. */
import type { SessionEvent } from '@a3s-lab/lane/session'
import { SessionQueue } from '@a3s-lab/lane/session'
import { expect, test } from 'vitest'
import { agentSetup, all, aTool, like, plain, turnsOfTheLoop, until } from '../../support/agent.js'
import { errorOf, gate, thrownBy } from '../../support/setup.js'

const USAGE = { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 }
const TWICE = { prompt_tokens: 20, completion_tokens: 10, total_tokens: 30 }

test('a stream tells a turn from its start to its end, in order', async () => {
  const say = aTool('say', (_args, { output }) => {
    output('one ')
    output('two')
    return 'one two'
  })
  await using t = await agentSetup([{ text: ['I ', 'say.'], calls: [['say', {}, 'c']] }, { text: 'Said.' }], {
    tools: [say],
  })
  expect(await all(t.session.stream('Say'))).toEqual([
    { type: 'start', prompt: 'Say' },
    { type: 'turn_start', turn: 1 },
    { type: 'text_delta', text: 'I ' },
    { type: 'text_delta', text: 'say.' },
    { type: 'turn_end', turn: 1, usage: USAGE },
    { type: 'tool_start', id: 'c', name: 'say' },
    { type: 'tool_output_delta', id: 'c', name: 'say', delta: 'one ' },
    { type: 'tool_output_delta', id: 'c', name: 'say', delta: 'two' },
    { type: 'tool_end', id: 'c', name: 'say', output: 'one two', exit_code: 0 },
    { type: 'turn_start', turn: 2 },
    { type: 'text_delta', text: 'Said.' },
    { type: 'turn_end', turn: 2, usage: USAGE },
    { type: 'end', text: 'Said.', usage: TWICE },
  ])
})

test('events have the names of the reference beside their own', async () => {
  await using t = await agentSetup([{ calls: [['ls', {}, 'c']] }, { text: 'ok' }])
  const events: SessionEvent[] = []
  for await (const event of t.session.stream('Go')) events.push(event)
  expect(events.find(({ type }) => type === 'tool_end')).toMatchObject({ toolId: 'c', toolName: 'ls', exitCode: 0 })
  expect(events.at(-1)).toMatchObject({ totalTokens: 30, timestamp: like.text(/Z$/) })
})

test('a stream can be awaited, and is then itself', async () => {
  await using t = await agentSetup([{ text: 'ok' }])
  const stream = t.session.stream('Hi')
  expect(await (stream as unknown as Promise<unknown>)).toBe(stream)
  expect((await stream.next()).value).toMatchObject({ type: 'start' })
})

test('next gives one event at a time: end and error are values, and done comes after them', async () => {
  await using t = await agentSetup([{ text: 'ok' }, { fail: new Error('down') }], { circuitBreakerThreshold: 1 })
  for (const last of ['end', 'error']) {
    const stream = t.session.stream('Hi')
    const types: unknown[] = []
    for (let next = await stream.next(); next.done !== true; next = await stream.next()) types.push(next.value.type)
    expect(types.at(-1)).toBe(last)
    expect(await stream.next()).toEqual({ done: true, value: undefined })
  }
})

test('a turn that fails ends its stream with its error', async () => {
  await using t = await agentSetup([{ fail: new Error('no such model') }], { circuitBreakerThreshold: 1 })
  const events = await all(t.session.stream('Hi'))
  expect(events.at(-1)).toEqual({
    type: 'error',
    code: 'COMMAND_FAILED',
    message: like.text('no such model'),
    error: like.text('no such model'),
  })
})

test('plain for of is refused with one sentence', async () => {
  await using t = await agentSetup([{ text: 'ok' }])
  const stream = t.session.stream('Hi')
  const { name, message } = thrownBy(() => [...(stream as unknown as Iterable<unknown>)])
  expect([name, message]).toEqual(['TypeError', expect.stringMatching(/^[^.]*for await[^.]*$/)])
  await all(stream)
})

test('a stream carries the events of the queue, and a task that it tells of is pending', async () => {
  await using t = await agentSetup([{ calls: [['bash', { command: 'make' }, 'c']] }, { text: 'ok' }], {
    queueConfig: { laneHandlers: { execute: { mode: 'external', timeoutMs: 60_000 } } },
  })
  const events: Record<string, unknown>[] = []
  for await (const event of t.session.stream('Make it')) {
    events.push(plain(event))
    if (event.type !== 'external_task_pending') continue
    const pending = await t.session.pendingExternalTasks()
    expect(pending.map(({ task_id }) => task_id)).toEqual([event.task_id])
    await t.session.completeExternalTask(event.task_id, { result: { output: 'made' } })
  }
  expect(events.slice(4, -4)).toMatchObject([
    {
      type: 'external_task_pending',
      lane: 'execute',
      command_type: 'bash',
      payload: { command: 'make' },
      timeout_ms: 60_000,
    },
    { type: 'external_task_completed', success: true },
    { type: 'tool_end', output: 'made' },
  ])
})

test('a stream tells of its own turn only', async () => {
  await using t = await agentSetup([{ text: 'one' }, { text: 'two' }, { text: 'three' }])
  const first = all(t.session.stream('First'))
  const second = all(t.session.stream('Second'))
  await t.session.send('Third')
  expect((await first).filter(({ type }) => type === 'start' || type === 'end')).toMatchObject([
    { prompt: 'First' },
    { text: 'one' },
  ])
  expect((await second).filter(({ type }) => type === 'start' || type === 'end')).toMatchObject([
    { prompt: 'Second' },
    { text: 'two' },
  ])
  expect((await t.told('start')).map(({ prompt }) => prompt)).toEqual(['First', 'Second', 'Third'])
})

test('the turn begins although nobody reads, and can be read afterwards', async () => {
  await using t = await agentSetup([{ text: 'ok' }])
  const stream = t.session.stream('Hi')
  await until(() => t.session.history().length === 2)
  expect((await all(stream)).map(({ type }) => type)).toEqual(['start', 'turn_start', 'text_delta', 'turn_end', 'end'])
})

test('a reader that is too slow loses the oldest events, is told how many, and still gets the end', async () => {
  const parts = Array.from({ length: 3000 }, (_, n) => `${n} `)
  await using t = await agentSetup([{ text: parts }])
  const stream = t.session.stream('Much')
  await until(() => t.session.history().length === 2)
  const events = await all(stream)
  expect(events[0]).toMatchObject({ type: 'events.dropped', count: 3004 - 2048 })
  expect([events.length, events.at(-1)]).toEqual([2049, expect.objectContaining({ type: 'end', text: parts.join('') })])
})

test('a slow reader does not hold the turn up', async () => {
  await using t = await agentSetup([{ calls: [['ls']] }, { text: 'ok' }])
  const stream = t.session.stream('Go')
  expect((await stream.next()).value).toMatchObject({ type: 'start' })
  await until(() => t.session.history().length === 4)
  expect((await t.told('end')).length).toBe(1)
})

test('leaving the loop reads no more, and the turn goes on', async () => {
  await using t = await agentSetup([{ calls: [['ls']] }, { text: 'ok' }])
  const stream = t.session.stream('Go')
  for await (const { type } of stream) if (type === 'turn_start') break
  expect(await stream.next()).toEqual({ done: true, value: undefined })
  await until(() => t.session.history().length === 4)
})

test('a stream that is closed before its turn begins gives nothing, and the turn goes on', async () => {
  const held = gate()
  await using t = await agentSetup([{ hold: held.promise, text: 'first' }, { text: 'second' }])
  const first = t.session.send('First')
  const second = t.session.stream('Second')
  const waiting = second.next()
  second.close()
  expect([await waiting, await second.next()]).toEqual([
    { done: true, value: undefined },
    { done: true, value: undefined },
  ])
  held.open()
  await first
  await until(() => t.session.history().length === 4)
})

test('await using closes a stream', async () => {
  await using t = await agentSetup([{ text: 'ok' }])
  const stream = t.session.stream('Hi')
  {
    await using read = stream
    expect((await read.next()).value).toMatchObject({ type: 'start' })
  }
  expect((await stream.next()).done).toBe(true)
  await until(() => t.session.history().length === 2)
})

test('a message that is refused has its error told to its own reader only', async () => {
  const held = gate()
  await using t = await agentSetup([{ hold: held.promise }])
  const first = t.session.send('First')
  await until(() => t.model.running)
  expect(await all(t.session.stream('Second', undefined, { input: 'reject' }))).toMatchObject([
    { type: 'error', code: 'CONFLICT' },
  ])
  expect(await t.types()).not.toContain('error')
  held.open()
  await first
})

test.each([
  ['a history that is no list', ['Hi', 5]],
  ['a message that is empty', ['']],
])('%s is an error of the stream', async (_what, args) => {
  await using t = await agentSetup([])
  const stream = t.session.stream(...(args as [string]))
  expect(await all(stream)).toMatchObject([{ type: 'error', code: 'CONFIG_INVALID' }])
})

test('a stream that is cancelled ends with the error, after everything of the turn', async () => {
  const slow = aTool(
    'slow',
    (_args, { signal }) =>
      new Promise((_, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason))
      }),
  )
  await using t = await agentSetup([{ calls: [['slow', {}, 'c']] }], { tools: [slow] })
  const stream = t.session.stream('Go')
  const events: Record<string, unknown>[] = []
  for await (const event of stream) {
    events.push(plain(event))
    if (event.type === 'tool_start') {
      await turnsOfTheLoop(1)
      void t.session.cancel({ reason: 'enough' })
    }
  }
  expect(events.slice(-3).map(({ type }) => type)).toEqual(expect.arrayContaining(['tool_end', 'error']))
  expect(events.at(-1)).toMatchObject({
    type: 'error',
    code: 'COMMAND_CANCELLED',
    message: 'Command cancelled: enough',
  })
})

test('a message that is taken back while it waits has an error for its reader', async () => {
  const held = gate()
  const controller = new AbortController()
  await using t = await agentSetup([{ hold: held.promise }])
  const first = t.session.send('First')
  const second = all(t.session.stream('Second', undefined, { signal: controller.signal }))
  controller.abort('not needed')
  expect(await second).toMatchObject([{ type: 'error', message: 'Command cancelled: not needed' }])
  held.open()
  await first
})

test('the events of the agent and of the queue are also told to subscribers', async () => {
  await using t = await agentSetup([{ calls: [['ls']] }, { text: 'ok' }])
  await t.session.send('Go')
  expect(await t.types()).toEqual([
    ...['start', 'turn_start', 'turn_end', 'tool_start', 'tool_end'],
    ...['turn_start', 'text_delta', 'turn_end', 'end'],
  ])
  expect(t.session.queue).toBeInstanceOf(SessionQueue)
})

test('the error of a turn that nobody streams is a rejection, and an event for subscribers', async () => {
  await using t = await agentSetup([{ fail: new Error('down') }], { circuitBreakerThreshold: 1 })
  const { message } = await errorOf(t.session.send('Hi'))
  expect(await t.told('error')).toMatchObject([{ message }])
})
