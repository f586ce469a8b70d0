/**
 * An agent for one test that talks to a model over real HTTP: the server plays what the test says, the lanes live in virtual
 * time. Disposed by `await using`: afterwards no timer is set.
 */
import { mkdtempSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { Agent, type AgentSession, type AgentSessionOptions } from '@a3s-lab/lane/agent'
import type { SessionEvent, SessionEventStream, SessionEventType } from '@a3s-lab/lane/session'
import { VirtualClock } from '@a3s-lab/lane/testing'
import { expect } from 'vitest'
import { type Asked, PlaybackServer } from '../../examples/agent/playback.js'
import type { Step } from '../../examples/agent/recording.js'

export class PlayedAgent implements AsyncDisposable {
  readonly clock = new VirtualClock()
  readonly folder = realpathSync(mkdtempSync(join(tmpdir(), 'lane-played-')))
  /** Every event so far, those of the commands included. */
  readonly events: SessionEvent[] = []
  readonly session: AgentSession
  readonly #server: PlaybackServer
  readonly #streams: readonly SessionEventStream[]

  private constructor(agent: Agent, server: PlaybackServer, options: AgentSessionOptions) {
    this.#server = server
    const { clock } = this
    this.session = agent.session(this.folder, { queueConfig: {}, permissive: true, ...options, clock })
    this.#streams = [this.session.subscribe(), this.session.subscribe({ types: COMMAND_EVENTS })]
    for (const stream of this.#streams) void this.#read(stream)
  }

  /** The conversation that begins with 'Go' has these steps. */
  static async start(steps: readonly Step[], options: AgentSessionOptions = {}): Promise<PlayedAgent> {
    const server = await PlaybackServer.start({ conversations: [{ prompt: 'Go', steps }] })
    const agent = await Agent.create({
      defaultModel: 'local/played',
      providers: [{ name: 'local', baseUrl: server.url, models: [{ id: 'played' }] }],
    })
    return new PlayedAgent(agent, server, options)
  }

  /** What the server was asked so far. */
  get asked(): readonly Asked[] {
    return this.#server.asked
  }

  /** The results that the server was given with a request, by the id of their call. */
  resultsIn(index: number): Record<string, string> {
    const messages = (this.asked[index]?.body.messages ?? []) as readonly {
      readonly role: string
      readonly tool_call_id: string
      readonly content: string
    }[]
    return Object.fromEntries(
      messages.filter(({ role }) => role === 'tool').map(({ tool_call_id: id, content }) => [id, content]),
    )
  }

  /** The events so far of these types. */
  told<K extends SessionEventType>(...types: readonly K[]): Extract<SessionEvent, { type: K }>[] {
    return this.events.filter((event): event is Extract<SessionEvent, { type: K }> =>
      (types as readonly string[]).includes(event.type),
    )
  }

  /** The server goes away, with all its connections. */
  async loseServer(): Promise<void> {
    await this.#server[Symbol.asyncDispose]()
  }

  async #read(stream: SessionEventStream): Promise<void> {
    for await (const event of stream) this.events.push(event)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = this.session.close({ timeoutMs: 1 })
    await this.clock.advance(2)
    await closed
    await this.#server[Symbol.asyncDispose]()
    rmSync(this.folder, { recursive: true, force: true })
    expect(this.clock.timers, 'timers that are set after the session has ended').toBe(0)
  }
}

const COMMAND_EVENTS: readonly SessionEventType[] = [
  'queue.command.submitted',
  'queue.command.started',
  'queue.command.delayed',
  'queue.command.completed',
  'queue.command.failed',
  'queue.command.cancelled',
]

/** Resolves when something on the network has come to where the test wants it; no time passes in the lanes meanwhile. */
export async function until(isThere: () => boolean): Promise<void> {
  while (!isThere()) await turn()
}
