export type { RateLimitFields } from '../policy/index.js'
export { QueueManagerBuilder } from './builder.js'
export { cancelledError } from './cancelled-error.js'
export { Channel } from './channel.js'
export type { Clock, Timer } from './clock.js'
export { instantText, systemClock } from './clock.js'
export type { AnyCommand, Command, FunctionCommand, TypedCommand } from './command.js'
export { JsonCommand } from './command.js'
export type { ChildQueue, CommandContext, RunChild } from './context.js'
export type { DeadLetter, DeadLetterFilter } from './dead-letters.js'
export { DeadLetterQueue, type DeadLetters } from './dead-letters.js'
export type {
  CommandDefinition,
  DefineCommandOptions,
  SchemaIssue,
  SchemaResult,
  StandardSchema,
} from './definition.js'
export { type DefinedCommand, defineCommand } from './definition.js'
export type {
  AddAnswer,
  CancelAnswer,
  Claim,
  ClaimAnswer,
  EndAnswer,
  Engine,
  EngineCapabilities,
  EngineCharge,
  EngineCommand,
  EngineDedupe,
  EngineEvent,
  EngineLane,
  EngineLaneCounts,
  EngineLetter,
  EngineListening,
  EngineOutcome,
  EnginePage,
  EngineProgress,
  EngineQuery,
  EngineRecord,
  EngineRole,
  EngineUse,
  Lease,
  LeaseEnd,
  RenewAnswer,
} from './engine.js'
export type { AttemptFailure, LogLine } from './entry.js'
export { sameData } from './equal.js'
export type { ErrorRecord, LaneErrorCode, LaneErrorFields } from './errors.js'
export {
  configInvalid,
  ERROR_CODES,
  errorText,
  formatDuration,
  isLaneError,
  LaneError,
  RetryAfterError,
  show,
  UnrecoverableError,
} from './errors.js'
export { checkLogger, type Logger } from './event-log.js'
export type { EventFilter, SubscribeOptions } from './event-stream.js'
export { EventEmitter, EventStream } from './event-stream.js'
export type { EventKey, EventPayloads, LaneEvent } from './events.js'
export { EVENTS } from './events.js'
export type { ExplainedReason, Explanation } from './explain.js'
export type { LaneStatus } from './lane.js'
export type { BuiltInLaneId } from './lane-config.js'
export { defaultLanes, LANE_IDS, LaneConfig, PRIORITIES } from './lane-config.js'
export type { LaneHandle } from './lane-handle.js'
export type { LaneDefinition, LaneOptions } from './lane-options.js'
export type { BatchItem, BatchResult, Handler, HandlerResolver, HandlerResult, LaneName } from './manager.js'
export { QueueManager } from './manager.js'
export type { LaneFact, LaneObserver, Observation, ObservedLane, ObservedQueue, QueueObserver } from './observation.js'
export * from './options.js'
export type { Outcome } from './outcome.js'
export { discard, snooze } from './outcome.js'
export { PriorityBooster, type PriorityBoosterOptions } from './priority-booster.js'
export type { QueueOptions } from './queue-options.js'
export type { Random } from './random.js'
export { systemRandom } from './random.js'
export * from './rate-limiters.js'
export type { CommandRecord, ListOptions, ListPage } from './records.js'
export { type CommandRun, quiet, type ResultOf } from './run.js'
export * from './settings.js'
export type { ClusterLaneStatus, ClusterStats } from './shared-reads.js'
export type { QueueStats } from './stats.js'
export type {
  ColdCount,
  ColdPage,
  Storage,
  StorageChange,
  StorageHead,
  StorageUse,
  StoredCommand,
  StoredLetter,
  StoredOutcome,
  StoredProgress,
  StoredQuery,
  StoredStart,
  StoredSubmit,
} from './storage.js'
export type { SubmitOptions } from './submit-options.js'
export type { AttemptEnd, AttemptSpan, TraceContext, TracedAttempt, TracedCommand, Tracing } from './tracing.js'
export { type CommandState, type FinalState, isFinal } from './transitions.js'
