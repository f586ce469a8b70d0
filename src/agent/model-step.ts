/**
 * One call of a language model through the package `ai`: streamed, tried once, tools described and never run by it. Versions
 * 6 and 7 of the package are told apart by nothing: what both have is all that is used.
 */
import { errorText } from '../core/index.js'
import { importPeer } from '../peer/index.js'
import type { TokenUsage, ToolCall } from '../session/index.js'
import { type AgentMessage, assistantMessage, type MessagePart } from './messages.js'
import { withPicturesApart } from './model-pictures.js'

/** A language model of the AI SDK, of any of its versions. */
export type LanguageModel = {
  readonly provider: string
  readonly modelId: string
  doStream(options: never): unknown
}

/** What a model is told of a tool. */
export type ToolSchema = {
  readonly name: string
  readonly description: string
  /** A JSON Schema of its arguments. */
  readonly parameters: { readonly [keyword: string]: unknown }
}

/** What one call is about. */
export type StepInput = {
  readonly system?: string | undefined
  readonly messages: readonly AgentMessage[]
  readonly tools?: readonly ToolSchema[] | undefined
  /** Ends the call at once, also when the provider does not listen. */
  readonly signal?: AbortSignal | undefined
  /** Takes the text as it comes; nothing after an abort. */
  readonly onText?: ((text: string) => void) | undefined
}

/** A tool call as a model made it. Of a call that cannot be read `args` is the text as it came, and `malformed` says what is wrong. */
type ModelToolCall = ToolCall & { readonly malformed?: string }

/** What a call gave. */
export type ModelStep = {
  readonly text: string
  readonly toolCalls: readonly ModelToolCall[]
  readonly usage: TokenUsage
  /** What the model has said, for the conversation: text, reasoning and calls as its provider needs them back. */
  readonly messages: readonly AgentMessage[]
  /** `stop`, `length`, `content-filter`, `tool-calls`, `error`, `other`; undefined where nobody says. */
  readonly finishReason?: string | undefined
}

/** Settings of a model that go with every call. */
export type StepSettings = {
  /** Whether pictures reach it. */
  readonly takesPictures: boolean
  readonly maxOutputTokens?: number | undefined
  readonly providerOptions?: Readonly<Record<string, object>> | undefined
}

/** What is used of the package. */
type AiPackage = {
  jsonSchema(schema: object): unknown
  streamText(options: object): StreamResult
}

type StreamResult = {
  readonly fullStream: AsyncIterable<StreamPart>
  /** Of version 7; in version 6 they are part of the response. */
  readonly responseMessages?: PromiseLike<readonly AgentMessage[]>
  readonly response: PromiseLike<{ readonly messages?: readonly AgentMessage[] }>
}

type StreamPart = { readonly type: string; readonly [field: string]: unknown }

/**
 * One call. Rejects with the provider's own error, unwrapped, so that what it says of its limits is heard; with the signal's reason
 * when that aborts. Tool calls that are not well-formed are part of the result.
 */
export async function streamStep(model: LanguageModel, input: StepInput, settings: StepSettings): Promise<ModelStep> {
  const { signal } = input
  signal?.throwIfAborted()
  const ai = await importPeer<AiPackage>('ai', '@a3s-lab/lane/agent')
  signal?.throwIfAborted()
  const result = ai.streamText(callOptions(ai, model, input, settings))
  return untilAborted(collected(result, input), signal)
}

function callOptions(ai: AiPackage, model: LanguageModel, input: StepInput, settings: StepSettings): object {
  const { takesPictures, ...rest } = settings
  const tools = (input.tools ?? []).map(({ name, description, parameters }) => [
    name,
    { description, inputSchema: ai.jsonSchema(parameters) },
  ])
  return {
    ...rest,
    model,
    system: input.system,
    messages: withPicturesApart(input.messages, takesPictures),
    // a conversation that the program brings may have them; without the word, one version warns and the other refuses
    allowSystemInMessages: true,
    ...(tools.length === 0 ? {} : { tools: Object.fromEntries(tools) as object }),
    abortSignal: input.signal,
    // tries are the lane's
    maxRetries: 0,
    // without it, errors are printed; they are in the stream as well
    onError: () => undefined,
  }
}

/** The end of `work`, or that of the signal if it comes first. */
function untilAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return work
  return new Promise<T>((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason)
    signal.addEventListener('abort', onAbort, { once: true })
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}

async function collected(result: StreamResult, { signal, onText }: StepInput): Promise<ModelStep> {
  let text = ''
  const calls: ModelToolCall[] = []
  let end: StreamPart | undefined
  for await (const part of result.fullStream) {
    signal?.throwIfAborted()
    if (part.type === 'text-delta') {
      text += part['text'] as string
      onText?.(part['text'] as string)
    } else if (part.type === 'tool-call' && part['providerExecuted'] !== true) calls.push(toolCall(part))
    else if (part.type === 'finish') end = part
    else if (part.type === 'error') throw asError(part['error'])
  }
  signal?.throwIfAborted()
  return {
    text,
    toolCalls: calls,
    usage: usageOf(end?.['totalUsage']),
    messages: await conversation(result, text, calls),
    finishReason: end?.['finishReason'] as string | undefined,
  }
}

function toolCall(part: StreamPart): ModelToolCall {
  const { toolCallId, toolName, input, invalid, error } = part
  const call = { id: toolCallId as string, name: toolName as string, args: input }
  if (typeof input === 'object' && input !== null && !Array.isArray(input)) return call
  const args = typeof input === 'string' ? input : JSON.stringify(input ?? '')
  const why = invalid === true ? errorText(error) : 'the arguments are no JSON object'
  return { ...call, args, malformed: why }
}

/** What is said of a stream that broke off; some providers say it in a text or a plain object. */
const asError = (error: unknown): Error =>
  error instanceof Error ? error : new Error(errorText(error), { cause: error })

/** What the model said, as its provider gave it. Results that the package made up for calls it could not read are not part of it. */
async function conversation(
  result: StreamResult,
  text: string,
  calls: readonly ModelToolCall[],
): Promise<AgentMessage[]> {
  const all = (await result.responseMessages) ?? (await result.response).messages ?? []
  const said = all.filter(({ role }) => role === 'assistant').map((message) => wellFormed(message, calls))
  return said.length > 0 || (text === '' && calls.length === 0) ? said : [assistantMessage(text, calls)]
}

/** Providers refuse a conversation in which the arguments of a call are no object; the result of such a call says what they were. */
function wellFormed(message: AgentMessage, calls: readonly ModelToolCall[]): AgentMessage {
  const malformed = new Set(calls.filter((call) => call.malformed !== undefined).map(({ id }) => id))
  if (typeof message.content === 'string' || malformed.size === 0) return message
  const repaired = (part: MessagePart): MessagePart =>
    part.type === 'tool-call' && malformed.has(part['toolCallId'] as string) ? { ...part, input: {} } : part
  return { ...message, content: message.content.map(repaired) }
}

function usageOf(usage: unknown): TokenUsage {
  const { inputTokens, outputTokens, totalTokens } = new Object(usage) as Readonly<Record<string, unknown>>
  const [prompt, completion] = [count(inputTokens), count(outputTokens)]
  return {
    prompt_tokens: prompt,
    completion_tokens: completion,
    total_tokens: totalTokens === undefined ? prompt + completion : count(totalTokens),
  }
}

const count = (value: unknown): number => (typeof value === 'number' && value >= 0 ? value : 0)
