/** Tool calls of a model and their results, and how a result is read from what a command gave back. */
import { errorText, isLaneError, show } from '../core/index.js'
import { ExternalWorkError } from './external-tasks.js'

/** A tool call as a model makes it. */
export type ToolCall = {
  /** Given back with the result. */
  readonly id: string
  readonly name: string
  /** The arguments: an object. Anything else is malformed, and its result says so. Default `{}`. */
  readonly args?: unknown
}

/** A picture that a tool gives the model: base64 of its bytes. */
export type ToolImage = { readonly mediaType: string; readonly data: string }

/** What a tool gives back. */
export type ToolOutput = {
  readonly output: string
  /** 0 means that it went well; anything else is a failure that the tool itself tells. Default 0. */
  readonly exit_code?: number | undefined
  readonly metadata?: Readonly<Record<string, unknown>> | undefined
  readonly images?: readonly ToolImage[] | undefined
}

/** The result of one call. There is one for every call. */
export type ToolResult = {
  readonly id: string
  readonly name: string
  readonly output: string
  readonly exit_code: number
  readonly is_error: boolean
  readonly metadata?: Readonly<Record<string, unknown>>
  readonly images?: readonly ToolImage[]
}

/** The value of a tool command. */
type ToolValue = Omit<ToolResult, 'id' | 'name' | 'is_error'>

/** Reads what a tool or a worker gave back: text, a `ToolOutput`, or anything else, which is shown as JSON. */
function toolValue(value: unknown): ToolValue {
  if (typeof value === 'string') return { output: value, exit_code: 0 }
  if (typeof value !== 'object' || value === null) {
    return { output: value === undefined || value === null ? '' : show(value), exit_code: 0 }
  }
  const { output, exit_code: exitCode, metadata, images } = value as Record<string, unknown>
  return {
    output: typeof output === 'string' ? output : outputOf(value, output),
    exit_code: typeof exitCode === 'number' && Number.isFinite(exitCode) ? exitCode : 0,
    ...(isRecord(metadata) ? { metadata } : {}),
    ...(Array.isArray(images) ? { images: images as ToolImage[] } : {}),
  }
}

/** The value of a tool command that is submitted directly: a text is its output; data that is no output stays as it is. */
export function toolOutput(value: unknown): unknown {
  if (typeof value === 'string') return { output: value, exit_code: 0 }
  if (!isRecord(value) || typeof value['output'] !== 'string' || 'exit_code' in value) return value
  return { ...value, exit_code: 0 }
}

/** Without an output text the whole result is shown; an empty one is no text. */
function outputOf(value: object, output: unknown): string {
  const shown = output === undefined ? value : output
  if (typeof shown === 'object' && shown !== null && Object.keys(shown).length === 0) return ''
  try {
    return JSON.stringify(shown) ?? ''
  } catch {
    return show(shown)
  }
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** The result of a call whose command gave back a value. */
export function resultOf({ id, name }: ToolCall, value: unknown): ToolResult {
  const read = toolValue(value)
  return { id, name, ...read, is_error: read.exit_code !== 0 }
}

/** The result of a call that was refused before anything ran. */
export const refusal = ({ id, name }: ToolCall, output: string): ToolResult => ({
  id,
  name,
  output,
  exit_code: 1,
  is_error: true,
})

/** The result of a call whose command failed: what went wrong, then what a worker sent with it. */
export function failureOf(call: ToolCall, error: unknown): ToolResult {
  const cause: unknown = isLaneError(error) ? error.cause : error
  const text = `Tool execution error: ${errorText(error)}`
  if (!(cause instanceof ExternalWorkError)) return refusal(call, text)
  const { output, ...rest } = toolValue(cause.result)
  const isTold = isRecord(cause.result) && output !== '' && 'output' in cause.result
  return {
    id: call.id,
    name: call.name,
    ...rest,
    output: isTold ? `${text}\n${output}` : text,
    exit_code: rest.exit_code === 0 ? 1 : rest.exit_code,
    is_error: true,
  }
}
