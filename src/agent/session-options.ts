/** The options of one agent session: what they are, and their checks. */
import {
  type Clock,
  checkBoolean,
  checkInteger,
  checkMs,
  checkObject,
  checkOneOf,
  checkText,
  configInvalid,
  type Random,
  refuseUnknown,
  type Storage,
} from '../core/index.js'
import type {
  ConfirmHandler,
  ConfirmOptions,
  InputPolicy,
  PermissionCheck,
  PermissionPolicy,
  SessionQueueConfig,
  SessionQueueConfigInput,
  ToolHooks,
} from '../session/index.js'
import type { BuiltInToolOptions, Tool } from './tools/index.js'

/** Options of `agent.session`; all may be left out. */
export type AgentSessionOptions = {
  /** `'provider/model'` instead of the configuration's default, or a language model of the AI SDK. */
  readonly model?: string | object | undefined
  /** The lanes: what it says goes before the configuration's `queue` block; `false` for no queue in spite of it. */
  readonly queueConfig?: SessionQueueConfigInput | SessionQueueConfig | false | undefined
  /** Allows every tool without asking. Default false: only tools that read inside the workspace run unasked. */
  readonly permissive?: boolean | undefined
  /** Which tools may run. Default: those that only read inside the workspace; everything else is asked about. */
  readonly permissions?: PermissionPolicy | PermissionCheck | undefined
  /** Who is asked. Without it what would have to be asked is denied. */
  readonly confirm?: ConfirmHandler | ConfirmOptions | undefined
  readonly hooks?: ToolHooks | undefined
  /** Plans first, then works through the plan's steps. Default false. */
  readonly planning?: boolean | undefined
  /** Longest local run of one tool, in milliseconds, beside the lane's timeout: the smaller acts. Default none. */
  readonly toolTimeoutMs?: number | undefined
  /** Rounds of tool calls in one turn. Default the configuration's, 50. */
  readonly maxToolRounds?: number | undefined
  /** Rounds in a row with nothing but malformed tool calls that are answered before the turn gives up. Default 2. */
  readonly maxParseRetries?: number | undefined
  /** Failed model calls in a row before the turn gives up. Default 3. */
  readonly circuitBreakerThreshold?: number | undefined
  /** What the model is told before everything else. Default: what it is, and where it works. */
  readonly system?: string | undefined
  /** What a message does when a turn runs already. Default 'enqueue'. */
  readonly input?: InputPolicy | undefined
  /** Names a durable session: the same id continues what its storage holds. Default a new one. */
  readonly sessionId?: string | undefined
  /** Tools beside the built-in ones, whose names they may take. */
  readonly tools?: readonly Tool[] | undefined
  /** Of the built-in tools: their limits, the environment of `bash`, the addresses of `web_fetch`. */
  readonly builtIn?: BuiltInToolOptions | undefined
  /** Where direct submissions are kept. Default: a file per session in `storagePath`, if that is configured. */
  readonly storage?: Storage | undefined
  readonly clock?: Clock | undefined
  readonly random?: Random | undefined
  readonly onFault?: ((error: unknown) => void) | undefined
}

const OPTIONS = [
  'model',
  'queueConfig',
  'permissive',
  'permissions',
  'confirm',
  'hooks',
  'planning',
  'toolTimeoutMs',
  'maxToolRounds',
  'maxParseRetries',
  'circuitBreakerThreshold',
  'system',
  'input',
  'sessionId',
  'tools',
  'builtIn',
  'storage',
  'clock',
  'random',
  'onFault',
]

/** `CONFIG_INVALID` names what is wrong. The queue's own options are checked by the queue. */
export function checkSessionOptions(options: AgentSessionOptions): void {
  checkObject('session options', options)
  refuseUnknown('session', options, OPTIONS)
  const { planning, toolTimeoutMs, maxToolRounds, maxParseRetries, circuitBreakerThreshold, system, tools } = options
  if (planning !== undefined) checkBoolean('planning', planning)
  if (toolTimeoutMs !== undefined) checkMs('toolTimeoutMs', toolTimeoutMs, 'above 0')
  if (maxToolRounds !== undefined) checkInteger('maxToolRounds', maxToolRounds, 1)
  if (maxParseRetries !== undefined) checkInteger('maxParseRetries', maxParseRetries, 0)
  if (circuitBreakerThreshold !== undefined) checkInteger('circuitBreakerThreshold', circuitBreakerThreshold, 1)
  if (system !== undefined) checkText('system', system)
  if (options.sessionId !== undefined) checkText('sessionId', options.sessionId)
  if (options.input !== undefined) {
    checkOneOf('input', options.input, ['enqueue', 'reject', 'interrupt', 'rollback', 'steer'])
  }
  if (tools !== undefined && !Array.isArray(tools)) throw configInvalid('tools', 'a list of tools', tools)
}
