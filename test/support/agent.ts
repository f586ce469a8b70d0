/**
 * An agent session for one test: a model that says what the test has written down, a workspace in a temporary folder, every
 * event read. Disposed by `await using`.
 */
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import {
  Agent,
  type AgentConfigInput,
  type AgentSession,
  type AgentSessionOptions,
  type Tool,
} from '@a3s-lab/lane/agent'
import type { SessionEvent, SessionEventType, ToolOutput } from '@a3s-lab/lane/session'
import { MockLanguageModelV3 } from 'ai/test'
import { expect } from 'vitest'

/** What the model says when it is asked once. */
export type Reply = {
  /** The text, or the parts in which it comes. */
  readonly text?: string | readonly string[]
  /** Tool calls; ids are `1`, `2` … unless given. Text for arguments stands for what is no JSON. */
  readonly calls?: readonly (readonly [name: string, args?: unknown, id?: string])[]
  /** Tokens in and out. Default 10 and 5. */
  readonly usage?: readonly [prompt: number, completion: number]
  /** After the text, before everything else: waits for it, or for the call's end. */
  readonly hold?: PromiseLike<unknown>
  /** The call is refused with this error. */
  readonly fail?: unknown
  /** The stream breaks off with this error after the text. */
  readonly breaks?: unknown
}

export type Asked = {
  /** The conversation as the provider sees it. */
  readonly prompt: readonly { readonly role: string; readonly content: unknown }[]
  readonly signal: AbortSignal | undefined
  readonly tools: readonly string[]
}

/** Replies in the order of the calls, or an answer to what is asked. */
export type Script = readonly Reply[] | ((asked: Asked, count: number) => Reply | Promise<Reply>)

export class ScriptedModel extends MockLanguageModelV3 {
  readonly asked: Asked[] = []
  /** Calls whose stream has not ended. */
  running = 0
  #script: Script

  constructor(script: Script) {
    super({
      provider: 'scripted',
      modelId: 'one',
      doStream: async ({ prompt, abortSignal, tools = [] }) => {
        const asked = { prompt: structuredClone(prompt), signal: abortSignal, tools: tools.map(({ name }) => name) }
        this.asked.push(asked)
        const reply = await this.#reply(asked)
        if (reply.fail !== undefined) throw reply.fail
        this.running++
        return {
          stream: streamOf(reply, abortSignal, () => {
            this.running--
          }) as never,
        }
      },
    })
    this.#script = script
  }

  /** What is said from now on. */
  set script(script: Script) {
    this.#script = script
    this.asked.length = 0
  }

  /** All that the model was given in its nth call, from 0, as text. */
  text(call: number): string {
    return JSON.stringify(this.asked[call]?.prompt)
  }

  async #reply(asked: Asked): Promise<Reply> {
    if (typeof this.#script === 'function') return this.#script(asked, this.asked.length)
    const reply = this.#script[this.asked.length - 1]
    if (reply === undefined) throw new Error(`The model was asked ${this.asked.length} times`)
    return reply
  }
}

/** Read part by part: a stream that breaks off loses what nobody has read. */
function streamOf(reply: Reply, signal: AbortSignal | undefined, onEnd: () => void): ReadableStream<unknown> {
  const parts = said(reply, signal)
  return new ReadableStream(
    {
      async pull(controller) {
        try {
          const { done, value } = await parts.next()
          if (done !== true) {
            controller.enqueue(value)
            return
          }
          controller.close()
          onEnd()
        } catch (error) {
          controller.error(error)
          onEnd()
        }
      },
      cancel: onEnd,
    },
    { highWaterMark: 0 },
  )
}

async function* said(reply: Reply, signal: AbortSignal | undefined): AsyncGenerator<object, void> {
  yield { type: 'stream-start', warnings: [] }
  yield* textParts(reply)
  if (reply.hold !== undefined) await heldBy(reply.hold, signal)
  if (reply.breaks !== undefined) throw reply.breaks
  yield* endParts(reply)
}

function textParts({ text = [] }: Reply): object[] {
  const parts = typeof text === 'string' ? [text] : text
  if (parts.length === 0) return []
  return [
    { type: 'text-start', id: 't' },
    ...parts.map((delta) => ({ type: 'text-delta', id: 't', delta })),
    ...[{ type: 'text-end', id: 't' }],
  ]
}

function endParts({ calls = [], usage: [input, output] = [10, 5] }: Reply): object[] {
  return [
    ...calls.map(([toolName, args = {}, id], index) => ({
      type: 'tool-call',
      toolCallId: id ?? String(index + 1),
      toolName,
      input: typeof args === 'string' ? args : JSON.stringify(args),
    })),
    {
      type: 'finish',
      finishReason:
        calls.length === 0 ? { unified: 'stop', raw: 'stop' } : { unified: 'tool-calls', raw: 'tool_calls' },
      usage: {
        inputTokens: { total: input, noCache: input, cacheRead: 0, cacheWrite: 0 },
        outputTokens: { total: output, text: output, reasoning: 0 },
      },
    },
  ]
}

async function heldBy(hold: PromiseLike<unknown>, signal: AbortSignal | undefined): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const stop = (): void => reject(signal?.reason)
    if (signal?.aborted === true) return stop()
    signal?.addEventListener('abort', stop, { once: true })
    hold.then(() => resolve(), reject)
  })
}

