/** An agent on the AI SDK: its configuration, its sessions with their lanes, its tools. */
export { Agent } from './agent.js'
export { type AgentResult, AgentSession, type SendOptions } from './agent-session.js'
export { AgentEventStream } from './agent-stream.js'
export type { AgentConfigInput } from './config-input.js'
export { laneTools } from './lane-tools.js'
export type { AgentMessage, MessagePart } from './messages.js'
export type { AgentSessionOptions } from './session-options.js'
export * from './tools/index.js'
