/** laneTools with tools in the form of OpenAI Agents: an `invoke` that takes text, a runner that calls several at once. */
import { laneTools } from '@a3s-lab/lane/agent'
import { SessionQueue, type SessionQueueOptions } from '@a3s-lab/lane/session'
import { expect, test } from 'vitest'
import { like, until } from '../../support/agent.js'
import { errorOf } from '../../support/setup.js'

/** The parts of that package's types that count, written from its documentation. */
type Details = {
  toolCall?: { type: 'function_call'; callId: string; name: string; arguments: string; status?: string }
  resumeState?: string
  signal?: AbortSignal
}
type FunctionTool = {
  type: 'function'
  name: string
  description: string
  parameters: object
  strict: boolean
  needsApproval: (context: object, input: unknown, callId?: string) => Promise<boolean>
  isEnabled: () => Promise<boolean>
  invoke: (context: object, input: string, details?: Details) => Promise<string | object>
  errorFunction?: ((context: object, error: unknown, details?: Details) => string | object) | null
  outputSchema?: object
}

const functionTool = (name: string, invoke: FunctionTool['invoke']): FunctionTool => ({
  type: 'function',
  name,
  description: `the tool ${name}`,
  parameters: { type: 'object' },
  strict: false,
  needsApproval: async () => false,
  isEnabled: async () => true,
  invoke,
})

/** As that package's runner does: all calls of an answer at once. */
const runnerOf =
  (tools: readonly FunctionTool[]) =>
  (calls: readonly (readonly [name: string, input: string])[], signal?: AbortSignal): Promise<(string | object)[]> =>
    Promise.all(
      calls.map(([name, input], index) => {
        const found = tools.find((one) => one.name === name) as FunctionTool
        const toolCall = { type: 'function_call' as const, callId: `call_${index}`, name, arguments: input }
        return found.invoke({ context: 'mine' }, input, { toolCall, ...(signal === undefined ? {} : { signal }) })
      }),
    )

const newQueue = (options: SessionQueueOptions = {}): SessionQueue => new SessionQueue(options)

test('their calls go through the lanes: the context and the text of the arguments arrive as they were', async () => {
  await using queue = newQueue()
  const seen: unknown[] = []
  const [read, save] = ['read', 'save'].map((name) =>
    functionTool(name, async (context, input, details) => {
      seen.push([name, context, input, details?.toolCall?.callId, details?.signal instanceof AbortSignal])
      return name === 'save' ? { saved: true } : 'text'
    }),
  ) as [FunctionTool, FunctionTool]
  const tools = laneTools([read, save], queue)
  expect(
    await runnerOf(tools)([
      ['read', '{"path": "a"}'],
      ['save', ''],
    ]),
  ).toEqual(['text', { saved: true }])
  expect(seen).toEqual([
    ['read', { context: 'mine' }, '{"path": "a"}', 'call_0', true],
    ['save', { context: 'mine' }, '', 'call_1', true],
  ])
  const { lanes } = await queue.queueStats()
  expect([lanes.query?.completed, lanes.execute?.completed]).toEqual([1, 1])
  expect(tools[0]).toEqual({ ...read, invoke: like.any(Function) })
})

test('those with side effects run one after another in the order of their calls', async () => {
  await using queue = newQueue({ queueConfig: { executeMaxConcurrency: 5 } })
  const notes: string[] = []
  const write = functionTool('write', async (_context, input) => {
    notes.push(`+${input}`)
    await new Promise((resolve) => setImmediate(resolve))
    notes.push(`-${input}`)
    return ''
  })
  await runnerOf(laneTools([write], queue))([
    ['write', '1'],
    ['write', '{}'],
    ['write', '{"n":3}'],
  ])
  await until(() => notes.length === 4)
  expect(notes).toEqual(['+{}', '-{}', '+{"n":3}', '-{"n":3}'])
})

test('a call without an id of its own gets one', async () => {
  const ids: string[] = []
  await using queue = newQueue({ hooks: { preToolUse: ({ id }) => void ids.push(id) } })
  const [save] = laneTools([functionTool('save', async () => 'ok')], queue) as [FunctionTool]
  expect([await save.invoke({}, '{}'), await save.invoke({}, '{}'), ids]).toEqual(['ok', 'ok', ['save-1', 'save-2']])
})

