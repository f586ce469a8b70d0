/** laneTools: the tools of an app that has its own loop on the AI SDK, through the lanes of a session. */
import { laneTools } from '@a3s-lab/lane/agent'
import { type CheckedCall, SessionQueue, type SessionQueueOptions } from '@a3s-lab/lane/session'
import { VirtualClock } from '@a3s-lab/lane/testing'
import { generateText, jsonSchema, stepCountIs, streamText, tool } from 'ai'
import { MockLanguageModelV3 } from 'ai/test'
import { expect, test } from 'vitest'
import { like, type Reply, ScriptedModel, until } from '../../support/agent.js'
import { errorOf, gate, thrownBy } from '../../support/setup.js'

const inputSchema = jsonSchema<Record<string, unknown>>({ type: 'object' })

/** A tool of the AI SDK. */
const sdkTool = (
  execute: (
    input: Record<string, unknown>,
    options: { toolCallId: string; abortSignal?: AbortSignal | undefined },
  ) => unknown,
) =>
  tool({ description: 'a tool', inputSchema, execute: execute as (input: Record<string, unknown>) => Promise<unknown> })

/** What the model is answered in one step of generateText, with these tools in lanes. */
async function generated(
  calls: Reply['calls'],
  tools: Record<string, ReturnType<typeof sdkTool>>,
  queue: SessionQueue,
) {
  const script = [{ calls: calls ?? [] }, { text: 'Done.' }]
  const model = generating(script)
  return generateText({ model, prompt: 'Go', tools: laneTools(tools, queue), stopWhen: stepCountIs(3) })
}

/** The same model for generateText. */
function generating(script: readonly Reply[]): MockLanguageModelV3 {
  let count = 0
  return new MockLanguageModelV3({
    doGenerate: async () => {
      const { text = '', calls = [] } = script[count++] ?? {}
      return {
        content: [
          ...(text === '' ? [] : [{ type: 'text' as const, text: String(text) }]),
          ...calls.map(([toolName, args = {}, id], index) => ({
            type: 'tool-call' as const,
            toolCallId: id ?? String(index + 1),
            toolName,
            input: JSON.stringify(args),
          })),
        ],
        finishReason: { unified: calls.length === 0 ? ('stop' as const) : ('tool-calls' as const), raw: undefined },
        usage: {
          inputTokens: { total: 1, noCache: 1, cacheRead: 0, cacheWrite: 0 },
          outputTokens: { total: 1, text: 1, reasoning: 0 },
        },
        warnings: [],
      }
    },
  })
}

const newQueue = (options: SessionQueueOptions = {}): SessionQueue => new SessionQueue(options)

test('generateText gets what its tools give back, through the lanes', async () => {
  await using queue = newQueue()
  const { text, steps } = await generated(
    [
      ['read', { path: 'a' }, 'r'],
      ['save', { n: 1 }, 's'],
    ],
    { read: sdkTool(({ path }) => `text of ${String(path)}`), save: sdkTool(({ n }) => ({ saved: n })) },
    queue,
  )
  expect([text, steps[0]?.toolResults.map(({ output }) => output as unknown)]).toEqual([
    'Done.',
    ['text of a', { saved: 1 }],
  ])
  const { lanes } = await queue.queueStats()
  expect([lanes.query?.completed, lanes.execute?.completed]).toEqual([1, 1])
})

test('everything else of a tool is left as it is, and a tool that runs elsewhere too', async () => {
  await using queue = newQueue()
  const toModelOutput = () => ({ type: 'text' as const, value: 'short' })
  const own = tool({ description: 'mine', inputSchema, execute: async () => 'x', toModelOutput })
  const elsewhere = tool({ description: 'not here', inputSchema })
  const wrapped = laneTools({ own, elsewhere }, queue)
  expect(wrapped.elsewhere).toBe(elsewhere)
  expect(wrapped.own).toEqual({ ...own, execute: like.any(Function) })
})

test('looking tools run at the same time up to the limit of their lane, others one after another in the order of their calls', async () => {
  await using queue = newQueue({ queueConfig: { queryMaxConcurrency: 2, executeMaxConcurrency: 5 } })
  const [running, most, order]: [Record<string, number>, Record<string, number>, unknown[]] = [{}, {}, []]
  const counted = (name: string) =>
    sdkTool(async ({ n }) => {
      running[name] = (running[name] ?? 0) + 1
      most[name] = Math.max(most[name] ?? 0, running[name])
      if (name === 'write') order.push(n)
      for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve))
      running[name]--
    })
  const calls = (name: string) => [1, 2, 3, 4].map((n) => [name, { n }, `${name}${n}`] as const)
  await generated([...calls('write'), ...calls('grep')], { write: counted('write'), grep: counted('grep') }, queue)
  expect([most, order]).toEqual([{ write: 1, grep: 2 }, [1, 2, 3, 4]])
})

