/** A whole agent against a model over real HTTP, through the AI SDK's own provider; the lanes in virtual time. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createOpenAICompatible } from '@ai-sdk/openai-compatible'
import { generateText } from 'ai'
import { expect, test } from 'vitest'
import { PlaybackServer } from '../../../examples/agent/playback.js'
import type { Step } from '../../../examples/agent/recording.js'
import { PlayedAgent, until } from '../../support/playback.js'
import { errorOf } from '../../support/setup.js'

const DONE: Step = { text: 'Everything is done as it was asked for.' }
const read = (path: string) => ({ name: 'read', args: { path } })

test('the text of the model is streamed as it comes, and the usage of all its calls adds up', async () => {
  await using played = await PlayedAgent.start([{ text: 'I look.', calls: [read('a.txt')] }, DONE])
  writeFileSync(join(played.folder, 'a.txt'), 'the content of a\n')
  const deltas: string[] = []
  let end: object = {}
  for await (const event of played.session.stream('Go')) {
    if (event.type === 'text_delta') deltas.push(event.text)
    if (event.type === 'end') end = event
  }
  expect(deltas.join('|')).toBe('I look.|Everythin|g is done| as it wa|s asked f|or.')
  const usages = played.told('turn_end').map(({ usage }) => usage)
  expect(usages).toHaveLength(2)
  const sum = (key: 'prompt_tokens' | 'completion_tokens' | 'total_tokens'): number =>
    usages.reduce((total, usage) => total + usage[key], 0)
  expect(sum('prompt_tokens')).toBeGreaterThan(100)
  expect(end).toMatchObject({
    text: DONE.text,
    usage: {
      prompt_tokens: sum('prompt_tokens'),
      completion_tokens: sum('completion_tokens'),
      total_tokens: sum('prompt_tokens') + sum('completion_tokens'),
    },
  })
  expect(played.asked).toHaveLength(2)
  expect(played.resultsIn(1)['call-1-1-1']).toContain('the content of a')
})

test('calls that arrive in pieces of several calls run together, and their results go back in order', async () => {
  const names = ['a', 'b', 'c', 'd', 'e']
  await using played = await PlayedAgent.start([{ calls: names.map((name) => read(`${name}.txt`)) }, DONE])
  for (const name of names) writeFileSync(join(played.folder, `${name}.txt`), `content ${name}\n`)
  expect(await played.session.send('Go')).toMatchObject({ text: DONE.text, toolCallsCount: 5 })
  const results = played.resultsIn(1)
  expect(Object.keys(results)).toEqual([1, 2, 3, 4, 5].map((n) => `call-1-1-${n}`))
  for (const [index, name] of names.entries()) expect(results[`call-1-1-${index + 1}`]).toContain(`content ${name}`)
})

test('a 429 with retry-after closes the generate lane for that long, and spends no retry and no patience', async () => {
  const refusal = { status: 429, headers: { 'retry-after': '7' } }
  await using played = await PlayedAgent.start([{ ...DONE, mishaps: [refusal, refusal] }], {
    circuitBreakerThreshold: 1,
    queueConfig: { generateMaxConcurrency: 2 },
  })
  const { session, clock } = played
  const sent = session.send('Go')
  for (const refusals of [1, 2]) {
    await until(() => played.told('queue.command.delayed').length === refusals)
    expect(played.told('queue.command.delayed').at(-1)).toMatchObject({ lane_id: 'generate', reason: 'deferred' })
    let others = 0
    const other = session.queue.callModel({}, () => ++others)
    await clock.advance(6999)
    expect({ asked: played.asked.length, others }).toEqual({ asked: refusals, others: 0 })
    await clock.advance(1)
    await other
    expect(others).toBe(1)
  }
  expect(await sent).toMatchObject({ text: DONE.text })
  expect(played.asked).toHaveLength(3)
  expect(played.told('command_retry', 'command_dead_lettered', 'error')).toEqual([])
})

test('a cancelled turn ends the request on the server at once, and nothing is heard of it any more', async () => {
  await using played = await PlayedAgent.start([{ ...DONE, mishaps: [{ text: 'I think', end: 'hangs' }] }])
  const { session } = played
  const sent = errorOf(session.send('Go'))
  await until(() => played.told('text_delta').length === 1)
  const proof = await session.cancel({ reason: 'the user has left' })
  expect(await played.asked[0]?.left).toBe('broken')
  expect(proof).toMatchObject({ action: 'cancel', scope: 'turn', cancelled: 1, unstopped: [] })
  expect(proof.stoppedAfterMs).toBeDefined()
  expect(await sent).toMatchObject({ code: 'COMMAND_CANCELLED' })
  expect(played.told('text_delta')).toHaveLength(1)
  expect(played.asked).toHaveLength(1)
  // the next turn is a turn like any other
  expect(await session.send('Go')).toMatchObject({ text: DONE.text })
})

test("a message's own signal ends its request, too", async () => {
  await using played = await PlayedAgent.start([{ ...DONE, mishaps: [{ text: 'I think', end: 'hangs' }] }])
  const controller = new AbortController()
  const sent = errorOf(played.session.send('Go', undefined, { signal: controller.signal }))
  await until(() => played.told('text_delta').length === 1)
  controller.abort()
  expect(await played.asked[0]?.left).toBe('broken')
  expect(await sent).toMatchObject({ code: 'COMMAND_CANCELLED' })
})

test('closing the session ends a request that does not end by itself', async () => {
  await using played = await PlayedAgent.start([{ ...DONE, mishaps: [{ text: 'I think', end: 'hangs' }] }])
  const sent = errorOf(played.session.send('Go'))
  await until(() => played.told('text_delta').length === 1)
  const closed = played.session.close({ timeoutMs: 100 })
  await played.clock.advance(100)
  await closed
  expect(await played.asked[0]?.left).toBe('broken')
  expect(await sent).toMatchObject({ code: 'SHUTTING_DOWN' })
})

test('a connection that breaks in the middle begins the call again, and what was said does not count', async () => {
  await using played = await PlayedAgent.start([{ ...DONE, mishaps: [{ text: 'Every', end: 'breaks' }] }])
  const { session, clock } = played
  const sent = session.send('Go')
  await until(() => clock.timers > 0)
  expect(played.asked).toHaveLength(1)
  await clock.advance(250)
  expect(await sent).toMatchObject({ text: DONE.text })
  expect(played.asked).toHaveLength(2)
  const heard = played.told('text_delta', 'text_reset').map((event) => ('turn' in event ? event.type : event.text))
  expect(heard.slice(0, 3)).toEqual(['Every', 'text_reset', 'Everythin'])
})

test('as many failures in a row as the circuit breaker allows end the turn, with growing pauses between them', async () => {
  const mishaps = [500, 503, 502].map((status) => ({ status }))
  await using played = await PlayedAgent.start([{ ...DONE, mishaps }])
  const { session, clock } = played
  const sent = errorOf(session.send('Go'))
  for (const [count, pauseMs] of [
    [1, 250],
    [2, 500],
  ] as const) {
    await until(() => clock.timers > 0)
    await clock.advance(pauseMs - 1)
    expect(played.asked).toHaveLength(count)
    await clock.advance(1)
    await until(() => played.asked.length > count)
  }
  const error = await sent
  expect(error['cause'] ?? error).toMatchObject({ statusCode: 502 })
  expect(played.asked).toHaveLength(3)
  expect(played.told('error')).toHaveLength(1)
  // and the next turn begins to count anew
  expect(await session.send('Go')).toMatchObject({ text: DONE.text })
})

test('circuitBreakerThreshold 1 gives up after one failure', async () => {
  await using played = await PlayedAgent.start([{ ...DONE, mishaps: [{ status: 500 }] }], {
    circuitBreakerThreshold: 1,
  })
  await errorOf(played.session.send('Go'))
  expect(played.asked).toHaveLength(1)
})

test.each([400, 401, 404])('a refusal that no repetition helps (%i) ends the turn at once', async (status) => {
  await using played = await PlayedAgent.start([{ ...DONE, mishaps: [{ status }] }])
  const error = await errorOf(played.session.send('Go'))
  expect(error['cause'] ?? error).toMatchObject({ statusCode: status, message: 'Not now' })
  expect(played.asked).toHaveLength(1)
})

test('a server that is gone is given up after as many tries', async () => {
  await using played = await PlayedAgent.start([DONE])
  await played.loseServer()
  const { session, clock } = played
  const sent = errorOf(session.send('Go'))
  for (const pauseMs of [250, 500]) {
    await until(() => clock.timers > 0)
    await clock.advance(pauseMs)
  }
  expect((await sent).message).toMatch(/connect/i)
  expect(played.told('queue.command.failed')).toHaveLength(3)
})

const MALFORMED: Step = { calls: [{ name: 'read', args: '{"path": "a.txt", "offset": ' }, read('b.txt')] }

test('arguments that are malformed over many pieces are told to the model, and the other calls run', async () => {
  await using played = await PlayedAgent.start([MALFORMED, DONE])
  writeFileSync(join(played.folder, 'b.txt'), 'content b\n')
  expect(await played.session.send('Go')).toMatchObject({ text: DONE.text, toolCallsCount: 2 })
  const results = played.resultsIn(1)
  expect(Object.keys(results)).toEqual(['call-1-1-1', 'call-1-1-2'])
  expect(results['call-1-1-1']).toContain('[exit code 1]')
  expect(results['call-1-1-1']).toMatch(/argument/i)
  expect(results['call-1-1-2']).toContain('content b')
  expect(played.told('tool_end').map(({ id, exit_code: code }) => [id, code])).toEqual(
    expect.arrayContaining([
      ['call-1-1-1', 1],
      ['call-1-1-2', 0],
    ]),
  )
})

test('a model that makes nothing but malformed calls is given up after maxParseRetries', async () => {
  const malformed: Step = { calls: [{ name: 'read', args: '["a.txt"' }] }
  await using played = await PlayedAgent.start([malformed, malformed, DONE], { maxParseRetries: 1 })
  expect((await errorOf(played.session.send('Go'))).message).toMatch(/malformed/i)
  expect(played.asked).toHaveLength(2)
})

test('a session without lanes talks to the same model in the same way', async () => {
  await using played = await PlayedAgent.start([{ calls: [read('a.txt'), read('b.txt')] }, DONE], {
    queueConfig: false,
  })
  for (const name of ['a', 'b']) writeFileSync(join(played.folder, `${name}.txt`), `content ${name}\n`)
  expect(await played.session.send('Go')).toMatchObject({ text: DONE.text, toolCallsCount: 2 })
  expect(Object.keys(played.resultsIn(1))).toEqual(['call-1-1-1', 'call-1-1-2'])
})

test('the playback answers whole as well as streamed, and says what it does not know', async () => {
  await using server = await PlaybackServer.start({ conversations: [{ prompt: 'Go', steps: [DONE] }] })
  const model = createOpenAICompatible({ name: 'playback', baseURL: server.url })('played')
  const { text, usage } = await generateText({ model, prompt: 'Go' })
  expect(text).toBe(DONE.text)
  expect(usage.outputTokens).toBeGreaterThan(5)
  await expect(generateText({ model, prompt: 'Stop', maxRetries: 0 })).rejects.toThrow(
    "No conversation was recorded for 'Stop'",
  )
})
