/**
 * A recording: conversations with a model, as data. What is played follows from the conversation that comes in alone, so
 * nothing has to be remembered between two calls, and each call may be made again.
 */
import { readFileSync } from 'node:fs'

/** A tool call; arguments given as a text go out as they stand, whether they can be read or not. */
export type RecordedCall = { readonly name: string; readonly args: object | string }

/** What the model says at one step. */
export type Step = {
  readonly text?: string
  readonly calls?: readonly RecordedCall[]
  /** Texts that have to be in the results of the calls before it, or the step is not played. */
  readonly results?: readonly string[]
  /** What goes wrong first: each of them once, in order, when the step is asked for. */
  readonly mishaps?: readonly Mishap[]
}

/** Instead of an answer: a refusal; a beginning and a connection that breaks, or one on which nothing more comes. */
export type Mishap =
  | { readonly status: number; readonly headers?: Readonly<Record<string, string>> }
  | { readonly text: string; readonly end: 'breaks' | 'hangs' }

type Conversation = {
  /** What the last message of the user has to contain. */
  readonly prompt: string
  readonly steps: readonly Step[]
}

export type Recording = {
  readonly conversations: readonly Conversation[]
  /** Milliseconds between two pieces of an answer. Default 0. */
  readonly pauseMs?: number
}

export const readRecording = (file: URL): Recording => JSON.parse(readFileSync(file, 'utf8')) as Recording

/** A message as OpenAI's protocol has it. */
export type ChatMessage = { readonly role: string; readonly content?: unknown }

/** A step, and what it is called: the same in every run, and another for each step. */
export type Found = { readonly step: Step; readonly id: string }

/** What comes next in a conversation. Throws a sentence when that was not recorded. */
export function nextStep({ conversations }: Recording, messages: readonly ChatMessage[]): Found {
  const asked = lastOf(messages, 'user')
  const prompt = textOf(messages[asked])
  const which = conversations.findIndex((one) => prompt.includes(one.prompt))
  const conversation = conversations[which]
  if (conversation === undefined) throw new Error(`No conversation was recorded for '${prompt}'`)
  const said = messages.slice(asked).filter(({ role }) => role === 'assistant').length
  const step = conversation.steps[said]
  if (step === undefined) throw new Error(`Only ${said} steps were recorded for '${conversation.prompt}'`)
  const last = lastOf(messages, 'assistant')
  const results = messages.slice(Math.max(asked, last) + 1).map(textOf)
  for (const text of step.results ?? []) {
    if (results.some((result) => result.includes(text))) continue
    throw new Error(`Step ${said + 1} follows results with '${text}'; there are:\n${results.join('\n')}`)
  }
  return { step, id: `${which + 1}-${said + 1}` }
}

const lastOf = (messages: readonly ChatMessage[], role: string): number =>
  messages.map((message) => message.role).lastIndexOf(role)

function textOf(message: ChatMessage | undefined): string {
  const { content } = message ?? {}
  if (typeof content === 'string') return content
  return Array.isArray(content) ? content.map((part: { readonly text?: string }) => part.text ?? '').join('') : ''
}
