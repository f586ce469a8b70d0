/**
 * A model that plays a recording: a local HTTP server that speaks OpenAI's protocol.
 *
 *   POST /v1/chat/completions   streamed in small pieces (`stream: true`), or as a whole
 *
 * A request that the recording does not know is answered with 400 and a sentence.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { json } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { type ChatMessage, type Mishap, nextStep, type RecordedCall, type Recording, type Step } from './recording.js'

/** What a client asks for, as far as it is looked at. */
type ChatRequest = {
  readonly model: string
  readonly messages: readonly ChatMessage[]
  readonly stream?: boolean
  readonly stream_options?: { readonly include_usage?: boolean }
}

/** A request that has come in. */
export type Asked = {
  readonly body: ChatRequest
  readonly headers: IncomingMessage['headers']
  /** How its connection was left: with the whole answer, or before that. */
  readonly left: Promise<'answered' | 'broken'>
}

/** Characters of a piece. */
const TEXT_PIECE = 9
const ARGUMENTS_PIECE = 24

export class PlaybackServer {
  readonly asked: Asked[] = []
  readonly #recording: Recording
  readonly #server = createServer((request, response) => void this.#answer(request, response))
  /** How many mishaps there were, by the step's id. */
  readonly #mishaps = new Map<string, number>()

  private constructor(recording: Recording) {
    this.#recording = recording
  }

  /** A server on a free port of this machine. */
  static async start(recording: Recording): Promise<PlaybackServer> {
    const playback = new PlaybackServer(recording)
    await new Promise<void>((resolve) => playback.#server.listen(0, '127.0.0.1', resolve))
    return playback
  }

  /** What clients take for `https://api.openai.com/v1`. */
  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/v1`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      if (request.method !== 'POST' || request.url !== '/v1/chat/completions') {
        fail(response, 404, 'Not here')
        return
      }
      const body = (await json(request)) as ChatRequest
      this.asked.push({ body, headers: request.headers, left: leftBy(response) })
      const { step, id } = nextStep(this.#recording, body.messages)
      const mishap = this.#mishap(step, id)
      if (mishap !== undefined && 'status' in mishap) fail(response, mishap.status, 'Not now', mishap.headers)
      else if (body.stream === true) await this.#stream(response, { body, id, step, mishap })
      else send(response, 200, whole({ body, id, step }))
    } catch (error) {
      if (!response.destroyed) fail(response, 400, (error as Error).message)
    }
  }

  /** What goes wrong this time. */
  #mishap({ mishaps = [] }: Step, id: string): Mishap | undefined {
    const count = this.#mishaps.get(id) ?? 0
    this.#mishaps.set(id, count + 1)
    return mishaps[count]
  }

  async #stream(response: ServerResponse, { body, id, step, mishap }: Played): Promise<void> {
    const { pauseMs = 0 } = this.#recording
    const base = { id: `chat-${id}`, object: 'chat.completion.chunk', created: CREATED, model: body.model }
    const tell = (chunk: object): void => void response.write(`data: ${JSON.stringify({ ...base, ...chunk })}\n\n`)
    const begun = mishap !== undefined && 'end' in mishap ? mishap : undefined
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' })
    for (const delta of deltasOf(begun ?? step, id)) {
      tell({ choices: [{ index: 0, delta, finish_reason: null }] })
      if (pauseMs > 0) await sleep(pauseMs)
      if (response.destroyed) return
    }
    // a comment; once it is written, so is all before it
    if (begun?.end === 'breaks') response.write(': \n\n', () => response.destroy())
    if (begun !== undefined) return
    tell({ choices: [{ index: 0, delta: {}, finish_reason: reasonOf(step) }] })
    if (body.stream_options?.include_usage === true) tell({ choices: [], usage: usageOf(body, step) })
    response.end('data: [DONE]\n\n')
  }
}

/** A step on its way to who has asked for it. */
type Played = {
  readonly body: ChatRequest
  readonly id: string
  readonly step: Step
  readonly mishap?: Mishap | undefined
}

const CREATED = 1_700_000_000

const leftBy = (response: ServerResponse): Asked['left'] =>
  new Promise((resolve) => response.once('close', () => resolve(response.writableFinished ? 'answered' : 'broken')))

/** The pieces of an answer, in order: its text, then one call after the other. */
function* deltasOf({ text = '', calls = [] }: Step, id: string): Iterable<object> {
  yield { role: 'assistant', content: '' }
  for (const content of piecesOf(text, TEXT_PIECE)) yield { content }
  for (const [index, call] of calls.entries()) {
    const opening = { name: call.name, arguments: '' }
    yield { tool_calls: [{ index, id: callId(id, index), type: 'function', function: opening }] }
    for (const piece of piecesOf(argumentsOf(call), ARGUMENTS_PIECE)) {
      yield { tool_calls: [{ index, function: { arguments: piece } }] }
    }
  }
}

/** An answer that is not streamed. */
function whole({ body, id, step }: Played): object {
  const calls = (step.calls ?? []).map((call, index) => ({
    id: callId(id, index),
    type: 'function',
    function: { name: call.name, arguments: argumentsOf(call) },
  }))
  const message = {
    role: 'assistant',
    content: step.text ?? null,
    ...(calls.length === 0 ? {} : { tool_calls: calls }),
  }
  return {
    id: `chat-${id}`,
    object: 'chat.completion',
    created: CREATED,
    model: body.model,
    choices: [{ index: 0, message, finish_reason: reasonOf(step) }],
    usage: usageOf(body, step),
  }
}

const callId = (id: string, index: number): string => `call-${id}-${index + 1}`
const reasonOf = ({ calls = [] }: Step): string => (calls.length === 0 ? 'stop' : 'tool_calls')
const argumentsOf = ({ args }: RecordedCall): string => (typeof args === 'string' ? args : JSON.stringify(args))

const piecesOf = (text: string, length: number): string[] =>
  Array.from({ length: Math.ceil(text.length / length) }, (_, n) => text.slice(n * length, (n + 1) * length))

/** Four characters are taken for a token. */
function usageOf({ messages }: ChatRequest, { text = '', calls = [] }: Step): object {
  const prompt = Math.ceil(JSON.stringify(messages).length / 4)
  const completion = Math.ceil((text.length + JSON.stringify(calls).length) / 4)
  return { prompt_tokens: prompt, completion_tokens: completion, total_tokens: prompt + completion }
}

function send(response: ServerResponse, status: number, answer: object, headers: object = {}): void {
  response.writeHead(status, { ...headers, 'content-type': 'application/json' }).end(JSON.stringify(answer))
}

function fail(response: ServerResponse, status: number, message: string, headers?: object): void {
  send(response, status, { error: { message, type: 'playback', param: null, code: null } }, headers)
}
