/** One call of a model: over HTTP as providers answer, and with the models that the AI SDK has for tests. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { QueueManager, RateLimitConfig } from '@a3s-lab/lane'
import { VirtualClock } from '@a3s-lab/lane/testing'
import { simulateReadableStream } from 'ai'
import { MockLanguageModelV3 } from 'ai/test'
import { afterEach, expect, test } from 'vitest'
import { loadAgentConfig } from '../../../src/agent/config.js'
import type { AgentMessage } from '../../../src/agent/messages.js'
import { type AgentModel, languageModel, resolveModel, type ToolSchema } from '../../../src/agent/model.js'
import { errorOf, gate, thrownBy } from '../../support/setup.js'

/** What a server was asked. */
type Asked = {
  readonly url: string
  readonly headers: IncomingMessage['headers']
  readonly body: Record<string, unknown>
}

type Answer = (response: ServerResponse, asked: Asked) => void

const closing: (() => Promise<unknown>)[] = []
afterEach(() => Promise.all(closing.splice(0).map((close) => close())))

/** A provider on this machine, and the model that is called there. */
async function provider(answer: Answer): Promise<{ model: AgentModel; asked: Asked[]; url: string }> {
  const asked: Asked[] = []
  const server = createServer((request, response) => {
    let text = ''
    request.on('data', (chunk) => {
      text += String(chunk)
    })
    request.on('end', () => {
      const body = JSON.parse(text) as Record<string, unknown>
      const one = { url: request.url ?? '', headers: request.headers, body }
      asked.push(one)
      answer(response, one)
    })
  })
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  closing.push(() => {
    server.closeAllConnections()
    return new Promise((resolve) => {
      server.close(resolve)
    })
  })
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`
  const config = await loadAgentConfig({
    defaultModel: 'local/small',
    providers: [{ name: 'local', baseUrl: url, models: [{ id: 'small' }] }],
  })
  return { model: resolveModel(config, 'local/small'), asked, url }
}

/** Server-sent events of a chat completion, as OpenAI's protocol has them. */
function events(response: ServerResponse, deltas: readonly object[], finish: string | null = 'stop'): void {
  response.writeHead(200, { 'content-type': 'text/event-stream' })
  const base = { id: 'c1', object: 'chat.completion.chunk', created: 1, model: 'small' }
  const send = (chunk: object): void => void response.write(`data: ${JSON.stringify({ ...base, ...chunk })}\n\n`)
  for (const delta of deltas) send({ choices: [{ index: 0, delta, finish_reason: null }] })
  if (finish === null) return
  send({ choices: [{ index: 0, delta: {}, finish_reason: finish }] })
  send({ choices: [], usage: { prompt_tokens: 11, completion_tokens: 7, total_tokens: 18 } })
  response.end('data: [DONE]\n\n')
}

const call = (index: number, id: string, name: string, args: string): object => ({
  tool_calls: [{ index, id, type: 'function', function: { name, arguments: args } }],
})

const READ: ToolSchema = {
  name: 'read',
  description: 'Reads a file',
  parameters: { type: 'object', properties: { path: { type: 'string' } }, required: ['path'] },
}
const HELLO: AgentMessage[] = [{ role: 'user', content: 'Hello' }]

test('text comes as it is written, and the call ends with its usage', async () => {
  const { model, asked } = await provider((response) => events(response, [{ content: 'Hel' }, { content: 'lo.' }]))
  const heard: string[] = []
  const step = await model.step({ system: 'Be brief.', messages: HELLO, onText: (text) => heard.push(text) })
  expect(heard).toEqual(['Hel', 'lo.'])
  expect(step).toEqual({
    text: 'Hello.',
    toolCalls: [],
    usage: { prompt_tokens: 11, completion_tokens: 7, total_tokens: 18 },
    messages: [{ role: 'assistant', content: [expect.objectContaining({ type: 'text', text: 'Hello.' })] }],
    finishReason: 'stop',
  })
  expect(asked).toHaveLength(1)
  expect(asked[0]?.url).toBe('/v1/chat/completions')
  expect(asked[0]?.headers.authorization).toBeUndefined()
  expect(asked[0]?.body).toMatchObject({
    model: 'small',
    stream: true,
    stream_options: { include_usage: true },
    messages: [
      { role: 'system', content: 'Be brief.' },
      { role: 'user', content: 'Hello' },
    ],
  })
  expect(asked[0]?.body).not.toHaveProperty('tools')
})

test('tool calls are given back and not run, with what the provider needs in the conversation', async () => {
  const { model, asked } = await provider((response, { body }) => {
    const isSecond = (body['messages'] as unknown[]).length > 1
    if (isSecond) events(response, [{ content: 'Done.' }])
    else
      events(
        response,
        [{ content: 'I look.' }, call(0, 'a', 'read', '{"path":"x"}'), call(1, 'b', 'read', '{}')],
        'tool_calls',
      )
  })
  const step = await model.step({ messages: HELLO, tools: [READ] })
  expect(step.toolCalls).toEqual([
    { id: 'a', name: 'read', args: { path: 'x' } },
    { id: 'b', name: 'read', args: {} },
  ])
  expect(step.finishReason).toBe('tool-calls')
  expect(asked[0]?.body['tools']).toEqual([
    { type: 'function', function: { name: 'read', description: 'Reads a file', parameters: READ.parameters } },
  ])
  const results = ['a', 'b'].map((toolCallId) => ({
    type: 'tool-result',
    toolCallId,
    toolName: 'read',
    output: { type: 'text', value: `contents ${toolCallId}` },
  }))
  const next = await model.step({
    messages: [...HELLO, ...step.messages, { role: 'tool', content: results }],
    tools: [READ],
  })
  expect(next.text).toBe('Done.')
  expect(asked[1]?.body['messages']).toEqual([
    { role: 'user', content: 'Hello' },
    {
      role: 'assistant',
      content: 'I look.',
      tool_calls: [
        { id: 'a', type: 'function', function: { name: 'read', arguments: '{"path":"x"}' } },
        { id: 'b', type: 'function', function: { name: 'read', arguments: '{}' } },
      ],
    },
    { role: 'tool', tool_call_id: 'a', content: 'contents a' },
    { role: 'tool', tool_call_id: 'b', content: 'contents b' },
  ])
})

test.each<[string, string, unknown]>([
  ['arguments that are no JSON', '{"path": "x', '{"path": "x'],
  ['arguments that are a list', '["x"]', '["x"]'],
  ['arguments that are a number', '5', '5'],
])('%s are given back as data', async (_what, args, expected) => {
  const { model } = await provider((response) => events(response, [call(0, 'a', 'read', args)], 'tool_calls'))
  const step = await model.step({ messages: HELLO, tools: [READ] })
  expect(step.toolCalls).toEqual([{ id: 'a', name: 'read', args: expected, malformed: expect.any(String) as string }])
  expect(step.messages).toEqual([
    { role: 'assistant', content: [expect.objectContaining({ type: 'tool-call', toolCallId: 'a', input: {} })] },
  ])
})

test('a call of a tool that does not exist is given back', async () => {
  const { model } = await provider((response) =>
    events(response, [call(0, 'a', 'fly', '{"to":"moon"}'), call(1, 'b', 'read', '{"path":"x"}')], 'tool_calls'),
  )
  const step = await model.step({ messages: HELLO, tools: [READ] })
  expect(step.toolCalls).toEqual([
    { id: 'a', name: 'fly', args: { to: 'moon' } },
    { id: 'b', name: 'read', args: { path: 'x' } },
  ])
  expect(step.messages.map(({ role }) => role)).toEqual(['assistant'])
})

test('a refusal is the error of the provider itself, after one try', async () => {
  const { model, asked } = await provider((response) => {
    response.writeHead(429, { 'retry-after': '7', 'content-type': 'application/json' })
    response.end(JSON.stringify({ error: { message: 'Slow down', type: 'rate_limit', code: '429' } }))
  })
  const error = await errorOf(model.step({ messages: HELLO }))
  expect(error).toMatchObject({ name: 'AI_APICallError', message: 'Slow down', statusCode: 429, isRetryable: true })
  expect(error['responseHeaders']).toMatchObject({ 'retry-after': '7' })
  expect(asked).toHaveLength(1)
})

test('a 429 of the provider closes the lane for as long as it asks', async () => {
  let tries = 0
  const { model } = await provider((response) => {
    tries++
    if (tries > 1) return events(response, [{ content: 'Now.' }])
    response.writeHead(429, { 'retry-after': '7', 'content-type': 'application/json' })
    return void response.end(JSON.stringify({ error: { message: 'Slow down' } }))
  })
  const clock = new VirtualClock()
  const lanes = { generate: { priority: 0, rateLimit: RateLimitConfig.perSecond(100) } }
  const queue = new QueueManager({ lanes, clock })
  await queue.start()
  const refused = gate()
  const run = queue.submit('generate', async ({ signal }) => {
    const step = model.step({ messages: HELLO, signal })
    step.catch(() => refused.open())
    return step
  })
  await refused.promise
  await clock.advance(6999)
  expect(tries).toBe(1)
  await clock.advance(1)
  expect(await run).toMatchObject({ text: 'Now.' })
  expect(tries).toBe(2)
  await queue.close()
})

test('an error in the middle of the stream is an error of the call', async () => {
  const { model } = await provider((response) => {
    events(response, [{ content: 'Hel' }], null)
    response.end(`data: ${JSON.stringify({ error: { message: 'The model fell over' } })}\n\n`)
  })
  const heard: string[] = []
  const error = await errorOf(model.step({ messages: HELLO, onText: (text) => heard.push(text) }))
  expect(error.message).toContain('The model fell over')
  expect(heard).toEqual(['Hel'])
})

test('a connection that breaks is an error of the call', async () => {
  let broken: ServerResponse | undefined
  const { model } = await provider((response) => {
    broken = response
    events(response, [{ content: 'Hel' }], null)
  })
  const step = model.step({ messages: HELLO, onText: () => void broken?.destroy() })
  expect(await errorOf(step)).toBeInstanceOf(Error)
})

test('an answer that ends without saying that it is over is an error of the call', async () => {
  const { model } = await provider((response) => {
    events(response, [{ content: 'Hel' }], null)
    response.end()
  })
  expect(await errorOf(model.step({ messages: HELLO }))).toBeInstanceOf(Error)
})

test('a provider that is not there is an error of the call that may be tried again', async () => {
  const { model } = await provider((response) => response.destroy())
  await Promise.all(closing.splice(0).map((close) => close()))
  expect(await errorOf(model.step({ messages: HELLO }))).toMatchObject({ isRetryable: true })
})

test('an abort ends the call at once, and the connection', async () => {
  const closed = gate()
  const { model } = await provider((response) => {
    response.on('close', () => closed.open())
    events(response, [{ content: 'Hel' }], null)
  })
  const controller = new AbortController()
  const reason = new Error('enough')
  const heard: string[] = []
  const step = model.step({
    messages: HELLO,
    signal: controller.signal,
    onText: (text) => {
      heard.push(text)
      controller.abort(reason)
    },
  })
  expect(await errorOf(step)).toBe(reason)
  await closed.promise
  expect(heard).toEqual(['Hel'])
})

test('an abort before the call lets nothing be asked', async () => {
  const { model, asked } = await provider((response) => events(response, []))
  const reason = new Error('enough')
  expect(await errorOf(model.step({ messages: HELLO, signal: AbortSignal.abort(reason) }))).toBe(reason)
  expect(asked).toEqual([])
})

const USAGE = {
  inputTokens: { total: 3, noCache: 3, cacheRead: undefined, cacheWrite: undefined },
  outputTokens: { total: 4, text: 4, reasoning: undefined },
}
type Chunk = NonNullable<Parameters<typeof simulateReadableStream<object>>[0]>['chunks'][number]

/** A model of the AI SDK that says these things. */
const saying = (...chunks: Chunk[]): MockLanguageModelV3 =>
  new MockLanguageModelV3({
    provider: 'mock',
    modelId: 'one',
    doStream: () =>
      Promise.resolve({
        stream: simulateReadableStream({
          initialDelayInMs: null,
          chunkDelayInMs: null,
          chunks: [
            { type: 'stream-start', warnings: [] },
            ...chunks,
            { type: 'finish', finishReason: { unified: 'stop', raw: 'stop' }, usage: USAGE },
          ],
        }) as never,
      }),
  })

const TEXT: Chunk[] = [
  { type: 'text-start', id: '1' },
  { type: 'text-delta', id: '1', delta: 'Yes.' },
  { type: 'text-end', id: '1' },
]

test('a language model of the AI SDK may be brought along', async () => {
  const model = languageModel(saying(...TEXT))
  expect(model.id).toBe('mock/one')
  expect(await model.step({ messages: HELLO })).toMatchObject({
    text: 'Yes.',
    usage: { prompt_tokens: 3, completion_tokens: 4, total_tokens: 7 },
  })
})

test('a model that says nothing has said nothing', async () => {
  expect(await languageModel(saying()).step({ messages: HELLO })).toMatchObject({
    text: '',
    toolCalls: [],
    messages: [],
  })
})

test('what a model has reasoned stays in the conversation', async () => {
  const model = languageModel(
    saying(
      { type: 'reasoning-start', id: 'r' },
      { type: 'reasoning-delta', id: 'r', delta: 'Hm.' },
      { type: 'reasoning-end', id: 'r', providerMetadata: { mock: { signature: 's' } } },
      ...TEXT,
    ),
  )
  const heard: string[] = []
  const { messages, text } = await model.step({ messages: HELLO, onText: (one) => heard.push(one) })
  expect({ text, heard }).toEqual({ text: 'Yes.', heard: ['Yes.'] })
  expect(messages).toMatchObject([
    {
      role: 'assistant',
      content: [
        { type: 'reasoning', text: 'Hm.', providerOptions: { mock: { signature: 's' } } },
        { type: 'text', text: 'Yes.' },
      ],
    },
  ])
})

test('tools that the provider runs itself are none of ours', async () => {
  const model = languageModel(
    saying(
      { type: 'tool-call', toolCallId: 'w', toolName: 'web', input: '{}', providerExecuted: true, dynamic: true },
      { type: 'tool-result', toolCallId: 'w', toolName: 'web', result: 'found', dynamic: true },
      ...TEXT,
    ),
  )
  expect((await model.step({ messages: HELLO, tools: [READ] })).toolCalls).toEqual([])
})

test('an abort ends the call of a model that does not listen', async () => {
  const asked = gate()
  const deaf = new MockLanguageModelV3({
    doStream: () => {
      asked.open()
      return Promise.resolve({ stream: new ReadableStream() as never })
    },
  })
  const controller = new AbortController()
  const step = languageModel(deaf).step({ messages: HELLO, signal: controller.signal })
  await asked.promise
  const reason = new Error('enough')
  controller.abort(reason)
  expect(await errorOf(step)).toBe(reason)
})

test('a listener that throws ends the call with its error', async () => {
  const broken = new Error('broken')
  const step = languageModel(saying(...TEXT)).step({
    messages: HELLO,
    onText: () => {
      throw broken
    },
  })
  expect(await errorOf(step)).toBe(broken)
})

const PICTURE: AgentMessage[] = [
  ...HELLO,
  { role: 'assistant', content: [{ type: 'tool-call', toolCallId: 'a', toolName: 'read', input: {} }] },
  {
    role: 'tool',
    content: [
      {
        type: 'tool-result',
        toolCallId: 'a',
        toolName: 'read',
        output: {
          type: 'content',
          value: [
            { type: 'text', text: 'a cat' },
            { type: 'media', mediaType: 'image/png', data: 'aGk=' },
          ],
        },
      },
    ],
  },
]

test('pictures of tools reach a model that takes them, after the results', async () => {
  const mock = saying(...TEXT)
  await languageModel(mock).step({ messages: PICTURE })
  expect(mock.doStreamCalls[0]?.prompt.slice(2)).toMatchObject([
    { role: 'tool', content: [{ toolCallId: 'a', output: { type: 'text', value: 'a cat\n[image/png: it follows]' } }] },
    {
      role: 'user',
      content: [
        { type: 'text', text: 'From read (a):' },
        { type: 'file', mediaType: 'image/png', data: 'aGk=' },
      ],
    },
  ])
})

test('a model that takes no pictures is told of them', async () => {
  const { model, asked } = await provider((response) => events(response, [{ content: 'A cat.' }]))
  await model.step({ messages: PICTURE })
  expect((asked[0] as Asked & { body: { messages: unknown[] } }).body.messages.slice(2)).toEqual([
    { role: 'tool', tool_call_id: 'a', content: 'a cat\n[image/png: not shown: this model takes no pictures]' },
  ])
})

test('a model may have its own key, its own address, and no tools', async () => {
  const { asked, url } = await provider((response) => events(response, [{ content: 'Hi.' }]))
  const own = { id: 'own', apiKey: 'k-own', baseUrl: url, toolCall: false }
  const config = await loadAgentConfig({
    defaultModel: 'far/own',
    providers: [{ name: 'far', apiKey: 'k-far', baseUrl: 'https://far.example/v1', models: [own] }],
  })
  await resolveModel(config, 'far/own').step({ messages: HELLO, tools: [READ] })
  expect(asked[0]?.headers.authorization).toBe('Bearer k-own')
  expect(asked[0]?.body).not.toHaveProperty('tools')
})

test.each<[string, string, string]>([
  ['another form', 'gpt', 'model must be of the form \'provider/model\', got "gpt"'],
  [
    'an unknown provider',
    'other/gpt',
    "model must be a model of a provider that is configured ('local', 'anthropic'), got \"other/gpt\"",
  ],
  [
    'an unknown model',
    'local/other',
    "model must be one of the models of provider 'local' ('small'), got \"local/other\"",
  ],
  [
    'a package that is not installed',
    'anthropic/opus',
    '@a3s-lab/lane/agent needs the package @ai-sdk/anthropic: npm install @ai-sdk/anthropic',
  ],
])('%s is refused when the model is chosen', async (_what, name, message) => {
  const config = await loadAgentConfig({
    defaultModel: 'local/small',
    providers: [
      { name: 'local', baseUrl: 'http://localhost:1/v1', models: [{ id: 'small' }] },
      { name: 'anthropic', apiKey: 'k', models: [{ id: 'opus' }] },
    ],
  })
  const error = thrownBy(() => resolveModel(config, name))
  expect(error['code']).toBe('CONFIG_INVALID')
  expect(error.message).toContain(message)
})

test('what is no language model is refused', () => {
  expect(thrownBy(() => languageModel({ modelId: 'x' }))).toMatchObject({ code: 'CONFIG_INVALID' })
})