export type AgentSetupOptions = AgentSessionOptions & {
  readonly files?: Readonly<Record<string, string>>
  /** Of the agent's configuration. */
  readonly config?: Partial<AgentConfigInput>
  /** For a session that goes on where another was. */
  readonly folder?: string
}

export class AgentSetup implements AsyncDisposable {
  readonly agent: Agent
  readonly model: ScriptedModel
  readonly folder: string
  readonly session: AgentSession
  readonly events: SessionEvent[] = []
  readonly #ownsFolder: boolean

  constructor(agent: Agent, script: Script, { files = {}, config: _config, folder, ...options }: AgentSetupOptions) {
    this.agent = agent
    this.model = new ScriptedModel(script)
    this.#ownsFolder = folder === undefined
    this.folder = folder ?? realpathSync(mkdtempSync(join(tmpdir(), 'lane-agent-')))
    for (const [name, text] of Object.entries(files)) {
      mkdirSync(dirname(this.path(name)), { recursive: true })
      writeFileSync(this.path(name), text)
    }
    this.session = agent.session(this.folder, { model: this.model, permissive: true, queueConfig: {}, ...options })
    void this.#read()
  }

  path(name: string): string {
    return join(this.folder, name)
  }

  file(name: string): string {
    return readFileSync(this.path(name), 'utf8')
  }

  /** Events of these types so far, without times and conveniences. */
  async told(...types: readonly SessionEventType[]): Promise<Record<string, unknown>[]> {
    await turnsOfTheLoop(3)
    return this.events.filter(({ type }) => types.length === 0 || types.includes(type)).map(plain)
  }

  /** Types of the events so far. */
  async types(): Promise<string[]> {
    return (await this.told()).map(({ type }) => type as string)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.session.close({ timeoutMs: 0 })
    expect(this.model.running, 'model calls that go on after the end').toBe(0)
    if (this.#ownsFolder) rmSync(this.folder, { recursive: true, force: true })
  }

  async #read(): Promise<void> {
    for await (const event of this.session.subscribe({ capacity: 1_000_000 })) this.events.push(event)
  }
}

/** An agent whose own model nobody asks. */
export const anAgent = (config: Partial<AgentConfigInput> = {}): Promise<Agent> =>
  Agent.create({
    defaultModel: 'local/none',
    providers: [{ name: 'local', baseUrl: 'http://127.0.0.1:9/v1', models: [{ id: 'none' }] }],
    ...config,
  })

/** A session under test: everything is allowed, and there is a queue, unless options say otherwise. */
export async function agentSetup(script: Script, options: AgentSetupOptions = {}): Promise<AgentSetup> {
  return new AgentSetup(await anAgent(options.config), script, options)
}

const CONVENIENCES = ['timestamp', 'toolName', 'toolId', 'toolOutput', 'exitCode', 'totalTokens']

/** An event without what tests say otherwise. */
export const plain = (event: SessionEvent): Record<string, unknown> =>
  Object.fromEntries(Object.entries(event).filter(([name]) => !CONVENIENCES.includes(name)))

/** A tool of the test's own. */
export function aTool(
  name: string,
  run: (args: Record<string, unknown>, context: Parameters<Tool['execute']>[1]) => unknown,
  readOnly = false,
): Tool {
  return {
    name,
    description: `The test's ${name}`,
    parameters: { type: 'object' },
    readOnly,
    execute: async (args, context) => {
      const given = await run(args as Record<string, unknown>, context)
      return typeof given === 'object' && given !== null
        ? (given as ToolOutput)
        : { output: typeof given === 'string' ? given : '' }
    },
  }
}

/** A tool that runs until it is told to stop, and notes both. */
export const endless = (name: string, notes: string[]): Tool =>
  aTool(name, (_args, { signal, toolCallId = '' }) => {
    notes.push(`+${toolCallId}`)
    return new Promise((_resolve, reject) => {
      const stop = (): void => {
        notes.push(`-${toolCallId}`)
        reject(signal.reason)
      }
      if (signal.aborted) return stop()
      signal.addEventListener('abort', stop, { once: true })
    })
  })

/** Everything that a stream gives. */
export async function all(stream: AsyncIterable<SessionEvent>): Promise<Record<string, unknown>[]> {
  const events: Record<string, unknown>[] = []
  for await (const event of stream) events.push(plain(event))
  return events
}

/** Lets the event loop turn. */
export async function turnsOfTheLoop(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve))
}

/** Lets the event loop turn until something holds: what has to happen needs no time, or that of a child process. */
export async function until(holds: () => unknown): Promise<void> {
  const ends = performance.now() + 4000
  while (!(await holds())) {
    expect(performance.now(), 'the end of the wait').toBeLessThan(ends)
    await new Promise((resolve) => setImmediate(resolve))
  }
}

/** Vitest's matchers of parts, as values of no particular type. */
export const like = {
  text: (part: string | RegExp): unknown =>
    typeof part === 'string' ? expect.stringContaining(part) : expect.stringMatching(part),
  object: (part: object): unknown => expect.objectContaining(part),
  any: (kind: unknown): unknown => expect.any(kind),
  anything: (): unknown => expect.anything(),
}
