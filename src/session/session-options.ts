/** The options of a session queue: what they are, and their checks. */
import {
  type Clock,
  checkText,
  configInvalid,
  type Engine,
  type Random,
  refuseUnknown,
  type Storage,
  systemClock,
  systemRandom,
} from '../core/index.js'
import type { CheckOptions } from './checks.js'
import type { SessionQueueConfig } from './config.js'
import type { SessionQueueConfigInput } from './config-input.js'
import { type ResolvedSessionConfig, resolveSessionConfig } from './config-resolution.js'
import type { ToolContext } from './context.js'
import type { SessionLane } from './lanes.js'
import { newUuid } from './uuid.js'

/** Runs any tool by its name. It gives back text, a `ToolOutput`, or anything else, which the model is shown as JSON. */
export type ExecuteTool = (toolName: string, args: Readonly<Record<string, unknown>>, context: ToolContext) => unknown

/** Options of a session queue; all may be left out. */
export type SessionQueueOptions = CheckOptions & {
  /** Default a new random id. Given, it names the session that a storage continues. */
  readonly sessionId?: string | undefined
  /** The queue's configuration; `false` for no queue: tools run directly, one after another. Default every default. */
  readonly queueConfig?: SessionQueueConfigInput | SessionQueueConfig | false | undefined
  /** The `queue` block of a configuration file: what `queueConfig` leaves open. */
  readonly queueBlock?: unknown
  /** Runs tools that have no handler of their own. It is never asked for `json`. */
  readonly execute?: ExecuteTool | undefined
  /** Which command types of direct submissions `execute` knows. Default all. */
  readonly executes?: ((toolName: string) => boolean) | undefined
  /** Gives the command type of a direct submission that names none, from its payload; undefined for none. */
  readonly routeDirect?: ((lane: SessionLane, payload: unknown) => string | undefined) | undefined
  /** Where direct submissions are kept, so that they outlive the process. The session closes it. Default memory only. */
  readonly storage?: Storage | undefined
  /**
   * Shares the session's lanes with other processes: tool calls and direct submissions run in any of them. The session closes
   * it. Default this process only. Not together with a storage.
   */
  readonly engine?: Engine | undefined
  readonly clock?: Clock | undefined
  readonly random?: Random | undefined
  /** Called with faults outside any command's outcome, as `queue.fault` tells them. Default: nothing. */
  readonly onFault?: ((error: unknown) => void) | undefined
}

const OPTIONS = [
  'sessionId',
  'queueConfig',
  'queueBlock',
  'execute',
  'executes',
  'routeDirect',
  'storage',
  'engine',
  'clock',
  'random',
  'onFault',
  'permissions',
  'permissive',
  'confirm',
  'hooks',
]

/** The options with their defaults; `config` is undefined for a session without a queue. */
export type CheckedSessionOptions = {
  readonly sessionId: string
  readonly config: ResolvedSessionConfig | undefined
  readonly clock: Clock
  readonly random: Random
}

/** `CONFIG_INVALID` names what is wrong. */
export function checkedSessionOptions(options: SessionQueueOptions): CheckedSessionOptions {
  if (typeof options !== 'object' || options === null) throw configInvalid('SessionQueue options', 'an object', options)
  refuseUnknown('SessionQueue', options, OPTIONS)
  const { queueConfig, queueBlock, clock = systemClock, random = systemRandom } = options
  for (const name of ['execute', 'executes', 'routeDirect', 'onFault'] as const) {
    const value = options[name]
    if (value !== undefined && typeof value !== 'function') throw configInvalid(name, 'a function', value)
  }
  const sessionId = options.sessionId ?? newUuid(random)
  checkText('sessionId', sessionId)
  if (queueConfig === false) {
    for (const name of ['storage', 'engine'] as const) {
      if (options[name] !== undefined) throw configInvalid(name, 'left out with queueConfig: false', options[name])
    }
    return { sessionId, config: undefined, clock, random }
  }
  const config = resolveSessionConfig(queueConfig, queueBlock)
  if (options.engine !== undefined) {
    const other = options.storage ?? config.storagePath
    if (other !== undefined) throw configInvalid('engine', 'left out where there is a storage', options.engine)
  }
  if (config.storagePath !== undefined && options.storage === undefined) {
    throw configInvalid(
      'storagePath',
      'left to an agent session, which opens it; give SessionQueue a storage',
      config.storagePath,
    )
  }
  return { sessionId, config, clock, random }
}
