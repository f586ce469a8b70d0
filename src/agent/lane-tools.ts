/**
 * `laneTools`: an app that has its own loop and its own tools gets lanes by one line. Tools are recognised by their
 * structure alone: the tool sets of the AI SDK (an object of tools with `execute`) and the function tools of OpenAI Agents
 * (a list of tools with `invoke`).
 */
import { configInvalid, isLaneError, type LaneError } from '../core/index.js'
import type { SessionQueue } from '../session/index.js'
import { Handover } from './handover.js'
import { LaneCalls } from './lane-calls.js'

/** What the AI SDK gives a tool's `execute` beside the input. */
type ExecuteOptions = { readonly toolCallId?: string; readonly abortSignal?: AbortSignal | undefined }

/** A tool of the AI SDK that runs here; one without `execute` runs elsewhere and is left as it is. */
type SdkTool = { readonly execute?: ((input: never, options: never) => unknown) | undefined }

/** A function tool of OpenAI Agents; a tool without `invoke` runs elsewhere and is left as it is. */
type InvokedTool = {
  readonly name: string
  readonly invoke?: ((context: never, input: string, details?: never) => unknown) | undefined
  /** Makes what the model is told of an error; null for a tool whose errors end the run. */
  readonly errorFunction?: ((context: never, error: never, details?: never) => unknown) | null | undefined
  readonly outputSchema?: unknown
}

type InvokeDetails = { readonly toolCall?: { readonly callId?: string }; readonly signal?: AbortSignal }

/**
 * The same tools, each call of which goes through the session's lanes: looking tools in parallel up to their limit, all
 * others one after another, with the session's checks, timeouts, retries and handler modes. What a tool gives back, or
 * throws, is unchanged. A refused call throws `COMMAND_FAILED`, which the AI SDK tells the model; in OpenAI Agents, where a throw
 * would end the run, what went wrong in the lane is the tool's text. A tool that calls such tools itself waits for no slot: they run in its own.
 */
export function laneTools<T extends Readonly<Record<string, SdkTool>> | readonly InvokedTool[]>(
  tools: T,
  queue: SessionQueue,
): T {
  if (typeof tools !== 'object' || tools === null)
    throw configInvalid('laneTools tools', 'a tool set or a list of tools', tools)
  if (typeof (queue as Partial<SessionQueue> | undefined)?.callTool !== 'function')
    throw configInvalid('laneTools queue', 'a SessionQueue', queue)
  const calls = new LaneCalls(queue)
  if (Array.isArray(tools)) return tools.map((tool: InvokedTool) => invoked(tool, calls)) as unknown as T
  const entries = Object.entries(tools as Record<string, SdkTool>)
  return Object.fromEntries(entries.map(([name, tool]) => [name, executed(name, tool, calls)])) as T
}

function executed(name: string, tool: SdkTool, calls: LaneCalls): SdkTool {
  const execute = tool.execute as ((input: unknown, options: ExecuteOptions) => unknown) | undefined
  if (typeof execute !== 'function') return tool
  const call = (input: unknown, options: ExecuteOptions, onValue?: (value: unknown) => void): Promise<unknown> => {
    const { toolCallId: id, abortSignal } = options
    return calls.call({ id, name, args: input ?? {} }, abortSignal, (signal) =>
      lastOf(execute.call(tool, input, { ...options, abortSignal: signal }), onValue),
    )
  }
  const wrapped = isGenerator(execute)
    ? (input: unknown, options: ExecuteOptions = {}): AsyncIterable<unknown> => {
        const handover = new Handover<unknown>()
        handover.endWith(call(input, options, (value) => handover.give(value)))
        return handover
      }
    : (input: unknown, options: ExecuteOptions = {}): Promise<unknown> => call(input, options)
  return { ...tool, execute: wrapped as SdkTool['execute'] }
}

/** What a tool gives back: of several results, one after another, each is told as it comes, and the last is the command's. */
async function lastOf(given: unknown, onValue?: (value: unknown) => void): Promise<unknown> {
  const value = await given
  if (typeof (value as Partial<AsyncIterable<unknown>> | undefined | null)?.[Symbol.asyncIterator] !== 'function') {
    return value
  }
  let last: unknown
  for await (const one of value as AsyncIterable<unknown>) {
    last = one
    onValue?.(one)
  }
  return last
}

const isGenerator = (execute: unknown): boolean =>
  Object.prototype.toString.call(execute) === '[object AsyncGeneratorFunction]'

function invoked(tool: InvokedTool, calls: LaneCalls): InvokedTool {
  const invoke = tool.invoke as ((context: unknown, input: string, details?: InvokeDetails) => unknown) | undefined
  if (typeof invoke !== 'function') return tool
  const { name } = tool
  const wrapped = async (context: unknown, input: string, details?: InvokeDetails): Promise<unknown> => {
    const call = { id: details?.toolCall?.callId, name, args: argumentsIn(input) }
    try {
      return await calls.call(call, details?.signal, (signal) =>
        invoke.call(tool, context, input, { ...details, signal }),
      )
    } catch (error) {
      // the run is over, or the error is the tool's own
      if (details?.signal?.aborted === true || !isLaneError(error)) throw error
      return toldError(tool, error, context, details)
    }
  }
  return { ...tool, invoke: wrapped as unknown as InvokedTool['invoke'] }
}

/**
 * What the model is told of a call that came to nothing in its lane. A throw would end the whole run; a tool that promises
 * results of a certain form says itself what an error looks like.
 */
function toldError(tool: InvokedTool, error: LaneError, context: unknown, details: InvokeDetails | undefined): unknown {
  const { outputSchema } = tool
  const tell = tool.errorFunction as ((...given: unknown[]) => unknown) | null | undefined
  if (outputSchema !== undefined && typeof tell === 'function') return tell(context, error, details)
  if (outputSchema !== undefined || tell === null) throw error
  const isRefusal = error.code === 'COMMAND_FAILED' && error.cause === undefined
  return isRefusal ? error.message : `Tool execution error: ${error.message}`
}

/** Arguments as policies and workers see them; text that is no JSON is malformed, and the session says so. */
function argumentsIn(input: string): unknown {
  try {
    return input === '' ? {} : JSON.parse(input)
  } catch {
    return input
  }
}