test('arguments that are no JSON are malformed, and the tool does not run', async () => {
  await using queue = newQueue()
  const [save] = laneTools([functionTool('save', async () => 'ran')], queue) as [FunctionTool]
  expect(await save.invoke({}, '{"path":')).toContain("Invalid arguments for tool 'save'")
})

test('a refused call does not run, and says why', async () => {
  await using queue = newQueue({ permissions: { deny: ['bash(rm *)'], otherwise: 'allow' } })
  const [bash] = laneTools([functionTool('bash', async () => 'ran')], queue) as [FunctionTool]
  expect(await bash.invoke({}, '{"command":"rm -rf x"}')).toBe(
    "Permission denied: Tool 'bash' is blocked by permission policy.",
  )
  expect(await bash.invoke({}, '{"command":"ls"}')).toBe('ran')
})

test('what goes wrong in the lane is told to the model, with its reason', async () => {
  await using queue = newQueue({ permissions: { deny: ['bash'], otherwise: 'allow' } })
  const told = (name: string): FunctionTool => ({
    ...functionTool(name, async () => 'ran'),
    errorFunction: () => 'an error',
  })
  const structured = {
    ...told('bash'),
    outputSchema: {},
    errorFunction: (_context: object, error: unknown) => ({ error }),
  }
  const tools = laneTools([told('bash'), told('save')], queue)
  expect(
    await runnerOf(tools)([
      ['bash', '{}'],
      ['save', '5'],
      ['save', '{}'],
    ]),
  ).toEqual([
    "Permission denied: Tool 'bash' is blocked by permission policy.",
    "Invalid arguments for tool 'save': an object is expected, got 5",
    'ran',
  ])
  expect(await runnerOf(laneTools([structured], queue))([['bash', '{}']])).toMatchObject([
    { error: { code: 'COMMAND_FAILED' } },
  ])
  await queue.close()
  expect(await runnerOf(tools)([['save', '{}']])).toEqual([
    expect.stringMatching(/^Tool execution error: .*shutting down/),
  ])
})

test('a tool whose errors end the run has them thrown, its own as they are', async () => {
  await using queue = newQueue({ permissions: { deny: ['bash'], otherwise: 'allow' } })
  const own = new Error('its own')
  const strict = (name: string): FunctionTool => ({
    ...functionTool(name, () => Promise.reject(own)),
    errorFunction: null,
  })
  const tools = laneTools([strict('bash'), strict('save')], queue)
  expect((await errorOf(runnerOf(tools)([['bash', '{}']])))['code']).toBe('COMMAND_FAILED')
  expect(await errorOf(runnerOf(tools)([['save', '{}']]))).toBe(own)
})

test('the abort of the runner reaches the tool through the lane', async () => {
  await using queue = newQueue()
  const controller = new AbortController()
  const began: string[] = []
  const wait = functionTool('wait', (_context, _input, details) => {
    began.push('wait')
    return new Promise((_resolve, reject) => {
      const { signal } = details ?? {}
      signal?.addEventListener('abort', () => reject(signal.reason))
    })
  })
  const run = errorOf(runnerOf(laneTools([wait], queue))([['wait', '{}']], controller.signal))
  await until(() => began.length > 0)
  controller.abort('enough')
  expect((await run).message).toBe('Command cancelled: enough')
})

test('an external lane hands the arguments to a worker', async () => {
  await using queue = newQueue({ queueConfig: { laneHandlers: { execute: { mode: 'external' } } } })
  queue.setExternalTaskHandler(({ payload }) => ({ result: { got: payload } }))
  const [save] = laneTools([functionTool('save', async () => 'ran here')], queue) as [FunctionTool]
  expect(await save.invoke({}, '{"n":1}')).toEqual({ got: { n: 1 } })
})

test('a tool that the provider runs has no invoke, and is left as it is', async () => {
  await using queue = newQueue()
  const hosted = { type: 'hosted_tool', name: 'web_search' }
  expect(laneTools([hosted], queue)[0]).toBe(hosted)
})
