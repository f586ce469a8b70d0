/** Lanes for one agent session: its tool calls through control, query, execute and generate, here or on workers outside. */
export type {
  Confirmation,
  ConfirmationRequest,
  ConfirmHandler,
  ConfirmOptions,
  ToolHooks,
} from './checks.js'
export { SessionQueueConfig } from './config.js'
export type { HandlerMode, LaneHandlerConfig } from './config-handler.js'
export type {
  LaneHandlerInput,
  LaneRateLimitInput,
  PriorityBoostInput,
  RateLimitInput,
  RetryPolicyInput,
  SessionQueueConfigInput,
} from './config-input.js'
export { type ResolvedSessionConfig, resolveSessionConfig } from './config-resolution.js'
export type { ToolContext } from './context.js'
export type { CancelOptions, CancelScope, ControlAction, ControlProof } from './control.js'
export { SessionEventStream, type SessionSubscribeOptions } from './event-stream.js'
export type {
  EventConveniences,
  PlanTask,
  SessionEvent,
  SessionEventPayloads,
  SessionEventType,
  TokenUsage,
} from './events.js'
export {
  type ExternalTask,
  type ExternalTaskHandler,
  type ExternalTaskResult,
  isTimedOut,
  remainingMs,
} from './external-task.js'
export { ExternalWorkError } from './external-tasks.js'
export { laneForTool, SESSION_LANES, type SessionLane } from './lanes.js'
export {
  type CheckedCall,
  type PermissionCheck,
  type PermissionDecision,
  type PermissionPolicy,
  permissionCheck,
} from './permissions.js'
export type { LocalWork } from './session-command.js'
export type { ExecuteTool, SessionQueueOptions } from './session-options.js'
export { type CallModelOptions, type LaneInput, SessionQueue } from './session-queue.js'
export type { SessionDeadLetter, SessionLaneStats, SessionQueueStats } from './stats.js'
export type { SessionSubmitOptions, TaskHandle, TaskRequest } from './submissions.js'
export type { ToolCall, ToolImage, ToolOutput, ToolResult } from './tool-call.js'
export type { RunToolCallsOptions } from './tool-runner.js'
export type { InputPolicy, Turn, TurnOptions } from './turns.js'