test('a tool is given the id of its call, and a signal that the session can abort', async () => {
  await using queue = newQueue()
  let ended: unknown
  const wait = sdkTool(
    (_input, { toolCallId, abortSignal }) =>
      new Promise((_resolve, reject) => {
        abortSignal?.addEventListener('abort', () => {
          ended = [toolCallId, (abortSignal.reason as { code?: string }).code]
          reject(abortSignal.reason)
        })
      }),
  )
  const result = generated([['wait', {}, 'c1']], { wait }, queue)
  await until(async () => (await queue.queueStats()).totalActive > 0)
  await queue.cancel({ scope: 'tools', reason: 'enough' })
  const { steps } = await result
  expect(ended).toEqual(['c1', 'COMMAND_CANCELLED'])
  expect(steps[0]?.content.at(-1)).toMatchObject({ type: 'tool-error', error: { code: 'COMMAND_CANCELLED' } })
})

test('the abort of the app ends a tool that runs, and one that waits never begins', async () => {
  await using queue = newQueue()
  const ran: string[] = []
  const wait = sdkTool((_input, { toolCallId, abortSignal }) => {
    ran.push(toolCallId)
    return new Promise((_resolve, reject) => abortSignal?.addEventListener('abort', () => reject(abortSignal.reason)))
  })
  const tools = laneTools({ wait }, queue)
  const controller = new AbortController()
  const { signal } = controller
  const options = (id: string) => ({ toolCallId: id, messages: [], abortSignal: signal })
  const both = ['a', 'b'].map((id) => errorOf(Promise.resolve(tools.wait.execute?.({}, options(id)))))
  await until(() => ran.length > 0)
  controller.abort('enough')
  for (const { code } of await Promise.all(both)) expect(code).toBe('COMMAND_CANCELLED')
  expect(ran).toEqual(['a'])
})

class OwnError extends Error {}

test('what a tool throws is what its caller gets', async () => {
  await using queue = newQueue()
  const error = new OwnError('no such thing')
  const fail = sdkTool(() => {
    throw error
  })
  const wrapped = laneTools({ fail }, queue)
  expect(await errorOf(Promise.resolve(wrapped.fail.execute?.({}, { toolCallId: 'x', messages: [] })))).toBe(error)
  const { steps } = await generated([['fail']], { fail }, queue)
  expect(steps[0]?.content.at(-1)).toMatchObject({ type: 'tool-error', error })
})

test('a looking tool that fails is tried again by the rules of the session', async () => {
  const clock = new VirtualClock()
  await using queue = newQueue({ clock })
  let attempts = 0
  const read = sdkTool(() => {
    if (++attempts < 3) throw new Error('not yet')
    return 'text'
  })
  const result = generated([['read']], { read }, queue)
  await until(() => clock.timers > 0)
  await clock.advance(1000)
  expect([(await result).steps[0]?.toolResults[0]?.output, attempts]).toEqual(['text', 3])
})

test('a call that is refused does not run, and says why', async () => {
  let ran = 0
  const seen: CheckedCall[] = []
  const permissions = (call: CheckedCall) => {
    seen.push(call)
    return 'deny' as const
  }
  await using queue = newQueue({ permissions })
  const { steps } = await generated([['deploy', { to: 'prod' }, 'd']], { deploy: sdkTool(() => ran++) }, queue)
  expect(steps[0]?.content.at(-1)).toMatchObject({
    type: 'tool-error',
    error: { code: 'COMMAND_FAILED', message: "Permission denied: Tool 'deploy' is blocked by permission policy." },
  })
  expect([ran, seen]).toEqual([0, [{ id: 'd', name: 'deploy', args: { to: 'prod' }, lane: 'execute' }]])
})

test('with the lane external the tool does not run here, and the worker gives the result', async () => {
  let ran = 0
  await using queue = newQueue({ queueConfig: { laneHandlers: { execute: { mode: 'external' } } } })
  queue.setExternalTaskHandler(({ command_type, payload }) =>
    command_type === 'deploy' ? { result: { deployed: payload } } : { success: false, error: 'not me' },
  )
  const tools = { deploy: sdkTool(() => ran++), other: sdkTool(() => ran++) }
  const { steps } = await generated([['deploy', { to: 'prod' }], ['other']], tools, queue)
  expect(steps[0]?.content.slice(-2)).toMatchObject([
    { type: 'tool-result', output: { deployed: { to: 'prod' } } },
    { type: 'tool-error', error: { message: like.text('not me') } },
  ])
  expect(ran).toBe(0)
})

