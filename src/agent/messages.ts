/** The messages of a conversation, in the form that the AI SDK takes and gives. Recognised by structure: no type of its is named. */
import { configInvalid } from '../core/index.js'
import type { ToolCall, ToolImage, ToolResult } from '../session/index.js'

/** One message: text, or parts of it (tool calls, results, pictures) as the AI SDK writes them. */
export type AgentMessage = {
  readonly role: 'system' | 'user' | 'assistant' | 'tool'
  readonly content: string | readonly MessagePart[]
}

/** A part of a message. */
export type MessagePart = { readonly type: string; readonly [field: string]: unknown }

const ROLES: readonly unknown[] = ['system', 'user', 'assistant', 'tool']

/** `CONFIG_INVALID` for what is no conversation; nothing at all is none. */
export function checkHistory(history: unknown): void {
  if (history === undefined) return
  if (!Array.isArray(history)) throw configInvalid('history', 'a list of messages', history)
  history.forEach((message: unknown, index) => {
    const { role, content } = new Object(message) as { role?: unknown; content?: unknown }
    if (ROLES.includes(role) && (typeof content === 'string' || Array.isArray(content))) return
    throw configInvalid(`history[${index}]`, 'a message { role, content }', message)
  })
}

export const userMessage = (content: string): AgentMessage => ({ role: 'user', content })

/** What the model has said and called, where no provider has written it. */
export function assistantMessage(text: string, calls: readonly ToolCall[]): AgentMessage {
  if (calls.length === 0) return { role: 'assistant', content: text }
  const said = text === '' ? [] : [{ type: 'text', text }]
  const called = calls.map(({ id, name, args }) => ({
    type: 'tool-call',
    toolCallId: id,
    toolName: name,
    // providers refuse a conversation in which they are no object
    input: typeof args === 'object' && args !== null && !Array.isArray(args) ? args : {},
  }))
  return { role: 'assistant', content: [...said, ...called] }
}

/** The results of one turn's calls; the exit code, metadata and pictures of each reach the model. */
export const toolMessage = (results: readonly ToolResult[]): AgentMessage => ({
  role: 'tool',
  content: results.map((result) => ({
    type: 'tool-result',
    toolCallId: result.id,
    toolName: result.name,
    output: outputOf(result),
  })),
})

function outputOf(result: ToolResult): MessagePart {
  const value = shown(result)
  const { images = [], is_error: isError } = result
  if (images.length > 0) return { type: 'content', value: [{ type: 'text', text: value }, ...images.map(pictureOf)] }
  return { type: isError ? 'error-text' : 'text', value }
}

/** What a model reads of a result. */
function shown({ output, exit_code: exitCode, metadata }: ToolResult): string {
  const notes = [
    ...(exitCode === 0 ? [] : [`[exit code ${exitCode}]`]),
    ...(metadata === undefined || Object.keys(metadata).length === 0 ? [] : [`[metadata ${JSON.stringify(metadata)}]`]),
  ]
  return [output, ...notes].filter((line) => line !== '').join('\n')
}

const pictureOf = ({ mediaType, data }: ToolImage): MessagePart => ({ type: 'media', data, mediaType })