test('streamText gets the results on the way of a generator, and its last as the result', async () => {
  await using queue = newQueue()
  const build = tool({
    description: 'builds',
    inputSchema,
    async *execute() {
      yield 'half'
      await Promise.resolve()
      yield 'whole'
    },
  })
  const model = new ScriptedModel([{ calls: [['build']] }, { text: 'Done.' }])
  const { fullStream } = streamText({
    model,
    prompt: 'Go',
    tools: laneTools({ build }, queue),
    stopWhen: stepCountIs(3),
  })
  const outputs: unknown[] = []
  for await (const part of fullStream)
    if (part.type === 'tool-result') outputs.push([part.output, part.preliminary === true])
  expect(outputs).toEqual([
    ['half', true],
    ['whole', true],
    ['whole', false],
  ])
  expect((await queue.queueStats()).lanes.execute?.completed).toBe(1)
})

test('the error of a generator is that of its call', async () => {
  await using queue = newQueue()
  const build = tool({
    description: 'builds',
    inputSchema,
    async *execute(): AsyncGenerator<string> {
      yield 'half'
      throw new OwnError('broken')
    },
  })
  const model = new ScriptedModel([{ calls: [['build']] }, { text: 'I see.' }])
  const { fullStream } = streamText({
    model,
    prompt: 'Go',
    tools: laneTools({ build }, queue),
    stopWhen: stepCountIs(3),
  })
  const errors: unknown[] = []
  for await (const part of fullStream) if (part.type === 'tool-error') errors.push(part.error)
  expect(errors).toEqual([expect.any(OwnError)])
})

test('of a function that gives an iterable the last result counts, and it holds its slot until then', async () => {
  await using queue = newQueue()
  const held = gate()
  async function* values(): AsyncGenerator<string> {
    yield 'half'
    await held.promise
    yield 'whole'
  }
  const build = sdkTool(() => values())
  const result = generated([['build']], { build }, queue)
  await until(async () => (await queue.queueStats()).totalActive === 1)
  held.open()
  expect((await result).steps[0]?.toolResults[0]?.output).toBe('whole')
})

test('a tool that calls such tools itself does not wait for its own slot or turn', async () => {
  await using queue = newQueue({ queueConfig: { executeMaxConcurrency: 1, maxConcurrency: 1 } })
  const order: string[] = []
  const inner = laneTools(
    { save: sdkTool(({ n }) => void order.push(`save ${String(n)}`)), read: sdkTool(() => 'text') },
    queue,
  )
  const agent = sdkTool(async () => {
    order.push('begin')
    const model = generating([{ calls: [['save', { n: 1 }], ['read'], ['save', { n: 2 }]] }, { text: 'inner' }])
    const { text } = await generateText({ model, prompt: 'Inside', tools: inner, stopWhen: stepCountIs(3) })
    order.push('end')
    return text
  })
  const outer = laneTools({ agent, ...inner }, queue)
  const model = generating([{ calls: [['agent'], ['save', { n: 3 }]] }, { text: 'Done.' }])
  const { steps } = await generateText({ model, prompt: 'Go', tools: outer, stopWhen: stepCountIs(3) })
  expect(steps[0]?.toolResults[0]?.output).toBe('inner')
  expect(order.filter((note) => note !== 'save 3')).toEqual(['begin', 'save 1', 'save 2', 'end'])
})

test('what a tool leaves running after its end waits for a slot like any other', async () => {
  await using queue = newQueue({ queueConfig: { executeMaxConcurrency: 1 } })
  const over = gate()
  let later: Promise<unknown> | undefined
  const inner = laneTools({ save: sdkTool(() => 'saved') }, queue)
  const start = sdkTool(() => {
    later = over.promise.then(() => inner.save.execute?.({}, { toolCallId: 'l', messages: [] }))
    return 'started'
  })
  await generated([['start']], { start }, queue)
  over.open()
  expect([await later, (await queue.queueStats()).lanes.execute?.completed]).toEqual(['saved', 2])
})

test('a session that has ended refuses the calls', async () => {
  const queue = newQueue()
  await queue.close()
  const { save } = laneTools({ save: sdkTool(() => 'saved') }, queue)
  expect((await errorOf(Promise.resolve(save.execute?.({}, { toolCallId: 'x', messages: [] }))))['code']).toBe(
    'SHUTTING_DOWN',
  )
})

test('without a queue the tools run one after another', async () => {
  await using queue = newQueue({ queueConfig: false })
  const { steps } = await generated([['read'], ['save']], { read: sdkTool(() => 'a'), save: sdkTool(() => 'b') }, queue)
  expect(steps[0]?.toolResults.map(({ output }) => output as unknown)).toEqual(['a', 'b'])
})

test.each([
  [null, new SessionQueue(), 'laneTools tools'],
  ['read', new SessionQueue(), 'laneTools tools'],
  [{}, undefined, 'laneTools queue'],
  [{}, {}, 'laneTools queue'],
])('laneTools of %j and a queue that may be none is refused', (tools, queue, named) => {
  const { code, message } = thrownBy(() => laneTools(tools as never, queue as never))
  expect([code, message]).toEqual(['CONFIG_INVALID', expect.stringContaining(named)])
})
